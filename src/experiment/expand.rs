//! The runs of an experiment, in the original's order.
//!
//! All sweep keys nest in document order, the first one turning slowest. A run is computed from its number alone, so
//! iterating needs no state but a counter.

use super::computed::Computed;
use super::name;
use crate::config::{At, Axis, Derive, Diagnostic, Experiment, Naming, Sweep, SweepKind};
use crate::value::{Map, Value};
use std::collections::HashSet;
use std::fmt::Write as _;

/// The most runs, and the most repetitions, an experiment or a plan may have.
pub const LIMIT: u64 = 100_000_000;

/// The runs of one experiment, not yet computed.
#[derive(Debug)]
pub struct Expansion<'e> {
    experiment: &'e Experiment,
    base: Value,
    levels: Vec<Level<'e>>,
    computed: Computed<'e>,
    /// What stands between the experiment's name and the first part: `__`, but only once in a name.
    separator: &'static str,
    candidates: usize,
    /// All that is swept was added later: a run with nothing but defaults has the place it had before.
    all_added_later: bool,
}

/// A sweep key with everything that does not depend on the run computed once.
#[derive(Debug)]
struct Level<'e> {
    sweep: &'e Sweep,
    axes: Vec<Vec<Choice>>,
    /// The levels of each case.
    cases: Vec<Vec<Level<'e>>>,
    combinations: usize,
}

/// One value of an axis.
#[derive(Debug)]
struct Choice {
    value: Value,
    at: At,
    /// Its part of the run's name, as the original has it.
    part: String,
    /// The same, safe for a file name.
    clean: String,
    /// It is the default of a parameter that was added later: names do not tell it.
    silent: bool,
}

/// One combination of an experiment's parameters.
#[derive(Debug, Clone)]
pub struct Run<'e> {
    /// Its name, safe as a directory; `None` where the experiment combines nothing: the original then has no folder for the run.
    pub name: Option<String>,
    /// All parameters, a mapping.
    pub params: Value,
    /// What the sweeps set, in the order they set it.
    pub assignments: Vec<Assignment<'e>>,
    /// What was computed, in the order of `derive`.
    pub derived: Vec<(&'e Derive, Value)>,
}

/// A value that a sweep gave a parameter.
#[derive(Debug, Clone, Copy)]
pub struct Assignment<'e> {
    /// The sweep.
    pub sweep: &'e Sweep,
    /// The parameter's keys, from `params` down.
    pub path: &'e [String],
    /// The value.
    pub value: &'e Value,
    /// Where the value stands.
    pub at: At,
}

impl<'e> Expansion<'e> {
    /// Looks at the sweeps without computing a run.
    ///
    /// # Errors
    ///
    /// More than [`LIMIT`] runs or repetitions, or a template or expression that is wrong.
    pub fn new(experiment: &'e Experiment) -> Result<Self, Box<Diagnostic>> {
        let base = match experiment.params.to_value() {
            map @ Value::Map(_) => map,
            _ => Value::Map(Map::new()),
        };
        let candidates = count(experiment)?;
        let separator = if experiment.name.contains("__") { "_" } else { "__" };
        let defaults = &experiment.defaults;
        let levels = experiment.sweeps.iter().map(|sweep| Level::new(sweep, defaults)).collect();
        let mut axes = experiment.sweeps.iter().flat_map(Sweep::each_axis);
        let some_default = matches!(defaults, Value::Map(map) if !map.is_empty());
        let all_added_later = some_default && axes.all(|(_, axis)| defaults.get_path(&axis.path).is_some());
        let computed = Computed::new(experiment)?;
        Ok(Expansion { experiment, base, levels, computed, separator, candidates, all_added_later })
    }

    /// How many runs there are before `exclude`, at most [`LIMIT`].
    pub fn len(&self) -> u64 {
        self.candidates as u64
    }

