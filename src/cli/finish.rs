//! `cw2 finish`: what the job calls that waits for all of a plan. Not for people.

use super::Exit;
use crate::ops;
use crate::ops::failure::Failure;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct FinishArgs {
    /// The plan's folder
    #[arg(long, value_name = "PLAN")]
    plan: PathBuf,
    /// A command for `/bin/sh -c`
    #[arg(long, value_name = "COMMAND")]
    call: Vec<String>,
}

pub(super) fn finish(args: &FinishArgs) -> Result<Exit, Failure> {
    let failed = ops::finish::finish(&args.plan, &args.call)?;
    let code = |status: std::process::ExitStatus| status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(failed.map_or(Exit::Done, |status| Exit::Other(code(status))))
}
