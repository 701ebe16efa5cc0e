//! What differs between a configuration and what was planned, for a person or as JSON.

use super::human::counted;
use crate::plan::diff::{Change, Difference, Named};
use crate::value::{Map, Value};
use std::fmt::Write as _;

/// For a person.
pub fn text(difference: &Difference) -> String {
    let mut out = String::new();
    let mut part = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{title} ({}):", counted(lines.len() as u64, "run"));
            for line in lines {
                let _ = writeln!(out, "  {line}");
            }
        }
    };
    part("added", difference.added.iter().map(|run| run.run.clone()).collect());
    part("gone", difference.gone.iter().map(name).collect());
    let changed = difference.changed.iter().map(|(run, changes)| {
        let changes: Vec<_> = changes.iter().map(change).collect();
        format!("{}: {}", run.run, changes.join(", "))
    });
    part("other parameters under the same name", changed.collect());
    part(
        "the same as another one",
        difference.twins.iter().map(|(run, other)| format!("{} does what {} does", run.run, name(other))).collect(),
    );
    for (experiment, plan, changes) in &difference.experiments {
        let _ = writeln!(out, "experiment `{experiment}` (against {plan}):");
        for of in changes {
            let _ = writeln!(out, "  {}", change(of));
        }
    }
    out
}

fn name(run: &Named) -> String {
    match &run.plan {
        Some(plan) => format!("{} ({plan})", run.run),
        None => run.run.clone(),
    }
}

fn change((path, was, is): &Change) -> String {
    let text = |value: &Option<Value>| value.as_ref().map_or("(not set)".to_owned(), Value::to_json);
    format!("{path}: {} → {}", text(was), text(is))
}

/// One object.
pub fn json(difference: &Difference, plans: &[String]) -> Value {
    let object = |entries: Vec<(&str, Value)>| {
        Value::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map>())
    };
    let list = |values: Vec<Value>| Value::List(values);
    let run = |run: &Named| {
        let mut entries = vec![
            ("experiment", Value::from(run.experiment.as_str())),
            ("run", Value::from(run.run.as_str())),
            ("dir", Value::from(run.dir.as_str())),
        ];
        entries.extend(run.plan.as_deref().map(|plan| ("plan", Value::from(plan))));
        object(entries)
    };
    let changes = |changes: &[Change]| {
        let each = changes.iter().map(|(path, was, is)| {
            let mut entries = vec![("key", Value::from(path.as_str()))];
            entries.extend(was.clone().map(|was| ("was", was)));
            entries.extend(is.clone().map(|is| ("is", is)));
            object(entries)
        });
        list(each.collect())
    };
    object(vec![
        ("plans", list(plans.iter().map(|plan| Value::from(plan.as_str())).collect())),
        ("same", Value::Int(difference.same.into())),
        ("added", list(difference.added.iter().map(run).collect())),
        ("gone", list(difference.gone.iter().map(run).collect())),
        (
            "changed",
            list(
                difference
                    .changed
                    .iter()
                    .map(|(name, of)| object(vec![("run", run(name)), ("params", changes(of))]))
                    .collect(),
            ),
        ),
        (
            "duplicates",
            list(difference.twins.iter().map(|(a, b)| object(vec![("run", run(a)), ("of", run(b))])).collect()),
        ),
        (
            "experiments",
            list(
                difference
                    .experiments
                    .iter()
                    .map(|(name, plan, of)| {
                        object(vec![
                            ("experiment", Value::from(name.as_str())),
                            ("plan", Value::from(plan.as_str())),
                            ("changes", changes(of)),
                        ])
                    })
                    .collect(),
            ),
        ),
    ])
}
