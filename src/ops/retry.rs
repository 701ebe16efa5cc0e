//! One more plan, of exactly what earlier ones left undone.

mod code;
mod config;

use super::doubt::{in_doubt, local_plans};
use super::draft::{Draft, Frozen, Mode};
use super::failure::Failure;
use super::freeze::array_size_for;
use super::here::hostname;
use super::job_ends;
use super::notice::{Notice, Tell};
use super::program::Program;
use super::select::{self, Selection};
use super::snapshot::Code;
use super::trust;
use crate::config::scale::{self, Factor};
use crate::config::{Slurm, SlurmChange};
use crate::plan::layout::plan as names;
use crate::plan::record::{Configured, ExperimentRecord};
use crate::plan::retry::{self, LeftOut, MissingRep, Original, Picked, Wanted};
use crate::plan::template::Template;
use crate::plan::{Plan, PlannedExperiment, check};
use crate::report::human::counted;
use crate::run::effective_state::EffectiveState;
use crate::slurm::{self, Element};
use crate::store;
use crate::store::plan::Plan as StoredPlan;
use crate::store::plans::copies;
use crate::store::survey::{self, Seen, Sources, Survey};
use config::Now;
use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

/// What is wanted.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Options {
    /// Plan folders, or results folders, which stand for all their plans.
    pub sources: Vec<PathBuf>,
    /// Which of their repetitions.
    pub select: Selection,
    /// Only what stands so; all that is missing where nothing is said.
    pub only: Vec<EffectiveState>,
    /// Other values of keys of SLURM, as `KEY=VALUE`.
    pub set_slurm: Vec<String>,
    /// Other memory, by the option with which each experiment asks for it.
    pub memory: Option<String>,
    /// So much of the memory that the last attempt had.
    pub memory_times: Option<Factor>,
    /// So much of the time that it had.
    pub time_times: Option<Factor>,
    /// What is run is that of this configuration.
    pub config: Option<PathBuf>,
    /// Copies of the code are made anew.
    pub fresh_code: bool,
    /// What crashed or timed out is offered what it saved, as what was interrupted is.
    pub resume: bool,
    /// Repetitions per job, instead of the configured number.
    pub reps_per_job: Option<NonZeroU32>,
    /// If Slurm cannot be asked, assume that nothing of these plans is queued or running.
    pub assume_dead: bool,
    /// Only look what would be written.
    pub dry_run: bool,
}

/// What became of a retry.
#[derive(Debug)]
pub struct Retried {
    /// What is run again, and what is not.
    pub picked: Picked,
    /// The new plan; `None` where nothing is missing.
    pub planned: Option<(Plan, Frozen)>,
    /// Plans that cannot be read, and why.
    pub unreadable_plans: Vec<String>,
    /// Why what is forgotten cannot be read.
    pub unreadable_forgotten: Vec<String>,
    /// States that cannot be read, and why.
    pub unreadable: Vec<String>,
}

/// Plans again exactly what earlier plans left undone, as it was frozen.
///
/// # Errors
/// Where nobody can tell what is under way, the plans do not go together, or the new one cannot be written.
pub fn retry(options: &Options, program: &Program, tell: Tell<'_>) -> Result<Retried, Failure> {
    let mut sources = select::plans(&options.sources)?;
    sources.only_what_counts = true;
    trust::check(&sources.plans)?;
    options.select.check_plans(&sources.plans)?;
    let change = SlurmChange::parse(&options.set_slurm, &|path| store::read(path).is_ok())
        .and_then(|change| change.with_memory(options.memory.as_deref()))
        .map_err(Failure::Config)?;
    let (root, folder) = home(&sources.plans)?;
    let queue = select::whole_queue(&sources.plans);
    let mut survey = look(options, sources, &queue, tell)?;
    // To all others it makes no difference.
    if options.only.iter().any(|state| matches!(state, EffectiveState::JobFailed | EffectiveState::Pending)) {
        job_ends::look(&mut survey, queue.as_deref().ok());
    }
    let mut experiments = survey.reps.iter().filter_map(|seen| survey.experiment(seen));
    if !program.command_optional()
        && experiments.any(|experiment| experiment.command.is_none() && experiment.python.is_none())
    {
        return Err(Failure::Usage(
            "these plans run the experiment of the program that made them: use that program's `retry`".to_owned(),
        ));
    }
    let picked = pick(options, &survey);
    let now = options.config.as_deref().map(|file| Now::read(file, tell)).transpose()?;
    let planned = if picked.places.is_empty() {
        None
    } else {
        Some(freeze(options, &survey, (&change, now.as_ref()), (root, folder, program.own_args.clone()), &picked)?)
    };
    let Survey { unreadable_plans, unreadable_forgotten, unreadable, .. } = survey;
    Ok(Retried { picked, planned, unreadable_plans, unreadable_forgotten, unreadable })
}

