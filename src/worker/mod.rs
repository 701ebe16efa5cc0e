//! Runs repetitions: each from its claim to its final state, whatever happens to it; a command or an experiment in Rust.
//!
//! Owns processes, signals, affinity and the clock. What to do with a repetition is decided in [`crate::run`], what is
//! written goes through [`crate::store`]. It must not read the configuration: the plan decided.

mod attempt;
mod budget;
mod by_hand;
mod calls;
mod child;
mod context;
mod control;
mod devices;
mod environment;
mod execution;
mod exhausted;
mod exit_guard;
mod ghosts;
mod gpus;
mod life;
mod limits;
mod native;
mod overseer;
mod python;
mod queue;
mod running_marker;
mod srun;
mod tally;
mod terminal;
mod warm;
mod why_stopped;
mod work;

pub use budget::TimeLimit;
pub(crate) use by_hand::{ByHand, Surroundings};
pub use control::Control;
pub use devices::{Allowed, Sharing, Slot, allowed_cpus};
pub use environment::Tool;
pub use ghosts::{adopt_orphans, end_strays};
pub use gpus::Gpus;
pub use overseer::oversee;
pub(crate) use queue::Queue;
pub use tally::{End, Tally};
pub use warm::WarmHost;
pub use work::{Job, Jobs, Lane, Task};
pub(crate) use work::{Setting, Source};

use crate::run::status::SlurmIds;
use crate::store::plan::Rep;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the caller decides, the same for every repetition of a job.
#[derive(Debug, Clone)]
pub struct Options {
    /// Between a polite signal and SIGKILL.
    pub grace: Duration,
    /// The CPUs the job may use.
    pub allowed: Allowed,
    /// The GPUs the job may use.
    pub gpus: Gpus,
    /// At most this many slots, and fewer where there are not enough GPUs; `None` as the plan says.
    pub max_slots: Option<usize>,
    /// When the allocation ends, where it does.
    pub time_limit: TimeLimit,
    /// How often the job may still requeue itself at its time limit; `None` where it never does.
    pub requeues_left: Option<u32>,
    /// After so many that crashed or timed out no other one is started.
    pub fail_fast: Option<NonZeroUsize>,
    /// It takes job after job of a plan, as others do.
    pub pilot: bool,
    /// What repetitions print goes to this process's standard output and standard error, and they read its input.
    pub terminal: bool,
    /// This machine.
    pub host: String,
    /// Slurm's ids, inside an allocation.
    pub slurm: Option<SlurmIds>,
    /// This program, for `cw2 surrender` inside repetitions.
    pub tool: Option<Arc<Tool>>,
}

/// Hears of each repetition as it starts and ends, from several threads.
pub trait Observer: Send + Sync {
    /// A repetition is about to start.
    fn started(&self, _rep: &Rep) {}
    /// A repetition is over, or was left alone.
    fn ended(&self, _rep: &Rep, _end: &End) {}
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panicking slot leaves the data whole: every change under the lock is one push.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
