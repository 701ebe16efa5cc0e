//! How every repetition of some plans stands: one look at each status file, in parallel.
//!
//! Reads only. What the cluster says comes from the caller; how both go together is [`crate::run::effective_state`].

mod planned;

use super::forgotten::Forgotten;
use super::locks::Locks;
use super::plan::Plan;
use super::plans;
use super::rep::Siblings;
use super::{Result, submissions};
use crate::plan;
use crate::plan::layout::rep as names;
use crate::plan::record::{ExperimentRecord, RunRecord};
use crate::run::decide::counts_as_finished;
use crate::run::effective_state::{Cluster, EffectiveState, Worker, effective};
use crate::run::status::{Found, SlurmIds, State, Status};
use crate::slurm::{Element, ElementState};
use planned::{Places, Planned, PlannedRep, Whole};
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What a survey found.
#[derive(Debug)]
pub struct Survey {
    /// The plans, as given.
    pub plans: Vec<Plan>,
    /// Every repetition once, in the order of the plans. One that lies in several is seen in the last of those that were ever
    /// submitted or run, or, where none was, in the last.
    pub reps: Vec<Seen>,
    /// What the plans say.
    pub values: Vec<plan::Plan>,
    /// Whether a plan was ever submitted or run.
    begun: Vec<bool>,
    /// Why the plans that cannot be read cannot: a sentence each. Nothing is known of what only they hold.
    pub unreadable_plans: Vec<String>,
    /// How many repetitions are left out because they are forgotten.
    pub forgotten: u64,
    /// Why what is forgotten cannot be read: a sentence for each folder of plans. All of it counts.
    pub unreadable_forgotten: Vec<String>,
    /// How many are left out because they lie in no plan that was ever submitted or run, by the place of the last one they lie in.
    pub unsubmitted: Vec<(usize, u64)>,
    /// Why the status files that cannot be read cannot: a sentence each, in the order of their paths.
    pub unreadable: Vec<String>,
}

/// A repetition and how it stands.
#[derive(Debug)]
pub struct Seen {
    /// Index into [`Survey::plans`].
    pub plan: usize,
    /// The same of the last plan that it lies in, submitted or not.
    pub last_plan: usize,
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
    pub effective: EffectiveState,
    /// Its status file, where there is a whole one.
    pub status: Option<Box<Status>>,
}

impl Survey {
    /// The record of a repetition's run.
    pub fn run(&self, seen: &Seen) -> Option<&RunRecord> {
        Some(&self.values.get(seen.plan)?.runs.get(seen.run as usize)?.record)
    }

    /// The record of a repetition's experiment.
    pub fn experiment(&self, seen: &Seen) -> Option<&ExperimentRecord> {
        self.experiment_of(seen.plan, self.run(seen)?)
    }

    /// The record of a run's experiment.
    pub fn experiment_of(&self, plan: usize, run: &RunRecord) -> Option<&ExperimentRecord> {
        Some(&self.values.get(plan)?.experiments.get(run.experiment as usize)?.record)
    }

    /// Whether it is a job of pilots: nobody knows which of them will take it.
    pub fn is_shared(&self, seen: &Seen) -> bool {
        let array = self.plans.get(seen.plan).and_then(|plan| plan.array_of(seen.job));
        array.is_some_and(|(_, array)| array.pilots.is_some())
    }

    /// Whether any of the plans was ever submitted or run.
    pub fn any_begun(&self) -> bool {
        self.begun.contains(&true)
    }

    /// Whether what a status says counts for the repetition's plan: with `-o`, what was finished before does not, once that plan
    /// was submitted or run.
    fn counts(&self, plan: usize, run: &RunRecord, status: &Status) -> bool {
        let before = self.plans.get(plan).zip(self.experiment_of(plan, run));
        let before = before.and_then(|(of, experiment)| match self.begun.get(plan) {
            Some(true) => of.overwrites_before(experiment),
            _ => experiment.overwrites_before.as_deref(),
        });
        !status.state.is_finished() || counts_as_finished(&status.plan, before)
    }

    /// A repetition's directory.
    pub fn dir(&self, seen: &Seen) -> PathBuf {
        match (self.plans.get(seen.plan), self.run(seen)) {
            (Some(plan), Some(run)) => run.rep_dir(&plan.root, seen.rep),
            _ => PathBuf::new(),
        }
    }
}

/// Which repetitions a survey looks at: asked for each run and number, so that what is not wanted costs no look at the disk.
pub type Wanted<'a> = dyn Fn(&ExperimentRecord, &RunRecord, u32) -> bool + Sync + 'a;

