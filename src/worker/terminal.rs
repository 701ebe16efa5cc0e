//! The terminal of this process, lent to a child: it reads the keys, and Ctrl-C and Ctrl-Z are for it.

use nix::sys::signal::{SigSet, Signal, killpg, raise};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};
use std::io::{IsTerminal as _, stdin};

/// A terminal that this process reads from.
#[derive(Debug)]
pub(super) struct Terminal {
    /// The group of this process.
    own: Pid,
}

impl Terminal {
    /// Standard input, where it is a terminal and this process is in its foreground.
    pub(super) fn of_this_process() -> Option<Self> {
        let own = getpgrp();
        (stdin().is_terminal() && tcgetpgrp(stdin()) == Ok(own)).then_some(Terminal { own })
    }

    /// Lends it to a group of processes, which may have stopped because it wanted to read before.
    pub(super) fn lend(&self, group: Pid) {
        // Stopped by the shell, and continued in the background: then it is not ours to lend.
        if tcgetpgrp(stdin()) == Ok(self.own) {
            set_foreground(group);
        }
        // The group may be over already.
        let _ = killpg(group, Signal::SIGCONT);
    }

    /// Takes it back.
    pub(super) fn take_back(&self) {
        set_foreground(self.own);
    }

    /// Stops this process where its child was stopped, as Ctrl-Z does it, and goes on with it.
    pub(super) fn follow_stop(&self, child: Pid) {
        let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG;
        if !matches!(waitid(Id::Pid(child), flags), Ok(WaitStatus::Stopped(..))) {
            return;
        }
        self.take_back();
        // Returns when somebody says SIGCONT; at once where no shell could.
        let _ = raise(Signal::SIGTSTP);
        self.lend(child);
    }
}

fn set_foreground(group: Pid) {
    // Whoever does this from the background would be stopped.
    let mut ttou = SigSet::empty();
    ttou.add(Signal::SIGTTOU);
    let blocked = ttou.thread_block();
    if let Err(errno) = tcsetpgrp(stdin(), group) {
        log::debug!("cannot hand over the terminal: {errno}");
    }
    if blocked.is_ok() {
        let _ = ttou.thread_unblock();
    }
}
