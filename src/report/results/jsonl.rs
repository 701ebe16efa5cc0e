//! The table as JSON lines: an object a row, parameters and metrics in objects of their own, by their dotted names.
//!
//! Numbers that are not finite are written as Python's `json` module writes and reads them.

use super::statistic::{Estimate, Spread, Statistic};
use super::table::{Cell, Column, Kind, Table};
use crate::value::{Map, Value};
use std::io::{self, Write};

/// Writes the rows.
pub fn write(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    for row in &table.rows {
        writeln!(out, "{}", object(table, row).to_json())?;
    }
    Ok(())
}

fn object(table: &Table, row: &[Cell]) -> Value {
    let (mut out, mut params, mut metrics) = (Map::new(), Map::new(), Map::new());
    for (Column { name, kind }, cell) in table.columns.iter().zip(row) {
        match kind {
            Kind::Param | Kind::Constant => {
                if *cell != Cell::Nothing {
                    params.insert(name.clone(), value(cell, table.statistic));
                }
                continue;
            }
            Kind::Metric => {
                if *cell != Cell::Nothing {
                    metrics.insert(name.clone(), value(cell, table.statistic));
                }
                continue;
            }
            _ => {}
        }
        match cell {
            Cell::Of(count, of) => {
                out.insert("n".to_owned(), Value::from(*count));
                out.insert("of".to_owned(), Value::from(*of));
            }
            Cell::Code(code) => {
                out.insert(name.clone(), Value::from(code.commit.as_str()));
                out.insert("dirty".to_owned(), Value::from(code.dirty));
            }
            cell => drop(out.insert(name.clone(), value(cell, table.statistic))),
        }
    }
    out.insert("params".to_owned(), Value::Map(params));
    out.insert("metrics".to_owned(), Value::Map(metrics));
    Value::Map(out)
}

fn value(cell: &Cell, statistic: Statistic) -> Value {
    match cell {
        Cell::Nothing | Cell::Of(..) => Value::Null,
        Cell::Flag(flag) => Value::from(*flag),
        Cell::Text(text) => Value::from(&**text),
        Cell::Count(count) => Value::from(*count),
        Cell::Value(value) => value.clone(),
        Cell::Number(number) | Cell::Seconds(number) => Value::from(*number),
        Cell::Estimate(estimate, _) => of_estimate(estimate, statistic),
        Cell::Code(code) => Value::from(code.commit.as_str()),
        Cell::Mixed => Value::from("mixed"),
    }
}

fn of_estimate(estimate: &Estimate, statistic: Statistic) -> Value {
    let center = if statistic == Statistic::Median { "median" } else { "mean" };
    let mut map = Map::from([(center.to_owned(), Value::from(estimate.center))]);
    let spreads = match estimate.spread {
        Some(Spread::Around(spread)) => vec![spread],
        Some(Spread::Between(low, high)) => vec![low, high],
        None => Vec::new(),
    };
    for (number, name) in statistic.suffixes().iter().enumerate() {
        map.insert((*name).to_owned(), spreads.get(number).map_or(Value::Null, |spread| Value::from(*spread)));
    }
    map.insert("n".to_owned(), Value::from(estimate.n));
    Value::Map(map)
}
