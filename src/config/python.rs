//! An experiment as Python's reader of YAML (`PyYAML`) gives it to a program: whole numbers as keys, tuples, dates.
//!
//! Owns what a value's own text says beyond [`Value`], and the JSON that carries it: what JSON has stands as it is, anything else
//! is a mapping with one key that begins with `!` (`{"!tuple": [1, 2]}`, `{"!map": [[1, "a"]]}`, `{"!date": "2024-01-31"}`).
//! The package's `_typed.py` reads and writes the same.

use super::cluster::{self, Choice};
use super::error::Report;
use super::merge::{merge_all, sort_documents};
use super::node::{At, Node, NodeKind};
use super::scalar;
use super::traps::Traps;
use super::{Config, Experiment, SourceFile, yaml};
use crate::value::{Map, Value};
use std::collections::HashMap;
use std::path::PathBuf;

/// An experiment with Python's types.
#[derive(Debug)]
pub struct Typed {
    /// Its keys without its sweeps; `params` as before any combination.
    base: Map,
    /// The values of its sweeps that are more than [`Value`] tells, by their places.
    special: HashMap<At, Value>,
}

/// Where the texts of values are found.
struct Texts<'a> {
    files: &'a [SourceFile],
    set: &'a [String],
}

impl Typed {
    /// Of an experiment of a configuration, which was read with these assignments of the command line.
    pub fn of(config: &Config, experiment: &Experiment, set: &[String], debug: bool) -> Self {
        let texts = Texts { files: &config.files, set };
        let mut base = match texts.typed(&experiment.origin) {
            Value::Map(map) => map,
            _ => Map::new(),
        };
        base.retain(|key, _| !experiment.sweeps.iter().any(|sweep| sweep.key == *key));
        for (key, node) in &experiment.archived {
            base.insert(key.clone(), texts.typed(node));
        }
        base.insert("path".to_owned(), Value::from(experiment.path.as_str()));
        if debug {
            for key in ["repetitions", "iterations", "reps_in_parallel", "reps_per_job"] {
                base.insert(key.to_owned(), Value::Int(1));
            }
        }
        if !experiment.derive.is_empty() {
            base.shift_remove("derive");
        }
        let axes = experiment.sweeps.iter().flat_map(|sweep| sweep.each_axis());
        let values = axes.flat_map(|(_, axis)| &axis.values);
        let special = values.filter_map(|node| {
            let typed = texts.typed(node);
            (typed != node.to_value()).then_some((node.at, typed))
        });
        Typed { special: special.collect(), base }
    }

    /// The keys of a run, without those that tell its place.
    pub fn run<'a>(&self, assignments: impl Iterator<Item = (&'a [String], &'a Value, At)>) -> Map {
        let mut map = self.base.clone();
        for (path, value, at) in assignments {
            let params = map.entry("params".to_owned()).or_insert(Value::Null);
            assign(params, path, self.special.get(&at).unwrap_or(value));
        }
        map
    }
}

/// The SLURM document of a configuration with Python's types, named as the original names it.
pub fn slurm(config: &Config, set: &[String]) -> Option<Value> {
    let node = config.slurm.as_ref()?;
    let mut typed = Texts { files: &config.files, set }.typed(node);
    if let Value::Map(map) = &mut typed
        && let Some(name) = map.get_mut("name")
        && name.as_str().is_some_and(|name| !name.eq_ignore_ascii_case("slurm"))
    {
        *name = Value::from("slurm");
    }
    Some(typed)
}

/// A file that holds repetitions instead of experiments, as the original writes what it expanded: the SLURM document for this
/// host, and each repetition. `None` where it holds none, or is not even YAML.
pub fn repetitions(text: &str, hostname: &str) -> Option<(Option<Value>, Vec<Map>)> {
    let parsed = yaml::parse(text, 0, &mut Traps::default()).ok()?;
    if !parsed.iter().any(|node| node.get("_rep_idx").is_some()) {
        return None;
    }
    let files = vec![SourceFile { path: PathBuf::new(), text: text.to_owned() }];
    let texts = Texts { files: &files, set: &[] };
    let choice = Choice { hostname, cluster: None };
    let documents = sort_documents(parsed.clone(), &mut Report::default()).slurm;
    let layers = cluster::holding(&documents, choice).map(|named| named.node.clone());
    let slurm = merge_all(layers.collect()).map(|node| texts.typed(&node));
    let single = parsed.iter().filter(|node| node.get("_rep_idx").is_some());
    let maps = single.filter_map(|node| if let Value::Map(map) = texts.typed(node) { Some(map) } else { None });
    Some((slurm, maps.map(with_paths).collect()))
}

/// The original tells the paths anew from the names.
fn with_paths(mut map: Map) -> Map {
    let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let parts = ["_basic_path", "_nested_dir", "_experiment_name"].map(text);
    let path = parts.iter().fold(PathBuf::new(), |path, part| path.join(part)).to_string_lossy().into_owned();
    map.insert("log_path".to_owned(), Value::from(format!("{path}/log")));
    map.insert("path".to_owned(), Value::from(path));
    map
}

