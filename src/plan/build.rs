//! The plan builder: streams experiments, runs and jobs to whoever writes them.
//!
//! Owns which repetitions become jobs and in which order. Memory does not grow with the number of runs, beyond the 16 bytes
//! each that [`Outline`] needs to tell directories apart. It must not touch a file: what is finished it asks an [`Oracle`],
//! what is decided it hands to a [`Sink`].

use super::bundle::{self, Bundler, PlannedArray};
use super::outline::{Outline, PlannedRun};
use super::record::{Counts, ExperimentRecord, JobRecord, RunRecord};
use super::settings;
use super::template::Template;
use crate::config::{Diagnostic, Experiment};
use crate::experiment::params_sha256;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// What a plan needs to know besides the configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// The working directory, where relative paths start.
    pub root: PathBuf,
    /// The elements an array may have where the configuration does not say.
    pub max_array_size: u32,
    /// The users' script templates.
    pub templates: Vec<Template>,
    /// What an experiment without `command` runs is the program's own.
    pub command_optional: bool,
}

/// Takes what the builder decides, in the order of the plan's files.
pub trait Sink {
    /// The next experiment, with its own keys in JSON (see [`settings`](super::settings())).
    fn experiment(&mut self, record: &ExperimentRecord, settings_json: &str) -> io::Result<()>;
    /// The next run, with its parameters in JSON.
    fn run(&mut self, record: &RunRecord, params_json: &str) -> io::Result<()>;
    /// The next job.
    fn job(&mut self, record: &JobRecord) -> io::Result<()>;
}

/// Knows which repetitions are finished.
pub trait Oracle {
    /// The finished repetitions of a run, asked once a run. An error stops the plan, as one does where a finished repetition has
    /// other parameters.
    fn finished_reps(&self, run: &PlannedRun<'_>, params_sha256: &str) -> anyhow::Result<Finished>;
}

/// The oracle for `-o` and for tests: nothing is finished.
#[derive(Debug, Clone, Copy)]
#[cfg(test)]
pub struct NothingFinished;

#[cfg(test)]
impl Oracle for NothingFinished {
    fn finished_reps(&self, _: &PlannedRun<'_>, _: &str) -> anyhow::Result<Finished> {
        Ok(Finished::default())
    }
}

/// A set of repetitions of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finished {
    bits: Vec<u64>,
}

impl Finished {
    /// Adds a repetition.
    pub fn insert(&mut self, rep: u32) {
        let word = rep as usize / 64;
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        if let Some(bits) = self.bits.get_mut(word) {
            *bits |= 1 << (rep % 64);
        }
    }

    /// Whether a repetition is in it.
    pub fn contains(&self, rep: u32) -> bool {
        self.bits.get(rep as usize / 64).is_some_and(|bits| bits & 1 << (rep % 64) != 0)
    }
}

impl FromIterator<u32> for Finished {
    fn from_iter<I: IntoIterator<Item = u32>>(reps: I) -> Self {
        let mut finished = Finished::default();
        reps.into_iter().for_each(|rep| finished.insert(rep));
        finished
    }
}

/// What was decided, for the manifest and the scripts.
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    /// How many there are of everything.
    pub counts: Counts,
    /// The arrays, in submission order; none where nothing is left to do.
    pub arrays: Vec<PlannedArray>,
    /// Runs with a hash in their name because two would have shared a directory.
    pub renamed: u64,
    /// Patterns of `exclude` (JSON) that match no run, with their experiment's name.
    pub idle_excludes: Vec<(String, String)>,
}

