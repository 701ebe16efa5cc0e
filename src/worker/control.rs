//! Signals as data: blocked for the whole process, read from a signalfd by whoever asks, acted on in one place.
//!
//! A handler would run some time after its signal arrived; a child that ended of the same signal could be judged in between,
//! and be taken for done. Read under the lock, a signal that came before the child's end is known when the end is seen.
//! SIGCHLD comes the same way: a slot waits for its child and for a reason to stop in one place, without polling, on
//! kernels older than pidfds too (5.3; RHEL 8 has 4.18).
//!
//! Children inherit the mask, so it is lifted while one is started, with handlers that only set a flag: whatever the starting
//! thread takes in that moment is noted before it goes on, and whoever judges a child waits for that.
//!
//! A thread that was there before the mask takes signals too. Its handler sets the same flag and wakes the listener through a
//! pipe, so that none is lost; only that such a signal is known before a child's end is seen cannot be promised then.
//!
//! Signals are the process's, so there is one listener in it, however often a [`Control`] is made.

use super::lock;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// The signals that say stop; SIGUSR1 is the warning before the time limit.
const STOPS: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1];

/// How urgently the worker is to stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// Not at all.
    #[default]
    None,
    /// Start nothing new, end what runs politely.
    Stop,
    /// End everything at once (a second signal).
    Kill,
}

#[derive(Debug, Default)]
struct State {
    /// Grows with every signal, so that a wait knows whether it missed one.
    events: u64,
    /// The signals that said stop.
    stops: Vec<Signal>,
    /// How many of them came before the latest [`Control`].
    old: usize,
    /// So many more are no other order: this worker's shell handed them on.
    repeated: usize,
}

/// The worker's view of the signals it got.
#[derive(Debug, Clone)]
pub struct Control {
    shared: Arc<Shared>,
    /// So many signals that said stop were meant for what ran before.
    old: usize,
}

/// A shell that waits for this worker, as scripts with `sh_lines_after` do, hands on what it is told: what all processes of a job or
/// a terminal are told comes twice then, and only a third signal is another one for sure.
const SHELL: &str = "CW2_SHELL";

#[derive(Debug)]
struct Shared {
    /// All that is taken over.
    mask: SigSet,
    signals: SignalFd,
    /// Readable when a handler ran.
    handled: UnixStream,
    /// What a handler took: of a thread that starts a child, or that does not block the signals.
    taken: Vec<(Signal, Arc<AtomicBool>)>,
    /// Shared by those who start a child just now, exclusive for those who must know of every signal that came before.
    starts: RwLock<()>,
    state: Mutex<State>,
    changed: Condvar,
}

impl Control {
    /// Takes over SIGTERM, SIGINT, SIGHUP, SIGUSR1 and SIGCHLD, for the rest of the process. What was heard before is over.
    ///
    /// To be called before any other thread is started: only threads that come of this one block the signals.
    pub fn listen() -> std::io::Result<Self> {
        static SHARED: Mutex<Option<Arc<Shared>>> = Mutex::new(None);
        let mut known = lock(&SHARED);
        let Some(shared) = &*known else {
            let shared = Shared::start()?;
            *known = Some(Arc::clone(&shared));
            return Ok(Control { shared, old: 0 });
        };
        let shared = Arc::clone(shared);
        shared.mask.thread_block()?;
        let mut state = shared.state();
        state.old = state.stops.len();
        let old = state.old;
        drop(state);
        Ok(Control { shared, old })
    }

    /// Starts a child, which gets none of the signals that are blocked here.
    pub(super) fn spawn(&self, command: &mut Command) -> std::io::Result<Child> {
        let _start = self.shared.starts.read().unwrap_or_else(PoisonError::into_inner);
        self.shared.mask.thread_unblock()?;
        let child = command.spawn();
        self.shared.mask.thread_block()?;
        drop(self.shared.state());
        child
    }

    /// Whether nothing new may start.
    pub fn stopping(&self) -> bool {
        self.urgency().0 != Urgency::None
    }

    /// Whether everything is to end at once.
    pub fn killing(&self) -> bool {
        self.urgency().0 == Urgency::Kill
    }

    /// Whether nothing new may start, now or before `patience` is over.
    pub(super) fn stopping_within(&self, patience: Duration) -> bool {
        // What another thread took while it started a child is noted first.
        drop(self.shared.starts.write().unwrap_or_else(PoisonError::into_inner));
        let until = Instant::now().checked_add(patience);
        loop {
            let events = self.events();
            if self.stopping() || until.is_some_and(|until| Instant::now() >= until) {
                return self.stopping();
            }
            self.wait(events, until);
        }
    }

