//! Handing every array of a plan to Slurm, each exactly once; planning first where that is needed.

mod dependency;
mod finish;
mod pilots;
mod under_way;

use super::draft::{Draft, Frozen, Mode};
use super::failure::Failure;
use super::freeze;
use super::notice::{Notice, Tell};
use super::program::{Program, name};
use super::reading::Reading;
use super::select;
use super::trust;
use crate::config::Slurm;
use crate::plan;
use crate::plan::bundle::PlannedArray;
use crate::plan::code::SnapshotFlags;
use crate::slurm::{Client, Cluster, Element, ElementState, SlurmError, SubmitOptions, TOKEN, with_retries};
use crate::store;
use crate::store::claims;
use crate::store::plan::Plan;
use crate::store::submissions::{Ledger, Submission, Turn};
use crate::store::survey;
use std::collections::HashSet;
use std::path::Path;
use under_way::UnderWay;

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The configuration, which is planned first; or a plan's folder, and nothing else.
    pub reading: Reading,
    /// Plan finished repetitions too.
    pub overwrite: bool,
    /// Nothing starts before it is released.
    pub hold: bool,
    /// Start only after other jobs, in the form of `sbatch --dependency`; replaces what is configured.
    pub dependency: Option<String>,
    /// Submit also what was submitted before, or whose repetitions are under way.
    pub again: bool,
    /// What is wished of the code's snapshots.
    pub code: SnapshotFlags,
    /// Only add so many pilots to a plan.
    pub pilots: Option<u32>,
    /// Options of sbatch for them.
    pub sbatch: Vec<String>,
}

/// Submits every array, in order; returns the jobs, none where nothing is left to do.
///
/// # Errors
/// What is wrong with the configuration or the plan, is under way already, or Slurm refuses.
pub fn submit(options: &Options, program: &Program, tell: Tell<'_>) -> Result<Vec<u64>, Failure> {
    match (options.reading.config.is_dir(), options.pilots) {
        (true, None) => submit_plan(options, tell),
        (true, Some(count)) => pilots::add(options, count, tell),
        (false, None) => submit_config(options, program, tell),
        (false, Some(count)) => Err(pilots::of_config(&options.reading, count)),
    }
}

/// Asks Slurm whether and when the jobs could start: each script's name, and the answer. Nothing is planned or submitted.
///
/// # Errors
/// What is wrong with the configuration or the plan, or Slurm refuses.
pub fn test(options: &Options, program: &Program, tell: Tell<'_>) -> Result<Vec<(String, String)>, Failure> {
    if let (false, Some(count)) = (options.reading.config.is_dir(), options.pilots) {
        return Err(pilots::of_config(&options.reading, count));
    }
    if options.reading.config.is_dir() {
        let plan = open(options)?;
        if let Some(count) = options.pilots {
            return pilots::test(&plan, options, count);
        }
        let scripts = plan.manifest.arrays.iter().map(|array| array.script.as_str());
        return ask(&plan.folder, scripts, options);
    }
    let prepared = freeze::prepare(&options.reading, program, options.overwrite, Some(options.code), tell)?;
    let (plan, draft) = prepared.plan()?;
    // The scripts that would be written, in a place of their own.
    let frozen = Frozen { notes: Vec::new(), ..draft.write(&plan, Mode::DryRun)? };
    tell(Notice::Planned(&plan, &frozen));
    let folder = store::scratch(&frozen.scripts)?;
    ask(folder.path(), frozen.scripts.iter().map(|(script, _)| script.as_str()), options)
}

/// Asks Slurm about the scripts of a folder.
fn ask<'a>(
    folder: &Path,
    scripts: impl Iterator<Item = &'a str>,
    options: &Options,
) -> Result<Vec<(String, String)>, Failure> {
    let asked = test_options(options);
    scripts.map(|script| Ok((script.to_owned(), Client.test(&folder.join(script), &asked)?))).collect()
}

/// Opens a plan that can be submitted.
fn open(options: &Options) -> Result<Plan, Failure> {
    let plan = Plan::open(&options.reading.config)?;
    trust::check([&plan])?;
    refuse_moved(&plan)?;
    refuse_without_code(&plan)?;
    Ok(plan)
}

