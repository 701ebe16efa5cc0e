//! Which plans and which of their repetitions a use case speaks of, and what Slurm has of them.

use super::failure::Failure;
use super::here::hostname;
use crate::config::no_experiment;
use crate::plan::record::{ExperimentRecord, RunRecord};
use crate::slurm::{self, Client, Cluster as _, Element, ElementState};
use crate::store::plan::Plan;
use crate::store::plans;
use crate::store::survey::{self, PlanElement, Sources, Survey};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use wildmatch::WildMatch;

/// Opens every plan of these folders, plans' own or results folders, oldest first, each once.
///
/// # Errors
/// Where one of them holds no plan.
pub fn plans(sources: &[PathBuf]) -> Result<Sources, Failure> {
    let mut folders = Vec::new();
    for source in sources {
        let found = if source.is_dir() { plans::find(source)? } else { Vec::new() };
        if found.is_empty() {
            return Err(Failure::Usage(format!(
                "`{}` {}: name a plan's folder, such as `results/plans/001`, or the results folder it is in",
                source.display(),
                if source.is_dir() { "is neither a plan nor a folder with plans" } else { "is not a folder" },
            )));
        }
        folders.extend(found);
    }
    Ok(Sources::open(folders)?)
}

/// The same, or of the plans that lie in the working directory where none is named.
///
/// # Errors
/// As of [`plans`].
pub fn plans_here(sources: &[PathBuf]) -> Result<Sources, Failure> {
    if !sources.is_empty() {
        return plans(sources);
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

/// Some of the repetitions of plans; all, where nothing is said.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only these experiments.
    pub experiments: Vec<String>,
    /// Only runs whose name matches: `*` stands for any text, `?` for any character.
    pub runs: Vec<String>,
    /// Only repetitions with these numbers.
    pub reps: Vec<RangeInclusive<u32>>,
}

impl Selection {
    /// Every repetition of these experiments; of all, where none is named.
    pub fn of(experiments: &[String]) -> Self {
        Selection { experiments: experiments.to_vec(), runs: Vec::new(), reps: Vec::new() }
    }

    /// As [`Selection::check`], with the experiments of these plans.
    pub fn check_plans(&self, plans: &[Plan]) -> Result<(), Failure> {
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
    pub fn all(&self) -> bool {
        self.experiments.is_empty() && self.runs.is_empty() && self.reps.is_empty()
    }

    /// Whether this repetition is meant.
    pub fn has(&self, experiment: &str, run: &str, rep: u32) -> bool {
        (self.experiments.is_empty() || self.experiments.iter().any(|name| name == experiment))
            && (self.runs.is_empty() || self.runs.iter().any(|pattern| matches(pattern, run)))
            && (self.reps.is_empty() || self.reps.iter().any(|range| range.contains(&rep)))
    }

    /// How those of these plans stand; `queue` is what Slurm says, where it could be asked.
    pub fn survey(&self, plans: Sources, queue: Option<&[Element]>) -> Result<Survey, Failure> {
        let wanted = |experiment: &ExperimentRecord, run: &RunRecord, rep| self.has(&experiment.name, &run.run, rep);
        Ok(survey::survey_of(plans, queue, &hostname(), &wanted)?)
    }

    /// Experiments that were asked for and that no plan has: a misspelt name must not pass for "nothing to do".
    pub fn check(&self, known: &[&str]) -> Result<(), Failure> {
        check_experiments(&self.experiments, known, "these plans")
    }
}

/// Whether every experiment that was asked for is there.
pub fn check_experiments(wanted: &[String], known: &[&str], place: &str) -> Result<(), Failure> {
    let Some(unknown) = wanted.iter().find(|name| !known.contains(&name.as_str())) else { return Ok(()) };
    let mut known = known.to_vec();
    known.sort_unstable();
    known.dedup();
    let diagnostic = no_experiment(unknown, &known, &format!(" in {place}"));
    Err(Failure::Usage(format!("{}; {}", diagnostic.message, diagnostic.help.unwrap_or_default())))
}

/// Whether a name matches a pattern: `*` stands for any text, `?` for any character, all else for itself.
fn matches(pattern: &str, name: &str) -> bool {
    WildMatch::new(pattern).matches(name)
}

/// What Slurm says of the users whose plans these are, or lie beside them, and of this one: one call.
pub fn queue(plans: &[Plan]) -> Result<Vec<Element>, slurm::SlurmError> {
    Client.queue(&users(plans))
}

/// The same of a folder of plans, where there may be none yet.
pub fn queue_of(folder: &Path) -> Result<Vec<Element>, slurm::SlurmError> {
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
pub fn under_way_beside(plans: &[Plan], queue: &[Element]) -> Result<Vec<Plan>, Failure> {
    let folders: BTreeSet<&Path> = plans.iter().filter_map(|plan| plan.folder.parent()).collect();
    let mut others = Vec::new();
    for folder in folders {
        others.extend(under_way(folder, queue)?.into_iter().map(|(plan, _)| plan));
    }
    others.retain(|other| !plans.iter().any(|plan| plan.folder == other.folder));
    Ok(others)
}

/// The plans of a folder of which something is queued or runs, with an array's job each.
pub fn under_way(folder: &Path, queue: &[Element]) -> Result<Vec<(Plan, u64)>, Failure> {
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

/// As [`queue`], for those to whom what is not in it is lost: an error where it may be there and not be shown.
pub fn whole_queue(plans: &[Plan]) -> Result<Vec<Element>, slurm::SlurmError> {
    shown(plans, queue(plans)?)
}

/// As [`whole_queue`], asked once and only once; or why it cannot be asked.
pub fn glance(plans: &[Plan]) -> Result<Vec<Element>, String> {
    Client::glance(&users(plans)).and_then(|queue| shown(plans, queue)).map_err(|error| error.to_string())
}

/// What Slurm says, where it shows all of it.
fn shown(plans: &[Plan], queue: Vec<Element>) -> Result<Vec<Element>, slurm::SlurmError> {
    let users: Vec<u32> = plans.iter().flat_map(|plan| plans::users(&plan.folder)).collect();
    if Client::hides(&users) { Err(slurm::SlurmError::Hidden) } else { Ok(queue) }
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

    proptest! {
        #[test]
        fn a_star_takes_any_text(name in ".{0,20}", at in 0..20usize) {
            let pattern: String = name.chars().take(at).chain("*".chars()).collect();
            prop_assert!(matches(&pattern, &name));
            let _ = matches(&name, &pattern);
        }
    }
}
