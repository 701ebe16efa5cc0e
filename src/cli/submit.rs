//! `cw2 submit`: plans where needed, and hands every array to Slurm, each exactly once.

mod dependency;
mod under_way;

use super::choose;
use super::draft::{self, Draft, Mode};
use super::freeze;
use super::snapshot::SnapshotArgs;
use super::{ConfigArgs, Exit, Failure, Program, SelectArgs};
use crate::config::{SbatchArg, Slurm};
use crate::plan;
use crate::plan::bundle::PlannedArray;
use crate::slurm::{Client, Cluster, Element, ElementState, Error, SubmitOptions, TOKEN, patiently};
use crate::store;
use crate::store::plan::Plan;
use crate::store::submissions::{Ledger, Submission, Turn};
use crate::store::survey;
use clap::Args;
use std::collections::HashSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use under_way::UnderWay;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags of a command line")]
pub(super) struct SubmitArgs {
    /// A configuration (YAML), which is planned first, or a plan's folder
    #[arg(value_name = "CONFIG|PLAN")]
    source: PathBuf,
    #[command(flatten)]
    select: SelectArgs,
    /// Plan finished repetitions too, and run them again in their place
    #[arg(short, long)]
    overwrite: bool,
    /// Submit held: nothing starts before `scontrol release`
    #[arg(long)]
    hold: bool,
    /// Start only after other jobs, as `sbatch --dependency` has it, instead of those that are configured
    #[arg(long, value_name = "LIST")]
    dependency: Option<String>,
    /// Ask Slurm whether and when the jobs could start; nothing is planned or submitted
    #[arg(long)]
    test_only: bool,
    /// Submit a plan again that was submitted before, or whose repetitions are under way
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    code: SnapshotArgs,
}

impl SubmitArgs {
    /// Those of a configuration, with nothing special.
    pub(super) fn of(config: &ConfigArgs, overwrite: bool) -> Self {
        SubmitArgs {
            source: config.config.clone(),
            select: config.select.clone(),
            overwrite,
            hold: false,
            dependency: None,
            test_only: false,
            again: false,
            code: SnapshotArgs::default(),
        }
    }
}

pub(super) fn submit(args: &SubmitArgs, program: &Program, quiet: bool) -> Result<Exit, Failure> {
    if args.source.is_dir() { submit_plan(args, quiet) } else { submit_config(args, program, quiet) }
}

fn submit_plan(args: &SubmitArgs, quiet: bool) -> Result<Exit, Failure> {
    let plan = Plan::open(&args.source)?;
    refuse_frozen(args)?;
    refuse_moved(&plan)?;
    refuse_without_code(&plan)?;
    if args.test_only {
        let scripts = plan.manifest.arrays.iter().map(|array| array.script.as_str());
        return test(&plan.folder, scripts, args);
    }
    let value = plan.read()?;
    dependency::check(&value.arrays, args.dependency.as_deref())?;
    let turn = turn(plan.folder.parent().unwrap_or(&plan.folder))?;
    let mut ledger = Ledger::open(&plan.folder, &turn)?;
    let queue = patiently(|| choose::queue(std::slice::from_ref(&plan)))?;
    if args.again {
        ledger.content.submissions.iter_mut().for_each(|submission| submission.superseded = true);
    } else {
        refuse_twice(&plan, &ledger, &queue)?;
        refuse_under_way(&plan, &value, &queue)?;
    }
    submit_arrays(&plan, &value.arrays, &mut ledger, &queue, args, quiet)
}

/// Plans first. What is refused is refused before there is a plan: `status` and `retry` would take one for what is wanted.
fn submit_config(args: &SubmitArgs, program: &Program, quiet: bool) -> Result<Exit, Failure> {
    let config = ConfigArgs { config: args.source.clone(), select: args.select.clone() };
    let mut prepared = freeze::prepare(&config, program, args.overwrite, Some(args.code))?;
    if args.test_only {
        let (plan, draft) = prepared.plan()?;
        return test_config(&plan, &draft, args, quiet);
    }
    let turn = turn(prepared.plans())?;
    let queue = patiently(|| choose::queue_of(prepared.plans()))?;
    // Its script would be taken for that of an earlier plan, which was removed while its jobs wait.
    prepared.number_above(queue.iter().filter_map(|element| number_of(element, &turn.plans)).max().unwrap_or(0));
    let (plan, draft) = prepared.plan()?;
    dependency::check(&plan.arrays, args.dependency.as_deref())?;
    if !args.again
        && let Some(told) = UnderWay::look(&turn.plans, &queue)?.of(&plan, &draft.root)
    {
        return Err(Failure::Usage(format!(
            "nothing was planned or submitted: {told}; call this again when they have ended, or submit all of it now with \
             `--again`"
        )));
    }
    if draft.replaces() {
        probe(&plan, &draft, args)?;
    }
    let frozen = draft.write(&plan, Mode::Write)?;
    if !quiet {
        tell!("{}", draft::summary(&plan));
        frozen.notes.iter().for_each(|note| tell!("{note}"));
    }
    let Some(folder) = frozen.folder else {
        tell!("nothing is left to do: nothing was planned or submitted");
        return Ok(Exit::Done);
    };
    let written = Plan::open(&folder)?;
    submit_arrays(&written, &plan.arrays, &mut Ledger::open(&written.folder, &turn)?, &queue, args, quiet)
}

