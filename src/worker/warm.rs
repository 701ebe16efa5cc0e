//! Warm processes: one has imported what there is to import, and each repetition is a copy of it.
//!
//! Owns the socket to such a process and what is said over it; the other end is `python/cw2/_warm.py`. A copy becomes a child
//! of this process, which adopts orphans, before its number is known here: from then on it is a child like any other, see
//! [`super::child`]. Where a warm process cannot be had, or is not to be trusted, a repetition starts by itself.

use super::control::Control;
use super::{ghosts, lock};
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, killpg};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, Shutdown, SockFlag, SockType, recv, sendmsg, shutdown, socketpair,
};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, pipe2, write};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a warm process may take to make a copy of itself: one with much memory takes a tenth of a second. No orphans are
/// looked at meanwhile.
const COPYING: Duration = Duration::from_secs(10);
/// How long it may take to end.
const ENDING: Duration = Duration::from_secs(2);
/// The longest answer.
const ANSWER: usize = 64 << 10;

/// The server for scripts, which brings all it needs.
pub(super) const SCRIPT_SERVER: &str = include_str!("../../python/cw2/_warm.py");

/// How a warm process is started.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Recipe {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// Where it starts.
    pub dir: PathBuf,
    /// What is added to the environment.
    pub env: Vec<(String, OsString)>,
}

/// What a copy is to be.
#[derive(Debug, Serialize)]
pub(super) struct Request<'a> {
    /// What tells its answer from others.
    start: u64,
    /// `run` or `finalize`.
    pub phase: &'a str,
    /// The words of a script's call; none for a class.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<String>,
    pub env: Vec<(String, String)>,
    pub cpus: Vec<usize>,
    pub dir: PathBuf,
    pub rep: u32,
    pub rep_dir: PathBuf,
    /// Where its configuration is to be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Place<'a>>,
}

/// A part of a file.
#[derive(Debug, Serialize)]
pub(super) struct Place<'a> {
    pub file: &'a Path,
    pub start: u64,
    pub length: usize,
}

#[derive(Debug, Deserialize)]
struct Answer {
    ready: Option<i32>,
    cold: Option<String>,
    started: Option<u64>,
    pid: Option<i32>,
    failed: Option<u64>,
    why: Option<String>,
}

/// The warm processes of this worker, each started when it is first wanted.
#[derive(Debug, Default)]
pub struct WarmHost {
    /// One that was there before the worker.
    given: Option<Arc<Warm>>,
    started: Mutex<HashMap<Recipe, Arc<Warm>>>,
}

/// A warm process.
#[derive(Debug)]
pub(super) struct Warm {
    socket: Arc<OwnedFd>,
    process: Process,
    shared: Arc<Shared>,
}

#[derive(Debug)]
enum Process {
    /// Started by what started this process.
    Given(Pid),
    Own(Mutex<Child>),
}

#[derive(Debug)]
struct Shared {
    control: Control,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stand: Stand,
    next: u64,
    answers: HashMap<u64, Result<Pid, String>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Stand {
    #[default]
    Importing,
    Ready,
    /// It cannot be used; why was said.
    Gone,
}

/// There is no copy: what was to be one is to start by itself.
#[derive(Debug)]
pub(super) struct NoCopy;

impl WarmHost {
    /// With a warm process that is there: the other end of a socket, and its number.
    pub fn given(socket: OwnedFd, pid: Pid, control: &Control) -> std::io::Result<Self> {
        ghosts::leave_alone(pid);
        let warm = Warm::listen(socket, Process::Given(pid), control)?;
        Ok(WarmHost { given: Some(Arc::new(warm)), started: Mutex::default() })
    }

    /// The warm process of this recipe; `None` where it cannot be started. `any` is content with the one that was given.
    pub(super) fn get(&self, recipe: &Recipe, any: bool, control: &Control) -> Option<Arc<Warm>> {
        if let Some(given) = self.given.as_ref().filter(|_| any) {
            return Some(Arc::clone(given));
        }
        let mut started = lock(&self.started);
        if let Some(warm) = started.get(recipe) {
            return Some(Arc::clone(warm));
        }
        match Warm::start(recipe, control) {
            Ok(warm) => {
                let warm = Arc::new(warm);
                started.insert(recipe.clone(), Arc::clone(&warm));
                Some(warm)
            }
            Err(error) => {
                log::debug!("no warm process: {error}");
                None
            }
        }
    }
}

impl Warm {
    fn start(recipe: &Recipe, control: &Control) -> std::io::Result<Self> {
        let (own, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        let (program, arguments) = recipe.words.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&recipe.dir).envs(recipe.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::from(other)).process_group(0);
        let child = ghosts::starting_helper(|| control.spawn(&mut command))?;
        // Its end of the socket.
        drop(command);
        Warm::listen(own, Process::Own(Mutex::new(child)), control)
    }

