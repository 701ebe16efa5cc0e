//! `forgotten.json` in a folder of plans: runs that nobody wants any more. One writer: `cw2 forget`, in its [`Turn`].
//!
//! A run is forgotten in the plans there were. Planned once more, it is wanted again. The file proves itself: a changed name would
//! silently bring a run back.

use super::atomic::{self, Durable};
use super::seal::{is_sealed, is_whole, seal};
use super::submissions::Turn;
use super::{Result, StoreError, files};
use crate::plan::layout;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// The version of the format this program writes. It reads all from 1 to this one.
const FORMAT: u32 = 2;

/// The first version whose files prove themselves.
const SEALED: u32 = 2;

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    format: u32,
    forgotten: Vec<Entry>,
}

/// A run, or some of its repetitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The experiment's name.
    pub experiment: String,
    /// The run's.
    pub run: String,
    /// The repetitions: their numbers, in order.
    pub reps: Vec<u32>,
    /// The last plan there was.
    pub through: u32,
}

/// What is forgotten of a folder's plans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forgotten {
    entries: Vec<Entry>,
    runs: HashMap<(String, String), Vec<usize>>,
}

impl Forgotten {
    /// Reads what is forgotten; nothing where there is no such file.
    pub fn read(plans: &Path) -> Result<Self> {
        let path = plans.join(layout::FORGOTTEN);
        let Some(bytes) = files::read_if_there(&path, files::cap::NONE)? else { return Ok(Forgotten::default()) };
        let content: Content = serde_json::from_slice(&bytes).map_err(|error| damaged(&path, error))?;
        if content.format > FORMAT {
            let what = format!("it has format {}, written by a newer cw2", content.format);
            return Err(StoreError::corrupt(&path, what));
        }
        if (content.format >= SEALED || is_sealed(&bytes)) && !is_whole(&bytes) {
            return Err(damaged(&path, "it is not what was written"));
        }
        Ok(Forgotten::of(content.forgotten))
    }

    fn of(entries: Vec<Entry>) -> Self {
        let mut runs: HashMap<_, Vec<usize>> = HashMap::new();
        for (place, entry) in entries.iter().enumerate() {
            runs.entry((entry.experiment.clone(), entry.run.clone())).or_default().push(place);
        }
        Forgotten { entries, runs }
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether this repetition of the plan with this number is.
    pub fn has(&self, plan: u32, experiment: &str, run: &str, rep: u32) -> bool {
        if self.is_empty() {
            return false;
        }
        let places = self.runs.get(&(experiment.to_owned(), run.to_owned()));
        let mut entries = places.into_iter().flatten().filter_map(|place| self.entries.get(*place));
        entries.any(|entry| plan <= entry.through && entry.reps.binary_search(&rep).is_ok())
    }

    /// Forgets more.
    pub fn add(&mut self, more: Vec<Entry>) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.extend(more);
        *self = Forgotten::of(entries);
    }

    /// Remembers every repetition that `wanted` says; returns how many those are.
    pub fn remember(&mut self, wanted: impl Fn(&Entry, u32) -> bool) -> u64 {
        let mut entries = std::mem::take(&mut self.entries);
        let mut count = 0;
        for entry in &mut entries {
            let (back, still) = entry.reps.iter().partition::<Vec<u32>, _>(|rep| wanted(entry, **rep));
            count += back.len() as u64;
            entry.reps = still;
        }
        entries.retain(|entry| !entry.reps.is_empty());
        *self = Forgotten::of(entries);
        count
    }

    /// Writes it to the disk, whole or not at all.
    pub fn save(&self, turn: &Turn) -> Result<()> {
        let path = turn.plans.join(layout::FORGOTTEN);
        if self.is_empty() {
            return files::remove_if_there(&path);
        }
        let content = Content { format: FORMAT, forgotten: self.entries.clone() };
        let text = serde_json::to_string_pretty(&content)
            .map_err(|error| StoreError::new("write", &path, std::io::Error::other(error)))?;
        atomic::replace(&path, seal(&format!("{text}\n")).as_bytes(), Durable::Yes)
    }
}

/// A file that is not as it was written.
fn damaged(path: &Path, what: impl std::fmt::Display) -> StoreError {
    let text = format!(
        "{what}; it was changed or damaged since `forget` wrote it: remove it, and everything counts until it is forgotten anew"
    );
    StoreError::corrupt(path, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_planned_again_is_wanted_again() {
        let entry = |run: &str, reps: &[u32], through| Entry {
            experiment: "e".to_owned(),
            run: run.to_owned(),
            reps: reps.to_vec(),
            through,
        };
        let mut forgotten = Forgotten::default();
        assert!(forgotten.is_empty() && !forgotten.has(1, "e", "a", 0));
        forgotten.add(vec![entry("a", &[0, 2], 3), entry("b", &[0], 3)]);
        forgotten.add(vec![entry("a", &[1], 5)]);
        for (plan, run, rep, expected) in
            [(1, "a", 0, true), (3, "a", 2, true), (4, "a", 0, false), (5, "a", 1, true), (3, "b", 1, false)]
        {
            assert_eq!(forgotten.has(plan, "e", run, rep), expected, "{plan} {run} {rep}");
        }
        assert_eq!(forgotten.remember(|entry, rep| entry.run == "a" && rep != 2), 2);
        assert!(forgotten.has(1, "e", "a", 2) && !forgotten.has(1, "e", "a", 1) && forgotten.has(1, "e", "b", 0));
        let dir = tempfile::tempdir().unwrap();
        let turn = Turn::take(dir.path(), || {}).unwrap();
        forgotten.save(&turn).unwrap();
        assert_eq!(Forgotten::read(&turn.plans).unwrap(), forgotten);
        let path = turn.plans.join(layout::FORGOTTEN);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            assert!(Forgotten::read(&turn.plans).is_err(), "byte {at}");
        }
        // As the first version wrote it.
        let first = r#"{"format": 1, "forgotten": [{"experiment": "e", "run": "a", "reps": [2], "through": 3}]}"#;
        std::fs::write(&path, first).unwrap();
        assert!(Forgotten::read(&turn.plans).unwrap().has(3, "e", "a", 2));
        forgotten.remember(|_, _| true);
        forgotten.save(&turn).unwrap();
        assert!(!turn.plans.join(layout::FORGOTTEN).exists());
        std::fs::write(turn.plans.join(layout::FORGOTTEN), "{\"format\": 9, \"forgotten\": []}").unwrap();
        assert!(Forgotten::read(&turn.plans).unwrap_err().to_string().contains("newer cw2"));
    }
}
