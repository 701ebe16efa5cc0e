//! `pilots/` in a plan's folder: which jobs its pilots took.
//!
//! For each array of pilots a folder, named by the number of the array's first job, with
//! - `next`: the number of the first job that nobody took. Whoever takes one holds its lock meanwhile.
//! - a file for each job that was taken and is not done, named by the job's number. Who made it has the job, and holds the
//!   file's lock until the job is done; where that is free, its pilot died, or left the job to others.
//!
//! None of it says what is finished: the repetitions' own states and locks do. Where any of it is lost, jobs are only looked at
//! once more. It must not decide which pilot goes on, and knows nothing of Slurm.

use super::file_system::{self, Reach};
use super::plan::Plan;
use super::{Result, StoreError, files, lock_probe};
use crate::plan::record::ArrayRecord;
use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const FOLDER: &str = "pilots";
const NEXT: &str = "next";

/// How long the turn to take a job is waited for. Nobody has it for more than some milliseconds, unless it was frozen; what
/// keeps two from the same job is the job's own file.
const PATIENCE: Duration = Duration::from_millis(if cfg!(test) { 300 } else { 10_000 });

const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Who a pilot is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pilot {
    /// Its machine.
    pub host: String,
    /// Its element, such as `12_3`; empty where it is none.
    pub element: String,
}

/// The jobs of one array, as a pilot sees them.
#[derive(Debug)]
pub struct Claims {
    folder: PathBuf,
    jobs: Range<u64>,
    own: Pilot,
    /// Whether a lock of another machine is seen here.
    reaches: bool,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What this pilot left to others.
    left: BTreeSet<u64>,
    /// It takes no more.
    closed: bool,
}

/// A job that this pilot has. Dropped, it is left to others.
#[derive(Debug)]
pub struct Claim {
    job: u64,
    path: PathBuf,
    file: Option<File>,
    state: Arc<Mutex<State>>,
}

/// Why no pilots can share their work in a folder, as far as one machine can tell; a sentence to which what to do is added.
///
/// # Errors
/// Where nothing can be written there.
pub fn objection(folder: &Path) -> Result<Option<String>> {
    let probed = lock_probe::probe(folder)?;
    let why = probed.locks.objection().or_else(|| probed.file_system.keeps_locks_apart());
    Ok(why.map(|why| no_place(folder, &why)))
}

/// The same as far as the mount tells, of a folder that need not exist.
///
/// # Errors
/// Where the folders above it cannot be looked at.
pub fn objection_to_mount(folder: &Path) -> Result<Option<String>> {
    let there = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(folder);
    Ok(file_system::of(there)?.keeps_locks_apart().map(|why| no_place(there, &why)))
}

fn no_place(folder: &Path, why: &str) -> String {
    let folder = folder.display();
    format!(
        "pilots share their work by file locks, and `{folder}` is no place for that: {why}; NFS from version 4 on and Lustre mounted \
         with `flock` have locks that reach all machines"
    )
}

/// Whether anything of an array is left to take.
pub fn any_left(plan: &Plan, array: &ArrayRecord) -> bool {
    Claims::look(plan, array, Pilot::default()).any_left()
}

/// Lets the pilots of a plan look at all jobs once more.
///
/// # Errors
/// Where that cannot be noted.
pub fn begin_anew(plan: &Plan) -> Result<()> {
    let arrays = plan.manifest.arrays.iter().filter(|array| array.pilots.is_some());
    arrays.map(|array| folder(plan, array).join(NEXT)).try_for_each(|next| files::remove_if_there(&next))
}

fn folder(plan: &Plan, array: &ArrayRecord) -> PathBuf {
    plan.folder.join(FOLDER).join(array.offset.to_string())
}

impl Claims {
    fn look(plan: &Plan, array: &ArrayRecord, own: Pilot) -> Self {
        Claims { folder: folder(plan, array), jobs: array.all_jobs(), own, reaches: false, state: Arc::default() }
    }

