//! `cw2 status --reps`: a line for each repetition.

use super::human;
use crate::run::effective_state::EffectiveState;
use crate::value::{Map, Value};

/// A repetition.
#[derive(Debug, Clone, PartialEq)]
pub struct RepRow {
    /// The folder its plans lie in.
    pub path: String,
    /// The experiment's name.
    pub experiment: String,
    /// The run's.
    pub run: String,
    /// Its number.
    pub rep: u32,
    /// How it stands.
    pub effective: EffectiveState,
    /// Its last attempt, from 1; `None` where there was none.
    pub attempt: Option<u32>,
    /// Slurm's name of the element it ran or will run in.
    pub job: Option<String>,
    /// The machine it ran or runs on.
    pub node: Option<String>,
    /// How long the last attempt took, or has taken.
    pub seconds: Option<f64>,
    /// What it says: its output, or Slurm's log of a job in which nothing was started.
    pub log: Option<String>,
    /// The newest metrics of one that runs.
    pub newest: Option<String>,
    /// Why one was interrupted.
    pub stopped_by: Option<String>,
}

/// The table.
pub fn render(rows: &[RepRow]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["EXPERIMENT", "RUN", "REP", "STATE", "ATTEMPT", "JOB", "NODE", "TIME", "NEWEST", "LOG"]);
    let or_dash = |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned());
    for row in rows {
        let state = match &row.stopped_by {
            Some(why) => format!("{} ({why})", row.effective.word()),
            None => row.effective.word().to_owned(),
        };
        table.add_row([
            row.experiment.clone(),
            row.run.clone(),
            row.rep.to_string(),
            state,
            or_dash(row.attempt.map(|attempt| attempt.to_string())),
            or_dash(row.job.clone()),
            or_dash(row.node.clone()),
            or_dash(row.seconds.map(human::seconds)),
            or_dash(row.newest.clone()),
            or_dash(row.log.clone()),
        ]);
    }
    let mut text = String::new();
    for line in table.lines() {
        text.extend([line.trim_end(), "\n"]);
    }
    text
}

/// How many numbers of a line of metrics are told besides the step.
const NUMBERS: usize = 4;

/// A line of metrics as a person reads it: `epoch 3/5 test_acc 0.91`. `iterations` is how many steps there will be.
pub fn newest(line: &Map, iterations: Option<u64>) -> String {
    let step = crate::run::history::STEPS.into_iter().find(|name| line.get(*name).and_then(number).is_some());
    let mut words = Vec::new();
    if let Some((name, at)) = step.and_then(|name| Some((name, number(line.get(name)?)?))) {
        let of = iterations.filter(|_| name != "global_step").map(|of| format!("/{of}")).unwrap_or_default();
        words.push(format!("{name} {at}{of}"));
    }
    let others = line.iter().filter(|(key, _)| Some(key.as_str()) != step);
    let others = others.filter_map(|(key, value)| Some(format!("{key} {}", number(value)?)));
    words.extend(others.take(NUMBERS));
    crate::printable::line(&words.join(" "))
}

/// A number, short.
fn number(value: &Value) -> Option<String> {
    match value {
        Value::Int(_) | Value::BigInt(_) => Some(value.python_str()),
        Value::Float(number) => {
            let short = format!("{number:.4}");
            let short = short.trim_end_matches('0').trim_end_matches('.');
            // What is very small or large keeps its digits in another form.
            let fits = *number == 0.0 || (1e-3..1e7).contains(&number.abs());
            Some(if fits { short.to_owned() } else { format!("{number:.3e}") })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_told_in_a_few_words() {
        for (line, iterations, expected) in [
            (r#"{"epoch": 3, "test_acc": 0.91}"#, Some(5), "epoch 3/5 test_acc 0.91"),
            (r#"{"loss": 1e-9, "step": 7, "name": "x", "big": 123456789.5}"#, None, "step 7 loss 1.000e-9 big 1.235e8"),
            (
                r#"{"global_step": 700, "epoch": 1, "a": 0.0, "b": -0.12345}"#,
                Some(3),
                "global_step 700 epoch 1 a 0 b -0.1235",
            ),
            (r#"{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}"#, None, "a 1 b 2 c 3 d 4"),
            (r#"{"a": "\u001b[1m"}"#, None, ""),
        ] {
            let Ok(Value::Map(line)) = Value::from_json(line) else { panic!("a mapping") };
            assert_eq!(newest(&line, iterations), expected);
        }
    }
}
