//! `on_finish`: a command that is called once when all of a plan has ended, with how it went in its environment.

use super::failure::Failure;
use super::here::hostname;
use super::{job_ends, select};
use crate::report::human::counted;
use crate::report::progress::Progress;
use crate::run::effective_state::EffectiveState;
use crate::store::plan::Plan;
use crate::store::survey;
use nix::sys::signal::SigSet;
use std::path::Path;
use std::process::{Command, ExitStatus};

/// Calls the commands one after another; returns how the first of those that failed ended.
///
/// # Errors
/// Where there is no such plan, or no shell.
pub fn finish(folder: &Path, commands: &[String]) -> Result<Option<ExitStatus>, Failure> {
    let plan = Plan::open(folder)?;
    let variables = variables(&plan);
    let mut failed = None;
    for text in commands {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", text]).envs(variables.iter().map(|(name, value)| (name, value))).current_dir(&plan.root);
        let status = call(&mut command)
            .map_err(|error| Failure::Environment(format!("`on_finish` cannot be called: /bin/sh: {error}")))?;
        if !status.success() {
            log::warn!("`on_finish` ended with {status}: {text}");
            failed = failed.or(Some(status));
        }
    }
    Ok(failed)
}

/// The commands of a plan, each once.
pub fn commands(arrays: &[crate::plan::bundle::PlannedArray]) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    for command in arrays.iter().filter_map(|array| array.slurm.on_finish.as_ref()) {
        if !commands.contains(command) {
            commands.push(command.clone());
        }
    }
    commands
}

/// Calls a command with all signals, which this process may have blocked.
fn call(command: &mut Command) -> std::io::Result<ExitStatus> {
    std::thread::scope(|scope| {
        let calling = scope.spawn(|| {
            SigSet::all().thread_unblock()?;
            command.status()
        });
        calling.join().unwrap_or_else(|_| Err(std::io::Error::other("the thread that calls it ended")))
    })
}

/// How the plan went.
fn variables(plan: &Plan) -> Vec<(String, String)> {
    let mut variables = vec![("CW2_PLAN".to_owned(), plan.folder.to_string_lossy().into_owned())];
    if let Some(results) = plan.folder.parent().and_then(Path::parent) {
        variables.push(("CW2_RESULTS".to_owned(), results.to_string_lossy().into_owned()));
    }
    let (summary, code) = match progress(plan) {
        Ok(progress) => {
            let count = |effective| progress.count(effective);
            variables.push(("CW2_TOTAL".to_owned(), progress.total().to_string()));
            let mut parts = Vec::new();
            for effective in EffectiveState::ALL {
                variables.push((format!("CW2_{}", effective.key().to_uppercase()), count(effective).to_string()));
                if count(effective) > 0 {
                    parts.push(format!("{} {}", count(effective), effective.word()));
                }
            }
            let finished: u64 =
                EffectiveState::ALL.into_iter().filter(|effective| effective.is_finished()).map(count).sum();
            let code = match count(EffectiveState::Crashed) + count(EffectiveState::TimedOut) {
                0 if finished == progress.total() => 0,
                0 => 75,
                _ => 1,
            };
            (format!("{}: {}", counted(progress.total(), "repetition"), parts.join(", ")), code)
        }
        Err(error) => (format!("how it went cannot be told: {error}"), 3),
    };
    variables.extend([("CW2_SUMMARY".to_owned(), summary), ("CW2_EXIT_CODE".to_owned(), code.to_string())]);
    variables
}

fn progress(plan: &Plan) -> crate::store::Result<Progress> {
    let plans = vec![Plan::open(&plan.folder)?];
    // Without it what was lost counts as running.
    let queue = select::glance(&plans).ok();
    let mut survey = survey::survey(plans, queue.as_deref(), &hostname())?;
    job_ends::look(&mut survey, queue.as_deref());
    let mut progress = Progress::default();
    let now = jiff::Timestamp::now();
    survey.reps.iter().for_each(|seen| progress.add(seen.effective, seen.status.as_deref(), now));
    Ok(progress)
}
