//! `cw2 status` and `cw2 logs` beside a real Slurm: what waits, what runs, what was lost.

use serde_json::Value;

use super::SOON;
use crate::project::eventually;
use crate::support::{Outcome, Scene};
use crate::testbed::{Testbed, testbed};

/// Four elements, two at a time; each waits for `go`.
const WAITING: &str = "name: SLURM
num_parallel_jobs: 2
---
name: e
path: out
repetitions: 4
command: |
  echo hello {{ rep }}
  until [ -e go ] || ! [ -e config.yml ]; do sleep 0.05; done
";

impl Testbed {
    fn look(&self, scene: &Scene, words: &str) -> Outcome {
        scene.call(words.split_whitespace()).env("SLURM_CONF", self.conf()).run()
    }

    fn total(&self, scene: &Scene) -> Value {
        self.look(scene, "status --json").expect(0).json_lines().remove(0)["total"].clone()
    }
}

fn pick(total: &Value) -> [u64; 6] {
    ["completed", "crashed", "running", "queued", "lost", "pending"].map(|key| total[key].as_u64().expect("a count"))
}

#[test]
fn queued_running_and_finished_elements_are_told_apart() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(WAITING);
    let script = scene.plan_one();
    assert_eq!(pick(&bed.total(&scene)), [0, 0, 0, 0, 0, 4]);

    let job = bed.sbatch(&script);

    eventually("two run and two wait", SOON, || pick(&bed.total(&scene)) == [0, 0, 2, 2, 0, 0]);
    let text = bed.look(&scene, "status").expect(0).stdout;
    assert!(text.contains("unknown (none is finished yet)") && text.contains("waiting jobs: "), "{text}");
    assert_eq!(bed.look(&scene, "logs --outcome running --rep 0").expect(0).stdout, "hello 0\n");

    // Without its configuration squeue keeps silent for a minute: what runs is not called lost, and it says so.
    let deaf = scene.call(["status"]).env("SLURM_CONF", "/nonexistent/slurm.conf").run().expect(0);
    let deaf = deaf.says(["note: Slurm cannot be asked", "squeue: no answer in 20 s"]);
    assert!(deaf.stdout.contains("RUNNING (UNVERIFIED)") && !deaf.stdout.contains("LOST"), "{}", deaf.stdout);

    // What waits goes, and is done here.
    bed.run("scancel", &[&format!("{job}_[2-3]")]);
    scene.write("go", "");
    bed.wait(job, SOON);
    eventually("two are completed", SOON, || pick(&bed.total(&scene)) == [2, 0, 0, 0, 0, 2]);
    (2..4).for_each(|index| drop(scene.worker("out/plans/001", index).expect(0)));
    assert_eq!(pick(&bed.total(&scene)), [4, 0, 0, 0, 0, 0]);
    let done = scene.call(["status"]).env("PATH", scene.root()).run().expect(0);
    assert_eq!(done.stderr, "", "nothing is open: there is nothing to ask Slurm for");
}

#[test]
fn a_repetition_whose_worker_died_is_lost() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(WAITING);

    let job = bed.sbatch(&scene.plan_one());
    eventually("two run and two wait", SOON, || pick(&bed.total(&scene)) == [0, 0, 2, 2, 0, 0]);
    // Slurm says so before the worker has begun.
    eventually("a repetition runs", SOON, || scene.has(&format!("{}/status.json", scene.reps()[0])));
    // Those that wait go; of those that run, one worker dies without a word.
    bed.run("scancel", &[&format!("{job}_[2-3]")]);
    let pid = scene.status(&scene.reps()[0])["pid"].as_i64().and_then(|pid| pid.try_into().ok()).expect("a pid");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).expect("it runs here");

    eventually("one is lost", SOON, || pick(&bed.total(&scene)) == [0, 0, 1, 0, 1, 2]);
    let failed = bed.look(&scene, "status --failed").expect(0).stdout;
    assert!(failed.contains("1 × lost: its worker is gone: Slurm says FAILED"), "{failed}");

    // As after the minutes that Slurm remembers a job for.
    let path = format!("{}/status.json", scene.reps()[0]);
    scene.write(&path, scene.read(&path).replace(&format!("\"{job}\""), "\"999999999\""));
    assert_eq!(pick(&bed.total(&scene)), [0, 0, 1, 0, 1, 2]);
    let failed = bed.look(&scene, "status --failed").expect(0).stdout;
    assert!(failed.contains("Slurm no longer knows its job"), "{failed}");
    bed.run("scancel", &[&job.to_string()]);
    bed.wait(job, SOON);
}

#[test]
fn what_another_user_is_not_shown_is_not_lost() {
    use crate::support::{CW2, Call, is_root};
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    let Some(bed) = testbed() else { return };
    if !is_root("to become another user needs root") {
        return;
    }
    let scene = Scene::with(WAITING);
    fs::set_permissions(scene.root(), Permissions::from_mode(0o755)).expect("one's own folder");
    fs::copy(CW2, scene.path("cw2")).expect("a program that others can reach");
    let job = bed.sbatch(&scene.plan_one());
    eventually("two run", SOON, || pick(&bed.total(&scene))[2] == 2);

    // Until then their locks tell that they run, which nobody has to doubt.
    let noted = |rep: &str| scene.has(&format!("out/e/log/rep_0{rep}/status.json"));
    eventually("it is noted", SOON, || noted("0") && noted("1"));

    let other = |words: &str| {
        let user = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "./cw2"];
        let call = Call::new("setpriv", scene.root()).args(user).args(words.split_whitespace());
        call.env("SLURM_CONF", bed.conf()).run()
    };
    let seen = other("status --json").expect(0);
    let [_, _, running, queued, lost, pending] = pick(&seen.json_lines()[0]["total"]);
    assert_eq!((running, queued + pending, lost), (2, 2, 0), "{}", seen.stderr);
    // Where Slurm hides the jobs, what waits looks as if nobody had submitted it.
    let retry = other("retry out -n");
    if queued == 0 {
        assert!(seen.stderr.contains("it shows users only their own jobs here (`PrivateData`)"), "{}", seen.stderr);
        retry.expect(3).says(["unknown whether 4 repetitions are still queued, running or lost"]);
    } else {
        retry.expect(0).says(["to retry: nothing\nleft out: 2 running, 2 queued\n"]);
    }
    scene.write("go", "");
    bed.wait(job, SOON);
}
