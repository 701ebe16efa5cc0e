//! Every folder of `slurm-examples` is planned, and run, here or on the test bed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::project::{counts, example};
use crate::slurm::{SOON, last_states};
use crate::support::{CW2, Call, Scene};
use crate::testbed::testbed;

/// The folders, and how `cw2 run` is called for them; nothing for what needs Slurm.
const EXAMPLES: [(&str, Option<&str>); 9] = [
    // Long on purpose: it has to outlast its time limit.
    ("checkpoint-requeue", Some("--set params.seconds-per-step=0.01")),
    ("gpu-split", Some("")),
    ("multi-node", None),
    ("python-sweep", Some("")),
    ("quickstart", Some("")),
    ("results", Some("")),
    ("rust-iterative", Some("")),
    ("rust-scheduler", Some("")),
    ("surrender-finalize", Some("")),
];

/// Those that are Python programs of classes, and how their repetitions end.
const CLASSES: [(&str, [(&str, usize); 2]); 3] = [
    ("python-experiment", [("completed", 0), ("surrendered", 6)]),
    ("python-iterative", [("completed", 2), ("surrendered", 6)]),
    ("python-scheduler", [("completed", 8), ("surrendered", 0)]),
];

#[test]
fn every_folder_is_tested() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("slurm-examples");
    let mut names: Vec<_> = fs::read_dir(folder)
        .expect("the folder of the examples")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    let mut tested: Vec<_> = EXAMPLES.map(|(name, _)| name).into_iter().chain(CLASSES.map(|(name, _)| name)).collect();
    tested.sort_unstable();
    assert_eq!(names, tested);
}

#[test]
fn every_example_is_planned() {
    for (name, _) in EXAMPLES {
        let scene = Scene::example(name);
        assert!(scene.read("README.md").starts_with("# "), "{name}");
        let dry = scene.cw2("plan --strict --dry-run config.yml").expect(0);
        assert!(!dry.stderr.contains("warning"), "{name}: {}", dry.stderr);
        assert!(!scene.has("results"), "{name}: a dry run writes nothing");
        for script in scene.plan() {
            let checked = Command::new("bash").arg("-n").arg(&script).status().expect("bash starts");
            assert!(checked.success(), "{}", script.display());
        }
    }
}

#[test]
fn every_example_that_can_runs_here() {
    for (name, options) in EXAMPLES {
        let Some(options) = options else { continue };
        let scene = Scene::example(name);
        scene.cw2(&format!("run config.yml {options}")).expect(0);
        assert!(!scene.states().keys().any(|state| !["completed", "surrendered"].contains(&state.as_str())), "{name}");
        // All that a run leaves lies in `results`, which git ignores.
        let original = example(name);
        for entry in fs::read_dir(scene.path("")).expect("the scene's folder") {
            let left = entry.expect("an entry").file_name();
            assert!(left == "results" || original.join(&left).exists(), "{name} leaves {}", left.display());
        }
    }
}

#[test]
fn the_outputs_that_the_examples_show_are_theirs() {
    for name in ["python-sweep", "quickstart", "rust-iterative", "surrender-finalize"] {
        let scene = Scene::example(name);
        scene.cw2("run config.yml").expect(0);
        let mut printed = String::new();
        for rep in scene.reps() {
            for file in ["out.log", "summary.txt"].iter().filter(|file| scene.has(&format!("{rep}/{file}"))) {
                printed.push_str(&scene.read(format!("{rep}/{file}")));
            }
        }
        let readme = scene.read("README.md");
        let shown = readme.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next()).flat_map(str::lines);
        let strange: Vec<_> = shown.filter(|line| !printed.lines().any(|other| other == *line)).collect();
        assert!(strange.is_empty(), "{name}: {strange:#?} is not in\n{printed}");
    }
}

#[test]
fn the_best_run_of_the_example_of_results_is_the_one_that_must_be() {
    let scene = Scene::example("results");
    scene.cw2("run config.yml").expect(0);
    let rows = scene.cw2("results --format jsonl").expect(0).json_lines();
    let told = |row: &serde_json::Value| {
        let mean = row["metrics"]["distance"]["mean"].as_f64().expect("a mean");
        (row["best"] == true, row["params"]["lr"].as_f64().expect("a rate"), row["n"].as_u64(), mean)
    };
    let rows: Vec<_> = rows.iter().map(told).collect();
    assert_eq!((rows.len(), rows[0].0, rows[0].1), (8, true, 0.45));
    assert!(rows.iter().skip(1).all(|row| !row.0) && rows.iter().all(|row| row.2 == Some(5)), "{rows:?}");
    assert!(rows.is_sorted_by_key(|row| row.3), "{rows:?}");
    // From what lies where the example was run, nothing was left but results.
    assert_eq!(scene.cw2("results --history --format csv").expect(0).stdout.lines().count(), 1 + 40 * 6);
}

#[test]
fn a_plan_of_two_arrays_says_how_to_submit_them() {
    let scene = Scene::example("gpu-split");
    let outcome = scene.cw2("plan config.yml").expect(0);
    assert_eq!(outcome.stdout.lines().count(), 2);
    assert!(outcome.err().contains("or all with `cw2 submit results/plans/001`"), "{}", outcome.stderr);
}

#[test]
fn the_quickstart_and_the_python_sweep_run_on_slurm() {
    let Some(bed) = testbed() else { return };
    for (name, elements, repetitions) in [("quickstart", 3, 9), ("python-sweep", 4, 14)] {
        let scene = Scene::example(name);
        let job = bed.sbatch(&scene.plan_one());
        assert_eq!(last_states(bed.wait(job, SOON)), vec!["COMPLETED"; elements], "{name}");
        assert_eq!(scene.states(), counts([("completed", repetitions)]), "{name}");
    }
}

