//! Taking a plan's arrays, or the elements of chosen repetitions, off the cluster.

use super::failure::Failure;
use super::here::hostname;
use super::notice::{Tell, unreadable};
use super::select::{self, Selection};
use crate::run::cancel::{Choice, Load, choose};
use crate::run::effective_state::EffectiveState;
use crate::slurm::{Client, Cluster as _, Element, ElementState, element_names};
use crate::store::plan::Plan;
use crate::store::survey::{self, PlanElement, Seen, Sources, Survey};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Plan folders, or results folders, which stand for all their plans.
    pub sources: Vec<PathBuf>,
    /// Which of their repetitions; whole arrays where all are meant.
    pub select: Selection,
    /// Only look what would be cancelled.
    pub dry_run: bool,
}

/// What was cancelled, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cancelled {
    /// What `scancel` was given: arrays, and stretches of elements.
    pub names: Vec<String>,
    /// How many of their elements ran.
    pub running: u64,
    /// How many waited.
    pub queued: u64,
    /// What was left alone, and why: a sentence for each element.
    pub left: Vec<String>,
}

/// Cancels what is queued or running of some plans. An element that also holds repetitions which are not meant is left alone.
///
/// # Errors
/// Where Slurm cannot be asked or told, or nothing is called so.
pub fn cancel(options: &Options, tell: Tell<'_>) -> Result<Cancelled, Failure> {
    let Sources { plans, unreadable: left_out, .. } = select::plans(&options.sources)?;
    unreadable(&left_out, &[], tell);
    let queue = select::queue(&plans).map_err(|error| {
        Failure::Environment(format!("nothing was cancelled, because the queue could not be read: {error}"))
    })?;
    let select = &options.select;
    let mut found = Found::default();
    let mut experiments = Vec::new();
    for plan in plans {
        let mut under_way = survey::elements(&plan, &queue)?;
        under_way.retain(|element| element.state != ElementState::Ended);
        if select.all() {
            found.whole(&under_way);
        } else {
            experiments.extend(plan.all_experiments()?.into_iter().map(|experiment| experiment.name));
            found.chosen(plan, &under_way, &queue, select)?;
        }
    }
    if !select.all() {
        select.check(&experiments.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    let names = found.names();
    if !options.dry_run && !names.is_empty() {
        Client.cancel(&names)?;
    }
    Ok(Cancelled { names, running: found.running, queued: found.queued, left: found.left })
}

/// Whether nothing that is under way will begin a repetition any more: also what failed in the element that holds it, or under the
/// pilots of its plan.
fn is_over(survey: &Survey, seen: &Seen, queue: &[Element]) -> bool {
    let failed = matches!(seen.effective, EffectiveState::Crashed | EffectiveState::TimedOut);
    let status = seen.status.as_ref().filter(|_| failed);
    seen.effective.is_finished()
        || status.is_some_and(|status| {
            let here = survey.plans.get(seen.plan).is_some_and(|plan| plan.name() == status.plan);
            let element = seen.element.and_then(|place| queue.get(place)).map(|element| (element.job, element.index));
            let same = element.is_some() && status.slurm.as_ref().map(survey::id_of) == element;
            here && (same || survey.is_shared(seen))
        })
}

/// What is to be cancelled.
#[derive(Default)]
struct Found {
    /// Arrays as a whole.
    arrays: BTreeSet<u64>,
    /// Elements of arrays.
    elements: BTreeMap<u64, Vec<u64>>,
    running: u64,
    queued: u64,
    left: Vec<String>,
}

impl Found {
    fn count(&mut self, element: &PlanElement) {
        match element.state {
            ElementState::Running => self.running += 1,
            _ => self.queued += 1,
        }
    }

    fn whole(&mut self, elements: &[PlanElement]) {
        for element in elements {
            self.arrays.insert(element.id);
            self.count(element);
        }
    }

    fn chosen(
        &mut self,
        plan: Plan,
        elements: &[PlanElement],
        queue: &[Element],
        select: &Selection,
    ) -> Result<(), Failure> {
        if elements.is_empty() {
            return Ok(());
        }
        // Alone: another plan's word on the same repetitions does not matter for this one's elements.
        let survey = survey::survey(vec![plan], Some(queue), &hostname())?;
        let mut loads: HashMap<u64, Load> = HashMap::new();
        for seen in &survey.reps {
            let (Some(experiment), Some(run)) = (survey.experiment(seen), survey.run(seen)) else { continue };
            // What pilots share, any of them may take next: they go together, or not at all.
            let plan = survey.plans.get(seen.plan);
            let shared = plan.and_then(|plan| plan.array_of(seen.job)).filter(|(_, array)| array.pilots.is_some());
            let load = loads.entry(shared.map_or(seen.job, |(_, array)| array.offset)).or_default();
            let chosen = select.has(&experiment.name, &run.run, seen.rep);
            load.add(chosen, is_over(&survey, seen, queue), || format!("{} rep {}", run.run, seen.rep));
        }
        let mut all_of: BTreeMap<u64, bool> = BTreeMap::new();
        let mut taken: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for element in elements {
            let choice = loads.get(&element.jobs.start).map_or(Choice::Other, choose);
            *all_of.entry(element.id).or_insert(true) &= matches!(choice, Choice::Cancel);
            match choice {
                Choice::Cancel => {
                    taken.entry(element.id).or_default().push(element.index);
                    self.count(element);
                }
                Choice::Shared(why) => {
                    let what = if element.jobs.end - element.jobs.start > 1 { "pilot" } else { "element" };
                    self.left.push(format!("left alone: {what} {}_{} {why}", element.id, element.index));
                }
                Choice::Other => {}
            }
        }
        for (id, indices) in taken {
            if all_of.get(&id) == Some(&true) {
                self.arrays.insert(id);
            } else {
                self.elements.entry(id).or_default().extend(indices);
            }
        }
        Ok(())
    }

    /// What `scancel` is given.
    fn names(&self) -> Vec<String> {
        let arrays = self.arrays.iter().map(u64::to_string);
        arrays.chain(self.elements.iter().flat_map(|(id, indices)| element_names(*id, indices))).collect()
    }
}
