//! Why a use case could not do its work, sorted by who has to act.

use crate::store::log::CopyError;
use crate::{config, plan, slurm, store};
use std::fmt;

/// Why a use case could not do its work.
#[derive(Debug)]
pub enum Failure {
    /// The configuration is wrong; the report shows where.
    Config(Box<config::Report>),
    /// What was asked makes no sense.
    Usage(String),
    /// The machine refused.
    Environment(String),
    /// The reader of standard output went away: nobody is left to tell.
    ClosedPipe,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Config(report) => f.write_str(&report.render(false)),
            Failure::Usage(message) | Failure::Environment(message) => f.write_str(message),
            Failure::ClosedPipe => f.write_str("standard output was closed"),
        }
    }
}

impl From<store::StoreError> for Failure {
    fn from(error: store::StoreError) -> Self {
        Failure::Environment(error.to_string())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Environment(format!("{error:#}"))
    }
}

impl From<plan::code::SnapshotError> for Failure {
    fn from(error: plan::code::SnapshotError) -> Self {
        Failure::Usage(error.to_string())
    }
}

impl From<slurm::SlurmError> for Failure {
    fn from(error: slurm::SlurmError) -> Self {
        Failure::Environment(error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Failure::ClosedPipe;
        }
        Failure::Environment(format!("cannot write standard output: {error}"))
    }
}

impl From<CopyError> for Failure {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Read(error) => error.into(),
            CopyError::Write(error) => error.into(),
        }
    }
}

impl std::error::Error for Failure {}
