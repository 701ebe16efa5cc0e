//! The runs of a plan: each resolved, named, placed, hashed and checked once, side by side.
//!
//! Owns that no two runs of a plan share a directory.

use super::layout;
use super::record::RunRecord;
use super::value::{PlannedRun, Reps};
use crate::config::{At, Diagnostic, Experiment, Pattern};
use crate::experiment::{Assignment, Expansion, LIMIT, Run, component, params_sha256, with_hash};
use crate::paths::clean;
use crate::value::Value;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The runs of some experiments.
#[derive(Debug)]
pub struct Runs {
    /// In plan order, with all their repetitions.
    pub runs: Vec<PlannedRun>,
    /// What a person should know of them.
    pub notes: Vec<String>,
}

/// A run while its parameters are at hand.
#[derive(Debug, Clone, Copy)]
pub struct Resolved<'a> {
    /// Its experiment.
    pub experiment: &'a Experiment,
    /// Its name and its place, but for a hash where others would have the same.
    pub record: &'a RunRecord,
    /// Its parameters.
    pub params: &'a Value,
    /// Whether it is to be checked for what holds whatever its parameters are: it is its experiment's first.
    pub first: bool,
}

/// An experiment with its place on disk.
struct Placed<'e> {
    number: u32,
    experiment: &'e Experiment,
    expansion: Expansion<'e>,
    /// Its name as a folder.
    folder: String,
    /// What identifies the folder it lies in, whatever way that path is written.
    parent: String,
    /// Which patterns of `exclude` matched a run.
    matched: Vec<AtomicBool>,
}

