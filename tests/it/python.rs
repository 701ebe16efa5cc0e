//! Programs in Python whose classes are experiments: every ending, copied from a warm process or started cold, here and in a
//! job. The package's own classes are tested in Python.

use crate::support::{CW2, Call, PATIENCE, Running, Scene, alive, wait_until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;

/// A program whose class does what its parameters say.
pub(crate) const PROGRAM: &str = include_str!("python/program.py");
const PLAN: &str = "out/plans/001";

/// A scene with the program and a configuration.
fn scene(config: &str) -> Scene {
    let scene = Scene::with(config);
    scene.write("main.py", PROGRAM);
    scene
}

/// A call in the environment in which the package is found.
fn with_package(call: Call) -> Call {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    call.env("PYTHONPATH", package).env("CW2_BINARY", CW2).env("PYTHONDONTWRITEBYTECODE", "1")
}

/// The program, as its user calls it.
pub(crate) fn program(scene: &Scene, words: &str) -> Call {
    with_package(Call::new("python3", scene.root())).args(["main.py", "config.yml"]).args(words.split_whitespace())
}

/// A job of its plan.
fn worker(scene: &Scene, job: u64) -> Call {
    with_package(scene.call(["worker", "--plan", PLAN, "--index", &job.to_string(), "--grace", "0.5"]))
}

/// Everything that tells how a repetition ended.
fn ending(scene: &Scene, dir: &str) -> Value {
    let status = scene.status(dir);
    let error = &status["error"];
    json!([status["state"], status["exit"], error["phase"], error["message"], scene.lines(&format!("{dir}/finalized"))])
}

/// How each way to end is told; `None` where the process lived to say it.
fn endings() -> Vec<(&'static str, Value)> {
    let nothing: [&str; 0] = [];
    let died = |signal: i32, message: &str| json!(["crashed", { "signal": signal }, "run", message, ["crashed"]]);
    let oom = "`run` was ended by SIGKILL (out of memory is the usual reason: look for oom in Slurm's log)";
    let before = "the process exited with status 0 before the repetition came to its end";
    vec![
        ("ok", json!(["completed", { "code": 0 }, null, null, nothing])),
        ("surrender", json!(["surrendered", { "code": 0 }, null, null, nothing])),
        ("raise", json!(["crashed", { "code": 1 }, "run", "ValueError: bad luck", nothing])),
        ("exit0", json!(["crashed", { "code": 1 }, "run", "SystemExit: 0", nothing])),
        ("os0", json!(["crashed", { "code": 0 }, "run", before, ["crashed"]])),
        ("os3", json!(["crashed", { "code": 3 }, "run", "`run` exited with status 3", ["crashed"]])),
        ("segv", died(11, "`run` was ended by SIGSEGV")),
        ("abort", died(6, "`run` was ended by SIGABRT")),
        ("kill", died(9, oom)),
        ("finalize", json!(["crashed", { "code": 1 }, "finalize", "KeyError: 'x'", nothing])),
    ]
}

fn configuration(more: &str) -> String {
    let ways: Vec<_> = endings().into_iter().map(|(way, _)| way).collect();
    let both = format!("path: out\nrepetitions: 1\nreps_per_job: 20\n{more}");
    format!("name: e\n{both}grid: {{how: {ways:?}}}\n---\nname: late\n{both}timeout: 2\nparams: {{how: hang}}\n")
}

fn assert_endings(scene: &Scene) {
    for (way, expected) in endings() {
        assert_eq!(ending(scene, &format!("out/e/e__h{way}/log/rep_00")), expected, "{way}");
    }
    let late = json!(["timed_out", { "signal": 15 }, "run", "ended after its timeout of 2 s", ["timed_out"]]);
    assert_eq!(ending(scene, "out/late/log/rep_00"), late);
    let crash = scene.status("out/e/e__hraise/log/rep_00");
    let traceback = crash["error"]["traceback"].as_str().expect("a traceback");
    assert!(traceback.starts_with("Traceback (most recent call last):\n"), "{traceback}");
    assert!(
        traceback.contains("in act\n") && traceback.ends_with("ValueError: bad luck\nin two lines\n"),
        "{traceback}"
    );
    assert_eq!(scene.status("out/e/e__hsurrender/log/rep_00")["payload"], json!({ "why": [1, "two"] }));
    assert!(!scene.has("out/e/e__hraise/log/rep_00/.report.json"), "it is read");
}

#[test]
fn every_ending_of_a_copy_is_told() {
    let scene = scene(&configuration(""));
    let outcome = program(&scene, "").run().expect(1);
    assert_endings(&scene);
    assert!(!outcome.stderr.contains("cold"), "{}", outcome.stderr);
    assert_eq!(scene.lines("imports"), ["user"]);
}

#[test]
fn every_ending_of_a_program_started_anew_is_told() {
    let scene = scene(&configuration("warm_start: false\n"));
    program(&scene, "").run().expect(1);
    assert_endings(&scene);
    let colds = 2 + endings().len() + endings().iter().filter(|(_, ending)| ending[4] != json!([])).count();
    assert_eq!(scene.lines("imports"), [&["user"][..], &vec!["rep"; colds][..]].concat());
}

#[test]
fn a_job_imports_once_and_every_ending_is_told() {
    let scene = scene(&configuration(""));
    program(&scene, "--plan").run().expect(0);
    worker(&scene, 0).run().expect(1);
    worker(&scene, 1).run().expect(1);
    assert_endings(&scene);
    assert_eq!(scene.lines("imports"), ["user", "serve", "serve"]);
}

#[test]
fn what_is_not_safe_to_copy_starts_cold_and_that_is_said_once() {
    for (marker, why) in [("unsafe", "did not work (it ended with 1)"), ("broken", "the warm process ended")] {
        let scene = scene("name: e\npath: out\nrepetitions: 3\nreps_per_job: 3\n");
        program(&scene, "--plan").run().expect(0);
        scene.write(marker, "");
        let outcome = worker(&scene, 0).run().expect(0);
        assert_eq!(outcome.stderr.matches("repetitions start cold").count(), 1, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(why), "{}", outcome.stderr);
        assert_eq!(scene.lines("imports"), ["user", "serve", "rep", "rep", "rep"], "{marker}");
    }
}

#[test]
fn what_a_program_changed_counts_once() {
    let scene = scene("name: e\npath: out\nrepetitions: 3\nreps_per_job: 2\ngrid: {lr: [1, 2]}\n");
    program(&scene, "--mark --seed --place --plan").run().expect(0);
    for job in 0..3 {
        worker(&scene, job).run().expect(0);
    }
    for (run, rep) in [("e__l1", 0), ("e__l1", 2), ("e__l2", 1)] {
        let dir = format!("out/e/{run}/log_elsewhere/rep_{rep:02}");
        let lr = &run[4..];
        let expected = format!("out {rep} {{1: ('user', 6)}} {{'lr': {lr}, 'seed': {rep}}}");
        assert_eq!(scene.lines(&format!("{dir}/out.log")), [expected], "{dir}");
        let config: Value = serde_json::from_str(&scene.read(format!("{dir}/config.yml"))).expect("JSON");
        assert_eq!(config["params"]["seed"], rep);
    }
    // With the same changes all is finished; with others, it is finished with other parameters.
    program(&scene, "--mark --seed --place").run().expect(0).says(["6 repetitions finished and left out"]);
    program(&scene, "--mark --place").run().expect(2).says(["is finished, but with other parameters", "seed: 0 there"]);
    let statuses = scene.cw2("status out --json").json_lines();
    assert_eq!(statuses.len(), 1);
}

#[test]
fn what_a_program_leaves_out_is_not_planned() {
    let scene = scene("name: e\npath: out\nrepetitions: 3\n");
    program(&scene, "--only-last").run().expect(0);
    assert!(scene.has("out/e/log/rep_02/status.json") && !scene.has("out/e/log/rep_00"));
}

#[test]
fn what_cannot_be_frozen_is_refused_by_name() {
    let scene = scene("name: e\npath: out\nrepetitions: 1\n");
    let outcome = program(&scene, "--object").run().expect(2);
    outcome.says(["error: `exp_configs` cannot be frozen: `object` is a function, which cannot be pickled"]);
    assert!(!scene.has("out"));
}

#[test]
fn a_configuration_that_changed_meanwhile_is_refused() {
    let scene = scene("name: e\npath: out\nrepetitions: 1\n");
    let script = PROGRAM.replace(
        "    configs = expansion.configs\n",
        "    configs = expansion.configs\n    open('config.yml', 'a').write('seed: 1\\n')\n",
    );
    scene.write("main.py", script);
    program(&scene, "").run().expect(2).says(["`config.yml` was changed while the program ran"]);
}

/// Starts a program, and waits until its only repetition runs.
fn running(scene: &Scene, call: Call) -> (Running, String) {
    let running = call.start();
    let started = "out/e/log/rep_00/started";
    wait_until("a repetition", || !scene.lines(started).is_empty());
    let line = scene.lines(started).pop().expect("a line");
    (running, line.split_whitespace().next().expect("a pid").to_owned())
}

#[test]
fn a_program_that_is_told_to_end_interrupts_what_runs_and_goes_on_later() {
    for warm in [true, false] {
        let scene = scene(&format!("name: e\npath: out\nrepetitions: 1\nwarm_start: {warm}\nparams: {{how: wait}}\n"));
        let (program_of, pid) = running(&scene, program(&scene, ""));
        program_of.signal(Signal::SIGTERM);
        program_of.end().expect(75);
        assert_eq!(scene.state("out/e/log/rep_00"), "interrupted");
        assert!(!alive(&pid));
        scene.write("go", "");
        program(&scene, "").run().expect(0);
        let attempts: Vec<_> = scene.lines("out/e/log/rep_00/started");
        let attempts: Vec<_> = attempts.iter().map(|line| line.split_once(' ').expect("two words").1).collect();
        assert_eq!(attempts, ["1 0", "2 1"], "warm: {warm}");
    }
}

#[test]
fn a_checkpoint_signal_reaches_a_copy() {
    let scene = scene("name: e\npath: out\nrepetitions: 1\ncheckpoint_signal: USR2\nparams: {checkpoint: yes}\n");
    program(&scene, "--plan").run().expect(0);
    let (worker, _) = running(&scene, worker(&scene, 0));
    worker.signal(Signal::SIGTERM);
    worker.end().expect(75);
    assert_eq!(scene.state("out/e/log/rep_00"), "interrupted");
    assert!(scene.has("out/e/log/rep_00/saved"));
}

#[test]
fn a_killed_worker_takes_the_warm_process_along_and_its_ghost_is_ended() {
    let scene = scene("name: e\npath: out\nrepetitions: 1\nparams: {how: wait}\n");
    program(&scene, "--plan").run().expect(0);
    let (first, ghost) = running(&scene, worker(&scene, 0));
    let warm = parent_of_none(&scene);
    first.signal(Signal::SIGKILL);
    first.end();
    wait_until("the end of the warm process", || !alive(&warm));
    assert!(alive(&ghost), "it outlives its worker");
    let second = worker(&scene, 0).start();
    wait_until("the second attempt", || scene.lines("out/e/log/rep_00/started").len() == 2);
    assert!(!alive(&ghost), "it lives beside its ghost");
    scene.write("go", "");
    second.end().expect(0).says(["ended 1 process that an earlier worker left"]);
    assert_eq!(scene.state("out/e/log/rep_00"), "completed");
}

/// The warm process of the scene: the one that runs the program and leads a group, without a log.
fn parent_of_none(scene: &Scene) -> String {
    let entries = std::fs::read_dir("/proc").expect("processes");
    let pids = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let serves = |pid: &String| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let here = std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == scene.root());
        let log = std::fs::read_link(format!("/proc/{pid}/fd/1")).is_ok_and(|out| out.ends_with("out.log"));
        here && !log && String::from_utf8_lossy(&environ).contains("\"serve\"")
    };
    pids.filter(|pid| pid.parse::<u32>().is_ok()).find(serves).expect("a warm process")
}

