//! `cw2 run`: the same plan and the same worker, on this machine.

use super::worker::{self, seconds};
use super::{ConfigArgs, Exit, submit, tell};
use crate::ops;
use crate::ops::failure::Failure;
use crate::ops::program::Program;
use crate::ops::run::Ran;
use crate::store::plan::Rep;
use crate::worker::{End, Observer};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::sync::Arc;
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
    let reading = args.config.reading();
    if program.scheduler.submits() {
        let options = ops::submit::Options { reading, overwrite: args.overwrite, ..ops::submit::Options::default() };
        return submit::submit_all(&options, program, quiet);
    }
    let options = ops::run::Options {
        reading,
        overwrite: args.overwrite,
        jobs: args.jobs,
        grace: Duration::from_secs_f64(args.grace),
    };
    // What it prints goes to the terminal.
    let hidden = quiet || options.reading.debug;
    let bar = |count| Arc::new(Bar::new(count, hidden)) as Arc<dyn Observer>;
    let ran = ops::run::run(&options, program, &mut |notice| tell(&notice, quiet), bar)?;
    let Some(Ran { tally, result }) = ran else {
        if !quiet {
            tell!("nothing is left to do");
        }
        return Ok(Exit::Done);
    };
    if !quiet || tally.any_failed() || tally.out_of_room() {
        tell!("{}", tally.summary());
    }
    result?;
    Ok(worker::exit(&tally))
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

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
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
            End::NoRoom(why) => Some(format!("not started: {dir}: {why}")),
        };
        if let Some(line) = line {
            self.bar.suspend(|| log::warn!("{line}"));
        }
        self.bar.inc(1);
    }
}
