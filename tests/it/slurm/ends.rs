//! How jobs end otherwise than by themselves, and what remains: crashes, `scancel`, signals, requeueing.

use serde_json::json;

use super::{SOON, last_states};
use crate::project::{counts, eventually};
use crate::support::Scene;
use crate::testbed::testbed;

#[test]
fn a_crash_fails_its_element_and_nothing_else() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(
        "name: e
path: out
repetitions: 6
reps_per_job: 3
command: echo oh no >&2; test {{ rep }} -ne 1 || exit 7
",
    );

    let job = bed.sbatch(&scene.plan_one());

    assert_eq!(last_states(bed.wait(job, SOON)), ["FAILED", "COMPLETED"]);
    assert_eq!(bed.element(job, 0, "ExitCode"), "1:0");
    assert_eq!(scene.states(), counts([("completed", 5), ("crashed", 1)]));
    let crashed = scene.status(&scene.reps()[1]);
    assert_eq!(crashed["exit"], json!({"code": 7}));
    assert_eq!(crashed["error"]["stderr_tail"], "oh no");
    let log = scene.slurm_log(job, 0);
    assert!(log.contains("3 repetitions: 2 completed, 1 crashed"), "{log}");
}

/// Repetition 0 ends at once, repetition 1 waits for `go`, and says so, and what it is told when it is ended.
const WAITING: &str = "name: e
path: out
repetitions: 3
reps_per_job: 3
timeout: 120
command: |
  echo {{ rep }} resume=$CW2_RESUME >>all
  trap 'echo told >told; sleep 0.3; exit 0' TERM
  [ {{ rep }} != 1 ] || until [ -e go ]; do sleep 0.05; done
";

#[test]
fn a_cancelled_job_leaves_interrupted_repetitions() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(WAITING);

    let job = bed.sbatch(&scene.plan_one());
    eventually("repetition 1 starts", SOON, || scene.lines("all").iter().any(|line| line.starts_with("1 ")));
    bed.run("scancel", &[&format!("{job}_0")]);

    assert_eq!(last_states(bed.wait(job, SOON)), ["CANCELLED"]);
    // Slurm calls it cancelled before the worker has had its last word.
    eventually("the worker ends", SOON, || {
        scene.states() == counts([("completed", 1), ("interrupted", 1), ("pending", 1)])
    });
    assert_eq!(scene.read("told"), "told\n");
    let why = scene.status(&scene.reps()[1]);
    assert_eq!(why["stopped_by"], "cancelled");
    assert_eq!(why["error"]["message"], "the worker was told to stop: its job was cancelled");
}

#[test]
fn a_signal_to_the_batch_script_reaches_the_worker() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(WAITING);

    let job = bed.sbatch(&scene.plan_one());
    eventually("repetition 1 starts", SOON, || scene.lines("all").iter().any(|line| line.starts_with("1 ")));
    bed.run("scancel", &["--batch", "--signal=TERM", &format!("{job}_0")]);

    assert_eq!(last_states(bed.wait(job, SOON)), ["FAILED"]);
    assert_eq!(bed.element(job, 0, "ExitCode"), "75:0", "interrupted: run again to continue");
    assert_eq!(scene.states(), counts([("completed", 1), ("interrupted", 1), ("pending", 1)]));
    assert_eq!(scene.read("told"), "told\n");
    // Slurm calls it so where somebody sends this signal.
    assert_eq!(scene.status(&scene.reps()[1])["stopped_by"], "cancelled");
}

#[test]
fn a_requeued_element_resumes_and_leaves_alone_what_is_finished() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(WAITING);

    let job = bed.sbatch(&scene.plan_one());
    eventually("repetition 1 starts", SOON, || scene.lines("all").iter().any(|line| line.starts_with("1 ")));
    bed.run("scontrol", &["requeue", &format!("{job}_0")]);
    let interrupted = counts([("completed", 1), ("interrupted", 1), ("pending", 1)]);
    eventually("repetition 1 is interrupted", SOON, || scene.states() == interrupted);
    scene.write("go", "");

    assert_eq!(last_states(bed.wait(job, SOON)), ["COMPLETED"]);
    assert_eq!(scene.states(), counts([("completed", 3)]));
    assert_eq!(scene.read("all"), "0 resume=0\n1 resume=0\n1 resume=1\n2 resume=0\n");
    let resumed = scene.status(&scene.reps()[1]);
    assert_eq!((&resumed["attempt"], &resumed["slurm"]["restart_count"]), (&json!(2), &json!(1)));
    assert_eq!(resumed["earlier"][0]["state"], "interrupted");
    assert_eq!(resumed["earlier"][0]["message"], "the worker was told to stop: its job was requeued");
    // The log of the first start is kept.
    assert_eq!(scene.slurm_log(job, 0).matches("job 0: 3 repetitions").count(), 2);
}

#[test]
fn an_element_that_is_warned_of_its_time_limit_requeues_itself() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(&format!("name: SLURM\ntime: 10\nrequeue: true\nmax_requeues: 1\n---\n{WAITING}"));

    let job = bed.sbatch(&scene.plan_one());
    eventually("repetition 1 starts", SOON, || scene.lines("all").iter().any(|line| line.starts_with("1 ")));
    // What `--signal=B:USR1@…` does when the time comes.
    bed.run("scancel", &["--batch", "--signal=USR1", &format!("{job}_0")]);
    eventually("the worker requeues its element", SOON, || scene.slurm_log(job, 0).contains("requeueing"));
    scene.write("go", "");

    assert_eq!(last_states(bed.wait(job, SOON)), ["COMPLETED"]);
    assert_eq!(scene.states(), counts([("completed", 3)]));
    assert_eq!(scene.read("all"), "0 resume=0\n1 resume=0\n1 resume=1\n2 resume=0\n");
    assert_eq!(bed.element(job, 0, "Restarts"), "1");
}
