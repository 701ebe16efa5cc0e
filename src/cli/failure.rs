//! What a command ends with: the exit codes, and which failure ends in which.

use crate::ops::failure::Failure;

/// The exit codes, as `cw2 --help` and the README list them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done; for `worker` and `run`: every repetition completed or surrendered.
    Done,
    /// At least one repetition crashed or timed out.
    Crashed,
    /// A usage or configuration error.
    Usage,
    /// An environment failure: Slurm, disk, permissions.
    Environment,
    /// Interrupted; run again to continue. `EX_TEMPFAIL` of sysexits.h.
    Interrupted,
    /// The status of a shell that `exec` ran.
    Other(u8),
}

impl Exit {
    /// The number the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Crashed => 1,
            Exit::Usage => 2,
            Exit::Environment => 3,
            Exit::Interrupted => 75,
            Exit::Other(code) => code,
        }
    }
}

impl Failure {
    /// The exit code it ends with.
    pub fn exit(&self) -> Exit {
        match self {
            Failure::Config(_) | Failure::Usage(_) => Exit::Usage,
            Failure::Environment(_) => Exit::Environment,
            Failure::ClosedPipe => Exit::Done,
        }
    }

    /// Tells it on standard error.
    pub fn report(&self) {
        match self {
            Failure::Config(report) => tell!("{}", report.render(super::color())),
            Failure::ClosedPipe => {}
            other => {
                let label = if super::color() { "\u{1b}[1m\u{1b}[91merror\u{1b}[0m" } else { "error" };
                tell!("{label}: {other}");
            }
        }
    }
}
