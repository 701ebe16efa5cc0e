//! The records a plan consists of on disk: what the planner decides and the worker obeys.
//!
//! One JSON line each, so that `jq` and the next version of cw2 can read them; [`FORMAT`] is in the manifest.
//! Free values (parameters, a user's own keys) lie beside them as JSON texts: `settings.jsonl` line for line with
//! `experiments.jsonl`, `params.jsonl` line for line with `runs.jsonl`.

use super::layout;
use crate::config::{FlagStyle, Slurm};
use crate::experiment::{paired_seed, seed};
use crate::run::status::Params;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The version of the plan format this program writes. It reads all from 1 to this one.
pub const FORMAT: u32 = 2;

/// `plan.json`: the head of a plan. Its size does not depend on the number of runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// See [`FORMAT`].
    pub format: u32,
    /// What tells its files' lines from those of any other plan.
    pub id: String,
    /// The version of cw2 that wrote it.
    pub cw2: String,
    /// When, RFC 3339.
    pub created: String,
    /// The working directory at plan time; every relative path of the plan starts here.
    pub root: String,
    /// The plan's own folder relative to `root`, so that a moved tree is found again.
    pub folder: String,
    /// The configuration file as the user named it.
    pub config: String,
    /// Whether finished repetitions are run again (`-o`).
    pub overwrite: bool,
    /// The plans whose missing repetitions `cw2 retry` put here, by their names; empty for a plan of a configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retry_of: Vec<String>,
    /// How many there are.
    pub counts: Counts,
    /// The jobs of each line of `jobs.jsonl` but the last; 1 before format 2.
    #[serde(default = "one")]
    pub jobs_per_line: u32,
    /// The arrays, in submission order.
    #[serde(with = "super::repeated")]
    pub arrays: Vec<ArrayRecord>,
    /// Whether it is of a program in Python: the configuration of each run lies beside its parameters.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub python: bool,
}

/// What a plan holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Experiments.
    pub experiments: u64,
    /// Runs.
    pub runs: u64,
    /// Repetitions to do.
    pub repetitions: u64,
    /// Repetitions left out because they are finished.
    pub finished: u64,
    /// Jobs.
    pub jobs: u64,
}

/// One Slurm job array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrayRecord {
    /// The script's file name inside the plan's folder.
    pub script: String,
    /// The number of its first job: element `i` is job `offset + i`, unless it is a pilot.
    pub offset: u64,
    /// How many jobs it has.
    pub jobs: u64,
    /// The code snapshot its jobs run in; the plan's root where `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<CodeRecord>,
    /// At most so many of them run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_parallel_jobs: Option<u32>,
    /// Its elements, where each takes job after job; one for each job where `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pilots: Option<u32>,
}

impl ArrayRecord {
    /// How many elements it has.
    pub fn elements(&self) -> u64 {
        self.pilots.map_or(self.jobs, u64::from)
    }

    /// The numbers of the jobs that one of its elements may run.
    pub fn jobs_of(&self, element: u64) -> std::ops::Range<u64> {
        match self.pilots {
            Some(_) => self.all_jobs(),
            None => self.offset.saturating_add(element)..self.offset.saturating_add(element).saturating_add(1),
        }
    }

    /// The numbers of its jobs.
    pub fn all_jobs(&self) -> std::ops::Range<u64> {
        self.offset..self.offset.saturating_add(self.jobs)
    }
}

/// A snapshot of the code, taken when the plan was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeRecord {
    /// What it is.
    pub mode: CodeMode,
    /// What was copied.
    pub source: String,
    /// Where the copy is, relative to the plan's root or absolute.
    pub place: String,
}

/// What a code snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeMode {
    /// One folder, in which all jobs run.
    Copy,
    /// A folder for each job, named by the job's number in the plan.
    PerJob,
    /// An archive for the record; jobs run in the source.
    Archive,
}

/// `git.json`: the state of the repository that the code came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitRecord {
    /// See [`FORMAT`].
    pub format: u32,
    /// The folder that was asked about.
    pub directory: String,
    /// The work tree it lies in.
    pub repository: Option<String>,
    /// The commit; `None` before the first one.
    pub commit: Option<String>,
    /// The branch; `None` where none is checked out.
    pub branch: Option<String>,
    /// Whether tracked files differ from the commit; `None` where that could not be told.
    pub dirty: Option<bool>,
    /// The file with the differences (`git apply` takes it), `None` where there are none.
    pub diff: Option<String>,
    /// What is missing in this record, and why.
    pub notes: Vec<String>,
}

