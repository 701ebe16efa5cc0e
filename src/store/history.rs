//! What a repetition measured, read from its directory: `metrics.jsonl`, or what its configuration's `metrics` names.
//!
//! Owns which files and lines those are, and which of them a later attempt took the place of. A line that cannot be read is
//! counted and named, and spoils no other.

use super::files;
use super::lines::Lines;
use super::{Result, StoreError, begun_again};
use crate::config::metrics::MetricSource;
use crate::plan::layout::rep as names;
use crate::run::history::{Column, History, Row, STEPS, Step};
use crate::run::status::Status;
use crate::value::Numbers;
use regex::Regex;
use std::borrow::Cow;
use std::fs::{self, File};
use std::io::BufReader;
use std::ops::Range;
use std::path::{Path, PathBuf};
use wildmatch::WildMatch;

/// A history, and what could not be read of it.
#[derive(Debug, Default)]
pub struct Read {
    /// What was measured.
    pub history: History,
    /// The files that hold lines which are no records.
    pub unread: Vec<Unread>,
    /// Lists that are too long to be metrics: the name of the first.
    pub long_list: Option<String>,
}

/// Lines of a file that are no records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The file.
    pub path: PathBuf,
    /// How many of them there are.
    pub count: u64,
    /// What is wrong with the first.
    pub first: String,
}

/// Reads what the repetition in `dir` measured. `sources` is what its configuration names, `status` tells where its last attempt
/// began. With `superseded`, also what later attempts took the place of.
///
/// # Errors
/// Where a file that is there cannot be read.
pub fn read(dir: &Path, sources: Option<&[MetricSource]>, status: Option<&Status>, superseded: bool) -> Result<Read> {
    let attempt = status.map_or(1, |status| status.attempt);
    let mut reader = Reader {
        numbers: Numbers::default(),
        known: 0,
        steps: Vec::new(),
        step: None,
        attempt,
        superseded,
        read: Read::default(),
    };
    match sources {
        None => reader.own_metrics(dir, status)?,
        Some(sources) => {
            for source in sources {
                reader.source(dir, source, status)?;
            }
        }
    }
    Ok(reader.end())
}

struct Reader<'a> {
    numbers: Numbers,
    /// How many names were asked whether they tell steps.
    known: usize,
    /// Those that do, the finest first: how fine, and which.
    steps: Vec<(usize, usize)>,
    /// What tells the step, where that is said.
    step: Option<&'a str>,
    attempt: u32,
    superseded: bool,
    read: Read,
}

impl<'a> Reader<'a> {
    fn source(&mut self, dir: &Path, source: &'a MetricSource, status: Option<&Status>) -> Result<()> {
        self.known = 0;
        self.steps.clear();
        match source {
            MetricSource::File { path, step } => {
                self.step = step.as_deref();
                for name in matching(dir, path) {
                    if name == Path::new(names::METRICS) {
                        self.own_metrics(dir, status)?;
                    } else if name.extension().is_some_and(|end| end == "csv" || end == "tsv") {
                        self.table(&dir.join(name))?;
                    } else {
                        self.records(&dir.join(name), 0..0, self.attempt, false)?;
                    }
                }
            }
            MetricSource::Text { path, regex, step } => {
                self.step = step.as_deref();
                for name in matching(dir, path) {
                    self.text(&dir.join(name), regex)?;
                }
            }
        }
        Ok(())
    }

    /// `metrics.jsonl`, and what was set aside of it.
    fn own_metrics(&mut self, dir: &Path, status: Option<&Status>) -> Result<()> {
        if self.superseded {
            for earlier in 1..self.attempt {
                self.records(&dir.join(names::metrics_of(earlier)), 0..0, earlier, true)?;
            }
        }
        let path = dir.join(names::METRICS);
        let from = status.and_then(|status| status.metrics_from);
        let begun_again = from.map_or(Ok(None), |from| begun_again::range(&path, from))?.unwrap_or_default();
        self.records(&path, begun_again, self.attempt, false)
    }

