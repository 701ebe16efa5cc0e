//! How every repetition of some plans stands: one look at each status file, in parallel.
//!
//! Reads only. What the cluster says comes from the caller; how both go together is [`crate::run::standing`].

use super::locks::Locks;
use super::plan::Plan;
use super::rep::Siblings;
use super::{Result, submissions};
use crate::plan::layout::{self, rep as names};
use crate::plan::record::{ExperimentRecord, RunRecord};
use crate::run::decide::keeps;
use crate::run::standing::{Cluster, Standing, Worker, standing};
use crate::run::status::{Found, SlurmIds, State, Status};
use crate::slurm::{Element, ElementState};
use rayon::prelude::*;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What a survey found.
#[derive(Debug)]
pub struct Survey {
    /// The plans, as given.
    pub plans: Vec<Plan>,
    /// Every repetition once, in the order of the plans; one that lies in several is seen in the last.
    pub reps: Vec<Seen>,
    /// Experiments by plan, line for line.
    pub experiments: Vec<Vec<ExperimentRecord>>,
    /// Runs by plan, line for line.
    pub runs: Vec<Vec<RunRecord>>,
    /// Whether the cluster could be asked.
    pub cluster_known: bool,
    /// Why the status files that cannot be read cannot: a sentence each, in the order of their paths.
    pub unreadable: Vec<String>,
}

/// A repetition and how it stands.
#[derive(Debug)]
pub struct Seen {
    /// Index into [`Survey::plans`].
    pub plan: usize,
    /// The line of its run in that plan.
    pub run: u32,
    /// Its number.
    pub rep: u32,
    /// The job of that plan it lies in.
    pub job: u64,
    /// The element that runs or will run it, whichever plan's it is, as its place in the queue that was given; `None` where
    /// Slurm knows none.
    pub element: Option<usize>,
    /// How it stands.
    pub standing: Standing,
    /// Its status file, where there is a whole one.
    pub status: Option<Box<Status>>,
}

impl Survey {
    /// The record of a repetition's run.
    pub fn run(&self, seen: &Seen) -> Option<&RunRecord> {
        self.runs.get(seen.plan)?.get(seen.run as usize)
    }

    /// The record of a repetition's experiment.
    pub fn experiment(&self, seen: &Seen) -> Option<&ExperimentRecord> {
        self.experiments.get(seen.plan)?.get(self.run(seen)?.experiment as usize)
    }

    /// Whether what a status says counts for the repetition's plan: with `-o`, what was finished before does not.
    fn counts(&self, plan: usize, run: &RunRecord, status: &Status) -> bool {
        let before =
            self.plans.get(plan).zip(self.experiments.get(plan).and_then(|all| all.get(run.experiment as usize)));
        let before = before.and_then(|(plan, experiment)| plan.overwrites_before(experiment));
        !status.state.is_finished() || keeps(&status.plan, before)
    }

    /// A repetition's directory.
    pub fn dir(&self, seen: &Seen) -> PathBuf {
        match (self.plans.get(seen.plan), self.run(seen)) {
            (Some(plan), Some(run)) => layout::rep_dir(&plan.root.join(&run.dir), seen.rep),
            _ => PathBuf::new(),
        }
    }
}

/// Which repetitions a survey looks at: asked for each run and number, so that what is not wanted costs no look at the disk.
pub type Wanted<'a> = dyn Fn(&ExperimentRecord, &RunRecord, u32) -> bool + Sync + 'a;

/// Looks at every repetition of the plans. `queue` is what the cluster says of the user's elements, `None` where it could
/// not be asked; `host` is this machine.
pub fn survey(plans: Vec<Plan>, queue: Option<&[Element]>, host: &str) -> Result<Survey> {
    survey_of(plans, queue, host, &|_, _, _| true)
}

/// As [`survey`], for the repetitions that are wanted.
pub fn survey_of(plans: Vec<Plan>, queue: Option<&[Element]>, host: &str, wanted: &Wanted<'_>) -> Result<Survey> {
    let mut survey = Survey {
        reps: Vec::new(),
        experiments: plans.iter().map(Plan::all_experiments).collect::<Result<_>>()?,
        runs: plans.iter().map(Plan::all_runs).collect::<Result<_>>()?,
        cluster_known: queue.is_some(),
        unreadable: Vec::new(),
        plans,
    };
    let elements = survey.plans.iter().map(|plan| by_job(plan, queue)).collect::<Result<Vec<_>>>()?;
    let places = places(&survey, queue, &elements, wanted)?;
    let looker = Looker { survey: &survey, queue, by_id: queue.map(by_id), locks: Locks::read(), host };
    let looks: Vec<_> = neighbours(&places).into_par_iter().map(|places| looker.look(places)).collect();
    let (looks, unreadable): (Vec<_>, Vec<_>) = looks.into_iter().unzip();
    survey.reps = looks.into_iter().flatten().collect();
    survey.unreadable = unreadable.into_iter().flatten().collect();
    survey.unreadable.sort_unstable();
    Ok(survey)
}