    /// The runs, one at a time; those that match `exclude` are left out.
    ///
    /// # Errors
    ///
    /// For each run those of [`Expansion::run`].
    pub fn runs(&self) -> impl Iterator<Item = Result<Run<'_>, Box<Diagnostic>>> {
        let most = if self.experiment.first_run_only { 1 } else { usize::MAX };
        (0..self.candidates).filter_map(|number| self.run(number, |_| {})).take(most)
    }

    /// Whether one of its runs may lie where it would without any sweep.
    pub fn has_plain_run(&self) -> bool {
        self.all_added_later
    }

    /// How many runs there are before `exclude`.
    pub fn candidates(&self) -> usize {
        self.candidates
    }

    /// One of them by its number; `None` where there is none, or `exclude` drops it: `matched` is told by which patterns.
    ///
    /// # Errors
    ///
    /// What `derive` cannot compute, or `exclude` cannot tell.
    pub fn run(&self, number: usize, mut matched: impl FnMut(usize)) -> Option<Result<Run<'_>, Box<Diagnostic>>> {
        if number >= self.candidates {
            return None;
        }
        let mut run = self.compute(number);
        let derived = self.computed.derive(&mut run.params);
        match (derived, self.computed.excludes(&run.params, &mut matched)) {
            (_, Ok(true)) => None,
            (Err(error), _) | (Ok(_), Err(error)) => Some(Err(Box::new(error.because(self.told(&run))))),
            (Ok(derived), Ok(false)) => {
                run.derived = derived;
                Some(Ok(run))
            }
        }
    }

    /// A run in words, for a message.
    fn told(&self, run: &Run<'_>) -> String {
        match &run.name {
            Some(name) => format!("in run `{name}`"),
            None => format!("in experiment `{}`", self.experiment.name),
        }
    }

    fn compute(&self, number: usize) -> Run<'_> {
        let mut chosen = Vec::new();
        choose(&self.levels, number, &mut chosen);
        let mut params = self.base.clone();
        for (assignment, _) in &chosen {
            assign(&mut params, assignment.path, assignment.value);
        }
        let plain = self.all_added_later && chosen.iter().all(|(_, choice)| choice.silent);
        let name = (!self.levels.is_empty() && !plain).then(|| self.name(&chosen));
        let assignments = chosen.into_iter().map(|(assignment, _)| assignment).collect();
        Run { name, params, assignments, derived: Vec::new() }
    }

    fn name(&self, chosen: &[(Assignment<'_>, &Choice)]) -> String {
        let join = |start: String, part: fn(&Choice) -> &str| {
            let mut name = start;
            for (i, (_, choice)) in chosen.iter().filter(|(_, choice)| !choice.silent).enumerate() {
                name.push_str(if i == 0 { self.separator } else { "_" });
                name.push_str(part(choice));
            }
            name
        };
        let cleaned = join(name::clean(&self.experiment.name), |choice| &choice.clean);
        name::cut(cleaned, || join(self.experiment.name.clone(), |choice| &choice.part))
    }
}

/// Adds what combination `number` of some levels sets. The first one turns slowest: positions are peeled off from the last.
fn choose<'s>(levels: &'s [Level<'_>], number: usize, chosen: &mut Vec<(Assignment<'s>, &'s Choice)>) {
    let mut positions = vec![0; levels.len()];
    let mut rest = number;
    for (level, position) in levels.iter().zip(&mut positions).rev() {
        (rest, *position) = (rest / level.combinations.max(1), rest % level.combinations.max(1));
    }
    for (level, position) in levels.iter().zip(positions) {
        level.choose(position, chosen);
    }
}

impl<'e> Level<'e> {
    fn new(sweep: &'e Sweep, defaults: &Value) -> Self {
        let axes = sweep.axes.iter().map(|axis| {
            let default = defaults.get_path(&axis.path);
            let labels = labels(axis);
            let choices = axis.values.iter().enumerate().map(|(index, node)| {
                let value = node.to_value();
                let part = match labels.as_ref().and_then(|labels| labels.get(index)) {
                    Some(label) => name::part(&axis.path, label),
                    None => name::part(&axis.path, &value),
                };
                let silent = default.is_some_and(|default| value.same(default));
                Choice { value, at: node.at, clean: name::clean(&part), part, silent }
            });
            choices.collect()
        });
        let mut axes: Vec<Vec<Choice>> = axes.collect();
        if sweep.kind == SweepKind::Random {
            tell_points_apart(&mut axes);
        }
        let cases = sweep.cases.iter().map(|case| case.iter().map(|sweep| Level::new(sweep, defaults)).collect());
        // Checked by `count` before any level is made.
        let combinations = usize::try_from(combinations(sweep)).unwrap_or(usize::MAX);
        Level { sweep, axes, cases: cases.collect(), combinations }
    }

    /// Adds what combination `position` sets.
    fn choose<'s>(&'s self, mut position: usize, chosen: &mut Vec<(Assignment<'s>, &'s Choice)>) {
        let pick = |axis: usize, index: usize| {
            let choice = self.axes.get(axis)?.get(index)?;
            let path = &self.sweep.axes.get(axis)?.path;
            Some((Assignment { sweep: self.sweep, path, value: &choice.value, at: choice.at }, choice))
        };
        match self.sweep.kind {
            SweepKind::Grid => {
                let start = chosen.len();
                for (axis, choices) in self.axes.iter().enumerate().rev() {
                    chosen.extend(pick(axis, position % choices.len().max(1)));
                    position /= choices.len().max(1);
                }
                chosen[start..].reverse();
            }
            SweepKind::List | SweepKind::Random => {
                chosen.extend((0..self.axes.len()).filter_map(|axis| pick(axis, position)));
            }
            SweepKind::Ablative { base } => {
                if base {
                    match position.checked_sub(1) {
                        Some(next) => position = next,
                        None => return,
                    }
                }
                for (axis, choices) in self.axes.iter().enumerate() {
                    if position < choices.len() {
                        chosen.extend(pick(axis, position));
                        return;
                    }
                    position -= choices.len();
                }
            }
            SweepKind::Cases => {
                for case in &self.cases {
                    let combinations = case.iter().map(|level| level.combinations).product();
                    if position < combinations {
                        choose(case, position, chosen);
                        return;
                    }
                    position -= combinations;
                }
            }
        }
    }
}

