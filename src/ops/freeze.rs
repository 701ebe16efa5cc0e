//! From a configuration to a frozen plan: what `plan`, `run` and `submit` do.

use super::draft::{Draft, Frozen, MAX_ARRAY_SIZE, Mode, relative};
use super::failure::Failure;
use super::handed;
use super::here::{hostname, shown, surroundings};
use super::notice::{Notice, Tell};
use super::program::Program;
use super::reading::Reading;
use super::renamed;
use super::snapshot::Code;
use crate::config::{self, Config, Diagnostic, Report};
use crate::plan::build::build;
use crate::plan::code::SnapshotFlags;
use crate::plan::record::PythonRecord;
use crate::plan::runs::{self, Resolved, Runs};
use crate::plan::template::Template;
use crate::plan::{Plan, PlannedRun, Reps, check, layout};
use crate::slurm::Client;
use crate::store::{self, Files, finished, owner};
use crate::value::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a configuration is read for.
#[derive(Debug, Clone, Copy)]
pub struct Purpose {
    /// `command` may be missing.
    pub command_optional: bool,
    /// Something is to be asked of the cluster.
    pub for_slurm: bool,
}

impl Purpose {
    /// To look at its runs.
    pub const LOOK: Purpose = Purpose { command_optional: true, for_slurm: false };
}

/// Reads and resolves a configuration.
///
/// # Errors
/// What is wrong with it.
pub fn load(reading: &Reading, purpose: Purpose, tell: Tell<'_>) -> Result<Config, Failure> {
    let request = config::Request {
        experiments: reading.experiments.clone(),
        set: reading.set.clone(),
        strict: reading.strict,
        debug: reading.debug,
        debug_all: reading.debug_all,
        hostname: hostname(),
        cluster: reading.cluster.clone(),
        surroundings: surroundings(),
        command_optional: purpose.command_optional,
        for_slurm: purpose.for_slurm,
        original: reading.original,
        prefix: reading.prefix.clone(),
    };
    let (config, report) = config::load(&Files { main: &reading.config }, &reading.config, &request)
        .map_err(|report| Failure::Config(Box::new(report)))?;
    tell(Notice::Config(&report));
    Ok(config)
}

/// A configuration that was read and found right, before anything is looked at or written.
pub struct Prepared {
    config: Config,
    draft: Draft,
    runs: Runs,
    for_slurm: bool,
    python: Option<PythonRecord>,
}

/// Freezes a configuration. Without `code` no snapshot of the code is taken.
///
/// # Errors
/// What is wrong with it, or keeps the plan from being written.
pub fn freeze(
    reading: &Reading,
    program: &Program,
    overwrite: bool,
    mode: Mode,
    code: Option<SnapshotFlags>,
    tell: Tell<'_>,
) -> Result<(Plan, Frozen), Failure> {
    let (plan, draft) = prepare(reading, program, overwrite, code, tell)?.plan()?;
    let frozen = draft.write(&plan, mode)?;
    Ok((plan, frozen))
}

