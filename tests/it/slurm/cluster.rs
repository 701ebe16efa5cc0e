//! What a real cluster says of itself, and of plans.

use crate::support::{Call, Outcome, Scene};
use crate::testbed::{Testbed, testbed};
use serde_json::{Value, json};

fn call(bed: &Testbed, scene: &Scene, words: &str) -> Outcome {
    let call: Call = scene.call(words.split_whitespace()).env("SLURM_CONF", bed.conf());
    call.run()
}

/// Whether users see them (`PrivateData`).
fn shows_partitions(bed: &Testbed) -> bool {
    bed.try_run("scontrol", &["show", "partition"]).is_ok()
}

#[test]
fn the_cluster_says_what_it_is() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::new();
    let told = call(bed, &scene, "doctor --json --srun results").expect(0);
    let json: Value = serde_json::from_str(&told.stdout).unwrap();
    let slurm = &json["slurm"];
    assert!(bed.run("sinfo", &["--version"]).trim().ends_with(slurm["version"].as_str().unwrap()));
    assert_eq!(slurm["max_array_size"], bed.max_array_size());
    assert_eq!(slurm["accounting_works"], bed.try_run("sacct", &["--noheader"]).is_ok());
    assert_eq!(slurm["limits"].is_array(), slurm["accounting_works"] == true);
    let partitions: Vec<_> =
        slurm["partitions"].as_array().unwrap().iter().map(|of| (&of["name"], &of["default"])).collect();
    if shows_partitions(bed) {
        assert_eq!(partitions, [(&json!("dev"), &json!(true)), (&json!("low"), &json!(false))]);
        let nodes = &slurm["partitions"][0]["nodes"];
        let count: u64 = nodes.as_array().unwrap().iter().map(|of| of["count"].as_u64().unwrap()).sum();
        assert_eq!((count, &nodes[0]["cpus"], &nodes[0]["gpus"]), (4, &json!(8), &json!(4)));
    } else {
        assert_eq!(partitions, []);
    }
    let folder = &json["folders"][0];
    assert_eq!((&folder["exists"], &folder["locks_here"]), (&json!(false), &json!("exclude")));
    let between = &folder["between_nodes"];
    assert_eq!(between["locks"], "exclude", "{between}");
    assert!(between["nodes"][0] != between["nodes"][1], "{between}");
    assert!(scene.tree().is_empty(), "{:?}", scene.tree());
}

#[test]
fn the_cluster_says_whether_it_would_take_a_plan() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(
        "name: a\npath: out\nrepetitions: 2\ncommand: 'true'\n---\nname: SLURM\ncpus-per-task: 2\ntime: 5\npartition: dev\n",
    );
    let fits = call(bed, &scene, "plan --check config.yml").expect(0);
    assert!(fits.stdout.starts_with("sbatch.sh: Job ") && fits.stdout.contains(" to start at "), "{}", fits.stdout);
    let large = call(bed, &scene, "plan --check config.yml --set slurm.cpus-per-task=9").expect(2);
    assert!(large.stdout.starts_with("sbatch.sh: refused: "), "{}", large.stdout);
    if shows_partitions(bed) {
        large.says(["a job asks for 9 CPUs of a node, but in partition `dev` one gives at most 8", "--set:1:1"]);
    }
    let unknown = call(bed, &scene, "plan --check config.yml --set slurm.partition=lung").expect(2);
    if shows_partitions(bed) {
        unknown.says(["there is no partition `lung`", "there are `dev`, `low`"]);
    } else {
        assert!(unknown.stdout.starts_with("sbatch.sh: refused: "), "{}", unknown.stdout);
    }
    assert!(!scene.has("out"));
    assert_eq!(bed.run("squeue", &["--noheader", "--name=a"]).trim(), "");
}