    /// Those of an array of a plan, in whose folder nothing speaks against pilots; what is needed for them is made.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn open(plan: &Plan, array: &ArrayRecord, own: Pilot) -> Result<Self> {
        let mut claims = Claims::look(plan, array, own);
        super::create_folder(&claims.folder)?;
        claims.reaches = file_system::of(&claims.folder)?.reach() != Reach::Unknown;
        // While there is room: later it is only written over.
        let turn = claims.turn()?;
        claims.write_next(&turn, read_next(&turn, &claims.jobs))?;
        Ok(claims)
    }

    /// How many jobs there are, whoever takes them.
    pub fn len(&self) -> u64 {
        self.jobs.end.saturating_sub(self.jobs.start)
    }

    /// The number of the first one.
    pub fn first(&self) -> u64 {
        self.jobs.start
    }

    /// Takes the next job: one that nobody took, or else one that was left. `None` where there is none, or this pilot takes no
    /// more. `is_over` tells of another pilot whether it ended; it is asked only where locks cannot tell.
    ///
    /// # Errors
    /// Where it cannot be noted that it is taken.
    pub fn take(&self, is_over: &dyn Fn(&Pilot) -> bool) -> Result<Option<Claim>> {
        if lock(&self.state).closed {
            return Ok(None);
        }
        let turn = self.turn()?;
        let first = read_next(&turn, &self.jobs);
        let mut next = first;
        while next < self.jobs.end {
            let job = next;
            next += 1;
            if let Some(claim) = self.new_claim(job)? {
                self.write_next(&turn, next)?;
                return Ok(Some(claim));
            }
        }
        if next != first {
            self.write_next(&turn, next)?;
        }
        self.take_left(is_over)
    }

    /// Whether anything is left to take, also of what this pilot left.
    pub fn any_left(&self) -> bool {
        let next = files::open(&self.folder.join(NEXT)).map_or(self.jobs.start, |file| read_next(&file, &self.jobs));
        let is_free = |job| {
            let file = files::lockable_if_there(&self.path(job));
            file.is_ok_and(|file| file.try_lock().is_ok())
        };
        next < self.jobs.end || self.taken().is_ok_and(|taken| taken.into_iter().any(is_free))
    }

    /// The right to take the next job. Whoever waits too long goes on without: see [`PATIENCE`].
    fn turn(&self) -> Result<File> {
        let path = self.folder.join(NEXT);
        let until = Instant::now() + PATIENCE;
        let mut pause = Duration::from_millis(1);
        loop {
            let file = match files::update(&path) {
                // The folder is made again, and never the plan's.
                Err(error) if error.kind() == ErrorKind::NotFound && Instant::now() < until => {
                    let folders = [self.folder.parent(), Some(&self.folder)];
                    folders.into_iter().flatten().for_each(|folder| drop(fs::create_dir(folder)));
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
                file => file.map_err(|source| StoreError::new("open", &path, source))?,
            };
            match file.try_lock() {
                // It may have been removed since it was opened: then others lock another one.
                Ok(()) if files::is_at(&file, &path) => return Ok(file),
                Ok(()) => continue,
                Err(TryLockError::Error(source)) => return Err(StoreError::new("lock", &path, source)),
                Err(TryLockError::WouldBlock) if Instant::now() < until => {}
                Err(TryLockError::WouldBlock) => {
                    log::warn!("`{}` is locked for {} s: going on without", path.display(), PATIENCE.as_secs());
                    return Ok(file);
                }
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn write_next(&self, file: &File, next: u64) -> Result<()> {
        // Always of the same length: where it was written once, a full disk does not matter. Twice, as no half of it counts.
        let text = format!("{next:020} {next:020}\n");
        let written = file.write_all_at(text.as_bytes(), 0);
        written.map_err(|source| StoreError::new("write", &self.folder.join(NEXT), source))
    }

    fn path(&self, job: u64) -> PathBuf {
        self.folder.join(job.to_string())
    }

    /// Takes a job that nobody has.
    fn new_claim(&self, job: u64) -> Result<Option<Claim>> {
        let path = self.path(job);
        let file = match File::create_new(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
            Err(source) => return Err(StoreError::new("write", &path, source)),
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(self.claim(job, path, file))),
            // Somebody looked at it just now, without its turn: it is theirs.
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(StoreError::new("lock", &path, source)),
        }
    }

    fn claim(&self, job: u64, path: PathBuf, mut file: File) -> Claim {
        // On a full disk nobody knows whose it is; the lock tells all the same.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{} {}", self.own.host, self.own.element));
        Claim { job, path, file: Some(file), state: Arc::clone(&self.state) }
    }

    /// Takes over a job that a dead pilot had, or that one left.
    fn take_left(&self, is_over: &dyn Fn(&Pilot) -> bool) -> Result<Option<Claim>> {
        let mut doubtful = Vec::new();
        let mut reaches = self.reaches;
        for job in self.taken()? {
            if lock(&self.state).left.contains(&job) {
                continue;
            }
            let path = self.path(job);
            let file = match files::update_if_there(&path) {
                Ok(file) => file,
                Err(error) if files::is_missing(&error) => continue,
                Err(source) => return Err(StoreError::new("open", &path, source)),
            };
            let holder = holder(&file);
            let here = holder.as_ref().is_some_and(|holder| holder.host == self.own.host);
            match file.try_lock() {
                // What another machine holds keeps this one out: then all locks do.
                Err(TryLockError::WouldBlock) => reaches |= holder.is_some() && !here,
                Err(TryLockError::Error(source)) => return Err(StoreError::new("lock", &path, source)),
                Ok(()) if !files::is_at(&file, &path) => {}
                Ok(()) if here || reaches => return Ok(Some(self.claim(job, path, file))),
                Ok(()) => doubtful.push((job, path, file, holder)),
            }
        }
        let free = |(job, path, file, holder): (u64, PathBuf, File, Option<Pilot>)| {
            let over = reaches || holder.is_some_and(|holder| is_over(&holder));
            over.then(|| self.claim(job, path, file))
        };
        Ok(doubtful.into_iter().find_map(free))
    }

    /// The jobs that are taken and not done, in their order.
    fn taken(&self) -> Result<Vec<u64>> {
        let fail = |source| StoreError::new("read", &self.folder, source);
        let mut taken = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(fail)? {
            let name = entry.map_err(fail)?.file_name();
            let job = name.to_str().and_then(|name| name.parse().ok());
            taken.extend(job.filter(|job| self.jobs.contains(job)));
        }
        taken.sort_unstable();
        Ok(taken)
    }
}

impl Claim {
    /// The job's number in the plan.
    pub fn job(&self) -> u64 {
        self.job
    }

    /// Nothing of it is left to do.
    pub fn done(mut self) {
        let file = self.file.take();
        // Where it was removed, another pilot may have made it again.
        if !file.as_ref().is_some_and(|file| files::is_at(file, &self.path)) {
            return;
        }
        // Before the lock goes with the file: nobody finds it free.
        if let Err(error) = fs::remove_file(&self.path) {
            log::debug!("`{}` stays: {error}; another pilot looks at its job once more", self.path.display());
        }
        drop(file);
    }

    /// Lets this pilot take no more jobs.
    pub fn close(&self) {
        lock(&self.state).closed = true;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            lock(&self.state).left.insert(self.job);
            // At once: a process that is just being started has the file open for a moment, and with it the lock.
            let _ = file.unlock();
        }
    }
}

/// The first job that nobody took; the first of all, where the file does not say.
fn read_next(file: &File, jobs: &Range<u64>) -> u64 {
    let mut bytes = [0; 42];
    let read = file.read_exact_at(&mut bytes, 0).ok();
    let number = read.and_then(|()| {
        let (first, second) = str::from_utf8(&bytes).ok()?.trim_end().split_once(' ')?;
        (first == second).then(|| first.parse().ok())?
    });
    number.filter(|next| (jobs.start..=jobs.end).contains(next)).unwrap_or(jobs.start)
}

/// Who made a job's file.
fn holder(file: &File) -> Option<Pilot> {
    let mut bytes = [0; 512];
    let length = file.read_at(&mut bytes, 0).ok()?;
    let text = str::from_utf8(bytes.get(..length)?).ok()?;
    let (host, element) = text.strip_suffix('\n')?.split_once(' ')?;
    Some(Pilot { host: host.to_owned(), element: element.to_owned() })
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A panic elsewhere leaves it whole: every change is one insertion.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(folder: &Path, host: &str, reaches: bool) -> Claims {
        let own = Pilot { host: host.to_owned(), element: "7_0".to_owned() };
        Claims { folder: folder.to_owned(), jobs: 5..9, own, reaches, state: Arc::default() }
    }

    fn never(_: &Pilot) -> bool {
        panic!("nobody is to ask");
    }

    fn take(claims: &Claims) -> Option<Claim> {
        claims.take(&never).unwrap()
    }

    fn files(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn each_job_is_one_pilots() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (claims(dir.path(), "a", true), claims(dir.path(), "a", true));
        let (first, second) = (take(&one).unwrap(), take(&two).unwrap());
        assert_eq!((first.job(), second.job()), (5, 6));
        first.done();
        drop(second);
        let (third, fourth) = (take(&one).unwrap(), take(&two).unwrap());
        assert_eq!((third.job(), fourth.job()), (7, 8));
        third.done();
        // What one left is the other one's, and not its own again.
        assert!(take(&two).is_none() && two.any_left());
        let left = take(&one).unwrap();
        assert_eq!(left.job(), 6);
        left.done();
        fourth.done();
        assert!(take(&one).is_none() && !one.any_left());
        assert_eq!(files(dir.path()), ["next"]);
    }

    #[test]
    fn a_closed_pilot_takes_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let one = claims(dir.path(), "a", true);
        take(&one).unwrap().close();
        assert!(take(&one).is_none() && one.any_left());
    }

    #[test]
    fn what_is_lost_is_looked_for_again() {
        let dir = tempfile::tempdir().unwrap();
        let one = claims(dir.path(), "a", true);
        let held = take(&one).unwrap();
        take(&one).unwrap().done();
        for lost in
            ["", "x", "00000000000000000008 00000000000000000009\n", "00000000000000000010 00000000000000000010\n"]
        {
            fs::write(dir.path().join(NEXT), lost).unwrap();
            // Not the one that is held.
            assert_eq!(take(&claims(dir.path(), "a", true)).unwrap().job(), 6, "{lost}");
            fs::remove_file(dir.path().join("6")).unwrap();
        }
        fs::remove_file(dir.path().join(NEXT)).unwrap();
        assert_eq!(take(&one).unwrap().job(), 6);
        drop(held);
    }

    #[test]
    fn a_frozen_pilot_stops_nobody_for_long() {
        let dir = tempfile::tempdir().unwrap();
        let one = claims(dir.path(), "a", true);
        let turn = one.turn().unwrap();
        let start = Instant::now();
        assert_eq!(take(&one).unwrap().job(), 5);
        assert!(start.elapsed() >= PATIENCE);
        // It wakes up, and goes on from what it read.
        assert!(one.new_claim(5).unwrap().is_none());
        drop(turn);
    }

    #[test]
    fn a_free_lock_of_another_machine_is_believed_where_locks_reach() {
        let dir = tempfile::tempdir().unwrap();
        let other = claims(dir.path(), "b", true);
        let held: Vec<_> = (0..3).map(|_| take(&other).unwrap()).collect();
        // As a pilot that died, without a word.
        drop(take(&other).unwrap());
        // Somebody on another machine keeps this one out of the others.
        let one = claims(dir.path(), "a", false);
        let found = take(&one).unwrap();
        assert_eq!(found.job(), 8);
        found.done();
        drop(held);
        // Nobody does: Slurm is to say.
        for (over, expected) in [(false, None), (true, Some(5))] {
            let taken = claims(dir.path(), "a", false).take(&|pilot| {
                assert_eq!(pilot.element, "7_0");
                assert_eq!(pilot.host, "b");
                over
            });
            assert_eq!(taken.unwrap().map(|claim| claim.job()), expected);
        }
        assert_eq!(take(&claims(dir.path(), "b", false)).unwrap().job(), 6);
        assert_eq!(take(&claims(dir.path(), "c", true)).unwrap().job(), 5);
    }

    #[test]
    fn only_what_a_job_is_called_is_one() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["4", "9", "x", ".nfs0001", "-5"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let one = claims(dir.path(), "a", true);
        assert_eq!(std::iter::from_fn(|| take(&one)).map(|claim| claim.job()).collect::<Vec<_>>(), [5, 6, 7, 8]);
    }
}
