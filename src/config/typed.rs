//! A merged mapping → [`Experiment`]: every key decided.
//!
//! Owns which key becomes which field, and the checks that need more than one key. How a kind of value is read is
//! [`super::fields`]'s matter.

use super::error::{Diagnostic, Report};
use super::keys::Scope;
use super::merge::{Named, merge, merge_values};
use super::node::{At, Node, NodeKind, brief};
use super::reader::Reader;
use super::set::Assignment;
use super::values::Files;
use super::{Experiment, Request, Slurm, Source, Sweep, command, derive, import, metrics, slurm, sweep};
use super::{expand, fields, flag_style};
use crate::value::{Map, Value};
use std::path::Path;

/// What all experiments of a configuration share.
pub(super) struct Shared<'a> {
    pub(super) request: &'a Request,
    /// The SLURM document for this host.
    pub(super) slurm: Option<&'a Node>,
    /// The command line's assignments, already applied.
    pub(super) set: &'a [Assignment],
    /// Where the files come from.
    pub(super) source: &'a dyn Source,
}

/// Reads an experiment; `None` where something is wrong, which the report tells.
pub(super) fn experiment(shared: &Shared<'_>, named: &Named, origin: Node, report: &mut Report) -> Option<Experiment> {
    let request = shared.request;
    let errors = report.error_count();
    let mut origin = origin;
    let archived = take_archived(&mut origin);
    let defaults = add_defaults(&mut origin);
    expand::experiment(&mut origin, &request.surroundings, report);
    let map = origin.as_map()?.clone();
    // What is missing is missing in the document itself, whatever it was merged over.
    let first_line = named.node.as_map().and_then(|map| map.values().next()).map_or(named.node.at, |(at, _)| *at);
    check_name(named, report);
    let mut reader = Reader::new(&map, report);
    let foreign = reader.foreign(Scope::Experiment, request.strict);
    let missing = |reader: &mut Reader<'_>, key: &str, help: &str| {
        if reader.node(key).is_none() {
            let message = format!("the experiment `{}` has no `{key}`", brief(&named.name));
            reader.report.push(Diagnostic::error(message).at(first_line).help(help));
        }
    };
    missing(&mut reader, "path", "write where its results go, as in `path: results`");
    missing(&mut reader, "repetitions", "write how often each run is repeated, as in `repetitions: 5`");
    if !request.command_optional {
        missing(
            &mut reader,
            "command",
            "write what to run, as in `command: python train.py --config {{ config_file }}`; a class in Python is run by its own program: `python main.py CONFIG.yml`",
        );
    }
    let path = reader.text("path").filter(|path| check_path(&mut reader, &path.text, path.at));
    let count = |reader: &mut Reader<'_>, key: &str| reader.read(key, fields::count::<1>);
    let seconds = |reader: &mut Reader<'_>, key: &str| reader.read(key, fields::positive_seconds);
    let retries = reader.read("retries", fields::retries);
    let retry_delay = reader.read("retry_delay", fields::seconds);
    let ablative_base = reader.read("ablative_base", fields::switch).unwrap_or_default();
    let params = params(&mut reader, named.node.at);
    let of = sweep::Sweeps {
        base: ablative_base,
        params: &params,
        files: Files { source: shared.source, around: &request.surroundings },
    };
    let sweeps = of.all(&mut reader);
    sweep::check_paths(&mut reader, &params, &sweeps);
    check_set(&mut reader, shared.set, &sweeps);
    let derive = derive::derive(&mut reader, &params);
    check_derive(&mut reader, &derive, &sweeps);
    check_literal(&mut reader, &params, &sweeps);
    // They are read again from where they are kept with the results: here it counts that they can be.
    let _ = (reader.read("metrics", metrics::sources), reader.read("objective", metrics::objective));
    let mut experiment = Experiment {
        name: named.name.clone(),
        path: path.map(|path| path.text).unwrap_or_default(),
        repetitions: count(&mut reader, "repetitions").unwrap_or(1),
        iterations: reader.read("iterations", fields::iterations),
        reps_per_job: count(&mut reader, "reps_per_job").unwrap_or(1),
        reps_in_parallel: count(&mut reader, "reps_in_parallel").unwrap_or(1),
        command: reader.node("command").and_then(|node| command::command(&mut reader, node)),
        env: reader.node("env").and_then(|node| command::env(&mut reader, node)).unwrap_or_default(),
        workdir: reader.text("workdir"),
        launcher: reader.node("launcher").and_then(|node| command::launcher(&mut reader, node)).unwrap_or_default(),
        flag_style: reader.read("flag_style", flag_style::flag_style).unwrap_or_default(),
        timeout: seconds(&mut reader, "timeout"),
        retries: retries.map_or(0, |retries| retries.count),
        retry_delay: retry_delay.or(retries.and_then(|retries| retries.delay)).unwrap_or(0.0),
        rep_time: seconds(&mut reader, "rep_time"),
        cpus_per_rep: count(&mut reader, "cpus_per_rep"),
        gpus_per_rep: reader.read("gpus_per_rep", fields::gpus),
        oversubscribe: reader.read("oversubscribe", fields::switch).unwrap_or_default(),
        checkpoint_signal: signal(&mut reader),
        warm_start: reader.read("warm_start", fields::switch).unwrap_or(true),
        warm_imports: reader
            .node("warm_imports")
            .and_then(|node| command::warm_imports(&mut reader, node))
            .unwrap_or_default(),
        params,
        sweeps,
        exclude: reader.node("exclude").map(|node| sweep::exclude(&mut reader, node)).unwrap_or_default(),
        derive,
        defaults,
        paired_seeds: reader.node("seed").is_some_and(derive::is_paired),
        extra: foreign.into_iter().map(|(key, node)| (key.to_owned(), node.to_value())).collect::<Map>(),
        origin,
        slurm: Slurm::default(),
        slurm_origin: Node::empty_map(At::default()),
        first_run_only: request.debug,
        archived,
        typed: None,
    };
    command::check_warm(&mut reader, &experiment);
    let own_slurm = map.get("slurm").map(|(_, node)| node).filter(|node| !node.is_null());
    slurm_for(&mut experiment, shared, own_slurm, report);
    if request.debug || request.debug_all {
        // One iteration is no result: it must not count as one for the sweep itself, nor take the place of one.
        experiment.path = format!("{}/debug", experiment.path.trim_end_matches('/'));
        experiment.repetitions = 1;
        experiment.iterations = Some(1);
        experiment.reps_in_parallel = 1;
        experiment.reps_per_job = 1;
    }
    (report.error_count() == errors).then_some(experiment)
}

