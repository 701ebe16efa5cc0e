//! One attempt at a repetition that is a `command`: `initialize`, `run`, `finalize`, and how their ends make its outcome.

use super::calls::{Call, Calls};
use super::child::{self, Ended};
use super::context::Life;
use super::devices::Slot;
use super::environment::{self, Variables};
use super::execution::{Execution, FINALIZE_ON_STOP, Outcome, TAIL_BYTES, TOLD_TO_STOP};
use super::exhausted::{is_exhausted, patiently};
use super::ghosts;
use super::limits::{Cause, Limits, OnStop};
use super::running_marker::RunningMarker;
use super::terminal::Terminal;
use super::warm::{self, Recipe, Request};
use crate::plan::record::{ArgvRecord, CommandRecord, ExperimentRecord};
use crate::run::status::{Exit, State};
use crate::store::rep::Owned;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// An attempt and what its commands are made of.
pub(super) struct Attempt<'a> {
    life: &'a Life<'a>,
    owned: &'a Owned,
    begun: &'a RunningMarker<'a>,
    command: &'a CommandRecord,
    calls: Calls<'a>,
    /// Where this attempt's part of `err.log` begins.
    tail_from: u64,
}

/// Why a phase did not run.
pub(super) enum NotRun {
    /// There was no room for its program, which may be otherwise another time.
    NoRoom(String),
    /// It cannot be started as it is.
    Unfit(String),
}

impl NotRun {
    pub(super) fn of(no_room: bool, message: String) -> Self {
        if no_room { NotRun::NoRoom(message) } else { NotRun::Unfit(message) }
    }

    fn message(self) -> String {
        match self {
            NotRun::NoRoom(message) | NotRun::Unfit(message) => message,
        }
    }
}

impl From<String> for NotRun {
    fn from(message: String) -> Self {
        NotRun::Unfit(message)
    }
}

