//! The runs of an experiment, in the original's order.
//!
//! All sweep keys nest in document order, the first one turning slowest. A run is computed from its number alone, so
//! iterating needs no state but a counter.

use super::name;
use crate::config::{At, Diagnostic, Experiment, Sweep, SweepKind};
use crate::value::{Map, Value};

/// The most runs, and the most repetitions, an experiment or a plan may have.
pub const LIMIT: u64 = 100_000_000;

/// The runs of one experiment, not yet computed.
#[derive(Debug)]
pub struct Expansion<'e> {
    experiment: &'e Experiment,
    base: Value,
    levels: Vec<Level<'e>>,
    /// What stands between the experiment's name and the first part: `__`, but only once in a name.
    separator: &'static str,
    candidates: usize,
}

/// A sweep key with everything that does not depend on the run computed once.
#[derive(Debug)]
struct Level<'e> {
    sweep: &'e Sweep,
    axes: Vec<Vec<Choice>>,
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
    /// More than [`LIMIT`] runs or repetitions.
    pub fn new(experiment: &'e Experiment) -> Result<Self, Box<Diagnostic>> {
        let base = match experiment.params.to_value() {
            map @ Value::Map(_) => map,
            _ => Value::Map(Map::new()),
        };
        let candidates = count(experiment)?;
        let separator = if experiment.name.contains("__") { "_" } else { "__" };
        let levels = experiment.sweeps.iter().map(Level::new).collect();
        Ok(Expansion { experiment, base, levels, separator, candidates })
    }

    /// How many runs there are before `exclude`, at most [`LIMIT`].
    pub fn len(&self) -> u64 {
        self.candidates as u64
    }

    /// The runs, one at a time; those that match `exclude` are left out.
    pub fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        let most = if self.experiment.first_run_only { 1 } else { usize::MAX };
        (0..self.candidates)
            .map(|number| self.compute(number))
            .filter(|run| !self.experiment.exclude.iter().any(|pattern| run.params.matches(pattern)))
            .take(most)
    }

    /// How many runs there are before `exclude`.
    pub fn candidates(&self) -> usize {
        self.candidates
    }

    /// One of them by its number, whatever `exclude` says.
    pub fn candidate(&self, number: usize) -> Option<Run<'_>> {
        (number < self.candidates).then(|| self.compute(number))
    }

    fn compute(&self, number: usize) -> Run<'_> {
        let mut chosen = Vec::new();
        // The first level turns slowest: peel positions off from the last one.
        let mut positions = vec![0; self.levels.len()];
        let mut rest = number;
        for (level, position) in self.levels.iter().zip(&mut positions).rev() {
            (rest, *position) = (rest / level.combinations, rest % level.combinations);
        }
        for (level, position) in self.levels.iter().zip(positions) {
            level.choose(position, &mut chosen);
        }
        let mut params = self.base.clone();
        for (assignment, _) in &chosen {
            assign(&mut params, assignment.path, assignment.value);
        }
        let name = (!self.levels.is_empty()).then(|| self.name(&chosen));
        let assignments = chosen.into_iter().map(|(assignment, _)| assignment).collect();
        Run { name, params, assignments }
    }

    fn name(&self, chosen: &[(Assignment<'_>, &Choice)]) -> String {
        let join = |start: String, part: fn(&Choice) -> &str| {
            let mut name = start;
            for (i, (_, choice)) in chosen.iter().enumerate() {
                name.push_str(if i == 0 { self.separator } else { "_" });
                name.push_str(part(choice));
            }
            name
        };
        let cleaned = join(name::clean(&self.experiment.name), |choice| &choice.clean);
        name::cut(cleaned, || join(self.experiment.name.clone(), |choice| &choice.part))
    }
}

impl<'e> Level<'e> {
    fn new(sweep: &'e Sweep) -> Self {
        let axes = sweep.axes.iter().map(|axis| {
            let choices = axis.values.iter().map(|node| {
                let value = node.to_value();
                let part = name::part(&axis.path, &value);
                Choice { value, at: node.at, clean: name::clean(&part), part }
            });
            choices.collect()
        });
        // Checked by `count` before any level is made.
        let combinations = usize::try_from(combinations(sweep)).unwrap_or(usize::MAX);
        Level { sweep, axes: axes.collect(), combinations }
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
            SweepKind::List => chosen.extend((0..self.axes.len()).filter_map(|axis| pick(axis, position))),
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
        }
    }
}

/// The combinations of one sweep; saturates.
fn combinations(sweep: &Sweep) -> u128 {
    let lengths = sweep.axes.iter().map(|axis| axis.values.len() as u128);
    match sweep.kind {
        SweepKind::Grid => lengths.fold(1, u128::saturating_mul),
        SweepKind::List => lengths.min().unwrap_or(0),
        SweepKind::Ablative { base } => lengths.sum::<u128>() + u128::from(base),
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
fn assign(params: &mut Value, path: &[String], value: &Value) {
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
    use crate::experiment::testing::{experiment, sweep, value};
    use proptest::prelude::*;

    fn names(experiment: &Experiment) -> Vec<String> {
        let expansion = Expansion::new(experiment).unwrap();
        expansion.runs().map(|run| run.name.unwrap()).collect()
    }

    fn params(experiment: &Experiment) -> Vec<String> {
        let expansion = Expansion::new(experiment).unwrap();
        expansion.runs().map(|run| run.params.to_json()).collect()
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
        let runs: Vec<_> = expansion.runs().collect();
        assert_eq!(runs.len(), 1);
        assert_eq!(runs[0].name, None);
    }

    #[test]
    fn excluded_runs_leave_no_gap() {
        let mut e = experiment("e", "{}", vec![sweep("grid", r#"{"a": [1, 2], "n": {"b": [1.0, 2]}}"#)]);
        e.exclude = vec![value(r#"{"a": 1, "n": {"b": 1}}"#), value(r#"{"a": 2, "n": {"b": 2}}"#)];
        let expansion = Expansion::new(&e).unwrap();
        let runs: Vec<_> = expansion.runs().map(|run| run.name.unwrap()).collect();
        assert_eq!(runs, ["e__a1_n.b2", "e__a2_n.b1.0"]);
        e.first_run_only = true;
        assert_eq!(names(&e), ["e__a1_n.b2"]);
    }

    #[test]
    fn assignments_say_what_set_what() {
        let e = experiment("e", "{}", vec![sweep("grid", r#"{"a": [1], "n": {"b": [2]}}"#)]);
        let expansion = Expansion::new(&e).unwrap();
        let run = expansion.runs().next().unwrap();
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
            let mut seen: Vec<_> = expansion.runs().map(|run| run.params.to_json()).collect();
            prop_assert_eq!(seen.len() as u64, expansion.len());
            seen.sort();
            seen.dedup();
            prop_assert_eq!(seen.len() as u64, expansion.len());
        }
    }
}
