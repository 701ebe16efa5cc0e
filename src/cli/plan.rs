//! `cw2 plan`: freezes a configuration, prints the scripts' paths.

use super::{ConfigArgs, Exit, SnapshotArgs, print, tell};
use crate::ops;
use crate::ops::failure::Failure;
use crate::ops::notice::Notice;
use crate::ops::program::{self, Program};
use crate::ops::reading::Reading;
use crate::report::{self, human::counted};
use clap::Args;
use std::io::Write as _;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags of a command line")]
pub(super) struct PlanArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print the scripts and write nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Ask the cluster whether it would take the jobs, and write nothing: `sbatch --test-only` for each script, and what
    /// they ask for against the limits of partitions and of this user
    #[arg(long, conflicts_with = "dry_run")]
    check: bool,
    /// Plan finished repetitions too: they run again, and replace their results
    #[arg(short, long)]
    overwrite: bool,
    /// Point out what the original cw2 would read differently
    #[arg(long)]
    original: bool,
    /// Tell what differs from the newest plan, and which runs do the same; nothing is written
    #[arg(long, conflicts_with_all = ["overwrite", "check", "debug", "debugall"])]
    diff: bool,
    /// With --diff: print one JSON object
    #[arg(long, requires = "diff")]
    json: bool,
    #[command(flatten)]
    code: SnapshotArgs,
}

pub(super) fn plan(args: &PlanArgs, program: &Program, quiet: bool) -> Result<Exit, Failure> {
    if args.diff {
        return diff(args, quiet);
    }
    let options = ops::plan::Options {
        reading: Reading { original: args.original, ..args.config.reading() },
        dry_run: args.dry_run,
        overwrite: args.overwrite,
        code: args.code.wish(),
    };
    if args.check {
        return check(&options, program, quiet);
    }
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

/// Tells what differs from what was planned.
fn diff(args: &PlanArgs, quiet: bool) -> Result<Exit, Failure> {
    let compared = ops::diff::compare(&args.config.reading(), &mut |notice| tell(&notice, quiet))?;
    let difference = &compared.difference;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", report::diff::json(difference, &compared.plans))?;
    } else {
        out.write_all(report::diff::text(difference).as_bytes())?;
    }
    out.flush()?;
    if !quiet {
        let same = counted(difference.same, "run");
        match compared.plans.as_slice() {
            [] => tell!("nothing was planned before"),
            plans if difference.is_empty() => tell!("nothing differs from {}: {same} as before", plans.join(", ")),
            plans => tell!("against {}: {same} as before", plans.join(", ")),
        }
    }
    Ok(Exit::Done)
}

/// Tells whether the cluster would take it: a line a script.
fn check(options: &ops::plan::Options, program: &Program, quiet: bool) -> Result<Exit, Failure> {
    let checked = ops::fit::look(options, program, &mut |notice| tell(&notice, quiet))?;
    let mut out = std::io::stdout().lock();
    for (script, answer) in &checked.scripts {
        match answer {
            Ok(answer) => writeln!(out, "{script}: {answer}")?,
            Err(why) => writeln!(out, "{script}: refused: {why}")?,
        }
    }
    out.flush()?;
    if checked.scripts.is_empty() {
        tell!("nothing is left to do: nothing would be submitted");
    } else if !checked.fits() {
        return Err(Failure::Usage("this plan does not fit the cluster as it is; nothing was written".to_owned()));
    } else if !quiet {
        tell!("the cluster would take it; nothing was written");
    }
    Ok(Exit::Done)
}
