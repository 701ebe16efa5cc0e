//! `cw2 logs`: the logs of chosen repetitions, byte for byte; or why they crash, told together.

use super::Exit;
use super::choose::{self, PlansHereArgs, RepArgs};
use crate::ops::failure::Failure;
use crate::ops::work::hostname;
use crate::ops::{program, select};
use crate::plan::layout::rep as names;
use crate::plan::record::{ExperimentRecord, RunRecord};
use crate::printable::{self, Printable};
use crate::report::failures::{self, Failed};
use crate::report::human;
use crate::run::effective_state::EffectiveState;
use crate::run::status::{Found, State};
use crate::store::log::{self, CopyError, Log};
use crate::store::rep;
use crate::store::survey::{Sources, Survey, survey_of};
use clap::Args;
use std::io::{IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Lines of each failure that `--failed` compares and shows.
const LAST_LINES: u64 = 10;
/// Between two looks at a growing log.
const POLL: Duration = Duration::from_millis(250);
/// A silent log: is its worker still there?
const SILENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags of a command line")]
pub(super) struct LogsArgs {
    #[command(flatten)]
    plans: PlansHereArgs,
    #[command(flatten)]
    reps: RepArgs,
    /// Only repetitions that stand so
    #[arg(long, value_name = "OUTCOME", num_args = 1.., value_parser = outcome)]
    outcome: Vec<EffectiveState>,
    /// `err.log`, what went to standard error
    #[arg(long)]
    err: bool,
    /// `out.log`, what went to standard output (as without this; with `--err`, both)
    #[arg(long)]
    out: bool,
    /// Only the last N lines
    #[arg(short = 'n', long, value_name = "N")]
    tail: Option<u64>,
    /// Go on as the log grows, until the repetition ends
    #[arg(short, long)]
    follow: bool,
    /// Byte for byte to a terminal too: colours, and whatever else the program does to it
    #[arg(long, conflicts_with = "failed")]
    raw: bool,
    /// The last lines of standard error of all that crashed or timed out, like ones together, the most frequent first
    #[arg(long, conflicts_with_all = ["follow", "err", "out", "outcome"])]
    failed: bool,
}

fn outcome(text: &str) -> Result<EffectiveState, String> {
    let wanted = text.replace([' ', '-'], "_");
    EffectiveState::ALL.into_iter().find(|effective| effective.key() == wanted).ok_or_else(|| {
        let words: Vec<_> = EffectiveState::ALL.iter().map(|effective| effective.key()).collect();
        format!("one of {}", words.join(", "))
    })
}

pub(super) fn logs(args: &LogsArgs, quiet: bool) -> Result<Exit, Failure> {
    let plans = args.plans.open()?;
    args.reps.selection().check_plans(&plans.plans)?;
    if args.follow && args.out && args.err {
        return Err(Failure::Usage("`--follow` takes one log: `--out` or `--err`".to_owned()));
    }
    if args.failed {
        return crashes(args, plans, quiet);
    }
    let survey = look(args, plans, quiet)?;
    choose::tell_unreadable(&survey.unreadable_plans, &survey.unreadable);
    let chosen: Vec<PathBuf> = survey
        .reps
        .iter()
        .filter(|seen| args.outcome.is_empty() || args.outcome.contains(&seen.effective))
        .map(|seen| survey.dir(seen))
        .collect();
    if chosen.is_empty() {
        tell!("no repetition is chosen by these options; `{} status` tells how they stand", program::name());
        return Ok(Exit::Done);
    }
    let unspecific = args.reps.selection().all() && args.outcome.is_empty() && args.tail.is_none();
    if let [_, _, ..] = chosen.as_slice()
        && (unspecific || args.follow)
    {
        let count = human::count(chosen.len() as u64);
        let why = if args.follow { "--follow takes one repetition" } else { "these are many logs" };
        return Err(Failure::Usage(format!(
            "{why}, and {count} are chosen; choose with `-e EXPERIMENT`, `-r RUN`, `--rep N`, `--outcome OUTCOME`"
        )));
    }
    let several = chosen.len() > 1 || (args.err && args.out);
    for (number, dir) in chosen.iter().enumerate() {
        for (second, name) in streams(args).into_iter().enumerate() {
            if several {
                let gap = if number + second > 0 { "\n" } else { "" };
                let file = if args.err && args.out { format!("/{name}") } else { String::new() };
                writeln!(std::io::stdout(), "{gap}==> {}{file} <==", choose::shown(dir))?;
            }
            if !args.follow {
                print(args, &dir.join(name))?;
            }
        }
        if args.follow {
            follow(args, dir, quiet)?;
        } else if !several && !quiet {
            hint(args, dir)?;
        }
    }
    Ok(Exit::Done)
}

fn streams(args: &LogsArgs) -> Vec<&'static str> {
    match (args.out, args.err) {
        (true, true) => vec![names::OUT, names::ERR],
        (_, false) => vec![names::OUT],
        (false, true) => vec![names::ERR],
    }
}

/// Asks Slurm only where the answer decides what is chosen.
fn look(args: &LogsArgs, plans: Sources, quiet: bool) -> Result<Survey, Failure> {
    let asks = args.outcome.iter().any(|effective| {
        matches!(
            effective,
            EffectiveState::Running | EffectiveState::Queued | EffectiveState::Lost | EffectiveState::Pending
        )
    });
    let queue = match asks.then(|| select::glance(&plans.plans)) {
        Some(Ok(queue)) => Some(queue),
        Some(Err(error)) => {
            if !quiet {
                tell!("note: Slurm cannot be asked, so what is queued or lost is not known: {error}");
            }
            None
        }
        None => None,
    };
    let wanted = |experiment: &ExperimentRecord, run: &RunRecord, rep| {
        args.reps.selection().has(&experiment.name, &run.run, rep)
    };
    Ok(survey_of(plans, queue.as_deref(), &hostname(), &wanted)?)
}

