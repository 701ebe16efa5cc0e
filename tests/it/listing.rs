//! `cw2 list` and `cw2 show`: what there is, and where each value came from.

use crate::support::Scene;
use serde_json::{Value, json};

const CONFIG: &str = "\
name: DEFAULT
path: out
repetitions: 2
params:
  net: {width: 64, act: relu}
  seeded: true
env: {A: '1'}
---
name: child
import_path: sub/parent.yml
import_exp: parent
command: 'true'
params: {lr: 0.5}
grid:
  bs: [16, 32]
list: {net: {width: [1]}}
";

const PARENT: &str = "\
name: DEFAULT
params: {oldest: 1}
---
name: parent
repetitions: 9
params: {old: 2, lr: 5}
grid: {bs: [1]}
";

fn scene() -> Scene {
    let scene = Scene::with(CONFIG);
    scene.write("sub/parent.yml", PARENT);
    scene
}

#[test]
fn show_tells_where_each_value_came_from() {
    let shown = scene().cw2("show config.yml --set params.own.x=3").expect(0);
    assert_eq!(shown.stderr, "");
    let place = |key: &str| {
        let line = shown.stdout.lines().find(|line| line.trim_start().starts_with(&format!("{key}:")));
        let line = line.unwrap_or_else(|| panic!("no `{key}` in\n{}", shown.stdout));
        let (value, place) = line.split_once("  # ").unwrap_or((line, ""));
        (value.trim().to_owned(), place.to_owned())
    };
    for (key, value, origin) in [
        ("name", "name: child", "config.yml:9:7"),
        ("path", "path: out", "config.yml:2:7"),
        ("repetitions", "repetitions: 2", "config.yml:3:14"),
        ("command", "command: \"true\"", "config.yml:12:10"),
        ("oldest", "oldest: 1", "sub/parent.yml:2:18"),
        ("old", "old: 2", "sub/parent.yml:6:15"),
        ("lr", "lr: 0.5", "config.yml:13:14"),
        ("width", "width: 1", "config.yml:16:22 (list)"),
        ("act", "act: relu", "config.yml:5:25"),
        ("seeded", "seeded: true", "config.yml:6:11"),
        ("bs", "bs: 16", "config.yml:15:8 (grid)"),
        ("A", "A: \"1\"", "config.yml:7:10"),
    ] {
        assert_eq!(place(key), (value.to_owned(), origin.to_owned()));
    }
    assert!(place("x").1.starts_with("--set"), "{:?}", place("x"));
}

#[test]
fn show_as_json_has_the_configuration_and_the_origins() {
    let scene = scene();
    let shown = scene.cw2("show config.yml --json --run child__b32_net.w1 --rep 1 --set params.seeded=no").expect(0);
    let [object] = shown.json_lines().try_into().expect("one line");
    assert_eq!(
        object["config"]["params"],
        json!({"oldest": 1, "old": 2, "lr": 0.5, "net": {"width": 1, "act": "relu"}, "seeded": false, "bs": 32})
    );
    assert_eq!((&object["config"]["rep"], &object["config"]["run"]), (&json!(1), &json!("child__b32_net.w1")));
    assert_eq!(object["config"]["dir"], "out/child/child__b32_net.w1/log/rep_01");
    assert_eq!(object["origins"]["params.bs"], "config.yml:15:12 (grid)");
    assert_eq!(object["origins"]["params.old"], "sub/parent.yml:6:15");
    assert!(object["origins"]["params.seeded"].as_str().expect("a place").starts_with("--set"));
    // By its number too.
    let by_number = scene.cw2("show config.yml --json --run 1 --rep 1 --set params.seeded=no").expect(0);
    assert_eq!(by_number.stdout, shown.stdout);
}

