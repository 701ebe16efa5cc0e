//! How every repetition of some plans stands, counted. Looks, and changes nothing.

use super::doubt::{in_doubt, local_plans};
use super::failure::Failure;
use super::here::shown;
use super::select::{self, Selection};
use crate::plan::record::RunRecord;
use crate::report::advice::{self, Requested, Usage};
use crate::report::failures::{self, Failed};
use crate::report::progress::{self, Estimate, Progress};
use crate::report::status::{Report, Row};
use crate::run::effective_state::EffectiveState;
use crate::slurm::Element;
use crate::store::survey::{Survey, id_of};
use jiff::Timestamp;
use std::collections::HashMap;
use std::path::PathBuf;

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Plan folders, or results folders, which stand for all their plans; those that lie here where none is named.
    pub sources: Vec<PathBuf>,
    /// Only these experiments.
    pub experiments: Vec<String>,
    /// Each run too.
    pub runs: bool,
    /// Why repetitions failed or were lost.
    pub failed: bool,
    /// What finished repetitions used, compared with what was requested.
    pub advice: bool,
}

/// Looks once. Slurm is asked once; where it cannot be, the answer says so.
///
/// # Errors
/// Where there is no plan that can be read, or nothing is called so.
pub fn status(options: &Options) -> Result<Report, Failure> {
    let mut sources = select::plans_here(&options.sources)?;
    let reps = Selection::of(&options.experiments);
    reps.check_plans(&sources.plans)?;
    let (queue, cluster_error) = match select::glance(&sources.plans) {
        Ok(queue) => (Some(queue), None),
        Err(error) => (None, Some(error)),
    };
    sources.only_what_counts = true;
    let queue = queue.as_deref();
    let now = Timestamp::now();
    let survey = reps.survey(sources, queue)?;
    let unsure = cluster_error.is_some() && {
        let local = local_plans(&survey);
        survey.reps.iter().any(|seen| in_doubt(seen, &local))
    };
    let known = !unsure;
    let experiments = Parts::count(&survey, now, |plan, run| {
        let experiment = survey.experiment_of(plan, run)?;
        Some((experiment.name.clone(), None))
    });
    let runs = options.runs.then(|| {
        Parts::count(&survey, now, |plan, run| {
            let experiment = survey.experiment_of(plan, run)?;
            Some((experiment.name.clone(), Some(run.run.clone())))
        })
    });
    Ok(Report {
        now,
        plans: survey.plans.iter().map(|plan| shown(&plan.folder)).collect(),
        unsure,
        cluster_error,
        total: total(&experiments, known),
        failed: options.failed.then(|| failures::group(failed(&survey, queue).into_iter())),
        advice: options.advice.then(|| usages(&survey).iter().map(advice::advise).collect()),
        waiting: waiting(&survey, queue),
        forgotten: survey.forgotten,
        unsubmitted: unsubmitted(&survey),
        unreadable_plans: survey.unreadable_plans,
        unreadable: survey.unreadable,
        experiments: experiments.rows(known),
        runs: runs.map(|runs| runs.rows(known)),
    })
}

fn unsubmitted(survey: &Survey) -> Vec<(String, u64)> {
    let plans = survey.unsubmitted.iter();
    plans.filter_map(|(plan, count)| Some((shown(&survey.plans.get(*plan)?.folder), *count))).collect()
}

/// Rows that are being counted, in the order they first occur.
struct Parts {
    rows: Vec<(String, String, Option<String>, Progress)>,
}

impl Parts {
    /// Counts every repetition into the part that `name` says its run belongs to.
    fn count(
        survey: &Survey,
        now: Timestamp,
        name: impl Fn(usize, &RunRecord) -> Option<(String, Option<String>)>,
    ) -> Self {
        let mut parts = Parts { rows: Vec::new() };
        let mut places: HashMap<(String, String, Option<String>), usize> = HashMap::new();
        let mut last: Option<((usize, u32), usize)> = None;
        for seen in &survey.reps {
            let place = match last {
                Some((run, place)) if run == (seen.plan, seen.run) => place,
                _ => {
                    let named = survey.run(seen).and_then(|run| name(seen.plan, run));
                    let Some((experiment, run)) = named else { continue };
                    let path = survey.plans.get(seen.plan).and_then(|plan| plan.folder.parent()?.parent());
                    let path = path.map(shown).unwrap_or_default();
                    *places.entry((path.clone(), experiment.clone(), run.clone())).or_insert_with(|| {
                        parts.rows.push((path, experiment, run, Progress::default()));
                        parts.rows.len() - 1
                    })
                }
            };
            last = Some(((seen.plan, seen.run), place));
            if let Some((.., progress)) = parts.rows.get_mut(place) {
                progress.add(seen.effective, seen.status.as_deref(), now);
            }
        }
        parts
    }

