//! `status.json`: the truth about one repetition, and the only thing that says it is finished.
//!
//! The file is replaced as a whole. What cannot be read as a whole (missing, empty, torn) means "not finished".
//! What is there and cannot be read (a newer format than [`FORMAT`], no permission, no regular file) is left alone.

use crate::printable;
use serde::{Deserialize, Serialize};

/// The version of the status format this program writes. It reads all from 1 to this one.
pub const FORMAT: u32 = 1;

/// How a repetition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// A worker has started it, and has not (or could not) say how it ended; also while a retry of a crash is to come
    /// ([`Status::retry_to_come`]).
    Running,
    /// It ended by itself, without an error.
    Completed,
    /// It ended early on purpose.
    Surrendered,
    /// It failed.
    Crashed,
    /// It was ended because it took longer than its `timeout`.
    TimedOut,
    /// It was ended from outside and is to be resumed.
    Interrupted,
}

impl State {
    /// Nothing is left to do: a worker skips it.
    pub fn is_finished(self) -> bool {
        matches!(self, State::Completed | State::Surrendered)
    }

    /// The word users read.
    pub fn word(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Completed => "completed",
            State::Surrendered => "surrendered",
            State::Crashed => "crashed",
            State::TimedOut => "timed out",
            State::Interrupted => "interrupted",
        }
    }
}

/// The content of `status.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// The version of the format.
    pub format: u32,
    /// How it stands.
    pub state: State,
    /// The experiment's name.
    pub experiment: String,
    /// The run's name.
    pub run: String,
    /// The repetition's number.
    pub rep: u32,
    /// Which start this is, from 1.
    pub attempt: u32,
    /// SHA-256 of the parameters' canonical JSON.
    pub params_sha256: String,
    /// The plan that started it, relative to the plan's root.
    pub plan: String,
    /// The job (line of the plan) that started it.
    pub job: u64,
    /// The machine.
    pub host: String,
    /// The worker's process id on that machine.
    pub pid: u32,
    /// Slurm's ids, where Slurm started the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slurm: Option<SlurmIds>,
    /// When this attempt started, RFC 3339.
    pub started: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// Seconds from start to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// CPU seconds (user and system) of all its processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_seconds: Option<f64>,
    /// The largest resident size of one of its processes, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rss: Option<u64>,
    /// How the process that decided the outcome ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// Why it is not completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// Why its worker was told to stop, where it is interrupted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<StoppedBy>,
    /// What it left when it surrendered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<serde_json::Value>,
    /// Where the metrics of this attempt, which resumes another one, begin in their file (bytes); none where all of them are
    /// its own, or what it began again was set aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics_from: Option<u64>,
    /// How many workers of this plan died in a row while they ran it, before this attempt; [`State::Crashed`] counts the last one
    /// too, where it came of that.
    #[serde(default, skip_serializing_if = "is_none")]
    pub worker_deaths: u32,
    /// How earlier attempts ended, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Attempt>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_none(number: &u32) -> bool {
    *number == 0
}

/// Slurm's names for what runs the worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SlurmIds {
    /// `SLURM_JOB_ID`.
    pub job_id: String,
    /// `SLURM_ARRAY_JOB_ID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub array_job_id: Option<String>,
    /// `SLURM_ARRAY_TASK_ID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub array_task_id: Option<String>,
    /// `SLURM_RESTART_COUNT`; 0 the first time.
    pub restart_count: u32,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Exit {
    /// It exited with this status.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// Why a worker was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StoppedBy {
    /// The time limit of its job.
    TimeLimit,
    /// The same, and the job may requeue itself no more.
    RequeuesUsedUp,
    /// Somebody cancelled its job.
    Cancelled,
    /// A job that matters more took its place.
    Preempted,
    /// Its job was put back into the queue.
    Requeued,
    /// Its node failed.
    NodeFailure,
    /// A signal, nobody knows from whom.
    Signal,
    /// What a newer version knows.
    #[serde(other)]
    Other,
}

impl StoppedBy {
    /// What Slurm's last words in a job's log say: it tells there what it is about to end, before it does.
    pub fn told_in(log: &str) -> Option<Self> {
        let line =
            log.lines().rev().find(|line| line.contains("error: *** JOB ") && line.contains(" CANCELLED AT "))?;
        let reason = line.split(" DUE TO ").nth(1).unwrap_or_default();
        Some(match reason {
            reason if reason.starts_with("TIME LIMIT") => StoppedBy::TimeLimit,
            reason if reason.starts_with("PREEMPTION") => StoppedBy::Preempted,
            reason if reason.starts_with("JOB REQUEUE") => StoppedBy::Requeued,
            reason if reason.starts_with("NODE FAILURE") => StoppedBy::NodeFailure,
            _ => StoppedBy::Cancelled,
        })
    }

    /// The same in words.
    pub fn words(self) -> &'static str {
        match self {
            StoppedBy::TimeLimit => "the time limit of its job",
            StoppedBy::RequeuesUsedUp => "the time limit of its job, whose requeues are used up",
            StoppedBy::Cancelled => "its job was cancelled",
            StoppedBy::Preempted => "its job was preempted",
            StoppedBy::Requeued => "its job was requeued",
            StoppedBy::NodeFailure => "its node failed",
            StoppedBy::Signal | StoppedBy::Other => "a signal",
        }
    }
}

/// Why a repetition is not completed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failure {
    /// Which part failed: `initialize`, `run` or `finalize`; [`Failure::RETRY`] where a retry of the failure is to come.
    pub phase: String,
    /// One line for a person.
    pub message: String,
    /// The last lines of this attempt's `err.log`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stderr_tail: String,
    /// The whole traceback of a crash in Python.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub traceback: String,
}

