//! What is to be done, for whoever decides its order: jobs, each a bundle of repetitions.
//!
//! A repetition is run by [`Task::execute`], which writes its states and counts how it ended: a scheduler cannot lose one.

use super::budget::Budget;
use super::context::Life;
use super::devices::{self, Sharing, Slot};
use super::life;
use super::{Allowed, Control, End, Observer, Options, Tally, WarmHost, lock};
use crate::api::Factory;
use crate::run::decide;
use crate::run::status::{Found, State};
use crate::store::claims::{Claim, Claims, Pilot};
use crate::store::committer::Committer;
use crate::store::plan::{self, Plan, Rep};
use crate::store::rep;
use crate::value::Value;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What surrounds the jobs of a plan that are to be run here.
#[derive(Clone)]
pub(crate) struct Setting<'a> {
    pub plan: &'a Plan,
    pub options: &'a Options,
    pub control: &'a Control,
    pub observer: Arc<dyn Observer>,
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
    source: Source<'a>,
    budget: Budget,
    lanes: Vec<Lane>,
    committer: Committer,
    tally: Arc<Mutex<Tally>>,
    /// How many [`Task::execute`] are under way.
    executing: AtomicUsize,
    /// How many repetitions crashed or timed out.
    failures: AtomicUsize,
}

/// Where the jobs come from.
pub(crate) enum Source<'a> {
    /// This worker has them all.
    Own {
        /// The next one.
        next: AtomicU64,
        /// Their numbers.
        all: Range<u64>,
    },
    /// It is a pilot: it takes one after another of those that others take from too.
    Shared {
        /// What they take from.
        claims: &'a Claims,
        /// Whether another pilot ended; see [`Claims::take`].
        is_over: &'a (dyn Fn(&Pilot) -> bool + Sync),
    },
}

impl From<Range<u64>> for Source<'_> {
    fn from(all: Range<u64>) -> Self {
        Source::Own { next: AtomicU64::new(all.start), all }
    }
}

impl Source<'_> {
    /// The number of the next job, with what makes it this worker's alone.
    fn next(&self) -> crate::store::Result<Option<(u64, Option<Claim>)>> {
        match self {
            Source::Own { next, all } => {
                let number = next.fetch_add(1, Ordering::Relaxed);
                Ok((number < all.end).then_some((number, None)))
            }
            Source::Shared { claims, is_over } => Ok(claims.take(is_over)?.map(|claim| (claim.job(), Some(claim)))),
        }
    }

    fn len(&self) -> u64 {
        match self {
            Source::Own { all, .. } => all.end.saturating_sub(all.start),
            Source::Shared { claims, .. } => claims.len(),
        }
    }
}

/// What one of the jobs that run at a time may use: a share of this machine's CPUs and GPUs.
#[derive(Debug)]
pub struct Lane {
    options: Options,
}

impl<'a> Jobs<'a> {
    /// All that is allowed goes to one job at a time.
    pub(crate) fn in_turn(setting: Setting<'a>, source: impl Into<Source<'a>>) -> Self {
        let lanes = vec![Lane { options: setting.options.clone() }];
        let (source, budget) = (source.into(), Budget::new(setting.options.time_limit.clone()));
        let (committer, tally) = (Committer::default(), Arc::default());
        let (executing, failures) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Jobs { setting, source, budget, lanes, committer, tally, executing, failures }
    }

    /// So many at a time, each with its share of the CPUs and GPUs, and no more slots than that.
    pub(crate) fn side_by_side(setting: Setting<'a>, source: impl Into<Source<'a>>, jobs: usize) -> Self {
        let cpus = &setting.options.allowed.cpus;
        let bound = setting.options.allowed.bound;
        let jobs = jobs.max(1);
        let share = (cpus.len() / jobs).max(1);
        let lane = |lane: usize| {
            let cpus = cpus.iter().copied().cycle().skip(lane * share).take(share).collect();
            let allowed = Allowed { cpus, bound };
            let gpus = setting.options.gpus.of_lane(lane, jobs);
            Lane { options: Options { allowed, gpus, max_slots: Some(share), ..setting.options.clone() } }
        };
        Jobs { lanes: (0..jobs).map(lane).collect(), ..Jobs::in_turn(setting, source) }
    }

