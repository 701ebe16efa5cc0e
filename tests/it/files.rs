//! Pipes, devices, folders and links where a file is expected: nothing waits, nothing is read without end, and what is bad is
//! named while the rest goes on.

use crate::support::{CW2, Call, Outcome, Scene};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// The most memory a call may take, in KiB: without a cap, `/dev/zero` takes all there is.
const MEMORY: &str = "2000000";

/// What may be where a file is expected.
#[derive(Debug, Clone, Copy)]
enum Trap {
    Fifo,
    Zero,
    Folder,
    Loop,
}

impl Trap {
    const ALL: [Trap; 4] = [Trap::Fifo, Trap::Zero, Trap::Folder, Trap::Loop];

    /// Puts it in the place of what is there.
    fn set(self, path: &Path) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        // There may be nothing yet.
        let _ = fs::remove_file(path);
        match self {
            Trap::Fifo => mkfifo(path, Mode::S_IRWXU).expect("a FIFO"),
            Trap::Zero => symlink("/dev/zero", path).expect("a link"),
            Trap::Folder => fs::create_dir(path).expect("a folder"),
            Trap::Loop => symlink(path, path).expect("a link"),
        }
    }

    /// How messages call it.
    fn word(self) -> &'static str {
        match self {
            Trap::Fifo => "is a FIFO, not a file",
            Trap::Zero => "is a device, not a file",
            Trap::Folder => "is a directory, not a file",
            Trap::Loop => "symbolic links",
        }
    }
}

/// A call that is killed where it takes all memory or waits for ever.
fn cw2(scene: &Scene, words: &str) -> Outcome {
    let script = format!("ulimit -v {MEMORY}; exec timeout -s KILL 60 \"$0\" {words}");
    Call::new("sh", scene.root()).args(["-c", &script, CW2]).run()
}

const CONFIG: &str = "name: e\npath: out\nrepetitions: 3\nreps_per_job: 3\ncommand: 'echo $CW2_REP >> ran'\n";

#[test]
fn a_bad_status_is_named_and_counted_and_the_rest_goes_on() {
    for trap in Trap::ALL {
        let scene = Scene::with(CONFIG);
        let bad = scene.path("out/e/log/rep_01/status.json");
        trap.set(&bad);
        let named = |outcome: Outcome| outcome.says(["rep_01/status.json", trap.word()]);
        named(cw2(&scene, "plan config.yml").expect(0));
        // Neither run nor taken for finished.
        named(cw2(&scene, "worker --plan out/plans/001 --index 0").expect(1)).says(["1 refused", "2 completed"]);
        assert_eq!(scene.lines("ran"), ["0", "2"], "{trap:?}");
        let json = named(cw2(&scene, "status --json").expect(0)).json_lines().remove(0);
        assert_eq!((json["total"]["completed"].clone(), json["total"]["unreadable"].clone()), (2.into(), 1.into()));
        assert!(json["unreadable"][0].as_str().expect("a sentence").contains(trap.word()), "{json}");
        assert!(named(cw2(&scene, "status").expect(0)).stdout.contains("UNREADABLE"));
        named(cw2(&scene, "logs --tail 1").expect(0));
        named(cw2(&scene, "logs --failed").expect(0));
        let outcome = named(cw2(&scene, "retry --assume-dead out/plans/001").expect(0).silent());
        outcome.says(["left out: 2 completed, 1 unreadable", "nothing to retry"]);
        assert!(bad.symlink_metadata().is_ok(), "{trap:?}: it was replaced");
    }
}

