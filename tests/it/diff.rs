//! What a configuration would plan beside what was planned, and which repetitions are finished.

use crate::support::Scene;
use serde_json::json;

const OLD: &str =
    "name: a\npath: out\nrepetitions: 2\ncommand: echo {{ params.lr }}\nparams: {k: 1}\ngrid: {lr: [1, 2, 3]}\n";

const NEW: &str = "name: a\npath: out\nrepetitions: 3\ncommand: echo new {{ params.lr }}\nparams: {k: 2}\ngrid: {lr: [2, 3, 4]}\n\
                   slurm: {time: 10}\n---\nname: b\npath: out\nrepetitions: 1\ncommand: echo new {{ params.lr }}\nparams: {k: 2, lr: 4}\n\
                   slurm: {time: 10}\n";

#[test]
fn a_changed_configuration_is_told_beside_the_newest_plan() {
    let scene = Scene::with(OLD);
    let first = scene.cw2("plan --diff config.yml").expect(0);
    assert_eq!(first.stdout, "added (3 runs):\n  a__l1\n  a__l2\n  a__l3\n");
    assert_eq!(first.stderr, "nothing was planned before\n");
    scene.cw2("run config.yml").expect(0);
    let same = scene.cw2("plan --diff config.yml").expect(0).silent();
    assert_eq!(same.stderr, "nothing differs from out/plans/001: 3 runs as before\n");

    scene.write("config.yml", NEW);
    let before = scene.tree();
    let told = scene.cw2("plan --diff config.yml").expect(0);
    assert_eq!(
        told.stdout,
        "added (2 runs):\n  a__l4\n  b\n\
         gone (1 run):\n  a__l1 (out/plans/001)\n\
         other parameters under the same name (2 runs):\n  a__l2: k: 1 → 2\n  a__l3: k: 1 → 2\n\
         the same as another one (1 run):\n  b does what a__l4 does\n\
         experiment `a` (against out/plans/001):\n  repetitions: 2 → 3\n  command.run.shell: \"echo {{ params.lr }}\" → \"echo new {{ params.lr }}\"\n  \
         slurm.time: (not set) → \"0:10:00\"\n"
    );
    assert_eq!(told.stderr, "against out/plans/001: 0 runs as before\n");
    let lines = scene.cw2("plan --diff --json -q config.yml").expect(0).json_lines();
    let [object] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(object["plans"], json!(["out/plans/001"]));
    assert_eq!(
        object["gone"],
        json!([{"experiment": "a", "run": "a__l1", "dir": "out/a/a__l1", "plan": "out/plans/001"}])
    );
    assert_eq!(object["changed"][0]["params"], json!([{"key": "k", "was": 1, "is": 2}]));
    assert_eq!(object["duplicates"][0]["of"]["run"], "a__l4");
    assert_eq!(object["experiments"][0]["changes"][0], json!({"key": "repetitions", "was": 2, "is": 3}));
    assert_eq!(scene.tree(), before, "it writes nothing");
}

#[test]
fn a_run_that_was_there_under_another_name_is_told() {
    let scene = Scene::with("name: a\npath: out\nrepetitions: 1\ncommand: 'true'\nparams: {lr: 1}\n");
    scene.cw2("plan config.yml").expect(0);
    // The same parameters, swept now: another directory.
    scene.write("config.yml", "name: a\npath: out\nrepetitions: 1\ncommand: 'true'\ngrid: {lr: [1, 2]}\n");
    let told = scene.cw2("plan --diff config.yml").expect(0);
    assert!(
        told.stdout.contains("the same as another one (1 run):\n  a__l1 does what a (out/plans/001) does\n"),
        "{}",
        told.stdout
    );
    // Another command does something else.
    scene.write("config.yml", "name: a\npath: out\nrepetitions: 1\ncommand: 'false'\ngrid: {lr: [1, 2]}\n");
    let told = scene.cw2("plan --diff config.yml").expect(0);
    assert!(!told.stdout.contains("the same as"), "{}", told.stdout);
}

