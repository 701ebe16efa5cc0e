//! Code snapshots under Slurm: what waits in the queue runs the code it was planned with.

use super::{SOON, last_states};
use crate::support::Scene;
use crate::testbed::{Testbed, testbed};

/// A sweep of five jobs in two arrays, held in the queue.
fn held(slurm: &str) -> Scene {
    let scene = Scene::new();
    scene.write(
        "p/config.yml",
        format!(
            "name: SLURM\nsbatch_args: {{hold: true}}\nmax_array_size: 3\nexperiment_copy_src: .\n{slurm}\n---\n\
             name: e\npath: ../out\nrepetitions: 5\ncommand: ./program >&2; ./program\n"
        ),
    );
    scene.write_program("p/program", "#!/bin/sh\necho \"old in $PWD with $PYTHONPATH\"\n");
    scene
}

/// Plans, edits the program while the arrays wait, lets them run; returns what each repetition printed.
fn outputs(bed: &Testbed, scene: &Scene, flags: &str) -> Vec<String> {
    let words = format!("plan config.yml {flags}");
    let outcome = scene.call(words.split_whitespace()).current_dir(scene.path("p")).run().expect(0);
    let jobs: Vec<u64> = outcome.stdout.lines().map(|script| bed.sbatch(script.as_ref())).collect();
    assert_eq!(jobs.len(), 2, "{}", outcome.stdout);
    scene.write_program("p/program", "#!/bin/sh\necho new\n");
    for job in &jobs {
        bed.run("scontrol", &["release", &job.to_string()]);
    }
    let states: Vec<_> = jobs.iter().flat_map(|job| last_states(bed.wait(*job, SOON))).collect();
    assert_eq!(states, ["COMPLETED"; 5]);
    (0..5).map(|rep| scene.read(format!("out/e/log/rep_{rep:02}/out.log")).trim_end().to_owned()).collect()
}

#[test]
fn an_array_runs_the_code_it_was_planned_with() {
    let Some(bed) = testbed() else { return };
    let scene = held("experiment_copy_dst: ../the copy");
    let copy = scene.path("the copy").display().to_string();
    for output in outputs(bed, &scene, "") {
        assert!(output.starts_with(&format!("old in {copy} with {copy}")), "{output}");
    }
}

#[test]
fn elements_of_several_arrays_find_their_own_copies() {
    let Some(bed) = testbed() else { return };
    let scene = held("experiment_copy_dst: ../copies");
    for (job, output) in outputs(bed, &scene, "--multicopy").into_iter().enumerate() {
        let copy = scene.path(format!("copies/{job}")).display().to_string();
        assert!(output.starts_with(&format!("old in {copy} with {copy}")), "{output}");
    }
    let scene = held("experiment_copy_dst: ../record");
    assert_eq!(outputs(bed, &scene, "--zip"), ["new"; 5]);
    assert!(scene.has("record.zip"));
}