/// A line of `experiments.jsonl`: what the worker must know of an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own")]
pub struct ExperimentRecord {
    /// Its name.
    pub name: String,
    /// Repetitions of each run, as configured.
    pub repetitions: u32,
    /// Handed to iterative experiments.
    pub iterations: Option<u64>,
    /// Seeds come of the repetitions' numbers alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paired_seeds: bool,
    /// Repetitions of a job.
    pub reps_per_job: u32,
    /// Slots of a job.
    pub reps_in_parallel: u32,
    /// What to run; `None` where it is the experiment of the Rust program that made the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandRecord>,
    /// The program in Python that made the plan, where its class is what runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python: Option<PythonRecord>,
    /// Whether what runs in Python starts as a copy of a process that has imported all it needs.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub warm_start: bool,
    /// What such a process imports for a `command` that is a Python script; empty where each starts by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warm_imports: Vec<String>,
    /// Environment; values are templates.
    pub env: IndexMap<String, String>,
    /// Working directory, a template, relative to the code snapshot (or the plan's root, without one); that itself where `None`.
    pub workdir: Option<String>,
    /// Command prefix, templates.
    pub launcher: Vec<String>,
    /// How the filter `flags` writes parameters.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub flag_style: FlagStyle,
    /// Seconds.
    pub timeout: Option<f64>,
    /// Automatic retries of a crash.
    pub retries: u32,
    /// Seconds between them.
    pub retry_delay: f64,
    /// Seconds a repetition is expected to take.
    pub rep_time: Option<f64>,
    /// A slot's CPUs.
    pub cpus_per_rep: Option<u32>,
    /// A slot's GPUs.
    pub gpus_per_rep: Option<f64>,
    /// More slots than CPUs are wanted.
    pub oversubscribe: bool,
    /// The signal that asks a repetition to write a checkpoint, such as `SIGUSR1`; `SIGTERM` where `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_signal: Option<String>,
    /// What it asks of the cluster.
    #[serde(default)]
    pub slurm: Slurm,
    /// The copy of the user's script template (`path_to_template`), relative to the plan's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The plan made with `-o` from which on a repetition counts as finished, where this one goes on with it; see
    /// [`crate::run::decide::counts_as_finished`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overwrites_before: Option<String>,
    /// In a plan made by `retry --resume`: what crashed or timed out is offered what it saved.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resume: bool,
    /// In a plan made by `retry`: the code snapshot of the earlier plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<CodeRecord>,
    /// What the configuration says, where `cw2 retry` changed it for this attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configured: Option<Box<Configured>>,
}

/// A program in Python whose class is an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonRecord {
    /// The interpreter with its options, and the script (or `-m` and a module).
    pub program: Vec<String>,
    /// What the script is called with; the number of the job comes behind.
    pub args: Vec<String>,
    /// Whether the program hands its repetitions out itself (a scheduler of its own).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scheduler: bool,
    /// The SLURM document with Python's types, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slurm: Option<String>,
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

fn is_usual(style: &FlagStyle) -> bool {
    *style == FlagStyle::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_yes(value: &bool) -> bool {
    *value
}

/// What `cw2 retry` can change for one attempt, as it was configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Configured {
    /// Repetitions of a job.
    pub reps_per_job: u32,
    /// What is asked of the cluster.
    #[serde(default)]
    pub slurm: Slurm,
    /// The copy of the user's script template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
}

impl ExperimentRecord {
    /// The seed of a repetition.
    pub fn seed(&self, run: &str, rep: u32) -> u32 {
        if self.paired_seeds { paired_seed(rep) } else { seed(&self.name, run, rep) }
    }

    /// What the configuration says, whatever earlier attempts changed.
    pub fn configured(&self) -> Configured {
        self.configured.as_deref().cloned().unwrap_or_else(|| Configured {
            reps_per_job: self.reps_per_job,
            slurm: self.slurm.clone(),
            template: self.template.clone(),
        })
    }

    /// Whether a job of either may run as an element of the same array.
    pub fn same_resources(&self, other: &Self) -> bool {
        let slots = |e: &Self| (e.reps_in_parallel, e.cpus_per_rep, e.gpus_per_rep, e.oversubscribe);
        let code = self.template == other.template && self.code == other.code;
        // A pilot runs commands, or hands its jobs to a program whose scheduler runs them; never both.
        let kind = self.slurm.pilots.is_none() || self.command.is_none() == other.command.is_none();
        self.slurm == other.slurm && code && kind && slots(self) == slots(other)
    }
}

/// The parts of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRecord {
    /// Runs first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub initialize: Option<ArgvRecord>,
    /// The experiment itself.
    pub run: ArgvRecord,
    /// Runs last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub finalize: Option<ArgvRecord>,
}

/// One program call; texts are templates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArgvRecord {
    /// Through `/bin/sh -c`.
    Shell(String),
    /// Without a shell.
    Exec(Vec<String>),
}

/// A line of `runs.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The line of its experiment, from 0.
    pub experiment: u32,
    /// Its name.
    pub run: String,
    /// Its folder, relative to the plan's root (or absolute); repetitions lie in `<dir>/log/rep_NN`.
    pub dir: String,
    /// SHA-256 of the parameters' canonical JSON, in hexadecimal.
    pub params_sha256: String,
    /// The same of other parameters that count as these: without what was added later (`defaults`), as they were found on disk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub same_as: Vec<String>,
    /// The directory of its only repetition, where a program put that elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rep_dir: Option<String>,
}

