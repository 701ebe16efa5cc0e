//! Use cases: plain options in, values out. The command line calls them and prints; a program or a test may do the same.
//!
//! Nothing here knows of arguments, colours or terminals: what a person should know meanwhile is handed out as a
//! [`Notice`](notice::Notice).

pub mod cancel;
pub mod complete;
pub mod diff;
pub mod doctor;
pub mod doubt;
pub mod draft;
pub mod exec;
pub mod failure;
pub mod finish;
pub mod fit;
pub mod forget;
pub mod freeze;
pub mod handed;
pub mod here;
pub mod init;
pub mod job_ends;
pub mod list;
pub mod logs;
pub mod notice;
pub mod plan;
pub mod program;
pub mod python;
pub mod reading;
pub mod renamed;
pub mod report;
pub mod results;
pub mod retry;
pub mod run;
pub mod select;
pub mod show;
pub mod snapshot;
pub mod status;
pub mod submit;
pub mod surrender;
pub mod trust;
pub mod work;
pub mod worker;