/// What a survey looks at.
#[derive(Debug, Default)]
pub struct Sources {
    /// The plans whose repetitions are told, oldest first.
    pub plans: Vec<Plan>,
    /// Plans that may have some of these repetitions queued or running.
    pub beside: Vec<Plan>,
    /// Plans that could not be opened, and why.
    pub unreadable: Vec<String>,
    /// Only what counts: not what is forgotten, nor what lies only in plans that were never submitted or run, where others were.
    pub only_what_counts: bool,
}

impl Sources {
    /// Opens plans by their folders, each once, oldest first. One that cannot be opened is named among the others.
    ///
    /// # Errors
    /// Where none can be opened.
    pub fn open(folders: Vec<PathBuf>) -> Result<Self> {
        let mut found = Sources::default();
        let mut unreadable = None;
        for folder in folders {
            match Plan::open(&folder) {
                Ok(plan) if found.plans.iter().any(|known| known.folder == plan.folder) => {}
                Ok(plan) => found.plans.push(plan),
                Err(error) => {
                    found.unreadable.push(error.to_string());
                    unreadable = unreadable.or(Some(error));
                }
            }
        }
        if let (Some(error), true) = (unreadable, found.plans.is_empty()) {
            return Err(error);
        }
        let order = |plan: &Plan| (plan.folder.parent().map(Path::to_owned), number_of(plan));
        found.plans.sort_by_cached_key(order);
        Ok(found)
    }
}

impl From<Vec<Plan>> for Sources {
    fn from(plans: Vec<Plan>) -> Self {
        Sources { plans, ..Sources::default() }
    }
}

/// Looks at every repetition of the plans. `queue` is what the cluster says of the user's elements, `None` where it could
/// not be asked; `host` is this machine.
///
/// # Errors
/// Where no plan at all can be read; one among others is named in the answer.
pub fn survey(sources: impl Into<Sources>, queue: Option<&[Element]>, host: &str) -> Result<Survey> {
    survey_of(sources, queue, host, &|_, _, _| true)
}

/// As [`survey`], for the repetitions that are wanted.
pub fn survey_of(
    sources: impl Into<Sources>,
    queue: Option<&[Element]>,
    host: &str,
    wanted: &Wanted<'_>,
) -> Result<Survey> {
    let (mut survey, places) = arrange(sources.into(), queue, wanted, SeenIn::LastBegun)?;
    let looker = Looker { survey: &survey, queue, by_id: queue.map(by_id), locks: Locks::read(), host };
    let looks: Vec<_> = neighbours(&places).into_par_iter().map(|places| looker.look(places)).collect();
    let (looks, unreadable): (Vec<_>, Vec<_>) = looks.into_iter().unzip();
    survey.reps = looks.into_iter().flatten().collect();
    survey.unreadable = unreadable.into_iter().flatten().collect();
    survey.unreadable.sort_unstable();
    Ok(survey)
}

/// The repetitions of the plans, without a look at any: all of them count as pending, and each is seen in the last plan that it
/// lies in.
///
/// # Errors
/// As of [`survey`].
pub fn unseen(sources: impl Into<Sources>) -> Result<Survey> {
    let (mut survey, places) = arrange(sources.into(), None, &|_, _, _| true, SeenIn::Last)?;
    let effective = EffectiveState::Pending;
    let unseen = |PlannedRep { plan, last_plan, run, rep, job, element }| Seen {
        plan,
        last_plan,
        run,
        rep,
        job,
        element,
        effective,
        status: None,
    };
    survey.reps = places.into_iter().map(unseen).collect();
    Ok(survey)
}

/// In which of several plans a repetition is seen.
#[derive(Debug, Clone, Copy, PartialEq)]
enum SeenIn {
    Last,
    /// Of those that were ever submitted or run, where any was.
    LastBegun,
}