impl Execution for Attempt<'_> {
    fn run(&mut self) -> Outcome {
        let mut outcome = Outcome::completed();
        let limits = run_limits(self.life, deadline(self.life));
        let command = self.command;
        if let Some(initialize) = &command.initialize {
            let result = self.execute("initialize", initialize, limits, None);
            self.judge(&mut outcome, "initialize", result);
            // Left on purpose, it is done; only what would go on with `run` is interrupted.
            self.look_for_surrender(&mut outcome);
            if outcome.state == State::Completed && self.life.control.stopping() {
                outcome.fail(State::Interrupted, "initialize", TOLD_TO_STOP, String::new());
            }
        }
        if outcome.state == State::Completed {
            let result = self.execute("run", &command.run, limits, None);
            if let (Some(_), Err(NotRun::NoRoom(message))) = (&command.initialize, &result) {
                outcome.fail(State::Interrupted, "run", message, String::new());
                return outcome;
            }
            self.judge(&mut outcome, "run", result);
            self.look_for_surrender(&mut outcome);
        }
        outcome
    }

    fn finalize(&mut self, outcome: &mut Outcome) {
        let Some(argv) = &self.command.finalize else { return };
        let limits = finalize_limits(self.life, deadline(self.life));
        let result = self.execute("finalize", argv, limits, Some(outcome.state));
        let ended = match result {
            Err(NotRun::NoRoom(message)) => {
                let message = format!("`finalize`: {message}");
                return outcome.fail_late(State::Interrupted, "finalize", &message, String::new());
            }
            Ok(ended) => {
                outcome.account(&ended);
                (ended.cause, (ended.exit != Exit::Code(0)).then(|| describe("finalize", ended.exit)))
            }
            Err(why) => (Cause::Itself, Some(format!("`finalize`: {}", why.message()))),
        };
        outcome.finalized(ended, || self.tail());
    }
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        life: &'a Life<'a>,
        owned: &'a Owned,
        begun: &'a RunningMarker<'a>,
        command: &'a CommandRecord,
        number: u32,
        resume: bool,
    ) -> Self {
        if life.options.terminal {
            owned.log_line("==> cw2: what this attempt prints goes to the terminal <==\n");
        }
        let calls = Calls::new(life, number, resume);
        Attempt { life, owned, begun, command, calls, tail_from: owned.stderr_len() }
    }

    /// A payload makes a success a surrender.
    fn look_for_surrender(&self, outcome: &mut Outcome) {
        if outcome.state != State::Completed {
            return;
        }
        match self.owned.surrender() {
            Ok(None) => {}
            Ok(Some(payload)) => {
                outcome.state = State::Surrendered;
                outcome.payload = Some(payload);
            }
            Err(error) => outcome.fail(State::Crashed, "run", error.to_string(), String::new()),
        }
    }

    fn tail(&self) -> String {
        self.owned.stderr_tail(self.tail_from, TAIL_BYTES)
    }

    /// Runs one phase's command to its end, with all it started.
    fn execute(
        &self,
        phase: &str,
        argv: &ArgvRecord,
        mut limits: Limits,
        outcome: Option<State>,
    ) -> Result<Ended, NotRun> {
        let Call { words, dir, variables } = self.calls.call(argv)?;
        let (program, arguments) = words.split_first().ok_or_else(|| "the command is empty".to_owned())?;
        let mut command = Command::new(variables.find(program));
        command.arg0(program).args(arguments).current_dir(&dir);
        if self.life.options.terminal {
            command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
        } else {
            let (out, err) =
                patiently(self.life.control, || self.owned.streams(), |error| is_exhausted(error.source()))
                    .map_err(|error| NotRun::of(is_exhausted(error.source()), error.to_string()))?;
            command.stdin(Stdio::null()).stdout(out).stderr(err);
        }
        variables.apply(&mut command);
        if let Some(outcome) = outcome {
            command.env("CW2_OUTCOME", outcome.word().replace(' ', "_"));
        }
        let terminal = self.life.options.terminal.then(Terminal::of_this_process).flatten();
        let started = match self.copy(phase, &words, &dir, variables) {
            Some(pid) => {
                // What all repetitions of a job wait for, the imports, is no part of any.
                limits.deadline = timeout(self.life).and_then(|limit| Instant::now().checked_add(limit));
                Ok(pid)
            }
            None => child::start(&mut command, self.life.control),
        };
        let ended = started.and_then(|pid| {
            let result = child::run(pid, &self.life.rep.dir, limits, self.life.control, self.begun, terminal, 0);
            ghosts::end_orphans(&self.life.rep.dir);
            result
        });
        ended.map_err(|error| NotRun::of(is_exhausted(&error), cannot_start(program, &dir, &error)))
    }

    /// A copy of a process that has imported what a script needs, where there is one.
    fn copy(&self, phase: &str, words: &[String], dir: &Path, variables: &Variables) -> Option<Pid> {
        let experiment = self.life.experiment();
        if phase != "run" || experiment.warm_imports.is_empty() || !experiment.warm_start || self.life.options.terminal
        {
            return None;
        }
        let (interpreter, argv) = warm::script(words)?;
        let server = ["-c", warm::SCRIPT_SERVER].map(str::to_owned);
        let program = variables.find(interpreter.first()?).to_string_lossy().into_owned();
        let options = interpreter.iter().skip(1).cloned();
        let words =
            std::iter::once(program).chain(options).chain(server).chain(experiment.warm_imports.iter().cloned());
        let start = self.life.plan.start_dir(self.life.job);
        let recipe = Recipe { words: words.collect(), dir: start, env: server_env(self.life.slot) };
        let warm = self.life.warm.get(&recipe, false, self.life.control)?;
        let rep = self.life.rep;
        let mut request = Request::new(phase, rep.number, rep.dir.clone(), dir.to_owned());
        request.argv = argv.to_vec();
        request.env = warm::texts(&variables.pairs());
        request.cpus = own_cpus();
        let (out, err) = self.owned.streams().ok()?;
        warm.copy(&mut request, &[out, err], timeout(self.life)).ok()
    }

    /// Turns a phase's end into the outcome.
    fn judge(&self, outcome: &mut Outcome, phase: &str, result: Result<Ended, NotRun>) {
        let ended = match result {
            Ok(ended) => ended,
            Err(NotRun::NoRoom(message)) => {
                outcome.state = State::Interrupted;
                outcome.not_started = Some(message);
                return;
            }
            Err(NotRun::Unfit(message)) => return outcome.fail(State::Crashed, phase, message, String::new()),
        };
        outcome.account(&ended);
        outcome.exit = Some(ended.exit);
        match (ended.cause, ended.exit) {
            (Cause::Deadline, _) => {
                let limit = self.life.experiment().timeout.unwrap_or_default();
                outcome.fail(State::TimedOut, phase, format!("ended after its timeout of {limit} s"), self.tail());
            }
            // Left on purpose, so it is done whatever the worker was told meanwhile.
            (_, Exit::Code(0)) if matches!(self.owned.surrender(), Ok(Some(_))) => {}
            // Also with status 0: a program that catches the signal, writes a checkpoint and exits is not done.
            (Cause::Stop, _) => {
                outcome.fail(State::Interrupted, phase, TOLD_TO_STOP, String::new());
            }
            (_, Exit::Code(0)) => {}
            (_, exit) => outcome.fail(State::Crashed, phase, describe(phase, exit), self.tail()),
        }
    }
}

