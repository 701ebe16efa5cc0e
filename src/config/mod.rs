//! YAML text → documents → resolved experiments.
//!
//! Owns the configuration language: parsing with positions, the key table, merging, imports, typed values and their errors.
//! Pure: files come through the [`Source`] trait. It must not expand sweeps (that is [`crate::experiment`]) nor know plans.
//! After this stage nobody sees an optional key: [`Experiment`] and [`Slurm`] hold decided values.

mod cluster;
mod command;
mod derive;
mod duration;
mod error;
mod expand;
mod fields;
mod flag_style;
mod import;
mod keys;
mod load;
mod merge;
pub mod metrics;
mod node;
pub mod option;
mod positions;
mod python;
mod random;
mod reader;
mod scalar;
#[cfg(feature = "cli")]
mod schema;
mod set;
mod slurm;
mod slurm_change;
mod stored;
mod sweep;
mod traps;
mod typed;
mod values;
mod yaml;

pub use duration::{SlurmTime, slurm_time};
pub mod scale;
pub use error::{Diagnostic, Report, no_experiment};
pub use expand::Surroundings;
pub use flag_style::{Bools, FlagStyle, Lists};
#[cfg(test)]
pub use keys::KEYS;
pub(crate) use keys::nearest;
pub use keys::reference_markdown;
pub use load::load;
#[cfg(test)]
pub use node::NodeKind;
pub use node::{At, Node};
pub use python::{Typed, plain, repetitions, slurm as typed_slurm};
#[cfg(feature = "cli")]
pub use schema::schema;
pub use slurm_change::SlurmChange;

use crate::value::{Map, Value};
use option::Options;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(test)]
pub(crate) mod tests;

/// Where the configuration's files come from.
pub trait Source {
    /// The bytes of a file.
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>>;

    /// The files and folders in `folder` that match a pattern, in the order of their names. An error where there are more than
    /// `most`.
    fn glob(&self, folder: &Path, pattern: &str, most: usize) -> std::io::Result<Vec<Match>>;
}

/// What matches a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Relative to the working directory, where it lies below that.
    pub path: PathBuf,
    /// Relative to the folder that was looked in.
    pub inner: PathBuf,
}

/// What the command line asks of a configuration.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Request {
    /// Only these experiments, by name; all where empty.
    pub experiments: Vec<String>,
    /// `key.path=value` assignments, the value in YAML; they win over every file.
    pub set: Vec<String>,
    /// Misspelt keys are errors.
    pub strict: bool,
    /// One repetition of one run (`--debug`).
    pub debug: bool,
    /// One repetition of every run (`--debugall`).
    pub debug_all: bool,
    /// This machine's name, for `SLURM_<host>`.
    pub hostname: String,
    /// The cluster whose `SLURM_<name>` holds, whatever this machine's name is (`--cluster`).
    pub cluster: Option<String>,
    /// What `~` and `${env:…}` stand for.
    pub surroundings: Surroundings,
    /// `command` may be missing: whoever only looks needs none, nor does a program that is the experiment itself.
    pub command_optional: bool,
    /// What every experiment's name begins with, and a `_`.
    pub prefix: Option<String>,
    /// Something is to be asked of the cluster, so that its settings must not get lost.
    pub for_slurm: bool,
    /// The files were written for the original: say where it reads them otherwise.
    pub original: bool,
}

/// A configuration, wholly resolved.
#[derive(Debug, Clone)]
pub struct Config {
    /// The experiments, in file order.
    pub experiments: Vec<Experiment>,
    /// The SLURM document for this host, merged.
    pub slurm: Option<Node>,
    /// Every file that was read, the configuration itself first; [`At::file`] indexes it.
    pub files: Vec<SourceFile>,
}

