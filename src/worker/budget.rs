//! The time that is left of the allocation, and whether another repetition fits into it.

use super::lock;
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

/// Decides whether another repetition can end in time.
pub(super) struct Budget<'a> {
    limit: &'a TimeLimit,
    started: Instant,
    end: OnceLock<Option<Instant>>,
    expected: Option<Duration>,
    /// Durations of the repetitions that finished in this job: their sum and number.
    learnt: Mutex<(Duration, u32)>,
}

impl<'a> Budget<'a> {
    /// `rep_time` is the expected duration in seconds, where the configuration says.
    pub(super) fn new(limit: &'a TimeLimit, rep_time: Option<f64>) -> Self {
        let expected = rep_time.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Budget { limit, started: Instant::now(), end: OnceLock::new(), expected, learnt: Mutex::default() }
    }

    /// Notes how long a finished repetition took.
    pub(super) fn learn(&self, duration: Duration) {
        let mut learnt = lock(&self.learnt);
        learnt.0 += duration;
        learnt.1 += 1;
    }

    /// Whether a repetition that starts now is expected to end before the warning. One that is longer than the whole
    /// allocation is started all the same: it goes on from its checkpoint after the requeue.
    pub(super) fn allows_another(&self) -> bool {
        let mean = || {
            let (sum, count) = *lock(&self.learnt);
            (count > 0).then(|| sum / count)
        };
        let Some(expected) = self.expected.or_else(mean) else { return true };
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

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// 400 s are left, the last 100 s of them after the warning.
    fn limit() -> TimeLimit {
        TimeLimit { warning: seconds(100), ask: Some(|| Some(seconds(400))) }
    }

    /// A job that has run for 600 s, of 900 s until the warning.
    fn budget(limit: &TimeLimit, rep_time: Option<f64>) -> Budget<'_> {
        let mut budget = Budget::new(limit, rep_time);
        budget.started = Instant::now().checked_sub(seconds(600)).unwrap();
        budget
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
            assert_eq!(budget(&limit(), rep_time).allows_another(), allowed, "{rep_time:?}");
        }
    }

    #[test]
    fn durations_are_learnt_where_none_is_given() {
        let limit = limit();
        let learning = budget(&limit, None);
        learning.learn(seconds(500));
        assert!(!learning.allows_another());
        learning.learn(seconds(50));
        assert!(learning.allows_another(), "the mean is 275 s");
        let given = budget(&limit, Some(10.0));
        given.learn(seconds(500));
        assert!(given.allows_another());
    }

    #[test]
    fn without_a_limit_everything_fits() {
        for ask in [None, Some((|| None) as fn() -> Option<Duration>)] {
            let limit = TimeLimit { warning: seconds(100), ask };
            assert!(budget(&limit, Some(1e6)).allows_another());
        }
    }

    #[test]
    fn the_grace_of_a_warning_leaves_time_for_what_comes_after() {
        assert_eq!(limit().grace(seconds(10)), seconds(80));
        assert_eq!(limit().grace(seconds(60)), Duration::ZERO);
    }
}
