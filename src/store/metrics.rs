//! The metrics of a repetition: lines appended while it runs, read back whole.

use super::atomic::{self, Durable};
use super::lines::Lines;
use super::{Result, StoreError, begun_again, files};
use crate::plan::layout::rep as names;
use crate::run::status::Status;
use crate::value::{Map, Value};
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A file that lines are appended to.
#[derive(Debug)]
pub struct Appender {
    path: PathBuf,
    file: File,
    /// The last write was cut short, so the next line begins a new one.
    torn: bool,
}

impl Appender {
    fn open(path: PathBuf) -> Result<Self> {
        let fail = |source| StoreError::new("open", &path, source);
        let mut file = files::append(&path).map_err(fail)?;
        let torn = ends_torn(&mut file).map_err(|source| StoreError::new("read", &path, source))?;
        Ok(Appender { path, file, torn })
    }

    /// Appends a line in one write: it is whole, or told apart from the next one.
    pub fn line(&mut self, text: &str) -> Result<()> {
        let start = if self.torn { "\n" } else { "" };
        self.torn = true;
        let line = format!("{start}{text}\n");
        self.file.write_all(line.as_bytes()).map_err(|source| StoreError::new("write", &self.path, source))?;
        self.torn = false;
        Ok(())
    }
}

/// Whether the last line has no end: whoever wrote it died over it.
fn ends_torn(file: &mut File) -> std::io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// Opens `metrics.jsonl` of a repetition's directory.
pub fn append(dir: &Path) -> Result<Appender> {
    Appender::open(dir.join(names::METRICS))
}

/// What `metrics.jsonl` holds.
#[derive(Debug, Default)]
pub struct Records {
    /// The records, in order.
    pub records: Vec<Map>,
    /// The lines that are no record (a torn one, a word of another program), each with what is wrong.
    pub others: Vec<String>,
}

/// Reads `metrics.jsonl` of a repetition with this status; nothing where there is no such file. What its last attempt began
/// again is left out. The log tells of lines that are no records.
pub fn read(dir: &Path, status: Option<&Status>) -> Result<Records> {
    let path = dir.join(names::METRICS);
    let file = match files::open(&path) {
        Ok(file) => file,
        Err(error) if files::is_missing(&error) => return Ok(Records::default()),
        Err(error) => return Err(StoreError::new("read", &path, error)),
    };
    let from = status.and_then(|status| status.metrics_from);
    let begun_again = from.map_or(Ok(None), |from| begun_again::range(&path, from))?.unwrap_or_default();
    let mut read = Records::default();
    let mut lines = Lines::new(BufReader::new(file), 0);
    let mut number = 0;
    while let Some(line) = lines.next().map_err(|source| StoreError::new("read", &path, source))? {
        number += 1;
        let Some(text) = line.text else {
            read.others.push(format!("line {number}: longer than any record"));
            continue;
        };
        let text = String::from_utf8_lossy(text);
        if begun_again.contains(&line.start) || text.trim().is_empty() {
            continue;
        }
        match Value::from_json(&text) {
            Ok(Value::Map(record)) => read.records.push(record),
            Ok(_) => read.others.push(format!("line {number}: not a JSON object")),
            Err(error) => read.others.push(format!("line {number}, column {}: {}", error.column, error.message)),
        }
    }
    if let Some(first) = read.others.first() {
        let count = read.others.len();
        log::warn!("{}: {count} lines are not JSON objects and were left out ({first})", path.display());
    }
    Ok(read)
}

/// Sets aside what the attempt that started at `from` began again: to the metrics of the attempt before, which it is.
pub(super) fn settle(dir: &Path, from: u64, before: u32) -> Result<()> {
    let path = dir.join(names::METRICS);
    let Some(Range { start, end }) = begun_again::range(&path, from)? else { return Ok(()) };
    let fail = |source| StoreError::new("write", &path, source);
    let file = files::open(&path).map_err(fail)?;
    let copy = |from: u64, length: u64, to: &mut File| {
        let mut source = &file;
        source.seek(SeekFrom::Start(from))?;
        std::io::copy(&mut source.take(length), to).map(drop)
    };
    let kept = atomic::stage_by(&path, |new| copy(0, start, new).and_then(|()| copy(end, u64::MAX, new)))?;
    let aside = dir.join(names::metrics_of(before));
    // Where its writer died over it before, the lines stand there twice.
    files::append(&aside)
        .and_then(|mut aside| copy(start, end - start, &mut aside))
        .map_err(|source| StoreError::new("write", &aside, source))?;
    kept.commit(Durable::No)
}

/// How many lines `metrics.jsonl` has that are not blank.
pub(super) fn count(dir: &Path) -> u64 {
    let Ok(file) = files::open(&dir.join(names::METRICS)) else { return 0 };
    let mut lines = Lines::new(BufReader::new(file), 0);
    let mut count = 0;
    while let Ok(Some(line)) = lines.next() {
        count += u64::from(line.text.is_some_and(|text| !text.trim_ascii().is_empty()));
    }
    count
}

