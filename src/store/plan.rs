//! Plans on disk: written once, whole or not at all; read one job at a time.
//!
//! A plan proves itself: its head and each line that is read are compared with a hash, and what they refer to must be there.

#[cfg(feature = "cli")]
pub mod forged;
#[cfg(test)]
mod tests;
mod writer;

pub use writer::{PlanWriter, next_number};

use super::indexed::Reader;
use super::seal::{is_whole, seal};
use super::{Result, StoreError};
use crate::experiment::params_sha256;
use crate::plan::layout::{self, plan as names};
use crate::plan::record::{
    ArrayRecord, CodeMode, CodeRecord, ExperimentRecord, FORMAT, JobLine, JobRecord, Manifest, RunRecord, Share,
};
use crate::plan::{self, PlannedExperiment, PlannedRun, Reps};
use crate::value::Value;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A plan to be read.
#[derive(Debug)]
pub struct Plan {
    /// Its folder, without symbolic links.
    pub folder: PathBuf,
    /// Where its relative paths start.
    pub root: PathBuf,
    /// Its head.
    pub manifest: Manifest,
    experiments: Reader,
    settings: Reader,
    runs: Reader,
    params: Reader,
    /// There for programs in Python.
    python: Option<Reader>,
    jobs: Reader,
}

/// One element's share of a plan.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its number in the plan.
    pub number: u64,
    /// Its repetitions, in order.
    pub reps: Vec<Rep>,
}

/// One repetition of a job.
#[derive(Debug, Clone)]
pub struct Rep {
    /// What it is a repetition of.
    pub run: Arc<Run>,
    /// Its number.
    pub number: u32,
    /// Its directory.
    pub dir: PathBuf,
}

/// A run and everything the worker must know of it.
#[derive(Debug)]
pub struct Run {
    /// Its experiment.
    pub experiment: Arc<Experiment>,
    /// Its record.
    pub record: RunRecord,
    /// Its parameters.
    pub params: Value,
    /// What a program in Python is given.
    pub python: Option<PythonLine>,
}

/// Where the configuration of a run lies, as a program in Python is given it: a line of a file that was found whole.
#[derive(Debug, Clone)]
pub struct PythonLine {
    /// The file.
    pub file: PathBuf,
    /// The line's first byte.
    pub start: u64,
    /// Its length in bytes.
    pub length: usize,
}

/// An experiment of a plan.
#[derive(Debug)]
pub struct Experiment {
    /// What the worker obeys.
    pub record: ExperimentRecord,
    /// The rest of its configuration.
    pub settings: Value,
}

