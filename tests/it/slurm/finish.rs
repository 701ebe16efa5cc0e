//! `on_finish` on a cluster: once, when all of the plan has ended, and not before.

use super::SOON;
use crate::plan::assert_sound;
use crate::project::eventually;
use crate::support::{Outcome, Scene};
use crate::testbed::{Testbed, testbed};
use serde_json::Value;

const SAYS: &str =
    "echo \"$CW2_SUMMARY; $CW2_TOTAL $CW2_COMPLETED $CW2_CRASHED $CW2_EXIT_CODE ${CW2_PLAN##*/}\" >>finished";

/// Three arrays of a job each; repetition 1 crashes, the others wait for `go`.
fn scene() -> Scene {
    let slurm =
        serde_json::json!({"name": "SLURM", "partition": "dev", "time": 5, "max_array_size": 1, "on_finish": SAYS});
    Scene::with(&format!(
        "{slurm}\n---\nname: e\npath: out\nrepetitions: 3\ntimeout: 120\ncommand: |\n  echo {{{{ rep }}}} >>began\n  \
         [ {{{{ rep }}}} != 1 ] || exit 1\n  until [ -e go ]; do sleep 0.05; done\n"
    ))
}

impl Testbed {
    fn call(&self, scene: &Scene, words: &str) -> Outcome {
        scene.call(words.split_whitespace()).env("SLURM_CONF", self.conf()).run()
    }

    /// What Slurm says of the job that calls `on_finish`.
    fn finish(&self, scene: &Scene, plan: &str) -> String {
        let noted: Value = serde_json::from_str(&scene.read(format!("{plan}/submissions.json"))).expect("JSON");
        let job = noted["finish"]["job"].as_u64().expect("a job");
        self.run("squeue", &["--noheader", "--states=all", "--format=%T", "--jobs", &job.to_string()]).trim().to_owned()
    }

    /// Waits for its end; returns what it was told.
    fn finished(&self, scene: &Scene, plan: &str) -> String {
        eventually("the plan's end is told", SOON, || self.finish(scene, plan) == "COMPLETED");
        scene.read("finished")
    }
}

#[test]
fn it_is_called_when_the_last_array_has_ended_also_after_a_requeue() {
    let Some(bed) = testbed() else { return };
    let scene = scene();
    let submitted = bed.call(&scene, "submit config.yml").expect(0);
    assert_eq!(submitted.stdout.lines().count(), 3, "{}", submitted.stdout);
    let said = submitted.stderr.lines().last().expect("a line");
    assert!(
        said.starts_with("submitted on_finish.sh as job ")
            && said.ends_with("which waits until all of them have ended")
    );
    assert_sound(&scene.path("out/plans/001/on_finish.sh"));
    eventually("all begin", SOON, || scene.lines("began").len() == 3);
    eventually("one crashes", SOON, || {
        scene.has("out/e/log/rep_01/status.json") && scene.state("out/e/log/rep_01") == "crashed"
    });
    let first = submitted.stdout.lines().next().expect("a job");
    bed.run("scontrol", &["requeue", &format!("{first}_0")]);
    assert_eq!(bed.finish(&scene, "out/plans/001"), "PENDING");
    scene.write("go", "");
    eventually("it is begun again", SOON, || scene.lines("began").len() == 4);
    assert_eq!(bed.finished(&scene, "out/plans/001"), "3 repetitions: 2 completed, 1 crashed; 3 2 1 1 001\n");
    bed.call(&scene, "submit out/plans/001").expect(2).says(["was already submitted"]);
    // What is submitted once more ends once more.
    bed.call(&scene, "submit out/plans/001 --again").expect(0).says(["submitted on_finish.sh as job"]);
    eventually("it ends once more", SOON, || scene.lines("finished").len() == 2);
}

#[test]
fn it_is_called_after_a_cancelled_plan_and_once() {
    let Some(bed) = testbed() else { return };
    let scene = scene();
    bed.call(&scene, "submit config.yml").expect(0);
    eventually("all begin", SOON, || scene.lines("began").len() == 3);
    eventually("they are noted", SOON, || (0..3).all(|rep| scene.has(&format!("out/e/log/rep_0{rep}/status.json"))));
    // As where `submit` was killed before its last step.
    let noted = scene.read("out/plans/001/submissions.json");
    let mut noted: Value = serde_json::from_str(&noted).expect("JSON");
    let taken = noted["finish"].take();
    bed.run("scancel", &[&taken["job"].to_string()]);
    scene.write("out/plans/001/submissions.json", noted.to_string());
    let again = bed.call(&scene, "submit out/plans/001").expect(0);
    assert_eq!(again.stdout.lines().count(), 3, "{}", again.stdout);
    assert_eq!(bed.finish(&scene, "out/plans/001"), "PENDING");
    bed.call(&scene, "cancel out").expect(0);
    assert_eq!(bed.finished(&scene, "out/plans/001"), "3 repetitions: 1 crashed, 2 interrupted; 3 0 1 1 001\n");
}

