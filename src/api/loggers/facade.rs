//! Metrics as records of the `log` facade.

use super::line;
use crate::api::{Logger, Metrics};

/// Writes every record through `log::info!`, so that it stands in the repetition's `out.log` among what the experiment logs.
///
/// ```
/// # use cw2::{ClusterWork, Context, Experiment, loggers};
/// # struct E;
/// # impl Experiment for E { fn run(&mut self, _: &Context) -> anyhow::Result<()> { Ok(()) } }
/// let program = ClusterWork::new(|| E).logger(loggers::Facade::new);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Facade;

impl Facade {
    /// One for a repetition.
    pub fn new() -> Self {
        Facade
    }
}

impl Logger for Facade {
    fn process(&mut self, metrics: &Metrics) -> anyhow::Result<()> {
        log::info!(target: "metrics", "{}", line(metrics));
        Ok(())
    }
}
