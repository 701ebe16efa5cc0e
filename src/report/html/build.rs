//! From what was found to what the page gets.

use super::curves::{Curves, curves};
use super::found::{Found, Rep, Series};
use super::page::{Experiment, Failure, Metric, Objective, Page, Reps, Run};
use crate::report::common_cause::{self, Facts};
use crate::report::failures::{self, Failed};
use crate::report::progress::{self, Progress};
use crate::report::results::params;
use crate::report::status_table;
use crate::run::effective_state::EffectiveState;
use crate::run::failure::last_lines;
use crate::run::status::{State, Status};
use crate::value::Value;
use indexmap::{IndexMap, IndexSet};

/// The parameters of a run by their dotted names.
type Params<'a> = IndexMap<String, &'a Value>;

/// Kinds of failures that are told.
const KINDS: usize = 25;

/// Lines of a failure that are told.
const LINES: usize = 15;

/// Numbers of all metrics of an experiment; what is more is left out, and said.
const NUMBERS: usize = 120_000;

/// Makes the page.
pub fn build(found: Found) -> Page {
    let experiments: IndexSet<String> = found.runs.iter().map(|run| run.experiment.clone()).collect();
    let place = |name: &str| experiments.get_index_of(name).unwrap_or_default();
    let params: Vec<Params<'_>> = found.runs.iter().map(|run| params::flat(&run.params)).collect();
    let of =
        |name: &String| params::varying(found.runs.iter().filter(|run| run.experiment == *name).collect::<Vec<_>>());
    let varying: Vec<Vec<String>> = experiments.iter().map(of).collect();
    let mut progress = vec![Progress::default(); experiments.len()];
    for rep in &found.reps {
        let experiment = found.runs.get(rep.run).map(|run| place(&run.experiment));
        if let Some(progress) = experiment.and_then(|experiment| progress.get_mut(experiment)) {
            progress.add(rep.effective, rep.status.as_deref(), found.now);
        }
    }
    let mut page = Page {
        created: found.created.clone(),
        cw2: env!("CARGO_PKG_VERSION"),
        states: EffectiveState::ALL.map(EffectiveState::key).to_vec(),
        reload: found.reload,
        estimate: estimate(&progress, found.cluster_known),
        ..Page::default()
    };
    for (number, name) in experiments.iter().enumerate() {
        let advice = found.advice.iter().rfind(|advice| advice.experiment == *name);
        let objective = found.runs.iter().rfind(|run| run.experiment == *name).and_then(|run| run.objective.as_ref());
        page.experiments.push(Experiment {
            name: name.clone(),
            path: advice.map(|advice| advice.path.clone()).unwrap_or_default(),
            params: varying.get(number).cloned().unwrap_or_default(),
            seconds: progress.get(number).map_or(0.0, |progress| progress.seconds),
            estimate: progress.get(number..=number).and_then(|part| estimate(part, found.cluster_known)),
            objective: objective.map(|objective| Objective {
                metric: objective.metric.clone(),
                goal: if objective.maximize { "max" } else { "min" },
            }),
            advice: advice.cloned(),
        });
    }
    for (run, params) in found.runs.iter().zip(&params) {
        let experiment = place(&run.experiment);
        let names = varying.get(experiment).map(Vec::as_slice).unwrap_or_default();
        let params =
            names.iter().map(|name| params.get(name).map_or(serde_json::Value::Null, |value| json(value))).collect();
        page.runs.push(Run { experiment, name: run.name.clone(), params });
    }
    page.reps = columns(&found);
    let by_experiment = by_experiment(&found, &page);
    let mut all = Vec::new();
    for (number, reps) in by_experiment.iter().enumerate() {
        let (metrics, over_steps, left_out) = metrics(number, reps, page.experiments.get(number));
        page.metrics.extend(metrics);
        all.extend(over_steps);
        if let Some((first, count)) = left_out.first().map(|first| (first, left_out.len())) {
            let name = experiments.get_index(number).map(String::as_str).unwrap_or_default();
            page.notes.push(format!(
                "{name}: {count} of its metrics are left out, `{first}` the first of them, as this page would be too large; \
                 `cw2 results` has them"
            ));
        }
    }
    page.curves = curves(all);
    (page.failures, page.failures_left_out) = failed(&found, &params, &varying, experiments.len() > 1);
    page.code = found.versions;
    for version in found.reps.iter().filter(|rep| rep.status.is_some()).filter_map(|rep| rep.version) {
        page.code.get_mut(version).into_iter().for_each(|code| code.reps += 1);
    }
    page.notes.splice(0..0, found.notes);
    (page.title, page.sources, page.config) = (found.title, found.sources, found.config);
    page
}

