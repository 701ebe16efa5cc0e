//! The kinds of values that known keys have, each a function from a node to the value or what is wrong with it.
//!
//! Owns what each kind accepts and how it is named in a message. It must not know which key has which kind.

use super::error::Diagnostic;
use super::node::{Node, NodeKind, brief};
use super::reader::unknown_key;
use super::{duration, keys};
use crate::value::Value;

/// Counts stop here: nothing that cw2 counts has more, and Slurm's own counters are no larger.
const MAX_COUNT: i128 = 1 << 31;

pub(super) type Result<T> = std::result::Result<T, Box<Diagnostic>>;

/// A whole number of at least `LEAST`.
pub(super) fn count<const LEAST: u32>(node: &Node, key: &str) -> Result<u32> {
    match whole(node, key)? {
        number if number < LEAST.into() => Err(unfit(node, key, &format!("must be at least {LEAST}"))),
        number if number < MAX_COUNT => Ok(u32::try_from(number).unwrap_or(u32::MAX)),
        _ => Err(unfit(node, key, &format!("must be less than {MAX_COUNT}"))),
    }
}

/// The number of iterations: it may be larger than other counts.
pub(super) fn iterations(node: &Node, key: &str) -> Result<u64> {
    match whole(node, key)? {
        number if number < 1 => Err(unfit(node, key, "must be at least 1")),
        number => u64::try_from(number).map_err(|_| unfit(node, key, "must be less than 18446744073709551616")),
    }
}

/// A whole number. `1e6` is a number with a point to the parser and a count to its author.
fn whole(node: &Node, key: &str) -> Result<i128> {
    match scalar(node) {
        Some(Value::Int(int)) => Ok(*int),
        Some(Value::BigInt(digits)) => Ok(if digits.starts_with('-') { i128::MIN } else { i128::MAX }),
        #[expect(clippy::cast_possible_truncation, reason = "whole and small enough to be exact")]
        Some(Value::Float(float)) if float.fract() == 0.0 && float.abs() <= 9e15 => Ok(*float as i128),
        _ => Err(must_be(node, key, "a whole number", "write a whole number")),
    }
}

/// A time span in seconds: a number, or text such as `1h30m` or `01:30:00`.
pub(super) fn seconds(node: &Node, key: &str) -> Result<f64> {
    // A thousand years: longer than any cluster lives, short enough for every clock.
    const LONGEST: f64 = 3.2e10;
    match any_seconds(node, key)? {
        seconds if seconds < 0.0 => Err(unfit(node, key, "must not be negative")),
        seconds if seconds > LONGEST => Err(unfit(node, key, "must be less than a thousand years")),
        seconds => Ok(seconds),
    }
}

/// The same, above zero.
pub(super) fn positive_seconds(node: &Node, key: &str) -> Result<f64> {
    match any_seconds(node, key)? {
        seconds if seconds <= 0.0 => Err(unfit(node, key, "must be more than 0")),
        _ => seconds(node, key),
    }
}

fn any_seconds(node: &Node, key: &str) -> Result<f64> {
    let seconds = match scalar(node) {
        Some(Value::String(text)) => duration::seconds(text),
        _ => number(node),
    };
    let help = "write seconds, or text such as `90s`, `1h30m` or `01:30:00`";
    seconds.filter(|seconds| !seconds.is_nan()).ok_or_else(|| must_be(node, key, "a duration", help))
}

/// A slot's GPUs: a whole number, or a fraction below 1 for slots that share one.
pub(super) fn gpus(node: &Node, key: &str) -> Result<f64> {
    match number(node) {
        Some(number) if number <= 0.0 => Err(unfit(node, key, "must be above 0")),
        Some(number) if number > 1024.0 => Err(unfit(node, key, "must be at most 1024")),
        Some(number) if number.fract() == 0.0 || number < 1.0 => Ok(number),
        _ => {
            let kind = "a whole number, or a fraction below 1";
            Err(must_be(node, key, kind, &format!("write {kind}")))
        }
    }
}