#[test]
fn a_warm_process_that_is_killed_leaves_the_rest_to_cold_starts() {
    let scene = scene("name: e\npath: out\nrepetitions: 2\nreps_per_job: 2\nparams: {how: wait}\n");
    program(&scene, "--plan").run().expect(0);
    let (worker, pid) = running(&scene, worker(&scene, 0));
    let warm: i32 = parent_of_none(&scene).parse().expect("a pid");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(warm), Signal::SIGKILL).expect("it lives");
    wait_until("its end", || !alive(&warm.to_string()));
    assert!(alive(&pid), "a copy is a process of its own");
    scene.write("go", "");
    let outcome = worker.end().expect(0).says(["repetitions start cold: the warm process ended"]);
    assert_eq!(scene.lines("imports"), ["user", "serve", "rep"], "{}", outcome.stderr);
}

#[test]
fn an_engine_that_is_killed_is_told_of_and_nothing_is_lost() {
    let scene = scene("name: e\npath: out\nrepetitions: 1\nparams: {how: wait}\n");
    std::fs::create_dir(scene.path("tmp")).expect("a new scene");
    let (program_of, copy) = running(&scene, program(&scene, "").env("TMPDIR", scene.path("tmp")));
    assert_eq!(std::fs::read_dir(scene.path("tmp")).expect("it was made").count(), 0, "what was handed over is taken");
    let status = std::fs::read_to_string(format!("/proc/{copy}/status")).expect("it runs");
    let engine = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a parent").trim();
    let engine = nix::unistd::Pid::from_raw(engine.parse().expect("a number"));
    nix::sys::signal::kill(engine, Signal::SIGKILL).expect("it lives");
    program_of.end().expect(128 + 9).says(["error: cw2 was ended by SIGKILL, and what it ran may run on"]);
    scene.write("go", "");
    program(&scene, "").run().expect(0);
    assert!(!alive(&copy));
    assert_eq!(scene.status("out/e/log/rep_00")["attempt"], 2);
}

