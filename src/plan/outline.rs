//! Which runs a plan has and where each lies, before anything is decided about jobs.
//!
//! Owns that no two runs of a plan share a directory. It sees all experiments at once, but never holds more than one run:
//! to find directories that clash it keeps 16 bytes a run.

use super::layout;
use crate::config::{Diagnostic, Experiment};
use crate::experiment::{Expansion, LIMIT, Run, component, params_sha256, with_hash};
use crate::paths::clean;
use crate::value::Value;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// All experiments of a plan, expanded but not yet computed.
#[derive(Debug)]
pub struct Outline<'e> {
    experiments: Vec<Placed<'e>>,
    /// Directories that several runs would share.
    shared: HashSet<u128>,
}

/// An experiment with its place on disk.
#[derive(Debug)]
struct Placed<'e> {
    expansion: Expansion<'e>,
    /// The experiment's name as a folder.
    folder: String,
    /// What identifies that folder, whatever way its path is written.
    key: String,
}

/// A run with its place in the plan.
#[derive(Debug, Clone)]
pub struct PlannedRun<'o> {
    /// The experiment.
    pub experiment: &'o Experiment,
    /// The experiment's number, from 0.
    pub experiment_index: u32,
    /// The run's number in the whole plan, from 0.
    pub line: u32,
    /// Its parameters and what set them.
    pub run: Run<'o>,
    /// Its final name: the experiment's where nothing is combined, with a hash of the parameters where the directory would clash.
    pub name: String,
    /// Its folder, relative to the plan's root or absolute.
    pub dir: PathBuf,
}

/// A repetition with its place in the plan; see [`Outline::repetitions`].
#[derive(Debug, Clone)]
pub struct PlannedRep<'r, 'o> {
    /// The run it belongs to.
    pub run: &'r PlannedRun<'o>,
    /// Its number, from 0.
    pub rep: u32,
    /// Its directory.
    pub dir: PathBuf,
    /// The job it lies in as long as none is finished, counted over the whole plan from 0.
    pub job: u64,
}

impl<'e> Outline<'e> {
    /// Expands the experiments and finds the directories that clash. `root` is where relative paths start.
    ///
    /// # Errors
    ///
    /// An experiment that cannot be expanded, too many runs, two runs that are the same.
    pub fn new(experiments: &'e [Experiment], root: &Path) -> Result<Self, Box<Diagnostic>> {
        let mut placed = Vec::with_capacity(experiments.len());
        for experiment in experiments {
            let expansion = Expansion::new(experiment)?;
            if !experiment.exclude.is_empty() && expansion.runs().next().is_none() {
                let message = format!("`exclude` drops every run of experiment `{}`", experiment.name);
                let diagnostic = Diagnostic::error(message).at(experiment.key_at("exclude"));
                return Err(Box::new(diagnostic.help("narrow it, or leave the experiment out")));
            }
            let folder = component(&experiment.name);
            // A symbolic link may fool it in both directions; that only costs a hash in a name, or is the user's wish.
            let key = clean(&root.join(layout::run_dir(&experiment.path, &folder, None)));
            let key = key.to_string_lossy().into_owned();
            placed.push(Placed { expansion, folder, key });
        }
        check_sum(&placed)?;
        let mut outline = Outline { experiments: placed, shared: HashSet::new() };
        outline.shared = twice(outline.keys());
        if !outline.shared.is_empty() {
            // With the hashes appended, only runs that are the same still share a directory.
            if let Some(same) = twice(outline.keys()).into_iter().next() {
                return Err(outline.name_twins(same));
            }
        }
        Ok(outline)
    }

    /// How many runs have a hash in their name because another one would have had the same directory.
    pub fn renamed(&self) -> u64 {
        if self.shared.is_empty() {
            return 0;
        }
        let renamed = self.experiments.iter().flat_map(|placed| {
            placed.expansion.runs().filter(|run| self.shared.contains(&hash(&placed.key, run.name.as_deref())))
        });
        renamed.count() as u64
    }

    /// The patterns of `exclude` that match no run of their experiment, with its name.
    pub fn idle_excludes(&self) -> impl Iterator<Item = (&'e str, &'e Value)> {
        self.experiments.iter().flat_map(|placed| {
            let name = placed.expansion.experiment().name.as_str();
            placed.expansion.idle_excludes().into_iter().map(move |pattern| (name, pattern))
        })
    }

