//! Values that are said by a rule instead of one by one: `{range: [0, 10, 2]}`, `{linspace: …}`, `{glob: conf/*.yaml}`, `{lines: seeds.txt}`.
//!
//! Owns the rules and what they give. Files come through [`Source`]. Which key is swept is [`super::sweep`]'s matter.

use super::error::{Diagnostic, Report};
use super::expand::{self, Surroundings};
use super::node::{At, Node, NodeKind, brief};
use super::positions::decode;
use super::{Match, Naming, Source, SourceFile, scalar};
use crate::paths::clean;
use crate::value::Value;
use std::path::{Path, PathBuf};

/// The names of the rules.
pub(super) const RULES: [&str; 6] = ["range", "linspace", "logspace", "geomspace", "glob", "lines"];

/// Where files are found.
#[derive(Clone, Copy)]
pub(super) struct Files<'a> {
    /// What reads them.
    pub(super) source: &'a dyn Source,
    /// What their paths may name.
    pub(super) around: &'a Surroundings,
}

/// The most values that a rule gives.
pub(super) const MOST: usize = 1_000_000;

type Result<T> = std::result::Result<T, Box<Diagnostic>>;

/// The rule that a mapping is, with its argument: it has one key, which names one.
pub(super) fn rule(node: &Node) -> Option<(&'static str, &Node)> {
    let map = node.as_map().filter(|map| map.len() == 1)?;
    let (key, (_, argument)) = map.first()?;
    Some((RULES.into_iter().find(|name| name == key)?, argument))
}

/// The values of a rule, at least one, and how they are told in names.
pub(super) fn values(
    name: &str,
    what: &str,
    argument: &Node,
    files: Files<'_>,
    report: &mut Report,
) -> Result<(Vec<Node>, Naming)> {
    let place = |values: Vec<Value>| values.into_iter().map(|value| Node::scalar(value, argument.at)).collect();
    Ok(match name {
        "range" => (place(range(what, argument)?), Naming::Whole),
        "linspace" | "logspace" | "geomspace" => (place(spaced(name, what, argument, report)?), Naming::ShortApart),
        "glob" => glob(what, argument, files, report)?,
        _ => (lines(what, argument, files, report)?, Naming::Whole),
    })
}

/// The numbers of a rule's argument.
pub(super) fn numbers<'n>(argument: &'n Node, what: &str, counts: &[usize], help: &str) -> Result<Vec<&'n Value>> {
    let wrong = |at, found: String| {
        Box::new(Diagnostic::error(format!("`{}` takes {help}, found {found}", brief(what))).at(at))
    };
    let Some(items) = argument.as_list() else { return Err(wrong(argument.at, argument.describe())) };
    if !counts.contains(&items.len()) {
        return Err(wrong(argument.at, format!("a list of {}", items.len())));
    }
    let number = |item: &'n Node| match &item.kind {
        NodeKind::Scalar(value @ Value::Int(_)) => Ok(value),
        NodeKind::Scalar(value @ Value::Float(float)) if float.is_finite() => Ok(value),
        _ => Err(wrong(item.at, item.describe())),
    };
    items.iter().map(number).collect()
}

/// A number as a floating point one.
#[expect(clippy::cast_precision_loss, reason = "nobody sweeps numbers beyond 2⁵³ one by one")]
pub(super) fn float(value: &Value) -> f64 {
    match value {
        Value::Int(int) => *int as f64,
        Value::Float(float) => *float,
        _ => f64::NAN,
    }
}

/// `[stop]`, `[start, stop]` or `[start, stop, step]`, as Python's `range`: without `stop`. Decimal fractions are exact.
fn range(what: &str, argument: &Node) -> Result<Vec<Value>> {
    let given = numbers(argument, what, &[1, 2, 3], "`[start, stop]` or `[start, stop, step]`")?;
    let wrong = |message: String, help: &str| {
        Box::new(Diagnostic::error(format!("`{}` {message}", brief(what))).at(argument.at).help(help))
    };
    let decimals: Option<Vec<_>> = given.iter().map(|value| Decimal::of(value)).collect();
    let scale = decimals.iter().flatten().map(|decimal| decimal.scale).max().unwrap_or(0);
    let scaled =
        decimals.and_then(|all| all.into_iter().map(|decimal| decimal.at_scale(scale)).collect::<Option<Vec<_>>>());
    let Some(scaled) = scaled else {
        return Err(wrong("holds a number with too many digits".to_owned(), "write shorter numbers"));
    };
    let one = 10_i128.checked_pow(scale).unwrap_or(i128::MAX);
    let (start, stop, by) = match *scaled.as_slice() {
        [stop] => (0, stop, one),
        [start, stop] => (start, stop, one),
        [start, stop, by, ..] => (start, stop, by),
        [] => (0, 0, one),
    };
    if by == 0 {
        return Err(wrong("has a step of 0".to_owned(), "write another step"));
    }
    let distance = if by > 0 { stop.saturating_sub(start) } else { start.saturating_sub(stop) };
    if distance <= 0 {
        let help = "it ends before `stop`, as in Python: `[0, 3]` gives 0, 1, 2";
        return Err(wrong("gives no values, so there would be no run".to_owned(), help));
    }
    let count = distance.unsigned_abs().div_ceil(by.unsigned_abs());
    if count > MOST as u128 {
        return Err(wrong(format!("gives {count} values, more than {MOST}"), "write a larger step"));
    }
    let whole = given.iter().all(|value| matches!(value, Value::Int(_)));
    let value = |scaled: i128| {
        if whole { Value::Int(scaled) } else { Value::Float(Decimal { digits: scaled, scale }.to_float()) }
    };
    Ok((0..count.cast_signed()).map(|index| value(start + index * by)).collect())
}

