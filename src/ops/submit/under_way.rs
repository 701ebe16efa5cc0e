//! What other plans of a folder have queued or running: not to be submitted by accident, most often by the same command
//! given twice.

use crate::ops::failure::Failure;
use crate::ops::here::hostname;
use crate::ops::notice::{self, Tell};
use crate::ops::select;
use crate::plan;
use crate::report::human::counted;
use crate::run::effective_state::EffectiveState;
use crate::slurm::Element;
use crate::store::survey;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// The repetitions that are under way.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    /// By their run's folder.
    reps: HashMap<PathBuf, HashSet<u32>>,
    /// A job of an array that has some.
    job: u64,
}

impl UnderWay {
    /// Looks at the plans of a folder; `queue` is what Slurm says, less what is no other plan's.
    pub(super) fn look(folder: &Path, queue: &[Element], tell: Tell<'_>) -> Result<Self, Failure> {
        let mut found = UnderWay::default();
        let (live, jobs): (Vec<_>, Vec<_>) = select::under_way(folder, queue)?.into_iter().unzip();
        let Some(job) = jobs.last() else { return Ok(found) };
        found.job = *job;
        // The worker of a plan that cannot be read still keeps others from what it runs.
        let survey = match survey::survey(live, Some(queue), &hostname()) {
            Ok(survey) => survey,
            Err(error) => {
                notice::unreadable(&[error.to_string()], &[], tell);
                return Ok(found);
            }
        };
        notice::unreadable(&survey.unreadable_plans, &[], tell);
        for seen in
            survey.reps.iter().filter(|seen| matches!(seen.effective, EffectiveState::Queued | EffectiveState::Running))
        {
            if let Some((plan, run)) = survey.plans.get(seen.plan).zip(survey.run(seen)) {
                found.reps.entry(plan.root.join(run.place())).or_default().insert(seen.rep);
            }
        }
        Ok(found)
    }

    /// What of a plan is under way, in words, where its paths start at `root`; `None` where that is nothing.
    pub(super) fn of(&self, plan: &plan::Plan, root: &Path) -> Option<String> {
        let busy = plan.runs.iter().map(|run| {
            let under_way = self.reps.get(&root.join(run.record.place()));
            under_way.map_or(0, |reps| run.reps.iter().filter(|rep| reps.contains(rep)).count() as u64)
        });
        let busy = if self.reps.is_empty() { 0 } else { busy.sum() };
        let are = if busy == 1 { "is" } else { "are" };
        let reps = counted(busy, "repetition");
        (busy > 0)
            .then(|| format!("{reps} of it {are} queued or running already, of an earlier plan (see job {})", self.job))
    }
}