/// Where relative paths start, and the folder of plans: one each for all plans.
fn home(plans: &[StoredPlan]) -> Result<(PathBuf, PathBuf), Failure> {
    let Some(last) = plans.last() else { return Err(Failure::Usage("no plan was named".to_owned())) };
    let parent = |plan: &StoredPlan| plan.folder.parent().map(Path::to_owned).unwrap_or_default();
    if let Some(other) = plans.iter().find(|plan| parent(plan) != parent(last) || plan.root != last.root) {
        let (one, two) = (other.folder.display(), last.folder.display());
        return Err(Failure::Usage(if parent(other) == parent(last) {
            let (here, there) = (other.root.display(), last.root.display());
            format!(
                "plans `{one}` and `{two}` were made in different working directories, `{here}` and `{there}`, and a plan has \
                 only one: retry each by itself"
            )
        } else {
            format!("plans `{one}` and `{two}` are in different folders: retry them one by one")
        }));
    }
    // As it was written at plan time, where that still leads there: it may go through a symbolic link.
    let written = last.root.join(Path::new(last.name()).parent().unwrap_or(Path::new("")));
    let same = store::canonical(&written).is_ok_and(|found| found == parent(last));
    Ok((last.root.clone(), if same { written } else { parent(last) }))
}

/// Looks at everything; refuses where nobody can tell what is under way.
fn look(
    options: &Options,
    mut sources: Sources,
    queue: &Result<Vec<Element>, slurm::SlurmError>,
    tell: Tell<'_>,
) -> Result<Survey, Failure> {
    let error = match queue {
        Ok(queue) => {
            // Another plan that lies beside them may have some of their repetitions under way.
            sources.beside = select::under_way_beside(&sources.plans, queue)?;
            return Ok(survey::survey(sources, Some(queue), &hostname())?);
        }
        Err(error) => error,
    };
    if options.assume_dead {
        tell(Notice::Warning(format!(
            "Slurm could not be asked ({error}); anything of these plans that is queued or running is assumed dead"
        )));
        let mut survey = survey::survey(sources, Some(&[]), &hostname())?;
        for seen in &mut survey.reps {
            if seen.effective == EffectiveState::Running && !runs_here(seen) {
                seen.effective = EffectiveState::Lost;
            }
        }
        return Ok(survey);
    }
    let survey = survey::survey(sources, None, &hostname())?;
    let local = local_plans(&survey);
    let in_doubt = |seen: &&Seen| in_doubt(seen, &local) && chosen(options, &survey, seen);
    let doubts = survey.reps.iter().filter(in_doubt).count() as u64;
    if doubts == 0 {
        if !matches!(error, slurm::SlurmError::Missing(_) | slurm::SlurmError::NoCluster(_)) {
            tell(Notice::Note(format!("note: Slurm could not be asked ({error}); nothing here depends on it")));
        }
        return Ok(survey);
    }
    Err(Failure::Environment(format!(
        "Slurm could not be asked ({error}), so it is unknown whether {} still queued, running or lost; \
         try again where `squeue` works, or say `--assume-dead` if nothing of these plans is under way any more",
        if doubts == 1 { "1 repetition is".to_owned() } else { format!("{} are", counted(doubts, "repetition")) }
    )))
}

/// Whether a repetition that runs does so on this machine, without Slurm: its lock says so.
fn runs_here(seen: &Seen) -> bool {
    seen.status.as_ref().is_some_and(|status| status.slurm.is_none() && status.host == hostname())
}