/// What is looked at must not change before what is submitted can be seen.
fn turn(plans: &Path) -> Result<Turn, Failure> {
    let waiting = || tell!("waiting for another `{} submit` that submits plans of `{}`", super::me(), plans.display());
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
    args: &SubmitArgs,
    quiet: bool,
) -> Result<Exit, Failure> {
    let result = submit_each(plan, arrays, ledger, queue, args, quiet);
    if result.is_err() {
        let done = ledger.content.submissions.iter().filter(|submission| submission.current().is_some()).count();
        tell!(
            "{done} of {} arrays are submitted; `{} submit {}` goes on with the rest",
            plan.manifest.arrays.len(),
            super::me(),
            plan.folder.display()
        );
    }
    result
}

/// Each is noted before and after the call, so that a `cw2 submit` that dies in between is continued, never repeated.
fn submit_each(
    plan: &Plan,
    arrays: &[PlannedArray],
    ledger: &mut Ledger<'_>,
    queue: &[Element],
    args: &SubmitArgs,
    quiet: bool,
) -> Result<Exit, Failure> {
    let mut out = std::io::stdout().lock();
    // The last job that counts for `num_parallel_jobs`.
    let mut previous: Option<u64> = None;
    for (number, array) in arrays.iter().enumerate() {
        let noted = ledger.content.submissions.iter_mut().rev().find(|s| s.array == number && !s.superseded);
        let job = match noted {
            Some(Submission { job: Some(job), .. }) => *job,
            // Intended, and no answer was noted: Slurm knows whether it got it.
            Some(submission) if let Some(found) = queue.iter().find(|element| element.token() == submission.token) => {
                submission.job = Some(found.job);
                ledger.save()?;
                found.job
            }
            _ => submit_one(plan, ledger, (number, array), previous, args)?,
        };
        writeln!(out, "{job}")?;
        if !quiet {
            let jobs = draft::count(array.record.jobs, "job");
            tell!("submitted {} as job {job} ({jobs})", array.record.script);
        }
        previous = array.record.num_parallel_jobs.map_or(previous, |_| Some(job));
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn submit_one(
    plan: &Plan,
    ledger: &mut Ledger<'_>,
    (number, array): (usize, &PlannedArray),
    previous: Option<u64>,
    args: &SubmitArgs,
) -> Result<u64, Failure> {
    let now = jiff::Timestamp::now();
    let token = format!("{TOKEN}{}:{}:{number}", std::process::id(), now.as_nanosecond());
    let submitted = now.round(jiff::Unit::Second).unwrap_or(now).to_string();
    ledger.content.submissions.retain(|s| s.array != number || s.job.is_some());
    ledger.content.submissions.push(Submission {
        array: number,
        token: token.clone(),
        job: None,
        submitted,
        superseded: false,
    });
    ledger.save()?;
    // `num_parallel_jobs` holds for the plan as a whole: what was cut only for its length runs one array after the other.
    let previous = array.record.num_parallel_jobs.and(previous);
    let options = SubmitOptions {
        hold: args.hold,
        comment: comment(&array.slurm),
        dependency: dependency::option(previous, args.dependency.as_deref(), &array.slurm),
    };
    let job = Client.submit(&plan.folder.join(&array.record.script), &token, &options, ledger.turn.lock())?;
    if let Some(submission) = ledger.content.submissions.last_mut() {
        submission.job = Some(job);
    }
    ledger.save()?;
    Ok(job)
}

/// The comment that the configuration gives an array's jobs.
fn comment(slurm: &Slurm) -> Option<String> {
    let comment = slurm.sbatch_args.iter().find(|(key, _)| key == "comment");
    comment.and_then(|(_, value)| match value {
        SbatchArg::Values(values) => values.last().cloned(),
        SbatchArg::Flag => None,
    })
}

/// What Slurm refuses must not have taken the place of anything: asks about the first script before there is a plan.
fn probe(plan: &plan::Plan, draft: &Draft, args: &SubmitArgs) -> Result<(), Failure> {
    let frozen = draft.write(plan, Mode::DryRun)?;
    let Some((script, _)) = frozen.scripts.first() else { return Ok(()) };
    let folder = store::scratch(&frozen.scripts)?;
    match Client.test(&folder.path().join(script), &test_options(args)) {
        Err(error @ Error::Refused { .. }) => {
            tell!("nothing was planned or submitted");
            Err(error.into())
        }
        // What passes is for the submission, which tries again.
        _ => Ok(()),
    }
}

fn test_options(args: &SubmitArgs) -> SubmitOptions {
    SubmitOptions { hold: args.hold, comment: None, dependency: args.dependency.clone() }
}

/// Asks about the scripts that would be written, in a place of their own: nothing is planned.
fn test_config(plan: &plan::Plan, draft: &Draft, args: &SubmitArgs, quiet: bool) -> Result<Exit, Failure> {
    let frozen = draft.write(plan, Mode::DryRun)?;
    if !quiet {
        tell!("{}", draft::summary(plan));
    }
    if frozen.scripts.is_empty() {
        tell!("nothing is left to do: nothing would be submitted");
        return Ok(Exit::Done);
    }
    let folder = store::scratch(&frozen.scripts)?;
    test(folder.path(), frozen.scripts.iter().map(|(script, _)| script.as_str()), args)
}

/// Asks Slurm about the scripts of a folder.
fn test<'a>(folder: &Path, scripts: impl Iterator<Item = &'a str>, args: &SubmitArgs) -> Result<Exit, Failure> {
    let options = test_options(args);
    for script in scripts {
        let answer = Client.test(&folder.join(script), &options)?;
        tell!("{script}: {answer}");
    }
    tell!("nothing was submitted");
    Ok(Exit::Done)
}

/// What says how a configuration is planned comes too late for a plan.
fn refuse_frozen(args: &SubmitArgs) -> Result<(), Failure> {
    let select = &args.select;
    let flags = [
        ("--experiments", !select.experiments.is_empty()),
        ("--set", !select.set.is_empty()),
        ("--strict", select.strict),
        ("--debug", select.debug),
        ("--debugall", select.debugall),
        ("--overwrite", args.overwrite),
    ];
    let given = flags.into_iter().filter_map(|(flag, given)| given.then_some(flag)).chain(args.code.given());
    let given: Vec<_> = given.map(|flag| format!("`{flag}`")).collect();
    if given.is_empty() {
        return Ok(());
    }
    let (folder, me) = (args.source.display(), super::me());
    Err(Failure::Usage(format!(
        "`{folder}` is a plan, and a plan is frozen: {} would change nothing; leave out what is only for a configuration, or give \
         `{me} submit` the configuration instead, which makes another plan",
        given.join(", ")
    )))
}

/// The scripts of a plan name where it was: its jobs would fail, or run in the place it was copied from.
fn refuse_moved(plan: &Plan) -> Result<(), Failure> {
    let Some(from) = plan.moved_from() else { return Ok(()) };
    let (folder, me) = (plan.folder.display(), super::me());
    Err(Failure::Usage(format!(
        "plan `{folder}` was planned as `{}`, and its scripts name that place; `{me} retry {folder}` writes new ones for all that \
         is missing of it, or plan the configuration again, which leaves out what is finished",
        from.display()
    )))
}

/// The jobs would start where no program is.
fn refuse_without_code(plan: &Plan) -> Result<(), Failure> {
    let Some(gone) = plan.missing_code() else { return Ok(()) };
    Err(Failure::Environment(format!(
        "the code copy `{}`, in which jobs of plan `{}` are to run, is gone; plan the configuration again, which takes a new copy \
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
            "plan `{folder}` is in the queue already: job {} was submitted with its script; `--again` submits it once more",
            element.job
        )));
    }
    if noted.len() == plan.manifest.arrays.len() {
        let jobs: Vec<_> = noted.iter().map(u64::to_string).collect();
        return Err(Failure::Usage(format!(
            "plan `{folder}` was submitted already, as job {}; `{me} status` tells how it goes, \
             `{me} plan` makes a plan of what is missing, `--again` submits all of it once more",
            jobs.join(", "),
            me = super::me()
        )));
    }
    Ok(())
}

/// Repetitions that another plan of the same folder has queued or running are not submitted by accident.
fn refuse_under_way(plan: &Plan, value: &plan::Plan, queue: &[Element]) -> Result<(), Failure> {
    let own: HashSet<u64> = survey::elements(plan, queue)?.iter().map(|element| element.id).collect();
    let others: Vec<Element> = queue.iter().filter(|element| !own.contains(&element.job)).cloned().collect();
    let plans = plan.folder.parent().unwrap_or(&plan.folder);
    let Some(told) = UnderWay::look(plans, &others)?.of(value, &plan.root) else { return Ok(()) };
    let (folder, me) = (plan.folder.display(), super::me());
    Err(Failure::Usage(format!(
        "plan `{folder}` is not submitted: {told}; `{me} submit {folder}` submits it when they have ended, \
         `{me} retry` plans only what is not under way, `--again` submits all of it now"
    )))
}