    /// JSON lines, those in a range begun again by the last attempt.
    fn records(&mut self, path: &Path, begun_again: Range<u64>, attempt: u32, aside: bool) -> Result<()> {
        let Some(file) = open(path)? else { return Ok(()) };
        let mut lines = Lines::new(BufReader::with_capacity(CHUNK, file), 0);
        let mut number = 0;
        while let Some(line) = lines.next().map_err(|source| StoreError::new("read", path, source))? {
            number += 1;
            let Some(bytes) = line.text else {
                self.unread(path, || format!("line {number}: longer than any record"));
                continue;
            };
            let superseded = aside || begun_again.contains(&line.start);
            let attempt = if begun_again.contains(&line.start) { attempt.saturating_sub(1) } else { attempt };
            let text = match std::str::from_utf8(bytes) {
                Ok(text) => Cow::Borrowed(text),
                Err(_) => String::from_utf8_lossy(bytes),
            };
            if (superseded && !self.superseded) || text.trim_ascii().is_empty() {
                continue;
            }
            match self.numbers.read(&text) {
                Ok(record) => {
                    let row = push(&mut self.read.history.columns, self.read.history.rows.len(), record);
                    self.end_row(row, attempt, superseded);
                }
                Err(why) => {
                    let column = why.column.map(|column| format!(", column {column}")).unwrap_or_default();
                    self.unread(path, || format!("line {number}{column}: {}", why.message));
                }
            }
        }
        Ok(())
    }

    /// A table with a header.
    fn table(&mut self, path: &Path) -> Result<()> {
        let Some(file) = open(path)? else { return Ok(()) };
        let delimiter = if path.extension().is_some_and(|end| end == "tsv") { b'\t' } else { b',' };
        let mut table = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(file);
        let fail = |error: csv::Error| StoreError::new("read", path, std::io::Error::other(error));
        let header = table.byte_headers().map_err(fail)?.clone();
        let places: Vec<_> =
            header.iter().map(|name| self.numbers.place(String::from_utf8_lossy(name).trim())).collect();
        let mut row = csv::ByteRecord::new();
        while table.read_byte_record(&mut row).map_err(fail)? {
            // A program that was started again may have written its header again.
            if row == header {
                continue;
            }
            let line = row.position().map_or(0, csv::Position::line);
            if row.len() != header.len() {
                let (found, wanted) = (row.len(), header.len());
                self.unread(path, || format!("line {line}: it has {found} cells, and the header {wanted}"));
                continue;
            }
            let cells: Vec<_> =
                places.iter().zip(&row).filter_map(|(place, cell)| Some((*place, number(cell)?))).collect();
            self.add(&cells, self.attempt);
        }
        Ok(())
    }

    /// Lines that match, such as those of a log.
    fn text(&mut self, path: &Path, regex: &Regex) -> Result<()> {
        let Some(file) = open(path)? else { return Ok(()) };
        let places: Vec<_> = regex
            .capture_names()
            .enumerate()
            .filter_map(|(group, name)| Some((group, self.numbers.place(name?))))
            .collect();
        let mut lines = Lines::new(BufReader::with_capacity(CHUNK, file), 0);
        let first = self.read.history.rows.len();
        let mut attempts = vec![(first, 1, false)];
        let mut number_of_line = 0;
        while let Some(line) = lines.next().map_err(|source| StoreError::new("read", path, source))? {
            number_of_line += 1;
            let Some(text) = line.text else { continue };
            let text = String::from_utf8_lossy(text);
            if let Some((attempt, resumed)) = begins_attempt(&text) {
                attempts.push((self.read.history.rows.len(), attempt, resumed));
            }
            let Some(captures) = regex.captures(&text) else { continue };
            let mut cells = Vec::new();
            for (group, place) in &places {
                let Some(found) = captures.get(*group) else { continue };
                if let Some(value) = number(found.as_str().as_bytes()) {
                    cells.push((*place, value));
                    continue;
                }
                let name = self.numbers.name(*place).unwrap_or_default().to_owned();
                self.unread(path, || {
                    format!("line {number_of_line}: `{}`, which `{name}` matches, is no number", found.as_str())
                });
            }
            let attempt = attempts.last().map_or(1, |(_, attempt, _)| *attempt);
            self.add(&cells, attempt);
        }
        self.settle(first, &attempts);
        Ok(())
    }

