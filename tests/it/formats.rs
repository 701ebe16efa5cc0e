//! What older versions wrote loads for ever; what a newer one wrote is refused and left as it is.

use crate::support::{Scene, tree};
use cw2::internals::{Found, parse_status};
use cw2::{State, Status};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const PLAN: &str = "out/plans/001";

fn fixture(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(version)
}

fn copy(version: &str) -> Scene {
    let scene = Scene::new();
    let source = fixture(version);
    for name in tree(&source).iter().filter(|name| !name.ends_with('/')) {
        scene.write(name, fs::read(source.join(name)).expect("a file of the fixture"));
    }
    scene
}

fn rep(number: u32) -> String {
    format!("out/a/a__l0.1/log/rep_{number:02}")
}

#[test]
fn a_plan_of_version_1_loads() {
    let scene = copy("v1");
    assert_eq!(scene.cw2(&format!("list {PLAN} --json")).expect(0).stdout, scene.read("expected.jsonl"));
    scene.write("go", "");
    scene.worker(PLAN, 0).expect(0).says(["6 repetitions: 4 completed, 2 finished before"]);
    scene.worker(PLAN, 1).expect(0).says(["5 completed, 1 surrendered"]);
    scene.worker(PLAN, 2).expect(0).says(["1 completed"]);
    // The interrupted one, and the one whose worker died, were resumed.
    for (number, attempts) in [(0, 1), (1, 1), (2, 4), (3, 4), (4, 4), (5, 2)] {
        assert_eq!(scene.status(rep(number))["attempt"], attempts, "{number}");
    }
}

