//! The time that is left of the allocation, and whether another repetition fits into it.

use super::lock;
use crate::plan::record::ExperimentRecord;
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// When the allocation ends.
#[derive(Debug, Clone, Default)]
pub struct TimeLimit {
    /// So long before the end Slurm sends SIGUSR1; zero where it was not asked to.
    pub warning: Duration,
    /// How to learn the time left; `None` where there is no limit. Asked at most once, and only when it matters.
    pub ask: Option<fn() -> Option<Duration>>,
}

impl TimeLimit {
    /// How long a warned repetition may take to end, when `reserve` is kept for what comes after it.
    pub(super) fn grace(&self, reserve: Duration) -> Duration {
        self.warning.saturating_sub(reserve * 2)
    }
}

/// Decides whether another repetition can end in time, for all jobs of a worker.
#[derive(Debug)]
pub(super) struct Budget {
    limit: TimeLimit,
    started: Instant,
    end: OnceLock<Option<Instant>>,
    /// Durations of the repetitions that finished here, by their experiment: their sum and number.
    learnt: Mutex<HashMap<String, (Duration, u32)>>,
}

impl Budget {
    pub(super) fn new(limit: TimeLimit) -> Self {
        Budget { limit, started: Instant::now(), end: OnceLock::new(), learnt: Mutex::default() }
    }

    /// Notes how long a finished repetition took.
    pub(super) fn learn(&self, experiment: &ExperimentRecord, duration: Duration) {
        let mut learnt = lock(&self.learnt);
        let (sum, count) = learnt.entry(experiment.name.clone()).or_default();
        *sum += duration;
        *count += 1;
    }

    /// Whether a repetition that starts now is expected to end before the warning. One that is longer than the whole
    /// allocation is started all the same: it goes on from its checkpoint after the requeue.
    pub(super) fn allows_another(&self, experiment: &ExperimentRecord) -> bool {
        let configured = experiment.rep_time.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let mean = || lock(&self.learnt).get(&experiment.name).map(|(sum, count)| *sum / (*count).max(1));
        let Some(expected) = configured.or_else(mean) else { return true };
        let end =
            self.end.get_or_init(|| Instant::now().checked_add(self.limit.ask?()?.saturating_sub(self.limit.warning)));
        let Some(end) = *end else { return true };
        let whole = end.saturating_duration_since(self.started);
        expected > whole || Instant::now() + expected <= end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::testing::experiment;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// 400 s are left, the last 100 s of them after the warning.
    fn limit() -> TimeLimit {
        TimeLimit { warning: seconds(100), ask: Some(|| Some(seconds(400))) }
    }

    /// A job that has run for 600 s, of 900 s until the warning.
    fn budget(limit: TimeLimit) -> Budget {
        let mut budget = Budget::new(limit);
        budget.started = Instant::now().checked_sub(seconds(600)).unwrap();
        budget
    }

    fn named(name: &str, rep_time: Option<f64>) -> ExperimentRecord {
        let mut experiment = experiment(name, "{}", vec![]);
        experiment.rep_time = rep_time;
        crate::plan::record(&experiment)
    }

    #[test]
    fn what_does_not_fit_before_the_warning_is_not_started() {
        for (rep_time, allowed) in [
            (None, true),
            (Some(290.0), true),
            (Some(310.0), false),
            (Some(890.0), false),
            // Longer than all the time there ever was: it goes on from its checkpoint.
            (Some(910.0), true),
            (Some(f64::INFINITY), true),
        ] {
            assert_eq!(budget(limit()).allows_another(&named("e", rep_time)), allowed, "{rep_time:?}");
        }
    }

    #[test]
    fn durations_are_learnt_where_none_is_given() {
        let (learning, own) = (budget(limit()), named("e", None));
        learning.learn(&own, seconds(500));
        assert!(!learning.allows_another(&own));
        assert!(learning.allows_another(&named("other", None)));
        learning.learn(&own, seconds(50));
        assert!(learning.allows_another(&own), "the mean is 275 s");
        let given = named("given", Some(10.0));
        learning.learn(&given, seconds(500));
        assert!(learning.allows_another(&given));
    }

    #[test]
    fn without_a_limit_everything_fits() {
        for ask in [None, Some((|| None) as fn() -> Option<Duration>)] {
            let limit = TimeLimit { warning: seconds(100), ask };
            assert!(budget(limit).allows_another(&named("e", Some(1e6))));
        }
    }

    #[test]
    fn the_grace_of_a_warning_leaves_time_for_what_comes_after() {
        assert_eq!(limit().grace(seconds(10)), seconds(80));
        assert_eq!(limit().grace(seconds(60)), Duration::ZERO);
    }
}
