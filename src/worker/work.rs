//! What is to be done, for whoever decides its order: jobs, each a bundle of repetitions.
//!
//! A repetition is run by [`Task::execute`], which writes its states and counts how it ended: a scheduler cannot lose one.

use super::budget::Budget;
use super::devices::{self, Sharing, Slot, Turn};
use super::life::Life;
use super::{Allowed, Control, End, Observer, Options, Tally, WarmHost, lock};
use crate::api::Factory;
use crate::store::plan::{self, Plan, Rep};
use crate::value::Value;
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What surrounds the jobs of a plan that are to be run here.
#[derive(Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub plan: &'a Plan,
    pub options: &'a Options,
    pub control: &'a Control,
    pub observer: &'a dyn Observer,
    /// Makes what a repetition without `command` runs.
    pub factory: Option<&'a Factory>,
    /// The warm processes of this worker.
    pub warm: &'a WarmHost,
}

/// The jobs to be run, one after another or several at a time.
///
/// ```
/// use cw2::scheduler::Jobs;
/// fn look(jobs: &Jobs<'_>) -> anyhow::Result<()> {
///     log::info!("{} jobs, {} at a time", jobs.len(), jobs.lanes().len());
///     while let Some(job) = jobs.next()? {
///         for task in job.tasks() {
///             log::info!("job {}: {} rep {} with {}", job.number(), task.run(), task.number(), task.params());
///         }
///     }
///     Ok(())
/// }
/// ```
pub struct Jobs<'a> {
    setting: Setting<'a>,
    numbers: Range<u64>,
    next: AtomicU64,
    lanes: Vec<Lane>,
    tally: Mutex<Tally>,
}

/// What one of the jobs that run at a time may use: a share of this machine's CPUs.
#[derive(Debug)]
pub struct Lane {
    options: Options,
}

impl<'a> Jobs<'a> {
    /// All that is allowed goes to one job at a time.
    pub(crate) fn in_turn(setting: Setting<'a>, numbers: Range<u64>) -> Self {
        let lanes = vec![Lane { options: setting.options.clone() }];
        Jobs { setting, next: AtomicU64::new(numbers.start), numbers, lanes, tally: Mutex::default() }
    }

    /// So many at a time, each with its share of the CPUs, and no more slots than that.
    pub(crate) fn side_by_side(setting: Setting<'a>, numbers: Range<u64>, jobs: usize) -> Self {
        let cpus = &setting.options.allowed.cpus;
        let bound = setting.options.allowed.bound;
        let jobs = jobs.max(1);
        let share = (cpus.len() / jobs).max(1);
        let lane = |lane: usize| {
            let cpus = cpus.iter().copied().cycle().skip(lane * share).take(share).collect();
            let allowed = Allowed { cpus, bound };
            Lane { options: Options { allowed, max_slots: Some(share), ..setting.options.clone() } }
        };
        Jobs { lanes: (0..jobs).map(lane).collect(), ..Jobs::in_turn(setting, numbers) }
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.numbers.end.saturating_sub(self.numbers.start)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next job, read from the plan; `None` when all were given out, or nothing new may start.
    ///
    /// # Errors
    /// Where the plan cannot be read.
    pub fn next(&self) -> anyhow::Result<Option<Job<'_>>> {
        if self.stopping() {
            return Ok(None);
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= self.numbers.end {
            return Ok(None);
        }
        let job = self.setting.plan.job(number)?;
        let ends = Mutex::new(vec![None; job.reps.len()]);
        let rep_time = job.reps.first().and_then(|rep| rep.run.experiment.record.rep_time);
        Ok(Some(Job { jobs: self, bundle: job, budget: Budget::new(&self.setting.options.time_limit, rep_time), ends }))
    }

    /// Whether nothing new may start: the worker was told to stop.
    pub fn stopping(&self) -> bool {
        self.setting.control.stopping()
    }

    /// The shares of this machine, one for each job that may run at a time (`run --jobs`); at least one.
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// How they ended, as far as they were executed; how many there are is for the caller to say.
    pub(crate) fn into_tally(self) -> Tally {
        self.tally.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// One job: a bundle of repetitions; see [`Jobs`].
pub struct Job<'a> {
    jobs: &'a Jobs<'a>,
    bundle: plan::Job,
    budget: Budget<'a>,
    /// How each repetition ended, as far as it was executed.
    ends: Mutex<Vec<Option<End>>>,
}

impl Drop for Job<'_> {
    /// Each repetition is counted once, however often it was executed.
    fn drop(&mut self) {
        let mut tally = lock(&self.jobs.tally);
        for (rep, end) in self.bundle.reps.iter().zip(lock(&self.ends).drain(..)) {
            if let Some(end) = end {
                tally.add(rep, end);
            }
        }
    }
}

impl Job<'_> {
    /// Its number in the plan, from 0.
    pub fn number(&self) -> u64 {
        self.bundle.number
    }

