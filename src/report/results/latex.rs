//! The table as LaTeX, for `booktabs`.

use super::table::{Cell, Table};
use std::fmt::Write as _;

/// The `tabular`; what is best is bold.
pub fn render(table: &Table) -> String {
    let (places, best) = table.shown_without_marks();
    let alignment: String = places.iter().map(|place| if table.is_number(*place) { 'r' } else { 'l' }).collect();
    let columns = places.iter().filter_map(|place| table.columns.get(*place));
    let names: Vec<_> = columns.map(|column| escaped(&column.heading())).collect();
    let mut out = format!("\\begin{{tabular}}{{{alignment}}}\n\\toprule\n{} \\\\\n\\midrule\n", names.join(" & "));
    for row in &table.rows {
        let row_is_best = best.and_then(|place| row.get(place)) == Some(&Cell::Flag(true));
        let cell = |place: &usize| match row.get(*place) {
            Some(cell @ Cell::Estimate(_, marked)) => math(&table.text(cell), *marked || row_is_best),
            Some(cell) => escaped(&table.text(cell)),
            None => String::new(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{} \\\\", places.iter().map(cell).collect::<Vec<_>>().join(" & "));
    }
    out.push_str("\\bottomrule\n\\end{tabular}\n");
    out
}

fn math(text: &str, bold: bool) -> String {
    let text = text.replace('±', "\\pm").replace("nan", "\\mathrm{nan}").replace("inf", "\\infty");
    if bold { format!("$\\mathbf{{{text}}}$") } else { format!("${text}$") }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in crate::printable::line(text).chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            '\\' => out.push_str("\\textbackslash{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '<' => out.push_str("\\textless{}"),
            '>' => out.push_str("\\textgreater{}"),
            c => out.push(c),
        }
    }
    out
}
