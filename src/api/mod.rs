//! What a user's Rust program implements and is given: [`Experiment`] and [`IterativeExperiment`], [`Surrender`] and
//! [`Ending`], [`Context`], [`Logger`].
//!
//! It must not decide how or when a repetition runs, nor write its state: that is [`crate::worker`], the same for a
//! `command` and for an experiment written in Rust.

mod context;
mod ending;
mod experiment;
mod logger;
pub mod loggers;
pub(crate) mod logs;

pub(crate) use context::Worker;
pub use context::{Context, Repetition};
pub use ending::{Ending, Surrender};
pub use experiment::{Experiment, Iterative, IterativeExperiment};
pub(crate) use logger::panic_text;
pub use logger::{Logger, LoggerArray, Metrics};
pub use logs::{LogGuard, LogHandle, LogWriter};

use crate::value::{TypeError, Value};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Says what is wrong with a run's parameters.
pub(crate) type CheckParams = Arc<dyn Fn(&Value) -> Result<(), TypeError> + Send + Sync>;

/// What makes the experiment and the loggers of each repetition, so that no state leaks from one to the next.
#[derive(Clone)]
pub(crate) struct Factory {
    pub experiment: Arc<dyn Fn() -> Box<dyn Experiment> + Send + Sync>,
    pub loggers: Vec<Arc<dyn Fn() -> Box<dyn Logger> + Send + Sync>>,
    /// It needs `iterations`.
    pub iterative: bool,
    /// Whether a run's parameters are of the type it takes, where it said which.
    pub check_params: Option<CheckParams>,
    /// Of the thread it runs on, in bytes.
    pub stack_size: usize,
}

impl Factory {
    pub(crate) fn loggers(&self) -> LoggerArray {
        // One that cannot be made is left out; its panic is told in `err.log`.
        self.loggers.iter().filter_map(|make| catch_unwind(AssertUnwindSafe(|| make())).ok()).collect()
    }
}
