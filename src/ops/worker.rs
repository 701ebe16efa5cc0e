//! One element of an array: the job of a plan that it is, and its way back into the queue at the time limit.

use super::failure::Failure;
use super::program::Program;
use super::python;
use super::run::Ran;
use super::trust;
use super::work;
use crate::report::human::counted;
use crate::run::status::SlurmIds;
use crate::slurm::{Client, Cluster as _};
use crate::store::plan::Plan;
use crate::store::requeues;
use crate::worker::{Jobs, Observer, Setting, TimeLimit, WarmHost};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Options {
    /// The plan's folder.
    pub plan: PathBuf,
    /// The element of the array.
    pub index: u64,
    /// The number that the array's first job has in the plan.
    pub offset: u64,
    /// How long before the time limit Slurm sends SIGUSR1.
    pub warning: Duration,
    /// How often the element may requeue itself at the time limit.
    pub max_requeues: u32,
    /// Between a polite signal to a repetition and SIGKILL.
    pub grace: Duration,
}

/// Runs the job's repetitions, and requeues the element where the time limit left some of them undone.
///
/// # Errors
/// Where there is no such job, or its share of the plan is damaged: then nothing is begun.
pub fn worker(options: &Options, program: &Program, observer: Arc<dyn Observer>) -> Result<Ran, Failure> {
    // Before anything starts a thread.
    let control = work::start()?;
    let plan = Plan::open(&options.plan)?;
    trust::check([&plan])?;
    let number = options.offset.saturating_add(options.index);
    if number >= plan.jobs() {
        return Err(Failure::Usage(format!(
            "there is no job {number} in plan `{}`: it has {} (from 0); was the array submitted with this plan's script?",
            plan.folder.display(),
            plan.jobs()
        )));
    }
    // A share that is damaged is refused before anything is noted or begun.
    let job = plan.job(number)?;
    let repetitions = job.reps.len();
    work::begin(&plan);
    let mut here = work::options(options.grace)?;
    if here.slurm.is_some() {
        here.time_limit = TimeLimit { warning: options.warning, ask: Some(crate::slurm::time_left) };
    }
    if let (Some(ids), most @ 1..) = (&here.slurm, options.max_requeues) {
        here.requeues_left = Some(most.saturating_sub(requeued(&plan, ids)));
    }
    let count = counted(repetitions as u64, "repetition");
    log::info!("plan {}, job {number}: {count} on {}", plan.name(), here.host);
    let (warm, factory) = (WarmHost::default(), program.factory.as_ref());
    let setting = Setting { plan: &plan, options: &here, control: &control, observer, factory, warm: &warm };
    let (mut tally, result) = match python::of_scheduler(&job) {
        Some(record) => python::schedule(record, &plan, &job, &here, &control),
        None => program.schedule(Jobs::in_turn(setting, number..number + 1)),
    };
    // Also where the worker was told to stop before the job was given out.
    tally.total = repetitions;
    let summary = work::told(&tally, &work::groups(&tally));
    log::info!("{summary}");
    if let (Ok(()), Some(ids)) = (&result, &here.slurm)
        && tally.unfinished()
        && (control.stopped_by_time_limit() || (tally.out_of_time() && !control.stopping()))
    {
        requeue(&plan, ids, options.max_requeues);
    }
    Ok(Ran { tally, result, summary })
}

/// The element's name, as Slurm's commands and the notes have it.
fn name_of(ids: &SlurmIds) -> String {
    match (&ids.array_job_id, &ids.array_task_id) {
        (Some(job), Some(index)) => format!("{job}_{index}"),
        _ => ids.job_id.clone(),
    }
}

/// How often the element requeued itself.
fn requeued(plan: &Plan, ids: &SlurmIds) -> u32 {
    // Ids come again when a cluster is set up anew: no element requeued itself more often than it was requeued.
    let noted = requeues::noted(&plan.folder, &name_of(ids)).map(|noted| noted.min(ids.restart_count));
    noted.unwrap_or_else(|error| {
        log::warn!("{error}; every requeue of this job counts for `max_requeues`, whoever asked for it");
        ids.restart_count
    })
}

/// Puts this element back into the queue, as long as it may.
fn requeue(plan: &Plan, ids: &SlurmIds, most: u32) {
    if most == 0 {
        return;
    }
    let name = name_of(ids);
    let done = requeued(plan, ids);
    if done >= most {
        log::warn!("not requeued: it requeued itself {done} times already (`max_requeues: {most}`)");
        return;
    }
    if let Err(error) = requeues::note(&plan.folder, &name, done + 1) {
        log::warn!("{error}; every requeue of this job counts for `max_requeues`, whoever asked for it");
        if ids.restart_count >= most {
            return;
        }
    }
    // Said before it is done: Slurm ends this process as part of it.
    log::info!("requeueing {name} ({} of {most})", done + 1);
    if let Err(error) = Client.requeue(&name) {
        log::error!("cannot requeue {name}: {error}");
    }
}
