//! The data that the page's script gets, as JSON. `templates/report/js/data.js` reads it.

use crate::report::advice::Advice;
use serde::Serialize;

/// All of it.
#[derive(Debug, Default, Serialize)]
pub struct Page {
    /// What the page is called.
    pub title: String,
    /// When it was made, for a person.
    pub created: String,
    /// The version of cw2.
    pub cw2: &'static str,
    /// The folders it was made from.
    pub sources: Vec<String>,
    /// What a person should know besides.
    pub notes: Vec<String>,
    /// The states that [`Reps::state`] counts.
    pub states: Vec<&'static str>,
    /// Seconds after which the page is to be read again.
    pub reload: Option<u32>,
    /// When all that is open will be done: `~12m 03s`, or why that is not known.
    pub estimate: Option<String>,
    /// The experiments.
    pub experiments: Vec<Experiment>,
    /// The runs.
    pub runs: Vec<Run>,
    /// The repetitions, in the order of the runs.
    pub reps: Reps,
    /// One for each metric of each experiment.
    pub metrics: Vec<Metric>,
    /// The same of what was logged over steps.
    pub curves: Vec<Curve>,
    /// Failures that are alike, the largest group first.
    pub failures: Vec<Failure>,
    /// Kinds of failures that are not among them.
    pub failures_left_out: usize,
    /// The versions of the code.
    pub code: Vec<Version>,
    /// The configurations.
    pub config: Vec<Config>,
}

/// An experiment.
#[derive(Debug, Serialize)]
pub struct Experiment {
    /// Its name.
    pub name: String,
    /// The folder its results lie in, where a plan tells.
    pub path: String,
    /// The parameters that differ from run to run.
    pub params: Vec<String>,
    /// Seconds of all attempts.
    pub seconds: f64,
    /// The same of this one.
    pub estimate: Option<String>,
    /// What is to be reached.
    pub objective: Option<Objective>,
    /// Requested and used.
    pub advice: Option<Advice>,
}

/// What is to be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Objective {
    /// The metric.
    pub metric: String,
    /// `max` or `min`.
    pub goal: &'static str,
}

/// A run.
#[derive(Debug, Serialize)]
pub struct Run {
    /// Its experiment, as its place in [`Page::experiments`].
    pub experiment: usize,
    /// Its name.
    pub name: String,
    /// The value of each of [`Experiment::params`].
    pub params: Vec<serde_json::Value>,
}

/// The repetitions, a column each.
#[derive(Debug, Default, Serialize)]
pub struct Reps {
    /// Their runs, as places in [`Page::runs`].
    pub run: Vec<usize>,
    /// Their numbers.
    pub rep: Vec<u32>,
    /// How they stand, as places in [`Page::states`].
    pub state: Vec<usize>,
    /// Seconds of the last attempt, and of earlier ones that it went on from.
    pub seconds: Vec<Option<f64>>,
    /// CPU seconds.
    pub cpu: Vec<Option<f64>>,
    /// The largest process, in bytes.
    pub rss: Vec<Option<u64>>,
    /// Seconds of earlier attempts that came to nothing.
    pub repeated: Vec<f64>,
    /// Their code, as places in [`Page::code`].
    pub code: Vec<Option<usize>>,
    /// Their directories.
    pub dir: Vec<String>,
}

/// A metric: of each repetition of the experiment, in their order, one number or none.
#[derive(Debug, Serialize)]
pub struct Metric {
    /// The experiment, as its place in [`Page::experiments`].
    pub experiment: usize,
    /// Its name.
    pub name: String,
    /// What was logged last.
    pub last: Vec<Option<f64>>,
    /// The smallest.
    pub min: Vec<Option<f64>>,
    /// The largest.
    pub max: Vec<Option<f64>>,
}

/// A metric over steps.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Curve {
    /// The experiment, as its place in [`Page::experiments`].
    pub experiment: usize,
    /// The metric.
    pub metric: String,
    /// What the steps count.
    pub step: String,
    /// The steps that are told.
    pub steps: Vec<f64>,
    /// Of how many.
    pub of: usize,
    /// Whether that is fewer.
    pub thinned: bool,
    /// The repetitions that have any, as their places.
    pub reps: Vec<usize>,
    /// How many repetitions' curves are left out.
    pub left_out: usize,
    /// A row for each of [`Curve::reps`], a value for each of [`Curve::steps`]: 32-bit floats, little-endian, in base64. What was
    /// not logged is no number.
    pub values: String,
}

/// Failures that are alike.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// How they stand.
    pub state: &'static str,
    /// What the first says, in a line.
    pub reason: String,
    /// Its last lines.
    pub lines: String,
    /// How many they are.
    pub count: u64,
    /// The directory of the first.
    pub example: String,
    /// What they have in common, a sentence each.
    pub common: Vec<String>,
    /// Which they are, as their places.
    pub reps: Vec<usize>,
}

/// A version of the code.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Version {
    /// The commit.
    pub commit: Option<String>,
    /// The branch.
    pub branch: Option<String>,
    /// Whether it was changed.
    pub dirty: Option<bool>,
    /// What was changed.
    pub diff: Option<String>,
    /// Whether that is not all.
    pub cut: bool,
    /// What is missing, and why.
    pub notes: Vec<String>,
    /// The plans that were made of it.
    pub plans: Vec<String>,
    /// When the first of them was made, for a person.
    pub created: Option<String>,
    /// How many repetitions ran it.
    pub reps: usize,
}

/// A configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Config {
    /// Its name.
    pub file: String,
    /// Its text.
    pub text: String,
    /// The plans that were made of it.
    pub plans: Vec<String>,
}
