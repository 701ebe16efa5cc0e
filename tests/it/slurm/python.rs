//! Classes of a program in Python, as jobs.

use super::{SOON, last_states};
use crate::project::{counts, eventually};
use crate::python::{PROGRAM, program};
use crate::support::Scene;
use crate::testbed::testbed;
use std::path::Path;

/// A scene with the program, whose jobs find the package.
fn scene(experiment: &str) -> Scene {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let slurm =
        format!("name: SLURM\nsh_lines: export PYTHONPATH={} PYTHONDONTWRITEBYTECODE=1\n---\n", package.display());
    let scene = Scene::with(&format!("{slurm}name: e\npath: out\n{experiment}"));
    scene.write("main.py", PROGRAM);
    program(&scene, "--mark --plan").run().expect(0);
    scene
}

#[test]
fn a_job_imports_once_for_all_its_repetitions() {
    let Some(bed) = testbed() else { return };
    let scene = scene(
        "repetitions: 4\nreps_per_job: 8\nreps_in_parallel: 2\nslurm: {cpus-per-task: 2}\ngrid: {how: [ok, raise]}\n",
    );

    let job = bed.sbatch(&scene.path("out/plans/001/sbatch.sh"));

    assert_eq!(last_states(bed.wait(job, SOON)), ["FAILED"]);
    assert_eq!(scene.states(), counts([("completed", 4), ("crashed", 4)]));
    assert_eq!(scene.lines("imports"), ["user", "serve"]);
    let out = scene.lines("out/e/e__hok/log/rep_03/out.log");
    assert_eq!(out, ["out 3 {1: ('user', 8)} {'how': 'ok'}"], "what it was changed to once");
}

#[test]
fn a_cancelled_job_interrupts_the_copies_of_its_warm_process() {
    let Some(bed) = testbed() else { return };
    let scene = scene("repetitions: 2\nreps_per_job: 2\nparams: {how: wait}\n");

    let job = bed.sbatch(&scene.path("out/plans/001/sbatch.sh"));
    eventually("repetition 0 starts", SOON, || !scene.lines("out/e/log/rep_00/started").is_empty());
    bed.run("scancel", &[&format!("{job}_0")]);

    assert_eq!(last_states(bed.wait(job, SOON)), ["CANCELLED"]);
    eventually("the worker ends", SOON, || scene.states() == counts([("interrupted", 1), ("pending", 1)]));
    scene.write("go", "");
    let job = bed.sbatch(&scene.path("out/plans/001/sbatch.sh"));
    assert_eq!(last_states(bed.wait(job, SOON)), ["COMPLETED"]);
    assert_eq!(scene.states(), counts([("completed", 2)]));
}
