//! Reading files and following imports.
//!
//! Owns the resolution order: an experiment over its file's DEFAULT, then over its parent, which is resolved the same way.
//! It must not look at any key but the two import keys.

use super::error::{Diagnostic, Report, names, no_experiment};
use super::expand::{self, Kind, Surroundings};
use super::keys::{Known, Scope, classify};
use super::merge::{Documents, Named, merge, merge_all, sort_documents};
use super::node::{At, Node, NodeKind, brief};
use super::positions::{decode, start_of};
use super::traps::Traps;
use super::{Source, SourceFile, yaml};
use crate::paths::clean;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// More parents than this are refused: links in the file system could make a chain without end.
const MAX_CHAIN: usize = 64;

/// Where the original keeps what named an experiment's parent; taken out again by [`super::typed`].
pub(super) const ARCHIVED: [&str; 2] = ["_import_path_archive", "_import_exp_archive"];

/// The files read so far.
pub(super) struct Loader<'a> {
    source: &'a dyn Source,
    around: &'a Surroundings,
    /// Everything found, and the texts.
    pub(super) report: Report,
    /// Places that are read otherwise than by the original.
    pub(super) traps: Traps,
    /// By cleaned path: the file's number and, if it could be read, its documents.
    loaded: HashMap<PathBuf, (u32, Option<Documents>)>,
}

/// One member of a chain of imports.
struct Link {
    file: u32,
    name: String,
}

/// What a node imports.
enum Import {
    /// It names no parent.
    None,
    /// It does, but wrongly; the report tells.
    Wrong,
    /// The parent's file and name, and the place that asks for it.
    Of(u32, String, At),
}

impl<'a> Loader<'a> {
    pub(super) fn new(source: &'a dyn Source, around: &'a Surroundings, report: Report) -> Self {
        Loader { source, around, report, traps: Traps::default(), loaded: HashMap::new() }
    }

    /// Reads the configuration itself: its number and its documents.
    pub(super) fn main(&mut self, path: &Path) -> Option<(u32, Documents)> {
        let file = self.load(path, None, &[])?;
        Some((file, self.documents(file)?.clone()))
    }

    /// An experiment with its DEFAULT and all its parents merged under it; `None` where that failed.
    pub(super) fn resolve(&mut self, file: u32, experiment: &Named) -> Option<Node> {
        let node = self.over_default(file, experiment.node.clone());
        let chain = vec![Link { file, name: experiment.name.clone() }];
        self.with_parents(node, chain)
    }

    /// Whether some file has a key that means something to the original alone.
    pub(super) fn is_of_original(&self) -> bool {
        let slurm = |node: &Node| node.get("scheduler").is_some();
        let experiment = |node: &Node| {
            let internal = |key: &String| classify(key, Scope::Experiment) == Known::Internal;
            node.as_map().is_some_and(|map| map.keys().any(internal)) || node.get("slurm").is_some_and(slurm)
        };
        self.loaded.values().filter_map(|(_, documents)| documents.as_ref()).any(|documents| {
            documents.slurm.iter().any(|named| slurm(&named.node))
                || documents.default.iter().chain(&documents.experiments).any(|named| experiment(&named.node))
        })
    }

    pub(super) fn documents(&self, file: u32) -> Option<&Documents> {
        let (_, documents) = self.loaded.values().find(|(number, _)| *number == file)?;
        documents.as_ref()
    }

    fn over_default(&self, file: u32, node: Node) -> Node {
        match self.documents(file).and_then(|documents| documents.default.as_ref()) {
            Some(default) => merge(default.node.clone(), node),
            None => node,
        }
    }

    /// Merges parent after parent under the node, until one imports nothing.
    fn with_parents(&mut self, node: Node, mut chain: Vec<Link>) -> Option<Node> {
        // The topmost first; laid over each other at the end, as every step would cost the whole.
        let mut layers = Vec::new();
        let mut layer = node;
        loop {
            let (parent_file, name, at) = match self.parent_of(&mut layer, &chain) {
                Import::None => {
                    layers.push(layer);
                    layers.reverse();
                    return merge_all(layers);
                }
                Import::Wrong => return None,
                Import::Of(file, name, at) => (file, name, at),
            };
            if let Some(first) = chain.iter().position(|link| link.file == parent_file && link.name == name) {
                chain.push(Link { file: parent_file, name });
                let whole = self.describe_chain(chain.get(first..).unwrap_or_default());
                let diagnostic = Diagnostic::error(format!("the imports form a cycle: {whole}")).at(at);
                self.report.push(diagnostic.help("remove one of the imports"));
                return None;
            }
            if chain.len() >= MAX_CHAIN {
                let message = format!("more than {MAX_CHAIN} experiments import one another");
                self.report.push(Diagnostic::error(message).at(at).help("shorten the chain of imports"));
                return None;
            }
            let parent = self.find(parent_file, &name, at)?;
            chain.push(Link { file: parent_file, name });
            layers.push(std::mem::replace(&mut layer, parent));
        }
    }