impl RunRecord {
    /// The hashes of its parameters.
    pub fn params(&self) -> Params<'_> {
        Params { sha256: &self.params_sha256, same_as: &self.same_as }
    }

    /// What tells its repetitions from those of any other run, besides their numbers: a folder as written.
    pub fn place(&self) -> &str {
        self.rep_dir.as_deref().unwrap_or(&self.dir)
    }

    /// The directory of one of its repetitions; `root` is where relative paths start.
    pub fn rep_dir(&self, root: &Path, rep: u32) -> PathBuf {
        match &self.rep_dir {
            Some(dir) => root.join(dir),
            None => layout::rep_dir(&root.join(&self.dir), rep),
        }
    }
}

/// A line of `jobs.jsonl`: jobs that follow each other, so many that none is longer than a worker reads at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum JobLine {
    /// Those of one experiment, then those of the next.
    Many {
        /// In order.
        jobs: Vec<Share>,
    },
    /// A single job, as format 1 has them.
    One(JobRecord),
}

/// Jobs of one experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The repetitions of each but the last.
    pub per_job: u32,
    /// `[run, runs, first repetition, how many]`: the same repetitions of each of so many runs, the first one as its line from 0.
    pub reps: Vec<(u32, u32, u32, u32)>,
}

impl Share {
    /// Its repetitions, run by run: `[run, first repetition, how many]`.
    pub fn stretches(&self) -> impl Iterator<Item = (u32, u32, u32)> + '_ {
        self.reps
            .iter()
            .flat_map(|&(run, runs, first, count)| (run..run.saturating_add(runs)).map(move |run| (run, first, count)))
    }

    /// How many jobs these are.
    fn jobs(&self) -> u64 {
        let reps = self.reps.iter().map(|(_, runs, _, count)| u64::from(*runs).saturating_mul((*count).into()));
        reps.fold(0, u64::saturating_add).div_ceil(self.per_job.max(1).into())
    }

    /// One of its jobs.
    fn job(&self, number: u64) -> impl Iterator<Item = (u32, u32, u32)> + '_ {
        let mut skip = number.saturating_mul(self.per_job.into());
        let mut room = self.per_job;
        let blocks = self.reps.iter().flat_map(move |&(run, runs, first, count)| {
            let all = u64::from(runs).saturating_mul(count.into());
            let skipped = skip.min(all);
            skip -= skipped;
            let count_or_one = u64::from(count.max(1));
            // Both below 2³², as they are parts of such numbers; those of a forged line stop at it.
            let part = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
            let (done, within) = (part(skipped / count_or_one), part(skipped % count_or_one));
            (done..runs).map(move |at| {
                let within = if at == done { within } else { 0 };
                (run.saturating_add(at), first.saturating_add(within), count.saturating_sub(within))
            })
        });
        blocks.map_while(move |(run, first, count)| {
            let taken = count.min(room);
            room -= taken;
            (taken > 0).then_some((run, first, taken))
        })
    }
}

impl JobLine {
    /// The repetitions of one of its jobs, in order: `[run, first repetition, how many]`. None where there is no such job.
    pub fn job(&self, number: u64) -> Box<dyn Iterator<Item = (u32, u32, u32)> + '_> {
        match self {
            JobLine::One(record) if number == 0 => Box::new(record.reps.iter().copied()),
            JobLine::One(_) => Box::new(std::iter::empty()),
            JobLine::Many { jobs } => {
                let mut number = number;
                for share in jobs {
                    match number.checked_sub(share.jobs()) {
                        None => return Box::new(share.job(number)),
                        Some(rest) => number = rest,
                    }
                }
                Box::new(std::iter::empty())
            }
        }
    }
}

/// The repetitions of one array element, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// `[run, first repetition, how many]`, the run as its line from 0. All of one experiment.
    pub reps: Vec<(u32, u32, u32)>,
}

impl JobRecord {
    /// Whether these can be the repetitions of a job: there are such runs and numbers, each comes once, in order, and all are of
    /// one experiment. `shape` gives a run's experiment and how many repetitions that has.
    ///
    /// # Errors
    ///
    /// What is wrong, for a person.
    pub fn check(&self, shape: impl Fn(u32) -> Option<(u32, u32)>) -> Result<(), String> {
        let mut experiment = None;
        let mut next = (0, 0);
        for &(run, first, count) in &self.reps {
            let (of, repetitions) = shape(run).ok_or_else(|| format!("there is no run {run}"))?;
            let end = first.checked_add(count).filter(|end| count > 0 && *end <= repetitions);
            let end = end.ok_or_else(|| format!("run {run} has no {count} repetitions from {first}"))?;
            if (run, first) < next {
                return Err(format!("repetition {first} of run {run} is out of order"));
            }
            if *experiment.get_or_insert(of) != of {
                return Err("it holds repetitions of two experiments".to_owned());
            }
            next = (run, end);
        }
        experiment.map(drop).ok_or_else(|| "it holds no repetition".to_owned())
    }
}
