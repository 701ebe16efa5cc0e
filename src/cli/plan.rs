//! `cw2 plan`: freezes a configuration, prints the scripts' paths.

use super::draft::{self, Mode};
use super::freeze;
use super::snapshot::SnapshotArgs;
use super::{ConfigArgs, Exit, Failure, Program};
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print the scripts and write nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Plan finished repetitions too, and run them again in their place
    #[arg(short, long)]
    overwrite: bool,
    #[command(flatten)]
    code: SnapshotArgs,
}

pub(super) fn plan(args: &PlanArgs, program: &Program, quiet: bool) -> Result<Exit, Failure> {
    let mode = if args.dry_run { Mode::DryRun } else { Mode::Write };
    let (plan, frozen) = freeze::freeze(&args.config, program, args.overwrite, mode, Some(args.code))?;
    frozen.print(mode)?;
    if !quiet {
        tell!("{}", draft::summary(&plan));
        frozen.notes.iter().for_each(|note| tell!("{note}"));
        if plan.arrays.is_empty() {
            tell!("nothing is left to do: no plan was written");
        } else if mode == Mode::DryRun {
            tell!("dry run: nothing was written");
        } else if let ([_, _, ..], Some(folder)) = (frozen.scripts.as_slice(), &frozen.folder) {
            // `sbatch` takes one script; it would take the others for that one's arguments.
            tell!("submit each of them on its own, or all with `{} submit {}`", super::me(), folder.display());
        }
    }
    Ok(Exit::Done)
}
