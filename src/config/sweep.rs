//! `grid…`, `list…` and `ablative…` keys, and `exclude`: which combinations there are.
//!
//! Owns their shape and its checks. It must not expand them (that is [`crate::experiment`]).

use super::error::Diagnostic;
use super::node::{At, Node, NodeKind, brief};
use super::reader::Reader;
use super::{Axis, Exclude, Naming, Pattern, Sweep, SweepKind, keys, random, values};
use crate::value::Value;

/// Reads the sweeps of one mapping.
pub(super) struct Sweeps<'a> {
    /// `ablative_base`.
    pub(super) base: bool,
    /// The merged `params`, which tell a parameter from a rule of the same name.
    pub(super) params: &'a Node,
    /// Where `{glob: …}` and `{lines: …}` find files.
    pub(super) files: values::Files<'a>,
}

/// What a key is to sweeps, by its name and by what it holds: an experiment may have keys of its own called `random_crop` or `cases`.
pub(super) fn kind(key: &str, node: &Node, base: bool) -> Option<SweepKind> {
    let case = |node: &Node| {
        node.as_map()
            .is_some_and(|map| map.iter().any(|(key, (_, node))| key == "params" || kind(key, node, base).is_some()))
    };
    match key {
        _ if key.starts_with("grid") => Some(SweepKind::Grid),
        _ if key.starts_with("list") => Some(SweepKind::List),
        "ablative_base" => None,
        _ if key.starts_with("ablative") => Some(SweepKind::Ablative { base }),
        _ if key.starts_with("random") && random::is_meant(node) => Some(SweepKind::Random),
        _ if key.starts_with("cases") && node.as_list().is_some_and(|items| items.iter().any(case)) => {
            Some(SweepKind::Cases)
        }
        _ => None,
    }
}