/// How long a phase may take.
pub(super) fn timeout(life: &Life<'_>) -> Option<Duration> {
    // Whoever sits at a debugger takes his time.
    if life.options.terminal && std::io::stdin().is_terminal() {
        return None;
    }
    Duration::try_from_secs_f64(life.experiment().timeout?).ok()
}

/// The CPUs that the calling thread is bound to.
pub(super) fn own_cpus() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return Vec::new() };
    (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).collect()
}

/// What a warm process is told of the slots that its copies run in: libraries look at it when they are imported.
pub(super) fn server_env(slot: &Slot) -> Vec<(String, OsString)> {
    let threads = environment::threads(slot.threads);
    threads.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// When what starts now has taken too long.
fn deadline(life: &Life<'_>) -> Option<Instant> {
    timeout(life).and_then(|limit| Instant::now().checked_add(limit))
}

/// What keeps the work of an attempt within bounds.
pub(super) fn run_limits(life: &Life<'_>, deadline: Option<Instant>) -> Limits {
    let options = life.options;
    Limits {
        deadline,
        grace: options.grace,
        grace_at_limit: options.time_limit.grace(FINALIZE_ON_STOP).max(options.grace),
        on_stop: OnStop::Signal(checkpoint_signal(life.experiment())),
    }
}

/// What keeps its `finalize` within bounds.
pub(super) fn finalize_limits(life: &Life<'_>, deadline: Option<Instant>) -> Limits {
    Limits {
        deadline,
        grace: FINALIZE_ON_STOP.min(life.options.grace),
        grace_at_limit: FINALIZE_ON_STOP,
        on_stop: OnStop::Hurry,
    }
}

pub(super) fn describe(phase: &str, exit: Exit) -> String {
    match exit {
        Exit::Code(127) => format!("`{phase}` exited with status 127 (the shell did not find a command)"),
        Exit::Code(code) => format!("`{phase}` exited with status {code}"),
        Exit::Signal(number) => match Signal::try_from(number) {
            Ok(Signal::SIGKILL) => {
                format!(
                    "`{phase}` was ended by SIGKILL (out of memory is the usual reason: look for oom in Slurm's log)"
                )
            }
            Ok(signal) => format!("`{phase}` was ended by {}", signal.as_str()),
            Err(_) => format!("`{phase}` was ended by signal {number}"),
        },
    }
}

pub(super) fn cannot_start(program: &str, workdir: &Path, error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::NotFound && !crate::store::exists(workdir) {
        return format!("cannot start `{program}`: its working directory `{}` does not exist", workdir.display());
    }
    format!("cannot start `{program}`: {error}")
}

pub(super) fn checkpoint_signal(experiment: &ExperimentRecord) -> Signal {
    experiment.checkpoint_signal.as_deref().and_then(|name| name.parse().ok()).unwrap_or(Signal::SIGTERM)
}
