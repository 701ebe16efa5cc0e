//! `submissions.json` in a plan's folder: which array was submitted as which job.
//!
//! With `requeues/` the only part of a plan that changes. One writer: `cw2 submit`, under the file's lock. An entry without a job id is an
//! intention: its token tells whether Slurm got it.

use super::atomic::{self, Durable};
use super::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// The version of the format this program writes. It reads all from 1 to this one.
pub const FORMAT: u32 = 1;

pub(super) const FILE: &str = "submissions.json";
const LOCK: &str = "submissions.lock";

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submissions {
    /// See [`FORMAT`].
    pub format: u32,
    /// In the order they were made.
    pub submissions: Vec<Submission>,
}

/// One call of `sbatch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// The array's number in the plan's manifest.
    pub array: usize,
    /// What the job's comment says, unique for this call.
    pub token: String,
    /// The job, once Slurm answered.
    pub job: Option<u64>,
    /// When, RFC 3339.
    pub submitted: String,
    /// The array was submitted again on purpose: this call no longer counts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub superseded: bool,
}

impl Submission {
    /// The job, where this call counts and Slurm answered.
    pub fn current(&self) -> Option<u64> {
        self.job.filter(|_| !self.superseded)
    }
}

impl Default for Submissions {
    fn default() -> Self {
        Submissions { format: FORMAT, submissions: Vec::new() }
    }
}

/// Reads a plan's submissions; none where nothing was submitted by cw2.
pub fn read(plan: &Path) -> Result<Submissions> {
    let path = plan.join(FILE);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Submissions::default()),
        Err(error) => return Err(Error::new("read", &path, error)),
    };
    let found: Submissions =
        serde_json::from_slice(&bytes).map_err(|error| Error::corrupt(&path, error.to_string()))?;
    if found.format > FORMAT {
        return Err(Error::corrupt(&path, format!("it has format {}, written by a newer cw2", found.format)));
    }
    Ok(found)
}

/// A plan's submissions, to be changed by this process alone.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    /// What is in it.
    pub content: Submissions,
    _lock: File,
}

/// Takes the submissions of a plan; `None` where another process has them.
pub fn take(plan: &Path) -> Result<Option<Ledger>> {
    let path = plan.join(LOCK);
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let lock = lock.map_err(|source| Error::new("open", &path, source))?;
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(None),
        // A file system without locks: what is written is whole all the same.
        Ok(()) | Err(TryLockError::Error(_)) => {}
    }
    Ok(Some(Ledger { path: plan.join(FILE), content: read(plan)?, _lock: lock }))
}

impl Ledger {
    /// Writes the content to the disk.
    pub fn save(&self) -> Result<()> {
        let mut bytes = serde_json::to_vec_pretty(&self.content)
            .map_err(|error| Error::new("write", &self.path, std::io::Error::other(error)))?;
        bytes.push(b'\n');
        atomic::replace(&self.path, &bytes, Durable::Yes)
    }
}