/// Where logs go: as they are, except to a person's terminal, which would obey what a program wrote.
fn output(args: &LogsArgs) -> Box<dyn Write> {
    let out = std::io::stdout().lock();
    if out.is_terminal() && !args.raw { Box::new(Printable::new(out)) } else { Box::new(out) }
}

fn print(args: &LogsArgs, path: &Path) -> Result<(), Failure> {
    let mut out = output(args);
    Log::open(path, args.tail)?.copy(&mut out)?;
    Ok(out.flush()?)
}

/// An empty answer looks like a mistake where the other stream has something to say.
fn hint(args: &LogsArgs, dir: &Path) -> Result<(), Failure> {
    let (name, other, option) =
        if args.err { (names::ERR, names::OUT, "--out") } else { (names::OUT, names::ERR, "--err") };
    let lengths = (log::length(&dir.join(name))?, log::length(&dir.join(other))?);
    match lengths {
        (None, None) => tell!("`{}` has no logs: it was not started yet", choose::shown(dir)),
        (None | Some(0), Some(length)) if length > 0 => {
            tell!("{name} is empty; {other} has {} (`{option}`)", human::bytes(length));
        }
        _ => {}
    }
    Ok(())
}

/// Copies what is there, and what comes until the repetition ends.
fn follow(args: &LogsArgs, dir: &Path, quiet: bool) -> Result<(), Failure> {
    let name = if args.err { names::ERR } else { names::OUT };
    let mut log = Log::open(&dir.join(name), args.tail)?;
    let mut out = output(args);
    let mut last_news = Instant::now();
    let mut waits = false;
    loop {
        // Asked before the log is read: what was written before the end is then read too.
        let state = match rep::status(dir) {
            Found::Status(status) => Some(status.state),
            Found::Nothing => None,
            Found::Unreadable(why) => return Err(Failure::Environment(why)),
        };
        if log.renewed()? && !quiet {
            tell!("{name} was written anew");
        }
        if log.copy(&mut out)? > 0 {
            out.flush()?;
            last_news = Instant::now();
        }
        match state {
            Some(State::Running) => {}
            None => {
                if !std::mem::replace(&mut waits, true) && !quiet {
                    tell!("`{}` was not started yet: waiting", choose::shown(dir));
                }
            }
            Some(ended) => {
                if !quiet {
                    tell!("{}: {}", ended.word(), choose::shown(dir));
                }
                return Ok(());
            }
        }
        if last_news.elapsed() > SILENCE && state == Some(State::Running) {
            last_news = Instant::now();
            if is_lost(args, dir)? {
                tell!("its worker is gone: {}", choose::shown(dir));
                return Ok(());
            }
        }
        std::thread::sleep(POLL);
    }
}

fn is_lost(args: &LogsArgs, dir: &Path) -> Result<bool, Failure> {
    let plans = args.plans.open()?;
    let queue = select::glance(&plans.plans).ok();
    let wanted = |experiment: &ExperimentRecord, run: &RunRecord, rep| {
        args.reps.selection().has(&experiment.name, &run.run, rep)
    };
    let survey = survey_of(plans, queue.as_deref(), &hostname(), &wanted)?;
    Ok(survey.reps.iter().any(|seen| seen.effective == EffectiveState::Lost && survey.dir(seen) == dir))
}

/// `--failed`: from the status files, which keep the last lines of the attempt that failed.
fn crashes(args: &LogsArgs, plans: Sources, quiet: bool) -> Result<Exit, Failure> {
    let lines = usize::try_from(args.tail.unwrap_or(LAST_LINES)).unwrap_or(usize::MAX);
    let wanted = |experiment: &ExperimentRecord, run: &RunRecord, rep| {
        args.reps.selection().has(&experiment.name, &run.run, rep)
    };
    let survey = survey_of(plans, None, &hostname(), &wanted)?;
    choose::tell_unreadable(&survey.unreadable_plans, &survey.unreadable);
    let failed =
        survey.reps.iter().filter(|seen| matches!(seen.effective, EffectiveState::Crashed | EffectiveState::TimedOut));
    let failed = failed.filter_map(|seen| {
        let error = seen.status.as_deref()?.error.as_ref()?;
        let last = failures::last_lines(&error.stderr_tail, lines);
        let gap = if last.is_empty() { "" } else { "\n" };
        Some(Failed {
            effective: seen.effective,
            text: format!("{}{gap}{last}", printable::line(&error.message)),
            dir: choose::shown(&survey.dir(seen)),
            run: survey.run(seen).map(|run| run.run.clone()).unwrap_or_default(),
        })
    });
    let groups = failures::group(failed);
    if groups.is_empty() {
        tell!("nothing crashed or timed out");
        return Ok(Exit::Done);
    }
    let mut out = std::io::stdout().lock();
    out.write_all(failures::render_lines(&groups).as_bytes())?;
    out.flush()?;
    if !quiet {
        tell!("a whole log: `{} logs --err -r RUN --rep N`; more lines of each: `--tail N`", program::name());
    }
    Ok(Exit::Done)
}

impl From<CopyError> for Failure {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Read(error) => error.into(),
            CopyError::Write(error) => error.into(),
        }
    }
}
