//! Plans on disk: written once, whole or not at all; read one job at a time.

use super::indexed::{Reader, Writer};
use super::made::MadeFolders;
use super::{Error, Result, atomic};
use crate::plan::layout::{self, plan as names};
use crate::plan::record::{CodeMode, CodeRecord, ExperimentRecord, FORMAT, JobRecord, Manifest, RunRecord};
use crate::value::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A plan that is being written, in a hidden folder beside its future place. Dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub struct PlanWriter {
    plans: PathBuf,
    folder: tempfile::TempDir,
    /// Held while the plan is written: a folder without it was left by a planner that died.
    _lock: Option<File>,
    experiments: Writer,
    settings: Writer,
    runs: Writer,
    params: Writer,
    jobs: Writer,
    above: u32,
    // After `folder`: fields are dropped in this order, and only empty folders are removed.
    _made: MadeFolders,
}

impl PlanWriter {
    /// Starts a plan in the folder of plans `plans`, which is created where it is missing.
    pub fn create(plans: &Path) -> Result<Self> {
        remove_abandoned(plans);
        let (folder, made) = loop {
            let made = MadeFolders::make(plans)?;
            let folder = tempfile::Builder::new()
                .prefix(UNFINISHED)
                .permissions(Permissions::from_mode(0o777))
                .tempdir_in(plans);
            match folder {
                Ok(folder) => break (folder, made),
                // Another planner made the folder, failed, and took it away again.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(Error::new("create a plan in", plans, error)),
            }
        };
        let writer = |name: &str| Writer::create(&folder.path().join(name));
        // Where folders cannot be locked, nothing is ever taken for abandoned.
        let lock = File::open(folder.path()).ok().filter(|lock| lock.try_lock().is_ok());
        Ok(PlanWriter {
            plans: plans.to_owned(),
            _lock: lock,
            experiments: writer(names::EXPERIMENTS)?,
            settings: writer(names::SETTINGS)?,
            runs: writer(names::RUNS)?,
            params: writer(names::PARAMS)?,
            jobs: writer(names::JOBS)?,
            folder,
            above: 0,
            _made: made,
        })
    }

    /// Keeps the plan from a number up to this one, though no such plan is there (any more).
    pub fn number_above(&mut self, number: u32) {
        self.above = number;
    }

    /// The folder the plan is written in, until [`PlanWriter::finish`] renames it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Adds a file.
    pub fn file(&self, name: &str, content: &[u8]) -> Result<()> {
        write_synced(&self.folder.path().join(name), content)
    }

    /// Adds an experiment and a user's own keys for it, as JSON.
    pub fn experiment(&mut self, record: &ExperimentRecord, settings: &str) -> Result<()> {
        self.experiments.push(&json(record))?;
        self.settings.push(settings)
    }

    /// Adds a run and its parameters, as JSON.
    pub fn run(&mut self, record: &RunRecord, params: &str) -> Result<()> {
        self.runs.push(&json(record))?;
        self.params.push(params)
    }

    /// Adds a job.
    pub fn job(&mut self, record: &JobRecord) -> Result<()> {
        self.jobs.push(&json(record))
    }

    /// Adds a verbatim copy of a file, in a folder of the plan.
    pub fn copy(&self, folder: &str, name: &str, text: &str) -> Result<()> {
        let folder = self.folder.path().join(folder);
        fs::create_dir_all(&folder).map_err(|source| Error::new("create", &folder, source))?;
        write_synced(&folder.join(name), text.as_bytes())
    }

