//! The attempts at a repetition: retries are told apart, none inherits from the one before, and `finalize` runs once at the end.

use crate::support::wait_until;
use crate::worker::{PLAN, bundle, rep};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;

/// Commands whose end the repetition's number decides; `finalize` tells what it was told.
const ENDS: &str = r#"
command:
  initialize: |
    echo $CW2_REP >> initialized
    [ $CW2_REP != 2 ] || exit 2
  run: |
    echo $CW2_REP >> ran
    case $CW2_REP in
    1) exit 1 ;;
    3) cw2 surrender '{"reason": "converged", "at": [1, 2.5], "loss": NaN}' ;;
    4) kill -KILL $$ ;;
    5) exec sleep 1000 ;;
    6) cw2 surrender '{"then": "crashed"}'; exit 1 ;;
    7) cw2 surrender ;;
    8) echo 'not json' > $CW2_SURRENDER ;;
    esac
  finalize: echo "$CW2_REP $CW2_OUTCOME $(cat $CW2_SURRENDER 2>/dev/null)" >> finalized
"#;

#[test]
fn finalize_runs_once_whatever_happened() {
    let scene = bundle(9, ENDS);
    scene.write("config.yml", scene.read("config.yml").replace("timeout: 60", "timeout: 0.5"));
    fs::remove_dir_all(scene.path("out")).expect("the plan");
    scene.plan();
    scene.worker(PLAN, 0).expect(1).says(["9 repetitions: 1 completed, 3 surrendered, 4 crashed, 1 timed out"]);
    assert_eq!(
        scene.lines("finalized"),
        [
            "0 completed ",
            "1 crashed ",
            "2 crashed ",
            "3 surrendered {\"reason\":\"converged\",\"at\":[1,2.5],\"loss\":NaN}",
            "4 crashed ",
            "5 timed_out ",
            "6 crashed {\"then\":\"crashed\"}",
            "7 surrendered {}",
            "8 surrendered not json",
        ]
    );
    assert_eq!(scene.lines("initialized").len(), 9);
    assert_eq!(scene.lines("ran"), ["0", "1", "3", "4", "5", "6", "7", "8"]);
    let surrendered = scene.status(rep(3));
    assert_eq!(surrendered["payload"], json!({"reason": "converged", "at": [1, 2.5], "loss": "NaN"}));
    assert_eq!(surrendered.get("error"), None);
    assert_eq!(scene.status(rep(2))["error"]["phase"], "initialize");
    assert_eq!(scene.status(rep(4))["exit"], json!({"signal": 9}));
    assert_eq!(scene.status(rep(6)).get("payload"), None, "a crash is no surrender");
    assert_eq!(scene.status(rep(8))["payload"], "not json");

    // A surrender is a success: it is not run again.
    scene.worker(PLAN, 0).expect(1).says(["4 finished before"]);
    assert_eq!(scene.lines("finalized").len(), 9 + 5);
    let left: Vec<_> = scene.lines("finalized")[9..].to_vec();
    assert_eq!(left[3], "5 timed_out ");
}

#[test]
fn an_earlier_attempt_s_surrender_does_not_count() {
    let scene = bundle(1, "retries: 1\ncommand: '[ $CW2_ATTEMPT = 2 ] || { cw2 surrender \"{}\"; exit 1; }'\n");
    scene.worker(PLAN, 0).expect(0);
    assert_eq!(scene.state(rep(0)), "completed");
}

#[test]
fn a_failing_finalize_is_a_crash() {
    let scene = bundle(3, "command: {run: '[ $CW2_REP != 1 ] || exit 4', finalize: 'echo no >&2; [ $CW2_REP = 2 ]'}\n");
    scene.worker(PLAN, 0).expect(1).says(["1 completed, 2 crashed"]);
    let status = scene.status(rep(0));
    assert_eq!((&status["state"], &status["error"]["phase"]), (&json!("crashed"), &json!("finalize")));
    assert_eq!(status["error"]["stderr_tail"], "no");
    // The first cause is what a reader looks for; finalize's own is told too.
    let status = scene.status(rep(1));
    assert_eq!((&status["exit"], &status["error"]["phase"]), (&json!({"code": 4}), &json!("run")));
    let message = status["error"]["message"].as_str().expect("a message");
    assert!(message.contains("status 4") && message.contains("finalize"), "{message}");
}

