//! `~`, `${env:…}`, and the SLURM document that holds on this machine, through the program.

use crate::support::Scene;
use serde_json::{Value, json};

const SWEEP: &str = "\
name: a
path: ~/out/${env:SET:-none}
repetitions: 1
workdir: ${env:WORK}
env: {DATA: '~/data:${env:SET}'}
params: {kept: '~/x'}
command: 'echo \"$DATA {{ params.kept }}\" > seen; pwd >> seen'
";

#[test]
fn places_are_resolved_where_the_plan_is_made() {
    let scene = Scene::with(SWEEP);
    scene.write("scratch/here", "");
    let call = |words: &str| {
        scene.call(words.split_whitespace()).env("HOME", scene.path("home")).env("WORK", scene.path("scratch"))
    };
    let set = |words: &str| call(words).env("SET", "b c");
    set("run config.yml").run().expect(0);
    let home = scene.path("home");
    let seen = format!("{0}/data:b c ~/x\n{1}\n", home.display(), scene.path("scratch").display());
    assert_eq!(scene.read("scratch/seen"), seen);
    assert_eq!(scene.state("home/out/b c/a/log/rep_00"), "completed");
    let config: Value = serde_json::from_str(&scene.read("home/out/b c/a/log/rep_00/config.yml")).expect("JSON");
    assert_eq!(config["path"], format!("{}/out/b c", home.display()));
    assert_eq!(config["params"], json!({"kept": "~/x"}));
    // The plan is frozen: what runs it later asks for nothing.
    set("plan config.yml -o").run().expect(0);
    let plan = scene.path("home/out/b c/plans/002");
    scene.call(["worker", "--index", "0", "--plan"]).args([&plan]).env("HOME", "/nowhere").run().expect(0);
    assert_eq!(scene.read("scratch/seen"), seen);
    assert!(!scene.tree().iter().any(|path| path.contains('~')));

    let unset = call("plan config.yml").run().expect(2).silent();
    unset.says(["config.yml:5:13", "`env.DATA` is `~/data:${env:SET}`, but the environment variable `SET` is not set"]);
    let nobody = set("plan config.yml --set path=~no.such.user/x").run().expect(2).silent();
    nobody.says(["--set:1:6", "there is no user `no.such.user`"]);
    let homeless = set("plan config.yml").env("HOME", "").run().expect(2).silent();
    homeless.says(["config.yml:2:7", "`~` stands for `HOME`, which holds no absolute path"]);
    let by_template = set("plan config.yml --set workdir='{{params.kept}}'").run().expect(2).silent();
    by_template.says(["`workdir` becomes `~/x`: what a template inserts is not expanded", "in run `a`"]);
}

#[test]
fn the_cluster_s_document_is_chosen_and_imported() {
    let scene = Scene::with(
        "name: a\npath: out\nrepetitions: 1\ncommand: 'true'\n---\nname: SLURM\nimport_path: ${env:SITE}/clusters.yml\ntime: 90\n",
    );
    scene.write(
        "site/clusters.yml",
        "name: SLURM_first\npartition: one\ntime: 10\n---\nname: SLURM_second\npartition: two\n",
    );
    let call = |words: &str| scene.call(words.split_whitespace()).env("SITE", scene.path("site"));
    let dry = |cluster: &str| call(&format!("plan -n config.yml --cluster {cluster}")).run();
    let script = dry("SECOND").expect(0).stdout;
    assert!(script.contains("--partition=two") && script.contains("--time=1:30:00"), "{script}");
    let script = dry("first").expect(0).stdout;
    assert!(script.contains("--partition=one") && script.contains("--time=1:30:00"), "{script}");
    dry("frist").expect(2).silent().says(["no SLURM document describes the cluster `frist`", "did you mean `first`?"]);
    // This machine is none of them.
    let told = call("plan config.yml").run().expect(2).silent();
    told.says([
        "clusters.yml` matches this host, `",
        "there are only `SLURM_first` and `SLURM_second`",
        "config.yml:7:14",
    ]);
    // Both files are kept with the plan.
    call("plan config.yml --cluster first").run().expect(0);
    assert!(scene.has("out/plans/001/config/config.yml") && scene.has("out/plans/001/config/1_clusters.yml"));
    // Without Slurm it works all the same.
    call("run config.yml --cluster first").run().expect(0);
}
