//! What is left of a repetition when its command has ended: it has the grace, it is found wherever it hides, and nothing
//! else is taken for it.

use crate::support::{Call, Scene, alive, wait_until};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

const PLAN: &str = "out/plans/001";

/// Saves its work when it is told to end, which takes longer than the shell that started it lives.
const TRAINER: &str = "#!/bin/sh
trap 'sleep 0.3; echo checkpoint >> saved; exit 0' TERM
echo $PPID > started
while :; do sleep 0.01; done
";

/// One repetition that runs the trainer in this way.
fn trained(by: &str) -> Scene {
    let scene = Scene::with(&format!("name: a\npath: out\nrepetitions: 1\n{by}"));
    scene.write_program("trainer", TRAINER);
    scene.plan();
    scene
}

fn worker(scene: &Scene) -> Call {
    scene.call(["worker", "--plan", PLAN, "--index", "0"])
}

fn pid(scene: &Scene, file: &str) -> Pid {
    Pid::from_raw(scene.read(file).trim().parse().expect("a pid"))
}

#[test]
fn what_a_shell_started_may_save_its_work_too() {
    for command in ["./trainer; rc=$?; echo done; exit $rc", "./trainer | cat", "./trainer & wait"] {
        let scene = trained(&format!("command: {command}\n"));
        let running = worker(&scene).start();
        wait_until("its start", || !scene.lines("started").is_empty());
        running.signal(Signal::SIGTERM);
        running.end().expect(75).says(["1 interrupted"]);
        assert_eq!(scene.lines("saved"), ["checkpoint"], "{command}");
    }
}

#[test]
fn what_a_shell_started_may_save_its_work_after_a_timeout() {
    let scene = trained("timeout: 1\ncommand: ./trainer | cat\n");
    worker(&scene).run().expect(1).says(["1 timed out"]);
    assert_eq!(scene.lines("saved"), ["checkpoint"]);
}

#[test]
fn what_a_shell_started_may_save_its_work_where_all_are_signalled() {
    // Slurm signals every process of a job: the shell has ended before its worker knows why.
    let scene = trained("command: ./trainer; exit 1\n");
    let running = worker(&scene).start();
    wait_until("its start", || !scene.lines("started").is_empty());
    killpg(pid(&scene, "started"), Signal::SIGTERM).expect("the group is there");
    running.signal(Signal::SIGTERM);
    running.end().expect(75).says(["1 interrupted"]);
    assert!(!scene.lines("saved").is_empty());
}

#[test]
fn the_grace_of_what_a_shell_started_ends() {
    let scene = trained("command: ./deaf; exit 1\n");
    scene.write_program("deaf", "#!/bin/sh\ntrap '' TERM\necho $$ > started\nwhile :; do sleep 0.01; done\n");
    let running = worker(&scene).args(["--grace", "0.2"]).start();
    wait_until("its start", || !scene.lines("started").is_empty());
    running.signal(Signal::SIGTERM);
    running.end().expect(75).says(["1 interrupted"]);
    assert!(!alive(&scene.lines("started")[0]));
}

#[test]
fn what_outlives_its_shell_is_not_waited_for() {
    let scene = trained("command: ./trainer & until [ -e started ]; do sleep 0.01; done\n");
    worker(&scene).args(["--grace", "3600"]).run().expect(0).says(["1 completed"]);
    assert_eq!(scene.lines("saved"), Vec::<String>::new());
}
