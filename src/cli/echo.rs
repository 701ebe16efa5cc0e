//! What repetitions print, as they print it, where one runs at a time.

use super::run::Bar;
use crate::plan::layout::rep as names;
use crate::store::log::Log;
use crate::store::plan::Rep;
use crate::worker::{End, Observer};
use std::collections::HashMap;
use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks at the logs.
const POLL: Duration = Duration::from_millis(30);

/// What copies the logs of a repetition until the other end is dropped.
type Follower = (Sender<()>, JoinHandle<()>);

/// Copies the logs of the repetition that runs, and tells of failures.
pub(super) struct Echo {
    bar: Bar,
    running: Mutex<HashMap<PathBuf, Follower>>,
}

impl Echo {
    /// For so many repetitions.
    pub(super) fn new(repetitions: u64) -> Self {
        Echo { bar: Bar::new(repetitions, true), running: Mutex::default() }
    }
}

impl Observer for Echo {
    fn started(&self, rep: &Rep) {
        self.bar.started(rep);
        if rep.run.experiment.record.reps_in_parallel > 1 {
            return;
        }
        // The one before it is over, though its state may still be on its way to the disk.
        self.stop(|_| true);
        // From here on: what an earlier attempt said was said then.
        let logs = [names::OUT, names::ERR].map(|name| Log::open(&rep.dir.join(name), Some(0)));
        let [Ok(out), Ok(err)] = logs else { return };
        let (stop, stopped) = channel::<()>();
        let follow = move || {
            let (mut out, mut err) = (out, err);
            loop {
                let over = stopped.recv_timeout(POLL) != Err(RecvTimeoutError::Timeout);
                // Whoever does not listen any more does not keep a repetition from running.
                let _ = out.copy(&mut stdout()).map(|_| stdout().flush());
                let _ = err.copy(&mut stderr());
                if over {
                    return;
                }
            }
        };
        if let Ok(thread) = std::thread::Builder::new().name("echo".to_owned()).spawn(follow) {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.insert(rep.dir.clone(), (stop, thread));
        }
    }

    fn ended(&self, rep: &Rep, end: &End) {
        self.stop(|dir| dir == rep.dir);
        self.bar.ended(rep, end);
    }
}

impl Echo {
    /// Waits until all that these printed is copied.
    fn stop(&self, which: impl Fn(&Path) -> bool) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, (stop, thread)) in running.extract_if(|dir, _| which(dir)) {
            drop(stop);
            // It panics nowhere.
            let _ = thread.join();
        }
    }
}
