//! `random…` keys: points drawn from distributions, the same on every machine and however many are drawn.
//!
//! Owns the distributions and the generator. A number comes of the SHA-256 of `[seed,"key",["parameter","s","path"],index]`
//! (compact JSON) and of nothing else: more samples, or more parameters, leave those that were there as they are.
//! Logarithms and their kin are reckoned by [`libm`], not by the machine's own library.

use super::error::{Diagnostic, Report, names};
use super::node::{At, Node, NodeKind, brief};
use super::values::{MOST, float, numbers, tidy};
use super::{Axis, Naming, Sweep, SweepKind, keys};
use crate::value::Value;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;

/// The names of the distributions.
pub(super) const DISTRIBUTIONS: [&str; 6] = ["uniform", "log_uniform", "int_uniform", "normal", "log_normal", "choice"];

type Result<T> = std::result::Result<T, Box<Diagnostic>>;

/// Whether a mapping under a key that starts with `random` is meant for a sweep: it says how many samples, or has a distribution.
pub(super) fn is_meant(node: &Node) -> bool {
    node.as_map().is_some() && (node.get("samples").is_some() || has_distribution(node))
}

/// Whether there is a distribution somewhere in a mapping.
pub(super) fn has_distribution(node: &Node) -> bool {
    distribution(node).is_some()
        || node.as_map().is_some_and(|map| map.values().any(|(_, child)| has_distribution(child)))
}

/// The distribution that a mapping is, with its argument: it has one key, which names one.
pub(super) fn distribution(node: &Node) -> Option<(&'static str, &Node)> {
    let map = node.as_map().filter(|map| map.len() == 1)?;
    let (key, (_, argument)) = map.first()?;
    Some((DISTRIBUTIONS.into_iter().find(|name| name == key)?, argument))
}

/// A `random…` key as a sweep.
pub(super) fn sweep(key: &str, at: At, node: &Node, report: &mut Report) -> Option<Sweep> {
    let map = node.as_map()?;
    let errors = report.error_count();
    let samples = samples(key, at, node, report);
    let seed = seed(key, node, report);
    let mut drawn = Vec::new();
    for (part, (_, child)) in map {
        // A parameter may be called `seed`, too: then it has a distribution.
        if part != "samples" && (part != "seed" || child.as_map().is_some()) {
            collect(key, child, &mut vec![part.clone()], &mut drawn, report);
        }
    }
    if drawn.is_empty() && report.error_count() == errors {
        let message = format!("`{}` names no parameter", brief(key));
        let help = "write parameters with their distributions, as in `lr: {log_uniform: [1e-4, 1e-1]}`";
        report.push(Diagnostic::error(message).at(at).help(help));
    }
    if report.error_count() != errors {
        return None;
    }
    let mut axes: Vec<_> =
        drawn.iter().map(|(path, ..)| Axis { path: path.clone(), values: Vec::new(), naming: Naming::Short }).collect();
    let mut points = HashSet::new();
    for index in 0..samples {
        let point: Vec<_> =
            drawn.iter().map(|(path, place, drawn)| drawn.value(&Word::new(seed, key, path, index), *place)).collect();
        let identity: Vec<_> = point.iter().map(|node| node.to_value().to_canonical_json()).collect();
        if points.insert(identity) {
            axes.iter_mut().zip(point).for_each(|(axis, value)| axis.values.push(value));
        }
    }
    if points.len() < samples {
        let message = format!("`{}` gives {} different points in {samples} samples", brief(key), points.len());
        report.push(Diagnostic::note(message).at(at).help("each point is run once"));
    }
    Some(Sweep { key: key.to_owned(), at, kind: SweepKind::Random, axes, cases: Vec::new() })
}

fn samples(key: &str, at: At, node: &Node, report: &mut Report) -> usize {
    let Some(samples) = node.get("samples") else {
        let message = format!("`{}` does not say how many `samples` to draw", brief(key));
        report.push(Diagnostic::error(message).at(at).help("write `samples: 20`, or another number, into it"));
        return 0;
    };
    let count = match samples.kind {
        NodeKind::Scalar(Value::Int(count)) => usize::try_from(count).ok(),
        _ => None,
    };
    count.filter(|count| (1..=MOST).contains(count)).unwrap_or_else(|| {
        let message = format!("`{}.samples` must be 1 to {MOST}, found {}", brief(key), samples.describe());
        report.push(Diagnostic::error(message).at(samples.at).help("write how many points to draw"));
        0
    })
}

fn seed(key: &str, node: &Node, report: &mut Report) -> i128 {
    match node.get("seed").map(|seed| (&seed.kind, seed)) {
        None | Some((NodeKind::Map(_), _)) => 0,
        Some((NodeKind::Scalar(Value::Int(seed)), _)) => *seed,
        Some((_, seed)) => {
            let message = format!("`{}.seed` must be a whole number, found {}", brief(key), seed.describe());
            let help = "it chooses the points; a parameter of this name needs a distribution, as in `seed: {int_uniform: [0, 999]}`";
            report.push(Diagnostic::error(message).at(seed.at).help(help));
            0
        }
    }
}

