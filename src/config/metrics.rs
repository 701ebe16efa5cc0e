//! `metrics` and `objective`: where an experiment's numbers are, and which of them is to be high or low.
//!
//! Read when planning, to find what is wrong, and again from the configuration in a repetition's directory, when results are
//! read. Owns what these keys may hold; which files that are is [`crate::store`]'s matter.

use super::error::Diagnostic;
use super::fields::Result;
use super::keys::nearest;
use super::node::{Node, brief};
use crate::value::Value;
use regex::Regex;

/// Something a program writes that holds metrics; its path is relative to the repetition's directory.
#[derive(Debug, Clone)]
pub enum MetricSource {
    /// JSON lines or a table, by the end of its name.
    File {
        /// Its path, or a pattern of paths with `*` and `?`.
        path: String,
        /// What tells the step; else one of the usual names.
        step: Option<String>,
    },
    /// A text, such as a log.
    Text {
        /// Its path.
        path: String,
        /// What a line that tells metrics looks like: each named group is one.
        regex: Regex,
        /// What tells the step; else one of the usual names.
        step: Option<String>,
    },
}

/// What is to be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objective {
    /// Whether more is better.
    pub maximize: bool,
    /// The metric.
    pub metric: String,
}

/// What is wrong with a value, and where in it.
#[derive(Debug)]
struct Wrong {
    item: Option<usize>,
    key: Option<String>,
    message: String,
    help: String,
}

/// The sources of a repetition's configuration; `None` where it names none, or what it names cannot be understood.
pub fn stored_sources(config: &Value) -> Option<Vec<MetricSource>> {
    parse_sources(config.get("metrics").filter(|value| !value.is_null())?).ok()
}

/// The objective of a repetition's configuration.
pub fn stored_objective(config: &Value) -> Option<Objective> {
    parse_objective(config.get("objective")?.as_str()?)
}

/// Checks `metrics`. Where nothing in it is cw2's, it may well be the user's own.
pub(super) fn sources(node: &Node, key: &str) -> Result<Vec<MetricSource>> {
    let ours = |node: &Node| KEYS.iter().any(|key| node.get(key).is_some());
    if !ours(node) && !node.as_list().is_some_and(|items| items.iter().any(ours)) {
        return Err(foreign(node, key, FORMS));
    }
    parse_sources(&node.to_value()).map_err(|wrong| {
        let item = wrong.item.and_then(|item| node.as_list()?.get(item)).unwrap_or(node);
        let at = wrong.key.as_deref().map_or(item.at, |key| {
            // Of a key that is not known the key itself, else its value.
            if KEYS.contains(&key) {
                item.get(key).map_or(item.at, |node| node.at)
            } else {
                item.key_at(key).unwrap_or(item.at)
            }
        });
        Box::new(Diagnostic::error(format!("`{key}` {}", wrong.message)).at(at).help(wrong.help))
    })
}

/// Checks `objective`.
pub(super) fn objective(node: &Node, key: &str) -> Result<Objective> {
    let objective = node.as_str().and_then(parse_objective);
    objective.ok_or_else(|| foreign(node, key, "write `max METRIC` or `min METRIC`, such as `max test_acc`"))
}

fn foreign(node: &Node, key: &str, form: &str) -> Box<Diagnostic> {
    let message = format!("`{key}` tells `cw2 results` nothing, as it is {}", node.describe());
    let help = format!("{form}; or leave it, if it is for the experiment alone: it is handed on as it is");
    Box::new(Diagnostic::warning(message).at(node.at).help(help))
}

fn parse_objective(text: &str) -> Option<Objective> {
    let (direction, metric) = text.trim().split_once(char::is_whitespace)?;
    let maximize = match direction {
        "max" => true,
        "min" => false,
        _ => return None,
    };
    let metric = metric.trim();
    (!metric.is_empty()).then(|| Objective { maximize, metric: metric.to_owned() })
}

/// Standard output, where a text is not said to be elsewhere.
const OUT: &str = "out.log";

const KEYS: [&str; 4] = ["file", "regex", "in", "step"];

fn parse_sources(value: &Value) -> std::result::Result<Vec<MetricSource>, Wrong> {
    match value {
        Value::List(items) => {
            let one = |(number, item)| parse_source(item).map_err(|wrong| Wrong { item: Some(number), ..wrong });
            items.iter().enumerate().map(one).collect()
        }
        one => parse_source(one).map(|source| vec![source]),
    }
}

const FORMS: &str =
    "write `{file: metrics.csv}`, `{regex: 'loss (?P<loss>\\S+)', in: out.log}`, or a list of such mappings";