    /// Whether it was the time limit that first said stop.
    pub fn stopped_by_time_limit(&self) -> bool {
        self.first_stop() == Some(Signal::SIGUSR1)
    }

    /// The signal that first said stop.
    pub(super) fn first_stop(&self) -> Option<Signal> {
        self.shared.state().stops.get(self.old).copied()
    }

    /// How urgent it is, and the last signal that said so.
    pub(super) fn urgency(&self) -> (Urgency, Option<Signal>) {
        let state = self.shared.state();
        let stops = state.stops.get(self.old..).unwrap_or_default();
        let urgency = match stops.len() {
            0 => Urgency::None,
            more if more <= 1 + state.repeated => Urgency::Stop,
            _ => Urgency::Kill,
        };
        (urgency, stops.last().copied())
    }

    /// How many signals there were; take it before looking at what [`Control::wait`] is to wait for.
    pub(super) fn events(&self) -> u64 {
        self.shared.state().events
    }

    /// Wakes whoever waits, as a signal would, though there was none.
    pub(super) fn wake(&self) {
        self.shared.state().events += 1;
        self.shared.changed.notify_all();
    }

    /// Waits until there was a signal since `events`, or until `deadline`.
    pub(super) fn wait(&self, events: u64, deadline: Option<Instant>) {
        let mut state = self.shared.state();
        while state.events == events {
            state = match deadline {
                None => self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
                    let Some(left) = left else { return };
                    let woken = self.shared.changed.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Shared {
    /// Installs the handlers, and the thread that hears of the signals.
    fn start() -> std::io::Result<Arc<Self>> {
        let (handled, wake) = UnixStream::pair()?;
        handled.set_nonblocking(true)?;
        let mut mask = SigSet::empty();
        let mut taken = Vec::new();
        for signal in STOPS.into_iter().chain([Signal::SIGCHLD]) {
            mask.add(signal);
            let flag = Arc::new(AtomicBool::new(false));
            // Run in this order: the flag is set when the listener wakes.
            signal_hook::flag::register(signal as i32, Arc::clone(&flag))?;
            signal_hook::low_level::pipe::register(signal as i32, wake.try_clone()?)?;
            taken.push((signal, flag));
        }
        // For the calling thread, and those it starts.
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let shared = Arc::new(Shared {
            mask,
            signals,
            handled,
            taken,
            starts: RwLock::default(),
            state: Mutex::new(State { repeated: repeated(), ..State::default() }),
            changed: Condvar::new(),
        });
        let listener = Arc::clone(&shared);
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            loop {
                let [signals, handled] = [listener.signals.as_fd(), listener.handled.as_fd()];
                let mut fds = [signals, handled].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
                // An interrupted poll is only a look too many.
                let _ = poll(&mut fds, PollTimeout::NONE);
                let _ = (&listener.handled).read(&mut [0; 64]);
                drop(listener.state());
            }
        })?;
        Ok(shared)
    }

    /// The state, with every signal that has arrived.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = lock(&self.state);
        let events = state.events;
        while let Ok(Some(info)) = self.signals.read_signal() {
            if let Some(signal) = i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok()) {
                state.hear(signal);
            }
        }
        let taken = self.taken.iter().filter(|(_, flag)| flag.swap(false, Ordering::SeqCst));
        taken.for_each(|(signal, _)| state.hear(*signal));
        // Those who wait did not look since.
        if state.events != events {
            self.changed.notify_all();
        }
        state
    }
}

impl State {
    fn hear(&mut self, signal: Signal) {
        self.events += 1;
        if signal == Signal::SIGCHLD {
            return;
        }
        self.stops.push(signal);
        match self.stops.len() - self.old {
            1 => log::warn!("{}: stopping what runs, starting nothing new (send it again to kill)", signal.as_str()),
            more if more <= 1 + self.repeated => log::debug!("{} handed on by the shell", signal.as_str()),
            _ => log::warn!("{} again: killing what runs", signal.as_str()),
        }
    }
}

/// How many signals beyond the first may be that one, handed on by this process's own shell.
fn repeated() -> usize {
    let shell = std::env::var(SHELL).ok().and_then(|pid| pid.parse().ok());
    usize::from(shell == Some(nix::unistd::getppid().as_raw()))
}
