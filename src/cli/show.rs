//! `cw2 show`: the resolved configuration of one repetition, and where each value came from.

use super::{ConfigArgs, Exit, tell};
use crate::ops::failure::Failure;
use crate::ops::show::{self, Options, Shown};
use crate::value::{Map, Value};
use clap::Args;
use std::io::Write as _;

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The run, by name or by its number in `list`, from 0 [default: the first]
    #[arg(short, long, value_name = "RUN")]
    run: Option<String>,
    /// The repetition's number
    #[arg(long, value_name = "N", default_value_t = 0)]
    rep: u32,
    /// Print one JSON object: the configuration, and the origin of each value
    #[arg(long)]
    json: bool,
}

pub(super) fn show(args: &ShowArgs) -> Result<Exit, Failure> {
    let options = Options { reading: args.config.reading(), run: args.run.clone(), rep: args.rep };
    let shown = show::show(&options, &mut |notice| tell(&notice, false))?;
    let mut lines = Vec::new();
    lines_of(&shown.config, &mut Vec::new(), &shown, &mut lines);
    let rendered = Value::Map(shown.rendered.clone());
    let mut out = std::io::stdout().lock();
    if args.json {
        let places =
            lines.into_iter().filter_map(|line| Some((line.path.join("."), Value::String(line.place?.clone()))));
        let places = Value::Map(places.collect());
        let config = Value::Map(shown.config.clone());
        let object = [("config", config), ("origins", places), ("rendered", rendered)];
        let object = object.map(|(key, value)| (key.to_owned(), value));
        writeln!(out, "{}", Value::Map(Map::from(object)))?;
    } else {
        let rendered = Map::from([("rendered".to_owned(), rendered)]);
        if !shown.rendered.is_empty() {
            lines_of(&rendered, &mut Vec::new(), &shown, &mut lines);
        }
        let width = lines.iter().map(|line| line.text.chars().count()).filter(|n| *n < 60).max().unwrap_or(0);
        for Line { text, place, .. } in lines {
            match place {
                Some(place) => writeln!(out, "{text:width$}  # {place}")?,
                None => writeln!(out, "{text}")?,
            }
        }
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// A value, or the key of a mapping.
struct Line<'a> {
    path: Vec<String>,
    text: String,
    place: Option<&'a String>,
}

fn lines_of<'a>(map: &Map, path: &mut Vec<String>, shown: &'a Shown, lines: &mut Vec<Line<'a>>) {
    let indent = "  ".repeat(path.len());
    for (key, value) in map {
        path.push(key.clone());
        let key = Value::String(key.clone()).to_yaml();
        let key = key.trim_end();
        let text = match value {
            Value::Map(inner) if !inner.is_empty() => format!("{indent}{key}:"),
            Value::List(items) if !items.is_empty() => format!("{indent}{key}: {}", value.to_json()),
            leaf => format!("{indent}{key}: {}", leaf.to_yaml().trim_end()),
        };
        lines.push(Line { path: path.clone(), text, place: shown.origins.get(path.as_slice()) });
        if let Value::Map(inner) = value {
            lines_of(inner, path, shown, lines);
        }
        path.pop();
    }
}