#[test]
fn the_programs_in_rust_run_on_slurm() {
    let Some(bed) = testbed() else { return };
    let fitted = counts([("completed", 3), ("surrendered", 9)]);
    for (name, elements, states) in [("rust-iterative", 4, fitted), ("rust-scheduler", 1, counts([("completed", 6)]))] {
        let scene = Scene::example(name);
        let job = bed.sbatch(&scene.plan_one());
        assert_eq!(last_states(bed.wait(job, SOON)), vec!["COMPLETED"; elements], "{name}");
        assert_eq!(scene.states(), states, "{name}");
        if name == "rust-scheduler" {
            let log =
                fs::read_to_string(scene.path(format!("results/plans/001/slurm/{job}_0.log"))).expect("Slurm's log");
            let order: Vec<_> = log.lines().filter_map(|line| line.split_once("up to ")).map(|(_, to)| to).collect();
            assert_eq!(order, ["200000", "100000", "50000", "20000", "5000", "1000"], "{log}");
        }
    }
}

#[test]
fn a_surrender_is_a_success_on_slurm_too() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::example("surrender-finalize");

    let job = bed.sbatch(&scene.plan_one());

    assert_eq!(last_states(bed.wait(job, SOON)), ["COMPLETED"]);
    assert_eq!(scene.states(), counts([("completed", 1), ("surrendered", 2)]));
    let reps = scene.reps();
    let summaries: Vec<_> = reps.iter().map(|rep| scene.read(format!("{rep}/summary.txt"))).collect();
    assert_eq!(
        summaries,
        [
            "outcome completed, payload none, final w = 9.41708\n",
            "outcome surrendered, payload {\"reason\":\"converged\",\"epoch\":11}, final w = 0.000419432\n",
            "outcome surrendered, payload {\"reason\":\"diverged\",\"epoch\":7}, final w = -1280\n",
        ]
    );
    assert_eq!(scene.status(&reps[1])["payload"]["epoch"], 11);
}

/// `python3 main.py config.yml` with these words, in an example of a Python class.
fn python(scene: &Scene, words: &str) -> Call {
    let call = Call::new("python3", scene.root()).args(["main.py", "config.yml"]).args(words.split_whitespace());
    call.env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("python")).env("CW2_BINARY", CW2)
}

#[test]
fn every_python_class_is_planned() {
    for (name, _) in CLASSES {
        let scene = Scene::example(name);
        assert!(scene.read("README.md").starts_with("# "), "{name}");
        let planned = python(&scene, "plan").run().expect(0);
        assert!(!planned.stderr.contains("warning"), "{name}: {}", planned.stderr);
        assert_eq!(planned.stdout.lines().count(), 1, "{name}: {}", planned.stdout);
        let checked = Command::new("bash").arg("-n").arg(planned.stdout.trim()).status().expect("bash starts");
        assert!(checked.success(), "{name}");
    }
}

#[test]
fn every_python_class_runs_here() {
    for (name, ends) in CLASSES {
        let scene = Scene::example(name);
        python(&scene, "").run().expect(0);
        assert_eq!(ends_of(&scene), ends, "{name}");
        for entry in fs::read_dir(scene.path("")).expect("the scene's folder") {
            let left = entry.expect("an entry").file_name();
            assert!(left == "results" || example(name).join(&left).exists(), "{name} leaves {}", left.display());
        }
        let files =
            reps(&scene).into_iter().flat_map(|rep| ["out.log", "summary.txt"].map(|file| format!("{rep}/{file}")));
        let printed: String = files.filter(|file| scene.has(file)).map(|file| scene.read(file)).collect();
        let readme = scene.read("README.md");
        let shown = readme.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next()).flat_map(str::lines);
        let strange: Vec<_> = shown.filter(|line| !printed.lines().any(|other| other == *line)).collect();
        assert!(strange.is_empty(), "{name}: {strange:#?} is not in\n{printed}");
    }
}

#[test]
fn the_python_classes_run_on_slurm() {
    let Some(bed) = testbed() else { return };
    for (name, ends) in CLASSES {
        let scene = Scene::example(name);
        let submitted = python(&scene, "-s").env("SLURM_CONF", bed.conf()).run().expect(0);
        for job in submitted.stdout.lines() {
            let states = last_states(bed.wait(job.parse().expect("a job id"), SOON));
            assert!(states.iter().all(|state| state == "COMPLETED"), "{name}: {states:?}");
        }
        assert_eq!(ends_of(&scene), ends, "{name}");
        if name == "python-scheduler" {
            let said: BTreeSet<_> = reps(&scene).iter().map(|rep| scene.read(format!("{rep}/metrics.jsonl"))).collect();
            let gpus: BTreeSet<_> = said.iter().filter_map(|line| line.split("\"gpu\": ").nth(1)).collect();
            assert_eq!(gpus.len(), 2, "{said:?}");
        }
    }
}

/// The directories of repetitions that were begun.
fn reps(scene: &Scene) -> Vec<String> {
    let begun = scene.tree().into_iter().filter_map(|file| Some(file.strip_suffix("/status.json")?.to_owned()));
    begun.collect()
}

fn ends_of(scene: &Scene) -> [(&'static str, usize); 2] {
    ["completed", "surrendered"].map(|end| (end, reps(scene).iter().filter(|rep| scene.state(rep) == end).count()))
}
