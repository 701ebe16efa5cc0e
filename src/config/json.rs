//! Reading back the JSON that [`Value::to_json`] writes.
//!
//! Owns nothing but the entrance: JSON is YAML in flow style, so the one parser reads it, with `NaN` and `Infinity` as numbers.

use super::yaml;
use crate::value::Value;
use std::fmt;

/// Why a text is not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    /// What is wrong.
    pub message: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at line {} column {}", self.message, self.line, self.column)
    }
}

impl std::error::Error for JsonError {}

/// The value of a JSON text. `NaN`, `Infinity` and `-Infinity` are numbers, integers keep every digit, keys their order.
pub fn read_json(text: &str) -> Result<Value, JsonError> {
    match yaml::parse_json(text) {
        Ok(node) => Ok(node.to_value()),
        Err(diagnostic) => {
            let at = diagnostic.at.unwrap_or_default();
            let message = diagnostic.message.replacen("invalid YAML", "invalid JSON", 1);
            Err(JsonError { message, line: at.line.max(1), column: at.column.max(1) })
        }
    }
}