    /// Its repetitions, in the order of the plan.
    pub fn tasks(&self) -> impl ExactSizeIterator<Item = Task<'_>> {
        self.bundle.reps.iter().enumerate().map(|(index, rep)| Task { job: self, index, rep })
    }

    /// One of them.
    pub fn task(&self, index: usize) -> Option<Task<'_>> {
        self.bundle.reps.get(index).map(|rep| Task { job: self, index, rep })
    }

    /// How many repetitions it has.
    pub fn len(&self) -> usize {
        self.bundle.reps.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.bundle.reps.is_empty()
    }

    /// Whether nothing new may start: the worker was told to stop.
    pub fn stopping(&self) -> bool {
        self.jobs.stopping()
    }

    /// Places to run its repetitions in, cut from a share of this machine: as many as `reps_in_parallel` says and the CPUs
    /// allow, never more than it has repetitions.
    ///
    /// # Errors
    /// Where the GPUs do not suffice.
    pub fn slots(&self, lane: &Lane, sharing: Sharing) -> anyhow::Result<Vec<Slot>> {
        match self.bundle.reps.first() {
            Some(rep) => devices::slots(&rep.run.experiment.record, self.bundle.reps.len(), &lane.options, sharing),
            None => Ok(Vec::new()),
        }
    }
}

/// A repetition of a job. Whoever executes it cannot lose its state: that is written by [`Task::execute`] itself.
///
/// ```
/// use cw2::scheduler::{End, Slot, Task};
/// fn run(task: &Task<'_>, slot: &Slot) {
///     match task.execute(slot.turn()) {
///         End::Ran(state, why) => log::info!("{}: {} {why:?}", task.dir().display(), state.word()),
///         other => log::info!("left alone: {other:?}"),
///     }
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Task<'a> {
    job: &'a Job<'a>,
    index: usize,
    rep: &'a Rep,
}

impl Task<'_> {
    /// The experiment's name.
    pub fn experiment(&self) -> &str {
        &self.rep.run.experiment.record.name
    }

    /// The run's name.
    pub fn run(&self) -> &str {
        &self.rep.run.record.run
    }

    /// The parameters of the run.
    pub fn params(&self) -> &Value {
        &self.rep.run.params
    }

    /// The repetition's number, from 0.
    pub fn number(&self) -> u32 {
        self.rep.number
    }

    /// The repetition's directory, absolute.
    pub fn dir(&self) -> &Path {
        &self.rep.dir
    }

    /// Runs it to its end, and writes how it ended; or finds out that it must be left alone: finished, another worker's, no
    /// time left, or the worker was told to stop. The turn is over with the last of its processes, before the state is on the
    /// disk, so that the next one can start meanwhile.
    pub fn execute(&self, turn: Turn<'_>) -> End {
        let Setting { plan, options, control, observer, factory, warm } = self.job.jobs.setting;
        if control.stopping() {
            return End::Stopped;
        }
        let life = Life {
            plan,
            job: self.job.number(),
            rep: self.rep,
            slot: turn.slot,
            options,
            control,
            observer,
            budget: &self.job.budget,
            factory,
            warm,
            index: self.index,
        };
        let end = life.live(turn);
        observer.ended(self.rep, &end);
        if let Some(known) = lock(&self.job.ends).get_mut(self.index) {
            // Executed again, it was found finished: how it ended then is what counts.
            if matches!(end, End::Ran(..)) || !matches!(known, Some(End::Ran(..))) {
                *known = Some(end.clone());
            }
        }
        end
    }
}
