//! Processes that outlived what started them: orphans of a repetition whose command ended, and ghosts of one whose worker
//! died. Found by what every process of a repetition carries: `CW2_REP_DIR` in its environment, or one of its logs.

use crate::plan::layout::rep as names;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, getpgid};
use std::cell::LazyCell;
use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Child;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Where the environment tells the repetition's directory.
const VARIABLE: &[u8] = b"CW2_REP_DIR=";

/// The children that this process had before it was a worker (`sh_lines` start helpers), and those that it starts for itself
/// (warm processes), with their groups, for what they start later: a repetition's processes have groups of their own. None of
/// them is reaped here, so its numbers stay its own.
static HELPERS: Mutex<Option<HashSet<Pid>>> = Mutex::new(None);

/// The repetitions that were started by a helper, until they are reaped: adopted, and no orphans.
static COPIES: Mutex<BTreeSet<Pid>> = Mutex::new(BTreeSet::new());

/// Makes this process the parent of every orphan below it, so that none escapes by `setsid` or a double fork. The children
/// it has now are left alone.
pub fn adopt_orphans() {
    super::lock(&HELPERS).get_or_insert_with(|| {
        let children = children();
        if let Err(errno) = nix::sys::prctl::set_child_subreaper(true) {
            log::warn!("cannot adopt orphaned processes: {errno}");
        }
        let groups = children.iter().filter_map(|child| getpgid(Some(*child)).ok());
        groups.chain(children.iter().copied()).collect()
    });
}

/// Makes a child a helper: it leads a group of its own.
pub(super) fn leave_alone(pid: Pid) {
    super::lock(&HELPERS).get_or_insert_default().insert(pid);
}

/// Starts a helper, which leads a group of its own; it is never taken for an orphan.
pub(super) fn starting_helper(start: impl FnOnce() -> std::io::Result<Child>) -> std::io::Result<Child> {
    // While this is held nobody looks at orphans.
    let _brood = super::lock(&BROOD);
    let child = start()?;
    leave_alone(Pid::from_raw(i32::try_from(child.id()).map_err(std::io::Error::other)?));
    Ok(child)
}

/// Starts a repetition's process through a helper: it is adopted before its number is known, and never taken for an orphan.
pub(super) fn adopting<E>(start: impl FnOnce() -> Result<Pid, E>) -> Result<Pid, E> {
    let _brood = super::lock(&BROOD);
    let pid = start()?;
    super::lock(&COPIES).insert(pid);
    Ok(pid)
}

/// Notes that a repetition's process was reaped: its number may become another's.
pub(super) fn reaped(pid: Pid) {
    super::lock(&COPIES).remove(&pid);
}

/// Whether it is one of [`HELPERS`], or was started by one.
fn helps(pid: Pid) -> bool {
    let helpers = super::lock(&HELPERS);
    let known = |pid: &Pid| helpers.as_ref().is_some_and(|helpers| helpers.contains(pid));
    known(&pid) || getpgid(Some(pid)).is_ok_and(|group| known(&group))
}

/// What this process has under way, and has adopted. Held while orphans are looked at, so that no repetition starts meanwhile;
/// never while something is waited for, but the moment in which a warm process makes a copy of itself.
#[derive(Default)]
struct Brood {
    /// Repetitions under way.
    under_way: usize,
    /// Orphans that were killed and did not end in time (in an uninterruptible wait, or traced): nobody waits for them again.
    undying: Vec<Pid>,
}

static BROOD: Mutex<Brood> = Mutex::new(Brood { under_way: 0, undying: Vec::new() });

/// How long the end of killed orphans is waited for.
const KILLED: Duration = Duration::from_secs(10);

/// A repetition that is under way, until it is dropped.
pub(super) struct UnderWay;

impl UnderWay {
    pub(super) fn enter() -> Self {
        super::lock(&BROOD).under_way += 1;
        UnderWay
    }

    /// How many there are.
    pub(super) fn count() -> usize {
        super::lock(&BROOD).under_way
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        super::lock(&BROOD).under_way -= 1;
    }
}

