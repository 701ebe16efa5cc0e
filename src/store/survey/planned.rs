//! Which repetitions some plans have together, and in whose element each lies.

use super::{PlanElement, Wanted};
use crate::plan;
use crate::slurm::{Element, ElementState};
use crate::store::plan::Plan;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::path::PathBuf;

/// Where a repetition is planned, and its element's place in the queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlannedRep {
    pub plan: usize,
    pub last_plan: usize,
    pub run: u32,
    pub rep: u32,
    pub job: u64,
    pub element: Option<usize>,
}

/// A plan and all that it says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole<'a> {
    pub plan: &'a Plan,
    pub value: &'a plan::Plan,
    pub elements: &'a Places,
}

/// The elements of a plan, by its jobs: their places in the queue.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Of those that are one job each.
    own: HashMap<u64, usize>,
    /// Of pilots: the liveliest for each array.
    shared: Vec<(Range<u64>, usize)>,
}

impl Places {
    /// Adds an element. Submitted twice, what is under way counts.
    pub(super) fn add(&mut self, element: &PlanElement, queue: &[Element]) {
        let Range { start, end } = element.jobs;
        let known = if end - start == 1 {
            self.own.entry(start).or_insert(element.place)
        } else {
            let at = self.shared.iter().position(|(jobs, _)| *jobs == element.jobs).unwrap_or_else(|| {
                self.shared.push((element.jobs.clone(), element.place));
                self.shared.len() - 1
            });
            let Some((_, known)) = self.shared.get_mut(at) else { return };
            known
        };
        *known = livelier(queue, Some(*known), Some(element.place)).unwrap_or(*known);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.shared.is_empty()
    }

    fn of(&self, job: u64) -> Option<usize> {
        let shared = || self.shared.iter().find(|(jobs, _)| jobs.contains(&job)).map(|(_, place)| *place);
        self.own.get(&job).copied().or_else(shared)
    }
}

/// Every wanted repetition once, where the first plan that was added has it.
#[derive(Debug, Default)]
pub(super) struct Planned {
    /// Whether only one plan is added, in which nothing comes twice.
    alone: bool,
    places: Vec<PlannedRep>,
    /// Numbers for the runs' folders, and what is known of their repetitions.
    folders: HashMap<PathBuf, usize>,
    known: HashMap<(usize, u32), usize>,
}

impl Planned {
    /// None yet, of so many plans.
    pub(super) fn of(plans: usize) -> Self {
        Planned { alone: plans < 2, ..Planned::default() }
    }

    /// Adds a plan by its number. One without a number has no repetition of its own, only elements for those that are known.
    pub(super) fn add(
        &mut self,
        whole: Whole<'_>,
        number: Option<usize>,
        queue: Option<&[Element]>,
        wanted: &Wanted<'_>,
    ) {
        for (job, record) in (0..).zip(whole.value.jobs()) {
            let element = whole.elements.of(job);
            for (line, first, count) in record.reps {
                let Some(run) = whole.value.runs.get(line as usize).map(|run| &run.record) else { continue };
                let Some(experiment) = whole.value.experiments.get(run.experiment as usize) else { continue };
                let experiment = &experiment.record;
                let reps = (first..first.saturating_add(count)).filter(|rep| wanted(experiment, run, *rep));
                if let (true, Some(plan)) = (self.alone, number) {
                    self.places.extend(reps.map(|rep| PlannedRep {
                        plan,
                        last_plan: plan,
                        run: line,
                        rep,
                        job,
                        element,
                    }));
                    continue;
                }
                let next = self.folders.len();
                let folder = *self.folders.entry(whole.plan.root.join(run.place())).or_insert(next);
                for rep in reps {
                    match (self.known.entry((folder, rep)), number) {
                        (Entry::Occupied(known), _) => {
                            if let Some(place) = self.places.get_mut(*known.get()) {
                                place.last_plan = number.map_or(place.last_plan, |plan| plan.max(place.last_plan));
                                place.element = livelier(queue.unwrap_or_default(), place.element, element);
                            }
                        }
                        (Entry::Vacant(unknown), Some(plan)) => {
                            unknown.insert(self.places.len());
                            self.places.push(PlannedRep { plan, last_plan: plan, run: line, rep, job, element });
                        }
                        (Entry::Vacant(_), None) => {}
                    }
                }
            }
        }
    }

    /// In the order of the plans.
    pub(super) fn in_order(mut self) -> Vec<PlannedRep> {
        self.places.sort_by_key(|place| place.plan);
        self.places
    }
}

/// Of two elements with the same repetitions, the one that tells more of what will happen: what runs, what waits, what ended.
pub(super) fn livelier(queue: &[Element], a: Option<usize>, b: Option<usize>) -> Option<usize> {
    let rank = |place: Option<usize>| match place.and_then(|place| queue.get(place)).map(|element| element.state) {
        None => 0,
        Some(ElementState::Ended) => 1,
        Some(ElementState::Queued) => 2,
        Some(ElementState::Running) => 3,
    };
    if rank(b) > rank(a) { b } else { a }
}
