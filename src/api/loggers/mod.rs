//! Loggers that are ready to use.

mod console;
mod csv;
mod facade;
mod json_lines;

pub use console::Console;
pub use csv::Csv;
pub use facade::Facade;
pub use json_lines::JsonLines;

use super::Metrics;
use super::logger::STAMP;
use crate::value::Value;

/// A record for a person: its iteration, where it belongs to one, and `name=value` pairs.
fn line(metrics: &Metrics) -> String {
    let iter = metrics.get("iter").filter(|iter| **iter != Value::Null);
    let iter = iter.map(|iter| format!("iter {}: ", iter.to_json())).unwrap_or_default();
    let pairs = metrics.iter().filter(|(name, _)| !STAMP.contains(name));
    iter + &pairs.map(|(name, value)| format!("{name}={}", value.python_str())).collect::<Vec<_>>().join(" ")
}
