//! YAML text → trees of nodes with their places, all documents of a stream in one pass.
//!
//! Owns the composition: tags, anchors, merge keys, duplicate keys and the limits that keep a hostile file harmless.
//! What a scalar's text means is [`super::scalar`]'s matter; what the keys mean, that of later stages.

use super::error::Diagnostic;
use super::node::{At, Node, NodeKind, brief};
use super::positions::{Positions, at_bytes, unprintable, without_bom};
use super::scalar;
use super::traps::Traps;
use crate::value::Value;
use indexmap::IndexMap;
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use std::borrow::Cow;
use std::collections::HashMap;

/// The tag of a tuple.
const TUPLE: &str = "python/tuple";

/// Sequences and mappings may lie this deep in each other.
pub(super) const MAX_DEPTH: usize = 128;
/// Keys and values that a file may hold, each several hundred bytes of memory.
const MAX_VALUES: usize = 1_000_000;
/// Values that anchors and aliases may copy.
const MAX_COPIED: usize = 200_000;

type Result<T> = std::result::Result<T, Box<Diagnostic>>;
type Entries = IndexMap<String, (At, Node)>;

/// The documents of a file; those that hold nothing are left out.
pub(super) fn parse(text: &str, file: u32, traps: &mut Traps) -> Result<Vec<Node>> {
    if let Some((offset, c)) = unprintable(without_bom(text)) {
        let offset = offset + text.len() - without_bom(text).len();
        let at = at_bytes(text, file, offset, offset + c.len_utf8());
        let message = format!("the control character U+{:04X} may not stand in a YAML file", u32::from(c));
        return Err(Box::new(Diagnostic::error(message).at(at).help("write it as an escape in double quotes")));
    }
    Builder::new(Positions::new(text, file), traps).run(without_bom(text))
}

/// A sequence or mapping whose end is still to come.
struct Open {
    at: At,
    anchor: usize,
    what: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Map { entries: Entries, merges: Vec<Node>, key: Option<Key> },
}

struct Key {
    text: String,
    at: At,
    merge: bool,
}

/// An anchored node, and its text if that is a scalar (as a key it stands for its text).
struct Anchored {
    node: Node,
    text: Option<String>,
    size: usize,
    depth: usize,
}

struct Builder<'a> {
    positions: Positions<'a>,
    traps: &'a mut Traps,
    stack: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    documents: Vec<Node>,
    events: usize,
    copied: usize,
}

impl<'a> Builder<'a> {
    fn new(positions: Positions<'a>, traps: &'a mut Traps) -> Self {
        let (stack, anchors, documents) = (Vec::new(), HashMap::new(), Vec::new());
        Builder { positions, traps, stack, anchors, documents, events: 0, copied: 0 }
    }

