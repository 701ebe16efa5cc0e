//! One repetition from claim to its final state: its attempts, and the truth written about each.

use super::attempt::Attempt;
use super::context::Life;
use super::execution::{Execution, Outcome, TAIL_BYTES};
use super::exhausted::{is_exhausted, patiently};
use super::native::Native;
use super::python::Python;
use super::running_marker::RunningMarker;
use super::why_stopped::why_stopped;
use super::{End, Options, exit_guard, ghosts};
use crate::api::Factory;
use crate::plan::record::{CommandRecord, PythonRecord};
use crate::run::decide::{Decision, ThisWorker, deaths_allowed, decide};
use crate::run::failure::cause;
use crate::run::status::{self, FORMAT, Failure, Found, State, Status};
use crate::store::StoreError;
use crate::store::committer::Committer;
use crate::store::rep::{self, Claim, Owned, StagedStatus};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Why a plan of a Rust program's cannot be worked on by another one.
const OTHER_PROGRAM: &str =
    "its experiment has no `command`: it is part of the program that made the plan; run that one";

/// What a repetition consists of.
#[derive(Clone, Copy)]
enum Content<'a> {
    Command(&'a CommandRecord),
    Python(&'a PythonRecord),
    Experiment(&'a Factory),
}

/// The last state of a repetition, written and not committed.
pub(super) struct Last {
    staged: StagedStatus,
    locked: Arc<Owned>,
}

impl Last {
    /// Commits it; `note` hears how the repetition ended when that is on the disk.
    pub(super) fn commit(self, committer: &Committer, end: End, note: impl FnOnce(End) + Send + 'static) {
        let Last { staged, locked } = self;
        committer.commit(staged, move |result| {
            let end = result.map_or_else(|error| not_written(&error), |()| end);
            tidy(&locked, &end);
            drop(locked);
            note(end);
        });
    }

    /// Commits it; how the repetition ended when that is on the disk.
    pub(super) fn commit_now(self, end: End) -> End {
        let end = self.staged.commit().map_or_else(|error| not_written(&error), |()| end);
        tidy(&self.locked, &end);
        end
    }
}

/// Leaves a finished repetition without what says nothing.
fn tidy(owned: &Owned, end: &End) {
    if matches!(end, End::Ran(state, _) if state.is_finished()) {
        owned.tidy();
    }
}

/// The end of a repetition of which nothing could be written.
fn not_written(error: &StoreError) -> End {
    End::Ran(State::Crashed, Some(error.to_string()))
}

impl Life<'_> {
    /// Brings the repetition to an end, or finds out that it must be left alone. What is left to do is to commit its last
    /// state; it stays locked as long as that lives.
    pub(super) fn live(&self) -> (End, Option<Last>) {
        // Where the directory or a file in it could not be written, the repetition is not started, and the others go on.
        let failed = |error: StoreError| {
            if is_exhausted(error.source()) { End::NoRoom(error.to_string()) } else { not_written(&error) }
        };
        self.try_live().unwrap_or_else(|error| (failed(error), None))
    }

    fn decide(&self, found: Found) -> Decision {
        let own = ThisWorker {
            params: self.rep.run.record.params(),
            overwrites_before: self.plan.overwrites_before(self.experiment()),
            plan: self.plan.name(),
            slurm: self.options.slurm.as_ref(),
            pid: std::process::id(),
            pilot: self.options.pilot,
            deaths_allowed: deaths_allowed(self.experiment().retries),
            resume_failed: self.experiment().resume,
        };
        decide(found, &own)
    }

    /// What comes before anything is started; see [`super::exhausted`].
    fn patiently<T>(&self, action: impl FnMut() -> crate::store::Result<T>) -> crate::store::Result<T> {
        patiently(self.control, action, |error| is_exhausted(error.source()))
    }

    /// An error comes before anything of the repetition was started.
    fn try_live(&self) -> crate::store::Result<(End, Option<Last>)> {
        let left_alone = |end| Ok((end, None));
        let content = match (&self.experiment().command, &self.experiment().python, self.factory) {
            (Some(command), ..) => Content::Command(command),
            (None, Some(python), _) => Content::Python(python),
            (None, None, Some(factory)) => Content::Experiment(factory),
            (None, None, None) => return left_alone(End::Refused(OTHER_PROGRAM.to_owned())),
        };
        // Looked at without the lock first: a finished repetition costs one read.
        match self.decide(self.patiently(|| rep::look(&self.rep.dir))?) {
            Decision::Skip(state, why) => return left_alone(End::Skipped(state, why)),
            Decision::Refuse(why) => return left_alone(End::Refused(why)),
            Decision::Start { .. } if !self.budget.allows_another(self.experiment()) => return left_alone(End::NoTime),
            Decision::Start { .. } | Decision::GiveUp { .. } => {}
        }
        let owned = match self.patiently(|| own(&self.rep.dir, self.options))? {
            Ok(owned) => owned,
            Err(busy) => return left_alone(busy),
        };
        // Under the lock: what was read before may be old.
        let found = self.patiently(|| owned.status())?;
        let as_found = found.clone();
        let before = owned.begun_before();
        let own_params = self.rep.run.record.params();
        let unsettled = match &found {
            Found::Status(status) => status.metrics_from,
            Found::Nothing | Found::Unreadable(_) => None,
        };
        let died = match &found {
            Found::Status(status) => status.state == State::Running && status.host == self.options.host,
            Found::Nothing => before.is_some(),
            Found::Unreadable(_) => false,
        };
        let first = matches!(found, Found::Nothing) && before.is_none();
        // Only what both tell to be of these parameters is picked up: the state of an attempt is written before its
        // configuration, and the worker may have ended in between.
        let same = before.as_ref().is_none_or(|before| before.is_of(own_params));
        let (attempt, mut resume, earlier, deaths) = match (self.decide(found), before) {
            (Decision::Skip(state, why), _) => return left_alone(End::Skipped(state, why)),
            (Decision::Refuse(why), _) => return left_alone(End::Refused(why)),
            (Decision::GiveUp { deaths, last }, _) => return self.give_up(owned, *last, deaths),
            // Its worker died before it was noted that it runs; it may have run for long all the same.
            (Decision::Start { attempt: 1, .. }, Some(before)) => {
                (2, same, vec![status::Attempt::unnoted(time(before.at))], 1)
            }
            (Decision::Start { attempt, resume, earlier, deaths }, _) => (attempt, resume && same, earlier, deaths),
        };
        if died {
            // Processes that closed their output hold no lock.
            ghosts::end_ghosts(&self.rep.dir, self.options.grace, || true);
        }
        // A thread that does not end when it is told to keeps the repetition's locks.
        let owned = Arc::new(owned);
        self.observer.started(self.rep);
        exit_guard::guard();
        let _under_way = ghosts::UnderWay::enter();
        let mut retries = self.experiment().retries;
        let mut started = Instant::now();
        let mut status = self.new_status(attempt, earlier, deaths);
        if resume {
            status.metrics_from = owned.resume_metrics(attempt - 1, unsettled)?;
        }
        let begun = self.patiently(|| self.begin(&owned, &status, resume));
        let mut begun = begun.inspect_err(|_| Self::leave_as_found(&owned, &as_found, first, same))?;
        loop {
            let mut run = self.execution(content, &owned, &begun, status.attempt, resume);
            let mut outcome = run.run();
            if let Some(why) = outcome.not_started.take() {
                if status.attempt == attempt {
                    drop(run);
                    Self::leave_as_found(&owned, &as_found, first, same);
                    return left_alone(End::NoRoom(why));
                }
                // Earlier attempts of this worker did run.
                outcome.fail(State::Interrupted, "run", why, String::new());
            }
            if outcome.state == State::Crashed && retries > 0 {
                let crashed = ended(&status, &outcome, started);
                if self.tries_again(&owned, &status, &mut outcome) {
                    drop(run);
                    (retries, resume, started) = (retries - 1, false, Instant::now());
                    status = self.new_status(crashed.attempt.saturating_add(1), crashed.into_earlier(), deaths);
                    begun = Self::begin_retry(&owned, &status);
                    continue;
                }
            }
            run.finalize(&mut outcome);
            drop(run);
            let stop = why_stopped(self.control, self.options).filter(|_| outcome.state == State::Interrupted);
            if let Some((_, words)) = &stop {
                outcome.explain_stop(words);
            }
            let mut status = ended(&status, &outcome, started);
            status.stopped_by = stop.map(|(why, _)| why);
            Self::settle(&owned, &mut status);
            if status.state.is_finished() {
                self.budget.learn(self.experiment(), started.elapsed());
            }
            // Before the next one starts, which may fill the disk; only the syncs are left to wait for.
            let staged = match owned.stage_status(&status) {
                Ok(staged) => staged,
                Err(error) => return left_alone(not_written(&error)),
            };
            let last = Last { staged, locked: Arc::clone(&owned) };
            let why = status.error.map(|error| match status.state {
                State::Interrupted => error.message,
                _ => cause(&error, status.exit),
            });
            return Ok((End::Ran(status.state, why), Some(last)));
        }
    }

    /// Undoes what was noted of an attempt that was not started after all.
    fn leave_as_found(owned: &Owned, found: &Found, first: bool, same: bool) {
        let undone = match found {
            Found::Status(status) => {
                // What its attempt began again was set aside meanwhile.
                let mut status = Status { metrics_from: None, ..(**status).clone() };
                if !same {
                    // The configuration beside it told so, and was replaced.
                    status.params_sha256.clear();
                }
                owned.write_status(&status)
            }
            Found::Nothing | Found::Unreadable(_) => owned.forget(first),
        };
        if let Err(error) = undone {
            log::warn!("{error}; it seems to have been started, and was not");
        }
    }

    /// Writes that its last attempt crashed, as it killed its worker once more. It is not finalized: that may be what does it.
    fn give_up(&self, owned: Owned, last: Status, deaths: u32) -> crate::store::Result<(End, Option<Last>)> {
        ghosts::end_ghosts(&self.rep.dir, self.options.grace, || true);
        let message = format!(
            "{deaths} workers died while they ran it, so it is not started again (too little memory, a stack overflow and an \
             abort are the usual reasons: look into Slurm's log)"
        );
        let failure = Failure {
            phase: "run".to_owned(),
            message: message.clone(),
            stderr_tail: owned.stderr_tail(0, TAIL_BYTES),
            ..Failure::default()
        };
        let own = self.new_status(last.attempt, last.earlier, deaths);
        let status = Status {
            state: State::Crashed,
            started: last.started,
            ended: Some(now()),
            error: Some(failure),
            metrics_from: last.metrics_from,
            ..own
        };
        let last = Last { staged: owned.stage_status(&status)?, locked: Arc::new(owned) };
        Ok((End::Ran(State::Crashed, Some(message)), Some(last)))
    }

    fn execution<'b>(
        &'b self,
        content: Content<'b>,
        owned: &'b Arc<Owned>,
        begun: &'b RunningMarker<'b>,
        attempt: u32,
        resume: bool,
    ) -> Box<dyn Execution + 'b> {
        match content {
            Content::Command(command) => Box::new(Attempt::new(self, owned, begun, command, attempt, resume)),
            Content::Python(python) => Box::new(Python::new(self, owned, begun, python, attempt, resume)),
            Content::Experiment(factory) => Box::new(Native::start(self, owned, begun, factory, attempt, resume)),
        }
    }

    /// Waits as long as the configuration says before a retry, and makes room for it; false where there will be none: the
    /// attempt that crashed is then the last one, and the outcome says why.
    fn tries_again(&self, owned: &Owned, status: &Status, outcome: &mut Outcome) -> bool {
        let failure = outcome.failure.clone().unwrap_or_default();
        let dir = self.rep.dir.display();
        log::warn!("{dir}: attempt {} crashed ({}), trying again", status.attempt, failure.message);
        // Only a note: what filled the disk may be what the retry, or `finalize`, brings to order.
        if let Err(error) = owned.write_status(&status.before_retry(failure)) {
            log::warn!("cannot note that a retry is to come: {error}");
        }
        let delay = Duration::try_from_secs_f64(self.experiment().retry_delay).unwrap_or(Duration::ZERO);
        if self.control.stopping_within(delay) {
            outcome.postpone();
            return false;
        }
        // While the attempt that crashed can still be finalized.
        match Self::clear(owned, status.attempt, false) {
            Ok(()) => true,
            Err(error) => {
                outcome.give_up(&error.to_string());
                false
            }
        }
    }

    /// Sets aside what the attempt began again, where nothing of it can live any more: whoever reads the file need not know.
    fn settle(owned: &Owned, status: &mut Status) {
        let over = matches!(status.state, State::Completed | State::Surrendered | State::Crashed);
        let Some(from) = status.metrics_from.filter(|_| over) else { return };
        match owned.settle_metrics(status.attempt, from) {
            Ok(()) => status.metrics_from = None,
            Err(error) => log::warn!("what was begun again still stands among the metrics: {error}"),
        }
    }

    /// Begins a retry in a directory that was cleared for it; its configuration is there.
    fn begin_retry<'b>(owned: &'b Owned, status: &'b Status) -> RunningMarker<'b> {
        let begun = RunningMarker::again(owned, status).unwrap_or_else(|error| {
            log::warn!("cannot note that a repetition runs again: {error}");
            RunningMarker::first(owned, status)
        });
        log_start(owned, status, false);
        begun
    }

    /// Removes what the attempt before would add to the next one.
    fn clear(owned: &Owned, before: u32, resume: bool) -> crate::store::Result<()> {
        owned.clear_surrender()?;
        if resume { Ok(()) } else { owned.set_metrics_aside(before) }
    }

    /// Prepares the directory for this worker's first attempt.
    fn begin<'b>(&self, owned: &'b Owned, status: &'b Status, resume: bool) -> crate::store::Result<RunningMarker<'b>> {
        let config = self.config().to_json_and_yaml();
        if status.attempt == 1 {
            owned.clear_surrender()?;
            owned.write_config(&config)?;
            return Ok(RunningMarker::first(owned, status));
        }
        owned.clear_temporaries()?;
        Self::clear(owned, status.attempt - 1, resume)?;
        // Before the configuration, which would say that these parameters ran where no state says otherwise.
        let begun = RunningMarker::again(owned, status)?;
        owned.renew_config(&config)?;
        log_start(owned, status, resume);
        Ok(begun)
    }

    fn new_status(&self, attempt: u32, earlier: Vec<status::Attempt>, worker_deaths: u32) -> Status {
        Status {
            format: FORMAT,
            state: State::Running,
            experiment: self.experiment().name.clone(),
            run: self.rep.run.record.run.clone(),
            rep: self.rep.number,
            attempt,
            params_sha256: self.rep.run.record.params_sha256.clone(),
            plan: self.plan.name().to_owned(),
            job: self.job,
            host: self.options.host.clone(),
            pid: std::process::id(),
            slurm: self.options.slurm.clone(),
            started: now(),
            ended: None,
            seconds: None,
            cpu_seconds: None,
            max_rss: None,
            exit: None,
            error: None,
            stopped_by: None,
            payload: None,
            metrics_from: None,
            worker_deaths,
            earlier,
        }
    }
}