/// Reads the plans, and puts every wanted repetition into its place.
fn arrange(
    sources: Sources,
    queue: Option<&[Element]>,
    wanted: &Wanted<'_>,
    seen_in: SeenIn,
) -> Result<(Survey, Vec<PlannedRep>)> {
    let mut survey = Survey {
        plans: Vec::new(),
        reps: Vec::new(),
        values: Vec::new(),
        begun: Vec::new(),
        unreadable_plans: sources.unreadable,
        forgotten: 0,
        unreadable_forgotten: Vec::new(),
        unsubmitted: Vec::new(),
        unreadable: Vec::new(),
    };
    let mut planned = Planned::of(sources.plans.len() + sources.beside.len());
    let mut elements = Vec::new();
    let mut unreadable = None;
    for plan in sources.plans {
        match plan.read().and_then(|value| Ok((value, by_job(&plan, queue)?))) {
            Ok((value, own)) => {
                survey.begun.push(!own.is_empty() || plans::has_begun(&plan.folder)?);
                elements.push(own);
                survey.values.push(value);
                survey.plans.push(plan);
            }
            Err(error) => {
                survey.unreadable_plans.push(error.to_string());
                unreadable = unreadable.or(Some(error));
            }
        }
    }
    if let (Some(error), true) = (unreadable, survey.plans.is_empty()) {
        return Err(error);
    }
    let mut order: Vec<usize> = (0..survey.plans.len()).rev().collect();
    if seen_in == SeenIn::LastBegun {
        // What was never submitted comes last: whatever it was made for, it did not touch a repetition.
        order.sort_by_key(|index| survey.begun.get(*index) != Some(&true));
    }
    let mut forgotten = if sources.only_what_counts { Some(ForgottenPlans::default()) } else { None };
    let left_out = Mutex::new(HashSet::new());
    for index in order {
        let plan = survey.plans.get(index);
        let forgotten =
            forgotten.as_mut().zip(plan).map(|(known, plan)| known.of(plan, &mut survey.unreadable_forgotten));
        if let (Some(plan), Some(value), Some(elements)) = (plan, survey.values.get(index), elements.get(index)) {
            let number = number_of(plan).unwrap_or(0);
            let remembered = |experiment: &ExperimentRecord, run: &RunRecord, rep| {
                let is = forgotten.as_ref().is_some_and(|known| known.has(number, &experiment.name, &run.run, rep));
                if is {
                    let mut left_out = left_out.lock().unwrap_or_else(PoisonError::into_inner);
                    left_out.insert((plan.root.join(run.place()), rep));
                }
                !is && wanted(experiment, run, rep)
            };
            planned.add(Whole { plan, value, elements }, Some(index), queue, &remembered);
        }
    }
    for plan in &sources.beside {
        // One that cannot be read is another command's to complain about.
        if let Ok((value, elements)) = plan.read().and_then(|value| Ok((value, by_job(plan, queue)?))) {
            planned.add(Whole { plan, value: &value, elements: &elements }, None, queue, wanted);
        }
    }
    let mut places = planned.in_order();
    let left_out = left_out.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !left_out.is_empty() {
        // What a later plan has again is not forgotten.
        let dir = |place: &PlannedRep| {
            let run = survey.values.get(place.plan)?.runs.get(place.run as usize)?;
            Some((survey.plans.get(place.plan)?.root.join(run.record.place()), place.rep))
        };
        let there: HashSet<_> = places.iter().filter_map(dir).collect();
        survey.forgotten = left_out.difference(&there).count() as u64;
    }
    if sources.only_what_counts && survey.begun.contains(&true) {
        places.retain(|place| {
            let begun = survey.begun.get(place.plan) == Some(&true);
            if !begun {
                match survey.unsubmitted.iter_mut().find(|(plan, _)| *plan == place.plan) {
                    Some((_, count)) => *count += 1,
                    None => survey.unsubmitted.push((place.plan, 1)),
                }
            }
            begun
        });
    }
    Ok((survey, places))
}

/// What is forgotten, by folders of plans.
#[derive(Default)]
struct ForgottenPlans(HashMap<PathBuf, Arc<Forgotten>>);

impl ForgottenPlans {
    /// What is forgotten of the plans beside this one; where that cannot be read, it is said, and all is remembered.
    fn of(&mut self, plan: &Plan, unreadable: &mut Vec<String>) -> Arc<Forgotten> {
        let folder = plan.folder.parent().unwrap_or(&plan.folder);
        let read = || {
            Arc::new(Forgotten::read(folder).unwrap_or_else(|error| {
                unreadable.push(format!("what is forgotten is not known, so all of it counts: {error}"));
                Forgotten::default()
            }))
        };
        Arc::clone(self.0.entry(folder.to_owned()).or_insert_with(read))
    }
}

/// The number of a plan in its folder.
fn number_of(plan: &Plan) -> Option<u32> {
    plan.folder.file_name()?.to_str()?.parse().ok()
}

