//! The value tree of a configuration: what YAML, JSON and templates have in common.
//!
//! Owns the type and its text forms: JSON (in `json`), block YAML that any YAML 1.1 or 1.2 reader understands alike, and
//! Python's `str`, which run names are made of.
//! It must not know positions (that is `config::Node`) nor read files.

mod convert;
mod json;
mod numbers;
mod typed;

pub use json::JsonError;
pub use numbers::{LONGEST_LIST, NoRecord, Numbers};
pub use typed::TypeError;

use indexmap::IndexMap;
use json::write_json_string;
use std::fmt::{self, Write as _};

/// A mapping, in document order.
pub type Map = IndexMap<String, Value>;

/// One value of a configuration.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true`, `yes`, `on` and their opposites.
    Bool(bool),
    /// An integer that fits 128 bits.
    Int(i128),
    /// A larger integer, in canonical decimal digits.
    BigInt(String),
    /// A floating point number; may be infinite or not a number.
    Float(f64),
    /// Text.
    String(String),
    /// A sequence.
    List(Vec<Value>),
    /// A mapping.
    Map(Map),
}

impl Value {
    /// The value at a dotted path split into its keys; `None` where a key is missing or leads through a non-mapping.
    pub fn get_path<'a>(&'a self, path: &[String]) -> Option<&'a Value> {
        path.iter().try_fold(self, |value, key| match value {
            Value::Map(map) => map.get(key),
            _ => None,
        })
    }

    /// Whether the two are the same value: `1` equals `1.0`, mappings are compared whatever their order.
    pub fn same(&self, other: &Value) -> bool {
        match (self, other) {
            // The cast is exact for every integer a sweep compares with a float.
            #[expect(clippy::cast_precision_loss, clippy::float_cmp, reason = "equality by value is what is asked")]
            (Value::Int(i), Value::Float(f)) | (Value::Float(f), Value::Int(i)) => *i as f64 == *f,
            #[expect(clippy::float_cmp, reason = "as above")]
            (Value::Float(a), Value::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
            (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b)),
            (Value::Map(a), Value::Map(b)) => {
                a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| a.same(b)))
            }
            _ => self == other,
        }
    }

    /// Whether `self` agrees with every value of `pattern`, nested mappings partially (the rule of `exclude`).
    pub fn matches(&self, pattern: &Value) -> bool {
        match (self, pattern) {
            (Value::Map(map), Value::Map(pattern)) => {
                pattern.iter().all(|(key, wanted)| map.get(key).is_some_and(|value| value.matches(wanted)))
            }
            _ => self.same(pattern),
        }
    }

    /// Block YAML with a final newline, read alike by YAML 1.1 (`PyYAML`) and 1.2 readers.
    pub fn to_yaml(&self) -> String {
        let mut out = String::new();
        match self {
            Value::Map(map) if !map.is_empty() => write_yaml_map(map, 0, false, &mut out),
            Value::List(list) if !list.is_empty() => write_yaml_list(list, 0, &mut out),
            scalar => {
                scalar.write_yaml_flow(&mut out);
                out.push('\n');
            }
        }
        out
    }

    /// JSON over several lines with a final newline, which YAML 1.1 and 1.2 readers read alike: a configuration for both. Only "not
    /// a number" has no form that both know; to YAML it is the text `NaN`.
    pub fn to_json_and_yaml(&self) -> String {
        let mut out = String::new();
        self.write_json_and_yaml(0, &mut out);
        out.push('\n');
        out
    }

    fn write_json_and_yaml(&self, indent: usize, out: &mut String) {
        let line = |indent: usize, out: &mut String| push(out, format_args!("\n{:1$}", "", indent));
        match self {
            // A leaf on one line, whatever its length.
            Value::List(list) if list.iter().all(|item| !matches!(item, Value::List(_) | Value::Map(_))) => {
                out.push('[');
                for (number, item) in list.iter().enumerate() {
                    out.push_str(if number > 0 { ", " } else { "" });
                    item.write_json_and_yaml(indent, out);
                }
                out.push(']');
            }
            Value::List(list) => {
                out.push('[');
                for (number, item) in list.iter().enumerate() {
                    out.push_str(if number > 0 { "," } else { "" });
                    line(indent + 2, out);
                    item.write_json_and_yaml(indent + 2, out);
                }
                line(indent, out);
                out.push(']');
            }
            Value::Map(map) if !map.is_empty() => {
                out.push('{');
                for (number, (key, value)) in map.iter().enumerate() {
                    out.push_str(if number > 0 { "," } else { "" });
                    line(indent + 2, out);
                    write_quoted(key, out);
                    out.push_str(": ");
                    value.write_json_and_yaml(indent + 2, out);
                }
                line(indent, out);
                out.push('}');
            }
            // Larger than any other number, in both.
            Value::Float(float) if float.is_infinite() => {
                out.push_str(if *float > 0.0 { "1.0e+999" } else { "-1.0e+999" });
            }
            Value::Float(float) if float.is_nan() => out.push_str("NaN"),
            Value::String(text) => write_quoted(text, out),
            other => other.write_yaml_flow(out),
        }
    }

    fn write_yaml_flow(&self, out: &mut String) {
        match self {
            Value::Float(float) if float.is_nan() => out.push_str(".nan"),
            Value::Float(float) if float.is_infinite() => out.push_str(if *float > 0.0 { ".inf" } else { "-.inf" }),
            Value::Float(float) => {
                // YAML 1.1 takes `1e-05` for text: the point is needed.
                let text = python_float(*float);
                match text.split_once('e') {
                    Some((mantissa, exponent)) if !mantissa.contains('.') => {
                        push(out, format_args!("{mantissa}.0e{exponent}"));
                    }
                    _ => out.push_str(&text),
                }
            }
            Value::String(text) => write_yaml_string(text, out),
            Value::List(_) => out.push_str("[]"),
            Value::Map(_) => out.push_str("{}"),
            other => other.write_json(out, false),
        }
    }

    /// As Python's `str(value)` prints it; the original builds run names from this.
    pub fn python_str(&self) -> String {
        match self {
            Value::String(text) => text.clone(),
            other => other.python_repr(),
        }
    }

    fn python_repr(&self) -> String {
        match self {
            Value::Null => "None".to_owned(),
            Value::Bool(true) => "True".to_owned(),
            Value::Bool(false) => "False".to_owned(),
            Value::Int(int) => int.to_string(),
            Value::BigInt(digits) => digits.clone(),
            Value::Float(float) => python_float(*float),
            Value::String(text) => python_quoted(text),
            Value::List(items) => {
                let items: Vec<_> = items.iter().map(Value::python_repr).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Map(map) => {
                let items: Vec<_> =
                    map.iter().map(|(key, value)| format!("{}: {}", python_quoted(key), value.python_repr())).collect();
                format!("{{{}}}", items.join(", "))
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

/// The shortest text that reads back as the same number, in Python's `repr` form: `0.1`, `1e-05`, `1e+16`, `3.0`, `inf`, `nan`.
pub(crate) fn python_float(float: f64) -> String {
    if float.is_nan() {
        return "nan".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{float:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        return format!("{float:?}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// A string's `repr`: single quotes unless it holds one and no double quote.
fn python_quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => match u32::from(c) {
                code if code < 0x100 => push(&mut out, format_args!("\\x{code:02x}")),
                code => push(&mut out, format_args!("\\u{code:04x}")),
            },
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

fn push(out: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
}

fn write_yaml_map(map: &Map, indent: usize, first_inline: bool, out: &mut String) {
    for (i, (key, value)) in map.iter().enumerate() {
        if i > 0 || !first_inline {
            push(out, format_args!("{:indent$}", ""));
        }
        if key.len() > 128 {
            // A simple key may not be longer than 1024 characters, written out.
            out.push_str("? ");
            write_yaml_string(key, out);
            push(out, format_args!("\n{:indent$}:", ""));
        } else {
            write_yaml_string(key, out);
            out.push(':');
        }
        match value {
            Value::Map(map) if !map.is_empty() => {
                out.push('\n');
                write_yaml_map(map, indent + 2, false, out);
            }
            Value::List(list) if !list.is_empty() => {
                out.push('\n');
                write_yaml_list(list, indent, out);
            }
            scalar => {
                out.push(' ');
                scalar.write_yaml_flow(out);
                out.push('\n');
            }
        }
    }
}

fn write_yaml_list(list: &[Value], indent: usize, out: &mut String) {
    for (i, item) in list.iter().enumerate() {
        let _ = i;
        push(out, format_args!("{:indent$}- ", ""));
        match item {
            Value::Map(map) if !map.is_empty() => write_yaml_map(map, indent + 2, true, out),
            Value::List(list) if !list.is_empty() => {
                out.pop();
                out.push('\n');
                write_yaml_list(list, indent + 2, out);
            }
            scalar => {
                scalar.write_yaml_flow(out);
                out.push('\n');
            }
        }
    }
}

/// Plain where every reader takes it for text, else double-quoted.
fn write_yaml_string(text: &str, out: &mut String) {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '+' | ' '))
        && !text.ends_with(' ')
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if plain {
        out.push_str(text);
    } else {
        write_quoted(text, out);
    }
}

/// Text in quotes, as JSON and YAML read it alike.
fn write_quoted(text: &str, out: &mut String) {
    let mut quoted = String::new();
    write_json_string(text, &mut quoted);
    for c in quoted.chars() {
        match u32::from(c) {
            // Not printable in YAML, or a line break to some readers.
            code @ (0x7f..=0x9f | 0x2028 | 0x2029 | 0xfeff | 0xfffe | 0xffff) => {
                push(out, format_args!("\\u{code:04x}"));
            }
            _ => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_python_prints_them() {
        for (float, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.25e22, "1.25e+22"),
            (123_456_789.125, "123456789.125"),
            (1e100, "1e+100"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(python_float(float), text);
        }
    }

    #[test]
    fn yaml_is_block_style_and_unmistakable() {
        let value = Value::Map(Map::from([
            ("lr".to_owned(), Value::Float(1e-5)),
            ("flag".to_owned(), Value::from("yes")),
            ("none".to_owned(), Value::Null),
            (
                "list".to_owned(),
                Value::List(vec![Value::Int(1), Value::List(vec![Value::from("a b")]), Value::Map(Map::new())]),
            ),
            ("net".to_owned(), Value::Map(Map::from([("12:30".to_owned(), Value::from("x\ny"))]))),
        ]));
        assert_eq!(
            value.to_yaml(),
            "lr: 1.0e-05\nflag: \"yes\"\nnone: null\nlist:\n- 1\n-\n  - a b\n- {}\nnet:\n  \"12:30\": \"x\\ny\"\n"
        );
    }

    #[test]
    fn a_configuration_for_both_is_laid_out_for_people() {
        let value =
            Value::from_json(r#"{"lr":1e-05,"a":[1,"x"],"b":[[1],{"c":{}}],"none":null,"inf":-Infinity,"nan":NaN}"#);
        let text = value.unwrap().to_json_and_yaml();
        assert_eq!(
            text,
            "{\n  \"lr\": 1.0e-05,\n  \"a\": [1, \"x\"],\n  \"b\": [\n    [1],\n    {\n      \"c\": {}\n    }\n  ],\n  \"none\": null,\n  \
             \"inf\": -1.0e+999,\n  \"nan\": NaN\n}\n"
        );
    }

    #[test]
    fn str_is_pythons() {
        let list = Value::List(vec![
            Value::from("it's"),
            Value::from("a\\"),
            Value::Bool(true),
            Value::Null,
            Value::Float(1e22),
        ]);
        assert_eq!(list.python_str(), r#"["it's", 'a\\', True, None, 1e+22]"#);
        assert_eq!(Value::from("it's").python_str(), "it's");
    }
}
