//! One attempt at a repetition that is an experiment of this program: a thread of its own, watched by the slot's.
//!
//! A thread cannot be ended from outside. One that is told to stop, or is past its timeout, has the grace to notice; then it
//! is left behind: the repetition's state is written without it, its lock stays held, and it ends with the process.

mod body;

use super::context::Life;
use super::control::Control;
use super::execution::{Execution, FINALIZE_ON_STOP, Outcome, TAIL_BYTES, TOLD_TO_STOP};
use super::exhausted::{Runs, is_exhausted, patiently};
use super::ghosts;
use super::limits::{self, Cause, Limits, OnStop, Subject};
use super::lock;
use super::running_marker::RunningMarker;
use crate::api::logs::{LogHandle, route_panics};
use crate::api::{Factory, Repetition, Worker};
use crate::run::status::State;
use crate::store::rep::Owned;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::Signal;
use std::collections::HashSet;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// An attempt whose thread runs.
pub(super) struct Native<'a> {
    life: &'a Life<'a>,
    owned: &'a Owned,
    begun: &'a RunningMarker<'a>,
    shared: Arc<Shared>,
    /// To finalize: the outcome; not to: its end.
    go: Option<Sender<State>>,
    tail_from: u64,
    /// Why there is no thread, where the machine has no room for one.
    no_room: Option<String>,
}

/// What the thread and its watcher tell each other.
struct Shared {
    control: Control,
    /// The experiment started a process.
    spawned: AtomicBool,
    deadline: Mutex<Option<Instant>>,
    news: Mutex<News>,
}

#[derive(Default)]
struct News {
    /// What the experiment is at.
    phase: &'static str,
    /// Why it was told to stop, if it was: only an experiment that knows of it was interrupted.
    told: Option<State>,
    /// Whoever was told: where none of them is its own thread, only its threads know what they left out.
    ears: HashSet<ThreadId>,
    /// It did all there is to do: it is told of a stop, and not interrupted by it.
    done: bool,
    /// What the thread has to say, until its watcher takes it.
    report: Option<Report>,
    /// The thread is over.
    gone: bool,
}

/// How a part of the thread's work ended.
struct Report {
    state: State,
    /// The phase, and one line for a person.
    failure: Option<(&'static str, String)>,
    payload: Option<serde_json::Value>,
    cpu_seconds: f64,
}

impl Subject for Shared {
    fn ended(&self) -> bool {
        let news = lock(&self.news);
        news.report.is_some() || news.gone
    }

    /// It asks itself: [`Shared::stopping`].
    fn ask(&self, _: Signal) {}

    fn kill(&self) -> bool {
        false
    }
}

impl Worker for Shared {
    fn stopping(&self) -> bool {
        let Some(why) = self.why_stop() else { return false };
        let mut news = lock(&self.news);
        if !news.done {
            news.told.get_or_insert(why);
            news.ears.insert(thread::current().id());
        }
        true
    }

    fn stop_requested(&self) -> bool {
        self.why_stop().is_some()
    }

    fn wait_stop(&self, patience: Duration) -> bool {
        let until = Instant::now().checked_add(patience);
        let until = until.into_iter().chain(*lock(&self.deadline)).min();
        loop {
            let events = self.control.events();
            let stop = self.stop_requested();
            if stop || until.is_some_and(|until| Instant::now() >= until) {
                return stop;
            }
            self.control.wait(events, until);
        }
    }

    fn done(&self) {
        let mut news = lock(&self.news);
        news.done = true;
        news.told = None;
    }

    fn unheard_stops_come_too_late(&self) {
        lock(&self.news).done = true;
    }

    fn spawn(&self, command: &mut Command) -> std::io::Result<Child> {
        self.spawned.store(true, Ordering::Relaxed);
        self.control.spawn(command)
    }
}

impl Shared {
    /// What becomes of a repetition that ends now because it is to stop.
    fn why_stop(&self) -> Option<State> {
        let late = lock(&self.deadline).is_some_and(|deadline| Instant::now() >= deadline);
        match (late, self.control.stopping()) {
            (true, _) => Some(State::TimedOut),
            (false, true) => Some(State::Interrupted),
            (false, false) => None,
        }
    }