#[test]
fn whoever_debugs_takes_his_time() {
    let scene = scene("name: e\npath: out\nrepetitions: 1\ntimeout: 0.2\nparams: {how: nap}\n");
    program(&scene, "--plan").run().expect(0);
    crate::exec::in_terminal(&scene, "expect out 0\nexpect completed", &[CW2, "exec"], 0);
}

#[test]
fn what_a_program_has_elsewhere_is_found_by_its_plan() {
    let scene = scene("name: e\npath: out\nrepetitions: 2\n");
    program(&scene, "--outside").run().expect(0);
    let rows = |words: &str| scene.cw2(&format!("results {words} --reps --format csv")).expect(0).out();
    let found: Vec<_> =
        rows(PLAN).lines().skip(1).map(|line| line.split(',').take(4).collect::<Vec<_>>().join(",")).collect();
    assert_eq!(found, ["e,e,0,completed", "e,e,1,completed"]);
    assert_eq!(rows("elsewhere").replace(",elsewhere/", ",[HERE]/elsewhere/"), rows(PLAN));
    scene.cw2("results out").expect(2).says(["there is no repetition in `out`", "or a plan's"]);
}

#[test]
fn processes_that_a_copy_leaves_are_ended() {
    let scene =
        scene("name: e\npath: out\nrepetitions: 2\nreps_per_job: 2\nreps_in_parallel: 2\nparams: {how: child}\n");
    program(&scene, "").run().expect(0);
    for rep in 0..2 {
        let child = scene.read(format!("out/e/log/rep_0{rep}/child"));
        assert!(!alive(&child), "{child}");
    }
}

