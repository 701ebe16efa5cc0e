//! Repetitions that are found by their own directories, whoever copied, moved or renamed them.

use super::{Result, StoreError, rep};
use crate::plan::layout::{plan, rep as names};
use crate::run::status::Found;
use crate::value::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The directories of repetitions at or below a folder, in the order of their paths, neighbours by their numbers. Symbolic links
/// are not followed, and neither plans nor what a repetition holds is searched.
pub fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = search(folder)?;
    let number = |path: &Path| path.file_name()?.to_str()?.strip_prefix("rep_")?.parse::<u32>().ok();
    found.sort_by(|a: &PathBuf, b: &PathBuf| {
        a.parent().cmp(&b.parent()).then_with(|| number(a).cmp(&number(b))).then_with(|| a.cmp(b))
    });
    Ok(found)
}

fn search(top: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder).map_err(|source| StoreError::new("read", &folder, source)) {
            Ok(entries) => entries,
            Err(error) if folder == top => return Err(error),
            Err(error) => {
                log::warn!("{error}; repetitions in it are left out");
                continue;
            }
        };
        let (mut below, mut telling) = (Vec::new(), false);
        for entry in entries.flatten() {
            let name = entry.file_name();
            telling |= name == names::STATUS || name == names::CONFIG_JSON;
            if name == plan::MANIFEST {
                below.clear();
                break;
            }
            let hidden = name.as_encoded_bytes().starts_with(b".");
            if !hidden && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                below.push(entry.path());
            }
        }
        if telling && is_one(&folder) {
            found.push(folder);
        } else {
            folders.extend(below);
        }
    }
    Ok(found)
}

/// Whether a worker was here.
fn is_one(dir: &Path) -> bool {
    let config = || {
        rep::stored_config(dir).is_some_and(|config| config["rep"].as_i64().is_some() && config["run"] != Value::Null)
    };
    match rep::status(dir) {
        Found::Status(_) => true,
        // Whatever stands there may be of another program's.
        Found::Nothing | Found::Unreadable(_) => config(),
    }
}
