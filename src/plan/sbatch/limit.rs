//! What happens at the time limit: how long before it an element is warned, and how often it is requeued.

use crate::config::{Slurm, SlurmTime, slurm_time};

/// Seconds of warning before the time limit, where elements are requeued and `grace` is not given.
const DEFAULT_GRACE: f64 = 120.0;

/// Requeues of an element, where `requeue` is given and `max_requeues` is not.
const DEFAULT_REQUEUES: u32 = 10;

/// How often an element may requeue itself; 0 for never.
pub(in crate::plan) fn requeues(slurm: &Slurm) -> u32 {
    match slurm.requeue {
        Some(false) => 0,
        Some(true) => slurm.max_requeues.unwrap_or(DEFAULT_REQUEUES),
        None => slurm.max_requeues.unwrap_or(0),
    }
}

/// The time limit in seconds, where the configuration says.
pub(in crate::plan) fn seconds(slurm: &Slurm) -> Option<f64> {
    match slurm_time(slurm.options.text("time")?)? {
        #[expect(clippy::cast_precision_loss, reason = "time limits are far below 2^52 seconds")]
        SlurmTime::Seconds(seconds) => Some(seconds as f64),
        SlurmTime::Unlimited => None,
    }
}

/// Whole seconds before the time limit at which Slurm sends SIGUSR1; `None` for no warning. Slurm keeps it in 16 bits.
pub(super) fn warning(slurm: &Slurm) -> Option<u16> {
    // Not more than half of a short limit: a job that is warned from its start would do nothing.
    let default = || seconds(slurm).map_or(DEFAULT_GRACE, |limit| DEFAULT_GRACE.min(limit / 2.0));
    let grace = slurm.grace.or_else(|| (requeues(slurm) > 0).then(default))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the type's range")]
    Some(grace.ceil().clamp(1.0, 65535.0) as u16)
}

/// The worker's arguments that tell it the same.
pub(super) fn arguments(slurm: &Slurm) -> String {
    let warning = warning(slurm).map(|seconds| format!("--warning {seconds}"));
    let requeues = Some(requeues(slurm)).filter(|n| *n > 0).map(|n| format!("--max-requeues {n}"));
    warning.into_iter().chain(requeues).collect::<Vec<_>>().join(" ")
}