/// Walks down to the distributions.
fn collect<'n>(
    key: &str,
    node: &'n Node,
    path: &mut Vec<String>,
    drawn: &mut Vec<(Vec<String>, At, Drawn<'n>)>,
    report: &mut Report,
) {
    let name = |path: &[String]| brief(&format!("{key}.{}", path.join(".")));
    if let Some((distribution, argument)) = distribution(node) {
        match Drawn::new(distribution, &format!("{}.{distribution}", name(path)), argument) {
            Ok(found) => drawn.push((path.clone(), node.at, found)),
            Err(diagnostic) => report.push(*diagnostic),
        }
        return;
    }
    let all = names(DISTRIBUTIONS);
    match &node.kind {
        NodeKind::Map(map) if map.is_empty() => {
            let message = format!("`{}` is an empty mapping", name(path));
            report.push(Diagnostic::error(message).at(node.at).help(format!("write a distribution: {all}")));
        }
        NodeKind::Map(map) => {
            for (part, (at, child)) in map {
                if child.as_map().is_some() {
                    path.push(part.clone());
                    collect(key, child, path, drawn, report);
                    path.pop();
                    continue;
                }
                let message = if DISTRIBUTIONS.contains(&part.as_str()) {
                    format!("`{}` has more than one key, `{}` among them", name(path), brief(part))
                } else {
                    format!("`{}` is no distribution", brief(part))
                };
                report.push(Diagnostic::error(message).at(*at).help(unknown(part, &all)));
            }
        }
        NodeKind::List(_) => {
            let message = format!("`{}` must be a distribution, found a list", name(path));
            let help = "write `{choice: […]}` to draw from these, or `{uniform: [low, high]}`";
            report.push(Diagnostic::error(message).at(node.at).help(help));
        }
        NodeKind::Scalar(_) => {
            let message = format!("`{}` must be a distribution, found {}", name(path), node.describe());
            let help = format!("write one of {all}; a value that stays the same belongs in `params`");
            report.push(Diagnostic::error(message).at(node.at).help(help));
        }
    }
}

/// What to write for a name that is no distribution.
fn unknown(word: &str, all: &str) -> String {
    let plain = word.to_lowercase();
    let quantised = plain.strip_prefix("q_").or_else(|| plain.strip_prefix('q')).unwrap_or(&plain);
    let quantised = quantised.replace("loguniform", "log_uniform").replace("lognormal", "log_normal");
    match keys::nearest(&quantised, DISTRIBUTIONS) {
        Some(near) if plain.starts_with('q') => {
            format!(
                "write `{{{near}: [{}, step]}}`",
                if near.ends_with("normal") { "mean, deviation" } else { "low, high" }
            )
        }
        Some(near) => format!("did you mean `{near}`?"),
        None if plain == "randint" => "did you mean `int_uniform`? It draws both ends, too".to_owned(),
        None => format!("the distributions are {all}"),
    }
}

/// A distribution.
enum Drawn<'n> {
    /// Whole numbers, both ends included.
    Int { low: i128, count: u64, step: i128 },
    /// Between two numbers, evenly or evenly in their logarithms.
    Between { low: f64, high: f64, log: bool, step: Option<Step> },
    /// Around a mean; of the logarithm, with `log`.
    Around { mean: f64, deviation: f64, log: bool, step: Option<Step> },
    /// One of these.
    Choice(&'n [Node]),
}

/// What a quantised value is a multiple of.
struct Step {
    size: f64,
    decimals: usize,
    /// The values are whole numbers, as all that says them is.
    whole: bool,
}

impl<'n> Drawn<'n> {
    fn new(name: &str, what: &str, argument: &'n Node) -> Result<Self> {
        let wrong = |message: &str, help: &str| {
            Err(Box::new(Diagnostic::error(format!("`{}` {message}", brief(what))).at(argument.at).help(help)))
        };
        if name == "choice" {
            return match argument.as_list() {
                Some(items) if !items.is_empty() => Ok(Drawn::Choice(items)),
                Some(_) => wrong("has no values", "write at least one"),
                None => {
                    wrong(&format!("must be a list, found {}", argument.describe()), "write `{choice: [value, …]}`")
                }
            };
        }
        let normal = name.ends_with("normal");
        let help = if normal { "`[mean, deviation]` and perhaps a step" } else { "`[low, high]` and perhaps a step" };
        let given = numbers(argument, what, &[2, 3], help)?;
        let [first, second, rest @ ..] = given.as_slice() else { return wrong(help, help) };
        let step = rest.first().copied();
        if step.is_some_and(|step| float(step) <= 0.0) {
            return wrong("has a step that is not above 0", "the third number is what the values are multiples of");
        }
        let (a, b) = (float(first), float(second));
        if normal {
            if b < 0.0 {
                return wrong("has a deviation below 0", "write the mean first, then the standard deviation");
            }
            let step = step.map(|step| Step::new(step, step));
            return Ok(Drawn::Around { mean: a, deviation: b, log: name == "log_normal", step });
        }
        if a > b {
            return wrong("ends below its start", "write the lower number first");
        }
        if name == "int_uniform" {
            let step = step.unwrap_or(&Value::Int(1));
            let (Value::Int(low), Value::Int(high), Value::Int(step)) = (first, second, step) else {
                return wrong("must have whole numbers", "use `uniform` for others");
            };
            let count =
                high.checked_sub(*low).map(|distance| distance / step + 1).and_then(|count| u64::try_from(count).ok());
            return match count {
                Some(count) => Ok(Drawn::Int { low: *low, count, step: *step }),
                None => wrong("spans too many numbers", "bring its ends closer together"),
            };
        }
        let log = name == "log_uniform";
        if log && a <= 0.0 {
            return wrong("must start above 0", "use `uniform` for a range that holds 0");
        }
        Ok(Drawn::Between { low: a, high: b, log, step: step.map(|step| Step::new(step, first)) })
    }

