//! Laying mappings over each other, and sorting a file's documents.
//!
//! Owns the deep merge (the order of keys is the original's, and decides the order of a grid) and what DEFAULT, SLURM and
//! experiment documents are. It must not follow imports (that is [`super::import`]).

use super::error::{Diagnostic, Report};
use super::keys::{Known, Scope, classify};
use super::node::{At, Node, NodeKind, brief};
use super::{random, values};
use indexmap::IndexMap;

/// Lays a document over another: mappings recursively, everything else replaced. Keys of the base keep their place.
pub(super) fn merge(base: Node, over: Node) -> Node {
    merge_all(vec![base, over]).unwrap_or_else(|| Node::empty_map(At::default()))
}

/// The same for any number of them, the lowest first; `None` for none. Where the topmost is a mapping, whatever lies below it
/// and is none is as if it were not there.
pub(super) fn merge_all(layers: Vec<Node>) -> Option<Node> {
    lay(layers, Place::Document)
}

/// Lays a value over another, in the same way.
pub(super) fn merge_values(base: Node, over: Node) -> Node {
    lay(vec![base, over], Place::Value).unwrap_or_else(|| Node::empty_map(At::default()))
}

/// What a mapping is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Document,
    Sweep,
    Value,
}

fn lay(mut layers: Vec<Node>, place: Place) -> Option<Node> {
    let top = layers.pop()?;
    if top.as_map().is_none() || layers.is_empty() {
        return Some(top);
    }
    // One rule for a parameter's values replaces another.
    if place == Place::Sweep
        && is_rule(&top)
        && layers.last().is_some_and(|below| is_rule(below) && !same_key(below, &top))
    {
        return Some(top);
    }
    let at = top.at;
    layers.push(top);
    let mut all: IndexMap<String, (At, Vec<Node>)> = IndexMap::new();
    for layer in layers {
        let NodeKind::Map(map) = layer.kind else { continue };
        for (key, (at, node)) in map {
            let (place, nodes) = all.entry(key).or_insert_with(|| (at, Vec::new()));
            *place = at;
            nodes.push(node);
        }
    }
    let entries = all.into_iter().filter_map(|(key, (at, nodes))| {
        let inner = match place {
            Place::Document if classify(&key, Scope::Experiment) == Known::Sweep => Place::Sweep,
            Place::Document => Place::Value,
            inside => inside,
        };
        let node = lay(nodes, inner)?;
        Some((key, (at, node)))
    });
    Some(Node { kind: NodeKind::Map(entries.collect()), at })
}

/// Whether a mapping says a parameter's values by a rule, or draws them from a distribution.
fn is_rule(node: &Node) -> bool {
    values::rule(node).is_some() || random::distribution(node).is_some()
}

fn same_key(a: &Node, b: &Node) -> bool {
    a.as_map().zip(b.as_map()).is_some_and(|(a, b)| a.keys().eq(b.keys()))
}

/// A document with the name it bears.
#[derive(Debug, Clone)]
pub(super) struct Named {
    /// As written.
    pub(super) name: String,
    /// Where the name stands.
    pub(super) name_at: At,
    /// The whole document.
    pub(super) node: Node,
}

/// A file's documents, sorted.
#[derive(Debug, Clone, Default)]
pub(super) struct Documents {
    /// What every experiment of the file is merged over.
    pub(super) default: Option<Named>,
    /// SLURM and its variants.
    pub(super) slurm: Vec<Named>,
    /// The rest, in file order.
    pub(super) experiments: Vec<Named>,
}

/// Sorts a file's documents; what is wrong with them goes to the report.
pub(super) fn sort_documents(documents: Vec<Node>, report: &mut Report) -> Documents {
    let mut sorted = Documents::default();
    for (index, node) in documents.into_iter().enumerate() {
        let Some(named) = named(&node, index + 1, report) else { continue };
        let lower = named.name.to_lowercase();
        if lower == "default" {
            match &sorted.default {
                Some(first) => report.push(twice(&named, first, "there are two DEFAULT documents")),
                None => sorted.default = Some(named),
            }
        } else if lower == "slurm" || lower.starts_with("slurm_") {
            check_slurm(&named, &lower, &sorted.slurm, report);
            sorted.slurm.push(named);
        } else {
            match sorted.experiments.iter().find(|first| first.name == named.name) {
                Some(first) => {
                    let message = format!("there are two experiments named `{}`", brief(&named.name));
                    report.push(twice(&named, first, message));
                }
                None => sorted.experiments.push(named),
            }
        }
    }
    sorted
}

fn check_slurm(named: &Named, lower: &str, others: &[Named], report: &mut Report) {
    if lower == "slurm_" {
        let message = format!("`{}` names no host", named.name);
        report.push(
            Diagnostic::error(message)
                .at(named.name_at)
                .help("write `SLURM`, or a part of the host's name behind the `_`"),
        );
    }
    if let Some(first) = others.iter().find(|other| other.name.to_lowercase() == lower) {
        report.push(twice(named, first, format!("there are two {} documents", brief(&named.name.to_uppercase()))));
    }
}

fn twice(second: &Named, first: &Named, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(message)
        .at(second.name_at)
        .label("again here")
        .also(first.name_at, "first here")
        .help("rename or remove one of them")
}

/// A document's name. `number` counts the documents that hold something, from 1.
fn named(node: &Node, number: usize, report: &mut Report) -> Option<Named> {
    let Some(map) = node.as_map() else {
        let message = format!("document {number} is {}, not a mapping", node.describe());
        report.push(Diagnostic::error(message).at(node.at).help("a document is a mapping with a `name`"));
        return None;
    };
    let Some((key_at, name)) = map.get("name").filter(|(_, name)| !name.is_null()) else {
        let at = map.values().next().map_or(node.at, |(at, _)| *at);
        let help = "give it a `name`: `DEFAULT`, `SLURM` or the experiment's own";
        report.push(Diagnostic::error(format!("document {number} has no `name`")).at(at).help(help));
        return None;
    };
    match name.as_str() {
        Some(text) if !text.is_empty() => Some(Named { name: text.to_owned(), name_at: name.at, node: node.clone() }),
        _ => {
            let at = if name.at.line == 0 { *key_at } else { name.at };
            let found = if name.as_str().is_some() { "empty".to_owned() } else { name.describe() };
            report.push(
                Diagnostic::error(format!("`name` must be text, found {found}"))
                    .at(at)
                    .help("write the name in quotes"),
            );
            None
        }
    }
}
