//! Replacing a file as a whole: temporary file in the same folder, sync, rename.

use super::group_sync::wait_for_group_sync;
use super::{Result, StoreError};
use std::fs::{File, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Whether the new content must outlive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// It is on the disk before the call returns.
    Yes,
    /// The same, at one time with others of this process that follow each other closely.
    Together,
    /// Losing it costs nothing but work that would be done again.
    No,
}

/// Replaces `path` by `bytes`: a reader sees the old content or the new one, never a part.
pub fn replace(path: &Path, bytes: &[u8], durable: Durable) -> Result<()> {
    stage(path, bytes)?.commit(durable)
}

/// A new content that is written, and has not taken the old one's place; it never does where this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Staged {
    file: NamedTempFile,
    path: PathBuf,
}

/// Writes what is to replace `path` beside it.
pub fn stage(path: &Path, bytes: &[u8]) -> Result<Staged> {
    stage_by(path, |file| file.write_all(bytes))
}

/// The same for what is too large to be held.
pub fn stage_by(path: &Path, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<Staged> {
    let fail = |source| StoreError::new("write", path, source);
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // The default of 0600 would keep colleagues from reading the state; the umask still applies.
    let mut file = tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(|error| fail(explained(error)))?;
    write(file.as_file_mut()).map_err(fail)?;
    Ok(Staged { file, path: path.to_owned() })
}

/// Says what it means that a file which is only now made is not found.
fn explained(error: std::io::Error) -> std::io::Error {
    match error.kind() {
        kind @ ErrorKind::NotFound => {
            std::io::Error::new(kind, "its folder is gone: it was deleted or renamed meanwhile")
        }
        _ => error,
    }
}

impl AsRawFd for Staged {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

impl Staged {
    /// Puts it into the place of the old content.
    pub fn commit(self, durable: Durable) -> Result<()> {
        let Staged { file, path } = self;
        let fail = |source| StoreError::new("write", &path, source);
        let wait = || {
            if durable == Durable::Together {
                wait_for_group_sync();
            }
        };
        if durable != Durable::No {
            wait();
            file.as_file().sync_data().map_err(fail)?;
        }
        file.persist(&path).map_err(|error| fail(explained(error.error)))?;
        if durable != Durable::No {
            wait();
            sync_folder(path.parent().unwrap_or(Path::new(".")))?;
        }
        Ok(())
    }
}

/// Makes the names in a folder outlive a power cut.
pub fn sync_folder(folder: &Path) -> Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| StoreError::new("sync", folder, source))
}
