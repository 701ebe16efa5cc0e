//! What a program in Python asks of a configuration, and what it changed before it hands itself over.

use super::failure::Failure;
use super::reading::Reading;
use crate::config::{self, Config, Typed};
use crate::experiment::{hex, params_sha256};
use crate::paths::clean;
use crate::plan::record::{PythonRecord, RunRecord};
use crate::plan::runs::Runs;
use crate::plan::{PlannedRun, Reps, layout};
use crate::store;
use crate::value::{Map, Value};
use rayon::prelude::*;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// What a program hands over.
#[derive(Debug, Clone, Deserialize)]
pub struct HandOver {
    /// How its configuration is read.
    pub config: String,
    /// Only these experiments.
    #[serde(default)]
    pub experiments: Vec<String>,
    /// `--debug`.
    #[serde(default)]
    pub debug: bool,
    /// `--debugall`.
    #[serde(default)]
    pub debug_all: bool,
    /// What every experiment's name begins with.
    #[serde(default)]
    pub prefix: Option<String>,
    /// `-o`.
    #[serde(default)]
    pub overwrite: bool,
    /// What its jobs call.
    pub program: PythonRecord,
    /// The digest of what it was given when it expanded the configuration.
    pub digest: String,
    /// What it changed.
    #[serde(default)]
    pub changes: Changes,
}

/// What a program changed of the configurations it was given.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Changes {
    /// Repetitions it left out: the run, as expanded, and the number.
    pub dropped: Vec<(usize, u32)>,
    /// Repetitions it changed.
    pub changed: Vec<Changed>,
    /// Other bundles, by experiments' names.
    pub bundles: Vec<Bundle>,
}

/// A repetition that a program changed.
#[derive(Debug, Clone, Deserialize)]
pub struct Changed {
    run: usize,
    rep: u32,
    /// All of its configuration, with Python's types.
    config: Value,
}

/// How a program wants the repetitions of an experiment bundled.
#[derive(Debug, Clone, Deserialize)]
pub struct Bundle {
    experiment: String,
    reps_per_job: Option<u32>,
    reps_in_parallel: Option<u32>,
}

impl HandOver {
    /// Takes what a program left in a file, which is gone then: the program may be killed before it could remove it.
    ///
    /// # Errors
    /// Where it cannot be read, or is none.
    pub fn take(path: &Path) -> Result<Self, Failure> {
        let text = store::read_large(path)?;
        let text = String::from_utf8_lossy(&text);
        let wrong =
            |why: String| Failure::Usage(format!("`{}` is not what a program hands over: {why}", path.display()));
        let value = Value::from_json(&text).map_err(|error| wrong(error.to_string()))?;
        let handed = value.to().map_err(|error| wrong(error.to_string()))?;
        store::files::remove_if_there(path)?;
        Ok(handed)
    }

    /// How its configuration is read.
    pub fn reading(&self) -> Reading {
        Reading {
            config: (&self.config).into(),
            experiments: self.experiments.clone(),
            debug: self.debug,
            debug_all: self.debug_all,
            prefix: self.prefix.clone(),
            ..Reading::default()
        }
    }
}

/// Adds Python's types to the experiments of a configuration.
pub fn add_types(config: &mut Config, reading: &Reading) {
    let debug = reading.debug || reading.debug_all;
    let of = |experiment| Arc::new(Typed::of(config, experiment, &reading.set, debug));
    let typed: Vec<_> = config.experiments.iter().map(of).collect();
    for (experiment, typed) in config.experiments.iter_mut().zip(typed) {
        experiment.typed = Some(typed);
    }
}

/// Adds the keys that tell a run's place, as the original has them.
pub fn complete(config: &Config, reading: &Reading, runs: &mut Runs) {
    let debug = reading.debug || reading.debug_all;
    runs.runs.par_iter_mut().for_each(|run| {
        let Some(experiment) = config.experiments.get(run.record.experiment as usize) else { return };
        let Some(Ok(Value::Map(mut map))) = run.python.as_deref().map(Value::from_json) else { return };
        let plain = layout::run_dir(&experiment.path, &run.record.run, None);
        let nested = if plain == Path::new(&run.record.dir) { "" } else { experiment.name.as_str() };
        let mut set = |key: &str, value: Value| map.insert(key.to_owned(), value);
        set("_basic_path", Value::from(experiment.path.as_str()));
        set("_experiment_name", Value::from(run.record.run.as_str()));
        set("_nested_dir", Value::from(nested));
        set("_debug", Value::Bool(debug));
        set("path", Value::from(run.record.dir.as_str()));
        set("log_path", Value::from(format!("{}/log", run.record.dir)));
        run.python = Some(Value::Map(map).to_json());
    });
}

