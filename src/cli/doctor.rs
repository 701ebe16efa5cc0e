//! `cw2 doctor`: what is known of the cluster here, and whether a folder is fit for results.

use super::{Exit, tell};
use crate::ops::doctor::{self, Options};
use crate::ops::failure::Failure;
use crate::ops::program::Program;
use crate::ops::reading::Reading;
use clap::Args;
use std::io::Write as _;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Folders for results, or configurations that name them [default: the working directory]
    #[arg(value_name = "FOLDER|CONFIG")]
    places: Vec<PathBuf>,
    /// Try a lock from two nodes at once, through `srun` with these options, e.g. `--srun='-p dev'`
    #[arg(long, value_name = "OPTIONS", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    srun: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Try the lock of this file (called by `doctor` itself)
    #[arg(long, hide = true)]
    try_lock: bool,
    /// Keep it until standard input ends
    #[arg(long, hide = true, requires = "try_lock")]
    keep: bool,
}

pub(super) fn doctor(args: &DoctorArgs, program: &Program, quiet: bool) -> Result<Exit, Failure> {
    if args.try_lock {
        for file in &args.places {
            doctor::try_lock(file, args.keep, |line| {
                let mut out = std::io::stdout().lock();
                writeln!(out, "{line}")?;
                Ok(out.flush()?)
            })?;
        }
        return Ok(Exit::Done);
    }
    let srun = args.srun.as_deref().map(|text| {
        shlex::split(text).ok_or_else(|| Failure::Usage("`--srun` has an unclosed quote; close it".to_owned()))
    });
    let here = [PathBuf::from(".")];
    let places = if args.places.is_empty() { here.as_slice() } else { &args.places };
    let reading = |place: &PathBuf| Reading { config: place.clone(), ..Reading::default() };
    let own = program.own_args.iter().cloned();
    let options = Options {
        places: places.iter().map(reading).collect(),
        srun: srun.transpose()?,
        try_lock: own.chain(["doctor", "--try-lock"].map(str::to_owned)).collect(),
    };
    let examined = doctor::doctor(&options, &mut |notice| tell(&notice, quiet))?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", examined.json())?;
    } else {
        out.write_all(examined.text().as_bytes())?;
    }
    out.flush()?;
    Ok(if examined.is_ill() { Exit::Environment } else { Exit::Done })
}
