//! What a configuration would plan beside what was planned before.
//!
//! Pure. A run is the same one where its directory is: what is stored there is what its results would be taken for.

use super::check::differences;
use super::record::ExperimentRecord;
use super::value::{Plan, PlannedExperiment, PlannedRun};
use crate::value::{Map, Value};
use std::collections::{BTreeMap, HashMap};

/// An experiment as an earlier plan has it.
#[derive(Debug, Clone)]
pub struct Known {
    /// The plan.
    pub plan: String,
    /// The experiment.
    pub experiment: PlannedExperiment,
    /// All its runs.
    pub runs: Vec<PlannedRun>,
}

/// Something that differs: its dotted path, what it was, what it is.
pub type Change = (String, Option<Value>, Option<Value>);

/// A run by its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its experiment.
    pub experiment: String,
    /// Its own.
    pub run: String,
    /// Its directory.
    pub dir: String,
    /// The earlier plan that has it, where it is told as of that one.
    pub plan: Option<String>,
}

/// What differs.
#[derive(Debug, Clone, Default)]
pub struct Difference {
    /// Runs that no earlier plan has.
    pub added: Vec<Named>,
    /// Runs that the configuration does not have any more.
    pub gone: Vec<Named>,
    /// Runs that have other parameters under the same name.
    pub changed: Vec<(Named, Vec<Change>)>,
    /// Experiments that run something else, or ask for something else, with the plan that has them.
    pub experiments: Vec<(String, String, Vec<Change>)>,
    /// Runs that do the same as another one, of this configuration or of an earlier plan.
    pub twins: Vec<(Named, Named)>,
    /// How many runs are in both, with the same parameters.
    pub same: u64,
}

impl Difference {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty()
            && self.gone.is_empty()
            && self.changed.is_empty()
            && self.experiments.is_empty()
            && self.twins.is_empty()
    }
}

/// Compares what was planned with a new plan.
pub fn diff(known: &[Known], plan: &Plan) -> Difference {
    let mut found = Difference::default();
    let old: HashMap<&str, (&Known, &PlannedRun)> = known
        .iter()
        .flat_map(|known| known.runs.iter().map(move |run| (run.record.dir.as_str(), (known, run))))
        .collect();
    let mut there = HashMap::new();
    for (experiment, run) in runs(plan) {
        there.insert(run.record.dir.as_str(), run);
        let name = named(experiment, run, None);
        match old.get(run.record.dir.as_str()) {
            None => found.added.push(name),
            Some((_, before)) if before.record.params_sha256 == run.record.params_sha256 => found.same += 1,
            Some((known, before)) => {
                let changes = params(before).zip(params(run)).map(|(a, b)| differences(&a, &b)).unwrap_or_default();
                found.changed.push((Named { plan: Some(known.plan.clone()), ..name }, changes));
            }
        }
    }
    for known in known {
        let gone = known.runs.iter().filter(|run| !there.contains_key(run.record.dir.as_str()));
        found.gone.extend(gone.map(|run| named(&known.experiment, run, Some(&known.plan))));
        if let Some(now) = plan.experiments.iter().find(|now| now.record.name == known.experiment.record.name) {
            let changes = differences(&of_experiment(&known.experiment), &of_experiment(now));
            if !changes.is_empty() {
                found.experiments.push((now.record.name.clone(), known.plan.clone(), changes));
            }
        }
    }
    found.twins = twins(known, plan, &old);
    found
}

/// Runs that do what another does, under another name.
fn twins(known: &[Known], plan: &Plan, old: &HashMap<&str, (&Known, &PlannedRun)>) -> Vec<(Named, Named)> {
    let mut twins = Vec::new();
    let mut first: BTreeMap<(String, &str), Named> = BTreeMap::new();
    let works: Vec<_> = plan.experiments.iter().map(work).collect();
    for (experiment, run) in runs(plan) {
        let work = works.get(run.record.experiment as usize).cloned().unwrap_or_default();
        let name = named(experiment, run, None);
        match first.get(&(work.clone(), run.record.params_sha256.as_str())) {
            Some(other) => twins.push((name, other.clone())),
            None => drop(first.insert((work, run.record.params_sha256.as_str()), name)),
        }
    }
    for known in known {
        let work = work(&known.experiment);
        for before in &known.runs {
            if let Some(new) = first.get(&(work.clone(), before.record.params_sha256.as_str())) {
                // Where both names are known, an earlier comparison told it.
                if new.dir != before.record.dir && !old.contains_key(new.dir.as_str()) {
                    twins.push((new.clone(), named(&known.experiment, before, Some(&known.plan))));
                }
            }
        }
    }
    twins
}

fn runs(plan: &Plan) -> impl Iterator<Item = (&PlannedExperiment, &PlannedRun)> {
    plan.runs.iter().filter_map(|run| Some((plan.experiments.get(run.record.experiment as usize)?, run)))
}

fn named(experiment: &PlannedExperiment, run: &PlannedRun, plan: Option<&str>) -> Named {
    Named {
        experiment: experiment.record.name.clone(),
        run: run.record.run.clone(),
        dir: run.record.dir.clone(),
        plan: plan.map(str::to_owned),
    }
}

fn params(run: &PlannedRun) -> Option<Value> {
    Value::from_json(&run.params).ok()
}

/// The keys that say where, how often, side by side with what and under which names it runs: none of them what.
const NOT_WORK: [&str; 6] = ["name", "path", "repetitions", "reps_per_job", "reps_in_parallel", "defaults"];

/// What an experiment's runs do with their parameters.
fn work(experiment: &PlannedExperiment) -> String {
    let mut settings = map(&experiment.settings);
    settings.retain(|key, _| !NOT_WORK.contains(&key.as_str()));
    Value::Map(settings).to_canonical_json()
}

/// What is compared of an experiment: what the worker obeys, what is asked of the cluster, and keys of the user's own.
fn of_experiment(experiment: &PlannedExperiment) -> Value {
    // What was decided or noted of one plan alone.
    let record = ExperimentRecord {
        python: None,
        template: None,
        overwrites_before: None,
        code: None,
        configured: None,
        ..experiment.record.clone()
    };
    let mut all = map(&serde_json::to_string(&record).unwrap_or_default());
    all.retain(|_, value| !value.is_null());
    if let Some(Value::Map(slurm)) = all.get_mut("slurm") {
        // Each option under its own name, as it is configured.
        let options = slurm.shift_remove("options");
        let options = options.as_ref().and_then(Value::as_list).unwrap_or_default();
        for option in options {
            let name = option.get("option").and_then(Value::as_str).unwrap_or_default();
            let value = option.get("value").cloned().unwrap_or(Value::Bool(true));
            let value = match value.get("values").and_then(Value::as_list) {
                Some([one]) => one.clone(),
                _ => value,
            };
            slurm.insert(name.to_owned(), value);
        }
    }
    let settings = map(&experiment.settings);
    for (key, value) in settings.into_iter().filter(|(key, value)| key != "path" && !value.is_null()) {
        all.entry(key).or_insert(value);
    }
    Value::Map(all)
}

fn map(json: &str) -> Map {
    match Value::from_json(json) {
        Ok(Value::Map(map)) => map,
        _ => Map::new(),
    }
}
