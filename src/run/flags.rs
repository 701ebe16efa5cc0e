//! Parameters as words of a command line: what the filters `flags` and `overrides` make.
//!
//! Pure. It must not quote: words stay apart until the shell's text is made of them.

use crate::config::{Bools, FlagStyle, Lists};
use crate::value::{Map, Value};
use std::collections::HashMap;

/// `--key value …`: what is nested by its whole path, `null` left out.
///
/// # Errors
/// What would say something else than the parameters, and what to do.
pub(super) fn flags(params: &Map, style: &FlagStyle) -> Result<Vec<String>, String> {
    let mut line = Line { style, words: Vec::new(), seen: HashMap::new() };
    leaves(params, &mut Vec::new(), &mut |path, value| line.add(path, value))?;
    Ok(line.words)
}

struct Line<'a> {
    style: &'a FlagStyle,
    words: Vec<String>,
    /// Which parameter has which name.
    seen: HashMap<String, String>,
}

impl Line<'_> {
    fn add(&mut self, path: &[&str], value: &Value) -> Result<(), String> {
        let mut name = path.join(&self.style.nested);
        if self.style.dashes {
            name = name.replace('_', "-");
        }
        match value {
            Value::Null => Ok(()),
            Value::Bool(on) if self.style.bools == Bools::Pair => {
                let no = if *on { "" } else { "no-" };
                self.name(path, format!("--{no}{name}"))
            }
            Value::Bool(on) if self.style.bools == Bools::Switch => {
                if *on {
                    self.name(path, format!("--{name}"))
                } else {
                    Ok(())
                }
            }
            Value::List(items) => self.list(path, &format!("--{name}"), items),
            other => self.pair(path, &format!("--{name}"), &self.text(other)),
        }
    }

    fn list(&mut self, path: &[&str], name: &str, items: &[Value]) -> Result<(), String> {
        let texts: Vec<_> = items.iter().map(|item| self.text(item)).collect();
        match self.style.lists {
            Lists::Values if self.style.equals => Err(format!(
                "`{}` is a list, which `equals` cannot write as `lists: values`; choose `lists: repeat` or `lists: comma`",
                path.join(".")
            )),
            Lists::Values => {
                self.name(path, name.to_owned())?;
                self.words.extend(texts);
                Ok(())
            }
            Lists::Repeat => {
                for (number, text) in texts.iter().enumerate() {
                    if number == 0 {
                        self.pair(path, name, text)?;
                    } else {
                        self.push(name, text);
                    }
                }
                Ok(())
            }
            Lists::Comma => {
                if let Some(text) = texts.iter().find(|text| text.contains(',')) {
                    return Err(format!(
                        "`{}` has the item `{text}`, whose comma would make two of it; choose `lists: repeat`",
                        path.join(".")
                    ));
                }
                self.pair(path, name, &texts.join(","))
            }
        }
    }

    /// A name with its value.
    fn pair(&mut self, path: &[&str], name: &str, value: &str) -> Result<(), String> {
        self.claim(path, name)?;
        self.push(name, value);
        Ok(())
    }

    fn push(&mut self, name: &str, value: &str) {
        if self.style.equals {
            self.words.push(format!("{name}={value}"));
        } else {
            self.words.extend([name.to_owned(), value.to_owned()]);
        }
    }

    /// A name alone.
    fn name(&mut self, path: &[&str], name: String) -> Result<(), String> {
        self.claim(path, &name)?;
        self.words.push(name);
        Ok(())
    }

    /// Two parameters of one name would be one to the program.
    fn claim(&mut self, path: &[&str], name: &str) -> Result<(), String> {
        let path = path.join(".");
        match self.seen.insert(name.to_owned(), path.clone()) {
            Some(other) if other == path => Err(format!("two parameters become `{name}`: `{path}`, nested and not")),
            Some(other) => Err(format!("two parameters become `{name}`: `{other}` and `{path}`; rename one of them")),
            None => Ok(()),
        }
    }

    fn text(&self, value: &Value) -> String {
        match value {
            Value::List(_) | Value::Map(_) => value.to_json(),
            Value::Bool(on) if self.style.bools == Bools::Lower => on.to_string(),
            scalar => scalar.python_str(),
        }
    }
}

