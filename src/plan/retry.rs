//! Repetitions of earlier plans → the jobs of one more plan.
//!
//! Pure. Experiments, runs and parameters stay as they were frozen; only the bundles are cut anew. It must not decide which
//! repetitions are missing.

use super::build::{Built, Error, Sink};
use super::bundle::{self, Bundler};
use super::record::{Counts, ExperimentRecord, RunRecord};
use crate::run::standing::Standing;
use std::collections::HashMap;

/// An earlier plan, line for line.
#[derive(Debug, Clone)]
pub struct Original<'a> {
    /// Its experiments, as the new plan is to have them.
    pub experiments: Vec<ExperimentRecord>,
    /// The rest of their configuration, as JSON.
    pub settings: Vec<String>,
    /// Its runs.
    pub runs: &'a [RunRecord],
}

/// A repetition by its place in the earlier plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The number of the plan among those given.
    pub plan: usize,
    /// The line of its run.
    pub run: u32,
    /// Its number.
    pub rep: u32,
}

/// Whether a repetition is run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// It is.
    Yes,
    /// It is not.
    No(LeftOut),
}

/// Why a repetition is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// It is finished, is running or will be: its standing says so.
    Standing,
    /// Another experiment, run or number was asked for, or another standing.
    NotChosen,
    /// It is finished, but with other parameters: running it again would destroy that.
    OtherParams,
}

/// Decides from how a repetition stands; `only` are the standings asked for, all that miss something where it is empty.
pub fn wanted(standing: Standing, only: &[Standing]) -> Wanted {
    if !standing.is_missing() {
        Wanted::No(LeftOut::Standing)
    } else if only.is_empty() || only.contains(&standing) {
        Wanted::Yes
    } else {
        Wanted::No(LeftOut::NotChosen)
    }
}

/// What is run again, and how much is not, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picked {
    /// What is run again.
    pub places: Vec<Place>,
    retried: HashMap<Standing, u64>,
    left_out: HashMap<Standing, u64>,
    not_chosen: u64,
    other_params: u64,
}

impl Picked {
    /// Adds a repetition and the decision about it.
    pub fn add(&mut self, place: Place, standing: Standing, wanted: Wanted) {
        match wanted {
            Wanted::Yes => {
                self.places.push(place);
                *self.retried.entry(standing).or_default() += 1;
            }
            Wanted::No(LeftOut::Standing) => *self.left_out.entry(standing).or_default() += 1,
            Wanted::No(LeftOut::NotChosen) => self.not_chosen += 1,
            Wanted::No(LeftOut::OtherParams) => self.other_params += 1,
        }
    }

    /// How many are left out because they are finished.
    pub fn finished(&self) -> u64 {
        let finished = Standing::ALL.into_iter().filter(|standing| standing.is_finished());
        finished.map(|standing| self.left_out.get(&standing).copied().unwrap_or_default()).sum()
    }

    /// How many of each standing are run again, by their keys.
    pub fn retried(&self) -> Vec<(&'static str, u64)> {
        by_key(&self.retried)
    }

    /// How many are left out, by the reason.
    pub fn left_out(&self) -> Vec<(&'static str, u64)> {
        let others = [("not_chosen", self.not_chosen), ("other_parameters", self.other_params)];
        by_key(&self.left_out).into_iter().chain(others.into_iter().filter(|(_, count)| *count > 0)).collect()
    }

    /// Both, in a line each.
    pub fn summary(&self) -> String {
        let words = |counts: &HashMap<Standing, u64>| -> Vec<String> {
            let known = Standing::ALL.into_iter().filter_map(|standing| Some((standing, counts.get(&standing)?)));
            known.map(|(standing, count)| format!("{count} {}", standing.word())).collect()
        };
        let retried = words(&self.retried);
        let mut left = words(&self.left_out);
        let others =
            [(self.other_params, "finished with other parameters than these plans'"), (self.not_chosen, "not chosen")];
        left.extend(others.iter().filter(|(count, _)| *count > 0).map(|(count, why)| format!("{count} {why}")));
        let list = |words: &[String]| if words.is_empty() { "nothing".to_owned() } else { words.join(", ") };
        format!("to retry: {}\nleft out: {}", list(&retried), list(&left))
    }
}

fn by_key(counts: &HashMap<Standing, u64>) -> Vec<(&'static str, u64)> {
    Standing::ALL.into_iter().filter_map(|standing| Some((standing.key(), *counts.get(&standing)?))).collect()
}

