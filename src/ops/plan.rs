//! Freezing a configuration into a plan and sbatch scripts.

use super::draft::{Frozen, Mode};
use super::failure::Failure;
use super::freeze::{Reading, freeze};
use super::notice::Tell;
use super::program::Program;
use crate::plan::Plan;
use crate::plan::code::Wish;

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The configuration.
    pub reading: Reading,
    /// Only look what would be written.
    pub dry_run: bool,
    /// Plan finished repetitions too.
    pub overwrite: bool,
    /// What is wished of the code's snapshots.
    pub code: Wish,
}

/// Plans; nothing is written where nothing is left to do.
///
/// # Errors
/// What is wrong with the configuration, or keeps the plan from being written.
pub fn plan(options: &Options, program: &Program, tell: Tell<'_>) -> Result<(Plan, Frozen), Failure> {
    let mode = if options.dry_run { Mode::DryRun } else { Mode::Write };
    freeze(&options.reading, program, options.overwrite, mode, Some(options.code), tell)
}
