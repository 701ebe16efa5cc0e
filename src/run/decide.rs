//! What a worker does with a repetition it finds on disk.

use crate::run::status::{Attempt, Found, Params, SlurmIds, State, Status};
use std::path::Path;

/// The decision.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// It is over: leave it alone. The text says why it is not finished, where it is not.
    Skip(State, Option<String>),
    /// Run it.
    Start {
        /// The number of this attempt, from 1.
        attempt: u32,
        /// The one before was interrupted, or its worker died: what it left may be picked up.
        resume: bool,
        /// How the earlier ones ended.
        earlier: Vec<Attempt>,
        /// How many workers of this plan died in a row while they ran it.
        deaths: u32,
    },
    /// Too many workers died while they ran it: it crashed.
    GiveUp {
        /// How many.
        deaths: u32,
        /// What the last of them wrote.
        last: Box<Status>,
    },
    /// It must not be touched; the text says why.
    Refuse(String),
}

/// What the worker knows of its own task.
#[derive(Debug, Clone, Copy)]
pub struct ThisWorker<'a> {
    /// The hashes of the parameters the plan gives the repetition.
    pub params: Params<'a>,
    /// The plan made with `-o`, where there is one; see [`keeps`].
    pub overwrites_before: Option<&'a str>,
    /// The plan's name.
    pub plan: &'a str,
    /// Slurm's ids of this worker.
    pub slurm: Option<&'a SlurmIds>,
    /// Its process.
    pub pid: u32,
    /// Whether it is a pilot.
    pub pilot: bool,
    /// How many workers may die while they run it; see [`deaths_allowed`].
    pub deaths_allowed: u32,
    /// What crashed or timed out is offered what it saved, too.
    pub resume_failed: bool,
}

/// How many workers of this plan died in a row while they ran it, by what the last one noted.
pub fn deaths(last: &Status, plan: &str) -> u32 {
    if last.state == State::Running && last.plan == plan { last.worker_deaths.saturating_add(1) } else { 0 }
}

/// How many workers may die while they run a repetition, until it is taken for the one that kills them: each death counts as a
/// crash, but machines fail too.
pub fn deaths_allowed(retries: u32) -> u32 {
    retries.saturating_add(1).max(3)
}

/// Decides from what the status file says.
///
/// - What is finished is left alone, with `-o` only what [`keeps`] says. Finished with other parameters than the plan's is
///   never taken for this one.
/// - What crashed or timed out is run again, except by the element it did so in: a requeue resumes, it does not retry. Pilots
///   of a plan are as one element. The worker it did so in may do as its scheduler likes.
/// - What killed its worker too often is given up.
pub fn decide(found: Found, own: &ThisWorker<'_>) -> Decision {
    let status = match found {
        Found::Nothing => return Decision::Start { attempt: 1, resume: false, earlier: Vec::new(), deaths: 0 },
        Found::Unreadable(why) => return Decision::Refuse(why),
        Found::Status(status) => status,
    };
    let same_plan = status.plan == own.plan;
    let same_params = own.params.include(&status.params_sha256);
    match status.state {
        State::Completed | State::Surrendered if counts_as_finished(&status.plan, own.overwrites_before) => {
            return if same_params {
                Decision::Skip(status.state, None)
            } else {
                Decision::Refuse(
                    "it is finished with other parameters than this plan's: plan again with `-o` to run it again"
                        .to_owned(),
                )
            };
        }
        State::Crashed | State::TimedOut
            if same_plan
                && (own.pilot || same_element(status.slurm.as_ref(), own.slurm))
                && !same_worker(&status, own) =>
        {
            let why = status.error.map(|error| error.message).unwrap_or_default();
            let when = if own.pilot { "run by another pilot of this plan" } else { "before this element was requeued" };
            return Decision::Skip(status.state, Some(format!("{why} ({when})")));
        }
        _ => {}
    }
    let deaths = deaths(&status, own.plan);
    if deaths >= own.deaths_allowed {
        return Decision::GiveUp { deaths, last: status };
    }
    Decision::Start {
        deaths,
        attempt: status.attempt.saturating_add(1),
        resume: status.is_resumed_with(own.params)
            || own.resume_failed && same_params && matches!(status.state, State::Crashed | State::TimedOut),
        earlier: status.into_earlier(),
    }
}

/// Whether a repetition that this plan finished counts as finished for one that overwrites what was done before
/// `overwrites_before` was made (`-o`); it always does where nothing is overwritten.
///
/// What that plan itself finished counts, as a requeued element must not begin its bundle anew, and so does what any later
/// plan of the same folder finished: `-o` spoke of what was there when it was given. Numbers, not clocks, tell later ones.
pub fn counts_as_finished(finished_by: &str, overwrites_before: Option<&str>) -> bool {
    fn number(plan: &Path) -> Option<u32> {
        plan.file_name()?.to_str()?.parse().ok()
    }
    let Some(first) = overwrites_before else { return true };
    let (by, from) = (Path::new(finished_by), Path::new(first));
    by == from || by.parent() == from.parent() && number(by).zip(number(from)).is_some_and(|(by, from)| by >= from)
}

/// Whether both ids name the same element of the same submission; a requeue keeps them.
fn same_element(a: Option<&SlurmIds>, b: Option<&SlurmIds>) -> bool {
    a.zip(b).is_some_and(|(a, b)| a.job_id == b.job_id && a.array_task_id == b.array_task_id)
}