    /// Writes manifest and scripts, and gives the plan its number. `head` makes them from the plan's final name; it is
    /// asked again where another planner took the number meanwhile. Returns the plan's folder.
    pub fn finish<E: From<Error>>(
        self,
        head: impl Fn(&str) -> std::result::Result<(Manifest, Vec<(String, String)>), E>,
    ) -> std::result::Result<PathBuf, E> {
        for writer in [self.experiments, self.settings, self.runs, self.params, self.jobs] {
            writer.finish()?;
        }
        let folder = self.folder.path();
        let log = folder.join(names::SLURM_LOG);
        fs::create_dir(&log).map_err(|source| Error::new("create", &log, source))?;
        let mut number = next_number(&self.plans, self.above)?;
        loop {
            let name = layout::plan_name(number);
            let (manifest, scripts) = head(&name)?;
            for (script, text) in scripts {
                write_synced(&folder.join(script), text.as_bytes())?;
            }
            write_synced(&folder.join(names::MANIFEST), format!("{}\n", pretty(&manifest)).as_bytes())?;
            atomic::sync_folder(folder)?;
            let place = self.plans.join(&name);
            match fs::rename(folder, &place) {
                Ok(()) => {
                    // Renamed away: nothing is left to remove.
                    let _ = self.folder.keep();
                    atomic::sync_folder(&self.plans)?;
                    return Ok(place);
                }
                Err(error) if super::exists(&place) && error.kind() != ErrorKind::PermissionDenied => {
                    number += 1;
                }
                Err(error) => return Err(Error::new("create", &place, error).into()),
            }
        }
    }
}

/// What the folders of unfinished plans begin with.
const UNFINISHED: &str = ".new-";

/// Removes what planners that were killed left behind: folders no one holds, for longer than one takes to be locked.
fn remove_abandoned(plans: &Path) {
    let Ok(entries) = fs::read_dir(plans) else { return };
    for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
        let unfinished = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED));
        let old = || {
            let age = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok()?.elapsed().ok()?;
            (age > ABANDONED_AFTER).then_some(())
        };
        if unfinished
            && old().is_some()
            && super::files::open_folder(&path).is_ok_and(|folder| folder.try_lock().is_ok())
        {
            // Only room on the disk is at stake.
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Between the creation of a folder and its lock lie microseconds.
const ABANDONED_AFTER: Duration = Duration::from_secs(60);

/// The number the next plan of this folder of plans will most likely get; it is above `above`.
pub fn next_number(plans: &Path, above: u32) -> Result<u32> {
    let entries = match fs::read_dir(plans) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(above.saturating_add(1)),
        Err(error) => return Err(Error::new("read", plans, error)),
    };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    Ok(numbers.max().unwrap_or(0).max(above).saturating_add(1))
}

fn write_synced(path: &Path, content: &[u8]) -> Result<()> {
    super::files::create(path)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .map_err(|source| Error::new("write", path, source))
}

fn json(record: &impl Serialize) -> String {
    // Records hold only types that JSON can carry.
    serde_json::to_string(record).unwrap_or_default()
}

