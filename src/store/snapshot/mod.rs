//! Code snapshots on disk: a copy, a copy for each job, an archive. Each appears whole or not at all.
//!
//! A snapshot is written under a hidden name beside its place, forced to the disk, and renamed. What is copied where is decided
//! in [`crate::plan::code`].

mod archive;
mod copy;
mod tree;

pub(super) use copy::Sharing;
pub use tree::Tree;

use super::made::MadeFolders;
use super::{Result, StoreError, exists};
use crate::plan::code;
use crate::plan::record::CodeMode;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// A place where a snapshot is to be.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// Exactly here. What is there is moved aside.
    At(&'a Path),
    /// Below this folder, under the first free name for this time.
    Below(&'a Path, &'a str),
}

/// A snapshot that was taken. Dropped unkept, it is undone.
#[derive(Debug)]
pub struct Snapshot {
    /// Where it is.
    pub place: PathBuf,
    /// Where that is which was in its place.
    pub aside: Option<PathBuf>,
    kept: bool,
    // After what lies in them.
    _above: MadeFolders,
}

impl Snapshot {
    /// It stays.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        remove(&self.place);
        if let Some(aside) = &self.aside {
            // Nobody is left to tell where this fails: what was there still is, under its other name.
            let _ = fs::rename(aside, &self.place);
        }
    }
}

/// Takes a snapshot of all of `tree`, where each job has its own for these jobs.
pub fn take(tree: &Tree, mode: CodeMode, target: Target<'_>, jobs: &[u64]) -> Result<Snapshot> {
    let folder = match target {
        Target::At(place) => place.parent().unwrap_or(Path::new("/")),
        Target::Below(folder, _) => folder,
    };
    let above = MadeFolders::make(folder)?;
    let fail = |source| StoreError::new("create a code snapshot in", folder, source);
    let fresh = tempfile::Builder::new().prefix(".cw2-code-").tempdir_in(folder).map_err(fail)?;
    let fresh = Removed(fresh.keep());
    let content = fresh.0.join("new");
    match mode {
        CodeMode::Copy => copy::tree(tree, &content)?,
        CodeMode::PerJob => copy::for_jobs(tree, &content, jobs)?,
        CodeMode::Archive => archive::write(tree, &content)?,
    }
    fs::File::open(folder).and_then(|folder| rustix::fs::syncfs(&folder).map_err(Into::into)).map_err(fail)?;
    let mut snapshot = Snapshot { place: PathBuf::new(), aside: None, kept: false, _above: above };
    match target {
        Target::At(place) => {
            let aside = move_aside(place)?;
            if let Err(source) = fs::rename(&content, place) {
                if let Some(aside) = &aside {
                    let _ = fs::rename(aside, place);
                }
                return Err(StoreError::new("create", place, source));
            }
            (snapshot.place, snapshot.aside) = (place.to_owned(), aside);
        }
        Target::Below(folder, stamp) => snapshot.place = rename_to_free(&content, folder, stamp, mode)?,
    }
    super::atomic::sync_folder(folder)?;
    Ok(snapshot)
}

/// Writes an archive to a path where nothing is, without more ado: its folder vanishes as a whole if anything fails.
pub fn write_archive(tree: &Tree, path: &Path) -> Result<()> {
    archive::write(tree, path)
}

/// The name a snapshot would get below a folder.
pub fn free_name(folder: &Path, stamp: &str, mode: CodeMode) -> PathBuf {
    let mut names = (1..=u32::MAX).map(|n| folder.join(code::fresh_name(stamp, n, mode)));
    names.find(|place| !exists(place)).unwrap_or_else(|| folder.join(stamp))
}

fn rename_to_free(content: &Path, folder: &Path, stamp: &str, mode: CodeMode) -> Result<PathBuf> {
    for n in 1..=u32::MAX {
        let place = folder.join(code::fresh_name(stamp, n, mode));
        // A folder is never renamed over one that holds something; a file would be, so it is linked.
        let result = match mode {
            CodeMode::Archive => fs::hard_link(content, &place),
            _ if exists(&place) => continue,
            _ => fs::rename(content, &place),
        };
        match result {
            Ok(()) => return Ok(place),
            Err(_) if exists(&place) => {}
            Err(error) if mode == CodeMode::Archive && error.kind() != std::io::ErrorKind::NotFound => {
                // A file system without hard links.
                fs::rename(content, &place).map_err(|source| StoreError::new("create", &place, source))?;
                return Ok(place);
            }
            Err(error) => return Err(StoreError::new("create", &place, error)),
        }
    }
    Err(StoreError::new("create", &folder.join(stamp), std::io::ErrorKind::AlreadyExists.into()))
}

/// Gives what is at a path another name: whoever works in it keeps its files.
fn move_aside(place: &Path) -> Result<Option<PathBuf>> {
    if !exists(place) {
        return Ok(None);
    }
    let mut names = (1..=u32::MAX).map(|n| {
        let mut name = place.file_name().unwrap_or_default().to_owned();
        name.push(format!(".replaced-{n}"));
        place.with_file_name(name)
    });
    let aside = names.find(|aside| !exists(aside)).unwrap_or_else(|| place.with_extension("replaced"));
    fs::rename(place, &aside).map_err(|source| StoreError::new("move aside", place, source))?;
    Ok(Some(aside))
}

/// A path without symbolic links and dots, also where only its beginning exists. `path` is absolute.
pub fn resolve(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => {
                out.push(other);
                if let Ok(real) = fs::canonicalize(&out) {
                    out = real;
                }
            }
        }
    }
    out
}

/// A path that is removed with everything in it when this is dropped.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Removes a file or a folder, also one whose folders are write-protected.
fn remove(path: &Path) {
    let is_folder = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    let removed = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    if removed.is_err() && is_folder {
        make_writable(path);
        if let Err(error) = fs::remove_dir_all(path) {
            log::warn!("cannot remove `{}`: {error}", path.display());
        }
    }
}

fn make_writable(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}
