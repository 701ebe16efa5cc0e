//! `cw2 init`: a starter that runs at once.

use super::Exit;
use crate::ops::failure::Failure;
use crate::ops::here::shown;
use crate::ops::init::{self, Language, Wanted};
use clap::{Args, ValueEnum};
use std::io::Write as _;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
Writes `config.yml`, a program (not with --from), and `.cw2.schema.json`, by which editors complete and check the configuration; prints their paths. What is \
there is never overwritten. --from reads the program with Python's own parser, and runs nothing of it: each option becomes a parameter with the \
program's default; a seed and output folders are filled in for each repetition.")]
pub(super) struct InitArgs {
    /// The folder they are written to [default: the working directory]
    #[arg(value_name = "FOLDER", default_value = ".", hide_default_value = true)]
    folder: PathBuf,
    /// Make a configuration for this Python program, from the options that it declares with argparse
    #[arg(long, value_name = "PROGRAM", conflicts_with = "lang")]
    from: Option<PathBuf>,
    /// What the program is written in
    #[arg(long, value_enum, default_value_t = Lang::Python)]
    lang: Lang,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Lang {
    Python,
    Shell,
    Rust,
}

pub(super) fn init(args: &InitArgs, quiet: bool) -> Result<Exit, Failure> {
    let wanted = match (&args.from, args.lang) {
        (Some(program), _) => Wanted::From(program.clone()),
        (None, Lang::Python) => Wanted::Program(Language::Python),
        (None, Lang::Shell) => Wanted::Program(Language::Shell),
        (None, Lang::Rust) => Wanted::Program(Language::Rust),
    };
    let made = init::init(&args.folder, &wanted)?;
    let mut out = std::io::stdout().lock();
    for file in &made.files {
        writeln!(out, "{}", shown(file.strip_prefix(".").unwrap_or(file)))?;
    }
    out.flush()?;
    if !quiet {
        made.notes.iter().for_each(|note| tell!("note: {note}"));
        let width = made.next.iter().map(|(call, _)| call.chars().count()).max().unwrap_or(0);
        tell!("next:");
        for (call, what) in &made.next {
            tell!(
                "{}",
                format!("  {call:width$}  {}", if what.is_empty() { String::new() } else { format!("# {what}") })
                    .trim_end()
            );
        }
    }
    Ok(Exit::Done)
}
