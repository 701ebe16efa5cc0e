//! How jobs ended whose repetitions cannot say so: the worker never started, or is gone. Slurm's accounting is asked once, and
//! only where there is such a job; elsewhere the queue and the jobs' logs tell.

use crate::run::effective_state::EffectiveState;
use crate::run::job_end::JobEnd;
use crate::run::status::Status;
use crate::slurm::{Accounted, Element, ElementState, accounted};
use crate::store::job_log::{self, JobLogs};
use crate::store::submissions;
use crate::store::survey::{Seen, Survey, id_of};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

/// An element: its array's job id, and its number.
type Id = (u64, Option<u64>);

/// The ends that are known.
#[derive(Debug, Default)]
pub struct JobEnds {
    /// Of jobs that nothing came of, by plan and job; of pilots that nothing came of, by the first job of their array.
    unstarted: HashMap<(usize, u64), JobEnd>,
    /// Plan and first job of the arrays that pilots share.
    shared: Vec<(usize, Range<u64>)>,
    /// Of those whose worker is gone.
    lost: HashMap<Id, JobEnd>,
}

impl JobEnds {
    /// How the job of a repetition ended.
    pub fn of(&self, seen: &Seen) -> Option<&JobEnd> {
        match seen.effective {
            EffectiveState::JobFailed => {
                let jobs = self.shared.iter().find(|(plan, jobs)| *plan == seen.plan && jobs.contains(&seen.job));
                self.unstarted.get(&(seen.plan, jobs.map_or(seen.job, |(_, jobs)| jobs.start)))
            }
            EffectiveState::Lost => self.lost.get(&id_of(seen.status.as_ref()?.slurm.as_ref()?)),
            _ => None,
        }
    }
}

/// Finds out about them. What is pending although its job failed is then called so.
pub fn look(survey: &mut Survey, queue: Option<&[Element]>) -> JobEnds {
    let mut ends = JobEnds::default();
    // Where nobody knows what waits, nothing is called failed.
    let Some(queue) = queue else { return ends };
    let mut logs: HashMap<usize, JobLogs<'_>> = HashMap::new();
    let candidates = candidates(survey, queue, &mut logs);
    let lost: HashMap<Id, &Seen> = survey
        .reps
        .iter()
        .filter(|seen| seen.effective == EffectiveState::Lost)
        .filter_map(|seen| Some((id_of(seen.status.as_ref()?.slurm.as_ref()?), seen)))
        .collect();
    let jobs: BTreeSet<u64> =
        candidates.values().map(|(job, _)| *job).chain(lost.keys().map(|(job, _)| *job)).collect();
    let accounts: HashMap<Id, Accounted> = accounted(&jobs)
        .inspect_err(|error| log::debug!("no accounting: {error}"))
        .unwrap_or_default()
        .into_iter()
        .map(|known| ((known.job, known.index), known))
        .collect();
    let words: HashMap<Id, &str> = queue.iter().map(|e| ((e.job, e.index), e.word.as_str())).collect();
    let end = |id: Id| {
        let account = accounts.get(&id);
        // The queue tells of now; accounting runs some seconds behind it.
        let word = words.get(&id).map(|word| (*word).to_owned()).or_else(|| Some(account?.word.clone()));
        JobEnd {
            id: id.1.map_or_else(|| id.0.to_string(), |index| format!("{}_{index}", id.0)),
            word,
            exit: account.filter(|known| ElementState::of(&known.word) == ElementState::Ended).map(|known| known.exit),
            nodes: account.map(|known| known.nodes.clone()).unwrap_or_default(),
            log: None,
            tail: String::new(),
        }
    };
    for ((plan, number), (job, index)) in candidates {
        let Some(of) = survey.plans.get(plan) else { continue };
        let (array, pilots) = of.array_of(number).map_or((0, None), |(place, array)| (place, array.pilots));
        let mut end = end((job, Some(index)));
        let logs = logs.entry(plan).or_insert_with(|| JobLogs::of(of));
        end.log = logs.find(array, job, index);
        end.tail = end.log.as_deref().map(job_log::tail).unwrap_or_default();
        let who = if pilots.is_some() { "a pilot of ".to_owned() } else { format!("job {number}: ") };
        let line = format!("plan {}, {who}", of.name());
        if failed(&end, &line) || (could_not_log(&end) && !logs.have_folder(array)) {
            if let Some((_, array)) = of.array_of(number).filter(|_| pilots.is_some()) {
                ends.shared.push((plan, array.all_jobs()));
            }
            ends.unstarted.insert((plan, number), end);
        }
    }
    for (id, seen) in lost {
        let mut end = end(id);
        if let (Some(of), Some(index)) = (survey.plans.get(seen.plan), id.1) {
            let number = seen.status.as_ref().map_or(seen.job, |status| status.job);
            let array = of.array_of(number).map_or(0, |(place, _)| place);
            end.log = logs.entry(seen.plan).or_insert_with(|| JobLogs::of(of)).find(array, id.0, index);
        }
        ends.lost.insert(id, end);
    }
    drop(logs);
    for seen in &mut survey.reps {
        let first = ends.shared.iter().find(|(plan, jobs)| *plan == seen.plan && jobs.contains(&seen.job));
        let place = (seen.plan, first.map_or(seen.job, |(_, jobs)| jobs.start));
        if seen.effective == EffectiveState::Pending && ends.unstarted.contains_key(&place) {
            seen.effective = EffectiveState::JobFailed;
        }
    }
    ends
}

