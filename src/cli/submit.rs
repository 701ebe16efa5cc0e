//! `cw2 submit`: hands every array of a plan to Slurm, planning first where a configuration is given.

use super::{Exit, SelectArgs, SnapshotArgs, tell};
use crate::ops;
use crate::ops::failure::Failure;
use crate::ops::notice::Notice;
use crate::ops::program::{self, Program};
use crate::ops::submit::Options;
use clap::Args;
use std::io::Write as _;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags of a command line")]
pub(super) struct SubmitArgs {
    /// A configuration (YAML), which is planned first, or a plan's folder
    #[arg(value_name = "CONFIG|PLAN")]
    source: PathBuf,
    #[command(flatten)]
    select: SelectArgs,
    /// Plan finished repetitions too: they run again, and replace their results
    #[arg(short, long)]
    overwrite: bool,
    /// Submit on hold: nothing starts before `scontrol release`
    #[arg(long)]
    hold: bool,
    /// Start only after other jobs, in the form of `sbatch --dependency`; replaces what is configured
    #[arg(long, value_name = "LIST")]
    dependency: Option<String>,
    /// Ask Slurm whether and when the jobs could start; nothing is planned or submitted
    #[arg(long)]
    test_only: bool,
    /// Submit even if the plan was submitted before, or its repetitions are queued or running
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    code: SnapshotArgs,
    /// Add so many pilots to a plan that has some; they take what is left of its jobs, and end
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "again")]
    pilots: Option<u32>,
    /// Options of sbatch for the added pilots, such as `-- --partition=other --time=60`
    #[arg(last = true, value_name = "SBATCH_OPTION", requires = "pilots")]
    sbatch: Vec<String>,
}

pub(super) fn submit(args: &SubmitArgs, program: &Program, quiet: bool) -> Result<Exit, Failure> {
    if args.source.is_dir() {
        refuse_frozen(args)?;
    }
    let options = Options {
        reading: args.select.reading(&args.source),
        overwrite: args.overwrite,
        hold: args.hold,
        dependency: args.dependency.clone(),
        again: args.again,
        code: args.code.wish(),
        pilots: args.pilots,
        sbatch: args.sbatch.clone(),
    };
    if !args.test_only {
        return submit_all(&options, program, quiet);
    }
    let answers = ops::submit::test(&options, program, &mut |notice| tell(&notice, quiet))?;
    if answers.is_empty() {
        tell!("nothing is left to do: nothing would be submitted");
        return Ok(Exit::Done);
    }
    for (script, answer) in answers {
        tell!("{script}: {answer}");
    }
    tell!("nothing was submitted");
    Ok(Exit::Done)
}

/// Submits, and prints each job's number as it is known.
pub(super) fn submit_all(options: &Options, program: &Program, quiet: bool) -> Result<Exit, Failure> {
    let mut out = std::io::stdout().lock();
    // Whoever stops reading does not stop the submission.
    let mut printed = Ok(());
    let jobs = ops::submit::submit(options, program, &mut |notice| {
        if let (Notice::Submitted { job, .. }, true) = (&notice, printed.is_ok()) {
            printed = writeln!(out, "{job}");
        }
        tell(&notice, quiet);
    })?;
    if jobs.is_empty() {
        let what = if options.pilots.is_some() { "submitted" } else { "planned or submitted" };
        tell!("nothing is left to do: nothing was {what}");
    }
    printed?;
    out.flush()?;
    Ok(Exit::Done)
}

/// What says how a configuration is planned comes too late for a plan.
fn refuse_frozen(args: &SubmitArgs) -> Result<(), Failure> {
    let select = &args.select;
    let flags = [
        ("--experiments", !select.experiments.is_empty()),
        ("--set", !select.set.is_empty()),
        ("--cluster", select.cluster.is_some()),
        ("--strict", select.strict),
        ("--debug", select.debug),
        ("--debugall", select.debugall),
        ("--overwrite", args.overwrite),
    ];
    let given = flags.into_iter().filter_map(|(flag, given)| given.then_some(flag)).chain(args.code.given());
    let given: Vec<_> = given.map(|flag| format!("`{flag}`")).collect();
    if given.is_empty() {
        return Ok(());
    }
    let (folder, me) = (args.source.display(), program::name());
    Err(Failure::Usage(format!(
        "`{folder}` is a plan, and a plan is frozen: {} would change nothing; leave out what is only for a configuration, or give \
         `{me} submit` the configuration instead, which makes another plan",
        given.join(", ")
    )))
}
