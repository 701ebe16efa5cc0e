//! Metrics on standard output.

use super::line;
use crate::api::{Logger, Metrics, Repetition};
use std::io::Write as _;

/// Prints every record as one line, with the run's name and the repetition's number: lines of parallel repetitions do not
/// mix.
///
/// ```
/// # use cw2::{ClusterWork, Context, Experiment, loggers};
/// # struct E;
/// # impl Experiment for E { fn run(&mut self, _: &Context) -> anyhow::Result<()> { Ok(()) } }
/// let program = ClusterWork::new(|| E).logger(loggers::Console::new);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Console {
    rep: String,
}

impl Console {
    /// One for a repetition.
    pub fn new() -> Self {
        Console::default()
    }
}

impl Logger for Console {
    fn initialize(&mut self, rep: &Repetition) -> anyhow::Result<()> {
        self.rep = format!("{} rep {}", rep.run_name(), rep.number());
        Ok(())
    }

    fn process(&mut self, metrics: &Metrics) -> anyhow::Result<()> {
        let line = format!("{} {}\n", self.rep, line(metrics));
        Ok(std::io::stdout().write_all(line.as_bytes())?)
    }
}
