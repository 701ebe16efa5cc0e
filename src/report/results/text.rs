//! The table for a terminal.

use super::table::{Cell, Column, Kind, Table};

/// Cells apart.
const GAP: usize = 2;

/// The table in lines, `width` characters wide at most where a width is given; and the metrics that had to be left out for it.
pub fn render(table: &Table, width: Option<usize>) -> (String, Vec<String>) {
    let places = table.shown();
    let cells = |place: &usize| {
        let column = table.columns.get(*place);
        let name = column.map(Column::heading).unwrap_or_default();
        let is_own = column.is_some_and(|column| matches!(column.kind, Kind::Param | Kind::Metric));
        let head = if is_own { name } else { name.to_uppercase() };
        let cells = table.rows.iter().map(|row| table.text(row.get(*place).unwrap_or(&Cell::Nothing)));
        std::iter::once(head).chain(cells).collect::<Vec<_>>()
    };
    let mut columns: Vec<(usize, Vec<String>)> = places.into_iter().map(|place| (place, cells(&place))).collect();
    let mut left_out = Vec::new();
    if let Some(width) = width {
        let wide = |cells: &[String]| cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0) + GAP;
        let mut total: usize = columns.iter().map(|(_, cells)| wide(cells)).sum::<usize>().saturating_sub(GAP);
        // The last metrics go first; one stays.
        let is_metric = |place: usize| table.columns.get(place).is_some_and(|column| column.kind == Kind::Metric);
        while total > width {
            let metrics = columns.iter().filter(|(place, _)| is_metric(*place)).count();
            let Some(last) = columns.iter().rposition(|(place, _)| is_metric(*place)).filter(|_| metrics > 1) else {
                break;
            };
            let (place, cells) = columns.remove(last);
            total -= wide(&cells);
            left_out.extend(table.columns.get(place).map(|column| column.name.clone()));
        }
        left_out.reverse();
    }
    let mut drawn = comfy_table::Table::new();
    drawn.load_style(comfy_table::presets::NOTHING);
    let line = |number: usize| {
        columns.iter().map(|(_, cells)| cells.get(number).cloned().unwrap_or_default()).collect::<Vec<_>>()
    };
    drawn.set_header(line(0));
    for number in 1..=table.rows.len() {
        drawn.add_row(line(number));
    }
    for (number, (place, _)) in columns.iter().enumerate() {
        if table.is_number(*place)
            && let Some(column) = drawn.column_mut(number)
        {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
    }
    let mut text = String::new();
    for line in drawn.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    (text, left_out)
}