/// What stands for the values of an axis in names, where that is not the values themselves.
fn labels(axis: &Axis) -> Option<Vec<Value>> {
    match &axis.naming {
        Naming::Whole => None,
        Naming::Labels(labels) => Some(labels.iter().map(|label| Value::from(label.as_str())).collect()),
        Naming::Short => Some(axis.values.iter().map(|node| name::short(&node.to_value())).collect()),
        Naming::ShortApart => {
            let values: Vec<_> = axis.values.iter().map(crate::config::Node::to_value).collect();
            let short: Vec<_> = values.iter().map(name::short).collect();
            let different: HashSet<_> = short.iter().map(Value::python_str).collect();
            (different.len() == values.len()).then_some(short)
        }
    }
}

/// Gives a point the number of its sample where an earlier one has the same name. What comes later changes no name.
fn tell_points_apart(axes: &mut [Vec<Choice>]) {
    let mut seen = HashSet::new();
    for point in 0..axes.first().map_or(0, Vec::len) {
        let told = |axes: &[Vec<Choice>]| {
            let parts = axes.iter().filter_map(|axis| axis.get(point)).filter(|choice| !choice.silent);
            parts.map(|choice| choice.clean.as_str()).collect::<Vec<_>>().join("_")
        };
        let last = axes.iter().rposition(|axis| axis.get(point).is_some_and(|choice| !choice.silent));
        while !seen.insert(told(axes)) {
            let Some(choice) = last.and_then(|last| axes.get_mut(last)?.get_mut(point)) else { break };
            for text in [&mut choice.part, &mut choice.clean] {
                // Writing to a String cannot fail.
                let _ = write!(text, "-{point}");
            }
        }
    }
}

/// The combinations of one sweep; saturates.
fn combinations(sweep: &Sweep) -> u128 {
    let lengths = sweep.axes.iter().map(|axis| axis.values.len() as u128);
    match sweep.kind {
        SweepKind::Grid => lengths.fold(1, u128::saturating_mul),
        SweepKind::List | SweepKind::Random => lengths.min().unwrap_or(0),
        SweepKind::Ablative { base } => lengths.sum::<u128>() + u128::from(base),
        SweepKind::Cases => {
            let of_case = |case: &Vec<Sweep>| case.iter().map(combinations).fold(1, u128::saturating_mul);
            sweep.cases.iter().map(of_case).fold(0, u128::saturating_add)
        }
    }
}

