//! From the command line to a frozen plan: what `plan`, `run` and `submit` do.

use super::draft::{Draft, Frozen, MAX_ARRAY_SIZE, Mode, Nowhere, relative};
use super::snapshot::{Code, SnapshotArgs};
use super::{ConfigArgs, Failure, Program, SelectArgs, worker::hostname};
use crate::api::CheckParams;
use crate::config::{self, Config, Diagnostic, Report};
use crate::experiment::Expansion;
use crate::plan::build::{self, Built, Finished, Oracle, Sink};
use crate::plan::outline::{Outline, PlannedRun};
use crate::plan::record::{ExperimentRecord, JobRecord, RunRecord};
use crate::plan::template::Template;
use crate::plan::{check, layout};
use crate::slurm::{Client, Cluster as _};
use crate::store::finished::{self, OnDisk};
use crate::store::{self, Files};
use crate::value::Value;
use std::cell::Cell;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Reads and resolves the configuration; warnings go to standard error.
pub(super) fn load(path: &Path, select: &SelectArgs, command_optional: bool) -> Result<Config, Failure> {
    let request = config::Request {
        experiments: select.experiments.clone(),
        set: select.set.clone(),
        strict: select.strict,
        debug: select.debug,
        debug_all: select.debugall,
        hostname: hostname(),
        command_optional,
    };
    match config::load(&Files { main: path }, path, &request) {
        Ok((config, report)) => {
            if !report.is_empty() {
                tell!("{}", report.render(super::color()));
            }
            Ok(config)
        }
        Err(report) => Err(Failure::Config(Box::new(report))),
    }
}

/// A configuration that was read and found right, before anything is written.
pub(super) struct Prepared<'a> {
    config: Config,
    select: &'a SelectArgs,
    draft: Draft,
    options: build::Options,
    check_params: Option<CheckParams>,
}

/// Sees the records of a plan as they are decided, and may refuse it while nothing of it can be seen yet: before its code is
/// copied, and before it has a name.
pub(super) trait Gate: Sink {
    /// Whether what was seen may become a plan.
    fn pass(&self, built: &Built) -> Result<(), Failure>;
}

impl Gate for Nowhere {
    fn pass(&self, _: &Built) -> Result<(), Failure> {
        Ok(())
    }
}

/// Freezes a configuration. Without `code` no snapshot of the code is taken.
pub(super) fn freeze(
    args: &ConfigArgs,
    program: &Program,
    overwrite: bool,
    mode: Mode,
    code: Option<SnapshotArgs>,
) -> Result<Frozen, Failure> {
    prepare(args, program, overwrite, code)?.write(mode, &mut Nowhere)
}

/// Reads a configuration and everything it needs to be frozen.
pub(super) fn prepare<'a>(
    args: &'a ConfigArgs,
    program: &Program,
    overwrite: bool,
    code: Option<SnapshotArgs>,
) -> Result<Prepared<'a>, Failure> {
    let config = load(&args.config, &args.select, program.command_optional())?;
    let root = std::env::current_dir()
        .map_err(|error| Failure::Environment(format!("cannot tell the working directory: {error}")))?;
    let mut report = report_for(&config, &args.select);
    config.experiments.iter().flat_map(check::experiment).for_each(|diagnostic| report.push(diagnostic));
    if program.iterative() {
        config.experiments.iter().filter_map(check::iterations).for_each(|diagnostic| report.push(diagnostic));
    }
    if report.has_errors() {
        return Err(Failure::Config(Box::new(report)));
    }
    let path = config.experiments.first().map_or("", |experiment| experiment.path.as_str());
    // `run` alone takes no snapshot: its jobs are no array's elements.
    let for_slurm = code.is_some();
    let draft = Draft {
        plans: layout::plans(&root.join(path)),
        config: args.config.to_string_lossy().into_owned(),
        overwrite,
        above: Cell::new(0),
        retry_of: Vec::new(),
        sources: sources(&config),
        templates: templates(&config, &root)?,
        code: Code::decide(&config, &root, code, overwrite)?,
        own_args: program.own_args.clone(),
        root,
    };
    let options = build::Options {
        root: draft.root.clone(),
        max_array_size: if for_slurm { max_array_size(&config) } else { u32::MAX },
        templates: draft.templates.clone(),
        command_optional: program.command_optional(),
    };
    Ok(Prepared { config, select: &args.select, draft, options, check_params: program.check_params() })
}

impl Prepared<'_> {
    /// Where its relative paths start.
    pub(super) fn root(&self) -> &Path {
        &self.draft.root
    }

    /// The folder of plans it goes into.
    pub(super) fn plans(&self) -> &Path {
        &self.draft.plans
    }

    /// Whether writing it changes more than that there is one plan more: what counts as finished, or copies of code.
    pub(super) fn replaces(&self) -> bool {
        self.draft.overwrite || self.draft.code.is_copied()
    }

    /// Keeps the plan from a number up to this one.
    pub(super) fn number_above(&self, number: u32) {
        self.draft.above.set(self.draft.above.get().max(number));
    }

    /// Freezes it, where `gate` lets it pass.
    pub(super) fn write(&self, mode: Mode, gate: &mut dyn Gate) -> Result<Frozen, Failure> {
        let check_params = self.check_params.as_ref();
        let oracle = Inspector { config: &self.config, select: self.select, draft: &self.draft, check_params };
        self.draft.write(mode, |sink| {
            let built = build::build(&self.config.experiments, &self.options, &oracle, &mut Both(sink, gate));
            let built = built.map_err(|error| match error {
                build::Error::Outline(diagnostic) => oracle.config_error(*diagnostic),
                other => Failure::from(other),
            })?;
            gate.pass(&built)?;
            Ok(built)
        })
    }
}

