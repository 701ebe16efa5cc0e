//! The logs of chosen repetitions: which there are, what they hold, what comes while they grow, and why those failed that did.

use super::failure::Failure;
use super::here::shown;
use super::job_ends;
use super::notice::{Notice, Tell, unreadable};
use super::select::{self, Selection};
use super::status::failure;
use crate::plan::layout::rep as names;
use crate::printable;
use crate::report::failures::{self, Group};
use crate::run::effective_state::EffectiveState;
use crate::run::failure::last_lines;
use crate::run::status::{Found, State};
use crate::store::log::{self, Log};
use crate::store::rep;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Between two looks at a growing log.
const POLL: Duration = Duration::from_millis(250);
/// A silent log: is its worker still there?
const SILENCE: Duration = Duration::from_secs(60);

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Plan folders, or results folders, which stand for all their plans; those that lie here where none is named.
    pub sources: Vec<PathBuf>,
    /// Which of their repetitions.
    pub select: Selection,
    /// Only what stands so; all where nothing is said.
    pub outcome: Vec<EffectiveState>,
}

/// What a repetition writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// The name of its file.
    pub fn file(self) -> &'static str {
        match self {
            Stream::Out => names::OUT,
            Stream::Err => names::ERR,
        }
    }

    /// The length of its file in a repetition's directory; `None` where there is none.
    ///
    /// # Errors
    /// Where nobody can tell.
    pub fn length(self, dir: &Path) -> Result<Option<u64>, Failure> {
        Ok(log::length(&dir.join(self.file()))?)
    }

    /// Copies its file from a repetition's directory, from the last `tail` lines on.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn copy(self, dir: &Path, tail: Option<u64>, out: &mut dyn Write) -> Result<(), Failure> {
        Log::open(&dir.join(self.file()), tail)?.copy(out)?;
        Ok(out.flush()?)
    }
}

/// The directories of the repetitions that are chosen. Slurm is asked only where the answer decides what is.
///
/// # Errors
/// Where there is no plan, or nothing is called so.
pub fn chosen(options: &Options, tell: Tell<'_>) -> Result<Vec<PathBuf>, Failure> {
    let plans = select::plans_here(&options.sources)?;
    options.select.check_plans(&plans.plans)?;
    let asks = options.outcome.iter().any(|effective| {
        matches!(
            effective,
            EffectiveState::Running
                | EffectiveState::Queued
                | EffectiveState::Lost
                | EffectiveState::JobFailed
                | EffectiveState::Pending
        )
    });
    let queue = match asks.then(|| select::glance(&plans.plans)) {
        Some(Ok(queue)) => Some(queue),
        Some(Err(error)) => {
            tell(Notice::Note(format!("note: Slurm cannot be asked, so what is queued or lost is not known: {error}")));
            None
        }
        None => None,
    };
    let mut survey = options.select.survey(plans, queue.as_deref())?;
    job_ends::look(&mut survey, queue.as_deref());
    unreadable(&survey.unreadable_plans, &survey.unreadable, tell);
    let chosen = survey
        .reps
        .iter()
        .filter(|seen| options.outcome.is_empty() || options.outcome.contains(&seen.effective))
        .map(|seen| survey.dir(seen));
    Ok(chosen.collect())
}

/// How a repetition ended that was followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// It ended.
    Ended(State),
    /// It runs no more, and nobody is left to say how it ended.
    Lost,
}

/// Copies what is there of a chosen repetition's log, from the last `tail` lines on, and what comes until the repetition ends.
///
/// # Errors
/// Where it cannot be read or written.
pub fn follow(
    options: &Options,
    dir: &Path,
    stream: Stream,
    tail: Option<u64>,
    out: &mut dyn Write,
    tell: Tell<'_>,
) -> Result<Followed, Failure> {
    let name = stream.file();
    let mut log = Log::open(&dir.join(name), tail)?;
    let mut last_news = Instant::now();
    let mut waits = false;
    loop {
        // Asked before the log is read: what was written before the end is then read too.
        let state = match rep::status(dir) {
            Found::Status(status) => Some(status.state),
            Found::Nothing => None,
            Found::Unreadable(why) => return Err(Failure::Environment(why)),
        };
        if log.renewed()? {
            tell(Notice::Note(format!("{name} was rewritten")));
        }
        if log.copy(out)? > 0 {
            out.flush()?;
            last_news = Instant::now();
        }
        match state {
            Some(State::Running) => {}
            None => {
                if !std::mem::replace(&mut waits, true) {
                    tell(Notice::Note(format!("`{}` has not started yet: waiting", shown(dir))));
                }
            }
            Some(ended) => return Ok(Followed::Ended(ended)),
        }
        if last_news.elapsed() > SILENCE && state == Some(State::Running) {
            last_news = Instant::now();
            if is_lost(options, dir)? {
                return Ok(Followed::Lost);
            }
        }
        std::thread::sleep(POLL);
    }
}

fn is_lost(options: &Options, dir: &Path) -> Result<bool, Failure> {
    let plans = select::plans_here(&options.sources)?;
    let queue = select::glance(&plans.plans).ok();
    let survey = options.select.survey(plans, queue.as_deref())?;
    Ok(survey.reps.iter().any(|seen| seen.effective == EffectiveState::Lost && survey.dir(seen) == dir))
}

/// Why the chosen repetitions failed, with the last `lines` lines of what says it, like ones together: of the attempt's standard
/// error, which their status files keep; of Slurm's log, where the job failed before anything was started.
///
/// # Errors
/// As of [`chosen`].
pub fn failed(options: &Options, lines: usize, tell: Tell<'_>) -> Result<Vec<Group>, Failure> {
    let plans = select::plans_here(&options.sources)?;
    options.select.check_plans(&plans.plans)?;
    // Where it cannot be asked, what its jobs did is not known; what crashed is.
    let queue = select::glance(&plans.plans).ok();
    let mut survey = options.select.survey(plans, queue.as_deref())?;
    let ends = job_ends::look(&mut survey, queue.as_deref());
    unreadable(&survey.unreadable_plans, &survey.unreadable, tell);
    let failed = survey.reps.iter().filter(|seen| seen.effective.is_failed()).map(|seen| {
        let end = ends.of(seen);
        let text = match (seen.effective, end, seen.status.as_deref().and_then(|status| status.error.as_ref())) {
            (EffectiveState::JobFailed, Some(end), _) => failures::job_reason(end, lines),
            (EffectiveState::Lost, ..) => failures::reason(seen.effective, seen.status.as_deref(), end),
            (_, _, Some(error)) => {
                let last = last_lines(&error.stderr_tail, lines);
                let gap = if last.is_empty() { "" } else { "\n" };
                format!("{}{gap}{last}", printable::line(&error.message))
            }
            _ => failures::reason(seen.effective, seen.status.as_deref(), end),
        };
        failure(&survey, seen, end, text)
    });
    Ok(failures::group(failed))
}
