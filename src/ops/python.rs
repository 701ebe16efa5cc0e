//! A program in Python: the configuration that it is given, and its part in a job.

use super::failure::Failure;
use super::freeze::{self, Purpose, working_directory};
use super::handed::{add_types, complete, digest};
use super::here::hostname;
use super::notice::Tell;
use super::reading::Reading;
use super::run::Given;
use super::work;
use crate::config;
use crate::plan::record::PythonRecord;
use crate::plan::{PlannedRun, layout};
use crate::run::status::{Found, State};
use crate::scheduler::{Jobs, Sharing};
use crate::store;
use crate::store::plan::{Job, Plan};
use crate::store::rep;
use crate::value::{Map, Value};
use crate::worker::{self, Control, End, Observer, Setting, Tally};
use anyhow::Context as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

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

/// What a program wrote of an expanded configuration, with the SLURM document: each repetition of the chosen experiments.
/// `None` where the file is something else.
pub fn written(reading: &Reading) -> Option<(Option<Value>, Vec<Map>)> {
    let text = store::read_large(&reading.config).ok()?;
    let (slurm, mut repetitions) = config::repetitions(str::from_utf8(&text).ok()?, &hostname())?;
    let chosen = |name: &str| reading.experiments.is_empty() || reading.experiments.iter().any(|wanted| wanted == name);
    repetitions.retain(|map| map.get("name").and_then(Value::as_str).is_some_and(chosen));
    Some((slurm, repetitions))
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

/// The SLURM document of a job, with Python's types. A plan of an earlier version has only a copy of it, as far as that can
/// still be read.
pub fn planned_slurm(plan: &Plan, job: &Job) -> Option<Value> {
    let record = job.reps.first().and_then(|rep| rep.run.experiment.record.python.as_ref());
    if let Some(slurm) = record.and_then(|record| record.slurm.as_deref()) {
        return Value::from_json(slurm).ok();
    }
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
