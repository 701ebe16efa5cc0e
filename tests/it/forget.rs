//! `cw2 forget`, and plans that nothing came of: what `status` and `retry` count.

use crate::support::Scene;
use serde_json::Value;

/// Two values of `a`, of which 2 crashes.
const CONFIG: &str = "name: e\npath: out\nrepetitions: 2\ncommand: 'test {{ params.a }} != 2'\ngrid: {a: [1, 2]}\n";

fn total(scene: &Scene) -> (u64, u64, u64) {
    let status: Value = scene.cw2("status out --json").expect(0).json_lines().remove(0);
    let count = |key: &str| status["total"][key].as_u64().expect("a count");
    (count("total"), count("completed"), count("crashed"))
}

#[test]
fn what_is_forgotten_is_neither_counted_nor_retried_until_it_is_planned_again() {
    let scene = Scene::with(CONFIG);
    scene.cw2("run config.yml").expect(1);
    assert_eq!(total(&scene), (4, 2, 2));

    // Taken out of the configuration, it is still there.
    let without = CONFIG.replace("[1, 2]", "[1]");
    scene.write("config.yml", &without);
    let dry = scene.cw2("forget out --not-in config.yml -n").expect(0);
    assert_eq!((dry.stdout.as_str(), dry.stderr.as_str()), ("out/e/e__a2\n", "would forget 1 run (2 repetitions)\n"));
    assert_eq!(total(&scene), (4, 2, 2));
    let forgot = scene.cw2("forget out --not-in config.yml").expect(0);
    assert_eq!(forgot.stdout, "out/e/e__a2\n");
    assert_eq!(
        forgot.stderr,
        "forgot 1 run (2 repetitions): `status` and `retry` no longer count them; `--undo` brings them back\n"
    );
    assert_eq!(total(&scene), (2, 2, 0));
    scene.cw2("status out").expect(0).says(["2 repetitions are forgotten"]);
    scene.cw2("retry out").expect(0).says(["to retry: nothing"]).silent();
    scene
        .cw2("forget out --not-in config.yml")
        .expect(0)
        .says(["nothing of that counts: nothing was changed"])
        .silent();
    // Their files stay, and their logs can be read.
    assert_eq!(scene.state("out/e/e__a2/log/rep_00"), "crashed");
    scene.cw2("logs out -r e__a2 --rep 0 --err").expect(0);

    scene.cw2("forget out -r e__a2 --rep 1 --undo").expect(0).says(["1 run (1 repetition) count again"]);
    assert_eq!(total(&scene), (3, 2, 1));
    scene.cw2("forget out -e e -r *a2").expect(0);
    assert_eq!(total(&scene), (2, 2, 0));
    scene.write("config.yml", CONFIG);
    scene.cw2("run config.yml").expect(1);
    assert_eq!(total(&scene), (4, 2, 2));
    scene.cw2("forget out -r e__a2").expect(0);
    scene.cw2("forget out --undo").expect(0);
    assert_eq!(total(&scene), (4, 2, 2));
    assert!(!scene.has("out/plans/forgotten.json"));
}

#[test]
fn what_is_meant_must_be_said_and_must_not_run() {
    let scene = Scene::with(CONFIG);
    scene.plan();
    scene.cw2("forget out").expect(2).says(["say what is no longer wanted", "`--not-in CONFIG`"]).silent();
    scene.cw2("forget out -e f").expect(2).says(["there is no experiment `f`"]).silent();
    let waiting = "command: 'touch began; while [ -e config.yml ] && [ ! -e go ]; do sleep 0.01; done'\n";
    let scene = Scene::with(&format!("name: e\npath: out\nrepetitions: 1\n{waiting}"));
    let worker = scene.call(["run", "config.yml"]).start();
    crate::support::wait_until("it starts", || scene.has("out/e/log/rep_00/status.json"));
    scene
        .cw2("forget out -e e")
        .expect(2)
        .says(["1 repetition of that is queued or running, such as `out/e/log/rep_00`", "nothing was forgotten"])
        .silent();
    scene.write("go", "");
    worker.end().expect(0);
    // What cannot be read hides nothing.
    scene.write("out/plans/forgotten.json", "no JSON");
    scene.cw2("status out").expect(0).says(["what is forgotten is not known", "forgotten.json"]);
    assert_eq!(total(&scene).0, 1);
}

#[test]
fn a_changed_name_among_what_is_forgotten_is_told() {
    let scene = Scene::with(CONFIG);
    scene.cw2("run config.yml").expect(1);
    scene.cw2("forget out -r e__a2").expect(0);
    assert_eq!(total(&scene), (2, 2, 0));
    let text = scene.read("out/plans/forgotten.json");
    scene.write("out/plans/forgotten.json", text.replace("e__a2", "e__a1"));
    let told = "warning: what is forgotten is not known, so all of it counts: cannot use `[HERE]/out/plans/forgotten.json`: it is \
                not what was written; it was changed or damaged since `forget` wrote it: remove it, and everything counts until it \
                is forgotten anew\n";
    let status = scene.cw2("status out").expect(0);
    assert!(status.err().starts_with(told), "{}", status.stderr);
    assert_eq!(total(&scene), (4, 2, 2));
    let json = scene.cw2("status out --json").expect(0).json_lines().remove(0);
    assert_eq!(json["unreadable_forgotten"].as_array().map(Vec::len), Some(1), "{json}");
    assert_eq!(json["unreadable_plans"], serde_json::json!([]));
    // Nothing is added to what nobody can read.
    scene.cw2("forget out -r e__a2").expect(3).says(["forgotten.json", "remove it"]).silent();
    scene.cw2("forget out --undo").expect(3).says(["forgotten.json", "remove it"]).silent();
    std::fs::remove_file(scene.path("out/plans/forgotten.json")).expect("it is there");
    scene.cw2("forget out -r e__a2").expect(0);
    assert_eq!(total(&scene), (2, 2, 0));
}

#[test]
fn a_plan_that_nothing_came_of_counts_for_nothing() {
    let scene = Scene::with(CONFIG);
    scene.cw2("run config.yml").expect(1);
    // Looked at, and not submitted: another value, and everything anew.
    scene.write("config.yml", CONFIG.replace("[1, 2]", "[1, 3]"));
    scene.cw2("plan config.yml -o").expect(0);
    assert_eq!(total(&scene), (4, 2, 2));
    let note = "2 repetitions lie only in plan out/plans/002, which was never submitted: they are not counted";
    scene.cw2("status out").expect(0).says([note, "`cw2 submit out/plans/002`"]);
    let retry = scene.cw2("retry out -n").expect(0);
    assert!(retry.stderr.contains("to retry: 2 crashed\nleft out: 2 completed\n"), "{}", retry.stderr);
    // Where there is nothing else, it is what there is.
    let alone: Value = scene.cw2("status out/plans/002 --json").expect(0).json_lines().remove(0);
    assert_eq!((&alone["total"]["total"], &alone["total"]["pending"]), (&4.into(), &2.into()));
}
