//! What an attempt executes, and how it ends: the same for a `command` and for an experiment written in Rust.

use super::child::Ended;
use super::limits::Cause;
use crate::printable;
use crate::run::status::{Exit, Failure, State};
use std::time::Duration;

/// How much of `err.log` a status keeps: a traceback of a long chain of Python exceptions as a whole.
pub(super) const TAIL_BYTES: u64 = 16 * 1024;

/// Time for a repetition's `finalize` once the worker was told to stop: Slurm kills 30 s after its SIGTERM by default.
pub(super) const FINALIZE_ON_STOP: Duration = Duration::from_secs(10);

pub(super) const TOLD_TO_STOP: &str = "the worker was told to stop";

/// One attempt that is to be executed. It writes no state: [`super::life`] does.
pub(super) trait Execution {
    /// `initialize` and `run`.
    fn run(&mut self) -> Outcome;

    /// `finalize`, whatever the outcome is.
    fn finalize(&mut self, outcome: &mut Outcome);
}

/// How an attempt ended.
pub(super) struct Outcome {
    pub state: State,
    pub exit: Option<Exit>,
    pub failure: Option<Failure>,
    pub payload: Option<serde_json::Value>,
    /// CPU seconds of all phases.
    pub cpu_seconds: f64,
    /// Largest resident size of one of their processes, in bytes.
    pub max_rss: u64,
    /// Why nothing of it was started, as there was no room for it.
    pub not_started: Option<String>,
}

impl Outcome {
    /// Nothing went wrong yet.
    pub(super) fn completed() -> Self {
        Outcome {
            state: State::Completed,
            exit: None,
            failure: None,
            payload: None,
            cpu_seconds: 0.0,
            max_rss: 0,
            not_started: None,
        }
    }

    pub(super) fn fail(&mut self, state: State, phase: &str, message: impl AsRef<str>, stderr_tail: String) {
        self.state = state;
        self.failure = Some(Failure {
            phase: phase.to_owned(),
            message: printable::line(message.as_ref()),
            stderr_tail,
            ..Failure::default()
        });
    }

    /// What went wrong after all else: it does not take the place of what did before.
    pub(super) fn fail_late(&mut self, state: State, phase: &str, message: &str, stderr_tail: String) {
        if self.state.is_finished() {
            self.fail(state, phase, message, stderr_tail);
        } else if let Some(failure) = &mut self.failure {
            failure.message = printable::line(&format!("{}; then {message}", failure.message));
        }
    }

    /// Makes a crash with a retry to come an interruption: the next start of the element makes up for it.
    pub(super) fn postpone(&mut self) {
        self.state = State::Interrupted;
        if let Some(failure) = &mut self.failure {
            Failure::RETRY.clone_into(&mut failure.phase);
            failure.message = format!("{}; then {TOLD_TO_STOP}, before the retry", failure.message);
        }
    }

    /// Says why the worker was told to stop, where that is why it is interrupted.
    pub(super) fn explain_stop(&mut self, words: &str) {
        if let Some(failure) = self.failure.as_mut().filter(|_| self.state == State::Interrupted) {
            failure.message =
                printable::line(&failure.message.replacen(TOLD_TO_STOP, &format!("{TOLD_TO_STOP}: {words}"), 1));
        }
    }

    /// Makes a crash the last one, though a retry was to come.
    pub(super) fn give_up(&mut self, why: &str) {
        if let Some(failure) = &mut self.failure {
            failure.message = printable::line(&format!("{}; no retry: {why}", failure.message));
        }
    }

    pub(super) fn account(&mut self, ended: &Ended) {
        self.cpu_seconds += ended.cpu_seconds;
        self.max_rss = self.max_rss.max(ended.max_rss);
    }

    /// A failed `finalize` is a crash, one that was cut short an interruption, unless the repetition did not succeed anyway.
    /// `ended` says why it did, and what went wrong where it ended by itself.
    pub(super) fn finalized(&mut self, ended: (Cause, Option<String>), tail: impl Fn() -> String) {
        let (state, message) = match ended {
            (Cause::Itself, None) => return,
            (Cause::Itself, Some(message)) => (State::Crashed, message),
            (Cause::Deadline, _) => (State::TimedOut, "`finalize` was ended after the timeout".to_owned()),
            (Cause::Stop, _) => (State::Interrupted, format!("`finalize` was ended: {TOLD_TO_STOP}")),
        };
        let tail = if self.state.is_finished() { tail() } else { String::new() };
        self.fail_late(state, "finalize", &message, tail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(state: State) -> Outcome {
        let mut outcome = Outcome::completed();
        outcome.fail(state, "run", "`run` exited with\nstatus 1", "the tail".to_owned());
        outcome
    }

    fn told(outcome: &Outcome) -> (State, Option<(&str, &str, &str)>) {
        let failure = outcome.failure.as_ref();
        (outcome.state, failure.map(|f| (f.phase.as_str(), f.message.as_str(), f.stderr_tail.as_str())))
    }

    #[test]
    fn finalize_decides_only_where_all_went_well() {
        let message = || Some("`finalize` exited with status 2".to_owned());
        let tail = || "its tail".to_owned();
        for (ended, state, expected) in [
            ((Cause::Itself, None), State::Completed, None),
            ((Cause::Itself, message()), State::Crashed, Some("`finalize` exited with status 2")),
            ((Cause::Deadline, message()), State::TimedOut, Some("`finalize` was ended after the timeout")),
            ((Cause::Stop, None), State::Interrupted, Some("`finalize` was ended: the worker was told to stop")),
        ] {
            let mut outcome = Outcome::completed();
            outcome.finalized(ended, tail);
            assert_eq!(told(&outcome), (state, expected.map(|text| ("finalize", text, "its tail"))));
        }
        let mut surrendered = Outcome { state: State::Surrendered, ..Outcome::completed() };
        surrendered.finalized((Cause::Itself, message()), tail);
        assert_eq!(surrendered.state, State::Crashed);
    }

    #[test]
    fn a_first_failure_stays_the_reason() {
        for state in [State::Crashed, State::TimedOut, State::Interrupted] {
            let mut outcome = failed(state);
            outcome.finalized((Cause::Itself, Some("`finalize` exited with status 2".to_owned())), String::new);
            let text = "`run` exited with status 1; then `finalize` exited with status 2";
            assert_eq!(told(&outcome), (state, Some(("run", text, "the tail"))));
        }
    }

    #[test]
    fn a_crash_whose_retry_cannot_come_says_why() {
        let mut outcome = failed(State::Crashed);
        outcome.postpone();
        let text = "`run` exited with status 1; then the worker was told to stop, before the retry";
        assert_eq!(told(&outcome), (State::Interrupted, Some((Failure::RETRY, text, "the tail"))));
        let mut outcome = failed(State::Crashed);
        outcome.give_up("the disk is full");
        let text = "`run` exited with status 1; no retry: the disk is full";
        assert_eq!(told(&outcome), (State::Crashed, Some(("run", text, "the tail"))));
    }
}
