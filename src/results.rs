//! Results, read back.

use crate::api::Metrics;
use crate::run::status::{Found, State, Status};
use crate::store::survey::{Seen, Sources, Survey, unseen};
use crate::store::{metrics, plans, rep, repetitions};
use crate::value::{TypeError, Value};
use rayon::prelude::*;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// A repetition and its results.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded {
    /// The experiment's name.
    pub experiment: String,
    /// The run's name.
    pub run: String,
    /// The repetition's number, from 0.
    pub rep: u32,
    /// Its directory.
    pub dir: PathBuf,
    /// The parameters it was started with; where it never was, those of its run in the latest plan. Null where nothing tells.
    pub params: Value,
    /// How it stands; `None` where it was never started, or its status is [unreadable](Loaded::unreadable).
    pub state: Option<State>,
    /// All that is known of its attempts: times (RFC 3339), seconds, CPU seconds, memory (bytes), error, payload.
    pub status: Option<Box<Status>>,
    /// Its metrics, in the order they were logged: the lines of `metrics.jsonl` that are JSON objects, without those that a
    /// resumed attempt began again.
    pub metrics: Vec<Metrics>,
    /// The other lines, each as its number and what is wrong with it: a line that its writer died over, or no metrics at all.
    pub metrics_unread: Vec<String>,
    /// Why its status or its metrics cannot be read: a pipe, a folder, a newer format.
    pub unreadable: Option<String>,
}

impl Loaded {
    /// The parameters as a type of the user's.
    ///
    /// # Errors
    /// Where they are not of that type, with the path to the part that is not.
    ///
    /// ```no_run
    /// #[derive(serde::Deserialize)]
    /// struct Params { lr: f64 }
    /// for rep in cw2::Results::open("results")?.iter() {
    ///     println!("{} {:?}", rep.params::<Params>()?.lr, rep.state);
    /// }
    /// # anyhow::Ok(())
    /// ```
    pub fn params<P: DeserializeOwned>(&self) -> Result<P, TypeError> {
        self.params.to()
    }

    /// What it left when it surrendered, as a type of the user's; `None` where it did not.
    ///
    /// # Errors
    /// As of [`params`](Loaded::params).
    pub fn payload<T: DeserializeOwned>(&self) -> Result<Option<T>, TypeError> {
        let payload = self.status.as_ref().and_then(|status| status.payload.as_ref());
        payload.map(|payload| Value::from(payload.clone()).to()).transpose()
    }

    /// The metrics as a type of the user's, one for each record.
    ///
    /// # Errors
    /// As of [`params`](Loaded::params).
    ///
    /// ```no_run
    /// #[derive(serde::Deserialize)]
    /// struct Step { loss: f64 }
    /// for rep in cw2::load("results")? {
    ///     let steps: Vec<Step> = rep.metrics()?;
    ///     println!("{}: {:?}", rep.run, steps.last().map(|step| step.loss));
    /// }
    /// # anyhow::Ok(())
    /// ```
    pub fn metrics<M: DeserializeOwned>(&self) -> Result<Vec<M>, TypeError> {
        self.metrics.iter().map(|record| Value::from(record.clone()).to()).collect()
    }
}

/// The results below a folder: a results folder, a plan's, an experiment's, a run's, or one repetition's directory.
///
/// Opened, it knows which repetitions there are; each is read when it is asked for, so that memory does not grow with the sweep.
///
/// ```no_run
/// let results = cw2::Results::open("results")?;
/// let done = results.iter().filter(|rep| rep.state == Some(cw2::State::Completed)).count();
/// println!("{done} of {}", results.len());
/// # anyhow::Ok(())
/// ```
#[derive(Debug)]
pub struct Results(Source);

/// What tells of the repetitions.
#[derive(Debug)]
enum Source {
    /// Plans, also of those that never ran.
    Plans(Box<Survey>),
    /// Their own directories.
    Directories(Vec<PathBuf>),
}

impl Results {
    /// Finds the repetitions: those of a plan or of all plans of a results folder, each once, in the order of the plans. Where
    /// there is no plan, or the folder was renamed since, those whose directories lie below, in the order of their paths.
    ///
    /// # Errors
    /// Where there are none, or the folder cannot be read.
    pub fn open(path: impl AsRef<Path>) -> anyhow::Result<Self> {
        let path = path.as_ref();
        let folders = plans::find(path)?;
        let own = folders == [path.to_owned()];
        let why = match Sources::open(folders).and_then(unseen) {
            Ok(survey) if !survey.plans.is_empty() => {
                for why in &survey.unreadable_plans {
                    log::warn!("skipping a plan: {why}");
                }
                return Ok(Results(Source::Plans(Box::new(survey))));
            }
            Ok(_) => None,
            Err(error) => Some(error),
        };
        // A plan lies in `<results>/plans`.
        let above = path.parent().and_then(Path::parent).filter(|_| own);
        let found = repetitions::below(above.unwrap_or(path))?;
        match (why, found.is_empty()) {
            (Some(error), true) => return Err(error.into()),
            (Some(error), false) => log::warn!("{error}; so the repetitions are looked for by their directories"),
            (None, true) => anyhow::bail!(
                "there is neither a plan nor a repetition in `{}`: name a results folder or one that lies in it",
                path.display()
            ),
            (None, false) => {}
        }
        Ok(Results(Source::Directories(found)))
    }

