//! How long something may run, and how it is ended: politely, then by force. The same for a process and for a thread.

use super::control::{Control, Urgency};
use super::running_marker::RunningMarker;
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// How to end something early.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// When it has taken too long.
    pub deadline: Option<Instant>,
    /// Between the polite signal and SIGKILL.
    pub grace: Duration,
    /// The same, where the polite signal is the time limit's warning.
    pub grace_at_limit: Duration,
    /// What a stop of the worker means for it.
    pub on_stop: OnStop,
}

/// What it is told when the worker is to stop.
#[derive(Debug, Clone, Copy)]
pub(super) enum OnStop {
    /// This signal (SIGINT stays SIGINT), and SIGKILL after the grace.
    Signal(Signal),
    /// Nothing: it may end by itself within the grace.
    Hurry,
}

/// Why it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// By itself.
    Itself,
    /// It passed its deadline.
    Deadline,
    /// The worker was told to stop.
    Stop,
}

/// What is waited for.
pub(super) trait Subject {
    /// Whether it is over. What makes it so also wakes [`Control::wait`].
    fn ended(&self) -> bool;

    /// Asks it to end.
    fn ask(&self, signal: Signal);

    /// Ends it by force; whether it can be waited for all the same.
    fn kill(&self) -> bool;
}

/// Waits for the end of the subject, and brings it about where the limits or the worker's signals ask for it. Notes that it
/// runs when that is due.
pub(super) fn wait(subject: &impl Subject, limits: Limits, control: &Control, begun: &RunningMarker<'_>) -> Cause {
    let mut cause = Cause::Itself;
    let mut heard = Urgency::None;
    let mut kill_at: Option<Instant> = None;
    loop {
        let events = control.events();
        if subject.ended() {
            return cause;
        }
        let (urgency, signal) = control.urgency();
        if urgency > heard {
            heard = urgency;
            match limits.on_stop {
                _ if urgency == Urgency::Kill => kill_at = Some(Instant::now()),
                _ if kill_at.is_some() => {}
                OnStop::Hurry => kill_at = Some(Instant::now() + limits.grace),
                OnStop::Signal(polite) => {
                    cause = Cause::Stop;
                    let grace = if signal == Some(Signal::SIGUSR1) { limits.grace_at_limit } else { limits.grace };
                    subject.ask(if signal == Some(Signal::SIGINT) { Signal::SIGINT } else { polite });
                    kill_at = Some(Instant::now() + grace);
                }
            }
        }
        let now = Instant::now();
        begun.note(now);
        if kill_at.is_none() && limits.deadline.is_some_and(|deadline| now >= deadline) {
            cause = Cause::Deadline;
            subject.ask(Signal::SIGTERM);
            kill_at = Some(Instant::now() + limits.grace);
        }
        let mut wake = kill_at.or(limits.deadline);
        if kill_at.is_some_and(|at| now >= at) {
            if cause == Cause::Itself {
                cause = Cause::Stop;
            }
            if !subject.kill() {
                return cause;
            }
            // SIGKILL is not refused, but a process in an uninterruptible wait heeds it late.
            wake = Some(now + Duration::from_secs(1));
        }
        control.wait(events, begun.due().into_iter().chain(wake).min());
    }
}