/// A file the configuration was read from.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// As the user would recognise it: the path given on the command line, imports relative to it.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// An experiment with every key decided.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key")]
pub struct Experiment {
    /// Its unique name.
    pub name: String,
    /// Where results go, as written.
    pub path: String,
    /// Repetitions of each run, at least 1.
    pub repetitions: u32,
    /// Handed to iterative experiments.
    pub iterations: Option<u64>,
    /// Repetitions a job bundles, at least 1.
    pub reps_per_job: u32,
    /// Slots of a job, at least 1.
    pub reps_in_parallel: u32,
    /// What to run; `None` only where the request allowed it.
    pub command: Option<Command>,
    /// Environment of every repetition; values are templates.
    pub env: Vec<(String, Template)>,
    /// Working directory of every repetition (a template).
    pub workdir: Option<Template>,
    /// Prefix of every command (templates), empty for none.
    pub launcher: Vec<Template>,
    /// How the filter `flags` writes parameters.
    pub flag_style: FlagStyle,
    /// Hard limit of a repetition, in seconds.
    pub timeout: Option<f64>,
    /// Automatic retries of a crash.
    pub retries: u32,
    /// Seconds to wait before a retry.
    pub retry_delay: f64,
    /// Expected duration of a repetition, in seconds.
    pub rep_time: Option<f64>,
    /// A slot's CPUs.
    pub cpus_per_rep: Option<u32>,
    /// A slot's GPUs, whole or a fraction below 1.
    pub gpus_per_rep: Option<f64>,
    /// More slots than CPUs are wanted.
    pub oversubscribe: bool,
    /// What tells a repetition to save its state: a signal's full name, such as `SIGTERM`.
    pub checkpoint_signal: String,
    /// What runs in Python starts as a copy of a process that has imported all it needs.
    pub warm_start: bool,
    /// What a process imports whose copies run a `command` that is a Python script; empty where each starts by itself.
    pub warm_imports: Vec<Template>,
    /// The parameters before any combination; a mapping.
    pub params: Node,
    /// The combinations, in document order.
    pub sweeps: Vec<Sweep>,
    /// Which runs are dropped.
    pub exclude: Vec<Exclude>,
    /// Parameters that are computed from the others, in document order.
    pub derive: Vec<Derive>,
    /// Parameters that were added later, with the values that the program had anyway: names and what is finished do not tell
    /// whether they are there. A mapping, empty for none; `params` holds them already.
    pub defaults: Value,
    /// `seed: rep`: seeds come of the repetitions' numbers alone.
    pub paired_seeds: bool,
    /// Keys that are not cw2's own: kept and handed to the experiment.
    pub extra: Map,
    /// The same keys, and cw2's own, with where each came from; for `show`.
    pub origin: Node,
    /// The cluster, for this experiment.
    pub slurm: Slurm,
    /// The keys of SLURM with where each came from.
    pub slurm_origin: Node,
    /// `--debug`: only the first run.
    pub first_run_only: bool,
    /// What named its parent, as the original keeps it.
    pub archived: Vec<(String, Node)>,
    /// The same experiment with the types that Python's reader of YAML gives it, for a program in Python.
    pub typed: Option<Arc<Typed>>,
}

impl Experiment {
    /// Where one of its keys stands; for a key that it does not have, where its name does.
    pub fn key_at(&self, key: &str) -> At {
        self.origin.key_at(key).or_else(|| self.origin.key_at("name")).unwrap_or_default()
    }
}

/// What drops a run.
#[derive(Debug, Clone)]
pub struct Exclude {
    /// Where it stands.
    pub at: At,
    /// Which runs are meant.
    pub pattern: Pattern,
}

/// Which runs are meant.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// Those with these parameters, nested mappings partially.
    Values(Value),
    /// Those for which this expression of minijinja's is true.
    Expression(String),
}

/// A parameter that is computed from the others.
#[derive(Debug, Clone)]
pub struct Derive {
    /// Its keys, from `params` down.
    pub path: Vec<String>,
    /// What computes it: every text in it is a template.
    pub value: Value,
    /// Where that stands.
    pub at: At,
}

/// One `grid…`, `list…`, `ablative…`, `random…` or `cases…` key.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// The key as written.
    pub key: String,
    /// Where it stands.
    pub at: At,
    /// How its axes combine.
    pub kind: SweepKind,
    /// Its axes, in document order; none for cases.
    pub axes: Vec<Axis>,
    /// The sweeps of each of its cases; empty for all other kinds.
    pub cases: Vec<Vec<Sweep>>,
}

