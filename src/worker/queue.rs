//! In which order the repetitions of a job are drawn: the plan's, but what dead workers left comes last.
//!
//! One that kills its worker would else come first again after every restart, and the others never. Those that ran beside it
//! cannot be told from it, until each has one more chance: alone.

use super::lock;
use super::work::{Job, Task};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The repetitions of a job that are still to be drawn.
pub(crate) struct Queue<'a> {
    job: &'a Job<'a>,
    next: AtomicUsize,
    /// What dead workers left: how many, and which repetition.
    left: Mutex<BTreeSet<(u32, usize)>>,
    /// Shared by all that run side by side.
    company: RwLock<()>,
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
        Queue { job, next: AtomicUsize::new(0), left: Mutex::default(), company: RwLock::default() }
    }

    /// The next one; waits until the others have ended where it is to be alone.
    pub(crate) fn draw(&self) -> Option<Drawn<'_>> {
        while let (index, Some(task)) = self.following() {
            match task.worker_deaths() {
                None => return Some(self.among_others(task)),
                Some(deaths) => {
                    // They would have the slots' CPUs and GPUs until then.
                    task.end_ghosts();
                    lock(&self.left).insert((deaths, index));
                }
            }
        }
        let (deaths, index) = lock(&self.left).pop_first()?;
        let task = self.job.task(index)?;
        task.wait_for_others();
        if deaths.saturating_add(1) < task.worker_deaths_allowed() {
            return Some(self.among_others(task));
        }
        let alone = self.company.write().unwrap_or_else(PoisonError::into_inner);
        Some(Drawn { task, _company: Company::Nobody(alone) })
    }

    fn following(&self) -> (usize, Option<Task<'_>>) {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        (index, self.job.task(index))
    }

    fn among_others<'t>(&'t self, task: Task<'t>) -> Drawn<'t> {
        Drawn { task, _company: Company::Others(self.company.read().unwrap_or_else(PoisonError::into_inner)) }
    }
}
