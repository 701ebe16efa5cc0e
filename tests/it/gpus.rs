//! What slots get of the GPUs of a machine on which nobody says which there are: it has two, in a `/dev` of the test's own.

use crate::support::{CW2, Call, Scene, is_root, skipped};
use std::process::Command;

/// Each waits for the other, so that both have a slot at the same time.
const BOTH: &str = "name: a\npath: out\nrepetitions: 2\ngpus_per_rep: 1\ntimeout: 20\n\
    command: echo $CW2_GPUS $CUDA_VISIBLE_DEVICES >> ran; until [ \"$(wc -l < ran)\" = 2 ]; do sleep 0.01; done\n";

/// Calls cw2 where `/dev` is another folder.
fn with_two_gpus(scene: &Scene, words: &str) -> Call {
    let script = "mkdir -p dev && touch dev/null dev/nvidiactl dev/nvidia0 dev/nvidia1 && mount --bind /dev/null dev/null && \
                  mount --rbind dev /dev && exec \"$0\" \"$@\"";
    Call::new("unshare", scene.root()).args(["--mount", "sh", "-c", script, CW2]).args(words.split(' '))
}

/// Whether this machine lets a test have a `/dev` of its own.
fn may() -> bool {
    if !is_root("mounting needs root") {
        return false;
    }
    let mounts = Command::new("unshare").args(["--mount", "mount", "--bind", "/dev", "/mnt"]).output();
    let may = mounts.is_ok_and(|output| output.status.success());
    if !may {
        skipped("this machine forbids mounting");
    }
    may
}

/// What the repetitions saw, in order.
fn seen(scene: &Scene) -> Vec<String> {
    let mut ran = scene.lines("ran");
    ran.sort();
    ran
}

#[test]
fn the_gpus_of_a_workstation_are_split_among_slots_and_jobs() {
    if !may() {
        return;
    }
    let scene = Scene::with(&format!("{BOTH}reps_per_job: 2\nreps_in_parallel: 2\noversubscribe: true\n"));
    with_two_gpus(&scene, "plan config.yml").run().expect(0);
    with_two_gpus(&scene, "worker --plan out/plans/001 --index 0").run().expect(0);
    assert_eq!(seen(&scene), ["0 0", "1 1"]);

    let scene = Scene::with(BOTH);
    with_two_gpus(&scene, "run config.yml --jobs 2").run().expect(0);
    assert_eq!(seen(&scene), ["0 0", "1 1"]);

    // What the user says wins, and says nothing too.
    for (value, expected) in [("7,GPU-a", ["7 7", "GPU-a GPU-a"]), ("", ["", ""])] {
        let scene = Scene::with(BOTH);
        with_two_gpus(&scene, "run config.yml --jobs 2").env("CUDA_VISIBLE_DEVICES", value).run().expect(0);
        assert_eq!(seen(&scene), expected);
    }
}

#[test]
fn gpus_that_do_not_suffice_are_shared_by_nobody() {
    if !may() {
        return;
    }
    let scene = Scene::with(&BOTH.replace("repetitions: 2", "repetitions: 3"));
    let outcome = with_two_gpus(&scene, "run config.yml --jobs 3").run().expect(3);
    outcome.says(["2 GPUs cannot be split among 3 jobs at a time", "ask for fewer with `--jobs`"]);
    assert!(!scene.has("ran"));

    // Fewer slots, as with CPUs.
    let scene = Scene::with(
        "name: a\npath: out\nrepetitions: 3\nreps_per_job: 3\nreps_in_parallel: 3\ngpus_per_rep: 2\n\
         command: echo $CW2_GPUS >> ran; mkdir alone; rmdir alone\n",
    );
    with_two_gpus(&scene, "run config.yml").run().expect(0).says(["3 repetitions in parallel are asked for, 1 run"]);
    assert_eq!(seen(&scene), ["0,1"; 3]);
}

#[test]
fn in_a_job_nothing_is_taken_that_slurm_did_not_give() {
    if !may() {
        return;
    }
    let scene = Scene::with(&format!("{BOTH}reps_per_job: 2\nreps_in_parallel: 2\noversubscribe: true\n"));
    scene.plan();
    let outcome = with_two_gpus(&scene, "worker --plan out/plans/001 --index 0").env("SLURM_JOB_ID", "1").run();
    outcome.expect(3).says(["all 2 slots would share them", "`sbatch_args: {gres: gpu:2}`", "in `sh_lines`"]);
    assert!(!scene.has("ran"));
}
