//! How the repetitions of a job ended, and what the worker's exit code makes of it.

use crate::run::status::State;
use crate::store::plan::Rep;
use std::fmt::Write as _;
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
    failed: Vec<(State, PathBuf, String)>,
    refused: Vec<(PathBuf, String)>,
    no_room: Vec<(PathBuf, String)>,
}

impl Tally {
    /// Counts one.
    pub fn add(&mut self, rep: &Rep, end: End) {
        match end {
            End::Ran(State::Completed, _) => self.completed += 1,
            End::Ran(State::Surrendered, _) => self.surrendered += 1,
            End::Ran(State::Interrupted | State::Running, _) => self.interrupted += 1,
            End::Ran(state @ (State::Crashed | State::TimedOut), why) | End::Skipped(state, why @ Some(_)) => {
                self.failed.push((state, rep.dir.clone(), why.unwrap_or_default()));
            }
            End::Skipped(_, None) => self.skipped += 1,
            End::Busy(_) => self.busy += 1,
            End::NoTime => self.no_time += 1,
            End::Stopped => {}
            End::NoRoom(why) => self.no_room.push((rep.dir.clone(), why)),
            End::Refused(why) => self.refused.push((rep.dir.clone(), why)),
        }
    }

    /// Repetitions that nothing was done about: the worker stopped before them.
    fn untouched(&self) -> usize {
        let touched = self.completed + self.surrendered + self.skipped + self.interrupted + self.busy + self.no_time;
        self.total.saturating_sub(touched + self.failed.len() + self.refused.len() + self.no_room.len())
    }

    /// Whether some repetitions have to be run again because the worker was stopped or others are at them.
    pub fn unfinished(&self) -> bool {
        self.interrupted + self.untouched() + self.busy + self.no_time + self.no_room.len() > 0
    }

    /// Whether the time limit left something to do that a requeue would take up.
    pub fn out_of_time(&self) -> bool {
        self.no_time > 0
    }

    /// Whether this machine had no room for a repetition.
    pub fn out_of_room(&self) -> bool {
        !self.no_room.is_empty()
    }

    /// Whether a repetition failed.
    pub fn any_failed(&self) -> bool {
        !self.failed.is_empty() || !self.refused.is_empty()
    }

    /// One line of counts, then a line for each failure (at most 20).
    pub fn summary(&self) -> String {
        let count = |state| self.failed.iter().filter(|(s, ..)| *s == state).count();
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
            (self.refused.len(), "refused"),
            (self.no_room.len(), "not started for lack of room on this machine"),
        ] {
            if n > 0 {
                parts.push(format!("{n} {word}"));
            }
        }
        let noun = if self.total == 1 { "repetition" } else { "repetitions" };
        let mut text = format!("{} {noun}: {}", self.total, parts.join(", "));
        let failures = self.failed.iter().map(|(state, dir, why)| (state.word(), dir, why));
        let refused = self.refused.iter().map(|(dir, why)| ("refused", dir, why));
        let no_room = self.no_room.iter().map(|(dir, why)| ("not started", dir, why));
        for (word, dir, why) in failures.chain(refused).chain(no_room).take(20) {
            let _ = write!(text, "\n  {word}: {}: {why}", dir.display());
        }
        let told = self.failed.len() + self.refused.len() + self.no_room.len();
        if told > 20 {
            let _ = write!(text, "\n  and {} more", told - 20);
        }
        text
    }
}