/// Why there is no plan.
#[derive(Debug)]
pub enum Error {
    /// The runs have no place on disk.
    Outline(Box<Diagnostic>),
    /// An experiment has no `command`.
    NoCommand {
        /// Its name.
        experiment: String,
    },
    /// Finished repetitions could not be told, or contradict the plan.
    Oracle(anyhow::Error),
    /// The plan could not be written.
    Sink(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Outline(diagnostic) => f.write_str(&diagnostic.message),
            Error::NoCommand { experiment } => {
                write!(f, "experiment `{experiment}` has no `command`; say what a repetition runs")
            }
            Error::Oracle(error) => write!(f, "{error:#}"),
            Error::Sink(error) => write!(f, "the plan cannot be written: {error}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Sink(error)
    }
}

/// Decides a plan: every experiment and every run goes to the sink, and so does every job of unfinished repetitions.
///
/// Jobs hold repetitions run by run, repetition by repetition, never of two experiments.
///
/// # Errors
///
/// See [`Error`]; what the sink got until then is no plan.
pub fn build(
    experiments: &[Experiment],
    options: &Options,
    oracle: &dyn Oracle,
    sink: &mut dyn Sink,
) -> Result<Built, Error> {
    let outline = Outline::new(experiments, &options.root).map_err(Error::Outline)?;
    let mut counts = Counts::default();
    let mut records = Vec::with_capacity(experiments.len());
    for experiment in experiments {
        let mut record = settings::record(experiment);
        if record.command.is_none() && !options.command_optional {
            return Err(Error::NoCommand { experiment: experiment.name.clone() });
        }
        let path = record.slurm.path_to_template.as_deref();
        let template = path.and_then(|path| options.templates.iter().find(|template| template.path == path));
        record.template = template.map(Template::copy);
        sink.experiment(&record, &settings::settings(experiment).to_json())?;
        records.push(record);
        counts.experiments += 1;
    }
    let mut jobs = vec![0; experiments.len()];
    let mut runs = outline.runs().peekable();
    while let Some(run) = runs.peek() {
        let (index, experiment) = (run.experiment_index, run.experiment);
        let mut bundler = Bundler::new(experiment.reps_per_job);
        let mut written = 0;
        while let Some(run) = runs.next_if(|run| run.experiment_index == index) {
            let sha256 = params_sha256(&run.run.params);
            let finished = oracle.finished_reps(&run, &sha256).map_err(Error::Oracle)?;
            let dir = run.dir.to_string_lossy().into_owned();
            let record = RunRecord { experiment: index, run: run.name, dir, params_sha256: sha256 };
            sink.run(&record, &run.run.params.to_json())?;
            counts.runs += 1;
            for rep in 0..experiment.repetitions {
                if finished.contains(rep) {
                    counts.finished += 1;
                    continue;
                }
                counts.repetitions += 1;
                if let Some(job) = bundler.push(run.line, rep) {
                    sink.job(&job)?;
                    written += 1;
                }
            }
        }
        if let Some(job) = bundler.finish() {
            sink.job(&job)?;
            written += 1;
        }
        counts.jobs += written;
        if let Some(jobs) = jobs.get_mut(index as usize) {
            *jobs = written;
        }
    }
    let idle_excludes = outline.idle_excludes().map(|(name, pattern)| (name.to_owned(), pattern.to_json())).collect();
    let arrays = bundle::arrays(&records, &jobs, options.max_array_size);
    Ok(Built { counts, arrays, renamed: outline.renamed(), idle_excludes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::testing::{experiment, sweep};
    use proptest::prelude::*;
    use std::path::Path;

    #[test]
    fn a_set_holds_what_was_put_into_it() {
        let finished: Finished = [0, 70].into_iter().collect();
        assert!(finished.contains(70) && !finished.contains(1));
    }

    /// Keeps everything.
    #[derive(Default)]
    struct Memory {
        experiments: Vec<ExperimentRecord>,
        runs: Vec<(RunRecord, String)>,
        jobs: Vec<JobRecord>,
    }

    impl Sink for Memory {
        fn experiment(&mut self, record: &ExperimentRecord, _: &str) -> io::Result<()> {
            self.experiments.push(record.clone());
            Ok(())
        }
        fn run(&mut self, record: &RunRecord, params_json: &str) -> io::Result<()> {
            self.runs.push((record.clone(), params_json.to_owned()));
            Ok(())
        }
        fn job(&mut self, record: &JobRecord) -> io::Result<()> {
            self.jobs.push(record.clone());
            Ok(())
        }
    }

    impl<F: Fn(&str) -> Vec<u32>> Oracle for F {
        fn finished_reps(&self, run: &PlannedRun<'_>, _: &str) -> anyhow::Result<Finished> {
            Ok(self(run.dir.to_str().unwrap()).into_iter().collect())
        }
    }

    fn options() -> Options {
        Options { root: PathBuf::from("/home/u"), max_array_size: 1001, templates: Vec::new(), command_optional: false }
    }

    #[test]
    fn finished_repetitions_are_left_out_and_their_runs_kept() {
        let mut e = experiment("e", "{}", vec![sweep("grid", r#"{"a": [1, 2, 3]}"#)]);
        (e.repetitions, e.reps_per_job) = (3, 2);
        let f = experiment("f", r#"{"x": 1}"#, vec![]);
        let mut memory = Memory::default();
        let oracle = |dir: &str| match dir {
            "out/e/e__a1" => vec![1],
            "out/e/e__a2" => vec![0, 1, 2],
            _ => vec![],
        };
        let built = build(&[e, f], &options(), &oracle, &mut memory).unwrap();
        let runs: Vec<_> =
            memory.runs.iter().map(|(run, params)| (run.experiment, run.run.as_str(), params.as_str())).collect();
        assert_eq!(
            runs,
            [
                (0, "e__a1", r#"{"a":1}"#),
                (0, "e__a2", r#"{"a":2}"#),
                (0, "e__a3", r#"{"a":3}"#),
                (1, "f", r#"{"x":1}"#)
            ]
        );
        let jobs: Vec<_> = memory.jobs.iter().map(|job| job.reps.clone()).collect();
        assert_eq!(jobs, [vec![(0, 0, 1), (0, 2, 1)], vec![(2, 0, 2)], vec![(2, 2, 1)], vec![(3, 0, 1)]]);
        assert_eq!(built.counts, Counts { experiments: 2, runs: 4, repetitions: 6, finished: 4, jobs: 4 });
        assert_eq!(built.arrays.len(), 1);
        assert_eq!(memory.runs[3].0.params_sha256, "5041bf1f713df204784353e82f6a4a535931cb64f1f4b4a5aeaffcb720918b22");
    }

    #[test]
    fn nothing_left_to_do_gives_no_array() {
        let mut memory = Memory::default();
        let built = build(&[experiment("e", "{}", vec![])], &options(), &|_: &str| vec![0], &mut memory).unwrap();
        assert_eq!((built.arrays.len(), built.counts.finished, memory.runs.len()), (0, 1, 1));
    }

    #[test]
    fn a_missing_command_is_an_error() {
        let mut e = experiment("e", "{}", vec![]);
        e.command = None;
        let error = build(&[e], &options(), &NothingFinished, &mut Memory::default()).unwrap_err();
        assert_eq!(error.to_string(), "experiment `e` has no `command`; say what a repetition runs");
    }

    proptest! {
        #[test]
        fn list_and_plan_agree_on_jobs(shape in prop::collection::vec((0..4usize, 1..5u32, 1..5u32), 0..5)) {
            let experiments: Vec<_> = shape.iter().enumerate().map(|(i, (values, repetitions, reps_per_job))| {
                let values: Vec<_> = (0..*values).map(|v| v.to_string()).collect();
                let mut e = experiment(&format!("e{i}"), "{}", vec![sweep("grid", &format!(r#"{{"a": [{}]}}"#, values.join(",")))]);
                (e.repetitions, e.reps_per_job) = (*repetitions, *reps_per_job);
                e
            }).collect();
            let mut memory = Memory::default();
            build(&experiments, &options(), &NothingFinished, &mut memory).unwrap();
            let written: Vec<_> = memory.jobs.iter().zip(0u64..).flat_map(|(job, number)| {
                job.reps.iter().flat_map(move |(run, first, n)| (*first..first + n).map(move |rep| (*run, rep, number)))
            }).collect();
            let mut listed = Vec::new();
            Outline::new(&experiments, Path::new("/")).unwrap().repetitions(|rep| {
                listed.push((rep.run.line, rep.rep, rep.job));
                true
            });
            prop_assert_eq!(listed, written);
        }
    }
}
