//! The whole way from a path to a [`Config`].
//!
//! Owns the order of the stages and the selection of experiments; every stage's own rules are its module's.

use super::error::{Diagnostic, Report, names};
use super::import::Loader;
use super::merge::{Documents, slurm_for};
use super::positions::start_of;
use super::set::{self, Assignment};
use super::typed::{Shared, experiment, selected};
use super::{Config, Request, Source, keys};
use std::path::Path;

/// Reads a configuration, its imports included, and decides every key. The report of a success holds warnings and notes.
pub fn load(source: &dyn Source, path: &Path, request: &Request) -> Result<(Config, Report), Report> {
    let mut loader = Loader::new(source, Report::new(request.set.clone()));
    let assignments = assignments(request, &mut loader.report);
    let mut experiments = Vec::new();
    if let Some((file, documents)) = loader.main(path) {
        check_selection(&documents, file, request, &mut loader.report);
        let mut merged = Vec::new();
        for named in documents.experiments.iter().filter(|named| selected(request, &named.name)) {
            let Some(mut node) = loader.resolve(file, named) else { continue };
            for assignment in &assignments {
                if let Err(diagnostic) = set::apply(assignment, &mut node) {
                    loader.report.push(*diagnostic);
                }
            }
            merged.push((named, node));
        }
        let mut report = std::mem::take(&mut loader.report);
        let shared = Shared {
            request,
            slurm: slurm_for(&documents.slurm, &request.hostname),
            set: &assignments,
            readable: &|path| loader.exists(path),
        };
        for (named, node) in merged {
            experiments.extend(experiment(&shared, named, node, &mut report));
        }
        loader.report = report;
    }
    let mut report = loader.report;
    for note in loader.traps.notes() {
        report.push(note);
    }
    report.sort();
    if report.has_errors() {
        return Err(report);
    }
    Ok((Config { experiments, files: report.files.clone() }, report))
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
        let all = format!("the experiments are {}", names(known.iter().copied()));
        let help = match keys::nearest(wanted, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? {all}"),
            None => all,
        };
        let message = format!("there is no experiment `{}`", super::node::brief(wanted));
        report.push(Diagnostic::error(message).at(start_of(file)).help(help));
    }
}