#[test]
fn crashes_are_tried_again_in_other_copies() {
    let scene = scene("name: e\npath: out\nrepetitions: 1\nretries: 2\nparams: {how: segv}\n");
    program(&scene, "").run().expect(1);
    assert_eq!(scene.lines("out/e/log/rep_00/started").len(), 3);
    assert_eq!(scene.lines("out/e/log/rep_00/finalized"), ["crashed"]);
    assert_eq!(scene.status("out/e/log/rep_00")["attempt"], 3);
}

#[test]
fn the_deaf_are_killed_after_the_grace() {
    let scene = scene("name: e\npath: out\nrepetitions: 1\ntimeout: 3\nparams: {how: deaf}\n");
    program(&scene, "--plan").run().expect(0);
    let started = Instant::now();
    worker(&scene, 0).run().expect(1);
    assert!(started.elapsed() < PATIENCE);
    let expected = json!(["timed_out", { "signal": 9 }, "run", "ended after its timeout of 3 s", ["timed_out"]]);
    assert_eq!(ending(&scene, "out/e/log/rep_00"), expected);
}

#[test]
fn a_program_hands_out_its_repetitions_itself() {
    for threads in [true, false] {
        let scene = scene("name: e\npath: out\nrepetitions: 2\nreps_per_job: 4\ngrid: {how: [ok, raise]}\n");
        if threads {
            scene.write("threads", "");
        }
        program(&scene, "--scheduler").run().expect(1);
        let states = |scene: &Scene| {
            ["e__hok", "e__hraise"].map(|run| [0, 1].map(|rep| scene.state(format!("out/e/{run}/log/rep_0{rep}"))))
        };
        assert_eq!(states(&scene), [["completed", "completed"], ["crashed", "crashed"]], "threads: {threads}");
    }
    let scene = scene("name: e\npath: out\nrepetitions: 2\nreps_per_job: 4\ngrid: {how: [ok, raise]}\n");
    program(&scene, "--scheduler --plan").run().expect(0);
    worker(&scene, 0).run().expect(1).says(["4 repetitions: 2 completed, 2 crashed"]);
    assert_eq!(scene.lines("imports"), ["user", "job"]);
}