/// Cuts the repetitions into stretches of one run, short enough to be shared among threads.
fn neighbours(places: &[PlannedRep]) -> Vec<&[PlannedRep]> {
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
    fn look(&self, places: &[PlannedRep]) -> (Vec<Seen>, Vec<String>) {
        let mut unreadable = Vec::new();
        let Some(first) = places.first() else { return (Vec::new(), unreadable) };
        let run = self.survey.values.get(first.plan).and_then(|value| value.runs.get(first.run as usize));
        let (Some(plan), Some(run)) = (self.survey.plans.get(first.plan), run) else { return (Vec::new(), unreadable) };
        let run = &run.record;
        let root = &plan.root;
        let mut siblings = Siblings::open(&run.rep_dir(root, first.rep));
        let seen = places.iter().map(|place| {
            let PlannedRep { plan, last_plan, run: line, rep, job, element } = *place;
            let rep_dir = run.rep_dir(Path::new(""), rep);
            let status = match siblings.status(&rep_dir) {
                Found::Nothing => None,
                Found::Status(status) => Some(status),
                Found::Unreadable(why) => {
                    unreadable.push(why);
                    let effective = EffectiveState::Unreadable;
                    return Seen { plan, last_plan, run: line, rep, job, element, effective, status: None };
                }
            };
            let known = status.as_deref();
            let here = || {
                let alive = self.locks.held(&root.join(&rep_dir).join(names::ERR));
                Worker::Here { alive }
            };
            let counts = known.filter(|status| self.survey.counts(first.plan, run, status));
            let (state, worker) = match known {
                Some(status) if status.state == State::Running => (Some(State::Running), self.worker(status, here)),
                // Begun, and not noted yet: its worker is at it just now, or died before.
                None if siblings.has_begun(&rep_dir) => (Some(State::Running), here()),
                _ => (counts.map(|status| status.state), Worker::InElement),
            };
            let effective = effective(state, self.element(place, known), worker);
            Seen { plan, last_plan, run: line, rep, job, element, effective, status }
        });
        (seen.collect(), unreadable)
    }

    fn element(&self, place: &PlannedRep, status: Option<&Status>) -> Cluster {
        let Some(queue) = self.queue else { return Cluster::Silent };
        // The element it failed in was requeued: that resumes, and retries nothing.
        let failed = status.filter(|status| matches!(status.state, State::Crashed | State::TimedOut));
        let ids = failed.and_then(|status| status.slurm.as_ref());
        if ids.and_then(|ids| self.by_id.as_ref()?.get(&id_of(ids))) == Some(&ElementState::Queued) {
            return Cluster::Says(None);
        }
        let state = place.element.and_then(|place| queue.get(place)).map(|element| element.state);
        let plan = self.survey.plans.get(place.plan);
        let shared = plan.filter(|plan| plan.array_of(place.job).is_some_and(|(_, array)| array.pilots.is_some()));
        match (shared, failed, state) {
            // The pilots of a plan leave alone what failed under it, and whoever is free takes what failed before.
            (Some(plan), Some(status), _) if status.plan == plan.name() => Cluster::Says(None),
            (Some(_), Some(_), Some(ElementState::Running)) => Cluster::Says(Some(ElementState::Queued)),
            _ => Cluster::Says(state),
        }
    }

    fn worker(&self, status: &Status, here: impl Fn() -> Worker) -> Worker {
        match &status.slurm {
            Some(ids) => Worker::InOther(match &self.by_id {
                None => Cluster::Silent,
                Some(by_id) => Cluster::Says(by_id.get(&id_of(ids)).copied()),
            }),
            None if status.host == self.host => here(),
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanElement {
    /// Its array's job id.
    pub id: u64,
    /// Its number in the array.
    pub index: u64,
    /// The jobs of the plan that it may run: a pilot those of its array, any other one its own.
    pub jobs: Range<u64>,
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
            // More pilots may be added to an array than it was planned with.
            Some(index) if index < array.jobs || array.pilots.is_some() => {
                listed.insert((element.job, index));
                found.push(PlanElement {
                    id: element.job,
                    index,
                    jobs: array.jobs_of(index),
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
        for index in (0..array.elements()).filter(|index| !listed.contains(&(element.job, *index))) {
            found.push(PlanElement { id: element.job, index, jobs: array.jobs_of(index), state: element.state, place });
        }
    }
    Ok(found)
}

/// A plan's elements by its jobs. None where the cluster could not be asked.
fn by_job(plan: &Plan, queue: Option<&[Element]>) -> Result<Places> {
    let mut places = Places::default();
    let Some(queue) = queue.filter(|queue| !queue.is_empty()) else { return Ok(places) };
    for element in elements(plan, queue)? {
        places.add(&element, queue);
    }
    Ok(places)
}
