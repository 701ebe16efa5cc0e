//! A repetition's life as values: its state on disk, what to do with one that was already begun, how a child is ended.
//!
//! Pure: it must not touch files, processes or the clock; [`crate::worker`] acts on what is decided here.

pub mod cancel;
pub mod decide;
pub mod effective_state;
pub mod failure;
mod flags;
pub mod history;
pub mod job_end;
pub(crate) mod quote;
pub mod render;
pub mod share;
pub mod shell;
pub mod status;
