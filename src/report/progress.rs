//! How far some repetitions are: counts, time used, and when they will be done.

use crate::run::effective_state::EffectiveState;
use crate::run::status::Status;
use jiff::Timestamp;

/// What is counted of some repetitions (those of an experiment, a run, all).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    counts: [u64; EffectiveState::ALL.len()],
    /// Seconds of every attempt that ended, and of the running ones until now.
    pub seconds: f64,
    /// CPU seconds, where they are known.
    pub cpu_seconds: f64,
    /// Finished repetitions whose duration is known, and their seconds in all.
    finished: (u64, f64),
    /// Seconds since each running one started.
    running: Vec<f64>,
}

/// When the repetitions that are under way will be done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Estimate {
    /// Nothing is left to do.
    Done,
    /// Nothing is under way, though not all are finished.
    Idle,
    /// In so many seconds.
    Seconds(f64),
    /// It cannot be told, for this reason.
    Unknown(&'static str),
}

impl Progress {
    /// Adds a repetition.
    pub fn add(&mut self, effective: EffectiveState, status: Option<&Status>, now: Timestamp) {
        if let Some(count) = self.counts.get_mut(effective as usize) {
            *count += 1;
        }
        let Some(status) = status else { return };
        let seconds = status.seconds.filter(|seconds| seconds.is_finite());
        let earlier: f64 = status.earlier.iter().filter_map(|attempt| attempt.seconds).sum();
        self.seconds += earlier + seconds.unwrap_or(0.0);
        self.cpu_seconds += status.cpu_seconds.unwrap_or(0.0);
        if let (true, Some(seconds)) = (effective.is_finished(), seconds) {
            self.finished = (self.finished.0 + 1, self.finished.1 + seconds);
        }
        if effective == EffectiveState::Running {
            let started: Option<Timestamp> = status.started.parse().ok();
            let elapsed = started.map_or(0.0, |started| now.duration_since(started).as_secs_f64().max(0.0));
            self.running.push(elapsed);
            self.seconds += elapsed;
        }
    }

    /// Adds what was counted elsewhere. The estimate of the whole is made by [`estimate`] from the parts.
    pub fn merge(&mut self, other: &Progress) {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
        self.seconds += other.seconds;
        self.cpu_seconds += other.cpu_seconds;
    }

