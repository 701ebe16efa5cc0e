//! What a resumed attempt began again: the metrics that it takes the place of.
//!
//! An attempt that was interrupted may have logged steps after its last checkpoint, or never have saved any; the next one
//! logs them once more. All attempts append to one file, and the status tells how long it was when the last one started
//! ([`Status::metrics_from`](crate::run::status::Status::metrics_from)). Of the lines before that place, those from the last
//! attempt's first step on are begun again. A step is what one of [`STEPS`] says; lines without any are left as they are.
//!
//! Asked again after those lines were set aside, it finds none: whoever dies in between spoils nothing.

use super::files;
use super::lines::{Line, Lines};
use super::{Result, StoreError};
use crate::run::history::STEPS;
use crate::value::Value;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path;

/// The step that a record is of, by the first of [`STEPS`] that it has.
pub fn step(get: impl Fn(&str) -> Option<f64>) -> Option<(&'static str, f64)> {
    STEPS.into_iter().find_map(|key| Some((key, get(key).filter(|step| step.is_finite())?)))
}

/// Where the first record lies that one with this step, written later, takes the place of: `records` are those before it, each
/// with its place and step. `None` where none is.
pub fn first_begun_again<P: Copy>(records: impl IntoIterator<Item = (P, Option<f64>)>, step: f64) -> Option<P> {
    let (mut first, mut start, mut before) = (None, None, false);
    for (place, other) in records {
        start.get_or_insert(place);
        match other {
            // What came before it belongs to an earlier part, which may count anew.
            Some(other) if other < step => (first, before) = (None, true),
            Some(_) => first = first.or(Some(place)),
            None => {}
        }
    }
    // Begun from its very start, with whatever stands above the first step.
    if before { first } else { first.and(start) }
}

/// The bytes of a file of metrics that are begun again after `from`, where the last attempt started.
pub(super) fn range(path: &Path, from: u64) -> Result<Option<Range<u64>>> {
    let file = match files::open(path) {
        Ok(file) => file,
        Err(error) if files::is_missing(&error) => return Ok(None),
        Err(error) => return Err(StoreError::new("read", path, error)),
    };
    find(&file, from).map_err(|source| StoreError::new("read", path, source))
}

fn find(file: &File, from: u64) -> std::io::Result<Option<Range<u64>>> {
    // A program that writes the file anew cares for that itself.
    if from == 0 || file.metadata()?.len() <= from {
        return Ok(None);
    }
    let mut reader = BufReader::new(file);
    reader.seek(SeekFrom::Start(from - 1))?;
    let begin = from - 1 + reader.skip_until(b'\n')? as u64;
    let mut own = Lines::new(reader, begin);
    let (key, first) = loop {
        let Some(line) = own.next()? else { return Ok(None) };
        if let Some(found) = record(&line).and_then(|record| step(|key| record.get(key)?.as_f64())) {
            break found;
        }
    };
    let mut reader = BufReader::new(file);
    reader.rewind()?;
    let mut lines = Lines::new(reader.take(begin), 0);
    let mut failed = None;
    let records = std::iter::from_fn(|| match lines.next() {
        Ok(line) => line.map(|line| (line.start, record(&line).and_then(|record| record.get(key)?.as_f64()))),
        Err(error) => {
            failed = Some(error);
            None
        }
    });
    let cut = first_begun_again(records, first);
    failed.map_or(Ok(cut.map(|cut| cut..begin)), Err)
}

/// Whether some record of the file tells its step.
pub(super) fn has_steps(path: &Path) -> bool {
    let Ok(file) = files::open(path) else { return false };
    let mut lines = Lines::new(BufReader::new(file), 0);
    while let Ok(Some(line)) = lines.next() {
        if record(&line).is_some_and(|record| step(|key| record.get(key)?.as_f64()).is_some()) {
            return true;
        }
    }
    false
}

fn record(line: &Line<'_>) -> Option<Value> {
    Value::from_json(std::str::from_utf8(line.text?).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write as _;

    fn cut(before: &str, own: &str) -> String {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(format!("{before}{own}").as_bytes()).unwrap();
        match find(&file, before.len() as u64).unwrap() {
            Some(range) => {
                let place = |at| usize::try_from(at).unwrap();
                format!("{before}{own}").get(place(range.start)..place(range.end)).unwrap().to_owned()
            }
            None => String::new(),
        }
    }

    fn steps(steps: &[i32]) -> String {
        steps.iter().fold(String::new(), |text, step| text + &format!("{{\"step\":{step},\"a\":1}}\n"))
    }

    #[test]
    fn what_comes_again_is_told_from_what_goes_on() {
        for (before, own, expected) in [
            // From a checkpoint after step 1, from none, from one after the last line.
            (steps(&[0, 1, 2, 3]), steps(&[2, 3, 4]), steps(&[2, 3])),
            (steps(&[0, 1, 2]), steps(&[0]), steps(&[0, 1, 2])),
            (steps(&[0, 1]), steps(&[2]), String::new()),
            // A second part that counts anew.
            (steps(&[0, 1, 2, 3, 0, 1, 2]), steps(&[2, 3]), steps(&[2])),
            // Two lines a step, and lines of no step.
            (steps(&[0, 0, 1, 1]) + "{\"eval\":1}\n" + &steps(&[2]), steps(&[2, 2]), steps(&[2])),
            (
                "{\"start\":1}\n".to_owned() + &steps(&[0, 1]),
                steps(&[0]),
                "{\"start\":1}\n".to_owned() + &steps(&[0, 1]),
            ),
            // Nothing tells.
            ("{\"a\":1}\n".to_owned(), "{\"a\":1}\n".to_owned(), String::new()),
            ("{\"a\":1}\n".to_owned(), steps(&[0]), String::new()),
            (steps(&[0]), "{\"a\":1}\n".to_owned(), String::new()),
            (steps(&[0, 1]), String::new(), String::new()),
            // A torn line, which the next attempt ended.
            (steps(&[0, 1]) + "{\"st", "\n".to_owned() + &steps(&[1]), steps(&[1]) + "{\"st\n"),
            // The finest step of the record counts.
            (
                "{\"epoch\":0,\"iter\":7}\n".to_owned(),
                "{\"iter\":7,\"epoch\":0}\n".to_owned(),
                "{\"epoch\":0,\"iter\":7}\n".to_owned(),
            ),
        ] {
            assert_eq!(cut(&before, &own), expected, "{before:?} {own:?}");
        }
    }

    proptest! {
        #[test]
        fn steps_that_rise_are_found_once_each(until in 0..20_i32, saved in 0..20_i32, more in 1..20_i32, from in 0..600_u64) {
            let saved = saved.min(until);
            let before = steps(&(0..until).collect::<Vec<_>>());
            let own = steps(&(saved..saved + more).collect::<Vec<_>>());
            prop_assert_eq!(cut(&before, &own), steps(&(saved..until).collect::<Vec<_>>()));
            // Asked again of what is left, wherever the note of the start then points to.
            let mut file = tempfile::tempfile().unwrap();
            file.write_all((steps(&(0..saved).collect::<Vec<_>>()) + &own).as_bytes()).unwrap();
            prop_assert_eq!(find(&file, from).unwrap(), None);
        }
    }
}