    /// Starts to hear what it says.
    fn listen(socket: OwnedFd, process: Process, control: &Control) -> std::io::Result<Self> {
        let socket = Arc::new(socket);
        let shared = Arc::new(Shared { control: control.clone(), state: Mutex::default() });
        let (heard, from) = (Arc::clone(&shared), Arc::clone(&socket));
        std::thread::Builder::new().name("warm".to_owned()).spawn(move || heard.listen(&from))?;
        Ok(Warm { socket, process, shared })
    }

    /// Starts a copy; its standard output and error go to these. Nobody waits for the imports longer than `patience`.
    pub(super) fn copy(
        &self,
        request: &mut Request<'_>,
        files: &[File],
        patience: Option<Duration>,
    ) -> Result<Pid, NoCopy> {
        self.wait_ready(patience.and_then(|patience| Instant::now().checked_add(patience)))?;
        // The copy waits at the other end until its number is known here, and ends where that never is: the repetition may
        // have another process by then.
        let (gate, key) = pipe2(OFlag::O_CLOEXEC).map_err(no_room)?;
        let descriptors: Vec<RawFd> = files.iter().map(AsRawFd::as_raw_fd).chain([gate.as_raw_fd()]).collect();
        let pid = ghosts::adopting(|| self.ask(request, &descriptors))?;
        // Where it ended meanwhile, that is seen as any end.
        let _ = write(&key, b"!");
        Ok(pid)
    }

    /// Waits until it has imported all.
    fn wait_ready(&self, until: Option<Instant>) -> Result<(), NoCopy> {
        loop {
            let events = self.shared.control.events();
            match lock(&self.shared.state).stand {
                Stand::Ready => return Ok(()),
                Stand::Gone => return Err(NoCopy),
                Stand::Importing => {}
            }
            if self.shared.control.stopping() {
                return Err(NoCopy);
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Err(self.give_up("its imports take longer than the `timeout` of a repetition"));
            }
            self.shared.control.wait(events, until);
        }
    }

    fn ask(&self, request: &mut Request<'_>, descriptors: &[RawFd]) -> Result<Pid, NoCopy> {
        let number = {
            let mut state = lock(&self.shared.state);
            state.next += 1;
            state.next
        };
        request.start = number;
        let sent = serde_json::to_vec(request).map_err(std::io::Error::other).and_then(|text| {
            let rights = [ControlMessage::ScmRights(descriptors)];
            let sent =
                sendmsg::<()>(self.socket.as_raw_fd(), &[IoSlice::new(&text)], &rights, MsgFlags::MSG_NOSIGNAL, None);
            Ok(sent?)
        });
        if let Err(error) = sent {
            return Err(self.give_up(&format!("it does not take requests: {error}")));
        }
        let until = Instant::now() + COPYING;
        loop {
            let events = self.shared.control.events();
            let answer = {
                let mut state = lock(&self.shared.state);
                state.answers.remove(&number).or_else(|| (state.stand == Stand::Gone).then(|| Err(String::new())))
            };
            match answer {
                Some(Ok(pid)) => return Ok(pid),
                Some(Err(why)) if why.is_empty() => return Err(NoCopy),
                Some(Err(why)) => {
                    log::warn!("the warm process could not make a copy of itself: {why}");
                    return Err(NoCopy);
                }
                None if Instant::now() >= until => return Err(self.give_up("it does not answer")),
                None => self.shared.control.wait(events, Some(until)),
            }
        }
    }

    /// It is not to be used any more.
    fn give_up(&self, why: &str) -> NoCopy {
        self.shared.gone(&format!("the warm process is given up: {why}"));
        self.end(Duration::ZERO);
        NoCopy
    }