    /// How many stand so.
    pub fn count(&self, effective: EffectiveState) -> u64 {
        self.counts.get(effective as usize).copied().unwrap_or(0)
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many are finished.
    pub fn finished(&self) -> u64 {
        EffectiveState::ALL
            .iter()
            .filter(|effective| effective.is_finished())
            .map(|effective| self.count(*effective))
            .sum()
    }

    /// Seconds of work that is left of what is under way, and of what was never started; `None` where no finished repetition
    /// tells how long one takes. Where nothing of these is under way, one takes as long as `others`.
    fn work(&self, others: f64) -> Option<f64> {
        let under_way = self.count(EffectiveState::Queued) + self.count(EffectiveState::Running);
        let waits = self.count(EffectiveState::Queued) + self.count(EffectiveState::Pending);
        if under_way + waits == 0 {
            return Some(0.0);
        }
        let each = match self.finished {
            (0, _) if under_way > 0 => return None,
            (0, _) => others,
            (count, seconds) => seconds / as_float(count),
        };
        let left: f64 = self.running.iter().map(|elapsed| (each - elapsed).max(0.0)).sum();
        Some(left + as_float(waits) * each)
    }

    /// The longest that one running repetition still takes.
    fn longest(&self) -> f64 {
        let each = if self.finished.0 == 0 { 0.0 } else { self.finished.1 / as_float(self.finished.0) };
        self.running.iter().map(|elapsed| each - elapsed).fold(0.0, f64::max)
    }
}

/// When the repetitions that are under way, or were never submitted, will be done if as many run side by side as now do: their work, taken from how long the
/// finished ones of the same part took, shared among the running ones. `cluster_known` as in the survey.
pub fn estimate<'a>(parts: impl Iterator<Item = &'a Progress>, cluster_known: bool) -> Estimate {
    let parts: Vec<_> = parts.collect();
    let finished = parts.iter().fold((0, 0.0), |all, part| (all.0 + part.finished.0, all.1 + part.finished.1));
    let mean = if finished.0 == 0 { 0.0 } else { finished.1 / as_float(finished.0) };
    let (mut work, mut longest, mut running, mut queued, mut left) = (Some(0.0), 0.0_f64, 0, 0, 0);
    for part in parts {
        work = work.and_then(|work| part.work(mean).map(|more| work + more));
        longest = longest.max(part.longest());
        running += part.count(EffectiveState::Running);
        queued += part.count(EffectiveState::Queued);
        left += part.total() - part.finished();
    }
    match work {
        _ if left == 0 => Estimate::Done,
        _ if !cluster_known => Estimate::Unknown("Slurm was not asked"),
        _ if running + queued == 0 => Estimate::Idle,
        _ if running == 0 => Estimate::Unknown("nothing runs yet"),
        None => Estimate::Unknown("none is finished yet"),
        Some(work) => match (work / as_float(running)).max(longest) {
            seconds if seconds > 0.0 => Estimate::Seconds(seconds),
            _ => Estimate::Unknown("running longer than the finished ones did"),
        },
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of repetitions are far below 2^52")]
fn as_float(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::report) fn now() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    /// A status that took `seconds`, or started so many seconds ago.
    pub(in crate::report) fn status(state: &str, seconds: f64) -> Status {
        let started = now() - jiff::SignedDuration::from_secs_f64(seconds);
        let text = format!(
            r#"{{"format": 1, "state": "{state}", "experiment": "e", "run": "r", "rep": 0, "attempt": 1, "params_sha256": "",
                "plan": "plans/001", "job": 0, "host": "h", "pid": 1, "started": "{started}"}}"#
        );
        let mut status: Status = serde_json::from_str(&text).unwrap();
        status.seconds = (state != "running").then_some(seconds);
        status
    }

    fn progress(reps: &[(EffectiveState, Option<f64>)]) -> Progress {
        let mut progress = Progress::default();
        for (effective, seconds) in reps {
            let state = if *effective == EffectiveState::Running { "running" } else { "completed" };
            progress.add(*effective, seconds.map(|seconds| status(state, seconds)).as_ref(), now());
        }
        progress
    }

    #[test]
    fn estimates_are_made_only_where_something_is_known() {
        use EffectiveState::{Completed, Crashed, Pending, Queued, Running};
        let done = |seconds| (Completed, Some(seconds));
        let runs = |seconds| (Running, Some(seconds));
        for (reps, known, expected) in [
            (vec![done(10.0)], true, Estimate::Done),
            (vec![], true, Estimate::Done),
            (vec![done(10.0), (Pending, None)], true, Estimate::Idle),
            (vec![done(10.0), (Crashed, None)], true, Estimate::Idle),
            (vec![done(10.0), (Pending, None)], false, Estimate::Unknown("Slurm was not asked")),
            (vec![done(10.0)], false, Estimate::Done),
            (vec![runs(3.0), (Queued, None)], true, Estimate::Unknown("none is finished yet")),
            (vec![done(10.0), (Queued, None)], true, Estimate::Unknown("nothing runs yet")),
            (vec![done(10.0), runs(1.0)], false, Estimate::Unknown("Slurm was not asked")),
            // What was never submitted counts too.
            (vec![done(10.0), runs(5.0), (Queued, None), (Pending, None)], true, Estimate::Seconds(25.0)),
            // 20 + 10 in mean 15; left are 10 of the running one and 15 of the waiting one.
            (vec![done(20.0), done(10.0), runs(5.0), (Queued, None)], true, Estimate::Seconds(25.0)),
            // Two at a time: the longest decides.
            (vec![done(10.0), runs(0.0), runs(9.0)], true, Estimate::Seconds(10.0)),
            // Longer than any before: it may end at any time.
            (vec![done(10.0), runs(99.0)], true, Estimate::Unknown("running longer than the finished ones did")),
            (vec![done(10.0), runs(99.0), runs(4.0)], true, Estimate::Seconds(6.0)),
        ] {
            assert_eq!(estimate([&progress(&reps)].into_iter(), known), expected, "{reps:?}");
        }
    }

    #[test]
    fn the_whole_is_made_of_parts_with_durations_of_their_own() {
        let short = progress(&[(EffectiveState::Completed, Some(1.0)), (EffectiveState::Running, Some(0.0))]);
        let long = progress(&[(EffectiveState::Completed, Some(100.0)), (EffectiveState::Queued, None)]);
        assert_eq!(estimate([&short, &long].into_iter(), true), Estimate::Seconds(101.0));
        let mut total = Progress::default();
        total.merge(&short);
        total.merge(&long);
        assert_eq!((total.total(), total.finished(), total.seconds), (4, 2, 101.0));
    }
}
