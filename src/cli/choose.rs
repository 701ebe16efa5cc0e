//! Which plans and which of their repetitions a command speaks of: PATH and PLAN arguments, `-e`, `-r`, `--rep`.

use crate::ops::failure::Failure;
use crate::ops::notice;
use crate::ops::select::{self, Selection};
use crate::store::survey::Sources;
use clap::Args;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// Plans.
#[derive(Debug, Clone, Args)]
pub(super) struct PlanArgs {
    /// Plans' folders, or results folders with all their plans
    #[arg(value_name = "PATH|PLAN", required = true)]
    sources: Vec<PathBuf>,
}

impl PlanArgs {
    /// Opens every plan that is named, oldest first, each once.
    pub(super) fn open(&self) -> Result<Sources, Failure> {
        select::plans(&self.sources)
    }

    /// What is named.
    pub(super) fn sources(&self) -> &[PathBuf] {
        &self.sources
    }
}

/// Plans, or those that lie here.
#[derive(Debug, Clone, Args)]
pub(super) struct PlansHereArgs {
    /// Plans' folders, or results folders with all their plans [default: `./plans`, or else `*/plans`]
    #[arg(value_name = "PATH|PLAN")]
    sources: Vec<PathBuf>,
}

impl PlansHereArgs {
    /// Opens every plan that is meant, oldest first, each once.
    pub(super) fn open(&self) -> Result<Sources, Failure> {
        select::plans_here(&self.sources)
    }
}

/// Some of the repetitions of plans.
#[derive(Debug, Clone, Args)]
pub(super) struct RepArgs {
    /// Only these experiments
    #[arg(short, long, num_args = 1.., value_name = "NAME")]
    experiments: Vec<String>,
    /// Only runs whose name matches (`*` any text, `?` any character)
    #[arg(short, long, num_args = 1.., value_name = "GLOB")]
    runs: Vec<String>,
    /// Only repetitions with these numbers, as `0,3-5`
    #[arg(long = "rep", num_args = 1.., value_delimiter = ',', value_name = "N", value_parser = range)]
    reps: Vec<RangeInclusive<u32>>,
}

impl RepArgs {
    /// What they choose.
    pub(super) fn selection(&self) -> Selection {
        Selection { experiments: self.experiments.clone(), runs: self.runs.clone(), reps: self.reps.clone() }
    }
}

/// Names the plans and the states that cannot be read.
pub(super) fn tell_unreadable(plans: &[String], states: &[String]) {
    for line in notice::unreadable(plans, states) {
        tell!("warning: {line}");
    }
}

/// `3` or `3-5`.
fn range(text: &str) -> Result<RangeInclusive<u32>, String> {
    let number = |text: &str| text.trim().parse::<u32>().ok();
    let range = match text.split_once('-') {
        Some((first, last)) => number(first).zip(number(last)),
        None => number(text).map(|number| (number, number)),
    };
    match range {
        Some((first, last)) if first <= last => Ok(first..=last),
        _ => Err("write the number of a repetition, or a range such as `0-4`".to_owned()),
    }
}

/// A path as people see it: relative to the working directory where it lies below it.
pub(super) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let below = here.as_deref().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path);
    if below.as_os_str().is_empty() { ".".to_owned() } else { below.to_string_lossy().into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(range("3"), Ok(3..=3));
        assert_eq!(range("0-4"), Ok(0..=4));
        for wrong in ["", "a", "4-0", "1-", "-1", "99999999999"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