fn pretty(record: &impl Serialize) -> String {
    // As above.
    serde_json::to_string_pretty(record).unwrap_or_default()
}

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
                Error::corrupt(&folder, "it holds no plan: name a plan's own folder, such as `results/plans/001`")
            }
            _ => error,
        })?;
        let head: Head = serde_json::from_slice(&text).map_err(|error| Error::corrupt(&path, error.to_string()))?;
        if head.format > FORMAT {
            let what = format!(
                "it has format {}, written by a newer cw2 than this one (which reads up to {FORMAT})",
                head.format
            );
            return Err(Error::corrupt(&path, what));
        }
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| Error::corrupt(&path, error.to_string()))?;
        let open = |name: &str| Reader::open(&folder.join(name));
        Ok(Plan {
            root: root_of(&folder, &manifest)?,
            experiments: open(names::EXPERIMENTS)?,
            settings: open(names::SETTINGS)?,
            runs: open(names::RUNS)?,
            params: open(names::PARAMS)?,
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
    /// [`crate::run::decide::keeps`].
    pub fn overwrites_before<'a>(&'a self, experiment: &'a ExperimentRecord) -> Option<&'a str> {
        experiment.overwrites_before.as_deref().or(self.manifest.overwrite.then_some(self.name()))
    }

    /// Where the processes of a job start: its code snapshot, or the root.
    pub fn start_dir(&self, job: u64) -> PathBuf {
        let mut arrays = self.manifest.arrays.iter();
        let array = arrays.find(|array| job.checked_sub(array.offset).is_some_and(|index| index < array.jobs));
        match array.and_then(|array| array.code.as_ref()) {
            Some(CodeRecord { mode: CodeMode::Copy, place, .. }) => self.root.join(place),
            Some(CodeRecord { mode: CodeMode::PerJob, place, .. }) => layout::job_copy(&self.root.join(place), job),
            Some(CodeRecord { mode: CodeMode::Archive, .. }) | None => self.root.clone(),
        }
    }

    /// The code snapshot the jobs of an experiment run in, with an absolute place.
    pub fn code_of(&self, experiment: u32) -> Result<Option<CodeRecord>> {
        let of_job = |job: u64| {
            let record = self.job_record(job)?;
            record.reps.first().map(|(run, _, _)| self.run_record(*run)).transpose()
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

    /// Reads the repetitions of one job; the cost does not depend on the plan's size.
    pub fn job(&self, number: u64) -> Result<Job> {
        let mut experiments = HashMap::new();
        let mut runs: HashMap<u32, Arc<Run>> = HashMap::new();
        let mut reps = Vec::new();
        for (line, first, count) in self.job_record(number)?.reps {
            let run = if let Some(run) = runs.get(&line) {
                Arc::clone(run)
            } else {
                let run = Arc::new(self.read_run(line, &mut experiments)?);
                runs.insert(line, Arc::clone(&run));
                run
            };
            for number in first..first.saturating_add(count) {
                let dir = layout::rep_dir(&self.root.join(&run.record.dir), number);
                reps.push(Rep { run: Arc::clone(&run), number, dir });
            }
        }
        Ok(Job { number, reps })
    }

    /// The record of one job.
    pub fn job_record(&self, number: u64) -> Result<JobRecord> {
        read_json(&self.jobs, number, &self.folder.join(names::JOBS))
    }

    /// The record of one run.
    pub fn run_record(&self, number: u32) -> Result<RunRecord> {
        read_json(&self.runs, number.into(), &self.folder.join(names::RUNS))
    }

    /// The record of one experiment.
    pub fn experiment_record(&self, number: u32) -> Result<ExperimentRecord> {
        read_json(&self.experiments, number.into(), &self.folder.join(names::EXPERIMENTS))
    }

    /// The parameters of one run, as JSON.
    pub fn params_json(&self, run: u32) -> Result<String> {
        self.params.line(run.into())
    }

    /// The records of all jobs.
    pub fn all_jobs(&self) -> Result<Vec<JobRecord>> {
        self.all(&self.jobs, names::JOBS)
    }

    /// The records of all runs.
    pub fn all_runs(&self) -> Result<Vec<RunRecord>> {
        self.all(&self.runs, names::RUNS)
    }

    /// The records of all experiments.
    pub fn all_experiments(&self) -> Result<Vec<ExperimentRecord>> {
        self.all(&self.experiments, names::EXPERIMENTS)
    }

    /// The rest of all experiments' configuration, as JSON.
    pub fn all_settings(&self) -> Result<Vec<String>> {
        Ok(self.settings.text()?.lines().map(str::to_owned).collect())
    }

    fn all<T: DeserializeOwned>(&self, reader: &Reader, name: &str) -> Result<Vec<T>> {
        let text = reader.text()?;
        let lines = text.lines().zip(1..).map(|(line, number)| {
            serde_json::from_str(line)
                .map_err(|error| Error::corrupt(&self.folder.join(name), format!("line {number}: {error}")))
        });
        lines.collect()
    }

    fn read_run(&self, number: u32, experiments: &mut HashMap<u32, Arc<Experiment>>) -> Result<Run> {
        let record = self.run_record(number)?;
        let experiment = if let Some(experiment) = experiments.get(&record.experiment) {
            Arc::clone(experiment)
        } else {
            let settings = self.value(&self.settings, record.experiment.into(), names::SETTINGS)?;
            let experiment = Arc::new(Experiment { record: self.experiment_record(record.experiment)?, settings });
            experiments.insert(record.experiment, Arc::clone(&experiment));
            experiment
        };
        Ok(Run { experiment, params: self.value(&self.params, number.into(), names::PARAMS)?, record })
    }

    fn value(&self, reader: &Reader, line: u64, name: &str) -> Result<Value> {
        Value::from_json(&reader.line(line)?)
            .map_err(|error| Error::corrupt(&self.folder.join(name), format!("line {}: {error}", line + 1)))
    }
}

fn read_json<T: DeserializeOwned>(reader: &Reader, line: u64, path: &Path) -> Result<T> {
    serde_json::from_str(&reader.line(line)?)
        .map_err(|error| Error::corrupt(path, format!("line {}: {error}", line + 1)))
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
            return Err(Error::corrupt(folder, what));
        }
    }
    Ok(root)
}