/// Ends every orphan of this process that belongs to the repetition in `dir`, and their children, and waits until they are
/// gone. One that carries no mark any more belongs to it if no other repetition is under way.
pub(super) fn end_orphans(dir: &Path) {
    // Most often there is none, and nothing to look at.
    let mark = LazyCell::new(|| Mark::of(dir));
    end_adopted(|pid, under_way| under_way <= 1 || mark.is_on(pid));
}

/// Ends every orphan of this process: for the very end, when no repetition runs any more.
pub fn end_strays() {
    end_adopted(|_, _| true);
}

fn end_adopted(wanted: impl Fn(Pid, usize) -> bool) {
    let deadline = Instant::now() + KILLED;
    let mut pause = Duration::from_millis(1);
    let mut killed = HashSet::new();
    loop {
        // Under the lock an adopted pid is reaped by no one else, so it cannot become another process's.
        let mut brood = super::lock(&BROOD);
        let mut left = Vec::new();
        let mut reaped = false;
        for pid in orphans() {
            if waitpid(pid, Some(WaitPidFlag::WNOHANG)) != Ok(WaitStatus::StillAlive) {
                reaped = true;
                brood.undying.retain(|undying| *undying != pid);
            } else if !brood.undying.contains(&pid) && (killed.contains(&pid) || wanted(pid, brood.under_way)) {
                if killed.insert(pid) {
                    let _ = kill(pid, Signal::SIGKILL);
                }
                left.push(pid);
            }
        }
        // The children of those that are gone became orphans of this process in turn: another round finds them.
        if left.is_empty() && !reaped {
            return;
        }
        if Instant::now() > deadline {
            if !left.is_empty() {
                log::warn!("processes that were killed do not end, and are left behind: {left:?}");
            }
            brood.undying.append(&mut left);
            return;
        }
        drop(brood);
        if !left.is_empty() {
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}

/// The living processes that this one adopted, of this group or of the repetition in `dir`. One whose parent lives too comes
/// when that has ended, and SIGCHLD with it.
pub(super) fn orphans_of(group: Pid, dir: &Path) -> Vec<Pid> {
    let mark = LazyCell::new(|| Mark::of(dir));
    // None is reaped meanwhile, see `end_adopted`.
    let _brood = super::lock(&BROOD);
    let is_of = |pid: &Pid| lives(*pid) && (getpgid(Some(*pid)) == Ok(group) || mark.is_on(*pid));
    orphans().into_iter().filter(is_of).collect()
}

/// These processes and all below them.
pub(super) fn descendants(mut found: Vec<Pid>) -> Vec<Pid> {
    let mut seen: HashSet<_> = found.iter().copied().collect();
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let children: Vec<_> = tasks.flat_map(|task| children_of(&task.path())).collect();
        found.extend(children.into_iter().filter(|child| seen.insert(*child)));
        next += 1;
    }
    found
}

/// Whether a child has not ended.
fn lives(pid: Pid) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::Pid(pid), flags) == Ok(WaitStatus::StillAlive)
}

/// The adopted children of this process.
fn orphans() -> Vec<Pid> {
    children().into_iter().filter(|pid| !super::lock(&COPIES).contains(pid) && !helps(*pid)).collect()
}

/// The children of the main thread, which starts nothing itself: the kernel gives orphans to the first living one. A
/// scheduler has another thread.
fn children() -> Vec<Pid> {
    let me = std::process::id();
    children_of(Path::new(&format!("/proc/{me}/task/{me}")))
}

/// The children of a thread.
fn children_of(task: &Path) -> Vec<Pid> {
    let text = std::fs::read_to_string(task.join("children")).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect()
}

