//! How repetitions end, what is written about it, and that all others get their turn.

use crate::support::{CW2, Call, Scene, alive, wait_until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;

pub(crate) const PLAN: &str = "out/plans/001";

/// One experiment `a` whose repetitions make one job.
pub(crate) fn bundle(reps: u32, more: &str) -> Scene {
    let scene =
        Scene::with(&format!("name: a\npath: out\nrepetitions: {reps}\nreps_per_job: {reps}\ntimeout: 60\n{more}"));
    scene.plan();
    scene
}

pub(crate) fn rep(number: u32) -> String {
    format!("out/a/log/rep_{number:02}")
}

fn states(scene: &Scene, reps: u32) -> Vec<String> {
    (0..reps).map(|number| scene.state(rep(number))).collect()
}

#[test]
fn a_crash_ends_one_repetition_only_and_is_kept() {
    let scene = bundle(
        5,
        "command: |\n  echo $CW2_REP >> ran\n  case $CW2_REP in\n  1) echo 'Traceback' >&2; echo 'ValueError: no' >&2; exit 3 ;;\n  2) kill -SEGV $$ ;;\n  3) no-such-program ;;\n  esac\n",
    );
    let outcome = scene.worker(PLAN, 0).expect(1).silent().says(["5 repetitions: 2 completed, 3 crashed"]);
    for number in 1..4 {
        assert!(outcome.stderr.contains(&rep(number)), "{}", outcome.stderr);
    }
    assert_eq!(scene.lines("ran"), ["0", "1", "2", "3", "4"]);
    assert_eq!(states(&scene, 5), ["completed", "crashed", "crashed", "crashed", "completed"]);
    let crash = scene.status(rep(1));
    assert_eq!(crash["exit"], json!({"code": 3}));
    assert_eq!(crash["attempt"], 1);
    assert_eq!(crash["error"]["phase"], "run");
    assert_eq!(crash["error"]["stderr_tail"], "Traceback\nValueError: no");
    assert_eq!(scene.status(rep(2))["exit"], json!({"signal": 11}));
    assert!(scene.status(rep(2))["error"]["message"].as_str().expect("a message").contains("SIGSEGV"));
    assert_eq!(scene.status(rep(3))["exit"], json!({"code": 127}));

    // What is finished stays so; the rest gets another attempt.
    scene.worker(PLAN, 0).expect(1).says(["3 crashed", "2 finished before"]);
    assert_eq!(scene.lines("ran"), ["0", "1", "2", "3", "4", "1", "2", "3"]);
    let crash = scene.status(rep(1));
    assert_eq!((&crash["attempt"], &crash["earlier"][0]["state"]), (&json!(2), &json!("crashed")));
    assert_eq!(scene.read(format!("{}/err.log", rep(1))).matches("ValueError").count(), 2);
}

#[test]
fn more_slots_than_the_cluster_gave_cpus_are_told_of() {
    for (more, told) in [("", true), ("oversubscribe: true\n", false)] {
        let scene = bundle(2, &format!("reps_in_parallel: 2\n{more}command: 'true'\n"));
        let worker = scene.call(["worker", "--plan", PLAN, "--index", "0"]).env("SLURM_CPUS_ON_NODE", "1");
        let outcome = worker.run().expect(0);
        let warning = "2 repetitions in parallel need 2 CPUs, and the job has 1";
        assert_eq!(outcome.stderr.contains(warning), told, "{}", outcome.stderr);
    }
}

/// What each repetition's `srun` runs may be on any of the job's nodes: the worker's own is not all there is.
#[test]
fn steps_have_the_cpus_of_all_nodes() {
    for (nodes, told) in [("1(x2)", false), ("1", true)] {
        let scene = bundle(2, "reps_in_parallel: 2\nlauncher: ./srun\ncommand: 'true'\n");
        scene.write_program("srun", "#!/bin/sh\nexec \"$@\"\n");
        let worker = scene.call(["worker", "--plan", PLAN, "--index", "0"]).env("SLURM_CPUS_ON_NODE", "1");
        let outcome = worker.env("SLURM_JOB_CPUS_PER_NODE", nodes).run().expect(0);
        let warning = "2 repetitions in parallel need 2 CPUs, and the job has 1";
        assert_eq!(outcome.stderr.contains(warning), told, "{}", outcome.stderr);
    }
}

#[test]
fn a_finished_job_starts_nothing() {
    let scene = bundle(3, "command: echo $CW2_REP >> ran\n");
    scene.worker(PLAN, 0).expect(0).says(["3 completed"]);
    let before: Vec<_> = (0..3).map(|number| scene.read(format!("{}/status.json", rep(number)))).collect();
    scene.worker(PLAN, 0).expect(0).says(["3 finished before"]);
    let after: Vec<_> = (0..3).map(|number| scene.read(format!("{}/status.json", rep(number)))).collect();
    assert_eq!(before, after);
    assert_eq!(scene.lines("ran").len(), 3);
}

#[test]
fn a_command_that_is_not_there_is_a_crash() {
    let scene = bundle(2, "command: [./no-such-program, x]\n");
    scene.worker(PLAN, 0).expect(1).says(["2 crashed", "no-such-program", "No such file"]);
    let status = scene.status(rep(0));
    assert_eq!((&status["state"], status.get("exit")), (&json!("crashed"), None));
    assert!(status["error"]["message"].as_str().expect("a message").contains("no-such-program"));
}

#[test]
fn a_launcher_that_is_not_there_is_a_crash() {
    let scene = bundle(1, "launcher: [no-such-launcher]\ncommand: 'true'\n");
    scene.worker(PLAN, 0).expect(1).says(["no-such-launcher"]);
}

#[test]
fn the_tail_of_a_long_traceback_is_kept_and_its_end_is_whole() {
    let scene = bundle(1, "command: |\n  seq 1 99999 >&2; echo 'größe: last line' >&2; exit 1\n");
    scene.worker(PLAN, 0).expect(1);
    let status = scene.status(rep(0));
    let tail = status["error"]["stderr_tail"].as_str().expect("a tail");
    assert!(tail.ends_with("99999\ngröße: last line"), "{tail}");
    // A chain of Python exceptions has hundreds of lines.
    assert!((10_000..=16_384).contains(&tail.len()) && tail.lines().next().expect("a line").parse::<u32>().is_ok());
}

#[test]
fn the_end_of_a_line_that_is_longer_than_the_tail_is_kept() {
    let scene =
        bundle(1, "command: |\n  printf '\\r%05d' $(seq 1 99999) >&2; printf '\\rno memory left\\n' >&2; exit 1\n");
    scene.worker(PLAN, 0).expect(1).says(["exited with status 1: no memory left\n"]);
    let status = scene.status(rep(0));
    assert!(status["error"]["stderr_tail"].as_str().is_some_and(|tail| tail.ends_with("99999\rno memory left")));
}

#[test]
fn output_that_is_no_text_harms_nothing() {
    let scene = bundle(1, "command: head -c 100000 /dev/urandom >&2; printf '\\377\\376\\0' >&2; exit 1\n");
    scene.worker(PLAN, 0).expect(1);
    assert_eq!(scene.state(rep(0)), "crashed");
}

#[test]
fn a_timeout_ends_the_whole_group() {
    // TERM is not heeded, neither by the shell nor by its child.
    let scene = bundle(
        2,
        "command: |\n  [ $CW2_REP = 0 ] || exit 0\n  trap '' TERM\n  sleep 1000 & echo $! >> pids\n  echo $$ >> pids\n  while :; do sleep 1000; done\n",
    );
    scene.write("config.yml", scene.read("config.yml").replace("timeout: 60", "timeout: 0.3"));
    fs::remove_dir_all(scene.path("out")).expect("the plan");
    scene.plan();
    scene.worker(PLAN, 0).expect(1).says(["1 completed", "1 timed out", "timeout"]);
    assert_eq!(states(&scene, 2), ["timed_out", "completed"]);
    assert_eq!(scene.status(rep(0))["exit"], json!({"signal": 9}));
    let pids = scene.lines("pids");
    assert_eq!(pids.len(), 2);
    assert!(!pids.iter().any(|pid| alive(pid)), "{pids:?} still run");
}

#[test]
fn a_timeout_is_polite_first() {
    let scene = bundle(1, "command: trap 'echo saved; exit 0' TERM; sleep 1000 & wait\n");
    scene.write("config.yml", scene.read("config.yml").replace("timeout: 60", "timeout: 0.3"));
    fs::remove_dir_all(scene.path("out")).expect("the plan");
    scene.plan();
    scene.cw2(&format!("worker --plan {PLAN} --index 0")).expect(1).says(["1 timed out"]);
    assert_eq!(scene.read(format!("{}/out.log", rep(0))), "saved\n");
}

#[test]
fn no_descendant_survives_its_repetition() {
    // In sessions of their own, forked twice, deaf to TERM, with their output closed, with a cleared environment.
    let scene = bundle(
        2,
        r#"
command: |
  spawn() { echo $$ >> pids.$CW2_REP; trap '' TERM HUP; while :; do sleep 1000; done; }
  (setsid ./stay setsid) &
  setsid ./stay output > /dev/null 2>&1 < /dev/null &
  (setsid env -i CW2_REP=$CW2_REP PATH="$PATH" ./stay environment &) &
  (./stay double &) &
  while [ "$(wc -l < pids.$CW2_REP)" != 4 ]; do sleep 0.01; done
  [ $CW2_REP = 0 ] || for pid in $(cat pids.0); do ! kill -0 $pid 2>/dev/null || echo $pid >> survivors; done
"#,
    );
    scene.write("stay", "#!/bin/sh\ntrap '' TERM HUP\necho $$ >> pids.$CW2_REP\nwhile :; do sleep 1000; done\n");
    fs::set_permissions(scene.path("stay"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a script");
    for number in 0..2 {
        scene.write(&format!("pids.{number}"), "");
    }
    scene.worker(PLAN, 0).expect(0).says(["2 completed"]);
    assert_eq!(scene.lines("survivors"), Vec::<String>::new(), "they lived beside the next repetition");
    for number in 0..2 {
        for pid in scene.lines(&format!("pids.{number}")) {
            assert!(!alive(&pid), "{pid} of repetition {number} still runs");
        }
    }
}

#[test]
fn a_stop_interrupts_and_the_next_start_resumes() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let scene = bundle(
            3,
            "command:\n  run: |\n    echo \"$CW2_REP $CW2_RESUME\" >> ran\n    if [ $CW2_REP = 1 ] && [ $CW2_RESUME = 0 ]; then trap 'echo saved; exit 0' TERM INT; sleep 1000 & wait; fi\n  finalize: echo $CW2_REP $CW2_OUTCOME >> finalized\n",
        );
        // Its `sleep` ignores SIGINT, as all that a shell starts with `&`: it has the whole grace.
        let worker = scene.call(["worker", "--plan", PLAN, "--index", "0", "--grace", "1"]).start();
        wait_until("the second repetition", || scene.lines("ran").len() == 2);
        worker.signal(signal);
        worker.end().expect(75).says(["1 completed", "1 interrupted", "1 not started"]);
        assert_eq!(states(&scene, 2), ["completed", "interrupted"]);
        assert!(!scene.has(&rep(2)), "nothing new is started");
        assert_eq!(scene.lines("finalized"), ["0 completed", "1 interrupted"]);

        scene.worker(PLAN, 0).expect(0).says(["2 completed", "1 finished before"]);
        assert_eq!(scene.lines("ran"), ["0 0", "1 0", "1 1", "2 0"]);
        assert_eq!(states(&scene, 3), ["completed"; 3]);
        let status = scene.status(rep(1));
        assert_eq!((&status["attempt"], &status["earlier"][0]["state"]), (&json!(2), &json!("interrupted")));
    }
}

#[test]
fn a_stop_kills_what_does_not_heed_it() {
    let scene = bundle(1, "command: trap '' TERM; echo $$ > pid; while :; do sleep 1000; done\n");
    let worker = scene.call(["worker", "--plan", PLAN, "--index", "0", "--grace", "0.2"]).start();
    wait_until("its start", || !scene.lines("pid").is_empty());
    worker.signal(Signal::SIGTERM);
    worker.end().expect(75);
    assert_eq!(scene.state(rep(0)), "interrupted");
    assert!(!alive(&scene.lines("pid")[0]));
}

#[test]
fn a_second_signal_kills_at_once() {
    let scene = bundle(1, "command: trap '' TERM; echo $$ > pid; while :; do sleep 1000; done\n");
    let worker = scene.call(["worker", "--plan", PLAN, "--index", "0", "--grace", "3600"]).start();
    wait_until("its start", || !scene.lines("pid").is_empty());
    worker.signal(Signal::SIGTERM);
    // Signals of one number that come at once are one: the second has to be another's.
    worker.signal(Signal::SIGINT);
    worker.end().expect(75);
    assert!(!alive(&scene.lines("pid")[0]));
}

#[test]
fn a_crash_outweighs_an_interruption() {
    let scene = bundle(2, "command: echo $CW2_REP >> ran; [ $CW2_REP = 1 ] || exit 1; sleep 1000\n");
    let worker = scene.call(["worker", "--plan", PLAN, "--index", "0"]).start();
    wait_until("the second repetition", || scene.lines("ran").len() == 2);
    worker.signal(Signal::SIGTERM);
    worker.end().expect(1).says(["1 crashed", "1 interrupted"]);
}

#[test]
fn run_is_interrupted_as_the_worker_is() {
    let scene = Scene::with("name: a\npath: out\nrepetitions: 2\ncommand: echo x >> ran; sleep 1000\n");
    let run = scene.call(["run", "config.yml"]).start();
    wait_until("the first repetition", || scene.lines("ran").len() == 1);
    run.signal(Signal::SIGINT);
    run.end().expect(75).says(["1 interrupted", "1 not started"]);
    assert_eq!(scene.lines("ran").len(), 1);
}

#[test]
fn a_deleted_directory_is_pending_again() {
    let scene = bundle(2, "command: echo $CW2_REP >> ran\n");
    scene.worker(PLAN, 0).expect(0);
    fs::remove_dir_all(scene.path(rep(1))).expect("a repetition");
    scene.worker(PLAN, 0).expect(0).says(["1 completed", "1 finished before"]);
    assert_eq!(scene.lines("ran"), ["0", "1", "1"]);
    assert_eq!(scene.status(rep(1))["attempt"], 1);
}

#[test]
fn a_moved_tree_works_where_it_is() {
    let scene = bundle(2, "command: '[ $CW2_REP = 0 ] || test -e go || exit 1; pwd > $CW2_REP_DIR/where'\n");
    scene.worker(PLAN, 0).expect(1);
    let other = Scene::new();
    for name in scene.tree() {
        match name.strip_suffix('/') {
            Some(folder) => fs::create_dir_all(other.path(folder)).expect("a folder"),
            None => drop(other.write(&name, fs::read(scene.path(&name)).expect("a file"))),
        }
    }
    drop(scene);
    other.write("go", "");
    other.worker(PLAN, 0).expect(0).says(["1 completed", "1 finished before"]);
    assert_eq!(other.read(format!("{}/where", rep(1))), format!("{}\n", other.root().display()));
    // From anywhere.
    let listed = other.call(["list", &other.path(PLAN).to_string_lossy(), "--json"]).current_dir("/").run().expect(0);
    assert_eq!(listed.json_lines().len(), 2);
}

#[test]
fn a_renamed_tree_is_not_run_elsewhere() {
    let scene = bundle(1, "command: echo x >> ran\n");
    scene.worker(PLAN, 0).expect(0);
    fs::rename(scene.path("out"), scene.path("kept")).expect("the results");
    for words in ["worker --plan kept/plans/001 --index 0", "list kept/plans/001", "retry kept"] {
        scene.cw2(words).expect(3).says(["it was planned as `", "out/plans/001`", "keep their names"]);
    }
    assert_eq!(scene.lines("ran").len(), 1);
    assert!(!scene.has("out"));
    std::os::unix::fs::symlink("kept", scene.path("out")).expect("a link");
    scene.worker(PLAN, 0).expect(0).says(["1 finished before"]);
}

#[test]
fn what_is_no_whole_status_means_run_again() {
    let scene = bundle(1, "command: echo x >> ran\n");
    scene.worker(PLAN, 0).expect(0);
    let whole = scene.read(format!("{}/status.json", rep(0)));
    let torn = &whole[..whole.len() / 2];
    let other = whole.replace("\"completed\"", "\"excellent\"");
    let broken =
        ["", " ", "\n", torn, "{}", "null", "[]", "completed", "{\"format\": 1}", "{\"state\": \"completed\"}", &other];
    for (number, text) in broken.iter().enumerate() {
        scene.write(&format!("{}/status.json", rep(0)), text);
        scene.worker(PLAN, 0).expect(0).says(["1 completed"]);
        assert_eq!(scene.lines("ran").len(), number + 2, "{text:?}");
        assert_eq!(scene.state(rep(0)), "completed");
    }
    scene.write(&format!("{}/status.json", rep(0)), b"\xff\xfe\0");
    scene.worker(PLAN, 0).expect(0).says(["1 completed"]);
    assert_eq!(scene.lines("ran").len(), broken.len() + 2);
    // The planner reads it the same way.
    scene.write(&format!("{}/status.json", rep(0)), torn);
    scene.cw2("plan config.yml").expect(0).says(["1 repetition to do"]);
}

#[test]
fn other_parameters_are_not_taken_for_these() {
    let scene = bundle(2, "params: {lr: 1}\ncommand: echo $CW2_REP >> ran\n");
    scene.worker(PLAN, 0).expect(0);
    fs::remove_dir_all(scene.path(rep(1))).expect("a repetition");
    // Another plan of another time, made where nothing was to be seen.
    fs::rename(scene.path("out/a"), scene.path("aside")).expect("the results");
    scene.cw2("plan config.yml --set params.lr=2").expect(0);
    fs::rename(scene.path("aside"), scene.path("out/a")).expect("the results");
    let before = scene.read(format!("{}/status.json", rep(0)));
    scene.worker("out/plans/002", 0).expect(1).says(["refused", "other parameters", "-o", "1 completed"]);
    assert_eq!(scene.read(format!("{}/status.json", rep(0))), before);
    assert_eq!(scene.lines("ran"), ["0", "1", "1"]);
}

#[test]
fn two_workers_share_an_element_without_harm() {
    let scene = bundle(12, "reps_in_parallel: 2\ncommand: echo $CW2_REP >> ran; sleep 0.02\n");
    let workers: Vec<_> = (0..4).map(|_| scene.call(["worker", "--plan", PLAN, "--index", "0"]).start()).collect();
    let codes: Vec<_> = workers.into_iter().map(|worker| worker.end().code.expect("no signal")).collect();
    assert!(codes.iter().all(|code| [0, 75].contains(code)), "{codes:?}");
    let mut ran: Vec<u32> = scene.lines("ran").iter().map(|line| line.parse().expect("a number")).collect();
    ran.sort_unstable();
    assert_eq!(ran, (0..12).collect::<Vec<_>>());
    assert_eq!(states(&scene, 12), ["completed"; 12]);
}

#[test]
fn a_repetition_that_another_worker_runs_is_left_alone() {
    let scene = bundle(1, "command: echo $$ >> ran; while ! [ -e go ]; do sleep 0.01; done\n");
    let first = scene.call(["worker", "--plan", PLAN, "--index", "0"]).start();
    wait_until("its start", || scene.has(&format!("{}/status.json", rep(0))));
    let before = scene.read(format!("{}/status.json", rep(0)));
    scene.worker(PLAN, 0).expect(75).says(["left alone", "another worker", &rep(0)]);
    assert_eq!(scene.read(format!("{}/status.json", rep(0))), before);
    assert!(alive(&scene.lines("ran")[0]), "the second worker ended the first one's process");
    scene.write("go", "");
    first.end().expect(0);
    assert_eq!((scene.lines("ran").len(), scene.state(rep(0)).as_str()), (1, "completed"));
}

#[test]
fn the_index_comes_from_slurm_and_the_offset_from_the_script() {
    let scene = Scene::with("name: a\npath: out\nrepetitions: 4\ncommand: echo $CW2_REP >> ran\n");
    scene.plan();
    let worker = |args: &[&str]| scene.call(["worker", "--plan", PLAN]).args(args);
    worker(&[]).env("SLURM_ARRAY_TASK_ID", "2").run().expect(0);
    worker(&["--index", "1", "--offset", "2"]).run().expect(0);
    worker(&["--index", "0"]).env("SLURM_ARRAY_TASK_ID", "1").run().expect(0);
    assert_eq!(scene.lines("ran"), ["2", "3", "0"]);
}

#[test]
fn slurm_s_ids_are_kept() {
    let scene = bundle(1, "command: 'true'\n");
    scene
        .call(["worker", "--plan", PLAN, "--index", "0"])
        .env("SLURM_JOB_ID", "1234")
        .env("SLURM_ARRAY_JOB_ID", "1200")
        .env("SLURM_ARRAY_TASK_ID", "7")
        .env("SLURM_RESTART_COUNT", "2")
        .run()
        .expect(0);
    assert_eq!(
        scene.status(rep(0))["slurm"],
        json!({"job_id": "1234", "array_job_id": "1200", "array_task_id": "7", "restart_count": 2})
    );
}

#[test]
fn the_frozen_plan_wins_over_an_edited_configuration() {
    let scene = bundle(1, "params: {lr: 1}\ncommand: echo {{ params.lr }} >> ran\n");
    scene.write("config.yml", "name: a\npath: elsewhere\nrepetitions: 9\nparams: {lr: 2}\ncommand: exit 1\n");
    scene.worker(PLAN, 0).expect(0);
    assert_eq!(scene.lines("ran"), ["1"]);
    fs::remove_file(scene.path("config.yml")).expect("the configuration");
    scene.worker(PLAN, 0).expect(0).says(["1 finished before"]);
}

#[test]
fn an_orphan_that_carries_no_mark_ends_with_its_repetition() {
    let scene = bundle(
        2,
        "command: |
  if [ {{ rep }} = 0 ]; then
    (setsid env -i sh -c 'echo $$ >orphan; exec sleep 1000' >/dev/null 2>&1 &)
    until [ -s orphan ]; do sleep 0.01; done
  else
    kill -0 $(cat orphan) && echo alive >>found || echo gone >>found
  fi
",
    );
    scene.worker(PLAN, 0).expect(0);
    assert_eq!(scene.lines("found"), ["gone"]);
}

#[test]
fn every_variable_that_names_gpus_is_split() {
    let scene = bundle(
        2,
        "reps_in_parallel: 2\ngpus_per_rep: 1\noversubscribe: true\n\
         command: echo $CW2_GPUS $CUDA_VISIBLE_DEVICES $ROCR_VISIBLE_DEVICES $ZE_AFFINITY_MASK >> ran; \
         until [ \"$(wc -l < ran)\" = 2 ]; do sleep 0.01; done\n",
    );
    scene
        .call(["worker", "--plan", PLAN, "--index", "0"])
        .env("CUDA_VISIBLE_DEVICES", "GPU-aaa,MIG-bbb")
        .env("ROCR_VISIBLE_DEVICES", "0,1")
        // Not one for each GPU: there is no telling which belong together.
        .env("ZE_AFFINITY_MASK", "0.0,0.1,1")
        .run()
        .expect(0);
    let mut ran = scene.lines("ran");
    ran.sort();
    assert_eq!(ran, ["GPU-aaa GPU-aaa 0 0.0,0.1,1", "MIG-bbb MIG-bbb 1 0.0,0.1,1"]);
}

#[test]
fn tight_limits_cost_time_only() {
    for limit in ["-n 64", "-n 128", "-v 150000", "-v 400000"] {
        let scene = bundle(300, "reps_in_parallel: 2\ncommand: ['true']\n");
        let call = format!("ulimit {limit} && exec \"$0\" worker --plan {PLAN} --index 0");
        let worker = Call::new("sh", scene.root()).args(["-c", &call, CW2]);
        worker.run().expect(0).says(["300 repetitions: 300 completed"]);
    }
}

#[test]
fn what_the_machine_has_no_room_for_is_left_as_it_was_found() {
    let scene = bundle(3, "command: echo $CW2_ATTEMPT $CW2_RESUME >> ran.$CW2_REP\n");
    // The second one was interrupted before.
    scene.worker(PLAN, 0).expect(0);
    fs::remove_dir_all(scene.path(rep(0))).expect("a repetition");
    fs::remove_dir_all(scene.path(rep(2))).expect("a repetition");
    let before = scene.read(format!("{}/status.json", rep(1))).replace("\"completed\"", "\"interrupted\"");
    let again = || {
        fs::remove_dir_all(scene.path("out/a")).expect("what ran");
        scene.write(&format!("{}/status.json", rep(1)), &before);
    };
    // As many descriptors as are just too few for its program, and some less.
    let limited = |files: u32| {
        let call = format!("ulimit -n {files} && exec \"$0\" worker --plan {PLAN} --index 0");
        Call::new("sh", scene.root()).args(["-c", &call, CW2]).run()
    };
    let too_few = (16..64).rev().find(|files| {
        again();
        limited(*files).code != Some(0)
    });
    let too_few = too_few.expect("16 descriptors are too few");
    for files in too_few - 2..=too_few {
        again();
        limited(files).expect(3).says(["3 repetitions: 3 not started for lack of room on this machine", "os error 24"]);
        assert!(!scene.has(&format!("{}/config.yml", rep(0))) && !scene.has(&format!("{}/status.json", rep(0))));
        let after: Value = serde_json::from_str(&before).expect("a status");
        assert_eq!(scene.status(rep(1)), after);
    }
    for number in 0..3 {
        fs::remove_file(scene.path(format!("ran.{number}"))).expect("what ran before");
    }
    scene.worker(PLAN, 0).expect(0).says(["3 repetitions: 3 completed"]);
    assert_eq!([0, 1, 2].map(|rep| scene.lines(&format!("ran.{rep}"))), [["1 0"], ["2 1"], ["1 0"]]);
}
