//! `cw2 show`: the resolved configuration of one repetition, and where each value came from.

use super::{ConfigArgs, Exit, tell};
use crate::config::{At, Experiment, Node, Report};
use crate::experiment::{Expansion, Run};
use crate::ops::failure::Failure;
use crate::ops::freeze;
use crate::ops::program;
use crate::plan::record::RunRecord;
use crate::plan::{PlannedRun, layout, of_repetition, settings};
use crate::value::{Map, Value};
use clap::Args;
use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The run, by name or by its number in `list` (from 0); the first where not given
    #[arg(short, long, value_name = "RUN")]
    run: Option<String>,
    /// The repetition's number
    #[arg(long, value_name = "N", default_value_t = 0)]
    rep: u32,
    /// One JSON object: the configuration, and the origin of each value
    #[arg(long)]
    json: bool,
}

pub(super) fn show(args: &ShowArgs) -> Result<Exit, Failure> {
    let reading = args.config.reading();
    let config = freeze::load(&reading, true, &mut |notice| tell(&notice, false))?;
    let runs = freeze::resolve(&config, &reading, &freeze::working_directory()?, |_| Ok(()))?.runs;
    let wanted = |(line, run): &(usize, &PlannedRun)| match &args.run {
        None => true,
        Some(name) => run.record.run == *name || name.parse() == Ok(*line),
    };
    let Some((line, run)) = runs.iter().enumerate().find(wanted) else {
        return Err(Failure::Usage(match &args.run {
            Some(name) => {
                format!(
                    "there is no run `{name}`; `{} list {}` names them",
                    program::name(),
                    args.config.config.display()
                )
            }
            None => "the configuration has no run".to_owned(),
        }));
    };
    let first = runs.partition_point(|other| other.record.experiment < run.record.experiment);
    let experiment = config.experiments.get(run.record.experiment as usize);
    let expansion = experiment.and_then(|experiment| Expansion::new(experiment).ok());
    let resolved = expansion.as_ref().and_then(|expansion| expansion.runs().nth(line - first));
    let Some((experiment, resolved)) = experiment.zip(resolved) else {
        return Err(Failure::Usage("the configuration has no run".to_owned()));
    };
    if args.rep >= experiment.repetitions {
        let count = experiment.repetitions;
        return Err(Failure::Usage(format!(
            "there is no repetition {}: run `{}` has {count}, from 0",
            args.rep, run.record.run
        )));
    }
    let tree = tree(experiment, &run.record, &resolved.params, args.rep);
    let origins = Origins::new(freeze::report_for(&config, &reading), experiment, &resolved);
    let mut out = std::io::stdout().lock();
    if args.json {
        let mut places = Map::new();
        leaves(&tree, &mut Vec::new(), &mut |path, _| {
            if let Some(place) = origins.of(path) {
                places.insert(path.join("."), Value::String(place));
            }
        });
        let object = Map::from([("config".to_owned(), Value::Map(tree)), ("origins".to_owned(), Value::Map(places))]);
        writeln!(out, "{}", Value::Map(object))?;
    } else {
        let mut lines = Vec::new();
        print(&tree, &mut Vec::new(), &origins, &mut lines);
        let width = lines.iter().map(|(text, _)| text.chars().count()).filter(|n| *n < 60).max().unwrap_or(0);
        for (text, place) in lines {
            match place {
                Some(place) => writeln!(out, "{text:width$}  # {place}")?,
                None => writeln!(out, "{text}")?,
            }
        }
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// What the repetition's `config.yml` will hold, and its directory.
fn tree(experiment: &Experiment, run: &RunRecord, params: &Value, rep: u32) -> Map {
    let Value::Map(mut tree) = of_repetition(&settings(experiment), &experiment.name, &run.run, rep, params) else {
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
        Origins { report, origin: &experiment.origin, set: set.collect() }
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

fn leaves(map: &Map, path: &mut Vec<String>, visit: &mut impl FnMut(&[String], &Value)) {
    for (key, value) in map {
        path.push(key.clone());
        match value {
            Value::Map(inner) if !inner.is_empty() => leaves(inner, path, visit),
            leaf => visit(path, leaf),
        }
        path.pop();
    }
}

fn print(map: &Map, path: &mut Vec<String>, origins: &Origins<'_>, lines: &mut Vec<(String, Option<String>)>) {
    let indent = "  ".repeat(path.len());
    for (key, value) in map {
        path.push(key.clone());
        let key = Value::String(key.clone()).to_yaml();
        let key = key.trim_end();
        match value {
            Value::Map(inner) if !inner.is_empty() => {
                lines.push((format!("{indent}{key}:"), None));
                print(inner, path, origins, lines);
            }
            Value::List(items) if !items.is_empty() => {
                lines.push((format!("{indent}{key}: {}", value.to_json()), origins.of(path)));
            }
            leaf => lines.push((format!("{indent}{key}: {}", leaf.to_yaml().trim_end()), origins.of(path))),
        }
        path.pop();
    }
}