    fn enter(&self, phase: &'static str) {
        lock(&self.news).phase = phase;
    }

    fn tell(&self, report: Report) {
        lock(&self.news).report = Some(report);
        self.control.wake();
    }
}

/// Says that the thread is over, even where it panics outside of the experiment.
struct Last(Arc<Shared>);

impl Drop for Last {
    fn drop(&mut self) {
        lock(&self.0.news).gone = true;
        self.0.control.wake();
    }
}

impl<'a> Native<'a> {
    pub(super) fn start(
        life: &'a Life<'a>,
        owned: &'a Arc<Owned>,
        begun: &'a RunningMarker<'a>,
        factory: &Factory,
        attempt: u32,
        resume: bool,
    ) -> Self {
        route_panics();
        let shared = Arc::new(Shared {
            control: life.control.clone(),
            spawned: AtomicBool::new(false),
            deadline: Mutex::new(None),
            news: Mutex::new(News { phase: "initialize", ..News::default() }),
        });
        let tail_from = owned.stderr_len();
        let shared_by_both = Arc::clone(&shared);
        let mut native = Native { life, owned, begun, shared: shared_by_both, go: None, tail_from, no_room: None };
        *lock(&native.shared.deadline) = native.deadline();
        let start = || {
            let (go, wait) = channel();
            let rep = Repetition {
                records: if resume { owned.records_before() } else { 0 },
                ..repetition(life, attempt, resume)
            };
            let (out, err) = owned.streams().map_err(|error| (is_exhausted(error.source()), error.to_string()))?;
            let (factory, owned, shared) = (factory.clone(), Arc::clone(owned), Arc::clone(&shared));
            let thread = std::thread::Builder::new().name(format!("rep-{}", rep.number)).stack_size(factory.stack_size);
            let work = move || {
                let last = Last(shared);
                let logs = LogHandle::new(out, err);
                let report = body::body(&last.0, &factory, rep, &logs, &wait);
                // Its locks are free before anyone hears that it is done: the repetition may be executed again at once.
                drop((logs, owned));
                last.0.tell(report);
            };
            let fail = |error| (is_exhausted(&error), format!("cannot start a thread: {error}"));
            thread.spawn(work).map(|_| go).map_err(fail)
        };
        match patiently(life.control, start, |(no_room, _)| *no_room) {
            Ok(go) => native.go = Some(go),
            Err((true, message)) => native.no_room = Some(message),
            Err((false, message)) => native.shared.tell(Report {
                state: State::Crashed,
                failure: Some(("cw2", message)),
                payload: None,
                cpu_seconds: 0.0,
            }),
        }
        native
    }

    /// When a phase that starts now has taken too long.
    fn deadline(&self) -> Option<Instant> {
        let limit = Duration::try_from_secs_f64(self.life.experiment().timeout?).ok()?;
        Instant::now().checked_add(limit)
    }

    /// What the thread reports, or why it was left behind.
    fn wait(&self, limits: Limits) -> Result<Report, Cause> {
        let cause = limits::wait(&*self.shared, limits, &self.shared.control, self.begun);
        let mut news = lock(&self.shared.news);
        let over = || Report {
            state: State::Crashed,
            failure: Some(("cw2", "the thread of the experiment ended unexpectedly".to_owned())),
            payload: None,
            cpu_seconds: 0.0,
        };
        match news.report.take() {
            Some(report) => Ok(report),
            None if news.gone => Ok(over()),
            None => Err(cause),
        }
    }

