//! Directories and plans, put together: every repetition once.
//!
//! How a repetition stands is the plans' survey's to say, which knows what Slurm says; where no plan tells of it, its own status'.

use super::{Looked, some};
use crate::ops::here::shown;
use crate::report::html::found::{Rep, series};
use crate::report::results::params;
use crate::run::effective_state::{Cluster, EffectiveState, Worker, effective};
use crate::store;
use crate::store::gather::{Gathered, Run};
use crate::store::survey::{Seen, Survey};
use crate::value::Value;
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// The runs and repetitions of the plans, in their order, and of the directories that no plan tells of.
pub struct Merged {
    /// The runs.
    pub runs: Vec<Run>,
    /// The repetitions, by run and number.
    pub reps: Vec<Rep>,
    /// Where each of them comes from.
    origins: Vec<Origin>,
}

#[derive(Debug, Clone, Copy)]
struct Origin {
    /// Its place in what was gathered; nothing where it has no directory.
    gathered: Option<usize>,
    /// Whether a plan tells of it.
    planned: bool,
}

/// What tells one run from another: its names, and its place in what was gathered, for runs of one name may differ in parameters.
type RunKey = (String, String, Option<usize>);

impl Merged {
    /// Puts them together; `wanted` are experiments, all of them where none is named. Nothing is read yet.
    pub fn of(found: &Gathered, looked: Option<&Looked>, wanted: &[String]) -> Self {
        let mut merged = Merged { runs: Vec::new(), reps: Vec::new(), origins: Vec::new() };
        let mut places: HashMap<RunKey, usize> = HashMap::new();
        let mut taken: HashSet<usize> = HashSet::new();
        if let Some(looked) = looked {
            merged.add_planned(found, looked, &mut places, &mut taken);
        }
        let mut others: Vec<_> = found.reps.iter().enumerate().filter(|(place, _)| !taken.contains(place)).collect();
        let ranks = ranks(&found.runs);
        others.sort_by_key(|(_, rep)| ranks.get(rep.run).copied());
        for (place, rep) in others {
            let Some(run) = found.runs.get(rep.run) else { continue };
            if !wanted.is_empty() && !wanted.contains(&run.experiment) {
                continue;
            }
            let run = merged.place(&mut places, Some(rep.run), run.clone());
            let origin = Origin { gathered: Some(place), planned: false };
            merged.push(origin, unread(run, rep.number, &rep.dir, EffectiveState::Pending, rep.code));
        }
        let mut both: Vec<_> =
            std::mem::take(&mut merged.reps).into_iter().zip(std::mem::take(&mut merged.origins)).collect();
        both.sort_by_key(|(rep, _)| (rep.run, rep.number));
        (merged.reps, merged.origins) = both.into_iter().unzip();
        merged
    }

    fn add_planned(
        &mut self,
        found: &Gathered,
        looked: &Looked,
        places: &mut HashMap<RunKey, usize>,
        taken: &mut HashSet<usize>,
    ) {
        let canonical = |dir: &Path| store::canonical(dir).unwrap_or_else(|_| dir.to_owned());
        let dirs: Vec<PathBuf> = found.reps.par_iter().map(|rep| canonical(&rep.dir)).collect();
        let by_dir: HashMap<PathBuf, usize> = dirs.into_iter().zip(0..).collect();
        taken.extend(looked.forgotten.iter().filter_map(|dir| by_dir.get(dir)));
        let names = |run: &Run| (run.experiment.clone(), run.name.clone());
        // A planned repetition without a directory belongs to the run of its name that was begun.
        let begun: HashMap<(String, String), usize> = found.runs.iter().map(names).zip(0..).collect();
        let numbers: HashSet<(usize, u32)> = found.reps.iter().map(|rep| (rep.run, rep.number)).collect();
        for seen in &looked.survey.reps {
            let (Some(run), Some(experiment)) = (looked.survey.run(seen), looked.survey.experiment(seen)) else {
                continue;
            };
            let dir = looked.survey.dir(seen);
            let gathered = by_dir.get(&canonical(&dir)).copied();
            let own = gathered.and_then(|place| found.reps.get(place));
            let of_name = begun.get(&(experiment.name.clone(), run.run.clone())).copied();
            let copied = own.is_none() && of_name.is_some_and(|place| numbers.contains(&(place, seen.rep)));
            // Of two copies of a repetition one counts, and two plans may tell of one.
            if copied || gathered.is_some_and(|place| !taken.insert(place)) {
                continue;
            }
            let of = own.map(|rep| rep.run).or(of_name);
            let value = of.and_then(|place| found.runs.get(place)).cloned().unwrap_or_else(|| Run {
                experiment: experiment.name.clone(),
                name: run.run.clone(),
                params: params_of(&looked.survey, seen),
                repetitions: experiment.repetitions,
                objective: None,
                sources: None,
            });
            let run = self.place(places, of, value);
            let mut rep = unread(run, seen.rep, &dir, seen.effective, own.and_then(|rep| rep.code));
            rep.end = looked.ends.of(seen).cloned();
            self.push(Origin { gathered, planned: true }, rep);
        }
    }