/// What [`super::import`] noted of an experiment's parent.
fn take_archived(origin: &mut Node) -> Vec<(String, Node)> {
    let NodeKind::Map(map) = &mut origin.kind else { return Vec::new() };
    let taken = import::ARCHIVED.into_iter().filter_map(|key| Some((key.to_owned(), map.shift_remove(key)?.1)));
    taken.collect()
}

/// Lays `params` over `defaults`: what is added later is there from the start.
fn add_defaults(origin: &mut Node) -> Value {
    let none = Value::Map(Map::new());
    let Some(defaults) = origin.get("defaults").filter(|node| node.as_map().is_some()).cloned() else { return none };
    let value = defaults.to_value();
    if let NodeKind::Map(map) = &mut origin.kind {
        let at = map.get("params").map_or(defaults.at, |(at, _)| *at);
        let params = map.get("params").map(|(_, node)| node.clone()).filter(|node| !node.is_null());
        let merged = match params {
            Some(params) => merge_values(defaults, params),
            None => defaults,
        };
        map.insert("params".to_owned(), (at, merged));
    }
    value
}

/// A computed parameter that a sweep sets.
fn check_derive(reader: &mut Reader<'_>, derive: &[super::Derive], sweeps: &[Sweep]) {
    let axes: Vec<_> = sweeps.iter().flat_map(Sweep::each_axis).collect();
    for derived in derive {
        let clash = |axis: &super::Axis| axis.path.starts_with(&derived.path) || derived.path.starts_with(&axis.path);
        let Some((sweep, swept)) = axes.iter().find(|(_, axis)| clash(axis)) else { continue };
        let (name, key) = (sweep::dotted(&swept.path), brief(&sweep.key));
        let message = format!("`derive` computes `{}`, and `{key}` sweeps `{name}`", sweep::dotted(&derived.path));
        let at = swept.values.first().map_or(sweep.at, |value| value.at);
        let diagnostic = Diagnostic::error(message).at(derived.at).also(at, "swept here");
        reader.report.push(diagnostic.help("compute a parameter of another name, or remove one of the two"));
    }
}

/// Templates in parameters, where nothing renders them.
fn check_literal(reader: &mut Reader<'_>, params: &Node, sweeps: &[Sweep]) {
    let axes: Vec<_> = sweeps.iter().flat_map(Sweep::each_axis).collect();
    let swept = axes.iter().flat_map(|(sweep, axis)| {
        let name = format!("{}.{}", sweep.key, axis.path.join("."));
        axis.values.iter().map(move |value| (name.clone(), value))
    });
    derive::check_literal(reader, std::iter::once(("params".to_owned(), params)).chain(swept));
}

