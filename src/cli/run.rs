//! `cw2 run`: the same plan and the same worker, on this machine.

use super::draft::{self, Mode};
use super::freeze;
use super::submit::{self, SubmitArgs};
use super::worker::{self, seconds};
use super::{ConfigArgs, Exit, Failure, Program};
use crate::store::plan::{Plan, Rep};
use crate::worker::{End, Jobs, Observer, Options, Setting};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
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

pub(super) fn run(args: &RunArgs, program: &Program, quiet: bool) -> Result<Exit, Failure> {
    if program.scheduler.submits() {
        return submit::submit(&SubmitArgs::of(&args.config, args.overwrite), program, quiet);
    }
    // Before anything starts a thread.
    let control = worker::start()?;
    let (planned, frozen) = freeze::freeze(&args.config, program, args.overwrite, Mode::Write, None)?;
    if !quiet {
        tell!("{}", draft::summary(&planned));
    }
    let Some(folder) = frozen.folder else {
        if !quiet {
            tell!("nothing is left to do");
        }
        return Ok(Exit::Done);
    };
    let plan = Plan::open(&folder)?;
    worker::begin(&plan);
    let options = worker::options(Duration::from_secs_f64(args.grace))?;
    let at_a_time = args.jobs.get().min(usize::try_from(plan.jobs()).unwrap_or(usize::MAX));
    tell_of_fewer_slots(&plan, at_a_time, &options);
    let bar = Bar::new(plan.manifest.counts.repetitions, quiet);
    let setting = Setting {
        plan: &plan,
        options: &options,
        control: &control,
        observer: &bar,
        factory: program.factory.as_ref(),
    };
    let jobs = Jobs::side_by_side(setting, 0..plan.jobs(), at_a_time);
    let (mut tally, result) = program.schedule(jobs);
    bar.bar.finish_and_clear();
    tally.total = usize::try_from(plan.manifest.counts.repetitions).unwrap_or(usize::MAX);
    if !quiet || tally.any_failed() {
        tell!("{}", tally.summary());
    }
    result?;
    Ok(worker::exit(&tally))
}

/// A cluster's configuration asks for more than this machine has.
fn tell_of_fewer_slots(plan: &Plan, jobs: usize, options: &Options) {
    let share = (options.allowed.cpus.len() / jobs.max(1)).max(1);
    let wanted = plan.experiment_record(0).map_or(1, |experiment| experiment.reps_in_parallel as usize);
    if wanted > share {
        log::info!("note: {wanted} repetitions in parallel are asked for, {share} run: this machine has no more CPUs");
    }
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
            End::Ran(_, None) | End::Skipped(..) | End::NoTime | End::Stopped => None,
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
