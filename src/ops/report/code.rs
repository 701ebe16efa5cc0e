//! Which code ran, and the configuration: of each plan what git said and what a person wrote.

use super::local;
use super::merge::Merged;
use crate::ops::here::shown;
use crate::plan::layout::{plan as plan_names, rep as rep_names};
use crate::plan::record::GitRecord;
use crate::report::html::{Config, Version};
use crate::store::gather::Gathered;
use crate::store::plan::Plan;
use crate::store::survey::Survey;
use crate::store::{self, plans};
use jiff::Timestamp;
use std::collections::HashSet;
use std::path::Path;

/// A text of which more is cut: a configuration, a diff.
const TEXT: usize = 200_000;

/// The versions of the code, and where those that were gathered are among them.
pub fn versions(gathered: &Gathered, survey: Option<&Survey>) -> (Vec<Version>, Vec<usize>) {
    let mut versions: Vec<Version> = Vec::new();
    let mut place = |version: Version| {
        let Some((place, known)) = versions.iter_mut().enumerate().find(|(_, known)| same(known, &version)) else {
            versions.push(version);
            return versions.len() - 1;
        };
        known.plans.extend(version.plans);
        if known.notes.is_empty() {
            known.notes = version.notes;
        }
        known.created = known.created.take().or(version.created);
        place
    };
    let places = gathered
        .codes
        .iter()
        .map(|code| {
            let diff = code.diff.as_deref().and_then(text_of);
            place(Version {
                commit: Some(code.commit.clone()),
                branch: code.branch.clone(),
                dirty: Some(code.dirty),
                cut: diff.as_ref().is_some_and(|(_, cut)| *cut),
                diff: diff.map(|(text, _)| text),
                ..Version::default()
            })
        })
        .collect();
    for plan in survey.iter().flat_map(|survey| &survey.plans) {
        let record = store::read(&plan.folder.join(plan_names::GIT)).ok();
        let Some(record) = record.and_then(|text| serde_json::from_slice::<GitRecord>(&text).ok()) else { continue };
        place(version(plan, record));
    }
    (versions, places)
}

fn same(a: &Version, b: &Version) -> bool {
    (&a.commit, a.dirty.unwrap_or(false), &a.diff) == (&b.commit, b.dirty.unwrap_or(false), &b.diff)
}

fn version(plan: &Plan, record: GitRecord) -> Version {
    let diff = record.diff.and_then(|name| text_of(&plan.folder.join(name)));
    let created: Option<Timestamp> = plan.manifest.created.parse().ok();
    Version {
        commit: record.commit,
        branch: record.branch,
        dirty: record.dirty,
        cut: diff.as_ref().is_some_and(|(_, cut)| *cut),
        diff: diff.map(|(text, _)| text),
        notes: record.notes,
        plans: vec![plan.name().to_owned()],
        created: created.map(local),
        reps: 0,
    }
}

/// A file's text, and whether it was cut.
fn text_of(path: &Path) -> Option<(String, bool)> {
    let bytes = store::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let (text, cut) = cut(&text);
    Some((text, cut))
}

fn cut(text: &str) -> (String, bool) {
    if text.len() <= TEXT {
        return (text.to_owned(), false);
    }
    let end = (0..=TEXT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let kept = text.get(..end).unwrap_or_default();
    (kept.rsplit_once('\n').map_or(kept, |(whole, _)| whole).to_owned(), true)
}

/// What people wrote, of each plan; without plans, the configuration of a repetition of each experiment.
pub fn configurations(merged: &Merged, survey: Option<&Survey>) -> Vec<Config> {
    let mut all: Vec<Config> = Vec::new();
    let mut add = |file: String, text: &str, plan: Option<&str>| {
        let (text, was_cut) = cut(text);
        let text = if was_cut { text + "\n… (cut)" } else { text };
        let plans: Vec<String> = plan.iter().map(|plan| (*plan).to_owned()).collect();
        match all.iter_mut().find(|known| known.file == file && known.text == text) {
            Some(known) => known.plans.extend(plans),
            None => all.push(Config { file, text, plans }),
        }
    };
    for plan in survey.iter().flat_map(|survey| &survey.plans) {
        for (file, text) in plans::copies(&plan.folder, plan_names::SOURCES).unwrap_or_default() {
            add(file, &text, Some(plan.name()));
        }
    }
    if survey.is_none() {
        let mut known = HashSet::new();
        for rep in &merged.reps {
            let Some(run) = merged.runs.get(rep.run) else { continue };
            if known.insert(&run.experiment) {
                let path = Path::new(&rep.dir).join(rep_names::CONFIG);
                if let Some((text, _)) = text_of(&path) {
                    add(shown(&path), &text, None);
                }
            }
        }
    }
    all
}