impl Plan {
    /// Opens a plan's folder; reads only its head.
    pub fn open(folder: &Path) -> Result<Self> {
        #[derive(serde::Deserialize)]
        struct Head {
            format: u32,
        }
        let folder = super::canonical(folder)?;
        let path = folder.join(names::MANIFEST);
        let text = super::read(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                StoreError::corrupt(&folder, "it holds no plan: name a plan's own folder, such as `results/plans/001`")
            }
            _ => error,
        })?;
        let head: Head = serde_json::from_slice(&text).map_err(|error| StoreError::damaged(&path, error))?;
        if head.format > FORMAT {
            let what = format!(
                "it has format {}, written by a newer cw2 than this one (which reads up to {FORMAT})",
                head.format
            );
            return Err(StoreError::corrupt(&path, what));
        }
        if !is_whole(&text) {
            return Err(StoreError::damaged(&path, "it is not what was written"));
        }
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| StoreError::damaged(&path, error))?;
        let open = |name: &str| Reader::open(&folder.join(name), &manifest.id);
        Ok(Plan {
            root: root_of(&folder, &manifest)?,
            experiments: open(names::EXPERIMENTS)?,
            settings: open(names::SETTINGS)?,
            runs: open(names::RUNS)?,
            params: open(names::PARAMS)?,
            python: manifest.python.then(|| open(names::PYTHON)).transpose()?,
            jobs: open(names::JOBS)?,
            folder,
            manifest,
        })
    }

    /// Its name in states and messages: its folder relative to the root.
    pub fn name(&self) -> &str {
        &self.manifest.folder
    }

    /// The folder it was planned as, where it has been moved (or copied) from there: its scripts name that one.
    pub fn moved_from(&self) -> Option<PathBuf> {
        let planned = Path::new(&self.manifest.root);
        (self.root != planned).then(|| planned.join(&self.manifest.folder))
    }

    /// The plan made with `-o` from which on a repetition of this experiment counts as finished; see
    /// [`crate::run::decide::counts_as_finished`].
    pub fn overwrites_before<'a>(&'a self, experiment: &'a ExperimentRecord) -> Option<&'a str> {
        experiment.overwrites_before.as_deref().or(self.manifest.overwrite.then_some(self.name()))
    }

    /// The array that a job lies in, with its number.
    pub fn array_of(&self, job: u64) -> Option<(usize, &ArrayRecord)> {
        self.manifest.arrays.iter().enumerate().find(|(_, array)| array.all_jobs().contains(&job))
    }

    /// Where the processes of a job start: its code snapshot, or the root.
    pub fn start_dir(&self, job: u64) -> PathBuf {
        match self.array_of(job).and_then(|(_, array)| array.code.as_ref()) {
            Some(CodeRecord { mode: CodeMode::Copy, place, .. }) => self.root.join(place),
            Some(CodeRecord { mode: CodeMode::PerJob, place, .. }) => layout::job_copy(&self.root.join(place), job),
            Some(CodeRecord { mode: CodeMode::Archive, .. }) | None => self.root.clone(),
        }
    }

    /// A folder of its code snapshots that is gone, if any is: its jobs would start where no program is.
    pub fn missing_code(&self) -> Option<PathBuf> {
        let arrays = self.manifest.arrays.iter();
        let mut folders = arrays.filter(|array| array.code.is_some()).flat_map(|array| {
            let per_job = array.code.as_ref().is_some_and(|code| code.mode == CodeMode::PerJob);
            array.all_jobs().take(if per_job { usize::MAX } else { 1 }).map(|job| self.start_dir(job))
        });
        folders.find(|folder| !folder.is_dir())
    }

    /// The code snapshot the jobs of an experiment run in, with an absolute place.
    pub fn code_of(&self, experiment: u32) -> Result<Option<CodeRecord>> {
        let of_job = |job: u64| {
            let (line, place) = self.job_line(job)?;
            line.job(place).next().map(|(run, _, _)| self.run_record(run)).transpose()
        };
        for array in self.manifest.arrays.iter().filter(|array| array.code.is_some() && array.jobs > 0) {
            // Jobs are in the order of the experiments.
            let (first, last) = (of_job(array.offset)?, of_job(array.offset + array.jobs - 1)?);
            let within = first.is_some_and(|run| run.experiment <= experiment)
                && last.is_some_and(|run| experiment <= run.experiment);
            if within {
                let absolute = |place: &str| self.root.join(place).to_string_lossy().into_owned();
                return Ok(array.code.clone().map(|code| CodeRecord { place: absolute(&code.place), ..code }));
            }
        }
        Ok(None)
    }

    /// The number of jobs.
    pub fn jobs(&self) -> u64 {
        self.manifest.counts.jobs
    }

    /// Reads the repetitions of one job, and checks all that it says; the cost does not depend on the plan's size.
    pub fn job(&self, number: u64) -> Result<Job> {
        let (line, place) = self.job_line(number)?;
        let mut record = JobRecord { reps: Vec::new() };
        let mut experiments = HashMap::new();
        let mut runs: HashMap<u32, Arc<Run>> = HashMap::new();
        for (run, first, count) in line.job(place) {
            if let Entry::Vacant(unread) = runs.entry(run) {
                unread.insert(Arc::new(self.read_run(run, &mut experiments)?));
            }
            record.reps.push((run, first, count));
        }
        let shape = |line| runs.get(&line).map(|run| (run.record.experiment, run.experiment.record.repetitions));
        record.check(shape).map_err(|why| self.jobs.wrong(number / self.jobs_per_line(), &why))?;
        let mut reps = Vec::new();
        for (line, first, count) in record.reps {
            let Some(run) = runs.get(&line) else { continue };
            for number in first..first.saturating_add(count) {
                let dir = run.record.rep_dir(&self.root, number);
                reps.push(Rep { run: Arc::clone(run), number, dir });
            }
        }
        Ok(Job { number, reps })
    }

    /// The line that a job lies in, and its place there.
    fn job_line(&self, number: u64) -> Result<(JobLine, u64)> {
        let per_line = self.jobs_per_line();
        Ok((read_json(&self.jobs, number / per_line)?, number % per_line))
    }

    fn jobs_per_line(&self) -> u64 {
        self.manifest.jobs_per_line.max(1).into()
    }

    /// The record of one run.
    pub fn run_record(&self, number: u32) -> Result<RunRecord> {
        read_json(&self.runs, number.into())
    }

    /// The record of one experiment.
    pub fn experiment_record(&self, number: u32) -> Result<ExperimentRecord> {
        read_json(&self.experiments, number.into())
    }

    /// All that it says, checked as a whole.
    pub fn read(&self) -> Result<plan::Plan> {
        let counts = self.manifest.counts;
        let mut settings = self.settings.all(counts.experiments, |line| Ok(line.to_owned()))?.into_iter();
        let experiments = self.experiments.all(counts.experiments, |line| {
            Ok(PlannedExperiment { record: parse(line)?, settings: settings.next().unwrap_or_default() })
        })?;
        let texts = |reader: &Reader| reader.all(counts.runs, |line| Ok(line.to_owned()));
        let mut params = texts(&self.params)?.into_iter();
        let mut python = self.python.as_ref().map(texts).transpose()?.unwrap_or_default().into_iter();
        let mut runs = self.runs.all(counts.runs, |line| {
            let (params, python) = (params.next().unwrap_or_default(), python.next().filter(|line| !line.is_empty()));
            Ok(PlannedRun { record: parse(line)?, params, python, reps: Reps::default() })
        })?;
        let known = runs.len();
        let lines: Vec<JobLine> = self.jobs.all(counts.jobs.div_ceil(self.jobs_per_line()), |line| {
            let line: JobLine = parse(line)?;
            let mut add = |(run, first, count): (u32, u32, u32)| match runs.get_mut(run as usize) {
                Some(run) => {
                    run.reps.push(first, count);
                    Ok(())
                }
                None => Err(format!("there is no run {run}, of {known}")),
            };
            match &line {
                JobLine::One(job) => job.reps.iter().copied().try_for_each(&mut add)?,
                JobLine::Many { jobs } => jobs.iter().flat_map(Share::stretches).try_for_each(&mut add)?,
            }
            Ok(line)
        })?;
        for run in &runs {
            let repetitions = experiments.get(run.record.experiment as usize).map_or(0, |e| e.record.repetitions);
            if run.reps.stretches().last().is_some_and(|(first, count)| first.saturating_add(*count) > repetitions) {
                return Err(self
                    .jobs
                    .wrong(0, &format!("`{}` has no more than {repetitions} repetitions", run.record.run)));
            }
        }
        let (finished, arrays) = (counts.finished, self.manifest.arrays.clone());
        let plan = plan::Plan { experiments, runs, finished, ..plan::Plan::default() }.with_arrays(arrays);
        let mut made: Box<dyn Iterator<Item = JobLine>> = match self.manifest.format {
            0 | 1 => Box::new(plan.jobs().map(JobLine::One)),
            _ => Box::new(plan.job_lines()),
        };
        let alike = lines.iter().take_while(|written| made.next().as_ref() == Some(*written)).count();
        if alike < lines.len() || plan.counts() != counts {
            return Err(self.jobs.wrong(alike as u64, "these are not the jobs that its runs make"));
        }
        drop(made);
        Ok(plan)
    }

    /// The records of all experiments.
    pub fn all_experiments(&self) -> Result<Vec<ExperimentRecord>> {
        self.experiments.all(self.manifest.counts.experiments, parse)
    }

    fn read_run(&self, number: u32, experiments: &mut HashMap<u32, Arc<Experiment>>) -> Result<Run> {
        let record = self.run_record(number)?;
        let experiment = if let Some(experiment) = experiments.get(&record.experiment) {
            Arc::clone(experiment)
        } else {
            let settings = value(&self.settings, record.experiment)?;
            let experiment = Arc::new(Experiment { record: self.experiment_record(record.experiment)?, settings });
            experiments.insert(record.experiment, Arc::clone(&experiment));
            experiment
        };
        let params = value(&self.params, number)?;
        if params_sha256(&params) != record.params_sha256 {
            return Err(self.params.wrong(number.into(), "the parameters are not those of their run"));
        }
        let python = self.python.as_ref().map(|reader| python_line(reader, number)).transpose()?.flatten();
        Ok(Run { experiment, record, params, python })
    }
}