fn submit_plan(options: &Options, tell: Tell<'_>) -> Result<Vec<u64>, Failure> {
    let plan = open(options)?;
    let value = plan.read()?;
    dependency::check(&value.arrays, options.dependency.as_deref())?;
    let turn = turn(plan.folder.parent().unwrap_or(&plan.folder), tell)?;
    let mut ledger = Ledger::open(&plan.folder, &turn)?;
    let queue = with_retries(|| select::queue(std::slice::from_ref(&plan)))?;
    if options.again {
        finish::supersede(&mut ledger, &queue)?;
        claims::begin_anew(&plan)?;
        ledger.content.submissions.iter_mut().for_each(|submission| submission.superseded = true);
    } else {
        refuse_twice(&plan, &ledger, &queue)?;
        refuse_under_way(&plan, &value, &queue, tell)?;
    }
    submit_arrays(&plan, &value.arrays, &mut ledger, &queue, options, tell)
}

/// Plans first. What is refused is refused before there is a plan: `status` and `retry` would take one for what is wanted.
fn submit_config(options: &Options, program: &Program, tell: Tell<'_>) -> Result<Vec<u64>, Failure> {
    let mut prepared = freeze::prepare(&options.reading, program, options.overwrite, Some(options.code), tell)?;
    let turn = turn(prepared.plans(), tell)?;
    let queue = with_retries(|| select::queue_of(prepared.plans()))?;
    // Its script would be taken for that of an earlier plan, which was removed while its jobs wait.
    prepared.number_above(queue.iter().filter_map(|element| number_of(element, &turn.plans)).max().unwrap_or(0));
    let (plan, draft) = prepared.plan()?;
    dependency::check(&plan.arrays, options.dependency.as_deref())?;
    if !options.again
        && let Some(told) = UnderWay::look(&turn.plans, &queue, tell)?.of(&plan, &draft.root)
    {
        return Err(Failure::Usage(format!(
            "nothing was planned or submitted: {told}; call this again when they have ended, or submit all of it now with \
             `--again`"
        )));
    }
    if draft.replaces() {
        probe(&plan, &draft, options)?;
    }
    let frozen = draft.write(&plan, Mode::Write)?;
    tell(Notice::Planned(&plan, &frozen));
    let Some(folder) = frozen.folder else { return Ok(Vec::new()) };
    let written = Plan::open(&folder)?;
    submit_arrays(&written, &plan.arrays, &mut Ledger::open(&written.folder, &turn)?, &queue, options, tell)
}

/// What is looked at must not change before what is submitted can be seen.
fn turn(plans: &Path, tell: Tell<'_>) -> Result<Turn, Failure> {
    let waiting = || {
        let text = format!("waiting for another `{} submit` in `{}` to finish", name(), plans.display());
        tell(Notice::Note(text));
    };
    Ok(Turn::take(plans, waiting)?)
}

/// The number of the plan of this folder of plans whose script an element runs, unless it ended.
fn number_of(element: &Element, plans: &Path) -> Option<u32> {
    let plan = Path::new(&element.script).parent()?;
    let live = element.state != ElementState::Ended && plan.parent()? == plans;
    plan.file_name()?.to_str()?.parse().ok().filter(|_| live)
}

/// Submits every array that is not, in order; says how to go on where one is refused.
fn submit_arrays(
    plan: &Plan,
    arrays: &[PlannedArray],
    ledger: &mut Ledger<'_>,
    queue: &[Element],
    options: &Options,
    tell: Tell<'_>,
) -> Result<Vec<u64>, Failure> {
    let before: HashSet<u64> = ledger.content.submissions.iter().filter_map(|submission| submission.job).collect();
    let result = submit_each(plan, arrays, ledger, queue, options, tell);
    if result.is_err() {
        let done = submitted(ledger).len();
        tell(Notice::Warning(format!(
            "{done} of {} arrays are submitted; `{} submit {}` submits the rest",
            arrays.len(),
            name(),
            plan.folder.display()
        )));
    }
    if let Ok(jobs) = &result {
        if jobs.iter().any(|job| !before.contains(job)) {
            // Where pilots came first, it waits for them alone.
            finish::supersede(ledger, queue)?;
        }
        finish::submit(plan, ledger, queue, &before, tell)?;
    }
    result
}