    /// Finds what later attempts began again, in rows of which only their beginnings are known.
    fn settle(&mut self, first: usize, attempts: &[(usize, u32, bool)]) {
        let rows = &mut self.read.history.rows;
        for (from, _, resumed) in attempts.iter().skip(1) {
            let (before, own) = rows.split_at_mut(*from);
            let Some(before) = before.get_mut(first..) else { continue };
            let began = own.iter().find_map(|row| row.step);
            let cut = match (began, resumed) {
                (_, false) => Some(0),
                (None, true) => None,
                (Some(step), true) => {
                    let steps = before.iter().enumerate().filter(|(_, row)| !row.superseded).map(|(place, row)| {
                        (place, row.step.filter(|other| other.column == step.column).map(|other| other.value))
                    });
                    begun_again::first_begun_again(steps, step.value)
                }
            };
            for row in before.iter_mut().skip(cut.unwrap_or(usize::MAX)) {
                row.superseded = true;
            }
        }
        // What counts was gone on from.
        for row in rows.iter_mut().skip(first).filter(|row| !row.superseded) {
            row.attempt = self.attempt;
        }
        if !self.superseded {
            self.drop_superseded(first);
        }
    }

    fn drop_superseded(&mut self, first: usize) {
        let history = &mut self.read.history;
        let mut kept = 0..u32::MAX;
        let stays = |(number, row): (usize, &Row)| number < first || !row.superseded;
        let places: Vec<Option<u32>> =
            history.rows.iter().enumerate().map(|row| if stays(row) { kept.next() } else { None }).collect();
        if places.iter().all(Option::is_some) {
            return;
        }
        for column in &mut history.columns {
            let kept = column.iter().filter_map(|(row, value)| Some(((*places.get(row as usize)?)?, value)));
            (column.rows, column.values) = kept.unzip();
        }
        let mut number = 0;
        history.rows.retain(|_| {
            number += 1;
            places.get(number - 1).is_some_and(Option::is_some)
        });
    }

    /// Adds a record of these cells; none where there are none.
    fn add(&mut self, cells: &[(usize, f64)], attempt: u32) {
        if cells.is_empty() {
            return;
        }
        let row = push(&mut self.read.history.columns, self.read.history.rows.len(), cells);
        self.end_row(row, attempt, false);
    }

    /// Ends a record whose values are set.
    fn end_row(&mut self, row: u32, attempt: u32, superseded: bool) {
        while let Some(name) = self.numbers.name(self.known) {
            let fineness = match self.step {
                Some(step) => (name == step).then_some(0),
                None => STEPS.iter().position(|step| *step == name),
            };
            self.steps.extend(fineness.map(|fineness| (fineness, self.known)));
            self.steps.sort_unstable();
            self.known += 1;
        }
        let columns = &self.read.history.columns;
        let of = |(_, column): &(usize, usize)| {
            let last = columns.get(*column).filter(|last| last.rows.last() == Some(&row))?;
            let value = last.values.last().copied().filter(|value| value.is_finite())?;
            Some(Step { column: *column, value })
        };
        let step = self.steps.iter().find_map(of);
        self.read.history.rows.push(Row { step, attempt, superseded });
    }

    fn unread(&mut self, path: &Path, first: impl FnOnce() -> String) {
        match self.read.unread.iter_mut().find(|unread| unread.path == path) {
            Some(unread) => unread.count += 1,
            None => self.read.unread.push(Unread { path: path.to_owned(), count: 1, first: first() }),
        }
    }

