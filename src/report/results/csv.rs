//! The table as CSV: one number or text a cell, nothing rounded.

use super::table::{Flat, Table, flat_names, flat_row};
use crate::value::python_float;
use std::io::{self, Write};

/// Writes the rows; with `header`, their names above them.
pub fn write(table: &Table, header: bool, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    if header {
        writer.write_record(flat_names(table))?;
    }
    for row in &table.rows {
        writer.write_record(flat_row(table, row).into_iter().map(text))?;
    }
    writer.flush()
}

fn text(value: Flat) -> String {
    match value {
        Flat::Nothing => String::new(),
        Flat::Bool(bool) => bool.to_string(),
        Flat::Int(int) => int.to_string(),
        Flat::Float(float) => python_float(float),
        Flat::Text(text) => text,
    }
}