fn read_or_empty(path: &Path) -> Result<String> {
    let bytes = files::read_if_there(path, files::cap::NONE)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `metrics.csv` while it grows.
#[derive(Debug)]
pub struct Table {
    columns: Vec<String>,
    rows: Appender,
}

impl Table {
    /// Opens the table in a repetition's directory; what an earlier attempt wrote is kept only where this one `resume`s it.
    pub fn open(dir: &Path, resume: bool) -> Result<Self> {
        let path = dir.join(names::METRICS_CSV);
        if !resume {
            atomic::replace(&path, b"", Durable::No)?;
        }
        let columns = parse_csv(&read_or_empty(&path)?).into_iter().next().unwrap_or_default();
        Ok(Table { columns, rows: Appender::open(path)? })
    }

    /// Removes the rows that one with this step takes the place of; see [`begun_again`].
    pub fn begin_again(&mut self, (key, step): (&str, f64)) -> Result<()> {
        let Some(column) = self.columns.iter().position(|column| column == key) else { return Ok(()) };
        let path = self.rows.path.clone();
        let mut rows = parse_csv(&read_or_empty(&path)?);
        let step_of = |cells: &Vec<String>| cells.get(column).and_then(|cell| cell.parse().ok());
        let steps = rows.iter().enumerate().skip(1).map(|(row, cells)| (row, step_of(cells)));
        let Some(first) = begun_again::first_begun_again(steps, step) else { return Ok(()) };
        rows.truncate(first);
        let text: String = rows.iter().map(|row| line_of(row.iter().map(String::as_str)) + "\n").collect();
        atomic::replace(&path, text.as_bytes(), Durable::No)?;
        self.rows = Appender::open(path)?;
        Ok(())
    }

    /// Adds the columns that it does not have yet.
    pub fn widen<'a>(&mut self, columns: impl Iterator<Item = &'a str>) -> Result<()> {
        let known = self.columns.len();
        for column in columns {
            if !self.columns.iter().any(|known| known == column) {
                self.columns.push(column.to_owned());
            }
        }
        if self.columns.len() == known {
            return Ok(());
        }
        let path = self.rows.path.clone();
        let mut text = line_of(self.columns.iter().map(String::as_str));
        for row in parse_csv(&read_or_empty(&path)?).into_iter().skip(1) {
            let cells = row.iter().map(String::as_str).chain(std::iter::repeat(""));
            text.push('\n');
            text.push_str(&line_of(cells.take(self.columns.len())));
        }
        text.push('\n');
        atomic::replace(&path, text.as_bytes(), Durable::No)?;
        self.rows = Appender::open(path)?;
        Ok(())
    }

    /// Appends a row: the cell of each column.
    pub fn row(&mut self, cell: impl Fn(&str) -> String) -> Result<()> {
        let cells: Vec<String> = self.columns.iter().map(|column| cell(column)).collect();
        self.rows.line(&line_of(cells.iter().map(String::as_str)))
    }
}

/// One line of CSV, without its end.
fn line_of<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let quoted = cells.map(|cell| {
        if cell.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.to_owned()
        }
    });
    quoted.collect::<Vec<_>>().join(",")
}

/// The rows of `metrics.csv`, the header first; none where there is no file.
pub fn read_csv(dir: &Path) -> Result<Vec<Vec<String>>> {
    Ok(parse_csv(&read_or_empty(&dir.join(names::METRICS_CSV))?))
}

/// RFC 4180.
fn parse_csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            c => cell.push(c),
        }
    }
    if !cell.is_empty() || !row.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    rows
}

/// The last whole line of a repetition's metrics.
pub fn newest_line(dir: &Path) -> Option<String> {
    /// A line is rarely longer.
    const TAIL: u64 = 64 * 1024;
    let (text, ends) = super::log::end_and_break(&dir.join(names::METRICS), TAIL).ok()?;
    let mut lines = text.lines().rev();
    if !ends {
        lines.next();
    }
    lines.map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_spoils_no_other() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(names::METRICS), "{\"a\":1}\n{\"a\":").unwrap();
        append(dir.path()).unwrap().line(r#"{"a":NaN}"#).unwrap();
        let found = read(dir.path(), None).unwrap();
        let records: Vec<_> = found.records.into_iter().map(|record| Value::Map(record).to_json()).collect();
        assert_eq!(records, [r#"{"a":1}"#, r#"{"a":NaN}"#]);
        assert_eq!(found.others, ["line 2, column 6: a value is missing"]);
        assert!(read(&dir.path().join("nowhere"), None).unwrap().records.is_empty());
    }

    #[test]
    fn a_table_grows_to_the_right() {
        let dir = tempfile::tempdir().unwrap();
        let mut table = Table::open(dir.path(), false).unwrap();
        table.widen(["a", "b"].into_iter()).unwrap();
        table.row(|column| format!("{column},\"1\"\n")).unwrap();
        let mut table = Table::open(dir.path(), true).unwrap();
        table.widen(["c", "a"].into_iter()).unwrap();
        table.row(str::to_owned).unwrap();
        let expected = [["a", "b", "c"], ["a,\"1\"\n", "b,\"1\"\n", ""], ["a", "b", "c"]];
        assert_eq!(read_csv(dir.path()).unwrap(), expected);
        Table::open(dir.path(), false).unwrap();
        assert!(read_csv(dir.path()).unwrap().is_empty());
    }
}
