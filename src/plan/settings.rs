//! What a plan keeps of an experiment besides its runs.

use super::record::{ArgvRecord, CommandRecord, ExperimentRecord};
use crate::config::{Argv, Command, Experiment, Template};
use crate::value::{Map, Value};

/// Keys that are decided at plan time or written beside each run.
const DECIDED: [&str; 7] = ["params", "slurm", "exclude", "derive", "import_path", "import_exp", "ablative_base"];

/// The resolved experiment without its parameters and combinations: what a repetition's `config.yml` holds besides `params` and
/// `rep`. Values that cw2 decided (a default, `--debug`) stand as decided.
pub fn settings(experiment: &Experiment) -> Value {
    let mut map = match experiment.origin.to_value() {
        Value::Map(map) => map,
        _ => Map::new(),
    };
    map.retain(|key, _| !DECIDED.contains(&key.as_str()) && !experiment.sweeps.iter().any(|sweep| sweep.key == *key));
    for (key, value) in &experiment.extra {
        map.entry(key.clone()).or_insert_with(|| value.clone());
    }
    let number = |number: u32| Value::Int(i128::from(number));
    map.insert("name".to_owned(), Value::from(experiment.name.as_str()));
    map.insert("path".to_owned(), Value::from(experiment.path.as_str()));
    map.insert("repetitions".to_owned(), number(experiment.repetitions));
    if let Some(iterations) = experiment.iterations {
        map.insert("iterations".to_owned(), Value::Int(i128::from(iterations)));
    }
    map.insert("reps_per_job".to_owned(), number(experiment.reps_per_job));
    map.insert("reps_in_parallel".to_owned(), number(experiment.reps_in_parallel));
    Value::Map(map)
}

/// The resolved configuration of a repetition, as its experiment reads it: [`settings`], and what is its own.
pub fn of_repetition(settings: &Value, run: &str, rep: u32, seed: u32, params: &Value) -> Value {
    let mut map = match settings {
        Value::Map(map) => map.clone(),
        _ => Map::new(),
    };
    map.insert("run".to_owned(), Value::from(run));
    map.insert("rep".to_owned(), Value::Int(rep.into()));
    map.insert("seed".to_owned(), Value::Int(seed.into()));
    map.insert("params".to_owned(), params.clone());
    Value::Map(map)
}

/// The line of `experiments.jsonl`.
pub fn record(experiment: &Experiment) -> ExperimentRecord {
    let text = |template: &Template| template.text.clone();
    ExperimentRecord {
        name: experiment.name.clone(),
        repetitions: experiment.repetitions,
        iterations: experiment.iterations,
        paired_seeds: experiment.paired_seeds,
        reps_per_job: experiment.reps_per_job,
        reps_in_parallel: experiment.reps_in_parallel,
        command: experiment.command.as_ref().map(command),
        python: None,
        warm_start: experiment.warm_start,
        warm_imports: experiment.warm_imports.iter().map(text).collect(),
        env: experiment.env.iter().map(|(key, value)| (key.clone(), text(value))).collect(),
        workdir: experiment.workdir.as_ref().map(text),
        launcher: experiment.launcher.iter().map(text).collect(),
        flag_style: experiment.flag_style.clone(),
        timeout: experiment.timeout,
        retries: experiment.retries,
        retry_delay: experiment.retry_delay,
        rep_time: experiment.rep_time,
        cpus_per_rep: experiment.cpus_per_rep,
        gpus_per_rep: experiment.gpus_per_rep,
        oversubscribe: experiment.oversubscribe,
        checkpoint_signal: Some(experiment.checkpoint_signal.clone()),
        slurm: experiment.slurm.clone(),
        template: None,
        overwrites_before: None,
        resume: false,
        code: None,
        configured: None,
    }
}

fn command(command: &Command) -> CommandRecord {
    let argv = |argv: &Argv| match argv {
        Argv::Shell(template) => ArgvRecord::Shell(template.text.clone()),
        Argv::Exec(templates) => ArgvRecord::Exec(templates.iter().map(|t| t.text.clone()).collect()),
    };
    CommandRecord {
        initialize: command.initialize.as_ref().map(argv),
        run: argv(&command.run),
        finalize: command.finalize.as_ref().map(argv),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::testing::{experiment, node, sweep, value};

    #[test]
    fn settings_leave_out_what_the_plan_decided() {
        let mut e = experiment("e", "{}", vec![sweep("grid_x", r#"{"a": [1]}"#)]);
        e.repetitions = 1;
        e.origin = node(&value(
            r#"{"name": "e", "repetitions": 5, "params": {"a": 0}, "grid_x": {"a": [1]}, "listener": true,
                "exclude": [], "slurm": {}, "import_exp": "p", "wandb": {"project": "x"}, "command": "true"}"#,
        ));
        assert_eq!(
            settings(&e).to_json(),
            r#"{"name":"e","repetitions":1,"listener":true,"wandb":{"project":"x"},"command":"true","path":"out","reps_per_job":1,"reps_in_parallel":1}"#
        );
    }
}