/// Why a name cannot be one: it names a folder beside the plans.
fn check_name(named: &Named, report: &mut Report) {
    let name = &named.name;
    let reason = match name.as_str() {
        "." | ".." => "it would name another folder than its own",
        "plans" => "its results would lie among the plans",
        _ if name.contains('/') => "a `/` would split its results folder",
        _ if name.chars().any(char::is_control) => "it holds a control character",
        _ if name.trim().is_empty() => "it holds nothing but spaces",
        _ => return,
    };
    let message = format!("an experiment cannot be named `{}`: {reason}", brief(name));
    report.push(Diagnostic::error(message).at(named.name_at).help("choose another name"));
}

fn check_path(reader: &mut Reader<'_>, path: &str, at: At) -> bool {
    let wrong = match path {
        _ if path.trim().is_empty() => "is empty",
        _ if path.chars().any(char::is_control) => "holds a control character",
        _ => return true,
    };
    let diagnostic = Diagnostic::error(format!("`path` {wrong}")).at(at);
    reader.report.push(diagnostic.help("write a folder, as in `path: results`; `.` is the working directory"));
    false
}

fn params(reader: &mut Reader<'_>, at: At) -> Node {
    let Some(node) = reader.node("params") else { return Node::empty_map(at) };
    if node.as_map().is_none() {
        let message = format!("`params` must be a mapping, found {}", node.describe());
        reader.report.push(Diagnostic::error(message).at(node.at).help("write `parameter: value`, one a line"));
        return Node::empty_map(at);
    }
    node.clone()
}

/// A parameter set on the command line that a sweep sets again.
fn check_set(reader: &mut Reader<'_>, set: &[Assignment], sweeps: &[Sweep]) {
    for assignment in set {
        let Some((first, param)) = assignment.path.split_first() else { continue };
        if first != "params" || param.is_empty() {
            continue;
        }
        let axis = |sweep: &Sweep| {
            let axes = sweep.each_axis().into_iter();
            axes.map(|(_, axis)| axis)
                .find(|axis| axis.path.starts_with(param) || param.starts_with(&axis.path))
                .cloned()
        };
        let Some((sweep, axis)) = sweeps.iter().find_map(|sweep| Some((sweep, axis(sweep)?))) else { continue };
        let name = brief(&axis.path.join("."));
        let message = format!("`{}` also sets `params.{name}`, and the sweep wins", brief(&sweep.key));
        let key = brief(&sweep.key);
        let diagnostic = Diagnostic::warning(message).at(assignment.key_at).also(sweep.at, "the sweep");
        reader.report.push(diagnostic.help(format!("set the sweep itself: `--set '{key}.{name}=[value]'`")));
    }
}

fn signal(reader: &mut Reader<'_>) -> String {
    const DEFAULT: &str = "SIGTERM";
    let Some(text) = reader.text("checkpoint_signal") else { return DEFAULT.to_owned() };
    let upper = text.text.to_uppercase();
    let name = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    let error = match name.as_str() {
        "SIGKILL" | "SIGSTOP" => "cannot be caught",
        _ if name.parse::<nix::sys::signal::Signal>().is_err() => "is not a signal",
        _ => return name,
    };
    let message = format!("`checkpoint_signal` is `{}`, which {error}", brief(&text.text));
    reader.report.push(Diagnostic::error(message).at(text.at).help("write a signal's name, as in `SIGUSR1`"));
    DEFAULT.to_owned()
}

/// The experiment's `slurm` over the SLURM document; a slot's share may stand in either.
fn slurm_for(experiment: &mut Experiment, shared: &Shared<'_>, own: Option<&Node>, report: &mut Report) {
    let mut merged = shared.slurm.cloned().unwrap_or_else(|| Node::empty_map(At::default()));
    match own {
        Some(own) if own.as_map().is_some() => merged = merge(merged, own.clone()),
        Some(own) => {
            let message = format!("`slurm` must be a mapping, found {}", own.describe());
            report.push(Diagnostic::error(message).at(own.at).help("write keys of SLURM, as in `time: 90`"));
        }
        None => {}
    }
    expand::slurm(&mut merged, &shared.request.surroundings, report);
    experiment.slurm_origin = merged;
    let NodeKind::Map(map) = &experiment.slurm_origin.kind else { return };
    let mut reader = Reader::new(map, report);
    experiment.slurm =
        slurm::slurm(&mut reader, shared.request.strict, &|path: &Path| shared.source.read(path).is_ok());
    let cpus = reader.read("cpus_per_rep", fields::count::<1>);
    let gpus = reader.read("gpus_per_rep", fields::gpus);
    experiment.cpus_per_rep = experiment.cpus_per_rep.or(cpus);
    experiment.gpus_per_rep = experiment.gpus_per_rep.or(gpus);
}

/// Whether a request names an experiment.
pub(super) fn selected(request: &Request, name: &str) -> bool {
    request.experiments.is_empty() || request.experiments.iter().any(|wanted| wanted == name)
}