/// Each is noted before and after the call, so that a `cw2 submit` that dies in between is continued, never repeated.
fn submit_each(
    plan: &Plan,
    arrays: &[PlannedArray],
    ledger: &mut Ledger<'_>,
    queue: &[Element],
    options: &Options,
    tell: Tell<'_>,
) -> Result<Vec<u64>, Failure> {
    let mut jobs = Vec::with_capacity(arrays.len());
    // The last job that counts for `num_parallel_jobs`.
    let mut previous: Option<u64> = None;
    for (number, array) in arrays.iter().enumerate() {
        let own = ledger.content.submissions.iter_mut().filter(|s| s.array == number && !s.superseded);
        // Pilots that were added since, perhaps without an answer, do not make it another one.
        let noted = own.min_by_key(|submission| submission.job.is_none());
        // Intended, and no answer was noted: Slurm knows whether it got it.
        let unanswered = noted.as_ref().filter(|submission| submission.job.is_none());
        let found = unanswered.and_then(|own| queue.iter().find(|element| element.token() == own.token));
        let job = match (noted, found) {
            (Some(Submission { job: Some(job), .. }), _) => *job,
            (Some(submission), Some(found)) => {
                submission.job = Some(found.job);
                ledger.save()?;
                found.job
            }
            _ => submit_one(plan, ledger, (number, array), previous, options)?,
        };
        jobs.push(job);
        let (elements, pilots) = (array.record.elements(), array.record.pilots.is_some());
        tell(Notice::Submitted { script: &array.record.script, job, elements, pilots });
        previous = array.record.num_parallel_jobs.map_or(previous, |_| Some(job));
    }
    Ok(jobs)
}

fn submit_one(
    plan: &Plan,
    ledger: &mut Ledger<'_>,
    (number, array): (usize, &PlannedArray),
    previous: Option<u64>,
    wanted: &Options,
) -> Result<u64, Failure> {
    ledger.content.submissions.retain(|s| s.array != number || s.job.is_some());
    // `num_parallel_jobs` holds for the plan as a whole: what was cut only for its length runs one array after the other.
    let previous = array.record.num_parallel_jobs.and(previous);
    let options = SubmitOptions {
        hold: wanted.hold,
        comment: comment(&array.slurm),
        dependency: dependency::option(previous, wanted.dependency.as_deref(), &array.slurm),
        ..SubmitOptions::default()
    };
    call(&plan.folder.join(&array.record.script), number, ledger, &options)
}

/// Submits a script of an array, which is noted before and after.
fn call(script: &Path, number: usize, ledger: &mut Ledger<'_>, options: &SubmitOptions) -> Result<u64, Failure> {
    let now = jiff::Timestamp::now();
    let token = format!("{TOKEN}{}:{}:{number}", std::process::id(), now.as_nanosecond());
    let submitted = now.round(jiff::Unit::Second).unwrap_or(now).to_string();
    ledger.content.submissions.push(Submission {
        array: number,
        token: token.clone(),
        job: None,
        submitted,
        superseded: false,
    });
    ledger.save()?;
    let job = Client.submit(script, &token, options, ledger.turn.lock())?;
    if let Some(submission) = ledger.content.submissions.last_mut() {
        submission.job = Some(job);
    }
    ledger.save()?;
    Ok(job)
}

/// The arrays that were submitted.
fn submitted(ledger: &Ledger<'_>) -> HashSet<usize> {
    let counting = ledger.content.submissions.iter().filter(|submission| submission.current().is_some());
    counting.map(|submission| submission.array).collect()
}

/// The comment that the configuration gives an array's jobs.
fn comment(slurm: &Slurm) -> Option<String> {
    slurm.options.text("comment").map(str::to_owned)
}

