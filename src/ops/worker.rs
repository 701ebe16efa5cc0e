//! One element of an array: the job of a plan that it is, or, as a pilot, one job after another; and its way back into the queue
//! at the time limit.

use super::failure::Failure;
use super::here::hostname;
use super::program::{Program, name};
use super::python;
use super::run::Ran;
use super::trust;
use super::work;
use crate::report::human::counted;
use crate::run::status::SlurmIds;
use crate::slurm::{Client, Cluster as _, Element, ElementState};
use crate::store::claims::{self, Claims, Pilot};
use crate::store::plan::{Job, Plan};
use crate::store::plans;
use crate::store::requeues;
use crate::worker::{Jobs, Observer, Setting, Source, Tally, TimeLimit, WarmHost};
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
    /// It takes job after job of that array.
    pub pilot: bool,
    /// How long before the time limit Slurm sends SIGUSR1.
    pub warning: Duration,
    /// How often the element may requeue itself at the time limit.
    pub max_requeues: u32,
    /// Between a polite signal to a repetition and SIGKILL.
    pub grace: Duration,
}

/// Runs the repetitions of its job, or of all the jobs that it gets, and requeues the element where the time limit left some of
/// them undone.
///
/// # Errors
/// Where there is no such job, or its share of the plan is damaged: then nothing is begun. Where a pilot's file system has no
/// locks.
pub fn worker(options: &Options, program: &Program, observer: Arc<dyn Observer>) -> Result<Ran, Failure> {
    // Before anything starts a thread.
    let control = work::start()?;
    let plan = Plan::open(&options.plan)?;
    trust::check([&plan])?;
    let share = Share::of(options, &plan)?;
    work::begin(&plan);
    let mut here = work::options(options.grace)?;
    here.pilot = options.pilot;
    if here.slurm.is_some() {
        here.time_limit = TimeLimit { warning: options.warning, ask: Some(crate::slurm::time_left) };
    }
    if let (Some(ids), most @ 1..) = (&here.slurm, options.max_requeues) {
        here.requeues_left = Some(most.saturating_sub(requeued(&plan, ids)));
    }
    log::info!("plan {}, {} on {}", plan.name(), share.words(), here.host);
    let (warm, factory) = (WarmHost::default(), program.factory.as_ref());
    let setting = Setting { plan: &plan, options: &here, control: &control, observer, factory, warm: &warm };
    let (mut tally, result) = match &share {
        Share::Job(job) => match python::of_scheduler(job) {
            Some(record) => python::schedule(record, &plan, job, &here, &control),
            None => program.schedule(Jobs::in_turn(setting, job.number..job.number + 1)),
        },
        Share::Pilot(claims) => pilot(claims, program, &setting),
    };
    match &share {
        // Also where the worker was told to stop before the job was given out.
        Share::Job(job) => tally.total = job.reps.len(),
        Share::Pilot(claims) => {
            let stopped = control.stopping() || tally.out_of_time() || tally.out_of_room();
            tally.more_left = stopped && claims.any_left();
        }
    }
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

/// What of a plan an element is to do.
enum Share {
    /// One job.
    Job(Job),
    /// Whatever job is next.
    Pilot(Claims),
}

impl Share {
    /// Refuses what is not there, or damaged, before anything is noted or begun.
    fn of(options: &Options, plan: &Plan) -> Result<Self, Failure> {
        let folder = plan.folder.display();
        if options.pilot {
            let mut arrays = plan.manifest.arrays.iter();
            let array = arrays.find(|array| array.offset == options.offset && array.pilots.is_some());
            let array = array.ok_or_else(|| {
                Failure::Usage(format!(
                    "plan `{folder}` has no array of pilots that begins at job {}; was the array submitted with this plan's \
                     script?",
                    options.offset
                ))
            })?;
            if let Some(why) = claims::objection(&plan.folder)? {
                return Err(Failure::Environment(format!(
                    "{why}; `{} retry {folder} --set-slurm pilots=` plans an element for each job that is left",
                    name()
                )));
            }
            return Ok(Share::Pilot(Claims::open(plan, array, own())?));
        }
        let number = options.offset.saturating_add(options.index);
        if number >= plan.jobs() {
            return Err(Failure::Usage(format!(
                "there is no job {number} in plan `{folder}`: it has {} (from 0); was the array submitted with this plan's \
                 script?",
                plan.jobs()
            )));
        }
        Ok(Share::Job(plan.job(number)?))
    }

    fn words(&self) -> String {
        match self {
            Share::Job(job) => format!("job {}: {}", job.number, counted(job.reps.len() as u64, "repetition")),
            Share::Pilot(claims) => format!("a pilot of {}", counted(claims.len(), "job")),
        }
    }
}

/// Who this pilot is.
fn own() -> Pilot {
    let element = work::slurm_ids().as_ref().map(name_of).unwrap_or_default();
    Pilot { host: hostname(), element }
}

/// Whether Slurm says that another pilot's element does not run. It is asked where a file system does not tell whether a lock
/// reaches other machines, and only about jobs that seem to be left.
fn is_over(plan: &Plan, pilot: &Pilot) -> bool {
    let users: Vec<u32> = plans::users(&plan.folder).collect();
    let Ok(queue) = Client.queue(&users) else { return false };
    let name = |element: &Element| match element.index {
        Some(index) => format!("{}_{index}", element.job),
        None => element.job.to_string(),
    };
    !pilot.element.is_empty()
        && !queue.iter().any(|element| element.state == ElementState::Running && name(element) == pilot.element)
}

/// Runs job after job.
fn pilot(claims: &Claims, program: &Program, setting: &Setting<'_>) -> (Tally, anyhow::Result<()>) {
    let is_over = |pilot: &Pilot| is_over(setting.plan, pilot);
    // All jobs of an array are of one kind.
    let first = match setting.plan.job(claims.first()) {
        Ok(job) => job,
        Err(error) => return (Tally::default(), Err(error.into())),
    };
    if python::of_scheduler(&first).is_none() {
        let source = Source::Shared { claims, is_over: &is_over };
        return program.schedule(Jobs::in_turn(setting.clone(), source));
    }
    let mut tally = Tally::default();
    let result = hand_over(claims, &is_over, setting, &mut tally);
    (tally, result)
}

/// Hands job after job to the program whose scheduler runs its repetitions.
fn hand_over(
    claims: &Claims,
    is_over: &dyn Fn(&Pilot) -> bool,
    setting: &Setting<'_>,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    while !setting.control.stopping()
        && let Some(claim) = claims.take(is_over)?
    {
        let job = setting.plan.job(claim.job())?;
        let Some(record) = python::of_scheduler(&job) else { break };
        log::info!("plan {}, job {}: taken", setting.plan.name(), job.number);
        let (mut own, result) = python::schedule(record, setting.plan, &job, setting.options, setting.control);
        own.total = job.reps.len();
        if own.out_of_time() || own.out_of_room() {
            claim.close();
        }
        if result.is_ok() && !own.unfinished() {
            claim.done();
        }
        tally.merge(own);
        result?;
    }
    Ok(())
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
