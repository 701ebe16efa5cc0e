//! Slurm's own logs of a plan's jobs, found by what the plan's scripts say.

use super::plan::Plan;
use super::{exists, log};
use crate::plan::sbatch::written;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use wildmatch::WildMatch;

/// How much of a log's beginning, and of its end, is looked at.
const TAIL: u64 = 32 * 1024;

/// The logs of one plan's jobs.
#[derive(Debug)]
pub struct JobLogs<'a> {
    plan: &'a Plan,
    /// What each script says.
    patterns: HashMap<usize, Vec<String>>,
    /// The newest job of each element that has a log, by array.
    newest: HashMap<usize, HashMap<u64, u64>>,
}

impl<'a> JobLogs<'a> {
    /// Those of a plan.
    pub fn of(plan: &'a Plan) -> Self {
        JobLogs { plan, patterns: HashMap::new(), newest: HashMap::new() }
    }

    /// The log of an element of one of the plan's arrays, by its job id and its number; of several the one that says something.
    pub fn find(&mut self, array: usize, job: u64, index: u64) -> Option<PathBuf> {
        let root = self.plan.root.clone();
        let patterns = self.patterns(array).iter();
        let found = patterns.filter_map(|pattern| matching(&root.join(written::fill_in(pattern, job, index))));
        let found: Vec<_> = found.collect();
        let says_something = |path: &&PathBuf| log::length(path).ok().flatten().is_some_and(|length| length > 0);
        found.iter().rev().find(says_something).or(found.first()).cloned()
    }
}

impl JobLogs<'_> {
    /// Whether the folder that an array's logs are for is there.
    pub fn have_folder(&mut self, array: usize) -> bool {
        let root = self.plan.root.clone();
        self.patterns(array).first().is_none_or(|pattern| {
            let path = root.join(pattern);
            let folder = path.parent().unwrap_or(&root).to_string_lossy().replace("%%", "%");
            // One that has the job's number in its name cannot be looked for without it.
            folder.contains(['%', '*']) || Path::new(&folder).is_dir()
        })
    }

    fn patterns(&mut self, array: usize) -> &[String] {
        let plan = self.plan;
        self.patterns.entry(array).or_insert_with(|| {
            let script = plan.manifest.arrays.get(array).map(|array| plan.folder.join(&array.script));
            let text = script.and_then(|script| super::read(&script).ok()).unwrap_or_default();
            written::logs(&String::from_utf8_lossy(&text))
        })
    }

    /// The job of an element that wrote the newest log, for what was submitted by hand.
    pub fn newest_job(&mut self, array: usize, index: u64) -> Option<u64> {
        if !self.newest.contains_key(&array) {
            let mut newest: HashMap<u64, u64> = HashMap::new();
            let root = self.plan.root.clone();
            let pattern = self.patterns(array).first().map(|pattern| root.join(pattern));
            let parts = pattern.as_deref().and_then(|path| Some((path.parent()?, path.file_name()?.to_str()?)));
            if let Some((folder, name)) = parts {
                let folder = folder.to_string_lossy().replace("%%", "%");
                for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                    let element = entry.file_name().to_str().and_then(|file| written::element_of(name, file));
                    if let Some((job, index)) = element {
                        let known = newest.entry(index).or_default();
                        *known = job.max(*known);
                    }
                }
            }
            self.newest.insert(array, newest);
        }
        self.newest.get(&array)?.get(&index).copied()
    }
}

/// The beginning of a log.
pub fn head(path: &Path) -> String {
    log::beginning_of(path, TAIL).unwrap_or_default()
}

/// The end of a log.
pub fn tail(path: &Path) -> String {
    log::end_of(path, TAIL).unwrap_or_default()
}

/// The file of this path, whose name may be a pattern.
fn matching(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    if !name.contains('*') {
        return exists(path).then(|| path.to_owned());
    }
    let pattern = WildMatch::new(name);
    let entries = fs::read_dir(path.parent()?).ok()?;
    let fits = |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(|name| pattern.matches(name));
    entries.flatten().find(fits).map(|entry| entry.path())
}
