//! Metrics as JSON lines.

use crate::api::{Logger, Metrics, Repetition};
use crate::run::status::Found;
use crate::store::metrics::{self, Appender};
use crate::store::rep;
use crate::value::Value;
use std::path::Path;

/// Appends every record as a line to the repetition's `metrics.jsonl`, what `cw2` and [`load`](crate::load()) read. Every
/// [`ClusterWork`](crate::ClusterWork) has one.
///
/// A line is on its way to the disk when the experiment goes on, so that a crash loses none. A resumed attempt goes on in the
/// same file; what it began again, as the attempt before had not saved it, is moved to `metrics.attempt-N.jsonl` at its end. One
/// that starts anew begins an empty file.
///
/// ```
/// let array = cw2::LoggerArray::new().with(cw2::loggers::JsonLines::new());
/// # assert_eq!(array.len(), 1);
/// ```
#[derive(Debug, Default)]
pub struct JsonLines {
    file: Option<Appender>,
}

impl JsonLines {
    /// One for a repetition.
    pub fn new() -> Self {
        JsonLines::default()
    }
}

impl Logger for JsonLines {
    fn initialize(&mut self, rep: &Repetition) -> anyhow::Result<()> {
        self.file = Some(metrics::append(rep.dir())?);
        Ok(())
    }

    fn process(&mut self, metrics: &Metrics) -> anyhow::Result<()> {
        match &mut self.file {
            Some(file) => Ok(file.line(&metrics.to_json())?),
            None => Ok(()),
        }
    }

    fn load(&self, dir: &Path) -> anyhow::Result<Option<Value>> {
        let status = match rep::status(dir) {
            Found::Status(status) => Some(status),
            Found::Nothing | Found::Unreadable(_) => None,
        };
        let records = metrics::read(dir, status.as_deref())?.records;
        Ok(Some(Value::List(records.into_iter().map(Value::Map).collect())))
    }
}