    /// Ends it, and what it started for itself.
    fn end(&self, patience: Duration) {
        lock(&self.shared.state).stand = Stand::Gone;
        // It ends by itself when nobody is at the other end.
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
        let until = Instant::now() + patience;
        let pid = self.pid();
        let over = || match &self.process {
            Process::Given(pid) => {
                waitpid(*pid, Some(WaitPidFlag::WNOHANG)).map_or(true, |status| status.pid().is_some())
            }
            Process::Own(child) => !matches!(lock(child).try_wait(), Ok(None)),
        };
        let mut pause = Duration::from_millis(1);
        let mut ended = over();
        while !ended && Instant::now() < until {
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
            ended = over();
        }
        // While it is a zombie or lives, its group's number is no one else's; afterwards only if others of the group live.
        if !ended {
            let _ = killpg(pid, Signal::SIGKILL);
        }
    }

    fn pid(&self) -> Pid {
        match &self.process {
            Process::Given(pid) => *pid,
            Process::Own(child) => Pid::from_raw(i32::try_from(lock(child).id()).unwrap_or(i32::MAX)),
        }
    }
}

impl Drop for Warm {
    fn drop(&mut self) {
        self.end(ENDING);
    }
}

impl Shared {
    fn listen(&self, socket: &OwnedFd) {
        let mut buffer = vec![0; ANSWER];
        loop {
            match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Err(nix::errno::Errno::EINTR) => {}
                Ok(length @ 1..) => self.hear(buffer.get(..length).unwrap_or_default()),
                Ok(0) | Err(_) => return self.gone("the warm process ended"),
            }
        }
    }

    fn hear(&self, text: &[u8]) {
        let Ok(answer) = serde_json::from_slice::<Answer>(text) else {
            return self.gone("the warm process says what is not understood");
        };
        if let Some(why) = answer.cold {
            return self.gone(&why);
        }
        let mut state = lock(&self.state);
        if answer.ready.is_some() && state.stand == Stand::Importing {
            state.stand = Stand::Ready;
        }
        if let (Some(number), Some(pid)) = (answer.started, answer.pid) {
            state.answers.insert(number, Ok(Pid::from_raw(pid)));
        }
        if let Some(number) = answer.failed {
            state.answers.insert(number, Err(answer.why.unwrap_or_default()));
        }
        drop(state);
        self.control.wake();
    }

    /// Says once that repetitions start by themselves from now on.
    fn gone(&self, why: &str) {
        let before = std::mem::replace(&mut lock(&self.state).stand, Stand::Gone);
        if before != Stand::Gone {
            log::warn!("repetitions start cold: {why}");
        }
        self.control.wake();
    }
}

fn no_room(errno: nix::errno::Errno) -> NoCopy {
    log::debug!("no copy of the warm process: {errno}");
    NoCopy
}

impl<'a> Request<'a> {
    pub(super) fn new(phase: &'a str, rep: u32, rep_dir: PathBuf, dir: PathBuf) -> Self {
        let (argv, env, cpus) = (Vec::new(), Vec::new(), Vec::new());
        Request { start: 0, phase, argv, env, cpus, dir, rep, rep_dir, config: None }
    }
}

/// Variables as a request carries them.
pub(super) fn texts(env: &[(OsString, OsString)]) -> Vec<(String, String)> {
    let text = |text: &OsString| text.to_string_lossy().into_owned();
    env.iter().map(|(name, value)| (text(name), text(value))).collect()
}

/// The words of a call of a Python script: the interpreter with its options, and the rest; `None` where it is something else.
pub(super) fn script(words: &[String]) -> Option<(&[String], &[String])> {
    let name = Path::new(words.first()?).file_name()?.to_str()?;
    let version = name.strip_prefix("python")?;
    if !version.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return None;
    }
    // Options without a value, up to the script, or `-m` and a module.
    let is_option = |word: &&String| word.len() > 1 && word.starts_with('-') && !["-m", "-c"].contains(&word.as_str());
    let options = words.iter().skip(1).take_while(is_option).count();
    let with_value = |word: &String| ["-W", "-X", "--check-hash-based-pycs"].contains(&word.as_str());
    let (interpreter, call) = words.split_at(1 + options);
    let unclear = interpreter.iter().any(with_value) || call.first().is_none_or(|word| word == "-c" || word == "-");
    (!unclear).then_some((interpreter, call))
}