/// Ends what a dead worker left of the repetition in `dir` on this machine. Returns how many processes there were.
///
/// `is_gone` is asked until it holds or the time is over.
pub(super) fn end_ghosts(dir: &Path, grace: Duration, is_gone: impl Fn() -> bool) -> usize {
    let start = Instant::now();
    let mark = Mark::of(dir);
    let mut seen = HashSet::new();
    let mut pause = Duration::from_millis(1);
    loop {
        let ghosts = of_repetition(&mark);
        for pid in &ghosts {
            let signal = if start.elapsed() < grace {
                // Politely once, so that a checkpoint may be written.
                if !seen.insert(*pid) {
                    continue;
                }
                Signal::SIGTERM
            } else {
                Signal::SIGKILL
            };
            let pid = Pid::from_raw(*pid);
            signal_stranger(pid, signal, || mark.is_on(pid));
        }
        if ghosts.is_empty() && is_gone() || start.elapsed() > grace + Duration::from_secs(5) {
            return seen.len();
        }
        // The processes are not ours to wait for: looking again is all that can be done.
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Signals a process that is not a child of this one, and lets it go on. Its number may be another's by now: held by a
/// pidfd, it is looked at once more. Kernels before 5.3 have none.
pub(super) fn signal_stranger(pid: Pid, signal: Signal, is_meant: impl Fn() -> bool) {
    use rustix::process::{Pid as RustixPid, PidfdFlags, Signal as RustixSignal, pidfd_open, pidfd_send_signal};
    let Some(rustix_pid) = RustixPid::from_raw(pid.as_raw()) else { return };
    match pidfd_open(rustix_pid, PidfdFlags::empty()) {
        Ok(pidfd) if is_meant() => {
            let signal = RustixSignal::from_named_raw(signal as i32).unwrap_or(RustixSignal::TERM);
            let _ = pidfd_send_signal(&pidfd, signal);
            // A stopped process acts on the signal only when it goes on.
            let _ = pidfd_send_signal(&pidfd, RustixSignal::CONT);
        }
        Err(rustix::io::Errno::NOSYS) => {
            let _ = kill(pid, signal);
            let _ = kill(pid, Signal::SIGCONT);
        }
        Ok(_) | Err(_) => {}
    }
}

/// The processes of this machine that belong to the repetition.
fn of_repetition(mark: &Mark<'_>) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let me = std::process::id();
    pids.filter(|pid| u32::try_from(*pid) != Ok(me) && mark.is_on(Pid::from_raw(*pid))).collect()
}

/// What tells a repetition's processes. Files are told by device and number: the directory may have several paths.
struct Mark<'a> {
    dir: &'a Path,
    dir_id: Option<FileId>,
    logs: [(&'static str, Option<FileId>); 2],
}

type FileId = (u64, u64);

/// Device and number of what is at this path.
fn file_id(path: &Path) -> Option<FileId> {
    std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

impl<'a> Mark<'a> {
    fn of(dir: &'a Path) -> Self {
        let logs = [names::OUT, names::ERR].map(|name| (name, file_id(&dir.join(name))));
        Mark { dir, dir_id: file_id(dir), logs }
    }

    /// Whether a living process carries it.
    fn is_on(&self, pid: Pid) -> bool {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut variables = environ.split(|byte| *byte == 0);
        if variables.any(|variable| variable.strip_prefix(VARIABLE).is_some_and(|value| self.is_dir(value))) {
            return true;
        }
        // An orphan that cleared its environment most often still has its output.
        let Ok(descriptors) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        descriptors.flatten().any(|fd| self.is_log(&fd.path()))
    }

    fn is_dir(&self, path: &[u8]) -> bool {
        let path = Path::new(OsStr::from_bytes(path));
        path == self.dir || (self.dir_id.is_some() && file_id(path) == self.dir_id)
    }

    /// Whether a descriptor is one of the logs. Only what has the name is looked at: a file of someone else's may be on a
    /// file system that does not answer.
    fn is_log(&self, fd: &Path) -> bool {
        let Ok(target) = std::fs::read_link(fd) else { return false };
        let log = self.logs.iter().find(|(name, _)| target.file_name() == Some(OsStr::new(name)));
        log.is_some_and(|(_, id)| id.is_some() && file_id(fd) == *id) && writes(fd)
    }
}

/// Whether a descriptor of a process (`/proc/PID/fd/N`) is open for writing: whoever reads a log is somebody else.
fn writes(fd: &Path) -> bool {
    let (Some(number), Some(process)) = (fd.file_name(), fd.parent().and_then(Path::parent)) else { return false };
    let info = std::fs::read_to_string(process.join("fdinfo").join(number)).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    // The access mode is the last two bits (open(2)); /proc tells them in octal.
    flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok()).is_some_and(|flags| flags & 0o3 != 0)
}