    /// Every run, in plan order.
    pub fn runs(&self) -> impl Iterator<Item = PlannedRun<'_>> {
        let runs = (0..)
            .zip(&self.experiments)
            .flat_map(|(index, placed)| placed.expansion.runs().map(move |run| (index, placed, run)));
        (0..).zip(runs).map(|(line, (experiment_index, placed, run))| {
            let experiment = placed.expansion.experiment();
            let suffix = self.suffix(placed, &run);
            let with = |name: &str| suffix.as_deref().map_or_else(|| name.to_owned(), |hash| with_hash(name, hash));
            let (name, dir) = if let Some(name) = &run.name {
                let name = with(name);
                let dir = layout::run_dir(&experiment.path, &placed.folder, Some(&name));
                (name, dir)
            } else {
                let name = with(&placed.folder);
                let dir = layout::run_dir(&experiment.path, &name, None);
                (name, dir)
            };
            PlannedRun { experiment, experiment_index, line, run, name, dir }
        })
    }

    /// Calls `visit` with every repetition in plan order, until it says `false`; nothing is written.
    ///
    /// A job number is the one that [`build`](super::build::build) gives as long as no repetition is finished.
    pub fn repetitions(&self, mut visit: impl FnMut(&PlannedRep<'_, '_>) -> bool) {
        let mut first_job = 0;
        let mut of_experiment = None;
        let mut before = 0;
        for run in self.runs() {
            let per_job = u64::from(run.experiment.reps_per_job.max(1));
            if of_experiment.is_none_or(|(index, _)| index != run.experiment_index) {
                if let Some((_, per_job)) = of_experiment {
                    first_job += u64::div_ceil(before, per_job);
                }
                (of_experiment, before) = (Some((run.experiment_index, per_job)), 0);
            }
            for rep in 0..run.experiment.repetitions {
                let job = first_job + before / per_job;
                let dir = layout::rep_dir(&run.dir, rep);
                if !visit(&PlannedRep { run: &run, rep, dir, job }) {
                    return;
                }
                before += 1;
            }
        }
    }

    /// The hash a run's name must end in, where its directory would clash.
    fn suffix(&self, placed: &Placed<'_>, run: &Run<'_>) -> Option<String> {
        let clash = !self.shared.is_empty() && self.shared.contains(&hash(&placed.key, run.name.as_deref()));
        clash.then(|| params_sha256(&run.params))
    }

    /// What identifies each run's directory, with what is known of clashes so far.
    fn keys(&self) -> impl Iterator<Item = u128> {
        self.experiments.iter().flat_map(move |placed| {
            placed.expansion.runs().map(move |run| match self.suffix(placed, &run) {
                None => hash(&placed.key, run.name.as_deref()),
                Some(suffix) => match run.name {
                    Some(name) => hash(&placed.key, Some(&with_hash(&name, &suffix))),
                    None => hash(&with_hash(&placed.key, &suffix), None),
                },
            })
        })
    }

    fn name_twins(&self, same: u128) -> Box<Diagnostic> {
        let mut twins = self.runs().zip(self.keys()).filter(|(_, key)| *key == same).map(|(run, _)| run);
        let (Some(first), Some(second)) = (twins.next(), twins.next()) else {
            return Box::new(Diagnostic::error("two runs would share a directory"));
        };
        let (one, two, dir) = (describe(&first), describe(&second), first.dir.display());
        let message = format!("{one} and {two} have the same parameters and would share `{dir}`");
        let diagnostic = Diagnostic::error(message).help("remove or rename one of them");
        // The values that repeat, or the experiments.
        let pairs = first.run.assignments.iter().zip(&second.run.assignments);
        let (a, b) = pairs
            .map(|(a, b)| (a.at, b.at))
            .find(|(a, b)| a != b)
            .unwrap_or_else(|| (first.experiment.key_at("name"), second.experiment.key_at("name")));
        Box::new(diagnostic.at(b).label("again here").also(a, "first here"))
    }
}

fn describe(run: &PlannedRun<'_>) -> String {
    let set: Vec<_> = run.run.assignments.iter().map(|a| format!("{} = {}", a.path.join("."), a.value)).collect();
    let set = if set.is_empty() { String::new() } else { format!(" ({})", set.join(", ")) };
    format!("run {} of experiment `{}`{set}", run.run.index + 1, run.experiment.name)
}