    /// Names the columns.
    fn end(mut self) -> Read {
        for (place, column) in self.read.history.columns.iter_mut().enumerate() {
            self.numbers.name(place).unwrap_or_default().clone_into(&mut column.name);
        }
        self.read.long_list = self.numbers.long_list().map(str::to_owned);
        self.read
    }
}

/// Adds a record's values to the columns, and gives its number.
fn push(columns: &mut Vec<Column>, rows: usize, record: &[(usize, f64)]) -> u32 {
    let row = u32::try_from(rows).unwrap_or(u32::MAX);
    for (place, value) in record {
        while columns.len() <= *place {
            columns.push(Column::new(""));
        }
        if let Some(column) = columns.get_mut(*place) {
            column.set(row, *value);
        }
    }
    row
}

/// How much of a file is read at once.
const CHUNK: usize = 64 << 10;

fn open(path: &Path) -> Result<Option<File>> {
    match files::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if files::is_missing(&error) => Ok(None),
        Err(error) => Err(StoreError::new("read", path, error)),
    }
}

/// A cell that is a number, as programs print it.
fn number(cell: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(cell).ok()?.trim();
    match text {
        "true" | "True" => Some(1.0),
        "false" | "False" => Some(0.0),
        _ => text.trim_end_matches([',', ';']).parse().ok(),
    }
}

/// Whether the line is the one that cw2 writes into a log where another attempt begins: its number, and whether it resumes.
fn begins_attempt(line: &str) -> Option<(u32, bool)> {
    let rest = line.strip_prefix("==> cw2: attempt ")?.strip_suffix(" <==")?;
    let (number, _) = rest.split_once(',')?;
    Some((number.parse().ok()?, rest.contains(", resuming,")))
}

/// The files below a repetition's directory that a name or a pattern means, relative to it, in order.
fn matching(dir: &Path, pattern: &str) -> Vec<PathBuf> {
    /// Results of a program may lie this deep.
    const DEPTH: usize = 6;
    if !pattern.contains(['*', '?']) {
        return vec![PathBuf::from(pattern)];
    }
    let wanted = WildMatch::new(pattern);
    let mut found = Vec::new();
    let mut folders = vec![(dir.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(name) = path.strip_prefix(dir) else { continue };
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if depth < DEPTH {
                    folders.push((path, depth + 1));
                }
            } else if wanted.matches(&name.to_string_lossy()) && !is_aside(name) {
                found.push(name.to_owned());
            }
        }
    }
    found.sort_unstable();
    found
}