#[test]
fn what_show_shows_is_what_the_repetition_gets() {
    let scene = scene();
    let [shown]: [Value; 1] = scene.cw2("show config.yml --json").expect(0).json_lines().try_into().expect("one line");
    scene.cw2("run config.yml").expect(0);
    let mut expected = shown["config"].clone();
    let dir = expected.as_object_mut().expect("an object").remove("dir").expect("a folder");
    let got: Value =
        serde_json::from_str(&scene.read(format!("{}/config.yml", dir.as_str().expect("text")))).expect("JSON");
    assert_eq!(got, expected);
}

#[test]
fn list_prints_a_table_for_people() {
    let scene = scene();
    let outcome = scene.cw2("list config.yml").expect(0);
    assert_eq!(outcome.stderr, "");
    let cells: Vec<Vec<&str>> = outcome.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        cells,
        [
            ["EXPERIMENT", "RUN", "REPS", "JOBS", "DIRECTORY"],
            ["child", "child__b16_net.w1", "0-1", "0-1", "out/child/child__b16_net.w1"],
            ["child", "child__b32_net.w1", "0-1", "2-3", "out/child/child__b32_net.w1"],
        ]
    );
    // The same of a plan.
    scene.plan();
    assert_eq!(scene.cw2("list out/plans/001").expect(0).stdout, outcome.stdout);
}

#[test]
fn list_as_json_is_the_same_for_a_configuration_and_its_plan() {
    let scene = scene();
    scene.plan();
    let planned = scene.cw2("list out/plans/001 --json").expect(0);
    assert_eq!(scene.cw2("list config.yml --json").expect(0).stdout, planned.stdout);
    let first = &planned.json_lines()[0];
    assert_eq!(
        *first,
        json!({
            "experiment": "child", "run": "child__b16_net.w1", "rep": 0, "dir": "out/child/child__b16_net.w1/log/rep_00", "job": 0,
            "params": {"oldest": 1, "old": 2, "lr": 0.5, "net": {"width": 1, "act": "relu"}, "seeded": true, "bs": 16},
        })
    );
    assert_eq!(planned.json_lines().len(), 4);
}

#[test]
fn a_value_that_looks_like_something_else_is_shown_as_what_it_is() {
    let scene = Scene::with(
        "name: a\npath: out\nrepetitions: 1\nparams: {t: 'true', n: '1', f: 1.0, i: 1, none: null, text: \"a # b\", lines: \"a\\nb\", big: 123456789012345678901234567890}\n",
    );
    let shown = scene.cw2("show config.yml").expect(0).stdout;
    let values: Vec<_> = shown
        .lines()
        .skip_while(|line| *line != "params:")
        .skip(1)
        .map(|line| line.rsplit_once("  # ").map_or(line, |(value, _)| value).trim())
        .collect();
    assert_eq!(
        values,
        [
            "t: \"true\"",
            // A bare `n` is a truth value to YAML 1.1.
            "\"n\": \"1\"",
            "f: 1.0",
            "i: 1",
            "none: null",
            "text: \"a # b\"",
            "lines: \"a\\nb\"",
            "big: 123456789012345678901234567890",
        ]
    );
    let listed = scene.cw2("list config.yml --json").expect(0).stdout;
    assert!(
        listed.contains(r#""f":1.0,"i":1,"#) && listed.contains("\"big\":123456789012345678901234567890"),
        "{listed}"
    );
}

#[test]
fn list_of_some_experiments() {
    let scene = Scene::with(
        "name: a\npath: out\nrepetitions: 1\ncommand: 'true'\n---\nname: b\npath: out\nrepetitions: 1\ncommand: 'true'\n",
    );
    scene.plan();
    for source in ["config.yml", "out/plans/001"] {
        let listed = scene.cw2(&format!("list {source} -e b --json")).expect(0).json_lines();
        assert_eq!(listed.iter().map(|rep| rep["experiment"].clone()).collect::<Vec<_>>(), [json!("b")], "{source}");
    }
    // A name that the plan has not is a mistake there too.
    scene.cw2("list out/plans/001 -e c").expect(2).silent().says(["no experiment `c`"]);
}
