//! `cw2 status`: how every repetition stands. Looks, and changes nothing.

use super::Exit;
use super::choose::{self, PlansHereArgs};
use crate::ops::failure::Failure;
use crate::ops::select;
use crate::ops::work::hostname;
use crate::plan::record::{ExperimentRecord, RunRecord};
use crate::report::advice::{self, Advice, Requested, Usage};
use crate::report::failures::{self, Failed, Group};
use crate::report::progress::{self, Estimate, Progress};
use crate::report::status_json::{self, Report};
use crate::report::status_table::{self, Row};
use crate::run::effective_state::EffectiveState;
use crate::slurm::Element;
use crate::store::survey::{Survey, id_of, survey_of};
use clap::Args;
use jiff::Timestamp;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[derive(Debug, Args)]
#[command(after_help = "\
The bar: `#` finished, `!` failed, lost or unreadable, `>` running, `.` not done. DONE IN assumes that as many repetitions as now run side \
by side, and take as long as the finished ones did. Slurm is asked once. The exit code is 0 whenever it could tell, whatever \
it tells.

--json prints one object: plans, cluster_known, cluster_error, waiting (Slurm's reasons), unreadable_plans, unreadable (plans and status files that cannot be read, and why), total, experiments[] (path, \
experiment, total, completed, surrendered, crashed, timed_out, interrupted, running, queued, lost, pending, unreadable, seconds, \
cpu_seconds, estimate (done, stopped, known, unknown), estimate_seconds, estimate_unknown), and with their options runs[] (the \
same and run), failed[] (outcome, reason, count, example), advice[] (requested, used, fits, notes).")]
#[expect(clippy::struct_excessive_bools, reason = "they are flags of a command line")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    plans: PlansHereArgs,
    /// Only these experiments
    #[arg(short, long, num_args = 1.., value_name = "NAME")]
    experiments: Vec<String>,
    /// A line for each run
    #[arg(long)]
    runs: bool,
    /// Why repetitions failed or were lost, like ones together
    #[arg(long)]
    failed: bool,
    /// Compare what finished repetitions used with what was requested, and say what would fit
    #[arg(long)]
    advice: bool,
    /// One JSON object (see below)
    #[arg(long)]
    json: bool,
    /// Look again every so many seconds (at least 30) until nothing is running, queued or pending
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "30",
          value_parser = clap::value_parser!(u32).range(30..=86_400))]
    watch: Option<u32>,
}