/// Where a repetition is planned, and its element's place in the queue.
#[derive(Debug, Clone, Copy)]
struct Place {
    plan: usize,
    run: u32,
    rep: u32,
    job: u64,
    element: Option<usize>,
}

/// Every wanted repetition once, in the order of the plans.
fn places(
    survey: &Survey,
    queue: Option<&[Element]>,
    elements: &[HashMap<u64, usize>],
    wanted: &Wanted<'_>,
) -> Result<Vec<Place>> {
    let queue = queue.unwrap_or_default();
    let several = survey.plans.len() > 1;
    let mut run_dirs: HashMap<PathBuf, usize> = HashMap::new();
    let mut known: HashMap<(usize, u32), usize> = HashMap::new();
    let mut places: Vec<Place> = Vec::new();
    let mut starts = Vec::new();
    for (index, plan) in survey.plans.iter().enumerate().rev() {
        starts.push(places.len());
        let runs = survey.runs.get(index).map_or(&[][..], Vec::as_slice);
        let experiments = survey.experiments.get(index).map_or(&[][..], Vec::as_slice);
        for (job, record) in (0..).zip(plan.all_jobs()?) {
            let element = elements.get(index).and_then(|elements| elements.get(&job).copied());
            for (line, first, count) in record.reps {
                let Some(run) = runs.get(line as usize) else { continue };
                let Some(experiment) = experiments.get(run.experiment as usize) else { continue };
                let next_dir = run_dirs.len();
                let dir =
                    if several { *run_dirs.entry(plan.root.join(&run.dir)).or_insert(next_dir) } else { next_dir };
                for rep in (first..first.saturating_add(count)).filter(|rep| wanted(experiment, run, *rep)) {
                    if several {
                        match known.entry((dir, rep)) {
                            Entry::Vacant(unknown) => {
                                unknown.insert(places.len());
                            }
                            Entry::Occupied(newer) => {
                                if let Some(newer) = places.get_mut(*newer.get()) {
                                    newer.element = livelier(queue, newer.element, element);
                                }
                                continue;
                            }
                        }
                    }
                    places.push(Place { plan: index, run: line, rep, job, element });
                }
            }
        }
    }
    // Read from the newest plan to the oldest, told the other way round.
    let mut ordered = Vec::with_capacity(places.len());
    for start in starts.into_iter().rev() {
        ordered.extend(places.split_off(start));
    }
    Ok(ordered)
}

/// Of two elements with the same repetitions, the one that tells more of what will happen: what runs, what waits, what ended.
fn livelier(queue: &[Element], a: Option<usize>, b: Option<usize>) -> Option<usize> {
    let rank = |place: Option<usize>| match place.and_then(|place| queue.get(place)).map(|element| element.state) {
        None => 0,
        Some(ElementState::Ended) => 1,
        Some(ElementState::Queued) => 2,
        Some(ElementState::Running) => 3,
    };
    if rank(b) > rank(a) { b } else { a }
}

/// Cuts the repetitions into stretches of one run, short enough to be shared among threads.
fn neighbours(places: &[Place]) -> Vec<&[Place]> {
    places.chunk_by(|a, b| (a.plan, a.run) == (b.plan, b.run)).flat_map(|run| run.chunks(256)).collect()
}

/// Everything one look needs.
struct Looker<'a> {
    survey: &'a Survey,
    queue: Option<&'a [Element]>,
    by_id: Option<HashMap<(u64, Option<u64>), ElementState>>,
    locks: Locks,
    host: &'a str,
}

impl Looker<'_> {
    /// Looks at some repetitions of one run; what cannot be read is told beside them.
    fn look(&self, places: &[Place]) -> (Vec<Seen>, Vec<String>) {
        let mut unreadable = Vec::new();
        let Some(first) = places.first() else { return (Vec::new(), unreadable) };
        let run = self.survey.runs.get(first.plan).and_then(|runs| runs.get(first.run as usize));
        let (Some(plan), Some(run)) = (self.survey.plans.get(first.plan), run) else { return (Vec::new(), unreadable) };
        let run_dir = plan.root.join(&run.dir);
        let mut siblings = Siblings::open(&run_dir);
        let seen = places.iter().map(|place| {
            let Place { plan, run: line, rep, job, element } = *place;
            let status = match siblings.status(place.rep) {
                Found::Nothing => None,
                Found::Status(status) => Some(status),
                Found::Unreadable(why) => {
                    unreadable.push(why);
                    let standing = Standing::Unreadable;
                    return Seen { plan, run: line, rep, job, element, standing, status: None };
                }
            };
            let known = status.as_deref();
            let worker = match known {
                Some(status) if status.state == State::Running => self.worker(status, &run_dir, place.rep),
                _ => Worker::InElement,
            };
            let counts = known.filter(|status| self.survey.counts(first.plan, run, status));
            let standing = standing(counts.map(|status| status.state), self.element(place, known), worker);
            Seen { plan, run: line, rep, job, element, standing, status }
        });
        (seen.collect(), unreadable)
    }

    fn element(&self, place: &Place, status: Option<&Status>) -> Cluster {
        let Some(queue) = self.queue else { return Cluster::Silent };
        // The element it failed in was requeued: that resumes, and retries nothing.
        let failed = status.filter(|status| matches!(status.state, State::Crashed | State::TimedOut));
        let ids = failed.and_then(|status| status.slurm.as_ref());
        if ids.and_then(|ids| self.by_id.as_ref()?.get(&id_of(ids))) == Some(&ElementState::Queued) {
            return Cluster::Says(None);
        }
        Cluster::Says(place.element.and_then(|place| queue.get(place)).map(|element| element.state))
    }

    fn worker(&self, status: &Status, run_dir: &Path, rep: u32) -> Worker {
        match &status.slurm {
            Some(ids) => Worker::InOther(match &self.by_id {
                None => Cluster::Silent,
                Some(by_id) => Cluster::Says(by_id.get(&id_of(ids)).copied()),
            }),
            None if status.host == self.host => {
                Worker::Here { alive: self.locks.held(&layout::rep_dir(run_dir, rep).join(names::ERR)) }
            }
            None => Worker::Elsewhere,
        }
    }
}

