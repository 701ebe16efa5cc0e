//! In which order and how many at a time repetitions run: [`Scheduler`], and the ready ones.
//!
//! It must not write states: [`Task::execute`] does, whichever scheduler calls it.

pub use crate::worker::{End, Job, Jobs, Lane, Sharing, Slot, Task, Turn};

use crate::worker::Queue;
use nix::sys::resource::{Resource, getrlimit};
use std::ops::RangeInclusive;
use std::sync::Mutex;

/// While one thread of a slot runs a repetition, the others bring the ends of those before to the disk. So many a job, as far
/// as it has repetitions for them; they wait most of the time, for two syncs a repetition.
const THREADS_PER_JOB: usize = 128;
/// The fewest and the most of one slot.
const THREADS_PER_SLOT: RangeInclusive<usize> = 4..=32;

/// The most descriptors that a thread has open at a time, and those that all others of the program have.
const FILES_PER_THREAD: u64 = 8;
const FILES_ELSEWHERE: u64 = 32;

/// Enough for what they do; an experiment of a Rust program has a thread of its own.
const STACK: u64 = 1 << 20;
/// The address space that a thread takes, and all else: the C library reserves 64 MiB for what each thread allocates, as
/// long as it gets them, and nothing can be allocated any more where the last are gone.
const SPACE_PER_THREAD: u64 = STACK + (64 << 20);
const SPACE_ELSEWHERE: u64 = 192 << 20;