/// When these will be done; nothing where nothing is open.
fn estimate(parts: &[Progress], cluster_known: bool) -> Option<String> {
    use EffectiveState::{Interrupted, Pending, Queued, Running};
    let open = |part: &Progress| [Interrupted, Pending, Queued, Running].into_iter().any(|state| part.count(state) > 0);
    // What failed may be in a queue that could not be asked, but nobody waits for it.
    let wanted = parts.iter().any(open);
    wanted.then(|| status_table::estimate(progress::estimate(parts.iter(), cluster_known)))
}

/// A value as the page gets it: numbers, truths and texts as they are, all else as the text of its JSON.
fn json(value: &Value) -> serde_json::Value {
    let exact = |number: &i128| i64::try_from(*number).ok().filter(|number| number.unsigned_abs() < 1 << 53);
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(truth) => (*truth).into(),
        Value::Int(number) => exact(number).map_or_else(|| number.to_string().into(), Into::into),
        Value::Float(number) if number.is_finite() => (*number).into(),
        other => params::text(other).into(),
    }
}

fn columns(found: &Found) -> Reps {
    let mut reps = Reps::default();
    for rep in &found.reps {
        let status = rep.status.as_deref();
        let (went_on, repeated) = status.map_or((0.0, 0.0), earlier);
        let seconds = status.and_then(|status| seconds(status, rep.effective, found.now));
        reps.run.push(rep.run);
        reps.rep.push(rep.number);
        reps.state.push(rep.effective as usize);
        reps.seconds.push(seconds.map(|seconds| thousandths(seconds + went_on)));
        reps.cpu.push(status.and_then(|status| status.cpu_seconds).map(thousandths));
        reps.rss.push(status.and_then(|status| status.max_rss));
        reps.repeated.push(thousandths(repeated));
        reps.code.push(rep.version);
        reps.dir.push(rep.dir.clone());
    }
    reps
}

/// Seconds of the last attempt; of one that runs until now.
fn seconds(status: &Status, effective: EffectiveState, now: jiff::Timestamp) -> Option<f64> {
    if effective != EffectiveState::Running {
        return status.seconds.filter(|seconds| seconds.is_finite());
    }
    let started: jiff::Timestamp = status.started.parse().ok()?;
    Some(now.duration_since(started).as_secs_f64().max(0.0))
}

/// Seconds of earlier attempts: those that were gone on from, and those that came to nothing.
fn earlier(status: &Status) -> (f64, f64) {
    let sum = |interrupted: bool| {
        let of = status.earlier.iter().filter(|attempt| (attempt.state == State::Interrupted) == interrupted);
        of.filter_map(|attempt| attempt.seconds).filter(|seconds| seconds.is_finite()).sum()
    };
    (sum(true), sum(false))
}

fn thousandths(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

/// The repetitions of each experiment, with their places.
fn by_experiment<'a>(found: &'a Found, page: &Page) -> Vec<Vec<(usize, &'a Rep)>> {
    let mut parts = vec![Vec::new(); page.experiments.len()];
    for (place, rep) in found.reps.iter().enumerate() {
        let experiment = page.runs.get(rep.run).map(|run| run.experiment);
        if let Some(part) = experiment.and_then(|experiment| parts.get_mut(experiment)) {
            part.push((place, rep));
        }
    }
    parts
}

