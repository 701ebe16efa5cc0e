//! The table of a paper: the values of one parameter down, those of another across, a metric in the cells.

use super::choice::instead;
use super::rows::{Options, chosen, groups};
use super::table::{Cell, Column, Kind, Table};
use super::{Measurements, params};
use crate::value::Value;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Pivot {
    /// Whose values are the rows; `experiment` for the experiments.
    pub rows: String,
    /// Whose values are the columns.
    pub columns: String,
    /// What stands in the cells: a metric.
    pub metric: String,
}

/// The table: the best of each column marked, where it is known what is better.
///
/// # Errors
/// Where there is no such parameter or metric.
pub fn table(all: &Measurements<'_>, pivot: &Pivot, options: &Options) -> Result<Table, String> {
    let known = params::names(all.runs);
    for name in [&pivot.rows, &pivot.columns] {
        if name != EXPERIMENT && !all.runs.iter().any(|run| params::get(&run.params, name).is_some()) {
            let names = known.iter().map(String::as_str).chain([EXPERIMENT]);
            return Err(format!(
                "`--pivot`: no run has the parameter `{name}`; {}",
                instead(name, names, "parameters")
            ));
        }
    }
    let Some(choice) = chosen(&pivot.metric, all.choices) else {
        return Err(format!("`--pivot`: there is no metric `{}`", pivot.metric));
    };
    let names = [pivot.rows.clone(), pivot.columns.clone()];
    let mut pooled: Vec<([Value; 2], Vec<f64>)> = Vec::new();
    for group in groups(all, Some(&names)) {
        let key = [0, 1].map(|place| match names.get(place) {
            Some(name) if name == EXPERIMENT => Value::from(group.experiment),
            _ => group.key.get(place).copied().flatten().cloned().unwrap_or(Value::Null),
        });
        let values = group.reps.iter().filter(|rep| options.counts(rep)).filter_map(|rep| rep.value(choice));
        match pooled.iter_mut().find(|(known, _)| known == &key) {
            Some((_, known)) => known.extend(values),
            None => pooled.push((key, values.collect())),
        }
    }
    let cells: Vec<([Value; 2], Cell)> = pooled
        .into_iter()
        .map(|(key, values)| (key, options.statistic.of(&values).map_or(Cell::Nothing, |it| Cell::Estimate(it, false))))
        .collect();
    let axis = |place: usize| {
        let mut values: Vec<Value> = Vec::new();
        for (key, _) in &cells {
            if let Some(value) = key.get(place).filter(|value| !values.contains(value)) {
                values.push(value.clone());
            }
        }
        values.sort_by(|a, b| params::compare(Some(a), Some(b)));
        values
    };
    let (down, across) = (axis(0), axis(1));
    let mut columns = vec![Column::new(format!("{} \\ {}", pivot.rows, pivot.columns), Kind::Param)];
    columns.extend(across.iter().map(|value| Column::new(params::text(value), Kind::Metric)));
    let cell = |row: &Value, column: &Value| {
        let found = cells.iter().find(|([down, across], _)| down == row && across == column);
        found.map_or(Cell::Nothing, |(_, cell)| cell.clone())
    };
    let row = |row: &Value| {
        let mut cells = vec![Cell::Value(row.clone())];
        cells.extend(across.iter().map(|column| cell(row, column)));
        cells
    };
    let mut table =
        Table { rows: down.iter().map(row).collect(), columns, statistic: options.statistic, digits: options.digits };
    let objective = all.runs.iter().find_map(|run| run.objective.as_ref());
    let metric = all.choices.get(choice).map(|choice| choice.metric.as_str());
    let of_objective = objective.filter(|objective| Some(objective.metric.as_str()) == metric);
    if let Some(maximize) = options.maximize.or(of_objective.map(|objective| objective.maximize)) {
        mark(&mut table, maximize);
    }
    Ok(table)
}

/// Stands for the experiments.
const EXPERIMENT: &str = "experiment";

/// Marks the best of each column.
fn mark(table: &mut Table, maximize: bool) {
    for column in 1..table.columns.len() {
        let center = |row: &[Cell]| match row.get(column) {
            Some(Cell::Estimate(estimate, _)) if !estimate.center.is_nan() => Some(estimate.center),
            _ => None,
        };
        let centers = table.rows.iter().filter_map(|row| center(row));
        let best = centers.reduce(if maximize { f64::max } else { f64::min });
        let Some(best) = best else { continue };
        for row in &mut table.rows {
            if center(row).is_some_and(|center| center.total_cmp(&best).is_eq())
                && let Some(Cell::Estimate(_, marked)) = row.get_mut(column)
            {
                *marked = true;
            }
        }
    }
}