/// The sum over all experiments must fit the numbers of a plan's lines.
fn check_sum(placed: &[Placed<'_>]) -> Result<(), Box<Diagnostic>> {
    let repetitions = |placed: &Placed<'_>| {
        let runs = if placed.expansion.experiment().first_run_only { 1 } else { placed.expansion.len() };
        runs.saturating_mul(u64::from(placed.expansion.experiment().repetitions))
    };
    let sum = placed.iter().map(repetitions).fold(0, u64::saturating_add);
    let runs = placed.iter().map(|placed| placed.expansion.len()).fold(0, u64::saturating_add);
    if sum.max(runs) <= LIMIT {
        return Ok(());
    }
    let terms: Vec<_> =
        placed.iter().map(|p| format!("{} (`{}`)", repetitions(p), p.expansion.experiment().name)).collect();
    let message = format!("the plan asks for too much: {} = {sum} repetitions, more than {LIMIT}", terms.join(" + "));
    let largest = placed.iter().max_by_key(|placed| repetitions(placed)).map(|placed| placed.expansion.experiment());
    let at = largest.map(|experiment| experiment.key_at("name")).unwrap_or_default();
    Err(Box::new(Diagnostic::error(message).at(at).help("plan fewer experiments at once with `-e`")))
}

/// The values that come more than once.
fn twice(keys: impl Iterator<Item = u128>) -> HashSet<u128> {
    let mut keys: Vec<_> = keys.collect();
    keys.sort_unstable();
    keys.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect()
}

fn hash(folder: &str, run: Option<&str>) -> u128 {
    let mut digest = Sha256::new();
    digest.update(folder.as_bytes());
    if let Some(run) = run {
        digest.update(b"/");
        digest.update(run.as_bytes());
    }
    digest.finalize().iter().take(16).fold(0, |hash, byte| hash << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::hex;
    use crate::experiment::testing::{experiment, sweep};

    fn root() -> &'static Path {
        Path::new("/home/u")
    }

    fn dirs(experiments: &[Experiment]) -> Vec<String> {
        let outline = Outline::new(experiments, root()).unwrap();
        outline.runs().map(|run| run.dir.display().to_string()).collect()
    }

    #[test]
    fn runs_lie_where_the_original_put_them() {
        let e = experiment("e", "{}", vec![sweep("grid", r#"{"lr": [1, 2]}"#)]);
        assert_eq!(dirs(&[e, experiment("f", "{}", vec![])]), ["out/e/e__l1", "out/e/e__l2", "out/f"]);
    }

    #[test]
    fn runs_that_would_share_a_directory_get_a_hash() {
        let e = experiment("e", "{}", vec![sweep("grid", r#"{"lr": ["a b", "ab", "c"]}"#)]);
        let outline = Outline::new(std::slice::from_ref(&e), root()).unwrap();
        let runs: Vec<_> = outline.runs().collect();
        let hash = hex(&Sha256::digest(br#"{"lr":"a b"}"#));
        assert_eq!(runs[0].name, format!("e__lab-{}", &hash[..12]));
        assert_ne!(runs[1].name, runs[0].name);
        assert_eq!(runs[2].name, "e__lc");
        assert_eq!(outline.renamed(), 2);
        assert!(runs.iter().all(|run| run.dir.ends_with(&run.name)));
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
        e.exclude = vec![crate::experiment::testing::value(r#"{"opt": "adam"}"#)];
        let error = Outline::new(&[e], root()).unwrap_err().message;
        assert_eq!(error, "`exclude` drops every run of experiment `e`");
    }

    #[test]
    fn the_same_run_twice_is_an_error() {
        let e = experiment("e", "{}", vec![sweep("grid", r#"{"lr": [1, 2, 1]}"#)]);
        let error = Outline::new(&[e], root()).unwrap_err();
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
        let error = Outline::new(&[e, f], root()).unwrap_err().message;
        assert!(error.contains("60000000 (`e`) + 60000000 (`f`) = 120000000 repetitions"), "{error}");
    }

    #[test]
    fn repetitions_carry_their_job() {
        let mut e = experiment("e", "{}", vec![sweep("grid", r#"{"lr": [1, 2]}"#)]);
        (e.repetitions, e.reps_per_job) = (3, 4);
        let mut f = experiment("f", "{}", vec![]);
        f.repetitions = 2;
        let experiments = [e, f];
        let outline = Outline::new(&experiments, root()).unwrap();
        let mut found = Vec::new();
        outline.repetitions(|rep| {
            found.push((rep.dir.display().to_string(), rep.job));
            found.len() < 7
        });
        let jobs: Vec<_> = found.iter().map(|(_, job)| *job).collect();
        assert_eq!(jobs, [0, 0, 0, 0, 1, 1, 2]);
        assert_eq!(found[4].0, "out/e/e__l2/log/rep_01");
        assert_eq!(found[6].0, "out/f/log/rep_00");
    }
}