fn parse_source(value: &Value) -> std::result::Result<MetricSource, Wrong> {
    let wrong = |key: Option<&str>, message: String, help: String| Wrong {
        item: None,
        key: key.map(str::to_owned),
        message,
        help,
    };
    let Some(map) = value.as_map() else {
        return Err(wrong(None, "must be a mapping that names a `file` or a `regex`".to_owned(), FORMS.to_owned()));
    };
    if let Some(key) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let help = nearest(key, KEYS).map_or_else(|| FORMS.to_owned(), |near| format!("did you mean `{near}`?"));
        return Err(wrong(Some(key), format!("has no key `{}`", brief(key)), help));
    }
    let text = |key: &str| match map.get(key).filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => Err(wrong(Some(key), format!("wants a text for `{key}`"), FORMS.to_owned())),
    };
    let path = |key: &str| {
        let Some(path) = text(key)? else { return Ok(None) };
        if path.starts_with('/') || path.split('/').any(|part| part == "..") {
            let help =
                "write a path relative to the repetition's directory (`CW2_REP_DIR`), and let the program write there";
            let message = format!("must name files of the repetition's own, not `{}`", brief(&path));
            return Err(wrong(Some(key), message, help.to_owned()));
        }
        Ok(Some(path.trim_start_matches("./").to_owned()))
    };
    let step = text("step")?;
    match (path("file")?, text("regex")?) {
        (Some(_), None) if map.contains_key("in") => {
            Err(wrong(Some("in"), "takes `in` with a `regex` only".to_owned(), "remove `in`".to_owned()))
        }
        (Some(path), None) => Ok(MetricSource::File { path, step }),
        (None, Some(regex)) => {
            let regex = Regex::new(&regex).map_err(|error| {
                // The last line is the message, those before draw the place.
                let text = error.to_string();
                let why = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
                let message = format!("has the regular expression `{}`, which is wrong: {why}", brief(&regex));
                wrong(Some("regex"), message, "see https://docs.rs/regex for what can be written".to_owned())
            })?;
            if regex.capture_names().flatten().next().is_none() {
                let help = "name what is to be read, as in `loss (?P<loss>\\S+)`".to_owned();
                return Err(wrong(Some("regex"), "has a regular expression without a named group".to_owned(), help));
            }
            if let Some(step) =
                step.as_deref().filter(|step| !regex.capture_names().flatten().any(|name| name == *step))
            {
                let message =
                    format!("takes the step from `{}`, which is no group of its regular expression", brief(step));
                return Err(wrong(Some("step"), message, format!("name a group so: `(?P<{step}>\\d+)`")));
            }
            let path = path("in")?.unwrap_or_else(|| OUT.to_owned());
            Ok(MetricSource::Text { path, regex, step })
        }
        (Some(_), Some(_)) => Err(wrong(
            Some("regex"),
            "names a `file` and a `regex`".to_owned(),
            "write the file of a regex as `in: FILE`".to_owned(),
        )),
        (None, None) => Err(wrong(None, "names neither a `file` nor a `regex`".to_owned(), FORMS.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &str) -> std::result::Result<Vec<MetricSource>, String> {
        parse_sources(&Value::from_json(json).unwrap()).map_err(|wrong| wrong.message)
    }

    #[test]
    fn sources_are_files_and_texts() {
        let sources = parsed(
            r#"[{"file": "./metrics.csv", "step": "epoch"}, {"file": "*.jsonl"}, {"regex": "l (?P<l>\\S+)"},
                {"regex": "l (?<l>\\S+)", "in": "x/train.log", "step": "l"}]"#,
        )
        .unwrap();
        let told: Vec<_> = sources
            .iter()
            .map(|source| match source {
                MetricSource::File { path, step } => ("file", path.as_str(), step.as_deref()),
                MetricSource::Text { path, step, .. } => ("text", path.as_str(), step.as_deref()),
            })
            .collect();
        let expected = [
            ("file", "metrics.csv", Some("epoch")),
            ("file", "*.jsonl", None),
            ("text", "out.log", None),
            ("text", "x/train.log", Some("l")),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (json, message) in [
            ("3", "must be a mapping that names a `file` or a `regex`"),
            ("[{}]", "names neither a `file` nor a `regex`"),
            (r#"{"files": "a"}"#, "has no key `files`"),
            (r#"{"file": 3}"#, "wants a text for `file`"),
            (r#"{"file": "../a"}"#, "must name files of the repetition's own, not `../a`"),
            (r#"{"file": "/a"}"#, "must name files of the repetition's own, not `/a`"),
            (r#"{"file": "a", "in": "b"}"#, "takes `in` with a `regex` only"),
            (r#"{"file": "a", "regex": "b"}"#, "names a `file` and a `regex`"),
            (r#"{"regex": "loss (\\S+)"}"#, "has a regular expression without a named group"),
            (
                r#"{"regex": "(?P<l>x", "in": "b"}"#,
                "has the regular expression `(?P<l>x`, which is wrong: unclosed group",
            ),
            (
                r#"{"regex": "(?P<l>x)", "step": "epoch"}"#,
                "takes the step from `epoch`, which is no group of its regular expression",
            ),
        ] {
            assert_eq!(parsed(json).unwrap_err(), message, "{json}");
        }
    }

    #[test]
    fn objectives() {
        let objective = |text| parse_objective(text).map(|objective| (objective.maximize, objective.metric));
        assert_eq!(objective("max test_acc"), Some((true, "test_acc".to_owned())));
        assert_eq!(objective(" min  val loss "), Some((false, "val loss".to_owned())));
        for wrong in ["", "max", "max ", "maximize x", "test_acc"] {
            assert_eq!(objective(wrong), None, "{wrong}");
        }
    }
}
