//! A failed file operation, with what was tried on which path.

use nix::errno::Errno;
use std::path::{Path, PathBuf};

/// What went wrong with a file: an environment failure (exit code 3), never the user's configuration.
#[derive(Debug)]
pub struct StoreError {
    action: &'static str,
    path: PathBuf,
    source: std::io::Error,
}

/// The result of a file operation.
pub type Result<T> = std::result::Result<T, StoreError>;

impl StoreError {
    /// `action` completes "cannot … `path`".
    pub fn new(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        StoreError { action, path: path.to_owned(), source }
    }

    /// A file whose content is not what it must be.
    pub fn corrupt(path: &Path, what: impl Into<String>) -> Self {
        StoreError::new("use", path, std::io::Error::new(std::io::ErrorKind::InvalidData, what.into()))
    }

    /// A file of a plan that is not as it was written.
    pub fn damaged(path: &Path, what: impl std::fmt::Display) -> Self {
        let text = format!(
            "{what}; the plan was changed or damaged since it was made: plan its configuration again, which leaves out what is \
             finished"
        );
        StoreError::corrupt(path, text)
    }

    /// Why the system refused.
    pub fn source(&self) -> &std::io::Error {
        &self.source
    }

    /// The same, by its kind.
    pub fn kind(&self) -> std::io::ErrorKind {
        self.source.kind()
    }
}

/// Whether it is the machine that has no room: no process, no descriptor, no memory, no space on the disk.
pub fn is_exhausted(error: &std::io::Error) -> bool {
    let exhausted = [Errno::EAGAIN, Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM, Errno::ENOSPC, Errno::EDQUOT];
    error.raw_os_error().is_some_and(|number| exhausted.contains(&Errno::from_raw(number)))
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::io::ErrorKind as K;
        write!(f, "cannot {} `{}`: {}", self.action, self.path.display(), self.source)?;
        match self.source.kind() {
            K::StorageFull | K::QuotaExceeded => write!(f, "; free some space and run the same command again"),
            K::PermissionDenied | K::ReadOnlyFilesystem => {
                write!(f, "; check who owns the folder and how it is mounted")
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for StoreError {
    // The text already holds the source: a chain must not print it twice.
}
