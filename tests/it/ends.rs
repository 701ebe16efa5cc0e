//! What is left of a repetition when its command has ended: it has the grace, it is found wherever it hides, and nothing
//! else is taken for it.

use crate::support::{CW2, Call, Scene, alive, wait_until};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt as _;

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

/// Ends processes also where the test fails.
struct Ends(Vec<Pid>);

impl Drop for Ends {
    fn drop(&mut self) {
        // They may have ended by themselves.
        for pid in &self.0 {
            let _ = kill(*pid, Signal::SIGKILL);
        }
    }
}

/// Whether a process has become `sleep`.
fn sleeps(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n")
}

#[test]
fn what_ran_before_the_worker_is_no_repetition_s() {
    // As `sh_lines` start helpers. One of them starts another and ends, which makes that the worker's child late.
    let scene = Scene::with(
        "name: a
path: out
repetitions: 2
reps_per_job: 2
timeout: 20
command: |
  until [ -s helper ] && [ -s another ]; do sleep 0.01; done
  touch go
  until grep -qx \"PPid:[[:space:]]*$PPID\" /proc/$(cat another)/status; do sleep 0.01; done
  kill -0 $(cat helper) $(cat another) && echo served >> ran
",
    );
    scene.plan();
    scene.write_program("chain", "#!/bin/sh\nsleep 1000 &\necho $! > another\nuntil [ -e go ]; do sleep 0.01; done\n");
    let script = format!("sleep 1000 & echo $! > helper; ./chain & exec {CW2} worker --plan {PLAN} --index 0");
    let outcome = Call::new("sh", scene.root()).args(["-c", &format!("({script}) < /dev/null > log 2>&1")]).run();
    let _ends = Ends(vec![pid(&scene, "helper"), pid(&scene, "another")]);
    assert_eq!(outcome.code, Some(0), "{}", scene.read("log"));
    assert_eq!(scene.lines("ran"), ["served", "served"]);
    for file in ["helper", "another"] {
        assert!(alive(scene.read(file).trim()), "its end is not the worker's to bring");
    }
}

#[test]
fn what_is_left_of_a_repetition_is_found_behind_a_link() {
    // The results lie elsewhere than their path says; nothing tells of the repetition but an open log.
    for log in ["", "> /dev/null", "2> /dev/null"] {
        let scene = Scene::new();
        fs::create_dir(scene.path("real")).expect("a folder");
        symlink("real", scene.path("link")).expect("a link");
        scene.write(
            "config.yml",
            format!(
                "name: a\npath: link/out\nrepetitions: 1\ntimeout: 20\ncommand: |
  [ $CW2_ATTEMPT = 1 ] || exit 0
  echo $$ > ghost; exec env -i /bin/sleep 1000 {log}\n"
            ),
        );
        scene.plan();
        let call = || scene.call(["worker", "--plan", "link/out/plans/001", "--index", "0", "--grace", "1"]);
        let running = call().start();
        wait_until("its start", || scene.lines("ghost").first().is_some_and(|pid| sleeps(pid)));
        let _ends = Ends(vec![pid(&scene, "ghost")]);
        running.signal(Signal::SIGKILL);
        running.end();
        assert!(alive(&scene.lines("ghost")[0]), "the ghost must outlive its worker for this test");
        call().run().expect(0).says(["1 completed"]);
        assert!(!alive(&scene.lines("ghost")[0]));
    }
}

#[test]
fn an_orphan_is_found_behind_a_link_and_beside_other_repetitions() {
    let scene = Scene::new();
    fs::create_dir(scene.path("real")).expect("a folder");
    symlink("real", scene.path("link")).expect("a link");
    scene.write(
        "config.yml",
        "name: a\npath: link/out\nrepetitions: 3\nreps_per_job: 3\nreps_in_parallel: 2\noversubscribe: true\ntimeout: 20
command: |
  case $CW2_REP in
  0) until [ -e looked ]; do sleep 0.01; done ;;
  1) (setsid env -i /bin/sh -c 'echo $$ > orphan; exec /bin/sleep 1000' > /dev/null &)
     until [ -s orphan ]; do sleep 0.01; done ;;
  2) ! kill -0 $(cat orphan) || echo alive >> found; touch looked ;;
  esac
