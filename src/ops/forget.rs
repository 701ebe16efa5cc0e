//! Taking runs that are no longer wanted out of what `status` and `retry` count. Their files stay.

use super::failure::Failure;
use super::freeze;
use super::here::shown;
use super::notice::{Notice, Tell, unreadable, unreadable_forgotten};
use super::program;
use super::reading::Reading;
use super::select::{self, Selection};
use crate::report::human::counted;
use crate::run::effective_state::EffectiveState;
use crate::store::forgotten::{Entry, Forgotten};
use crate::store::plan::Plan;
use crate::store::plans;
use crate::store::submissions::{self, Turn};
use crate::store::survey::{Seen, Survey};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Plans' folders, or results folders with all their plans.
    pub sources: Vec<PathBuf>,
    /// Which of their repetitions.
    pub select: Selection,
    /// Of those only what this configuration does not have (any more).
    pub not_in: Option<Reading>,
    /// Bring back what is forgotten instead.
    pub undo: bool,
    /// Only look what would be forgotten.
    pub dry_run: bool,
}

/// What was forgotten, or brought back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The runs' folders.
    pub runs: Vec<String>,
    /// How many repetitions of theirs.
    pub repetitions: u64,
}

/// Forgets what is chosen, all of it or nothing.
///
/// # Errors
/// Where nothing says what, some of it is under way, or it cannot be noted.
pub fn forget(options: &Options, tell: Tell<'_>) -> Result<Outcome, Failure> {
    let sources = select::plans(&options.sources)?;
    options.select.check_plans(&sources.plans)?;
    if options.undo {
        return undo(options, &sources.plans.iter().map(|plan| plan.folder.clone()).collect::<Vec<_>>());
    }
    if options.select.all() && options.not_in.is_none() {
        return Err(Failure::Usage(
            "say what is no longer wanted: `-e EXPERIMENT`, `-r RUN`, `--rep N`, or `--not-in CONFIG` for all that a \
             configuration does not have"
                .to_owned(),
        ));
    }
    let configured = options.not_in.as_ref().map(|reading| configured(reading, tell)).transpose()?;
    let queue = match select::glance(&sources.plans) {
        Ok(queue) => Some(queue),
        Err(error) => {
            let submitted =
                |plan: &Plan| !submissions::read(&plan.folder).is_ok_and(|known| known.submissions.is_empty());
            if sources.plans.iter().any(submitted) {
                tell(Notice::Note(format!("note: Slurm cannot be asked, so what is queued is not known: {error}")));
            }
            None
        }
    };
    let mut sources = sources;
    sources.only_what_counts = true;
    // What was never submitted is left out of what counts as it is.
    let survey = options.select.survey(sources, queue.as_deref())?;
    unreadable(&survey.unreadable_plans, &survey.unreadable, tell);
    unreadable_forgotten(&survey.unreadable_forgotten, tell);
    let wanted = |seen: &&Seen| {
        let names = survey.experiment(seen).zip(survey.run(seen));
        names.is_some_and(|(experiment, run)| {
            let known = configured.as_ref().and_then(|known| known.get(&(experiment.name.clone(), run.run.clone())));
            configured.is_none() || known.is_none_or(|repetitions| seen.rep >= *repetitions)
        })
    };
    let chosen: Vec<&Seen> = survey.reps.iter().filter(wanted).collect();
    let under_way: Vec<_> = chosen
        .iter()
        .filter(|seen| matches!(seen.effective, EffectiveState::Running | EffectiveState::Queued))
        .collect();
    if let Some(first) = under_way.first() {
        return Err(Failure::Usage(format!(
            "{} of that {} queued or running, such as `{}`: `{} cancel` takes them off the cluster first; nothing was forgotten",
            counted(under_way.len() as u64, "repetition"),
            if under_way.len() == 1 { "is" } else { "are" },
            shown(&survey.dir(first)),
            program::name()
        )));
    }
    let outcome = Outcome {
        runs: chosen.iter().map(|seen| run_dir(&survey, seen)).collect::<BTreeSet<_>>().into_iter().collect(),
        repetitions: chosen.len() as u64,
    };
    if !options.dry_run {
        for (plans, entries) in entries(&survey, &chosen)? {
            let turn = Turn::take(&plans, || {
                tell(Notice::Note(format!("waiting for another process that changes `{}`", shown(&plans))));
            })?;
            let mut forgotten = Forgotten::read(&turn.plans)?;
            forgotten.add(entries);
            forgotten.save(&turn)?;
        }
    }
    Ok(outcome)
}

/// How many repetitions each run of a configuration has.
fn configured(reading: &Reading, tell: Tell<'_>) -> Result<HashMap<(String, String), u32>, Failure> {
    let config = freeze::load(reading, freeze::Purpose::LOOK, tell)?;
    let runs = freeze::resolve(&config, reading, &freeze::working_directory()?, |_| Ok(()))?.runs;
    let of = |run: &crate::plan::PlannedRun| {
        let experiment = config.experiments.get(run.record.experiment as usize)?;
        Some(((experiment.name.clone(), run.record.run.clone()), experiment.repetitions))
    };
    Ok(runs.iter().filter_map(of).collect())
}

fn run_dir(survey: &Survey, seen: &Seen) -> String {
    let dir = survey.plans.get(seen.plan).zip(survey.run(seen)).map(|(plan, run)| plan.root.join(run.place()));
    dir.map(|dir| shown(&dir)).unwrap_or_default()
}

/// What is to be noted in each folder of plans.
fn entries(survey: &Survey, chosen: &[&Seen]) -> Result<BTreeMap<PathBuf, Vec<Entry>>, Failure> {
    let mut runs: BTreeMap<(PathBuf, String, String), Vec<u32>> = BTreeMap::new();
    for seen in chosen {
        let (Some(plan), Some(experiment), Some(run)) =
            (survey.plans.get(seen.plan), survey.experiment(seen), survey.run(seen))
        else {
            continue;
        };
        let folder = plan.folder.parent().map(Path::to_owned).unwrap_or_default();
        runs.entry((folder, experiment.name.clone(), run.run.clone())).or_default().push(seen.rep);
    }
    let mut entries: BTreeMap<PathBuf, Vec<Entry>> = BTreeMap::new();
    for ((folder, experiment, run), mut reps) in runs {
        reps.sort_unstable();
        let number = |plan: PathBuf| plan.file_name()?.to_str()?.parse::<u32>().ok();
        let through = plans::find(&folder)?.into_iter().filter_map(number).max().unwrap_or(u32::MAX);
        entries.entry(folder).or_default().push(Entry { experiment, run, reps, through });
    }
    Ok(entries)
}

fn undo(options: &Options, plans: &[PathBuf]) -> Result<Outcome, Failure> {
    let folders: BTreeSet<&Path> = plans.iter().filter_map(|plan| plan.parent()).collect();
    let mut outcome = Outcome::default();
    for folder in folders {
        let turn = Turn::take(folder, || {})?;
        let mut forgotten = Forgotten::read(&turn.plans)?;
        let names = std::cell::RefCell::new(BTreeSet::new());
        outcome.repetitions += forgotten.remember(|entry, rep| {
            let wanted = options.select.has(&entry.experiment, &entry.run, rep);
            if wanted {
                names.borrow_mut().insert(format!("{}/{}", entry.experiment, entry.run));
            }
            wanted
        });
        let results = folder.parent().unwrap_or(folder);
        outcome.runs.extend(names.into_inner().into_iter().map(|name| shown(&results.join(name))));
        if !options.dry_run {
            forgotten.save(&turn)?;
        }
    }
    Ok(outcome)
}
