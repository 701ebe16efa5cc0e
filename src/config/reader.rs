//! Reading one known key after another from a merged mapping.
//!
//! Owns texts and paths, and the warnings about keys that no table knows. What the other kinds of values are is
//! [`super::fields`]'s matter.

use super::Template;
use super::error::{Diagnostic, Report};
use super::keys::{self, Known, Scope};
use super::node::{At, Node, NodeKind, brief};
use super::{derive, scalar, sweep};
use crate::value::Value;
use indexmap::IndexMap;

/// Reads the keys of a mapping; what is wrong goes to the report and reads as missing.
pub(super) struct Reader<'a> {
    map: &'a IndexMap<String, (At, Node)>,
    /// What is wrong.
    pub(super) report: &'a mut Report,
}

impl<'a> Reader<'a> {
    pub(super) fn new(map: &'a IndexMap<String, (At, Node)>, report: &'a mut Report) -> Self {
        Reader { map, report }
    }

    /// A key's value; nothing (null) is as good as missing, so that a child can take back what a parent says.
    pub(super) fn node(&self, key: &str) -> Option<&'a Node> {
        self.map.get(key).map(|(_, node)| node).filter(|node| !node.is_null())
    }

    /// All entries, in document order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, At, &'a Node)> + use<'a> {
        self.map.iter().map(|(key, (at, node))| (key.as_str(), *at, node))
    }

    /// A key's value, of one of the kinds in [`super::fields`].
    pub(super) fn read<T>(&mut self, key: &str, kind: fn(&Node, &str) -> Result<T, Box<Diagnostic>>) -> Option<T> {
        match kind(self.node(key)?, key) {
            Ok(value) => Some(value),
            Err(diagnostic) => {
                self.report.push(*diagnostic);
                None
            }
        }
    }

    /// A key's value as text.
    pub(super) fn text(&mut self, key: &str) -> Option<Template> {
        let node = self.node(key)?;
        self.text_of(node, key)
    }

    /// A scalar as text, as it is written: `1.10` stays `1.10`.
    pub(super) fn text_of(&mut self, node: &Node, what: &str) -> Option<Template> {
        let Some(text) = written(node, self.report) else {
            let message = format!("`{}` must be text, found {}", brief(what), node.describe());
            let help = if node.is_null() { "write \"\" if an empty text is meant" } else { "write one text" };
            self.report.push(Diagnostic::error(message).at(node.at).help(help));
            return None;
        };
        if text.contains('\0') {
            let message =
                format!("`{}` contains a null character (U+0000), which no program can be passed", brief(what));
            self.report.push(Diagnostic::error(message).at(node.at).help("remove it"));
            return None;
        }
        Some(Template { text, at: node.at })
    }

    /// One text or a list of them.
    pub(super) fn texts_of(&mut self, node: &Node, what: &str) -> Option<Vec<Template>> {
        match node.as_list() {
            Some(items) => items.iter().map(|item| self.text_of(item, what)).collect(),
            None => Some(vec![self.text_of(node, what)?]),
        }
    }

    /// Warns of keys that are near misses of known ones, and returns the user's own.
    pub(super) fn foreign(&mut self, scope: Scope, strict: bool) -> Vec<(&'a str, &'a Node)> {
        let mut foreign = Vec::new();
        for (key, at, node) in self.entries() {
            let known = match keys::of_value(key).filter(|_| scope == Scope::Experiment) {
                Some(_) if !means_something(key, node) => Known::Foreign,
                _ => keys::classify(key, scope),
            };
            match known {
                Known::Foreign if scope == Scope::Experiment => {
                    foreign.push((key, node));
                    if let Some(diagnostic) = own_mapping(key, at, node, strict) {
                        self.report.push(diagnostic);
                    }
                }
                Known::Key | Known::Sweep | Known::Internal => {}
                Known::Foreign => foreign.push((key, node)),
                Known::NearMiss(meant) => {
                    foreign.push((key, node));
                    // Both are there, written by one hand: the other one is the user's own. What DEFAULT or a parent
                    // says is what a misspelt key would have replaced. A name is never inherited.
                    let both =
                        self.map.get(meant).is_some_and(|(there, _)| meant == "name" || self.same_document(at, *there));
                    if !both {
                        self.report.push(misspelt(key, meant, at, scope, strict));
                    }
                }
            }
        }
        foreign
    }

    /// Whether two places are in the same document of the same file.
    fn same_document(&self, a: At, b: At) -> bool {
        let text = self.report.files.get(a.file as usize).filter(|_| a.file == b.file).map(|file| file.text.as_str());
        let between = text.and_then(|text| text.get(a.start.min(b.start) as usize..a.start.max(b.start) as usize));
        between.is_some_and(|between| !between.lines().any(separates))
    }
}

