//! Syncs that happen together.
//!
//! A journalling file system writes its journal for every sync, once for all that ask at the same moment, and holds up those
//! who create files meanwhile. Ends of repetitions that follow each other closely are therefore brought to the disk a few at
//! a time. It must not decide what is synced.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Syncs that fall between two of these wait for the second one.
const TICK: Duration = Duration::from_millis(10);

/// Waits for the next tick, where another sync of this process was not long before; returns at once where not.
pub(super) fn wait_for_group_sync() {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    /// The tick that the last call fell before; 0 where there was none.
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = BEGAN.elapsed();
    let tick = next_tick(now);
    let last = LAST.fetch_max(tick, Ordering::Relaxed);
    std::thread::sleep(wait(now, tick, last));
}

/// The number of the tick after `now`, from 1.
fn next_tick(now: Duration) -> u64 {
    u64::try_from(now.as_micros() / TICK.as_micros() + 1).unwrap_or(u64::MAX)
}

/// How long to wait for the `tick` after `now`, when the last one waited for was `last`.
fn wait(now: Duration, tick: u64, last: u64) -> Duration {
    // One more tick counts: what waited for the last one is back right after it.
    if last == 0 || last.saturating_add(1) < tick {
        return Duration::ZERO;
    }
    let at = u128::from(tick) * TICK.as_micros();
    Duration::from_micros(u64::try_from(at.saturating_sub(now.as_micros())).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_follow_closely_wait_for_the_next_tick() {
        for (now, last, tick, expected) in [
            (0, 0, 1, 0),
            (0, 1, 1, 10_000),
            (9_999, 1, 1, 1),
            // Back from the first tick.
            (10_000, 1, 2, 10_000),
            (10_150, 1, 2, 9_850),
            (20_000, 1, 3, 0),
            (1_000_007, 99, 101, 0),
            (1_000_007, 100, 101, 9_993),
        ] {
            let now = Duration::from_micros(now);
            assert_eq!(next_tick(now), tick, "{now:?}");
            assert_eq!(wait(now, tick, last), Duration::from_micros(expected), "{now:?} {last}");
        }
        assert_eq!(wait(Duration::MAX, u64::MAX, u64::MAX), Duration::ZERO);
    }
}
