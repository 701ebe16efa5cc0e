//! In which order and how many at a time repetitions run: [`Scheduler`], and the ready ones.
//!
//! It must not write states: [`Task::execute`] does, whichever scheduler calls it.

pub use crate::worker::{End, Job, Jobs, Lane, Sharing, Slot, Task};

use crate::worker::Queue;
use std::sync::Mutex;

/// Enough for what a slot's thread does; an experiment of a Rust program has a thread of its own.
const STACK: usize = 1 << 20;

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
///                         let end = task.execute(&slot);
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
    let work = |lane: &Lane| -> anyhow::Result<()> {
        while let Some(job) = jobs.next()? {
            run_job(&job, &job.slots(lane, sharing)?)?;
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

/// Runs a job's repetitions in the order of the [`Queue`], each in the next free slot.
fn run_job(job: &Job<'_>, slots: &[Slot]) -> anyhow::Result<()> {
    if slots.is_empty() {
        return Ok(());
    }
    let queue = Queue::of(job);
    let work = |slot: &Slot| {
        // One is drawn when the slot is free, not before: no other slot waits for this one.
        while !job.stopping() {
            let Some(drawn) = queue.draw() else { break };
            drawn.task.execute(slot);
        }
    };
    // A pool of its own: work of other pools must not be picked up by a thread that is bound to a slot.
    rayon::ThreadPoolBuilder::new()
        .num_threads(slots.len())
        .stack_size(STACK)
        .thread_name(|index| format!("slot-{index}"))
        .build_scoped(rayon::ThreadBuilder::run, |pool| {
            pool.broadcast(|place| slots.get(place.index()).map(work));
        })
        // Its own text comes twice in the chain.
        .map_err(|error| anyhow::anyhow!("cannot start a thread for each slot: {error}"))
}
