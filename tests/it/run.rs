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

#[test]
fn on_finish_is_called_once_at_the_end_of_a_run() {
    let says = "echo \"$CW2_SUMMARY $CW2_EXIT_CODE $CW2_CRASHED $(basename \"$CW2_PLAN\") it's\" >>finished; exit 4";
    let slurm = json!({"name": "SLURM", "on_finish": says});
    let experiment = "name: e\npath: out\nrepetitions: 2\ncommand: test {{ rep }} = 0\n---\nname: f\npath: out\nrepetitions: 1\n\
                      command: 'true'\n";
    let scene = Scene::with(&format!("{slurm}\n---\n{experiment}"));
    // A dry run shows its script; `plan` prints only what `sbatch` may be given.
    let dry = scene.cw2("plan -n config.yml").expect(0);
    assert!(dry.stdout.contains("# ---- on_finish.sh ----\n#!/bin/bash\n"), "{}", dry.stdout);
    assert!(dry.stdout.contains("--call='echo \"$CW2_SUMMARY"), "{}", dry.stdout);
    let planned = scene.cw2("plan config.yml").expect(0);
    assert_eq!(planned.out(), "[HERE]/out/plans/001/sbatch.sh\n");
    planned.says(["`on_finish` is called where `cw2 submit` submits it"]);
    crate::plan::assert_sound(&scene.path("out/plans/001/on_finish.sh"));
    assert!(!scene.has("finished"));
    let ran = scene.cw2("run config.yml").expect(1);
    assert_eq!(scene.read("finished"), "3 repetitions: 2 completed, 1 crashed 1 1 002 it's\n");
    ran.says(["warning: `on_finish` ended with exit status: 4"]);
    // Where nothing was to do, nothing has ended.
    scene.write("config.yml", format!("{slurm}\n---\n{}", experiment.replace("test {{ rep }} = 0", "'true'")));
    scene.cw2("run config.yml").expect(0);
    scene.cw2("run config.yml").expect(0);
    assert_eq!(scene.lines("finished").len(), 2);
    // What is damaged is told, and the end all the same.
    let script = scene.path("out/plans/002/on_finish.sh");
    std::fs::write(scene.path("out/plans/002/runs.jsonl"), "").expect("a file of the plan");
    let told = crate::support::Call::new("bash", scene.root()).args([script]).run().expect(4);
    told.silent();
    let last = scene.lines("finished").pop().expect("a line");
    assert!(last.starts_with("how it went cannot be told: ") && last.contains("runs.jsonl"), "{last}");
}