impl Sweeps<'_> {
    /// All sweeps of an experiment, in document order.
    pub(super) fn all(&self, reader: &mut Reader<'_>) -> Vec<Sweep> {
        let mut sweeps = Vec::new();
        for (key, at, node) in reader.entries() {
            if let Some(kind) = kind(key, node, self.base) {
                sweeps.extend(self.one(reader, key, at, node, kind));
            }
        }
        sweeps
    }

    fn one(&self, reader: &mut Reader<'_>, key: &str, at: At, node: &Node, kind: SweepKind) -> Option<Sweep> {
        if kind == SweepKind::Random {
            return random::sweep(key, at, node, reader.report);
        }
        if kind == SweepKind::Cases {
            let cases = node.as_list()?.iter().map(|case| self.case(reader, key, case)).collect();
            return Some(Sweep { key: key.to_owned(), at, kind, axes: Vec::new(), cases });
        }
        let NodeKind::Map(map) = &node.kind else {
            let message =
                format!("`{}` must be a mapping with lists at its leaves, found {}", brief(key), node.describe());
            let help = "keys that start with `grid`, `list` or `ablative` are sweeps; write `parameter: [value, …]`, or rename the key";
            reader.report.push(Diagnostic::error(message).at(if node.is_null() { at } else { node.at }).help(help));
            return None;
        };
        if map.is_empty() {
            reader.report.push(empty_mapping(key, node));
            return None;
        }
        let mut axes = Vec::new();
        self.collect(reader, key, node, &mut Vec::new(), &mut axes);
        if kind == SweepKind::List {
            check_lengths(reader, key, at, &axes);
        }
        Some(Sweep { key: key.to_owned(), at, kind, axes, cases: Vec::new() })
    }

    /// The sweeps of one case; its own parameters come first, as a list of one value each.
    fn case(&self, reader: &mut Reader<'_>, key: &str, case: &Node) -> Vec<Sweep> {
        let mut sweeps = Vec::new();
        let Some(map) = case.as_map() else {
            let message = format!("each of `{}` must be a mapping, found {}", brief(key), case.describe());
            let help = "write `- params: {…}`, and sweeps of its own beside it";
            reader.report.push(Diagnostic::error(message).at(case.at).help(help));
            return sweeps;
        };
        if let Some((at, params)) = map.get("params").filter(|(_, params)| !params.is_null()) {
            let mut axes = Vec::new();
            if params.as_map().is_some() {
                leaves(params, &mut Vec::new(), &mut axes);
            } else {
                let message = format!("`params` must be a mapping, found {}", params.describe());
                reader
                    .report
                    .push(Diagnostic::error(message).at(params.at).help("write `parameter: value`, one a line"));
            }
            if !axes.is_empty() {
                sweeps.push(Sweep { key: key.to_owned(), at: *at, kind: SweepKind::List, axes, cases: Vec::new() });
            }
        }
        for (part, (at, node)) in map {
            match kind(part, node, self.base) {
                Some(kind) => sweeps.extend(self.one(reader, part, *at, node, kind)),
                None if part == "params" => {}
                None => {
                    let known = ["params", "grid", "list", "ablative", "random", "cases"];
                    let message = format!("a case of `{}` has no key `{}`", brief(key), brief(part));
                    let help = match keys::nearest(part, known) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "a case has `params` and sweeps; everything else belongs to the experiment".to_owned(),
                    };
                    reader.report.push(Diagnostic::error(message).at(*at).help(help));
                }
            }
        }
        sweeps
    }

    /// The values of a rule such as `{range: [0, 3]}`, unless it is a parameter of that name.
    fn ruled(&self, reader: &mut Reader<'_>, name: &str, node: &Node, path: &[String]) -> Option<Axis> {
        // A key of the sweep itself, or one that `params` has, is a parameter.
        let inside = path.iter().try_fold(self.params, |node, key| node.get(key));
        let (rule, argument) = values::rule(node)?;
        if path.is_empty() || inside.is_some_and(|params| params.as_map().is_some()) {
            return None;
        }
        let (values, naming) = values::values(rule, &format!("{name}.{rule}"), argument, self.files, reader.report)
            .unwrap_or_else(|diagnostic| {
                reader.report.push(*diagnostic);
                (Vec::new(), Naming::Whole)
            });
        Some(Axis { path: path.to_vec(), values, naming })
    }

    /// Walks down to the lists.
    fn collect(&self, reader: &mut Reader<'_>, key: &str, node: &Node, path: &mut Vec<String>, axes: &mut Vec<Axis>) {
        let name = |path: &[String]| {
            brief(&std::iter::once(key).chain(path.iter().map(String::as_str)).collect::<Vec<_>>().join("."))
        };
        if let Some(axis) = self.ruled(reader, &name(path), node, path) {
            axes.extend(Some(axis).filter(|axis| !axis.values.is_empty()));
            return;
        }
        match &node.kind {
            NodeKind::List(values) if values.is_empty() => {
                let diagnostic = Diagnostic::error(format!("`{}` has no values, so there would be no run", name(path)));
                reader.report.push(diagnostic.at(node.at).help("write at least one value, or remove the key"));
            }
            NodeKind::List(values) => {
                axes.push(Axis { path: path.clone(), values: values.clone(), naming: Naming::Whole });
            }
            NodeKind::Map(map) if map.is_empty() => reader.report.push(empty_mapping(&name(path), node)),
            NodeKind::Map(map) => {
                for (part, (_, child)) in map {
                    self.misspelt(reader, key, path, part, map.len(), child);
                    path.push(part.clone());
                    self.collect(reader, key, child, path, axes);
                    path.pop();
                }
            }
            NodeKind::Scalar(value) => {
                let message = format!("`{}` must be a list of values, found {}", name(path), node.describe());
                let help = match value {
                    Value::Null => "write `[value, …]`".to_owned(),
                    Value::String(text) if text.contains(['*', '?']) => {
                        format!("write `{{glob: {}}}` for the files that match", brief(text))
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

    /// Points out what is read as a parameter, but is spelt nearly as a rule, or as a distribution, which only `random…` has.
    fn misspelt(&self, reader: &mut Reader<'_>, key: &str, path: &[String], part: &str, parts: usize, child: &Node) {
        let inside = path.iter().try_fold(self.params, |node, key| node.get(key));
        if path.is_empty()
            || parts != 1
            || child.as_map().is_some()
            || inside.is_some_and(|params| params.as_map().is_some())
        {
            return;
        }
        let help = if random::DISTRIBUTIONS.contains(&part) && part != "choice" {
            "distributions belong in a key that starts with `random`".to_owned()
        } else if part == "choice" || part == "values" {
            format!("write the list itself: `{}: [value, …]`", brief(path.last().map_or("", String::as_str)))
        } else if let Some(near) = keys::nearest(part, values::RULES).filter(|near| *near != part) {
            format!("did you mean `{near}`?")
        } else {
            return;
        };
        let whole = dotted(&[path, &[part.to_owned()]].concat());
        let message = format!("`{}` sweeps a parameter called `{whole}`", brief(key));
        let place = if child.as_list().is_some() { child.at } else { return };
        reader.report.push(
            Diagnostic::warning(message)
                .at(place)
                .help(format!("{help}; if the parameter is meant, name it in `params` too")),
        );
    }
}

/// Whether a mapping could be a sweep: lists, rules or distributions are all it holds.
pub(super) fn looks_like_sweep(node: &Node) -> bool {
    fn inside(node: &Node) -> bool {
        match &node.kind {
            NodeKind::List(_) => true,
            NodeKind::Scalar(_) => false,
            NodeKind::Map(_) if values::rule(node).is_some() || random::distribution(node).is_some() => true,
            NodeKind::Map(map) => !map.is_empty() && map.values().all(|(_, child)| inside(child)),
        }
    }
    random::is_meant(node) || node.as_map().is_some() && inside(node)
}

/// Every value of a mapping that is none itself, or is empty.
fn leaves(node: &Node, path: &mut Vec<String>, axes: &mut Vec<Axis>) {
    match node.as_map() {
        Some(map) if !map.is_empty() || path.is_empty() => {
            for (key, (_, child)) in map {
                path.push(key.clone());
                leaves(child, path, axes);
                path.pop();
            }
        }
        _ => axes.push(Axis { path: path.clone(), values: vec![node.clone()], naming: Naming::Whole }),
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
    check_after(reader, params, sweeps, Vec::new());
}

fn check_after<'s>(
    reader: &mut Reader<'_>,
    params: &Node,
    sweeps: &'s [Sweep],
    mut earlier: Vec<(&'s Sweep, &'s Axis)>,
) {
    for sweep in sweeps {
        for case in &sweep.cases {
            check_after(reader, params, case, earlier.clone());
        }
        for axis in &sweep.axes {
            let found = blocked_by_params(params, sweep, axis)
                .or_else(|| earlier.iter().find_map(|(first, before)| clash(first, before, sweep, axis)));
            if let Some(diagnostic) = found {
                reader.report.push(diagnostic);
            }
        }
        earlier.extend(sweep.each_axis());
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

pub(super) fn dotted(path: &[String]) -> String {
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

/// The value of `exclude`: a mapping, an expression, or a list of them.
pub(super) fn exclude(reader: &mut Reader<'_>, node: &Node) -> Vec<Exclude> {
    let items = node.as_list().unwrap_or(std::slice::from_ref(node));
    let mut excludes = Vec::new();
    for item in items {
        let pattern = match (item.as_map(), item.as_str()) {
            (Some(map), _) if !map.is_empty() => Pattern::Values(item.to_value()),
            (_, Some(text)) if !text.trim().is_empty() => Pattern::Expression(text.to_owned()),
            _ => {
                let found = if item.as_map().is_some() { "an empty mapping".to_owned() } else { item.describe() };
                let diagnostic =
                    Diagnostic::error(format!("`exclude` must name parameters with their values, found {found}"));
                let help = "write `- {parameter: value}`, or an expression: `- lr > 0.1 and width >= 64`";
                reader.report.push(diagnostic.at(item.at).help(help));
                continue;
            }
        };
        excludes.push(Exclude { at: item.at, pattern });
    }
    excludes
}