/// A decimal number: `digits` / 10^`scale`.
#[derive(Debug, Clone, Copy)]
struct Decimal {
    digits: i128,
    scale: u32,
}

impl Decimal {
    /// A number as it is written; `None` where that takes too many digits.
    fn of(value: &Value) -> Option<Decimal> {
        let text = match value {
            Value::Int(int) => int.to_string(),
            Value::Float(float) => float.to_string(),
            _ => return None,
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let scale = u32::try_from(fraction.len()).ok().filter(|scale| *scale <= 18)?;
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        // Far from the end of the numbers, so that nothing below overflows.
        (digits.unsigned_abs() < 1 << 100).then_some(Decimal { digits, scale })
    }

    fn at_scale(self, scale: u32) -> Option<i128> {
        self.digits
            .checked_mul(10_i128.checked_pow(scale.checked_sub(self.scale)?)?)
            .filter(|d| d.unsigned_abs() < 1 << 110)
    }

    fn to_float(self) -> f64 {
        format!("{}e-{}", self.digits, self.scale).parse().unwrap_or(f64::NAN)
    }
}

/// `[start, stop, count]`, both ends included, as numpy's functions of the same names.
fn spaced(name: &str, what: &str, argument: &Node, report: &mut Report) -> Result<Vec<Value>> {
    let given = numbers(argument, what, &[3], "`[start, stop, count]`")?;
    let wrong = |message: &str, help: &str| {
        Err(Box::new(Diagnostic::error(format!("`{}` {message}", brief(what))).at(argument.at).help(help)))
    };
    let [first, last, Value::Int(count)] = given.as_slice() else {
        return wrong("has a count that is no whole number", "the third number says how many values there are");
    };
    let (first, last) = (float(first), float(last));
    let Some(count) = usize::try_from(*count).ok().filter(|count| (1..=MOST).contains(count)) else {
        return wrong(&format!("must give 1 to {MOST} values"), "the third number says how many values there are");
    };
    if name == "geomspace" && (first <= 0.0 || last <= 0.0) {
        return wrong("must have ends above 0", "use `linspace` for others");
    }
    let fraction = |end: f64| end > 0.0 && end < 1.0;
    if name == "logspace" && fraction(first) && fraction(last) {
        let message = format!("`{}` takes exponents: its values lie between 10^{first} and 10^{last}", brief(what));
        let help = format!("write `{{geomspace: [{first}, {last}, {count}]}}` for values between {first} and {last}");
        report.push(Diagnostic::warning(message).at(argument.at).help(help));
    }
    let (from, to) = if name == "geomspace" { (libm::log10(first), libm::log10(last)) } else { (first, last) };
    #[expect(clippy::cast_precision_loss, reason = "at most a million")]
    let at = |index: usize| {
        let share = if count == 1 { 0.0 } else { index as f64 / (count - 1) as f64 };
        match (name, index) {
            ("geomspace", 0) => first,
            ("geomspace", index) if index + 1 == count => last,
            ("linspace", _) => tidy(from + (to - from) * share),
            _ => tidy(libm::exp10(from + (to - from) * share)),
        }
    };
    let values: Vec<_> = (0..count).map(at).collect();
    if values.iter().any(|value| !value.is_finite()) {
        return wrong("gives values that no number holds", "write smaller ends");
    }
    Ok(values.into_iter().map(Value::Float).collect())
}

/// Without the last digit, where reckoning leaves its traces: 0.3 for 0.30000000000000004.
pub(super) fn tidy(value: f64) -> f64 {
    format!("{value:.14e}").parse().unwrap_or(value)
}

/// The folder of the file that a node is written in.
fn folder_of(at: At, report: &Report) -> PathBuf {
    let file = report.files.get(at.file as usize).and_then(|file| file.path.parent());
    file.unwrap_or(Path::new("")).to_owned()
}

/// A path as it is written, relative to the file it is written in.
fn path_of(what: &str, argument: &Node, files: Files<'_>) -> Result<String> {
    let Some(text) = argument.as_str().filter(|text| !text.is_empty() && !text.contains('\0')) else {
        let message = format!("`{}` must be text, found {}", brief(what), argument.describe());
        let help = "write a path, relative to the file it is written in";
        return Err(Box::new(Diagnostic::error(message).at(argument.at).help(help)));
    };
    expand::text(what, text, expand::Kind::Path, argument.at, files.around)
}

/// The paths that match a pattern, in order. Names tell them by what stands for the pattern's wildcards and what lies between:
/// so one file more renames no run.
fn glob(what: &str, argument: &Node, files: Files<'_>, report: &Report) -> Result<(Vec<Node>, Naming)> {
    let written = path_of(what, argument, files)?;
    let wild = |c: char| matches!(c, '*' | '?' | '[');
    // Where the wildcards begin, as whole folders; what lies before is no pattern.
    let before = written.find(wild).unwrap_or(written.len());
    let start = written.get(..before).and_then(|before| before.rfind('/')).map_or(0, |slash| slash + 1);
    let (folder, rest) = written.split_at(start);
    let folder = clean(&folder_of(argument.at, report).join(folder));
    let shown = folder.join(rest).to_string_lossy().into_owned();
    let wrong = |message: String| Box::new(Diagnostic::error(message).at(argument.at));
    let found = files.source.glob(&folder, rest, MOST);
    let paths = found.map_err(|error| wrong(format!("cannot look for `{}`: {error}", brief(&shown))))?;
    if paths.is_empty() {
        let help = "a pattern is relative to the file it is written in";
        return Err(Box::new(wrong(format!("no file matches `{}`", brief(&shown))).help(help)));
    }
    let end = rest.rfind(|c| wild(c) || c == ']').map_or("", |wildcard| rest.get(wildcard + 1..).unwrap_or_default());
    let (mut nodes, mut labels) = (Vec::new(), Vec::new());
    for Match { path, inner } in paths {
        let (Some(text), Some(inner)) = (path.to_str(), inner.to_str()) else {
            return Err(wrong(format!("`{}` matches `{}`, a name that is no text", brief(what), path.display())));
        };
        labels.push(inner.strip_suffix(end).filter(|inner| !inner.is_empty()).unwrap_or(inner).to_owned());
        nodes.push(Node::scalar(Value::from(text), argument.at));
    }
    Ok((nodes, Naming::Labels(labels)))
}

/// The lines of a file, each read as if it stood in the list. Empty lines and those that start with `#` are left out.
fn lines(what: &str, argument: &Node, files: Files<'_>, report: &mut Report) -> Result<Vec<Node>> {
    let path = clean(&folder_of(argument.at, report).join(path_of(what, argument, files)?));
    let known = report.files.iter().position(|file| file.path == path);
    let number = known.unwrap_or(report.files.len());
    if known.is_none() {
        let cannot = |why: String| {
            let message = format!("cannot read `{}`: {why}", path.display());
            let help = "the path is relative to the file it is written in";
            Box::new(Diagnostic::error(message).at(argument.at).help(help))
        };
        let bytes = files.source.read(&path).map_err(|error| cannot(error.to_string()))?;
        let text = decode(bytes, u32::try_from(number).unwrap_or(u32::MAX));
        let text = text.map_err(|(_, diagnostic)| cannot(diagnostic.message.clone()))?;
        report.files.push(SourceFile { path: path.clone(), text });
    }
    let file = u32::try_from(number).unwrap_or(u32::MAX);
    let text = report.files.get(number).map_or("", |file| file.text.as_str());
    let mut nodes = Vec::new();
    let mut start = 0;
    for (line, whole) in (1..).zip(text.split_inclusive('\n')) {
        let begun = start;
        start += whole.len();
        let written = whole.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        if written.is_empty() || written.starts_with('#') {
            continue;
        }
        let before = whole.find(written).unwrap_or(0);
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let column = small(whole.get(..before).map_or(0, |before| before.chars().count()) + 1);
        let place = At { file, line, column, start: small(begun + before), end: small(begun + before + written.len()) };
        if written.contains('\0') {
            return Err(Box::new(Diagnostic::error("a line holds a null character (U+0000)").at(place)));
        }
        nodes.push(Node::scalar(scalar::plain(written).0, place));
    }
    if nodes.is_empty() {
        let message = format!("`{}` holds no values, so there would be no run", path.display());
        return Err(Box::new(Diagnostic::error(message).at(argument.at).help("write one value a line")));
    }
    if nodes.len() > MOST {
        let message = format!("`{}` holds more than {MOST} lines", path.display());
        return Err(Box::new(Diagnostic::error(message).at(argument.at)));
    }
    Ok(nodes)
}
