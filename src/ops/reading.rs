//! How a configuration is read: what the caller says besides its text.

use std::path::PathBuf;

/// How a configuration is read.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Reading {
    /// The file.
    pub config: PathBuf,
    /// Only these experiments; all where none is named.
    pub experiments: Vec<String>,
    /// `KEY=VALUE` for every experiment; the value is YAML.
    pub set: Vec<String>,
    /// Misspelt keys are errors.
    pub strict: bool,
    /// One repetition, of one iteration, of the first run of each experiment.
    pub debug: bool,
    /// The same, of every run.
    pub debug_all: bool,
    /// What every experiment's name begins with, and a `_`.
    pub prefix: Option<String>,
    /// The cluster whose SLURM document holds; the one that this machine's name tells where none is named.
    pub cluster: Option<String>,
    /// The configuration was written for the original cw2: tell where that one reads it otherwise.
    pub original: bool,
}
