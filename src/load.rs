//! Results, read back.

use crate::api::Metrics;
use crate::run::status::{Found, State, Status};
use crate::store::survey::{self, Sources};
use crate::store::{self, metrics, plans};
use crate::value::Value;
use anyhow::Context as _;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// A repetition and its results.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The experiment's name.
    pub experiment: String,
    /// The run's name.
    pub run: String,
    /// The repetition's number, from 0.
    pub rep: u32,
    /// Its directory, absolute.
    pub dir: PathBuf,
    /// The parameters it was started with; where it never was, those of its run in the latest plan.
    pub params: Value,
    /// How it stands; `None` where it was never started.
    pub state: Option<State>,
    /// All that is known of its attempts: times (RFC 3339), seconds, CPU seconds, memory (bytes), error, payload.
    pub status: Option<Box<Status>>,
    /// Its metrics, in the order they were logged: the lines of `metrics.jsonl` that are JSON objects.
    pub metrics: Vec<Metrics>,
    /// The other lines, each as its number and what is wrong with it: a line that its writer died over, or no metrics at all.
    pub metrics_unread: Vec<String>,
}

/// Loads the repetitions of a sweep: of a plan's folder (`results/plans/001`), or of all plans of a results folder
/// (`results`), each repetition once, in the order of the plans.
///
/// # Errors
/// Where there is no plan, or a file cannot be read or was written by a newer cw2. A repetition that never ran is no error, nor
/// is a torn line of metrics ([`Loaded::metrics_unread`] and the log tell of it).
///
/// ```no_run
/// use cw2::run::status::State;
/// let done = cw2::load("results")?.into_iter().filter(|rep| rep.state == Some(State::Completed));
/// for rep in done {
///     let last = rep.metrics.last().and_then(|metrics| metrics.get("loss"));
///     println!("{} rep {}: {last:?} with {}", rep.run, rep.rep, rep.params);
/// }
/// # anyhow::Ok(())
/// ```
pub fn load(path: impl AsRef<Path>) -> anyhow::Result<Vec<Loaded>> {
    let path = path.as_ref();
    let folders = plans::find(path)?;
    anyhow::ensure!(!folders.is_empty(), "there is no plan in `{}`: name a results folder or a plan's", path.display());
    let survey = survey::survey(Sources::open(folders)?, None, "")?;
    for why in &survey.unreadable_plans {
        log::warn!("a plan is left out: {why}");
    }
    let mut loaded = Vec::new();
    survey
        .reps
        .par_iter()
        .map(|seen| {
            let dir = survey.dir(seen);
            let plan = survey.plans.get(seen.plan).context("a repetition without a plan")?;
            let run = survey.run(seen).context("a repetition without a run")?;
            let experiment = survey.experiment(seen).context("a repetition without an experiment")?;
            let status = match store::rep::status(&dir) {
                Found::Status(status) => Some(status),
                Found::Nothing => None,
                Found::Unreadable(why) => anyhow::bail!(why),
            };
            // A later plan may give the same directory other parameters, and leave it as it is.
            let planned = status.as_ref().is_some_and(|status| status.params_sha256 == run.params_sha256);
            let own = if planned { None } else { store::rep::stored_params(&dir) };
            let params = match own {
                Some(params) => params,
                None if planned || status.is_none() => Value::from_json(&plan.params_json(seen.run)?)
                    .with_context(|| format!("the parameters of `{}` cannot be read", run.run))?,
                None => anyhow::bail!("`{}` does not tell with which parameters it was run", dir.display()),
            };
            let metrics::Records { records, others } = metrics::read(&dir, status.as_deref())?;
            anyhow::Ok(Loaded {
                experiment: experiment.name.clone(),
                run: run.run.clone(),
                rep: seen.rep,
                params,
                state: status.as_ref().map(|status| status.state),
                status,
                metrics: records.into_iter().map(Metrics::from_map).collect(),
                metrics_unread: others,
                dir,
            })
        })
        .collect_into_vec(&mut loaded);
    loaded.into_iter().collect()
}
