//! `cw2 retry`: exactly what is missing, as it was frozen.

use crate::support::{Scene, tree};
use serde_json::json;

/// Two runs of three repetitions, number 1 of which crash until `ok` is there, and another experiment.
const CONFIG: &str = "name: SLURM
time: 10
partition: dev
---
name: e
path: out
repetitions: 3
reps_per_job: 2
params: {x: 1}
grid: {lr: [1, 2]}
command: echo $CW2_SEED $CW2_ATTEMPT $X >>{{ rep_dir }}/attempts; test -e ok || test {{ rep }} -ne 1
env: {X: '{{ params.x }}'}
---
name: f
path: out
repetitions: 1
command: test -e ok
";

const L1: &str = "out/e/e__l1/log";
const L2: &str = "out/e/e__l2/log";
const SUBMITTED: &str = r#"{"format": 1, "submissions": [
    {"array": 0, "token": "cw2:1:1:0", "job": 7, "submitted": "2026-01-01T00:00:00Z"}]}"#;
const F: &str = "out/f/log/rep_00";

/// The sweep of [`CONFIG`] after its first run: three crashes.
fn crashed() -> Scene {
    let scene = Scene::with(CONFIG);
    scene.queue(&[]);
    scene.cw2("run config.yml").expect(1);
    scene
}

#[test]
fn what_crashed_is_run_again_as_it_was() {
    let scene = crashed();
    std::fs::remove_file(scene.path("config.yml")).expect("the configuration");
    let outcome = scene.cluster("retry out").expect(0);
    assert_eq!(outcome.out(), "[HERE]/out/plans/002/sbatch.sh\n");
    assert_eq!(
        outcome.err(),
        "to retry: 3 crashed\nleft out: 4 completed\n\
         2 experiments, 3 runs, 3 repetitions to do in 2 jobs (1 array)\n\
         submit it with `cw2 submit out/plans/002`\n"
    );
    assert_eq!(scene.jobs("out/plans/002"), [vec!["e__l1 1", "e__l2 1"], vec!["f 0"]]);
    let manifest: serde_json::Value = serde_json::from_str(&scene.read("out/plans/002/plan.json")).expect("JSON");
    assert_eq!(manifest["retry_of"], json!(["out/plans/001"]));
    assert_eq!(scene.read("out/plans/002/config/config.yml"), CONFIG);
    let script = scene.read("out/plans/002/sbatch.sh");
    assert!(script.contains("#SBATCH --time=0:10:00\n") && script.contains("#SBATCH --partition=dev\n"), "{script}");

    scene.write("ok", "");
    scene.worker("out/plans/002", 0).expect(0);
    scene.worker("out/plans/002", 1).expect(0);
    for rep in [format!("{L1}/rep_01"), format!("{L2}/rep_01"), F.to_owned()] {
        assert_eq!((scene.state(&rep), scene.status(&rep)["attempt"].clone()), ("completed".to_owned(), json!(2)));
    }
    let attempts = scene.lines(&format!("{L1}/rep_01/attempts"));
    let [first, second] = attempts.as_slice() else { panic!("{attempts:?}") };
    // The same seed and the same parameters.
    assert_eq!(second, &first.replace(" 1 1", " 2 1"));
    let before = tree(scene.root());
    scene.cluster("retry out").expect(0).silent().says(["left out: 7 completed", "nothing to retry"]);
    assert_eq!(tree(scene.root()), before);
}

