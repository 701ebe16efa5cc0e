//! What runs before and after the repetitions: `venv`, `sh_lines`, `sh_lines_after`; in a job's script and in `cw2 run`.

use crate::plan::assert_sound;
use crate::support::{Call, Running, Scene, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::path::Path;

/// One repetition, with lines before and after it.
fn with(slurm: &Value, command: &str) -> Scene {
    let mut slurm = slurm.clone();
    slurm["name"] = "SLURM".into();
    let experiment = json!({"name": "e", "path": "out", "repetitions": 1, "command": command});
    Scene::with(&format!("{slurm}\n---\n{experiment}\n"))
}

/// The script, as Slurm calls it.
fn script(scene: &Scene) -> Call {
    let script = scene.plan().remove(0);
    Call::new("bash", scene.root()).args([&script]).env("SLURM_ARRAY_TASK_ID", "0")
}

/// Says what it is told, and takes its time to end.
const PATIENT: &str = "trap 'echo told >>said; sleep 0.3; echo saved >>said; exit 0' TERM INT; touch began; while [ ! -e go ]; do sleep 0.02; done";

const AFTER: &str = "echo after $CW2_EXIT_CODE >>said";

#[test]
fn lines_after_the_worker_see_what_those_before_left_and_change_nothing_of_its_end() {
    let before = ["PLACE=here; says() { echo \"$1 $PLACE\" >>said; }", "set -eu"];
    let after = ["says 'it'\\''s after'", "echo $CW2_EXIT_CODE >>said", "false", "}; echo \"$(echo '}')\" >>said"];
    let scene = with(&json!({"sh_lines": before, "sh_lines_after": after[..2]}), "echo rep >>said");
    script(&scene).run().expect(0);
    assert_eq!(scene.read("said"), "rep\nit's after here\n0\n");
    // A line that cannot be read is told of; so is how they end.
    let scene = with(&json!({"sh_lines_after": after[3]}), "exit 4");
    let outcome = script(&scene).run().expect(1);
    assert!(outcome.stderr.contains("syntax error"), "{}", outcome.stderr);
    outcome.says(["cw2: `sh_lines_after` end with exit status "]);
    assert!(!scene.has("said"));
    let scene = with(&json!({"sh_lines_after": ["exit 9"]}), "true");
    script(&scene).run().expect(0).says(["cw2: `sh_lines_after` end with exit status 9\n"]);
}

#[test]
fn lines_after_run_where_those_before_fail() {
    for before in ["false", "exit 7", "kill -TERM $$; sleep 1"] {
        let scene = with(&json!({"sh_lines": before, "sh_lines_after": AFTER}), "echo rep >>said");
        let code = match before {
            "false" => 3,
            "exit 7" => 7,
            _ => 75,
        };
        script(&scene).run().expect(code);
        assert_eq!(scene.read("said"), format!("after {code}\n"), "{before}");
    }
    let scene = with(&json!({"venv": "./nowhere", "sh_lines_after": AFTER}), "echo rep >>said");
    script(&scene).run().expect(3).says(["cannot be activated"]);
    assert_eq!(scene.read("said"), "after 3\n");
}

/// Waits until the repetition runs; returns its worker.
fn worker_of(scene: &Scene) -> Pid {
    wait_until("it begins", || scene.has("began") && scene.has("out/e/log/rep_00/status.json"));
    let pid = scene.status("out/e/log/rep_00")["pid"].as_i64().expect("a pid");
    Pid::from_raw(pid.try_into().expect("a pid"))
}

#[test]
fn a_signal_to_the_shell_reaches_the_worker_and_one_to_all_counts_once() {
    for (shell, worker) in [(true, false), (false, true), (true, true)] {
        let scene = with(&json!({"sh_lines_after": AFTER}), PATIENT);
        let job: Running = script(&scene).start();
        let pid = worker_of(&scene);
        if shell {
            job.signal(Signal::SIGTERM);
        }
        if worker {
            kill(pid, Signal::SIGTERM).expect("the worker is there");
        }
        job.end().expect(75);
        assert_sound(&scene.path("out/plans/001/sbatch.sh"));
        assert_eq!(scene.read("said"), "told\nsaved\nafter 75\n", "{shell} {worker}");
        assert_eq!(scene.state("out/e/log/rep_00"), "interrupted");
    }
}

#[test]
fn what_is_told_often_enough_is_killed_and_the_lines_after_run() {
    let scene = with(&json!({"sh_lines_after": AFTER}), "trap '' TERM; touch began; while :; do sleep 0.02; done");
    let job = script(&scene).start();
    let pid = worker_of(&scene);
    for _ in 0..3 {
        kill(pid, Signal::SIGTERM).expect("the worker is there");
        // The kernel keeps one of a kind.
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    job.end().expect(75);
    assert_eq!(scene.read("said"), "after 75\n");
    let scene = with(&json!({"sh_lines_after": AFTER}), "touch began; sleep 60");
    let job = script(&scene).start();
    kill(worker_of(&scene), Signal::SIGKILL).expect("the worker is there");
    job.end().expect(137);
    assert_eq!(scene.read("said"), "after 137\n");
}

#[test]
fn a_run_on_this_machine_has_the_lines_around_it() {
    let before = ["export SAID=before", "F=file"];
    let scene = with(&json!({"sh_lines": before}), "echo $SAID >>said");
    let ran = scene.cw2("run config.yml").expect(0);
    assert_eq!(ran.err(), "1 experiment, 1 run, 1 repetition to do in 1 job (1 array)\n1 repetition: 1 completed\n");
    assert_eq!(scene.read("said"), "before\n");
    let scene = with(&json!({"sh_lines": before, "sh_lines_after": ["echo $F $CW2_EXIT_CODE >>said"]}), "exit 1");
    scene.cw2("run config.yml").expect(1);
    assert_eq!(scene.read("said"), "file 1\n");
    scene.cw2("run config.yml --no-setup").expect(1);
    assert_eq!(scene.read("said"), "file 1\n");

    let scene = with(&json!({"sh_lines": "module load x", "sh_lines_after": AFTER}), "echo rep >>said");
    let failed = scene.cw2("run config.yml").expect(3).silent();
    failed.says(["`sh_lines` end with exit status 127: module load x", "nothing is started", "`--no-setup`"]);
    assert_eq!(scene.read("said"), "after 3\n");
    assert!(!scene.has("out"), "nothing is planned");
    scene.cw2("run config.yml --no-setup").expect(0);

    let scene = with(&json!({"venv": "./env"}), "echo $ACTIVE >>said");
    scene.cw2("run config.yml").expect(3).says(["the environment ./env cannot be activated", "`--no-setup`"]);
    scene.write("env/bin/activate", "export ACTIVE=yes\n");
    scene.cw2("run config.yml").expect(0);
    assert_eq!(scene.read("said"), "yes\n");
}

#[test]
fn experiments_of_different_environments_are_run_one_by_one() {
    let scene = Scene::with(
        "name: SLURM\nsh_lines: export X=1\n---\nname: e\npath: out\nrepetitions: 1\ncommand: echo e$X >>said\n---\n\
         name: f\npath: out\nrepetitions: 1\ncommand: echo f$X >>said\nslurm: {sh_lines: export X=2}\n",
    );
    scene.cw2("run config.yml").expect(2).says(["the experiments `e` and `f` have different", "`-e`", "`--no-setup`"]);
    scene.cw2("run config.yml -e e").expect(0);
    scene.cw2("run config.yml -e f").expect(0);
    assert_eq!(scene.read("said"), "e1\nf2\n");
    // A pipe is read once.
    let told = Call::new("bash", scene.root())
        .args(["-c", "\"$0\" run <(cat config.yml) -o -e e", crate::support::CW2])
        .run()
        .expect(0);
    told.says([
        "warning: `venv`, `sh_lines` and `sh_lines_after` are left out: this configuration can be read only once",
    ]);
    assert_eq!(scene.read("said"), "e1\nf2\ne\n");
}

#[test]
fn an_interrupted_run_ends_with_the_lines_after_it() {
    let scene = with(&json!({"sh_lines_after": AFTER}), PATIENT);
    let run = scene.call(["run", "config.yml"]).start();
    let pid = worker_of(&scene);
    // As from a terminal: all are told.
    run.signal(Signal::SIGINT);
    kill(pid, Signal::SIGINT).expect("the worker is there");
    run.end().expect(75);
    assert_eq!(scene.read("said"), "told\nsaved\nafter 75\n");
}

#[test]
fn a_repetition_by_hand_has_them_too() {
    let scene = with(&json!({"sh_lines": "export SAID=before", "sh_lines_after": AFTER}), "echo $SAID >>said");
    scene.plan();
    let submitted =
        r#"{"format": 1, "submissions": [{"array": 0, "token": "x", "job": 7, "submitted": "2026-01-01T00:00:00Z"}]}"#;
    scene.write("out/plans/001/submissions.json", submitted);
    scene.cw2("exec out --rep 0").expect(0);
    assert_eq!(scene.read("said"), "before\nafter 0\n");
    let line = scene.cw2("exec out --rep 0 --print").expect(0).stdout;
    let said = Call::new("bash", Path::new("/")).args(["-c", &format!("cd {}\n{line}", scene.root().display())]).run();
    said.expect(0);
    assert_eq!(scene.read("said"), "before\nafter 0\nbefore\nafter 0\n");
}
