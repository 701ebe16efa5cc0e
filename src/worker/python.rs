//! One attempt at a repetition that is a class of a program in Python: a copy of a warm process, or the program started anew.
//!
//! `initialize`, `run` and `finalize` are one process here, as they share an object. How it ended it says by its exit code: any
//! other one, 0 too, is a process that did not come to its end. A crash leaves a report beside it.

use super::attempt::{self, NotRun};
use super::calls::Calls;
use super::child::{self, Ended};
use super::context::Life;
use super::execution::{Execution, Outcome, TAIL_BYTES, TOLD_TO_STOP};
use super::exhausted::{is_exhausted, patiently};
use super::ghosts;
use super::limits::{Cause, Limits};
use super::running_marker::RunningMarker;
use super::terminal::Terminal;
use super::warm::{Place, Recipe, Request, texts};
use crate::plan::layout::rep as names;
use crate::plan::record::PythonRecord;
use crate::run::status::{Exit, State};
use crate::store::rep::Owned;
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The exit codes of a repetition that came to its end, and of one that stopped when it was told to; `_warm.py` has them too.
const DONE: i32 = 97;
const STOPPED: i32 = 130;

/// An attempt and what its process is made of.
pub(super) struct Python<'a> {
    life: &'a Life<'a>,
    owned: &'a Owned,
    begun: &'a RunningMarker<'a>,
    record: &'a PythonRecord,
    calls: Calls<'a>,
    tail_from: u64,
    /// Its process died, of a signal or by an exit of its own: nobody called `finalize`.
    died: bool,
}

impl<'a> Python<'a> {
    pub(super) fn new(
        life: &'a Life<'a>,
        owned: &'a Owned,
        begun: &'a RunningMarker<'a>,
        record: &'a PythonRecord,
        number: u32,
        resume: bool,
    ) -> Self {
        if life.options.terminal {
            owned.log_line("==> cw2: what this attempt prints goes to the terminal <==\n");
        }
        let calls = Calls::new(life, number, resume);
        Python { life, owned, begun, record, calls, tail_from: owned.stderr_len(), died: false }
    }

    /// Runs its process to its end, with all that it started.
    fn process(&self, phase: &str, mut limits: Limits, outcome: Option<State>) -> Result<Ended, NotRun> {
        let (_, variables) = self.calls.surroundings()?;
        let files = self.files()?;
        self.owned.clear_report().map_err(|error| error.to_string())?;
        let mut env: Vec<(OsString, OsString)> = variables.pairs();
        env.push(("CW2_REPORT".into(), self.life.rep.dir.join(names::REPORT).into()));
        let signal = attempt::checkpoint_signal(self.life.experiment());
        env.push(("CW2_CHECKPOINT_SIGNAL".into(), signal.as_str().into()));
        env.extend(outcome.map(|outcome| ("CW2_OUTCOME".into(), outcome.word().replace(' ', "_").into())));
        let pid = match self.copy(phase, &env, &files)? {
            Some(pid) => pid,
            None => self.start(phase, &env, files)?,
        };
        // What all repetitions of a job wait for is no part of any.
        limits.deadline = attempt::timeout(self.life).and_then(|timeout| Instant::now().checked_add(timeout));
        let terminal = self.life.options.terminal.then(Terminal::of_this_process).flatten();
        let result = child::run(pid, &self.life.rep.dir, limits, self.life.control, self.begun, terminal, DONE);
        ghosts::end_orphans(&self.life.rep.dir);
        Ok(result.map_err(|error| format!("cannot wait for its process: {error}"))?)
    }

    /// Its standard output and error, and its input where it has one: the logs, or the terminal.
    fn files(&self) -> Result<Vec<File>, NotRun> {
        if !self.life.options.terminal {
            let streams = patiently(self.life.control, || self.owned.streams(), |error| is_exhausted(error.source()));
            let (out, err) = streams.map_err(|error| NotRun::of(is_exhausted(error.source()), error.to_string()))?;
            return Ok(vec![out, err]);
        }
        let (out, err, input) = (std::io::stdout(), std::io::stderr(), std::io::stdin());
        let all = [out.as_fd(), err.as_fd(), input.as_fd()];
        let copies = all.into_iter().map(|fd| fd.try_clone_to_owned().map(File::from));
        copies.collect::<std::io::Result<_>>().map_err(|error| NotRun::of(is_exhausted(&error), error.to_string()))
    }

