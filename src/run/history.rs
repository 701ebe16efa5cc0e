//! The metrics of a repetition as columns: what it logged, step by step.
//!
//! Values alone: where they were read is [`crate::store::history`]'s matter, what becomes of them [`crate::report`]'s.

/// The names of metrics that tell how far an experiment is, the finest first.
pub const STEPS: [&str; 5] = ["global_step", "step", "iteration", "iter", "epoch"];

/// All that a repetition logged, in order; what a later attempt began again is left out, or marked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// One for each record.
    pub rows: Vec<Row>,
    /// One for each number that records have, in the order they were first met.
    pub columns: Vec<Column>,
}

/// A record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// The step it is of, where it tells one.
    pub step: Option<Step>,
    /// The attempt that it counts for. What an earlier attempt logged and a later one went on from counts for the last.
    pub attempt: u32,
    /// Whether a later attempt began it again, so that it does not count.
    pub superseded: bool,
}

/// How far an experiment was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The column that tells it, as its place in [`History::columns`].
    pub column: usize,
    /// Its value; finite.
    pub value: f64,
}

/// A metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name; of a nested one the keys with dots between them.
    pub name: String,
    /// The rows that have it, ascending.
    pub rows: Vec<u32>,
    /// Its value in each of them; may be infinite or no number.
    pub values: Vec<f64>,
}

impl Column {
    /// A column without values.
    pub fn new(name: impl Into<String>) -> Self {
        Column { name: name.into(), rows: Vec::new(), values: Vec::new() }
    }

    /// Sets the value of the last row, or of one behind it; where the row has one, this takes its place.
    pub fn set(&mut self, row: u32, value: f64) {
        match (self.rows.last(), self.values.last_mut()) {
            (Some(last), Some(old)) if *last == row => *old = value,
            _ => {
                self.rows.push(row);
                self.values.push(value);
            }
        }
    }

    /// Each row that has it, with its value.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u32, f64)> + '_ {
        self.rows.iter().copied().zip(self.values.iter().copied())
    }

    /// Its value in a row.
    pub fn get(&self, row: u32) -> Option<f64> {
        self.values.get(self.rows.binary_search(&row).ok()?).copied()
    }

    /// Whether it tells steps rather than results.
    pub fn is_step(&self) -> bool {
        STEPS.contains(&self.name.as_str())
    }
}

/// Which value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub enum Pick {
    /// The last one.
    Last,
    /// The one at this step.
    At(f64),
    /// The best one, or the one at the step where another metric was best.
    Best {
        /// Whether more is better.
        maximize: bool,
        /// The other metric.
        by: Option<String>,
    },
}

impl History {
    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Of this metric the value that is asked for; of several at one step the last.
    pub fn pick(&self, metric: &str, pick: &Pick) -> Option<f64> {
        let column = self.column(metric)?;
        match pick {
            Pick::Last => self.counting(column).next_back().map(|(_, value)| value),
            Pick::At(step) => self.at(column, |row| row.step.is_some_and(|other| same(other.value, *step))),
            Pick::Best { maximize, by: None } => self.best(column, *maximize).map(|(_, value)| value),
            Pick::Best { maximize, by: Some(by) } => {
                let (best, _) = self.best(self.column(by)?, *maximize)?;
                let there = self.rows.get(best as usize)?.step;
                column.get(best).or_else(|| self.at(column, |row| there.is_some() && row.step == there))
            }
        }
    }

    /// Empties the column that says in each record which repetition it is of, as experiments' records do: it measures nothing.
    #[expect(clippy::float_cmp, reason = "repetitions are counted")]
    pub fn forget_stamp(&mut self, repetition: u32) {
        let number = f64::from(repetition);
        let stamps = self.columns.iter_mut().filter(|column| column.name == "rep");
        for column in stamps.filter(|column| column.values.iter().all(|value| *value == number)) {
            column.rows.clear();
            column.values.clear();
        }
    }

    /// The rows of a column that count.
    pub fn counting<'a>(&'a self, column: &'a Column) -> impl DoubleEndedIterator<Item = (u32, f64)> + 'a {
        column.iter().filter(|(row, _)| self.rows.get(*row as usize).is_some_and(|row| !row.superseded))
    }

