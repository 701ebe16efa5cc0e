//! Which attempt a line of metrics belongs to: what was begun again is set aside, and nothing is lost.

use crate::support::{Running, Scene, wait_until};
use nix::sys::signal::Signal;

const REP: &str = "out/e/log/rep_00";
const METRICS: &str = "out/e/log/rep_00/metrics.jsonl";

/// Six steps. Before `go` is there it stays at the fourth; with a file `save` it saves after the second.
const STEPS: &str = r#"name: e
path: out
repetitions: 1
command: |
  cd "$CW2_REP_DIR"; i=0; [ ! -e saved ] || i=$(cat saved)
  while [ $i -lt 6 ]; do
    echo "{KEY$i, \"attempt\": $CW2_ATTEMPT}" >> $CW2_METRICS; i=$((i+1))
    if [ -e ../../../../save ] && [ $i = 2 ]; then echo 2 > saved; fi
    if [ $i = 4 ] && [ ! -e ../../../../go$CW2_ATTEMPT ]; then exec sleep 1000; fi
  done
"#;

fn scene(key: &str) -> Scene {
    let scene = Scene::with(&STEPS.replace("KEY", key));
    scene.plan();
    scene
}

/// Starts an attempt and ends it at its fourth step, which is line `lines`.
fn interrupt(scene: &Scene, lines: usize, signal: Signal) {
    let worker: Running = scene.call(["worker", "--plan", "out/plans/001", "--index", "0", "--grace", "0.2"]).start();
    let status = format!("{REP}/status.json");
    wait_until("its steps", || {
        scene.lines(METRICS).len() == lines && scene.has(&status) && scene.state(REP) == "running"
    });
    worker.signal(signal);
    worker.end();
}

/// The attempts of the steps in a file of metrics, in order.
fn attempts(scene: &Scene, name: &str) -> Vec<(String, u64)> {
    let record = |line: &String| {
        let record: serde_json::Value = serde_json::from_str(line).expect("a whole line");
        (
            record.as_object().expect("a record").values().next().expect("a step").to_string(),
            record["attempt"].as_u64().expect("an attempt"),
        )
    };
    scene.lines(&format!("{REP}/{name}")).iter().map(record).collect()
}

fn loaded(scene: &Scene) -> Vec<(String, u64)> {
    let rep = cw2::load(scene.path("out")).expect("results").remove(0);
    let of = |record: &cw2::Metrics| {
        let value = |name: &str| record.get(name).expect("a metric").to_json();
        (record.iter().next().expect("a step").1.to_json(), value("attempt").parse().expect("a number"))
    };
    rep.metrics.iter().map(of).collect()
}

fn steps(steps: &[(u64, u64)]) -> Vec<(String, u64)> {
    steps.iter().map(|(step, attempt)| (step.to_string(), *attempt)).collect()
}

#[test]
fn what_was_not_saved_is_begun_again_and_counts_once() {
    // With a step, and with none: nothing was saved, so all of it begins again.
    for key in ["\\\"step\\\": ", "\\\"loss\\\": "] {
        let scene = scene(key);
        interrupt(&scene, 4, Signal::SIGTERM);
        scene.write("go2", "");
        scene.worker("out/plans/001", 0).expect(0);
        let again = steps(&[(0, 2), (1, 2), (2, 2), (3, 2), (4, 2), (5, 2)]);
        assert_eq!(attempts(&scene, "metrics.jsonl"), again, "{key}");
        assert_eq!(loaded(&scene), again);
        assert_eq!(attempts(&scene, "metrics.attempt-1.jsonl"), steps(&[(0, 1), (1, 1), (2, 1), (3, 1)]));
        assert_eq!(scene.status(REP).get("metrics_from"), None);
    }
}

#[test]
fn what_was_saved_stays_and_only_the_rest_is_set_aside() {
    let scene = scene("\\\"step\\\": ");
    scene.write("save", "");
    interrupt(&scene, 4, Signal::SIGTERM);
    // The second attempt dies with its worker: while nobody tidies up, whoever reads knows all the same.
    interrupt(&scene, 6, Signal::SIGKILL);
    assert_eq!(attempts(&scene, "metrics.jsonl").len(), 6);
    assert_eq!(loaded(&scene), steps(&[(0, 1), (1, 1), (2, 2), (3, 2)]));
    scene.write("go3", "");
    scene.worker("out/plans/001", 0).expect(0);
    let once = steps(&[(0, 1), (1, 1), (2, 3), (3, 3), (4, 3), (5, 3)]);
    assert_eq!(attempts(&scene, "metrics.jsonl"), once);
    assert_eq!(loaded(&scene), once);
    assert_eq!(attempts(&scene, "metrics.attempt-1.jsonl"), steps(&[(2, 1), (3, 1)]));
    assert_eq!(attempts(&scene, "metrics.attempt-2.jsonl"), steps(&[(2, 2), (3, 2)]));
}

#[test]
fn metrics_that_the_program_writes_anew_are_its_own() {
    let scene = Scene::with(
        "name: e\npath: out\nrepetitions: 1\ncommand: |\n  \
         if [ $CW2_ATTEMPT = 1 ]; then for i in 0 1 2 3; do echo \"{\\\"step\\\": $i, \\\"attempt\\\": 1}\"; done > $CW2_METRICS; exec sleep 1000; fi\n  \
         echo '{\"step\": 0, \"attempt\": 2}' > $CW2_METRICS\n",
    );
    scene.plan();
    interrupt(&scene, 4, Signal::SIGTERM);
    scene.worker("out/plans/001", 0).expect(0);
    assert_eq!(loaded(&scene), steps(&[(0, 2)]));
    assert!(!scene.has(&format!("{REP}/metrics.attempt-1.jsonl")));
}

#[test]
fn steps_of_earlier_attempts_count_once_and_can_be_seen() {
    let scene = scene("\\\"step\\\": ");
    scene.write("save", "");
    interrupt(&scene, 4, Signal::SIGTERM);
    interrupt(&scene, 6, Signal::SIGKILL);
    let history = |words: &str| {
        let words = format!("results out --history --format csv --last attempt {words}");
        let table = scene.cw2(&words).expect(0).stdout;
        let cells = |line: &str| line.split(',').skip(3).map(str::to_owned).collect::<Vec<_>>().join(",");
        table.lines().map(cells).collect::<Vec<_>>()
    };
    // While nobody tidied up; the third column is what the program calls its attempt.
    let counts = [
        "state,attempt,step,metrics.attempt",
        "running,2,0,1.0",
        "running,2,1,1.0",
        "running,2,2,2.0",
        "running,2,3,2.0",
    ];
    assert_eq!(history(""), counts);
    scene.write("go3", "");
    scene.worker("out/plans/001", 0).expect(0);
    let done: Vec<String> =
        ["0,1.0", "1,1.0", "2,3.0", "3,3.0", "4,3.0", "5,3.0"].map(|row| format!("completed,3,{row}")).to_vec();
    assert_eq!(history("")[1..], done);
    let all = history("--all-attempts");
    assert_eq!(all[0], "state,attempt,counts,step,metrics.attempt");
    let before =
        ["1,false,2,1.0", "1,false,3,1.0", "2,false,2,2.0", "2,false,3,2.0"].map(|row| format!("completed,{row}"));
    assert_eq!((&all[1..5], all.len()), (&before[..], 11));
    assert_eq!(all[5], "completed,3,true,0,1.0");
}
