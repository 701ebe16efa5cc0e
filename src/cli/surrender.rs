//! `cw2 surrender`: leaves the payload that makes a repetition's end a surrender.

use super::Exit;
use crate::ops;
use crate::ops::failure::Failure;
use clap::Args;
use std::path::Path;

#[derive(Debug, Args)]
pub(super) struct SurrenderArgs {
    /// The payload that `finalize` and the results get, as JSON
    #[arg(value_name = "JSON", default_value = "{}")]
    payload: String,
}

pub(super) fn surrender(args: &SurrenderArgs) -> Result<Exit, Failure> {
    let Some(file) = std::env::var_os("CW2_SURRENDER") else {
        return Err(Failure::Usage(
            "`cw2 surrender` works inside a repetition only: `CW2_SURRENDER` is not set".to_owned(),
        ));
    };
    ops::surrender::surrender(Path::new(&file), &args.payload)?;
    Ok(Exit::Done)
}
