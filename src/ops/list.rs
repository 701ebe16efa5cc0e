//! The repetitions of a configuration, or of a plan.

use super::failure::Failure;
use super::freeze::{self, Purpose};
use super::notice::Tell;
use super::reading::Reading;
use super::select::check_experiments;
use crate::plan::build::build;
use crate::plan::{Plan, PlannedRun, Reps};
use crate::store::{self, finished};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// A plan to be listed.
#[derive(Debug)]
pub struct Listing {
    /// The plan.
    pub plan: Plan,
    /// Where its relative paths start.
    pub root: PathBuf,
}

/// The plan of a folder, or what a configuration would become with nothing finished. Both have every experiment that is asked for.
///
/// # Errors
/// What is wrong with the configuration, or keeps the plan from being read.
pub fn list(reading: &Reading, tell: Tell<'_>) -> Result<Listing, Failure> {
    if !reading.config.is_dir() {
        let config = freeze::load(reading, Purpose::LOOK, tell)?;
        let root = freeze::working_directory()?;
        let runs = freeze::resolve(&config, reading, &root, |_| Ok(()))?;
        return Ok(Listing { plan: build(&config.experiments, runs, &[], &[], |_| u32::MAX), root });
    }
    let stored = store::plan::Plan::open(&reading.config)?;
    let plan = stored.read()?;
    let known: Vec<_> = plan.experiments.iter().map(|experiment| experiment.record.name.as_str()).collect();
    check_experiments(&reading.experiments, &known, &format!("plan `{}`", stored.folder.display()))?;
    Ok(Listing { plan, root: stored.root })
}

/// Which repetitions of each run are finished, with the parameters that they have here.
pub fn finished(listing: &Listing) -> Vec<Reps> {
    let runs = listing.plan.runs.par_iter();
    runs.map(|run| run.reps.iter().filter(|rep| finished::is_finished(run, &listing.root, *rep)).collect()).collect()
}

/// A repetition of a plan.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// Its experiment's name.
    pub experiment: &'a str,
    /// Its run.
    pub run: &'a PlannedRun,
    /// Its number.
    pub rep: u32,
    /// The number of its job.
    pub job: u64,
    /// The place of its run in the plan.
    pub line: u32,
}

impl Listed<'_> {
    /// Its directory.
    pub fn dir(&self) -> PathBuf {
        self.run.record.rep_dir(Path::new(""), self.rep)
    }
}

/// Every repetition of these experiments, or of all where none is named, job by job.
pub fn repetitions<'a>(plan: &'a Plan, experiments: &'a [String]) -> impl Iterator<Item = Listed<'a>> {
    let listed = (0..).zip(plan.jobs()).flat_map(move |(job, record)| {
        record.reps.into_iter().flat_map(move |(line, first, count)| {
            let run = plan.runs.get(line as usize);
            let found = run.and_then(|run| Some((plan.experiments.get(run.record.experiment as usize)?, run)));
            found.into_iter().flat_map(move |(experiment, run)| {
                let experiment = experiment.record.name.as_str();
                (first..first.saturating_add(count)).map(move |rep| Listed { experiment, run, rep, job, line })
            })
        })
    });
    listed.filter(|rep| experiments.is_empty() || experiments.iter().any(|name| name == rep.experiment))
}
