//! What whoever runs repetitions in this process needs first: `run` and `worker`.

use super::failure::Failure;
use crate::run::status::SlurmIds;
use crate::store::plan::Plan;
use crate::store::plans;
use crate::worker::{self, Control, Options, TimeLimit, Tool};
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

/// What holds for every job here.
pub fn options(grace: Duration) -> Result<Options, Failure> {
    Ok(Options {
        grace,
        allowed: worker::allowed_cpus()?,
        max_slots: None,
        requeues_left: None,
        terminal: false,
        time_limit: TimeLimit::default(),
        host: hostname(),
        slurm: slurm_ids(),
        tool: std::env::current_exe().ok().map(|program| Arc::new(Tool::new(program))),
    })
}

/// This machine's name, empty where it has none.
pub fn hostname() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Whether this process is part of a job.
pub fn in_job() -> bool {
    slurm_ids().is_some()
}

fn slurm_ids() -> Option<SlurmIds> {
    let get = |name: &str| std::env::var(name).ok();
    Some(SlurmIds {
        job_id: get("SLURM_JOB_ID")?,
        array_job_id: get("SLURM_ARRAY_JOB_ID"),
        array_task_id: get("SLURM_ARRAY_TASK_ID"),
        restart_count: get("SLURM_RESTART_COUNT").and_then(|n| n.parse().ok()).unwrap_or(0),
    })
}
