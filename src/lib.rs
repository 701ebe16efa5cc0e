//! Experiments on Slurm, written in Rust: one YAML file describes a sweep of hyper-parameters with repetitions; a program that
//! holds the experiment plans it, submits it, runs it, and tells how it goes.
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
//!
//! ```yaml
//! name: descent
//! path: results
//! repetitions: 5
//! iterations: 100
//! grid: {lr: [0.01, 0.1, 0.5]}
//! ```
//!
//! That is the whole program, with the commands of `cw2`: `descent run sweep.yml` runs the sweep on this machine, `descent
//! submit sweep.yml` on the cluster, `descent status` says how it goes. Each of the 15 repetitions has a directory of its own
//! with its configuration, logs, metrics and state.
//!
//! # The experiment
//!
//! Implement [`Experiment`] (or [`IterativeExperiment`], as above) and hand a closure that makes one to [`ClusterWork`]. A
//! [`Context`] says who the repetition is: [`params`](Repetition::params), [`seed`](Repetition::seed),
//! [`dir`](Repetition::dir), its share of [CPUs](Repetition::cpus) and [GPUs](Repetition::gpus). Metrics go to
//! [`Context::log`], and from there to the [`loggers`]; records of the `log` facade go to the repetition's own files
//! (through a [`LogWriter`] where the program sets up its logging itself).
//!
//! # Errors and early ends
//!
//! An error or a panic is a crash of that repetition; the others go on. It is tried again as often as `retries` says, told by
//! `status --failed`, and planned anew by `retry`. Return a [`Surrender`] to end early on purpose: that counts as done.
//! [`Experiment::finalize`] is told the [`Ending`].
//!
//! # Resuming
//!
//! Before a time limit, and when a job is cancelled, the experiment is asked to stop. Ask [`Context::stopping`] in long loops;
//! [`save`](Context::save) what you need, and [`restore`](Context::restore) it in the next attempt.
//!
//! # Schedulers
//!
//! A job is a bundle of repetitions (`reps_per_job`), each in a slot with its share of the job's CPUs and GPUs. In which order
//! and how many at a time is a [`scheduler`](ClusterWork::scheduler)'s matter; choose one of [`scheduler`], or write one.
//!
//! # Results
//!
//! [`Results`] reads them back one by one, [`load`](load()) all at once: parameters, [`State`], [`Status`], metrics.
//!
//! # Tests
//!
//! [`testing::Trial`] runs an experiment in a unit test, with given parameters and without a configuration file.
//!
//! # The book
//!
//! What a configuration may hold, what happens on a cluster, how results are read and what every command does is in the book, which comes
//! with the sources: `docs/introduction.md`, or `mdbook serve docs`. `slurm-examples/rust-iterative` and
//! `slurm-examples/rust-scheduler` are whole programs to copy. An experiment that is a command in any language needs no
//! program of its own: that is what the binary `cw2` is for.

// Without the commands much of what serves them serves nobody.
#![cfg_attr(not(feature = "cli"), allow(dead_code, unused_imports))]

#[cfg(not(target_os = "linux"))]
compile_error!("cw2 runs on Linux only: what ends a repetition with all it started is in `/proc`");

mod api;
#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "cli")]
mod cluster_work;
mod config;
mod experiment;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod fuzzed;
mod jinja;
#[cfg(feature = "cli")]
mod ops;
mod paths;
mod plan;
mod printable;
#[cfg(feature = "cli")]
mod report;
mod results;
mod run;
pub mod scheduler;
mod slurm;
mod store;
pub mod testing;
pub mod value;
mod worker;

pub use api::loggers;
pub use api::{
    Context, Ending, Experiment, Iterative, IterativeExperiment, LogGuard, LogHandle, LogWriter, Logger, LoggerArray,
    Metrics, Repetition, Surrender,
};
#[cfg(feature = "cli")]
pub use cluster_work::ClusterWork;
pub use results::{Loaded, Results, load};
pub use run::status::{Failure, State, Status};
pub use value::Value;

/// What a [`Status`] consists of.
pub mod status {
    pub use crate::run::status::{Attempt, Exit, SlurmIds, StoppedBy};
}

/// For the binary `cw2` and its own tests; no part of what the library promises.
#[doc(hidden)]
pub mod internals {
    #[cfg(feature = "cli")]
    pub use crate::cli::main;
    pub use crate::config::reference_markdown;
    pub use crate::run::status::{Found, parse as parse_status};
    pub use crate::worker::allowed_cpus;
}
