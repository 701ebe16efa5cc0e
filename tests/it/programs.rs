//! The programs written with the library: those of `slurm-examples`, and one whose repetitions end in every way.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::support::CW2;

/// Where a program lies. All are built when the first one is asked for, as the tests themselves were.
///
/// # Panics
///
/// If they cannot be built.
pub(crate) fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let folder = Path::new(CW2).parent().expect("the binary lies in a folder");
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(["build", "--quiet", "--locked", "--offline", "--bins", "--example", "every-ending"]);
        command.args(["-p", "clusterwork", "-p", "rust-iterative", "-p", "rust-scheduler", "--target-dir"]);
        command.arg(folder.parent().expect("it lies in the target folder"));
        if folder.ends_with("release") {
            command.arg("--release");
        }
        let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        folder.to_owned()
    });
    match name {
        "every-ending" => folder.join("examples").join(name),
        _ => folder.join(name),
    }
}