/// True or false.
pub(super) fn switch(node: &Node, key: &str) -> Result<bool> {
    match scalar(node) {
        Some(Value::Bool(on)) => Ok(*on),
        _ => Err(must_be(node, key, "true or false", "write true or false")),
    }
}

/// `retries`: how often, and how long to wait.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Retries {
    pub(super) count: u32,
    pub(super) delay: Option<f64>,
}

/// A whole number, or a mapping.
pub(super) fn retries(node: &Node, key: &str) -> Result<Retries> {
    if number(node).is_some() {
        return Ok(Retries { count: count::<0>(node, key)?, delay: None });
    }
    let Some(map) = node.as_map() else {
        let kind = "a whole number, or a mapping with `count` and `delay`";
        return Err(must_be(node, key, kind, &format!("write {kind}")));
    };
    let mut retries = Retries { count: 1, delay: None };
    for (part, (at, value)) in map {
        match part.as_str() {
            "count" => retries.count = count::<0>(value, "retries.count")?,
            "delay" => retries.delay = Some(seconds(value, "retries.delay")?),
            _ => return Err(Box::new(unknown_key(part, *at, &format!("`{key}`"), &["count", "delay"]))),
        }
    }
    Ok(retries)
}

/// SLURM's `time`, in Slurm's form; a number is minutes.
pub(super) fn time_limit(node: &Node, key: &str) -> Result<String> {
    match scalar(node) {
        Some(Value::Int(_)) => {
            let minutes = count::<1>(node, key)?;
            Ok(format!("{}:{:02}:00", minutes / 60, minutes % 60))
        }
        Some(Value::String(text)) if duration::slurm_time(text).is_some() => Ok(text.clone()),
        _ => {
            let help = "write minutes, or text such as `1:30:00`, `2-12` or `UNLIMITED`";
            Err(must_be(node, key, "a time limit", help))
        }
    }
}

/// An amount of memory in Slurm's form; a number is megabytes.
pub(super) fn memory(node: &Node, key: &str) -> Result<String> {
    match scalar(node) {
        Some(Value::Int(megabytes)) if *megabytes < 0 => Err(unfit(node, key, "must not be negative")),
        Some(Value::Int(megabytes)) => Ok(megabytes.to_string()),
        Some(Value::String(text)) if is_memory(text) => Ok(text.clone()),
        _ => Err(must_be(node, key, "an amount of memory", "write megabytes, or text such as `4G`")),
    }
}

/// Digits, and perhaps a unit: `512`, `4G`, `4GB`.
fn is_memory(text: &str) -> bool {
    let number = text.strip_suffix(['b', 'B']).filter(|rest| rest.ends_with(char::is_alphabetic)).unwrap_or(text);
    let number = number.strip_suffix(|c| "kmgtKMGT".contains(c)).unwrap_or(number);
    !number.is_empty() && number.chars().all(|c| c.is_ascii_digit())
}

fn scalar(node: &Node) -> Option<&Value> {
    match &node.kind {
        NodeKind::Scalar(value) => Some(value),
        _ => None,
    }
}

fn number(node: &Node) -> Option<f64> {
    match scalar(node)? {
        #[expect(clippy::cast_precision_loss, reason = "such large numbers are refused")]
        Value::Int(int) => Some(*int as f64),
        Value::BigInt(digits) => digits.parse().ok(),
        Value::Float(float) => Some(*float),
        _ => None,
    }
}

/// The error for a value of another kind.
fn must_be(node: &Node, key: &str, kind: &str, help: &str) -> Box<Diagnostic> {
    let message = format!("`{}` must be {kind}, found {}", brief(key), node.describe());
    Box::new(Diagnostic::error(message).at(node.at).help(help))
}

/// The error for a value of the right kind that does not fit.
fn unfit(node: &Node, key: &str, problem: &str) -> Box<Diagnostic> {
    let help =
        if keys::is_required(key) { "change the value" } else { "change the value, or remove the key for its default" };
    Box::new(Diagnostic::error(format!("`{}` {problem}", brief(key))).at(node.at).help(help))
}
