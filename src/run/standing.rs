//! How a repetition stands, seen from outside: its status file and what the cluster says of its element, put together.

use crate::run::status::State;
use crate::slurm::ElementState;

/// What `status` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Standing {
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
    /// Nothing was done about it, and nothing is under way.
    Pending,
    /// Its status file is there and cannot be read: it may be finished, so nobody runs it.
    Unreadable,
}

impl Standing {
    /// All, in the order they are told.
    pub const ALL: [Standing; 10] = [
        Standing::Completed,
        Standing::Surrendered,
        Standing::Crashed,
        Standing::TimedOut,
        Standing::Interrupted,
        Standing::Running,
        Standing::Queued,
        Standing::Lost,
        Standing::Pending,
        Standing::Unreadable,
    ];

    /// The word users read.
    pub fn word(self) -> &'static str {
        match self {
            Standing::Completed => "completed",
            Standing::Surrendered => "surrendered",
            Standing::Crashed => "crashed",
            Standing::TimedOut => "timed out",
            Standing::Interrupted => "interrupted",
            Standing::Running => "running",
            Standing::Queued => "queued",
            Standing::Lost => "lost",
            Standing::Pending => "pending",
            Standing::Unreadable => "unreadable",
        }
    }

    /// The key in `--json` and the value of filters.
    pub fn key(self) -> &'static str {
        match self {
            Standing::TimedOut => "timed_out",
            other => other.word(),
        }
    }

    /// Nothing is left to do.
    pub fn is_finished(self) -> bool {
        matches!(self, Standing::Completed | Standing::Surrendered)
    }

    /// It will not go on by itself: what `retry` picks up.
    pub fn is_missing(self) -> bool {
        !self.is_finished() && !matches!(self, Standing::Running | Standing::Queued | Standing::Unreadable)
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
pub fn standing(state: Option<State>, element: Cluster, worker: Worker) -> Standing {
    use ElementState::{Ended, Queued, Running};
    let waits = matches!(element, Cluster::Says(Some(Queued | Running)));
    match state {
        Some(State::Completed) => Standing::Completed,
        Some(State::Surrendered) => Standing::Surrendered,
        // A queued element starts it again.
        Some(State::Crashed | State::TimedOut) if element == Cluster::Says(Some(Queued)) => Standing::Queued,
        Some(State::Crashed) => Standing::Crashed,
        Some(State::TimedOut) => Standing::TimedOut,
        Some(State::Interrupted) | None if waits => Standing::Queued,
        Some(State::Interrupted) => Standing::Interrupted,
        Some(State::Running) => {
            let verdict = match worker {
                Worker::InElement => element,
                Worker::InOther(other) => other,
                Worker::Here { alive: true } | Worker::Elsewhere => return Standing::Running,
                Worker::Here { alive: false } => Cluster::Says(None),
            };
            match verdict {
                Cluster::Silent | Cluster::Says(Some(Running)) => Standing::Running,
                Cluster::Says(Some(Queued)) => Standing::Queued,
                Cluster::Says(None | Some(Ended)) if waits && worker != Worker::InElement => Standing::Queued,
                Cluster::Says(None | Some(Ended)) => Standing::Lost,
            }
        }
        None => Standing::Pending,
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
            (Some(State::Completed), Says(Some(Running)), InElement, Standing::Completed),
            (Some(State::Crashed), Says(Some(Running)), InElement, Standing::Crashed),
            (Some(State::Crashed), Says(Some(Queued)), InElement, Standing::Queued),
            (Some(State::Interrupted), Says(Some(Queued)), InElement, Standing::Queued),
            (Some(State::Interrupted), Says(Some(Ended)), InElement, Standing::Interrupted),
            (Some(State::Running), Says(Some(Running)), InElement, Standing::Running),
            (Some(State::Running), Says(Some(Queued)), InElement, Standing::Queued),
            (Some(State::Running), Says(Some(Ended)), InElement, Standing::Lost),
            (Some(State::Running), gone, InElement, Standing::Lost),
            (Some(State::Running), Silent, InElement, Standing::Running),
            (Some(State::Running), Says(Some(Queued)), InOther(gone), Standing::Queued),
            (Some(State::Running), gone, InOther(Says(Some(Running))), Standing::Running),
            (Some(State::Running), gone, Here { alive: true }, Standing::Running),
            (Some(State::Running), gone, Here { alive: false }, Standing::Lost),
            (Some(State::Running), Says(Some(Queued)), Here { alive: false }, Standing::Queued),
            (Some(State::Running), gone, Elsewhere, Standing::Running),
            (None, Says(Some(Running)), InElement, Standing::Queued),
            (None, Silent, InElement, Standing::Pending),
            (None, gone, InElement, Standing::Pending),
        ] {
            assert_eq!(standing(state, element, worker), expected, "{state:?} {element:?} {worker:?}");
        }
    }
}
