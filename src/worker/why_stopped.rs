//! Why this worker was told to stop, as far as it can know without asking anybody.

use super::Options;
use super::control::Control;
use crate::run::status::StoppedBy;
use crate::store::log;
use nix::sys::signal::Signal;

/// How much of the job's log is looked at: Slurm's words are among the last.
const TAIL: u64 = 8 * 1024;

/// Why, and the same in words; nothing where the worker was not told to stop.
pub(super) fn why_stopped(control: &Control, options: &Options) -> Option<(StoppedBy, String)> {
    let signal = control.first_stop()?;
    let why = match signal {
        Signal::SIGUSR1 => StoppedBy::TimeLimit,
        // Slurm writes into the job's log, which is this process's standard error, before it sends the signal.
        Signal::SIGTERM if options.slurm.is_some() => {
            StoppedBy::told_in(&log::of_standard_error(TAIL)).unwrap_or(StoppedBy::Signal)
        }
        _ => StoppedBy::Signal,
    };
    let why = match why {
        StoppedBy::TimeLimit if options.requeues_left == Some(0) => StoppedBy::RequeuesUsedUp,
        why => why,
    };
    let words = if why == StoppedBy::Signal { signal.as_str() } else { why.words() };
    Some((why, words.to_owned()))
}
