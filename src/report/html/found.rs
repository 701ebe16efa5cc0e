//! What was read of a sweep, before anything is made of it for a page.

use super::page::{Config, Version};
use crate::report::advice::Advice;
use crate::run::effective_state::EffectiveState;
use crate::run::history::History;
use crate::run::job_end::JobEnd;
use crate::run::status::Status;
use crate::store::gather::Run;
use jiff::Timestamp;
use std::collections::HashSet;

/// A sweep, as it was read.
#[derive(Debug, Default)]
pub struct Found {
    /// What the page is called.
    pub title: String,
    /// The folders that were named.
    pub sources: Vec<String>,
    /// When it was read.
    pub now: Timestamp,
    /// The same for a person.
    pub created: String,
    /// Whether Slurm could be asked, or need not be.
    pub cluster_known: bool,
    /// Seconds after which the page is to be read again, where it is renewed.
    pub reload: Option<u32>,
    /// What a person should know besides.
    pub notes: Vec<String>,
    /// The runs.
    pub runs: Vec<Run>,
    /// The repetitions, in the order of the runs.
    pub reps: Vec<Rep>,
    /// The versions of the code.
    pub versions: Vec<Version>,
    /// The configurations.
    pub config: Vec<Config>,
    /// What was requested and used, by experiment.
    pub advice: Vec<Advice>,
}

/// A repetition.
#[derive(Debug)]
pub struct Rep {
    /// Its run, as its place in [`Found::runs`].
    pub run: usize,
    /// Its number.
    pub number: u32,
    /// Its directory, for a person.
    pub dir: String,
    /// How it stands.
    pub effective: EffectiveState,
    /// How its job ended, where the repetition cannot say so.
    pub end: Option<JobEnd>,
    /// Its status.
    pub status: Option<Box<Status>>,
    /// What it measured.
    pub metrics: Vec<Series>,
    /// Its code, as its place in [`Found::versions`].
    pub version: Option<usize>,
}

/// What a repetition measured of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The metric's name.
    pub name: String,
    /// What its steps count.
    pub step: String,
    /// The steps, ascending, each once.
    pub steps: Vec<f64>,
    /// The value at each step; of several at one step the last.
    pub values: Vec<f32>,
    /// The value that was logged last.
    pub last: f64,
    /// The smallest and the largest; no numbers where there is none.
    pub range: (f64, f64),
}

/// The metrics of a history. What only counts steps is none.
pub fn series(history: &History) -> Vec<Series> {
    let counters: HashSet<usize> = history.rows.iter().filter_map(|row| Some(row.step?.column)).collect();
    let columns = history.columns.iter().enumerate();
    let metrics = columns.filter(|(place, column)| !column.is_step() && !counters.contains(place));
    metrics.filter_map(|(_, column)| one(history, column)).collect()
}

fn one(history: &History, column: &crate::run::history::Column) -> Option<Series> {
    let counting: Vec<(u32, f64)> = history.counting(column).collect();
    let (_, last) = *counting.last()?;
    let step_of = |row: u32| history.rows.get(row as usize).and_then(|row| row.step);
    let stepped = counting.iter().all(|(row, _)| step_of(*row).is_some());
    let name = counting.last().and_then(|(row, _)| history.columns.get(step_of(*row)?.column));
    let step = name.filter(|_| stepped).map_or_else(|| "record".to_owned(), |column| column.name.clone());
    let counted = (0_u32..).map(f64::from).zip(&counting);
    let mut points: Vec<(f64, f64)> = counted
        .map(|(number, (row, value))| (step_of(*row).filter(|_| stepped).map_or(number, |step| step.value), *value))
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    // The sort keeps the order of what is of one step, of which the last counts.
    points.reverse();
    points.dedup_by(|later, kept| later.0.total_cmp(&kept.0).is_eq());
    points.reverse();
    let numbers = counting.iter().map(|(_, value)| *value).filter(|value| !value.is_nan());
    let range = numbers.fold((f64::NAN, f64::NAN), |(low, high), value| (low.min(value), high.max(value)));
    #[expect(clippy::cast_possible_truncation, reason = "seven digits are more than a plot shows")]
    let (steps, values) = points.into_iter().map(|(step, value)| (step, value as f32)).unzip();
    Some(Series { name: column.name.clone(), step, steps, values, last, range })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::history::{Column, Row, Step};

    #[test]
    fn a_history_becomes_series() {
        let row = |step: f64, superseded| Row { step: Some(Step { column: 0, value: step }), attempt: 1, superseded };
        let mut history = History {
            rows: vec![row(0.0, true), row(0.0, false), row(1.0, false), row(1.0, false), row(0.5, false)],
            columns: vec![Column::new("n"), Column::new("epoch"), Column::new("loss"), Column::new("none")],
        };
        for (place, value) in (0..).zip([9.0, 3.0, 2.0, f64::NAN, 7.0]) {
            history.columns[0].set(place, value);
            history.columns[1].set(place, value);
            history.columns[2].set(place, value);
        }
        let found = series(&history);
        let [loss] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((loss.name.as_str(), loss.step.as_str(), loss.last, loss.range), ("loss", "n", 7.0, (2.0, 7.0)));
        assert_eq!(loss.steps, [0.0, 0.5, 1.0]);
        assert!(loss.values[2].is_nan() && loss.values[..2] == [3.0, 7.0], "{:?}", loss.values);
        history.rows[4].step = None;
        let found = series(&history);
        assert_eq!((found[0].step.as_str(), found[0].steps.as_slice()), ("record", &[0.0, 1.0, 2.0, 3.0][..]));
    }
}
