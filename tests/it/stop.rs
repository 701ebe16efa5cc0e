//! What becomes of a repetition when its worker is told to stop.

use crate::project::counts;
use crate::support::{Scene, wait_until};
use nix::sys::signal::Signal;

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

#[test]
fn a_retry_that_its_worker_had_no_time_for_is_made_up_for() {
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
    let worker = |id: &str| {
        let call = scene.call(["worker", "--plan", "out/plans/001", "--index", "0"]);
        call.env("SLURM_JOB_ID", "7").env("SLURM_ARRAY_JOB_ID", "7").env("SLURM_ARRAY_TASK_ID", id)
    };
    let running = worker("0").start();
    let dir = "out/e/log/rep_00";
    wait_until("the crash", || scene.has(&format!("{dir}/status.json")) && scene.state(dir) == "crashed");
    running.signal(Signal::SIGTERM);
    running.end().expect(75).says(["1 interrupted"]);
    assert_eq!(scene.state(dir), "interrupted");

    // The same element, requeued.
    scene.write("go", "");
    worker("0").run().expect(0).says(["1 completed"]);
    assert_eq!(scene.lines("ran"), ["1 0", "2 0"]);
    assert_eq!(scene.lines("ended"), ["interrupted", "completed"]);
}
