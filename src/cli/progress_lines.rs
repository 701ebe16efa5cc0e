//! Where no terminal shows a bar: a line now and then of how far it is, seldomer the longer it takes.

use crate::report::human::{count, counted, seconds};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// When the first lines come, in seconds; then one every [`EVERY`].
const FIRST: [u64; 4] = [60, 120, 300, 600];
const EVERY: u64 = 600;

/// When the line with this number comes, from 0.
fn due(number: usize) -> Duration {
    let last = FIRST[FIRST.len() - 1];
    let later = number.saturating_sub(FIRST.len() - 1) as u64;
    Duration::from_secs(FIRST.get(number).copied().unwrap_or_else(|| last.saturating_add(EVERY.saturating_mul(later))))
}

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub total: u64,
    pub started: u64,
    pub ended: u64,
    pub failed: u64,
}

impl Counts {
    fn line(self, elapsed: Duration) -> String {
        let elapsed = elapsed.as_secs_f64();
        let failed = if self.failed > 0 { format!(" ({} failed)", count(self.failed)) } else { String::new() };
        let rest = self.total.saturating_sub(self.ended);
        #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
        let left = match self.ended {
            0 => String::new(),
            ended => format!(", about {} left", seconds(elapsed / ended as f64 * rest as f64)),
        };
        format!(
            "{} of {} over{failed}, {} under way, after {}{left}",
            count(self.ended),
            counted(self.total, "repetition"),
            count(self.started.saturating_sub(self.ended)),
            seconds(elapsed)
        )
    }
}

/// Tells until it is dropped.
pub(super) struct ProgressLines {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// The counts, and whether all is over.
    state: Mutex<(Counts, bool)>,
    over: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, (Counts, bool)> {
        // Counts are whole after every change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProgressLines {
    /// For so many repetitions.
    pub(super) fn new(total: u64, tell: impl Fn(&str) + Send + 'static) -> Self {
        Self::at(total, due, tell)
    }

    fn at(total: u64, due: impl Fn(usize) -> Duration + Send + 'static, tell: impl Fn(&str) + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        shared.state().0.total = total;
        let of_thread = Arc::clone(&shared);
        let work = move || {
            let begun = Instant::now();
            for number in 0.. {
                let wait = due(number).saturating_sub(begun.elapsed());
                let waited = of_thread.over.wait_timeout_while(of_thread.state(), wait, |(_, over)| !*over);
                let (counts, over) = *waited.unwrap_or_else(PoisonError::into_inner).0;
                if over {
                    return;
                }
                tell(&counts.line(begun.elapsed()));
            }
        };
        // Without a thread there are no lines.
        let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(work).ok();
        ProgressLines { shared, thread }
    }

    /// Changes the counts.
    pub(super) fn count(&self, change: impl Fn(&mut Counts)) {
        change(&mut self.shared.state().0);
    }
}

impl Drop for ProgressLines {
    fn drop(&mut self) {
        self.shared.state().1 = true;
        self.shared.over.notify_all();
        // It panics nowhere.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn lines_come_seldomer_the_longer_it_takes() {
        let seconds: Vec<u64> = (0..7).map(|number| due(number).as_secs()).collect();
        assert_eq!(seconds, [60, 120, 300, 600, 1200, 1800, 2400]);
        assert!(due(usize::MAX) > due(1000));
    }

    #[test]
    fn a_line_says_how_far_it_is() {
        let mut counts = Counts { total: 1200, started: 3, ended: 0, failed: 0 };
        let after = Duration::from_secs(30);
        assert_eq!(counts.line(after), "0 of 1,200 repetitions over, 3 under way, after 30 s");
        (counts.ended, counts.started, counts.failed) = (300, 302, 2);
        assert_eq!(
            counts.line(after),
            "300 of 1,200 repetitions over (2 failed), 2 under way, after 30 s, about 1m 30s left"
        );
    }

    #[test]
    fn they_end_with_what_they_tell_of() {
        let (lines, told) = channel();
        let progress = ProgressLines::at(
            2,
            |number| if number < 2 { Duration::ZERO } else { Duration::MAX },
            move |line| drop(lines.send(line.to_owned())),
        );
        progress.count(|counts| counts.started += 1);
        assert!(told.recv().unwrap().starts_with("0 of 2 repetitions over"));
        assert!(told.recv().unwrap().starts_with("0 of 2 repetitions over"));
        drop(progress);
        assert_eq!(told.into_iter().count(), 0);
    }
}