/// An experiment of the new plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its record.
    pub record: ExperimentRecord,
    /// The rest of its configuration, as JSON.
    pub settings: String,
    /// Its runs that miss something.
    pub runs: Vec<Again>,
}

/// A run of the new plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    /// Its record; [`build`] gives it the line of its experiment.
    pub record: RunRecord,
    /// The plan and the line where its parameters are.
    pub from: (usize, u32),
    /// The repetitions to run, ascending.
    pub reps: Vec<u32>,
}

/// Puts together what is the same: experiments that are alike in everything, runs with the same directory and parameters.
/// Both come in the order in which they are first missing.
pub fn regroup(originals: &[Original<'_>], missing: &[Place]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    // Where an experiment of an earlier plan, and a run, went.
    let mut homes: HashMap<(usize, u32), Option<usize>> = HashMap::new();
    let mut known: HashMap<(usize, &str, &str), usize> = HashMap::new();
    for place in missing {
        let Some(original) = originals.get(place.plan) else { continue };
        let Some(run) = original.runs.get(place.run as usize) else { continue };
        let home = *homes.entry((place.plan, run.experiment)).or_insert_with(|| {
            let record = original.experiments.get(run.experiment as usize)?;
            let settings = original.settings.get(run.experiment as usize)?;
            let alike = |group: &Group| group.record == *record && group.settings == *settings;
            Some(groups.iter().position(alike).unwrap_or_else(|| {
                groups.push(Group { record: record.clone(), settings: settings.clone(), runs: Vec::new() });
                groups.len() - 1
            }))
        });
        let Some((home, group)) = home.and_then(|home| Some((home, groups.get_mut(home)?))) else { continue };
        let line = *known.entry((home, &run.dir, &run.params_sha256)).or_insert_with(|| {
            group.runs.push(Again { record: run.clone(), from: (place.plan, place.run), reps: Vec::new() });
            group.runs.len() - 1
        });
        if let Some(run) = group.runs.get_mut(line) {
            run.reps.push(place.rep);
        }
    }
    for run in groups.iter_mut().flat_map(|group| &mut group.runs) {
        run.reps.sort_unstable();
        run.reps.dedup();
    }
    groups
}

/// How many jobs the groups make whose configuration does not say how long an array may be.
pub fn jobs_to_cut(groups: &[Group]) -> u64 {
    let jobs = |group: &Group| {
        let reps: u64 = group.runs.iter().map(|run| run.reps.len() as u64).sum();
        reps.div_ceil(group.record.reps_per_job.max(1).into())
    };
    groups.iter().filter(|group| group.record.slurm.max_array_size.is_none()).map(jobs).sum()
}

/// Decides the new plan: everything goes to the sink. `params` gives a run's parameters in JSON, by its plan and line.
///
/// # Errors
///
/// What the sink or `params` says.
pub fn build(
    groups: &[Group],
    max_array_size: u32,
    params: &dyn Fn(usize, u32) -> anyhow::Result<String>,
    sink: &mut dyn Sink,
) -> Result<Built, Error> {
    let mut counts = Counts::default();
    let mut jobs = Vec::with_capacity(groups.len());
    let mut line = 0;
    for (index, group) in (0..).zip(groups) {
        sink.experiment(&group.record, &group.settings)?;
        counts.experiments += 1;
        let before = counts.jobs;
        let mut bundler = Bundler::new(group.record.reps_per_job);
        for run in &group.runs {
            let (plan, source) = run.from;
            sink.run(
                &RunRecord { experiment: index, ..run.record.clone() },
                &params(plan, source).map_err(Error::Oracle)?,
            )?;
            counts.runs += 1;
            for rep in &run.reps {
                counts.repetitions += 1;
                if let Some(job) = bundler.push(line, *rep) {
                    sink.job(&job)?;
                    counts.jobs += 1;
                }
            }
            line += 1;
        }
        if let Some(job) = bundler.finish() {
            sink.job(&job)?;
            counts.jobs += 1;
        }
        jobs.push(counts.jobs - before);
    }
    let records: Vec<_> = groups.iter().map(|group| group.record.clone()).collect();
    Ok(Built { counts, arrays: bundle::arrays(&records, &jobs, max_array_size), renamed: 0, idle_excludes: Vec::new() })
}

#[cfg(test)]
mod tests;
