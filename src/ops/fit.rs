//! Asking the cluster whether it would take a plan: `plan --check`. Nothing is written or submitted.

use super::draft::Mode;
use super::failure::Failure;
use super::freeze::{self, report_for};
use super::here::user;
use super::notice::{Notice, Tell};
use super::plan::Options;
use super::program::Program;
use crate::config::{At, Diagnostic, Experiment};
use crate::plan::check;
use crate::plan::fit::{self, Misfit};
use crate::slurm::{self, Client, Cluster as _, SlurmError, SubmitOptions};
use crate::store;

/// What the cluster says of a plan.
#[derive(Debug)]
pub struct Checked {
    /// Each script, and Slurm's answer: when it could start, or why it is refused.
    pub scripts: Vec<(String, Result<String, String>)>,
    /// Whether something does not fit, which was told.
    pub misfits: bool,
}

impl Checked {
    /// Whether the cluster would take all of it.
    pub fn fits(&self) -> bool {
        !self.misfits && self.scripts.iter().all(|(_, answer)| answer.is_ok())
    }
}

/// Compares what is planned with the cluster's limits, and asks Slurm about each script: one call a script, and a handful.
///
/// # Errors
/// What is wrong with the configuration; where there is no Slurm, or it does not answer.
pub fn look(options: &Options, program: &Program, tell: Tell<'_>) -> Result<Checked, Failure> {
    let prepared = freeze::prepare(&options.reading, program, options.overwrite, Some(options.code), tell)?;
    let config = prepared.config().clone();
    let (plan, draft) = prepared.plan()?;
    if plan.arrays.is_empty() {
        return Ok(Checked { scripts: Vec::new(), misfits: false });
    }
    let facts = slurm::facts()?;
    // Without accounting nothing is known of the user's limits; Slurm looks at them too.
    let limits = slurm::limits(&user()).unwrap_or_default();
    let frozen = draft.write(&plan, Mode::DryRun)?;
    tell(Notice::Planned(&plan, &frozen));
    let mut report = report_for(&config, &options.reading);
    let mut push = |misfit: Misfit, name: &str| {
        let experiment = config.experiments.iter().find(|experiment| experiment.name == name);
        let at = experiment.map(|experiment| place(experiment, misfit.key)).unwrap_or_default();
        report.push(Diagnostic::error(misfit.message).at(at).help(misfit.help));
    };
    for array in &plan.arrays {
        let name = array.experiments.first().map_or("", String::as_str);
        for misfit in fit::array(array, &facts, &limits) {
            push(misfit, name);
        }
    }
    if let Some(misfit) = fit::submits(plan.counts().jobs, &plan.arrays, &limits) {
        push(misfit, config.experiments.first().map_or("", |experiment| &experiment.name));
    }
    for experiment in &plan.experiments {
        if let Some(misfit) = fit::rep_time(&experiment.record, &facts) {
            push(misfit, &experiment.record.name);
        }
    }
    tell(Notice::Config(&report));
    let folder = store::scratch(&frozen.scripts)?;
    let mut scripts = Vec::with_capacity(frozen.scripts.len());
    for (script, _) in frozen.scripts {
        let answer = match Client.test(&folder.path().join(&script), &SubmitOptions::default()) {
            Ok(answer) => Ok(answer),
            Err(SlurmError::Refused { message, .. }) => Err(message),
            Err(error) => return Err(error.into()),
        };
        scripts.push((script, answer));
    }
    let late = (0..).zip(&config.experiments).any(|(number, experiment)| {
        let runs = plan.runs.iter().filter(|run| run.record.experiment == number).count() as u64;
        // Told already, as a warning that every plan gives.
        check::time(experiment, runs.saturating_mul(experiment.repetitions.into())).is_some()
    });
    Ok(Checked { scripts, misfits: late || report.has_errors() })
}

/// Where a key stands that asks for something.
fn place(experiment: &Experiment, key: &str) -> At {
    let slurm = &experiment.slurm_origin;
    let of_slurm = slurm.key_at(key).or_else(|| slurm.get("sbatch_args").and_then(|args| args.key_at(key)));
    of_slurm.unwrap_or_else(|| experiment.key_at(key))
}
