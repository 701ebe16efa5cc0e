//! `cw2 cancel`: a whole plan, or the elements that hold nothing else.

use crate::support::{Scene, is_root};
use std::os::unix::fs::chown;

const CONFIG: &str = "name: e
path: out
repetitions: 2
reps_per_job: 3
grid: {lr: [1, 2, 3]}
command: 'true'
---
name: f
path: out
repetitions: 4
command: 'true'
";

const SCRIPT: &str = "out/plans/001/sbatch.sh";

/// Elements 0 and 1 are of `e` (l1 and l2's first; l2's second and l3), 2 to 5 of `f`.
fn planned() -> Scene {
    let scene = Scene::with(CONFIG);
    scene.cw2("plan config.yml").expect(0);
    scene.queue(&[
        (7, "0", "RUNNING", SCRIPT),
        (7, "2", "COMPLETED", SCRIPT),
        (7, "1,3-5%2", "PENDING", SCRIPT),
        (8, "0-3", "RUNNING", "elsewhere/out/plans/001/sbatch.sh"),
    ]);
    scene
}

/// What `scancel` was called with.
fn cancelled(scene: &Scene) -> Vec<String> {
    let calls = scene.lines("calls");
    calls.iter().filter_map(|call| call.strip_prefix("scancel ").map(str::to_owned)).collect()
}

#[test]
fn a_whole_plan_in_one_call() {
    let scene = planned();
    scene.cluster("cancel out/plans/001 -n").expect(0).says(["would cancel 5 elements: 1 running, 4 queued"]);
    assert_eq!(cancelled(&scene), [""; 0]);
    let outcome = scene.cluster("cancel out/plans/001").expect(0);
    assert_eq!(
        (outcome.stdout.as_str(), outcome.stderr.as_str()),
        ("7\n", "cancelled 5 elements: 1 running, 4 queued\n")
    );
    assert_eq!(cancelled(&scene), ["7"]);
    scene.queue(&[(7, "0-5", "CANCELLED", SCRIPT)]);
    let outcome = scene.cluster("cancel out").expect(0).silent();
    assert_eq!(outcome.stderr, "nothing to cancel: nothing of these is queued or running\n");
    assert_eq!(cancelled(&scene), ["7"]);
}

#[test]
fn only_elements_that_hold_nothing_else() {
    let scene = planned();
    assert_eq!(scene.cluster("cancel out/plans/001 -e f").expect(0).stdout, "7_[3-5]\n");
    assert_eq!(scene.cluster("cancel out/plans/001 -e f --rep 0,2").expect(0).stdout, "7_4\n");
    let outcome = scene.cluster("cancel out/plans/001 -r e__l1 e__l2").expect(0);
    assert_eq!(outcome.stdout, "7_0\n");
    assert_eq!(
        outcome.stderr,
        "left alone: element 7_1 also holds e__l3 rep 0 and 1 more, which were not chosen\n\
         cancelled 1 element: 1 running, 0 queued\n"
    );
    let outcome = scene.cluster("cancel out/plans/001 -r e__l1").expect(0).silent();
    assert_eq!(
        outcome.stderr,
        "left alone: element 7_0 also holds e__l2 rep 0, which was not chosen\nnothing to cancel: nothing else is queued or running\n"
    );
    assert_eq!(cancelled(&scene), ["7_[3-5]", "7_4", "7_0"]);
    scene.cluster("cancel out/plans/001 -e nobody").expect(2).says(["there is no experiment `nobody` in these plans"]);
    // What is finished costs nothing.
    scene.worker("out/plans/001", 0).expect(0);
    std::fs::remove_dir_all(scene.path("out/e/e__l1/log/rep_00")).expect("a repetition");
    assert_eq!(scene.cluster("cancel out/plans/001 -r e__l1").expect(0).stdout, "7_0\n");
}

#[test]
fn what_failed_in_an_element_costs_nothing_there() {
    let scene = planned();
    scene.worker("out/plans/001", 1).expect(0);
    std::fs::remove_dir_all(scene.path("out/e/e__l3")).expect("a run");
    scene.forge_state("out/e/e__l2/log/rep_01", "crashed", 7, 1);
    scene.queue(&[(7, "0-1", "RUNNING", SCRIPT)]);
    assert_eq!(scene.cluster("cancel out/plans/001 -r e__l3").expect(0).stdout, "7_1\n");
    // Elsewhere it is begun again.
    scene.forge_state("out/e/e__l2/log/rep_01", "crashed", 6, 1);
    let refused = scene.cluster("cancel out/plans/001 -r e__l3").expect(0);
    refused.says(["left alone: element 7_1 also holds e__l2 rep 1, which was not chosen"]);
}

#[test]
fn whose_plan_it_is_is_asked_about() {
    if !is_root("giving a file to another user needs root") {
        return;
    }
    let scene = planned();
    scene.cw2("plan config.yml").expect(0);
    scene.write("out/plans/001/submissions.json", r#"{"format": 1, "submissions": []}"#);
    // Another one planned, and yet another one submitted; the second plan is this user's.
    chown(scene.path("out/plans/001"), Some(1234), None).expect("root may");
    chown(scene.path("out/plans/001/submissions.json"), Some(1235), None).expect("root may");
    for command in ["status out", "retry out -n", "retry out/plans/002 -n", "cancel out -n", "submit out/plans/002"] {
        let said = scene.cluster(command);
        let calls = scene.lines("calls");
        assert!(calls.last().is_some_and(|call| call.contains(" --user=0,1234,1235 ")), "{command}: {calls:?}");
        if command == "submit out/plans/002" {
            said.expect(2).says(["queued or running already"]);
        }
    }
}