#[test]
fn what_a_repetition_finds_in_its_directory_stops_no_other() {
    for name in ["config.yml", "out.log", "err.log", "surrender.json"] {
        for trap in [Trap::Fifo, Trap::Zero] {
            let scene = Scene::with(CONFIG);
            scene.plan();
            trap.set(&scene.path("out/e/log/rep_01").join(name));
            let outcome = cw2(&scene, "worker --plan out/plans/001 --index 0");
            assert!(outcome.code.is_some_and(|code| code <= 1), "{name} {trap:?}: {outcome:?}");
            assert_eq!(
                (scene.state("out/e/log/rep_00"), scene.state("out/e/log/rep_02")),
                ("completed".into(), "completed".into())
            );
            // A payload of before is removed, whatever it is; all else is told.
            if name == "surrender.json" {
                assert_eq!(scene.state("out/e/log/rep_01"), "completed", "{trap:?}");
            } else {
                outcome.says(["rep_01", trap.word()]);
                assert!(!scene.has("out/e/log/rep_01/status.json"));
            }
            for words in ["status", "logs --rep 1", "logs --rep 1 --err"] {
                let outcome = cw2(&scene, words);
                assert!(outcome.signal.is_none(), "{name} {trap:?} {words}: {outcome:?}");
            }
        }
    }
}

#[test]
fn a_payload_that_is_no_file_crashes_its_repetition_alone() {
    for (make, expected) in [
        ("mkfifo \"$CW2_SURRENDER\"", "is a FIFO, not a file"),
        ("ln -s /dev/zero \"$CW2_SURRENDER\"", "is a device, not a file"),
        ("truncate -s 1T \"$CW2_SURRENDER\"", "larger than 4 MiB"),
    ] {
        let scene = Scene::with(&format!(
            "name: e\npath: out\nrepetitions: 2\nreps_per_job: 2\ntimeout: 20\ncommand: '{make}'\n"
        ));
        scene.plan();
        cw2(&scene, "worker --plan out/plans/001 --index 0").expect(1).says(["2 crashed", expected]);
    }
}

#[test]
fn configurations_imports_and_templates_are_files() {
    for trap in Trap::ALL {
        let scene = Scene::with("name: e\npath: out\nrepetitions: 1\nimport_path: base.yml\ncommand: 'true'\n");
        trap.set(&scene.path("base.yml"));
        cw2(&scene, "plan config.yml").expect(2).says(["base.yml", trap.word()]);
        let scene = Scene::with(
            "name: SLURM\npath_to_template: t.sh\n---\nname: e\npath: out\nrepetitions: 1\ncommand: 'true'\n",
        );
        trap.set(&scene.path("t.sh"));
        let outcome = cw2(&scene, "plan config.yml");
        assert_eq!(outcome.code, Some(2), "{trap:?}: {}", outcome.stderr);
        outcome.says(["t.sh"]);
    }
    for path in ["/dev/zero", "out"] {
        let scene = Scene::new();
        fs::create_dir(scene.path("out")).expect("a folder");
        cw2(&scene, &format!("plan {path}")).expect(2).says([path, "not a file"]);
    }
}

#[test]
fn a_configuration_may_come_through_a_pipe_that_the_user_names() {
    let scene = Scene::with(CONFIG);
    for words in ["cat config.yml | \"$0\" plan /dev/stdin", "bash -c '\"$0\" plan <(cat config.yml)' \"$0\""] {
        let outcome = Call::new("sh", scene.root()).args(["-c", words, CW2]).run().expect(0);
        assert!(outcome.stdout.contains("out/plans/00"), "{outcome:?}");
    }
}

#[test]
fn what_is_found_in_a_plan_s_folder_is_named() {
    for name in ["submissions.json", "plan.json", "jobs.jsonl", "jobs.idx", "runs.jsonl"] {
        for trap in [Trap::Fifo, Trap::Zero] {
            let scene = Scene::with(CONFIG);
            scene.plan();
            trap.set(&scene.path("out/plans/001").join(name));
            for words in ["status", "logs --rep 0", "worker --plan out/plans/001 --index 0"] {
                let outcome = cw2(&scene, words);
                assert!(outcome.signal.is_none() && outcome.code.is_some(), "{name} {trap:?} {words}: {outcome:?}");
            }
        }
    }
}