/// Reads a configuration and everything it needs to be frozen.
///
/// # Errors
/// What is wrong with it.
pub fn prepare(
    reading: &Reading,
    program: &Program,
    overwrite: bool,
    code: Option<SnapshotFlags>,
    tell: Tell<'_>,
) -> Result<Prepared, Failure> {
    // `run` alone takes no snapshot: its jobs are no array's elements.
    let for_slurm = code.is_some();
    let mut config = load(reading, Purpose { command_optional: program.command_optional(), for_slurm }, tell)?;
    let root = working_directory()?;
    if let Some(handed) = &program.python {
        handed::add_types(&mut config, reading);
        handed::bundle(&mut config, &handed.changes.bundles);
    }
    let mut report = report_for(&config, reading);
    config.experiments.iter().flat_map(check::experiment).for_each(|diagnostic| report.push(diagnostic));
    if program.iterative() {
        config.experiments.iter().filter_map(check::iterations).for_each(|diagnostic| report.push(diagnostic));
    }
    if report.has_errors() {
        return Err(Failure::Config(Box::new(report)));
    }
    let check_params = program.check_params();
    let mut runs = resolve(&config, reading, &root, |run| {
        check::run(&root, run)?;
        check_params.iter().try_for_each(|check_params| check::params(run, |params| check_params(params)))
    })?;
    if !overwrite {
        let mut report = report_for(&config, reading);
        for diagnostic in renamed::warnings(&config, &root, &runs.runs) {
            report.push(diagnostic);
        }
        tell(Notice::Config(&report));
    }
    if let Some(handed) = &program.python {
        handed::complete(&config, reading, &mut runs);
        runs = handed::change(runs, handed, &root)?;
    }
    let path = config.experiments.first().map_or("", |experiment| experiment.path.as_str());
    let plans = layout::plans(&root.join(path));
    if let Some(folder) = [root.join(path).as_path(), &plans].into_iter().find(|folder| owner::open_to_all(folder)) {
        let text = "every user of this machine can change what is in";
        let here = shown(folder);
        tell(Notice::Warning(format!("{text} `{here}`, and so what your jobs run; `chmod o-w {here}` ends that")));
    }
    if for_slurm {
        tell(Notice::Config(&too_short(&config, reading, &runs)));
    }
    let draft = Draft {
        plans,
        config: reading.config.to_string_lossy().into_owned(),
        overwrite,
        above: 0,
        retry_of: Vec::new(),
        sources: sources(&config),
        templates: templates(&config, &root)?,
        code: Code::decide(&config, &root, code, overwrite)?,
        own_args: program.own_args.clone(),
        root,
    };
    let slurm = || config::typed_slurm(&config, &reading.set).map(|slurm| slurm.to_json());
    let python = program.python.as_ref().map(|handed| PythonRecord { slurm: slurm(), ..handed.program.clone() });
    Ok(Prepared { config, draft, runs, for_slurm, python })
}

/// Warnings of jobs that do not end in time.
fn too_short(config: &Config, reading: &Reading, runs: &Runs) -> Report {
    let mut report = report_for(config, reading);
    for (number, experiment) in (0..).zip(&config.experiments) {
        let own = runs.runs.iter().filter(|run| run.record.experiment == number);
        let repetitions = own.map(|run| run.reps.count()).sum();
        if let Some(diagnostic) = check::time(experiment, repetitions) {
            report.push(diagnostic);
        }
    }
    report
}

/// Every run of a configuration, which `check` looks at.
pub fn resolve(
    config: &Config,
    reading: &Reading,
    root: &Path,
    check: impl Fn(Resolved<'_>) -> Result<(), Box<Diagnostic>> + Sync,
) -> Result<Runs, Failure> {
    runs::resolve(&config.experiments, root, check).map_err(|diagnostic| {
        let mut report = report_for(config, reading);
        report.push(*diagnostic);
        Failure::Config(Box::new(report))
    })
}

/// The working directory, where relative paths start.
pub fn working_directory() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|error| Failure::Environment(format!("cannot tell the working directory: {error}")))
}

impl Prepared {
    /// What was read.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The folder of plans it goes into.
    pub fn plans(&self) -> &Path {
        &self.draft.plans
    }

    /// Keeps the plan from a number up to this one.
    pub fn number_above(&mut self, number: u32) {
        self.draft.above = self.draft.above.max(number);
    }

    /// Looks at what is finished, and decides the plan; it is written with the draft.
    pub fn plan(mut self) -> Result<(Plan, Draft), Failure> {
        let finished = self.finished()?;
        let limit = |jobs| if self.for_slurm { array_size_for(jobs) } else { u32::MAX };
        let mut plan = build(&self.config.experiments, self.runs, &finished, &self.draft.templates, limit);
        if !self.for_slurm {
            // Its jobs are given out in this process.
            plan.arrays.iter_mut().for_each(|array| array.record.pilots = None);
            plan.notes.retain(|note| !note.contains("`--pilots`"));
        }
        for experiment in plan.experiments.iter_mut().filter(|experiment| experiment.record.command.is_none()) {
            experiment.record.python.clone_from(&self.python);
        }
        Ok((plan, self.draft))
    }

