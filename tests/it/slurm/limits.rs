//! The time limit, preemption: what is interrupted goes on by itself.

use serde_json::json;
use std::time::Duration;

use super::{SOON, last_states};
use crate::project::{counts, eventually};
use crate::support::Scene;
use crate::testbed::testbed;

/// A minute's limit, with Slurm's own delays.
const A_LIMIT: Duration = Duration::from_secs(240);

#[test]
fn a_training_that_is_longer_than_its_job_checkpoints_and_goes_on() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::example("checkpoint-requeue");

    let job = bed.sbatch(&scene.plan_one());

    assert_eq!(last_states(bed.wait(job, A_LIMIT)), ["COMPLETED"]);
    assert_eq!(scene.states(), counts([("completed", 2)]));
    let reps = scene.reps();
    let log: String = reps.iter().map(|rep| scene.read(format!("{rep}/out.log"))).collect();
    // Each takes as long as the limit: both were interrupted, and none began anew.
    assert!(log.matches("checkpoint at step").count() >= 2 && log.matches("resuming").count() >= 2, "{log}");
    assert_eq!(log.matches("start at step 0\n").count(), 2, "{log}");
    assert_eq!(log.matches("done after 60 steps, loss 0.0461\n").count(), 2, "{log}");
    let log = scene.read(format!("results/plans/001/slurm/{job}_0.log"));
    assert!(log.contains(&format!("requeueing {job}_0 (1 of 20)")), "{log}");
}

#[test]
fn a_repetition_that_cannot_end_in_time_is_not_started() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(
        "name: SLURM
time: 2
grace: 10
---
name: e
path: out
repetitions: 3
reps_per_job: 3
rep_time: 100
command: echo {{ rep }} >>ran; until [ -e go ] && [ {{ rep }} != 9 ]; do sleep 0.1; done; sleep 11
",
    );
    scene.write("go", "");

    let job = bed.sbatch(&scene.plan_one());

    // The first one fits: 120 s less the warning are more than 100 s. It takes 11 s, so the second one does not.
    assert_eq!(last_states(bed.wait(job, SOON)), ["FAILED"]);
    assert_eq!(bed.element(job, 0, "ExitCode"), "75:0");
    assert_eq!(scene.states(), counts([("completed", 1), ("pending", 2)]));
    let log = scene.slurm_log(job, 0);
    assert!(log.contains("3 repetitions: 1 completed, 2 not started for lack of time"), "{log}");
}

#[test]
fn a_preempted_element_is_interrupted_and_resumes() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(
        "name: SLURM
partition: low
time: 5
sbatch_args: {nodelist: n4, exclusive: true}
---
name: e
path: out
repetitions: 2
reps_per_job: 2
command: echo {{ rep }} resume=$CW2_RESUME >>ran; [ {{ rep }} = 0 ] || until [ -e go ]; do sleep 0.05; done
",
    );
    let job = bed.sbatch(&scene.plan_one());
    eventually("repetition 1 starts", SOON, || scene.lines("ran").len() == 2);
    let more_important = bed
        .run(
            "sbatch",
            &["--parsable", "--partition=dev", "--nodelist=n4", "--exclusive", "--output=/dev/null", "--wrap=true"],
        )
        .trim()
        .to_owned();
    let reps = scene.reps();
    eventually("it is interrupted", SOON, || scene.states() == counts([("completed", 1), ("interrupted", 1)]));
    scene.write("go", "");
    bed.wait(more_important.parse().unwrap(), SOON);

    assert_eq!(last_states(bed.wait(job, A_LIMIT)), ["COMPLETED"]);
    assert_eq!(scene.read("ran"), "0 resume=0\n1 resume=0\n1 resume=1\n");
    let resumed = scene.status(&reps[1]);
    assert_eq!((&resumed["state"], &resumed["attempt"]), (&json!("completed"), &json!(2)));
    let why = &resumed["earlier"][0]["message"];
    assert_eq!(why, "the worker was told to stop: its job was preempted");
}

#[test]
fn only_its_own_requeues_count_for_an_element() {
    let scene = Scene::with("name: e\npath: out\nrepetitions: 1\ncommand: kill -USR1 $PPID; sleep 1000\n");
    scene.plan_one();
    scene.write_program("bin/scontrol", "#!/bin/sh\necho \"$@\" >>\"$HOME/calls\"\n");
    // The repetition warns its worker as Slurm does.
    let run_out = |index: &str, restarts: u32| {
        scene
            .on_cluster(&["worker", "--plan", "out/plans/001", "--index", "0", "--max-requeues", "2"])
            .env("SLURM_JOB_ID", "9")
            .env("SLURM_ARRAY_JOB_ID", "7")
            .env("SLURM_ARRAY_TASK_ID", index)
            .env("SLURM_RESTART_COUNT", restarts.to_string())
            .run()
            .expect(75)
    };
    // Preempted three times before, and once in between.
    run_out("0", 3).says(["requeueing 7_0 (1 of 2)"]);
    run_out("0", 5).says(["requeueing 7_0 (2 of 2)"]);
    assert_eq!(scene.status("out/e/log/rep_00")["stopped_by"], "time_limit");
    run_out("0", 6).says(["not requeued: it requeued itself 2 times already (`max_requeues: 2`)"]);
    let status = scene.status("out/e/log/rep_00");
    assert_eq!(status["stopped_by"], "requeues_used_up");
    let why = "the worker was told to stop: the time limit of its job, whose requeues are used up";
    assert_eq!(status["error"]["message"], why);
    // Another job of the same number was here before.
    run_out("0", 0).says(["requeueing 7_0 (1 of 2)"]);
    assert_eq!(scene.lines("calls"), ["requeue 7_0"; 3]);
    // Where nothing can be noted, all count.
    std::fs::remove_dir_all(scene.path("out/plans/001/requeues")).expect("a folder");
    scene.write("out/plans/001/requeues", "");
    run_out("0", 1).says(["requeueing 7_0 (2 of 2)", "every requeue of this job counts for `max_requeues`"]);
    run_out("0", 2).says(["not requeued: "]);
    assert_eq!(scene.lines("calls").len(), 4);
}