fn python_line(reader: &Reader, number: u32) -> Result<Option<PythonLine>> {
    let (start, line) = reader.line_at(number.into())?;
    let file = reader.path().to_owned();
    Ok((!line.is_empty()).then_some(PythonLine { file, start, length: line.len() }))
}

fn value(reader: &Reader, line: u32) -> Result<Value> {
    Value::from_json(&reader.line(line.into())?).map_err(|error| reader.wrong(line.into(), &error.to_string()))
}

fn parse<T: DeserializeOwned>(line: &str) -> std::result::Result<T, String> {
    serde_json::from_str(line).map_err(|error| error.to_string())
}

fn read_json<T: DeserializeOwned>(reader: &Reader, line: u64) -> Result<T> {
    parse(&reader.line(line)?).map_err(|why| reader.wrong(line, &why))
}

/// Where the plan's relative paths start: the place it was planned at, as long as that still leads to this folder (perhaps
/// through a symbolic link), else up from the plan's own folder, so that a moved tree stays whole.
///
/// # Errors
/// Where a folder on the way has another name: the plan's repetitions would be looked for, and run, somewhere else.
fn root_of(folder: &Path, manifest: &Manifest) -> Result<PathBuf> {
    let planned = Path::new(&manifest.root);
    let place = planned.join(&manifest.folder);
    if super::canonical(&place).is_ok_and(|found| found == folder) {
        return Ok(planned.to_owned());
    }
    let mut root = folder.to_owned();
    let mut names: Vec<_> = Path::new(&manifest.folder).components().collect();
    while let Some(name) = names.pop() {
        if root.file_name() != Some(name.as_os_str()) || !root.pop() {
            let what = format!(
                "it was planned as `{}`; a tree of results can be moved, but the folders in it must keep their names",
                place.display()
            );
            return Err(StoreError::corrupt(folder, what));
        }
    }
    Ok(root)
}
