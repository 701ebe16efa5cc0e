//! How the repetitions of a job ended, and what the worker's exit code makes of it.

use crate::run::status::State;
use crate::store::plan::Rep;
use std::path::PathBuf;

/// How one repetition ended, for this worker.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum End {
    /// It was run to this state; the text says why it is not completed.
    Ran(State, Option<String>),
    /// It was over before; the text says why it is not finished, where it is not.
    Skipped(State, Option<String>),
    /// Another worker, or what another one left on another machine, is at it.
    Busy(String),
    /// It must not be touched.
    Refused(String),
    /// It was not started: it could not end in the time that is left.
    NoTime,
    /// It was not started: the worker was told to stop.
    Stopped,
    /// It could not be started, as this machine has no room for it (processes, descriptors, memory, space on the disk): it is as
    /// it was found. The text says what failed.
    NoRoom(String),
}

impl End {
    /// Whether nobody is to look at it again under this plan.
    pub(super) fn is_over(&self) -> bool {
        match self {
            End::Ran(state, _) => !matches!(state, State::Interrupted | State::Running),
            End::Skipped(..) | End::Refused(_) => true,
            End::Busy(_) | End::NoTime | End::Stopped | End::NoRoom(_) => false,
        }
    }
}

/// The sum over all jobs.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Repetitions there are.
    pub total: usize,
    completed: usize,
    surrendered: usize,
    skipped: usize,
    interrupted: usize,
    busy: usize,
    no_time: usize,
    failed: Vec<FailedRep>,
    refused: usize,
    no_room: usize,
    /// A pilot stopped, and jobs are left for others.
    pub more_left: bool,
}

/// A repetition that failed.
#[derive(Debug, Clone)]
pub struct FailedRep {
    /// Crashed or timed out.
    pub state: State,
    /// Its directory.
    pub dir: PathBuf,
    /// Its run's name.
    pub run: String,
    /// Why it failed.
    pub why: String,
}

impl Tally {
    /// Adds those of another job.
    pub fn merge(&mut self, other: Tally) {
        self.total += other.total;
        self.completed += other.completed;
        self.surrendered += other.surrendered;
        self.skipped += other.skipped;
        self.interrupted += other.interrupted;
        self.busy += other.busy;
        self.no_time += other.no_time;
        self.failed.extend(other.failed);
        self.refused += other.refused;
        self.no_room += other.no_room;
        self.more_left |= other.more_left;
    }

    /// Counts one.
    pub fn add(&mut self, rep: &Rep, end: End) {
        match end {
            End::Ran(State::Completed, _) => self.completed += 1,
            End::Ran(State::Surrendered, _) => self.surrendered += 1,
            End::Ran(State::Interrupted | State::Running, _) => self.interrupted += 1,
            End::Ran(state @ (State::Crashed | State::TimedOut), why) | End::Skipped(state, why @ Some(_)) => {
                let (dir, run) = (rep.dir.clone(), rep.run.record.run.clone());
                self.failed.push(FailedRep { state, dir, run, why: why.unwrap_or_default() });
            }
            End::Skipped(_, None) => self.skipped += 1,
            End::Busy(_) => self.busy += 1,
            End::NoTime => self.no_time += 1,
            End::Stopped => {}
            End::NoRoom(_) => self.no_room += 1,
            End::Refused(_) => self.refused += 1,
        }
    }

    /// Repetitions that nothing was done about: the worker stopped before them.
    fn untouched(&self) -> usize {
        let touched = self.completed + self.surrendered + self.skipped + self.interrupted + self.busy + self.no_time;
        self.total.saturating_sub(touched + self.failed.len() + self.refused + self.no_room)
    }

    /// Whether some repetitions have to be run again because the worker was stopped or others are at them.
    pub fn unfinished(&self) -> bool {
        self.more_left || self.interrupted + self.untouched() + self.busy + self.no_time + self.no_room > 0
    }

    /// Whether the time limit left something to do that a requeue would take up.
    pub fn out_of_time(&self) -> bool {
        self.no_time > 0
    }

    /// Whether this machine had no room for a repetition.
    pub fn out_of_room(&self) -> bool {
        self.no_room > 0
    }

    /// Whether a repetition failed.
    pub fn any_failed(&self) -> bool {
        !self.failed.is_empty() || self.refused > 0
    }

    /// What failed, in the order it was counted.
    pub fn failed(&self) -> &[FailedRep] {
        &self.failed
    }

    /// One line of counts.
    pub fn summary(&self) -> String {
        let count = |state| self.failed.iter().filter(|failed| failed.state == state).count();
        let mut parts = Vec::new();
        for (n, word) in [
            (self.completed, "completed"),
            (self.surrendered, "surrendered"),
            (count(State::Crashed), "crashed"),
            (count(State::TimedOut), "timed out"),
            (self.interrupted, "interrupted"),
            (self.untouched(), "not started"),
            (self.no_time, "not started for lack of time"),
            (self.skipped, "finished before"),
            (self.busy, "left to another worker"),
            (self.refused, "refused"),
            (self.no_room, "not started for lack of room on this machine"),
        ] {
            if n > 0 {
                parts.push(format!("{n} {word}"));
            }
        }
        let noun = if self.total == 1 { "repetition" } else { "repetitions" };
        if parts.is_empty() {
            parts.push("nothing was left to do".to_owned());
        }
        let more = if self.more_left { "; other jobs of the plan are left" } else { "" };
        format!("{} {noun}: {}{more}", self.total, parts.join(", "))
    }
}