    fn run(mut self, text: &str) -> Result<Vec<Node>> {
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| {
                let marker = error.marker();
                Box::new(explain(error.info(), self.positions.at(marker, marker.index() + 1)))
            })?;
            self.event(event, span)?;
        }
        Ok(self.documents)
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<()> {
        let at = self.positions.at(&span.start, span.end.index());
        self.events += 1;
        if self.events > MAX_VALUES {
            let message = format!("the file holds more than {MAX_VALUES} keys and values");
            return Err(Box::new(Diagnostic::error(message).at(at).help("split it into several files")));
        }
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::Scalar(text, style, anchor, tag) => self.scalar(text, style, anchor, tag.as_deref(), at),
            Event::SequenceStart(anchor, tag) => {
                check_tag(tag.as_deref(), "seq", at)?;
                self.open(Open { at, anchor, what: OpenKind::List(Vec::new()) })
            }
            Event::MappingStart(anchor, tag) => {
                check_tag(tag.as_deref(), "map", at)?;
                let what = OpenKind::Map { entries: IndexMap::new(), merges: Vec::new(), key: None };
                self.open(Open { at, anchor, what })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(at),
        }
    }

    /// Whether the next node is a key.
    fn wants_key(&self) -> bool {
        matches!(self.stack.last(), Some(Open { what: OpenKind::Map { key: None, .. }, .. }))
    }

    fn open(&mut self, open: Open) -> Result<()> {
        if self.wants_key() {
            return Err(match self.stack.last().map(|outer| outer.at) {
                // `{{`, as no other mapping is a key.
                Some(outer) if outer.file == open.at.file && outer.start + 1 == open.at.start => {
                    let at = At { end: outer.start + 2, ..outer };
                    let message = "a text that begins with `{{` must be quoted: YAML reads braces as a mapping";
                    Box::new(
                        Diagnostic::error(message).at(at).help("write quotes around the whole text: `\"{{ … }}\"`"),
                    )
                }
                _ => no_key(open.at),
            });
        }
        if self.stack.len() >= MAX_DEPTH {
            return Err(too_deep(open.at));
        }
        self.stack.push(open);
        Ok(())
    }

    fn close(&mut self, end: At) -> Result<()> {
        let Some(Open { mut at, anchor, what }) = self.stack.pop() else { return Ok(()) };
        let kind = match what {
            OpenKind::List(items) => NodeKind::List(items),
            OpenKind::Map { entries, merges, .. } => NodeKind::Map(merged(merges, entries)?),
        };
        // A block ends where the next thing begins; what it covers is its last child.
        let last = match &kind {
            NodeKind::List(items) => items.last().map(|node| node.at),
            NodeKind::Map(map) => map.values().map(|(_, node)| node.at).max_by_key(|at| at.end),
            NodeKind::Scalar(_) => None,
        };
        at.end = match last {
            _ if end.end > end.start => end.end,
            Some(last) if last.file == at.file => at.end.max(last.end),
            _ => at.end,
        };
        let node = Node { kind, at };
        if anchor > 0 {
            let (size, depth) = (node.size(), node.depth());
            self.count_copy(size, at)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), text: None, size, depth });
        }
        self.place(node);
        Ok(())
    }

    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        at: At,
    ) -> Result<()> {
        let plain = style == ScalarStyle::Plain;
        // `!` alone says nothing to `PyYAML`.
        let value = match tag.filter(|tag| tag_name(tag) != Some("")) {
            Some(tag) => tagged(&text, tag, at)?,
            None if plain => self.plain(&text, at),
            None => Value::String(text.to_string()),
        };
        if anchor > 0 {
            let node = Node::scalar(value.clone(), at);
            let text = Some(text.to_string());
            self.anchors.insert(anchor, Anchored { node, text, size: 1, depth: 0 });
        }
        if self.wants_key() {
            let merge = plain && tag.is_none() && text == "<<";
            return self.key(text.into_owned(), &value, merge, at);
        }
        self.place(Node::scalar(value, at));
        Ok(())
    }

    fn plain(&mut self, text: &str, at: At) -> Value {
        let (value, trap) = scalar::plain(text);
        // A key is its text, whatever it looks like.
        if let Some(trap) = trap.filter(|_| !self.wants_key()) {
            self.traps.record(trap, at, text);
        }
        value
    }

    fn key(&mut self, text: String, value: &Value, merge: bool, at: At) -> Result<()> {
        if matches!(value, Value::Null) {
            let help = if text.is_empty() { "write a key before the `:`" } else { "write it in quotes" };
            return Err(Box::new(Diagnostic::error("nothing (null) cannot be a key").at(at).help(help)));
        }
        let Some(Open { what: OpenKind::Map { entries, key, .. }, .. }) = self.stack.last_mut() else { return Ok(()) };
        if let (Some((first, _)), false) = (entries.get(&text), merge) {
            let diagnostic = Diagnostic::error(format!("the key `{}` is written twice", brief(&text)))
                .at(at)
                .label("again here")
                .also(*first, "first here")
                .help("remove one of the two");
            return Err(Box::new(diagnostic));
        }
        *key = Some(Key { text, at, merge });
        Ok(())
    }

    fn alias(&mut self, anchor: usize, at: At) -> Result<()> {
        if self.stack.iter().any(|open| open.anchor == anchor) {
            let message = "the alias stands inside the very node it stands for";
            return Err(Box::new(Diagnostic::error(message).at(at).help("write the value out")));
        }
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(Box::new(no_anchor(at)));
        };
        let size = anchored.size;
        self.count_copy(size, at)?;
        let Some(anchored) = self.anchors.get(&anchor) else { return Err(Box::new(no_anchor(at))) };
        if self.stack.len() + anchored.depth > MAX_DEPTH {
            return Err(too_deep(at));
        }
        let node = anchored.node.clone();
        if !self.wants_key() {
            self.place(node);
            return Ok(());
        }
        let (text, NodeKind::Scalar(value)) = (anchored.text.clone(), node.kind) else {
            return Err(no_key(at));
        };
        self.key(text.unwrap_or_default(), &value, false, at)
    }

    /// Counts what is about to be copied.
    fn count_copy(&mut self, size: usize, at: At) -> Result<()> {
        self.copied = self.copied.saturating_add(size);
        if self.copied <= MAX_COPIED {
            return Ok(());
        }
        let message = format!("the anchors and aliases up to here copy more than {MAX_COPIED} values");
        Err(Box::new(Diagnostic::error(message).at(at).help("use fewer aliases of aliases, and anchors in anchors")))
    }

    /// Puts a finished node where it belongs.
    fn place(&mut self, node: Node) {
        let Some(open) = self.stack.last_mut() else {
            if !node.is_null() {
                self.documents.push(node);
            }
            return;
        };
        match &mut open.what {
            OpenKind::List(items) => items.push(node),
            OpenKind::Map { entries, merges, key } => match key.take() {
                Some(Key { merge: true, .. }) => merges.push(node),
                Some(Key { text, at, .. }) => {
                    entries.insert(text, (at, node));
                }
                // The parser never sends a node here: keys are taken above.
                None => {}
            },
        }
    }
}

