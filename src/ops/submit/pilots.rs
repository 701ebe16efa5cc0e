//! Pilots that are added to a plan: more elements of its arrays, with options of their own.

use super::{Options, call, comment, dependency, finish, open, turn};
use crate::ops::failure::Failure;
use crate::ops::notice::{Notice, Tell};
use crate::ops::program::name;
use crate::ops::reading::Reading;
use crate::plan::bundle::PlannedArray;
use crate::plan::record::ArrayRecord;
use crate::plan::sbatch::unfit_option;
use crate::report::human::counted;
use crate::slurm::{Client, Cluster as _, SubmitOptions};
use crate::store::claims;
use crate::store::plan::Plan;
use crate::store::submissions::Ledger;

/// Submits so many pilots more for each array that has some and of which anything is left to take; returns their jobs.
///
/// # Errors
/// Where the plan has no pilots, an option is not the user's to set, or Slurm refuses.
pub(super) fn add(options: &Options, count: u32, tell: Tell<'_>) -> Result<Vec<u64>, Failure> {
    let plan = open(options)?;
    check(&plan, options)?;
    let value = plan.read()?;
    let turn = turn(plan.folder.parent().unwrap_or(&plan.folder), tell)?;
    let mut ledger = Ledger::open(&plan.folder, &turn)?;
    let before = ledger.content.submissions.iter().filter_map(|submission| submission.job).collect();
    let mut jobs = Vec::new();
    for (number, array) in value.arrays.iter().enumerate().filter(|(_, array)| array.record.pilots.is_some()) {
        let script = &array.record.script;
        if !claims::any_left(&plan, &array.record) {
            tell(Notice::Note(format!("{script}: no job is left to take; nothing is submitted")));
            continue;
        }
        let own = SubmitOptions {
            comment: comment(&array.slurm),
            dependency: dependency::option(None, options.dependency.as_deref(), &array.slurm),
            ..wanted(options, &array.record, count)
        };
        let job = call(&plan.folder.join(script), number, &mut ledger, &own)?;
        jobs.push(job);
        tell(Notice::Submitted { script, job, elements: count.into(), pilots: true });
        tell_of_limit(array, tell);
    }
    if !jobs.is_empty() {
        finish::renew(&plan, &mut ledger, &before, tell)?;
    }
    Ok(jobs)
}

/// Asks Slurm whether and when they could start.
pub(super) fn test(plan: &Plan, options: &Options, count: u32) -> Result<Vec<(String, String)>, Failure> {
    check(plan, options)?;
    let arrays = plan.manifest.arrays.iter().filter(|array| array.pilots.is_some());
    let ask = |array: &ArrayRecord| {
        let answer = Client.test(&plan.folder.join(&array.script), &wanted(options, array, count))?;
        Ok((array.script.clone(), answer))
    };
    arrays.map(ask).collect()
}

/// Says how a configuration is given pilots.
pub(super) fn of_config(reading: &Reading, count: u32) -> Failure {
    let (me, config) = (name(), reading.config.display());
    Failure::Usage(format!(
        "`--pilots` adds pilots to a plan, and `{config}` is none: write `pilots: {count}` in its SLURM document, and call `{me} \
         submit {config}`; or name the folder of a plan that has pilots"
    ))
}

fn wanted(options: &Options, array: &ArrayRecord, count: u32) -> SubmitOptions {
    let most = array.num_parallel_jobs.map(|most| format!("%{most}")).unwrap_or_default();
    SubmitOptions {
        hold: options.hold,
        comment: None,
        dependency: options.dependency.clone(),
        array: Some(format!("0-{}{most}", count.saturating_sub(1))),
        more: options.sbatch.clone(),
    }
}

/// What is refused before anything is submitted.
fn check(plan: &Plan, options: &Options) -> Result<(), Failure> {
    let (me, folder) = (name(), plan.folder.display());
    if plan.manifest.arrays.iter().all(|array| array.pilots.is_none()) {
        return Err(Failure::Usage(format!(
            "plan `{folder}` has no pilots: each of its jobs has an element of its own; write `pilots` in SLURM and plan the \
             configuration again, which leaves out what is finished, or `{me} retry {folder} --set-slurm pilots={}`",
            options.pilots.unwrap_or(1)
        )));
    }
    let mut before = "";
    for word in &options.sbatch {
        let option = word.strip_prefix("--").map(|long| long.split('=').next().unwrap_or(long));
        let option = option.or_else(|| word.strip_prefix('-').and_then(|short| short.get(..1)));
        // What follows a value is a script, or its argument.
        if option.is_none() && !before.starts_with('-') {
            return Err(Failure::Usage(format!("`{word}` is no option of sbatch; write it as `--option=value`")));
        }
        before = word;
        if let Some(problem) = option.and_then(unfit_option) {
            return Err(Failure::Usage(format!("`{word}` cannot be given to pilots: {problem}")));
        }
    }
    Ok(())
}

/// Each array has its own limit: Slurm knows of no other.
fn tell_of_limit(array: &PlannedArray, tell: Tell<'_>) {
    if let Some(most) = array.record.num_parallel_jobs {
        tell(Notice::Note(format!(
            "note: at most {} of them run at once (`num_parallel_jobs`), besides those that were submitted before",
            counted(most.into(), "pilot")
        )));
    }
}
