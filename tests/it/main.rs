//! Integration tests: one binary, one module a theme. They drive the real program, and the real Slurm.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod attempts;
mod browser;
mod cancel;
mod commands;
mod corpus;
mod damage;
mod docs;
mod ends;
mod errors;
mod examples;
mod exec;
mod fake;
mod files;
mod forget;
mod formats;
mod fuzz;
mod git;
mod gpus;
mod kills;
mod listing;
mod logs;
mod metrics;
mod native;
mod plan;
mod programs;
mod project;
mod python;
mod report;
mod results;
mod retry;
mod slurm;
mod snapshot;
mod snapshot_tree;
mod srun;
mod status;
mod stop;
mod strangers;
mod support;
mod table;
mod testbed;
mod worker;
