//! Folders of plans: which plans there are, whether anything came of one, and the verbatim copies that one keeps.

use super::{Result, StoreError, submissions};
use crate::plan::layout::{self, plan as names};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The plans a path names: itself, or those of a results folder (or of its `plans`), oldest first. None where it is neither.
pub fn find(path: &Path) -> Result<Vec<PathBuf>> {
    let is_plan = |folder: &Path| super::exists(&folder.join(names::MANIFEST));
    if is_plan(path) {
        return Ok(vec![path.to_owned()]);
    }
    let below = layout::plans(path);
    let folder = if below.is_dir() { &below } else { path };
    let entries = fs::read_dir(folder).map_err(|source| StoreError::new("read", folder, source))?;
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let mut plans: Vec<_> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter_map(|path| Some((number(&path)?, path)))
        .filter(|(_, path)| is_plan(path))
        .collect();
    plans.sort_unstable();
    Ok(plans.into_iter().map(|(_, path)| path).collect())
}

/// As [`find`], for every folder directly below `path` that holds a folder of plans.
pub fn find_below(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(path).map_err(|source| StoreError::new("read", path, source))?;
    let mut folders: Vec<_> =
        entries.filter_map(|entry| entry.ok().map(|entry| layout::plans(&entry.path()))).collect();
    folders.sort_unstable();
    folders.retain(|plans| plans.is_dir());
    // A folder that may not be read is none of ours.
    Ok(folders.iter().flat_map(|plans| find(plans).unwrap_or_default()).collect())
}

/// The users (numbers) who may have submitted a plan: who made it, and who last used `cw2 submit`.
pub fn users(plan: &Path) -> impl Iterator<Item = u32> {
    let files = [plan.to_owned(), plan.join(submissions::FILE)];
    files.into_iter().filter_map(|path| fs::metadata(path).ok()).map(|metadata| metadata.uid())
}

/// In a plan's folder, once a worker was started with it.
const BEGUN: &str = "begun";

/// Notes that a worker was started with a plan.
pub fn note_begun(plan: &Path) -> Result<()> {
    let path = plan.join(BEGUN);
    match fs::File::create_new(&path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(StoreError::new("create", &path, error)),
        _ => Ok(()),
    }
}

/// Whether a plan was ever submitted or run: a worker was started with it, `cw2 submit` got a job's number for it, or Slurm wrote
/// a log beside it. Of one that somebody submitted by hand and that waits, only Slurm can tell.
pub fn has_begun(plan: &Path) -> Result<bool> {
    let logs = || fs::read_dir(plan.join(names::SLURM_LOG)).is_ok_and(|mut logs| logs.next().is_some());
    let submitted = || Ok(submissions::read(plan)?.submissions.iter().any(|submission| submission.job.is_some()));
    Ok(super::exists(&plan.join(BEGUN)) || logs() || submitted()?)
}

/// The verbatim copies in a folder of a plan: file name and text; none where the plan has no such folder.
pub fn copies(plan: &Path, folder: &str) -> Result<Vec<(String, String)>> {
    let folder = plan.join(folder);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::new("read", &folder, error)),
    };
    let mut copies = Vec::new();
    for entry in entries {
        let path = entry.map_err(|source| StoreError::new("read", &folder, source))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        copies.push((name, String::from_utf8_lossy(&super::read(&path)?).into_owned()));
    }
    copies.sort_unstable();
    Ok(copies)
}