#[test]
fn one_that_waits_is_taken_back_where_the_plan_is_submitted_again() {
    let Some(bed) = testbed() else { return };
    let scene = scene();
    bed.call(&scene, "submit config.yml --hold").expect(0);
    let first: Value = serde_json::from_str(&scene.read("out/plans/001/submissions.json")).expect("JSON");
    let again = bed.call(&scene, "submit out/plans/001 --again").expect(0);
    scene.write("go", "");
    let first = first["finish"]["job"].to_string();
    let state = bed.run("squeue", &["--noheader", "--states=all", "--format=%T", "--jobs", &first]);
    assert_eq!(state.trim(), "CANCELLED");
    // Both submissions are waited for.
    for job in again.stdout.lines() {
        bed.wait(job.parse().expect("a job"), SOON);
    }
    assert_eq!(bed.finish(&scene, "out/plans/001"), "PENDING");
    bed.call(&scene, "cancel out").expect(0);
    assert_eq!(bed.finished(&scene, "out/plans/001").lines().count(), 1);
}

#[test]
fn it_waits_for_all_arrays_where_pilots_came_first() {
    let Some(bed) = testbed() else { return };
    let slurm = serde_json::json!({"name": "SLURM", "partition": "dev", "time": 5, "pilots": 1, "on_finish": SAYS});
    let rest = "path: out\nrepetitions: 1\ncommand: 'true'\n";
    let scene = Scene::with(&format!("{slurm}\n---\nname: e\n{rest}---\nname: f\n{rest}slurm: {{pilots: null}}\n"));
    bed.call(&scene, "plan config.yml").expect(0);
    let first = bed.call(&scene, "submit out/plans/001 --pilots 1").expect(0);
    first.says(["submitted on_finish.sh as job"]);
    eventually("the first array's end is told", SOON, || scene.lines("finished").len() == 1);
    let second = bed.call(&scene, "submit out/plans/001").expect(0);
    second.says(["submitted on_finish.sh as job"]);
    eventually("all has ended", SOON, || scene.lines("finished").len() == 2);
    assert!(scene.read("finished").ends_with("\n2 repetitions: 2 completed; 2 2 0 0 001\n"));
    bed.call(&scene, "submit out/plans/001").expect(2).says(["was already submitted"]);
}

#[test]
fn a_retry_is_submitted_at_once_and_ends_as_a_plan_of_its_own() {
    let Some(bed) = testbed() else { return };
    let scene = scene();
    scene.write("go", "");
    bed.call(&scene, "submit config.yml").expect(0);
    assert_eq!(bed.finished(&scene, "out/plans/001"), "3 repetitions: 2 completed, 1 crashed; 3 2 1 1 001\n");
    let retried = bed.call(&scene, "retry out --submit --time 2x").expect(0);
    let [job] = retried.stdout.lines().collect::<Vec<_>>()[..] else { panic!("{}", retried.stdout) };
    let job: u64 = job.parse().expect("a job's number alone");
    assert_eq!(bed.wait(job, SOON).len(), 1);
    assert_eq!(bed.element(job, 0, "TimeLimit"), "00:10:00");
    let said = bed.finished(&scene, "out/plans/002");
    assert!(said.ends_with("\n1 repetition: 1 crashed; 1 0 1 1 002\n"), "{said}");
}

#[test]
fn it_waits_for_pilots_that_are_added_and_follows_lines_after_each() {
    let Some(bed) = testbed() else { return };
    let slurm = serde_json::json!({
        "name": "SLURM", "partition": "dev", "time": 5, "pilots": 1, "on_finish": SAYS, "sh_lines_after": "echo pilot >>after"
    });
    let scene = Scene::with(&format!(
        "{slurm}\n---\nname: e\npath: out\nrepetitions: 3\ntimeout: 120\ncommand: |\n  echo {{{{ rep }}}} >>began\n  \
         until [ -e go ]; do sleep 0.05; done\n"
    ));
    bed.call(&scene, "submit config.yml").expect(0);
    eventually("the first begins", SOON, || scene.lines("began").len() == 1);
    let more = bed.call(&scene, "submit out/plans/001 --pilots 1").expect(0);
    more.says(["submitted on_finish.sh as job"]);
    eventually("the second begins", SOON, || scene.lines("began").len() == 2);
    assert_eq!(bed.finish(&scene, "out/plans/001"), "PENDING");
    scene.write("go", "");
    assert_eq!(bed.finished(&scene, "out/plans/001"), "3 repetitions: 3 completed; 3 3 0 0 001\n");
    assert_eq!(scene.lines("after").len(), 2);
}