",
    );
    scene.plan();
    scene.worker("link/out/plans/001", 0).expect(0);
    let _ends = Ends(vec![pid(&scene, "orphan")]);
    assert_eq!(scene.lines("found"), Vec::<String>::new());
}

#[test]
fn an_orphan_that_does_not_die_holds_up_nobody_else() {
    let scene = Scene::with(
        "name: a\npath: out\nrepetitions: 4\nreps_per_job: 4\nreps_in_parallel: 2\noversubscribe: true\ntimeout: 20
command: |
  [ $CW2_REP = 0 ] || { touch ran$CW2_REP; exit; }
  setsid sh -c 'echo $$ > orphan; exec sleep 1000' &
  until [ -e traced ]; do sleep 0.01; done
",
    );
    scene.plan();
    let is_completed = |rep| {
        let dir = format!("out/a/log/rep_{rep:02}");
        scene.has(&format!("{dir}/status.json")) && scene.state(dir) == "completed"
    };
    let running = worker(&scene).start();
    wait_until("the orphan", || scene.lines("orphan").first().is_some_and(|pid| sleeps(pid)));
    let orphan = pid(&scene, "orphan");
    // Killed, it is gone for its parent only when its tracer has looked.
    ptrace::seize(orphan, ptrace::Options::empty()).expect("a process below this one");

    scene.write("traced", "");
    wait_until("its end", || !alive(&orphan.to_string()));
    wait_until("the others", || (1..4).all(&is_completed));
    assert!(!is_completed(0));

    waitpid(orphan, None).expect("the traced process");
    running.end().expect(0).says(["4 repetitions: 4 completed"]);
}

#[test]
fn a_surrender_in_initialize_holds_though_the_worker_is_told_to_stop() {
    let scene = Scene::with(
        "name: a
path: out
repetitions: 1
command:
  initialize: trap 'cw2 surrender 1; exit 0' TERM; touch started; while :; do sleep 0.01; done
  run: touch ran
",
    );
    scene.plan();
    let running = worker(&scene).start();
    wait_until("its start", || scene.has("started"));
    running.signal(Signal::SIGTERM);
    running.end().expect(0).says(["1 surrendered"]);
    assert!(!scene.has("ran"));
}

#[test]
fn whoever_only_reads_a_log_is_not_taken_for_a_ghost() {
    let scene = Scene::with(
        "name: a\npath: out\nrepetitions: 1\ncommand: '[ $CW2_ATTEMPT != 1 ] || { kill -KILL $PPID; exec sleep 1000; }'\n",
    );
    scene.plan();
    let worker =
        |scene: &Scene| scene.call(["worker", "--plan", "out/plans/001", "--index", "0", "--grace", "0.1"]).run();
    assert_eq!(worker(&scene).signal, Some(9));
    let log = std::fs::File::open(scene.path("out/a/log/rep_00/out.log")).expect("its log");
    let mut reader = Call::new("sleep", scene.root()).args(["1000"]).stdin(log).start_silent();
    worker(&scene).expect(0).says(["ended 1 process"]);
    assert!(reader.try_wait().expect("a child of this process").is_none(), "the reader was ended");
    reader.kill().expect("a child of this process");
    reader.wait().expect("a child of this process");
}

#[test]
fn what_a_failing_test_started_ends_with_it() {
    let failed = std::thread::spawn(|| {
        let scene = Scene::new();
        std::panic::panic_any(Call::new("sleep", scene.root()).args(["1000"]).start_silent())
    });
    let mut child = failed.join().expect_err("it fails").downcast::<std::process::Child>().expect("what it started");
    assert_eq!(child.wait().expect("a child of this process").signal(), Some(9));
}

#[test]
fn results_that_are_deleted_meanwhile_are_told_as_what_they_are() {
    let scene = Scene::with("name: e\npath: out\nrepetitions: 1\ncommand: 'rm -r \"$CW2_REP_DIR\"'\n");
    let outcome = scene.cw2("run config.yml").expect(1);
    let expected =
        "cannot write `[HERE]/out/e/log/rep_00/status.json`: its folder is gone: it was deleted or renamed meanwhile\n";
    assert!(outcome.err().contains(expected), "{}", outcome.stderr);
    assert!(!scene.has("out/e/log/rep_00"));
}
