//! What becomes of a repetition when its worker is told to stop.

use crate::project::counts;
use crate::support::{Call, Running, Scene, alive, wait_until};
use nix::sys::signal::Signal;
use serde_json::json;

#[test]
fn a_repetition_that_ends_as_its_worker_is_told_to_stop_is_not_done() {
    // Slurm signals all processes of a job. The program may react, and end without an error, before its worker has looked
    // at its own signal. Whether it does is a matter of microseconds: hence more than one try.
    for _ in 0..20 {
        let scene = Scene::with("name: e\npath: out\nrepetitions: 2\nreps_per_job: 2\ncommand: kill -TERM $PPID\n");

        scene.cw2("run config.yml").expect(75);

        assert_eq!(scene.states(), counts([("interrupted", 1), ("pending", 1)]));
    }
}

/// A crash whose retry is an hour away, and a worker that waits for it: element 0 of Slurm's job 7.
fn waiting_for_a_retry() -> (Scene, Running) {
    let scene = Scene::with(
        "name: e
path: out
repetitions: 1
retries: {count: 1, delay: 1h}
command:
  run: echo $CW2_ATTEMPT $CW2_RESUME >> ran; test -e go
  finalize: echo $CW2_OUTCOME >> ended
",
    );
    scene.plan();
    let running = element(&scene).start();
    wait_until("the crash", || scene.waits_for_retry(REP));
    (scene, running)
}

const REP: &str = "out/e/log/rep_00";

fn element(scene: &Scene) -> Call {
    let call = scene.call(["worker", "--plan", "out/plans/001", "--index", "0"]);
    call.env("SLURM_JOB_ID", "7").env("SLURM_ARRAY_JOB_ID", "7").env("SLURM_ARRAY_TASK_ID", "0")
}

#[test]
fn a_retry_that_its_worker_had_no_time_for_is_made_up_for() {
    let (scene, running) = waiting_for_a_retry();
    running.signal(Signal::SIGTERM);
    running.end().expect(75).says(["1 interrupted"]);
    assert_eq!(scene.state(REP), "interrupted");

    // The same element, requeued.
    scene.write("go", "");
    element(&scene).run().expect(0).says(["1 completed"]);
    assert_eq!(scene.lines("ran"), ["1 0", "2 0"]);
    assert_eq!(scene.lines("ended"), ["interrupted", "completed"]);
}

#[test]
fn a_retry_that_its_worker_died_before_is_made_up_for() {
    let (scene, running) = waiting_for_a_retry();
    running.signal(Signal::SIGKILL);
    assert_eq!(running.end().signal, Some(9));

    // The same element, requeued after its node failed.
    scene.write("go", "");
    element(&scene).run().expect(0).says(["1 completed"]);
    assert_eq!(scene.lines("ran"), ["1 0", "2 0"]);
    assert_eq!(scene.lines("ended"), ["completed"]);
    let status = scene.status(REP);
    assert_eq!((&status["attempt"], &status["earlier"][0]["state"]), (&json!(2), &json!("crashed")));
    assert_eq!(status["earlier"][0]["message"], "`run` exited with status 1");
}

#[test]
fn a_repetition_whose_retry_is_to_come_is_not_over() {
    let scene = Scene::with("name: e\npath: out\nrepetitions: 1\nretries: {count: 1, delay: 1h}\ncommand: exit 1\n");
    let worker = scene.call(["run", "config.yml"]).start();
    wait_until("the crash", || scene.waits_for_retry(REP));
    let standing = || scene.cw2("status out --json").expect(0).json_lines()[0]["total"].clone();
    assert_eq!((&standing()["running"], &standing()["crashed"]), (&json!(1), &json!(0)));
    scene.cw2("retry out").says(["nothing"]);
    // Nobody is left who would start it again.
    worker.signal(Signal::SIGKILL);
    worker.end();
    assert_eq!((&standing()["running"], &standing()["lost"]), (&json!(0), &json!(1)));
}

#[test]
fn a_program_that_left_its_group_has_its_grace_when_its_shell_ends() {
    for command in [
        "true; timeout 1h ./save; echo never",
        "true; setsid ./save; echo never",
        "true; setsid sh -c 'true; timeout 1h ./save; echo never'; echo never",
    ] {
        let scene = Scene::with(&format!("name: e\npath: out\nrepetitions: 1\ncommand: {command}\n"));
        scene.write_program(
            "save",
            "#!/bin/sh\ntrap 'sleep 0.3; echo saved; exit' TERM\necho started\nwhile :; do sleep 0.01; done\n",
        );
        let running = scene.call(["run", "config.yml", "--grace", "60"]).start();
        let log = || scene.lines(&format!("{REP}/out.log"));
        wait_until("the program", || log() == ["started"]);

        running.signal(Signal::SIGTERM);

        running.end().expect(75).says(["1 interrupted"]);
        assert_eq!(log(), ["started", "saved"], "{command}");
    }
}

#[test]
fn a_program_that_left_its_group_is_killed_when_its_grace_is_over() {
    let scene = Scene::with("name: e\npath: out\nrepetitions: 1\ncommand: true; setsid ./stay; echo never\n");
    scene.write_program("stay", "#!/bin/sh\ntrap '' TERM\necho $$ >pid\nwhile :; do sleep 0.01; done\n");
    let running = scene.call(["run", "config.yml", "--grace", "0.5"]).start();
    wait_until("the program", || scene.lines("pid").len() == 1);

    running.signal(Signal::SIGTERM);

    running.end().expect(75).says(["1 interrupted"]);
    assert!(!alive(scene.read("pid").trim()));
}
