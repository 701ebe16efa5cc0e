//! A repetition that is an `srun`, or has one below a shell: its program is a job step, on another node perhaps.
//!
//! Told SIGTERM, srun aborts its step at once, and the program never sees a thing; one SIGINT it keeps to itself; killed
//! together with its helper, it leaves the step behind. Only SIGUSR1 and SIGUSR2 are passed on. So a signal goes to the
//! program through Slurm instead, which is asked once for all that are told to end together, and SIGTERM is what ends a step
//! by force. (Seen with Slurm 20.11, 22.05 and 24.11.)

use super::{ghosts, lock};
use crate::slurm::{self, Step};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpgid};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// A process of a repetition, as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Member {
    pid: Pid,
    group: Pid,
    srun: bool,
}

impl Member {
    fn of(pid: Pid) -> Option<Self> {
        let srun = std::fs::read(format!("/proc/{pid}/comm")).is_ok_and(|name| name == b"srun\n");
        Some(Member { pid, group: getpgid(Some(pid)).ok()?, srun })
    }

    /// Signals it, unless its number has become another's.
    fn signal(&self, signal: Signal) {
        ghosts::signal_stranger(self.pid, signal, || Member::of(self.pid).as_ref() == Some(self));
    }
}

/// The processes that a repetition's command started.
#[derive(Debug)]
pub(super) struct Members(Vec<Member>);

impl Members {
    /// These processes, and all below them.
    pub(super) fn below(roots: Vec<Pid>) -> Self {
        Members(ghosts::descendants(roots).into_iter().filter_map(Member::of).collect())
    }

    /// These processes alone.
    pub(super) fn only(pids: &[Pid]) -> Self {
        Members(pids.iter().copied().filter_map(Member::of).collect())
    }

    /// Only those of this group.
    pub(super) fn in_group(mut self, group: Pid) -> Self {
        self.0.retain(|member| member.group == group);
        self
    }

    /// Whether there is a step that would be left behind.
    pub(super) fn have_steps(&self) -> bool {
        self.0.iter().any(|member| member.srun)
    }

    /// Whether the signal has to come to steps through Slurm.
    pub(super) fn keep_back(&self, signal: Signal) -> bool {
        self.have_steps() && !matches!(signal, Signal::SIGUSR1 | Signal::SIGUSR2)
    }

    /// Asks them to end, and instead of an srun the program of its step.
    pub(super) fn ask(&self, signal: Signal) {
        let through_slurm = self.keep_back(signal);
        let (sruns, others): (Vec<Member>, Vec<_>) = self.0.iter().partition(|member| member.srun && through_slurm);
        for member in &others {
            member.signal(signal);
        }
        if !sruns.is_empty() {
            tell(Request { sruns, signal });
        }
    }

    /// Ends the steps and all that is no srun; the sruns end when the steps have.
    pub(super) fn abort(&self) {
        for member in &self.0 {
            member.signal(if member.srun { Signal::SIGTERM } else { Signal::SIGKILL });
        }
    }
}

/// A signal for the steps of a repetition's sruns.
struct Request {
    sruns: Vec<Member>,
    signal: Signal,
}

/// What is to be delivered, and whether a thread is at it.
struct Post {
    waiting: Vec<Request>,
    under_way: bool,
}

static POST: Mutex<Post> = Mutex::new(Post { waiting: Vec::new(), under_way: false });

/// Has a request delivered without waiting for Slurm, which may take its time: whoever waits for the step watches the clock.
/// What is asked for while others are delivered goes out together.
fn tell(request: Request) {
    let mut post = lock(&POST);
    post.waiting.push(request);
    if std::mem::replace(&mut post.under_way, true) {
        return;
    }
    drop(post);
    if std::thread::Builder::new().name("srun".to_owned()).spawn(deliver_all).is_err() {
        deliver_all();
    }
}

fn deliver_all() {
    loop {
        let mut post = lock(&POST);
        let requests = std::mem::take(&mut post.waiting);
        post.under_way = !requests.is_empty();
        drop(post);
        if requests.is_empty() {
            return;
        }
        deliver(&requests);
    }
}

/// Finds the steps of the requests and signals them. A step that cannot be reached is ended.
fn deliver(requests: &[Request]) {
    let steps = slurm::steps().unwrap_or_else(|error| {
        log::warn!("cannot ask for the steps of `srun`: {error}");
        Vec::new()
    });
    let mut told: BTreeMap<Signal, Vec<&Request>> = BTreeMap::new();
    for request in requests {
        told.entry(request.signal).or_default().push(request);
    }
    for (signal, requests) in told {
        let (found, lost): (Vec<_>, Vec<_>) =
            requests.into_iter().partition(|request| request.steps(&steps).next().is_some());
        let ids: Vec<_> = found.iter().flat_map(|request| request.steps(&steps)).collect();
        let sent = if ids.is_empty() { Ok(()) } else { slurm::signal_steps(&ids, signal) };
        let unreached = match sent {
            Ok(()) => lost,
            Err(error) => {
                log::warn!("cannot signal steps of `srun`: {error}");
                found.into_iter().chain(lost).collect()
            }
        };
        for request in unreached {
            let Some(srun) = request.sruns.first() else { continue };
            log::warn!(
                "no step of `srun` (process {}) could be told {}: ending it, its program may not see that \
                 (`checkpoint_signal: USR2` reaches it without Slurm's help)",
                srun.pid,
                signal.as_str()
            );
            for srun in &request.sruns {
                srun.signal(Signal::SIGTERM);
            }
        }
    }
}

impl Request {
    /// The ids of its sruns' steps.
    fn steps<'a>(&self, steps: &'a [Step]) -> impl Iterator<Item = &'a str> {
        let of_these = |step: &&Step| self.sruns.iter().any(|srun| srun.pid.as_raw() == step.srun);
        steps.iter().filter(of_these).map(|step| step.id.as_str())
    }
}
