//! What `status` finds, as one value.

use super::advice::Advice;
use super::failures::Group;
use super::next::Step;
use super::progress::{Estimate, Progress};
use super::reps_table::RepRow;
use jiff::Timestamp;

/// One look at some plans, counted.
#[derive(Debug)]
pub struct Report {
    /// When it was taken.
    pub now: Timestamp,
    /// The plans' folders.
    pub plans: Vec<String>,
    /// Why Slurm could not be asked, where it could not.
    pub cluster_error: Option<String>,
    /// Whether that leaves something open.
    pub unsure: bool,
    /// All together.
    pub total: Row,
    /// By experiment.
    pub experiments: Vec<Row>,
    /// By run, where asked for.
    pub runs: Option<Vec<Row>>,
    /// Each repetition, where asked for.
    pub reps: Option<Vec<RepRow>>,
    /// Why repetitions were interrupted, and how many were for that.
    pub interrupted: Vec<(String, u64)>,
    /// What to do next.
    pub next: Vec<Step>,
    /// What failed, where asked for.
    pub failed: Option<Vec<Group>>,
    /// What would fit, where asked for.
    pub advice: Option<Vec<Advice>>,
    /// Why elements wait: Slurm's reason, and how many do for it.
    pub waiting: Vec<(String, u64)>,
    /// How many repetitions are left out because they are forgotten.
    pub forgotten: u64,
    /// Why what is forgotten cannot be read.
    pub unreadable_forgotten: Vec<String>,
    /// Plans that were never submitted, and how many repetitions that lie in no other are left out for that.
    pub unsubmitted: Vec<(String, u64)>,
    /// Which plans cannot be read, and why.
    pub unreadable_plans: Vec<String>,
    /// Which status files cannot be read, and why.
    pub unreadable: Vec<String>,
}

/// One line: an experiment or a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The folder its plans lie in.
    pub path: String,
    /// The experiment's name.
    pub experiment: String,
    /// The run's, where runs are told.
    pub run: Option<String>,
    /// How far it is.
    pub progress: Progress,
    /// When it will be done.
    pub estimate: Estimate,
}