/// Takes a repetition, and ends what a dead worker left of it; or says who is at it.
fn own(dir: &Path, options: &Options) -> crate::store::Result<Result<Owned, End>> {
    let owned = match rep::claim(dir)? {
        Claim::Owned(owned) => owned,
        Claim::Busy => return Ok(Err(End::Busy("another worker runs it".to_owned()))),
        Claim::Ghosts(owned) => {
            let ended = ghosts::end_ghosts(dir, options.grace, || owned.try_alone());
            if !owned.try_alone() {
                let why = "processes of an earlier attempt still run, on another machine";
                return Ok(Err(End::Busy(why.to_owned())));
            }
            let processes = if ended == 1 { "process" } else { "processes" };
            log::warn!("{}: ended {ended} {processes} that an earlier worker left", dir.display());
            owned
        }
    };
    Ok(Ok(owned))
}

/// Ends what a dead worker left of a repetition whose turn comes later; where another one is at it, nothing.
pub(super) fn end_ghosts_of(dir: &Path, options: &Options) {
    // What goes wrong is told when its turn comes.
    if let Ok(Ok(owned)) = own(dir, options) {
        // Processes that closed their output hold no lock.
        ghosts::end_ghosts(dir, options.grace, || true);
        owned.release();
    }
}

/// Tells in both logs where another attempt begins.
fn log_start(owned: &Owned, status: &Status, resume: bool) {
    let resuming = if resume { ", resuming" } else { "" };
    owned.log_line(&format!("==> cw2: attempt {}{resuming}, {} <==\n", status.attempt, status.started));
}

/// The status of an attempt that is over.
fn ended(running: &Status, outcome: &Outcome, started: Instant) -> Status {
    let mut status = running.clone();
    status.state = outcome.state;
    status.ended = Some(now());
    status.seconds = Some(started.elapsed().as_secs_f64());
    status.cpu_seconds = Some(outcome.cpu_seconds);
    status.max_rss = Some(outcome.max_rss);
    status.exit = outcome.exit;
    status.error.clone_from(&outcome.failure);
    status.payload.clone_from(&outcome.payload);
    status
}

/// The present time, as a status tells it.
fn now() -> String {
    time(jiff::Timestamp::now())
}

/// RFC 3339 in UTC, to the microsecond.
fn time(at: jiff::Timestamp) -> String {
    at.round(jiff::Unit::Microsecond).unwrap_or(at).to_string()
}
