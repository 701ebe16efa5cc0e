//! Whether file locks keep others out on the file system of a folder: tried, not looked up; and how far they reach, as far as
//! the mount tells.
//!
//! It must not decide what follows from the answer.

use super::file_system::{self, FileSystem};
use super::{Result, StoreError, files};
use std::fs::{File, TryLockError};
use std::path::Path;
use tempfile::NamedTempFile;

/// What locks do in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locks {
    /// Who holds one keeps the other out, and a lock that was given back is free again.
    Exclude,
    /// Two had the same lock at once: the file system takes them without effect.
    DoNotExclude,
    /// A lock that was given back stays taken.
    Stay,
    /// There are none; what the system said.
    None(String),
}

impl Locks {
    /// Why nothing can rest on them, as a sentence's end; none where it can.
    pub fn objection(&self) -> Option<String> {
        match self {
            Locks::Exclude => None,
            Locks::DoNotExclude => Some("locks have no effect there: two had the same one at once".to_owned()),
            Locks::Stay => Some("a lock stays taken there after it was given back".to_owned()),
            Locks::None(why) => Some(format!("it has no locks ({why})")),
        }
    }
}

/// One try to take a lock, by whoever does not hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// It was free; given back already.
    Took,
    /// Somebody has it.
    Busy,
    /// The file system refused; what it said.
    Refused(String),
}

/// A folder's locks and its file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// What two on this machine did to each other.
    pub locks: Locks,
    /// Where the folder lies.
    pub file_system: FileSystem,
}

/// Tries the locks of an existing folder, within this process. What is true of two descriptors is true of two processes of a
/// machine: such locks belong to the open file, not to the process.
///
/// # Errors
/// Where nothing can be written there.
pub fn probe(folder: &Path) -> Result<Probed> {
    probe_by(folder, attempt)
}

/// The same, where `other` is who tries the lock that is held: another process, or another node.
///
/// # Errors
/// Where nothing can be written there, or `other` cannot try.
pub fn probe_by(folder: &Path, mut other: impl FnMut(&Path) -> Result<Attempt>) -> Result<Probed> {
    let file_system = file_system::of(folder)?;
    let file = LockFile::create(folder)?;
    let locks = match file.hold() {
        Err(why) => Locks::None(why),
        Ok(()) => match other(file.path())? {
            Attempt::Refused(why) => Locks::None(why),
            Attempt::Took => Locks::DoNotExclude,
            Attempt::Busy => {
                file.release();
                match other(file.path())? {
                    Attempt::Took => Locks::Exclude,
                    Attempt::Busy => Locks::Stay,
                    Attempt::Refused(why) => Locks::None(why),
                }
            }
        },
    };
    Ok(Probed { locks, file_system })
}

/// A file for a probe, which goes when this is dropped.
#[derive(Debug)]
pub struct LockFile(NamedTempFile);

impl LockFile {
    /// Creates one in a folder.
    pub fn create(folder: &Path) -> Result<Self> {
        let file = tempfile::Builder::new().prefix(".cw2-locks.").tempfile_in(folder);
        file.map(LockFile).map_err(|error| {
            // The name that was tried says nothing to a reader.
            StoreError::new("write into", folder, error.kind().into())
        })
    }

    /// Its path, for the other one.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes its lock, which nobody else has.
    ///
    /// # Errors
    /// What the file system said.
    pub fn hold(&self) -> std::result::Result<(), String> {
        match self.0.as_file().try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err("somebody else has the lock of a file that was just made".to_owned()),
            Err(TryLockError::Error(error)) => Err(error.to_string()),
        }
    }

    /// Gives the lock back. Whether it is free then, the other one tells.
    pub fn release(&self) {
        let _ = self.0.as_file().unlock();
    }
}

/// Tries to take the lock of a file that another one made, and gives it back.
///
/// # Errors
/// Where the file cannot be opened.
pub fn attempt(path: &Path) -> Result<Attempt> {
    attempt_and_keep(path).map(|(attempt, _)| attempt)
}

/// The same; what was taken is kept until the file is dropped.
///
/// # Errors
/// Where the file cannot be opened.
pub fn attempt_and_keep(path: &Path) -> Result<(Attempt, File)> {
    let file = files::lockable_if_there(path).map_err(|source| StoreError::new("open", path, source))?;
    let attempt = match file.try_lock() {
        Ok(()) => Attempt::Took,
        Err(TryLockError::WouldBlock) => Attempt::Busy,
        Err(TryLockError::Error(error)) => Attempt::Refused(error.to_string()),
    };
    Ok((attempt, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_of_this_machine_exclude_and_leave_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let probed = probe(dir.path()).unwrap();
        assert_eq!((&probed.locks, probed.locks.objection()), (&Locks::Exclude, None));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_the_other_one_finds_decides() {
        use Attempt::{Busy, Refused, Took};
        let dir = tempfile::tempdir().unwrap();
        let none = || Refused("Function not implemented".to_owned());
        for (answers, expected) in [
            (vec![Took], Locks::DoNotExclude),
            (vec![none()], Locks::None("Function not implemented".to_owned())),
            (vec![Busy, Busy], Locks::Stay),
            (vec![Busy, Took], Locks::Exclude),
        ] {
            let mut answers = answers.into_iter();
            let probed = probe_by(dir.path(), |_| Ok(answers.next().unwrap())).unwrap();
            assert_eq!(probed.locks, expected);
            assert_eq!(probed.locks.objection().is_some(), expected != Locks::Exclude);
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error_that_names_it() {
        for (folder, expected) in [
            ("/nowhere", "cannot open `/nowhere`: No such file or directory (os error 2)"),
            ("/proc", "cannot write into `/proc`: entity not found"),
        ] {
            assert_eq!(probe(Path::new(folder)).unwrap_err().to_string(), expected);
        }
    }
}
