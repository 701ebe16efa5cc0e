//! Where Slurm cannot be asked: which repetitions it could have told something about.

use crate::run::effective_state::EffectiveState;
use crate::store::plan::Plan;
use crate::store::survey::{Seen, Survey};
use crate::store::{plans, submissions};
use std::path::PathBuf;

/// Which plans were only ever run by `cw2 run`, and lie among such: nothing of them can be in a queue.
pub fn local_plans(survey: &Survey) -> Vec<bool> {
    // What cannot be read may tell of a submission.
    let submitted = |folder: &PathBuf| submissions::read(folder).map_or(true, |noted| !noted.submissions.is_empty());
    let beside = survey.plans.first().and_then(|plan| plan.folder.parent()).map_or(Ok(Vec::new()), plans::find);
    let any_submitted = beside.map_or(true, |folders| folders.iter().any(submitted));
    let local = |(index, plan): (usize, &Plan)| {
        let own = survey.reps.iter().filter(|seen| seen.plan == index).filter_map(|seen| seen.status.as_ref());
        let mut own = own.filter(|status| status.plan == plan.name()).peekable();
        let started = own.peek().is_some();
        started && !any_submitted && own.all(|status| status.slurm.is_none())
    };
    survey.plans.iter().enumerate().map(local).collect()
}

/// Whether a repetition, seen without Slurm, may be queued, or may have lost its job.
pub fn in_doubt(seen: &Seen, local: &[bool]) -> bool {
    if seen.effective == EffectiveState::Running {
        return seen.status.as_ref().is_some_and(|status| status.slurm.is_some());
    }
    seen.effective.is_missing() && !local.get(seen.last_plan).copied().unwrap_or_default()
}