    fn place(&mut self, places: &mut HashMap<RunKey, usize>, gathered: Option<usize>, run: Run) -> usize {
        *places.entry((run.experiment.clone(), run.name.clone(), gathered)).or_insert_with(|| {
            self.runs.push(run);
            self.runs.len() - 1
        })
    }

    fn push(&mut self, origin: Origin, rep: Rep) {
        self.reps.push(rep);
        self.origins.push(origin);
    }

    /// Reads states and metrics, and tells what could not be read.
    pub fn read(&mut self, found: &Gathered) -> Vec<String> {
        let read = |(rep, origin): (&mut Rep, &Origin)| {
            let Some(own) = origin.gathered.and_then(|place| found.reps.get(place)) else { return Vec::new() };
            let record = found.read(own, false);
            rep.metrics = series(&record.history);
            if !origin.planned {
                let state = record.status.as_ref().map(|status| status.state);
                rep.effective = match (&record.unreadable, state) {
                    (Some(_), None) => EffectiveState::Unreadable,
                    _ => effective(state, Cluster::Silent, Worker::Elsewhere),
                };
            }
            rep.status = record.status;
            let lines = record.unread.iter().map(|unread| {
                let (path, count) = (shown(&unread.path), unread.count);
                let lines = if count == 1 { "line is no record" } else { "lines are no records" };
                format!("{path}: {count} {lines}: {}", unread.first)
            });
            record.unreadable.iter().cloned().chain(lines).collect()
        };
        let problems: Vec<Vec<String>> = self.reps.par_iter_mut().zip(&self.origins).map(read).collect();
        let mut notes = Vec::new();
        some(&problems.concat(), "files of repetitions", &mut notes);
        notes
    }
}

fn unread(run: usize, number: u32, dir: &Path, effective: EffectiveState, version: Option<usize>) -> Rep {
    Rep { run, number, dir: shown(dir), effective, end: None, status: None, metrics: Vec::new(), version }
}

/// Of each run its place where no plan tells one: by experiment, then by the parameters that vary.
fn ranks(runs: &[Run]) -> Vec<usize> {
    let varying = params::varying(runs);
    let by_params = |a: &Run, b: &Run| {
        let mut orders =
            varying.iter().map(|name| params::compare(params::get(&a.params, name), params::get(&b.params, name)));
        orders.find(|order| order.is_ne())
    };
    let mut order: Vec<(usize, &Run)> = runs.iter().enumerate().collect();
    order.sort_by(|(_, a), (_, b)| {
        a.experiment.cmp(&b.experiment).then_with(|| by_params(a, b).unwrap_or(std::cmp::Ordering::Equal))
    });
    let mut ranks = vec![0; runs.len()];
    for (rank, (place, _)) in order.into_iter().enumerate() {
        if let Some(own) = ranks.get_mut(place) {
            *own = rank;
        }
    }
    ranks
}

fn params_of(survey: &Survey, seen: &Seen) -> Value {
    let run = survey.values.get(seen.plan).and_then(|plan| plan.runs.get(seen.run as usize));
    run.and_then(|run| Value::from_json(&run.params).ok()).unwrap_or(Value::Null)
}