#[test]
fn what_waits_or_runs_is_left_out_and_slurm_is_asked_once() {
    let scene = crashed();
    // Element 0 holds l1's 0 and 1, element 1 l1's 2 and l2's 0, element 2 l2's 1 and 2, element 3 f's.
    let script = "out/plans/001/sbatch.sh";
    scene.queue(&[
        (7, "3", "PENDING", script),
        (7, "1", "RUNNING", script),
        (9, "0", "RUNNING", "elsewhere/sbatch.sh"),
    ]);
    scene.forge_state(&format!("{L1}/rep_00"), "running", 7, 0);
    scene.forge_state(&format!("{L1}/rep_02"), "running", 7, 1);
    scene.forge_state(&format!("{L2}/rep_02"), "interrupted", 7, 2);
    scene.write(&format!("{L2}/rep_00/status.json"), "");
    let outcome = scene.cluster("retry out/plans/001 --json").expect(0);
    let told = &outcome.json_lines()[0];
    assert_eq!(told["retried"], json!({"crashed": 2, "interrupted": 1, "lost": 1}));
    assert_eq!(told["left_out"], json!({"running": 1, "queued": 2}));
    assert_eq!(told["scripts"], json!([scene.path("out/plans/002/sbatch.sh")]));
    assert_eq!(scene.jobs("out/plans/002"), [vec!["e__l1 0", "e__l1 1"], vec!["e__l2 1", "e__l2 2"]]);
    assert_eq!(scene.lines("calls").len(), 1, "{:?}", scene.lines("calls"));
    // What the old plan's elements hold is under way, though the new plan holds it too.
    scene.queue(&[(7, "0", "PENDING", script), (8, "1", "PENDING", "out/plans/002/sbatch.sh")]);
    let told = scene.cluster("retry out --json -n").expect(0).json_lines().remove(0);
    assert_eq!(told["left_out"], json!({"queued": 4}));
    assert!(!scene.has("out/plans/003"));
}

#[test]
fn an_element_that_was_requeued_does_not_retry_its_crashes() {
    let scene = crashed();
    scene.forge_state(F, "crashed", 7, 3);
    scene.queue(&[(7, "3", "PENDING", "out/plans/001/sbatch.sh")]);
    scene.cluster("retry out -e f -n").expect(0).says(["to retry: 1 crashed"]);
    // Submitted anew, it does.
    scene.queue(&[(8, "3", "PENDING", "out/plans/001/sbatch.sh")]);
    scene.cluster("retry out -e f -n").expect(0).says(["to retry: nothing", "1 queued"]);
}

#[test]
fn filters_choose() {
    let scene = crashed();
    scene.forge(&format!("{L2}/rep_02"), &json!({"state": "timed_out"}));
    std::fs::remove_dir_all(scene.path(format!("{L1}/rep_00"))).expect("a repetition");
    let retried = |words: &str| {
        let told = scene.cluster(&format!("retry out -n --json {words}")).expect(0).json_lines().remove(0);
        told["retried"].clone()
    };
    assert_eq!(retried(""), json!({"crashed": 3, "timed_out": 1, "pending": 1}));
    assert_eq!(retried("-e f"), json!({"crashed": 1}));
    assert_eq!(retried("-r *l2"), json!({"crashed": 1, "timed_out": 1}));
    assert_eq!(retried("--rep 1-2"), json!({"crashed": 2, "timed_out": 1}));
    assert_eq!(retried("--only pending,timed-out"), json!({"timed_out": 1, "pending": 1}));
    assert_eq!(retried("--only lost"), json!({}));
    scene
        .cluster("retry out -e g")
        .expect(2)
        .says(["there is no experiment `g` in these plans; the experiments are `e` and `f`"]);
    scene.cluster("retry out --only running").expect(2).says(["can be retried: crashed, timed_out"]);
    scene.cluster("retry nowhere").expect(2).says(["`nowhere` is not a folder"]);
    scene.cluster("retry .").expect(2).says(["`.` is neither a plan nor a folder with plans"]);
    assert!(!scene.has("out/plans/002"));
}