/// `key=value …` as Hydra and `OmegaConf` read it: nested keys joined by dots, values as JSON, text bare where it can be.
pub(super) fn overrides(params: &Map) -> Vec<String> {
    let mut words = Vec::new();
    // It refuses nothing.
    let _ = leaves(params, &mut Vec::new(), &mut |path, value| {
        let text = match value {
            Value::String(text)
                if text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '_'))
                    && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
                    && !matches!(text.to_ascii_lowercase().as_str(), "null" | "true" | "false" | "nan" | "inf") =>
            {
                text.clone()
            }
            other => other.to_json(),
        };
        words.push(format!("{}={text}", path.join(".")));
        Ok(())
    });
    words
}

fn leaves<'a>(
    map: &'a Map,
    path: &mut Vec<&'a str>,
    visit: &mut impl FnMut(&[&str], &Value) -> Result<(), String>,
) -> Result<(), String> {
    for (key, value) in map {
        path.push(key);
        match value {
            Value::Map(inner) if !inner.is_empty() => leaves(inner, path, visit)?,
            leaf => visit(path, leaf)?,
        }
        path.pop();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(json: &str) -> Map {
        let Ok(Value::Map(map)) = Value::from_json(json) else { panic!("{json}") };
        map
    }

    fn words(params: &str, style: &str) -> Result<String, String> {
        let mut chosen = FlagStyle::default();
        for (name, value) in &map(style) {
            chosen.set(name, value).unwrap();
        }
        flags(&map(params), &chosen).map(|words| words.join("|"))
    }

    #[test]
    fn as_programs_want_them() {
        let all = r#"{"n_layers": 2, "opt": {"nesterov": true, "amp": false, "be_tas": [0.9, true]}, "none": null}"#;
        for (style, expected) in [
            ("{}", "--n_layers|2|--opt.nesterov|True|--opt.amp|False|--opt.be_tas|0.9|True"),
            (r#"{"bools": "lower"}"#, "--n_layers|2|--opt.nesterov|true|--opt.amp|false|--opt.be_tas|0.9|true"),
            (r#"{"bools": "switch"}"#, "--n_layers|2|--opt.nesterov|--opt.be_tas|0.9|True"),
            (r#"{"bools": "pair", "dashes": true}"#, "--n-layers|2|--opt.nesterov|--no-opt.amp|--opt.be-tas|0.9|True"),
            (
                r#"{"bools": "switch", "dashes": true, "lists": "repeat", "nested": "-"}"#,
                "--n-layers|2|--opt-nesterov|--opt-be-tas|0.9|--opt-be-tas|True",
            ),
            (
                r#"{"lists": "comma", "equals": true, "nested": "_"}"#,
                "--n_layers=2|--opt_nesterov=True|--opt_amp=False|--opt_be_tas=0.9,True",
            ),
        ] {
            assert_eq!(words(all, style).unwrap(), expected, "{style}");
        }
        assert_eq!(words(r#"{"a": [], "b": {}}"#, "{}").unwrap(), "--a|--b|{}");
        assert_eq!(words(r#"{"a": []}"#, r#"{"lists": "repeat"}"#).unwrap(), "");
        assert_eq!(words(r#"{"a": []}"#, r#"{"lists": "comma"}"#).unwrap(), "--a|");
    }

    #[test]
    fn what_would_say_something_else_is_refused() {
        for (params, style, expected) in [
            (r#"{"a_b": 1, "a-b": 2}"#, r#"{"dashes": true}"#, "two parameters become `--a-b`: `a_b` and `a-b`"),
            (r#"{"a.b": 1, "a": {"b": 2}}"#, "{}", "two parameters become `--a.b`: `a.b`, nested and not"),
            (r#"{"no-x": true, "x": false}"#, r#"{"bools": "pair"}"#, "two parameters become `--no-x`"),
            (r#"{"a": ["x,y"]}"#, r#"{"lists": "comma"}"#, "`a` has the item `x,y`, whose comma"),
            (r#"{"n": {"a": [1]}}"#, r#"{"equals": true}"#, "`n.a` is a list, which `equals` cannot write"),
        ] {
            let error = words(params, style).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
