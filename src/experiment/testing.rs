//! Experiments written by hand, for the tests of this layer and of [`crate::plan`].

use crate::config::{
    Argv, At, Axis, Command, Exclude, Experiment, FlagStyle, Naming, Node, NodeKind, Pattern, Slurm, Sweep, SweepKind,
    Template,
};
use crate::value::{Map, Value};

/// A value from JSON.
pub(crate) fn value(json: &str) -> Value {
    Value::from_json(json).unwrap()
}

/// A value as a node that no line holds.
pub(crate) fn node(value: &Value) -> Node {
    let kind = match value {
        Value::List(items) => NodeKind::List(items.iter().map(node).collect()),
        Value::Map(map) => {
            NodeKind::Map(map.iter().map(|(key, value)| (key.clone(), (At::default(), node(value)))).collect())
        }
        scalar => NodeKind::Scalar(scalar.clone()),
    };
    Node { kind, at: At::default() }
}

/// A sweep as it stands in the YAML: `sweep("grid", r#"{"lr": [1, 2], "net": {"h": [3]}}"#)`.
pub(crate) fn sweep(key: &str, json: &str) -> Sweep {
    let kind = match key {
        key if key.starts_with("grid") => SweepKind::Grid,
        key if key.starts_with("list") => SweepKind::List,
        _ => SweepKind::Ablative { base: false },
    };
    let mut axes = Vec::new();
    collect_axes(&value(json), &mut Vec::new(), &mut axes);
    Sweep { key: key.to_owned(), at: At::default(), kind, axes, cases: Vec::new() }
}

fn collect_axes(value: &Value, path: &mut Vec<String>, axes: &mut Vec<Axis>) {
    let Value::Map(map) = value else { return };
    for (key, value) in map {
        path.push(key.clone());
        match value {
            Value::List(items) => {
                axes.push(Axis { path: path.clone(), values: items.iter().map(node).collect(), naming: Naming::Whole });
            }
            other => collect_axes(other, path, axes),
        }
        path.pop();
    }
}

/// What drops the runs with these parameters.
pub(crate) fn exclude(json: &str) -> Exclude {
    Exclude { at: At::default(), pattern: Pattern::Values(value(json)) }
}

/// An experiment with one repetition of `true`.
pub(crate) fn experiment(name: &str, params: &str, sweeps: Vec<Sweep>) -> Experiment {
    let text = |text: &str| Template { text: text.to_owned(), at: At::default() };
    Experiment {
        name: name.to_owned(),
        path: "out".to_owned(),
        repetitions: 1,
        iterations: None,
        reps_per_job: 1,
        reps_in_parallel: 1,
        command: Some(Command { initialize: None, run: Argv::Shell(text("true")), finalize: None }),
        env: Vec::new(),
        workdir: None,
        launcher: Vec::new(),
        flag_style: FlagStyle::default(),
        timeout: None,
        retries: 0,
        retry_delay: 0.0,
        rep_time: None,
        cpus_per_rep: None,
        gpus_per_rep: None,
        oversubscribe: false,
        checkpoint_signal: "SIGTERM".to_owned(),
        warm_start: true,
        warm_imports: Vec::new(),
        params: node(&value(params)),
        sweeps,
        exclude: Vec::new(),
        derive: Vec::new(),
        defaults: Value::Map(Map::new()),
        paired_seeds: false,
        extra: Map::new(),
        origin: node(&Value::Map(Map::new())),
        slurm: Slurm::default(),
        slurm_origin: node(&Value::Map(Map::new())),
        first_run_only: false,
        archived: Vec::new(),
        typed: None,
    }
}
