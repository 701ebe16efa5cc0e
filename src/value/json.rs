//! JSON texts: reading and writing, as Python's `json` module does both.
//!
//! Reads any JSON whatever wrote it: integers keep every digit, `NaN`, `Infinity` and `-Infinity` are numbers, of equal keys
//! the last one wins, half of a surrogate pair becomes U+FFFD. What is not JSON is an error with its place, never a guess.

use super::{Map, Value, push, python_float};
use std::fmt;

/// Sequences and mappings may lie this deep in each other: a few levels deeper than in a configuration.
const MAX_DEPTH: usize = 200;

/// Why a text is not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    /// What is wrong.
    pub message: &'static str,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at line {} column {}", self.message, self.line, self.column)
    }
}

impl std::error::Error for JsonError {}

impl Value {
    /// The value of a JSON text.
    ///
    /// # Errors
    /// Where it is none, or lies deeper than 200 levels.
    ///
    /// ```
    /// use cw2::value::Value;
    /// let value = Value::from_json(r#"{"loss": NaN, "step": 1, "step": 2}"#).unwrap();
    /// assert_eq!(value.to_json(), r#"{"loss":NaN,"step":2}"#);
    /// ```
    pub fn from_json(text: &str) -> Result<Value, JsonError> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        parser.document().map_err(|message| {
            let before = text.get(..parser.at).unwrap_or(text);
            let line = before.rsplit('\n').next().unwrap_or_default();
            JsonError { message, line: before.matches('\n').count() + 1, column: line.chars().count() + 1 }
        })
    }

    /// Compact JSON, keys in document order; non-finite numbers as Python's `json` writes them (`Infinity`, `NaN`).
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out, false);
        out
    }

    /// Canonical JSON: sorted keys, no spaces. The same text as Python's
    /// `json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)`, so that anyone can recompute a hash of it.
    pub fn to_canonical_json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out, true);
        out
    }

    pub(super) fn write_json(&self, out: &mut String, canonical: bool) {
        match self {
            Value::Null => out.push_str("null"),
            Value::Bool(true) => out.push_str("true"),
            Value::Bool(false) => out.push_str("false"),
            Value::Int(int) => push(out, format_args!("{int}")),
            Value::BigInt(digits) => out.push_str(digits),
            Value::Float(float) if float.is_nan() => out.push_str("NaN"),
            Value::Float(float) if float.is_infinite() => {
                out.push_str(if *float > 0.0 { "Infinity" } else { "-Infinity" });
            }
            Value::Float(float) => out.push_str(&python_float(*float)),
            Value::String(text) => write_json_string(text, out),
            Value::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write_json(out, canonical);
                }
                out.push(']');
            }
            Value::Map(map) => {
                out.push('{');
                let mut entries: Vec<_> = map.iter().collect();
                if canonical {
                    entries.sort_by_key(|(key, _)| key.as_str());
                }
                for (i, (key, value)) in entries.into_iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_json_string(key, out);
                    out.push(':');
                    value.write_json(out, canonical);
                }
                out.push('}');
            }
        }
    }
}

