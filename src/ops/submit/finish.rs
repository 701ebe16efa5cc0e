//! The job that calls `on_finish`: submitted last, when it is known for what it has to wait.

use crate::ops::failure::Failure;
use crate::ops::notice::{Notice, Tell};
use crate::ops::program::name;
use crate::ops::select;
use crate::plan::sbatch::finish::SCRIPT;
use crate::slurm::{Client, Cluster as _, Element, ElementState, SubmitOptions, TOKEN, with_retries};
use crate::store;
use crate::store::plan::Plan;
use crate::store::submissions::{Ledger, Submission};
use std::collections::{BTreeSet, HashSet};

/// Whether a plan has such a job that was not submitted.
pub(super) fn is_missing(plan: &Plan, ledger: &Ledger<'_>) -> bool {
    let submitted = ledger.content.finish.as_ref().is_some_and(|submission| submission.job.is_some());
    !submitted && store::exists(&plan.folder.join(SCRIPT))
}

/// Takes back the one that waits: another end is to come.
pub(super) fn supersede(ledger: &mut Ledger<'_>, queue: &[Element]) -> Result<(), Failure> {
    let Some(finish) = ledger.content.finish.take() else { return Ok(()) };
    let live = |element: &&Element| element.token() == finish.token && element.state != ElementState::Ended;
    if let Some(element) = queue.iter().find(live) {
        Client.cancel(&[element.job.to_string()])?;
    }
    Ok(ledger.save()?)
}

/// Lets it wait for jobs that were added to a plan, too.
pub(super) fn renew(
    plan: &Plan,
    ledger: &mut Ledger<'_>,
    before: &HashSet<u64>,
    tell: Tell<'_>,
) -> Result<(), Failure> {
    if !store::exists(&plan.folder.join(SCRIPT)) {
        return Ok(());
    }
    let queue = with_retries(|| select::queue(std::slice::from_ref(plan)))?;
    supersede(ledger, &queue)?;
    submit(plan, ledger, &queue, before, tell)
}

/// Submits it behind all jobs of the plan. `before` are those that were noted before this call: of them only what Slurm still has
/// can be waited for, or need be.
pub(super) fn submit(
    plan: &Plan,
    ledger: &mut Ledger<'_>,
    queue: &[Element],
    before: &HashSet<u64>,
    tell: Tell<'_>,
) -> Result<(), Failure> {
    if !is_missing(plan, ledger) {
        return Ok(());
    }
    let unanswered = ledger.content.finish.as_ref();
    let found = unanswered.and_then(|own| queue.iter().find(|element| element.token() == own.token));
    let job = match found.map(|element| element.job) {
        Some(job) => job,
        None => hand_over(plan, ledger, queue, before).map_err(|error| {
            let (me, folder) = (name(), plan.folder.display());
            Failure::Environment(format!(
                "all arrays are submitted, and `on_finish` will not be called: {error}; `{me} submit {folder}` tries that again"
            ))
        })?,
    };
    if let Some(submission) = &mut ledger.content.finish {
        submission.job = Some(job);
    }
    ledger.save()?;
    tell(Notice::Note(format!("submitted {SCRIPT} as job {job}, which waits until all of them have ended")));
    Ok(())
}

fn hand_over(
    plan: &Plan,
    ledger: &mut Ledger<'_>,
    queue: &[Element],
    before: &HashSet<u64>,
) -> Result<u64, Box<dyn std::error::Error>> {
    let now = jiff::Timestamp::now();
    let token = format!("{TOKEN}{}:{}:finish", std::process::id(), now.as_nanosecond());
    let submitted = now.round(jiff::Unit::Second).unwrap_or(now).to_string();
    let array = plan.manifest.arrays.len();
    ledger.content.finish = Some(Submission { array, token: token.clone(), job: None, submitted, superseded: false });
    ledger.save()?;
    let live: HashSet<u64> =
        queue.iter().filter(|element| element.state != ElementState::Ended).map(|element| element.job).collect();
    let jobs = ledger.content.submissions.iter().filter_map(|submission| submission.job);
    let jobs: BTreeSet<u64> = jobs.filter(|job| !before.contains(job) || live.contains(job)).collect();
    let all: Vec<String> = jobs.iter().map(u64::to_string).collect();
    let dependency = (!all.is_empty()).then(|| format!("afterany:{}", all.join(":")));
    let options = SubmitOptions { dependency, ..SubmitOptions::default() };
    Ok(Client.submit(&plan.folder.join(SCRIPT), &token, &options, ledger.turn.lock())?)
}
