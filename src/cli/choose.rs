//! Which plans and which of their repetitions a command speaks of: PATH and PLAN arguments, `-e`, `-r`, `--rep`.

use super::tell;
use crate::ops::notice;
use crate::ops::select::Selection;
use clap::Args;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// Plans.
#[derive(Debug, Clone, Args)]
pub(super) struct PlanArgs {
    /// Plan folders, or results folders, which stand for all their plans
    #[arg(value_name = "PATH|PLAN", required = true)]
    sources: Vec<PathBuf>,
}

impl PlanArgs {
    /// What is named.
    pub(super) fn sources(&self) -> &[PathBuf] {
        &self.sources
    }
}

/// Plans, or those that lie here.
#[derive(Debug, Clone, Args)]
pub(super) struct PlansHereArgs {
    /// Plan folders, or results folders, which stand for all their plans [default: `./plans`, or else `*/plans`]
    #[arg(value_name = "PATH|PLAN")]
    sources: Vec<PathBuf>,
}

impl PlansHereArgs {
    /// What is named.
    pub(super) fn sources(&self) -> &[PathBuf] {
        &self.sources
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
    /// Only repetitions with these numbers, e.g. `0,3-5`
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
    notice::unreadable(plans, states, &mut |notice| tell(&notice, false));
}

/// Tells why what is forgotten cannot be read.
pub(super) fn tell_unreadable_forgotten(sentences: &[String]) {
    notice::unreadable_forgotten(sentences, &mut |notice| tell(&notice, false));
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
