//! A repetition's directory: who owns it, its status, its logs.
//!
//! Two locks, both advisory (`flock`) and both released by the kernel when their holder dies:
//! - the *owner* holds `err.log` through a descriptor no child inherits: one worker at a time;
//! - the *living* hold `out.log` through the open file description their standard output is: it is free exactly when the
//!   last process of the repetition is gone, even when its worker died before it.

use super::atomic::{self, Durable};
use super::files::{self, cap};
use super::{Result, StoreError, begun_again, is_exhausted, metrics, owner};
use crate::experiment::params_sha256;
use crate::plan::layout::rep as names;
use crate::run::status::{self, Found, Params, Status};
use crate::value::Value;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// What the status file of a repetition's directory says.
pub fn status(dir: &Path) -> Found {
    look(dir).unwrap_or_else(|error| Found::Unreadable(error.to_string()))
}

/// The same for whoever can look again.
///
/// # Errors
/// Where this machine has no room for a look, which says nothing of the file.
pub fn look(dir: &Path) -> Result<Found> {
    let path = dir.join(names::STATUS);
    let mut bytes = Vec::new();
    match files::open(&path).and_then(|file| files::read_into(&file, cap::RECORD, &mut bytes)) {
        Err(error) if is_exhausted(&error) => Err(StoreError::new("read", &path, error)),
        read => Ok(found(read, &bytes, || path)),
    }
}

/// What came of reading a status file. That it cannot be read is no failure of the one who looks: others can.
fn found(read: std::io::Result<()>, bytes: &[u8], path: impl FnOnce() -> PathBuf) -> Found {
    match read {
        Ok(()) => match status::parse(bytes) {
            Found::Unreadable(why) => Found::Unreadable(StoreError::corrupt(&path(), why).to_string()),
            found => found,
        },
        Err(error) if files::is_missing(&error) => Found::Nothing,
        Err(error) => Found::Unreadable(StoreError::new("read", &path(), error).to_string()),
    }
}

/// The folder that holds a run's repetitions, held open: a look at many of them does not walk the whole path again and again.
#[derive(Debug)]
pub struct Siblings {
    log: PathBuf,
    folder: std::io::Result<File>,
    buffer: Vec<u8>,
}

impl Siblings {
    /// Opens the folder that a repetition's directory lies in. Where it does not exist, no repetition has a status.
    pub fn open(rep_dir: &Path) -> Self {
        let log = rep_dir.parent().map(Path::to_owned).unwrap_or_default();
        Siblings { folder: files::open_folder(&log), log, buffer: Vec::with_capacity(8192) }
    }

    /// What the status file of a repetition says, by its directory's path.
    pub fn status(&mut self, rep_dir: &Path) -> Found {
        let folder = match &self.folder {
            Ok(folder) => folder,
            Err(error) if files::is_missing(error) => return Found::Nothing,
            // The error itself can be told only once; its kind is what counts.
            Err(error) => {
                return Found::Unreadable(StoreError::new("open", &self.log, error.kind().into()).to_string());
            }
        };
        let below = Self::below(rep_dir, names::STATUS);
        self.buffer.clear();
        let file = files::open_at(folder.as_fd(), &below);
        let read = file.and_then(|file| files::read_into(&file, cap::RECORD, &mut self.buffer));
        found(read, &self.buffer, || self.log.join(below))
    }

    /// As [`has_begun`], of one of these repetitions.
    pub fn has_begun(&self, rep_dir: &Path) -> bool {
        let folder = self.folder.as_ref().ok();
        folder.is_some_and(|folder| files::is_regular(folder.as_fd(), &Self::below(rep_dir, names::CONFIG)))
    }

    /// The path of a repetition's file below the folder.
    fn below(rep_dir: &Path, name: &str) -> PathBuf {
        Path::new(rep_dir.file_name().unwrap_or_default()).join(name)
    }
}

/// Whether a worker got as far as writing a repetition's configuration: what is started comes next.
pub fn has_begun(dir: &Path) -> bool {
    files::is_regular(rustix::fs::CWD, &dir.join(names::CONFIG))
}

/// The answer to a claim.
#[derive(Debug)]
pub enum Claim {
    /// The repetition is the caller's until the value is dropped.
    Owned(Owned),
    /// Another worker is at it.
    Busy,
    /// No worker is at it, but processes that a dead one started still run.
    Ghosts(Owned),
}

