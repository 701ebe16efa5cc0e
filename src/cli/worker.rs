//! `cw2 worker`: one array element.

use super::Exit;
use crate::ops;
use crate::ops::failure::Failure;
use crate::ops::program::Program;
use crate::ops::run::Ran;
use crate::ops::worker::Options;
use crate::store::plan::Rep;
use crate::worker::{End, Observer, Tally};
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Args)]
pub(super) struct WorkerArgs {
    /// The plan's folder
    #[arg(long, value_name = "PLAN")]
    plan: PathBuf,
    /// The element of the array
    #[arg(long, value_name = "N", env = "SLURM_ARRAY_TASK_ID")]
    index: u64,
    /// The number that the array's first job has in the plan
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: u64,
    /// Take job after job of the array that begins at `--offset`, until none is left or the time is
    #[arg(long)]
    pilot: bool,
    /// Seconds before the time limit at which Slurm sends SIGUSR1
    #[arg(long, value_name = "SECONDS", default_value_t = 0, hide_short_help = true)]
    warning: u16,
    /// How often the element may requeue itself at the time limit
    #[arg(long, value_name = "N", default_value_t = 0, hide_short_help = true)]
    max_requeues: u32,
    /// Seconds between asking a repetition to stop and SIGKILL
    #[arg(long, value_name = "SECONDS", default_value_t = 15.0, hide_short_help = true, value_parser = seconds)]
    grace: f64,
}

/// A number of seconds from 0 to a day.
pub(super) fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("not a number of seconds from 0 to 86400".to_owned()),
    }
}

pub(super) fn worker(args: &WorkerArgs, program: &Program) -> Result<Exit, Failure> {
    let options = Options {
        plan: args.plan.clone(),
        index: args.index,
        offset: args.offset,
        pilot: args.pilot,
        warning: Duration::from_secs(args.warning.into()),
        max_requeues: args.max_requeues,
        grace: Duration::from_secs_f64(args.grace),
    };
    let Ran { tally, result, .. } = ops::worker::worker(&options, program, Arc::new(Log))?;
    result?;
    Ok(exit(&tally))
}

/// The exit code a tally stands for. A crash outweighs an interruption: it needs a look, not only another start; so does, before
/// anything else, a machine without room.
pub(super) fn exit(tally: &Tally) -> Exit {
    if tally.out_of_room() {
        Exit::Environment
    } else if tally.any_failed() {
        Exit::Crashed
    } else if tally.unfinished() {
        Exit::Interrupted
    } else {
        Exit::Done
    }
}

/// Tells of each repetition in Slurm's log.
struct Log;

impl Observer for Log {
    fn started(&self, rep: &Rep) {
        log::debug!("started {}", rep.dir.display());
    }

    fn ended(&self, rep: &Rep, end: &End) {
        let dir = rep.dir.display();
        match end {
            End::Ran(state, None) => log::debug!("{}: {dir}", state.word()),
            End::Ran(state, Some(why)) => log::warn!("{}: {dir}: {why}", state.word()),
            End::Skipped(state, _) => log::debug!("{} before: {dir}", state.word()),
            End::Busy(why) => log::warn!("left alone: {dir}: {why}"),
            End::Refused(why) => log::error!("refused: {dir}: {why}"),
            End::Stopped => log::debug!("not started: {dir}"),
            End::NoRoom(why) => log::error!("not started: {dir}: {why}"),
            End::NoTime => log::info!("not started, too little time is left: {dir}"),
        }
    }
}