#[test]
fn without_slurms_word_nothing_is_guessed() {
    let scene = crashed();
    scene.no_queue();
    // It ran here, without Slurm: what is on disk tells all.
    scene.cluster("retry out").expect(0).says(["to retry: 3 crashed"]);
    // The retry may wait in a queue.
    let before = tree(scene.root());
    let refused = scene.cluster("retry out").expect(3).silent();
    assert_eq!(
        refused.err(),
        "error: Slurm could not be asked (squeue: Slurm is away), so it is unknown whether 3 repetitions are still \
         queued, running or lost; try again where `squeue` works, or say `--assume-dead` if nothing of these plans is \
         under way any more\n"
    );
    scene.cluster("cancel out").expect(3).silent().says(["nothing was cancelled", "Slurm is away"]);
    assert_eq!(tree(scene.root()), before);
    // It was submitted, and then the plan that ran here may be under way too.
    scene.cluster("retry out/plans/001 -n").expect(0).says(["to retry: 3 crashed"]);
    scene.write("out/plans/002/submissions.json", SUBMITTED);
    scene.cluster("retry out/plans/001").expect(3).silent().says(["3 repetitions are still queued, running or lost"]);
    scene.forge_state(&format!("{L1}/rep_00"), "running", 7, 0);
    scene.cluster("retry out --assume-dead").expect(0).says([
        "warning: Slurm could not be asked",
        "is assumed dead",
        "to retry: 3 crashed, 1 lost",
    ]);
    assert_eq!(scene.jobs("out/plans/003"), [vec!["e__l1 0", "e__l1 1"], vec!["e__l2 1"], vec!["f 0"]]);
}

#[test]
fn resources_change_for_one_attempt_only() {
    let scene = Scene::with(&CONFIG.replace("partition: dev", "path_to_template: my.sh.j2\nsbatch_args: {qos: low}"));
    scene.queue(&[]);
    scene.write("my.sh.j2", "#!/bin/bash\n# mine\n{{ sbatch }}\n{{ worker }}\n");
    scene.cw2("run config.yml").expect(1);
    scene.write("my.sh.j2", "changed");
    let words =
        "retry out --time 1:30:00 --mem 4G --set-slurm sbatch_args.gres=gpu:2 --set-slurm sbatch_args.qos=false";
    scene.cluster(&format!("{words} --reps-per-job 1")).expect(0);
    let script = scene.read("out/plans/002/sbatch.sh");
    for line in ["# mine", "#SBATCH --time=1:30:00", "#SBATCH --mem-per-cpu=4G", "#SBATCH --gres=gpu:2", "--array=0-2"]
    {
        assert!(script.contains(line), "{line}\n{script}");
    }
    assert!(!script.contains("qos"), "{script}");
    scene.cluster("retry out").expect(0);
    let script = scene.read("out/plans/003/sbatch.sh");
    for line in ["# mine", "#SBATCH --time=0:10:00", "#SBATCH --qos=low", "--array=0-1"] {
        assert!(script.contains(line), "{line}\n{script}");
    }
    assert!(!script.contains("gres") && !script.contains("mem-per-cpu"), "{script}");
    scene.cluster("retry out --time soon").expect(2).says(["--set-slurm", "time=soon"]);
    scene.cluster("retry out --set-slurm tmie=5").expect(2).says(["did you mean `time`?"]);
    scene.cluster("retry out --set-slurm cpus_per_rep=5").expect(2).says(["cannot be changed by a retry"]);
}

#[test]
fn the_next_command_can_be_pasted() {
    let scene = Scene::with("name: e\npath: my out\nrepetitions: 1\ncommand: 'false'\n");
    scene.queue(&[]);
    scene.cluster("plan config.yml").expect(0).says(["\nsubmit it with `cw2 submit 'my out/plans/001'`\n"]);
    let outcome = scene.on_cluster(&["retry", "my out"]).run().expect(0);
    assert!(outcome.err().ends_with("\nsubmit it with `cw2 submit 'my out/plans/002'`\n"), "{}", outcome.err());
}

#[test]
fn slots_must_fit_the_new_resources() {
    let scene = Scene::with(
        "name: SLURM\ncpus-per-task: 4\n---\nname: e\npath: out\nrepetitions: 4\nreps_per_job: 4\nreps_in_parallel: 4\ncommand: 'false'\n",
    );
    scene.queue(&[]);
    scene.cw2("plan config.yml").expect(0);
    scene
        .cluster("retry out --set-slurm cpus-per-task=2")
        .expect(2)
        .says(["4 repetitions in parallel do not fit the 2 CPUs of a job"]);
    assert!(!scene.has("out/plans/002"));
}

