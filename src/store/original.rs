//! Whether Python's original cw2 is installed beside this program, in the same environment: it is imported by the same name, so
//! that each package has overwritten files of the other. Python itself does not say so.

use std::fs;
use std::path::{Path, PathBuf};

/// What the original calls itself there, and what this package does.
const ORIGINAL: &str = "cw2-";
const OURS: &str = "clusterwork-";

/// The folder in which both are, for a program in the environment's `bin`.
pub fn beside(program: &Path) -> Option<PathBuf> {
    let lib = program.parent()?.parent()?.join("lib");
    let pythons = names(&lib).into_iter().filter(|name| name.starts_with("python3"));
    let packages =
        pythons.flat_map(|python| ["site-packages", "dist-packages"].map(|name| lib.join(&python).join(name)));
    packages.into_iter().find(|folder| {
        let names = names(folder);
        let has = |start: &str| names.iter().any(|name| name.starts_with(start) && name.ends_with(".dist-info"));
        has(ORIGINAL) && has(OURS)
    })
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}
