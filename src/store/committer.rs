//! Ends of repetitions on their way to the disk, beside what runs.
//!
//! An end waits for two syncs, and those that follow each other closely are synced together (see [`super::group_sync`]): each
//! of them takes a thread for that time. There are as many as are on their way at once, within what the user's limits leave to
//! the repetitions; where there are no more, the caller does it himself, and so waits. It must not decide what an end says.

use super::Result;
use super::rep::StagedStatus;
use nix::sys::resource::{Resource, getrlimit};
use std::collections::VecDeque;
use std::os::fd::AsRawFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// The most that are on their way at once.
const MOST: usize = 128;

/// Enough for what the threads do.
const STACK: usize = 1 << 20;
/// The address space that a thread takes, and all else: the C library reserves 64 MiB for what each thread allocates, as
/// long as it gets them, and nothing can be allocated any more where the last are gone.
const SPACE_PER_THREAD: u64 = (1 + 64) << 20;
const SPACE_ELSEWHERE: u64 = 192 << 20;

type Work = Box<dyn FnOnce() + Send>;

/// Whoever brings ends to the disk. When it is dropped, all are there.
#[derive(Default)]
pub struct Committer {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    limits: Limits,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Something was put into the queue, or it was closed.
    filled: Condvar,
    /// Nothing is on its way.
    emptied: Condvar,
}

#[derive(Default)]
struct Queue {
    works: VecDeque<Work>,
    /// What is on its way, in the queue or taken from it.
    under_way: usize,
    closed: bool,
}

impl Committer {
    /// Makes a status the repetition's; one that has to be durable while the caller goes on. `done` hears of it when it is on
    /// the disk, and holds until then what nobody else may take.
    pub fn commit(&self, staged: StagedStatus, done: impl FnOnce(Result<()>) + Send + 'static) {
        let waits = staged.is_durable() && self.limits.leave_room(&staged);
        let work = Box::new(move || done(staged.commit()));
        match if waits { self.give(work) } else { Some(work as Work) } {
            None => {}
            Some(work) => work(),
        }
    }

    /// Waits until nothing is on its way.
    pub fn finish(&self) {
        let mut queue = lock(&self.shared.queue);
        while queue.under_way > 0 {
            queue = self.shared.emptied.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives it to a thread, a new one where none is idle; back where there is none to be had.
    fn give(&self, work: Work) -> Option<Work> {
        let mut queue = lock(&self.shared.queue);
        let mut threads = lock(&self.threads);
        if queue.under_way >= threads.len() {
            if threads.len() >= self.limits.threads {
                return Some(work);
            }
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name("commit".to_owned()).stack_size(STACK);
            match thread.spawn(move || shared.work()) {
                Ok(thread) => threads.push(thread),
                // What the repetitions start needs the room (`ulimit -u`).
                Err(error) => {
                    log::debug!("no thread can be started for the end of a repetition: {error}");
                    return Some(work);
                }
            }
        }
        queue.works.push_back(work);
        queue.under_way += 1;
        drop((queue, threads));
        self.shared.filled.notify_one();
        None
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        lock(&self.shared.queue).closed = true;
        self.shared.filled.notify_all();
        for thread in lock(&self.threads).drain(..) {
            // None of them panics.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// What a thread does until the queue is closed and empty.
    fn work(&self) {
        let mut queue = lock(&self.queue);
        loop {
            if let Some(work) = queue.works.pop_front() {
                drop(queue);
                // Whoever hears of it may panic, which is told already; the others still have to come to the disk.
                let _ = catch_unwind(AssertUnwindSafe(work));
                queue = lock(&self.queue);
                queue.under_way -= 1;
                if queue.under_way == 0 {
                    self.emptied.notify_all();
                }
            } else if queue.closed {
                return;
            } else {
                queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the user's limits leave to ends on their way. The limits themselves stay as they are: what the repetitions start
/// inherits them.
struct Limits {
    threads: usize,
    /// Descriptors that may be open, by whomever, for another end to go on beside: those after it are for the repetitions.
    files: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let soft = |resource| getrlimit(resource).map_or(u64::MAX, |(soft, _)| soft);
        Limits::within(soft(Resource::RLIMIT_NOFILE), soft(Resource::RLIMIT_AS), soft(Resource::RLIMIT_NPROC))
    }
}

impl Limits {
    /// Where so many files can be open (`ulimit -n`), with so much address space (`ulimit -v`) and so many processes
    /// (`ulimit -u`): threads count as such, and the user has others.
    fn within(files: u64, space: u64, processes: u64) -> Self {
        let by_space = space.saturating_sub(SPACE_ELSEWHERE) / SPACE_PER_THREAD / 2;
        let threads = usize::try_from(by_space.min(processes / 16)).unwrap_or(MOST).min(MOST);
        Limits { threads, files: files / 2 }
    }

    /// Whether an end may keep its files open. The system gives the lowest number that is free, so that of the last one tells
    /// how many there are.
    fn leave_room(&self, staged: &StagedStatus) -> bool {
        u64::try_from(staged.as_raw_fd()).is_ok_and(|last| last < self.files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    #[test]
    fn ends_keep_within_the_limits() {
        const ALL: u64 = u64::MAX;
        for (files, space, processes, expected) in [
            (ALL, ALL, ALL, (128, ALL / 2)),
            (1024, ALL, ALL, (128, 512)),
            (64, 1 << 30, ALL, (6, 32)),
            (64, 1 << 20, ALL, (0, 32)),
            (64, ALL, 100, (6, 32)),
        ] {
            let limits = Limits::within(files, space, processes);
            assert_eq!((limits.threads, limits.files), expected, "{files} {space} {processes}");
        }
    }

    #[test]
    fn as_many_threads_as_works_that_are_on_their_way_and_the_rest_comes_back() {
        let mut committer = Committer::default();
        committer.limits.threads = 2;
        let done = Arc::new(AtomicUsize::new(0));
        let count = || {
            let done = Arc::clone(&done);
            move || {
                done.fetch_add(1, Ordering::Relaxed);
            }
        };
        for _ in 0..10 {
            assert!(committer.give(Box::new(count())).is_none());
            committer.finish();
        }
        assert_eq!((done.load(Ordering::Relaxed), lock(&committer.threads).len()), (10, 1));
        let (go, wait) = mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let waiting = || {
            let (wait, count) = (Arc::clone(&wait), count());
            move || {
                let _ = lock(&wait).recv();
                count();
            }
        };
        assert!(committer.give(Box::new(waiting())).is_none());
        assert!(committer.give(Box::new(waiting())).is_none());
        assert!(committer.give(Box::new(count())).is_some());
        drop(go);
        drop(committer);
        assert_eq!(done.load(Ordering::Relaxed), 12);
    }

    #[test]
    fn a_work_that_panics_is_over() {
        let mut committer = Committer::default();
        committer.limits.threads = 1;
        for _ in 0..2 {
            assert!(committer.give(Box::new(|| panic!("on purpose"))).is_none());
            committer.finish();
        }
    }
}
