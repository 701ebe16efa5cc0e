//! From a configuration to finished repetitions: every one runs once, in the job it was planned for.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{SOON, last_states};
use crate::project::{counts, eventually};
use crate::support::Scene;
use crate::testbed::testbed;

#[test]
fn a_sweep_runs_one_repetition_an_element() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(
        "name: e\npath: out\nrepetitions: 2\ngrid: {x: [1, 2, 3]}\ncommand: echo x={{ params.x }} rep={{ rep }}\n",
    );

    let job = bed.sbatch(&scene.plan_one());

    assert_eq!(last_states(bed.wait(job, SOON)), ["COMPLETED"; 6]);
    for (element, rep) in scene.reps().iter().enumerate() {
        assert_eq!(
            scene.read(format!("{rep}/out.log")),
            format!("x={} rep={}\n", element / 2 + 1, element % 2),
            "{rep}"
        );
        let status = scene.status(rep);
        assert_eq!(status["state"], "completed");
        assert_eq!(status["slurm"]["array_job_id"], job.to_string());
        assert_eq!(status["slurm"]["array_task_id"], element.to_string());
        assert_eq!(status["job"], element);
    }
    scene.cw2("plan config.yml").expect(0).silent().says(["nothing is left to do"]);
}

#[test]
fn a_job_bundles_repetitions_and_runs_them_in_parallel() {
    let Some(bed) = testbed() else { return };
    // Each waits for its partner, so it only ends if both run at the same time.
    let scene = Scene::with(
        "name: e
path: out
repetitions: 8
reps_per_job: 4
reps_in_parallel: 2
slurm: {cpus-per-task: 2}
timeout: 60
command: |
  touch met_{{ rep }}
  until [ -e met_{{ rep + 1 - rep % 2 * 2 }} ]; do sleep 0.05; done
  echo slot {{ slot }}
",
    );

    let job = bed.sbatch(&scene.plan_one());

    assert_eq!(last_states(bed.wait(job, SOON)), ["COMPLETED"; 2]);
    assert_eq!(scene.states(), counts([("completed", 8)]));
    let mut slots = BTreeSet::new();
    for (number, rep) in scene.reps().iter().enumerate() {
        assert_eq!(scene.status(rep)["job"], number / 4, "{rep}");
        slots.insert(scene.read(format!("{rep}/out.log")));
    }
    assert_eq!(slots, ["slot 0\n", "slot 1\n"].map(str::to_owned).into());
}

#[test]
fn a_long_plan_becomes_several_arrays_that_run_every_repetition_once() {
    let Some(bed) = testbed() else { return };
    let limit = bed.max_array_size().min(101);
    let repetitions = 2 * limit + 3;
    // Appending a line is atomic: a repetition that ran twice would show.
    let scene = Scene::with(&format!(
        "name: SLURM\nmax_array_size: {limit}\n---\nname: e\npath: out\nrepetitions: {repetitions}\ncommand: echo {{{{ rep }}}} >>all\n",
    ));

    let scripts = scene.plan();
    assert_eq!(scripts.len(), 3);
    let jobs: Vec<_> = scripts.iter().map(|script| bed.sbatch(script)).collect();

    let elements: Vec<_> = jobs.iter().map(|job| bed.wait(*job, Duration::from_secs(150)).len()).collect();
    assert_eq!(elements, [limit as usize, limit as usize, 3]);
    let mut ran: Vec<u32> = scene.read("all").lines().map(|line| line.parse().expect("a number")).collect();
    ran.sort_unstable();
    assert_eq!(ran, (0..repetitions).collect::<Vec<_>>());
    assert_eq!(scene.states(), counts([("completed", repetitions as usize)]));
}

#[test]
fn the_frozen_plan_wins_over_a_configuration_edited_later() {
    let Some(bed) = testbed() else { return };
    let config = "name: SLURM\nsbatch_args: {hold: true}\n---\nname: e\npath: out\nrepetitions: 2\nreps_per_job: 2\nparams: {x: old}\ncommand: ./program {{ params.x }}\n";
    let scene = Scene::with(config);
    scene.write_program("program", "#!/bin/sh\necho \"$1\"\n");

    let job = bed.sbatch(&scene.plan_one());
    scene.write("config.yml", config.replace("old", "new").replace("repetitions: 2", "repetitions: 5"));
    bed.run("scontrol", &["release", &job.to_string()]);

    assert_eq!(last_states(bed.wait(job, SOON)), ["COMPLETED"]);
    scene.write("config.yml", config);
    for rep in scene.reps() {
        assert_eq!(scene.read(format!("{rep}/out.log")), "old\n");
    }
}

#[test]
fn a_plan_submitted_twice_runs_every_repetition_once() {
    let Some(bed) = testbed() else { return };
    // Each repetition waits, so that two workers meet on one element.
    let scene = Scene::with(
        "name: e
path: out
repetitions: 2
reps_per_job: 2
timeout: 60
command: |
  echo {{ rep }} \"$SLURM_JOB_ID\" >>all
  until [ -e go{{ rep }} ]; do sleep 0.05; done
",
    );
    let script = scene.plan_one();

    let jobs = [bed.sbatch(&script), bed.sbatch(&script)];
    // The one that comes second finds the first repetition taken, and begins with the next one.
    eventually("each has a repetition", SOON, || scene.lines("all").len() == 2);
    scene.write("go1", "");
    eventually("the second worker leaves the first one's repetition alone", SOON, || {
        jobs.iter().any(|job| scene.slurm_log(*job, 0).contains("left alone"))
    });
    scene.write("go0", "");

    let ends: Vec<_> = jobs.iter().flat_map(|job| last_states(bed.wait(*job, SOON))).collect();
    let mut ran: Vec<_> =
        scene.read("all").lines().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect();
    ran.sort();
    assert_eq!(ran, ["0", "1"]);
    assert_eq!(scene.states(), counts([("completed", 2)]));
    // A worker that left something to another one cannot say that all is done.
    assert!(ends.contains(&"FAILED".to_owned()), "{ends:?}");
}
