//! Code snapshots: what is copied where before a plan's jobs wait, and what speaks against it.
//!
//! Pure: the configuration, the command line and a listing come in, decisions and refusals go out; `crate::store::snapshot`
//! copies. The keys and flags mean what they mean in the original, with these differences:
//!
//! - the current files are listed with `.gitignore` and `.cw2ignore` (which wins) respected; the original's pattern `tmp*` is not
//!   applied: it would silently leave out `tmpl.py`;
//! - an archive for which no destination is configured lies in the plan's folder, so that the next plan does not replace it;
//! - `-o` moves an existing destination aside: a job that runs in it keeps its files;
//! - the copies of `--multicopy` share no file by hard links, since a job may write into its copy.

mod links;
mod python;
mod refuse;

pub use links::relink;
pub use python::{PathEntry, python_path};
pub use refuse::{SnapshotError, check_place, check_size, size};

use super::record::CodeMode;
use crate::config::Slurm;
use std::path::{Path, PathBuf};

/// What the command line says about code snapshots.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct SnapshotFlags {
    /// Only an archive for the record.
    pub zip: bool,
    /// A copy for each job.
    pub multicopy: bool,
    /// No new copy: jobs run in an earlier one, or in the source.
    pub nocodecopy: bool,
    /// Any size will do.
    pub skip_size_check: bool,
}

/// Where a snapshot goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotTarget {
    /// `experiment_copy_dst`; an archive's name ends in `.zip` already.
    At(PathBuf),
    /// A fresh dated name below `experiment_copy_auto_dst`.
    Below(PathBuf),
    /// In the plan's folder: an archive for which nothing is configured.
    InPlan,
}

/// A snapshot that a plan asks for. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is made of it.
    pub mode: CodeMode,
    /// From where.
    pub source: PathBuf,
    /// To where.
    pub place: SnapshotTarget,
    /// Nothing is copied: what is at `place` is used, if anything is there (`--nocodecopy`).
    pub reuse: bool,
}

/// What a SLURM document and the command line ask for; `None` where jobs run in the source.
///
/// # Errors
///
/// Keys that only make sense together.
pub fn decide(slurm: &Slurm, root: &Path, wish: SnapshotFlags) -> Result<Option<Request>, SnapshotError> {
    let source = slurm.experiment_copy_src.as_deref();
    // As in the original, the fixed destination wins over the fresh one.
    let place = match (&slurm.experiment_copy_dst, &slurm.experiment_copy_auto_dst) {
        (Some(at), _) => Some((root.join(at), true)),
        (None, Some(below)) => Some((root.join(below), false)),
        (None, None) => None,
    };
    if source.is_some() != place.is_some() {
        return Err(SnapshotError::incomplete(source.is_some()));
    }
    let mode = match (wish.zip, wish.multicopy) {
        (true, _) => CodeMode::Archive,
        (false, true) => CodeMode::PerJob,
        (false, false) => CodeMode::Copy,
    };
    let Some((place, exact)) = place else {
        return match mode {
            CodeMode::PerJob if !wish.nocodecopy => Err(SnapshotError::nothing_to_copy()),
            CodeMode::Archive if !wish.nocodecopy => {
                Ok(Some(Request { mode, source: root.to_owned(), place: SnapshotTarget::InPlan, reuse: false }))
            }
            _ => Ok(None),
        };
    };
    let place = match (exact, mode) {
        (true, CodeMode::Archive) => SnapshotTarget::At(with_zip(&place)),
        (true, _) => SnapshotTarget::At(place),
        (false, _) => SnapshotTarget::Below(place),
    };
    if wish.nocodecopy && !(exact && mode == CodeMode::Copy) {
        return Ok(None);
    }
    let source = root.join(source.unwrap_or_default());
    Ok(Some(Request { mode, source, place, reuse: wish.nocodecopy }))
}

/// What all experiments of a plan ask for, each request once.
///
/// # Errors
///
/// As [`decide`], and where two sources have the same destination.
pub fn requests<'a>(
    slurms: impl Iterator<Item = &'a Slurm>,
    root: &Path,
    wish: SnapshotFlags,
) -> Result<Vec<Request>, SnapshotError> {
    let mut found: Vec<Request> = Vec::new();
    for slurm in slurms {
        let Some(request) = decide(slurm, root, wish)? else { continue };
        if found.contains(&request) {
            continue;
        }
        if let (SnapshotTarget::At(place), Some(other)) =
            (&request.place, found.iter().find(|r| r.place == request.place))
        {
            return Err(SnapshotError::shared(place, &other.source, &request.source));
        }
        found.push(request);
    }
    Ok(found)
}

/// The `n`th name to try for a fresh snapshot of this second, from 1.
pub fn fresh_name(stamp: &str, n: u32, mode: CodeMode) -> String {
    let extension = if mode == CodeMode::Archive { ".zip" } else { "" };
    if n <= 1 { format!("{stamp}{extension}") } else { format!("{stamp}-{n}{extension}") }
}

fn with_zip(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".zip");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests;