    fn value(&self, word: &Word, at: At) -> Node {
        let value = match self {
            Drawn::Choice(items) => {
                let index = usize::try_from(word.below(items.len() as u64)).unwrap_or_default();
                // There is at least one, and the index is below their number.
                return items.get(index).cloned().unwrap_or_else(|| Node::scalar(Value::Null, at));
            }
            Drawn::Int { low, count, step } => Value::Int(low + i128::from(word.below(*count)) * step),
            Drawn::Between { low, high, log: false, step: Some(step) } => {
                let last = libm::floor((high - low) / step.size + 1e-9);
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
                let index = word.below((last as u64).saturating_add(1));
                #[expect(clippy::cast_precision_loss, reason = "an index beyond 2⁵³ means nothing")]
                step.value(low + index as f64 * step.size)
            }
            Drawn::Between { low, high, log: false, step: None } => {
                Value::Float((low + (high - low) * word.unit(0)).clamp(*low, *high))
            }
            Drawn::Between { low, high, log: true, step } => {
                let (from, to) = (libm::log(*low), libm::log(*high));
                let value = libm::exp(from + (to - from) * word.unit(0)).clamp(*low, *high);
                match step {
                    None => Value::Float(value),
                    Some(step) => {
                        let last = libm::floor((high - low) / step.size + 1e-9);
                        step.value(low + libm::round((value - low) / step.size).min(last) * step.size)
                    }
                }
            }
            Drawn::Around { mean, deviation, log, step } => {
                let (u, v) = (word.unit(0), word.unit(1));
                // Box and Muller's transform.
                let normal = libm::sqrt(-2.0 * libm::log(1.0 - u)) * libm::cos(2.0 * std::f64::consts::PI * v);
                let value = mean + deviation * normal;
                let value = if *log { libm::exp(value) } else { value };
                match step {
                    None => Value::Float(value),
                    Some(step) => step.value(libm::round(value / step.size) * step.size),
                }
            }
        };
        Node::scalar(value, at)
    }
}

impl Step {
    /// `start` is where the values begin.
    fn new(size: &Value, start: &Value) -> Self {
        let decimals = |value: &Value| float(value).to_string().split_once('.').map_or(0, |(_, digits)| digits.len());
        let whole = [size, start].iter().all(|value| matches!(value, Value::Int(_)));
        Step { size: float(size), decimals: decimals(size).max(decimals(start)), whole }
    }

    /// A value without what reckoning added to it.
    fn value(&self, value: f64) -> Value {
        let text = format!("{:.*}", self.decimals, value);
        match text.parse() {
            Ok(int) if self.whole => Value::Int(int),
            // Minus zero is zero.
            _ => Value::Float(text.parse::<f64>().map_or_else(|_| tidy(value), |value| value + 0.0)),
        }
    }
}

/// What is random about one parameter of one point.
struct Word([u8; 32]);

impl Word {
    fn new(seed: i128, key: &str, path: &[String], index: usize) -> Self {
        let path = path.iter().map(|part| Value::from(part.as_str())).collect();
        let index = i128::try_from(index).unwrap_or_default();
        let text = Value::List(vec![Value::Int(seed), Value::from(key), Value::List(path), Value::Int(index)]);
        Word(Sha256::digest(text.to_json().as_bytes()).into())
    }

    /// The first 64 bits, or the second.
    fn bits(&self, which: usize) -> u64 {
        self.0.iter().skip(which * 8).take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte))
    }

    /// A number from 0, below 1: the 53 highest bits.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a float holds")]
    fn unit(&self, which: usize) -> f64 {
        (self.bits(which) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A whole number below `count`, which is at least 1.
    fn below(&self, count: u64) -> u64 {
        u64::try_from((u128::from(self.bits(0)) * u128::from(count)) >> 64).unwrap_or_default()
    }
}
