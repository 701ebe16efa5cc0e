//! `sh_lines_after`, however a job ends, and that its worker hears what Slurm says.

use super::{SOON, last_states};
use crate::project::{counts, eventually};
use crate::support::Scene;
use crate::testbed::{Testbed, testbed};
use serde_json::json;

/// Repetition 0 ends at once, repetition 1 waits for `go`, and says what it is told.
fn scene(slurm: &str) -> Scene {
    Scene::with(&format!(
        "name: SLURM\ntime: 10\nsh_lines: PLACE=$(mktemp -d)\n\
         sh_lines_after:\n  - sleep 0.5\n  - echo \"after $CW2_EXIT_CODE $(ls -d \"$PLACE\" >/dev/null && echo there)\" >>said\n  \
         - rmdir \"$PLACE\"\n{slurm}---\nname: e\npath: out\nrepetitions: 2\nreps_per_job: 2\ntimeout: 120\ncommand: |\n  \
         trap 'echo told >>said; sleep 0.3; echo saved >>said; exit 0' TERM\n  \
         echo {{{{ rep }}}} resume=$CW2_RESUME >>said\n  [ {{{{ rep }}}} != 1 ] || until [ -e go ]; do sleep 0.05; done\n"
    ))
}

const BEGUN: &str = "0 resume=0\n1 resume=0\n";

/// Submits it, and waits until repetition 1 runs.
fn submit(bed: &Testbed, scene: &Scene) -> u64 {
    let job = bed.sbatch(&scene.plan_one());
    eventually("repetition 1 starts", SOON, || scene.lines("said").iter().any(|line| line.starts_with("1 ")));
    eventually("it is noted", SOON, || scene.has("out/e/log/rep_01/status.json"));
    job
}

/// Waits until the lines after have been run so often, and returns what was said. Slurm tells every process of a job, the worker
/// tells its own: whether those two are one to a shell is a matter of luck.
fn said(scene: &Scene, after: usize) -> String {
    let lines = || scene.lines("said").iter().filter(|line| line.starts_with("after ")).count();
    eventually("the lines after", SOON, || lines() == after);
    scene.read("said").replace("told\ntold\n", "told\n")
}

#[test]
fn they_run_after_a_cancelled_job() {
    let Some(bed) = testbed() else { return };
    let scene = scene("");
    let job = submit(bed, &scene);
    bed.run("scancel", &[&format!("{job}_0")]);
    assert_eq!(last_states(bed.wait(job, SOON)), ["CANCELLED"]);
    // A worker that took what came twice for two orders would have killed it before it had saved anything.
    assert_eq!(said(&scene, 1), format!("{BEGUN}told\nsaved\nafter 75 there\n"));
    assert_eq!(scene.states(), counts([("completed", 1), ("interrupted", 1)]));
    assert_eq!(scene.status(&scene.reps()[1])["stopped_by"], "cancelled");
}

#[test]
fn they_run_after_a_signal_to_the_script_alone() {
    let Some(bed) = testbed() else { return };
    let scene = scene("");
    let job = submit(bed, &scene);
    bed.run("scancel", &["--batch", "--signal=TERM", &format!("{job}_0")]);
    assert_eq!(last_states(bed.wait(job, SOON)), ["FAILED"]);
    assert_eq!(bed.element(job, 0, "ExitCode"), "75:0", "the worker's");
    assert_eq!(said(&scene, 1), format!("{BEGUN}told\nsaved\nafter 75 there\n"));
}

#[test]
fn they_run_at_the_time_limit() {
    let Some(bed) = testbed() else { return };
    let scene = scene("");
    let job = submit(bed, &scene);
    bed.run("scontrol", &["update", &format!("JobId={job}_0"), "EndTime=now"]);
    assert_eq!(last_states(bed.wait(job, SOON)), ["TIMEOUT"]);
    assert_eq!(said(&scene, 1), format!("{BEGUN}told\nsaved\nafter 75 there\n"));
    assert_eq!(scene.states(), counts([("completed", 1), ("interrupted", 1)]));
}

#[test]
fn they_run_before_each_requeue_and_at_the_end() {
    let Some(bed) = testbed() else { return };
    let scene = scene("requeue: true\nmax_requeues: 1\n");
    let job = submit(bed, &scene);
    // What `--signal=B:USR1@…` does when the time comes.
    bed.run("scancel", &["--batch", "--signal=USR1", &format!("{job}_0")]);
    said(&scene, 1);
    scene.write("go", "");
    assert_eq!(last_states(bed.wait(job, SOON)), ["COMPLETED"]);
    let all = format!("{BEGUN}told\nsaved\nafter 75 there\n1 resume=1\nafter 0 there\n");
    assert_eq!(said(&scene, 2), all);
    assert_eq!(bed.element(job, 0, "Restarts"), "1");
    assert_eq!(scene.status(&scene.reps()[1])["attempt"], json!(2));
}

#[test]
fn a_crash_and_failing_lines_before_keep_their_exit_codes() {
    let Some(bed) = testbed() else { return };
    let config = "name: SLURM\ntime: 5\nsh_lines_after: echo after $CW2_EXIT_CODE >>said\nSLURM\n---\nname: e\npath: out\n\
                  repetitions: 1\ncommand: exit 4\n";
    for (lines, code) in [("sh_lines: 'true'", 1), ("sh_lines: no-such-module load x", 3)] {
        let scene = Scene::with(&config.replacen("\nSLURM\n", &format!("\n{lines}\n"), 1));
        let job = bed.sbatch(&scene.plan_one());
        assert_eq!(last_states(bed.wait(job, SOON)), ["FAILED"]);
        assert_eq!(bed.element(job, 0, "ExitCode"), format!("{code}:0"));
        assert_eq!(said(&scene, 1), format!("after {code}\n"));
        let log = scene.slurm_log(job, 0);
        assert_eq!(log.contains("`sh_lines` end with exit status 127: no-such-module load x"), code == 3, "{log}");
        assert_eq!(scene.states(), if code == 3 { counts([("pending", 1)]) } else { counts([("crashed", 1)]) });
    }
}
