//! `cw2 surrender`: leaves the payload that makes a repetition's end a surrender.

use super::Exit;
use crate::ops::failure::Failure;
use crate::store::atomic::{self, Durable};
use crate::value::Value;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct SurrenderArgs {
    /// What `finalize` and the results are told, in JSON
    #[arg(value_name = "JSON", default_value = "{}")]
    payload: String,
}

pub(super) fn surrender(args: &SurrenderArgs) -> Result<Exit, Failure> {
    let Some(path) = std::env::var_os("CW2_SURRENDER").map(PathBuf::from) else {
        return Err(Failure::Usage(
            "`cw2 surrender` works inside a repetition only: `CW2_SURRENDER` is not set".to_owned(),
        ));
    };
    let payload = Value::from_json(&args.payload).map_err(|error| {
        Failure::Usage(format!(
            "the payload is not JSON: {error}; write it like this: `cw2 surrender '{{\"reason\": \"converged\"}}'`"
        ))
    })?;
    atomic::replace(&path, format!("{}\n", payload.to_json()).as_bytes(), Durable::No)?;
    Ok(Exit::Done)
}
