//! Which repetitions of a run are finished, for the planner: all runs side by side.

use super::{Result, files, rep};
use crate::experiment::{params_sha256, same_but_for};
use crate::plan::{PlannedRun, Reps};
use crate::run::status::Found;
use crate::value::Value;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Why it cannot be told.
#[derive(Debug)]
pub enum FinishedError {
    /// A folder cannot be read.
    Store(super::StoreError),
    /// A repetition is finished with other parameters.
    Differs {
        /// The place of its run among those looked at.
        run: usize,
        /// Its directory.
        dir: PathBuf,
        /// Its parameters, where they can be read.
        stored: Option<Value>,
    },
}

/// The finished repetitions of each run, none where it ends, whose directories start at `root`. Those that are finished with parameters that
/// count as the run's are added to what it is [`same_as`](crate::plan::record::RunRecord::same_as); `same` tells, by the line of
/// the experiment.
///
/// # Errors
/// That of the first run that has one.
pub fn look(runs: &mut [PlannedRun], root: &Path, same: &Same<'_>) -> std::result::Result<Vec<Reps>, FinishedError> {
    let above = |run: &PlannedRun| Path::new(&run.record.dir).parent().map(|parent| root.join(parent));
    let alike = |a: &PlannedRun, b: &PlannedRun| a.record.experiment == b.record.experiment;
    let mut finished = Vec::new();
    let mut end = 0;
    for runs in runs.chunk_by_mut(alike) {
        let first = end;
        end += runs.len();
        // All runs of an experiment lie in one folder: where that is not there, neither are they.
        let missing = runs
            .first()
            .filter(|_| runs.iter().all(|run| run.record.rep_dir.is_none()))
            .and_then(above)
            .is_some_and(|folder| std::fs::symlink_metadata(folder).is_err_and(|error| files::is_missing(&error)));
        if missing {
            continue;
        }
        finished.resize_with(first, Reps::default);
        let looks: Vec<_> = runs.par_iter().map(|run| look_at(run, root, same)).collect();
        for ((number, run), look) in (first..).zip(runs).zip(looks) {
            match look.map_err(FinishedError::Store)? {
                OnDisk::Finished(reps, same_as) => {
                    if !same_as.is_empty() {
                        run.record.same_as = same_as;
                    }
                    finished.push(reps);
                }
                OnDisk::Differs(dir, stored) => return Err(FinishedError::Differs { run: number, dir, stored }),
            }
        }
    }
    Ok(finished)
}

/// Which parameters count as the same.
#[derive(Debug, Clone, Copy)]
pub struct Same<'a> {
    /// The `defaults` of each experiment, by its line; mappings.
    pub defaults: &'a [Value],
}

impl Same<'_> {
    /// The defaults of a run's experiment, where it has some.
    fn of(&self, run: &PlannedRun) -> Option<&Value> {
        let defaults = self.defaults.get(run.record.experiment as usize)?;
        matches!(defaults, Value::Map(map) if !map.is_empty()).then_some(defaults)
    }

    fn asks(&self, run: &PlannedRun) -> bool {
        self.of(run).is_some()
    }

    /// Whether parameters on disk count as a run's.
    fn tells(&self, run: &PlannedRun, stored: Option<&Value>) -> bool {
        let (Some(defaults), Some(stored)) = (self.of(run), stored) else { return false };
        Value::from_json(&run.params).is_ok_and(|params| same_but_for(defaults, &params, stored))
    }
}

/// What is on disk of a run.
enum OnDisk {
    /// These repetitions are finished, with the plan's parameters; and the hashes of others that count as the same.
    Finished(Reps, Vec<String>),
    /// This repetition is finished with other parameters; theirs, where they can be read.
    Differs(PathBuf, Option<Value>),
}

/// Looks at the repetitions of one run. One name is looked up where nothing was run yet.
fn look_at(run: &PlannedRun, root: &Path, same: &Same<'_>) -> Result<OnDisk> {
    let mut finished = Reps::default();
    let mut same_as: Vec<String> = Vec::new();
    let Some(log) = run.record.rep_dir(root, 0).parent().map(Path::to_owned) else {
        return Ok(OnDisk::Finished(finished, same_as));
    };
    match std::fs::symlink_metadata(&log) {
        Ok(_) => {}
        Err(error) if files::is_missing(&error) => {
            return Ok(OnDisk::Finished(finished, same_as));
        }
        Err(error) => return Err(super::StoreError::new("read", &log, error)),
    }
    let mut unreadable = Vec::new();
    for number in run.reps.iter() {
        let dir = run.record.rep_dir(root, number);
        match rep::status(&dir) {
            // It may be finished, so no worker will run it as long as that is so; nor is it lost, as the plan holds it.
            Found::Unreadable(why) => unreadable.push(why),
            Found::Status(status) => {
                let known = status.params_sha256 == run.record.params_sha256 || same_as.contains(&status.params_sha256);
                // Also what is to be resumed is the same.
                if !known && (status.state.is_finished() || same.asks(run)) {
                    let stored = rep::stored_params(&dir);
                    let hash = stored.as_ref().map(params_sha256);
                    if hash.as_ref() == Some(&status.params_sha256) && same.tells(run, stored.as_ref()) {
                        same_as.push(status.params_sha256);
                    } else if status.state.is_finished() {
                        return Ok(OnDisk::Differs(dir, stored));
                    }
                }
                if status.state.is_finished() {
                    finished.push(number, 1);
                }
            }
            Found::Nothing => {}
        }
    }
    if let Some(first) = unreadable.first() {
        let others = match unreadable.len() - 1 {
            0 => String::new(),
            others => format!(" (and {others} more of this run)"),
        };
        log::warn!("{first}{others}; planned as not finished, but no worker runs it before that is mended");
    }
    Ok(OnDisk::Finished(finished, same_as))
}

/// Whether a repetition is finished, with its run's parameters.
pub fn is_finished(run: &PlannedRun, root: &Path, number: u32) -> bool {
    let Found::Status(status) = rep::status(&run.record.rep_dir(root, number)) else { return false };
    status.state.is_finished() && status.params_sha256 == run.record.params_sha256
}

/// The highest number among the plans that finished a repetition of the runs, whose directories start at `root`, of those in the
/// folder of plans `plans` (as states name it); also of plans that are gone. 0 where there is none.
pub fn newest_plan(runs: &[PlannedRun], root: &Path, plans: &Path) -> u32 {
    let newest = |run: &PlannedRun| {
        if run.record.rep_dir.is_none() && !super::exists(&root.join(&run.record.dir)) {
            return 0;
        }
        let numbers = run.reps.iter().filter_map(|number| match rep::status(&run.record.rep_dir(root, number)) {
            Found::Status(status) if status.state.is_finished() => number_in(Path::new(&status.plan), plans),
            _ => None,
        });
        numbers.max().unwrap_or(0)
    };
    runs.par_iter().map(newest).max().unwrap_or(0)
}

/// The number of a plan in this folder of plans.
fn number_in(plan: &Path, plans: &Path) -> Option<u32> {
    plan.parent().filter(|parent| *parent == plans)?;
    plan.file_name()?.to_str()?.parse().ok()
}