/// A repetition's directory that this worker owns.
#[derive(Debug)]
pub struct Owned {
    dir: PathBuf,
    out: File,
    err: File,
    owner: File,
}

/// What a program in Python tells of its crash.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Report {
    /// What failed.
    pub phase: String,
    /// One line.
    pub message: String,
    /// The whole traceback.
    pub traceback: String,
}

/// What the configuration in a repetition's directory tells of an earlier start.
#[derive(Debug, Clone, PartialEq)]
pub struct Before {
    /// When it was written.
    pub at: jiff::Timestamp,
    /// The hash of that start's parameters, as a status has it, where they were written whole.
    pub params_sha256: Option<String>,
}

impl Before {
    /// Whether it was begun with these parameters.
    pub fn is_of(&self, params: Params<'_>) -> bool {
        self.params_sha256.as_ref().is_some_and(|sha256| params.include(sha256))
    }
}

/// The parameters of the configuration in a repetition's directory, where it was written whole.
pub fn stored_params(dir: &Path) -> Option<Value> {
    params_of(stored_config(dir)?)
}

/// The resolved configuration in a repetition's directory, where it was written whole.
pub fn stored_config(dir: &Path) -> Option<Value> {
    let read = |name| config_of(&files::read(&dir.join(name), cap::RECORD).ok()?);
    read(names::CONFIG).or_else(|| read(names::OLD_CONFIG))
}

fn config_of(text: &[u8]) -> Option<Value> {
    Value::from_json(str::from_utf8(text).ok()?).ok()
}

fn params_of(config: Value) -> Option<Value> {
    let Value::Map(mut config) = config else { return None };
    config.swap_remove("params")
}

/// How often a lock is taken whose file others remove at the same time.
const TRIES: u32 = 100;

/// Takes a repetition's directory, creating it.
pub fn claim(dir: &Path) -> Result<Claim> {
    // Its own folder, `log`, the run's and the experiment's: what lies above is the user's own choice.
    for folder in dir.ancestors().take(4) {
        owner::check_link(folder).map_err(|source| StoreError::new("use", folder, source))?;
    }
    fs::create_dir_all(dir).map_err(|source| StoreError::new("create", dir, source))?;
    let open = |name: &str| {
        let path = dir.join(name);
        files::append(&path).map_err(|source| StoreError::new("open", &path, source))
    };
    let mut owner = open(names::ERR)?;
    for tries in 1.. {
        if !try_lock(&owner) {
            return Ok(Claim::Busy);
        }
        // The one before may have removed it meanwhile: then others lock another file. Not for ever, as there are file systems
        // where a file's number changes.
        if tries == TRIES || files::is_at(&owner, &dir.join(names::ERR)) {
            break;
        }
        owner = open(names::ERR)?;
    }
    let rep = Owned { dir: dir.to_owned(), out: open(names::OUT)?, err: open(names::ERR)?, owner };
    Ok(if try_lock(&rep.out) { Claim::Owned(rep) } else { Claim::Ghosts(rep) })
}

/// Whether the lock was free. File systems without locks count as free: one writer a file is what keeps states whole,
/// the lock is the second belt.
fn try_lock(file: &File) -> bool {
    static WARNED: AtomicBool = AtomicBool::new(false);
    match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(error)) => {
            if !WARNED.swap(true, Ordering::Relaxed) {
                log::warn!(
                    "this file system has no locks ({error}): two workers on one repetition would not notice each other"
                );
            }
            true
        }
    }
}

impl AsRawFd for StagedStatus {
    fn as_raw_fd(&self) -> RawFd {
        self.staged.as_raw_fd()
    }
}

/// A status that is written, and not yet the repetition's.
#[derive(Debug)]
#[must_use]
pub struct StagedStatus {
    staged: atomic::Staged,
    durable: Durable,
}

impl StagedStatus {
    /// Whether committing it waits for the disk.
    pub fn is_durable(&self) -> bool {
        self.durable != Durable::No
    }

    /// Makes it the repetition's. A finished one is on the disk when this returns.
    pub fn commit(self) -> Result<()> {
        self.staged.commit(self.durable)
    }
}

