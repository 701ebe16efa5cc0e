//! Use cases: plain options in, values out. The command line calls them and prints; a program or a test may do the same.
//!
//! Nothing here knows of arguments, colours or terminals: what a person should know meanwhile is handed out as a
//! [`Notice`](notice::Notice).

pub mod draft;
pub mod failure;
pub mod freeze;
pub mod notice;
pub mod plan;
pub mod program;
pub mod python;
pub mod retry;
pub mod run;
pub mod select;
pub mod snapshot;
pub mod submit;
pub mod work;
