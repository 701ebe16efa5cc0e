//! `cw2 exec`: one repetition by hand.

use super::choose::{PlansHereArgs, RepArgs};
use super::worker::seconds;
use super::{Exit, tell};
use crate::ops::exec::{self, Done, Options, Wish};
use crate::ops::failure::Failure;
use crate::ops::program::Program;
use crate::ops::work;
use crate::run::status::State;
use clap::Args;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
#[command(after_help = "\
Its environment, directory, arguments and number of CPUs are those of its job; where that is Slurm's, the lines of the job's script \
come first (`venv`, `sh_lines`). There is no timeout at a terminal, and no retry. It runs in a scratch copy of its directory, which \
is removed at the end: as its first attempt, or, where it was interrupted, as the one that resumes. What --print and --env print \
speaks of a scratch copy that stays.

Exit codes: as of `run`; with --shell the shell's.")]
#[expect(clippy::struct_excessive_bools, reason = "they are flags of a command line")]
pub(super) struct ExecArgs {
    #[command(flatten)]
    plans: PlansHereArgs,
    #[command(flatten)]
    reps: RepArgs,
    /// In its own directory, as the next attempt, claimed as a worker claims it: its state, logs and metrics are the attempt's
    #[arg(long, conflicts_with = "shell")]
    in_place: bool,
    /// Leave the scratch copy where it is
    #[arg(long, conflicts_with = "in_place")]
    keep: bool,
    /// Print its call, as a line to paste into a shell, and run nothing
    #[arg(long, conflicts_with_all = ["env", "shell"])]
    print: bool,
    /// Print what is added to its environment, as `NAME=value` lines for a shell, and run nothing
    #[arg(long, conflicts_with = "shell")]
    env: bool,
    /// Run a shell in its environment and directory instead (`$SHELL`)
    #[arg(long)]
    shell: bool,
    /// Words before the command, such as `python -m pdb`, `gdb --args` or `strace -f`
    #[arg(long, value_name = "WORDS", value_parser = words, conflicts_with = "shell")]
    with: Option<Words>,
    /// Instead of the configured `launcher`; empty for none
    #[arg(long, value_name = "WORDS", value_parser = words, conflicts_with = "shell")]
    launcher: Option<Words>,
    /// Inside an allocation of what its plan asks of Slurm, with `salloc` and `srun`
    #[arg(long, conflicts_with_all = ["print", "env"])]
    srun: bool,
    /// Without the lines of the job's script
    #[arg(long)]
    no_setup: bool,
    /// Seconds between a polite signal and SIGKILL
    #[arg(long, value_name = "SECONDS", default_value_t = 15.0, hide_short_help = true, value_parser = seconds)]
    grace: f64,
    /// The lines of the job's script were run, and this was the working directory before
    #[arg(long, hide = true, value_name = "FOLDER")]
    prepared: Option<PathBuf>,
}

/// Words as a shell splits them.
#[derive(Debug, Clone)]
struct Words(Vec<String>);

fn words(text: &str) -> Result<Words, String> {
    shlex::split(text).map(Words).ok_or_else(|| "a quote is not closed".to_owned())
}

pub(super) fn exec(args: &ExecArgs, program: &Program, quiet: bool) -> Result<Exit, Failure> {
    if let Some(folder) = &args.prepared {
        std::env::set_current_dir(folder)
            .map_err(|error| Failure::Environment(format!("cannot go back to `{}`: {error}", folder.display())))?;
    }
    let given = |words: &Option<Words>| words.as_ref().map(|words| words.0.clone());
    let options = Options {
        sources: args.plans.sources().to_vec(),
        select: args.reps.selection(),
        in_place: args.in_place,
        keep: args.keep,
        with: given(&args.with).unwrap_or_default(),
        launcher: given(&args.launcher),
        grace: Duration::from_secs_f64(args.grace),
        wish: match args {
            ExecArgs { print: true, .. } => Wish::Print,
            ExecArgs { env: true, .. } => Wish::Env,
            ExecArgs { shell: true, .. } => Wish::Shell,
            _ => Wish::Run,
        },
    };
    let mut told = |notice: crate::ops::notice::Notice<'_>| tell(&notice, quiet);
    let chosen = exec::choose(&options, &mut told)?;
    if args.srun && !work::in_job() {
        return Err(exec::replace_by(chosen.allocation(&this_call(&[])?)?));
    }
    if args.prepared.is_none() && !args.no_setup && !args.print {
        let here = std::env::current_dir().unwrap_or_default();
        let call = this_call(&["--prepared".into(), here.into()])?;
        if let Some(command) = chosen.preparation(&call)? {
            return Err(exec::replace_by(command));
        }
    }
    match exec::exec(&options, &chosen, program, &mut told)? {
        Done::Told(text) => {
            let mut out = std::io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()?;
            Ok(Exit::Done)
        }
        Done::Left(0) => Ok(Exit::Done),
        Done::Left(code) => Ok(Exit::Other(code)),
        Done::Ran(state, why) => {
            if let (Some(why), true) = (&why, !quiet || state != State::Completed) {
                tell!("{}: {why}", state.word());
            } else if !quiet {
                tell!("{}", state.word());
            }
            Ok(match state {
                State::Completed | State::Surrendered => Exit::Done,
                State::Interrupted | State::Running => Exit::Interrupted,
                State::Crashed | State::TimedOut => Exit::Crashed,
            })
        }
    }
}

/// This program with its arguments, and more of them.
pub(super) fn this_call(more: &[OsString]) -> Result<Vec<OsString>, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::Environment(format!("cannot tell where this program lies: {error}")))?;
    Ok(std::iter::once(program.into()).chain(std::env::args_os().skip(1)).chain(more.iter().cloned()).collect())
}
