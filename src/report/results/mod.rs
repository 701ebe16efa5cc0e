//! `cw2 results`: what repetitions measured, as tables.
//!
//! Values in, values out: [`rows`], [`reps`] and [`pivot`] make a [`table::Table`] of what was measured, the formats write one,
//! each in a file of its own. None of them knows where the numbers come from, nor a terminal.

pub mod choice;
pub mod csv;
pub mod filter;
pub mod jsonl;
pub mod latex;
pub mod markdown;
pub mod params;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod pivot;
pub mod reps;
pub mod rows;
pub mod statistic;
pub mod table;
pub mod text;

use crate::run::status::State;
use crate::store::gather::{Code, Run};
use choice::Choice;

/// Everything tables are made of.
#[derive(Debug)]
pub struct Measurements<'a> {
    /// The runs.
    pub runs: &'a [Run],
    /// The versions of their code.
    pub codes: &'a [Code],
    /// The values that are wanted.
    pub choices: &'a [Choice],
    /// The repetitions, by run and number.
    pub reps: &'a [Measured],
}

/// A repetition, reduced to the values that are wanted.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Its run, as its place among the runs.
    pub run: usize,
    /// Its number.
    pub number: u32,
    /// How it stands; `None` where it was never started.
    pub state: Option<State>,
    /// Whether its status cannot be read.
    pub unreadable: bool,
    /// How often it was started.
    pub attempt: u32,
    /// What all its attempts took.
    pub seconds: Option<f64>,
    /// Its code, as its place among the versions.
    pub code: Option<usize>,
    /// Its directory.
    pub dir: String,
    /// The values it has: the places of their choices, ascending, and the numbers.
    pub values: Vec<(usize, f64)>,
}

impl Measured {
    /// The value for a choice.
    pub fn value(&self, choice: usize) -> Option<f64> {
        let place = self.values.binary_search_by_key(&choice, |(choice, _)| *choice).ok()?;
        self.values.get(place).map(|(_, value)| *value)
    }

    /// How it stands, in a word.
    pub fn word(&self) -> &'static str {
        match self.state {
            Some(state) => state.word(),
            None if self.unreadable => "unreadable",
            None => "not started",
        }
    }
}

/// A version of the code in short: the beginning of its commit, with a `+` where it was changed since.
pub fn short(code: &Code) -> String {
    let commit: String = code.commit.chars().take(7).collect();
    format!("{commit}{}", if code.dirty { "+" } else { "" })
}