/// Hands everything to two.
struct Both<'a>(&'a mut dyn Sink, &'a mut dyn Gate);

impl Sink for Both<'_> {
    fn experiment(&mut self, record: &ExperimentRecord, settings_json: &str) -> std::io::Result<()> {
        self.0.experiment(record, settings_json)?;
        self.1.experiment(record, settings_json)
    }
    fn run(&mut self, record: &RunRecord, params_json: &str) -> std::io::Result<()> {
        self.0.run(record, params_json)?;
        self.1.run(record, params_json)
    }
    fn job(&mut self, record: &JobRecord) -> std::io::Result<()> {
        self.0.job(record)?;
        self.1.job(record)
    }
}

/// The array size of a configuration's plan. Neighbours may share an array, so their jobs count together.
fn max_array_size(config: &Config) -> u32 {
    let jobs = |experiment: &config::Experiment| {
        let runs = Expansion::new(experiment).map_or(0, |expansion| expansion.len());
        runs.saturating_mul(experiment.repetitions.into()).div_ceil(experiment.reps_per_job.max(1).into())
    };
    let unlimited = config.experiments.iter().filter(|experiment| experiment.slurm.max_array_size.is_none());
    array_size_for(unlimited.map(jobs).fold(0, u64::saturating_add))
}

/// The cluster's own limit, asked only where so many jobs, for which the configuration does not say one, could exceed it.
pub(super) fn array_size_for(jobs: u64) -> u32 {
    if jobs <= SHORT {
        return MAX_ARRAY_SIZE;
    }
    Client.max_array_size().unwrap_or_else(|error| {
        log::debug!("MaxArraySize is taken to be {MAX_ARRAY_SIZE}: {error}");
        MAX_ARRAY_SIZE
    })
}

/// No cluster's arrays are shorter than this.
const SHORT: u64 = 90;

/// Every file that was read, under a name of its own: imports from several folders may have the same.
fn sources(config: &Config) -> Vec<(String, String)> {
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
pub(super) fn report_for(config: &Config, select: &SelectArgs) -> Report {
    let mut report = Report::new(select.set.clone());
    report.files.clone_from(&config.files);
    report
}

/// One thing that is wrong with a configuration, with its place.
fn config_error(config: &Config, select: &SelectArgs, diagnostic: Diagnostic) -> Failure {
    let mut report = report_for(config, select);
    report.push(diagnostic);
    Failure::Config(Box::new(report))
}

/// The runs of a configuration.
pub(super) fn outline<'c>(config: &'c Config, select: &SelectArgs, root: &Path) -> Result<Outline<'c>, Failure> {
    Outline::new(&config.experiments, root).map_err(|diagnostic| config_error(config, select, *diagnostic))
}

/// Looks at every run as it is planned: whether its templates can be rendered, and what of it is finished.
struct Inspector<'a> {
    config: &'a Config,
    select: &'a SelectArgs,
    draft: &'a Draft,
    check_params: Option<&'a CheckParams>,
}

impl Oracle for Inspector<'_> {
    fn finished_reps(&self, run: &PlannedRun<'_>, params_sha256: &str) -> anyhow::Result<Finished> {
        let root = &self.draft.root;
        check::run(root, run).map_err(|diagnostic| self.config_error(*diagnostic))?;
        if let Some(check_params) = self.check_params {
            let typed = |params: &Value| check_params(params);
            check::params(run, typed).map_err(|diagnostic| self.config_error(*diagnostic))?;
        }
        if self.draft.overwrite {
            let plans = PathBuf::from(relative(&self.draft.plans, root));
            let newest = finished::newest_plan(&root.join(&run.dir), run.experiment.repetitions, &plans);
            self.draft.above.set(self.draft.above.get().max(newest));
            return Ok(Finished::default());
        }
        let look = finished::look(&root.join(&run.dir), run.experiment.repetitions, params_sha256);
        match look.map_err(Failure::from)? {
            OnDisk::Finished(finished) => Ok(finished),
            OnDisk::Differs(dir, stored) => Err(self.differs(run, &dir, stored.as_ref()).into()),
        }
    }
}

impl Inspector<'_> {
    fn config_error(&self, diagnostic: Diagnostic) -> Failure {
        config_error(self.config, self.select, diagnostic)
    }

    fn differs(&self, run: &PlannedRun<'_>, dir: &Path, stored: Option<&Value>) -> Failure {
        let mut text = format!(
            "`{}` is finished, but with other parameters than this configuration's",
            relative(dir, &self.draft.root)
        );
        let text_of = |value: Option<Value>| value.map_or("(not set)".to_owned(), |value| value.to_json());
        for (path, old, new) in stored.iter().flat_map(|stored| check::differences(stored, &run.run.params)).take(10) {
            let _ = write!(text, "\n  {path}: {} there, {} here", text_of(old), text_of(new));
        }
        text.push_str(
            "\nplan with `-o` to run it again in its place, or give the experiment another `name` or `path` to keep both",
        );
        Failure::Usage(text)
    }
}
