//! What speaks against a snapshot.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// The most bytes a snapshot may have without `--skipsizecheck`, as in the original.
pub const SIZE_LIMIT: u64 = 200_000_000;

/// How many entries a refusal names.
const NAMED: usize = 5;

/// Why there is no snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotError {
    /// A source without a destination, or the reverse.
    Incomplete {
        /// It is the source that is there.
        has_source: bool,
    },
    /// `--multicopy` without a source and a destination.
    NothingToCopy,
    /// Two sources for one destination.
    Shared {
        /// The destination.
        place: PathBuf,
        /// One source.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// The destination lies in the source.
    Inside {
        /// The destination.
        place: PathBuf,
        /// The source.
        source: PathBuf,
    },
    /// Something that must stay lies in the destination.
    Around {
        /// The destination.
        place: PathBuf,
        /// What lies in it, in words.
        what: &'static str,
        /// Its path.
        inner: PathBuf,
    },
    /// The destination is there already.
    Exists {
        /// The destination.
        place: PathBuf,
        /// It would be an archive.
        archive: bool,
    },
    /// What is to be used as it is holds a copy for each job of another plan.
    PerJobCopies {
        /// The destination.
        place: PathBuf,
    },
    /// More bytes than [`SIZE_LIMIT`].
    TooLarge {
        /// The source.
        source: PathBuf,
        /// Its size.
        bytes: u64,
        /// Its largest entries, relative to it.
        largest: Vec<(PathBuf, u64)>,
    },
    /// Every file is ignored, or there is none.
    Empty {
        /// The source.
        source: PathBuf,
    },
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::Incomplete { has_source: true } => f.write_str(
                "the code snapshot is incomplete: SLURM has `experiment_copy_src`, but neither `experiment_copy_dst` nor \
                 `experiment_copy_auto_dst`; say where the copy goes, or remove the source",
            ),
            SnapshotError::Incomplete { has_source: false } => f.write_str(
                "the code snapshot is incomplete: SLURM has a destination, but no `experiment_copy_src`; say what is copied, \
                 or remove the destination",
            ),
            SnapshotError::NothingToCopy => f.write_str(
                "`--multicopy` needs a code snapshot; set `experiment_copy_src` and `experiment_copy_dst` (or \
                 `experiment_copy_auto_dst`) in SLURM",
            ),
            SnapshotError::Shared { place, first, second } => write!(
                f,
                "the code snapshots of `{}` and `{}` have the same destination `{}`; give each its own, or use \
                 `experiment_copy_auto_dst`",
                first.display(),
                second.display(),
                place.display()
            ),
            SnapshotError::Inside { place, source } => write!(
                f,
                "the code snapshot's destination `{}` lies inside its source `{}`: the copy would contain itself; choose a \
                 destination outside",
                place.display(),
                source.display()
            ),
            SnapshotError::Around { place, what, inner } => write!(
                f,
                "the code snapshot's destination `{}` holds {what} `{}`, which it would replace; choose a folder of its own",
                place.display(),
                inner.display()
            ),
            SnapshotError::Exists { place, archive: true } => write!(
                f,
                "the code archive `{}` exists; plan with `-o` to replace it (and to run finished repetitions again), or set \
                 `experiment_copy_auto_dst` for a fresh name each time",
                place.display()
            ),
            SnapshotError::Exists { place, archive: false } => write!(
                f,
                "the code snapshot's destination `{}` exists; plan with `-o` to replace it (and to run finished repetitions \
                 again), with `--nocodecopy` to run in it as it is, or set `experiment_copy_auto_dst` for a fresh folder \
                 each time",
                place.display()
            ),
            SnapshotError::PerJobCopies { place } => write!(
                f,
                "`--nocodecopy` would run all jobs in `{}`, which holds a copy for each job of an earlier plan (`--multicopy`) and \
                 no program: leave out `--nocodecopy`, or set another `experiment_copy_dst`",
                place.display()
            ),
            SnapshotError::TooLarge { source, bytes, largest } => {
                write!(
                    f,
                    "the code snapshot of `{}` would have {}, more than {}; the largest: ",
                    source.display(),
                    size(*bytes),
                    size(SIZE_LIMIT)
                )?;
                for (index, (path, bytes)) in largest.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}`{}` ({})", path.display(), size(*bytes))?;
                }
                f.write_str("; list what is not code in `.cw2ignore`, or plan with `--skipsizecheck`")
            }
            SnapshotError::Empty { source } => write!(
                f,
                "the code snapshot of `{}` would be empty: it has no file that `.gitignore` and `.cw2ignore` let through; \
                 check both, and `experiment_copy_src`",
                source.display()
            ),
        }
    }
}

