//! One child process from spawn to reaping: its own process group, a deadline, polite signals before SIGKILL.
//!
//! Told to end, the whole group has the grace: the child is often but a shell, which ends at once, while the program behind it
//! saves its work. Where the child ends by itself, what it left in its group is killed.
//!
//! A group with an `srun` in it has its program elsewhere, and is told and killed in another way: see [`super::srun`].
//!
//! A pid is signalled only while it is known to be the child's: the child is seen to have ended (`WNOWAIT`), its group is
//! ended, and only then it is reaped by the thread that signalled it.

use super::begun::Begun;
use super::control::Control;
use super::ghosts;
use super::limits::{self, Cause, Limits, OnStop, Subject};
use super::srun::Members;
use crate::run::status::Exit;
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::cell::Cell;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a step of `srun` may take to end by force.
const ABORT: Duration = Duration::from_secs(5);

/// A child that is gone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub exit: Exit,
    pub cause: Cause,
    /// CPU seconds, of it and the children it waited for.
    pub cpu_seconds: f64,
    /// Largest resident size of one of them, in bytes.
    pub max_rss: u64,
}

/// Starts a command in a process group of its own and waits for its end.
///
/// # Errors
/// Where the command cannot be started.
pub(super) fn run(
    command: &mut Command,
    limits: Limits,
    control: &Control,
    begun: &Begun<'_>,
) -> std::io::Result<Ended> {
    let child = control.spawn(command.process_group(0))?;
    // Linux pids fit an i32 (PID_MAX_LIMIT is 2^22).
    let pid = Pid::from_raw(i32::try_from(child.id()).map_err(std::io::Error::other)?);
    let group = Group { leader: pid, told: Cell::new(false), aborted: Cell::new(None) };
    let mut cause = limits::wait(&group, limits, control, begun);
    if cause == Cause::Itself
        && matches!(limits.on_stop, OnStop::Signal(_))
        && control.stopping_within(patience(ended(pid)))
    {
        cause = Cause::Stop;
        // The child heeded its own signal before the worker knew of it; the others still do.
        group.told.set(true);
        limits::wait(&group, limits, control, begun);
    }
    group.clear(control);
    let (exit, cpu_seconds, max_rss) = reap(pid)?;
    Ok(Ended { exit, cause, cpu_seconds, max_rss })
}

/// A child and the processes of its group.
struct Group {
    leader: Pid,
    /// Whether they were told to end: then the end of all of them counts, not only the child's.
    told: Cell<bool>,
    /// When the steps of its sruns were ended by force.
    aborted: Cell<Option<Instant>>,
}

impl Group {
    /// Ends what the child left in its group: nothing, most often.
    fn clear(&self, control: &Control) {
        self.told.set(true);
        loop {
            let events = control.events();
            if self.ended() || !Members::of(self.leader).have_steps() || !self.may_abort() {
                break;
            }
            self.kill();
            control.wait(events, Some(Instant::now() + Duration::from_secs(1)));
        }
        // The zombie still holds its pid, so the group's number is no one else's.
        let _ = killpg(self.leader, Signal::SIGKILL);
    }

    /// Whether steps are still given the time to end.
    fn may_abort(&self) -> bool {
        self.aborted.get().is_none_or(|at| at.elapsed() < ABORT)
    }
}

impl Subject for Group {
    fn ended(&self) -> bool {
        ended(self.leader).is_some() && !(self.told.get() && ghosts::orphans_in_group(self.leader))
    }

    fn ask(&self, signal: Signal) {
        self.told.set(true);
        let members = Members::of(self.leader);
        if members.keep_back(signal) {
            return members.ask(signal);
        }
        let _ = killpg(self.leader, signal);
        // A stopped process acts on the signal only when it goes on.
        let _ = killpg(self.leader, Signal::SIGCONT);
    }

    fn kill(&self) -> bool {
        let members = Members::of(self.leader);
        if members.have_steps() && self.may_abort() {
            self.told.set(true);
            if self.aborted.replace(self.aborted.get().or(Some(Instant::now()))).is_none() {
                members.abort();
            }
        } else {
            let _ = killpg(self.leader, Signal::SIGKILL);
        }
        true
    }
}

/// How long to wait for the worker's own signal before an end is judged: one that looks like an answer to a signal may
/// have come of the one the worker is about to get.
fn patience(end: Option<WaitStatus>) -> Duration {
    let asks = |signal| [libc::SIGTERM, libc::SIGINT, libc::SIGHUP].contains(&signal);
    match end {
        Some(WaitStatus::Exited(_, 0)) => Duration::ZERO,
        Some(WaitStatus::Signaled(_, signal, _)) if asks(signal as i32) => Duration::from_secs(1),
        Some(WaitStatus::Exited(_, code)) if asks(code - 128) => Duration::from_secs(1),
        // A program whose handler raises an error ends like any that crashed.
        _ => Duration::from_millis(20),
    }
}

/// How the child ended, if it has; it stays a zombie.
fn ended(pid: Pid) -> Option<WaitStatus> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    loop {
        match waitid(Id::Pid(pid), flags) {
            Ok(WaitStatus::StillAlive) => return None,
            Ok(status) => return Some(status),
            Err(Errno::EINTR) => {}
            // By a signal without a name, or no child of ours any more: in both cases there is nothing to wait for.
            Err(_) => return Some(WaitStatus::Signaled(pid, Signal::SIGKILL, false)),
        }
    }
}

/// Reaps the ended child: exit, CPU seconds, largest resident size in bytes.
#[expect(unsafe_code, reason = "no safe wrapper of wait4, the only call that tells one child's resources")]
fn reap(pid: Pid) -> nix::Result<(Exit, f64, u64)> {
    let mut status: libc::c_int = 0;
    // SAFETY: rusage is a plain C struct of integers, for which all zeroes is a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to live, properly aligned values of the types wait4 writes, exclusively borrowed here.
        let result = unsafe { libc::wait4(pid.as_raw(), &raw mut status, 0, &raw mut usage) };
        match Errno::result(result) {
            Ok(_) => break,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    let exit = if libc::WIFSIGNALED(status) {
        Exit::Signal(libc::WTERMSIG(status))
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    };
    #[expect(clippy::cast_precision_loss, reason = "CPU times are far below 2^52 seconds")]
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    // Linux counts ru_maxrss in kibibytes (getrusage(2)).
    let max_rss = u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024;
    Ok((exit, seconds(usage.ru_utime) + seconds(usage.ru_stime), max_rss))
}
