//! `cw2 forget`: takes runs that are no longer wanted out of what `status` and `retry` count.

use super::choose::{PlanArgs, RepArgs};
use super::{Exit, tell};
use crate::ops::failure::Failure;
use crate::ops::forget::{self, Options, Outcome};
use crate::ops::reading::Reading;
use crate::report::human::counted;
use clap::Args;
use std::io::Write as _;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
Prints the runs, one a line. Their files stay, and `results` goes on to tell them. A run that is planned again counts again.")]
pub(super) struct ForgetArgs {
    #[command(flatten)]
    plans: PlanArgs,
    #[command(flatten)]
    select: RepArgs,
    /// All that this configuration does not have (any more)
    #[arg(long, value_name = "CONFIG", conflicts_with = "undo")]
    not_in: Option<PathBuf>,
    /// Count again what was forgotten
    #[arg(long)]
    undo: bool,
    /// Say what would be forgotten, and forget nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Print one JSON object instead: runs and repetitions
    #[arg(long)]
    json: bool,
}

pub(super) fn forget(args: &ForgetArgs, quiet: bool) -> Result<Exit, Failure> {
    let options = Options {
        sources: args.plans.sources().to_vec(),
        select: args.select.selection(),
        not_in: args.not_in.clone().map(|config| Reading { config, ..Reading::default() }),
        undo: args.undo,
        dry_run: args.dry_run,
    };
    let outcome = forget::forget(&options, &mut |notice| tell(&notice, quiet))?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::json!({ "runs": outcome.runs, "repetitions": outcome.repetitions }))?;
    } else {
        for run in &outcome.runs {
            writeln!(out, "{run}")?;
        }
    }
    out.flush()?;
    if !quiet {
        tell!("{}", summary(&outcome, args));
    }
    Ok(Exit::Done)
}

fn summary(Outcome { runs, repetitions }: &Outcome, args: &ForgetArgs) -> String {
    if *repetitions == 0 {
        let what = if args.undo { "nothing of that is forgotten" } else { "nothing of that counts" };
        return format!("{what}: nothing was changed");
    }
    let what = format!("{} ({})", counted(runs.len() as u64, "run"), counted(*repetitions, "repetition"));
    match (args.undo, args.dry_run) {
        (false, false) => {
            format!("forgot {what}: `status` and `retry` no longer count them; `--undo` brings them back")
        }
        (false, true) => format!("would forget {what}"),
        (true, false) => format!("{what} count again"),
        (true, true) => format!("{what} would count again"),
    }
}
