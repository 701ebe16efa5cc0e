//! `cw2 logs`: the logs of chosen repetitions, byte for byte; or why they crash, told together.

use super::choose::{PlansHereArgs, RepArgs};
use super::{Exit, tell};
use crate::ops::failure::Failure;
use crate::ops::here::shown;
use crate::ops::logs::{self, Followed, Options, Stream};
use crate::ops::program;
use crate::printable::Printable;
use crate::report::{failures, human};
use crate::run::effective_state::EffectiveState;
use clap::Args;
use std::io::{IsTerminal as _, Write};
use std::path::Path;

/// Lines of each failure that `--failed` compares and shows.
const LAST_LINES: u64 = 10;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags of a command line")]
pub(super) struct LogsArgs {
    #[command(flatten)]
    plans: PlansHereArgs,
    #[command(flatten)]
    reps: RepArgs,
    /// Only repetitions in one of these states
    #[arg(long, value_name = "OUTCOME", num_args = 1.., value_parser = outcome)]
    outcome: Vec<EffectiveState>,
    /// Print `err.log`, the standard error
    #[arg(long)]
    err: bool,
    /// Print `out.log`, the standard output (the default; with `--err`, both)
    #[arg(long)]
    out: bool,
    /// Only the last N lines
    #[arg(short = 'n', long, value_name = "N")]
    tail: Option<u64>,
    /// Keep printing as the log grows, until the repetition ends
    #[arg(short, long)]
    follow: bool,
    /// Print the bytes as they are, even to a terminal: colours, cursor movements and all
    #[arg(long, conflicts_with = "failed")]
    raw: bool,
    /// Print why repetitions failed or were lost: the last lines of standard error, or of Slurm's log where nothing was started;
    /// similar ones grouped, the most frequent first
    #[arg(long, conflicts_with_all = ["follow", "err", "out", "outcome"])]
    failed: bool,
}

fn outcome(text: &str) -> Result<EffectiveState, String> {
    let wanted = text.replace([' ', '-'], "_");
    EffectiveState::ALL.into_iter().find(|effective| effective.key() == wanted).ok_or_else(|| {
        let words: Vec<_> = EffectiveState::ALL.iter().map(|effective| effective.key()).collect();
        format!("one of {}", words.join(", "))
    })
}

pub(super) fn logs(args: &LogsArgs, quiet: bool) -> Result<Exit, Failure> {
    let options = Options {
        sources: args.plans.sources().to_vec(),
        select: args.reps.selection(),
        outcome: args.outcome.clone(),
    };
    if args.follow && args.out && args.err {
        return Err(Failure::Usage("`--follow` takes one log: `--out` or `--err`".to_owned()));
    }
    if args.failed {
        return failed(args, &options, quiet);
    }
    let chosen = logs::chosen(&options, &mut |notice| tell(&notice, quiet))?;
    if chosen.is_empty() {
        tell!("these options select no repetition; `{} status --runs` shows what there is", program::name());
        return Ok(Exit::Done);
    }
    let unspecific = options.select.all() && args.outcome.is_empty() && args.tail.is_none();
    if let [_, _, ..] = chosen.as_slice()
        && (unspecific || args.follow)
    {
        let count = human::count(chosen.len() as u64);
        let why = if args.follow { "--follow takes one repetition" } else { "this prints one log" };
        return Err(Failure::Usage(format!(
            "{why}, but {count} are selected; narrow them down with `-e EXPERIMENT`, `-r RUN`, `--rep N`, `--outcome OUTCOME`"
        )));
    }
    let streams = match (args.out, args.err) {
        (true, true) => vec![Stream::Out, Stream::Err],
        (_, false) => vec![Stream::Out],
        (false, true) => vec![Stream::Err],
    };
    let several = chosen.len() > 1 || streams.len() > 1;
    for (number, dir) in chosen.iter().enumerate() {
        for (second, stream) in streams.iter().enumerate() {
            if several {
                let gap = if number + second > 0 { "\n" } else { "" };
                let file = if streams.len() > 1 { format!("/{}", stream.file()) } else { String::new() };
                writeln!(std::io::stdout(), "{gap}==> {}{file} <==", shown(dir))?;
            }
            if args.follow {
                follow(args, &options, dir, *stream, quiet)?;
            } else {
                stream.copy(dir, args.tail, &mut output(args))?;
            }
            if !args.follow && !several && !quiet {
                hint(dir, *stream)?;
            }
        }
    }
    Ok(Exit::Done)
}

/// Where logs go: as they are, except to a person's terminal, which would obey what a program wrote.
fn output(args: &LogsArgs) -> Box<dyn Write> {
    let out = std::io::stdout().lock();
    if out.is_terminal() && !args.raw { Box::new(Printable::new(out)) } else { Box::new(out) }
}

/// An empty answer looks like a mistake where the other stream has something to say.
fn hint(dir: &Path, stream: Stream) -> Result<(), Failure> {
    let (other, option) = match stream {
        Stream::Err => (Stream::Out, "--out"),
        Stream::Out => (Stream::Err, "--err"),
    };
    match (stream.length(dir)?, other.length(dir)?) {
        (None, None) => tell!(
            "`{}` has no logs yet: it was never started; `{} logs --failed` tells of jobs that failed before they could",
            shown(dir),
            program::name()
        ),
        (None | Some(0), Some(length)) if length > 0 => {
            tell!("{} is empty; {} has {} (`{option}`)", stream.file(), other.file(), human::bytes(length));
        }
        _ => {}
    }
    Ok(())
}

fn follow(args: &LogsArgs, options: &Options, dir: &Path, stream: Stream, quiet: bool) -> Result<(), Failure> {
    match logs::follow(options, dir, stream, args.tail, &mut output(args), &mut |notice| tell(&notice, quiet))? {
        Followed::Ended(state) if !quiet => tell!("{}: {}", state.word(), shown(dir)),
        Followed::Ended(_) => {}
        Followed::Lost => tell!("its worker is gone: {}", shown(dir)),
    }
    Ok(())
}

/// `--failed`.
fn failed(args: &LogsArgs, options: &Options, quiet: bool) -> Result<Exit, Failure> {
    let lines = usize::try_from(args.tail.unwrap_or(LAST_LINES)).unwrap_or(usize::MAX);
    let groups = logs::failed(options, lines, &mut |notice| tell(&notice, quiet))?;
    if groups.is_empty() {
        tell!("nothing failed");
        return Ok(Exit::Done);
    }
    let mut out = std::io::stdout().lock();
    out.write_all(failures::render_lines(&groups).as_bytes())?;
    out.flush()?;
    if !quiet {
        tell!("a whole log: `{} logs --err -r RUN --rep N`; more lines of each: `--tail N`", program::name());
    }
    Ok(Exit::Done)
}
