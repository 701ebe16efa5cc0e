//! Which plans and which of their repetitions a command speaks of: PATH and PLAN arguments, `-e`, `-r`, `--rep`.

use super::Failure;
use crate::config::no_experiment;
use crate::report::human;
use crate::slurm::{self, Client, Cluster as _, Element, ElementState};
use crate::store::plan::Plan;
use crate::store::plans;
use crate::store::survey::{self, PlanElement, Sources};
use clap::Args;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use wildmatch::WildMatch;

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
        let mut folders = Vec::new();
        for source in &self.sources {
            let found = if source.is_dir() { plans::find(source)? } else { Vec::new() };
            if found.is_empty() {
                return Err(Failure::Usage(format!(
                    "`{}` {}: name a plan's folder, such as `results/plans/001`, or the results folder it lies in",
                    source.display(),
                    if source.is_dir() { "is no plan and holds none" } else { "is no folder" },
                )));
            }
            folders.extend(found);
        }
        Ok(Sources::open(folders)?)
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
        if !self.sources.is_empty() {
            return PlanArgs { sources: self.sources.clone() }.open();
        }
        let below = Path::new("plans");
        let mut folders = if below.is_dir() { plans::find(below)? } else { Vec::new() };
        if folders.is_empty() {
            folders = plans::find_below(Path::new("."))?;
        }
        if folders.is_empty() {
            return Err(Failure::Usage(
                "there is no plan in `./plans` or `*/plans`: name a plan's folder, such as `results/plans/001`, or the \
                 results folder it lies in"
                    .to_owned(),
            ));
        }
        Ok(Sources::open(folders)?)
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
    /// Every repetition of these experiments; of all, where none is named.
    pub(super) fn of(experiments: &[String]) -> Self {
        RepArgs { experiments: experiments.to_vec(), runs: Vec::new(), reps: Vec::new() }
    }

    /// As [`RepArgs::check`], with the experiments of these plans.
    pub(super) fn check_plans(&self, plans: &[Plan]) -> Result<(), Failure> {
        if self.experiments.is_empty() {
            return Ok(());
        }
        let mut known = Vec::new();
        // A plan that cannot be read is told of where the repetitions are looked at.
        for plan in plans {
            known.extend(plan.all_experiments().unwrap_or_default().into_iter().map(|experiment| experiment.name));
        }
        self.check(&known.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Whether every repetition is meant.
    pub(super) fn all(&self) -> bool {
        self.experiments.is_empty() && self.runs.is_empty() && self.reps.is_empty()
    }

    /// Whether this repetition is meant.
    pub(super) fn has(&self, experiment: &str, run: &str, rep: u32) -> bool {
        (self.experiments.is_empty() || self.experiments.iter().any(|name| name == experiment))
            && (self.runs.is_empty() || self.runs.iter().any(|pattern| matches(pattern, run)))
            && (self.reps.is_empty() || self.reps.iter().any(|range| range.contains(&rep)))
    }

    /// Experiments that were asked for and that no plan has: a misspelt name must not pass for "nothing to do".
    pub(super) fn check(&self, known: &[&str]) -> Result<(), Failure> {
        check_experiments(&self.experiments, known, "these plans")
    }
}

/// Whether every experiment that was asked for is there.
pub(super) fn check_experiments(wanted: &[String], known: &[&str], place: &str) -> Result<(), Failure> {
    let Some(unknown) = wanted.iter().find(|name| !known.contains(&name.as_str())) else { return Ok(()) };
    let mut known = known.to_vec();
    known.sort_unstable();
    known.dedup();
    let diagnostic = no_experiment(unknown, &known, &format!(" in {place}"));
    Err(Failure::Usage(format!("{}; {}", diagnostic.message, diagnostic.help.unwrap_or_default())))
}

/// Names the plans and the states that cannot be read: each state may tell of a finished repetition, so nothing is done about it.
pub(super) fn tell_unreadable(plans: &[String], unreadable: &[String]) {
    const NAMED: usize = 5;
    for why in plans {
        tell!("warning: a plan is left out: {why}");
    }
    for why in unreadable.iter().take(NAMED) {
        tell!("warning: {why}");
    }
    let named = if unreadable.len() > NAMED { format!(" ({NAMED} of them are named above)") } else { String::new() };
    match unreadable.len() as u64 {
        0 => {}
        1 => tell!("warning: 1 repetition is unreadable: it counts neither as finished nor as missing"),
        more => tell!(
            "warning: {} repetitions are unreadable{named}: they count neither as finished nor as missing",
            human::count(more)
        ),
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

/// Whether a name matches a pattern: `*` stands for any text, `?` for any character, all else for itself.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    WildMatch::new(pattern).matches(name)
}

/// What Slurm says of the users whose plans these are, or lie beside them, and of this one: one call.
pub(super) fn queue(plans: &[Plan]) -> Result<Vec<Element>, slurm::Error> {
    Client.queue(&users(plans))
}

/// The same of a folder of plans, where there may be none yet.
pub(super) fn queue_of(folder: &Path) -> Result<Vec<Element>, slurm::Error> {
    let plans = plans::find(folder).unwrap_or_default();
    Client.queue(&plans.iter().flat_map(|plan| plans::users(plan)).collect::<Vec<_>>())
}

/// Whoever's jobs may hold repetitions of these plans. Whose plans lie in one folder share its results.
fn users(plans: &[Plan]) -> Vec<u32> {
    let folders: BTreeSet<&Path> = plans.iter().filter_map(|plan| plan.folder.parent()).collect();
    // A folder that cannot be read: its plans' own users are left.
    let beside = folders.into_iter().flat_map(|folder| plans::find(folder).unwrap_or_default());
    let folders: BTreeSet<PathBuf> = plans.iter().map(|plan| plan.folder.clone()).chain(beside).collect();
    folders.iter().flat_map(|folder| plans::users(folder)).collect()
}

/// The plans beside these of which something is queued or runs: they may hold the same repetitions.
pub(super) fn under_way_beside(plans: &[Plan], queue: &[Element]) -> Result<Vec<Plan>, Failure> {
    let folders: BTreeSet<&Path> = plans.iter().filter_map(|plan| plan.folder.parent()).collect();
    let mut others = Vec::new();
    for folder in folders {
        others.extend(under_way(folder, queue)?.into_iter().map(|(plan, _)| plan));
    }
    others.retain(|other| !plans.iter().any(|plan| plan.folder == other.folder));
    Ok(others)
}

/// The plans of a folder of which something is queued or runs, with an array's job each.
pub(super) fn under_way(folder: &Path, queue: &[Element]) -> Result<Vec<(Plan, u64)>, Failure> {
    let mut found = Vec::new();
    if queue.is_empty() {
        return Ok(found);
    }
    for path in plans::find(folder)? {
        // One that cannot be read is another command's to complain about.
        let Ok(plan) = Plan::open(&path) else { continue };
        let alive = |element: &PlanElement| element.state != ElementState::Ended;
        if let Some(element) = survey::elements(&plan, queue)?.into_iter().find(alive) {
            found.push((plan, element.id));
        }
    }
    Ok(found)
}

/// As [`queue`], asked once and only once; or why it cannot be asked.
pub(super) fn glance(plans: &[Plan]) -> Result<Vec<Element>, String> {
    Client::glance(&users(plans)).map_err(|error| error.to_string())
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
    use proptest::prelude::*;

    #[test]
    fn globs() {
        for (pattern, name, expected) in [
            ("e__l1", "e__l1", true),
            ("e__l1", "e__l10", false),
            ("e__l1*", "e__l10", true),
            ("*l1*", "e__l10_x", true),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
            ("?", "é", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-", false),
            ("[a]", "[a]", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn ranges() {
        assert_eq!(range("3"), Ok(3..=3));
        assert_eq!(range("0-4"), Ok(0..=4));
        for wrong in ["", "a", "4-0", "1-", "-1", "99999999999"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_star_takes_any_text(name in ".{0,20}", at in 0..20usize) {
            let pattern: String = name.chars().take(at).chain("*".chars()).collect();
            prop_assert!(matches(&pattern, &name));
            let _ = matches(&name, &pattern);
        }
    }
}
