//! What speaks against a snapshot.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

/// The most bytes a snapshot may have without `--skipsizecheck`, as in the original.
pub const SIZE_LIMIT: u64 = 200_000_000;

/// How many entries a refusal names.
const NAMED: usize = 5;

/// Why there is no snapshot, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotError(String);

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SnapshotError {}

impl SnapshotError {
    /// A source without a destination, or the reverse.
    pub(super) fn incomplete(has_source: bool) -> Self {
        let why = if has_source {
            "SLURM has `experiment_copy_src`, but neither `experiment_copy_dst` nor `experiment_copy_auto_dst`; say where the \
             copy goes, or remove the source"
        } else {
            "SLURM has a destination, but no `experiment_copy_src`; say what is copied, or remove the destination"
        };
        SnapshotError(format!("the code snapshot is incomplete: {why}"))
    }

    /// `--multicopy` without a source and a destination.
    pub(super) fn nothing_to_copy() -> Self {
        SnapshotError(
            "`--multicopy` needs a code snapshot; set `experiment_copy_src` and `experiment_copy_dst` (or \
             `experiment_copy_auto_dst`) in SLURM"
                .to_owned(),
        )
    }

    /// A copy for each job, where nobody knows which job an element runs.
    pub fn of_pilots() -> Self {
        SnapshotError(
            "a copy of the code for each job (`--multicopy`) and `pilots` do not go together: a pilot starts in one place, and runs \
             many jobs; leave out one of them"
                .to_owned(),
        )
    }

    /// Two sources for one destination.
    pub(super) fn shared(place: &Path, first: &Path, second: &Path) -> Self {
        SnapshotError(format!(
            "the code snapshots of `{}` and `{}` have the same destination `{}`; give each its own, or use \
             `experiment_copy_auto_dst`",
            first.display(),
            second.display(),
            place.display()
        ))
    }

    /// The destination is there already.
    pub fn exists(place: &Path, archive: bool) -> Self {
        let place = place.display();
        SnapshotError(if archive {
            format!(
                "the code archive `{place}` exists; plan with `-o` to replace it (and to run finished repetitions again), or set \
                 `experiment_copy_auto_dst` for a fresh name each time"
            )
        } else {
            format!(
                "the code snapshot's destination `{place}` exists; plan with `-o` to replace it (and to run finished repetitions \
                 again), with `--nocodecopy` to run in it as it is, or set `experiment_copy_auto_dst` for a fresh folder \
                 each time"
            )
        })
    }

    /// What is to be used as it is holds a copy for each job of another plan.
    pub fn per_job_copies(place: &Path) -> Self {
        SnapshotError(format!(
            "`--nocodecopy` would run all jobs in `{}`, which holds a copy for each job of an earlier plan (`--multicopy`) and \
             no program: leave out `--nocodecopy`, or set another `experiment_copy_dst`",
            place.display()
        ))
    }
}

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
/// One lies in the other.
pub fn check_place(source: &Path, place: &Path, keep: &[(&'static str, &Path)]) -> Result<(), SnapshotError> {
    if place.starts_with(source) {
        return Err(SnapshotError(format!(
            "the code snapshot's destination `{}` lies inside its source `{}`: the copy would contain itself; choose a \
             destination outside",
            place.display(),
            source.display()
        )));
    }
    let inside = [("its source", source)].into_iter().chain(keep.iter().copied());
    match inside.into_iter().find(|(_, inner)| inner.starts_with(place)) {
        Some((what, inner)) => Err(SnapshotError(format!(
            "the code snapshot's destination `{}` holds {what} `{}`, which it would replace; choose a folder of its own",
            place.display(),
            inner.display()
        ))),
        None => Ok(()),
    }
}

/// Whether a snapshot is neither empty nor too large. `files` has each file's path relative to the source and its size.
///
/// # Errors
///
/// It is empty or, unless any size will do, larger than [`SIZE_LIMIT`].
pub fn check_size<'a>(
    source: &Path,
    files: impl Iterator<Item = (&'a Path, u64)>,
    any_size: bool,
) -> Result<(), SnapshotError> {
    let source = source.display();
    let mut top: BTreeMap<&OsStr, u64> = BTreeMap::new();
    for (path, size) in files {
        let entry = top.entry(path.iter().next().unwrap_or_default()).or_default();
        *entry = entry.saturating_add(size);
    }
    if top.is_empty() {
        return Err(SnapshotError(format!(
            "the code snapshot of `{source}` would be empty: it has no file that `.gitignore` and `.cw2ignore` let through; \
             check both, and `experiment_copy_src`"
        )));
    }
    let bytes = top.values().fold(0, |sum: u64, size| sum.saturating_add(*size));
    if any_size || bytes <= SIZE_LIMIT {
        return Ok(());
    }
    let mut largest: Vec<_> = top.into_iter().collect();
    largest.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let largest = largest.iter().take(NAMED).map(|(name, bytes)| format!("`{}` ({})", name.display(), size(*bytes)));
    Err(SnapshotError(format!(
        "the code snapshot of `{source}` would have {}, more than {}; the largest: {}; list what is not code in `.cw2ignore`, or \
         plan with `--skipsizecheck`",
        size(bytes),
        size(SIZE_LIMIT),
        largest.collect::<Vec<_>>().join(", ")
    )))
}
