//! `cw2 run`: what stops it early, and what it says at the end.

use crate::support::Scene;
use serde_json::json;

#[test]
fn after_so_many_failures_nothing_new_is_started() {
    let scene = Scene::with(
        "name: e\npath: out\nrepetitions: 1\nreps_per_job: 5\ngrid: {a: [1, 2, 3, 4, 5, 6, 7]}\n\
         command: test {{ params.a }} != 2 && test {{ params.a }} != 3\n",
    );
    let stopped = scene.cw2("run config.yml --fail-fast 2").expect(1);
    assert!(
        stopped.err().contains(
            "7 repetitions: 1 completed, 2 crashed, 4 not started\n2 × crashed: `run` exited with status 1\n    e.g. out/e/e__a2/log/rep_00\n    \
             all 2 have a≥2; none of the other 1\nstopped after 2 failed (`--fail-fast`): what was not started is for the next `run`\n"
        ),
        "{}",
        stopped.stderr
    );
    assert!(!scene.has("out/e/e__a4") && !scene.has("out/e/e__a6"));
    let status = scene.cw2("status out --json").expect(0).json_lines().remove(0);
    assert_eq!((&status["total"]["pending"], &status["total"]["crashed"]), (&json!(4), &json!(2)), "{status}");
    // Less than that is no reason to stop, nor to speak of it.
    let through = scene.cw2("run config.yml --fail-fast 3").expect(1);
    assert!(through.err().contains("6 repetitions: 4 completed, 2 crashed\n"), "{}", through.stderr);
    assert!(!through.stderr.contains("fail-fast"), "{}", through.stderr);
    scene.cw2("run config.yml --fail-fast 0").expect(2).silent();
}

#[test]
fn what_runs_beside_a_failure_goes_on_to_its_end() {
    let scene = Scene::with(
        "name: e\npath: out\nrepetitions: 4\nreps_per_job: 4\nreps_in_parallel: 2\noversubscribe: true\n\
         command: |\n  if [ {{ rep }} = 0 ]; then until [ -e other ]; do sleep 0.01; done; exit 3; fi\n  touch other\n  \
         until grep -q crashed out/e/log/rep_00/status.json; do sleep 0.01; done 2>/dev/null\n",
    );
    if std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() < 2) {
        crate::support::skipped("one CPU runs one repetition at a time");
        return;
    }
    let stopped = scene.cw2("run config.yml --fail-fast 1").expect(1);
    assert!(stopped.stderr.contains("4 repetitions: 1 completed, 1 crashed, 2 not started\n"), "{}", stopped.stderr);
}

#[test]
fn the_closing_words_say_what_failures_have_in_common() {
    let scene = Scene::with(
        "name: e\npath: out\nrepetitions: 2\ngrid: {width: [16, 32, 64], lr: [0.1, 0.2]}\n\
         command: test {{ params.width }} != 64\n",
    );
    let ran = scene.cw2("run config.yml").expect(1);
    let told = "4 × crashed: `run` exited with status 1\n    e.g. out/e/e__w64_l0.1/log/rep_00\n    all 4 have width=64; none of the other 8\n";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert!(scene.cw2("status out --failed").expect(0).stdout.contains(told));
}
