//! Pilots on a real cluster: more are added while some run, and one is lost.

use super::{SOON, last_states};
use crate::project::{counts, eventually};
use crate::support::Scene;
use crate::testbed::testbed;

#[test]
fn pilots_share_the_work_whoever_comes_and_goes() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(
        "name: SLURM
pilots: 2
partition: dev
time: 5
---
name: e
path: out
repetitions: 30
reps_per_job: 2
command: echo {{ rep }} $SLURM_ARRAY_JOB_ID $SLURM_JOB_PARTITION >>all; [ {{ rep }} -gt 5 ] || [ $CW2_RESUME = 1 ] || until [ -e go ]; do sleep 0.05; done
",
    );
    let cw2 = |words: &str| scene.call(words.split_whitespace()).env("SLURM_CONF", bed.conf()).run();
    let submitted = cw2("submit config.yml").expect(0);
    let submitted = submitted.says(["30 repetitions to do in 15 jobs (1 array, 2 pilots)", "(2 pilots)"]);
    let first: u64 = submitted.stdout.trim().parse().expect("a job's id");
    eventually("both have a repetition", SOON, || scene.lines("all").len() == 2);
    // Two more, elsewhere.
    let more = cw2("submit out/plans/001 --pilots 2 -- --partition=low --time=3").expect(0).says(["(2 pilots)"]);
    let second: u64 = more.stdout.trim().parse().expect("a job's id");
    eventually("the added ones have a repetition", SOON, || scene.lines("all").len() >= 4);
    let status = cw2("status out --json").expect(0);
    assert!(status.stdout.contains("\"queued\""), "{}", status.stdout);
    bed.run("scancel", &["--signal=KILL", "--full", &format!("{first}_0")]);
    eventually("one is gone", SOON, || !bed.run("squeue", &["-h", "-r", "-j", &first.to_string()]).contains("_0"));
    scene.write("go", "");

    bed.wait(second, SOON);
    let ends = last_states(bed.wait(first, SOON));
    // What the killed one had was taken up by another one.
    assert_eq!(scene.states(), counts([("completed", 30)]), "{ends:?}");
    let lines = scene.lines("all");
    let of = |word: &str| lines.iter().filter(|line| line.split(' ').any(|other| other == word)).count();
    assert_eq!((lines.len(), of("dev") + of("low")), (31, 31));
    assert!(of("low") > 0 && of(&second.to_string()) == of("low"), "{lines:?}");
    cw2("submit out/plans/001 --pilots 3").expect(0).says(["no job is left to take", "nothing was submitted"]);
    cw2("submit out/plans/001").expect(2).says(["was already submitted"]);
}

#[test]
fn pilots_that_cannot_start_are_told_of() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(
        "name: SLURM\npilots: 2\nsh_lines: ['false']\n---\nname: e\npath: out\nrepetitions: 4\ncommand: 'true'\n",
    );
    let job = bed.sbatch(&scene.plan_one());
    bed.wait(job, SOON);
    let failed = scene.call(["status", "out", "--failed"]).env("SLURM_CONF", bed.conf()).run().expect(0);
    // The exit code, where accounting knows it already.
    let said = failed.stdout.replace(" (exit code 3)", "");
    let expected = "4 × job failed: Slurm says FAILED, and nothing was started: cw2: `sh_lines` end with exit status 1";
    assert!(said.contains(expected), "{said}");
}
