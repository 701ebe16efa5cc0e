//! Which repetitions of a run are finished, for the planner.

use super::{Error, Result, rep};
use crate::plan::build::Finished;
use crate::plan::layout;
use crate::run::status::Found;
use crate::value::Value;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What is on disk of a run.
#[derive(Debug)]
pub enum OnDisk {
    /// These repetitions are finished, with the plan's parameters.
    Finished(Finished),
    /// This repetition is finished with other parameters; theirs, where they can be read.
    Differs(PathBuf, Option<Value>),
}

/// Looks at the repetitions of the run in `run_dir`. One directory is read where nothing was run yet.
pub fn look(run_dir: &Path, repetitions: u32, params_sha256: &str) -> Result<OnDisk> {
    let mut finished = Finished::default();
    let Some(log) = layout::rep_dir(run_dir, 0).parent().map(Path::to_owned) else {
        return Ok(OnDisk::Finished(finished));
    };
    match std::fs::symlink_metadata(&log) {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(OnDisk::Finished(finished));
        }
        Err(error) => return Err(Error::new("read", &log, error)),
    }
    let mut unreadable = Vec::new();
    for number in 0..repetitions {
        let dir = layout::rep_dir(run_dir, number);
        match rep::status(&dir) {
            // It may be finished, so no worker will run it as long as that is so; nor is it lost, as the plan holds it.
            Found::Unreadable(why) => unreadable.push(why),
            Found::Status(status) if status.state.is_finished() => {
                if status.params_sha256 != params_sha256 {
                    return Ok(OnDisk::Differs(dir.clone(), rep::stored_params(&dir)));
                }
                finished.insert(number);
            }
            Found::Status(_) | Found::Nothing => {}
        }
    }
    if let Some(first) = unreadable.first() {
        let others = match unreadable.len() - 1 {
            0 => String::new(),
            others => format!(" (and {others} more of this run)"),
        };
        log::warn!("{first}{others}; planned as not finished, but no worker runs it before that is mended");
    }
    Ok(OnDisk::Finished(finished))
}

/// The highest number among the plans that finished a repetition of the run in `run_dir`, of those in the folder of plans
/// `plans` (as states name it); also of plans that are gone. 0 where there is none.
pub fn newest_plan(run_dir: &Path, repetitions: u32, plans: &Path) -> u32 {
    let mut newest = 0;
    if !super::exists(run_dir) {
        return newest;
    }
    for number in 0..repetitions {
        if let Found::Status(status) = rep::status(&layout::rep_dir(run_dir, number))
            && status.state.is_finished()
        {
            newest = newest.max(number_in(Path::new(&status.plan), plans).unwrap_or(0));
        }
    }
    newest
}

/// The number of a plan in this folder of plans.
fn number_in(plan: &Path, plans: &Path) -> Option<u32> {
    plan.parent().filter(|parent| *parent == plans)?;
    plan.file_name()?.to_str()?.parse().ok()
}