/// The metrics of an experiment's repetitions; and the names of those that are left out.
fn metrics<'a>(
    experiment: usize,
    reps: &[(usize, &'a Rep)],
    told: Option<&Experiment>,
) -> (Vec<Metric>, Vec<Curves<'a>>, Vec<String>) {
    let mut by_name: IndexMap<&str, Vec<(usize, usize, &Series)>> = IndexMap::new();
    for (number, (place, rep)) in reps.iter().enumerate() {
        for series in &rep.metrics {
            by_name.entry(&series.name).or_default().push((number, *place, series));
        }
    }
    // The one that matters most is never left out.
    let objective = told.and_then(|told| told.objective.as_ref()).and_then(|o| by_name.get_index_of(o.metric.as_str()));
    let most = (NUMBERS / reps.len().max(1)).max(1);
    if let Some(place) = objective.filter(|place| *place >= most) {
        by_name.move_index(place, 0);
    }
    let left_out = by_name.keys().skip(most).map(|name| (*name).to_owned()).collect();
    by_name.truncate(most);
    let mut metrics = Vec::new();
    let mut over_steps = Vec::new();
    for (name, of) in by_name {
        let empty = || vec![None; reps.len()];
        let mut metric = Metric { experiment, name: name.to_owned(), last: empty(), min: empty(), max: empty() };
        for (number, _, series) in &of {
            let (low, high) = series.range;
            for (column, value) in [(&mut metric.last, series.last), (&mut metric.min, low), (&mut metric.max, high)] {
                column.get_mut(*number).into_iter().for_each(|cell| *cell = value.is_finite().then_some(value));
            }
        }
        metrics.push(metric);
        over_steps
            .push(Curves { experiment, reps: of.into_iter().map(|(_, place, series)| (place, series)).collect() });
    }
    (metrics, over_steps, left_out)
}

/// Failures that are alike, and how many kinds of them are left out.
fn failed(found: &Found, params: &[Params<'_>], varying: &[Vec<String>], many: bool) -> (Vec<Failure>, usize) {
    let all: Vec<(usize, &Rep)> = found.reps.iter().enumerate().filter(|(_, rep)| rep.effective.is_failed()).collect();
    let reasons = all.iter().map(|(_, rep)| Failed {
        effective: rep.effective,
        text: failures::reason(rep.effective, rep.status.as_deref(), rep.end.as_ref()),
        dir: rep.dir.clone(),
        log: log_of(rep),
        run: found.runs.get(rep.run).map(|run| run.name.clone()).unwrap_or_default(),
    });
    let groups = failures::group(reasons);
    let left_out = groups.len().saturating_sub(KINDS);
    if groups.is_empty() {
        return (Vec::new(), 0);
    }
    let names: IndexSet<&str> = varying.iter().flatten().map(String::as_str).collect();
    let facts: Vec<Facts> = found.reps.iter().map(|rep| facts(found, params, &names, many, rep)).collect();
    let well = found.reps.iter().zip(&facts).filter(|(rep, _)| rep.effective.is_finished());
    let well: Vec<&Facts> = well.map(|(_, facts)| facts).collect();
    let told = groups.into_iter().take(KINDS).map(|group| {
        let reps: Vec<usize> =
            group.members.iter().filter_map(|member| all.get(*member)).map(|(place, _)| *place).collect();
        let failed: Vec<&Facts> = reps.iter().filter_map(|place| facts.get(*place)).collect();
        let first = reps.first().and_then(|place| found.reps.get(*place));
        Failure {
            state: group.effective.key(),
            reason: group.text,
            lines: first.map(said_last).unwrap_or_default(),
            count: group.count,
            example: group.example,
            common: common_cause::common(&failed, &well).iter().map(ToString::to_string).collect(),
            reps,
        }
    });
    (told.collect(), left_out)
}

/// The log that says more of a failure: Slurm's, where nothing was started of its job.
fn log_of(rep: &Rep) -> String {
    let of_job = rep.end.as_ref().filter(|_| rep.effective == EffectiveState::JobFailed);
    of_job
        .and_then(|end| end.log.as_ref())
        .map_or_else(|| format!("{}/err.log", rep.dir), |log| log.display().to_string())
}

/// The last lines of what failed.
fn said_last(rep: &Rep) -> String {
    match (&rep.end, rep.status.as_deref().and_then(|status| status.error.as_ref())) {
        (Some(end), _) if rep.effective == EffectiveState::JobFailed => last_lines(&end.tail, LINES),
        (_, Some(error)) => last_lines(&error.stderr_tail, LINES),
        _ => String::new(),
    }
}

/// What may be a cause: the parameters that vary, the machine, the experiment where there are several.
fn facts(found: &Found, params: &[Params<'_>], names: &IndexSet<&str>, many: bool, rep: &Rep) -> Facts {
    let own = params.get(rep.run);
    let values = names.iter().filter_map(|name| Some(((*name).to_owned(), params::text(own?.get(*name)?))));
    let experiment =
        found.runs.get(rep.run).filter(|_| many).map(|run| ("experiment".to_owned(), run.experiment.clone()));
    let host = rep.status.as_ref().map(|status| ("host".to_owned(), status.host.clone()));
    experiment.into_iter().chain(values).chain(host).collect()
}