/// The jobs that were submitted and that nothing came of, each with its element.
fn candidates<'a>(
    survey: &'a Survey,
    queue: &[Element],
    logs: &mut HashMap<usize, JobLogs<'a>>,
) -> HashMap<(usize, u64), (u64, u64)> {
    let own = |seen: &Seen, status: &Status| survey.plans.get(seen.plan).is_some_and(|plan| plan.name() == status.plan);
    let touched = |seen: &Seen| {
        let status = seen.status.as_deref().filter(|status| own(seen, status))?;
        Some((seen.plan, first_of(survey, seen.plan, status.job)))
    };
    let touched: HashSet<_> = survey.reps.iter().filter_map(touched).collect();
    let mut submitted: HashMap<usize, HashMap<usize, u64>> = HashMap::new();
    let mut found = HashMap::new();
    for seen in survey.reps.iter().filter(|seen| seen.effective == EffectiveState::Pending && seen.status.is_none()) {
        let Some(plan) = survey.plans.get(seen.plan) else { continue };
        let place = (seen.plan, first_of(survey, seen.plan, seen.job));
        if found.contains_key(&place) || touched.contains(&place) {
            continue;
        }
        let Some((number, array)) = plan.array_of(seen.job) else { continue };
        let queued = seen.element.and_then(|place| queue.get(place));
        // Any pilot tells of all.
        let index = match (array.pilots, queued.and_then(|element| element.index)) {
            (Some(_), index) => index.unwrap_or(0),
            (None, _) => seen.job - array.offset,
        };
        let noted = || {
            let known = submitted.entry(seen.plan).or_insert_with(|| {
                let noted = submissions::read(&plan.folder).unwrap_or_default().submissions;
                noted.iter().filter_map(|submission| Some((submission.array, submission.current()?))).collect()
            });
            known.get(&number).copied()
        };
        let job = queued.map(|element| element.job).or_else(noted);
        let by_log = || logs.entry(seen.plan).or_insert_with(|| JobLogs::of(plan)).newest_job(number, index);
        if let Some(job) = job.or_else(by_log) {
            found.insert(place, (job, index));
        }
    }
    found
}

/// Whether it ended as one whose log could not even be opened: Slurm before 21.08 gives that the code of a worker.
fn could_not_log(end: &JobEnd) -> bool {
    end.log.is_none() && end.word.as_deref() == Some("FAILED") && end.exit == Some((1, 0))
}

/// The number that stands for a job: of the first one that pilots share.
fn first_of(survey: &Survey, plan: usize, job: u64) -> u64 {
    let array = survey.plans.get(plan).and_then(|plan| plan.array_of(job));
    array.filter(|(_, array)| array.pilots.is_some()).map_or(job, |(_, array)| array.offset)
}

/// Whether a job that left no state failed; its worker would have begun the log with `line`.
fn failed(end: &JobEnd, line: &str) -> bool {
    let over = end.word.as_deref().is_none_or(|word| ElementState::of(word) == ElementState::Ended);
    if !over || end.was_taken_off() || (end.word.is_none() && end.log.is_none()) {
        return false;
    }
    // Where a worker began, its repetitions' directories may have been removed since.
    match &end.log {
        Some(log) if end.tail.contains(line) || job_log::head(log).contains(line) => {
            end.word.is_some() && end.is_no_workers() && (end.exit.is_some() || end.word.as_deref() != Some("FAILED"))
        }
        Some(_) => true,
        None => end.is_no_workers(),
    }
}
