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

/// `name=value` pairs, for a person.
fn pairs(metrics: &Metrics) -> String {
    let pairs = metrics.iter().filter(|(name, _)| !["ts", "rep", "iter"].contains(name));
    pairs.map(|(name, value)| format!("{name}={}", value.python_str())).collect::<Vec<_>>().join(" ")
}
