//! `grid…`, `list…` and `ablative…` keys, and `exclude`: which combinations there are.
//!
//! Owns their shape and its checks. It must not expand them (that is [`crate::experiment`]).

use super::error::Diagnostic;
use super::node::{At, Node, NodeKind, brief};
use super::reader::Reader;
use super::{Axis, Sweep, SweepKind, keys};
use crate::value::Value;

/// All sweeps of an experiment, in document order.
pub(super) fn sweeps(reader: &mut Reader<'_>, base: bool) -> Vec<Sweep> {
    let mut sweeps = Vec::new();
    for (key, at, node) in reader.entries() {
        if keys::classify(key, keys::Scope::Experiment) != keys::Known::Sweep {
            continue;
        }
        let kind = match key {
            _ if key.starts_with("grid") => SweepKind::Grid,
            _ if key.starts_with("list") => SweepKind::List,
            _ => SweepKind::Ablative { base },
        };
        let NodeKind::Map(map) = &node.kind else {
            let message =
                format!("`{}` must be a mapping with lists at its leaves, found {}", brief(key), node.describe());
            let help = "keys that start with `grid`, `list` or `ablative` are sweeps; write `parameter: [value, …]`, or rename the key";
            reader.report.push(Diagnostic::error(message).at(if node.is_null() { at } else { node.at }).help(help));
            continue;
        };
        if map.is_empty() {
            reader.report.push(empty_mapping(key, node));
            continue;
        }
        let mut axes = Vec::new();
        collect(reader, key, node, &mut Vec::new(), &mut axes);
        if kind == SweepKind::List {
            check_lengths(reader, key, at, &axes);
        }
        sweeps.push(Sweep { key: key.to_owned(), at, kind, axes });
    }
    sweeps
}

/// Walks down to the lists.
fn collect(reader: &mut Reader<'_>, key: &str, node: &Node, path: &mut Vec<String>, axes: &mut Vec<Axis>) {
    let name = |path: &[String]| {
        brief(&std::iter::once(key).chain(path.iter().map(String::as_str)).collect::<Vec<_>>().join("."))
    };
    match &node.kind {
        NodeKind::List(values) if values.is_empty() => {
            let diagnostic = Diagnostic::error(format!("`{}` has no values, so there would be no run", name(path)));
            reader.report.push(diagnostic.at(node.at).help("write at least one value, or remove the key"));
        }
        NodeKind::List(values) => axes.push(Axis { path: path.clone(), values: values.clone() }),
        NodeKind::Map(map) if map.is_empty() => reader.report.push(empty_mapping(&name(path), node)),
        NodeKind::Map(map) => {
            for (part, (_, child)) in map {
                path.push(part.clone());
                collect(reader, key, child, path, axes);
                path.pop();
            }
        }
        NodeKind::Scalar(value) => {
            let message = format!("`{}` must be a list of values, found {}", name(path), node.describe());
            let help = match value {
                Value::Null => "write `[value, …]`".to_owned(),
                Value::String(text) if text.contains(['*', '?']) => {
                    "patterns are not expanded; write the values one by one: `[value, …]`".to_owned()
                }
                Value::String(text) if !text.chars().all(|c| c.is_alphanumeric() || "_-./ ".contains(c)) => {
                    format!("write `[{}]`", brief(&value.to_json()))
                }
                other => {
                    let written = super::reader::written(node, reader.report);
                    format!("write `[{}]`", brief(&written.unwrap_or(other.to_json())))
                }
            };
            reader.report.push(Diagnostic::error(message).at(node.at).help(help));
        }
    }
}

fn empty_mapping(name: &str, node: &Node) -> Diagnostic {
    Diagnostic::error(format!("`{name}` is an empty mapping"))
        .at(node.at)
        .help("name at least one parameter with its values, or remove the key")
}

fn check_lengths(reader: &mut Reader<'_>, key: &str, at: At, axes: &[Axis]) {
    let shortest = axes.iter().map(|axis| axis.values.len()).min().unwrap_or(0);
    if axes.iter().all(|axis| axis.values.len() == shortest) {
        return;
    }
    let lengths: Vec<_> =
        axes.iter().map(|axis| format!("`{}` has {}", brief(&axis.path.join(".")), axis.values.len())).collect();
    let message = format!("the lists of `{}` differ in length: {}", brief(key), lengths.join(", "));
    let runs = if shortest == 1 { "only the first value" } else { "only the first values" };
    reader.report.push(
        Diagnostic::warning(message)
            .at(at)
            .help(format!("{runs} of each ({shortest}) are combined; make the lists equally long")),
    );
}