pub(super) fn status(args: &StatusArgs, quiet: bool) -> Result<Exit, Failure> {
    let Some(every) = args.watch else {
        let view = View::look(args)?;
        view.print(args, quiet)?;
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
        let view = View::look(args)?;
        if stop.load(Ordering::Relaxed) {
            return Ok(Exit::Done);
        }
        if redraws {
            // To the upper left corner, and everything below away.
            write!(std::io::stdout(), "\u{1b}[H\u{1b}[2J")?;
        }
        if !args.json {
            writeln!(std::io::stdout(), "{}", view.now.to_zoned(jiff::tz::TimeZone::system()).strftime("%F %T"))?;
        }
        view.print(args, quiet)?;
        let open = [EffectiveState::Running, EffectiveState::Queued, EffectiveState::Pending];
        if open.into_iter().all(|effective| view.total.progress.count(effective) == 0) {
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

/// One look, counted.
struct View {
    now: Timestamp,
    plans: Vec<String>,
    /// Why Slurm could not be asked.
    cluster_error: Option<String>,
    /// Whether that leaves something open.
    unsure: bool,
    total: Row,
    experiments: Vec<Row>,
    runs: Vec<Row>,
    failed: Vec<Group>,
    advice: Vec<Advice>,
    waiting: Vec<(String, u64)>,
    unreadable_plans: Vec<String>,
    unreadable: Vec<String>,
}

impl View {
    fn look(args: &StatusArgs) -> Result<Self, Failure> {
        let sources = args.plans.open()?;
        let reps = select::Selection::of(&args.experiments);
        reps.check_plans(&sources.plans)?;
        let (queue, cluster_error) = match select::glance(&sources.plans) {
            Ok(queue) => (Some(queue), None),
            Err(error) => (None, Some(error)),
        };
        let queue = queue.as_deref();
        let now = Timestamp::now();
        let wanted = |experiment: &ExperimentRecord, run: &RunRecord, rep| reps.has(&experiment.name, &run.run, rep);
        let survey = survey_of(sources, queue, &hostname(), &wanted)?;
        let known = cluster_error.is_none();
        let experiments = Parts::count(&survey, now, |plan, run| {
            let experiment = survey.experiment_of(plan, run)?;
            Some((experiment.name.clone(), None))
        });
        let runs = args.runs.then(|| {
            Parts::count(&survey, now, |plan, run| {
                let experiment = survey.experiment_of(plan, run)?;
                Some((experiment.name.clone(), Some(run.run.clone())))
            })
        });
        let total = total(&experiments, known);
        Ok(View {
            now,
            plans: survey.plans.iter().map(|plan| choose::shown(&plan.folder)).collect(),
            unsure: !known && survey.reps.iter().any(is_open),
            cluster_error,
            total,
            failed: if args.failed { failures::group(failed(&survey, queue).into_iter()) } else { Vec::new() },
            advice: if args.advice { usages(&survey).iter().map(advice::advise).collect() } else { Vec::new() },
            waiting: waiting(&survey, queue),
            unreadable_plans: survey.unreadable_plans,
            unreadable: survey.unreadable,
            experiments: experiments.rows(known),
            runs: runs.map(|runs| runs.rows(known)).unwrap_or_default(),
        })
    }

    fn print(&self, args: &StatusArgs, quiet: bool) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        if args.json {
            let report = Report {
                plans: &self.plans,
                cluster_error: self.cluster_error.as_deref(),
                total: &self.total,
                experiments: &self.experiments,
                runs: args.runs.then_some(&self.runs),
                failed: args.failed.then_some(&self.failed),
                advice: args.advice.then_some(&self.advice),
                waiting: &self.waiting,
                unreadable_plans: &self.unreadable_plans,
                unreadable: &self.unreadable,
            };
            writeln!(out, "{}", status_json::render(&report))?;
        } else {
            let rows = if args.runs { &self.runs } else { &self.experiments };
            let mut text = status_table::render(rows, &self.total, self.cluster_error.is_none());
            if !self.waiting.is_empty() {
                let reasons = self.waiting.iter().map(|(why, count)| format!("{why} ({count})"));
                let _ = writeln!(text, "jobs wait: {}", reasons.collect::<Vec<_>>().join(", "));
            }
            if args.failed {
                let nothing = if self.failed.is_empty() { "nothing failed\n" } else { "" };
                let _ = write!(text, "\n{nothing}{}", failures::render(&self.failed));
            }
            if args.advice {
                let _ = write!(text, "\n{}", advice::render(&self.advice));
            }
            out.write_all(text.as_bytes())?;
        }
        out.flush()?;
        choose::tell_unreadable(&self.unreadable_plans, &self.unreadable);
        if let (Some(error), true, false) = (&self.cluster_error, self.unsure, quiet) {
            tell!("note: Slurm cannot be asked, so what is queued or lost is not known: {error}");
        }
        Ok(())
    }
}

/// Whether the cluster would have had something to say about it.
fn is_open(seen: &crate::store::survey::Seen) -> bool {
    match seen.effective {
        EffectiveState::Running => seen.status.as_deref().is_some_and(|status| status.slurm.is_some()),
        EffectiveState::Unreadable => false,
        effective => !effective.is_finished(),
    }
}

/// Rows that are being counted, in the order they first occur.
struct Parts {
    rows: Vec<(String, String, Option<String>, Progress)>,
}

impl Parts {
    /// Counts every repetition into the part that `name` says its run belongs to.
    fn count(
        survey: &Survey,
        now: Timestamp,
        name: impl Fn(usize, &RunRecord) -> Option<(String, Option<String>)>,
    ) -> Self {
        let mut parts = Parts { rows: Vec::new() };
        let mut places: HashMap<(String, String, Option<String>), usize> = HashMap::new();
        let mut last: Option<((usize, u32), usize)> = None;
        for seen in &survey.reps {
            let place = match last {
                Some((run, place)) if run == (seen.plan, seen.run) => place,
                _ => {
                    let named = survey.run(seen).and_then(|run| name(seen.plan, run));
                    let Some((experiment, run)) = named else { continue };
                    let path = survey.plans.get(seen.plan).and_then(|plan| plan.folder.parent()?.parent());
                    let path = path.map(choose::shown).unwrap_or_default();
                    *places.entry((path.clone(), experiment.clone(), run.clone())).or_insert_with(|| {
                        parts.rows.push((path, experiment, run, Progress::default()));
                        parts.rows.len() - 1
                    })
                }
            };
            last = Some(((seen.plan, seen.run), place));
            if let Some((.., progress)) = parts.rows.get_mut(place) {
                progress.add(seen.effective, seen.status.as_deref(), now);
            }
        }
        parts
    }

    fn rows(self, cluster_known: bool) -> Vec<Row> {
        let row = |(path, experiment, run, progress)| {
            let estimate = progress::estimate([&progress].into_iter(), cluster_known);
            Row { path, experiment, run, progress, estimate }
        };
        self.rows.into_iter().map(row).collect()
    }
}

fn total(parts: &Parts, cluster_known: bool) -> Row {
    let mut progress = Progress::default();
    parts.rows.iter().for_each(|(.., part)| progress.merge(part));
    let estimate: Estimate = progress::estimate(parts.rows.iter().map(|(.., part)| part), cluster_known);
    let mut paths: Vec<&String> = parts.rows.iter().map(|(path, ..)| path).collect();
    paths.dedup();
    let path = if let [only] = paths.as_slice() { (*only).clone() } else { String::new() };
    Row { path, experiment: "all".to_owned(), run: None, progress, estimate }
}

/// What crashed, timed out or was lost, and why.
fn failed(survey: &Survey, queue: Option<&[Element]>) -> Vec<Failed> {
    let words: HashMap<_, _> = queue.unwrap_or_default().iter().map(|e| ((e.job, e.index), e.word.as_str())).collect();
    let failed = survey.reps.iter().filter(|seen| {
        matches!(seen.effective, EffectiveState::Crashed | EffectiveState::TimedOut | EffectiveState::Lost)
    });
    let failed = failed.map(|seen| {
        let status = seen.status.as_deref();
        let ids = status.and_then(|status| status.slurm.as_ref());
        let word = ids.and_then(|ids| words.get(&id_of(ids)).copied());
        Failed {
            effective: seen.effective,
            text: failures::reason(seen.effective, status, word),
            dir: choose::shown(&survey.dir(seen)),
            run: survey.run(seen).map(|run| run.run.clone()).unwrap_or_default(),
        }
    });
    failed.collect()
}

/// What finished repetitions used, by experiment. Of several plans, the last one's request stands.
fn usages(survey: &Survey) -> Vec<Usage> {
    let mut usages: Vec<Usage> = Vec::new();
    let mut places: HashMap<(String, String), usize> = HashMap::new();
    for seen in &survey.reps {
        let Some(experiment) = survey.experiment(seen) else { continue };
        let path = survey.plans.get(seen.plan).and_then(|plan| plan.folder.parent()?.parent());
        let path = path.map(choose::shown).unwrap_or_default();
        let place = *places.entry((path.clone(), experiment.name.clone())).or_insert_with(|| {
            usages.push(Usage { path, experiment: experiment.name.clone(), ..Usage::default() });
            usages.len() - 1
        });
        let Some(usage) = usages.get_mut(place) else { continue };
        usage.requested = Requested::of(&experiment.slurm, experiment.reps_per_job);
        usage.reps_in_parallel = experiment.reps_in_parallel;
        usage.cpus_per_rep = experiment.cpus_per_rep;
        usage.total += 1;
        let Some(status) = seen.status.as_deref().filter(|status| status.state.is_finished()) else { continue };
        usage.max_rss = usage.max_rss.max(status.max_rss);
        if let Some(seconds) = status.seconds {
            usage.seconds.push(seconds);
            if let Some(cpu) = status.cpu_seconds {
                usage.cpu = (usage.cpu.0 + cpu, usage.cpu.1 + seconds);
            }
        }
    }
    usages
}

/// Slurm's reasons why elements wait, the most frequent first.
fn waiting(survey: &Survey, queue: Option<&[Element]>) -> Vec<(String, u64)> {
    let Some(queue) = queue else { return Vec::new() };
    let waiting =
        survey.reps.iter().filter(|seen| seen.effective == EffectiveState::Queued).filter_map(|seen| seen.element);
    let mut elements: Vec<usize> = waiting.collect();
    elements.sort_unstable();
    elements.dedup();
    let mut reasons: HashMap<&str, u64> = HashMap::new();
    for element in elements.into_iter().filter_map(|place| queue.get(place)).filter(|e| !e.reason.is_empty()) {
        *reasons.entry(&element.reason).or_default() += 1;
    }
    let mut reasons: Vec<_> = reasons.into_iter().map(|(why, count)| (why.to_owned(), count)).collect();
    reasons.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    reasons
}