    fn at(&self, column: &Column, wanted: impl Fn(&Row) -> bool) -> Option<f64> {
        let there = |row: u32| self.rows.get(row as usize).is_some_and(&wanted);
        self.counting(column).rev().find(|(row, _)| there(*row)).map(|(_, value)| value)
    }

    /// The first of the best values; what is no number is never the best.
    fn best(&self, column: &Column, maximize: bool) -> Option<(u32, f64)> {
        let better = |a: f64, b: f64| if maximize { a > b } else { a < b };
        let numbers = self.counting(column).filter(|(_, value)| !value.is_nan());
        numbers.reduce(|best, other| if better(other.1, best.1) { other } else { best })
    }

    /// Whether a metric was logged for a step, and later for it, or for one before it, once more.
    pub fn repeats_steps(&self) -> bool {
        self.columns.iter().enumerate().any(|(number, column)| {
            let mut last: Option<Step> = None;
            self.counting(column).any(|(row, _)| {
                let Some(step) = self.rows.get(row as usize).and_then(|row| row.step) else { return false };
                let before = last.replace(step);
                let own = step.column == number;
                before.is_some_and(|before| !own && before.column == step.column && step.value <= before.value)
            })
        })
    }
}

#[expect(clippy::float_cmp, reason = "steps are counted")]
fn same(a: f64, b: f64) -> bool {
    a == b
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A history of records that each have `step` and some of the columns; `None` where one has not.
    pub(crate) fn history(names: &[&str], records: &[(f64, &[Option<f64>])]) -> History {
        let mut history = History { rows: Vec::new(), columns: vec![Column::new("step")] };
        history.columns.extend(names.iter().map(|name| Column::new(*name)));
        for (row, (step, values)) in (0..).zip(records) {
            history.rows.push(Row { step: Some(Step { column: 0, value: *step }), attempt: 1, superseded: false });
            history.columns[0].set(row, *step);
            for (column, value) in history.columns.iter_mut().skip(1).zip(*values) {
                if let Some(value) = value {
                    column.set(row, *value);
                }
            }
        }
        history
    }

    fn best(maximize: bool, by: Option<&str>) -> Pick {
        Pick::Best { maximize, by: by.map(str::to_owned) }
    }

    #[test]
    fn a_value_is_picked() {
        let nan = f64::NAN;
        let history = history(
            &["val", "test"],
            &[
                (0.0, &[Some(nan), Some(0.5)]),
                (1.0, &[Some(3.0), None]),
                (1.0, &[None, Some(0.6)]),
                (2.0, &[Some(2.0), Some(0.7)]),
                (3.0, &[Some(3.0), Some(0.1)]),
            ],
        );
        for (metric, pick, expected) in [
            ("test", Pick::Last, Some(0.1)),
            ("test", Pick::At(1.0), Some(0.6)),
            ("test", Pick::At(9.0), None),
            ("val", best(true, None), Some(3.0)),
            ("val", best(false, None), Some(2.0)),
            // The first of equals, at whose step the other metric stands in the next record.
            ("test", best(true, Some("val")), Some(0.6)),
            ("test", best(false, Some("val")), Some(0.7)),
            ("test", best(false, Some("nothing")), None),
            ("nothing", Pick::Last, None),
        ] {
            assert_eq!(history.pick(metric, &pick), expected, "{metric} {pick:?}");
        }
    }

    #[test]
    fn what_was_begun_again_does_not_count() {
        let mut history = history(&["a"], &[(0.0, &[Some(9.0)]), (1.0, &[Some(8.0)]), (0.0, &[Some(1.0)])]);
        assert!(history.repeats_steps());
        history.rows[0].superseded = true;
        history.rows[1].superseded = true;
        assert_eq!(history.pick("a", &best(true, None)), Some(1.0));
        assert_eq!((history.pick("a", &Pick::At(1.0)), history.repeats_steps()), (None, false));
    }

    #[test]
    fn two_records_of_a_step_repeat_nothing_where_they_tell_different_things() {
        let records: [(f64, &[Option<f64>]); 2] = [(0.0, &[Some(1.0), None]), (0.0, &[None, Some(1.0)])];
        assert!(!history(&["a", "b"], &records).repeats_steps());
        assert!(history(&["a", "b"], &[records[0], records[0]]).repeats_steps());
    }
}
