//! Integration tests: one binary, one module a theme. They drive the real program, and the real Slurm.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod attempts;
mod browser;
mod cancel;
mod commands;
mod console;
mod corpus;
mod damage;
mod diff;
mod docs;
mod ends;
mod errors;
mod examples;
mod exec;
mod fake;
mod files;
mod forget;
mod formats;
mod git;
mod gpus;
mod init;
mod kills;
mod listing;
mod logs;
mod metrics;
mod native;
mod places;
mod plan;
mod programs;
mod project;
mod python;
mod report;
mod results;
mod retry;
mod shells;
mod slurm;
mod snapshot;
mod snapshot_tree;
mod srun;
mod status;
mod stop;
mod support;
mod table;
mod testbed;
mod worker;