impl Sweep {
    /// Every axis, those of its cases included, with the sweep it belongs to.
    pub fn each_axis(&self) -> Vec<(&Sweep, &Axis)> {
        let own = self.axes.iter().map(|axis| (self, axis));
        own.chain(self.cases.iter().flatten().flat_map(Sweep::each_axis)).collect()
    }
}

/// How the axes of a sweep combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepKind {
    /// Every combination; the last axis turns fastest.
    Grid,
    /// The first values of all, the second values of all, … as long as the shortest axis.
    List,
    /// Each value of each axis alone; `base` adds the unchanged parameters first.
    Ablative {
        /// `ablative_base: true`.
        base: bool,
    },
    /// The points that were drawn: the first values of all, the second values of all, …
    Random,
    /// All combinations of the first case, all of the second, …
    Cases,
}

/// The values one parameter takes in a sweep.
#[derive(Debug, Clone)]
pub struct Axis {
    /// The parameter's keys, from `params` down.
    pub path: Vec<String>,
    /// At least one value.
    pub values: Vec<Node>,
    /// How they are told in names.
    pub naming: Naming,
}

/// How values are told in the names of runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Naming {
    /// As they are.
    Whole,
    /// Numbers with three significant digits; who draws them tells equal ones apart.
    Short,
    /// Numbers with three significant digits, where that tells all of them apart.
    ShortApart,
    /// By these texts, one for each value.
    Labels(Vec<String>),
}

/// A text with its position, to be rendered by minijinja for each repetition.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// The template's source.
    pub text: String,
    /// Where it stands.
    pub at: At,
}

/// What runs a repetition.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Runs first; its failure skips `run`.
    pub initialize: Option<Argv>,
    /// The experiment itself.
    pub run: Argv,
    /// Runs last, once, whatever happened.
    pub finalize: Option<Argv>,
}

/// One program call.
#[derive(Debug, Clone, PartialEq)]
pub enum Argv {
    /// Through `/bin/sh -c`; every inserted value is quoted.
    Shell(Template),
    /// Without a shell, one template an argument.
    Exec(Vec<Template>),
}

/// The SLURM document, for one experiment. `None` means: the cluster's own default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_field_names, reason = "`slurm_log` is the key's own name")]
pub struct Slurm {
    /// What is asked of sbatch, by keys of their own and in `sbatch_args`.
    #[serde(skip_serializing_if = "Options::is_empty")]
    pub options: Options,
    /// At most this many elements at once: the `%N` of the array.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_parallel_jobs: Option<u32>,
    /// So many elements take job after job, instead of one for each job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pilots: Option<u32>,
    /// Shell lines before the worker starts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sh_lines: Vec<String>,
    /// Shell lines after the worker has ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sh_lines_after: Vec<String>,
    /// What is called once when all of the plan has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_finish: Option<String>,
    /// A virtual or conda environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub venv: Option<String>,
    /// The folder of Slurm's own logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slurm_log: Option<String>,
    /// The user's own script template, resolved against the file it is written in or the working directory.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "stored::path")]
    pub path_to_template: Option<PathBuf>,
    /// The original's name of an in-job scheduler; accepted, all mean the slots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<String>,
    /// The cluster's `MaxArraySize`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_array_size: Option<u32>,
    /// Requeue an element that ran out of time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requeue: Option<bool>,
    /// At most this often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requeues: Option<u32>,
    /// Warning time before the limit, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace: Option<f64>,
    /// Code snapshot: from where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment_copy_src: Option<String>,
    /// Code snapshot: to where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment_copy_dst: Option<String>,
    /// Code snapshot: to a fresh dated folder below this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment_copy_auto_dst: Option<String>,
    /// Keys that are not cw2's own, for the user's template.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", with = "stored::values")]
    pub extra: BTreeMap<String, Value>,
}
