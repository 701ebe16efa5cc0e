//! Plans that are not what was written: refused where they are obeyed, named and left out where others are told.

use crate::support::{Scene, tree};
use serde_json::json;
use std::fs;

const CONFIG: &str = "name: e
path: out
repetitions: 2
reps_per_job: 2
grid: {lr: [1, 2]}
command: echo {{ params.lr }} {{ rep }}
---
name: f
path: out
repetitions: 1
command: echo f
setting: a
";

const PLAN: &str = "out/plans/001";

impl Scene {
    /// Exchanges texts in a file of the plan.
    fn edit(&self, name: &str, from: &str, to: &str) {
        let name = format!("{PLAN}/{name}");
        let text = self.read(&name);
        assert!(text.contains(from), "{text}");
        self.write(&name, text.replacen(from, to, 1));
    }

    /// The lines of a file of the plan in the reverse order.
    fn reverse(&self, name: &str) {
        let name = format!("{PLAN}/{name}");
        let text = self.read(&name);
        self.write(&name, text.split_inclusive('\n').rev().collect::<String>());
    }
}

#[test]
fn a_damaged_plan_never_runs_another_command() {
    type Damage = fn(&Scene);
    let cases: [(&str, Damage); 8] = [
        ("params.jsonl", |scene| scene.edit("params.jsonl", "\"lr\":1", "\"lr\":3")),
        ("params.jsonl", |scene| scene.reverse("params.jsonl")),
        ("runs.jsonl", |scene| scene.reverse("runs.jsonl")),
        ("jobs.jsonl", |scene| scene.edit("jobs.jsonl", "[0,2,0,2]", "[1,2,0,2]")),
        ("experiments.jsonl", |scene| scene.edit("experiments.jsonl", "echo", "evil")),
        ("settings.jsonl", |scene| scene.edit("settings.jsonl", "echo", "evil")),
        ("plan.json", |scene| scene.edit("plan.json", "\"overwrite\": false", "\"overwrite\": true")),
        ("runs.idx", |scene| {
            fs::remove_file(scene.path(format!("{PLAN}/runs.idx"))).expect("the index");
        }),
    ];
    for (name, damage) in cases {
        let scene = Scene::with(CONFIG);
        scene.plan();
        damage(&scene);
        let before = scene.tree();
        let refused = scene.worker(PLAN, 0).expect(3).silent();
        refused.says([name, "the plan was changed or damaged", "plan its configuration again"]);
        assert_eq!(scene.tree(), before, "nothing was started");
    }
}

#[test]
fn a_flipped_byte_is_refused_or_changes_nothing() {
    let scene = Scene::with(CONFIG);
    scene.plan();
    let results = ["out/e", "out/f", "out/plans/001/begun"];
    // What the worker of element 1 does: its exit code, and what its repetitions printed with which parameters.
    let work = || {
        let outcome = scene.worker(PLAN, 1);
        let told = (outcome.code, outcome.signal);
        let of = |rep: u32| {
            let dir = format!("out/e/e__l2/log/rep_{rep:02}");
            [format!("{dir}/out.log"), format!("{dir}/config.yml")].map(|name| fs::read(scene.path(name)).ok())
        };
        let done = (told, of(0), of(1));
        let left = scene.has("out/e") || scene.has("out/f") || scene.has("out/plans/001/begun");
        for name in results {
            let path = scene.path(name);
            // Not all of them are there.
            let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        }
        (done, left, outcome.stderr)
    };
    let (whole, ..) = work();
    assert_eq!(whole.0, (Some(0), None));
    for name in tree(&scene.path(PLAN)).iter().filter(|name| !name.ends_with('/')) {
        let path = scene.path(PLAN).join(name);
        let bytes = fs::read(&path).expect("a file of the plan");
        for at in (0..bytes.len()).step_by(bytes.len() / 10 + 1) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).expect("the damaged file");
            let (found, left, stderr) = work();
            let refused = found.0 == (Some(3), None) && !left;
            assert!(refused || found == whole, "byte {at} of {name}: {found:?}\n{stderr}");
        }
        fs::write(&path, bytes).expect("the file as it was");
    }
    assert_eq!(work().0, whole);
}

