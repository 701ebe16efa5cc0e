//! When it becomes a file that a repetition runs.
//!
//! Two states cost two files, and the first of them is deleted when the second takes its place; some file systems are slow to
//! create files for minutes after that. Of a repetition that is over at once nobody needs to read that it runs: its locks
//! tell other workers, and where its worker dies before the note, its configuration tells the next one.

use crate::run::status::Status;
use crate::store::Result;
use crate::store::rep::Owned;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// A repetition that lasts no longer is never said to run.
const AT_ONCE: Duration = Duration::from_millis(100);

/// An attempt that has begun, and the note of it.
pub(super) struct RunningMarker<'a> {
    owned: &'a Owned,
    status: &'a Status,
    /// When the note is to be written; `None` where it was.
    due: Cell<Option<Instant>>,
}

impl<'a> RunningMarker<'a> {
    /// An attempt before which there was none: noted when it lasts.
    pub(super) fn first(owned: &'a Owned, status: &'a Status) -> Self {
        RunningMarker { owned, status, due: Cell::new(Some(Instant::now() + AT_ONCE)) }
    }

    /// An attempt after others: noted now, or it would be taken for the last one of them.
    pub(super) fn again(owned: &'a Owned, status: &'a Status) -> Result<Self> {
        owned.write_status(status)?;
        Ok(RunningMarker { owned, status, due: Cell::new(None) })
    }

    /// When [`RunningMarker::note`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.get()
    }

    /// Writes the note, once, if it is time.
    pub(super) fn note(&self, now: Instant) {
        if self.due.get().is_none_or(|due| now < due) {
            return;
        }
        self.due.set(None);
        // The attempt is under way: it is worth more than the note, and how it ends is told all the same.
        if let Err(error) = self.owned.write_status(self.status) {
            log::warn!("cannot note that a repetition runs: {error}");
        }
    }
}
