//! Sweeps that grow: what was finished stays finished, under the same names.

use crate::support::Scene;
use serde_json::Value;

const HEAD: &str = "name: e\npath: out\nrepetitions: 2\ncommand: echo {{ params | flags }} $CW2_SEED\n";

fn names(scene: &Scene) -> Vec<String> {
    let listed = scene.cw2("list config.yml --json").expect(0).json_lines();
    let mut names: Vec<_> = listed.iter().map(|rep| rep["dir"].as_str().expect("a directory").to_owned()).collect();
    names.sort();
    names
}

#[test]
fn more_samples_run_only_what_is_new() {
    let config =
        |samples: u32| format!("{HEAD}random: {{samples: {samples}, seed: 4, lr: {{log_uniform: [1e-4, 1]}}}}\n");
    let scene = Scene::with(&config(3));
    let before = names(&scene);
    scene.cw2("run config.yml").expect(0);
    scene.write("config.yml", config(5));
    let after = names(&scene);
    assert!(before.iter().all(|name| after.contains(name)), "{before:?} {after:?}");
    scene
        .cw2("run config.yml")
        .expect(0)
        .says(["1 experiment, 5 runs, 4 repetitions to do in 4 jobs (1 array); 6 repetitions finished and left out"]);
}

#[test]
fn a_parameter_that_was_added_later_repeats_nothing() {
    let scene = Scene::with(&format!("{HEAD}params: {{w: 1}}\n"));
    scene.cw2("run config.yml").expect(0);
    // Swept, repeated once more, and computed from: only what is new is run.
    let head = HEAD.replace("repetitions: 2", "repetitions: 3");
    scene.write("config.yml", format!("{head}params: {{w: 1}}\ndefaults: {{drop: 0.0}}\ngrid: {{drop: [0.0, 0.5]}}\n"));
    scene
        .cw2("run config.yml")
        .expect(0)
        .says(["1 experiment, 2 runs, 4 repetitions to do in 4 jobs (1 array); 2 repetitions finished and left out"]);
    assert!(scene.read("out/e/log/rep_01/out.log").starts_with("--w 1 "));
    assert!(scene.read("out/e/log/rep_02/out.log").starts_with("--drop 0.0 --w 1 "));
    assert!(scene.read("out/e/e__d0.5/log/rep_00/out.log").starts_with("--drop 0.5 --w 1 "));
    scene.cw2("plan config.yml").expect(0).says(["nothing is left to do"]);
    let results = scene.cw2("results out --format csv").expect(0);
    assert_eq!(results.stdout.lines().count(), 3, "{}", results.stdout);
    assert!(!results.stderr.contains("different parameters"), "{}", results.stderr);
    // Without the key it is another parameter, as ever.
    scene.write("config.yml", format!("{head}params: {{w: 1, drop: 0.5}}\n"));
    scene.cw2("plan config.yml").expect(2).says(["is finished, but with other parameters"]);
}

#[test]
fn seeds_can_be_paired() {
    let scene = Scene::with(&format!("{HEAD}grid: {{a: [1, 2]}}\nseed: rep\n"));
    scene.cw2("run config.yml").expect(0);
    let seed = |run: &str, rep: u32| {
        let text = scene.read(format!("out/e/{run}/log/rep_{rep:02}/out.log"));
        text.split_whitespace().last().expect("a seed").to_owned()
    };
    assert_eq!(seed("e__a1", 0), seed("e__a2", 0));
    assert_eq!(seed("e__a1", 1), seed("e__a2", 1));
    assert_ne!(seed("e__a1", 0), seed("e__a1", 1));
    let config: Value = serde_json::from_str(&scene.read("out/e/e__a1/log/rep_00/config.yml"))
        .expect("JSON, which YAML readers read too");
    assert_eq!(config["seed"].to_string(), seed("e__a1", 0));
}

#[test]
fn files_of_values_are_copied_into_the_plan() {
    let scene = Scene::new();
    scene.write("conf/config.yml", format!("{HEAD}grid: {{s: {{lines: seeds.txt}}, c: {{glob: 'nets/*.yaml'}}}}\n"));
    scene.write("conf/seeds.txt", "# these\n5\n7\n");
    scene.write("conf/nets/b.yaml", "");
    scene.write("conf/nets/a.yaml", "");
    scene.cw2("plan conf/config.yml").expect(0);
    assert_eq!(scene.read("out/plans/001/config/1_seeds.txt"), "# these\n5\n7\n");
    let shown = scene.cw2("show conf/config.yml --run e__s7_cb").expect(0);
    for line in ["  s: 7 ", "# conf/seeds.txt:3:1 (grid)", "  c: conf/nets/b.yaml ", "# conf/config.yml:5:41 (grid)"] {
        assert!(shown.stdout.contains(line), "{line}\n{}", shown.stdout);
    }
    // Wherever the file is named from, the values are the same.
    let absolute = scene.path("conf/config.yml");
    let listed = scene.call(["list", &absolute.to_string_lossy(), "--json"]).run().expect(0);
    assert_eq!(listed.stdout, scene.cw2("list conf/config.yml --json").expect(0).stdout);
}

#[test]
fn defaults_that_rename_what_is_finished_are_told_of() {
    let config = format!("{HEAD}grid: {{lr: [1, 2], drop: [0.0, 0.5]}}\n");
    let scene = Scene::with(&config);
    scene.cw2("run config.yml").expect(0);
    scene.write("config.yml", format!("{config}defaults: {{drop: 0.0}}\n"));
    let warned = scene.cw2("plan --dry-run config.yml").expect(0);
    let expected = "warning: `out/e/e__l1_d0.0` and 1 more are finished, and would be run again under other names, such as \
                    `out/e/e__l1`: `defaults` shortens them\n --> config.yml:6:1\n";
    assert!(warned.stderr.starts_with(expected), "{}", warned.stderr);
    let told = scene.cw2("plan --diff config.yml").expect(0).stdout;
    assert!(told.contains("  e__l1 does what e__l1_d0.0 (out/plans/001) does\n"), "{told}");
    // As the warning says.
    for lr in 1..=2 {
        let (old, new) = (scene.path(format!("out/e/e__l{lr}_d0.0")), scene.path(format!("out/e/e__l{lr}")));
        std::fs::rename(old, new).expect("a run's folder");
    }
    let run = scene.cw2("run config.yml").expect(0);
    run.says(["4 runs, 0 repetitions to do in 0 jobs (0 arrays); 8 repetitions finished and left out"]);
    let silent = scene.cw2("plan --dry-run config.yml").expect(0);
    assert!(!silent.stderr.contains("warning"), "{}", silent.stderr);
}
