//! Copies of a tree: contents, permissions, times.
//!
//! A file shares its blocks with the original where the file system can do that (`FICLONE`: Btrfs, XFS, bcachefs); a change to
//! either then leaves the other alone. Hard links would not: a job that writes into its copy would write into all of them.

use super::super::{Result, StoreError};
use super::tree::{Entry, Kind, Tree};
use crate::plan::layout;
use rayon::prelude::*;
use std::fs::{self, DirBuilder, File, FileTimes, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// Copies a tree to a folder, which is created.
pub(super) fn tree(tree: &Tree, to: &Path) -> Result<()> {
    copy(tree, &tree.source, to, &Sharing::default())
}

/// Copies a tree for each of these jobs, below a folder, which is created.
pub(super) fn for_jobs(tree: &Tree, to: &Path, jobs: &[u64]) -> Result<()> {
    folder(to)?;
    fs::set_permissions(to, Permissions::from_mode(tree.mode | 0o700))
        .map_err(|source| StoreError::new("create", to, source))?;
    let sharing = Sharing::default();
    // First the one that no job runs in; from there the others, on the same file system and with nobody to edit it meanwhile.
    let first = layout::untouched_copy(to);
    copy(tree, &tree.source, &first, &sharing)?;
    jobs.par_iter().try_for_each(|job| copy(tree, &first, &layout::job_copy(to, *job), &sharing))
}

/// Whether blocks can be shared; tried until it fails once.
#[derive(Debug)]
pub(in crate::store) struct Sharing(AtomicBool);

impl Default for Sharing {
    fn default() -> Self {
        Sharing(AtomicBool::new(true))
    }
}

impl Sharing {
    /// Fills an empty file with the content of another one.
    pub(in crate::store) fn clone_or_copy(&self, from: &mut File, to: &mut File) -> io::Result<()> {
        if self.0.load(Ordering::Relaxed) {
            match rustix::fs::ioctl_ficlone(&*to, &*from) {
                Ok(()) => return Ok(()),
                Err(_) => self.0.store(false, Ordering::Relaxed),
            }
        }
        io::copy(from, to).map(drop)
    }
}

fn copy(tree: &Tree, from: &Path, to: &Path, sharing: &Sharing) -> Result<()> {
    folder(to)?;
    for entry in &tree.entries {
        let (from, to) = (from.join(&entry.path), to.join(&entry.path));
        match &entry.kind {
            Kind::Folder => folder(&to)?,
            Kind::File(_) => file(entry, &from, &to, sharing)?,
            Kind::Link(target) => symlink(target, &to).map_err(|source| StoreError::new("create", &to, source))?,
        }
    }
    // Last, and the inner ones first: what is put into a folder changes its time, and it may be write-protected.
    for entry in tree.entries.iter().rev().filter(|entry| matches!(entry.kind, Kind::Folder)) {
        seal(&to.join(&entry.path), entry.mode, Some(entry.modified))?;
    }
    // Its time is that of the copy. Its owner must be able to rename and remove it.
    seal(to, tree.mode | 0o700, None)
}

fn folder(path: &Path) -> Result<()> {
    // Until it is whole, nobody else needs it.
    DirBuilder::new().mode(0o700).create(path).map_err(|source| StoreError::new("create", path, source))
}

fn file(entry: &Entry, from: &Path, to: &Path, sharing: &Sharing) -> Result<()> {
    let mut original = match super::super::files::open(from) {
        Ok(file) => file,
        // Somebody's temporary file, gone since it was listed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::new("copy the code file", from, error)),
    };
    let fail = |source| StoreError::new("write", to, source);
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(fail)?;
    sharing.clone_or_copy(&mut original, &mut copy).map_err(fail)?;
    copy.set_times(FileTimes::new().set_modified(entry.modified)).map_err(fail)?;
    copy.set_permissions(Permissions::from_mode(entry.mode)).map_err(fail)
}

fn seal(folder: &Path, mode: u32, modified: Option<SystemTime>) -> Result<()> {
    let fail = |source| StoreError::new("write", folder, source);
    let opened = File::open(folder).map_err(fail)?;
    if let Some(modified) = modified {
        opened.set_times(FileTimes::new().set_modified(modified)).map_err(fail)?;
    }
    opened.set_permissions(Permissions::from_mode(mode)).map_err(fail)
}
