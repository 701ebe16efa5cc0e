//! The environment of a repetition's processes.

use super::Options;
use super::devices::Slot;
use nix::unistd::{AccessFlags, access};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

/// What tells libraries how many threads to start; set to the slot's share unless the user set it.
const THREADS: [&str; 5] =
    ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "RAYON_NUM_THREADS"];

/// The variables that tell libraries how many threads to start, as far as the user did not set them.
pub(super) fn threads(number: usize) -> impl Iterator<Item = (&'static str, OsString)> {
    let unset = THREADS.into_iter().filter(|name| std::env::var_os(name).is_none());
    unset.map(move |name| (name, number.to_string().into()))
}

/// The variables of one attempt.
#[derive(Debug)]
pub(super) struct Variables(Vec<(OsString, OsString)>);

impl Variables {
    /// Those of the slot; the user's own and the repetition's are added with [`Variables::set`].
    pub(super) fn new(slot: &Slot, options: &Options) -> Self {
        let mut variables = Variables(Vec::with_capacity(32));
        let cpus = slot.threads.to_string();
        variables.set("CW2_SLOT", slot.number.to_string());
        variables.set("CW2_CPUS", &cpus);
        variables.set("CW2_GPUS", &slot.gpus);
        for (name, value) in threads(slot.threads) {
            variables.set(name, value);
        }
        for (name, value) in &slot.gpu_variables {
            variables.set(name, value);
        }
        if let Some(path) = options.tool.as_ref().and_then(|tool| with_folders(tool.folders())) {
            variables.set("PATH", path);
        }
        variables
    }

    /// Sets one; a later value wins.
    pub(super) fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.0.push((name.into(), value.into()));
    }

    /// The program's file, looked up in the repetition's own `PATH`. Left to the standard library, a changed `PATH` would
    /// cost a full fork for every start.
    pub(super) fn find(&self, program: &str) -> PathBuf {
        let path = self.0.iter().rev().find(|(name, _)| name == "PATH").map(|(_, path)| path);
        if program.contains('/') {
            return PathBuf::from(program);
        }
        let found = path.and_then(|path| {
            std::env::split_paths(path)
                // What a relative folder holds depends on the working directory: that search is left to the child.
                .take_while(|folder| folder.is_absolute())
                .map(|folder| folder.join(program))
                .find(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok())
        });
        found.unwrap_or_else(|| PathBuf::from(program))
    }

    /// Each once, with the value that wins, by their names.
    pub(super) fn pairs(&self) -> Vec<(OsString, OsString)> {
        self.0.iter().cloned().collect::<BTreeMap<_, _>>().into_iter().collect()
    }

    /// Hands them to a command.
    pub(super) fn apply(&self, command: &mut Command) {
        command.envs(self.0.iter().map(|(name, value)| (name, value)));
    }
}

/// This program, for `cw2 surrender` in repetitions.
#[derive(Debug)]
pub struct Tool {
    program: PathBuf,
    /// Holds a link of that name, where the program itself has another one; made for the first command.
    link: OnceLock<Option<TempDir>>,
}

impl Tool {
    const NAME: &str = "cw2";

    /// The program of this path.
    pub fn new(program: PathBuf) -> Self {
        Tool { program, link: OnceLock::new() }
    }

    /// The folders in which it is found by either name.
    fn folders(&self) -> impl Iterator<Item = &Path> {
        let own = self.program.parent();
        let named = self.program.file_name().is_some_and(|name| name == Self::NAME);
        let link = if named { None } else { self.link.get_or_init(|| self.link()).as_ref().map(TempDir::path) };
        link.into_iter().chain(own)
    }

    fn link(&self) -> Option<TempDir> {
        let made = tempfile::Builder::new().prefix("cw2-").tempdir().and_then(|folder| {
            std::os::unix::fs::symlink(&self.program, folder.path().join(Self::NAME))?;
            Ok(folder)
        });
        // Most commands do not need it.
        made.inspect_err(|error| log::warn!("repetitions will not find `{}`: cannot link to it: {error}", Self::NAME))
            .ok()
    }
}

/// `PATH` with these folders at its end.
fn with_folders<'a>(folders: impl Iterator<Item = &'a Path>) -> Option<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all: Vec<_> = std::env::split_paths(&path).collect();
    let known = all.len();
    for folder in folders {
        if all.iter().all(|known| known != folder) {
            all.push(folder.to_owned());
        }
    }
    if all.len() == known { None } else { std::env::join_paths(all).ok() }
}
