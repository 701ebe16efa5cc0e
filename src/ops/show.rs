//! The resolved configuration of one repetition, and where each value came from.

use super::failure::Failure;
use super::freeze::{self, Purpose};
use super::notice::{Notice, Tell};
use super::program;
use super::reading::Reading;
use crate::config::{At, Experiment, Node, Report};
use crate::experiment::{Expansion, Run};
use crate::plan::call;
use crate::plan::record::{ExperimentRecord, RunRecord};
use crate::plan::{PlannedRun, layout, of_repetition, record, settings};
use crate::run::render::{Context, Names};
use crate::value::{Map, Value};
use std::collections::HashMap;
use std::path::Path;

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The configuration.
    pub reading: Reading,
    /// The run, by name or by its number; the first where not said.
    pub run: Option<String>,
    /// The repetition's number.
    pub rep: u32,
}

/// A repetition's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// What its `config.yml` will hold, and its directory.
    pub config: Map,
    /// How its commands are called, as lines of a shell, in the first slot of its job.
    pub rendered: Map,
    /// The place of each value that was written somewhere, by its path.
    pub origins: HashMap<Vec<String>, String>,
}

/// Resolves one repetition's configuration.
///
/// # Errors
/// What is wrong with the configuration, or that it has no such repetition.
pub fn show(options: &Options, tell: Tell<'_>) -> Result<Shown, Failure> {
    let config = freeze::load(&options.reading, Purpose::LOOK, tell)?;
    let runs = freeze::resolve(&config, &options.reading, &freeze::working_directory()?, |_| Ok(()))?.runs;
    let wanted = |(line, run): &(usize, &PlannedRun)| match &options.run {
        None => true,
        Some(name) => run.record.run == *name || name.parse() == Ok(*line),
    };
    let Some((line, run)) = runs.iter().enumerate().find(wanted) else {
        return Err(Failure::Usage(match &options.run {
            Some(name) => {
                let (me, config) = (program::name(), options.reading.config.display());
                format!("there is no run `{name}`; `{me} list {config}` lists them")
            }
            None => "the configuration has no runs".to_owned(),
        }));
    };
    let first = runs.partition_point(|other| other.record.experiment < run.record.experiment);
    let experiment = config.experiments.get(run.record.experiment as usize);
    let expansion = experiment.and_then(|experiment| Expansion::new(experiment).ok());
    let resolved = expansion.as_ref().and_then(|expansion| expansion.runs().nth(line - first)?.ok());
    let Some((experiment, resolved)) = experiment.zip(resolved) else {
        return Err(Failure::Usage("the configuration has no runs".to_owned()));
    };
    if options.rep >= experiment.repetitions {
        let count = experiment.repetitions;
        return Err(Failure::Usage(format!(
            "there is no repetition {}: run `{}` has {count}, from 0",
            options.rep, run.record.run
        )));
    }
    let written = record(experiment);
    let seed = written.seed(&run.record.run, options.rep);
    let config_of_rep = tree(experiment, &run.record, &resolved.params, options.rep, seed);
    let origins = Origins::new(freeze::report_for(&config, &options.reading), experiment, &resolved);
    let mut places = HashMap::new();
    leaves(&config_of_rep, &mut Vec::new(), &mut |path| {
        if let Some(place) = origins.of(path) {
            places.insert(path.to_vec(), place);
        }
    });
    let root = freeze::working_directory()?;
    let rendered = rendered(&written, &run.record, &resolved.params, options.rep, &root).unwrap_or_else(|why| {
        tell(Notice::Warning(format!("the command cannot be rendered: {why}")));
        Map::new()
    });
    Ok(Shown { config: config_of_rep, rendered, origins: places })
}

/// Each command by its name; none where the experiment is part of a program.
fn rendered(record: &ExperimentRecord, run: &RunRecord, params: &Value, rep: u32, root: &Path) -> Result<Map, String> {
    let Some(command) = &record.command else { return Ok(Map::new()) };
    let dir = layout::rep_dir(&root.join(&run.dir), rep);
    let config_file = dir.join(layout::rep::CONFIG);
    let tasks = record.slurm.options.number("ntasks").unwrap_or(1);
    let cpus = record.slurm.options.number("cpus-per-task").unwrap_or(1).saturating_mul(tasks);
    let names = Names {
        flag_style: record.flag_style.clone(),
        experiment: &record.name,
        run: &run.run,
        rep,
        rep_dir: &dir.to_string_lossy(),
        config_file: &config_file.to_string_lossy(),
        iterations: record.iterations,
        seed: record.seed(&run.run, rep),
        slot: 0,
        cpus: record.cpus_per_rep.unwrap_or(cpus / record.reps_in_parallel.max(1)).max(1),
        gpus: "",
    };
    let context = Context::new(params, &names);
    let phases = [
        ("initialize", command.initialize.as_ref()),
        ("run", Some(&command.run)),
        ("finalize", command.finalize.as_ref()),
    ];
    let mut rendered = Map::new();
    for (name, argv) in phases {
        let Some(argv) = argv else { continue };
        rendered.insert(name.to_owned(), Value::String(call::line(&record.launcher, argv, &context)?));
    }
    Ok(rendered)
}

/// What the repetition's `config.yml` will hold, and its directory.
fn tree(experiment: &Experiment, run: &RunRecord, params: &Value, rep: u32, seed: u32) -> Map {
    let Value::Map(mut tree) = of_repetition(&settings(experiment), &run.run, rep, seed, params) else {
        return Map::new();
    };
    let dir = layout::rep_dir(Path::new(&run.dir), rep).to_string_lossy().into_owned();
    tree.insert_before(tree.len().saturating_sub(1), "dir".to_owned(), Value::String(dir));
    tree
}

/// Finds the place of each value: the combination that set it, else the merged configuration.
struct Origins<'a> {
    report: Report,
    origin: &'a Node,
    set: HashMap<Vec<String>, (At, String)>,
}

impl<'a> Origins<'a> {
    fn new(report: Report, experiment: &'a Experiment, run: &Run<'_>) -> Self {
        let set = run.assignments.iter().map(|assignment| {
            let mut path = vec!["params".to_owned()];
            path.extend_from_slice(assignment.path);
            (path, (assignment.at, assignment.sweep.key.clone()))
        });
        let derived = run.derived.iter().map(|(derive, _)| {
            let path = std::iter::once("params".to_owned()).chain(derive.path.iter().cloned());
            (path.collect(), (derive.at, "derive".to_owned()))
        });
        Origins { report, origin: &experiment.origin, set: set.chain(derived).collect() }
    }

    fn of(&self, path: &[String]) -> Option<String> {
        let by_sweep = (1..=path.len()).rev().find_map(|length| self.set.get(path.get(..length)?));
        if let Some((at, key)) = by_sweep {
            return Some(format!("{} ({key})", self.report.place(*at)));
        }
        let mut node = self.origin;
        for key in path {
            node = node.get(key)?;
        }
        Some(self.report.place(node.at))
    }
}

fn leaves(map: &Map, path: &mut Vec<String>, visit: &mut impl FnMut(&[String])) {
    for (key, value) in map {
        path.push(key.clone());
        match value {
            Value::Map(inner) if !inner.is_empty() => leaves(inner, path, visit),
            _ => visit(path),
        }
        path.pop();
    }
}