/// What Slurm refuses must not have taken the place of anything: asks about the first script before there is a plan.
fn probe(plan: &plan::Plan, draft: &Draft, options: &Options) -> Result<(), Failure> {
    let frozen = draft.write(plan, Mode::DryRun)?;
    let Some((script, _)) = frozen.scripts.first() else { return Ok(()) };
    let folder = store::scratch(&frozen.scripts)?;
    match Client.test(&folder.path().join(script), &test_options(options)) {
        Err(error @ SlurmError::Refused { .. }) => {
            Err(Failure::Environment(format!("nothing was planned or submitted: {error}")))
        }
        // What passes is for the submission, which tries again.
        _ => Ok(()),
    }
}

fn test_options(options: &Options) -> SubmitOptions {
    SubmitOptions { hold: options.hold, dependency: options.dependency.clone(), ..SubmitOptions::default() }
}

/// The scripts of a plan name where it was: its jobs would fail, or run in the place it was copied from.
fn refuse_moved(plan: &Plan) -> Result<(), Failure> {
    let Some(from) = plan.moved_from() else { return Ok(()) };
    let (folder, me) = (plan.folder.display(), name());
    Err(Failure::Usage(format!(
        "plan `{folder}` was made as `{}`, to which its scripts refer; `{me} retry {folder}` writes new ones for what is \
         missing, or plan the configuration again, which leaves out what is finished",
        from.display()
    )))
}

/// The jobs would start where no program is.
fn refuse_without_code(plan: &Plan) -> Result<(), Failure> {
    let Some(gone) = plan.missing_code() else { return Ok(()) };
    Err(Failure::Environment(format!(
        "the code copy `{}`, in which jobs of plan `{}` are to run, is gone; plan the configuration again: that makes a new copy, \
         and leaves out what is finished",
        gone.display(),
        plan.folder.display()
    )))
}

/// A plan that is queued, or was submitted as a whole, is not submitted again by accident.
fn refuse_twice(plan: &Plan, ledger: &Ledger<'_>, queue: &[Element]) -> Result<(), Failure> {
    let noted: Vec<u64> = ledger.content.submissions.iter().filter_map(Submission::current).collect();
    let scripts: Vec<String> = plan
        .manifest
        .arrays
        .iter()
        .map(|array| plan.folder.join(&array.script).to_string_lossy().into_owned())
        .collect();
    let by_hand = queue.iter().find(|element| {
        let ours = ledger.content.submissions.iter().any(|submission| submission.token == element.token());
        element.state != ElementState::Ended && !ours && scripts.contains(&element.script)
    });
    let folder = plan.folder.display();
    if let Some(element) = by_hand {
        return Err(Failure::Usage(format!(
            "plan `{folder}` is already in the queue: job {} was submitted with its script; `--again` submits it once more",
            element.job
        )));
    }
    if submitted(ledger).len() == plan.manifest.arrays.len() && !finish::is_missing(plan, ledger) {
        let jobs: Vec<_> = noted.iter().map(u64::to_string).collect();
        return Err(Failure::Usage(format!(
            "plan `{folder}` was already submitted, as job {}; `{me} status` shows its progress, \
             `{me} plan` makes a plan of what is missing, `--again` submits all of it once more",
            jobs.join(", "),
            me = name()
        )));
    }
    Ok(())
}

/// Repetitions that another plan of the same folder has queued or running are not submitted by accident.
fn refuse_under_way(plan: &Plan, value: &plan::Plan, queue: &[Element], tell: Tell<'_>) -> Result<(), Failure> {
    let own: HashSet<u64> = survey::elements(plan, queue)?.iter().map(|element| element.id).collect();
    let others: Vec<Element> = queue.iter().filter(|element| !own.contains(&element.job)).cloned().collect();
    let plans = plan.folder.parent().unwrap_or(&plan.folder);
    let Some(told) = UnderWay::look(plans, &others, tell)?.of(value, &plan.root) else { return Ok(()) };
    let (folder, me) = (plan.folder.display(), name());
    Err(Failure::Usage(format!(
        "plan `{folder}` is not submitted: {told}; `{me} submit {folder}` submits it when they have ended, \
         `{me} retry` plans only what is not under way, `--again` submits all of it now"
    )))
}