/// The candidates of an experiment.
fn count(experiment: &Experiment) -> Result<usize, Box<Diagnostic>> {
    let mut product: u128 = 1;
    let mut factors = Vec::new();
    for sweep in &experiment.sweeps {
        let combinations = combinations(sweep);
        product = product.saturating_mul(combinations);
        factors.push(format!("{combinations} ({})", sweep.key));
    }
    // `--debug` takes the first run of however many: still refused, because the same file without it would be.
    let repetitions = product.saturating_mul(u128::from(experiment.repetitions));
    if product > u128::from(LIMIT) || repetitions > u128::from(LIMIT) {
        factors.push(format!("{} (repetitions)", experiment.repetitions));
        let message = format!(
            "experiment `{}` asks for too much: {} = {repetitions} repetitions, more than {LIMIT}",
            experiment.name,
            factors.join(" × ")
        );
        let diagnostic = Diagnostic::error(message).help("make a sweep smaller, or split the experiment");
        let largest = experiment.sweeps.iter().max_by_key(|sweep| combinations(sweep)).map(|sweep| sweep.at);
        return Err(Box::new(diagnostic.at(largest.unwrap_or_else(|| experiment.key_at("repetitions")))));
    }
    // At most `LIMIT`, which fits every platform's `usize`.
    Ok(usize::try_from(product).unwrap_or(usize::MAX))
}