impl std::error::Error for SnapshotError {}

/// A size in decimal units, as the limit counts it, rounded up: `4 bytes`, `1.2 kB`, `200 MB`.
pub fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        1 => return "1 byte".to_owned(),
        0..1_000 => return format!("{bytes} bytes"),
        1_000..1_000_000 => (1_000, "kB"),
        _ => (1_000_000, "MB"),
    };
    let tenths = bytes.div_ceil(unit / 10);
    let (whole, tenth) = (tenths / 10, tenths % 10);
    if tenth == 0 { format!("{whole} {name}") } else { format!("{whole}.{tenth} {name}") }
}

/// Whether a copy of `source` may go to `place`. Both without symbolic links and dots, like everything in `keep`: what must not
/// be replaced, with the words for it.
///
/// # Errors
///
/// [`SnapshotError::Inside`] and [`SnapshotError::Around`].
pub fn check_place(source: &Path, place: &Path, keep: &[(&'static str, &Path)]) -> Result<(), SnapshotError> {
    if place.starts_with(source) {
        return Err(SnapshotError::Inside { place: place.to_owned(), source: source.to_owned() });
    }
    let inside = [("its source", source)].into_iter().chain(keep.iter().copied());
    match inside.into_iter().find(|(_, inner)| inner.starts_with(place)) {
        Some((what, inner)) => Err(SnapshotError::Around { place: place.to_owned(), what, inner: inner.to_owned() }),
        None => Ok(()),
    }
}

/// Whether a snapshot is neither empty nor too large. `files` has each file's path relative to the source and its size.
///
/// # Errors
///
/// [`SnapshotError::Empty`] and, unless any size will do, [`SnapshotError::TooLarge`].
pub fn check_size<'a>(
    source: &Path,
    files: impl Iterator<Item = (&'a Path, u64)> + Clone,
    any_size: bool,
) -> Result<(), SnapshotError> {
    if files.clone().next().is_none() {
        return Err(SnapshotError::Empty { source: source.to_owned() });
    }
    let bytes = files.clone().map(|(_, size)| size).fold(0, u64::saturating_add);
    if any_size || bytes <= SIZE_LIMIT {
        return Ok(());
    }
    Err(SnapshotError::TooLarge { source: source.to_owned(), bytes, largest: largest(files) })
}

/// The largest entries: at the top, or further down where one entry has most of its folder's bytes.
fn largest<'a>(files: impl Iterator<Item = (&'a Path, u64)>) -> Vec<(PathBuf, u64)> {
    let mut folders: BTreeMap<&Path, BTreeMap<&Path, u64>> = BTreeMap::new();
    for (path, size) in files {
        let mut entry = path;
        while let Some(parent) = entry.parent() {
            *folders.entry(parent).or_default().entry(entry).or_default() += size;
            entry = parent;
        }
    }
    let top = folders.get(Path::new("")).into_iter().flatten();
    let mut entries: Vec<(PathBuf, u64)> = top
        .map(|(path, size)| {
            let (mut path, mut size) = (*path, *size);
            while let Some((inner, most)) =
                folders.get(path).and_then(|inside| inside.iter().max_by_key(|(_, size)| **size))
                && *most > size / 2
            {
                (path, size) = (inner, *most);
            }
            (path.to_owned(), size)
        })
        .collect();
    entries.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
    entries.truncate(NAMED);
    entries
}