pub(super) fn write_json_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 0x20 => push(out, format_args!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

type Parsed<T> = Result<T, &'static str>;

/// A text, read from the left. Where something is wrong, `at` is its place.
struct Parser<'a> {
    text: &'a str,
    /// Always on the boundary of a character.
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn document(&mut self) -> Parsed<Value> {
        let value = self.value()?;
        self.blanks();
        if self.rest().is_empty() { Ok(value) } else { Err("something stands behind the JSON value") }
    }

    fn value(&mut self) -> Parsed<Value> {
        const WORDS: &[(&str, Value)] = &[
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("NaN", Value::Float(f64::NAN)),
            ("Infinity", Value::Float(f64::INFINITY)),
            ("-Infinity", Value::Float(f64::NEG_INFINITY)),
        ];
        self.blanks();
        match self.rest().as_bytes().first() {
            None => Err("a value is missing"),
            Some(b'"') => self.string().map(Value::String),
            Some(b'[') => self.nested(Self::list),
            Some(b'{') => self.nested(Self::map),
            Some(_) => match WORDS.iter().find(|(word, _)| self.rest().starts_with(word)) {
                Some((word, value)) => {
                    self.at += word.len();
                    Ok(value.clone())
                }
                None => self.number(),
            },
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Parsed<Value>) -> Parsed<Value> {
        if self.depth == MAX_DEPTH {
            return Err("the value is nested too deeply");
        }
        self.at += 1;
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn list(&mut self) -> Parsed<Value> {
        let mut items = Vec::new();
        if !self.takes(']') {
            loop {
                items.push(self.value()?);
                if self.takes(']') {
                    break;
                }
                self.comma("a list wants a `,` or its `]` here")?;
            }
        }
        Ok(Value::List(items))
    }

    fn map(&mut self) -> Parsed<Value> {
        let mut map = Map::new();
        if !self.takes('}') {
            loop {
                self.blanks();
                if !self.rest().starts_with('"') {
                    return Err("a key in double quotes is wanted here");
                }
                let key = self.string()?;
                if !self.takes(':') {
                    return Err("a `:` is wanted here");
                }
                let value = self.value()?;
                map.insert(key, value);
                if self.takes('}') {
                    break;
                }
                self.comma("a mapping wants a `,` or its `}` here")?;
            }
        }
        Ok(Value::Map(map))
    }

    fn comma(&mut self, otherwise: &'static str) -> Parsed<()> {
        if self.takes(',') { Ok(()) } else { Err(otherwise) }
    }

    fn number(&mut self) -> Parsed<Value> {
        const NONE: &str = "this is not a JSON value";
        let rest = self.rest();
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let sign = usize::from(rest.starts_with('-'));
        let mut end = match rest.get(sign..).unwrap_or_default() {
            zero if zero.starts_with('0') => sign + 1,
            whole if digits(whole) > 0 => sign + digits(whole),
            _ => return Err(NONE),
        };
        let whole = end;
        // A point or an exponent without a digit is left standing, and is what is wrong.
        if let Some(fraction) = rest.get(end..).and_then(|rest| rest.strip_prefix('.')).map(digits).filter(|n| *n > 0) {
            end += 1 + fraction;
        }
        if let Some(exponent) = rest.get(end..).and_then(|rest| rest.strip_prefix(['e', 'E'])) {
            let power = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if digits(power) > 0 {
                end += 1 + (exponent.len() - power.len()) + digits(power);
            }
        }
        let text = rest.get(..end).unwrap_or_default();
        let value = if end > whole {
            Value::Float(text.parse().map_err(|_| NONE)?)
        } else {
            text.parse().map_or_else(|_| Value::BigInt(text.to_owned()), Value::Int)
        };
        self.at += end;
        Ok(value)
    }

    /// A string, from its opening quote on.
    fn string(&mut self) -> Parsed<String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = self.rest();
            let plain = rest.find(|c: char| matches!(c, '"' | '\\') || u32::from(c) < 0x20).unwrap_or(rest.len());
            let (text, special) = rest.split_at(plain);
            out.push_str(text);
            self.at += plain;
            match special.as_bytes().first() {
                None => return Err("the text is never closed"),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return Err("a control character must be written as an escape"),
            }
        }
    }

    fn escape(&mut self) -> Parsed<char> {
        let c = match self.rest().as_bytes().get(1) {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(*c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.unit(0).ok_or("`\\u` wants four hexadecimal digits")?;
                let second = self.unit(6).filter(|_| (0xd800..0xdc00).contains(&first));
                let pair = second.and_then(|second| char::decode_utf16([first, second]).next()?.ok());
                self.at += if pair.is_some() { 12 } else { 6 };
                return Ok(pair.or(char::from_u32(first.into())).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            _ => return Err("this escape is not one of JSON's"),
        };
        self.at += 2;
        Ok(c)
    }

    /// The UTF-16 unit of the `\uXXXX` that begins `offset` bytes further on.
    fn unit(&self, offset: usize) -> Option<u16> {
        let digits = self.rest().get(offset..offset + 6)?.strip_prefix("\\u")?;
        let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u16::from_str_radix(digits, 16).ok().filter(|_| hexadecimal)
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    /// Skips blanks and the character behind them, if it is this one.
    fn takes(&mut self, c: char) -> bool {
        self.blanks();
        let found = self.rest().starts_with(c);
        self.at += usize::from(found);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_json_is_read_as_python_reads_it() {
        for (text, expected) in [
            (r#""\ud83d\ude00""#, "\"\u{1f600}\""),
            (r#""\ud83d \ude00\ud83dx""#, "\"\u{fffd} \u{fffd}\u{fffd}x\""),
            (r#""\u00e9\/\b\f\n\r\t\"\\""#, r#""é/\b\f\n\r\t\"\\""#),
            (r#"{"a": 1, "b": 2, "a": 3}"#, r#"{"a":3,"b":2}"#),
            ("[NaN, Infinity, -Infinity, 1e400, -1E+2, 1.5e-7]", "[NaN,Infinity,-Infinity,Infinity,-100.0,1.5e-07]"),
            ("-0", "0"),
            ("-0.0", "-0.0"),
            ("170141183460469231731687303715884105728", "170141183460469231731687303715884105728"),
            ("\r\n\t { } ", "{}"),
            ("[ ]", "[]"),
            (r#"["<<", {"<<": {"a": null}}, "~", true, false]"#, r#"["<<",{"<<":{"a":null}},"~",true,false]"#),
        ] {
            assert_eq!(Value::from_json(text).unwrap().to_json(), expected, "{text}");
        }
        let deepest = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert_eq!(Value::from_json(&deepest).unwrap().to_json(), deepest);
    }

    #[test]
    fn what_only_resembles_json_is_none() {
        for text in [
            "",
            " ",
            "{",
            "[1",
            "[1,]",
            "{\"a\":1,}",
            "{loss: 1.0}",
            "{'a': 1}",
            "yes",
            "~",
            "nul",
            "nulls",
            "0x10",
            "01",
            "+1",
            ".5",
            "1.",
            "1e",
            "- 1",
            "-",
            "inf",
            "nan",
            "-NaN",
            "1 2",
            "1\n---\n2",
            "\"a",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u00g0\"",
            "\"\\u+123\"",
            "\"\\u12\u{e9}\"",
            "\"\\",
            "\0",
            "\u{feff}1",
            "\u{a0}1",
            "[1 2]",
            "{\"a\" 1}",
            "{1: 2}",
            "&a 1",
            "# 1",
        ] {
            assert!(Value::from_json(text).is_err(), "{text}");
        }
        let error = Value::from_json("{\"é\":\n [1,\n}").unwrap_err();
        assert_eq!(error.to_string(), "this is not a JSON value at line 3 column 1");
        assert_eq!(Value::from_json(r#"{"é":"ü",1}"#).unwrap_err().column, 10);
        let deep = "[".repeat(100_000);
        assert_eq!(
            Value::from_json(&deep).unwrap_err().to_string(),
            "the value is nested too deeply at line 1 column 201"
        );
    }
}
