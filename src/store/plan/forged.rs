//! A plan's folder of any content, sealed as if it had been written so: whoever can write there can forge that, and what reads it
//! must neither panic nor take more than its files' size. For fuzzing.

use super::{Plan, names, seal};
use crate::store::indexed::Writer;
use crate::store::{Result, files};
use std::io::Write as _;
use std::path::Path;

/// The head of the part of a text that is a file's.
const HEAD: &str = "@@ ";

/// Writes the files that a text holds, each behind a line `@@ NAME`, to an empty folder, and reads the plan that they are.
///
/// # Errors
/// What is wrong with it.
pub fn read(text: &str, folder: &Path) -> Result<()> {
    let mut parts = std::collections::BTreeMap::<&str, Vec<&str>>::new();
    let mut name = names::MANIFEST;
    for line in text.lines() {
        match line.strip_prefix(HEAD) {
            Some(head) => name = head.trim(),
            None => parts.entry(name).or_default().push(line),
        }
    }
    let manifest = parts.remove(names::MANIFEST).unwrap_or_default().join("\n");
    let id = serde_json::from_str::<crate::plan::record::Manifest>(&manifest).map_or(String::new(), |found| found.id);
    let failed = |source| crate::store::StoreError::new("write", folder, source);
    files::create(&folder.join(names::MANIFEST))
        .and_then(|mut file| file.write_all(seal(&manifest).as_bytes()))
        .map_err(failed)?;
    for name in [names::EXPERIMENTS, names::SETTINGS, names::RUNS, names::PARAMS, names::PYTHON, names::JOBS] {
        let mut writer = Writer::create(&folder.join(name), &id)?;
        parts.remove(name).unwrap_or_default().into_iter().try_for_each(|line| writer.push(line))?;
        writer.finish()?;
    }
    let plan = Plan::open(folder)?;
    for job in 0..plan.jobs().min(4) {
        let _ = plan.start_dir(job);
        let _ = plan.job(job);
    }
    let _ = (plan.missing_code(), plan.moved_from(), plan.code_of(0));
    let whole = plan.read()?;
    let _ = (whole.counts(), whole.jobs().count());
    Ok(())
}
