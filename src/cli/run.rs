//! `cw2 run`: the same plan and the same worker, on this machine.

use super::draft::{self, Mode};
use super::freeze;
use super::worker::{self, seconds};
use super::{ConfigArgs, Exit, Failure};
use crate::store::plan::{Plan, Rep};
use crate::worker::{Allowed, Control, End, Observer, Options, Tally, run_job};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Jobs (array elements) at a time
    #[arg(short, long, value_name = "N", default_value = "1")]
    jobs: NonZeroUsize,
    /// Run finished repetitions again in their place
    #[arg(short, long)]
    overwrite: bool,
    /// Seconds between a polite signal to a repetition and SIGKILL
    #[arg(long, value_name = "SECONDS", default_value_t = 15.0, hide_short_help = true, value_parser = seconds)]
    grace: f64,
}

pub(super) fn run(args: &RunArgs, quiet: bool) -> Result<Exit, Failure> {
    // Before anything starts a thread.
    let control = worker::start()?;
    let frozen = freeze::freeze(&args.config, args.overwrite, Mode::Write, None)?;
    if !quiet {
        tell!("{}", draft::summary(&frozen.built.counts, frozen.built.arrays.len(), frozen.built.renamed));
    }
    let Some(folder) = frozen.folder else {
        if !quiet {
            tell!("nothing is left to do");
        }
        return Ok(Exit::Done);
    };
    let plan = Plan::open(&folder)?;
    let options = worker::options(Duration::from_secs_f64(args.grace))?;
    let lanes = lanes(&plan, args.jobs.get(), &options);
    let bar = Bar::new(plan.manifest.counts.repetitions, quiet);
    let next = AtomicU64::new(0);
    let total = Mutex::new(Tally::default());
    let failure = Mutex::new(None);
    let next_job = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|n| *n < plan.jobs() && !control.stopping());
    std::thread::scope(|scope| {
        for lane in &lanes {
            scope.spawn(|| {
                while let Some(number) = next_job() {
                    match run_one(&plan, number, lane, &control, &bar) {
                        Ok(tally) => lock(&total).merge(tally),
                        Err(error) => {
                            lock(&failure).get_or_insert(error);
                            return;
                        }
                    }
                }
            });
        }
    });
    crate::worker::end_strays();
    bar.bar.finish_and_clear();
    if let Some(error) = lock(&failure).take() {
        return Err(error);
    }
    let mut tally = std::mem::take(&mut *lock(&total));
    tally.total = usize::try_from(plan.manifest.counts.repetitions).unwrap_or(usize::MAX);
    if !quiet || tally.any_failed() {
        tell!("{}", tally.summary());
    }
    Ok(worker::exit(&tally))
}

fn run_one(plan: &Plan, number: u64, options: &Options, control: &Control, bar: &Bar) -> Result<Tally, Failure> {
    Ok(run_job(plan, &plan.job(number)?, options, control, bar)?)
}

/// One set of options for each job that runs at a time: its share of this machine's CPUs, and no more slots than that.
fn lanes(plan: &Plan, jobs: usize, options: &Options) -> Vec<Options> {
    let jobs = jobs.min(usize::try_from(plan.jobs()).unwrap_or(usize::MAX));
    let cpus = &options.allowed.cpus;
    let share = (cpus.len() / jobs).max(1);
    let wanted = plan.experiment_record(0).map_or(1, |experiment| experiment.reps_in_parallel as usize);
    if wanted > share {
        log::info!("note: {wanted} repetitions in parallel are asked for, {share} run: this machine has no more CPUs");
    }
    (0..jobs)
        .map(|lane| {
            let cpus = cpus.iter().copied().cycle().skip(lane * share).take(share).collect();
            let allowed = Allowed { cpus, bound: options.allowed.bound };
            Options { allowed, max_slots: Some(share), ..options.clone() }
        })
        .collect()
}

/// Progress on a terminal; failures as they come anywhere.
struct Bar {
    bar: ProgressBar,
}

impl Bar {
    fn new(repetitions: u64, quiet: bool) -> Self {
        let visible = !quiet && std::io::stderr().is_terminal();
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(repetitions), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} (left {eta}) {wide_msg}") {
            bar.set_style(style);
        }
        Bar { bar }
    }
}

impl Observer for Bar {
    fn started(&self, rep: &Rep) {
        self.bar.set_message(format!("{} rep {}", rep.run.record.run, rep.number));
    }

    fn ended(&self, rep: &Rep, end: &End) {
        let dir = rep.dir.display();
        let line = match end {
            End::Ran(_, None) | End::Skipped(..) | End::NoTime => None,
            End::Ran(state, Some(why)) => Some(format!("{}: {dir}: {why}", state.word())),
            End::Busy(why) => Some(format!("left alone: {dir}: {why}")),
            End::Refused(why) => Some(format!("refused: {dir}: {why}")),
        };
        if let Some(line) = line {
            self.bar.suspend(|| log::warn!("{line}"));
        }
        self.bar.inc(1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Every change under these locks is whole even where a thread panics.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
