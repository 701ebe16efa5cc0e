//! Jobs that end before anything starts, and those whose worker is gone: what `status` and `logs` tell of them.

use super::{SOON, last_states};
use crate::project::{counts, eventually};
use crate::support::{Outcome, Scene};
use crate::testbed::{Testbed, testbed};
use serde_json::{Value, json};

impl Testbed {
    fn tell(&self, scene: &Scene, words: &str) -> Outcome {
        scene.call(words.split_whitespace()).env("SLURM_CONF", self.conf()).run()
    }

    /// What `status --failed --reps` says, once Slurm's accounting, which runs seconds behind, knows it too.
    fn status(&self, scene: &Scene, reason: &str) -> Value {
        let mut status = Value::Null;
        eventually(&format!("`{reason}` is told"), SOON, || {
            status = self.tell(scene, "status --failed --reps --json").expect(0).json_lines().remove(0);
            let failed = status["failed"].to_string();
            // It may know of one element and not yet of the next.
            failed.contains(reason) && !failed.contains("Slurm says FAILED, ") && status["total"]["queued"] == 0
        });
        status
    }
}

/// Two jobs of one repetition each; nothing of them starts.
fn scene(slurm: &str) -> Scene {
    Scene::with(&format!("name: SLURM\n{slurm}\n---\nname: e\npath: out\nrepetitions: 2\ncommand: 'true'\n"))
}

/// What is told of jobs that could not start their workers.
fn expect_job_failed(bed: &Testbed, scene: &Scene, exit: &str, last: &str) {
    let status = bed.status(scene, exit);
    assert_eq!((&status["total"]["job_failed"], &status["total"]["pending"]), (&json!(2), &json!(0)), "{status}");
    let [group] = status["failed"].as_array().expect("groups").as_slice() else { panic!("{status}") };
    assert_eq!((&group["outcome"], &group["count"]), (&json!("job_failed"), &json!(2)));
    let reason = group["reason"].as_str().expect("a reason");
    assert!(reason.starts_with(&format!("Slurm says FAILED ({exit}), and nothing was started")), "{reason}");
    assert!(reason.contains(last), "{reason}");
    assert_eq!(status["next"], json!(["cw2 logs --failed out", "cw2 retry out"]));
    let logs = bed.tell(scene, "logs --failed").expect(0).stdout;
    assert!(
        logs.starts_with(&format!(
            "2 × job failed: {}",
            reason.split(": cw2").next().unwrap().split(": /").next().unwrap()
        )),
        "{logs}"
    );
    assert!(logs.contains(last), "{logs}");
    let retry = bed.tell(scene, "retry out -n --only job_failed").expect(0);
    assert!(retry.stderr.contains("to retry: 2 job failed"), "{}", retry.stderr);
}

#[test]
fn a_missing_environment_is_told() {
    let Some(bed) = testbed() else { return };
    let scene = scene("venv: nowhere/venv");
    bed.tell(&scene, "submit config.yml").expect(0);
    expect_job_failed(bed, &scene, "exit code 3", "the environment nowhere/venv cannot be activated");
    let status = bed.status(&scene, "exit code 3");
    let rep = &status["reps"][1];
    let log = rep["log"].as_str().expect("a log");
    assert!(log.starts_with("out/plans/001/slurm/") && log.ends_with("_1.log") && scene.has(log), "{rep}");
    assert_eq!(
        rep["job"].as_str().expect("a job"),
        log.trim_start_matches("out/plans/001/slurm/").trim_end_matches(".log")
    );
    assert!(rep["node"].as_str().is_some_and(|node| node.starts_with('n')), "{rep}");
}

#[test]
fn failing_sh_lines_are_told() {
    let Some(bed) = testbed() else { return };
    let scene = scene("sh_lines: [echo words, no-such-module load x]");
    bed.tell(&scene, "submit config.yml").expect(0);
    expect_job_failed(bed, &scene, "exit code 3", "`sh_lines` end with exit status 127: no-such-module load x");
    let lines = bed.tell(&scene, "logs --failed --tail 5").expect(0).stdout;
    assert!(lines.contains("\n    words\n"), "{lines}");
}

#[test]
fn a_program_that_is_gone_is_told_also_of_what_was_submitted_by_hand() {
    let Some(bed) = testbed() else { return };
    let scene = scene("time: 5");
    let program = scene.path("mine");
    std::fs::copy(crate::support::CW2, &program).expect("a copy");
    let scene = scene.of(program.clone());
    let script = scene.plan_one();
    std::fs::remove_file(&program).expect("it was there");
    let job = bed.sbatch(&script);
    let scene = scene.of(crate::support::CW2.into());
    assert_eq!(last_states(bed.wait(job, SOON)), ["FAILED", "FAILED"]);
    expect_job_failed(bed, &scene, "exit code 127", "mine: No such file or directory");
}

