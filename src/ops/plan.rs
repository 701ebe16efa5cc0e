//! Freezing a configuration into a plan and sbatch scripts.

use super::draft::{Frozen, Mode};
use super::failure::Failure;
use super::freeze::freeze;
use super::notice::Tell;
use super::program::Program;
use super::reading::Reading;
use crate::plan::Plan;
use crate::plan::code::SnapshotFlags;

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
    pub code: SnapshotFlags,
}

/// Plans; nothing is written where nothing is left to do.
///
/// # Errors
/// What is wrong with the configuration, or keeps the plan from being written.
pub fn plan(options: &Options, program: &Program, tell: Tell<'_>) -> Result<(Plan, Frozen), Failure> {
    let mode = if options.dry_run { Mode::DryRun } else { Mode::Write };
    freeze(&options.reading, program, options.overwrite, mode, Some(options.code), tell)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::notice::Notice;
    use crate::scheduler::Planned;

    #[test]
    fn a_plan_is_made_without_a_command_line() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.yml");
        let results = folder.path().join("out");
        let text = format!("name: e\npath: {}\nrepetitions: 3\nreps_per_job: 2\ncommand: 'true'\n", results.display());
        std::fs::write(&config, text).unwrap();
        let program =
            Program { factory: None, scheduler: Box::new(Planned), version: None, own_args: Vec::new(), python: None };
        let mut options =
            Options { reading: Reading { config, ..Reading::default() }, dry_run: true, ..Options::default() };
        let mut odd = 0;
        let mut tell =
            |notice: Notice<'_>| odd += usize::from(matches!(notice, Notice::Config(report) if !report.is_empty()));

        let (planned, dry) = plan(&options, &program, &mut tell).unwrap();
        assert_eq!(planned.jobs().map(|job| job.reps).collect::<Vec<_>>(), [[(0, 0, 2)], [(0, 2, 1)]]);
        assert!(dry.folder.is_none() && !results.exists());

        options.dry_run = false;
        let (again, written) = plan(&options, &program, &mut tell).unwrap();
        assert_eq!((again, &written.scripts), (planned, &dry.scripts));
        assert_eq!(written.folder, Some(results.join("plans/001")));
        assert_eq!(odd, 0);
    }
}
