//! `derive`, `defaults` and `seed`: what is told of parameters besides their values; and parameters that look like templates.
//!
//! Owns their shape, by which they are told from keys of the same names that a program reads for itself. It must not compute
//! anything (that is [`crate::experiment`]).

use super::Derive;
use super::error::Diagnostic;
use super::node::{At, Node, NodeKind, brief};
use super::reader::Reader;
use super::sweep::dotted;
use crate::value::Value;
use std::collections::HashSet;

/// Whether `derive` is meant to compute parameters: it is a mapping with a template, or with nothing but what takes some back.
pub(super) fn is_meant(node: &Node) -> bool {
    let mut all = Vec::new();
    leaves(node, &mut Vec::new(), &mut all);
    let taken_back = !all.is_empty() && all.iter().all(|(_, node)| node.is_null());
    node.as_map().is_some() && (taken_back || all.iter().any(|(_, node)| has_template(node)))
}

/// What `derive` computes. Nothing (null) takes back what a parent computes.
pub(super) fn derive(reader: &mut Reader<'_>, params: &Node) -> Vec<Derive> {
    let Some(node) = reader.node("derive").filter(|node| is_meant(node)) else { return Vec::new() };
    let mut all = Vec::new();
    leaves(node, &mut Vec::new(), &mut all);
    all.retain(|(_, node)| !node.is_null());
    for (path, node) in &all {
        let (mut there, mut found) = (params, None);
        for (depth, key) in path.iter().enumerate() {
            let Some(child) = there.get(key) else { break };
            there = child;
            if depth + 1 == path.len() || child.as_map().is_none() {
                found = Some((depth, child));
                break;
            }
        }
        let Some((depth, child)) = found else { continue };
        let (whole, part) = (dotted(path), dotted(path.get(..=depth).unwrap_or_default()));
        let diagnostic = if depth + 1 == path.len() {
            Diagnostic::error(format!("`{whole}` stands in `params`, and is computed by `derive`"))
                .help("remove one of the two; `null` in `derive` takes back what a parent computes")
        } else {
            Diagnostic::error(format!("`derive` computes `{whole}`, but `{part}` is {}", child.describe()))
                .help(format!("make `{part}` a mapping, or choose another name"))
        };
        reader.report.push(diagnostic.at(node.at).also(child.at, "in `params`"));
    }
    all.into_iter().map(|(path, node)| Derive { path, value: node.to_value(), at: node.at }).collect()
}

fn leaves<'n>(node: &'n Node, path: &mut Vec<String>, all: &mut Vec<(Vec<String>, &'n Node)>) {
    match node.as_map() {
        Some(map) => {
            for (key, (_, child)) in map {
                path.push(key.clone());
                leaves(child, path, all);
                path.pop();
            }
        }
        None => all.push((path.clone(), node)),
    }
}

fn has_template(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Scalar(Value::String(text)) => text.contains("{{") || text.contains("{%"),
        NodeKind::Scalar(_) => false,
        NodeKind::List(items) => items.iter().any(has_template),
        NodeKind::Map(map) => map.values().any(|(_, node)| has_template(node)),
    }
}

/// Whether `seed` asks for the same seeds in all runs.
pub(super) fn is_paired(node: &Node) -> bool {
    node.as_str() == Some("rep")
}

/// Tells of parameters that hold a template of cw2's: they reach the program as they are written.
pub(super) fn check_literal<'n>(reader: &mut Reader<'_>, values: impl Iterator<Item = (String, &'n Node)>) {
    let mut found: Vec<(String, At)> = Vec::new();
    let mut seen = HashSet::new();
    for (name, node) in values {
        templates(&name, node, &mut |name, at| {
            if seen.insert(at) {
                found.push((name, at));
            }
        });
    }
    let Some((name, at)) = found.first() else { return };
    let others = match found.len() {
        1 => String::new(),
        2 => "; so does one more".to_owned(),
        count => format!("; so do {} more", count - 1),
    };
    let message = format!("`{}` holds a template, which reaches the program as it is written{others}", brief(name));
    let help = "templates work in `derive` (for parameters), `command`, `env`, `workdir` and `launcher`";
    reader.report.push(Diagnostic::warning(message).at(*at).help(help));
}

fn templates(name: &str, node: &Node, tell: &mut impl FnMut(String, At)) {
    match &node.kind {
        NodeKind::Scalar(Value::String(text)) if uses_a_name(text) => tell(name.to_owned(), node.at),
        NodeKind::Scalar(_) => {}
        NodeKind::List(items) => items.iter().for_each(|item| templates(name, item, tell)),
        NodeKind::Map(map) => map.iter().for_each(|(key, (_, node))| templates(&format!("{name}.{key}"), node, tell)),
    }
}

/// Whether a text holds a template that uses one of the names cw2 has: a program's own templates have others.
fn uses_a_name(text: &str) -> bool {
    const NAMES: [&str; 8] = ["params", "rep", "rep_dir", "config_file", "experiment", "run", "seed", "slot"];
    let mut rest = text;
    while let Some((_, inner)) = rest.split_once("{{") {
        let Some((inside, after)) = inner.split_once("}}") else { return false };
        let word: String = inside.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if NAMES.contains(&word.as_str()) {
            return true;
        }
        rest = after;
    }
    false
}