    /// A copy of a warm process, where there is one.
    fn copy(&self, phase: &str, env: &[(OsString, OsString)], files: &[File]) -> Result<Option<Pid>, String> {
        let experiment = self.life.experiment();
        if !experiment.warm_start || !experiment.launcher.is_empty() {
            return Ok(None);
        }
        let recipe = Recipe { words: self.words(), dir: self.start_dir(), env: self.server_env() };
        let control = self.life.control;
        let Some(warm) = self.life.warm.get(&recipe, true, control) else { return Ok(None) };
        let rep = self.life.rep;
        let mut request = Request::new(phase, rep.number, rep.dir.clone(), self.workdir()?);
        request.env = texts(env);
        request.cpus = attempt::own_cpus();
        request.config =
            rep.run.python.as_ref().map(|line| Place { file: &line.file, start: line.start, length: line.length });
        Ok(warm.copy(&mut request, files, attempt::timeout(self.life)).ok())
    }

    /// The program, started for this repetition alone.
    fn start(&self, phase: &str, env: &[(OsString, OsString)], files: Vec<File>) -> Result<Pid, NotRun> {
        let words: Vec<_> = self.calls.launcher()?.into_iter().chain(self.words()).collect();
        let (program, arguments) = words.split_first().filter(|_| !self.record.program.is_empty()).ok_or(
            "the program has no file that a job could start: it was typed into an interpreter; save it as a file"
                .to_owned(),
        )?;
        let (_, variables) = self.calls.surroundings()?;
        let dir = self.start_dir();
        let mut command = Command::new(variables.find(program));
        command.args(arguments).stdin(Stdio::null()).current_dir(&dir);
        let mut files = files.into_iter();
        files.next().map(|out| command.stdout(out));
        files.next().map(|err| command.stderr(err));
        files.next().map(|input| command.stdin(input));
        command.envs(env.iter().map(|(name, value)| (name, value)));
        command.envs(self.role("rep", phase)?);
        child::start(&mut command, self.life.control)
            .map_err(|error| NotRun::of(is_exhausted(&error), attempt::cannot_start(program, &dir, &error)))
    }

    /// What the program is called with.
    fn words(&self) -> Vec<String> {
        let job = ["-j".to_owned(), self.life.job.to_string()];
        self.record.program.iter().chain(&self.record.args).cloned().chain(job).collect()
    }

    fn start_dir(&self) -> PathBuf {
        self.life.plan.start_dir(self.life.job)
    }

    fn workdir(&self) -> Result<PathBuf, String> {
        Ok(self.calls.surroundings()?.0)
    }

    /// What tells the program what it is.
    fn role(&self, kind: &str, phase: &str) -> Result<Vec<(String, OsString)>, String> {
        let role = serde_json::json!({
            "kind": kind,
            "plan": self.life.plan.folder.to_string_lossy(),
            "job": self.life.job,
            "index": self.life.index,
            "phase": phase,
            "dir": self.workdir()?.to_string_lossy(),
            "rep_dir": self.life.rep.dir.to_string_lossy(),
        });
        let binary =
            std::env::current_exe().map_err(|error| format!("cannot tell where this program lies: {error}"))?;
        Ok(vec![("CW2_PYTHON".to_owned(), role.to_string().into()), ("CW2_BINARY".to_owned(), binary.into())])
    }

    /// The environment of a warm process: libraries look at some of it when they are imported.
    fn server_env(&self) -> Vec<(String, OsString)> {
        let mut env = attempt::server_env(self.life.slot);
        // The same for all repetitions, so that they have the same warm process.
        env.extend(self.role("serve", "").unwrap_or_default().into_iter().map(|(name, value)| match name.as_str() {
            "CW2_PYTHON" => (name, self.server_role().into()),
            _ => (name, value),
        }));
        env
    }