/// Resolves every run of the experiments; `check` sees each once. `root` is where relative paths start.
///
/// # Errors
///
/// An experiment that cannot be expanded, too many runs, what `check` finds first, two runs that are the same.
pub fn resolve(
    experiments: &[Experiment],
    root: &Path,
    check: impl Fn(Resolved<'_>) -> Result<(), Box<Diagnostic>> + Sync,
) -> Result<Runs, Box<Diagnostic>> {
    let placed = (0..).zip(experiments).map(|(number, experiment)| Placed::new(number, experiment, root));
    let placed = placed.collect::<Result<Vec<_>, _>>()?;
    check_sum(&placed)?;
    let mut runs: Vec<PlannedRun> = Vec::new();
    for placed in &placed {
        let before = runs.len();
        placed.resolve(&check, &mut runs)?;
        if runs.len() == before && !placed.experiment.exclude.is_empty() {
            let message = format!("`exclude` drops every run of experiment `{}`", placed.experiment.name);
            let diagnostic = Diagnostic::error(message).at(placed.experiment.key_at("exclude"));
            return Err(Box::new(diagnostic.help("narrow it, or leave the experiment out")));
        }
    }
    let mut notes = Vec::new();
    let shared = twice(keys(&placed, &runs));
    if !shared.is_empty() {
        let renamed = rename(&placed, &mut runs, &shared);
        // With the hashes appended, only runs that are the same still share a directory.
        let keys = keys(&placed, &runs);
        if let Some(same) = twice(keys.clone()).into_iter().next() {
            return Err(name_twins(&placed, &runs, &keys, same));
        }
        let names = if renamed == 1 { "1 run".to_owned() } else { format!("{renamed} runs") };
        notes.push(format!("{names} got a hash in their names: they would have shared a directory"));
    }
    notes.extend(placed.iter().flat_map(Placed::idle_excludes));
    Ok(Runs { runs, notes })
}

impl<'e> Placed<'e> {
    fn new(number: u32, experiment: &'e Experiment, root: &Path) -> Result<Self, Box<Diagnostic>> {
        let expansion = Expansion::new(experiment)?;
        // A symbolic link may fool it in both directions; that only costs a hash in a name, or is the user's wish.
        let parent = clean(&root.join(&experiment.path)).to_string_lossy().into_owned();
        let matched = experiment.exclude.iter().map(|_| AtomicBool::new(false)).collect();
        Ok(Placed { number, experiment, expansion, folder: component(&experiment.name), parent, matched })
    }

    /// Adds its runs.
    fn resolve(
        &self,
        check: &(impl Fn(Resolved<'_>) -> Result<(), Box<Diagnostic>> + Sync),
        runs: &mut Vec<PlannedRun>,
    ) -> Result<(), Box<Diagnostic>> {
        if let Some(first) = self.expansion.runs().next() {
            self.planned(first?, true, check)?;
        }
        // The first candidate that is wrong: whichever thread finds one, the same one is told.
        let wrong = AtomicUsize::new(usize::MAX);
        let one = |number: usize| {
            if number >= wrong.load(Ordering::Relaxed) {
                return None;
            }
            let run = self.run(number, check)?.ok();
            if run.is_none() {
                wrong.fetch_min(number, Ordering::Relaxed);
            }
            run
        };
        if self.experiment.first_run_only {
            runs.extend((0..self.expansion.candidates()).find_map(one));
        } else {
            // Part by part: what the threads hand in is held twice until it lies in its place.
            const PART: usize = 1 << 16;
            let all = self.expansion.candidates();
            runs.reserve(all.min(1 << 20));
            for start in (0..all).step_by(PART) {
                runs.par_extend((start..all.min(start.saturating_add(PART))).into_par_iter().filter_map(one));
            }
        }
        match self.run(wrong.into_inner(), check) {
            Some(Err(diagnostic)) => Err(diagnostic),
            _ => Ok(()),
        }
    }

    /// One run; `None` where there is none of this number, or it is excluded.
    fn run(
        &self,
        number: usize,
        check: &impl Fn(Resolved<'_>) -> Result<(), Box<Diagnostic>>,
    ) -> Option<Result<PlannedRun, Box<Diagnostic>>> {
        let matched = |pattern: usize| {
            if let Some(matched) = self.matched.get(pattern) {
                matched.store(true, Ordering::Relaxed);
            }
        };
        let run = self.expansion.run(number, matched)?;
        Some(run.and_then(|run| self.planned(run, false, check)))
    }

    fn planned(
        &self,
        run: Run<'_>,
        first: bool,
        check: &impl Fn(Resolved<'_>) -> Result<(), Box<Diagnostic>>,
    ) -> Result<PlannedRun, Box<Diagnostic>> {
        // What is put together has room to grow; a million of these have not.
        let fitted = |mut text: String| {
            text.shrink_to_fit();
            text
        };
        let nested = run.name.is_some();
        let name = fitted(run.name.unwrap_or_else(|| self.folder.clone()));
        let record = RunRecord {
            experiment: self.number,
            dir: self.dir(&name, nested),
            run: name,
            params_sha256: params_sha256(&run.params),
            same_as: Vec::new(),
            rep_dir: None,
        };
        check(Resolved { experiment: self.experiment, record: &record, params: &run.params, first })?;
        let python = self.experiment.typed.as_ref().map(|typed| {
            let assignments = run.assignments.iter().map(|assigned| (assigned.path, assigned.value, assigned.at));
            let derived = run.derived.iter().map(|(derive, value)| (derive.path.as_slice(), value, At::default()));
            Value::Map(typed.run(assignments.chain(derived))).to_json()
        });
        let reps = Reps::all(self.experiment.repetitions);
        Ok(PlannedRun { params: fitted(run.params.to_json()), python, record, reps })
    }

    /// A run's folder by its name; not `nested`, it lies where the experiment's own folder would.
    fn dir(&self, name: &str, nested: bool) -> String {
        let path = &self.experiment.path;
        let dir =
            if nested { layout::run_dir(path, &self.folder, Some(name)) } else { layout::run_dir(path, name, None) };
        dir.to_string_lossy().into_owned()
    }

    /// Whether a run lies in its experiment's folder.
    fn is_nested(&self, run: &RunRecord) -> bool {
        !self.experiment.sweeps.is_empty() && (!self.expansion.has_plain_run() || run.dir == self.dir(&run.run, true))
    }

    /// What identifies a run's directory.
    fn key(&self, run: &RunRecord) -> u128 {
        let mut digest = Sha256::new_with_prefix(&self.parent);
        if self.is_nested(run) {
            digest.update(b"/");
            digest.update(&self.folder);
        }
        digest.update(b"/");
        digest.update(&run.run);
        digest.finalize().iter().take(16).fold(0, |hash, byte| hash << 8 | u128::from(*byte))
    }

    /// Tells of the patterns of `exclude` that matched no run. With `--debug` most runs were not looked at.
    fn idle_excludes(&self) -> impl Iterator<Item = String> {
        let looked = !self.experiment.first_run_only;
        let patterns = self.experiment.exclude.iter().zip(&self.matched);
        patterns.filter(move |(_, matched)| looked && !matched.load(Ordering::Relaxed)).map(|(exclude, _)| {
            let (pattern, what) = match &exclude.pattern {
                Pattern::Values(value) => (value.to_json(), "a parameter's name and type count"),
                Pattern::Expression(text) => (text.clone(), "a parameter's type counts"),
            };
            format!("experiment `{}`: no run matches `exclude: {pattern}` ({what})", self.experiment.name)
        })
    }

    /// A run in words; `index` counts the experiment's own.
    fn describe(&self, index: usize, assignments: &[Assignment<'_>]) -> String {
        let set: Vec<_> = assignments.iter().map(|a| format!("{} = {}", a.path.join("."), a.value)).collect();
        let set = if set.is_empty() { String::new() } else { format!(" ({})", set.join(", ")) };
        format!("run {} of experiment `{}`{set}", index + 1, self.experiment.name)
    }
}

/// What identifies each run's directory.
fn keys(placed: &[Placed<'_>], runs: &[PlannedRun]) -> Vec<u128> {
    let key = |run: &PlannedRun| placed.get(run.record.experiment as usize).map_or(0, |of| of.key(&run.record));
    runs.par_iter().map(key).collect()
}

/// The values that come more than once.
fn twice(mut keys: Vec<u128>) -> HashSet<u128> {
    keys.par_sort_unstable();
    keys.windows(2).filter_map(|pair| if let [a, b] = pair { (a == b).then_some(*a) } else { None }).collect()
}

/// Appends the hash of its parameters to the name of each run whose directory is shared; returns how many those are.
fn rename(placed: &[Placed<'_>], runs: &mut [PlannedRun], shared: &HashSet<u128>) -> usize {
    let mut renamed = 0;
    for run in runs {
        let Some(of) = placed.get(run.record.experiment as usize) else { continue };
        if shared.contains(&of.key(&run.record)) {
            let nested = of.is_nested(&run.record);
            run.record.run = with_hash(&run.record.run, &run.record.params_sha256);
            run.record.dir = of.dir(&run.record.run, nested);
            renamed += 1;
        }
    }
    renamed
}

fn name_twins(placed: &[Placed<'_>], runs: &[PlannedRun], keys: &[u128], same: u128) -> Box<Diagnostic> {
    let mut twins =
        runs.iter().zip(keys).enumerate().filter(|(_, (_, key))| **key == same).filter_map(|(line, (run, _))| {
            let of = placed.get(run.record.experiment as usize)?;
            let index = line - runs.partition_point(|other| other.record.experiment < run.record.experiment);
            let assignments = of.expansion.runs().nth(index)?.ok()?.assignments;
            Some((of.describe(index, &assignments), of.experiment, assignments, &run.record.dir))
        });
    let (Some(first), Some(second)) = (twins.next(), twins.next()) else {
        return Box::new(Diagnostic::error("two runs would share a directory"));
    };
    let message = format!("{} and {} have the same parameters and would share `{}`", first.0, second.0, first.3);
    let diagnostic = Diagnostic::error(message).help("remove or rename one of them");
    // The values that repeat, or the experiments.
    let pairs = first.2.iter().zip(&second.2).map(|(a, b)| (a.at, b.at));
    let names = || (first.1.key_at("name"), second.1.key_at("name"));
    let (a, b) = pairs.into_iter().find(|(a, b)| a != b).unwrap_or_else(names);
    Box::new(diagnostic.at(b).label("again here").also(a, "first here"))
}

/// The sum over all experiments must fit the numbers of a plan's lines.
fn check_sum(placed: &[Placed<'_>]) -> Result<(), Box<Diagnostic>> {
    let repetitions = |placed: &Placed<'_>| {
        let runs = if placed.experiment.first_run_only { 1 } else { placed.expansion.len() };
        runs.saturating_mul(u64::from(placed.experiment.repetitions))
    };
    let sum = placed.iter().map(repetitions).fold(0, u64::saturating_add);
    let runs = placed.iter().map(|placed| placed.expansion.len()).fold(0, u64::saturating_add);
    if sum.max(runs) <= LIMIT {
        return Ok(());
    }
    let terms: Vec<_> = placed.iter().map(|p| format!("{} (`{}`)", repetitions(p), p.experiment.name)).collect();
    let message = format!("the plan asks for too much: {} = {sum} repetitions, more than {LIMIT}", terms.join(" + "));
    let largest = placed.iter().max_by_key(|placed| repetitions(placed)).map(|placed| placed.experiment);
    let at = largest.map(|experiment| experiment.key_at("name")).unwrap_or_default();
    Err(Box::new(Diagnostic::error(message).at(at).help("plan fewer experiments at once with `-e`")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::hex;
    use crate::experiment::testing::{exclude, experiment, sweep};

    fn root() -> &'static Path {
        Path::new("/home/u")
    }

    fn runs(experiments: &[Experiment]) -> Result<Runs, Box<Diagnostic>> {
        resolve(experiments, root(), |_| Ok(()))
    }

    fn dirs(experiments: &[Experiment]) -> Vec<String> {
        runs(experiments).unwrap().runs.into_iter().map(|run| run.record.dir).collect()
    }

    #[test]
    fn runs_lie_where_the_original_put_them() {
        let e = experiment("e", "{}", vec![sweep("grid", r#"{"lr": [1, 2]}"#)]);
        assert_eq!(dirs(&[e, experiment("f", "{}", vec![])]), ["out/e/e__l1", "out/e/e__l2", "out/f"]);
    }

    #[test]
    fn runs_that_would_share_a_directory_get_a_hash() {
        let e = experiment("e", "{}", vec![sweep("grid", r#"{"lr": ["a b", "ab", "c"]}"#)]);
        let Runs { runs, notes } = runs(&[e]).unwrap();
        let hash = hex(&Sha256::digest(br#"{"lr":"a b"}"#));
        assert_eq!(runs[0].record.run, format!("e__lab-{}", &hash[..12]));
        assert_ne!(runs[1].record.run, runs[0].record.run);
        assert_eq!(runs[2].record.run, "e__lc");
        assert_eq!(notes, ["2 runs got a hash in their names: they would have shared a directory"]);
        assert!(runs.iter().all(|run| run.record.dir.ends_with(&run.record.run)));
    }

    #[test]
    fn experiments_that_differ_only_in_unsafe_characters_are_kept_apart() {
        let mut b = experiment("e-1", r#"{"a": 2}"#, vec![]);
        b.path = "./x/../out/".to_owned();
        let found = dirs(&[experiment("e 1", r#"{"a": 1}"#, vec![]), b]);
        assert!(found[0].starts_with("out/e-1-") && found[1].starts_with("./x/../out/e-1-"), "{found:?}");
        assert_ne!(Path::new(&found[0]).file_name(), Path::new(&found[1]).file_name());
    }

    #[test]
    fn an_exclude_that_leaves_nothing_is_an_error() {
        let mut e = experiment("e", r#"{"opt": "adam"}"#, vec![sweep("grid", r#"{"lr": [1, 2]}"#)]);
        e.exclude = vec![exclude(r#"{"opt": "adam"}"#)];
        let error = runs(&[e]).unwrap_err().message;
        assert_eq!(error, "`exclude` drops every run of experiment `e`");
    }

    #[test]
    fn patterns_that_exclude_nothing_are_told() {
        let mut e = experiment("e", "{}", vec![sweep("grid", r#"{"a": [1, 2]}"#)]);
        e.exclude = [r#"{"a": "1"}"#, r#"{"a": 1.0}"#, r#"{"b": 1}"#].map(exclude).to_vec();
        let Runs { runs, notes } = runs(&[e]).unwrap();
        assert_eq!(runs.len(), 1);
        let note = |pattern: &str| {
            format!("experiment `e`: no run matches `exclude: {pattern}` (a parameter's name and type count)")
        };
        assert_eq!(notes, [note(r#"{"a":"1"}"#), note(r#"{"b":1}"#)]);
    }

    #[test]
    fn what_is_wrong_with_the_first_run_is_told() {
        let values: Vec<_> = (0..1000).map(|value| value.to_string()).collect();
        let e = experiment("e", "{}", vec![sweep("grid", &format!(r#"{{"a": [{}]}}"#, values.join(",")))]);
        let check = |run: Resolved<'_>| {
            let name = &run.record.run;
            if name.ends_with('7') { Err(Box::new(Diagnostic::error(name.clone()))) } else { Ok(()) }
        };
        assert_eq!(resolve(&[e], root(), check).unwrap_err().message, "e__a7");
    }

    #[test]
    fn the_same_run_twice_is_an_error() {
        let e = experiment("e", "{}", vec![sweep("grid", r#"{"lr": [1, 2, 1]}"#)]);
        let error = runs(&[e]).unwrap_err();
        let hash = &hex(&Sha256::digest(br#"{"lr":1}"#))[..12];
        assert_eq!(
            error.message,
            format!(
                "run 1 of experiment `e` (lr = 1) and run 3 of experiment `e` (lr = 1) have the same parameters \
                 and would share `out/e/e__l1-{hash}`"
            )
        );
    }

    #[test]
    fn the_whole_plan_has_a_limit() {
        let mut e = experiment("e", "{}", vec![]);
        e.repetitions = 60_000_000;
        let mut f = e.clone();
        f.name = "f".to_owned();
        let error = runs(&[e, f]).unwrap_err().message;
        assert!(error.contains("60000000 (`e`) + 60000000 (`f`) = 120000000 repetitions"), "{error}");
    }
}
