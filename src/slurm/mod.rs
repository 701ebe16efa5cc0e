//! The cluster: `sbatch`, `squeue`, `scontrol`, `scancel`, behind one trait.
//!
//! Owns how Slurm is asked and what its answers mean. It must not decide what is submitted or cancelled, and never asks in a
//! loop: sites count every call. Facts are from Slurm's own documentation and a real 22.05.

mod accounting;
mod client;
mod element;
mod facts;
mod step;

pub use accounting::{Accounted, accounted};
pub use client::{Client, time_left, with_retries, without_job};
pub use element::{Element, ElementState, TOKEN, element_names};
pub use facts::{Facts, Limit, Nodes, Partition, accounting_answers, facts, limits};
pub use step::{Step, signal_steps, steps};

use std::fmt;
use std::fs::File;
use std::path::Path;

/// What cw2 asks of a cluster.
pub trait Cluster {
    /// Submits a script; returns the job's id. `token` marks the submission, so that it is found again in the queue.
    /// `turn` is a lock's open file, which sbatch holds too: where this process is killed, the lock is free when nothing can be
    /// submitted any more.
    fn submit(&self, script: &Path, token: &str, options: &SubmitOptions, turn: &File) -> Result<u64, SlurmError>;
    /// Asks whether and when a script could start; submits nothing. Returns Slurm's answer.
    fn test(&self, script: &Path, options: &SubmitOptions) -> Result<String, SlurmError>;
    /// The elements of this user and of `users` (numbers) that Slurm still knows (asked once; see [`with_retries`]): queued,
    /// running, and those that ended in the last minutes.
    fn queue(&self, users: &[u32]) -> Result<Vec<Element>, SlurmError>;
    /// Cancels jobs or elements (`123`, `123_4`, `123_[4-6]`).
    fn cancel(&self, jobs: &[String]) -> Result<(), SlurmError>;
    /// Puts a running element back into the queue.
    fn requeue(&self, job: &str) -> Result<(), SlurmError>;
}

/// What `cw2 submit` adds to a script's own options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubmitOptions {
    /// `--hold`.
    pub hold: bool,
    /// The user's own `--comment`, which the token is appended to.
    pub comment: Option<String>,
    /// `--dependency=…`.
    pub dependency: Option<String>,
    /// `--array=…`.
    pub array: Option<String>,
    /// Options of the user's own, as sbatch takes them.
    pub more: Vec<String>,
}

/// Why the cluster did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlurmError {
    /// The program is not on this machine.
    Missing(&'static str),
    /// The program is there, and knows of no cluster.
    NoCluster(&'static str),
    /// It answers, and keeps from this user what others have in the queue: that something is not there means nothing.
    Hidden,
    /// It was refused, or failed for good: what the program said.
    Refused {
        /// The program.
        program: &'static str,
        /// Its standard error.
        message: String,
    },
    /// It failed as it does under load or while the controller is away: trying again may help.
    Busy {
        /// The program.
        program: &'static str,
        /// Its standard error.
        message: String,
    },
}

impl fmt::Display for SlurmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SlurmError::Missing(program) => {
                write!(
                    f,
                    "`{program}` is not on this machine; run this on a login node of the cluster, or load its Slurm module"
                )
            }
            SlurmError::NoCluster(program) => {
                write!(f, "`{program}` knows of no cluster on this machine; run this on a login node of the cluster")
            }
            SlurmError::Hidden => f.write_str(
                "it shows users only their own jobs here (`PrivateData`), and of these plans some are another user's",
            ),
            SlurmError::Refused { program, message } => write!(f, "{program}: {message}"),
            SlurmError::Busy { program, message } => write!(f, "{program}: {message}; this may pass: try again later"),
        }
    }
}

impl std::error::Error for SlurmError {}