#[test]
fn overwriting_goes_on_where_it_stopped() {
    let scene = Scene::with(
        "name: e\npath: out\nrepetitions: 4\ncommand: echo {{ rep }} >>ran; test -e ok || test {{ rep }} -ne 2\n",
    );
    scene.queue(&[]);
    scene.write("ok", "");
    scene.cw2("run config.yml").expect(0);
    std::fs::remove_file(scene.path("ok")).expect("a file");
    scene.cw2("plan config.yml -o").expect(0);
    // Of the second plan, 0 completes again, 2 crashes; 1 and 3 are still the first plan's.
    scene.worker("out/plans/002", 0).expect(0);
    scene.worker("out/plans/002", 2).expect(1);
    scene.cluster("retry out").expect(0).says(["to retry: 1 crashed, 2 pending", "left out: 1 completed"]);
    assert_eq!(scene.jobs("out/plans/003"), [["e 1"], ["e 2"], ["e 3"]]);
    scene.write("ok", "");
    for index in [0, 1, 2, 0, 1, 2] {
        scene.worker("out/plans/003", index).expect(0);
    }
    scene.worker("out/plans/002", 1).expect(0);
    let mut ran = scene.lines("ran");
    ran.sort();
    // Each twice, and 2 once more: nothing that the second or third plan finished ran again.
    assert_eq!(ran, ["0", "0", "1", "1", "2", "2", "2", "3", "3"]);
    scene.cluster("retry out").expect(0).says(["to retry: nothing", "left out: 4 completed"]);
}

#[test]
fn several_plans_become_one() {
    let scene = crashed();
    scene.write("config.yml", CONFIG.replace("lr: [1, 2]", "lr: [2, 3]").replace("time: 10", "time: 20"));
    scene.cw2("run config.yml").expect(1);
    // l2's first repetition crashed in both, and the second plan counts; l1's only in the first.
    scene.cluster("retry out/plans/002 out/plans/001").expect(0).says(["to retry: 4 crashed"]);
    assert_eq!(scene.jobs("out/plans/003"), [vec!["e__l1 1"], vec!["e__l2 1", "e__l3 1"], vec!["f 0"]]);
    let times = |name: &str| scene.read(format!("out/plans/003/{name}")).matches("--time=0:20:00").count();
    assert_eq!((times("sbatch_1.sh"), times("sbatch_2.sh")), (0, 1));
    assert_eq!(scene.read("out/plans/003/config/001_config.yml"), CONFIG);
    scene.write("config.yml", CONFIG.replace("path: out", "path: other"));
    scene.cw2("run config.yml").expect(1);
    scene.cluster("retry out other").expect(2).says(["are in different folders: retry them one by one"]);
}

#[test]
fn what_is_finished_with_other_parameters_is_not_destroyed() {
    let scene = crashed();
    scene.forge(&format!("{L1}/rep_00"), &json!({"params_sha256": "other"}));
    scene.cluster("retry out -n").expect(0).says(["left out: 3 completed, 1 finished with other parameters"]);
}

#[test]
fn results_behind_a_symbolic_link_are_found() {
    let scene = Scene::new();
    scene.write("project/config.yml", CONFIG);
    scene.queue(&[]);
    std::fs::create_dir_all(scene.path("scratch/results")).expect("a folder");
    std::os::unix::fs::symlink(scene.path("scratch/results"), scene.path("project/out")).expect("a link");
    scene.call(["run", "config.yml"]).current_dir(scene.path("project")).run().expect(1);
    let retry = || scene.on_cluster(&["retry", "out"]).current_dir(scene.path("project")).run().expect(0);
    assert_eq!(retry().out(), "[HERE]/project/out/plans/002/sbatch.sh\n");
    let script = scene.read("project/out/plans/002/sbatch.sh");
    assert!(script.contains(&format!("--chdir={}\n", scene.path("project").display())), "{script}");
    // Submitted by the path that was printed.
    scene.queue(&[(7, "0", "PENDING", "project/out/plans/002/sbatch.sh")]);
    assert!(retry().stderr.contains("to retry: 1 crashed\nleft out: 4 completed, 2 queued"));
}