#[test]
fn one_repetition_at_a_time_is_seen_as_it_prints() {
    let scene = scene("name: e\npath: out\nrepetitions: 2\ngrid: {how: [ok, raise]}\n");
    let outcome = program(&scene, "").run().expect(1);
    let out: Vec<_> = ["ok", "ok", "raise", "raise"].iter().zip([0, 1, 0, 1]).collect();
    let out: Vec<_> = out.iter().map(|(how, rep)| format!("out {rep} None {{'how': '{how}'}}")).collect();
    assert_eq!(outcome.stdout.lines().collect::<Vec<_>>(), out);
    assert!(outcome.stderr.contains("    raise ValueError(\"bad luck\\nin two lines\")\n"), "{}", outcome.stderr);
}

#[test]
fn a_retry_runs_what_was_frozen() {
    let scene = scene("name: e\npath: out\nrepetitions: 2\ngrid: {how: [ok, os3]}\n");
    program(&scene, "--mark --seed").run().expect(1);
    scene.cw2("retry out --assume-dead").expect(0);
    with_package(scene.call("worker --plan out/plans/002 --index 1".split(' '))).run().expect(1);
    let lines = scene.lines("out/e/e__hos3/log/rep_01/out.log");
    let last = lines.last().expect("a line");
    assert_eq!(last, "out 1 {1: ('user', 4)} {'how': 'os3', 'seed': 1}");
    assert_eq!(scene.status("out/e/e__hos3/log/rep_01")["attempt"], 2);
}

#[test]
fn paths_lead_to_the_results_wherever_a_repetition_runs() {
    for (number, more) in ["warm_start: false\n", "launcher: [env, A=b]\n", ""].iter().enumerate() {
        let config =
            format!("name: e\npath: ./out/\nrepetitions: 1\nworkdir: elsewhere\nenv: {{N: '{number}'}}\n{more}");
        let scene = scene(&config);
        scene.write("elsewhere/nothing", "");
        program(&scene, "").run().expect(0);
        std::fs::remove_dir_all(scene.path("out/e")).expect("the results");
        program(&scene, "--plan").run().expect(0);
        with_package(scene.call("worker --plan out/plans/002 --index 0".split(' '))).run().expect(0);
    }
}

#[test]
fn imports_count_for_no_timeout_unless_they_take_longer() {
    let scene = scene(
        "name: e\npath: out\nrepetitions: 2\nreps_per_job: 2\ntimeout: 60\n---\nname: f\npath: out\nrepetitions: 1\ntimeout: 0.5\n",
    );
    scene.write("main.py", format!("import time\ntime.sleep(1.5)\n{PROGRAM}"));
    program(&scene, "--plan").run().expect(0);
    worker(&scene, 0).run().expect(0);
    assert!(scene.status("out/e/log/rep_01")["seconds"].as_f64().expect("seconds") < 60.0);
    let outcome = worker(&scene, 1).run().expect(1);
    outcome.says(["repetitions start cold", "take longer than the `timeout` of a repetition"]);
    assert_eq!(scene.state("out/f/log/rep_00"), "timed_out");
}

#[test]
fn scripts_start_warm_too() {
    let scene = Scene::with(
        "name: w\npath: out\nrepetitions: 1\nreps_per_job: 20\nwarm_imports: [json, slow]\nenv: {WHO: '{{ params.how }}'}\n\
         command: [python3, -u, train.py, --how, '{{ params.how }}']\ngrid: {how: [ok, exit3, raise, os0, argv]}\n",
    );
    scene.write("slow.py", "open('imports', 'a').write('slow\\n')\n");
    let script = "import sys, os, slow\nhow = sys.argv[2]\nassert __name__ == '__main__' and os.environ['WHO'] == how\n\
        if how == 'exit3': sys.exit(3)\nif how == 'raise': raise ValueError('x')\nif how == 'os0': os._exit(0)\nprint(sys.argv, __file__)\n";
    scene.write("train.py", script);
    scene.plan();
    scene.worker(PLAN, 0).expect(1);
    let state = |how: &str| scene.state(format!("out/w/w__h{how}/log/rep_00"));
    let states = ["ok", "exit3", "raise", "os0", "argv"].map(state);
    assert_eq!(states, ["completed", "crashed", "crashed", "completed", "completed"]);
    assert_eq!(scene.lines("imports"), ["slow"], "once");
    assert_eq!(scene.lines("out/w/w__hargv/log/rep_00/out.log"), ["['train.py', '--how', 'argv'] train.py"]);
    assert!(scene.read("out/w/w__hraise/log/rep_00/err.log").ends_with("ValueError: x\n"));
}
