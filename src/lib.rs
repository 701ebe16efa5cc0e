//! cw2 runs experiments on Slurm: one YAML file describes a sweep with repetitions, `cw2 plan` freezes it into a plan and
//! sbatch scripts, `cw2 worker` runs one array element's bundle of repetitions, and everything else is read from files.
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | experiment | a named YAML document: parameters, combinations, repetitions |
//! | run | one combination of parameters of an experiment |
//! | repetition | one execution of a run; the unit that succeeds or fails; identified for ever by its directory |
//! | job | a bundle of repetitions that one array element executes |
//! | slot | one of a job's places, with a share of its CPUs and GPUs of its own |
//! | plan | everything decided at plan time, immutable on disk; the worker never reads the YAML |
//! | array | one Slurm job array, one sbatch script; a plan has one or more |
//! | attempt | one start of a repetition: the first, a retry, or a resumption |
//! | standing | how a repetition stands: its state file and what Slurm says, put together |
//!
//! # The flow
//!
//! YAML text → documents → resolved experiments ([`config`]) → runs ([`experiment`]) → repetitions → jobs → plan on disk and
//! sbatch scripts ([`plan`], [`store`]) → (Slurm, [`slurm`]) → worker → repetition processes ([`worker`]) → state and logs on
//! disk ([`store`]) → status, logs, advice ([`report`]), retry.
//!
//! # Layers
//!
//! Each may use those above it. P is pure: values in, values out. E has effects.
//!
//! | module | | owns |
//! |---|---|---|
//! | [`value`] | P | the value tree and its text forms |
//! | [`config`] | P | the configuration language, its key table and its errors |
//! | [`experiment`] | P | sweep expansion, names, seeds |
//! | [`slurm`] | E | Slurm's commands and their answers |
//! | [`run`] | P | a repetition's life as values: its state, what to do with it, its command's text, its share of a job |
//! | [`plan`] | P | bundles, arrays, the layout on disk, the records of a plan, sbatch scripts |
//! | [`store`] | E | every read and write of cw2's own files |
//! | [`report`] | P | what a person reads of all that |
//! | `api` | E | what a Rust program implements and is given: [`Experiment`], [`Context`], [`Logger`] … |
//! | [`worker`] | E | processes, signals, affinity, time; the states of a repetition, whether a command or an [`Experiment`] |
//! | [`scheduler`] | E | in which order and how many at a time repetitions run |
//! | [`Results`] | E | results, read back |
//! | [`cli`] | E | the command line |
//! | [`ClusterWork`] | E | a program of one's own: the command line, an experiment, loggers, a scheduler |
//!
//! # An experiment written in Rust
//!
//! Implement [`Experiment`], or [`IterativeExperiment`], and hand it to [`ClusterWork`]: that is the whole program, with the
//! commands of `cw2`. Return [`Surrender`] to end early on purpose; hand metrics to [`Context::log`]; ask
//! [`Context::stopping`] in long loops, so that the repetition is resumed where it was. Choose [`loggers`] and a
//! [`scheduler`]. Read results with [`load`](load()). `slurm-examples/rust-iterative` and `slurm-examples/rust-scheduler` show
//! all of it.
//!
//! ```no_run
//! use cw2::{ClusterWork, Context, IterativeExperiment, Metrics, loggers};
//! use std::process::ExitCode;
//!
//! #[derive(Default)]
//! struct Descent {
//!     x: f64,
//! }
//!
//! #[derive(serde::Deserialize)]
//! struct Params {
//!     lr: f64,
//! }
//!
//! impl IterativeExperiment for Descent {
//!     fn iterate(&mut self, cx: &Context, n: u64) -> anyhow::Result<Metrics> {
//!         let Params { lr } = cx.params()?;
//!         self.x -= lr * 2.0 * (self.x - 3.0);
//!         log::info!("iteration {n}: x = {}", self.x);
//!         Ok(Metrics::new().with("loss", (self.x - 3.0).powi(2)))
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     ClusterWork::iterative(Descent::default).logger(loggers::Csv::new).main()
//! }
//! ```

mod api;
pub mod cli;
mod cluster_work;
pub mod config;
pub mod experiment;
pub mod plan;
pub mod report;
mod results;
pub mod run;
pub mod scheduler;
pub mod slurm;
pub mod store;
pub mod value;
pub mod worker;

pub use api::loggers;
pub use api::{
    Context, Ending, Experiment, Iterative, IterativeExperiment, LogGuard, LogHandle, Logger, LoggerArray, Metrics,
    Repetition, Surrender,
};
pub use cluster_work::ClusterWork;
pub use results::{Loaded, Results, load};
pub use run::status::{Failure, State, Status};
pub use value::Value;