/// Whether this very process wrote the status, for workers of the same element: a requeue is another start of it.
fn same_worker(status: &Status, own: &ThisWorker<'_>) -> bool {
    status.pid == own.pid && status.slurm.as_ref() == own.slurm
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::status::FORMAT;

    #[test]
    fn retries_bear_more_deaths() {
        assert_eq!([0, 2, 3, u32::MAX].map(deaths_allowed), [3, 3, 4, u32::MAX]);
    }

    #[test]
    fn overwriting_spares_its_own_and_later_work() {
        for (by, before, expected) in [
            ("out/plans/001", None, true),
            ("out/plans/002", Some("out/plans/002"), true),
            ("out/plans/001", Some("out/plans/002"), false),
            ("out/plans/010", Some("out/plans/009"), true),
            ("out/plans/1000", Some("out/plans/999"), true),
            ("other/plans/003", Some("out/plans/002"), false),
            ("out/plans/copy", Some("out/plans/002"), false),
            ("out/plans/copy", Some("out/plans/copy"), true),
            ("", Some("out/plans/002"), false),
        ] {
            assert_eq!(counts_as_finished(by, before), expected, "{by} {before:?}");
        }
    }

    fn ids(job: &str) -> SlurmIds {
        SlurmIds {
            job_id: job.to_owned(),
            array_job_id: Some("7".to_owned()),
            array_task_id: Some("1".to_owned()),
            restart_count: 0,
        }
    }

    fn found(state: State, params: &str, plan: &str) -> Found {
        let status = serde_json::json!({
            "format": FORMAT, "state": state, "experiment": "e", "run": "r", "rep": 0, "attempt": 2,
            "params_sha256": params, "plan": plan, "job": 0, "host": "h", "pid": 1, "slurm": ids("8"),
            "started": "2026-01-01T00:00:00Z", "error": {"phase": "run", "message": "boom"},
        });
        let status: Status = serde_json::from_value(status).unwrap();
        Found::Status(Box::new(status))
    }

    #[test]
    fn every_state_is_decided() {
        let (here, other) = (ids("8"), ids("9"));
        let own = |overwrite: bool, slurm| {
            let overwrites_before = overwrite.then_some("plans/002");
            ThisWorker {
                params: Params { sha256: "p", same_as: &[] },
                overwrites_before,
                plan: "plans/002",
                slurm: Some(slurm),
                pid: 2,
                pilot: false,
                deaths_allowed: 3,
                resume_failed: false,
            }
        };
        let word = |decision| match decision {
            Decision::Skip(..) => "skip",
            Decision::Start { resume: true, attempt: 3, .. } => "resume",
            Decision::Start { attempt: 3, .. } => "start",
            Decision::Start { .. } => "begin",
            Decision::GiveUp { .. } => "give up",
            Decision::Refuse(_) => "refuse",
        };
        for (state, params, plan, overwrite, slurm, expected) in [
            (State::Completed, "p", "plans/001", false, &here, "skip"),
            (State::Completed, "p", "plans/001", true, &here, "start"),
            (State::Completed, "p", "plans/002", true, &here, "skip"),
            (State::Completed, "q", "plans/001", false, &here, "refuse"),
            (State::Completed, "q", "plans/001", true, &here, "start"),
            (State::Surrendered, "p", "plans/001", false, &here, "skip"),
            (State::Crashed, "p", "plans/002", false, &here, "skip"),
            (State::Crashed, "p", "plans/002", false, &other, "start"),
            (State::Crashed, "p", "plans/001", false, &here, "start"),
            (State::TimedOut, "p", "plans/002", false, &here, "skip"),
            (State::Interrupted, "p", "plans/002", false, &here, "resume"),
            (State::Interrupted, "q", "plans/002", false, &here, "start"),
            (State::Running, "p", "plans/002", false, &here, "resume"),
        ] {
            let decision = decide(found(state, params, plan), &own(overwrite, slurm));
            assert_eq!(word(decision), expected, "{state:?} {params} {plan} {overwrite}");
        }
        for (deaths, plan, expected) in
            [(1, "plans/002", "resume"), (2, "plans/002", "give up"), (9, "plans/001", "resume")]
        {
            let mut found = found(State::Running, "p", plan);
            if let Found::Status(status) = &mut found {
                status.worker_deaths = deaths;
            }
            assert_eq!(word(decide(found, &own(false, &here))), expected, "{deaths} {plan}");
        }
        for (state, params, expected) in [
            (State::Crashed, "p", "resume"),
            (State::TimedOut, "p", "resume"),
            (State::Crashed, "q", "start"),
            (State::Completed, "p", "start"),
        ] {
            let own = ThisWorker { resume_failed: true, ..own(true, &here) };
            assert_eq!(word(decide(found(state, params, "plans/001"), &own)), expected, "{state:?} {params}");
        }
        let requeued = SlurmIds { restart_count: 1, ..ids("8") };
        for (pid, slurm, expected) in [(1, &here, "start"), (2, &here, "skip"), (1, &requeued, "skip")] {
            let own = ThisWorker { pid, ..own(false, slurm) };
            assert_eq!(word(decide(found(State::Crashed, "p", "plans/002"), &own)), expected, "{own:?}");
        }
        for (state, plan, pid, expected) in [
            (State::Crashed, "plans/002", 2, "skip"),
            (State::TimedOut, "plans/002", 2, "skip"),
            (State::Crashed, "plans/001", 2, "start"),
            (State::Interrupted, "plans/002", 2, "resume"),
        ] {
            let own = ThisWorker { pid, pilot: true, ..own(false, &other) };
            assert_eq!(word(decide(found(state, "p", plan), &own)), expected, "{state:?} {plan}");
        }
        assert_eq!(word(decide(Found::Nothing, &own(false, &here))), "begin");
        assert_eq!(word(decide(Found::Unreadable(String::new()), &own(false, &here))), "refuse");
    }
}
