//! Whose code is run again, and how the tree differs from it now.

use crate::experiment::component;
use crate::ops::failure::Failure;
use crate::ops::here::shown;
use crate::plan::layout::{self, plan as names};
use crate::plan::record::{CodeMode, CodeRecord, GitRecord};
use crate::report::human::counted;
use crate::store;
use crate::store::plan::Plan as StoredPlan;
use crate::store::snapshot::{self, Tree};
use std::path::{Path, PathBuf};

/// Says whose code is run again; it must still be there.
pub(super) fn note(plan: &StoredPlan, code: &CodeRecord) -> Result<Option<String>, Failure> {
    let place = Path::new(&code.place);
    let folder = plan.root.join(match code.mode {
        CodeMode::Archive => return Ok(None),
        CodeMode::Copy => place.to_owned(),
        CodeMode::PerJob => layout::untouched_copy(place),
    });
    if !folder.is_dir() {
        return Err(Failure::Environment(format!(
            "the code copy `{}` of plan `{}` is gone; `--fresh-code` makes a new one of the code as it is now",
            folder.display(),
            plan.folder.display()
        )));
    }
    let note = format!("code: that of plan {}, in {}", plan.name(), place.display());
    Ok(Some(match differences(plan, Path::new(&code.source), &folder) {
        Some(differences) => format!("{note}; {differences} (`--fresh-code` runs the code as it is now)"),
        None => note,
    }))
}

/// How a source differs from its copy now, in words; nothing where it does not, or that cannot be told.
fn differences(plan: &StoredPlan, source: &Path, copy: &Path) -> Option<String> {
    let results = plan.folder.parent().and_then(Path::parent).map(snapshot::resolve)?;
    let now = Tree::list(&snapshot::resolve(source), &left_out(plan, &results, source)).ok()?;
    let then = Tree::all(&snapshot::resolve(copy)).ok()?;
    let changed = now.differences(&then).ok()?;
    let (first, count) = (changed.first()?, changed.len() as u64);
    let what = if count == 1 {
        format!("`{}`", first.display())
    } else {
        format!("{}, such as `{}`", counted(count, "file"), first.display())
    };
    Some(format!("the tree `{}` differs from it now in {what}", shown(source)))
}

/// What is no code, as when the copy was made.
fn left_out(plan: &StoredPlan, results: &Path, source: &Path) -> Vec<PathBuf> {
    let experiments = plan.all_experiments().unwrap_or_default();
    let filled = experiments.iter().map(|experiment| results.join(component(&experiment.name)));
    let whole = (results.starts_with(source) && results != source).then(|| results.to_owned());
    whole.into_iter().chain(filled).chain([layout::plans(results)]).collect()
}

/// Says where jobs run in the tree itself, and git knows that it was another one when the plan was made.
pub(super) fn note_of_tree(plan: &StoredPlan) -> Option<String> {
    let then = store::read(&plan.folder.join(names::GIT)).ok()?;
    let then: GitRecord = serde_json::from_slice(&then).ok()?;
    let before = then.commit.as_ref()?;
    let (now, diff) = store::git::record(Path::new(&then.directory));
    let short = |commit: &str| commit.get(..8).unwrap_or(commit).to_owned();
    let what = match now.commit.as_ref()? {
        commit if commit != before => format!("commit {} then, {} now", short(before), short(commit)),
        _ => {
            let changes = then.diff.as_ref().and_then(|name| store::read(&plan.folder.join(name)).ok());
            if diff == changes {
                return None;
            }
            format!("other changes to commit {}", short(before))
        }
    };
    Some(format!("code: the tree as it is now, which differs from that of plan {}: {what}", plan.name()))
}
