//! What status files say, as tables, texts and JSON: one format a file.
//!
//! Values in, values out: no file, no clock, no process. It must not decide how a repetition stands; that is
//! [`crate::run::effective_state`].

pub mod advice;
pub mod common_cause;
pub mod diff;
pub mod doctor;
pub mod failures;
pub mod html;
pub mod human;
pub mod next;
pub mod planned;
pub mod progress;
pub mod reps_table;
pub mod results;
pub mod status;
pub mod status_json;
pub mod status_table;