/// Gets the jobs, and executes their repetitions as it likes.
///
/// A repetition that it leaves out counts as not started, and the program ends as interrupted (exit code 75).
///
/// ```
/// use cw2::scheduler::{Jobs, Scheduler, Sharing};
///
/// /// The last repetition first, one at a time.
/// struct Backwards;
///
/// impl Scheduler for Backwards {
///     fn run(&self, jobs: &Jobs<'_>) -> anyhow::Result<()> {
///         while let Some(job) = jobs.next()? {
///             for slot in job.slots(&jobs.lanes()[0], Sharing::One)? {
///                 for index in (0..job.len()).rev() {
///                     if let Some(task) = job.task(index) {
///                         let end = task.execute(slot.turn());
///                         log::info!("{} rep {}: {end:?}", task.run(), task.number());
///                     }
///                 }
///             }
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Scheduler: Send + Sync {
    /// Runs the jobs; returns when all that it started is over. It is called on a thread of its own; one that does not return
    /// after a second signal ends with the process.
    ///
    /// # Errors
    /// Where it could not go on, which is told as a failure of the environment (exit code 3), as a panic is. What becomes of a
    /// repetition is no error here.
    fn run(&self, jobs: &Jobs<'_>) -> anyhow::Result<()>;

    /// Whether `run` on the command line hands its jobs to Slurm, as `submit` does. [`run`](Scheduler::run) is then only called
    /// within them.
    fn submits(&self) -> bool {
        false
    }
}

/// Hands the jobs to Slurm: on the command line `run` does what `submit` does. Within each job another scheduler runs its
/// repetitions.
///
/// ```
/// # use cw2::{ClusterWork, scheduler};
/// let main = |program: ClusterWork| program.scheduler(scheduler::SlurmSubmission(scheduler::CpuPinned)).main();
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct SlurmSubmission<S = Planned>(pub S);

impl<S: Scheduler> Scheduler for SlurmSubmission<S> {
    fn run(&self, jobs: &Jobs<'_>) -> anyhow::Result<()> {
        self.0.run(jobs)
    }

    fn submits(&self) -> bool {
        true
    }
}

macro_rules! ready {
    ($($(#[$doc:meta])* $name:ident => $sharing:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default)]
        pub struct $name;

        impl Scheduler for $name {
            fn run(&self, jobs: &Jobs<'_>) -> anyhow::Result<()> {
                run_all(jobs, Sharing::$sharing)
            }
        }
    )*};
}

ready! {
    /// As the configuration says, and what is used where no other is chosen: `reps_in_parallel` slots, each bound to CPUs of
    /// its own, with GPUs of its own where `gpus_per_rep` is given.
    ///
    /// ```
    /// # use cw2::{ClusterWork, Context, Experiment, scheduler};
    /// # struct E;
    /// # impl Experiment for E { fn run(&mut self, _: &Context) -> anyhow::Result<()> { Ok(()) } }
    /// let main = |program: ClusterWork| program.scheduler(scheduler::Planned).main();
    /// ```
    Planned => Planned;

    /// One repetition after another, each with all CPUs and GPUs of the job.
    ///
    /// ```
    /// # use cw2::{ClusterWork, scheduler};
    /// let main = |program: ClusterWork| program.scheduler(scheduler::Sequential).main();
    /// ```
    Sequential => One;

    /// `reps_in_parallel` at a time, as far as there are CPUs (`run`), which they all share, as they do the GPUs.
    ///
    /// ```
    /// # use cw2::{ClusterWork, scheduler};
    /// let main = |program: ClusterWork| program.scheduler(scheduler::Parallel).main();
    /// ```
    Parallel => Free;

    /// The same, each bound to CPUs of its own.
    ///
    /// ```
    /// # use cw2::{ClusterWork, scheduler};
    /// let main = |program: ClusterWork| program.scheduler(scheduler::CpuPinned).main();
    /// ```
    CpuPinned => Cpus;

    /// The same, each with GPUs of its own too: `gpus_per_rep`, or an equal share.
    ///
    /// ```
    /// # use cw2::{ClusterWork, scheduler};
    /// let main = |program: ClusterWork| program.scheduler(scheduler::GpuSplitting).main();
    /// ```
    GpuSplitting => CpusAndGpus;
}

/// Runs one job in each lane at a time.
fn run_all(jobs: &Jobs<'_>, sharing: Sharing) -> anyhow::Result<()> {
    let failure = Mutex::new(None);
    let soft = |resource| getrlimit(resource).map_or(u64::MAX, |(soft, _)| soft);
    // Threads count as processes of the user, who has others.
    let processes = usize::try_from(soft(Resource::RLIMIT_NPROC)).unwrap_or(usize::MAX) / 16;
    let most =
        threads_within(soft(Resource::RLIMIT_NOFILE), soft(Resource::RLIMIT_AS), jobs.lanes().len()).min(processes);
    let work = |lane: &Lane| -> anyhow::Result<()> {
        while let Some(job) = jobs.next()? {
            run_job(&job, &job.slots(lane, sharing)?, most)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let work = &work;
        let failure = &failure;
        for lane in jobs.lanes() {
            // Threads of their own even for one lane: the affinity of the caller's thread stays as it was.
            std::thread::Builder::new().name("job".to_owned()).spawn_scoped(scope, move || {
                if let Err(error) = work(lane) {
                    failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
                }
            })?;
        }
        std::io::Result::Ok(())
    })?;
    failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).map_or(Ok(()), Err)
}

/// The most threads each of so many jobs may have where so many files can be open (`ulimit -n`), with so much address
/// space (`ulimit -v`).
/// The limits themselves stay as they are: what the repetitions start inherits them.
fn threads_within(files: u64, space: u64, jobs: usize) -> usize {
    let by_files = files.saturating_sub(FILES_ELSEWHERE) / FILES_PER_THREAD;
    let by_space = space.saturating_sub(SPACE_ELSEWHERE) / SPACE_PER_THREAD;
    usize::try_from(by_files.min(by_space)).unwrap_or(usize::MAX) / jobs.max(1)
}

/// How many threads, of `most` in all, take turns in each of so many slots (at least one).
fn threads_per_slot(repetitions: usize, slots: usize, most: usize) -> usize {
    let wanted = (THREADS_PER_JOB / slots).clamp(*THREADS_PER_SLOT.start(), *THREADS_PER_SLOT.end());
    wanted.min(most / slots).min(repetitions.div_ceil(slots)).max(1)
}

/// Runs a job's repetitions in the order of the [`Queue`], each in the next free slot.
fn run_job(job: &Job<'_>, slots: &[Slot], most: usize) -> anyhow::Result<()> {
    let queue = Queue::of(job);
    let work = |slot: &Slot| {
        loop {
            // Drawn when the slot is free, not before: no other slot waits for this one.
            let turn = slot.turn();
            if job.stopping() {
                break;
            }
            let Some(drawn) = queue.draw() else { break };
            drawn.task.execute(turn);
        }
    };
    if slots.is_empty() {
        return Ok(());
    }
    let mut threads = threads_per_slot(job.len(), slots.len(), most);
    loop {
        // A pool of its own: work of other pools must not be picked up by a thread that is bound to a slot.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(slots.len() * threads)
            .stack_size(usize::try_from(STACK)?)
            .thread_name(move |index| format!("slot-{}", index / threads));
        let done = pool.build_scoped(rayon::ThreadBuilder::run, |pool| {
            pool.broadcast(|place| slots.get(place.index() / threads).map(work));
        });
        match done {
            Ok(()) => return Ok(()),
            // None of them has begun. The ends wait for each other then, which costs time only; what the repetitions
            // start needs the room (`ulimit -u`).
            Err(error) if threads > 1 => {
                log::debug!("job {}: {threads} threads a slot cannot be started: {error}", job.number());
                threads = 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_have_threads_for_what_is_on_its_way_to_the_disk() {
        for (repetitions, slots, expected) in [
            (1, 1, 1),
            (10_000, 1, 32),
            (10_000, 2, 32),
            (10_000, 8, 16),
            (10_000, 64, 4),
            (10, 2, 5),
            (11, 2, 6),
            (2, 8, 1),
        ] {
            assert_eq!(threads_per_slot(repetitions, slots, 1000), expected, "{repetitions} in {slots}");
        }
    }

    #[test]
    fn threads_keep_within_the_limits() {
        const ALL: u64 = u64::MAX;
        for (files, space, jobs, slots, expected) in [
            (ALL, ALL, 1, 1, 32),
            (1024, ALL, 1, 2, 32),
            (1024, ALL, 4, 1, 31),
            (128, ALL, 1, 2, 6),
            (64, ALL, 1, 2, 2),
            (64, ALL, 1, 8, 1),
            (16, ALL, 1, 2, 1),
            (1024, 1 << 30, 1, 2, 6),
            (1024, 1 << 20, 1, 2, 1),
        ] {
            let most = threads_within(files, space, jobs);
            assert_eq!(threads_per_slot(10_000, slots, most), expected, "{files} {space} {jobs} {slots}");
        }
    }
}