/// An element's job and index, as [`Element`] has them.
pub fn id_of(ids: &SlurmIds) -> (u64, Option<u64>) {
    let job = ids.array_job_id.as_deref().unwrap_or(&ids.job_id).parse().unwrap_or(0);
    (job, ids.array_task_id.as_deref().and_then(|index| index.parse().ok()))
}

fn by_id(queue: &[Element]) -> HashMap<(u64, Option<u64>), ElementState> {
    queue.iter().map(|element| ((element.job, element.index), element.state)).collect()
}

/// An element of a plan's arrays that the cluster knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanElement {
    /// Its array's job id.
    pub id: u64,
    /// Its number in the array.
    pub index: u64,
    /// The job of the plan that it is.
    pub job: u64,
    /// What the cluster says of it.
    pub state: ElementState,
    /// Its place in the queue that was given.
    pub place: usize,
}

/// Finds a plan's elements: by the tokens `cw2 submit` noted, and by their script, for what was submitted by hand.
pub fn elements(plan: &Plan, queue: &[Element]) -> Result<Vec<PlanElement>> {
    let noted = submissions::read(&plan.folder)?.submissions;
    let by_token: HashMap<&str, usize> = noted.iter().map(|s| (s.token.as_str(), s.array)).collect();
    // Only where Slurm says nothing better: ids come again when a cluster is set up anew.
    let by_id: HashMap<u64, usize> = noted.iter().filter_map(|s| Some((s.job?, s.array))).collect();
    let arrays = &plan.manifest.arrays;
    let scripts: HashMap<PathBuf, usize> =
        arrays.iter().zip(0..).map(|(array, number)| (plan.folder.join(&array.script), number)).collect();
    let mut by_script: HashMap<&str, Option<usize>> = HashMap::new();
    let mut found = Vec::new();
    let mut listed: HashSet<(u64, u64)> = HashSet::new();
    let mut unlisted = Vec::new();
    for (place, element) in queue.iter().enumerate() {
        let array = match by_token.get(element.token()) {
            Some(array) => Some(*array),
            None if element.script.is_empty() && element.comment.is_empty() => by_id.get(&element.job).copied(),
            None => *by_script.entry(&element.script).or_insert_with(|| {
                let path = Path::new(&element.script);
                // The path it was submitted by may lead through a symbolic link.
                let same_name = || arrays.iter().any(|array| path.file_name() == Some(OsStr::new(&array.script)));
                let real = || same_name().then(|| path.canonicalize().ok()).flatten();
                scripts.get(path).or_else(|| scripts.get(&real()?)).copied()
            }),
        };
        let Some(array) = array.and_then(|number| arrays.get(number)) else { continue };
        match element.index {
            Some(index) if index < array.jobs => {
                listed.insert((element.job, index));
                found.push(PlanElement {
                    id: element.job,
                    index,
                    job: array.offset.saturating_add(index),
                    state: element.state,
                    place,
                });
            }
            Some(_) => {}
            None => unlisted.push((place, element, array)),
        }
    }
    // An array whose waiting elements squeue does not list one by one: all that are listed nowhere else.
    for (place, element, array) in unlisted {
        for index in (0..array.jobs).filter(|index| !listed.contains(&(element.job, *index))) {
            found.push(PlanElement {
                id: element.job,
                index,
                job: array.offset.saturating_add(index),
                state: element.state,
                place,
            });
        }
    }
    Ok(found)
}

/// A plan's elements by its job: their places in the queue. None where the cluster could not be asked.
fn by_job(plan: &Plan, queue: Option<&[Element]>) -> Result<HashMap<u64, usize>> {
    let mut places: HashMap<u64, usize> = HashMap::new();
    let Some(queue) = queue.filter(|queue| !queue.is_empty()) else { return Ok(places) };
    for element in elements(plan, queue)? {
        // Submitted twice: what is under way counts.
        let known = places.entry(element.job).or_insert(element.place);
        *known = livelier(queue, Some(*known), Some(element.place)).unwrap_or(*known);
    }
    Ok(places)
}