    /// How many repetitions there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Source::Plans(survey) => survey.reps.len(),
            Source::Directories(found) => found.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads them one by one.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Loaded> + '_ {
        (0..self.len()).map(|number| self.read(number))
    }

    fn read(&self, number: usize) -> Loaded {
        match &self.0 {
            Source::Plans(survey) => match survey.reps.get(number) {
                Some(seen) => of_plan(survey, seen),
                None => of_directory(Path::new("")),
            },
            Source::Directories(found) => of_directory(found.get(number).map_or(Path::new(""), PathBuf::as_path)),
        }
    }
}

/// All of [`Results`], read side by side.
///
/// # Errors
/// As of [`Results::open`]. A repetition that never ran is no error, nor is one that cannot be read ([`Loaded::unreadable`]) or
/// a torn line of metrics ([`Loaded::metrics_unread`]); the log tells of both.
///
/// ```no_run
/// let done = cw2::load("results")?.into_iter().filter(|rep| rep.state == Some(cw2::State::Completed));
/// for rep in done {
///     let last = rep.metrics.last().and_then(|metrics| metrics.get("loss"));
///     println!("{} rep {}: {last:?} with {}", rep.run, rep.rep, rep.params);
/// }
/// # anyhow::Ok(())
/// ```
pub fn load(path: impl AsRef<Path>) -> anyhow::Result<Vec<Loaded>> {
    let results = Results::open(path)?;
    Ok((0..results.len()).into_par_iter().map(|number| results.read(number)).collect())
}

/// What the directory alone tells.
fn of_directory(dir: &Path) -> Loaded {
    let (status, mut unreadable) = status(dir);
    let config = rep::stored_config(dir).unwrap_or(Value::Null);
    let text = |key: &str| config[key].as_str().unwrap_or_default().to_owned();
    let number = || config["rep"].as_i64().and_then(|rep| u32::try_from(rep).ok()).unwrap_or_default();
    let names = status.as_ref().map(|status| (status.experiment.clone(), status.run.clone(), status.rep));
    let (experiment, run, rep) = names.unwrap_or_else(|| (text("name"), text("run"), number()));
    let (metrics, metrics_unread) = metrics(dir, status.as_deref(), &mut unreadable);
    let (params, state) = (config["params"].clone(), status.as_ref().map(|status| status.state));
    Loaded { experiment, run, rep, dir: dir.to_owned(), params, state, status, metrics, metrics_unread, unreadable }
}

/// The same with what its plan says.
fn of_plan(survey: &Survey, seen: &Seen) -> Loaded {
    let mut loaded = of_directory(&survey.dir(seen));
    let (Some(run), Some(experiment)) = (survey.run(seen), survey.experiment(seen)) else { return loaded };
    (loaded.experiment, loaded.run, loaded.rep) = (experiment.name.clone(), run.run.clone(), seen.rep);
    // A later plan may give the same directory other parameters, and leave it as it is.
    let planned = loaded.status.as_ref().map(|status| status.params_sha256 == run.params_sha256);
    if planned.unwrap_or(loaded.params.is_null()) {
        let planned = survey.values.get(seen.plan).and_then(|plan| plan.runs.get(seen.run as usize));
        if let Some(params) = planned.and_then(|run| Value::from_json(&run.params).ok()) {
            loaded.params = params;
        }
    }
    loaded
}

fn status(dir: &Path) -> (Option<Box<Status>>, Option<String>) {
    match rep::status(dir) {
        Found::Status(status) => (Some(status), None),
        Found::Nothing => (None, None),
        Found::Unreadable(why) => {
            log::warn!("{why}");
            (None, Some(why))
        }
    }
}

fn metrics(dir: &Path, status: Option<&Status>, unreadable: &mut Option<String>) -> (Vec<Metrics>, Vec<String>) {
    match metrics::read(dir, status) {
        Ok(read) => (read.records.into_iter().map(Metrics::from_map).collect(), read.others),
        Err(error) => {
            log::warn!("{error}");
            unreadable.get_or_insert(error.to_string());
            (Vec::new(), Vec::new())
        }
    }
}