#[test]
fn a_log_folder_that_is_gone_is_told() {
    let Some(bed) = testbed() else { return };
    let scene = scene("time: 5\nslurm_log: logs");
    scene.plan();
    std::fs::remove_dir(scene.path("logs")).expect("it was there");
    // From 23.11 on Slurm makes the folder, where it can.
    scene.write("logs", "");
    bed.tell(&scene, "submit out/plans/001").expect(0);
    let exit = if bed.version() < (21, 8) { "exit code 1" } else { "signal 53: Slurm could not start it" };
    expect_job_failed(bed, &scene, exit, "it has no log: is the folder for it there?");
}

#[test]
fn what_was_removed_is_pending_again() {
    let Some(bed) = testbed() else { return };
    let scene =
        Scene::with("name: SLURM\ntime: 5\n---\nname: e\npath: out\nrepetitions: 2\ncommand: 'exit {{ rep }}'\n");
    bed.tell(&scene, "submit config.yml").expect(0);
    eventually("it ends", SOON, || scene.states() == counts([("completed", 1), ("crashed", 1)]));
    std::fs::remove_dir_all(scene.path("out/e")).expect("it was there");
    let status = || bed.tell(&scene, "status --failed --json").expect(0).json_lines().remove(0);
    eventually("nothing runs any more", SOON, || status()["total"]["queued"] == 0);
    assert_eq!((&status()["total"]["pending"], &status()["failed"]), (&json!(2), &json!([])));
}

#[test]
fn what_is_cancelled_before_it_starts_is_pending() {
    let Some(bed) = testbed() else { return };
    let scene = scene("time: 5");
    bed.tell(&scene, "submit --hold config.yml").expect(0);
    bed.tell(&scene, "cancel out").expect(0);
    let status = || bed.tell(&scene, "status --failed --json").expect(0).json_lines().remove(0);
    eventually("nothing waits", SOON, || status()["total"]["queued"] == 0);
    assert_eq!((&status()["total"]["pending"], &status()["failed"]), (&json!(2), &json!([])));
}

/// One repetition, which says when it began.
const LONG: &str = "name: SLURM\ntime: 5\n---\nname: e\npath: out\nrepetitions: 1\ncommand: 'touch began; trap \"\" TERM; while [ -e config.yml ]; do sleep 0.05; done'\n";

#[test]
fn a_worker_that_was_killed_is_told_by_accounting_when_squeue_has_forgotten_it() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(LONG);
    bed.tell(&scene, "submit config.yml").expect(0);
    eventually("it starts", SOON, || scene.has("out/e/log/rep_00/status.json"));
    let pid = scene.status("out/e/log/rep_00")["pid"].to_string();
    std::process::Command::new("kill").args(["-9", &pid]).status().expect("kill");
    bed.status(&scene, "its worker is gone: Slurm says FAILED (signal 9)");

    // As long afterwards: the queue is empty.
    scene.write_program("bin/squeue", "#!/bin/sh\nexit 0\n");
    let path = format!("{}:{}", scene.path("bin").display(), std::env::var("PATH").unwrap_or_default());
    let later = scene.call(["status", "--failed", "--json"]).env("SLURM_CONF", bed.conf()).env("PATH", &path).run();
    let later = later.expect(0).json_lines().remove(0);
    assert_eq!(later["failed"][0]["reason"], "its worker is gone: Slurm says FAILED (signal 9)");
    // And where there is no accounting.
    scene.write_program(
        "bin/sacct",
        "#!/bin/sh\necho 'sacct: error: Slurm accounting storage is disabled' >&2\nexit 1\n",
    );
    let without = scene.call(["status", "--failed", "--json"]).env("SLURM_CONF", bed.conf()).env("PATH", &path).run();
    let without = without.expect(0);
    assert_eq!(without.json_lines()[0]["failed"][0]["reason"], "its worker is gone: Slurm no longer knows its job");
    std::fs::remove_file(scene.path("config.yml")).expect("it ends what is left");
}

#[test]
fn the_time_limit_is_told_and_what_to_do_about_it() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(&LONG.replace("trap \"\" TERM; ", ""));
    bed.tell(&scene, "submit config.yml").expect(0);
    eventually("it starts", SOON, || scene.has("out/e/log/rep_00/status.json"));
    let ids = &scene.status("out/e/log/rep_00")["slurm"];
    let job = ids["job_id"].as_str().expect("a job");
    bed.run("scontrol", &["update", &format!("JobId={job}"), "EndTime=now"]);
    eventually("it is interrupted", SOON, || scene.states() == counts([("interrupted", 1)]));
    let status = scene.status("out/e/log/rep_00");
    assert_eq!(status["stopped_by"], "time_limit");
    eventually("the job is over", SOON, || {
        bed.tell(&scene, "status --json").expect(0).json_lines()[0]["total"]["interrupted"] == 1
    });
    let told = bed.tell(&scene, "status").expect(0);
    assert!(told.stdout.contains("interrupted by: the time limit of its job (1)"), "{}", told.stdout);
    told.says(["next: `cw2 retry out --time MORE` (the one that is missing)"]);
}