#[test]
fn arrays_are_as_long_as_the_cluster_allows() {
    let scene = Scene::with(
        "name: e\npath: out\nrepetitions: 60\ncommand: 'true'\n---\nname: f\npath: out\nrepetitions: 60\ncommand: 'true'\n",
    );
    scene.queue(&[]);
    scene.write_program("bin/scontrol", "#!/bin/sh\necho 'MaxArraySize            = 101'\n");
    // Neither is long by itself, but they share an array.
    for command in ["plan config.yml", "retry out", "retry out -e e"] {
        scene.cluster(command).expect(0);
    }
    let elements = |script: &str| {
        let script = scene.read(format!("out/plans/{script}"));
        script.lines().find_map(|line| line.strip_prefix("#SBATCH --array=")).map(str::to_owned)
    };
    for plan in ["001", "002"] {
        let cut = [1, 2].map(|number| elements(&format!("{plan}/sbatch_{number}.sh")));
        assert_eq!(cut, [Some("0-100".to_owned()), Some("0-18".to_owned())], "{plan}");
    }
    assert_eq!(elements("003/sbatch.sh").as_deref(), Some("0-59"));
}

#[test]
fn a_short_plan_fits_the_cluster_too_and_does_not_wait_for_it() {
    let scene = Scene::with("name: e\npath: out\nrepetitions: 20\ncommand: 'true'\n");
    scene.queue(&[]);
    scene.write_program("bin/scontrol", "#!/bin/sh\necho 'MaxArraySize            = 11'\n");
    scene.cluster("plan config.yml").expect(0);
    let array = |script: &str| {
        let script = scene.read(format!("out/plans/{script}"));
        script.lines().find_map(|line| line.strip_prefix("#SBATCH --array=")).map(str::to_owned)
    };
    assert_eq!(["001/sbatch_1.sh", "001/sbatch_2.sh"].map(array), ["0-10", "0-8"].map(|it| Some(it.to_owned())));

    let hangs = "#!/bin/sh\nwhile [ -e \"$HOME/queue\" ]; do sleep 0.1; done; echo >\"$HOME/answered\"\n";
    scene.write_program("bin/scontrol", hangs);
    scene.cluster("plan config.yml").expect(0);
    assert!(!scene.has("answered"));
    assert_eq!(array("002/sbatch.sh").as_deref(), Some("0-19"));
}

#[test]
fn what_another_plan_has_under_way_is_left_out() {
    let scene = crashed();
    scene.cluster("retry out/plans/001").expect(0);
    // l1's and l2's crash wait; f's ran meanwhile.
    scene.queue(&[(8, "0", "PENDING", "out/plans/002/sbatch.sh"), (8, "1", "COMPLETED", "out/plans/002/sbatch.sh")]);
    let told = scene.cluster("retry out/plans/001 --json").expect(0).json_lines().remove(0);
    assert_eq!((&told["retried"], &told["left_out"]), (&json!({"crashed": 1}), &json!({"completed": 4, "queued": 2})));
    assert_eq!(scene.jobs("out/plans/003"), [["f 0"]]);
    let manifest: serde_json::Value = serde_json::from_str(&scene.read("out/plans/003/plan.json")).expect("JSON");
    assert_eq!(manifest["retry_of"], json!(["out/plans/001"]));
    // Nor does an earlier plan's: each by itself is the same as all of them.
    scene.queue(&[(7, "3", "PENDING", "out/plans/001/sbatch.sh")]);
    scene.cluster("retry out/plans/003 -n").expect(0).says(["to retry: nothing\nleft out: 1 queued"]);
}

