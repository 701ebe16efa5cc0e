//! What whoever runs repetitions in this process needs first: `run` and `worker`.

use super::failure::Failure;
use super::here::{hostname, shown};
use crate::plan::layout::rep as names;
use crate::report::failures::{self, Failed, Group};
use crate::run::effective_state::EffectiveState;
use crate::run::status::{SlurmIds, State};
use crate::store::plan::Plan;
use crate::store::plans;
use crate::worker::{self, Control, Gpus, Options, Tally, TimeLimit, Tool};
use std::sync::Arc;
use std::time::Duration;

/// Notes that something comes of a plan, for `status` and `retry`.
pub fn begin(plan: &Plan) {
    if let Err(error) = plans::note_begun(&plan.folder) {
        log::warn!("{error}; `status` and `retry` may take the plan for one that was never submitted");
    }
}

/// Makes this process ready to run repetitions.
pub fn start() -> Result<Control, Failure> {
    worker::adopt_orphans();
    Control::listen().map_err(|error| Failure::Environment(format!("cannot listen to signals: {error}")))
}

/// What those that failed have to say, like ones together.
pub fn groups(tally: &Tally) -> Vec<Group> {
    let failed = tally.failed().iter().map(|failed| Failed {
        effective: if failed.state == State::TimedOut { EffectiveState::TimedOut } else { EffectiveState::Crashed },
        text: failed.why.clone(),
        dir: shown(&failed.dir),
        run: failed.run.clone(),
        log: shown(&failed.dir.join(names::ERR)),
    });
    failures::group(failed)
}

/// How repetitions ended: a line of counts, and groups of those that failed.
pub fn told(tally: &Tally, groups: &[Group]) -> String {
    let groups = failures::render(groups);
    [tally.summary().as_str(), groups.trim_end()].join("\n").trim_end().to_owned()
}

/// What holds for every job here.
pub fn options(grace: Duration) -> Result<Options, Failure> {
    let slurm = slurm_ids();
    Ok(Options {
        grace,
        allowed: worker::allowed_cpus()?,
        gpus: Gpus::visible(slurm.is_some()),
        max_slots: None,
        requeues_left: None,
        fail_fast: None,
        pilot: false,
        terminal: false,
        time_limit: TimeLimit::default(),
        host: hostname(),
        slurm,
        tool: std::env::current_exe().ok().map(|program| Arc::new(Tool::new(program))),
    })
}

/// Whether this process is part of a job.
pub fn in_job() -> bool {
    slurm_ids().is_some()
}

/// Slurm's ids of this process, inside a job.
pub fn slurm_ids() -> Option<SlurmIds> {
    let get = |name: &str| std::env::var(name).ok();
    Some(SlurmIds {
        job_id: get("SLURM_JOB_ID")?,
        array_job_id: get("SLURM_ARRAY_JOB_ID"),
        array_task_id: get("SLURM_ARRAY_TASK_ID"),
        restart_count: get("SLURM_RESTART_COUNT").and_then(|n| n.parse().ok()).unwrap_or(0),
    })
}
