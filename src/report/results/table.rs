//! A table as values: columns that know what they hold, and cells; and the same with one number or text a cell, for machines.

use super::statistic::{Estimate, Spread, Statistic, number};
use super::{params, short};
use crate::printable;
use crate::report::human;
use crate::store::gather::Code;
use crate::value::Value;
use std::collections::HashSet;
use std::sync::Arc;

/// A table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, each with a cell for every column.
    pub rows: Vec<Vec<Cell>>,
    /// What its estimates are.
    pub statistic: Statistic,
    /// Decimals, where that was said.
    pub digits: Option<usize>,
}

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whether the row is the best.
    Best,
    /// A name, a state, a directory.
    Text,
    /// The same, for machines alone.
    Detail,
    /// A number that counts.
    Count,
    /// A parameter.
    Param,
    /// One that is the same in all rows, for machines alone.
    Constant,
    /// A metric.
    Metric,
    /// Seconds.
    Time,
    /// The version of the code.
    Code,
    /// What a person should know of the row; for a person alone.
    Notes,
}

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Nothing is known.
    Nothing,
    /// A mark, or none.
    Flag(bool),
    /// A text, which many rows may share.
    Text(Arc<str>),
    /// A count.
    Count(u64),
    /// A count of how many.
    Of(u64, u64),
    /// A parameter's value.
    Value(Value),
    /// A number.
    Number(f64),
    /// Numbers of several repetitions together; the best of its kind may be marked.
    Estimate(Estimate, bool),
    /// Seconds.
    Seconds(f64),
    /// A version of the code.
    Code(Code),
    /// Several versions.
    Mixed,
}

impl Column {
    /// A column.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Column { name: name.into(), kind }
    }

    /// A parameter's column; what is not among those to be shown is for machines alone.
    pub fn param(name: &str, shown: &[String]) -> Self {
        let kind = if shown.iter().any(|other| other == name) { Kind::Param } else { Kind::Constant };
        Column::new(name, kind)
    }

    /// What a person reads over it.
    pub fn heading(&self) -> String {
        match self.kind {
            Kind::Best => String::new(),
            Kind::Time => "time".to_owned(),
            Kind::Code => "code".to_owned(),
            Kind::Count if self.name == "n" => "N".to_owned(),
            _ => printable::line(&self.name),
        }
    }

    /// Whether a person wants to see it.
    pub fn is_shown(&self) -> bool {
        !matches!(self.kind, Kind::Detail | Kind::Constant)
    }
}

impl Table {
    /// The columns that a person wants to see, by their places; marks and notes only where there are any.
    pub fn shown(&self) -> Vec<usize> {
        let empty = |place: usize| {
            self.rows.iter().all(|row| matches!(row.get(place), None | Some(Cell::Nothing | Cell::Flag(false))))
        };
        let wanted = |(place, column): &(usize, &Column)| match column.kind {
            Kind::Best | Kind::Notes | Kind::Time | Kind::Code => !empty(*place),
            _ => column.is_shown(),
        };
        self.columns.iter().enumerate().filter(wanted).map(|(place, _)| place).collect()
    }

    /// Whether the cells of a column stand to the right: numbers do.
    pub fn is_number(&self, place: usize) -> bool {
        let is = |cell: &Cell| match cell {
            Cell::Value(value) => value.as_f64().is_some(),
            _ => *cell == Cell::Nothing,
        };
        self.columns.get(place).is_some_and(|column| match column.kind {
            Kind::Count | Kind::Metric | Kind::Time => true,
            Kind::Param => self.rows.iter().all(|row| row.get(place).is_none_or(is)),
            _ => false,
        })
    }

    /// For formats that can make letters bold: the columns to be shown without that of the marks, and where that is.
    pub fn shown_without_marks(&self) -> (Vec<usize>, Option<usize>) {
        let mut places = self.shown();
        let is_mark = |place: &usize| self.columns.get(*place).is_some_and(|column| column.kind == Kind::Best);
        let mark = places.iter().position(is_mark).map(|mark| places.remove(mark));
        (places, mark)
    }

    /// A cell as a person reads it.
    pub fn text(&self, cell: &Cell) -> String {
        match cell {
            Cell::Nothing | Cell::Flag(false) => String::new(),
            Cell::Flag(true) => "*".to_owned(),
            Cell::Text(text) => printable::line(text),
            Cell::Count(count) => count.to_string(),
            Cell::Of(count, of) => format!("{count}/{of}"),
            Cell::Value(value) => printable::line(&params::text(value)),
            Cell::Number(value) => number(*value, self.digits),
            Cell::Estimate(estimate, _) => estimate.show(self.digits),
            Cell::Seconds(seconds) => human::seconds(*seconds),
            Cell::Code(code) => short(code),
            Cell::Mixed => "mixed".to_owned(),
        }
    }
}

/// One value of a row, for a machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Flat {
    /// Nothing.
    Nothing,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text.
    Text(String),
}

