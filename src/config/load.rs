//! The whole way from a path to a [`Config`].
//!
//! Owns the order of the stages and the selection of experiments; every stage's own rules are its module's.

use super::error::{Diagnostic, Report, no_experiment};
use super::expand;
use super::import::Loader;
use super::merge::{Documents, Named};
use super::node::NodeKind;
use super::positions::start_of;
use super::set::{self, Assignment};
use super::typed::{Shared, experiment, selected};
use super::{Config, Request, Source};
use crate::value::Value;
use std::path::Path;

/// Reads a configuration, its imports included, and decides every key. The report of a success holds warnings and notes.
pub fn load(source: &dyn Source, path: &Path, request: &Request) -> Result<(Config, Report), Report> {
    let mut loader = Loader::new(source, &request.surroundings, Report::new(request.set.clone()));
    let assignments = assignments(request, &mut loader.report);
    let mut experiments = Vec::new();
    let mut own_slurm = None;
    if let Some((file, documents)) = loader.main(path) {
        check_selection(&documents, file, request, &mut loader.report);
        let mut merged = Vec::new();
        let chosen = documents.experiments.iter().filter(|named| selected(request, &named.name));
        for named in chosen.map(|named| prefixed(named, request.prefix.as_deref())) {
            let Some(mut node) = loader.resolve(file, &named) else { continue };
            for assignment in &assignments {
                if let Err(diagnostic) = set::apply(assignment, &mut node) {
                    loader.report.push(*diagnostic);
                }
            }
            merged.push((named, node));
        }
        let slurm = loader.cluster(file, request);
        let mut report = std::mem::take(&mut loader.report);
        let shared = Shared { request, slurm: slurm.as_ref(), set: &assignments, source };
        for (named, node) in merged {
            experiments.extend(experiment(&shared, &named, node, &mut report));
        }
        loader.report = report;
        // What is wrong with it was told, unless each experiment says otherwise.
        own_slurm = slurm;
        if let Some(node) = &mut own_slurm {
            expand::slurm(node, &request.surroundings, &mut Report::default());
        }
    }
    // Who only looks has read them when the plan was made.
    if request.for_slurm && (request.original || loader.is_of_original()) {
        loader.traps.notes().into_iter().for_each(|note| loader.report.push(note));
    }
    let mut report = loader.report;
    report.sort();
    if report.has_errors() {
        return Err(report);
    }
    Ok((Config { experiments, slurm: own_slurm, files: report.files.clone() }, report))
}

/// The experiment with a name that begins with the prefix.
fn prefixed(named: &Named, prefix: Option<&str>) -> Named {
    let mut named = named.clone();
    if let Some(prefix) = prefix {
        named.name = format!("{prefix}_{}", named.name);
        if let NodeKind::Map(map) = &mut named.node.kind
            && let Some((_, node)) = map.get_mut("name")
        {
            node.kind = NodeKind::Scalar(Value::from(named.name.as_str()));
        }
    }
    named
}

fn assignments(request: &Request, report: &mut Report) -> Vec<Assignment> {
    let mut assignments = Vec::new();
    for (index, text) in request.set.iter().enumerate() {
        match set::parse(text, index) {
            Ok(assignment) => assignments.push(assignment),
            Err(diagnostic) => report.push(*diagnostic),
        }
    }
    assignments
}

/// There must be an experiment, and every one asked for.
fn check_selection(documents: &Documents, file: u32, request: &Request, report: &mut Report) {
    let known: Vec<_> = documents.experiments.iter().map(|named| named.name.as_str()).collect();
    if known.is_empty() {
        let diagnostic = Diagnostic::error("there is no experiment in this file").at(start_of(file));
        report.push(diagnostic.help("add a document with a `name` other than DEFAULT and SLURM"));
        return;
    }
    for wanted in &request.experiments {
        if known.contains(&wanted.as_str()) {
            continue;
        }
        report.push(no_experiment(wanted, &known, "").at(start_of(file)));
    }
}
