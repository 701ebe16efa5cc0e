//! Every read and write of cw2's own files: plans, the state of repetitions, locks, snapshots of the
//! code. The only user of `std::fs`.
//!
//! Files appear whole or not at all. It must not decide anything: what is written comes from [`crate::plan`] and
//! [`crate::run`], names and places from [`crate::plan::layout`].

pub mod atomic;
pub mod begun_again;
pub mod claims;
pub mod committer;
mod error;
pub mod file_system;
pub mod files;
pub mod finished;
pub mod forgotten;
#[cfg(feature = "cli")]
pub mod gather;
pub mod git;
mod group_sync;
#[cfg(feature = "cli")]
pub mod history;
pub mod indexed;
pub mod job_log;
mod lines;
pub mod lock_probe;
mod locks;
pub mod log;
mod made;
pub mod metrics;
#[cfg(feature = "cli")]
pub mod original;
pub mod owner;
pub mod plan;
pub mod plans;
pub mod rep;
pub mod repetitions;
pub mod requeues;
#[cfg(feature = "cli")]
pub mod scratch;
mod seal;
#[cfg(feature = "cli")]
pub mod snapshot;
#[cfg(feature = "cli")]
pub mod starter;
pub mod submissions;
pub mod survey;

pub use error::{Result, StoreError, is_exhausted};

use std::path::{Path, PathBuf};

/// The real file system as the source of the configuration that a person named, and of what it imports.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// The configuration: a pipe too, as it is the person who gave it.
    pub main: &'a Path,
}

impl crate::config::Source for Files<'_> {
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        if path == self.main {
            files::read_given(path, files::cap::WRITTEN)
        } else {
            files::read(path, files::cap::WRITTEN)
        }
    }

    fn glob(&self, folder: &Path, pattern: &str, most: usize) -> std::io::Result<Vec<crate::config::Match>> {
        let wrong = |error: glob::PatternError| std::io::Error::new(std::io::ErrorKind::InvalidInput, error.msg);
        // Names that begin with a dot are left out, as a shell does.
        let options = glob::MatchOptions {
            require_literal_separator: true,
            require_literal_leading_dot: true,
            ..Default::default()
        };
        let here = std::env::current_dir()?;
        let mut found = Vec::new();
        let pattern = Path::new(&glob::Pattern::escape(&folder.to_string_lossy())).join(pattern);
        for path in glob::glob_with(&pattern.to_string_lossy(), options).map_err(wrong)? {
            let path = path.map_err(std::io::Error::from)?;
            let below = |folder: &Path| path.strip_prefix(folder).unwrap_or(&path).to_owned();
            found.push(crate::config::Match { inner: below(folder), path: below(&here) });
            if found.len() > most {
                return Err(std::io::Error::other(format!("it matches more than {most} files")));
            }
        }
        Ok(found)
    }
}

/// Reads a whole file, such as a person or cw2 writes.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    files::read(path, files::cap::RECORD).map_err(|source| StoreError::new("read", path, source))
}

/// Reads a whole file of any length, which another program wrote for this one.
pub fn read_large(path: &Path) -> Result<Vec<u8>> {
    files::read(path, files::cap::NONE).map_err(|source| StoreError::new("read", path, source))
}

/// Reads a part of a file.
pub fn read_range(path: &Path, start: u64, length: usize) -> Result<Vec<u8>> {
    use std::os::unix::fs::FileExt as _;
    let mut bytes = vec![0; length];
    let read = files::open(path).and_then(|file| file.read_exact_at(&mut bytes, start));
    read.map(|()| bytes).map_err(|source| StoreError::new("read", path, source))
}

/// The path without symbolic links and dots, where it exists.
pub fn canonical(path: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(path).map_err(|source| StoreError::new("open", path, source))
}

/// Whether something is at this path.
pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Creates a folder and those above it, where they are missing.
pub fn create_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|source| StoreError::new("create", path, source))
}

/// Writes files, by name and text, into a folder that goes when the answer is dropped.
pub fn scratch(files: &[(String, String)]) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir().map_err(|source| StoreError::new("create", &std::env::temp_dir(), source))?;
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::write(&path, text).map_err(|source| StoreError::new("write", &path, source))?;
    }
    Ok(folder)
}
