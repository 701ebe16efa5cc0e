//! Repetitions of earlier plans → the jobs of one more plan.
//!
//! Pure. Experiments, runs and parameters stay as they were frozen; only the bundles are cut anew. It must not decide which
//! repetitions are missing.

use super::record::{ExperimentRecord, RunRecord};
use super::value::{Plan, PlannedExperiment, PlannedRun};
use crate::run::effective_state::EffectiveState;
use std::collections::HashMap;

/// An earlier plan.
#[derive(Debug, Clone)]
pub struct Original<'a> {
    /// Its experiments, as the new plan is to have them.
    pub experiments: Vec<ExperimentRecord>,
    /// What it says.
    pub plan: &'a Plan,
    /// The rest of the configuration of those whose is another one, by their lines.
    pub settings: HashMap<u32, String>,
}

/// A repetition by its place in the earlier plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MissingRep {
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
    /// It is finished, is running or will be: its state says so.
    EffectiveState,
    /// Another experiment, run or number was asked for, or another state.
    NotChosen,
    /// It is finished, but with other parameters: running it again would destroy that.
    OtherParams,
}

/// Decides from how a repetition stands; `only` are the standings asked for, all that miss something where it is empty.
pub fn wanted(effective: EffectiveState, only: &[EffectiveState]) -> Wanted {
    if !effective.is_missing() {
        Wanted::No(LeftOut::EffectiveState)
    } else if only.is_empty() || only.contains(&effective) {
        Wanted::Yes
    } else {
        Wanted::No(LeftOut::NotChosen)
    }
}

/// What is run again, and how much is not, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picked {
    /// What is run again.
    pub places: Vec<MissingRep>,
    retried: HashMap<EffectiveState, u64>,
    left_out: HashMap<EffectiveState, u64>,
    not_chosen: u64,
    other_params: u64,
}

impl Picked {
    /// Adds a repetition and the decision about it.
    pub fn add(&mut self, place: MissingRep, effective: EffectiveState, wanted: Wanted) {
        match wanted {
            Wanted::Yes => {
                self.places.push(place);
                *self.retried.entry(effective).or_default() += 1;
            }
            Wanted::No(LeftOut::EffectiveState) => *self.left_out.entry(effective).or_default() += 1,
            Wanted::No(LeftOut::NotChosen) => self.not_chosen += 1,
            Wanted::No(LeftOut::OtherParams) => self.other_params += 1,
        }
    }

    /// How many are left out because they are finished.
    pub fn finished(&self) -> u64 {
        let finished = EffectiveState::ALL.into_iter().filter(|effective| effective.is_finished());
        finished.map(|effective| self.left_out.get(&effective).copied().unwrap_or_default()).sum()
    }

    /// How many of each state are run again, by their keys.
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
        let words = |counts: &HashMap<EffectiveState, u64>| -> Vec<String> {
            let known =
                EffectiveState::ALL.into_iter().filter_map(|effective| Some((effective, counts.get(&effective)?)));
            known.map(|(effective, count)| format!("{count} {}", effective.word())).collect()
        };
        let retried = words(&self.retried);
        let mut left = words(&self.left_out);
        let others = [
            (self.other_params, "finished with other parameters than these plans'"),
            (self.not_chosen, "not selected"),
        ];
        left.extend(others.iter().filter(|(count, _)| *count > 0).map(|(count, why)| format!("{count} {why}")));
        let list = |words: &[String]| if words.is_empty() { "nothing".to_owned() } else { words.join(", ") };
        format!("to retry: {}\nleft out: {}", list(&retried), list(&left))
    }
}

fn by_key(counts: &HashMap<EffectiveState, u64>) -> Vec<(&'static str, u64)> {
    EffectiveState::ALL.into_iter().filter_map(|effective| Some((effective.key(), *counts.get(&effective)?))).collect()
}

/// The new plan. What is the same is put together: experiments that are alike in everything, runs with the same directory and
/// parameters. Both come in the order in which they are first missing. `max_array_size` is as in
/// [`build`](super::build::build()).
pub fn build(originals: &[Original<'_>], missing: &[MissingRep], max_array_size: impl FnOnce(u64) -> u32) -> Plan {
    let mut groups: Vec<Group<'_>> = Vec::new();
    // Where an experiment of an earlier plan, and a run, went.
    let mut homes: HashMap<(usize, u32), Option<usize>> = HashMap::new();
    let mut known: HashMap<(usize, &str, &str, Option<&str>), usize> = HashMap::new();
    for place in missing {
        let Some(original) = originals.get(place.plan) else { continue };
        let Some(run) = original.plan.runs.get(place.run as usize) else { continue };
        let number = run.record.experiment;
        let home = *homes.entry((place.plan, number)).or_insert_with(|| {
            let record = original.experiments.get(number as usize)?;
            let settings = match original.settings.get(&number) {
                Some(settings) => settings,
                None => &original.plan.experiments.get(number as usize)?.settings,
            };
            let alike = |group: &Group<'_>| group.record == record && group.settings == settings;
            Some(groups.iter().position(alike).unwrap_or_else(|| {
                groups.push(Group { record, settings, runs: Vec::new() });
                groups.len() - 1
            }))
        });
        let Some((home, group)) = home.and_then(|home| Some((home, groups.get_mut(home)?))) else { continue };
        let same = (home, &*run.record.dir, &*run.record.params_sha256, run.python.as_deref());
        let line = *known.entry(same).or_insert_with(|| {
            group.runs.push((run, Vec::new()));
            group.runs.len() - 1
        });
        if let Some((_, reps)) = group.runs.get_mut(line) {
            reps.push(place.rep);
        }
    }
    let mut plan = Plan::default();
    for (experiment, group) in (0..).zip(groups) {
        plan.experiments.push(PlannedExperiment { record: group.record.clone(), settings: group.settings.to_owned() });
        for (run, mut reps) in group.runs {
            reps.sort_unstable();
            reps.dedup();
            let record = RunRecord { experiment, ..run.record.clone() };
            let (params, python) = (run.params.clone(), run.python.clone());
            plan.runs.push(PlannedRun { record, params, python, reps: reps.into_iter().collect() });
        }
    }
    plan.cut(max_array_size);
    plan
}

/// An experiment of the new plan, and its runs that miss something: the repetitions to run.
struct Group<'a> {
    record: &'a ExperimentRecord,
    settings: &'a str,
    runs: Vec<(&'a PlannedRun, Vec<u32>)>,
}

#[cfg(test)]
mod tests;
