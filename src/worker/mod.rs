//! Runs one job: its repetitions in plan order, one after another or in parallel slots, whatever happens to one of them.
//!
//! Owns processes, signals, affinity and the clock. What to do with a repetition is decided in [`crate::run`], what is
//! written goes through [`crate::store`]. It must not read the configuration: the plan decided.

mod attempt;
mod budget;
mod child;
mod control;
mod devices;
mod environment;
mod ghosts;
mod life;
mod tally;

pub use budget::TimeLimit;
pub use control::Control;
pub use devices::{Allowed, allowed_cpus};
pub use ghosts::{adopt_orphans, end_strays};
pub use tally::{End, Tally};

use crate::run::status::SlurmIds;
use crate::store::plan::{Job, Plan, Rep};
use budget::Budget;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What the caller decides, the same for every repetition of a job.
#[derive(Debug, Clone)]
pub struct Options {
    /// Between a polite signal and SIGKILL.
    pub grace: Duration,
    /// The CPUs the job may use.
    pub allowed: Allowed,
    /// At most this many slots; `None` as the plan says.
    pub max_slots: Option<usize>,
    /// When the allocation ends, where it does.
    pub time_limit: TimeLimit,
    /// This machine.
    pub host: String,
    /// Slurm's ids, inside an allocation.
    pub slurm: Option<SlurmIds>,
    /// This program, for `cw2 surrender` inside repetitions.
    pub program: Option<PathBuf>,
}

/// Hears of each repetition as it starts and ends; called from the slots' threads.
pub trait Observer: Sync {
    /// A repetition's process is about to start.
    fn started(&self, _rep: &Rep) {}
    /// A repetition is over, or was left alone.
    fn ended(&self, _rep: &Rep, _end: &End) {}
}

/// While one thread of a slot runs a repetition, the other brings the end of the one before to the disk.
const THREADS_PER_SLOT: usize = 2;

/// Runs a job to its end, or until [`Control`] says stop.
///
/// # Errors
/// Only where nothing could be run at all; what happens to a repetition is in the [`Tally`].
pub fn run_job(
    plan: &Plan,
    job: &Job,
    options: &Options,
    control: &Control,
    observer: &dyn Observer,
) -> anyhow::Result<Tally> {
    let Some(first) = job.reps.first() else { return Ok(Tally::default()) };
    let slots = devices::slots(&first.run.experiment.record, job.reps.len(), options)?;
    let next = AtomicUsize::new(0);
    let budget = Budget::new(&options.time_limit, first.run.experiment.record.rep_time);
    let tally = Mutex::new(Tally::default());
    let work = |slot: &devices::Slot, turn: &Mutex<()>| {
        slot.pin();
        loop {
            let turn = lock(turn);
            if control.stopping() {
                break;
            }
            let Some(rep) = job.reps.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            let life = life::Life { plan, job: job.number, rep, slot, options, control, observer, budget: &budget };
            let end = life.live(turn);
            observer.ended(rep, &end);
            lock(&tally).add(rep, end);
        }
    };
    let turns: Vec<Mutex<()>> = slots.iter().map(|_| Mutex::default()).collect();
    let threads = if job.reps.len() > slots.len() { THREADS_PER_SLOT } else { 1 };
    std::thread::scope(|scope| {
        // Threads of their own even for one slot: the affinity of the caller's thread stays as it was.
        for (slot, turn) in slots.iter().zip(&turns) {
            for _ in 0..threads {
                let name = format!("slot-{}", slot.number);
                std::thread::Builder::new().name(name).spawn_scoped(scope, || work(slot, turn))?;
            }
        }
        std::io::Result::Ok(())
    })?;
    let mut tally = tally.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    tally.total = job.reps.len();
    Ok(tally)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panicking slot leaves the data whole: every change under the lock is one push.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