    /// How many there are; of those that pilots share, whoever gets them.
    pub fn len(&self) -> u64 {
        self.source.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next job, read from the plan; `None` when all were given out, or nothing new may start.
    ///
    /// # Errors
    /// Where the plan cannot be read, or a pilot cannot note what it takes.
    pub fn next(&self) -> anyhow::Result<Option<Job<'_>>> {
        if self.stopping() {
            return Ok(None);
        }
        let Some((number, claim)) = self.source.next()? else { return Ok(None) };
        let job = self.setting.plan.job(number)?;
        if claim.is_some() {
            log::info!("plan {}, job {number}: taken", self.setting.plan.name());
        }
        let ends = Mutex::new(vec![Known::default(); job.reps.len()]);
        let observer = Arc::clone(&self.setting.observer);
        let bundle = Arc::new(Bundle { job, claim, ends, observer, tally: Arc::clone(&self.tally) });
        Ok(Some(Job { jobs: self, bundle }))
    }

    /// Whether nothing new may start: the worker was told to stop, or too many repetitions failed.
    pub fn stopping(&self) -> bool {
        self.setting.control.stopping() || self.failed_enough()
    }

    /// Whether so many failed that no other one is to be started (`run --fail-fast`).
    fn failed_enough(&self) -> bool {
        self.setting.options.fail_fast.is_some_and(|most| self.failures.load(Ordering::SeqCst) >= most.get())
    }

    /// The shares of this machine, one for each job that may run at a time (`run --jobs`); at least one.
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// Waits until `over` holds; false where it gives up: killed by a second signal, nothing was executed any more for as long
    /// as the grace lasts, and it still did not. Whoever makes it hold calls [`Jobs::wake`].
    pub(crate) fn wait(&self, over: impl Fn() -> bool) -> bool {
        let Setting { control, options, .. } = self.setting;
        let mut idle: Option<Instant> = None;
        loop {
            let events = control.events();
            if over() {
                return true;
            }
            let busy = self.executing.load(Ordering::SeqCst) > 0;
            idle = if busy || !control.killing() { None } else { idle.or(Some(Instant::now())) };
            if idle.is_some_and(|since| since.elapsed() >= options.grace) {
                self.committer.finish();
                return false;
            }
            // The end of an execution wakes nobody.
            let look = control.killing().then(|| Instant::now() + Duration::from_millis(100));
            control.wait(events, look);
        }
    }

    /// Lets [`Jobs::wait`] look again.
    pub(crate) fn wake(&self) {
        self.setting.control.wake();
    }

    /// How they ended, as far as they were executed, when all that is on the disk; how many there are is for the caller to say.
    pub(crate) fn into_tally(self) -> Tally {
        drop(self.committer);
        std::mem::take(&mut lock(&self.tally))
    }
}

/// One job: a bundle of repetitions; see [`Jobs`].
pub struct Job<'a> {
    jobs: &'a Jobs<'a>,
    bundle: Arc<Bundle>,
}

/// What outlives a job until its last repetition is on the disk.
struct Bundle {
    job: plan::Job,
    /// What makes it this pilot's alone.
    claim: Option<Claim>,
    ends: Mutex<Vec<Known>>,
    observer: Arc<dyn Observer>,
    tally: Arc<Mutex<Tally>>,
}

/// What is known of a repetition.
#[derive(Debug, Clone, Default)]
struct Known {
    /// It was executed, and may still be on its way to the disk.
    executed: bool,
    /// How it ended.
    end: Option<End>,
}

impl Bundle {
    /// Notes how a repetition ended.
    fn note(&self, index: usize, end: End) {
        if let Some(rep) = self.job.reps.get(index) {
            self.observer.ended(rep, &end);
        }
        if let (Some(claim), End::NoTime | End::NoRoom(_)) = (&self.claim, &end) {
            // It would go through all that is left, and start none of it.
            claim.close();
        }
        if let Some(known) = lock(&self.ends).get_mut(index) {
            // Executed again, it was found finished: how it ended then is what counts.
            if matches!(end, End::Ran(..)) || !matches!(known.end, Some(End::Ran(..))) {
                known.end = Some(end);
            }
        }
    }
}

impl Drop for Bundle {
    /// Each repetition is counted once, however often it was executed.
    fn drop(&mut self) {
        let mut tally = lock(&self.tally);
        tally.total += self.job.reps.len();
        let mut all_over = true;
        for (rep, known) in self.job.reps.iter().zip(lock(&self.ends).drain(..)) {
            all_over &= known.end.as_ref().is_some_and(End::is_over);
            if let Some(end) = known.end {
                tally.add(rep, end);
            }
        }
        drop(tally);
        if let (Some(claim), true) = (self.claim.take(), all_over) {
            claim.done();
        }
    }
}