    fn rows(self, cluster_known: bool) -> Vec<Row> {
        let row = |(path, experiment, run, progress)| {
            let estimate = progress::estimate([&progress].into_iter(), cluster_known);
            Row { path, experiment, run, progress, estimate }
        };
        self.rows.into_iter().map(row).collect()
    }
}

fn total(parts: &Parts, cluster_known: bool) -> Row {
    let mut progress = Progress::default();
    parts.rows.iter().for_each(|(.., part)| progress.merge(part));
    let estimate: Estimate = progress::estimate(parts.rows.iter().map(|(.., part)| part), cluster_known);
    let mut paths: Vec<&String> = parts.rows.iter().map(|(path, ..)| path).collect();
    paths.dedup();
    let path = if let [only] = paths.as_slice() { (*only).clone() } else { String::new() };
    Row { path, experiment: "all".to_owned(), run: None, progress, estimate }
}

/// What crashed, timed out or was lost, and why.
fn failed(survey: &Survey, queue: Option<&[Element]>) -> Vec<Failed> {
    let words: HashMap<_, _> = queue.unwrap_or_default().iter().map(|e| ((e.job, e.index), e.word.as_str())).collect();
    let failed = survey.reps.iter().filter(|seen| {
        matches!(seen.effective, EffectiveState::Crashed | EffectiveState::TimedOut | EffectiveState::Lost)
    });
    let failed = failed.map(|seen| {
        let status = seen.status.as_deref();
        let ids = status.and_then(|status| status.slurm.as_ref());
        let word = ids.and_then(|ids| words.get(&id_of(ids)).copied());
        Failed {
            effective: seen.effective,
            text: failures::reason(seen.effective, status, word),
            dir: shown(&survey.dir(seen)),
            run: survey.run(seen).map(|run| run.run.clone()).unwrap_or_default(),
        }
    });
    failed.collect()
}

/// What finished repetitions used, by experiment. Of several plans, the last one's request stands.
pub(super) fn usages(survey: &Survey) -> Vec<Usage> {
    let mut usages: Vec<Usage> = Vec::new();
    let mut places: HashMap<(String, String), usize> = HashMap::new();
    for seen in &survey.reps {
        let Some(experiment) = survey.experiment(seen) else { continue };
        let path = survey.plans.get(seen.plan).and_then(|plan| plan.folder.parent()?.parent());
        let path = path.map(shown).unwrap_or_default();
        let place = *places.entry((path.clone(), experiment.name.clone())).or_insert_with(|| {
            usages.push(Usage { path, experiment: experiment.name.clone(), ..Usage::default() });
            usages.len() - 1
        });
        let Some(usage) = usages.get_mut(place) else { continue };
        usage.requested = Requested::of(&experiment.slurm, experiment.reps_per_job);
        usage.reps_in_parallel = experiment.reps_in_parallel;
        usage.cpus_per_rep = experiment.cpus_per_rep;
        usage.total += 1;
        let Some(status) = seen.status.as_deref().filter(|status| status.state.is_finished()) else { continue };
        usage.max_rss = usage.max_rss.max(status.max_rss);
        if let Some(seconds) = status.seconds {
            usage.seconds.push(seconds);
            if let Some(cpu) = status.cpu_seconds {
                usage.cpu = (usage.cpu.0 + cpu, usage.cpu.1 + seconds);
            }
        }
    }
    usages
}

/// Slurm's reasons why elements wait, the most frequent first.
fn waiting(survey: &Survey, queue: Option<&[Element]>) -> Vec<(String, u64)> {
    let Some(queue) = queue else { return Vec::new() };
    let waiting =
        survey.reps.iter().filter(|seen| seen.effective == EffectiveState::Queued).filter_map(|seen| seen.element);
    let mut elements: Vec<usize> = waiting.collect();
    elements.sort_unstable();
    elements.dedup();
    let mut reasons: HashMap<&str, u64> = HashMap::new();
    for element in elements.into_iter().filter_map(|place| queue.get(place)).filter(|e| !e.reason.is_empty()) {
        *reasons.entry(&element.reason).or_default() += 1;
    }
    let mut reasons: Vec<_> = reasons.into_iter().map(|(why, count)| (why.to_owned(), count)).collect();
    reasons.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    reasons
}
