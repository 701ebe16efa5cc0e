//! A sweep as one HTML file: what its directories, its plans, git and Slurm say, put together. Looks, and writes that file alone.
//!
//! Repetitions are found by their own directories, so that copies and what outlived its plan are told; plans, where there are any,
//! add what was never begun, what was requested, the code and the configuration.

mod code;
mod merge;

use super::failure::Failure;
use super::here::shown;
use super::job_ends::{self, JobEnds};
use super::select::{self, Selection};
use super::status::usages;
use crate::report::advice;
use crate::report::html::found::Found;
use crate::report::html::{self, Page};
use crate::report::human::counted;
use crate::run::effective_state::EffectiveState;
use crate::store::gather::Gathered;
use crate::store::survey::{Seen, Sources, Survey, unseen};
use crate::store::{self, atomic, files, plans};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use merge::Merged;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Problems of one kind that are named.
const NAMED: usize = 5;

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Results folders, folders below them, plans; the working directory where none is named.
    pub sources: Vec<PathBuf>,
    /// Only these experiments.
    pub experiments: Vec<String>,
    /// Seconds after which it is made anew.
    pub every: Option<u32>,
}

/// A report, made.
#[derive(Debug)]
pub struct Made {
    /// The file's text.
    pub html: String,
    /// How many repetitions it tells of.
    pub reps: usize,
    /// Whether any may still change by itself.
    pub open: bool,
    /// What a person should know besides.
    pub notes: Vec<String>,
}

/// Makes it.
///
/// # Errors
/// Where nothing is found, or a folder cannot be read.
pub fn report(options: &Options) -> Result<Made, Failure> {
    let found = find(options)?;
    let open = found.reps.iter().any(|rep| is_open(rep.effective));
    // Of what will not change nobody needs to see it again.
    let page = html::build(Found { reload: found.reload.filter(|_| open), ..found });
    let html =
        html::render(&page).map_err(|error| Failure::Environment(format!("cannot write the report: {error}")))?;
    let Page { notes, reps, .. } = page;
    Ok(Made { html, reps: reps.run.len(), open, notes })
}

/// Puts it into the place of an older one, as a whole.
///
/// # Errors
/// Where it cannot be written, or something else is there.
pub fn write(made: &Made, path: &Path) -> Result<(), Failure> {
    check(path)?;
    Ok(atomic::replace(path, made.html.as_bytes(), atomic::Durable::No)?)
}

/// Whether a report can be at this path: asked before it is made, which may take a while.
///
/// # Errors
/// Where it cannot.
pub fn check(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(Failure::Usage(format!("cannot write `{}`: `{}` is no folder", path.display(), folder.display())));
    }
    match files::begins_with(path, html::BEGIN.as_bytes()) {
        Ok(None | Some(true)) => Ok(()),
        Ok(Some(false)) => Err(Failure::Usage(format!(
            "`{}` is there, and no report: name another file with `-o`, or remove it",
            path.display()
        ))),
        Err(error) => Err(Failure::Usage(format!("a report cannot be at `{}`: {error}", path.display()))),
    }
}

fn is_open(effective: EffectiveState) -> bool {
    matches!(effective, EffectiveState::Running | EffectiveState::Queued | EffectiveState::Pending)
}

fn find(options: &Options) -> Result<Found, Failure> {
    let named = !options.sources.is_empty();
    let sources = if named { options.sources.clone() } else { vec![PathBuf::from(".")] };
    if let Some(source) = sources.iter().find(|source| !source.is_dir()) {
        return Err(Failure::Usage(format!(
            "`{}` is no folder: name a results folder, one below it, or a plan's folder",
            source.display()
        )));
    }
    let mut notes = Vec::new();
    let looked = look_at_plans(&sources, named, &options.experiments, &mut notes)?;
    let gathered = Gathered::find(&sources)?;
    notes.extend(gathered.remarks.iter().cloned());
    let mut merged = Merged::of(&gathered, looked.as_ref(), &options.experiments);
    if merged.reps.is_empty() {
        return Err(nothing(&sources, &gathered, looked.as_ref(), &options.experiments));
    }
    notes.extend(merged.read(&gathered));
    let now = Timestamp::now();
    let survey = looked.as_ref().map(|looked| &looked.survey);
    let (versions, places) = code::versions(&gathered, survey);
    for rep in &mut merged.reps {
        rep.version = rep.version.and_then(|code| places.get(code).copied());
    }
    let config = code::configurations(&merged, survey);
    let title: Vec<String> = sources.iter().map(|source| name_of(source)).collect();
    Ok(Found {
        title: title.join(", "),
        sources: sources.iter().map(|source| shown(source)).collect(),
        now,
        created: local(now),
        cluster_known: looked.as_ref().is_none_or(|looked| looked.cluster_known),
        reload: options.every,
        notes,
        runs: merged.runs,
        reps: merged.reps,
        versions,
        config,
        advice: looked.map(|looked| usages(&looked.survey).iter().map(advice::advise).collect()).unwrap_or_default(),
    })
}