fn chosen(options: &Options, survey: &Survey, seen: &Seen) -> bool {
    let names = survey.experiment(seen).zip(survey.run(seen));
    names.is_some_and(|(experiment, run)| options.select.has(&experiment.name, &run.run, seen.rep))
}

fn pick(options: &Options, survey: &Survey) -> Picked {
    let mut picked = Picked::default();
    for seen in &survey.reps {
        let place = MissingRep { plan: seen.plan, run: seen.run, rep: seen.rep };
        let other_params = seen
            .status
            .as_ref()
            .zip(survey.run(seen))
            .is_some_and(|(status, run)| !run.params().include(&status.params_sha256));
        let wanted = match () {
            () if !chosen(options, survey, seen) => Wanted::No(LeftOut::NotChosen),
            () if seen.effective.is_finished() && other_params => Wanted::No(LeftOut::OtherParams),
            () => retry::wanted(seen.effective, &options.only),
        };
        picked.add(place, seen.effective, wanted);
    }
    picked
}

/// Freezes what was picked.
fn freeze(
    options: &Options,
    survey: &Survey,
    (change, now): (&SlurmChange, Option<&Now>),
    (root, plans, own_args): (PathBuf, PathBuf, Vec<String>),
    picked: &Picked,
) -> Result<(Plan, Frozen), Failure> {
    let places = picked.places.as_slice();
    // Only what something is taken from.
    let used = |plan: usize| places.iter().any(|place| place.plan == plan);
    let mut templates: Vec<Template> = Vec::new();
    let mut originals = Vec::new();
    let mut notes = Vec::new();
    let mut modes = Vec::new();
    let mut checked = HashSet::new();
    for (index, (plan, value)) in survey.plans.iter().zip(&survey.values).enumerate() {
        let records = value.experiments.iter().map(|experiment| &experiment.record);
        let mut experiments: Vec<_> = records.cloned().collect();
        let mut settings = HashMap::new();
        if used(index) {
            let needed = experiments_of(value, index, places);
            for (line, experiment) in (0..).zip(&mut experiments) {
                let code = plan.code_of(line)?;
                if needed.contains(&line) && !options.fresh_code {
                    notes.extend(match &code {
                        Some(code) => code::note(plan, code)?,
                        None => code::note_of_tree(plan),
                    });
                }
                modes.extend(code.as_ref().map(|code| code.mode));
                experiment.code = code.filter(|_| !options.fresh_code);
                experiment.resume = options.resume;
                if let Some(now) = now.filter(|_| needed.contains(&line)) {
                    settings.insert(line, now.renew(experiment)?);
                }
                experiment.overwrites_before = plan.overwrites_before(experiment).map(str::to_owned);
                templates.extend(attempt(options, plan, experiment, change)?);
            }
        }
        if let (Some(now), true) = (now, used(index)) {
            for place in places.iter().filter(|place| place.plan == index) {
                let Some(run) = value.runs.get(place.run as usize) else { continue };
                let Some(experiment) = experiments.get(run.record.experiment as usize) else { continue };
                if checked.insert((index, place.run)) {
                    now.check(&root, &experiment.name, &run.record, &run.params)?;
                }
            }
        }
        originals.push(Original { experiments, plan: value, settings });
    }
    let plan = Plan { finished: picked.finished(), ..retry::build(&originals, places, array_size_for) };
    if !change.is_empty() || options.memory_times.is_some() || options.time_times.is_some() {
        for experiment in &plan.experiments {
            check::fits(&experiment.record).map_err(Failure::Usage)?;
        }
    }
    let templates = used_templates(templates, &plan);
    let mut retry_of: Vec<String> = Vec::new();
    let mut sources = Vec::new();
    let from: Vec<_> =
        survey.plans.iter().enumerate().filter(|(index, _)| used(*index)).map(|(_, plan)| plan).collect();
    for plan in &from {
        retry_of.push(plan.name().to_owned());
        let number = plan.folder.file_name().unwrap_or_default().to_string_lossy();
        for (name, text) in copies(&plan.folder, names::SOURCES)? {
            let name = if from.len() == 1 { name } else { format!("{number}_{name}") };
            sources.push((name, text));
        }
    }
    let mut config = from.last().map(|plan| plan.manifest.config.clone()).unwrap_or_default();
    if let Some(now) = now {
        (config, sources) = (now.reading.config.to_string_lossy().into_owned(), now.sources());
    }
    let code = if options.fresh_code {
        let code = Code::afresh(&plan, &root, &plans, modes.first().copied())?;
        if !code.is_copied() {
            notes.push("code: these experiments keep no copy of it, so jobs run the tree as it is then".to_owned());
        }
        code
    } else {
        Code::of_earlier(&root)
    };
    let (overwrite, above) = (false, 0);
    let draft = Draft { root, plans, config, overwrite, above, retry_of, sources, templates, code, own_args };
    let mut frozen = draft.write(&plan, if options.dry_run { Mode::DryRun } else { Mode::Write })?;
    notes.dedup();
    frozen.notes.splice(0..0, notes);
    Ok((plan, frozen))
}

