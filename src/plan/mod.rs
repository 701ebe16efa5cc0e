//! Runs → jobs → arrays: bundles, the layout on disk, the plan's records and the rendering of sbatch scripts.
//!
//! Pure: it decides what is written, `crate::store` writes it. It must not look at the clock, the environment or any file.
//!
//! [`runs`] resolves every run and says where it lies, [`build`](mod@build) makes them one value, the [`Plan`], [`bundle`] cuts its
//! repetitions into jobs and jobs into arrays, [`retry`] makes a plan of earlier ones, [`sbatch`] renders an array's script, [`code`]
//! decides about snapshots of the code.

pub mod build;
pub mod bundle;
pub mod by_hand;
pub mod call;
pub mod check;
pub mod code;
#[cfg(feature = "cli")]
pub mod diff;
pub mod fit;
pub mod layout;
pub mod record;
mod repeated;
pub mod retry;
pub mod runs;
pub mod sbatch;
pub mod settings;
pub mod template;
mod value;

pub use settings::{of_repetition, record, settings};
pub use value::{Plan, PlannedExperiment, PlannedRun, Reps};
