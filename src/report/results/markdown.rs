//! The table as Markdown.

use super::table::{Cell, Table};
use std::fmt::Write as _;

/// The table, a line a row; what is best is bold.
pub fn render(table: &Table) -> String {
    let (places, mark) = table.shown_without_marks();
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let columns = places.iter().filter_map(|place| table.columns.get(*place));
    let mut out = line(columns.map(|column| escaped(&column.heading())).collect());
    let rule = |place: &usize| if table.is_number(*place) { "---:|" } else { "---|" };
    // Writing to a String cannot fail.
    let _ = writeln!(out, "|{}", places.iter().map(rule).collect::<String>());
    for row in &table.rows {
        let row_is_best = mark.and_then(|place| row.get(place)) == Some(&Cell::Flag(true));
        let cell = |place: &usize| match row.get(*place) {
            Some(cell @ Cell::Estimate(_, marked)) if *marked || row_is_best => {
                format!("**{}**", escaped(&table.text(cell)))
            }
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