#[test]
fn retries_are_told_apart() {
    let scene = bundle(
        2,
        "retries: 2\ncommand: |\n  echo \"attempt $CW2_ATTEMPT resume $CW2_RESUME\"\n  echo $CW2_REP >> ran\n  echo \"failed $CW2_ATTEMPT\" >&2\n  [ $CW2_REP = 0 ] && [ $CW2_ATTEMPT = 3 ]\n",
    );
    scene.worker(PLAN, 0).expect(1).says(["1 completed, 1 crashed"]);
    assert_eq!(scene.lines("ran"), ["0", "0", "0", "1", "1", "1"]);
    let (good, bad) = (scene.status(rep(0)), scene.status(rep(1)));
    assert_eq!((&good["state"], &good["attempt"]), (&json!("completed"), &json!(3)));
    assert_eq!((&bad["state"], &bad["attempt"]), (&json!("crashed"), &json!(3)));
    let earlier = |status: &Value| -> Vec<(Value, Value)> {
        let attempts = status["earlier"].as_array().expect("a list");
        attempts.iter().map(|one| (one["attempt"].clone(), one["state"].clone())).collect()
    };
    assert_eq!(earlier(&good), [(json!(1), json!("crashed")), (json!(2), json!("crashed"))]);
    assert_eq!(earlier(&bad), earlier(&good));
    assert_eq!(bad["error"]["stderr_tail"], "failed 3", "only the last attempt's");
    let log = scene.read(format!("{}/out.log", rep(0)));
    let lines: Vec<_> = log.lines().collect();
    assert_eq!((lines[0], lines[2], lines[4]), ("attempt 1 resume 0", "attempt 2 resume 0", "attempt 3 resume 0"));
    assert!(lines[1].starts_with("==> cw2: attempt 2, ") && lines[3].starts_with("==> cw2: attempt 3, "), "{log}");
}

#[test]
fn a_retry_waits_and_a_stop_ends_the_waiting() {
    let scene = bundle(1, "retries: {count: 3, delay: 1h}\ncommand: echo x >> ran; exit 1\n");
    let worker = scene.call(["worker", "--plan", PLAN, "--index", "0"]).start();
    wait_until("the first attempt's end", || scene.waits_for_retry(&rep(0)));
    worker.signal(Signal::SIGTERM);
    let outcome = worker.end();
    assert!(matches!(outcome.code, Some(1 | 75)), "{:?}: {}", outcome.code, outcome.stderr);
    assert_eq!(scene.lines("ran"), ["x"]);
}

#[test]
fn finalize_runs_once_after_the_last_retry() {
    let scene = bundle(
        1,
        "retries: 2\ncommand:\n  initialize: echo initialize >>ran\n  run: echo run >>ran; exit 1\n  finalize: echo finalize $CW2_OUTCOME $CW2_ATTEMPT >>ran\n",
    );
    scene.worker(PLAN, 0).expect(1);
    let once = ["initialize", "run"];
    assert_eq!(scene.lines("ran"), [&once[..], &once, &once, &["finalize crashed 3"]].concat());
}

#[test]
fn the_metrics_of_a_new_attempt_begin_anew() {
    let scene = bundle(1, "retries: 1\ncommand: |\n  echo '{\"attempt\": '$CW2_ATTEMPT'}' >>$CW2_METRICS; exit 1\n");
    scene.worker(PLAN, 0).expect(1);
    assert_eq!(scene.lines(&format!("{}/metrics.jsonl", rep(0))), [r#"{"attempt": 2}"#]);
    assert_eq!(scene.lines(&format!("{}/metrics.attempt-1.jsonl", rep(0))), [r#"{"attempt": 1}"#]);
}

#[test]
fn a_state_that_cannot_be_written_costs_neither_the_retry_nor_finalize() {
    // A folder in the place of the status stands for a full disk; `finalize` makes room.
    let scene = bundle(
        2,
        "retries: 1\ncommand:\n  run: |\n    echo $CW2_REP $CW2_ATTEMPT $CW2_RESUME >>ran; mkdir -p $CW2_REP_DIR/status.json/full\n    [ $CW2_REP$CW2_ATTEMPT = 02 ]\n  finalize: echo $CW2_REP $CW2_OUTCOME >>ran; rm -r $CW2_REP_DIR/status.json\n",
    );
    scene.worker(PLAN, 0).expect(1).says(["cannot note", "1 completed, 1 crashed"]);
    assert_eq!(scene.lines("ran"), ["0 1 0", "0 2 0", "0 completed", "1 1 0", "1 2 0", "1 crashed"]);
    for (number, state) in [(0, "completed"), (1, "crashed")] {
        let status = scene.status(rep(number));
        assert_eq!((&status["state"], &status["attempt"]), (&json!(state), &json!(2)));
        assert_eq!(status["earlier"][0]["state"], "crashed");
    }
}

#[test]
fn a_retry_that_cannot_begin_is_none_and_finalize_runs_once() {
    // A surrender that cannot be removed would count as the retry's.
    let scene = bundle(
        1,
        "retries: 3\ncommand:\n  run: echo run >>ran; mkdir -p $CW2_SURRENDER/x; exit 4\n  finalize: echo $CW2_OUTCOME >>ran\n",
    );
    scene.worker(PLAN, 0).expect(1).says(["1 crashed"]);
    assert_eq!(scene.lines("ran"), ["run", "crashed"]);
    let status = scene.status(rep(0));
    assert_eq!((&status["state"], &status["exit"]), (&json!("crashed"), &json!({"code": 4})));
    let message = status["error"]["message"].as_str().expect("a message");
    assert!(message.starts_with("`run` exited with status 4; no retry: cannot remove"), "{message}");
    assert_eq!(status["error"]["phase"], "run");
}