/// The names of the columns for machines: an estimate has several. A parameter or a metric called like another column has
/// `params.` or `metrics.` before its name.
pub fn flat_names(table: &Table) -> Vec<String> {
    let estimates = has_estimates(table);
    let own = |column: &&Column| !matches!(column.kind, Kind::Param | Kind::Constant | Kind::Metric);
    let mut taken: HashSet<String> =
        table.columns.iter().filter(own).flat_map(|column| parts(column, table, false)).collect();
    let mut names = Vec::new();
    for column in &table.columns {
        if own(&column) {
            names.extend(parts(column, table, estimates));
            continue;
        }
        let group = if column.kind == Kind::Metric { "metrics" } else { "params" };
        let mut column = column.clone();
        while parts(&column, table, estimates).iter().any(|name| taken.contains(name)) {
            column.name = format!("{group}.{}", column.name);
        }
        let own = parts(&column, table, estimates);
        taken.extend(own.iter().cloned());
        names.extend(own);
    }
    names
}

/// The names that a column has for machines.
fn parts(column: &Column, table: &Table, estimates: bool) -> Vec<String> {
    let name = || column.name.clone();
    match column.kind {
        Kind::Notes => Vec::new(),
        Kind::Code => vec![name(), "dirty".to_owned()],
        Kind::Count if column.name == "n" => vec![name(), "of".to_owned()],
        Kind::Metric if estimates => {
            let suffixes = table.statistic.suffixes().iter().chain(&["n"]);
            std::iter::once(name()).chain(suffixes.map(|suffix| format!("{}_{suffix}", column.name))).collect()
        }
        _ => vec![name()],
    }
}

/// The values of each row, one for each of [`flat_names`].
pub fn flat_rows(table: &Table) -> impl Iterator<Item = Vec<Flat>> + '_ {
    let estimates = has_estimates(table);
    table.rows.iter().map(move |row| flat_row(table, row, estimates))
}

fn flat_row(table: &Table, row: &[Cell], estimates: bool) -> Vec<Flat> {
    let mut out = Vec::new();
    for (column, cell) in table.columns.iter().zip(row) {
        match column.kind {
            Kind::Notes => {}
            Kind::Code => out.extend(code(cell)),
            Kind::Metric if estimates => out.extend(estimate(table.statistic, cell)),
            Kind::Count if column.name == "n" => match cell {
                Cell::Of(count, of) => out.extend([int(*count), int(*of)]),
                _ => out.extend([Flat::Nothing, Flat::Nothing]),
            },
            _ => out.push(one(cell)),
        }
    }
    out
}

/// Whether its metrics are estimates: of runs, not of single repetitions.
fn has_estimates(table: &Table) -> bool {
    let estimate = |cell: &Cell| matches!(cell, Cell::Estimate(..));
    let counts = table.columns.iter().any(|column| column.name == "n" && column.kind == Kind::Count);
    counts || table.rows.iter().flatten().any(estimate)
}

fn int(count: u64) -> Flat {
    i64::try_from(count).map_or(Flat::Nothing, Flat::Int)
}

fn one(cell: &Cell) -> Flat {
    match cell {
        Cell::Flag(flag) => Flat::Bool(*flag),
        Cell::Text(text) => Flat::Text(text.to_string()),
        Cell::Count(count) => int(*count),
        Cell::Value(Value::Bool(bool)) => Flat::Bool(*bool),
        Cell::Value(value @ Value::Int(_)) => value.as_i64().map_or_else(|| Flat::Text(params::text(value)), Flat::Int),
        Cell::Value(Value::Float(float)) => Flat::Float(*float),
        Cell::Value(value @ (Value::BigInt(_) | Value::String(_) | Value::List(_) | Value::Map(_))) => {
            Flat::Text(params::text(value))
        }
        Cell::Number(number) | Cell::Seconds(number) => Flat::Float(*number),
        Cell::Estimate(estimate, _) => Flat::Float(estimate.center),
        Cell::Mixed => Flat::Text("mixed".to_owned()),
        Cell::Nothing | Cell::Value(Value::Null) | Cell::Of(..) | Cell::Code(_) => Flat::Nothing,
    }
}

fn code(cell: &Cell) -> [Flat; 2] {
    match cell {
        Cell::Code(code) => [Flat::Text(code.commit.clone()), Flat::Bool(code.dirty)],
        Cell::Mixed => [Flat::Text("mixed".to_owned()), Flat::Nothing],
        _ => [Flat::Nothing, Flat::Nothing],
    }
}

fn estimate(statistic: Statistic, cell: &Cell) -> Vec<Flat> {
    let Cell::Estimate(estimate, _) = cell else {
        let mut nothing = vec![Flat::Nothing; statistic.suffixes().len() + 1];
        nothing.push(Flat::Int(0));
        return nothing;
    };
    let mut out = vec![Flat::Float(estimate.center)];
    match estimate.spread {
        Some(Spread::Around(spread)) => out.push(Flat::Float(spread)),
        Some(Spread::Between(low, high)) => out.extend([Flat::Float(low), Flat::Float(high)]),
        None => out.extend(vec![Flat::Nothing; statistic.suffixes().len()]),
    }
    out.push(int(estimate.n as u64));
    out
}
