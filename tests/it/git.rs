//! What a plan records of the repository the code came from, in all the circumstances git may be in.

use crate::support::{Call, Scene, is_root};
use serde_json::{Value, json};
use std::path::Path;

const CONFIG: &str = "name: e\npath: out\nrepetitions: 1\ncommand: 'true'\n";

impl Scene {
    fn git(&self, words: &str) -> String {
        let name = ["-c", "user.name=u", "-c", "user.email=u@example.org", "-c", "init.defaultBranch=main"];
        Call::new("git", self.root()).args(name).args(words.split_whitespace()).run().expect(0).stdout
    }

    /// Plans, and returns what was recorded.
    fn record(&self, call: impl FnOnce(Call) -> Call) -> Value {
        let outcome = call(self.call(["plan", "config.yml", "-o"])).run().expect(0);
        let plan = Path::new(outcome.stdout.trim_end()).parent().unwrap();
        let text = std::fs::read_to_string(plan.join("git.json")).unwrap();
        let record: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(record["diff"].is_string(), plan.join("git.diff").exists());
        record
    }

    fn repository() -> Self {
        let scene = Scene::with(CONFIG);
        scene.write("main.py", "one\n");
        scene.git("init -q");
        scene.git("add main.py config.yml");
        scene.git("commit -q -m first");
        scene
    }
}

fn unknown(scene: &Scene, note: &str) -> Value {
    json!({
        "format": 2, "directory": scene.root(), "repository": null, "commit": null, "branch": null, "dirty": null,
        "diff": null, "notes": [note],
    })
}

#[test]
fn a_clean_tree_is_its_commit() {
    let scene = Scene::repository();
    let expected = json!({
        "format": 2, "directory": scene.root(), "repository": scene.root(), "commit": scene.git("rev-parse HEAD").trim_end(),
        "branch": "main", "dirty": false, "diff": null, "notes": [],
    });
    // A hook's environment leads to another repository; the results of the first plan are no news.
    for hook in ["", "/nowhere/.git"] {
        let record = scene.record(|call| if hook.is_empty() { call } else { call.env("GIT_DIR", hook) });
        assert_eq!(record, expected);
    }
}

#[test]
fn a_changed_tree_is_recorded_so_that_it_can_be_had_again() {
    let scene = Scene::repository();
    scene.write("main.py", "two\n");
    scene.write("bin", b"\0\xff\n");
    scene.write("staged", "x\n");
    scene.write("new one", "");
    scene.git("add bin staged");
    // Settings that would give a diff of another form.
    scene.git("config color.ui always");
    scene.git("config diff.noprefix true");
    scene.git("config diff.external false");
    let index = std::fs::read(scene.path(".git/index")).unwrap();
    let record = scene.record(|call| call);
    assert_eq!(std::fs::read(scene.path(".git/index")).unwrap(), index);
    assert_eq!((&record["dirty"], &record["diff"]), (&json!(true), &json!("git.diff")));

    let diff = scene.path("out/plans/001/git.diff");
    scene.git("stash -q");
    scene.git(&format!("apply --index {}", diff.display()));
    assert_eq!((scene.read("main.py"), scene.read("staged")), ("two\n".to_owned(), "x\n".to_owned()));
    assert_eq!(std::fs::read(scene.path("bin")).unwrap(), b"\0\xff\n");
}

#[test]
fn a_detached_head_has_no_branch() {
    let scene = Scene::repository();
    scene.git("checkout -q --detach");
    assert_eq!(scene.record(|call| call)["branch"], Value::Null);
}

#[test]
fn a_large_difference_is_cut_and_says_so() {
    let scene = Scene::repository();
    scene.write("main.py", "0123456789\n".repeat(600_000));
    let record = scene.record(|call| call);
    let note = "git.diff has only the first 5000000 bytes of the differences; it cannot be applied";
    assert_eq!(record["notes"], json!([note]));
    assert_eq!(std::fs::metadata(scene.path("out/plans/001/git.diff")).unwrap().len(), 5_000_000);
}

#[test]
fn without_a_repository_or_git_a_plan_is_made_all_the_same() {
    let scene = Scene::with(CONFIG);
    let ceiling = |call: Call| call;
    assert_eq!(scene.record(ceiling), unknown(&scene, "not a git repository"));
    assert_eq!(scene.record(|call| call.env("PATH", "/nowhere")), unknown(&scene, "git is not installed"));
}

#[test]
fn a_repository_without_a_commit_is_recorded() {
    let scene = Scene::with(CONFIG);
    scene.git("init -q");
    let record = scene.record(|call| call);
    assert_eq!((&record["commit"], &record["branch"]), (&Value::Null, &json!("main")));
    assert_eq!(record["notes"], json!(["the repository has no commit yet"]));
}

#[test]
fn a_repository_that_git_refuses_is_recorded() {
    if !is_root("a_repository_that_git_refuses_is_recorded") {
        return;
    }
    let scene = Scene::repository();
    for path in ["", ".git"] {
        std::os::unix::fs::chown(scene.path(path), Some(12345), None).unwrap();
    }
    let record = scene.record(|call| call);
    let note = record["notes"][0].as_str().unwrap();
    assert!(note.starts_with("git refuses: detected dubious ownership in repository at"), "{note}");
    assert_eq!(record["commit"], Value::Null);
}

#[test]
fn the_repository_of_the_copied_code_counts() {
    let scene = Scene::repository();
    let work = Scene::with(&format!(
        "name: SLURM\nexperiment_copy_src: {}\nexperiment_copy_auto_dst: copies\n---\n{CONFIG}",
        scene.root().display()
    ));
    let record = work.record(|call| call);
    assert_eq!(record["repository"], json!(scene.root()));
    work.call(["run", "config.yml", "-o"]).run().expect(0);
    let text = work.read("out/plans/002/git.json");
    assert!(text.contains("not a git repository"), "{text}");
}