    /// The finished repetitions of each run; none with `-o`.
    fn finished(&mut self) -> Result<Vec<Reps>, Failure> {
        let root = &self.draft.root;
        if self.draft.overwrite {
            let plans = PathBuf::from(relative(&self.draft.plans, root));
            let newest = finished::newest_plan(&self.runs.runs, root, &plans);
            self.draft.above = self.draft.above.max(newest);
            return Ok(Vec::new());
        }
        let defaults: Vec<_> = self.config.experiments.iter().map(|experiment| experiment.defaults.clone()).collect();
        let same = finished::Same { defaults: &defaults };
        let found = finished::look(&mut self.runs.runs, root, &same);
        found.map_err(|error| match error {
            finished::FinishedError::Store(error) => error.into(),
            finished::FinishedError::Differs { run, dir, stored } => {
                Failure::Usage(differs(&self.runs.runs, run, &relative(&dir, root), stored.as_ref()))
            }
        })
    }
}

/// Says that a finished repetition has other parameters than its run, and which.
fn differs(runs: &[PlannedRun], run: usize, dir: &str, stored: Option<&Value>) -> String {
    let mut text = format!("`{dir}` is finished, but with other parameters than this configuration's");
    let planned = runs.get(run).and_then(|run| Value::from_json(&run.params).ok());
    let text_of = |value: Option<Value>| value.map_or("(not set)".to_owned(), |value| value.to_json());
    for (path, old, new) in stored.zip(planned.as_ref()).iter().flat_map(|(a, b)| check::differences(a, b)).take(10) {
        let _ = write!(text, "\n  {path}: {} there, {} here", text_of(old), text_of(new));
    }
    text.push_str(
        "\nplan with `-o` to run it again in its place, or give the experiment another `name` or `path` to keep both",
    );
    text
}

/// The cluster's own limit, asked where more than one job is planned and the configuration does not say it. Nobody waits long
/// for a cluster that does not answer, least of all where hardly any cluster's limit would matter.
pub fn array_size_for(jobs: u64) -> u32 {
    if jobs <= 1 {
        return MAX_ARRAY_SIZE;
    }
    let patience = Duration::from_secs(if jobs <= 90 { 2 } else { 20 });
    Client::max_array_size(patience).unwrap_or_else(|error| {
        log::debug!("MaxArraySize is taken to be {MAX_ARRAY_SIZE}: {error}");
        MAX_ARRAY_SIZE
    })
}

/// Every file that was read, under a name of its own: imports from several folders may have the same.
pub fn sources(config: &Config) -> Vec<(String, String)> {
    let named = config.files.iter().enumerate().map(|(number, file)| {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        let name = if number == 0 { name.into_owned() } else { format!("{number}_{name}") };
        (name, file.text.clone())
    });
    named.collect()
}

/// Every script template that the experiments name.
fn templates(config: &Config, root: &Path) -> Result<Vec<Template>, Failure> {
    let mut templates: Vec<Template> = Vec::new();
    for path in config.experiments.iter().filter_map(|experiment| experiment.slurm.path_to_template.as_ref()) {
        if !templates.iter().any(|known| known.path == *path) {
            let text = String::from_utf8_lossy(&store::read(&root.join(path))?).into_owned();
            templates.push(Template { path: path.clone(), text });
        }
    }
    Ok(templates)
}

/// An empty report that can show places of the configuration.
pub fn report_for(config: &Config, reading: &Reading) -> Report {
    let mut report = Report::new(reading.set.clone());
    report.files.clone_from(&config.files);
    report
}
