//! What the machine has no room for: no process, no descriptor, no memory, no space on the disk. It may have a moment later,
//! and says nothing of the repetition.
//!
//! Whatever is done before a repetition's program runs is tried again for a while, longer where others of this worker run that
//! will make room. What could not be done then leaves the repetition as it was found.

use super::control::Control;
pub(super) use crate::store::is_exhausted;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long it is tried where nothing of this worker runs that could make room.
const PATIENCE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How many repetitions of this process have their programs running.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Whether the last one waited in vain, and nothing was started since: the next ones need not wait.
static IN_VAIN: AtomicBool = AtomicBool::new(false);

/// A program that runs, until it is dropped.
pub(super) struct Runs;

impl Runs {
    pub(super) fn enter() -> Self {
        RUNNING.fetch_add(1, Ordering::SeqCst);
        IN_VAIN.store(false, Ordering::Relaxed);
        Runs
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Does it, again and again while the machine has no room for it, until that has lasted too long or the worker is to stop.
pub(super) fn patiently<T, E>(
    control: &Control,
    mut action: impl FnMut() -> Result<T, E>,
    of_no_room: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let mut pause = FIRST_PAUSE;
    let mut last_company = Instant::now();
    loop {
        let error = match action() {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if !of_no_room(&error) {
            return Err(error);
        }
        if RUNNING.load(Ordering::SeqCst) > 0 {
            last_company = Instant::now();
        }
        let patience = if IN_VAIN.load(Ordering::Relaxed) { Duration::ZERO } else { PATIENCE };
        if last_company.elapsed() >= patience || control.stopping_within(pause) {
            IN_VAIN.store(true, Ordering::Relaxed);
            return Err(error);
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