/// What a folder is called, be it named by a dot.
fn name_of(folder: &Path) -> String {
    let canonical = store::canonical(folder).ok();
    let name = canonical.as_deref().unwrap_or(folder).file_name();
    name.map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into_owned())
}

fn local(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system()).strftime("%F %H:%M").to_string()
}

fn nothing(sources: &[PathBuf], gathered: &Gathered, looked: Option<&Looked>, wanted: &[String]) -> Failure {
    let planned = looked.iter().flat_map(|looked| looked.survey.plans.iter());
    let planned =
        planned.flat_map(|plan| plan.all_experiments().unwrap_or_default().into_iter().map(|record| record.name));
    let known: Vec<String> = gathered.runs.iter().map(|run| run.experiment.clone()).chain(planned).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let sources = sources.iter().map(|source| format!("`{}`", source.display())).collect::<Vec<_>>().join(", ");
    match select::check_experiments(wanted, &known, &sources) {
        Err(failure) => failure,
        Ok(()) => Failure::Usage(format!(
            "there is neither a plan nor a repetition in {sources}: name a results folder or one that lies in it"
        )),
    }
}

/// The plans, and how their repetitions stand.
struct Looked {
    survey: Survey,
    cluster_known: bool,
    /// Directories of repetitions that nobody wants any more.
    forgotten: HashSet<PathBuf>,
    /// How the jobs of repetitions ended that cannot say so themselves.
    ends: JobEnds,
}

fn look_at_plans(
    sources: &[PathBuf],
    named: bool,
    experiments: &[String],
    notes: &mut Vec<String>,
) -> Result<Option<Looked>, Failure> {
    let mut folders = Vec::new();
    for source in sources {
        folders.extend(plans::find(source)?);
    }
    if !named && folders.is_empty() {
        folders = plans::find_below(Path::new("."))?;
    }
    if folders.is_empty() {
        return Ok(None);
    }
    let found = match Sources::open(folders.clone()) {
        Ok(found) => Sources { only_what_counts: true, ..found },
        Err(error) => {
            notes.push(format!("{error}; so nothing is told of what was planned and never begun"));
            return Ok(None);
        }
    };
    let (queue, cluster_error) = match select::glance(&found.plans) {
        Ok(queue) => (Some(queue), None),
        Err(error) => (None, Some(error)),
    };
    let mut survey = Selection::of(experiments).survey(found, queue.as_deref())?;
    let ends = job_ends::look(&mut survey, queue.as_deref());
    some(&survey.unreadable_plans, "plan", notes);
    notes.extend(survey.unreadable_forgotten.iter().cloned());
    some(&survey.unreadable, "status", notes);
    let unsure = |seen: &Seen| is_open(seen.effective) || seen.effective == EffectiveState::Interrupted;
    if let Some(error) = cluster_error.as_ref().filter(|_| survey.reps.iter().any(unsure)) {
        notes.push(format!("Slurm cannot be asked, so what is queued or lost is not known: {error}"));
    }
    for (plan, count) in survey.unsubmitted.iter().filter_map(|(plan, count)| Some((survey.plans.get(*plan)?, *count)))
    {
        let verb = if count == 1 { "lies" } else { "lie" };
        let plan = shown(&plan.folder);
        notes.push(format!(
            "{} {verb} only in plan {plan}, which was never submitted, and not told here",
            counted(count, "repetition")
        ));
    }
    let forgotten = if survey.forgotten == 0 { HashSet::new() } else { forgotten(folders, &survey, experiments)? };
    if !forgotten.is_empty() {
        let (count, verb) = (forgotten.len(), if forgotten.len() == 1 { "is" } else { "are" });
        notes.push(format!("{} {verb} forgotten, and not told here", counted(count as u64, "repetition")));
    }
    Ok(Some(Looked { survey, cluster_known: cluster_error.is_none(), ends, forgotten }))
}

/// The directories of what is planned and does not count.
fn forgotten(folders: Vec<PathBuf>, survey: &Survey, experiments: &[String]) -> Result<HashSet<PathBuf>, Failure> {
    let all = unseen(Sources::open(folders)?)?;
    let counting: HashSet<PathBuf> = survey.reps.iter().map(|seen| survey.dir(seen)).collect();
    let wanted = Selection::of(experiments);
    let of = |seen: &&Seen| all.experiment(seen).is_some_and(|experiment| wanted.has(&experiment.name, "", seen.rep));
    let dirs = all.reps.iter().filter(of).map(|seen| all.dir(seen)).filter(|dir| !counting.contains(dir));
    // What was never begun has none.
    Ok(dirs.filter_map(|dir| store::canonical(&dir).ok()).collect())
}

/// Names a few of many problems.
fn some(problems: &[String], word: &str, notes: &mut Vec<String>) {
    notes.extend(problems.iter().take(NAMED).cloned());
    if let Some(more) = problems.len().checked_sub(NAMED).filter(|more| *more > 0) {
        notes.push(format!("and {more} more that cannot be read ({word})"));
    }
}
