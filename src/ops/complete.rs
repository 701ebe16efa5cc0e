//! What the words of a half-written command line can be completed with. Whatever cannot be read has nothing to offer.

use super::freeze::{self, Purpose};
use super::list;
use super::reading::Reading;
use crate::store::plan::Plan;
use crate::store::plans;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// More are of no use to anybody who looks for one.
const MOST: usize = 10_000;

/// The names of the experiments of the configurations and plans among these words, or of the plans that lie here where there
/// are none.
pub fn experiments(words: &[PathBuf]) -> BTreeSet<String> {
    let (configs, plans) = sources(words);
    let mut names = BTreeSet::new();
    for config in configs {
        let config = freeze::load(&reading(config), Purpose::LOOK, &mut |_| {});
        names.extend(config.into_iter().flat_map(|config| config.experiments).map(|experiment| experiment.name));
    }
    for plan in plans {
        let experiments = plan.all_experiments().unwrap_or_default();
        names.extend(experiments.into_iter().map(|experiment| experiment.name));
    }
    names
}

/// The same of runs.
pub fn runs(words: &[PathBuf]) -> BTreeSet<String> {
    let (configs, plans) = sources(words);
    let mut names = BTreeSet::new();
    for config in configs {
        let plan = list::list(&reading(config), &mut |_| {});
        names.extend(plan.into_iter().flat_map(|listing| listing.plan.runs).map(|run| run.record.run).take(MOST));
    }
    for plan in plans {
        let records = (0..).map_while(|number| plan.run_record(number).ok());
        names.extend(records.take(MOST).map(|record| record.run));
    }
    names
}

/// The plans that lie in the working directory or right below it, newest first.
pub fn plans_here() -> Vec<PathBuf> {
    let here = Path::new("plans");
    let mut found = if here.is_dir() { plans::find(here).unwrap_or_default() } else { Vec::new() };
    let below = plans::find_below(Path::new(".")).unwrap_or_default();
    found.extend(below.iter().map(|plan| plan.strip_prefix(".").unwrap_or(plan).to_owned()));
    found.reverse();
    found
}

/// The configurations and the plans among some words.
fn sources(words: &[PathBuf]) -> (Vec<&PathBuf>, Vec<Plan>) {
    let configs: Vec<_> = words.iter().filter(|word| word.is_file()).collect();
    let folders = words.iter().filter(|word| word.is_dir());
    let mut plans: Vec<_> = folders.flat_map(|folder| plans::find(folder).unwrap_or_default()).collect();
    if configs.is_empty() && plans.is_empty() {
        plans = plans_here();
    }
    (configs, plans.iter().filter_map(|plan| Plan::open(plan).ok()).collect())
}

fn reading(config: &Path) -> Reading {
    Reading { config: config.to_owned(), ..Reading::default() }
}
