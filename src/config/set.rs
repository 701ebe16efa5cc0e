//! `--set key.path=value`: assignments from the command line, applied to a merged experiment.
//!
//! Owns their syntax. Whether a key means anything is the later stages' matter.

use super::error::Diagnostic;
use super::node::{At, Node, NodeKind, brief};
use super::traps::Traps;
use super::yaml::{self, MAX_DEPTH};
use crate::value::Value;

/// One assignment.
#[derive(Debug, Clone)]
pub(super) struct Assignment {
    /// The key's parts.
    pub(super) path: Vec<String>,
    /// The value; every place in it is the assignment's.
    pub(super) value: Node,
    /// The key.
    pub(super) key_at: At,
}

/// Reads the `index`-th `--set`.
pub(super) fn parse(text: &str, index: usize) -> Result<Assignment, Box<Diagnostic>> {
    let whole = place(index, text, 0, text.len());
    let syntax = |message: &str| {
        let help = "write `--set key.path=value`, as in `--set params.net.width=64`";
        Box::new(Diagnostic::error(message).at(whole).help(help))
    };
    let Some((path, value)) = text.split_once('=') else {
        return Err(syntax("an assignment needs a `=`"));
    };
    let path = path.trim_end();
    let parts: Vec<_> = path.split('.').map(|part| part.trim().to_owned()).collect();
    if parts.iter().any(String::is_empty) {
        return Err(syntax("a key of the path is empty"));
    }
    let key_at = place(index, text, 0, path.len());
    let first = parts.first().map_or("", String::as_str);
    if matches!(first, "name" | "import_path" | "import_exp") {
        let message = format!("`{first}` cannot be set on the command line");
        return Err(Box::new(Diagnostic::error(message).at(key_at).help("change it in the file")));
    }
    let value_at = place(index, text, text.len() - value.len(), text.len());
    let mut traps = Traps::default();
    let mut documents = yaml::parse(value, 0, &mut traps).map_err(|diagnostic| Diagnostic {
        at: Some(value_at),
        secondary: Vec::new(),
        ..*diagnostic
    })?;
    let mut node = match (documents.pop(), documents.is_empty()) {
        (Some(node), true) => node,
        (None, _) => Node::scalar(Value::Null, value_at),
        _ => return Err(syntax("the value is more than one YAML document")),
    };
    if parts.len() + node.depth() > MAX_DEPTH {
        return Err(syntax("the path is too long"));
    }
    set_place(&mut node, value_at);
    Ok(Assignment { path: parts, value: node, key_at })
}

/// Applies an assignment; what is missing on the way is made.
pub(super) fn apply(assignment: &Assignment, experiment: &mut Node) -> Result<(), Box<Diagnostic>> {
    let Some((last, way)) = assignment.path.split_last() else { return Ok(()) };
    let mut node = experiment;
    let mut walked = Vec::new();
    for key in way {
        node = enter(node, key, &walked, assignment)?;
        if node.is_null() {
            *node = Node::empty_map(assignment.key_at);
        }
        walked.push(key.as_str());
    }
    *enter(node, last, &walked, assignment)? = assignment.value.clone();
    Ok(())
}

/// The value of a key, which is made where it is missing.
fn enter<'a>(
    node: &'a mut Node,
    key: &str,
    walked: &[&str],
    assignment: &Assignment,
) -> Result<&'a mut Node, Box<Diagnostic>> {
    let (at, found) = (node.at, node.describe());
    let NodeKind::Map(map) = &mut node.kind else {
        let path = brief(&walked.join("."));
        let diagnostic = Diagnostic::error(format!("`{path}` is {found}, which has no key `{}`", brief(key)))
            .at(assignment.key_at)
            .help(format!("set `{path}` as a whole"));
        return Err(Box::new(if at == assignment.key_at { diagnostic } else { diagnostic.also(at, "it is set here") }));
    };
    let missing = || (assignment.key_at, Node::scalar(Value::Null, assignment.key_at));
    Ok(&mut map.entry(key.to_owned()).or_insert_with(missing).1)
}

/// A place in an assignment; `line` is its number.
fn place(index: usize, text: &str, start: usize, end: usize) -> At {
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let column = text.get(..start).map_or(0, |before| before.chars().count());
    At {
        file: At::COMMAND_LINE,
        line: small(index + 1),
        column: small(column + 1),
        start: small(start),
        end: small(end),
    }
}

fn set_place(node: &mut Node, at: At) {
    node.at = at;
    match &mut node.kind {
        NodeKind::Scalar(_) => {}
        NodeKind::List(items) => items.iter_mut().for_each(|item| set_place(item, at)),
        NodeKind::Map(map) => map.values_mut().for_each(|(key_at, node)| {
            *key_at = at;
            set_place(node, at);
        }),
    }
}
