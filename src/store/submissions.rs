//! `submissions.json` in a plan's folder: which array was submitted as which job.
//!
//! With `requeues/` the only part of a plan that changes. One writer: `cw2 submit`, in its [`Turn`]. An entry without a job id
//! is an intention: its token tells whether Slurm got it.

use super::atomic::{self, Durable};
use super::made::MadeFolders;
use super::{Result, StoreError, files};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The version of the format this program writes. It reads all from 1 to this one.
pub const FORMAT: u32 = 1;

pub(super) const FILE: &str = "submissions.json";
/// In the folder of plans.
const LOCK: &str = "submit.lock";

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "it is the key in the file")]
pub struct Submissions {
    /// See [`FORMAT`].
    pub format: u32,
    /// In the order they were made.
    pub submissions: Vec<Submission>,
    /// The job that calls `on_finish`; its array is none of the plan's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<Submission>,
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
        Submissions { format: FORMAT, submissions: Vec::new(), finish: None }
    }
}

/// Reads a plan's submissions; none where nothing was submitted by cw2.
pub fn read(plan: &Path) -> Result<Submissions> {
    let path = plan.join(FILE);
    let Some(bytes) = files::read_if_there(&path, files::cap::RECORD)? else { return Ok(Submissions::default()) };
    let found: Submissions =
        serde_json::from_slice(&bytes).map_err(|error| StoreError::corrupt(&path, error.to_string()))?;
    if found.format > FORMAT {
        return Err(StoreError::corrupt(&path, format!("it has format {}, written by a newer cw2", found.format)));
    }
    Ok(found)
}

/// The right to submit plans of a folder. One process at a time has it, from its look at what the folder's plans have under
/// way until its own jobs can be seen: repetitions may lie in several of them. Dropped, or with its process, it ends.
#[derive(Debug)]
pub struct Turn {
    /// The folder of plans, without symbolic links.
    pub plans: PathBuf,
    lock: File,
    // After the lock's file, which `drop` removes where the folder got no plan.
    _made: MadeFolders,
}

impl Turn {
    /// Waits for it. The folder is created where it is missing; `waiting` is called where another process has its turn.
    pub fn take(plans: &Path, mut waiting: impl FnMut()) -> Result<Self> {
        let mut tries = 0;
        loop {
            tries += 1;
            let made = MadeFolders::make(plans)?;
            let path = plans.join(LOCK);
            let lock = match files::lockable(&path) {
                Ok(lock) => lock,
                // Another process made the folder, and took it away again.
                Err(error) if error.kind() == ErrorKind::NotFound && tries < TRIES => continue,
                Err(error) => return Err(StoreError::new("open", &path, error)),
            };
            match lock.try_lock() {
                Err(TryLockError::WouldBlock) => {
                    waiting();
                    lock.lock().map_err(|source| StoreError::new("lock", &path, source))?;
                }
                // A file system without locks: what is written is whole all the same.
                Ok(()) | Err(TryLockError::Error(_)) => {}
            }
            // Whoever had it before may have removed the file: then the lock keeps nobody out. Not for ever, as there are file
            // systems where a file's number changes.
            if tries == TRIES || files::is_at(&lock, &path) {
                return Ok(Turn { plans: super::canonical(plans)?, lock, _made: made });
            }
        }
    }
}

impl Turn {
    /// The file whose lock it is: it ends with the last process that has it open.
    pub fn lock(&self) -> &File {
        &self.lock
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Nothing came of it, and nothing was there before.
        let others = fs::read_dir(&self.plans)
            .map(|mut entries| entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != LOCK)));
        if matches!(others, Ok(false)) {
            let _ = fs::remove_file(self.plans.join(LOCK));
        }
    }
}

const TRIES: u32 = 100;

/// A plan's submissions, to be changed by this process alone.
#[derive(Debug)]
pub struct Ledger<'a> {
    path: PathBuf,
    /// What is in it.
    pub content: Submissions,
    /// What makes this process the only one.
    pub turn: &'a Turn,
}

impl<'a> Ledger<'a> {
    /// The submissions of a plan of the folder.
    pub fn open(plan: &Path, turn: &'a Turn) -> Result<Self> {
        Ok(Ledger { path: plan.join(FILE), content: read(plan)?, turn })
    }

    /// Writes the content to the disk.
    pub fn save(&self) -> Result<()> {
        let mut bytes = serde_json::to_vec_pretty(&self.content)
            .map_err(|error| StoreError::new("write", &self.path, std::io::Error::other(error)))?;
        bytes.push(b'\n');
        atomic::replace(&self.path, &bytes, Durable::Yes)
    }
}