impl Failure {
    /// The phase of a crash whose retry is to come: by the same worker while it is said to run, by the next one where it is
    /// interrupted, or where the worker died.
    pub const RETRY: &str = "retry";
}

/// A finished attempt, kept when the next one starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attempt {
    /// Its number.
    pub attempt: u32,
    /// How it ended; `running` where its worker died.
    pub state: State,
    /// When it started.
    pub started: String,
    /// Seconds it took, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Its error in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Attempt {
    /// A first attempt whose worker died before any status told of it.
    pub fn unnoted(started: String) -> Self {
        Attempt { attempt: 1, state: State::Running, started, seconds: None, message: None }
    }
}

/// The most attempts remembered: a requeueing job must not grow its status without end.
const EARLIER_KEPT: usize = 20;

/// The most bytes of the error of each of them.
const EARLIER_MESSAGE: usize = 1 << 10;

/// The hashes of a run's parameters: its own, and of what counts as the same.
#[derive(Debug, Clone, Copy)]
pub struct Params<'a> {
    /// Of its parameters.
    pub sha256: &'a str,
    /// Of others that count as the same: without those that were added later.
    pub same_as: &'a [String],
}

impl Params<'_> {
    /// Whether a hash is one of them.
    pub fn include(&self, sha256: &str) -> bool {
        self.sha256 == sha256 || self.same_as.iter().any(|same| same == sha256)
    }
}

impl Status {
    /// Of an attempt that runs: that it crashed, and that its worker will start another one.
    ///
    /// It goes on running: whoever looks must neither take it for over nor, where the worker dies, for a crash that had all
    /// its retries.
    #[must_use]
    pub fn before_retry(&self, failure: Failure) -> Status {
        Status { error: Some(Failure { phase: Failure::RETRY.to_owned(), ..failure }), ..self.clone() }
    }

    /// Whether this attempt crashed, and another one was to follow: what it left is not to be resumed.
    pub fn retry_to_come(&self) -> bool {
        self.error.as_ref().is_some_and(|error| error.phase == Failure::RETRY)
    }

    /// Whether what this attempt left is picked up by the next one, which has these parameters: it was interrupted, or its
    /// worker died. What crashed begins anew, also where its worker ended before it could.
    pub fn is_resumed_with(&self, params: Params<'_>) -> bool {
        matches!(self.state, State::Interrupted | State::Running)
            && params.include(&self.params_sha256)
            && !self.retry_to_come()
    }

    /// What to remember of this attempt when the next one starts.
    pub fn into_earlier(self) -> Vec<Attempt> {
        // Its worker died before the retry, but after the crash.
        let crashed = self.state == State::Running && self.retry_to_come();
        let mut earlier = self.earlier;
        earlier.push(Attempt {
            attempt: self.attempt,
            state: if crashed { State::Crashed } else { self.state },
            started: self.started,
            seconds: self.seconds,
            message: self.error.map(|error| printable::without_middle(&error.message, EARLIER_MESSAGE)),
        });
        let surplus = earlier.len().saturating_sub(EARLIER_KEPT);
        earlier.drain(..surplus);
        earlier
    }
}

/// What a status file's bytes say.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// No file, an empty or a torn one: nothing is known, so nothing is finished.
    Nothing,
    /// Something is there that cannot be read, for this reason: it must be left alone, as it may be finished.
    Unreadable(String),
    /// A whole status.
    Status(Box<Status>),
}

/// Reads a status file's bytes.
pub fn parse(bytes: &[u8]) -> Found {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    // Nearly every file is whole and of this format: read once.
    match serde_json::from_slice::<Status>(bytes) {
        Ok(status) if status.format <= FORMAT => Found::Status(Box::new(status)),
        _ => match serde_json::from_slice::<Head>(bytes) {
            Ok(head) if head.format > FORMAT => Found::Unreadable(format!(
                "it has format {}, written by a newer cw2 than this one (which reads up to {FORMAT})",
                head.format
            )),
            _ => Found::Nothing,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slurm_says_in_the_log_why_it_ends_a_job() {
        for (log, expected) in [
            (
                "a\nslurmstepd-n1: error: *** JOB 18 ON n1 CANCELLED AT 2026-11-25T13:57:45 ***\nb\n",
                Some(StoppedBy::Cancelled),
            ),
            (
                "slurmstepd: error: *** JOB 19 ON n1 CANCELLED AT 2026-11-25T13:57:45 DUE TO JOB REQUEUE ***",
                Some(StoppedBy::Requeued),
            ),
            ("slurmstepd: error: *** JOB 1 ON n1 CANCELLED AT x DUE TO TIME LIMIT ***", Some(StoppedBy::TimeLimit)),
            ("slurmstepd: error: *** JOB 1 ON n1 CANCELLED AT x DUE TO PREEMPTION ***", Some(StoppedBy::Preempted)),
            (
                "slurmstepd: error: *** JOB 1 ON n1 CANCELLED AT x DUE TO NODE FAILURE, SEE SLURMCTLD LOG ***",
                Some(StoppedBy::NodeFailure),
            ),
            ("JOB 1 CANCELLED AT x", None),
            ("", None),
        ] {
            assert_eq!(StoppedBy::told_in(log), expected, "{log}");
        }
        assert_eq!(serde_json::from_str::<StoppedBy>("\"new\"").unwrap(), StoppedBy::Other);
    }
}
