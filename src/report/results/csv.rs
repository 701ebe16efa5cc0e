//! The table as CSV: one number or text a cell, nothing rounded.

use super::table::{Flat, Table, flat_names, flat_rows};
use crate::value::python_float;
use std::io::{self, Write};

/// Writes the rows; with `header`, their names above them.
pub fn write(table: &Table, header: bool, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    if header {
        writer.write_record(flat_names(table)).map_err(plain)?;
    }
    for row in flat_rows(table) {
        writer.write_record(row.into_iter().map(text)).map_err(plain)?;
    }
    writer.flush()
}

/// The error of the system itself, by which a closed pipe is told from a full disk.
fn plain(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
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