#[test]
fn a_status_of_version_1_loads() {
    let read = |number: u32| -> Status {
        let bytes = fs::read(fixture("v1").join(rep(number)).join("status.json")).expect("a status");
        match parse_status(&bytes) {
            Found::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    };
    let states = (0..6).map(|number| read(number).state).collect::<Vec<_>>();
    let all =
        [State::Completed, State::Surrendered, State::Crashed, State::TimedOut, State::Interrupted, State::Running];
    assert_eq!(states, all);
    assert_eq!(read(1).payload, Some(json!({"reason": "converged"})));
    let crashed = read(2);
    assert_eq!(crashed.error.expect("an error").stderr_tail, "ValueError: no");
    assert_eq!(crashed.exit, Some(cw2::status::Exit::Code(3)));
    assert_eq!(crashed.slurm.expect("Slurm's ids").array_job_id.as_deref(), Some("1000"));
    let interrupted = read(4);
    let earlier: Vec<_> = interrupted.earlier.iter().map(|attempt| (attempt.attempt, attempt.state)).collect();
    assert_eq!(earlier, [(1, State::Interrupted), (2, State::TimedOut)]);
    assert_eq!(read(3).exit, Some(cw2::status::Exit::Signal(15)));
}

#[test]
fn finished_repetitions_of_version_1_are_left_out_of_new_plans() {
    let scene = copy("v1");
    scene.cw2("plan config.yml").expect(0).says(["2 repetitions finished and left out", "11 repetitions to do"]);
}

#[test]
fn the_reading_of_a_fixture_did_not_change_it() {
    // The fixtures are read in place above; nothing may be written there.
    let names = tree(&fixture("v1"));
    assert!(
        !names.iter().any(|name| name.contains("002") || name.ends_with("/go") || name.contains("/.")),
        "{names:?}"
    );
}

fn raise_format(scene: &Scene, name: &str) -> String {
    let mut value: Value = serde_json::from_str(&scene.read(name)).expect("JSON");
    value["format"] = json!(9);
    // A newer version may have renamed everything else.
    value.as_object_mut().expect("an object").remove("state");
    value.as_object_mut().expect("an object").remove("root");
    let text = value.to_string();
    scene.write(name, &text);
    text
}

#[test]
fn a_plan_of_a_newer_version_is_refused() {
    let scene = copy("v1");
    raise_format(&scene, &format!("{PLAN}/plan.json"));
    let before = scene.tree();
    for words in [format!("worker --plan {PLAN} --index 0"), format!("list {PLAN}")] {
        scene.cw2(&words).expect(3).silent().says(["plan.json", "format 9", "newer cw2"]);
    }
    assert_eq!(scene.tree(), before);
}

#[test]
fn a_status_of_a_newer_version_is_refused_and_left_alone() {
    let scene = copy("v1");
    scene.write("go", "");
    let name = format!("{}/status.json", rep(2));
    let text = raise_format(&scene, &name);
    scene.worker(PLAN, 0).expect(1).says(["1 refused", &rep(2), "format 9", "newer cw2", "3 completed"]);
    assert_eq!(scene.read(&name), text);
    // It may be finished or not: planned, so that it is not lost, and not run, so that nothing is.
    for (words, code) in [("plan config.yml", 0), ("run config.yml", 1), ("plan -n config.yml", 0)] {
        scene.cw2(words).expect(code).says(["status.json", "format 9", "newer cw2"]);
    }
    assert_eq!(scene.read(&name), text);
}

#[test]
fn a_damaged_plan_is_an_error_that_names_the_file() {
    for (name, text) in [
        ("plan.json", &b""[..]),
        ("plan.json", b"{\"format\": 1}"),
        ("plan.json", b"garbage"),
        ("jobs.jsonl", b"{}\n"),
        ("jobs.idx", b"short"),
        ("jobs.jsonl", b"{\"reps\":[[0,0,4294967295]]}\n"),
        ("runs.jsonl", b""),
        ("params.jsonl", b"\xff\xfe"),
        ("experiments.jsonl", b"not json at all"),
    ] {
        let scene = copy("v1");
        scene.write(&format!("{PLAN}/{name}"), text);
        let stem = name.split('.').next().expect("a stem");
        scene.worker(PLAN, 0).expect(3).silent().says(["cannot", stem]);
    }
}

#[test]
fn an_index_that_lies_is_no_catastrophe() {
    let scene = copy("v1");
    // The first line would be almost 2⁶⁴ bytes long.
    scene.write(&format!("{PLAN}/jobs.idx"), [0xff_u8; 24]);
    let outcome = scene.worker(PLAN, 0).silent().says(["jobs.jsonl"]);
    assert_eq!((outcome.code, outcome.signal), (Some(3), None), "{}", outcome.stderr);
}

#[test]
fn every_line_of_metrics_is_read_or_named() {
    let scene = Scene::with("name: a\npath: out\nrepetitions: 1\ncommand: cp metrics $CW2_METRICS\n");
    scene.write(
        "metrics",
        r#"{"text": "\ud83d\ude00", "half": "\ud83d"}
{"loss": 1, "loss": 2}
{"loss": NaN, "big": 340282366920938463463374607431768211456}

{loss: 1.0}
yes
0x10
[1]
{"loss": 3
"#,
    );
    scene.cw2("run config.yml").expect(0);
    let [rep] = cw2::load(scene.path("out")).unwrap().try_into().expect("one repetition");
    let read: Vec<_> = rep.metrics.iter().map(cw2::Metrics::to_json).collect();
    assert_eq!(
        read,
        [
            "{\"text\":\"\u{1f600}\",\"half\":\"\u{fffd}\"}",
            r#"{"loss":2}"#,
            r#"{"loss":NaN,"big":340282366920938463463374607431768211456}"#
        ]
    );
    assert_eq!(
        rep.metrics_unread,
        [
            "line 5, column 2: a key in double quotes is wanted here",
            "line 6, column 1: this is not a JSON value",
            "line 7, column 2: something stands behind the JSON value",
            "line 8: not a JSON object",
            "line 9, column 11: a mapping wants a `,` or its `}` here",
        ]
    );
}
