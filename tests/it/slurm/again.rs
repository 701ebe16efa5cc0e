//! `cw2 retry` and `cw2 cancel` on the bed: crashes, a failed node, what waits and runs.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::{SOON, last_states};
use crate::project::{counts, eventually};
use crate::support::{Outcome, Scene, is_root};
use crate::testbed::{Testbed, testbed};

/// Calls cw2 as a user of the bed does.
fn cw2(scene: &Scene, bed: &Testbed, words: &str) -> Outcome {
    scene.call(words.split_whitespace()).env("SLURM_CONF", bed.conf()).run()
}

#[test]
fn a_crash_is_retried_where_it_was() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(
        "name: e
path: out
repetitions: 4
reps_per_job: 2
command: echo $CW2_SEED $CW2_ATTEMPT >>{{ rep_dir }}/attempts; test -e ok || test {{ rep }} -ne 1
",
    );
    let job = bed.sbatch(&scene.plan_one());
    assert_eq!(last_states(bed.wait(job, SOON)), ["FAILED", "COMPLETED"]);

    scene.write("ok", "");
    let outcome = cw2(&scene, bed, "retry out").expect(0).says(["to retry: 1 crashed\nleft out: 3 completed\n"]);
    let retry = bed.sbatch(Path::new(outcome.stdout.trim_end()));
    // Submitted: it is not missing any more.
    cw2(&scene, bed, "retry out").expect(0).silent().says(["to retry: nothing"]);
    assert_eq!(last_states(bed.wait(retry, SOON)), ["COMPLETED"]);

    assert_eq!(scene.states(), counts([("completed", 4)]));
    let rep = &scene.reps()[1];
    assert_eq!(scene.status(rep)["attempt"], json!(2));
    let attempts = scene.lines(&format!("{rep}/attempts"));
    let [first, second] = attempts.as_slice() else { panic!("{attempts:?}") };
    assert_eq!(*second, first.replace(" 1", " 2"));
    assert_eq!(scene.lines(&format!("{}/attempts", scene.reps()[0])).len(), 1);
}

/// Every repetition waits for `go`.
const WAITING: &str = "name: SLURM
cpus-per-task: 8
sbatch_args: {no-requeue: true}
---
name: a
path: out
repetitions: 4
reps_per_job: 2
command: touch at.{{ run }}.{{ rep }}; until [ -e go ]; do sleep 0.05; done
---
name: b
path: out
repetitions: 2
command: touch at.{{ run }}.{{ rep }}; until [ -e go ]; do sleep 0.05; done
";

/// Keeps a job of its own from outliving its test.
struct Ours<'a>(&'a Testbed, u64);

impl Drop for Ours<'_> {
    fn drop(&mut self) {
        // It may be over.
        let _ = self.0.try_run("scancel", &[&self.1.to_string()]);
    }
}

#[test]
fn a_plan_an_experiment_and_a_run_are_cancelled() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(WAITING);
    scene.plan_one();
    let job: u64 = cw2(&scene, bed, "submit out/plans/001 --hold").expect(0).stdout.trim().parse().expect("an id");
    let ours = Ours(bed, job);

    // A repetition in a bundle: the element holds another one.
    let outcome = cw2(&scene, bed, "cancel out/plans/001 -e a --rep 0").expect(0).silent();
    assert_eq!(
        outcome.stderr.lines().next(),
        Some(&*format!("left alone: element {job}_0 also holds a rep 1, which was not chosen"))
    );
    let outcome = cw2(&scene, bed, "cancel out/plans/001 -e b").expect(0);
    assert_eq!(outcome.stdout, format!("{job}_[2-3]\n"));
    eventually("the elements of b are gone", SOON, || {
        bed.try_run("squeue", &["-h", "-r", "-j", &job.to_string()]).is_ok_and(|lines| lines.lines().count() == 2)
    });
    // What is cancelled is missing, what waits is not.
    cw2(&scene, bed, "retry out -n").expect(0).says(["to retry: 2 pending\nleft out: 4 queued\n"]);
    let outcome = cw2(&scene, bed, "cancel out").expect(0);
    assert_eq!(
        (outcome.stdout, outcome.stderr),
        (format!("{job}\n"), "cancelled 2 elements: 0 running, 2 queued\n".to_owned())
    );
    // The controller may show elements that never ran as one.
    assert!(last_states(bed.wait(job, SOON)).iter().all(|state| state == "CANCELLED"));
    cw2(&scene, bed, "cancel out").expect(0).silent().says(["nothing to cancel"]);
    drop(ours);
}