/// What tells whether the runs are the same.
pub fn digest(runs: &Runs) -> String {
    let mut digest = Sha256::new();
    for run in &runs.runs {
        for text in [&run.record.dir, run.python.as_deref().unwrap_or_default()] {
            digest.update(text.len().to_le_bytes());
            digest.update(text);
        }
    }
    hex(&digest.finalize())
}

/// Other numbers of repetitions in a bundle.
pub fn bundle(config: &mut Config, bundles: &[Bundle]) {
    for bundle in bundles {
        let of = config.experiments.iter_mut().filter(|experiment| experiment.name == bundle.experiment);
        for experiment in of {
            experiment.reps_per_job = bundle.reps_per_job.filter(|n| *n > 0).unwrap_or(experiment.reps_per_job);
            experiment.reps_in_parallel =
                bundle.reps_in_parallel.filter(|n| *n > 0).unwrap_or(experiment.reps_in_parallel);
        }
    }
}

/// Makes the runs those that the program wants: a repetition that it changed becomes a run of its own, with the name and the
/// place of the one it belongs to.
///
/// # Errors
/// Where they are not the runs it was given, or what it changed cannot be.
pub fn change(runs: Runs, handed: &HandOver, root: &Path) -> Result<Runs, Failure> {
    if digest(&runs) != handed.digest {
        return Err(Failure::Usage(format!(
            "`{}` was changed while the program ran: its repetitions are others now; start it again",
            handed.config
        )));
    }
    let Changes { dropped, changed, .. } = &handed.changes;
    if dropped.is_empty() && changed.is_empty() {
        return Ok(runs);
    }
    let mut of_run: Vec<(Reps, Vec<&Changed>)> = runs.runs.iter().map(|_| (Reps::default(), Vec::new())).collect();
    let mut gone: Vec<(usize, u32)> = dropped.iter().copied().chain(changed.iter().map(|c| (c.run, c.rep))).collect();
    gone.sort_unstable();
    for (run, rep) in gone {
        if let Some((gone, _)) = of_run.get_mut(run) {
            gone.push(rep, 1);
        }
    }
    for change in changed {
        if let Some((_, changes)) = of_run.get_mut(change.run) {
            changes.push(change);
        }
    }
    let mut all = Vec::new();
    let mut places = HashSet::new();
    for (run, (gone, mut changes)) in runs.runs.into_iter().zip(of_run) {
        changes.sort_by_key(|change| change.rep);
        let changed =
            changes.into_iter().map(|change| changed_run(&run, change, root)).collect::<Result<Vec<_>, _>>()?;
        for own in &changed {
            let dir = own.record.rep_dir.as_ref().map(|dir| clean(&root.join(dir)));
            if let Some(dir) = dir.filter(|dir| !places.insert(dir.clone())) {
                return Err(Failure::Usage(format!(
                    "the program gives two repetitions the same `_rep_log_path`, `{}`; give each its own",
                    dir.display()
                )));
            }
        }
        let reps = run.reps.without(&gone);
        if reps.count() > 0 {
            all.push(PlannedRun { reps, ..run });
        }
        all.extend(changed);
    }
    Ok(Runs { runs: all, notes: runs.notes })
}

/// The run that a changed repetition becomes.
fn changed_run(run: &PlannedRun, change: &Changed, root: &Path) -> Result<PlannedRun, Failure> {
    let place = layout::rep_dir(Path::new(&run.record.dir), change.rep);
    let wrong = |what: &str| Failure::Usage(format!("the program changed `{}`, and {what}", place.display()));
    let Value::Map(config) = &change.config else { return Err(wrong("its configuration is no dict any more")) };
    let before = run.python.as_deref().and_then(|text| Value::from_json(text).ok());
    let same = before.as_ref().and_then(|before| before.get("params")) == config.get("params");
    let (params, params_sha256) = if same {
        (run.params.clone(), run.record.params_sha256.clone())
    } else {
        let params = match config.get("params").map(config::plain) {
            Some(params @ Value::Map(_)) => params,
            None | Some(Value::Null) => Value::Map(Map::new()),
            Some(_) => return Err(wrong("its `params` is no dict any more")),
        };
        (params.to_json(), params_sha256(&params))
    };
    let dir = match config.get("_rep_log_path").and_then(Value::as_str) {
        Some(dir) if clean(&root.join(dir)) == clean(&root.join(&place)) => None,
        Some(dir) if !dir.is_empty() && !dir.chars().any(char::is_control) => Some(dir.to_owned()),
        _ => return Err(wrong("its `_rep_log_path` is no path any more")),
    };
    Ok(PlannedRun {
        record: RunRecord { params_sha256, same_as: Vec::new(), rep_dir: dir, ..run.record.clone() },
        params,
        python: Some(change.config.to_json()),
        reps: std::iter::once(change.rep).collect(),
    })
}