/// A sweep sets its parameters inside `params`, where every key on the way must be a mapping or missing, and no other sweep
/// may set the same ones: a run's name tells all values that sweeps give it.
pub(super) fn check_paths(reader: &mut Reader<'_>, params: &Node, sweeps: &[Sweep]) {
    let mut earlier: Vec<(&Sweep, &Axis)> = Vec::new();
    for sweep in sweeps {
        for axis in &sweep.axes {
            let found = blocked_by_params(params, sweep, axis)
                .or_else(|| earlier.iter().find_map(|(first, before)| clash(first, before, sweep, axis)));
            if let Some(diagnostic) = found {
                reader.report.push(diagnostic);
            }
        }
        earlier.extend(sweep.axes.iter().map(|axis| (sweep, axis)));
    }
}

fn blocked_by_params(params: &Node, sweep: &Sweep, axis: &Axis) -> Option<Diagnostic> {
    let (_, way) = axis.path.split_last()?;
    let (depth, found) = blocked(params, way)?;
    let part = dotted(axis.path.get(..=depth).unwrap_or_default());
    let (key, whole) = (brief(&sweep.key), dotted(&axis.path));
    let message = format!("`{key}` sweeps `{whole}`, but `{part}` is {}", found.describe());
    let diagnostic = Diagnostic::error(message).at(first_value(sweep, axis)).label("swept here");
    Some(diagnostic.also(found.at, "not a mapping").help(format!("make `{part}` a mapping, or sweep it as a whole")))
}

/// What is wrong with sweeping `axis` after `before`, a parameter of another sweep.
fn clash(first: &Sweep, before: &Axis, sweep: &Sweep, axis: &Axis) -> Option<Diagnostic> {
    let (key, whole, part) = (brief(&sweep.key), dotted(&axis.path), dotted(&before.path));
    let at = first_value(sweep, axis);
    if let Some(inside) = axis.path.strip_prefix(before.path.as_slice()).filter(|inside| !inside.is_empty()) {
        let way = inside.split_last().map_or(&[][..], |(_, way)| way);
        let plain = before.values.iter().find(|value| value.as_map().is_none() || blocked(value, way).is_some());
        if let Some(value) = plain {
            let what = value.describe();
            let message = format!("`{key}` sweeps `{whole}` inside `{part}`, which is {what} in a sweep before it");
            let diagnostic = Diagnostic::error(message).at(at).label("swept here").also(value.at, "not a mapping");
            return Some(diagnostic.help(format!("sweep `{part}` only with mappings, or only as a whole")));
        }
        // Mappings without the key are only added to.
        before.values.iter().find(|value| inside.iter().try_fold(*value, |node, key| node.get(key)).is_some())?;
    } else if !before.path.starts_with(&axis.path) {
        return None;
    }
    let message = format!("`{key}` sweeps `{whole}`, which `{}` sweeps too", brief(&first.key));
    let diagnostic = Diagnostic::error(message).at(at).label("this value wins");
    let diagnostic = diagnostic.also(first_value(first, before), "names of runs would tell this one as well");
    Some(diagnostic.help("sweep each parameter once; `exclude` drops single combinations"))
}

fn first_value(sweep: &Sweep, axis: &Axis) -> At {
    axis.values.first().map_or(sweep.at, |value| value.at)
}

fn dotted(path: &[String]) -> String {
    brief(&path.join("."))
}

/// The first value on the way that is no mapping, and how deep it lies.
fn blocked<'n>(params: &'n Node, way: &[String]) -> Option<(usize, &'n Node)> {
    let mut node = params;
    for (depth, key) in way.iter().enumerate() {
        node = node.get(key)?;
        if node.as_map().is_none() {
            return Some((depth, node));
        }
    }
    None
}

/// The value of `exclude`: a mapping, or a list of them.
pub(super) fn exclude(reader: &mut Reader<'_>, node: &Node) -> Vec<Value> {
    let items = node.as_list().unwrap_or(std::slice::from_ref(node));
    let mut patterns = Vec::new();
    for item in items {
        if item.as_map().is_some_and(|map| !map.is_empty()) {
            patterns.push(item.to_value());
        } else {
            let found = if item.as_map().is_some() { "an empty mapping".to_owned() } else { item.describe() };
            let diagnostic =
                Diagnostic::error(format!("`exclude` must name parameters with their values, found {found}"));
            reader.report.push(diagnostic.at(item.at).help("write `- {parameter: value}`"));
        }
    }
    patterns
}