impl Job<'_> {
    /// Its number in the plan, from 0.
    pub fn number(&self) -> u64 {
        self.bundle.job.number
    }

    /// Its repetitions, in the order of the plan.
    pub fn tasks(&self) -> impl ExactSizeIterator<Item = Task<'_>> {
        self.bundle.job.reps.iter().enumerate().map(|(index, rep)| Task { job: self, index, rep })
    }

    /// One of them.
    pub fn task(&self, index: usize) -> Option<Task<'_>> {
        self.bundle.job.reps.get(index).map(|rep| Task { job: self, index, rep })
    }

    /// How many repetitions it has.
    pub fn len(&self) -> usize {
        self.bundle.job.reps.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.bundle.job.reps.is_empty()
    }

    /// Whether nothing new may start: the worker was told to stop, or too many repetitions failed.
    pub fn stopping(&self) -> bool {
        self.jobs.stopping()
    }

    /// Places to run its repetitions in, cut from a share of this machine: as many as `reps_in_parallel` says and the CPUs
    /// allow, never more than it has repetitions.
    ///
    /// # Errors
    /// Where the GPUs do not suffice.
    pub fn slots(&self, lane: &Lane, sharing: Sharing) -> anyhow::Result<Vec<Slot>> {
        match self.bundle.job.reps.first() {
            Some(rep) => devices::slots(&rep.run.experiment.record, self.bundle.job.reps.len(), &lane.options, sharing),
            None => Ok(Vec::new()),
        }
    }
}

/// A repetition of a job. Whoever executes it cannot lose its state: that is written by [`Task::execute`] itself.
///
/// ```
/// use cw2::scheduler::{End, Slot, Task};
/// fn run(task: &Task<'_>, slot: &Slot) {
///     match task.execute(slot) {
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

    /// How many workers died in a row while they ran it, where the last one that began it did; see [`super::queue`].
    pub(super) fn worker_deaths(&self) -> Option<u32> {
        match rep::status(&self.rep.dir) {
            Found::Status(status) if status.state == State::Running => {
                Some(decide::deaths(&status, self.job.jobs.setting.plan.name()))
            }
            Found::Nothing if rep::has_begun(&self.rep.dir) => Some(1),
            _ => None,
        }
    }

    /// Waits until the ends of all others are on the disk: if this one kills the worker, they are not run again.
    pub(super) fn wait_for_others(&self) {
        self.job.jobs.committer.finish();
    }

    /// Ends what a dead worker left of it.
    pub(super) fn end_ghosts(&self) {
        life::end_ghosts_of(&self.rep.dir, self.job.jobs.setting.options);
    }

    /// How many of them there may be.
    pub(super) fn worker_deaths_allowed(&self) -> u32 {
        decide::deaths_allowed(self.rep.run.experiment.record.retries)
    }

    /// Runs it to its end in a slot, when that is free, and writes how it ended; or finds out that it must be left alone:
    /// finished, another worker's, no time left, or the worker was told to stop. The last state is written when this returns; it
    /// is synced and takes its place while the slot is free for the next one, and before the program ends. Where that fails, the
    /// repetition counts as crashed, whatever was said here.
    pub fn execute(&self, slot: &Slot) -> End {
        let _occupied = slot.occupy();
        let Job { jobs, bundle } = self.job;
        let Setting { plan, options, control, ref observer, factory, warm } = jobs.setting;
        if jobs.stopping() {
            return End::Stopped;
        }
        let again =
            lock(&bundle.ends).get_mut(self.index).is_some_and(|known| std::mem::replace(&mut known.executed, true));
        if again {
            jobs.committer.finish();
        }
        let life = Life {
            plan,
            job: self.job.number(),
            rep: self.rep,
            slot,
            options,
            control,
            observer: &**observer,
            budget: &jobs.budget,
            factory,
            warm,
            index: self.index,
        };
        jobs.executing.fetch_add(1, Ordering::SeqCst);
        let (end, last) = life.live();
        jobs.executing.fetch_sub(1, Ordering::SeqCst);
        if matches!(end, End::Ran(State::Crashed | State::TimedOut, _)) {
            jobs.failures.fetch_add(1, Ordering::SeqCst);
        }
        match last {
            None => bundle.note(self.index, end.clone()),
            Some(last) => {
                let (bundle, index) = (Arc::clone(bundle), self.index);
                last.commit(&jobs.committer, end.clone(), move |end| bundle.note(index, end));
            }
        }
        end
    }
}
