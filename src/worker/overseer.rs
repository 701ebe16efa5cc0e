//! A program that hands out a job's repetitions itself: started, told what this worker is told, and waited for, with the
//! workers of single repetitions that it started.

use super::control::{Control, Urgency};
use super::{Options, child, ghosts};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// What the workers of single repetitions take beyond their own grace: an interpreter that ends, a state that is written.
const RESERVE: Duration = Duration::from_secs(5);

/// Starts it in a process group of its own, and waits until it and all of its group have ended. What left the group is ended
/// then.
///
/// # Errors
/// Where it cannot be started.
pub fn oversee(command: &mut Command, options: &Options, control: &Control) -> std::io::Result<()> {
    let pid = child::start(command, control)?;
    let mut heard = Urgency::None;
    let mut kill_at = None;
    loop {
        let events = control.events();
        if has_ended(pid) && ghosts::orphans_of(pid, Path::new("")).is_empty() {
            break;
        }
        let (urgency, signal) = control.urgency();
        if urgency > heard {
            heard = urgency;
            // Its workers are told in the same words, as they know best what these mean.
            let _ = killpg(pid, signal.unwrap_or(Signal::SIGTERM));
            let grace = match signal {
                Some(Signal::SIGUSR1) => options.time_limit.warning.max(options.grace),
                _ => options.grace,
            };
            kill_at = Some(Instant::now() + grace + RESERVE);
        }
        if kill_at.is_some_and(|at| Instant::now() >= at) {
            let _ = killpg(pid, Signal::SIGKILL);
            kill_at = Some(Instant::now() + Duration::from_secs(1));
        }
        control.wait(events, kill_at);
    }
    child::reap(pid)?;
    ghosts::end_strays();
    Ok(())
}

/// Whether the child has ended; it stays a zombie.
fn has_ended(pid: Pid) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    !matches!(waitid(Id::Pid(pid), flags), Ok(WaitStatus::StillAlive))
}