/// The parser's own error, with what to do about the most frequent ones.
fn explain(info: &str, at: At) -> Diagnostic {
    if info.contains("unknown anchor") {
        return no_anchor(at);
    }
    // The scanner looks further ahead than the events it has sent.
    if info.contains("recursion limit") {
        return *too_deep(at);
    }
    let help = match info {
        _ if info.contains("tab") => "indent with spaces, not with tabs",
        _ if info.contains("mapping values are not allowed") => {
            "indent the key like its neighbours, or quote a text that holds a `:`"
        }
        _ if info.contains("quoted scalar") => "close the quotes",
        _ => "check the indentation, the brackets and the quotes up to this place",
    };
    Diagnostic::error(format!("invalid YAML: {info}")).at(at).help(help)
}

fn no_key(at: At) -> Box<Diagnostic> {
    Box::new(Diagnostic::error("a sequence or mapping cannot be a key").at(at).help("write a text as the key"))
}

fn no_anchor(at: At) -> Diagnostic {
    Diagnostic::error("the alias has no anchor in this document").at(at).help("define it with `&name` further up")
}

fn too_deep(at: At) -> Box<Diagnostic> {
    let message = format!("more than {MAX_DEPTH} sequences and mappings lie in each other");
    Box::new(Diagnostic::error(message).at(at).help("make the structure flatter"))
}

/// Merged keys first, a list of mappings backwards, explicit keys last: they win but an inherited key keeps its place.
fn merged(merges: Vec<Node>, entries: Entries) -> Result<Entries> {
    if merges.is_empty() {
        return Ok(entries);
    }
    let mut all = Entries::new();
    for merge in merges {
        match merge.kind {
            NodeKind::Map(map) => all.extend(map),
            NodeKind::List(items) => {
                for item in items.into_iter().rev() {
                    let NodeKind::Map(map) = item.kind else { return Err(no_merge(&item)) };
                    all.extend(map);
                }
            }
            NodeKind::Scalar(_) => return Err(no_merge(&merge)),
        }
    }
    all.extend(entries);
    Ok(all)
}

fn no_merge(node: &Node) -> Box<Diagnostic> {
    let message = format!("`<<` merges a mapping or a list of mappings, found {}", node.describe());
    Box::new(Diagnostic::error(message).at(node.at).help("give it an alias of a mapping, as in `<<: *base`"))
}

/// The tag's name if it is one of YAML's own; an empty one for `!`.
fn tag_name(tag: &Tag) -> Option<&str> {
    match (tag.handle.as_str(), tag.suffix.as_str()) {
        ("tag:yaml.org,2002:", name) => Some(name),
        ("", "!") | ("!", "") => Some(""),
        _ => None,
    }
}

fn tag_text(tag: &Tag) -> String {
    match (tag.handle.as_str(), tag.suffix.as_str()) {
        ("tag:yaml.org,2002:", suffix) => format!("!!{suffix}"),
        (handle, suffix) => format!("{handle}{suffix}"),
    }
}

fn unknown_tag(tag: &Tag, at: At) -> Box<Diagnostic> {
    let message = format!("the tag `{}` is not supported", brief(&tag_text(tag)));
    let help =
        "use one of `!!str`, `!!int`, `!!float`, `!!bool`, `!!null`, `!!seq`, `!!map` and `!!python/tuple`, or no tag";
    Box::new(Diagnostic::error(message).at(at).help(help))
}

/// A collection may carry its own tag or none.
fn check_tag(tag: Option<&Tag>, own: &str, at: At) -> Result<()> {
    match tag.map(|tag| (tag, tag_name(tag))) {
        None => Ok(()),
        Some((_, Some(name))) if name == own || name.is_empty() => Ok(()),
        Some((_, Some(TUPLE))) if own == "seq" => Ok(()),
        Some((tag, Some("str" | "int" | "float" | "bool" | "null" | "seq" | "map"))) => {
            let found = if own == "seq" { "a sequence" } else { "a mapping" };
            Err(Box::new(Diagnostic::error(format!("{found} cannot be tagged `{}`", tag_text(tag))).at(at)))
        }
        Some((tag, _)) => Err(unknown_tag(tag, at)),
    }
}

/// What a scalar with an explicit tag means.
fn tagged(text: &str, tag: &Tag, at: At) -> Result<Value> {
    let value = match tag_name(tag) {
        Some("str") => Some(Value::String(text.to_owned())),
        Some("int") => scalar::tagged_int(text),
        Some("float") => scalar::tagged_float(text),
        Some("bool") => scalar::tagged_bool(text),
        Some("null") => Some(Value::Null),
        Some("seq" | "map") => None,
        _ => return Err(unknown_tag(tag, at)),
    };
    value.ok_or_else(|| {
        let message = format!("`{}` is not what its tag `{}` says", brief(text), tag_text(tag));
        Box::new(Diagnostic::error(message).at(at).help("change the value or remove the tag"))
    })
}
