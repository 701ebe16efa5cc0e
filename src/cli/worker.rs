//! `cw2 worker`: one array element.

use super::Exit;
use crate::ops::failure::Failure;
use crate::ops::program::Program;
use crate::ops::work::{begin, options, start};
use crate::report::human::counted;
use crate::run::status::SlurmIds;
use crate::slurm::{Client, Cluster as _};
use crate::store::plan::{Plan, Rep};
use crate::store::requeues;
use crate::worker::{End, Jobs, Observer, Setting, Tally, TimeLimit, WarmHost};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub(super) struct WorkerArgs {
    /// The plan's folder
    #[arg(long, value_name = "PLAN")]
    plan: PathBuf,
    /// The element of the array; `SLURM_ARRAY_TASK_ID` where not given
    #[arg(long, value_name = "N", env = "SLURM_ARRAY_TASK_ID")]
    index: u64,
    /// The plan's number of the array's first job
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: u64,
    /// Seconds before the time limit at which Slurm sends SIGUSR1
    #[arg(long, value_name = "SECONDS", default_value_t = 0, hide_short_help = true)]
    warning: u16,
    /// How often the element may requeue itself at the time limit
    #[arg(long, value_name = "N", default_value_t = 0, hide_short_help = true)]
    max_requeues: u32,
    /// Seconds between a polite signal to a repetition and SIGKILL
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
    // Before anything starts a thread.
    let control = start()?;
    let plan = Plan::open(&args.plan)?;
    let number = args.offset.saturating_add(args.index);
    if number >= plan.jobs() {
        return Err(Failure::Usage(format!(
            "there is no job {number} in plan `{}`: it has {} (from 0); was the array submitted with this plan's script?",
            plan.folder.display(),
            plan.jobs()
        )));
    }
    // A share that is damaged is refused before anything is noted or begun.
    let repetitions = plan.job(number)?.reps.len();
    begin(&plan);
    let mut options = options(Duration::from_secs_f64(args.grace))?;
    if options.slurm.is_some() {
        options.time_limit =
            TimeLimit { warning: Duration::from_secs(args.warning.into()), ask: Some(crate::slurm::time_left) };
    }
    let count = counted(repetitions as u64, "repetition");
    log::info!("plan {}, job {number}: {count} on {}", plan.name(), options.host);
    let warm = WarmHost::default();
    let setting = Setting {
        plan: &plan,
        options: &options,
        control: &control,
        observer: &Log,
        factory: program.factory.as_ref(),
        warm: &warm,
    };
    let jobs = Jobs::in_turn(setting, number..number + 1);
    let (mut tally, result) = program.schedule(jobs);
    // Also where the worker was told to stop before the job was given out.
    tally.total = repetitions;
    log::info!("{}", tally.summary());
    result?;
    if let Some(ids) = &options.slurm
        && tally.unfinished()
        && (control.stopped_by_time_limit() || (tally.out_of_time() && !control.stopping()))
    {
        requeue(&plan, ids, args.max_requeues);
    }
    Ok(exit(&tally))
}

/// Puts this element back into the queue, as long as it may.
fn requeue(plan: &Plan, ids: &SlurmIds, most: u32) {
    if most == 0 {
        return;
    }
    let name = match (&ids.array_job_id, &ids.array_task_id) {
        (Some(job), Some(index)) => format!("{job}_{index}"),
        _ => ids.job_id.clone(),
    };
    // Ids come again when a cluster is set up anew: no element requeued itself more often than it was requeued.
    let own = requeues::noted(&plan.folder, &name).map(|noted| noted.min(ids.restart_count));
    let noted = own.and_then(|done| {
        if done < most {
            requeues::note(&plan.folder, &name, done + 1)?;
        }
        Ok(done)
    });
    let done = noted.unwrap_or_else(|error| {
        log::warn!("{error}; every requeue of this job counts for `max_requeues`, whoever asked for it");
        ids.restart_count
    });
    if done >= most {
        log::warn!("not requeued: it requeued itself {done} times already (`max_requeues: {most}`)");
        return;
    }
    // Said before it is done: Slurm ends this process as part of it.
    log::info!("requeueing {name} ({} of {most})", done + 1);
    if let Err(error) = Client.requeue(&name) {
        log::error!("cannot requeue {name}: {error}");
    }
}

/// The exit code a tally stands for. A crash outweighs an interruption: it needs a look, not only another start.
pub(super) fn exit(tally: &Tally) -> Exit {
    if tally.any_failed() {
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
            End::NoTime => log::info!("not started, too little time is left: {dir}"),
        }
    }
}
