//! `PYTHONPATH` for jobs that run in a copy.

use crate::paths::clean;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// An entry of a job's `PYTHONPATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathEntry {
    /// In the job's copy, relative to it; empty for the copy itself.
    InCopy(PathBuf),
    /// Anywhere else.
    Elsewhere(PathBuf),
}

/// The submitter's `PYTHONPATH` with every folder of the source replaced by the copy's, as the original does it with Python's
/// own `sys.path`; the copy itself is in it, first where it was not before.
///
/// `root` is where relative entries start (an empty one is `root` itself, as Python reads it). `resolve` takes symbolic links
/// out of a path, as they are out of `source`.
pub fn python_path(
    submitters: Option<&OsStr>,
    root: &Path,
    source: &Path,
    resolve: impl Fn(&Path) -> PathBuf,
) -> Vec<PathEntry> {
    let entries = submitters.filter(|path| !path.is_empty()).into_iter().flat_map(|path| {
        // Python splits at every colon; nothing quotes one.
        path.as_bytes().split(|byte| *byte == b':').map(|entry| root.join(OsStr::from_bytes(entry)))
    });
    let mut path: Vec<PathEntry> = Vec::new();
    for entry in entries {
        let entry = match resolve(&entry).strip_prefix(source) {
            Ok(inner) => PathEntry::InCopy(inner.to_owned()),
            Err(_) => PathEntry::Elsewhere(clean(&entry)),
        };
        if !path.contains(&entry) {
            path.push(entry);
        }
    }
    let copy = PathEntry::InCopy(PathBuf::new());
    if !path.contains(&copy) {
        path.insert(0, copy);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_original_is_replaced_by_the_copy() {
        let source = Path::new("/home/u/p");
        let path = python_path(Some("/opt/lib:src:/home/u/p2".as_ref()), source, source, Path::to_path_buf);
        assert_eq!(
            path,
            [
                PathEntry::InCopy("".into()),
                PathEntry::Elsewhere("/opt/lib".into()),
                PathEntry::InCopy("src".into()),
                PathEntry::Elsewhere("/home/u/p2".into()),
            ]
        );
    }
}
