//! Runs that `defaults` gives another name than they had when they finished.
//!
//! Looks, and changes nothing. A parameter that was swept first and written into `defaults` afterwards loses its part of the names:
//! what lies under the old ones would be run again without a word.

use super::draft::relative;
use crate::config::{Config, Diagnostic, Experiment};
use crate::plan::PlannedRun;
use crate::plan::runs;
use crate::store::{self, finished};
use crate::value::{Map, Value};
use std::path::Path;

/// A warning for each experiment of which runs are finished under the names that they would have without `defaults`, and not under
/// their own. `root` is where relative paths start.
pub fn warnings(config: &Config, root: &Path, runs: &[PlannedRun]) -> Vec<Diagnostic> {
    let named = (0..).zip(&config.experiments).filter(|(_, experiment)| shortens(experiment));
    named.filter_map(|(number, experiment)| warning(number, experiment, root, runs)).collect()
}

/// Whether names leave anything out: `defaults` of what is not swept change none.
fn shortens(experiment: &Experiment) -> bool {
    let axes = || experiment.sweeps.iter().flat_map(crate::config::Sweep::each_axis);
    axes().any(|(_, axis)| experiment.defaults.get_path(&axis.path).is_some())
}

fn warning(number: u32, experiment: &Experiment, root: &Path, runs: &[PlannedRun]) -> Option<Diagnostic> {
    let before = Experiment { defaults: Value::Map(Map::new()), ..experiment.clone() };
    // What cannot be named without them never was.
    let before = runs::resolve(&[before], root, |_| Ok(())).ok()?.runs;
    let now = runs.iter().filter(|run| run.record.experiment == number);
    let mut left = now.zip(&before).filter(|(now, before)| {
        now.record.dir != before.record.dir
            && store::exists(&root.join(&before.record.dir))
            && now
                .reps
                .iter()
                .any(|rep| finished::is_finished(before, root, rep) && !finished::is_finished(now, root, rep))
    });
    let (now, old) = left.next()?;
    let (now, old) = (relative(Path::new(&now.record.dir), root), relative(Path::new(&old.record.dir), root));
    let message = match left.count() {
        0 => format!("`{old}` is finished, and would be run again as `{now}`: `defaults` shortens its name"),
        more => format!(
            "`{old}` and {more} more are finished, and would be run again under other names, such as `{now}`: `defaults` shortens them"
        ),
    };
    let help = "take what was swept before out of `defaults`, or rename these folders to keep what they hold";
    Some(Diagnostic::warning(message).at(experiment.key_at("defaults")).help(help))
}