impl Owned {
    /// Gives it back at once, where nothing was started of it: a process that another slot is just starting has all files of this
    /// one open for a moment, and with them the locks.
    pub fn release(self) {
        for file in [&self.out, &self.owner] {
            // A file system without locks has none to give back.
            let _ = file.unlock();
        }
    }

    /// Whether every process of the repetition is gone (after [`Claim::Ghosts`]).
    pub fn try_alone(&self) -> bool {
        try_lock(&self.out)
    }

    /// What the status file says, now that no one else writes it.
    pub fn status(&self) -> Result<Found> {
        look(&self.dir)
    }

    /// Replaces the status. A finished one is on the disk when this returns.
    pub fn write_status(&self, status: &Status) -> Result<()> {
        self.stage_status(status)?.commit()
    }

    /// Writes a status beside the present one.
    pub fn stage_status(&self, status: &Status) -> Result<StagedStatus> {
        let path = self.dir.join(names::STATUS);
        let mut bytes = serde_json::to_vec_pretty(status)
            .map_err(|error| StoreError::new("write", &path, std::io::Error::other(error)))?;
        bytes.push(b'\n');
        let durable = if status.state.is_finished() { Durable::Together } else { Durable::No };
        Ok(StagedStatus { staged: atomic::stage(&path, &bytes)?, durable })
    }

    /// Removes the payload an earlier attempt left: it would count as this one's.
    pub fn clear_surrender(&self) -> Result<()> {
        files::remove_if_there(&self.dir.join(names::SURRENDER))
    }

    /// Removes the report that an earlier attempt left.
    pub fn clear_report(&self) -> Result<()> {
        files::remove_if_there(&self.dir.join(names::REPORT))
    }

    /// Takes what a program in Python left of its crash, where it could.
    pub fn take_report(&self) -> Option<Report> {
        let path = self.dir.join(names::REPORT);
        let bytes = files::read_if_there(&path, cap::RECORD).ok()??;
        // It is told in the status; what stays here is cleared before the next attempt.
        let _ = files::remove_if_there(&path);
        serde_json::from_slice(&bytes).ok()
    }

    /// The traces of a worker that got as far as writing the configuration, if one did.
    pub fn begun_before(&self) -> Option<Before> {
        let file = files::open(&self.dir.join(names::CONFIG)).ok()?;
        let modified = file.metadata().and_then(|metadata| metadata.modified()).ok();
        let at = modified.and_then(|time| jiff::Timestamp::try_from(time).ok()).unwrap_or_default();
        let mut text = Vec::new();
        // Half a configuration tells no parameters.
        let config = files::read_into(&file, cap::RECORD, &mut text).ok().and_then(|()| config_of(&text));
        let params = config.or_else(|| stored_config(&self.dir)).and_then(params_of);
        Some(Before { at, params_sha256: params.as_ref().map(params_sha256) })
    }

