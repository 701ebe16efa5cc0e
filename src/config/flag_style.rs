//! `flag_style`: how the `flags` filter writes parameters for a program's command line.
//!
//! Owns the options' names and values; the filter's own arguments have the same. What the words are is [`crate::run`]'s matter.

use super::error::{Diagnostic, names};
use super::fields::Result;
use super::keys::nearest;
use super::node::{Node, brief};
use crate::value::Value;
use serde::{Deserialize, Serialize};

/// How parameters become words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlagStyle {
    /// What becomes of `true` and `false`.
    pub bools: Bools,
    /// What becomes of lists.
    pub lists: Lists,
    /// A `-` for each `_` of a name.
    pub dashes: bool,
    /// What stands between the names of nested mappings.
    pub nested: String,
    /// `--name=value` instead of two words.
    pub equals: bool,
}

impl Default for FlagStyle {
    fn default() -> Self {
        FlagStyle {
            bools: Bools::default(),
            lists: Lists::default(),
            dashes: false,
            nested: ".".to_owned(),
            equals: false,
        }
    }
}

/// How a truth value is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bools {
    /// `--name True`, as Python prints it.
    #[default]
    Value,
    /// `--name true`.
    Lower,
    /// `--name`, or nothing.
    Switch,
    /// `--name` or `--no-name`.
    Pair,
}

/// How a list is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lists {
    /// `--name 1 2`.
    #[default]
    Values,
    /// `--name 1 --name 2`.
    Repeat,
    /// `--name 1,2`.
    Comma,
}

const OPTIONS: [&str; 5] = ["bools", "lists", "dashes", "nested", "equals"];
const BOOLS: [(&str, Bools); 4] =
    [("value", Bools::Value), ("lower", Bools::Lower), ("switch", Bools::Switch), ("pair", Bools::Pair)];
const LISTS: [(&str, Lists); 3] = [("values", Lists::Values), ("repeat", Lists::Repeat), ("comma", Lists::Comma)];

impl FlagStyle {
    /// Sets an option.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn set(&mut self, name: &str, value: &Value) -> std::result::Result<(), (String, String)> {
        match name {
            "bools" => self.bools = choice(name, value, &BOOLS)?,
            "lists" => self.lists = choice(name, value, &LISTS)?,
            "dashes" => self.dashes = switch(name, value)?,
            "equals" => self.equals = switch(name, value)?,
            "nested" => match value {
                Value::String(text)
                    if !text.is_empty() && !text.chars().any(|c| c.is_whitespace() || c.is_control()) =>
                {
                    self.nested.clone_from(text);
                }
                _ => return Err(must_be(name, value, "a text without spaces, such as `.` or `-`")),
            },
            _ => {
                let help = match nearest(name, OPTIONS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are {}", names(OPTIONS)),
                };
                return Err((format!("`flags` have no option `{}`", brief(name)), help));
            }
        }
        Ok(())
    }
}

fn choice<T: Copy>(name: &str, value: &Value, choices: &[(&str, T)]) -> std::result::Result<T, (String, String)> {
    let found = choices.iter().find(|(word, _)| value.as_str() == Some(word));
    found.map(|(_, choice)| *choice).ok_or_else(|| {
        let words = choices.iter().map(|(word, _)| *word);
        must_be(name, value, &format!("one of {}", names(words)))
    })
}

fn switch(name: &str, value: &Value) -> std::result::Result<bool, (String, String)> {
    match value {
        Value::Bool(on) => Ok(*on),
        _ => Err(must_be(name, value, "true or false")),
    }
}

fn must_be(name: &str, value: &Value, kind: &str) -> (String, String) {
    let found = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    (format!("`{name}` of `flags` is `{}`, which it cannot be", brief(&found)), format!("write {kind}"))
}

/// The value of the key.
pub(super) fn flag_style(node: &Node, key: &str) -> Result<FlagStyle> {
    let mut style = FlagStyle::default();
    let Some(map) = node.as_map() else {
        let message = format!("`{key}` must be a mapping, found {}", node.describe());
        let help = "write options of the filter `flags`, as in `flag_style: {bools: switch, dashes: true}`";
        return Err(Box::new(Diagnostic::error(message).at(node.at).help(help)));
    };
    for (name, (at, value)) in map.iter().filter(|(_, (_, value))| !value.is_null()) {
        style.set(name, &value.to_value()).map_err(|(message, help)| {
            let at = if OPTIONS.contains(&name.as_str()) { value.at } else { *at };
            Box::new(Diagnostic::error(message).at(at).help(help))
        })?;
    }
    Ok(style)
}
