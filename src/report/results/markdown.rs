//! The table as Markdown.

use super::table::{Cell, Table};
use std::fmt::Write as _;

/// The table, a line a row.
pub fn render(table: &Table) -> String {
    let places = table.shown();
    let mut out = String::new();
    let columns = || places.iter().filter_map(|place| table.columns.get(*place));
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    out.push_str(&line(columns().map(|column| escaped(&crate::printable::line(&column.name))).collect()));
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "|{}",
        columns().map(|column| if column.is_number() { "---:|" } else { "---|" }).collect::<String>()
    );
    for row in &table.rows {
        let cell = |place: &usize| match row.get(*place) {
            Some(cell @ Cell::Estimate(_, true)) => format!("**{}**", escaped(&table.text(cell))),
            Some(cell) => escaped(&table.text(cell)),
            None => String::new(),
        };
        out.push_str(&line(places.iter().map(cell).collect()));
    }
    out
}

/// Text that Markdown takes for nothing else.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '|' | '\\' | '*' | '_' | '`' | '<' | '[' | '&') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
