//! Whatever sweeps a file says: how runs come of them, and what stays when more is asked for.

use super::Expansion;
use crate::config::tests::{GOOD, one, request};
use crate::value::Value;
use proptest::prelude::*;
use std::collections::HashSet;

/// Name and parameters of each run of a configuration; the error where one cannot be computed.
fn runs(text: &str) -> Result<Vec<(String, String)>, String> {
    let experiment = one(&format!("{GOOD}{text}"), &request());
    let expansion = Expansion::new(&experiment).map_err(|error| error.message)?;
    let runs = expansion.runs().map(|run| {
        let run = run.map_err(|error| error.message)?;
        Ok((run.name.unwrap_or_default(), run.params.to_json()))
    });
    runs.collect()
}

fn names(text: &str) -> Vec<String> {
    runs(text).unwrap().into_iter().map(|(name, _)| name).collect()
}

fn error(text: &str) -> String {
    runs(text).unwrap_err()
}

#[test]
fn cases_are_a_union_in_their_place() {
    let text = "grid: {lr: [1, 2]}\ncases:\n- params: {opt: adam}\n- params: {opt: sgd}\n  grid: {m: [5, 6]}\nlist: {z: [0]}\n";
    assert_eq!(
        names(text),
        [
            "a__l1_oadam_z0",
            "a__l1_osgd_m5_z0",
            "a__l1_osgd_m6_z0",
            "a__l2_oadam_z0",
            "a__l2_osgd_m5_z0",
            "a__l2_osgd_m6_z0"
        ]
    );
    assert_eq!(runs(text).unwrap()[1].1, r#"{"lr":1,"opt":"sgd","m":5,"z":0}"#);
    let nested = "cases:\n- params: {a: 1}\n  cases: [{params: {b: 1}}, {params: {b: 2}}]\n- {}\n";
    assert_eq!(names(nested), ["a__a1_b1", "a__a1_b2", "a"]);
}

#[test]
fn expressions_drop_runs() {
    let sweep = "params: {net: {h: 3}, keep-it: 1}\ngrid: {lr: [0.01, 0.1, 1], w: [32, 64]}\n";
    let left = |exclude: &str| names(&format!("{sweep}exclude: {exclude}\n")).join(" ").replace("a__", "");
    assert_eq!(left("lr > 0.1 and w >= 64"), "l0.01_w32 l0.01_w64 l0.1_w32 l0.1_w64 l1_w32");
    assert_eq!(left("['lr > 0.05', {w: 64}]"), "l0.01_w32");
    assert_eq!(left("params.w == 32 or params['keep-it'] == 2"), "l0.01_w64 l0.1_w64 l1_w64");
    assert_eq!(left("net.h == 3 and not lr in [0.1, 1]"), "l0.1_w32 l0.1_w64 l1_w32 l1_w64");
    // Runs without a parameter that others have do not match.
    let cases = "cases: [{params: {o: adam}}, {params: {o: sgd}, grid: {m: [0.5, 0.9]}}]\nexclude: [m > 0.6]\n";
    assert_eq!(names(cases), ["a__oadam", "a__osgd_m0.5"]);
}

#[test]
fn what_is_wrong_with_an_expression() {
    let wrong = |exclude: &str| error(&format!("grid: {{lr: [0.1, 1], w: [x, y]}}\nexclude: ['{exclude}']\n"));
    assert_eq!(wrong("lrr > 1"), "`exclude` names `lrr`, which no run of experiment `a` has");
    assert_eq!(wrong("params.widht > 1"), "`exclude` names `widht`, which no run of experiment `a` has");
    assert_eq!(wrong("lr"), "`exclude` wants an expression that is true or false, and `lr` gives `0.1`");
    assert!(
        wrong("lr > && 3").starts_with("`exclude` holds `lr > && 3`, which is no expression: "),
        "{}",
        wrong("lr > && 3")
    );
    assert!(wrong("lr * w > 3").starts_with("`exclude` cannot tell `lr * w > 3`: "), "{}", wrong("lr * w > 3"));
    assert!(wrong(&format!("lr{} > 3", " + 1".repeat(5000))).contains("operators"));
}

#[test]
fn computed_parameters_keep_their_types() {
    let text = "params: {w: 8, b: true}\ngrid: {x: [1, 2]}\nderive:\n  h: '{{ params.w * params.x }}'\n  n:\n    half: '{{ params.h / 2 }}'\n    \
                text: 'h={{ params.h }}, {{ params.b }}'\n    list: ['{{ params.x }}', 3, {k: '{{ not params.b }}'}]\n    e: '{{ experiment }}'\n";
    let all = runs(text).unwrap();
    assert_eq!(all[1].0, "a__x2");
    assert_eq!(
        all[1].1,
        r#"{"w":8,"b":true,"x":2,"h":16,"n":{"half":8.0,"text":"h=16, True","list":[2,3,{"k":false}],"e":"a"}}"#
    );
}

#[test]
fn what_is_wrong_with_a_computed_parameter() {
    let wrong = |derive: &str| error(&format!("params: {{width: 8, z: 0}}\nderive: {derive}\n"));
    assert_eq!(wrong("{h: '{{ params.widht }}'}"), "`derive` names `params.widht`, which no run of experiment `a` has");
    assert_eq!(wrong("{h: '{{ width }}'}"), "`derive.h` names `width`, which is not there");
    assert_eq!(wrong("{h: '{{ rep }}'}"), "`derive.h` names `rep`, which is not there");
    assert_eq!(
        wrong("{h: '{{ params.g }}', g: '{{ 1 }}'}"),
        "`derive` names `params.g`, which no run of experiment `a` has"
    );
    assert!(wrong("{h: '{{ params.width // params.z }}'}").starts_with("`derive` cannot compute `h`: "));
    assert!(
        wrong("{h: '{{ params.width + }}'}").starts_with("`derive.h` holds `params.width +`, which is no expression: ")
    );
    // What is excluded need not be computed.
    let text = "grid: {z: [0, 1]}\nderive: {h: '{{ 4 // params.z }}'}\nexclude: {z: 0}\n";
    assert_eq!(runs(text).unwrap(), [("a__z1".to_owned(), r#"{"z":1,"h":4}"#.to_owned())]);
}

#[test]
fn what_was_added_later_is_no_part_of_names() {
    let before = names("grid: {lr: [1, 2]}\n");
    let after = names("defaults: {drop: 0.0}\ngrid: {lr: [1, 2], drop: [0, 0.5]}\n");
    assert_eq!(after, ["a__l1", "a__l1_d0.5", "a__l2", "a__l2_d0.5"]);
    assert!(before.iter().all(|name| after.contains(name)));
    // Without any other sweep the run has no folder of its own.
    assert_eq!(names("defaults: {drop: 0.0}\ngrid: {drop: [0.0, 0.5]}\n"), ["", "a__d0.5"]);
}

#[test]
fn short_names_tell_values_apart() {
    assert_eq!(names("grid: {x: {logspace: [-3, -2, 3]}}\n"), ["a__x0.001", "a__x0.00316", "a__x0.01"]);
    assert_eq!(names("grid: {x: {linspace: [1, 1.002, 3]}}\n"), ["a__x1.0", "a__x1.001", "a__x1.002"]);
    let drawn = names("random: {samples: 30, x: {uniform: [1, 1.02]}}\n");
    assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), 30);
    assert!(drawn.iter().any(|name| name.starts_with("a__x1.01-")), "{drawn:?}");
}

/// A distribution and whether it is continuous.
fn distributions() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "{uniform: [0, 1]}",
        "{log_uniform: [1e-5, 1e3]}",
        "{int_uniform: [1, 9]}",
        "{normal: [0, 3]}",
        "{log_normal: [0, 1]}",
        "{choice: [a, b, [1, 2], {k: 1}]}",
        "{uniform: [0, 1, 0.25]}",
        "{uniform: [1, 1.001]}",
        "{normal: [5, 2, 1]}",
    ])
}