/// Whether cw2 set a file of metrics aside, or it is one of cw2's own that holds none.
fn is_aside(name: &Path) -> bool {
    let name = name.to_string_lossy();
    names::is_own(&name) && ![names::METRICS, names::METRICS_CSV, names::OUT, names::ERR].contains(&&*name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::metrics::stored_sources;
    use crate::run::history::Pick;
    use crate::value::Value;

    fn status(attempt: u32) -> Box<Status> {
        let text = format!(
            r#"{{"format":1,"state":"completed","experiment":"e","run":"e","rep":0,"attempt":{attempt},"params_sha256":"",
                "plan":"","job":0,"host":"","pid":1,"started":""}}"#
        );
        Box::new(serde_json::from_str(&text).unwrap())
    }

    /// Files of a repetition, its configuration's `metrics`, and how often it was started.
    fn read_files(files: &[(&str, &str)], metrics: &str, attempt: u32, superseded: bool) -> Read {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let sources = stored_sources(&Value::from_json(&format!("{{\"metrics\":{metrics}}}")).unwrap());
        read(dir.path(), sources.as_deref(), Some(&status(attempt)), superseded).unwrap()
    }

    /// Step, attempt and whether it counts; and the value of `a` in each row.
    fn told(history: &History) -> Vec<(Option<f64>, u32, bool, Option<f64>)> {
        let a = history.column("a");
        let row = |(number, row): (u32, &Row)| {
            (row.step.map(|step| step.value), row.attempt, !row.superseded, a.and_then(|a| a.get(number)))
        };
        (0..).zip(&history.rows).map(row).collect()
    }

    #[test]
    fn records_of_all_kinds_are_read_or_named() {
        let lines = "{\"step\": 1, \"a\": 0.5, \"b\": {\"c\": NaN}}\n\n{\"epoch\": 2, \"a\": 1, \"a\": 2}\nno\n[1]\n{\"text\": \"\\ud83d\\ude00\"}\n{\"a\": ";
        let read = read_files(&[("metrics.jsonl", lines)], "null", 1, false);
        assert_eq!(
            told(&read.history),
            [(Some(1.0), 1, true, Some(0.5)), (Some(2.0), 1, true, Some(2.0)), (None, 1, true, None)]
        );
        assert!(read.history.pick("b.c", &Pick::Last).unwrap().is_nan());
        let unread = &read.unread[0];
        assert_eq!((read.unread.len(), unread.count), (1, 3));
        assert_eq!(unread.first, "line 4, column 1: this is not a JSON value");
    }

    #[test]
    fn the_last_attempt_counts_and_the_others_can_be_seen() {
        let files = [
            ("metrics.attempt-1.jsonl", "{\"step\": 0, \"a\": 9}\n{\"step\": 1, \"a\": 9}\n"),
            ("metrics.jsonl", "{\"step\": 0, \"a\": 1}\n"),
        ];
        let counts = (Some(0.0), 2, true, Some(1.0));
        assert_eq!(told(&read_files(&files, "null", 2, false).history), [counts]);
        let before = |step| (Some(step), 1, false, Some(9.0));
        assert_eq!(told(&read_files(&files, "null", 2, true).history), [before(0.0), before(1.0), counts]);
        // By its name it is the same.
        assert_eq!(told(&read_files(&files, r#"{"file": "*.jsonl"}"#, 2, false).history), [counts]);
    }

    #[test]
    fn a_table_is_read_by_its_header() {
        let text = "epoch,a,note\n1,0.5,x\n2,,\nepoch,a,note\n3,nan\n4,1e3,true\n";
        let read = read_files(&[("out/m.csv", text)], r#"{"file": "out/*.csv", "step": "epoch"}"#, 1, false);
        assert_eq!(
            told(&read.history),
            [(Some(1.0), 1, true, Some(0.5)), (Some(2.0), 1, true, None), (Some(4.0), 1, true, Some(1000.0))]
        );
        assert_eq!(read.unread[0].first, "line 5: it has 2 cells, and the header 3");
    }

    #[test]
    fn a_log_tells_its_attempts() {
        let log = "epoch 0 a 9\nepoch 1 a 9\nepoch 2 a 9\n==> cw2: attempt 2, resuming, 2026-01-01T00:00:00Z <==\nepoch 1 a 1\nepoch 2 a x\n";
        let metrics = r#"{"regex": "epoch (?P<epoch>\\d+) a (?P<a>\\S+)"}"#;
        let read = read_files(&[("out.log", log)], metrics, 2, false);
        assert_eq!(
            told(&read.history),
            [(Some(0.0), 2, true, Some(9.0)), (Some(1.0), 2, true, Some(1.0)), (Some(2.0), 2, true, None)]
        );
        assert_eq!(read.unread[0].first, "line 6: `x`, which `a` matches, is no number");
        let all = told(&read_files(&[("out.log", log)], metrics, 2, true).history);
        assert_eq!(all[1..3], [(Some(1.0), 1, false, Some(9.0)), (Some(2.0), 1, false, Some(9.0))]);
        // Begun anew, nothing of the first counts.
        let read = read_files(&[("out.log", &log.replace(", resuming", ""))], metrics, 2, false);
        assert_eq!(told(&read.history).len(), 2);
    }
}
