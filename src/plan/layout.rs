//! Every path cw2 writes to, as the names the original gave them. The only place that builds paths.

use std::path::{Path, PathBuf};

/// Names of the files in a repetition's directory.
pub mod rep {
    /// The resolved configuration, what `CW2_CONFIG` names: JSON, which is YAML too.
    pub const CONFIG: &str = "config.yml";
    /// The same, where the other one was YAML alone; now a program's own.
    pub const OLD_CONFIG: &str = "config.json";
    /// Standard output of every attempt.
    pub const OUT: &str = "out.log";
    /// Standard error of every attempt. Empty, it goes when the repetition is finished.
    pub const ERR: &str = "err.log";
    /// The repetition's truth.
    pub const STATUS: &str = "status.json";
    /// JSON lines the experiment appends.
    pub const METRICS: &str = "metrics.jsonl";
    /// The same as a table, where a Rust experiment has that logger.
    pub const METRICS_CSV: &str = "metrics.csv";
    /// The metrics of an earlier attempt that were set aside: it was not resumed, or a later one began them again.
    pub fn metrics_of(attempt: u32) -> String {
        format!("metrics.attempt-{attempt}.jsonl")
    }

    /// Whether cw2 puts a file of this name there; what an experiment may save has any other one.
    pub fn is_own(name: &str) -> bool {
        [CONFIG, OUT, ERR, STATUS, METRICS, METRICS_CSV, SURRENDER].contains(&name)
            || name.starts_with("metrics.attempt-")
            || name.strip_prefix('.').is_some_and(|name| name.starts_with(STATUS))
            || name.starts_with(REPORT)
    }

    /// What a Rust experiment saved to be resumed from.
    pub const CHECKPOINT: &str = "saved-state.json";
    /// What a program in Python tells of its crash, until its worker has read it.
    pub const REPORT: &str = ".report.json";
    /// The payload of a surrender.
    pub const SURRENDER: &str = "surrender.json";
}

/// Names of the files in a plan's folder.
pub mod plan {
    /// See [`crate::plan::record::Manifest`].
    pub const MANIFEST: &str = "plan.json";
    /// See [`crate::plan::record::ExperimentRecord`].
    pub const EXPERIMENTS: &str = "experiments.jsonl";
    /// A user's own keys, line for line with the experiments.
    pub const SETTINGS: &str = "settings.jsonl";
    /// See [`crate::plan::record::RunRecord`].
    pub const RUNS: &str = "runs.jsonl";
    /// Parameters, line for line with the runs.
    pub const PARAMS: &str = "params.jsonl";
    /// What a program in Python is given, line for line with the runs; see [`crate::config::Typed`].
    pub const PYTHON: &str = "python.jsonl";
    /// See [`crate::plan::record::JobLine`].
    pub const JOBS: &str = "jobs.jsonl";
    /// Verbatim copies of every YAML file read.
    pub const SOURCES: &str = "config";
    /// Verbatim copies of the users' script templates.
    pub const TEMPLATES: &str = "templates";
    /// Slurm's own logs, unless `slurm_log` says otherwise.
    pub const SLURM_LOG: &str = "slurm";
    /// See [`crate::plan::record::GitRecord`].
    pub const GIT: &str = "git.json";
    /// What the work tree had changed against its commit.
    pub const GIT_DIFF: &str = "git.diff";
    /// The archive of `--zip`, where no destination is configured.
    pub const CODE_ARCHIVE: &str = "code.zip";
}

/// In the folder of plans: runs that nobody wants any more.
pub const FORGOTTEN: &str = "forgotten.json";

/// The folder of all plans of a results folder.
pub fn plans(path: &Path) -> PathBuf {
    path.join("plans")
}

/// The name of the `n`th plan, from 1.
pub fn plan_name(n: u32) -> String {
    format!("{n:03}")
}

/// A job's own copy of the code, below the folder of all copies.
pub fn job_copy(copies: &Path, job: u64) -> PathBuf {
    copies.join(job.to_string())
}

/// The copy of the code that no job runs in, beside the jobs' own: what a retry's jobs get copies of.
pub fn untouched_copy(copies: &Path) -> PathBuf {
    copies.join(".untouched")
}

/// A run's folder: `<path>/<experiment>/<run>`, or `<path>/<experiment>` where nothing is combined, as in the original.
pub fn run_dir(path: &str, experiment: &str, run: Option<&str>) -> PathBuf {
    let base = Path::new(path).join(experiment);
    match run {
        Some(run) => base.join(run),
        None => base,
    }
}

/// A repetition's directory below its run's folder: `log/rep_00`.
pub fn rep_dir(run_dir: &Path, rep: u32) -> PathBuf {
    run_dir.join("log").join(format!("rep_{rep:02}"))
}
