//! `cw2 cancel`: takes a plan's arrays, or the elements of chosen repetitions, off the cluster.

use super::choose::{PlanArgs, RepArgs};
use super::{Exit, tell};
use crate::ops::cancel::{self, Cancelled, Options};
use crate::ops::failure::Failure;
use crate::report::human::counted as count;
use clap::Args;
use std::io::Write as _;

#[derive(Debug, Args)]
pub(super) struct CancelArgs {
    #[command(flatten)]
    plans: PlanArgs,
    #[command(flatten)]
    select: RepArgs,
    /// Show what would be cancelled, and cancel nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// How many left-alone elements are named one by one.
const NAMED: usize = 10;

pub(super) fn cancel(args: &CancelArgs, quiet: bool) -> Result<Exit, Failure> {
    let options =
        Options { sources: args.plans.sources().to_vec(), select: args.select.selection(), dry_run: args.dry_run };
    let cancelled = cancel::cancel(&options, &mut |notice| tell(&notice, quiet))?;
    let mut out = std::io::stdout().lock();
    for name in &cancelled.names {
        writeln!(out, "{name}")?;
    }
    out.flush()?;
    for line in cancelled.left.iter().take(NAMED) {
        tell!("{line}");
    }
    if cancelled.left.len() > NAMED {
        tell!("… and {} left alone", count((cancelled.left.len() - NAMED) as u64, "more element"));
    }
    if !quiet {
        tell!("{}", summary(&cancelled, args.dry_run));
    }
    Ok(Exit::Done)
}

fn summary(Cancelled { running, queued, left, .. }: &Cancelled, dry_run: bool) -> String {
    if running + queued == 0 {
        let why =
            if left.is_empty() { "nothing of these is queued or running" } else { "nothing else is queued or running" };
        return format!("nothing to cancel: {why}");
    }
    let verb = if dry_run { "would cancel" } else { "cancelled" };
    format!("{verb} {}: {running} running, {queued} queued", count(running + queued, "element"))
}
