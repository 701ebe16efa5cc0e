//! A row a repetition, and a row a step.

use super::table::{Cell, Column, Kind, Table};
use super::{Measured, Measurements, params};
use crate::run::history::History;
use crate::store::gather::{Code, Run};
use crate::value::Value;
use std::collections::HashMap;

/// A row a repetition, however it stands.
pub fn table(all: &Measurements<'_>, digits: Option<usize>) -> Table {
    let names = params::names(all.runs);
    let varying = params::varying(all.runs);
    let mut columns = head(all.runs);
    columns.extend(names.iter().map(|name| Column::param(name, &varying)));
    columns.extend(all.choices.iter().map(|choice| Column::new(choice.label(), Kind::Metric)));
    columns.push(Column::new("attempt", Kind::Detail));
    columns.push(Column::new("seconds", Kind::Time));
    columns.push(Column::new("commit", Kind::Code));
    columns.push(Column::new("dir", Kind::Detail));
    let row = |rep: &Measured| {
        let run = all.runs.get(rep.run)?;
        let mut cells = head_cells(run, rep);
        cells.extend(names.iter().map(|name| value(run, name)));
        cells.extend((0..all.choices.len()).map(|choice| rep.value(choice).map_or(Cell::Nothing, Cell::Number)));
        cells.push(Cell::Count(rep.attempt.into()));
        cells.push(rep.seconds.map_or(Cell::Nothing, Cell::Seconds));
        cells.push(code(rep.code, all.codes));
        cells.push(Cell::Text(rep.dir.as_str().into()));
        Some(cells)
    };
    Table { rows: all.reps.iter().filter_map(row).collect(), columns, digits, ..Table::default() }
}

/// A row a step of each repetition.
#[derive(Debug)]
pub struct Steps<'a> {
    runs: &'a [Run],
    varying: Vec<String>,
    /// The metrics that have a column.
    metrics: Vec<String>,
    places: HashMap<String, usize>,
    /// Whether what does not count is told too.
    all_attempts: bool,
}

impl<'a> Steps<'a> {
    /// Of these runs, with a column for each of these metrics.
    pub fn new(runs: &'a [Run], metrics: Vec<String>, all_attempts: bool) -> Self {
        let places = metrics.iter().cloned().zip(0..).collect();
        Steps { runs, varying: params::varying(runs), metrics, places, all_attempts }
    }

    /// The table without rows.
    pub fn empty(&self, digits: Option<usize>) -> Table {
        let mut columns = head(self.runs);
        columns.extend(self.varying.iter().map(|name| Column::new(name, Kind::Param)));
        columns.push(Column::new("attempt", Kind::Count));
        if self.all_attempts {
            columns.push(Column::new("counts", Kind::Text));
        }
        columns.push(Column::new("step", Kind::Count));
        columns.extend(self.metrics.iter().map(|name| Column::new(name, Kind::Metric)));
        Table { columns, digits, ..Table::default() }
    }

    /// The rows of a repetition.
    pub fn rows(&self, rep: &Measured, history: &History) -> Vec<Vec<Cell>> {
        let Some(run) = self.runs.get(rep.run) else { return Vec::new() };
        let mut start = head_cells(run, rep);
        start.extend(self.varying.iter().map(|name| value(run, name)));
        let metrics = start.len() + 2 + usize::from(self.all_attempts);
        let row = |row: &crate::run::history::Row| {
            let mut cells = Vec::with_capacity(metrics + self.metrics.len());
            cells.clone_from(&start);
            cells.push(Cell::Count(row.attempt.into()));
            if self.all_attempts {
                cells.push(Cell::Flag(!row.superseded));
            }
            cells.push(row.step.map_or(Cell::Nothing, |step| number(step.value)));
            cells.resize(metrics + self.metrics.len(), Cell::Nothing);
            cells
        };
        let mut rows: Vec<Vec<Cell>> = history.rows.iter().map(row).collect();
        for column in &history.columns {
            let Some(place) = self.places.get(&column.name) else { continue };
            for (number, value) in column.iter() {
                if let Some(cell) = rows.get_mut(number as usize).and_then(|row| row.get_mut(metrics + place)) {
                    *cell = Cell::Number(value);
                }
            }
        }
        rows
    }
}

fn head(runs: &[Run]) -> Vec<Column> {
    let several = runs.iter().any(|run| runs.first().is_some_and(|first| first.experiment != run.experiment));
    let shown = |shown: bool| if shown { Kind::Text } else { Kind::Detail };
    vec![
        Column::new("experiment", shown(several)),
        Column::new("run", shown(params::varying(runs).is_empty())),
        Column::new("rep", Kind::Count),
        Column::new("state", Kind::Text),
    ]
}

fn head_cells(run: &Run, rep: &Measured) -> Vec<Cell> {
    vec![
        Cell::Text(run.experiment.as_str().into()),
        Cell::Text(run.name.as_str().into()),
        Cell::Count(rep.number.into()),
        Cell::Text(rep.word().replace(' ', "_").into()),
    ]
}

/// A step: a whole one is no fraction, to any program that reads it.
fn number(step: f64) -> Cell {
    #[expect(clippy::cast_possible_truncation, reason = "whole, and small enough to be exact")]
    let whole = (step.fract() == 0.0 && step.abs() < 9e15).then_some(step as i64);
    whole.map_or(Cell::Number(step), |whole| Cell::Value(Value::from(whole)))
}

fn value(run: &Run, name: &str) -> Cell {
    params::get(&run.params, name).map_or(Cell::Nothing, |value| Cell::Value(value.clone()))
}

fn code(code: Option<usize>, codes: &[Code]) -> Cell {
    code.and_then(|code| codes.get(code)).map_or(Cell::Nothing, |code| Cell::Code(code.clone()))
}
