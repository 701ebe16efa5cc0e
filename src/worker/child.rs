//! One child process from spawn to reaping: its own process group, a deadline, polite signals before SIGKILL.
//!
//! Told to end, the whole group has the grace: the child is often but a shell, which ends at once, while the program behind it
//! saves its work. So have those that left the group (`timeout` does, and `setsid`): they are told when their parents have
//! ended, which most often pass on what they are told. Where the child ends by itself, what it left is killed.
//!
//! A group with an `srun` in it has its program elsewhere, and is told and killed in another way: see [`super::srun`].
//!
//! A pid is signalled only while it is known to be the child's: the child is seen to have ended (`WNOWAIT`), its group is
//! ended, and only then it is reaped by the thread that signalled it.

use super::control::Control;
use super::exhausted::{Runs, is_exhausted, patiently};
use super::ghosts;
use super::limits::{self, Cause, Limits, OnStop, Subject};
use super::running_marker::RunningMarker;
use super::srun::Members;
use super::terminal::Terminal;
use crate::run::status::Exit;
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, getpgid};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
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

/// Starts a command in a process group of its own.
///
/// # Errors
/// Where it cannot be started.
pub(super) fn start(command: &mut Command, control: &Control) -> std::io::Result<Pid> {
    command.process_group(0);
    let child = patiently(control, || control.spawn(command), is_exhausted)?;
    // Linux pids fit an i32 (PID_MAX_LIMIT is 2^22).
    Ok(Pid::from_raw(i32::try_from(child.id()).map_err(std::io::Error::other)?))
}

/// Waits for the end of a child that leads a process group of its own and belongs to the repetition in `dir`. A terminal is
/// lent to it meanwhile. It exits with `success` where it came to its end.
///
/// # Errors
/// Where it is no child.
pub(super) fn run(
    pid: Pid,
    dir: &Path,
    limits: Limits,
    control: &Control,
    begun: &RunningMarker<'_>,
    terminal: Option<Terminal>,
    success: i32,
) -> std::io::Result<Ended> {
    let _runs = Runs::enter();
    if let Some(terminal) = &terminal {
        terminal.lend(pid);
    }
    let group = Group::new(pid, dir, terminal);
    let mut cause = limits::wait(&group, limits, control, begun);
    if let Some(terminal) = &group.terminal {
        terminal.take_back();
        if matches!(ended(pid), Some(WaitStatus::Signaled(_, Signal::SIGINT, _) | WaitStatus::Exited(_, 130))) {
            // Ctrl-C reached the child alone, and meant this process too.
            let _ = kill(Pid::this(), Signal::SIGINT);
        }
    }
    if cause == Cause::Itself
        && let OnStop::Signal(signal) = limits.on_stop
        && control.stopping_within(patience(ended(pid), success))
    {
        cause = Cause::Stop;
        // The child heeded its own signal before the worker knew of it; the others still do.
        group.told.set(Some(signal));
        limits::wait(&group, limits, control, begun);
    }
    group.clear(control);
    let reaped = reap(pid);
    ghosts::reaped(pid);
    let (exit, cpu_seconds, max_rss) = reaped?;
    Ok(Ended { exit, cause, cpu_seconds, max_rss })
}

/// A child, the processes of its group, and those that left it.
struct Group<'a> {
    leader: Pid,
    /// The repetition's directory, by which processes are known that left the group.
    dir: &'a Path,
    /// What they were told: then the end of all of them counts, not only the child's.
    told: Cell<Option<Signal>>,
    /// Those that left the group, and were told when nobody else was there to tell them.
    passed_on: RefCell<HashSet<Pid>>,
    /// When the steps of sruns were ended by force.
    aborted: Cell<Option<Instant>>,
    /// Whether the grace is over.
    killed: Cell<bool>,
    /// What was lent to it.
    terminal: Option<Terminal>,
}

impl<'a> Group<'a> {
    fn new(leader: Pid, dir: &'a Path, terminal: Option<Terminal>) -> Self {
        let (told, aborted, killed) = (Cell::default(), Cell::default(), Cell::default());
        Group { leader, dir, told, passed_on: RefCell::default(), aborted, killed, terminal }
    }

    fn orphans(&self) -> Vec<Pid> {
        ghosts::orphans_of(self.leader, self.dir)
    }

    /// All that is known to run.
    fn members(&self) -> Members {
        Members::below([vec![self.leader], self.orphans()].concat())
    }

    /// Whether any that was told has not ended, though the child has.
    fn others_live(&self, signal: Signal) -> bool {
        let orphans = self.orphans();
        let (in_group, elsewhere): (Vec<_>, Vec<_>) =
            orphans.into_iter().partition(|pid| getpgid(Some(*pid)) == Ok(self.leader));
        if self.killed.get() {
            // What left the group is then killed with all other orphans; only steps take a moment.
            let aborting = self.aborted.get().is_some() && self.may_abort();
            return !in_group.is_empty() || aborting && !elsewhere.is_empty();
        }
        // What these started they tell themselves, and what they leave behind comes next.
        let mut untold = elsewhere.clone();
        untold.retain(|pid| self.passed_on.borrow_mut().insert(*pid));
        Members::only(&untold).ask(signal);
        !in_group.is_empty() || !elsewhere.is_empty()
    }

    /// Ends what the child left: nothing, most often.
    fn clear(&self, control: &Control) {
        loop {
            let events = control.events();
            let left = self.orphans();
            if left.is_empty() || !Members::below(left).have_steps() || !self.may_abort() {
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

impl Subject for Group<'_> {
    fn ended(&self) -> bool {
        if let Some(terminal) = &self.terminal {
            terminal.follow_stop(self.leader);
        }
        ended(self.leader).is_some() && !self.told.get().is_some_and(|signal| self.others_live(signal))
    }

    fn ask(&self, signal: Signal) {
        self.told.set(Some(signal));
        let members = self.members().in_group(self.leader);
        if members.keep_back(signal) {
            return members.ask(signal);
        }
        let _ = killpg(self.leader, signal);
        // A stopped process acts on the signal only when it goes on.
        let _ = killpg(self.leader, Signal::SIGCONT);
    }

    fn kill(&self) -> bool {
        self.killed.set(true);
        let members = self.members();
        if members.have_steps() && self.may_abort() {
            // Waits for the sruns too.
            self.told.set(self.told.get().or(Some(Signal::SIGTERM)));
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
fn patience(end: Option<WaitStatus>, success: i32) -> Duration {
    let asks = |signal| [libc::SIGTERM, libc::SIGINT, libc::SIGHUP].contains(&signal);
    match end {
        Some(WaitStatus::Exited(_, code)) if code == success => Duration::ZERO,
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
pub(super) fn reap(pid: Pid) -> nix::Result<(Exit, f64, u64)> {
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
