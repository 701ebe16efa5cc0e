//! Repetitions that are found by their own directories, whoever copied, moved or renamed them.

use super::{Result, StoreError, rep};
use crate::plan::layout::{plan, rep as names};
use crate::run::status::Found;
use crate::value::Value;
use rayon::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

/// The directories of repetitions at or below a folder, in the order of their paths, neighbours by their numbers. Symbolic links
/// are not followed, and neither plans nor what a repetition holds is searched.
pub fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    below_with(folder, |dir, _| dir.to_owned())
}

/// The same with what `look` makes of each and its status, side by side.
pub fn below_with<T: Send>(folder: &Path, look: impl Fn(&Path, Found) -> T + Sync) -> Result<Vec<T>> {
    let mut found = search(folder, &look)?;
    let number = |path: &Path| path.file_name()?.to_str()?.strip_prefix("rep_")?.parse::<u32>().ok();
    found.par_sort_by(|(a, _), (b, _)| {
        a.parent().cmp(&b.parent()).then_with(|| number(a).cmp(&number(b))).then_with(|| a.cmp(b))
    });
    Ok(found.into_iter().map(|(_, seen)| seen).collect())
}

fn search<T: Send>(top: &Path, look: &(impl Fn(&Path, Found) -> T + Sync)) -> Result<Vec<(PathBuf, T)>> {
    let mut found = Vec::new();
    let mut folders = vec![top.to_owned()];
    while !folders.is_empty() {
        let seen: Vec<_> = folders.into_par_iter().map(|folder| (see(&folder, look), folder)).collect();
        folders = Vec::new();
        for (seen, folder) in seen {
            match seen {
                Ok(Seen::Repetition(seen)) => found.push((folder, seen)),
                Ok(Seen::Folder(below)) => folders.extend(below),
                Err(error) if folder == top => return Err(error),
                Err(error) => log::warn!("{error}; repetitions in it are left out"),
            }
        }
    }
    Ok(found)
}

/// What a folder is.
enum Seen<T> {
    Repetition(T),
    /// No repetition's; with the folders that may be.
    Folder(Vec<PathBuf>),
}

fn see<T>(folder: &Path, look: &impl Fn(&Path, Found) -> T) -> Result<Seen<T>> {
    // Nearly every repetition has a status, and then need not be searched.
    let status = rep::status(folder);
    if matches!(status, Found::Status(_)) {
        return Ok(Seen::Repetition(look(folder, status)));
    }
    let entries = fs::read_dir(folder).map_err(|source| StoreError::new("read", folder, source))?;
    let (mut below, mut telling) = (Vec::new(), false);
    for entry in entries.flatten() {
        let name = entry.file_name();
        telling |= name == names::STATUS || name == names::CONFIG;
        if name == plan::MANIFEST {
            return Ok(Seen::Folder(Vec::new()));
        }
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if !hidden && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            below.push(entry.path());
        }
    }
    // Whatever stands there without a status may be another program's.
    let is_one = |config: Value| config["rep"].as_i64().is_some() && config["run"] != Value::Null;
    if telling && rep::stored_config(folder).is_some_and(is_one) {
        return Ok(Seen::Repetition(look(folder, status)));
    }
    Ok(Seen::Folder(below))
}