#[test]
fn plans_of_several_working_directories() {
    let scene = Scene::new();
    let path = scene.path("results").display().to_string();
    scene.queue(&[]);
    for folder in ["a", "b"] {
        scene.write(&format!("{folder}/c.yml"), format!("name: e\npath: {path}\nrepetitions: 1\ncommand: 'true'\n"));
        scene.call(["plan", "c.yml"]).current_dir(scene.path(folder)).run().expect(0);
    }
    let refused = scene.cluster("retry results").expect(2);
    assert_eq!(
        refused.err(),
        "error: plans `[HERE]/results/plans/001` and `[HERE]/results/plans/002` were made in different working \
         directories, `[HERE]/a` and `[HERE]/b`, and a plan has only one: retry each by itself\n"
    );
    // What the one has queued is the other's too.
    scene.queue(&[(7, "0", "PENDING", "results/plans/002/sbatch.sh")]);
    scene.cluster("retry results/plans/001 -n").expect(0).says(["to retry: nothing\nleft out: 1 queued"]);
}

#[test]
fn a_plan_that_was_never_submitted_overwrites_nothing() {
    let scene = Scene::with("name: e\npath: out\nrepetitions: 2\ncommand: 'true'\n");
    scene.queue(&[]);
    scene.cw2("run config.yml").expect(0);
    scene.cw2("plan -o config.yml").expect(0);
    let total = |words: &str| scene.cluster(words).expect(0).json_lines().remove(0)["total"].clone();
    let nothing_is_missing = || {
        for words in ["status --json", "status --json out/plans/002"] {
            assert_eq!((total(words)["completed"].clone(), total(words)["pending"].clone()), (json!(2), json!(0)));
        }
        for words in ["retry out", "retry out/plans/002"] {
            scene.cluster(words).expect(0).silent().says(["left out: 2 completed", "nothing to retry"]);
        }
    };
    nothing_is_missing();
    // An intention that Slurm never heard of is no submission.
    let intended = SUBMITTED.replace("\"job\": 7", "\"job\": null");
    scene.write("out/plans/002/submissions.json", intended);
    nothing_is_missing();
    std::fs::remove_file(scene.path("out/plans/002/submissions.json")).expect("the intention");

    // Whatever shows that it was submitted makes it count: Slurm's queue, its log, cw2's own note, a worker.
    let overwrites = |what: &str| {
        assert_eq!(
            scene.cluster("retry out --json -n").expect(0).json_lines()[0]["retried"],
            json!({"pending": 2}),
            "{what}"
        );
    };
    scene.queue(&[(7, "0", "FAILED", "out/plans/002/sbatch.sh")]);
    assert_eq!(total("status --json out")["completed"], json!(0), "the queue");
    scene.queue(&[]);
    for evidence in ["slurm/7_0.out", "submissions.json"] {
        scene.write(&format!("out/plans/002/{evidence}"), SUBMITTED);
        overwrites(evidence);
        std::fs::remove_file(scene.path(format!("out/plans/002/{evidence}"))).expect("the evidence");
        nothing_is_missing();
    }
    scene.worker("out/plans/002", 0).expect(0);
    assert_eq!(scene.cluster("retry out --json -n").expect(0).json_lines()[0]["retried"], json!({"pending": 1}));
}

#[test]
fn a_plan_that_waits_in_the_queue_by_hand_counts_as_submitted() {
    let scene = Scene::with("name: e\npath: out\nrepetitions: 2\ncommand: 'true'\n");
    scene.cw2("run config.yml").expect(0);
    scene.cw2("plan -o config.yml").expect(0);
    scene.queue(&[(7, "0-1", "PENDING", "out/plans/002/sbatch.sh")]);
    let status = scene.cluster("status --json").expect(0).json_lines().remove(0);
    assert_eq!((&status["total"]["queued"], &status["total"]["completed"]), (&json!(2), &json!(0)));
}