/// The lines of a plan's experiments of which something is run again.
fn experiments_of(value: &Plan, plan: usize, places: &[MissingRep]) -> HashSet<u32> {
    let own = places.iter().filter(|place| place.plan == plan);
    own.filter_map(|place| value.runs.get(place.run as usize)).map(|run| run.record.experiment).collect()
}

/// Makes an experiment's record that of one more attempt; returns the templates it names.
fn attempt(
    options: &Options,
    plan: &StoredPlan,
    experiment: &mut ExperimentRecord,
    change: &SlurmChange,
) -> Result<Vec<Template>, Failure> {
    let mut configured = experiment.configured();
    let frozen = frozen_template(plan, &configured)?;
    configured.template = frozen.as_ref().map(Template::copy);
    let had = std::mem::replace(&mut experiment.slurm, configured.slurm.clone());
    change.apply(&mut experiment.slurm);
    for (factor, scale, option) in [
        (options.memory_times, scale::memory as fn(&mut Slurm, &Slurm, Factor) -> Result<(), String>, "mem"),
        (options.time_times, scale::time, "time"),
    ] {
        let Some(factor) = factor else { continue };
        scale(&mut experiment.slurm, &had, factor).map_err(|why| {
            let name = &experiment.name;
            Failure::Usage(format!(
                "experiment `{name}` {why}, so there is nothing for `--{option} {factor}` to go by: give an amount"
            ))
        })?;
    }
    let template = match &experiment.slurm.path_to_template {
        Some(path) if change.sets_template() => Some(read_template(path, path)?),
        Some(_) => frozen.clone(),
        None => None,
    };
    experiment.template = template.as_ref().map(Template::copy);
    experiment.reps_per_job = options.reps_per_job.map_or(configured.reps_per_job, NonZeroU32::get);
    let changed = experiment.slurm != configured.slurm
        || experiment.template != configured.template
        || experiment.reps_per_job != configured.reps_per_job;
    experiment.configured = changed.then(|| Box::new(configured));
    Ok(frozen.into_iter().chain(template).collect())
}

/// The template that was configured: the plan's own copy.
fn frozen_template(plan: &StoredPlan, configured: &Configured) -> Result<Option<Template>, Failure> {
    let Some(path) = &configured.slurm.path_to_template else { return Ok(None) };
    let place = match &configured.template {
        Some(copy) => plan.folder.join(copy),
        None => plan.root.join(path),
    };
    let template = read_template(path, &place)?;
    // Its name holds the hash of its text.
    if configured.template.as_ref().is_some_and(|copy| template.copy() != *copy) {
        return Err(store::StoreError::damaged(&place, "it is not the template that was planned").into());
    }
    Ok(Some(template))
}

fn read_template(path: &Path, place: &Path) -> Result<Template, Failure> {
    Ok(Template { path: path.to_owned(), text: String::from_utf8_lossy(&store::read(place)?).into_owned() })
}

/// Each once, and only those that the new plan names.
fn used_templates(templates: Vec<Template>, plan: &Plan) -> Vec<Template> {
    let named: HashSet<&str> = plan
        .experiments
        .iter()
        .flat_map(|PlannedExperiment { record, .. }| {
            let configured = record.configured.as_ref().and_then(|configured| configured.template.as_deref());
            record.template.as_deref().into_iter().chain(configured)
        })
        .collect();
    let mut seen = HashSet::new();
    templates.into_iter().filter(|template| named.contains(&*template.copy()) && seen.insert(template.copy())).collect()
}
