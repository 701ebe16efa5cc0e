//! The numbers of JSON records, by the dotted paths of their keys: what is measured, read without a tree for each line.
//!
//! Records of one file are alike, so their keys are known after the first. What is unusual (escapes, lists, equal keys, numbers of
//! no usual form, anything wrong) is left to [`Value::from_json`], which alone says what is JSON.

use super::Value;
use indexmap::IndexMap;

/// Lists with more items are no metrics: weights, pictures, histograms.
pub const LONGEST_LIST: usize = 64;

/// Why a line is no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoRecord {
    /// What is wrong.
    pub message: &'static str,
    /// From 1, in characters; `None` where all of it is.
    pub column: Option<usize>,
}

/// Reads records, and knows their numbers' names.
#[derive(Debug, Default)]
pub struct Numbers {
    /// The paths of numbers that were met.
    names: IndexMap<String, ()>,
    /// Keys of objects that were met.
    keys: Vec<Key>,
    /// The keys of the record before, in its order.
    order: Vec<usize>,
    /// The numbers of the present record: places in `names`, and values.
    record: Vec<(usize, f64)>,
    /// How many records were read.
    count: u64,
    /// The first list that was too long.
    long_list: Option<String>,
}

/// A key of an object.
#[derive(Debug)]
struct Key {
    /// The key whose value that object is.
    parent: Option<usize>,
    text: Box<str>,
    /// Its path's place in `names`, once it had a number.
    name: Option<usize>,
    /// The last record that had it.
    seen: u64,
}

impl Numbers {
    /// The numbers of a record: the place of each one's name and its value. Of equal keys the last counts; true and false are 1
    /// and 0.
    ///
    /// # Errors
    /// Where it is no JSON object.
    pub fn read(&mut self, line: &str) -> Result<&[(usize, f64)], NoRecord> {
        self.count += 1;
        self.record.clear();
        let mut usual = Usual { line: line.as_bytes(), at: 0, position: 0, numbers: self };
        if usual.record().is_none() {
            self.record.clear();
            match Value::from_json(line) {
                Ok(Value::Map(map)) => self.flatten(&Value::Map(map), &mut String::new()),
                Ok(_) => return Err(NoRecord { message: "not a JSON object", column: None }),
                Err(error) => return Err(NoRecord { message: error.message, column: Some(error.column) }),
            }
        }
        Ok(&self.record)
    }

    /// The name of a number.
    pub fn name(&self, place: usize) -> Option<&str> {
        self.names.get_index(place).map(|(name, ())| name.as_str())
    }

    /// The path of the first list that was left out, as it has more than [`LONGEST_LIST`] items.
    pub fn long_list(&self) -> Option<&str> {
        self.long_list.as_deref()
    }

    /// The place of a name.
    pub fn place(&mut self, name: &str) -> usize {
        match self.names.get_index_of(name) {
            Some(place) => place,
            None => self.names.insert_full(name.to_owned(), ()).0,
        }
    }

    fn flatten(&mut self, value: &Value, path: &mut String) {
        let length = path.len();
        let number = match value {
            Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
            other => other.as_f64(),
        };
        let nested: Vec<(String, &Value)> = match value {
            Value::Map(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
            Value::List(items) if items.len() > LONGEST_LIST => {
                self.long_list.get_or_insert_with(|| path.clone());
                return;
            }
            Value::List(items) => items.iter().enumerate().map(|(place, item)| (place.to_string(), item)).collect(),
            _ => Vec::new(),
        };
        if let Some(number) = number {
            let place = self.place(path);
            self.record.push((place, number));
        }
        for (key, value) in nested {
            if length > 0 {
                path.push('.');
            }
            path.push_str(&key);
            self.flatten(value, path);
            path.truncate(length);
        }
    }

    /// The key of this text in the value of another one; `position` says where in its record it stands.
    fn key(&mut self, parent: Option<usize>, text: &str, position: usize) -> usize {
        let is = |key: &Key| key.parent == parent && *key.text == *text;
        if let Some(known) = self.order.get(position).copied().filter(|known| self.keys.get(*known).is_some_and(is)) {
            return known;
        }
        let known = self.keys.iter().position(is).unwrap_or_else(|| {
            self.keys.push(Key { parent, text: text.into(), name: None, seen: 0 });
            self.keys.len() - 1
        });
        self.order.truncate(position);
        self.order.push(known);
        known
    }

    fn path_of(&self, key: usize) -> String {
        let Some(key) = self.keys.get(key) else { return String::new() };
        match key.parent {
            Some(parent) => format!("{}.{}", self.path_of(parent), key.text),
            None => key.text.to_string(),
        }
    }
}

/// A record of the usual form. `None` says that it is not.
struct Usual<'a> {
    line: &'a [u8],
    at: usize,
    /// How many keys were read.
    position: usize,
    numbers: &'a mut Numbers,
}