#[test]
fn each_experiment_is_compared_with_the_newest_plan_that_has_it() {
    let scene = Scene::with(&format!("{OLD}---\nname: b\npath: out\nrepetitions: 1\ncommand: exit 1\n"));
    scene.cw2("run config.yml").expect(1);
    // Neither a plan of one experiment nor one of what is missing hides the others.
    scene.cw2("plan config.yml -o -e a").expect(0);
    scene.cw2("retry out --assume-dead").expect(0);
    let same = scene.cw2("plan --diff config.yml").expect(0).silent();
    assert_eq!(same.stderr, "nothing differs from out/plans/002, out/plans/001: 4 runs as before\n");
    // With one experiment alone, the other one is not gone.
    scene.cw2("plan --diff config.yml -e a").expect(0).silent();
    scene.write("config.yml", OLD);
    scene.cw2("plan --diff config.yml").expect(0).silent();
    scene.cw2("plan --diff config.yml -o").expect(2).silent();
    scene.cw2("plan --json config.yml").expect(2).silent();
    // A plan that cannot be read hides no other one.
    scene.write("out/plans/002/plan.json", "{");
    scene.cw2("plan --diff config.yml").expect(0).says(["warning: a plan is left out, as it cannot be read"]);
}

#[test]
fn what_is_finished_is_listed() {
    let scene =
        Scene::with("name: a\npath: out\nrepetitions: 2\ncommand: test {{ params.x }} != 1\ngrid: {x: [0, 1]}\n");
    scene.cw2("run config.yml").expect(1);
    let listed = |words: &str| -> Vec<(String, u64, u64)> {
        let lines = scene.cw2(&format!("list --json {words}")).expect(0).json_lines();
        lines
            .iter()
            .map(|line| {
                (line["run"].as_str().unwrap().to_owned(), line["rep"].as_u64().unwrap(), line["job"].as_u64().unwrap())
            })
            .collect()
    };
    let (done, rest) = (
        [("a__x0".to_owned(), 0, 0), ("a__x0".to_owned(), 1, 1)],
        [("a__x1".to_owned(), 0, 2), ("a__x1".to_owned(), 1, 3)],
    );
    for source in ["config.yml", "out/plans/001"] {
        assert_eq!(listed(&format!("{source} --finished")), done);
        assert_eq!(listed(&format!("{source} --unfinished")), rest);
    }
    // Finished with other parameters is not finished here.
    scene.write(
        "config.yml",
        "name: a\npath: out\nrepetitions: 2\ncommand: 'true'\nparams: {y: 1}\ngrid: {x: [0, 1]}\n",
    );
    assert_eq!(listed("config.yml --finished"), []);
    assert_eq!(listed("config.yml --unfinished").len(), 4);
    assert_eq!(listed("out/plans/001 --finished"), done);
    scene.cw2("list config.yml --finished --unfinished").expect(2).silent();
    // An empty list has its head, and is no error.
    assert_eq!(scene.cw2("list config.yml --finished").expect(0).stdout.lines().count(), 1);
}

#[test]
fn every_listing_is_json_on_request() {
    let scene = Scene::with("name: a\npath: out\nrepetitions: 1\ncommand: exit 1\n");
    scene.cw2("run config.yml").expect(1);
    for words in [
        "list config.yml",
        "show config.yml",
        "status",
        "results",
        "plan --diff config.yml",
        "forget out -e a -n",
        "retry out --assume-dead -n",
    ] {
        let lines = scene.cw2(&format!("{words} --json")).expect(0).json_lines();
        assert!(!lines.is_empty() && lines.iter().all(serde_json::Value::is_object), "{words}: {lines:?}");
    }
    let forgotten = scene.cw2("forget out -e a --json -q").expect(0).json_lines();
    assert_eq!(forgotten, [json!({"runs": ["out/a"], "repetitions": 1})]);
}
