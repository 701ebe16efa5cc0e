//! Leaving the payload that makes a repetition's end a surrender.

use super::failure::Failure;
use crate::store::atomic::{self, Durable};
use crate::value::Value;
use std::path::Path;

/// Leaves a payload, JSON, in the file that the repetition's worker looks at.
///
/// # Errors
/// Where it is not JSON, or cannot be written.
pub fn surrender(file: &Path, payload: &str) -> Result<(), Failure> {
    let payload = Value::from_json(payload).map_err(|error| {
        Failure::Usage(format!(
            "the payload is not JSON: {error}; write it like this: `cw2 surrender '{{\"reason\": \"converged\"}}'`"
        ))
    })?;
    Ok(atomic::replace(file, format!("{}\n", payload.to_json()).as_bytes(), Durable::No)?)
}
