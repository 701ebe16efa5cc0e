//! In which order the repetitions of a job are drawn: the plan's, but what dead workers left comes last.
//!
//! One that kills its worker would else come first again after every restart, and the others never. Those that ran beside it
//! cannot be told from it, until each has one more chance: alone.

use super::lock;
use super::work::{Job, Task};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The repetitions of a job that are still to be drawn.
pub(crate) struct Queue<'a> {
    job: &'a Job<'a>,
    next: AtomicUsize,
    left: Mutex<Left>,
    /// Something was looked at.
    looked: Condvar,
    /// Shared by all that run side by side.
    company: RwLock<()>,
}

/// What dead workers left.
#[derive(Default)]
struct Left {
    /// How many died, and of which repetition.
    known: BTreeSet<(u32, usize)>,
    /// Draws that have not said yet what they found: it may have to come here.
    looking: usize,
}

/// A repetition whose turn it is; to be kept until it has ended.
pub(crate) struct Drawn<'a> {
    pub task: Task<'a>,
    _company: Company<'a>,
}

#[expect(dead_code, reason = "held, and never looked at")]
enum Company<'a> {
    Others(RwLockReadGuard<'a, ()>),
    Nobody(RwLockWriteGuard<'a, ()>),
}

impl<'a> Queue<'a> {
    pub(crate) fn of(job: &'a Job<'a>) -> Self {
        Queue {
            job,
            next: AtomicUsize::new(0),
            left: Mutex::default(),
            looked: Condvar::new(),
            company: RwLock::default(),
        }
    }

    /// The next one; waits until the others have ended where it is to be alone.
    pub(crate) fn draw(&self) -> Option<Drawn<'_>> {
        loop {
            // Before it is drawn: a slot that found nothing meanwhile would leave the others alone with what comes.
            lock(&self.left).looking += 1;
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = self.job.task(index) else {
                self.have_looked(None);
                break;
            };
            let Some(deaths) = task.worker_deaths() else {
                self.have_looked(None);
                return Some(self.among_others(task));
            };
            // They would have the slots' CPUs and GPUs until then.
            task.end_ghosts();
            self.have_looked(Some((deaths, index)));
        }
        let (deaths, index) = self.first_left()?;
        let task = self.job.task(index)?;
        task.wait_for_others();
        if deaths.saturating_add(1) < task.worker_deaths_allowed() {
            return Some(self.among_others(task));
        }
        let alone = self.company.write().unwrap_or_else(PoisonError::into_inner);
        Some(Drawn { task, _company: Company::Nobody(alone) })
    }

    fn have_looked(&self, found: Option<(u32, usize)>) {
        let mut left = lock(&self.left);
        left.looking -= 1;
        left.known.extend(found);
        self.looked.notify_all();
    }

    /// What the fewest workers died of; waits while some may still come.
    fn first_left(&self) -> Option<(u32, usize)> {
        let mut left = lock(&self.left);
        loop {
            let first = left.known.pop_first();
            if first.is_some() || left.looking == 0 {
                return first;
            }
            left = self.looked.wait(left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn among_others<'t>(&'t self, task: Task<'t>) -> Drawn<'t> {
        Drawn { task, _company: Company::Others(self.company.read().unwrap_or_else(PoisonError::into_inner)) }
    }
}