fn random(samples: usize, seed: i64, drawn: &[&str]) -> String {
    let params: Vec<_> = drawn.iter().enumerate().map(|(index, drawn)| format!("p{index}x: {drawn}")).collect();
    format!("random: {{samples: {samples}, seed: {seed}, {}}}\n", params.join(", "))
}

proptest! {
    #[test]
    fn more_samples_keep_the_earlier_points(
        drawn in prop::collection::vec(distributions(), 1..5), seed in any::<i64>(), few in 1..40usize, more in 1..60usize,
    ) {
        let first = runs(&random(few, seed, &drawn)).unwrap();
        let all = runs(&random(few + more, seed, &drawn)).unwrap();
        prop_assert_eq!(&all[..first.len()], &first[..]);
        let names: HashSet<_> = all.iter().map(|(name, _)| name).collect();
        let points: HashSet<_> = all.iter().map(|(_, params)| params).collect();
        prop_assert_eq!((names.len(), points.len()), (all.len(), all.len()));
        // So do more parameters, but for their own values and names.
        let mut wider = drawn.clone();
        wider.push("{uniform: [0, 1]}");
        let wider = runs(&random(few, seed, &wider)).unwrap();
        let is_old = |(_, params): &(String, String)| wider.iter().any(|(_, wide)| wide.starts_with(params.trim_end_matches('}')));
        prop_assert!(first.iter().all(is_old));
    }

    #[test]
    fn cases_give_what_each_gives_alone(
        cases in prop::collection::vec(prop::collection::vec(prop::collection::vec(0..5i32, 1..4), 0..3), 1..4), outer in 1..4usize,
    ) {
        let grid = |case: &[Vec<i32>]| {
            let axes: Vec<_> = case.iter().enumerate().map(|(axis, values)| {
                let different: std::collections::BTreeSet<_> = values.iter().collect();
                format!("a{axis}: {different:?}").replace(['{', '}'], "").replacen(": ", ": [", 1) + "]"
            }).collect();
            if axes.is_empty() { String::new() } else { format!(", grid: {{{}}}", axes.join(", ")) }
        };
        let case = |number: usize, case: &[Vec<i32>]| format!("- {{params: {{id: {number}}}{}}}\n", grid(case));
        let whole: Vec<_> = cases.iter().enumerate().map(|(number, own)| case(number, own)).collect();
        let outer = format!("{{range: [{outer}]}}");
        let union = runs(&format!("cases:\n{}grid: {{o: {outer}}}\n", whole.concat())).unwrap();
        let alone: Vec<_> = whole.iter().flat_map(|one| runs(&format!("cases:\n{one}grid: {{o: {outer}}}\n")).unwrap()).collect();
        prop_assert_eq!(union, alone);
    }

    #[test]
    fn expressions_drop_what_they_are_true_of(limit in -3..8i32, other in 0..5i32) {
        let sweep = "grid: {x: {range: [0, 6]}, y: {range: [0, 4]}}\n";
        let all = runs(sweep).unwrap();
        let number = |params: &str, key: &str| Value::from_json(params).unwrap().get(key).cloned();
        let expected: Vec<_> = all
            .into_iter()
            .filter(|(_, params)| {
                let (Some(Value::Int(x)), Some(Value::Int(y))) = (number(params, "x"), number(params, "y")) else { return false };
                !(x > i128::from(limit) && y != i128::from(other))
            })
            .collect();
        let found = runs(&format!("{sweep}exclude: ['x > {limit} and y != {other}']\n")).unwrap();
        prop_assert_eq!(found, expected);
    }
}
