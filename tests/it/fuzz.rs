//! The corpus of the fuzz targets: what must hold for any input holds for all that fuzzing has come across.

#[path = "../../fuzz/src/lib.rs"]
mod properties;

use std::fs;
use std::path::Path;

/// Holds a property to each input of a target.
fn replay(target: &str, property: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> =
        fs::read_dir(&folder).expect("a corpus").map(|entry| entry.expect("an input").path()).collect();
    paths.sort();
    assert!(paths.len() > 5, "{}", folder.display());
    for path in paths {
        println!("{}", path.display());
        property(&fs::read(&path).expect("an input"));
    }
}

#[test]
fn configurations() {
    replay("yaml", properties::yaml);
}

#[test]
fn plans() {
    replay("plan", properties::plan);
}

#[test]
fn sbatch_values() {
    replay("sbatch", properties::sbatch);
}

#[test]
fn shell_texts() {
    replay("shell", properties::shell);
}
