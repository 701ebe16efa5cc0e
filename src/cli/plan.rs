//! `cw2 plan`: freezes a configuration, prints the scripts' paths.

use super::{ConfigArgs, Exit, SnapshotArgs, print, tell};
use crate::ops;
use crate::ops::failure::Failure;
use crate::ops::notice::Notice;
use crate::ops::program::{self, Program};
use crate::ops::reading::Reading;
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print the scripts and write nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Plan finished repetitions too: they run again, and replace their results
    #[arg(short, long)]
    overwrite: bool,
    /// Point out what the original cw2 would read differently
    #[arg(long)]
    original: bool,
    #[command(flatten)]
    code: SnapshotArgs,
}

pub(super) fn plan(args: &PlanArgs, program: &Program, quiet: bool) -> Result<Exit, Failure> {
    let options = ops::plan::Options {
        reading: Reading { original: args.original, ..args.config.reading() },
        dry_run: args.dry_run,
        overwrite: args.overwrite,
        code: args.code.wish(),
    };
    let (plan, frozen) = ops::plan::plan(&options, program, &mut |notice| tell(&notice, quiet))?;
    print::scripts(&frozen)?;
    tell(&Notice::Planned(&plan, &frozen), quiet);
    if !quiet && plan.arrays.is_empty() {
        tell!("nothing is left to do: no plan was written");
    } else if !quiet {
        print::next(&frozen, args.dry_run, program::name());
    }
    Ok(Exit::Done)
}
