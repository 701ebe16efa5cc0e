//! Metrics as a table.

use crate::api::{Logger, Metrics, Repetition};
use crate::store::begun_again;
use crate::store::metrics::{self, Table};
use crate::value::{Map, Value};
use std::path::Path;

/// Writes every record as a row of the repetition's `metrics.csv` (RFC 4180, UTF-8). The columns are those of the first record;
/// one that comes later is added at the right, and empty in the rows before.
///
/// ```
/// # use cw2::{ClusterWork, Context, Experiment, loggers};
/// # struct E;
/// # impl Experiment for E { fn run(&mut self, _: &Context) -> anyhow::Result<()> { Ok(()) } }
/// let program = ClusterWork::new(|| E).logger(loggers::Csv::new);
/// ```
#[derive(Debug, Default)]
pub struct Csv {
    table: Option<Table>,
    /// It goes on with the table of an earlier attempt, and has no row of this one yet.
    resumes: bool,
}

impl Csv {
    /// One for a repetition.
    pub fn new() -> Self {
        Csv::default()
    }
}

impl Logger for Csv {
    fn initialize(&mut self, rep: &Repetition) -> anyhow::Result<()> {
        self.table = Some(Table::open(rep.dir(), rep.resume())?);
        self.resumes = rep.resume();
        Ok(())
    }

    fn process(&mut self, metrics: &Metrics) -> anyhow::Result<()> {
        let Some(table) = &mut self.table else { return Ok(()) };
        if std::mem::take(&mut self.resumes)
            && let Some(step) = begun_again::step(|key| metrics.get(key)?.as_f64())
        {
            table.begin_again(step)?;
        }
        let columns = metrics.iter().map(|(name, _)| name);
        table.widen(columns)?;
        let cell = |name: &str| match metrics.get(name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_json(),
        };
        Ok(table.row(cell)?)
    }

    /// A list of mappings from column to text; empty cells are left out.
    fn load(&self, dir: &Path) -> anyhow::Result<Option<Value>> {
        let mut rows = metrics::read_csv(dir)?.into_iter();
        let header = rows.next().unwrap_or_default();
        let row = |row: Vec<String>| {
            let cells = header.iter().cloned().zip(row).filter(|(_, cell)| !cell.is_empty());
            Value::Map(cells.map(|(name, cell)| (name, Value::from(cell))).collect::<Map>())
        };
        Ok(Some(Value::List(rows.map(row).collect())))
    }
}
