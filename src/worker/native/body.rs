//! What the thread of an experiment does: every part of the user's code is called here, and caught where it panics.

use super::{Report, Shared};
use crate::api::logs::{LogHandle, take_panic_place};
use crate::api::{Context, Ending, Factory, Repetition, Worker};
use crate::run::status::State;
use crate::worker::execution::TOLD_TO_STOP;
use crate::worker::lock;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;

/// What the experiment's thread does; returns the end of `finalize`, when nothing is left of the experiment.
pub(super) fn body(
    shared: &Arc<Shared>,
    factory: &Factory,
    rep: Repetition,
    logs: &LogHandle,
    go: &Receiver<State>,
) -> Report {
    let _guard = logs.enter();
    let worker: Arc<dyn Worker> = Arc::<Shared>::clone(shared);
    let cx = Context::new(rep, factory.loggers(), worker, logs.clone());
    cx.start_loggers();
    let mut experiment = None;
    let result = caught(|| {
        cx.forget_checkpoint()?;
        let experiment = experiment.insert((factory.experiment)());
        experiment.initialize(&cx)?;
        if cx.stopping() {
            return Ok(());
        }
        shared.enter("run");
        experiment.run(&cx)
    });
    let mut ending = ending(shared, result);
    shared.tell(report(shared, &ending, logs));
    let to_finalize = go.recv();
    if to_finalize == Ok(State::Interrupted) {
        // Also for a crash whose retry the end of the worker came before.
        ending = Ending::Interrupted;
    }
    shared.enter("finalize");
    let result = caught(|| {
        let Some(mut experiment) = experiment else { return Ok(()) };
        let result = if to_finalize.is_ok() { experiment.finalize(&cx, &ending) } else { Ok(()) };
        // Within: its destructor may panic too.
        drop(experiment);
        result
    });
    cx.finish_loggers();
    let failure = result.err().map(|failed| {
        let error = failed.error();
        logs.error(&format!("finalize failed: {error:?}\n"));
        ("finalize", one_line("finalize", error))
    });
    let state = if failure.is_some() { State::Crashed } else { State::Completed };
    Report { state, failure, payload: None, cpu_seconds: cpu_seconds() }
}

/// What a phase failed with.
enum Failed {
    /// It returned this.
    Error(anyhow::Error),
    /// It panicked; told in `err.log` already.
    Panic(anyhow::Error),
}

impl Failed {
    fn error(&self) -> &anyhow::Error {
        match self {
            Failed::Error(error) | Failed::Panic(error) => error,
        }
    }
}

/// Calls a part of the experiment; a panic becomes an error that says where.
fn caught(call: impl FnOnce() -> anyhow::Result<()>) -> Result<(), Failed> {
    // What it leaves in disorder is the experiment's own, and dropped next.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(Failed::Error),
        Err(panic) => {
            let text = crate::api::panic_text(&*panic);
            let place = take_panic_place(&text).map(|place| format!(" at {place}")).unwrap_or_default();
            Err(Failed::Panic(anyhow::anyhow!("{}", text.replacen("panicked", &format!("panicked{place}"), 1))))
        }
    }
}

/// What came of `initialize` and `run`.
fn ending(shared: &Shared, result: Result<(), Failed>) -> Ending {
    let news = lock(&shared.news);
    let told = news.told.map(|told| match told {
        State::TimedOut => Ending::TimedOut,
        _ => Ending::Interrupted,
    });
    let elsewhere = told.is_some() && !news.ears.contains(&thread::current().id());
    drop(news);
    if elsewhere && result.is_ok() {
        log::warn!(
            "only other threads asked `stopping()` and were told to stop; what they left out nobody knows, so this counts as \
             {}. a thread that merely looks asks `stop_requested()`; `done()` says that all is done",
            told.as_ref().map_or("stopped", Ending::word)
        );
    }
    match result {
        Ok(()) => Ending::of(Ok(()), told),
        Err(Failed::Error(error)) => Ending::of(Err(error), told),
        Err(Failed::Panic(error)) => Ending::Crashed(error),
    }
}

/// The same for the status; a crash goes into `err.log`, with its chain and backtrace.
fn report(shared: &Shared, ending: &Ending, logs: &LogHandle) -> Report {
    let phase = lock(&shared.news).phase;
    let (state, failure, payload) = match ending {
        Ending::Completed => (State::Completed, None, None),
        Ending::Surrendered(surrender) => (State::Surrendered, None, Some(surrender.payload.to_serde_json())),
        Ending::Crashed(error) => {
            logs.error(&format!("{phase} failed: {error:?}\n"));
            (State::Crashed, Some(one_line(phase, error)), None)
        }
        Ending::TimedOut => (State::TimedOut, Some("ended after its timeout".to_owned()), None),
        Ending::Interrupted => (State::Interrupted, Some(TOLD_TO_STOP.to_owned()), None),
    };
    Report { state, failure: failure.map(|message| (phase, message)), payload, cpu_seconds: cpu_seconds() }
}

fn one_line(phase: &str, error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    format!("`{phase}` failed: {}", text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// CPU seconds of the calling thread; those of threads it started are not in it.
fn cpu_seconds() -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "CPU times are far below 2^52 microseconds")]
    let seconds = |micros: i64| micros as f64 / 1e6;
    getrusage(UsageWho::RUSAGE_THREAD).map_or(0.0, |usage| {
        seconds(usage.user_time().num_microseconds()) + seconds(usage.system_time().num_microseconds())
    })
}
