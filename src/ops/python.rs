//! A program in Python: what it asks of a configuration, and what it changed before it hands itself over.

use super::failure::Failure;
use super::freeze::{self, Purpose, Reading, working_directory};
use super::notice::Tell;
use super::run::Given;
use super::work;
use crate::config::{self, Config, Typed};
use crate::experiment::{hex, params_sha256};
use crate::paths::clean;
use crate::plan::record::{PythonRecord, RunRecord};
use crate::plan::runs::Runs;
use crate::plan::{PlannedRun, Reps, layout};
use crate::run::status::{Found, State};
use crate::scheduler::{Jobs, Sharing};
use crate::store;
use crate::store::plan::{Job, Plan};
use crate::store::rep;
use crate::value::{Map, Value};
use crate::worker::{self, Control, End, Observer, Setting, Tally};
use anyhow::Context as _;
use rayon::prelude::*;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

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

/// A configuration as a program is given it.
#[derive(Debug)]
pub struct Expanded {
    /// The SLURM document, with Python's types.
    pub slurm: Option<Value>,
    /// Every run in the order of the plan.
    pub runs: Vec<PlannedRun>,
    /// The same in the order of the original: experiments that combine less come first.
    pub order: Vec<usize>,
    /// What tells whether it is the same when it is planned.
    pub digest: String,
}

impl HandOver {
    /// Reads what a program left in a file.
    ///
    /// # Errors
    /// Where it cannot be read, or is none.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = store::read_large(path)?;
        let text = String::from_utf8_lossy(&text);
        let wrong =
            |why: String| Failure::Usage(format!("`{}` is not what a program hands over: {why}", path.display()));
        let value = Value::from_json(&text).map_err(|error| wrong(error.to_string()))?;
        value.to().map_err(|error| wrong(error.to_string()))
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

/// Reads a configuration for a program.
///
/// # Errors
/// What is wrong with it.
pub fn expand(reading: &Reading, tell: Tell<'_>) -> Result<Expanded, Failure> {
    let mut config = freeze::load(reading, Purpose::LOOK, tell)?;
    let root = working_directory()?;
    add_types(&mut config, reading);
    let mut runs = freeze::resolve(&config, reading, &root, |_| Ok(()))?;
    complete(&config, reading, &mut runs);
    let mut order: Vec<usize> = (0..runs.runs.len()).collect();
    let sweeps = |run: &usize| {
        let experiment = runs.runs.get(*run).map_or(0, |run| run.record.experiment);
        config.experiments.get(experiment as usize).map_or(0, |experiment| experiment.sweeps.len())
    };
    order.sort_by_key(sweeps);
    let digest = digest(&runs);
    Ok(Expanded { slurm: config::typed_slurm(&config, &reading.set), runs: runs.runs, order, digest })
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
        let nested = if experiment.sweeps.is_empty() { "" } else { experiment.name.as_str() };
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
fn digest(runs: &Runs) -> String {
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
        record: RunRecord { params_sha256, rep_dir: dir, ..run.record.clone() },
        params,
        python: Some(change.config.to_json()),
        reps: std::iter::once(change.rep).collect(),
    })
}

/// The SLURM document of a plan, with Python's types, as far as its copy can still be read.
pub fn planned_slurm(plan: &Plan) -> Option<Value> {
    let copies = plan.folder.join(layout::plan::SOURCES);
    let name = Path::new(&plan.manifest.config).file_name()?;
    let reading = Reading { config: copies.join(name), ..Reading::default() };
    // Imports lie beside it under other names, so that it may not resolve; its documents can be read all the same.
    let config = freeze::load(&reading, Purpose::LOOK, &mut |_| {}).ok()?;
    config::typed_slurm(&config, &[])
}

/// Runs one repetition of a plan, with all that this process may use.
///
/// # Errors
/// Where the plan cannot be read, or there is no such repetition.
pub fn task(folder: &Path, job: u64, index: usize, given: Option<Given>) -> Result<Tally, Failure> {
    let control = work::start()?;
    let plan = Plan::open(folder)?;
    let options = work::options(Duration::from_secs(15))?;
    let warm = Given::host(given, &control)?;
    let setting = Setting {
        plan: &plan,
        options: &options,
        control: &control,
        observer: Arc::new(Quiet),
        factory: None,
        warm: &warm,
    };
    let jobs = Jobs::in_turn(setting, job..job + 1);
    let result = run_one(&jobs, index);
    crate::worker::end_strays();
    let mut tally = jobs.into_tally();
    tally.total = 1;
    result?;
    Ok(tally)
}

/// Runs one repetition of the job, bound to nothing that the caller is not.
fn run_one(jobs: &Jobs<'_>, index: usize) -> anyhow::Result<()> {
    let Some(job) = jobs.next()? else { return Ok(()) };
    let task = job.task(index).with_context(|| format!("job {} has no repetition {index}", job.number()))?;
    let lane = jobs.lanes().first().context("there is no lane")?;
    let slots = job.slots(lane, Sharing::One)?;
    task.execute(slots.first().context("there is no slot")?);
    Ok(())
}

/// Whether a program hands out the repetitions of a job itself.
pub fn of_scheduler(job: &Job) -> Option<&PythonRecord> {
    let record = &job.reps.first()?.run.experiment.record;
    record.python.as_ref().filter(|python| python.scheduler && record.command.is_none())
}

/// Lets a program hand out the repetitions of a job, and tells from their states how they ended.
pub fn schedule(
    record: &PythonRecord,
    plan: &Plan,
    job: &Job,
    options: &worker::Options,
    control: &Control,
) -> (Tally, anyhow::Result<()>) {
    let result = program_of(record, plan, job.number)
        .and_then(|mut command| Ok(worker::oversee(&mut command, options, control)?))
        .context("cannot start the program whose scheduler runs these repetitions");
    let mut tally = Tally::default();
    for rep in &job.reps {
        let Found::Status(status) = rep::status(&rep.dir) else { continue };
        let why = status.error.as_ref().map(|error| error.message.clone());
        let own = status.plan == plan.name() && status.slurm == options.slurm;
        match status.state {
            State::Running => {}
            state if own => tally.add(rep, End::Ran(state, why)),
            state if state.is_finished() => tally.add(rep, End::Skipped(state, None)),
            _ => {}
        }
    }
    (tally, result)
}

/// The call of a program that is to hand out the repetitions of a job.
fn program_of(record: &PythonRecord, plan: &Plan, job: u64) -> anyhow::Result<Command> {
    let (program, options) =
        record.program.split_first().context("it was typed into an interpreter; save it as a file")?;
    let role = serde_json::json!({ "kind": "job", "plan": plan.folder.to_string_lossy(), "job": job });
    let mut command = Command::new(program);
    command.args(options).args(&record.args).args(["-j", &job.to_string()]);
    command.env("CW2_PYTHON", role.to_string()).env("CW2_BINARY", std::env::current_exe()?);
    command.stdin(Stdio::null()).current_dir(plan.start_dir(job));
    Ok(command)
}

struct Quiet;

impl Observer for Quiet {}