    /// Takes the import keys out of a node and says which parent they name.
    fn parent_of(&mut self, node: &mut Node, chain: &[Link]) -> Import {
        let NodeKind::Map(map) = &mut node.kind else { return Import::None };
        let mut take = |key: &str, archived: &str| {
            let (at, node) = map.shift_remove(key)?;
            map.insert(archived.to_owned(), (at, node.clone()));
            Some(node).filter(|node| !node.is_null())
        };
        let [archived_path, archived_name] = ARCHIVED;
        let path = take("import_path", archived_path);
        let name = take("import_exp", archived_name);
        if let Some(name) = &name
            && !self.is_text("import_exp", name, "write an experiment's name")
        {
            return Import::Wrong;
        }
        let Some(at) = path.as_ref().or(name.as_ref()).map(|node| node.at) else { return Import::None };
        let links = || chain.iter().map(|link| (link.file, link.name.clone())).collect();
        let file = match &path {
            Some(path) => match self.file_of("import_path", path, links) {
                Some(file) => file,
                None => return Import::Wrong,
            },
            None => at.file,
        };
        let wanted = name.as_ref().and_then(Node::as_str).unwrap_or("DEFAULT");
        let wanted = if wanted.eq_ignore_ascii_case("default") { "DEFAULT" } else { wanted };
        Import::Of(file, wanted.to_owned(), name.as_ref().map_or(at, |name| name.at))
    }

    /// Whether an import names something; the report tells where it does not.
    fn is_text(&mut self, key: &str, value: &Node, help: &str) -> bool {
        let found = match value.as_str() {
            Some("") => "empty text".to_owned(),
            Some(_) => return true,
            None => value.describe(),
        };
        let message = format!("`{key}` must be text, found {found}");
        self.report.push(Diagnostic::error(message).at(value.at).help(help));
        false
    }

    /// The file that an import names, relative to the one it is written in; `None` where that is wrong. `chain` is who imports.
    pub(super) fn file_of(
        &mut self,
        key: &str,
        value: &Node,
        chain: impl FnOnce() -> Vec<(u32, String)>,
    ) -> Option<u32> {
        if !self.is_text(key, value, "write the path of a YAML file") {
            return None;
        }
        let path = match expand::text(key, value.as_str()?, Kind::Path, value.at, self.around) {
            Ok(path) => path,
            Err(diagnostic) => {
                self.report.push(*diagnostic);
                return None;
            }
        };
        let folder = self.report.files.get(value.at.file as usize).and_then(|file| file.path.parent());
        let target = clean(&folder.unwrap_or(Path::new("")).join(path));
        let chain: Vec<_> = chain().into_iter().map(|(file, name)| Link { file, name }).collect();
        self.load(&target, Some(value.at), &chain)
    }

    /// A parent, merged over its file's DEFAULT.
    fn find(&mut self, file: u32, name: &str, at: At) -> Option<Node> {
        let documents = self.documents(file)?;
        if name == "DEFAULT" {
            if let Some(default) = &documents.default {
                return Some(default.node.clone());
            }
        } else if let Some(parent) = documents.experiments.iter().find(|named| named.name == name) {
            return Some(self.over_default(file, parent.node.clone()));
        }
        let known: Vec<_> = documents.experiments.iter().map(|named| named.name.as_str()).collect();
        let place = format!(" in `{}`", self.file_name(file));
        let diagnostic = match name {
            "DEFAULT" => Diagnostic::error(format!("there is no DEFAULT{place}"))
                .help(format!("its experiments are {}; name one of them with `import_exp`", names(known))),
            _ => no_experiment(name, &known, &place),
        };
        self.report.push(diagnostic.at(at));
        None
    }

    /// Reads a file once; `from` is the import that asks for it.
    fn load(&mut self, path: &Path, from: Option<At>, chain: &[Link]) -> Option<u32> {
        let key = clean(path);
        if let Some((file, documents)) = self.loaded.get(&key) {
            return documents.as_ref().map(|_| *file);
        }
        let bytes = match self.source.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let message = format!("cannot read `{}`: {error}", path.display());
                let diagnostic = Diagnostic::error(message);
                self.report.push(match from {
                    Some(at) => {
                        diagnostic.at(at).help("`import_path` is absolute or relative to the file it is written in")
                    }
                    None if error.kind() == std::io::ErrorKind::NotFound => diagnostic.help("check the path"),
                    None => diagnostic,
                });
                return None;
            }
        };
        let file = u32::try_from(self.report.files.len()).ok()?;
        let (text, parsed) = match decode(bytes, file) {
            Ok(text) => {
                let parsed = yaml::parse(&text, file, &mut self.traps);
                (text, parsed)
            }
            Err((text, diagnostic)) => (text, Err(diagnostic)),
        };
        self.report.files.push(SourceFile { path: path.to_owned(), text });
        let mut found = Report::default();
        let documents = match parsed {
            Ok(documents) => sort_documents(documents, &mut found),
            Err(mut diagnostic) => {
                diagnostic.at.get_or_insert(start_of(file));
                found.push(*diagnostic);
                Documents::default()
            }
        };
        let documents = (!found.has_errors()).then_some(documents);
        for mut diagnostic in found.diagnostics {
            if from.is_some() {
                diagnostic.notes.push(format!("imported by {}", self.describe_chain(chain)));
            }
            self.report.push(diagnostic);
        }
        let usable = documents.is_some();
        self.loaded.insert(key, (file, documents));
        usable.then_some(file)
    }

    fn describe_chain(&self, chain: &[Link]) -> String {
        let links: Vec<_> =
            chain.iter().map(|link| format!("{}:{}", self.file_name(link.file), brief(&link.name))).collect();
        links.join(" → ")
    }

    pub(super) fn file_name(&self, file: u32) -> String {
        self.report.files.get(file as usize).map(|file| file.path.display().to_string()).unwrap_or_default()
    }
}
