//! `cw2 completions`: what makes a shell complete command lines, and what it then calls.
//!
//! Owns which argument is completed with what. It is told by the arguments' names, so that a command has to do nothing for it.

use super::{Exit, command};
use crate::ops::complete;
use crate::ops::failure::Failure;
use crate::ops::program;
use clap::builder::PossibleValue;
use clap::{Arg, Args, ValueEnum};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter as _};
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Zsh};
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Set by the shell that wants to know how a command line goes on, to its own name.
const VARIABLE: &str = "_CW2_COMPLETE";

#[derive(Debug, Args)]
#[command(after_help = "\
Experiments of the configuration or plan on the command line, its runs, and the plans that lie here are completed too. Activate it with

  bash   echo 'source <(cw2 completions bash)' >> ~/.bashrc
  zsh    echo 'source <(cw2 completions zsh)' >> ~/.zshrc        (after compinit)
  fish   echo 'cw2 completions fish | source' >> ~/.config/fish/config.fish
  elvish echo 'eval (cw2 completions elvish | slurp)' >> ~/.config/elvish/rc.elv")]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

#[derive(Debug, Clone, Copy)]
struct Shell(&'static dyn Completer);

trait Completer: EnvCompleter + std::fmt::Debug + Sync {}
impl<T: EnvCompleter + std::fmt::Debug + Sync> Completer for T {}

impl ValueEnum for Shell {
    fn value_variants<'a>() -> &'a [Self] {
        const { &[Shell(&Bash), Shell(&Elvish), Shell(&Fish), Shell(&Powershell), Shell(&Zsh)] }
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()))
    }
}

/// Prints the script that a shell is to read.
pub(super) fn completions(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let called = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    // From `PATH` it is found there again, wherever it lies then.
    let completer = if called.components().count() > 1 {
        std::path::absolute(&called)?.to_string_lossy().into_owned()
    } else {
        program::name().to_owned()
    };
    let mut script = Vec::new();
    args.shell.0.write_registration(VARIABLE, program::name(), program::name(), &completer, &mut script)?;
    let mut out = std::io::stdout().lock();
    out.write_all(&script)?;
    out.flush()?;
    Ok(Exit::Done)
}

/// Answers a shell that wants to know how a command line goes on. Whether one did.
pub(super) fn answer() -> bool {
    let Some(asking) = std::env::var_os(VARIABLE) else { return false };
    let shell = Shell::value_variants().iter().find(|shell| asking.to_str().is_some_and(|name| shell.0.is(name)));
    let (Some(shell), words) = (shell, words()) else { return false };
    if words.is_empty() {
        return false;
    }
    let mut command = command().mut_subcommands(|command| command.mut_args(completed));
    let mut text = Vec::new();
    let here = std::env::current_dir().ok();
    if shell.0.write_complete(&mut command, words, here.as_deref(), &mut text).is_ok() {
        // The shell may have lost patience.
        let _ = std::io::stdout().write_all(&text);
    }
    true
}

/// The command line that is to go on, its program first.
fn words() -> Vec<OsString> {
    std::env::args_os().skip(1).skip_while(|word| word != "--").skip(1).collect()
}

/// The paths that it may name.
fn paths() -> Vec<PathBuf> {
    words().into_iter().skip(2).map(PathBuf::from).collect()
}

/// The argument with what completes it.
fn completed(arg: Arg) -> Arg {
    let named = |name: &str| arg.get_value_names().is_some_and(|names| names.iter().any(|own| own.as_str() == name));
    if named("CONFIG") || named("CONFIG|PLAN") {
        let plans = named("CONFIG|PLAN");
        arg.add(ArgValueCompleter::new(move |current: &OsStr| {
            let mut found = PathCompleter::any().filter(is_config).complete(current);
            found.extend(if plans { plans_here(current) } else { Vec::new() });
            found
        }))
    } else if named("PATH|PLAN") || named("PLAN") {
        arg.add(ArgValueCompleter::new(|current: &OsStr| {
            let mut found = plans_here(current);
            let known = |folder: &CompletionCandidate| {
                let name = folder.get_value().to_string_lossy();
                found.iter().any(|plan| plan.get_value() == name.trim_end_matches('/'))
            };
            let mut folders = PathCompleter::dir().complete(current);
            folders.retain(|folder| !known(folder));
            found.extend(folders);
            found
        }))
    } else if arg.get_id() == "experiments" {
        arg.add(ArgValueCompleter::new(|current: &OsStr| starting(current, complete::experiments(&paths()))))
    } else if arg.get_id() == "runs" && named("GLOB") || arg.get_id() == "run" {
        arg.add(ArgValueCompleter::new(|current: &OsStr| starting(current, complete::runs(&paths()))))
    } else {
        arg
    }
}

fn is_config(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "yml" || end == "yaml")
}

fn plans_here(current: &OsStr) -> Vec<CompletionCandidate> {
    starting(current, complete::plans_here())
}

/// Those that begin so.
fn starting(current: &OsStr, all: impl IntoIterator<Item: Into<OsString>>) -> Vec<CompletionCandidate> {
    let begins = |name: &OsString| name.as_encoded_bytes().starts_with(current.as_encoded_bytes());
    all.into_iter().map(Into::into).filter(begins).map(CompletionCandidate::new).collect()
}