/// What a typed value is without Python's types: keys are texts, tuples are lists.
pub fn plain(typed: &Value) -> Value {
    match typed {
        Value::List(items) => Value::List(items.iter().map(plain).collect()),
        Value::Map(map) => match map.first() {
            Some((tag, value)) if tag.starts_with('!') => match (tag.as_str(), value) {
                ("!tuple" | "!set" | "!complex", list) => plain(list),
                ("!map", Value::List(pairs)) => Value::Map(pairs.iter().filter_map(plain_pair).collect()),
                ("!id", _) => map.get("value").map_or(Value::Null, plain),
                ("!pickle" | "!lost", _) => map.get("repr").cloned().unwrap_or(Value::Null),
                (_, value) => value.clone(),
            },
            _ => Value::Map(map.iter().map(|(key, value)| (key.clone(), plain(value))).collect()),
        },
        scalar => scalar.clone(),
    }
}

fn plain_pair(pair: &Value) -> Option<(String, Value)> {
    let Value::List(pair) = pair else { return None };
    let [key, value] = pair.as_slice() else { return None };
    let key = match plain(key) {
        Value::Null => "null".to_owned(),
        Value::Bool(bool) => bool.to_string(),
        other => other.python_str(),
    };
    Some((key, plain(value)))
}

impl Texts<'_> {
    fn typed(&self, node: &Node) -> Value {
        match &node.kind {
            NodeKind::Scalar(value @ Value::String(_)) => self.text(value, node.at),
            NodeKind::Scalar(value) => value.clone(),
            NodeKind::List(items) => {
                let list = Value::List(items.iter().map(|item| self.typed(item)).collect());
                if self.is_tuple(node.at) { tagged("!tuple", list) } else { list }
            }
            NodeKind::Map(map) => {
                let keys: Vec<_> = map.iter().map(|(key, (at, _))| self.key(key, *at)).collect();
                let values = map.values().map(|(_, node)| self.typed(node));
                let own = |(key, typed): (&String, &Value)| typed.as_str() == Some(key) && !key.starts_with('!');
                if map.keys().zip(&keys).all(own) {
                    return Value::Map(map.keys().cloned().zip(values).collect());
                }
                let pairs = keys.into_iter().zip(values).map(|(key, value)| Value::List(vec![key, value]));
                tagged("!map", Value::List(pairs.collect()))
            }
        }
    }

    /// A text, or the date that it is to `PyYAML`.
    fn text(&self, value: &Value, at: At) -> Value {
        match self.written(at).filter(|text| value.as_str() == Some(text) && scalar::is_timestamp(text)) {
            Some(text) => tagged("!date", Value::from(text)),
            None => value.clone(),
        }
    }

    /// A key, which may be a number.
    fn key(&self, key: &str, at: At) -> Value {
        match self.written(at).filter(|text| *text == key) {
            Some(text) if scalar::is_timestamp(text) => tagged("!date", Value::from(text)),
            Some(text) => scalar::plain(text).0,
            None => Value::from(key),
        }
    }

    /// Whether a sequence is tagged as a tuple.
    fn is_tuple(&self, at: At) -> bool {
        let Some(text) = self.whole(at.file) else { return false };
        let (start, end) = (at.start as usize, at.end as usize);
        let before = text.get(..start).unwrap_or_default().trim_end();
        // An anchor may stand between the two.
        let before = match before.rsplit_once(char::is_whitespace) {
            Some((rest, last)) if last.starts_with('&') => rest.trim_end(),
            _ => before,
        };
        let tag = |text: &str| text.ends_with("!!python/tuple");
        tag(before) || text.get(start..end).is_some_and(|own| own.starts_with("!!python/tuple"))
    }

    /// What stands at a place.
    fn written(&self, at: At) -> Option<&str> {
        let text = match at.file {
            At::COMMAND_LINE => self.set.get((at.line as usize).checked_sub(1)?)?,
            file => self.whole(file)?,
        };
        text.get(at.start as usize..at.end as usize)
    }

    fn whole(&self, file: u32) -> Option<&str> {
        Some(self.files.get(file as usize)?.text.as_str())
    }
}

/// A value of a type that JSON has not.
fn tagged(tag: &str, value: Value) -> Value {
    Value::Map(Map::from([(tag.to_owned(), value)]))
}

/// Sets `params.<path>`, creating mappings on the way; an existing key keeps its place.
fn assign(params: &mut Value, path: &[String], value: &Value) {
    let Some((key, rest)) = path.split_first() else {
        *params = value.clone();
        return;
    };
    if !matches!(params, Value::Map(_)) {
        *params = Value::Map(Map::new());
    }
    let Value::Map(map) = params else { return };
    if let Some(Value::List(pairs)) = map.get_mut("!map") {
        let slot = pairs.iter_mut().find_map(|pair| match pair {
            Value::List(pair) => match pair.as_mut_slice() {
                [own, slot] if own.as_str() == Some(key) => Some(slot),
                _ => None,
            },
            _ => None,
        });
        if let Some(slot) = slot {
            return assign(slot, rest, value);
        }
        let mut slot = Value::Null;
        assign(&mut slot, rest, value);
        pairs.push(Value::List(vec![Value::from(key.as_str()), slot]));
        return;
    }
    let slot = map.entry(key.clone()).or_insert(Value::Null);
    assign(slot, rest, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_has_more_is_left_out_of_plain_values() {
        let typed =
            r#"{"a": {"!tuple": [1, {"!date": "2024-01-31"}]}, "b": {"!map": [[1, "x"], [true, 2], ["!c", 3]]}}"#;
        let plain = plain(&Value::from_json(typed).unwrap());
        assert_eq!(plain.to_json(), r#"{"a":[1,"2024-01-31"],"b":{"1":"x","true":2,"!c":3}}"#);
    }
}
