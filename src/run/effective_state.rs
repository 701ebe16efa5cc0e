//! How a repetition stands, seen from outside: its status file and what the cluster says of its element, put together.

use crate::run::status::State;
use crate::slurm::ElementState;

/// What `status` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EffectiveState {
    /// Done.
    Completed,
    /// Done: it ended early on purpose.
    Surrendered,
    /// It failed.
    Crashed,
    /// It took longer than its `timeout`.
    TimedOut,
    /// It was ended from outside, and no element will resume it.
    Interrupted,
    /// A worker is at it.
    Running,
    /// An element that will run it waits or has begun.
    Queued,
    /// It was begun, and its worker is gone without a word.
    Lost,
    /// Nothing was done about it, as its job ended before its worker could start, or start anything.
    JobFailed,
    /// Nothing was done about it, and nothing is under way.
    Pending,
    /// Its status file is there and cannot be read: it may be finished, so nobody runs it.
    Unreadable,
}

impl EffectiveState {
    /// All, in the order they are told.
    pub const ALL: [EffectiveState; 11] = [
        EffectiveState::Completed,
        EffectiveState::Surrendered,
        EffectiveState::Crashed,
        EffectiveState::TimedOut,
        EffectiveState::Interrupted,
        EffectiveState::Running,
        EffectiveState::Queued,
        EffectiveState::Lost,
        EffectiveState::JobFailed,
        EffectiveState::Pending,
        EffectiveState::Unreadable,
    ];

    /// The word users read.
    pub fn word(self) -> &'static str {
        match self {
            EffectiveState::Completed => "completed",
            EffectiveState::Surrendered => "surrendered",
            EffectiveState::Crashed => "crashed",
            EffectiveState::TimedOut => "timed out",
            EffectiveState::Interrupted => "interrupted",
            EffectiveState::Running => "running",
            EffectiveState::Queued => "queued",
            EffectiveState::Lost => "lost",
            EffectiveState::JobFailed => "job failed",
            EffectiveState::Pending => "pending",
            EffectiveState::Unreadable => "unreadable",
        }
    }

    /// The key in `--json` and the value of filters.
    pub fn key(self) -> &'static str {
        match self {
            EffectiveState::TimedOut => "timed_out",
            EffectiveState::JobFailed => "job_failed",
            other => other.word(),
        }
    }

    /// Nothing is left to do.
    pub fn is_finished(self) -> bool {
        matches!(self, EffectiveState::Completed | EffectiveState::Surrendered)
    }

    /// It went wrong: what `--failed` tells.
    pub fn is_failed(self) -> bool {
        matches!(
            self,
            EffectiveState::Crashed | EffectiveState::TimedOut | EffectiveState::Lost | EffectiveState::JobFailed
        )
    }

    /// It will not go on by itself: what `retry` picks up.
    pub fn is_missing(self) -> bool {
        !self.is_finished()
            && !matches!(self, EffectiveState::Running | EffectiveState::Queued | EffectiveState::Unreadable)
    }
}

/// What is known of the element a repetition lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cluster {
    /// The cluster was asked, and says this; `None` where it does not know the element (any more).
    Says(Option<ElementState>),
    /// The cluster could not be asked.
    Silent,
}

/// What is known of a repetition that its status calls running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worker {
    /// Slurm started it, in the element that is asked about.
    InElement,
    /// Slurm started it, in another element: an earlier submission, or another plan.
    InOther(Cluster),
    /// It runs on this machine without Slurm: whether it still holds the repetition's lock.
    Here {
        /// Whether it does.
        alive: bool,
    },
    /// It runs without Slurm on another machine: nothing more can be known.
    Elsewhere,
}

/// Puts both together. `state` is `None` where no whole status file exists.
pub fn effective(state: Option<State>, element: Cluster, worker: Worker) -> EffectiveState {
    use ElementState::{Ended, Queued, Running};
    let waits = matches!(element, Cluster::Says(Some(Queued | Running)));
    match state {
        Some(State::Completed) => EffectiveState::Completed,
        Some(State::Surrendered) => EffectiveState::Surrendered,
        // A queued element starts it again.
        Some(State::Crashed | State::TimedOut) if element == Cluster::Says(Some(Queued)) => EffectiveState::Queued,
        Some(State::Crashed) => EffectiveState::Crashed,
        Some(State::TimedOut) => EffectiveState::TimedOut,
        Some(State::Interrupted) | None if waits => EffectiveState::Queued,
        Some(State::Interrupted) => EffectiveState::Interrupted,
        Some(State::Running) => {
            let verdict = match worker {
                Worker::InElement => element,
                Worker::InOther(other) => other,
                Worker::Here { alive: true } | Worker::Elsewhere => return EffectiveState::Running,
                Worker::Here { alive: false } => Cluster::Says(None),
            };
            match verdict {
                Cluster::Silent | Cluster::Says(Some(Running)) => EffectiveState::Running,
                Cluster::Says(Some(Queued)) => EffectiveState::Queued,
                Cluster::Says(None | Some(Ended)) if waits && worker != Worker::InElement => EffectiveState::Queued,
                Cluster::Says(None | Some(Ended)) => EffectiveState::Lost,
            }
        }
        None => EffectiveState::Pending,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ElementState::{Ended, Queued, Running};

    #[test]
    fn status_and_cluster_together_tell_the_truth() {
        use Cluster::{Says, Silent};
        use Worker::{Elsewhere, Here, InElement, InOther};
        let gone = Says(None);
        for (state, element, worker, expected) in [
            (Some(State::Completed), Says(Some(Running)), InElement, EffectiveState::Completed),
            (Some(State::Crashed), Says(Some(Running)), InElement, EffectiveState::Crashed),
            (Some(State::Crashed), Says(Some(Queued)), InElement, EffectiveState::Queued),
            (Some(State::Interrupted), Says(Some(Queued)), InElement, EffectiveState::Queued),
            (Some(State::Interrupted), Says(Some(Ended)), InElement, EffectiveState::Interrupted),
            (Some(State::Running), Says(Some(Running)), InElement, EffectiveState::Running),
            (Some(State::Running), Says(Some(Queued)), InElement, EffectiveState::Queued),
            (Some(State::Running), Says(Some(Ended)), InElement, EffectiveState::Lost),
            (Some(State::Running), gone, InElement, EffectiveState::Lost),
            (Some(State::Running), Silent, InElement, EffectiveState::Running),
            (Some(State::Running), Says(Some(Queued)), InOther(gone), EffectiveState::Queued),
            (Some(State::Running), gone, InOther(Says(Some(Running))), EffectiveState::Running),
            (Some(State::Running), gone, Here { alive: true }, EffectiveState::Running),
            (Some(State::Running), gone, Here { alive: false }, EffectiveState::Lost),
            (Some(State::Running), Says(Some(Queued)), Here { alive: false }, EffectiveState::Queued),
            (Some(State::Running), gone, Elsewhere, EffectiveState::Running),
            (None, Says(Some(Running)), InElement, EffectiveState::Queued),
            (None, Silent, InElement, EffectiveState::Pending),
            (None, gone, InElement, EffectiveState::Pending),
        ] {
            assert_eq!(effective(state, element, worker), expected, "{state:?} {element:?} {worker:?}");
        }
    }
}
