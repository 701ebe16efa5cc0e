//! Runs → jobs → arrays: bundles, the layout on disk, the plan's records and the rendering of sbatch scripts.
//!
//! Pure: it decides what is written, `crate::store` writes it. It must not look at the clock, the environment or any file.
//!
//! [`outline`] says which run lies where, [`build`](mod@build) streams the records through a [`Sink`](build::Sink), [`bundle`] cuts
//! repetitions into jobs and jobs into arrays, [`sbatch`] renders an array's script, [`code`] decides about snapshots of the code.

pub mod build;
pub mod bundle;
pub mod check;
pub mod code;
pub mod layout;
pub mod outline;
pub mod record;
pub mod retry;
pub mod sbatch;
mod settings;
pub mod template;

pub use settings::{of_repetition, settings};
