//! How every repetition of some plans stands, counted. Looks, and changes nothing.

use super::doubt::{in_doubt, local_plans};
use super::failure::Failure;
use super::here::shown;
use super::job_ends::{self, JobEnds};
use super::program;
use super::select::{self, Selection};
use crate::plan::layout::rep as names;
use crate::plan::record::RunRecord;
use crate::report::advice::{self, Requested, Usage};
use crate::report::common_cause;
use crate::report::failures::{self, Failed, Group};
use crate::report::next::{self, Known, Step};
use crate::report::progress::{self, Estimate, Progress};
use crate::report::reps_table::{self, RepRow};
use crate::report::status::{Report, Row};
use crate::run::effective_state::EffectiveState;
use crate::run::job_end::JobEnd;
use crate::run::quote;
use crate::run::status::StoppedBy;
use crate::slurm::Element;
use crate::store::survey::{Seen, Survey, id_of};
use crate::store::{self, metrics};
use crate::value::{Map, Value};
use jiff::Timestamp;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What is wanted.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each asks for a part of the answer")]
pub struct Options {
    /// Plan folders, or results folders, which stand for all their plans; those that lie here where none is named.
    pub sources: Vec<PathBuf>,
    /// Only these experiments.
    pub experiments: Vec<String>,
    /// Each repetition too.
    pub reps: bool,
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
    let mut survey = reps.survey(sources, queue)?;
    let ends = job_ends::look(&mut survey, queue);
    let survey = survey;
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
    let total = total(&experiments, known);
    let next = next(options, &survey, &ends, &total, unsure);
    Ok(Report {
        now,
        plans: survey.plans.iter().map(|plan| shown(&plan.folder)).collect(),
        unsure,
        cluster_error,
        total,
        failed: options.failed.then(|| failed(&survey, &ends)),
        reps: options.reps.then(|| rep_rows(&survey, &ends, queue, now)),
        interrupted: interrupted(&survey),
        next,
        advice: options.advice.then(|| usages(&survey).iter().map(advice::advise).collect()),
        waiting: waiting(&survey, queue),
        forgotten: survey.forgotten,
        unsubmitted: unsubmitted(&survey),
        unreadable_forgotten: survey.unreadable_forgotten,
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

/// What went wrong, and why, like ones together; and what those have in common.
fn failed(survey: &Survey, ends: &JobEnds) -> Vec<Group> {
    let failed: Vec<&Seen> = survey.reps.iter().filter(|seen| seen.effective.is_failed()).collect();
    let mut groups = failures::group(failed.iter().map(|seen| {
        let end = ends.of(seen);
        failure(survey, seen, end, failures::reason(seen.effective, seen.status.as_deref(), end))
    }));
    let members: Vec<_> = failed.iter().map(|seen| Some((*seen, ends.of(seen)))).collect();
    find_common(survey, &mut groups, &members);
    groups
}

/// Finds what failures have in common that were grouped elsewhere; `dirs` are the directories of all that were, in their order.
pub(super) fn add_common(survey: &Survey, groups: &mut [Group], dirs: &[&Path]) {
    let places: HashMap<PathBuf, &Seen> = survey.reps.iter().map(|seen| (survey.dir(seen), seen)).collect();
    let members: Vec<_> = dirs.iter().map(|dir| places.get(*dir).map(|seen| (*seen, None))).collect();
    find_common(survey, groups, &members);
}

/// The same, where each of the failures is known with the end of its job.
fn find_common(survey: &Survey, groups: &mut [Group], failed: &[Option<(&Seen, Option<&JobEnd>)>]) {
    let known = Facts::of(survey);
    let well: Vec<_> =
        survey.reps.iter().filter(|seen| seen.effective.is_finished()).map(|seen| known.facts(seen, None)).collect();
    for group in groups.iter_mut().filter(|group| group.count > 1) {
        let members = group.members.iter().filter_map(|place| failed.get(*place));
        let bad: Vec<_> = members.flatten().map(|(seen, end)| known.facts(seen, *end)).collect();
        let common = common_cause::common(&bad.iter().collect::<Vec<_>>(), &well.iter().collect::<Vec<_>>());
        group.common = common.iter().map(ToString::to_string).collect();
    }
}

/// A repetition that went wrong, with what it says.
pub fn failure(survey: &Survey, seen: &Seen, end: Option<&JobEnd>, text: String) -> Failed {
    let dir = survey.dir(seen);
    let job =
        end.filter(|_| seen.effective == EffectiveState::JobFailed).map(|end| end.log.clone().unwrap_or_default());
    Failed {
        effective: seen.effective,
        text,
        log: shown(&job.unwrap_or_else(|| dir.join(names::ERR))),
        dir: shown(&dir),
        run: survey.run(seen).map(|run| run.run.clone()).unwrap_or_default(),
    }
}

/// What can be told of repetitions: parameters, where they ran.
struct Facts(HashMap<(usize, u32), common_cause::Facts>);

impl Facts {
    fn of(survey: &Survey) -> Self {
        let mut known = HashMap::new();
        for (plan, value) in survey.values.iter().enumerate() {
            for (line, run) in (0..).zip(&value.runs) {
                let mut facts = Vec::new();
                if let Ok(Value::Map(params)) = Value::from_json(&run.params) {
                    leaves(&params, &mut Vec::new(), &mut facts);
                }
                known.insert((plan, line), facts);
            }
        }
        Facts(known)
    }

    fn facts(&self, seen: &Seen, end: Option<&JobEnd>) -> common_cause::Facts {
        let mut facts = self.0.get(&(seen.plan, seen.run)).cloned().unwrap_or_default();
        let node = end.map(|end| end.nodes.clone()).filter(|nodes| !nodes.is_empty());
        let node = node.or_else(|| Some(seen.status.as_ref()?.host.clone()));
        facts.extend(node.map(|node| ("node".to_owned(), node)));
        facts.push(("rep".to_owned(), seen.rep.to_string()));
        facts
    }
}

fn leaves(map: &Map, path: &mut Vec<String>, facts: &mut common_cause::Facts) {
    for (key, value) in map {
        path.push(key.clone());
        match value {
            Value::Map(inner) => leaves(inner, path, facts),
            Value::List(_) => facts.push((path.join("."), value.to_json())),
            scalar => facts.push((path.join("."), scalar.python_str())),
        }
        path.pop();
    }
}

/// A line for each repetition.
fn rep_rows(survey: &Survey, ends: &JobEnds, queue: Option<&[Element]>, now: Timestamp) -> Vec<RepRow> {
    let row = |seen: &Seen| {
        let (experiment, run) = survey.experiment(seen).zip(survey.run(seen))?;
        let (dir, status, end) = (survey.dir(seen), seen.status.as_deref(), ends.of(seen));
        let path = survey.plans.get(seen.plan).and_then(|plan| plan.folder.parent()?.parent());
        let name =
            |(job, index): (u64, Option<u64>)| index.map_or_else(|| job.to_string(), |index| format!("{job}_{index}"));
        let runs = seen.effective == EffectiveState::Running;
        // What waits, waits in another element than it ran in.
        let waits = seen
            .element
            .and_then(|place| queue?.get(place))
            .filter(|_| seen.effective == EffectiveState::Queued && !survey.is_shared(seen));
        let element = waits.map(|element| name((element.job, element.index)));
        let ids = status.and_then(|status| status.slurm.as_ref());
        let elapsed = || Some(now.duration_since(status?.started.parse().ok()?).as_secs_f64().max(0.0));
        let own = dir.join(names::OUT);
        let log = end.and_then(|end| end.log.clone()).filter(|_| seen.effective == EffectiveState::JobFailed);
        let log = log.or_else(|| store::exists(&own).then_some(own));
        Some(RepRow {
            path: path.map(shown).unwrap_or_default(),
            experiment: experiment.name.clone(),
            run: run.run.clone(),
            rep: seen.rep,
            effective: seen.effective,
            attempt: status.map(|status| status.attempt),
            job: element.or_else(|| ids.map(|ids| name(id_of(ids)))).or_else(|| end.map(|end| end.id.clone())),
            node: status.map(|status| status.host.clone()).or_else(|| end.map(|end| end.nodes.clone())),
            seconds: if runs { elapsed() } else { status.and_then(|status| status.seconds) },
            log: log.map(|log| shown(&log)),
            newest: runs.then(|| newest(&dir, experiment.iterations)).flatten(),
            stopped_by: stopped_by(seen).map(str::to_owned),
        })
    };
    survey.reps.iter().filter_map(row).collect()
}

/// The newest metrics of a repetition that runs; what is half written is not told.
fn newest(dir: &Path, iterations: Option<u64>) -> Option<String> {
    let tail = metrics::newest_line(dir)?;
    let Ok(Value::Map(line)) = Value::from_json(&tail) else { return None };
    Some(reps_table::newest(&line, iterations)).filter(|text| !text.is_empty())
}

/// Why a repetition was interrupted that stands so.
fn stopped_by(seen: &Seen) -> Option<&'static str> {
    let status = seen.status.as_deref().filter(|_| seen.effective == EffectiveState::Interrupted)?;
    Some(status.stopped_by.unwrap_or(StoppedBy::Other).words())
}

/// Why repetitions were interrupted, the most frequent first.
fn interrupted(survey: &Survey) -> Vec<(String, u64)> {
    let mut counts: HashMap<&str, u64> = HashMap::new();
    for why in survey.reps.iter().filter_map(stopped_by) {
        *counts.entry(why).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().map(|(why, count)| (why.to_owned(), count)).collect();
    counts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts
}

/// What to do next.
fn next(options: &Options, survey: &Survey, ends: &JobEnds, total: &Row, unsure: bool) -> Vec<Step> {
    let word = |path: &Path| quote::word(&path.to_string_lossy()).unwrap_or_default();
    let mut paths: Vec<String> = options.sources.iter().map(|path| word(path)).collect();
    if paths.is_empty() {
        let results = survey.plans.iter().filter_map(|plan| plan.folder.parent()?.parent());
        paths = results.map(|path| word(Path::new(&shown(path)))).collect();
        paths.dedup();
    }
    let mut paths = paths.join(" ");
    if !options.experiments.is_empty() {
        let names = options.experiments.iter().filter_map(|name| quote::word(name).ok());
        paths = format!("{paths} -e {}", names.collect::<Vec<_>>().join(" "));
    }
    let untouched = !survey.any_begun() && total.progress.count(EffectiveState::Pending) == total.progress.total();
    let submitted = survey.plans.last().filter(|_| untouched);
    let to_submit = submitted.map(|plan| word(Path::new(&shown(&plan.folder))));
    let words = || survey.reps.iter().filter_map(|seen| ends.of(seen)?.word.as_deref());
    let by_limit = |seen: &Seen| {
        let by = seen.status.as_ref().and_then(|status| status.stopped_by);
        seen.effective == EffectiveState::Interrupted
            && matches!(by, Some(StoppedBy::TimeLimit | StoppedBy::RequeuesUsedUp))
    };
    let known = Known {
        me: program::name(),
        paths: &paths,
        to_submit: to_submit.as_deref(),
        unsure,
        out_of_memory: words().any(|word| word == "OUT_OF_MEMORY"),
        out_of_time: words().any(|word| word == "TIMEOUT") || survey.reps.iter().any(by_limit),
    };
    next::steps(&total.progress, &known)
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