/// Sets `params.<path>`, creating mappings on the way; an existing key keeps its place.
pub(super) fn assign(params: &mut Value, path: &[String], value: &Value) {
    let Some((key, rest)) = path.split_first() else {
        *params = value.clone();
        return;
    };
    if !matches!(params, Value::Map(_)) {
        *params = Value::Map(Map::new());
    }
    let Value::Map(map) = params else { return };
    if let Some(slot) = map.get_mut(key) {
        assign(slot, rest, value);
    } else {
        let mut slot = Value::Null;
        assign(&mut slot, rest, value);
        map.insert(key.clone(), slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::testing::{exclude, experiment, sweep};
    use proptest::prelude::*;

    fn names(experiment: &Experiment) -> Vec<String> {
        let expansion = Expansion::new(experiment).unwrap();
        expansion.runs().map(|run| run.unwrap().name.unwrap()).collect()
    }

    fn params(experiment: &Experiment) -> Vec<String> {
        let expansion = Expansion::new(experiment).unwrap();
        expansion.runs().map(|run| run.unwrap().params.to_json()).collect()
    }

    #[test]
    fn a_grid_turns_its_last_axis_fastest() {
        let e = experiment("e", r#"{"lr": 9}"#, vec![sweep("grid", r#"{"net": {"h": [1, 2]}, "lr": [0.1, 0.2]}"#)]);
        assert_eq!(names(&e), ["e__net.h1_l0.1", "e__net.h1_l0.2", "e__net.h2_l0.1", "e__net.h2_l0.2"]);
        assert_eq!(params(&e)[2], r#"{"lr":0.1,"net":{"h":2}}"#);
    }

    #[test]
    fn sweeps_nest() {
        let e = experiment(
            "e",
            r#"{"a": 0}"#,
            vec![sweep("list", r#"{"a": [1, 2, 3], "b": [4, 5]}"#), sweep("ablative", r#"{"c": [6], "d": [7]}"#)],
        );
        assert_eq!(names(&e), ["e__a1_b4_c6", "e__a1_b4_d7", "e__a2_b5_c6", "e__a2_b5_d7"]);
        assert_eq!(params(&e)[1], r#"{"a":1,"b":4,"d":7}"#);
    }

    #[test]
    fn the_ablative_base_comes_first_and_has_no_part() {
        let mut ablative = sweep("ablative", r#"{"c": [6, 7]}"#);
        ablative.kind = SweepKind::Ablative { base: true };
        let e = experiment("e", r#"{"c": 0}"#, vec![ablative.clone()]);
        assert_eq!(names(&e), ["e", "e__c6", "e__c7"]);
        assert_eq!(params(&e)[0], r#"{"c":0}"#);
        let e = experiment("e", "{}", vec![ablative, sweep("grid", r#"{"d": [1]}"#)]);
        assert_eq!(names(&e), ["e__d1", "e__c6_d1", "e__c7_d1"]);
    }

    #[test]
    fn a_double_underscore_appears_once() {
        let e = experiment("my__e", "{}", vec![sweep("grid", r#"{"a": [1]}"#), sweep("grid2", r#"{"b": [2]}"#)]);
        assert_eq!(names(&e), ["my__e_a1_b2"]);
    }

    #[test]
    fn without_a_sweep_there_is_one_unnamed_run() {
        let e = experiment("e", r#"{"a": 1}"#, vec![]);
        let expansion = Expansion::new(&e).unwrap();
        let runs: Vec<_> = expansion.runs().map(Result::unwrap).collect();
        assert_eq!(runs.len(), 1);
        assert_eq!(runs[0].name, None);
    }

    #[test]
    fn excluded_runs_leave_no_gap() {
        let mut e = experiment("e", "{}", vec![sweep("grid", r#"{"a": [1, 2], "n": {"b": [1.0, 2]}}"#)]);
        e.exclude = vec![exclude(r#"{"a": 1, "n": {"b": 1}}"#), exclude(r#"{"a": 2, "n": {"b": 2}}"#)];
        let expansion = Expansion::new(&e).unwrap();
        let runs: Vec<_> = expansion.runs().map(|run| run.unwrap().name.unwrap()).collect();
        assert_eq!(runs, ["e__a1_n.b2", "e__a2_n.b1.0"]);
        e.first_run_only = true;
        assert_eq!(names(&e), ["e__a1_n.b2"]);
    }

    #[test]
    fn assignments_say_what_set_what() {
        let e = experiment("e", "{}", vec![sweep("grid", r#"{"a": [1], "n": {"b": [2]}}"#)]);
        let expansion = Expansion::new(&e).unwrap();
        let run = expansion.runs().next().unwrap().unwrap();
        let set: Vec<_> = run.assignments.iter().map(|a| (a.path.join("."), a.value.to_json())).collect();
        assert_eq!(set, [("a".to_owned(), "1".to_owned()), ("n.b".to_owned(), "2".to_owned())]);
        assert_eq!(run.assignments[0].sweep.key, "grid");
    }

    #[test]
    fn too_many_runs_show_the_product() {
        let axis = format!("[{}]", vec!["0"; 1000].join(","));
        let grid = sweep("grid", &format!(r#"{{"a": {axis}, "b": {axis}}}"#));
        let mut e = experiment("e", "{}", vec![grid.clone(), sweep("list", &format!(r#"{{"c": {axis}}}"#))]);
        assert_eq!(
            Expansion::new(&e).unwrap_err().message,
            "experiment `e` asks for too much: 1000000 (grid) × 1000 (list) × 1 (repetitions) = 1000000000 repetitions, \
             more than 100000000"
        );
        e.sweeps.pop();
        assert_eq!(Expansion::new(&e).unwrap().len(), 1_000_000);
        e.repetitions = 101;
        assert!(Expansion::new(&e).is_err());
        e.sweeps = vec![grid; 30];
        assert!(Expansion::new(&e).is_err());
    }

    proptest! {
        #[test]
        fn every_combination_comes_once_and_the_count_is_right(
            shape in prop::collection::vec((0..3u8, prop::collection::vec(1..4usize, 1..4)), 0..4),
        ) {
            let sweeps: Vec<_> = shape.iter().enumerate().map(|(i, (kind, lengths))| {
                let key = ["grid", "list", "ablative"][usize::from(*kind)];
                let axes: Vec<_> = lengths.iter().enumerate().map(|(axis, length)| {
                    let values: Vec<_> = (0..*length).map(|v| format!("\"{i}{axis}{v}\"")).collect();
                    format!("\"p{i}{axis}\": [{}]", values.join(","))
                }).collect();
                sweep(&format!("{key}{i}"), &format!("{{{}}}", axes.join(",")))
            }).collect();
            let e = experiment("e", "{}", sweeps);
            let expansion = Expansion::new(&e).unwrap();
            let mut seen: Vec<_> = expansion.runs().map(|run| run.unwrap().params.to_json()).collect();
            prop_assert_eq!(seen.len() as u64, expansion.len());
            seen.sort();
            seen.dedup();
            prop_assert_eq!(seen.len() as u64, expansion.len());
        }
    }
}
