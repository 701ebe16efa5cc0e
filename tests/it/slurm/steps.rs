//! Repetitions that are job steps: `srun` in a launcher or a command, on several nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{SOON, last_states};
use crate::project::{counts, eventually};
use crate::support::Scene;
use crate::testbed::{Testbed, testbed};

/// With the time a requeued job waits.
const A_REQUEUE: Duration = Duration::from_secs(180);

/// Warns an element as Slurm does ahead of the time limit: the batch script alone.
fn warn(bed: &Testbed, job: u64) {
    bed.run("scancel", &["--batch", "--signal=USR1", &format!("{job}_0")]);
}

#[test]
fn a_launcher_spreads_repetitions_over_the_nodes_of_a_job() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::example("multi-node");

    let job = bed.sbatch(&scene.plan_one());

    assert_eq!(last_states(bed.wait(job, SOON)), ["COMPLETED"]);
    assert_eq!(scene.states(), counts([("completed", 8)]));
    let mut steps = BTreeSet::new();
    let mut nodes = BTreeMap::<_, usize>::new();
    for rep in scene.reps() {
        let out = scene.read(format!("{rep}/out.log"));
        let place = out.strip_suffix(", from 0\ndone after 20\n").expect("one training from its start");
        let (_, place) = place.split_once(": step ").expect("a step");
        let (step, node) = place.split_once(" on node ").expect("a node");
        steps.insert(step.to_owned());
        *nodes.entry(node.to_owned()).or_default() += 1;
    }
    assert_eq!(steps.len(), 8, "each is a step of its own");
    assert_eq!(nodes.len(), 2, "{nodes:?}");
}

#[test]
fn what_runs_on_other_nodes_saves_its_work_when_time_runs_out_and_goes_on() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::example("multi-node");
    let config = scene.read("config.yml");
    // Long enough to be warned, and four, so that all of them run then.
    scene.write("config.yml", config.replace("steps: 20", "steps: 100").replace(": 8\n", ": 4\n"));
    let job = bed.sbatch(&scene.plan_one());
    let reps = scene.reps();
    let logs = || reps.iter().map(|rep| scene.lines(&format!("{rep}/out.log"))).collect::<Vec<_>>();
    eventually("all run", SOON, || logs().iter().all(|log| !log.is_empty()));

    warn(bed, job);

    assert_eq!(last_states(bed.wait(job, A_REQUEUE)), ["COMPLETED"]);
    assert_eq!(scene.states(), counts([("completed", 4)]));
    let mut nodes = BTreeSet::new();
    for log in logs() {
        let [first, saved, attempt, second, done] =
            log.try_into().expect("an attempt that was interrupted, and another");
        let saved = saved.strip_prefix("saved at ").expect("its work is saved").to_owned();
        assert!(
            first.ends_with(", from 0") && attempt.starts_with("==> cw2: attempt 2, resuming"),
            "{first} {attempt}"
        );
        assert!(second.ends_with(&format!(", from {saved}")), "{second}: {saved}");
        assert_eq!(done, "done after 100");
        nodes.extend(first.split(" on node ").nth(1).map(str::to_owned));
    }
    assert_eq!(nodes.len(), 2, "{nodes:?}");
}

/// A program that notes what it sees and goes on, for ten minutes at most.
const STUBBORN: &str = "#!/bin/sh
trap 'echo $$ >>\"$CW2_REP_DIR/seen\"' TERM
echo $$ >>\"$CW2_REP_DIR/started\"
for i in $(seq 6000); do sleep 0.1; done
";

#[test]
fn a_step_below_a_shell_has_its_grace_and_is_not_left_behind() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(
        "name: SLURM
time: 10
ntasks: 4
sbatch_args: {nodes: 2, ntasks-per-node: 2, mem: 100}
---
name: e
path: out
repetitions: 2
reps_per_job: 2
reps_in_parallel: 2
oversubscribe: true
timeout: 5s
command: 'true; srun --exact --nodes=2 --ntasks=2 --mem=20 ./stubborn; echo never'
",
    );
    scene.write_program("stubborn", STUBBORN);

    let script = scene.plan_one();
    let text = scene.read(script.strip_prefix(scene.root()).unwrap());
    scene.write("script.sh", text.replace(" worker ", " worker --grace 3 "));
    let job = bed.sbatch(&scene.path("script.sh"));

    assert_eq!(last_states(bed.wait(job, SOON)), ["FAILED"]);
    assert_eq!(scene.states(), counts([("timed_out", 2)]));
    for rep in scene.reps() {
        // Slurm may send another one before it kills.
        let [seen, started] =
            ["seen", "started"].map(|file| BTreeSet::from_iter(scene.lines(&format!("{rep}/{file}"))));
        assert_eq!((started.len(), &seen), (2, &started), "each of its two tasks");
        let out = scene.read(format!("{rep}/out.log"));
        assert!(!out.contains("never"), "{out}");
        // All nodes of the bed are this machine.
        let left: Vec<_> = started.into_iter().filter(|pid| crate::support::alive(pid)).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
