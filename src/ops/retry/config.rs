//! `retry --config`: what is run as a configuration says it now, for parameters that were frozen before.

use crate::config::{Config, Experiment};
use crate::ops::failure::Failure;
use crate::ops::freeze::{self, Purpose};
use crate::ops::notice::{Notice, Tell};
use crate::ops::reading::Reading;
use crate::plan::check;
use crate::plan::record::{ExperimentRecord, RunRecord};
use crate::plan::runs::Resolved;
use crate::plan::settings::{record, settings};
use crate::value::Value;
use std::path::Path;

/// The configuration, as it is now.
pub(super) struct Now {
    pub reading: Reading,
    pub config: Config,
}

impl Now {
    /// Reads it.
    pub(super) fn read(file: &Path, tell: Tell<'_>) -> Result<Self, Failure> {
        let reading = Reading { config: file.to_owned(), ..Reading::default() };
        let config = freeze::load(&reading, Purpose { command_optional: false, for_slurm: false }, tell)?;
        let mut report = freeze::report_for(&config, &reading);
        config.experiments.iter().flat_map(check::experiment).for_each(|diagnostic| report.push(diagnostic));
        if report.has_errors() {
            return Err(Failure::Config(Box::new(report)));
        }
        tell(Notice::Note(format!("commands: as `{}` has them now", file.display())));
        Ok(Now { reading, config })
    }

    fn experiment(&self, name: &str) -> Result<&Experiment, Failure> {
        self.config.experiments.iter().find(|experiment| experiment.name == name).ok_or_else(|| {
            Failure::Usage(format!(
                "there is no experiment `{name}` in `{}`, whose command was to be run; choose experiments that it has with `-e`",
                self.reading.config.display()
            ))
        })
    }

    /// Makes what is run that of the configuration; returns the experiment's other settings.
    pub(super) fn renew(&self, experiment: &mut ExperimentRecord) -> Result<String, Failure> {
        if experiment.python.is_some() {
            return Err(Failure::Usage(format!(
                "experiment `{}` is part of a program in Python, which runs as it is now; leave out `--config`",
                experiment.name
            )));
        }
        let now = self.experiment(&experiment.name)?;
        let fresh = record(now);
        *experiment = ExperimentRecord {
            iterations: fresh.iterations,
            command: fresh.command,
            warm_start: fresh.warm_start,
            warm_imports: fresh.warm_imports,
            env: fresh.env,
            workdir: fresh.workdir,
            launcher: fresh.launcher,
            timeout: fresh.timeout,
            retries: fresh.retries,
            retry_delay: fresh.retry_delay,
            rep_time: fresh.rep_time,
            checkpoint_signal: fresh.checkpoint_signal,
            ..experiment.clone()
        };
        Ok(settings(now).to_json())
    }

    /// Whether its templates can be rendered for a run that was frozen.
    pub(super) fn check(&self, root: &Path, name: &str, run: &RunRecord, params: &str) -> Result<(), Failure> {
        let params = Value::from_json(params).map_err(anyhow::Error::from)?;
        let resolved = Resolved { experiment: self.experiment(name)?, record: run, params: &params, first: true };
        check::run(root, resolved).map_err(|diagnostic| {
            let mut report = freeze::report_for(&self.config, &self.reading);
            report.push(*diagnostic);
            Failure::Config(Box::new(report))
        })
    }

    /// Verbatim copies of its files.
    pub(super) fn sources(&self) -> Vec<(String, String)> {
        freeze::sources(&self.config)
    }
}
