//! Plans that are being written.

use super::names;
use crate::experiment::hex;
use crate::plan::record::Manifest;
use crate::plan::{Plan, PlannedRun, layout};
use crate::store::indexed::Writer;
use crate::store::made::MadeFolders;
use crate::store::seal::seal;
use crate::store::{Result, StoreError, atomic, exists, files};
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A plan that is being written, in a hidden folder beside its future place. Dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub struct PlanWriter {
    plans: PathBuf,
    folder: tempfile::TempDir,
    /// Held while the plan is written: a folder without it was left by a planner that died.
    _lock: Option<File>,
    /// What tells its lines from those of any other plan.
    id: String,
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
                Err(error) => return Err(StoreError::new("create a plan in", plans, error)),
            }
        };
        let id = new_id(folder.path());
        // Where folders cannot be locked, nothing is ever taken for abandoned.
        let lock = File::open(folder.path()).ok().filter(|lock| lock.try_lock().is_ok());
        Ok(PlanWriter { plans: plans.to_owned(), _lock: lock, folder, id, above: 0, _made: made })
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

    /// Adds a verbatim copy of a file, in a folder of the plan.
    pub fn copy(&self, folder: &str, name: &str, text: &str) -> Result<()> {
        let folder = self.folder.path().join(folder);
        fs::create_dir_all(&folder).map_err(|source| StoreError::new("create", &folder, source))?;
        write_synced(&folder.join(name), text.as_bytes())
    }

    /// Writes all that a plan decides, its larger files side by side.
    pub fn plan(&self, plan: &Plan) -> Result<()> {
        let (experiments, runs) = (&plan.experiments, &plan.runs);
        self.lines(names::EXPERIMENTS, experiments.iter().map(|experiment| json(&experiment.record)))?;
        self.lines(names::SETTINGS, experiments.iter().map(|experiment| &experiment.settings))?;
        self.lines(names::JOBS, plan.job_lines().map(|line| json(&line)))?;
        let records = || self.lines_of(names::RUNS, runs, |run| json(&run.record));
        let params = || self.lines_of(names::PARAMS, runs, |run| &run.params);
        // Each waits for the disk in the end.
        let (records, params) = rayon::join(records, params);
        records.and(params)?;
        if plan.has_python() {
            self.lines_of(names::PYTHON, runs, |run| run.python.as_deref().unwrap_or_default())?;
        }
        Ok(())
    }

    fn lines(&self, name: &str, lines: impl Iterator<Item = impl AsRef<str>>) -> Result<()> {
        let mut writer = Writer::create(&self.folder.path().join(name), &self.id)?;
        for line in lines {
            writer.push(line.as_ref())?;
        }
        writer.finish()
    }

    fn lines_of<'r, L: AsRef<str>>(
        &self,
        name: &str,
        runs: &'r [PlannedRun],
        line: impl Fn(&'r PlannedRun) -> L + Sync,
    ) -> Result<()> {
        let mut writer = Writer::create(&self.folder.path().join(name), &self.id)?;
        writer.extend(runs, line)?;
        writer.finish()
    }

    /// Writes manifest and scripts, and gives the plan its number. `head` makes them from the plan's final name; it is
    /// asked again where another planner took the number meanwhile. Returns the plan's folder.
    pub fn finish<E: From<StoreError>>(
        self,
        head: impl Fn(&str) -> std::result::Result<(Manifest, Vec<(String, String)>), E>,
    ) -> std::result::Result<PathBuf, E> {
        let folder = self.folder.path();
        let log = folder.join(names::SLURM_LOG);
        fs::create_dir(&log).map_err(|source| StoreError::new("create", &log, source))?;
        let mut number = next_number(&self.plans, self.above)?;
        loop {
            let name = layout::plan_name(number);
            let (manifest, scripts) = head(&name)?;
            let manifest = Manifest { id: self.id.clone(), ..manifest };
            // Many small files: what takes time is waiting for the disk.
            scripts.par_iter().try_for_each(|(script, text)| write_synced(&folder.join(script), text.as_bytes()))?;
            write_synced(&folder.join(names::MANIFEST), seal(&format!("{}\n", pretty(&manifest))).as_bytes())?;
            atomic::sync_folder(folder)?;
            let place = self.plans.join(&name);
            match fs::rename(folder, &place) {
                Ok(()) => {
                    // Renamed away: nothing is left to remove.
                    let _ = self.folder.keep();
                    atomic::sync_folder(&self.plans)?;
                    return Ok(place);
                }
                Err(error) if exists(&place) && error.kind() != ErrorKind::PermissionDenied => {
                    number += 1;
                }
                Err(error) => return Err(StoreError::new("create", &place, error).into()),
            }
        }
    }
}

/// What the folders of unfinished plans begin with.
const UNFINISHED: &str = ".new-";

/// An id that no other plan has.
fn new_id(folder: &Path) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    let mut id = hex(&Sha256::digest(format!("{now} {} {}", std::process::id(), folder.display())));
    id.truncate(16);
    id
}

/// Removes what planners that were killed left behind: folders no one holds, for longer than one takes to be locked.
fn remove_abandoned(plans: &Path) {
    let Ok(entries) = fs::read_dir(plans) else { return };
    for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
        let unfinished = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED));
        let old = || {
            let age = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok()?.elapsed().ok()?;
            (age > ABANDONED_AFTER).then_some(())
        };
        if unfinished && old().is_some() && files::open_folder(&path).is_ok_and(|folder| folder.try_lock().is_ok()) {
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
        Err(error) => return Err(StoreError::new("read", plans, error)),
    };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    Ok(numbers.max().unwrap_or(0).max(above).saturating_add(1))
}

fn write_synced(path: &Path, content: &[u8]) -> Result<()> {
    files::create(path)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .map_err(|source| StoreError::new("write", path, source))
}

fn json(record: &impl Serialize) -> String {
    // Records hold only types that JSON can carry.
    serde_json::to_string(record).unwrap_or_default()
}

fn pretty(record: &impl Serialize) -> String {
    // As above.
    serde_json::to_string_pretty(record).unwrap_or_default()
}