/// Whether a key that is known by its value has such a one.
fn means_something(key: &str, node: &Node) -> bool {
    match keys::of_value(key) {
        Some("derive") => derive::is_meant(node),
        Some("defaults") => node.as_map().is_some(),
        Some("seed") => derive::is_paired(node),
        _ => sweep::kind(key, node, false).is_some(),
    }
}

/// What to tell of a key of the user's own that holds a mapping: it may be meant for one of cw2's. `wandb` is what loggers read.
fn own_mapping(key: &str, at: At, node: &Node, strict: bool) -> Option<Diagnostic> {
    let near = keys::nearly(key).filter(|near| {
        // What it would be under that name.
        let lists = sweep::looks_like_sweep(node) && *near != "cases" && *near != "derive";
        means_something(near, node) && keys::of_value(near).is_some() || lists && keys::of_value(near).is_none()
    });
    if let Some(near) = near.filter(|near| *near != "defaults" || key == "default") {
        return Some(misspelt(key, near, at, Scope::Experiment, strict));
    }
    if keys::classify(key, Scope::Slurm) == Known::Key {
        let message = format!("`{key}` is a key of SLURM: here it asks for nothing, and is passed on unchanged");
        let help = format!("write it in the document `SLURM`, or for this experiment alone as `slurm: {{{key}: …}}`");
        return Some(Diagnostic::note(message).at(at).help(help));
    }
    if node.as_map().is_none_or(IndexMap::is_empty) || key == "wandb" {
        return None;
    }
    let message = format!("`{}` is not a key of cw2: it is kept and passed on unchanged", brief(key));
    let help = match keys::of_value(key) {
        Some("cases") => {
            "`cases` is a list of what each case sets, as in `cases: [{params: {optimizer: adam}, grid: {lr: [0.1, 0.2]}}]`"
        }
        _ => "parameters belong in `params`, and values to combine in `grid`, `list`, `ablative`, `random` or `cases`",
    };
    let diagnostic =
        if sweep::looks_like_sweep(node) { Diagnostic::warning(message) } else { Diagnostic::note(message) };
    Some(diagnostic.at(at).help(help))
}

/// Whether a line separates two documents.
fn separates(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// The error for a key that no table knows, where only known ones may stand.
pub(super) fn unknown_key(key: &str, at: At, what: &str, known: &[&str]) -> Diagnostic {
    let diagnostic = Diagnostic::error(format!("{what} has no key `{}`", brief(key))).at(at);
    match keys::nearest(key, known.iter().copied()) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => diagnostic.help(format!("its keys are {}", super::error::names(known.iter().copied()))),
    }
}

fn misspelt(key: &str, meant: &str, at: At, scope: Scope, strict: bool) -> Diagnostic {
    let message = format!("`{}` is not a key of cw2", brief(key));
    let diagnostic = if strict { Diagnostic::error(message) } else { Diagnostic::warning(message) };
    let otherwise = match (strict, scope) {
        (true, _) => "",
        // Only a template of one's own reads such a key.
        (false, Scope::Slurm) => {
            " As it is, it asks Slurm for nothing; other options of sbatch belong in `sbatch_args`"
        }
        (false, _) => " It is kept and passed on unchanged",
    };
    diagnostic.at(at).help(format!("did you mean `{meant}`?{otherwise}"))
}

/// The text of a scalar as its author wrote it; `None` for nothing, a sequence or a mapping.
pub(super) fn written(node: &Node, report: &Report) -> Option<String> {
    let NodeKind::Scalar(value) = &node.kind else { return None };
    match value {
        Value::Null => return None,
        Value::String(text) => return Some(text.clone()),
        _ => {}
    }
    let sources = match node.at.file {
        At::COMMAND_LINE => report.command_line.get((node.at.line as usize).wrapping_sub(1)).map(String::as_str),
        file => report.files.get(file as usize).map(|file| file.text.as_str()),
    };
    let slice = sources.and_then(|text| text.get(node.at.start as usize..node.at.end as usize));
    // An anchor or a tag before the scalar belongs to its place, not to its text.
    let last = slice.and_then(|slice| slice.split_whitespace().next_back());
    match last {
        Some(text) if scalar::plain(text).0.same(value) => Some(text.to_owned()),
        _ => Some(value.to_json()),
    }
}