    fn server_role(&self) -> String {
        let plan = self.life.plan.folder.to_string_lossy();
        serde_json::json!({ "kind": "serve", "plan": plan, "job": self.life.job }).to_string()
    }

    fn tail(&self) -> String {
        self.owned.stderr_tail(self.tail_from, TAIL_BYTES)
    }

    /// Turns the end of its process into the outcome.
    fn judge(&mut self, outcome: &mut Outcome, result: Result<Ended, NotRun>) {
        const PHASE: &str = "run";
        let ended = match result {
            Ok(ended) => ended,
            Err(NotRun::NoRoom(message)) => {
                outcome.state = State::Interrupted;
                outcome.not_started = Some(message);
                return;
            }
            Err(NotRun::Unfit(message)) => return outcome.fail(State::Crashed, PHASE, message, String::new()),
        };
        let came_to_its_end = ended.exit == Exit::Code(DONE);
        outcome.account(&ended);
        let report = self.owned.take_report();
        // With 1 ends an interpreter that never came to the experiment: a module is missing, say.
        self.died = report.is_none() && !matches!(ended.exit, Exit::Code(DONE | 1));
        outcome.exit = Some(match (&report, ended.exit) {
            (_, Exit::Code(DONE)) | (Some(_), Exit::Code(STOPPED)) => Exit::Code(0),
            (_, other) => other,
        });
        let surrender = if came_to_its_end { self.owned.surrender() } else { Ok(None) };
        match (ended.cause, surrender) {
            (_, Err(error)) => outcome.fail(State::Crashed, PHASE, error.to_string(), String::new()),
            (_, Ok(Some(payload))) => {
                outcome.state = State::Surrendered;
                outcome.payload = Some(payload);
            }
            (Cause::Deadline, _) => {
                let limit = self.life.experiment().timeout.unwrap_or_default();
                outcome.fail(State::TimedOut, PHASE, format!("ended after its timeout of {limit} s"), self.tail());
            }
            (Cause::Stop, _) => outcome.fail(State::Interrupted, PHASE, TOLD_TO_STOP, String::new()),
            (Cause::Itself, _) if came_to_its_end => {}
            (Cause::Itself, _) => match (report, ended.exit) {
                (Some(report), Exit::Code(STOPPED)) => {
                    let message = Some(report.message).filter(|message| !message.is_empty());
                    let message = message.unwrap_or_else(|| "it was told to stop".to_owned());
                    outcome.fail(State::Interrupted, PHASE, message, String::new());
                }
                (Some(report), _) => {
                    outcome.fail(State::Crashed, &report.phase, report.message, self.tail());
                    if let Some(failure) = &mut outcome.failure {
                        failure.traceback = report.traceback;
                    }
                }
                (None, Exit::Code(0)) => {
                    let message = "the process exited with status 0 before the repetition came to its end";
                    outcome.fail(State::Crashed, PHASE, message, self.tail());
                }
                (None, exit) => outcome.fail(State::Crashed, PHASE, attempt::describe(PHASE, exit), self.tail()),
            },
        }
    }
}

impl Execution for Python<'_> {
    fn run(&mut self) -> Outcome {
        let limits = attempt::run_limits(self.life, None);
        let mut outcome = Outcome::completed();
        let result = self.process("run", limits, None);
        self.judge(&mut outcome, result);
        outcome
    }

    /// Its process called `finalize` itself, unless it died; another one does it then. Its object knows nothing of the first
    /// one, so that its failure says nothing: it is told in `err.log` alone.
    fn finalize(&mut self, outcome: &mut Outcome) {
        if !self.died {
            return;
        }
        let limits = attempt::finalize_limits(self.life, None);
        if let Ok(ended) = self.process("finalize", limits, Some(outcome.state)) {
            outcome.account(&ended);
        }
    }
}