    fn tail(&self) -> String {
        self.owned.stderr_tail(self.tail_from, TAIL_BYTES)
    }
}

impl Execution for Native<'_> {
    fn run(&mut self) -> Outcome {
        let options = self.life.options;
        let limits = Limits {
            deadline: *lock(&self.shared.deadline),
            grace: options.grace,
            grace_at_limit: options.time_limit.grace(FINALIZE_ON_STOP).max(options.grace),
            on_stop: OnStop::Signal(Signal::SIGTERM),
        };
        let mut outcome = Outcome::completed();
        if let Some(why) = self.no_room.take() {
            return Outcome { state: State::Interrupted, not_started: Some(why), ..outcome };
        }
        let _runs = Runs::enter();
        match self.wait(limits) {
            Ok(report) => {
                outcome.state = report.state;
                outcome.payload = report.payload;
                outcome.cpu_seconds = report.cpu_seconds;
                if let Some((phase, message)) = report.failure {
                    outcome.fail(report.state, phase, message, self.tail());
                }
            }
            Err(cause) => {
                self.go = None;
                let (state, why) = match cause {
                    Cause::Deadline => (State::TimedOut, "its timeout"),
                    Cause::Stop | Cause::Itself => (State::Interrupted, TOLD_TO_STOP),
                };
                let phase = lock(&self.shared.news).phase;
                let message =
                    format!("left behind after {why}: it did not ask whether to stop, or went on all the same");
                outcome.fail(state, phase, message, self.tail());
            }
        }
        outcome.max_rss = max_rss();
        outcome
    }

    fn finalize(&mut self, outcome: &mut Outcome) {
        let Some(go) = self.go.take() else { return };
        let deadline = self.deadline();
        *lock(&self.shared.deadline) = deadline;
        // A thread that is gone hears nothing, and says so itself.
        let _ = go.send(outcome.state);
        let limits = Limits {
            deadline,
            grace: FINALIZE_ON_STOP.min(self.life.options.grace),
            grace_at_limit: FINALIZE_ON_STOP,
            on_stop: OnStop::Hurry,
        };
        let ended = match self.wait(limits) {
            Ok(report) => {
                outcome.cpu_seconds = outcome.cpu_seconds.max(report.cpu_seconds);
                (Cause::Itself, report.failure.map(|(_, message)| message))
            }
            Err(cause) => (cause, None),
        };
        outcome.finalized(ended, || self.tail());
        outcome.max_rss = max_rss();
    }
}

impl Drop for Native<'_> {
    /// Not finalized: the next attempt starts when this one's object is gone. None of its processes outlives it.
    fn drop(&mut self) {
        if self.go.take().is_some() {
            let grace = self.life.options.grace;
            let limits = Limits {
                deadline: Instant::now().checked_add(grace),
                grace: Duration::ZERO,
                grace_at_limit: Duration::ZERO,
                on_stop: OnStop::Hurry,
            };
            let _ = self.wait(limits);
        }
        if self.shared.spawned.load(Ordering::Relaxed) {
            // The experiment may have waited for any of them, so that their numbers say nothing: found by their mark.
            ghosts::end_ghosts(&self.life.rep.dir, Duration::ZERO, || true);
            ghosts::end_orphans(&self.life.rep.dir);
        }
    }
}

/// Who it is.
fn repetition(life: &Life<'_>, attempt: u32, resume: bool) -> Repetition {
    let slot = life.slot;
    Repetition {
        experiment: life.experiment().name.clone(),
        run: life.rep.run.record.run.clone(),
        iterations: life.experiment().iterations,
        config: life.config(),
        number: life.rep.number,
        seed: life.seed(),
        dir: life.rep.dir.clone(),
        attempt,
        resume,
        records: 0,
        slot: slot.number,
        cpus: slot.cpus.clone(),
        threads: slot.threads,
        gpus: slot.gpus().map(str::to_owned).collect(),
    }
}

/// The largest resident size of this process so far, in bytes: a thread has none of its own.
fn max_rss() -> u64 {
    // Linux counts ru_maxrss in kibibytes (getrusage(2)).
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| u64::try_from(usage.max_rss()).unwrap_or(0) * 1024)
}
