//! What a program brings along besides the use cases, and what it is called by.

use super::handed::HandOver;
use crate::api::{CheckParams, Factory, panic_text};
use crate::scheduler::Scheduler;
use crate::worker::{self, Jobs, Tally};
use anyhow::Context as _;
use std::ffi::OsStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// As the first thread of a program usually has.
const STACK_SIZE: usize = 8 << 20;

/// The exit code of what was interrupted.
const INTERRUPTED: i32 = 75;

/// What a program brings along besides the commands; nothing for `cw2` itself.
pub struct Program {
    /// What an experiment without `command` runs.
    pub factory: Option<Factory>,
    /// In which order and how many at a time.
    pub scheduler: Box<dyn Scheduler>,
    /// What `--version` says; `None` for cw2's own.
    pub version: Option<&'static str>,
    /// What its jobs call it with, before `worker`.
    pub own_args: Vec<String>,
    /// A program in Python that handed itself over.
    pub python: Option<HandOver>,
}

impl Program {
    /// Whether this program knows what to run where the configuration does not say.
    pub fn command_optional(&self) -> bool {
        self.factory.is_some() || self.python.is_some()
    }

    /// Whether what it runs then needs `iterations`.
    pub fn iterative(&self) -> bool {
        self.factory.as_ref().is_some_and(|factory| factory.iterative)
    }

    /// What checks the parameters of its own experiment.
    pub fn check_params(&self) -> Option<CheckParams> {
        self.factory.as_ref()?.check_params.clone()
    }

    /// Lets the scheduler run the jobs to their end. What became of them is known also where it failed; a panic is a failure
    /// like any other.
    ///
    /// It has a thread of its own, so that the children of this one are only the orphans it adopted. A scheduler that does not
    /// return after a second signal ends with the process, as interrupted.
    pub fn schedule(&self, jobs: Jobs<'_>) -> (Tally, anyhow::Result<()>) {
        let over = AtomicBool::new(false);
        let run = || {
            let run = AssertUnwindSafe(|| self.scheduler.run(&jobs));
            let result =
                catch_unwind(run).unwrap_or_else(|panic| Err(anyhow::anyhow!("the scheduler {}", panic_text(&*panic))));
            over.store(true, Ordering::SeqCst);
            jobs.wake();
            result
        };
        let result = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("scheduler".to_owned()).stack_size(STACK_SIZE);
            let thread = thread.spawn_scoped(scope, run).context("cannot start a thread for the scheduler")?;
            if !jobs.wait(|| over.load(Ordering::SeqCst)) {
                log::error!("the scheduler goes on though it was told to stop: this process ends without it");
                worker::end_strays();
                std::process::exit(INTERRUPTED);
            }
            thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the scheduler's thread panicked")))
        });
        worker::end_strays();
        (jobs.into_tally(), result)
    }
}

/// What this program is called by, for advice to call it again.
pub fn name() -> &'static str {
    NAME.get().map_or("cw2", String::as_str)
}

/// Takes the name from the first word of a command line; the first call counts.
pub fn called_by(word: &OsStr) {
    if let Some(name) = Path::new(word).file_name() {
        NAME.get_or_init(|| name.to_string_lossy().into_owned());
    }
}

static NAME: OnceLock<String> = OnceLock::new();
