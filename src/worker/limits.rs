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
    let mut course = Course::new(limits);
    loop {
        let events = control.events();
        if subject.ended() {
            return course.cause;
        }
        let (urgency, signal) = control.urgency();
        let now = Instant::now();
        begun.note(now);
        let step = course.step(now, urgency, signal);
        if let Some(signal) = step.ask {
            subject.ask(signal);
        }
        if step.kill && !subject.kill() {
            return course.cause;
        }
        control.wait(events, begun.due().into_iter().chain(step.wake).min());
    }
}

/// What has become of the limits so far. Pure: the time and the signals are handed in.
#[derive(Debug)]
struct Course {
    limits: Limits,
    cause: Cause,
    heard: Urgency,
    kill_at: Option<Instant>,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    ask: Option<Signal>,
    /// After that.
    kill: bool,
    /// When to look again at the latest.
    wake: Option<Instant>,
}

impl Course {
    fn new(limits: Limits) -> Self {
        Course { limits, cause: Cause::Itself, heard: Urgency::None, kill_at: None }
    }

    fn step(&mut self, now: Instant, urgency: Urgency, signal: Option<Signal>) -> Step {
        let limits = self.limits;
        let mut ask = None;
        if urgency > self.heard {
            self.heard = urgency;
            match limits.on_stop {
                _ if urgency == Urgency::Kill => self.kill_at = Some(now),
                _ if self.kill_at.is_some() => {}
                OnStop::Hurry => self.kill_at = Some(now + limits.grace),
                OnStop::Signal(polite) => {
                    self.cause = Cause::Stop;
                    let grace = if signal == Some(Signal::SIGUSR1) { limits.grace_at_limit } else { limits.grace };
                    ask = Some(if signal == Some(Signal::SIGINT) { Signal::SIGINT } else { polite });
                    self.kill_at = Some(now + grace);
                }
            }
        }
        if self.kill_at.is_none() && limits.deadline.is_some_and(|deadline| now >= deadline) {
            self.cause = Cause::Deadline;
            ask = Some(Signal::SIGTERM);
            self.kill_at = Some(now + limits.grace);
        }
        let kill = self.kill_at.is_some_and(|at| now >= at);
        if kill && self.cause == Cause::Itself {
            self.cause = Cause::Stop;
        }
        // SIGKILL is not refused, but a process in an uninterruptible wait heeds it late.
        let wake = if kill { Some(now + Duration::from_secs(1)) } else { self.kill_at.or(limits.deadline) };
        Step { ask, kill, wake }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::Signal::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

    /// A look: seconds from the start, the urgency, the signal, and what must come of it: the signal that is sent, whether it
    /// is killed, the second of the next look.
    type Look = (u64, Urgency, Option<Signal>, Option<Signal>, bool, Option<u64>);

    fn follow(on_stop: OnStop, deadline: Option<u64>, looks: &[Look], cause: Cause) {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut course = Course::new(Limits {
            deadline: deadline.map(at),
            grace: Duration::from_secs(10),
            grace_at_limit: Duration::from_secs(90),
            on_stop,
        });
        for (now, urgency, signal, ask, kill, wake) in looks {
            let step = course.step(at(*now), *urgency, *signal);
            assert_eq!(step, Step { ask: *ask, kill: *kill, wake: wake.map(at) }, "after {now} s of {looks:?}");
        }
        assert_eq!(course.cause, cause, "{looks:?}");
    }

    #[test]
    fn what_ends_in_time_is_left_alone() {
        let polite = OnStop::Signal(SIGTERM);
        follow(polite, None, &[(0, Urgency::None, None, None, false, None)], Cause::Itself);
        follow(polite, Some(5), &[(4, Urgency::None, None, None, false, Some(5))], Cause::Itself);
    }

    #[test]
    fn a_deadline_is_polite_first() {
        let looks = [
            (5, Urgency::None, None, Some(SIGTERM), false, Some(15)),
            (14, Urgency::None, None, None, false, Some(15)),
            (15, Urgency::None, None, None, true, Some(16)),
            // Not gone yet.
            (16, Urgency::None, None, None, true, Some(17)),
        ];
        follow(OnStop::Signal(SIGUSR2), Some(5), &looks, Cause::Deadline);
    }

    #[test]
    fn a_stop_hands_on_the_signal_and_waits_as_long_as_there_is() {
        let stop = |signal, ask, wake| [(1, Urgency::Stop, Some(signal), Some(ask), false, Some(wake))];
        let polite = OnStop::Signal(SIGUSR2);
        follow(polite, None, &stop(SIGTERM, SIGUSR2, 11), Cause::Stop);
        follow(polite, None, &stop(SIGINT, SIGINT, 11), Cause::Stop);
        follow(polite, None, &stop(SIGUSR1, SIGUSR2, 91), Cause::Stop);
        // The deadline passes meanwhile, and changes nothing.
        let looks = [
            (1, Urgency::Stop, Some(SIGTERM), Some(SIGUSR2), false, Some(11)),
            (6, Urgency::Stop, Some(SIGTERM), None, false, Some(11)),
            (11, Urgency::Stop, Some(SIGTERM), None, true, Some(12)),
        ];
        follow(polite, Some(5), &looks, Cause::Stop);
    }

    #[test]
    fn a_second_signal_kills_at_once() {
        let looks = [
            (1, Urgency::Stop, Some(SIGTERM), Some(SIGTERM), false, Some(11)),
            (2, Urgency::Kill, Some(SIGTERM), None, true, Some(3)),
        ];
        follow(OnStop::Signal(SIGTERM), None, &looks, Cause::Stop);
    }

    #[test]
    fn what_is_to_hurry_is_told_nothing() {
        let looks = [
            (1, Urgency::Stop, Some(SIGTERM), None, false, Some(11)),
            (11, Urgency::Stop, Some(SIGTERM), None, true, Some(12)),
        ];
        follow(OnStop::Hurry, None, &looks, Cause::Stop);
        // It ended within its grace.
        follow(OnStop::Hurry, None, &looks[..1], Cause::Itself);
    }
}
