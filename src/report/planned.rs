//! What was planned, in a line.

use super::human::counted;
use crate::plan::Plan;
use std::fmt::Write as _;

/// What was planned, what is left out, and what to know of it.
pub fn summary(plan: &Plan) -> String {
    let mut text = to_do(plan);
    if plan.finished > 0 {
        let _ = write!(text, "; {} finished and left out", counted(plan.finished, "repetition"));
    }
    plan.notes.iter().for_each(|note| text.extend(["\nnote: ", note]));
    text
}

/// What is to do.
pub fn to_do(plan: &Plan) -> String {
    let counts = plan.counts();
    let pilots: u64 = plan.arrays.iter().filter_map(|array| array.record.pilots).map(u64::from).sum();
    let pilots = if pilots > 0 { format!(", {}", counted(pilots, "pilot")) } else { String::new() };
    format!(
        "{}, {}, {} to do in {} ({}{pilots})",
        counted(counts.experiments, "experiment"),
        counted(counts.runs, "run"),
        counted(counts.repetitions, "repetition"),
        counted(counts.jobs, "job"),
        counted(plan.arrays.len() as u64, "array"),
    )
}
