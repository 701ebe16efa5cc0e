//! `cw2 status`: how every repetition stands. Looks, and changes nothing.

use super::Exit;
use super::choose::{self, PlansHereArgs};
use crate::ops::failure::Failure;
use crate::ops::program;
use crate::ops::status::{self, Options};
use crate::report::human::{count, counted};
use crate::report::status::Report;
use crate::report::{advice, failures, next, reps_table, status_json, status_table};
use crate::run::effective_state::EffectiveState;
use clap::Args;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[derive(Debug, Args)]
#[command(after_help = "\
The bar: `#` finished, `!` failed, lost or unreadable, `>` some are running, `.` not done. DONE IN assumes that as many \
repetitions run at a time as now, and that each takes as long as the finished ones did. What was never \
submitted is counted. Slurm is asked once, and its accounting once where jobs failed or are lost. The exit code is 0 \
whenever the state could be read, whatever it is.

--json prints one object: plans, cluster_known, cluster_error, waiting (Slurm's reasons), forgotten, unreadable_forgotten (why what is forgotten is not known), unsubmitted (plans, and what lies only in them), unreadable_plans, unreadable (plans and status files that cannot be read, and why), total, experiments[] (path, \
experiment, total, completed, surrendered, crashed, timed_out, interrupted, running, queued, lost, job_failed, pending, unreadable, seconds, \
cpu_seconds, estimate (done, stopped, known, unknown), estimate_seconds, estimate_unknown), interrupted (by what), next[] (commands), and with their options runs[] (the \
same and run), failed[] (outcome, reason, count, example, log, common), reps[] (path, experiment, run, rep, state, attempt, job, node, seconds, log, newest, stopped_by), advice[] (requested, used, fits, notes).")]
#[expect(clippy::struct_excessive_bools, reason = "they are flags of a command line")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    plans: PlansHereArgs,
    /// Only these experiments
    #[arg(short, long, num_args = 1.., value_name = "NAME")]
    experiments: Vec<String>,
    /// Print one line per run
    #[arg(long)]
    runs: bool,
    /// Print one line per repetition: where it runs or ran, its log, its newest metrics
    #[arg(long, conflicts_with = "runs")]
    reps: bool,
    /// Show why repetitions failed or were lost, similar failures grouped
    #[arg(long)]
    failed: bool,
    /// Compare the resources used with those requested, and suggest what would fit
    #[arg(long)]
    advice: bool,
    /// Print one JSON object (see below)
    #[arg(long)]
    json: bool,
    /// Refresh every SECONDS (at least 30) until nothing is running, queued or pending
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "30",
          value_parser = clap::value_parser!(u32).range(30..=86_400))]
    watch: Option<u32>,
}

pub(super) fn status(args: &StatusArgs, quiet: bool) -> Result<Exit, Failure> {
    let options = Options {
        sources: args.plans.sources().to_vec(),
        experiments: args.experiments.clone(),
        runs: args.runs,
        reps: args.reps,
        failed: args.failed,
        advice: args.advice,
    };
    let Some(every) = args.watch else {
        print(&status::status(&options)?, args, quiet)?;
        return Ok(Exit::Done);
    };
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|error| Failure::Environment(format!("cannot listen to signals: {error}")))?;
    }
    let redraws = std::io::stdout().is_terminal() && !args.json;
    loop {
        let next = Instant::now() + Duration::from_secs(every.into());
        let report = status::status(&options)?;
        if stop.load(Ordering::Relaxed) {
            return Ok(Exit::Done);
        }
        if redraws {
            // To the upper left corner, and everything below away.
            write!(std::io::stdout(), "\u{1b}[H\u{1b}[2J")?;
        }
        if !args.json {
            writeln!(std::io::stdout(), "{}", report.now.to_zoned(jiff::tz::TimeZone::system()).strftime("%F %T"))?;
        }
        print(&report, args, quiet)?;
        let open = [EffectiveState::Running, EffectiveState::Queued, EffectiveState::Pending];
        if open.into_iter().all(|effective| report.total.progress.count(effective) == 0) {
            return Ok(Exit::Done);
        }
        while Instant::now() < next {
            if stop.load(Ordering::Relaxed) {
                return Ok(Exit::Done);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn print(report: &Report, args: &StatusArgs, quiet: bool) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", status_json::render(report))?;
    } else {
        out.write_all(text(report).as_bytes())?;
    }
    out.flush()?;
    choose::tell_unreadable(&report.unreadable_plans, &report.unreadable);
    choose::tell_unreadable_forgotten(&report.unreadable_forgotten);
    if let (Some(error), true, false) = (&report.cluster_error, report.unsure, quiet) {
        tell!("note: Slurm cannot be asked, so what is queued or lost is not known: {error}");
    }
    if !quiet {
        for note in notes(report) {
            tell!("{note}");
        }
        // Whoever watches waits.
        if let (Some(line), false) = (next::line(&report.next), args.json || args.watch.is_some()) {
            tell!("{line}");
        }
    }
    Ok(())
}

/// What is not counted, and why.
fn notes(report: &Report) -> Vec<String> {
    let me = program::name();
    let mut notes: Vec<String> = Vec::new();
    for (plan, count) in &report.unsubmitted {
        let (them, are) = if *count == 1 { ("it", "is") } else { ("they", "are") };
        notes.push(format!(
            "note: {} {} only in plan {plan}, which was never submitted: {them} {are} not counted; `{me} submit {plan}`",
            counted(*count, "repetition"),
            if *count == 1 { "lies" } else { "lie" },
        ));
    }
    match report.forgotten {
        0 => {}
        1 => notes.push(format!("note: 1 repetition is forgotten (`{me} forget --undo` brings it back)")),
        more => notes
            .push(format!("note: {} repetitions are forgotten (`{me} forget --undo` brings them back)", count(more))),
    }
    notes
}

/// The table, and what was asked for besides.
fn text(report: &Report) -> String {
    let rows = report.runs.as_ref().unwrap_or(&report.experiments);
    let mut text = status_table::render(rows, &report.total, !report.unsure);
    if !report.waiting.is_empty() {
        let reasons = report.waiting.iter().map(|(why, count)| format!("{why} ({count})"));
        let _ = writeln!(text, "waiting jobs: {}", reasons.collect::<Vec<_>>().join(", "));
    }
    if !report.interrupted.is_empty() {
        let reasons = report.interrupted.iter().map(|(why, count)| format!("{why} ({count})"));
        let _ = writeln!(text, "interrupted by: {}", reasons.collect::<Vec<_>>().join(", "));
    }
    if let Some(reps) = &report.reps {
        let _ = write!(text, "\n{}", reps_table::render(reps));
    }
    if let Some(failed) = &report.failed {
        let nothing = if failed.is_empty() { "nothing failed\n" } else { "" };
        let _ = write!(text, "\n{nothing}{}", failures::render(failed));
    }
    if let Some(advice) = &report.advice {
        let _ = write!(text, "\n{}", advice::render(advice));
    }
    text
}