#[test]
fn a_damaged_line_is_told_by_its_number_and_harms_only_its_own_job() {
    let scene = Scene::with(CONFIG);
    scene.plan();
    scene.edit("params.jsonl", "\"lr\":2", "\"lr\":9");
    scene.worker(PLAN, 0).expect(0);
    scene.worker(PLAN, 2).expect(0);
    let refused = scene.worker(PLAN, 1).expect(3);
    assert_eq!(
        refused.err().lines().last(),
        Some(
            "error: cannot use `[HERE]/out/plans/001/params.jsonl`: line 2: it is not what was planned; the plan was changed \
             or damaged since it was made: plan its configuration again, which leaves out what is finished"
        )
    );
}

#[test]
fn a_job_without_end_is_no_work_without_end() {
    let scene = Scene::with(CONFIG);
    scene.queue(&[]);
    scene.plan();
    scene.edit("jobs.jsonl", "[0,2,0,2]", "[0,4294967295,0,2]");
    for words in ["status", "status --json", "logs --failed", "retry out", "list out/plans/001", "submit out/plans/001"]
    {
        scene.cluster(words).expect(3).silent().says(["jobs.jsonl", "plan its configuration again"]);
    }
}

#[test]
fn one_damaged_plan_is_named_and_the_rest_goes_on() {
    let scene = Scene::with(CONFIG);
    scene.queue(&[]);
    scene.cw2("run config.yml").expect(0);
    scene.write("config.yml", CONFIG.replace("[1, 2]", "[1, 2, 3]").replace("echo {{ params.lr }}", "false"));
    scene.cw2("run config.yml").expect(1);
    scene.write("config.yml", CONFIG.replace("[1, 2]", "[1, 2, 3, 4]"));
    scene.plan();
    for (plan, damaged) in [("003", "jobs.idx"), ("003", "plan.json"), ("003", "runs.jsonl")] {
        let path = scene.path(format!("out/plans/{plan}/{damaged}"));
        let whole = fs::read(&path).expect("a file of the plan");
        fs::write(&path, &whole[..whole.len() / 2]).expect("the damaged file");
        let named = ["skipping a plan", &format!("out/plans/{plan}/{damaged}")];

        let status = scene.cluster("status").expect(0).says(named);
        assert!(status.stdout.contains("CRASHED"), "{}", status.stdout);
        let status = scene.cluster("status --json").expect(0).json_lines().remove(0);
        assert_eq!((&status["total"]["total"], &status["total"]["crashed"]), (&json!(7), &json!(2)));
        let unreadable = status["unreadable_plans"][0].as_str().expect("a sentence");
        assert!(unreadable.contains(damaged), "{unreadable}");
        scene.cluster("logs --failed").expect(0).says(named);
        scene.cluster("logs -r e__l1 --rep 0").expect(0).says(named);
        let retried = scene.cluster("retry out --json -n").expect(0).says(named).json_lines().remove(0);
        assert_eq!((&retried["retried"], &retried["jobs"]), (&json!({"crashed": 2}), &json!(1)));
        assert!(retried["unreadable_plans"][0].as_str().is_some_and(|why| why.contains(damaged)), "{retried}");
        // It was not submitted: what it holds is planned like anything that is not done.
        scene.cw2("plan -n config.yml").expect(0).says(["4 repetitions to do"]);
        // Even where it is in the queue, it keeps no other plan from being submitted.
        scene.queue(&[(7, "0", "PENDING", "out/plans/003/sbatch.sh")]);
        scene.cluster("submit --test-only out/plans/002").expect(3).says(["sbatch"]);
        scene.cluster("submit out/plans/002").expect(3).says(["sbatch"]);
        scene.queue(&[]);
        // Named itself, it is an error.
        scene.cluster("status out/plans/003").expect(3).silent().says([damaged]);
        fs::write(&path, whole).expect("the file as it was");
    }
    assert!(!tree(&scene.path("out/plans")).iter().any(|name| name.starts_with("004")));
}