/// Processes whose parent, or parent's parent, … is `root`, and itself.
fn family(root: i32) -> Vec<i32> {
    let parents: Vec<(i32, i32)> = fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid: i32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()?))
        })
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found
}

/// The process that started another one.
fn parent(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process");
    stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok()).expect("a parent")
}

/// A bed for one test, which may break it.
struct OwnBed {
    bed: Testbed,
    folder: PathBuf,
    _dir: tempfile::TempDir,
}

impl OwnBed {
    fn up(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = dir.path().join("bed");
        slurm_testbed(&[&["up", "--nodes", "2"], options, &[&folder.to_string_lossy()]].concat());
        OwnBed { bed: Testbed::open(&folder), folder, _dir: dir }
    }
}

impl Drop for OwnBed {
    fn drop(&mut self) {
        slurm_testbed(&["down", &self.folder.to_string_lossy()]);
    }
}

fn slurm_testbed(args: &[&str]) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/slurm-testbed");
    let output = std::process::Command::new(program).args(args).output().expect("the script");
    // Panicking twice would hide the first.
    if !std::thread::panicking() {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn what_a_failed_node_lost_is_retried() {
    // Where there is no bed at all, none of one's own can be had either. Without accounting: no `sacct` is needed.
    if testbed().is_none() || !is_root("starting a bed needs root") {
        return;
    }
    let own = OwnBed::up(&["--no-accounting"]);
    let bed = &own.bed;
    let scene = Scene::with(WAITING);
    let job = bed.sbatch(&scene.plan_one());
    let reps = scene.reps();
    eventually("two elements run, two wait", SOON, || {
        ["at.a.0", "at.a.2"].iter().all(|name| scene.has(name))
            && [0, 2].iter().all(|&rep| scene.has(&format!("{}/status.json", reps[rep])))
    });
    cw2(&scene, bed, "retry out -n").expect(0).says(["to retry: nothing\nleft out: 2 running, 4 queued\n"]);

    // The node dies at once: its daemon, the step's and all it runs.
    let node = bed.element(job, 0, "NodeList");
    let daemon = fs::read_to_string(own.folder.join(format!("run/slurmd-{node}.pid"))).expect("its pid");
    let worker = i32::try_from(scene.status(&reps[0])["pid"].as_u64().expect("a pid")).expect("a small one");
    let step = parent(worker);
    assert_eq!(fs::read_to_string(format!("/proc/{step}/comm")).expect("its name").trim(), "slurmstepd");
    let mut doomed = family(step);
    doomed.push(daemon.trim().parse().expect("a pid"));
    for pid in doomed {
        // A child may have ended with its parent.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    bed.run("scontrol", &["update", &format!("nodename={node}"), "state=down", "reason=test"]);
    eventually("Slurm gives the element up", SOON, || bed.element(job, 0, "JobState") == "NODE_FAIL");

    assert_eq!(scene.state(&reps[0]), "running");
    // The second of its bundle was never begun.
    let outcome = cw2(&scene, bed, "retry out").expect(0).says(["to retry: 1 lost, 1 pending\nleft out: "]);
    assert_eq!(scene.jobs("out/plans/002"), [["a 0", "a 1"]]);
    let retry = bed.sbatch(Path::new(outcome.stdout.trim_end()));
    scene.write("go", "");
    assert_eq!(last_states(bed.wait(retry, SOON)), ["COMPLETED"]);
    bed.wait(job, SOON);
    assert_eq!(scene.states(), counts([("completed", 6)]));
    assert_eq!(scene.status(&reps[0])["attempt"], json!(2));
    assert_eq!(scene.status(&reps[0])["earlier"][0]["state"], json!("running"));
    assert_eq!(scene.status(&reps[1])["attempt"], json!(1));
    cw2(&scene, bed, "cancel out").expect(0).silent().says(["nothing to cancel"]);
}
