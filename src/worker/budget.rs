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
