//! Beside what was planned before, what a configuration would plan. Looks, and changes nothing.

use super::failure::Failure;
use super::freeze::working_directory;
use super::here::shown;
use super::list;
use super::notice::{Notice, Tell};
use super::reading::Reading;
use crate::plan::diff::{Difference, Known, diff};
use crate::plan::{Plan, layout};
use crate::store;
use crate::store::plans;
use std::collections::HashSet;

/// What differs, and the folder of plans that was looked at.
#[derive(Debug)]
pub struct Compared {
    /// What differs.
    pub difference: Difference,
    /// The plans that it is told against, newest first; none where nothing was planned yet.
    pub plans: Vec<String>,
}

/// Compares each experiment with the newest plan that has it. Experiments that are gone are those of the newest plan that was made of
/// this configuration. Plans made by `retry` hold a part of others.
///
/// # Errors
/// What is wrong with the configuration.
pub fn compare(reading: &Reading, tell: Tell<'_>) -> Result<Compared, Failure> {
    let plan = list::list(reading, tell)?.plan;
    let (mut known, mut told) = (Vec::new(), Vec::new());
    let mut seen: HashSet<String> = HashSet::new();
    let mut own_seen = false;
    for folder in folders(&plan)?.into_iter().rev() {
        let stored = match store::plan::Plan::open(&folder) {
            Ok(stored) => stored,
            Err(error) => {
                tell(Notice::Warning(format!("a plan is left out, as it cannot be read: {error}")));
                continue;
            }
        };
        if !stored.manifest.retry_of.is_empty() {
            continue;
        }
        let own = !own_seen && stored.manifest.config == reading.config.to_string_lossy();
        own_seen |= own;
        let wanted = |name: &str| {
            let now = plan.experiments.iter().any(|experiment| experiment.record.name == name);
            !seen.contains(name) && (now || (own && reading.experiments.is_empty()))
        };
        let names = stored.all_experiments()?;
        if !names.iter().any(|experiment| wanted(&experiment.name)) {
            continue;
        }
        let name = shown(&folder);
        let whole = stored.read()?;
        let (numbers, mut runs) = ((0..).zip(whole.experiments), whole.runs);
        for (number, experiment) in
            numbers.filter(|(_, experiment)| wanted(&experiment.record.name)).collect::<Vec<_>>()
        {
            seen.insert(experiment.record.name.clone());
            let own = runs.extract_if(.., |run| run.record.experiment == number).collect();
            known.push(Known { plan: name.clone(), experiment, runs: own });
        }
        told.push(name);
    }
    Ok(Compared { difference: diff(&known, &plan), plans: told })
}

/// The plans that lie where these experiments' plans go, oldest first.
fn folders(plan: &Plan) -> Result<Vec<std::path::PathBuf>, Failure> {
    let root = working_directory()?;
    let path =
        plan.experiments.first().and_then(|experiment| crate::value::Value::from_json(&experiment.settings).ok());
    let path = path.as_ref().and_then(|settings| settings.get("path")?.as_str().map(str::to_owned));
    let folder = layout::plans(&root.join(path.unwrap_or_default()));
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    Ok(plans::find(&folder)?)
}