/// Objects in each other that are usual.
const DEPTH: u32 = 8;
/// Keys that are usual: the rest is looked for one by one.
const KEYS: usize = 512;

impl Usual<'_> {
    fn record(&mut self) -> Option<()> {
        self.blanks();
        self.take(b'{')?;
        self.object(None, DEPTH)?;
        self.blanks();
        (self.at == self.line.len()).then_some(())
    }

    /// An object from behind its brace on.
    fn object(&mut self, parent: Option<usize>, depth: u32) -> Option<()> {
        self.blanks();
        if self.take(b'}').is_some() {
            return Some(());
        }
        loop {
            self.blanks();
            let key = self.key(parent)?;
            self.blanks();
            self.take(b':')?;
            self.blanks();
            match self.line.get(self.at)? {
                b'{' => {
                    self.at += 1;
                    self.object(Some(key), depth.checked_sub(1)?)?;
                }
                b'"' => drop(self.string()?),
                b'n' => self.word(b"null")?,
                b't' => self.word(b"true").and_then(|()| self.add(key, 1.0))?,
                b'f' => self.word(b"false").and_then(|()| self.add(key, 0.0))?,
                b'N' => self.word(b"NaN").and_then(|()| self.add(key, f64::NAN))?,
                _ => self.number().and_then(|number| self.add(key, number))?,
            }
            self.blanks();
            if self.take(b',').is_none() {
                return self.take(b'}');
            }
        }
    }

    fn key(&mut self, parent: Option<usize>) -> Option<usize> {
        let (start, end) = self.string()?;
        // Whole characters: the line is text, and quotes are none of their parts.
        let text = std::str::from_utf8(self.line.get(start..end)?).ok()?;
        let key = self.numbers.key(parent, text, self.position);
        self.position += 1;
        let count = self.numbers.count;
        let known = self.numbers.keys.get_mut(key)?;
        let twice = std::mem::replace(&mut known.seen, count) == count;
        (!twice && key < KEYS).then_some(key)
    }

    fn add(&mut self, key: usize, number: f64) -> Option<()> {
        let numbers = &mut *self.numbers;
        let known = numbers.keys.get(key)?.name;
        // A key with a dot in it may look like a nested one: of both the last counts.
        let name = known.unwrap_or_else(|| numbers.place(&numbers.path_of(key)));
        numbers.keys.get_mut(key)?.name = Some(name);
        numbers.record.push((name, number));
        Some(())
    }

    fn blanks(&mut self) {
        while self.line.get(self.at).is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.line.get(self.at) == Some(&byte)).then(|| self.at += 1)
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.line.get(self.at..)?.starts_with(word).then(|| self.at += word.len())
    }

    /// Where a string without escapes begins and ends.
    fn string(&mut self) -> Option<(usize, usize)> {
        self.take(b'"')?;
        let start = self.at;
        loop {
            match self.line.get(self.at)? {
                b'"' => break,
                b'\\' | 0..0x20 => return None,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some((start, self.at - 1))
    }

    fn number(&mut self) -> Option<f64> {
        let start = self.at;
        let _ = self.take(b'-');
        let zero = self.line.get(self.at) == Some(&b'0');
        let whole = self.digits();
        if whole == 0 || (zero && whole > 1) {
            return None;
        }
        if self.take(b'.').is_some() && self.digits() == 0 {
            return None;
        }
        if matches!(self.line.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.line.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return None;
            }
        }
        std::str::from_utf8(self.line.get(start..self.at)?).ok()?.parse().ok()
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.line.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        self.at - start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The numbers of a record, the last of a name alone, in the order of names.
    fn numbers(reader: &mut Numbers, line: &str) -> Result<Vec<(String, f64)>, NoRecord> {
        let record = reader.read(line)?.to_vec();
        let mut found: IndexMap<String, f64> = IndexMap::new();
        for (place, value) in record {
            found.insert(reader.name(place).unwrap().to_owned(), value);
        }
        found.sort_keys();
        Ok(found.into_iter().collect())
    }

    #[test]
    fn every_number_has_its_path() {
        let mut reader = Numbers::default();
        for (line, expected) in [
            (r#"{"loss": 0.5, "epoch": 3, "opt": "sgd"}"#, &[("epoch", 3.0), ("loss", 0.5)][..]),
            (
                r#" { "val" : {"acc":1e-3,"deep":{"x":-2}} , "ok":true,"no":null} "#,
                &[("ok", 1.0), ("val.acc", 0.001), ("val.deep.x", -2.0)],
            ),
            (r#"{"loss": 1, "loss": 2}"#, &[("loss", 2.0)]),
            (r#"{"a": {"b": 1}, "a": {"c": 2}}"#, &[("a.c", 2.0)]),
            (r#"{"a": 1, "a": "none"}"#, &[]),
            (r#"{"a.b": 1, "a": {"b": 2}}"#, &[("a.b", 2.0)]),
            (r#"{"\ud83d\ude00": 1, "text": "\ud83d\ude00"}"#, &[("\u{1f600}", 1.0)]),
            (r#"{"\u0061": 1}"#, &[("a", 1.0)]),
            (r#"{"list": [1, {"x": 2}, "3", true]}"#, &[("list.0", 1.0), ("list.1.x", 2.0), ("list.3", 1.0)]),
            (
                r#"{"i": Infinity, "j": -Infinity, "big": 1180591620717411303424}"#,
                &[("big", 1_180_591_620_717_411_303_424.0), ("i", f64::INFINITY), ("j", f64::NEG_INFINITY)],
            ),
            ("{}", &[]),
        ] {
            let expected: Vec<_> = expected.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
            assert_eq!(numbers(&mut reader, line).unwrap(), expected, "{line}");
        }
        assert!(numbers(&mut reader, r#"{"x": NaN}"#).unwrap()[0].1.is_nan());
        let long = format!("{{\"w\": [{}0]}}", "0,".repeat(LONGEST_LIST));
        assert_eq!((numbers(&mut reader, &long).unwrap(), reader.long_list()), (vec![], Some("w")));
    }

    #[test]
    fn what_is_no_record_says_why() {
        for (line, message, column) in [
            ("[1]", "not a JSON object", None),
            ("0", "not a JSON object", None),
            (r#"{"loss": 3"#, "a mapping wants a `,` or its `}` here", Some(11)),
            (r#"{"loss": 01}"#, "a mapping wants a `,` or its `}` here", Some(11)),
            (r#"{"loss": 1} x"#, "something stands behind the JSON value", Some(13)),
            ("{'loss': 1}", "a key in double quotes is wanted here", Some(2)),
        ] {
            assert_eq!(Numbers::default().read(line), Err(NoRecord { message, column }), "{line}");
        }
    }

    /// JSON-like lines, whole and torn.
    fn lines() -> impl Strategy<Value = String> {
        let key = "[abc]|\"|\\\\u0061|é|a\\.b";
        let leaf = prop_oneof![
            "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
            "[0-9.eE+-]{1,5}",
            Just("NaN".to_owned()),
            Just("null".to_owned()),
            Just("true".to_owned()),
            "\"[a-c\\\\\"\u{1}é]{0,3}\"",
        ];
        let value = leaf.prop_recursive(3, 12, 4, move |inner| {
            prop_oneof![
                prop::collection::vec((key, inner.clone()), 0..4).prop_map(|entries| {
                    let entries: Vec<_> =
                        entries.into_iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
                    format!("{{{}}}", entries.join(", "))
                }),
                prop::collection::vec(inner, 0..3).prop_map(|items| format!("[{}]", items.join(","))),
            ]
        });
        (value, any::<prop::sample::Index>(), any::<bool>()).prop_map(|(text, cut, torn)| {
            let at = cut.index(text.len() + 1);
            if torn { text.get(..at).unwrap_or(&text).to_owned() } else { text }
        })
    }

    proptest! {
        #[test]
        fn the_quick_way_reads_what_the_other_one_reads(lines in prop::collection::vec(lines(), 1..6)) {
            let mut reader = Numbers::default();
            for line in lines {
                let mut exact = Numbers::default();
                let expected = match Value::from_json(&line) {
                    Ok(value @ Value::Map(_)) => {
                        exact.flatten(&value, &mut String::new());
                        let mut found: IndexMap<String, f64> = IndexMap::new();
                        exact.record.clone().into_iter().for_each(|(place, value)| {
                            found.insert(exact.name(place).unwrap().to_owned(), value);
                        });
                        found.sort_keys();
                        Ok(found.into_iter().map(|(name, value)| (name, (value + 0.0).to_bits())).collect::<Vec<_>>())
                    }
                    _ => Err(()),
                };
                let read = numbers(&mut reader, &line).map_err(drop);
                let read = read.map(|read| read.into_iter().map(|(name, value)| (name, (value + 0.0).to_bits())).collect::<Vec<_>>());
                prop_assert_eq!(read, expected, "{}", line);
            }
        }
    }
}