    /// Sets the metrics of an attempt aside: those of the next one begin anew.
    pub fn set_metrics_aside(&self, attempt: u32) -> Result<()> {
        let path = self.dir.join(names::METRICS);
        match fs::rename(&path, self.dir.join(names::metrics_of(attempt))) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(StoreError::new("rename", &path, error)),
            _ => Ok(()),
        }
    }

    /// Prepares the metrics of the attempt before for one that resumes it, and returns where those of the new one begin; see
    /// [`begun_again`]. `unsettled` is what was noted of the attempt before.
    pub fn resume_metrics(&self, before: u32, unsettled: Option<u64>) -> Result<Option<u64>> {
        if let Some(from) = unsettled {
            self.settle_metrics(before, from)?;
        }
        let path = self.dir.join(names::METRICS);
        let length = super::log::length(&path)?.unwrap_or(0);
        if length == 0 {
            return Ok(None);
        }
        // Nothing was saved, so all begins again; where a step will tell it, what was saved elsewhere is not overlooked.
        if !self.has_saved() && !begun_again::has_steps(&path) {
            self.set_metrics_aside(before)?;
            return Ok(None);
        }
        Ok(Some(length))
    }

    /// Sets aside what `attempt`, whose metrics start at `from`, began again.
    pub fn settle_metrics(&self, attempt: u32, from: u64) -> Result<()> {
        metrics::settle(&self.dir, from, attempt.saturating_sub(1))
    }

    /// How many records of metrics an attempt goes on from that resumes another one: none where that saved nothing.
    pub fn records_before(&self) -> u64 {
        if self.has_saved() { metrics::count(&self.dir) } else { 0 }
    }

    /// Whether there is anything in the directory that cw2 did not put there.
    fn has_saved(&self) -> bool {
        let Ok(entries) = fs::read_dir(&self.dir) else { return true };
        entries.flatten().any(|entry| !names::is_own(&entry.file_name().to_string_lossy()))
    }

    /// Removes the status, and the configuration too where it says nothing of an earlier start.
    pub fn forget(&self, with_config: bool) -> Result<()> {
        let names: &[_] = if with_config { &[names::CONFIG, names::STATUS] } else { &[names::STATUS] };
        names.iter().try_for_each(|name| files::remove_if_there(&self.dir.join(name)))
    }

    /// Removes the temporary files of a worker that died while it wrote.
    pub fn clear_temporaries(&self) -> Result<()> {
        let entries = fs::read_dir(&self.dir).map_err(|source| StoreError::new("read", &self.dir, source))?;
        let temporaries = [names::STATUS, names::CHECKPOINT].map(|name| format!(".{name}."));
        for entry in entries.flatten() {
            let name = entry.file_name();
            if temporaries.iter().any(|temporary| name.to_string_lossy().starts_with(temporary)) {
                fs::remove_file(entry.path()).map_err(|source| StoreError::new("remove", &entry.path(), source))?;
            }
        }
        Ok(())
    }

    /// Writes the resolved configuration.
    pub fn write_config(&self, text: &str) -> Result<()> {
        let path = self.dir.join(names::CONFIG);
        files::create(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|source| StoreError::new("write", &path, source))
    }

    /// The same where there may be one already: what it says is not torn on a full disk to be written once more.
    pub fn renew_config(&self, text: &str) -> Result<()> {
        let same = files::read(&self.dir.join(names::CONFIG), cap::RECORD).is_ok_and(|old| old == text.as_bytes());
        if same { Ok(()) } else { self.write_config(text) }
    }

    /// Removes what a finished repetition leaves behind that says nothing: many file systems count files.
    pub fn tidy(&self) {
        if self.err.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            // What stays is an empty file.
            let _ = fs::remove_file(self.dir.join(names::ERR));
        }
    }

    /// Standard output and standard error for a process of this repetition.
    pub fn streams(&self) -> Result<(File, File)> {
        let fail = |source| StoreError::new("open", &self.dir.join(names::OUT), source);
        Ok((self.out.try_clone().map_err(fail)?, self.err.try_clone().map_err(fail)?))
    }

    /// Writes a line of cw2's own into both logs.
    pub fn log_line(&self, line: &str) {
        // A full disk must not end what still can run; the status tells.
        let _ = (&self.out).write_all(line.as_bytes()).and_then(|()| (&self.err).write_all(line.as_bytes()));
    }

    /// The present length of `err.log`, so that [`Owned::stderr_tail`] can start there.
    pub fn stderr_len(&self) -> u64 {
        (&self.err).seek(SeekFrom::End(0)).unwrap_or(0)
    }

    /// The last lines written to `err.log` since it was `from` bytes long: at most `limit` bytes, whole characters.
    pub fn stderr_tail(&self, from: u64, limit: u64) -> String {
        let end = self.stderr_len();
        let start = from.max(end.saturating_sub(limit));
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(start)).unwrap_or(0)];
        let Ok(read) = self.err.read_at(&mut bytes, start) else { return String::new() };
        bytes.truncate(read);
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end();
        // The first line is not whole; where it is all there is, its end tells more than nothing.
        let whole = if start > from { text.split_once('\n').map_or(text, |(_, rest)| rest) } else { text };
        whole.to_owned()
    }

    /// The payload of a surrender, where the experiment left one: JSON, or its text as a JSON string.
    pub fn surrender(&self) -> Result<Option<serde_json::Value>> {
        let path = self.dir.join(names::SURRENDER);
        let Some(bytes) = files::read_if_there(&path, cap::SURRENDER)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim();
        Ok(Some(if text.is_empty() {
            serde_json::Value::Null
        } else {
            Value::from_json(text).map_or_else(|_| text.into(), |value| value.to_serde_json())
        }))
    }
}
