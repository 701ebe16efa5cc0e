//! A value with the place it was written at.

use crate::value::Value;
use indexmap::IndexMap;

/// A place in one of the configuration's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct At {
    /// Index into [`crate::config::Config::files`]; [`At::COMMAND_LINE`] for `--set`.
    pub file: u32,
    /// From 1; 0 for a value that no line holds.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// Byte offset of the first character.
    pub start: u32,
    /// Byte offset behind the last character.
    pub end: u32,
}

impl At {
    /// The file number of values given on the command line; `line` is then the number of the `--set`, from 1, and the
    /// offsets count in its text.
    pub const COMMAND_LINE: u32 = u32::MAX;
}

/// A value and where it came from; merging keeps the places.
#[derive(Debug, Clone)]
pub struct Node {
    /// The value.
    pub kind: NodeKind,
    /// Where it stands.
    pub at: At,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub enum NodeKind {
    /// Anything but a sequence or a mapping.
    Scalar(Value),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping; each key with the place of the key itself.
    Map(IndexMap<String, (At, Node)>),
}

impl Node {
    /// The plain value, without positions.
    pub fn to_value(&self) -> Value {
        match &self.kind {
            NodeKind::Scalar(value) => value.clone(),
            NodeKind::List(items) => Value::List(items.iter().map(Node::to_value).collect()),
            NodeKind::Map(map) => {
                Value::Map(map.iter().map(|(key, (_, node))| (key.clone(), node.to_value())).collect())
            }
        }
    }

    /// A scalar at a place.
    pub fn scalar(value: Value, at: At) -> Node {
        Node { kind: NodeKind::Scalar(value), at }
    }

    /// An empty mapping at a place.
    pub fn empty_map(at: At) -> Node {
        Node { kind: NodeKind::Map(IndexMap::new()), at }
    }

    /// The entries, if this is a mapping.
    pub fn as_map(&self) -> Option<&IndexMap<String, (At, Node)>> {
        match &self.kind {
            NodeKind::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The same, to change them.
    pub fn as_map_mut(&mut self) -> Option<&mut IndexMap<String, (At, Node)>> {
        match &mut self.kind {
            NodeKind::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The items, if this is a sequence.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.kind {
            NodeKind::List(items) => Some(items),
            _ => None,
        }
    }

    /// The text, if this is one (a number is not).
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether nothing stands here: `null`, `~` or an empty place.
    pub fn is_null(&self) -> bool {
        matches!(self.kind, NodeKind::Scalar(Value::Null))
    }

    /// The value of a key; `None` where it is missing or this is not a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.get(key).map(|(_, node)| node)
    }

    /// The place of a key; `None` where it is missing or this is not a mapping.
    pub fn key_at(&self, key: &str) -> Option<At> {
        self.as_map()?.get(key).map(|(at, _)| *at)
    }

    /// How many levels of sequences and mappings this node has; 0 for a scalar.
    pub fn depth(&self) -> usize {
        match &self.kind {
            NodeKind::Scalar(_) => 0,
            NodeKind::List(items) => 1 + items.iter().map(Node::depth).max().unwrap_or(0),
            NodeKind::Map(map) => 1 + map.values().map(|(_, node)| node.depth()).max().unwrap_or(0),
        }
    }

    /// How many nodes this one is made of, itself included.
    pub fn size(&self) -> usize {
        match &self.kind {
            NodeKind::Scalar(_) => 1,
            NodeKind::List(items) => 1 + items.iter().map(Node::size).sum::<usize>(),
            NodeKind::Map(map) => 1 + map.values().map(|(_, node)| node.size()).sum::<usize>(),
        }
    }

    /// What stands here, for a message: "the number `3`", "a mapping".
    pub fn describe(&self) -> String {
        match &self.kind {
            NodeKind::List(_) => "a list".to_owned(),
            NodeKind::Map(_) => "a mapping".to_owned(),
            NodeKind::Scalar(Value::Null) => "nothing".to_owned(),
            NodeKind::Scalar(Value::String(text)) => format!("the text `{}`", brief(text)),
            NodeKind::Scalar(value @ Value::Bool(_)) => format!("`{value}`"),
            NodeKind::Scalar(value) => format!("the number `{}`", brief(&value.to_string())),
        }
    }
}

/// A text made fit for one line of a message: control characters escaped, the end cut off where it is long.
pub(super) fn brief(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == LONGEST {
            out.push('…');
            break;
        }
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}
