//! Experiments written in Rust: how their repetitions end, what they log, and what is left of each.

use cw2::{State, Value};
use nix::sys::signal::Signal;
use std::path::Path;

use crate::programs::program;
use crate::project::counts;
use crate::slurm::{SOON, last_states};
use crate::support::{Call, Scene, alive, skipped, wait_until};
use crate::testbed::testbed;

/// Calls the program whose experiment ends as `params.how` says.
fn call(scene: &Scene, words: &str) -> Call {
    Call::new(program("every-ending"), scene.root()).args(words.split_whitespace())
}

/// A sweep over ways to end.
fn sweep(ways: &str, keys: &str) -> Scene {
    Scene::with(&format!("name: e\npath: out\nrepetitions: 1\n{keys}grid:\n  how: [{ways}]\n"))
}

fn dir(how: &str) -> String {
    format!("out/e/e__h{how}/log/rep_00")
}

#[test]
fn every_ending_is_told_apart_and_the_next_repetition_starts() {
    let scene = sweep("error, panic, initialize, surrender, finalize, done", "reps_per_job: 6\n");

    let outcome = call(&scene, "run config.yml").run();
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("6 repetitions: 1 completed, 1 surrendered, 4 crashed\n"), "{}", outcome.stderr);

    let message = |how: &str| scene.status(dir(how))["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert_eq!(message("error"), "`run` failed: the data is missing: No such file or directory (os error 2)");
    assert!(
        message("panic").starts_with("`run` failed: panicked at tests/programs/every_ending.rs:"),
        "{}",
        message("panic")
    );
    assert!(message("panic").ends_with(": index 7 of 3"), "{}", message("panic"));
    assert_eq!(message("initialize"), "`initialize` failed: nothing works");
    assert!(message("finalize").starts_with("`finalize` failed: panicked at "));
    assert_eq!(scene.status(dir("error"))["error"]["phase"], "run");
    assert_eq!(scene.status(dir("surrender"))["payload"]["reason"], "enough");
    assert_eq!(scene.status(dir("surrender"))["state"], "surrendered");
    assert_eq!(scene.state(dir("finalize")), "crashed");
    assert_eq!(scene.state(dir("done")), "completed");

    let error = scene.read(format!("{}/err.log", dir("error")));
    assert!(error.contains("the data is missing\n\nCaused by:\n    No such file or directory"), "{error}");
    assert!(error.contains("Stack backtrace:") && error.contains("every_ending"), "{error}");
    let panic = scene.read(format!("{}/err.log", dir("panic")));
    assert!(panic.contains("index 7 of 3\nstack backtrace:"), "{panic}");
    let endings = ["error", "surrender", "done"].map(|how| scene.read(format!("{}/ending.txt", dir(how))));
    assert_eq!(
        endings,
        ["crashed: the data is missing: No such file or directory (os error 2)", "surrendered", "completed"]
    );
}

#[test]
fn a_panic_of_another_thread_has_no_place_of_this_one() {
    let scene = sweep("carried", "");
    assert_eq!(call(&scene, "run config.yml").run().code, Some(1));
    assert_eq!(scene.status(dir("carried"))["error"]["message"], "`run` failed: panicked: from another thread");
}

#[test]
fn parallel_repetitions_do_not_mix_and_a_broken_logger_ends_nothing() {
    let scene = Scene::with(
        "name: e\npath: out\nrepetitions: 4\nreps_per_job: 4\nreps_in_parallel: 4\nparams: {how: mix}\noversubscribe: true\n",
    );

    call(&scene, "run config.yml").run().expect(0);

    for rep in 0..4 {
        let dir = format!("out/e/log/rep_{rep:02}");
        let lines = scene.lines(&format!("{dir}/out.log"));
        let own: Vec<_> =
            lines.iter().filter_map(|line| line.split_once("every_ending: ")).map(|(_, text)| text).collect();
        let expected: Vec<_> = (0..200).map(|n| format!("rep {rep} line {n}")).collect();
        assert_eq!(own[1..], expected);
        assert!(lines.iter().any(|line| line.ends_with("metrics: iter 199: n=199 nan=nan")), "{lines:?}");
        let errors = scene.read(format!("{dir}/err.log"));
        assert_eq!(errors.matches("logger Broken failed: panicked: no logger at all").count(), 1, "{errors}");
        assert!(errors.contains("logger Broken failed 200 times"));
        let table = scene.lines(&format!("{dir}/metrics.csv"));
        assert_eq!((table.len(), table[0].as_str()), (201, "ts,rep,iter,n,nan"));
        assert!(table[200].ends_with(&format!(",{rep},199,199,NaN")), "{}", table[200]);
    }

    let loaded = cw2::load(scene.path("out")).unwrap();
    assert_eq!(loaded.iter().map(|rep| rep.rep).collect::<Vec<_>>(), [0, 1, 2, 3]);
    for rep in &loaded {
        assert_eq!((rep.state, rep.metrics.len()), (Some(State::Completed), 200));
        assert_eq!(rep.params.to_json(), r#"{"how":"mix"}"#);
        assert_eq!(rep.metrics[7].get("iter"), Some(&Value::Int(7)));
        assert!(matches!(rep.metrics[7].get("nan"), Some(Value::Float(nan)) if nan.is_nan()));
    }
}

#[test]
fn a_logger_that_panics_wherever_it_is_called_ends_nothing() {
    let scene = sweep("mix", "");
    let outcome = call(&scene, "run config.yml").env("NAMELESS", "1").run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(scene.state(dir("mix")), "completed");
    assert!(scene.read(format!("{}/err.log", dir("mix"))).contains("a logger failed as it was dropped"));
}

#[test]
fn a_logger_of_the_programs_own_writes_into_the_repetitions_files() {
    let scene = sweep("thread", "");
    let outcome =
        call(&scene, "run config.yml").env("OWN_LOGGER", "1").run().expect(0).says(["mine: of no repetition\n"]);
    assert!(!outcome.stderr.contains("a thread of its own"), "{}", outcome.stderr);
    let log = scene.lines(&format!("{}/out.log", dir("thread")));
    assert_eq!(log, ["mine: start 1 of this object, attempt 1", "mine: a thread of its own"]);
}

#[test]
fn a_thread_of_its_own_logs_into_the_repetitions_files() {
    let scene = sweep("thread", "");
    // What a person wants to see is another matter.
    call(&scene, "run --quiet config.yml").run().expect(0);
    assert!(scene.read(format!("{}/err.log", dir("thread"))).ends_with("WARN  every_ending: a thread of its own\n"));
    assert!(scene.read(format!("{}/out.log", dir("thread"))).contains("INFO  every_ending: start 1 of this object"));
}

#[test]
fn a_process_of_an_experiment_takes_signals() {
    let scene = sweep("child", "");
    call(&scene, "run config.yml").run().expect(0);
}

#[test]
fn a_process_of_an_experiment_does_not_outlive_the_attempt() {
    let scene = sweep("background, polite", "retries: 1\nreps_per_job: 2\n");
    let running = call(&scene, "run config.yml").start();
    wait_until("the next repetition", || scene.has(&format!("{}/out.log", dir("polite"))));

    // The worker lives on.
    assert!(!alive(&scene.read(format!("{}/pid2", dir("background")))));
    let out = scene.lines(&format!("{}/out.log", dir("background")));
    let told: Vec<_> = out.iter().filter_map(|line| line.split_once("the first ")).map(|(_, state)| state).collect();
    assert_eq!(told, ["runs", "is gone"], "{out:?}");

    running.signal(Signal::SIGTERM);
    running.end().expect(75);
}

#[test]
fn a_timeout_is_noticed_or_the_thread_left_behind() {
    let scene = sweep("polite, stubborn, done", "reps_per_job: 3\ntimeout: 0.3\n");

    call(&scene, "run config.yml --grace 0.2").run().expect(1);

    assert_eq!(scene.state(dir("polite")), "timed_out");
    assert_eq!(scene.read(format!("{}/ending.txt", dir("polite"))), "timed out");
    assert_eq!(scene.state(dir("stubborn")), "timed_out");
    let message = scene.status(dir("stubborn"))["error"]["message"].clone();
    assert!(message.as_str().unwrap().starts_with("left behind after its timeout"), "{message}");
    assert_eq!(scene.state(dir("done")), "completed");
}

#[test]
fn told_to_stop_an_experiment_saves_and_is_resumed() {
    let scene = sweep("polite, resume, stubborn", "reps_per_job: 3\nreps_in_parallel: 3\n");
    let running = call(&scene, "run config.yml --grace 0.5 -j 1").start();
    wait_until("the first to run", || scene.has(&format!("{}/status.json", dir("polite"))));
    wait_until("its thread", || {
        scene.has(&format!("{}/out.log", dir("polite"))) && !scene.read(format!("{}/out.log", dir("polite"))).is_empty()
    });
    running.signal(Signal::SIGTERM);
    running.end().expect(75);

    assert_eq!(scene.state(dir("polite")), "interrupted");
    assert_eq!(scene.read(format!("{}/saved", dir("polite"))), "1");
    assert_eq!(scene.read(format!("{}/ending.txt", dir("polite"))), "interrupted");

    let scene = sweep("resume", "");
    let running = call(&scene, "run config.yml").start();
    wait_until("it to run", || {
        scene.has(&format!("{}/out.log", dir("resume"))) && !scene.read(format!("{}/out.log", dir("resume"))).is_empty()
    });
    running.signal(Signal::SIGTERM);
    running.end().expect(75);
    assert_eq!(scene.state(dir("resume")), "interrupted");
    call(&scene, "run config.yml").run().expect(0);
    assert_eq!(scene.status(dir("resume"))["attempt"], 2);
}

/// Sends SIGTERM as soon as the repetition runs.
fn stop_when_it_runs(scene: &Scene, how: &str) -> crate::support::Outcome {
    let running = call(scene, "run config.yml").start();
    let log = format!("{}/out.log", dir(how));
    wait_until("it to run", || scene.has(&log) && !scene.read(&log).is_empty());
    running.signal(Signal::SIGTERM);
    running.end()
}

#[test]
fn a_look_at_the_stop_and_what_is_done_all_the_same_interrupt_nothing() {
    for how in ["look", "finish", "glance"] {
        let scene = sweep(how, "");
        stop_when_it_runs(&scene, how).expect(0);
        assert_eq!(scene.state(dir(how)), "completed", "{how}");
        assert_eq!(scene.read(format!("{}/ending.txt", dir(how))), "completed");
    }
}

#[test]
fn what_any_thread_is_told_counts_and_the_log_says_where_only_others_were() {
    for (how, only_others) in [("beside", true), ("polite", false)] {
        let scene = sweep(how, "");
        stop_when_it_runs(&scene, how).expect(75);
        assert_eq!(scene.state(dir(how)), "interrupted", "{how}");
        let log = scene.read(format!("{}/out.log", dir(how)));
        let cure = "only other threads asked `stopping()`";
        assert_eq!(log.contains(cure) && log.contains("counts as interrupted"), only_others, "{log}");
    }
}

#[test]
fn a_checkpoint_is_restored_where_the_attempt_before_was_interrupted() {
    let scene = sweep("save", "");
    stop_when_it_runs(&scene, "save").expect(75);
    assert_eq!(scene.state(dir("save")), "interrupted");

    call(&scene, "run config.yml").run().expect(0);
    assert_eq!(scene.read(format!("{}/saves", dir("save"))), "1");

    // Begun anew and interrupted before anything is saved, the next one finds nothing of the sweep before.
    scene.write("config.yml", "name: e\npath: out\nrepetitions: 1\ngrid:\n  how: [save]\nparams: {late: true}\n");
    call(&scene, "plan config.yml -o").run().expect(0);
    let running = call(&scene, "run config.yml -o").start();
    let saves = format!("{}/saves", dir("save"));
    wait_until("it to begin anew", || scene.read(format!("{}/config.yml", dir("save"))).contains("late"));
    running.signal(Signal::SIGTERM);
    running.end().expect(75);
    std::fs::remove_file(scene.path(&saves)).unwrap();
    call(&scene, "run config.yml").run().expect(0);
    assert_eq!(scene.read(&saves), "0");
}

#[test]
fn parameters_of_another_type_are_refused_when_planning() {
    let scene = sweep("[1], 2", "");
    for words in ["plan config.yml", "run config.yml"] {
        call(&scene, words).run().expect(2).silent().says([
            "the parameters of `e__h_1` are not what this program's experiment takes: `how`: invalid type: sequence",
            "config.yml:",
            "correct them",
        ]);
    }
    assert!(!scene.has("out"));
    // What runs a command has parameters for that one.
    scene.write("config.yml", "name: e\npath: out\nrepetitions: 1\nparams: {a: 1}\ncommand: 'true'\n");
    call(&scene, "run config.yml").run().expect(0);
}

#[test]
fn jobs_are_started_with_the_program_s_own_arguments() {
    let scene = sweep("fine", "");
    let outcome = call(&scene, "plan config.yml").env("OWN", "an argument").run().expect(0);
    let script = scene.read(outcome.stdout.trim());
    assert!(script.contains("/every-ending --own 'an argument' worker --plan "), "{script}");
    // And those of a retry.
    std::fs::remove_dir_all(scene.path("out/plans/001/slurm")).unwrap();
    let outcome = call(&scene, "retry --assume-dead out/plans/001").env("OWN", "an argument").run().expect(0);
    assert!(scene.read(outcome.stdout.trim()).contains(" --own 'an argument' worker "));
}

#[test]
fn records_since_the_last_checkpoint_count_once() {
    for saves in [false, true] {
        let scene = sweep("count", &format!("params: {{saves: {saves}}}\n"));
        let running = call(&scene, "run config.yml").start();
        let at = |name: &str| format!("{}/{name}", dir("count"));
        wait_until("four records", || scene.lines(&at("metrics.jsonl")).len() == 4);
        running.signal(Signal::SIGTERM);
        running.end().expect(75);
        call(&scene, "run config.yml").run().expect(0);

        let of = |n: i64| if saves && n < 2 { 1 } else { 2 };
        let rep = cw2::load(scene.path("out")).unwrap().remove(0);
        let records: Vec<_> = rep
            .metrics
            .iter()
            .map(|record| ["iter", "n", "attempt"].map(|name| record.get(name).and_then(Value::as_i64)))
            .collect();
        let expected: Vec<_> = (0..6).map(|n| [n, n, of(n)].map(Some)).collect();
        assert_eq!(records, expected, "saves: {saves}");
        let rows: Vec<_> = scene.lines(&at("metrics.csv")).into_iter().skip(1).collect();
        let expected: Vec<_> = (0..6).map(|n| format!(",0,{n},{n},{}", of(n))).collect();
        assert!(rows.len() == 6 && rows.iter().zip(&expected).all(|(row, end)| row.ends_with(end)), "{rows:?}");
        assert_eq!(scene.lines(&at("metrics.attempt-1.jsonl")).len(), if saves { 2 } else { 4 });
    }
}

#[test]
fn a_second_signal_does_not_wait_for_a_stubborn_experiment() {
    let scene = sweep("stubborn", "");
    let running = call(&scene, "run config.yml --grace 60").start();
    wait_until("it to run", || scene.has(&format!("{}/status.json", dir("stubborn"))));
    running.signal(Signal::SIGTERM);
    running.signal(Signal::SIGINT);
    running.end().expect(75);
    assert_eq!(scene.state(dir("stubborn")), "interrupted");
}

#[test]
fn an_experiment_that_ends_the_process_has_crashed() {
    let scene = sweep("done, exit, error", "reps_per_job: 3\n");
    call(&scene, "plan config.yml").run().expect(0);
    let element = || call(&scene, "worker --plan out/plans/001 --index 0").run().expect(1);
    element().says(["something in this process called `exit` while repetitions were under way (1)"]);
    // Last, it keeps nothing else from running, and is crashed in the end.
    element();
    assert_eq!(scene.states()["crashed"], 1);
    element();
    element().says(["3 workers died while they ran it"]);
    assert_eq!(scene.states(), counts([("completed", 1), ("crashed", 2)]));
}

#[test]
fn a_retry_gets_a_fresh_object() {
    let scene = sweep("flaky", "retries: 2\n");
    call(&scene, "run config.yml").run().expect(0);
    let out = scene.read(format!("{}/out.log", dir("flaky")));
    let starts: Vec<_> =
        out.lines().filter_map(|line| line.split_once("every_ending: ")).map(|(_, text)| text).collect();
    assert_eq!(starts, [1, 2, 3].map(|attempt| format!("start 1 of this object, attempt {attempt}")));
    assert_eq!(scene.status(dir("flaky"))["earlier"][1]["message"], "`run` failed: not yet");
}

#[test]
fn a_program_has_all_commands_and_its_scripts_start_it() {
    let scene = sweep("done, surrender", "");
    let dry = call(&scene, "plan --dry-run config.yml").run().expect(0);
    assert!(dry.stdout.contains("/examples/every-ending worker "), "{}", dry.stdout);
    call(&scene, "plan config.yml").run().expect(0);
    call(&scene, "worker --plan out/plans/001 --index 0").run().expect(0);
    call(&scene, "status out --json").run();
    assert_eq!(scene.states(), counts([("completed", 1), ("pending", 1)]));
    assert_eq!(cw2::load(scene.path("out/plans/001")).unwrap().iter().filter(|rep| rep.state.is_none()).count(), 1);
}

#[test]
fn another_program_leaves_the_plan_alone() {
    let scene = sweep("done", "");
    scene.cw2("plan config.yml").expect(2).says(["has no `command`"]);
    call(&scene, "plan config.yml").run().expect(0);
    scene.cw2("worker --plan out/plans/001 --index 0").expect(1).says(["it is part of the program that made the plan"]);
    assert!(!scene.has(&dir("done")));
}

#[test]
fn a_command_runs_in_a_rust_program_too() {
    let scene = sweep("done", "command: 'echo {{ params.how }}'\n");
    call(&scene, "run config.yml").run().expect(0);
    assert_eq!(scene.read(format!("{}/out.log", dir("done"))), "done\n");
}

#[test]
fn a_command_finds_cw2_in_a_rust_program_too() {
    let surrender = r#"command -v cw2; command -v every-ending; cw2 surrender '{"reason": "enough"}'"#;
    let scene = sweep("done", &format!("command: |\n  {surrender}\n"));
    call(&scene, "run config.yml").env("PATH", "/usr/bin:/bin").run().expect(0);
    assert_eq!(scene.state(dir("done")), "surrendered");
    let [link, program] = scene.lines(&format!("{}/out.log", dir("done"))).try_into().unwrap();
    assert!(program.ends_with("/examples/every-ending"), "{program}");
    assert!(link.ends_with("/cw2") && !Path::new(&link).parent().unwrap().exists(), "{link}");
}

#[test]
fn each_scheduler_shares_as_it_says() {
    let cpus = cw2::internals::allowed_cpus().unwrap().cpus;
    let shares = |scheduler: &str| {
        let scene = Scene::with(
            "name: e\npath: out\nrepetitions: 2\nreps_per_job: 2\nreps_in_parallel: 2\ntimeout: 60\nparams: {how: share}\n",
        );
        let run = call(&scene, "run config.yml").env("SCHEDULER", scheduler).env("CUDA_VISIBLE_DEVICES", "GPU-a,7");
        run.run().expect(0);
        [0, 1].map(|rep| scene.read(format!("out/e/log/rep_{rep:02}/share.txt")))
    };
    let all = format!("{cpus:?} [\"GPU-a\", \"7\"]");
    for scheduler in ["sequential", "parallel"] {
        let shares = shares(scheduler);
        assert!(shares.iter().all(|share| share.starts_with(&all)), "{scheduler}: {shares:?}");
    }
    if cpus.len() < 2 {
        skipped("this machine gives one CPU, and two slots need two");
        return;
    }
    for (scheduler, gpus) in [("cpu-pinned", ["\"GPU-a\", \"7\""; 2]), ("gpu-splitting", ["\"GPU-a\"", "\"7\""])] {
        let mut shares = shares(scheduler);
        shares.sort();
        assert_ne!(shares[0].split(']').next(), shares[1].split(']').next(), "{scheduler}: {shares:?}");
        let expected: Vec<_> = gpus.iter().map(|gpus| format!("] [{gpus}] bound ")).collect();
        assert!(shares.iter().zip(expected).all(|(share, gpus)| share.contains(&gpus)), "{scheduler}: {shares:?}");
        if cpus.len() == 2 {
            let bound: Vec<_> = shares.iter().filter_map(|share| share.rsplit(' ').next()).collect();
            assert_eq!(bound, cpus.iter().map(usize::to_string).collect::<Vec<_>>(), "{scheduler}");
        }
    }
}

#[test]
fn a_scheduler_that_leaves_something_out_loses_nothing() {
    let scene = Scene::with("name: e\npath: out\nrepetitions: 4\nreps_per_job: 4\nparams: {how: done}\n");
    let outcome = call(&scene, "run config.yml").env("SCHEDULER", "careless").run().expect(75);
    assert!(outcome.stderr.contains("4 repetitions: 2 completed, 2 not started\n"), "{}", outcome.stderr);
    assert_eq!(scene.states(), counts([("completed", 2), ("pending", 2)]));
}

#[test]
fn a_scheduler_that_panics_failed() {
    let scene = Scene::with("name: e\npath: out\nrepetitions: 4\nreps_per_job: 4\nparams: {how: done}\n");
    for (words, summary) in [
        ("run config.yml", "4 repetitions: 1 completed, 3 not started\n"),
        ("worker --plan out/plans/001 --index 0", "4 repetitions: 3 not started, 1 finished before\n"),
    ] {
        let outcome = call(&scene, words).env("SCHEDULER", "panicking").run();
        assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
        outcome.says([summary, "the scheduler panicked: no order at all\n"]);
    }
    assert_eq!(scene.states(), counts([("completed", 1), ("pending", 3)]));
}

#[test]
fn a_process_of_the_scheduler_is_its_own() {
    let scene = sweep("done, error", "command: (setsid true &)\n");
    call(&scene, "run config.yml").env("SCHEDULER", "helped").run().expect(0);
}

#[test]
fn a_scheduler_that_does_not_return_ends_with_a_second_signal() {
    let scene = sweep("done", "");
    let running = call(&scene, "run config.yml --grace 0.1").env("SCHEDULER", "endless").start();
    wait_until("the repetition's end", || {
        scene.has(&format!("{}/status.json", dir("done"))) && scene.state(dir("done")) == "completed"
    });

    running.signal(Signal::SIGINT);
    running.signal(Signal::SIGTERM);

    running.end().expect(75).says(["the scheduler goes on though it was told to stop: this process ends without it"]);
}

#[test]
fn a_scheduler_may_start_again_what_crashed_also_in_an_element() {
    let scene = sweep("once", "");
    call(&scene, "plan config.yml").run().expect(0);
    let element = call(&scene, "worker --plan out/plans/001 --index 0").env("SCHEDULER", "careless");
    element.env("SLURM_JOB_ID", "8").env("SLURM_ARRAY_JOB_ID", "7").env("SLURM_ARRAY_TASK_ID", "0").run().expect(0);
    assert_eq!(scene.state(dir("once")), "completed");
}

#[test]
fn a_scheduler_may_hand_the_jobs_to_slurm() {
    let Some(bed) = testbed() else { return };
    let scene = sweep("done, surrender, error", "");
    let run = call(&scene, "run config.yml").env("SCHEDULER", "slurm").env("SLURM_CONF", bed.conf());

    let outcome = run.run().expect(0);

    let job = outcome.stdout.trim().parse().expect("the id of the job");
    assert_eq!(last_states(bed.wait(job, SOON)), ["COMPLETED", "COMPLETED", "FAILED"]);
    assert_eq!(scene.states(), counts([("completed", 1), ("surrendered", 1), ("crashed", 1)]));
}

#[test]
fn keys_of_a_command_are_refused_without_one() {
    let scene = sweep("done", "workdir: /tmp\n");
    call(&scene, "run config.yml").run().expect(2).says(["`workdir` has no effect without a `command`"]);
}

#[test]
fn a_program_with_threads_of_its_own_may_run_several_configurations() {
    let scene = sweep("done", "");
    let command = |path: &str| format!("name: e\npath: {path}\nrepetitions: 4\ncommand: sleep 0.1\n");
    scene.write("first.yml", command("first"));
    scene.write("second.yml", command("second"));

    call(&scene, "host first.yml config.yml second.yml").start().end().expect(0);

    assert_eq!(scene.state(dir("done")), "completed");
    assert_eq!(scene.state("second/e/log/rep_03"), "completed");
}

#[test]
fn a_command_line_of_ones_own_gives_backtraces_too() {
    let scene = sweep("error", "");
    assert_eq!(call(&scene, "host-alone config.yml").run().code, Some(1));
    let error = scene.read(format!("{}/err.log", dir("error")));
    assert!(error.contains("Stack backtrace:"), "{error}");
}

#[test]
fn a_program_with_threads_of_its_own_hears_of_a_stop_and_may_go_on() {
    let scene = sweep("done", "");
    scene.write("first.yml", "name: e\npath: first\nrepetitions: 1\ncommand: echo started; exec sleep 60\n");
    let running = call(&scene, "host first.yml config.yml").start();
    wait_until("the first to run", || scene.lines("first/e/log/rep_00/out.log") == ["started"]);

    running.signal(Signal::SIGTERM);

    running.end().expect(75);
    assert_eq!(scene.state("first/e/log/rep_00"), "interrupted");
    assert_eq!(scene.state(dir("done")), "completed");
}

#[test]
fn results_are_loaded_with_the_parameters_they_were_run_with() {
    let config = |lr: f64| format!("name: e\npath: out\nrepetitions: 2\ncommand: 'true'\nparams: {{lr: {lr}}}\n");
    let scene = Scene::with(&config(0.1));
    scene.cw2("run config.yml").expect(0);
    scene.write("config.yml", config(0.2));
    scene.cw2("plan -o config.yml").expect(0);
    std::fs::remove_dir_all(scene.path("out/e/log/rep_01")).unwrap();

    let loaded = cw2::load(scene.path("out")).unwrap();

    let told: Vec<_> = loaded.iter().map(|rep| (rep.state, rep.params.to_json())).collect();
    let expected = [(Some(State::Completed), r#"{"lr":0.1}"#.to_owned()), (None, r#"{"lr":0.2}"#.to_owned())];
    assert_eq!(told, expected);
}

#[test]
fn records_tell_their_iteration() {
    let scene = sweep("steps", "iterations: 5\n");
    call(&scene, "run config.yml").env("STEPS", "1").run().expect(0);

    let [rep] = cw2::load(scene.path("out")).unwrap().try_into().expect("one repetition");
    let [iter, at] = ["iter", "at"].map(|name| {
        let told: Vec<_> = rep.metrics.iter().map(|record| record.get(name).map(Value::to_json).unwrap()).collect();
        told.join(" ").replace('"', "")
    });
    assert_eq!(at, "initialize within result within result within surrender finalize");
    assert_eq!(iter, "null 0 0 1 1 2 2 null");
    let errors = scene.read(format!("{}/err.log", dir("steps")));
    assert_eq!(errors.matches("a metric is named `iter`").count(), 1, "{errors}");
}

#[test]
fn after_the_last_iteration_a_stop_interrupts_nothing() {
    let scene = sweep("steps", "iterations: 1\ntimeout: 0.1\n");
    call(&scene, "run config.yml").env("STEPS", "1").run().expect(0);
    assert_eq!(scene.state(dir("steps")), "completed");
}

#[test]
fn an_iterative_experiment_needs_iterations() {
    let scene = sweep("steps", "");
    let plan = |scene: &Scene| call(scene, "plan config.yml").env("STEPS", "1").run();
    plan(&scene).expect(2).says(["the experiment `e` has no `iterations`"]).silent();
    assert!(!scene.has("out"));
    plan(&sweep("steps", "iterations: 1\n")).expect(0);
    plan(&sweep("steps", "command: 'true'\n")).expect(0);
}

#[test]
fn advice_names_the_program() {
    let scene = sweep("done", "");
    call(&scene, "show config.yml --run no").run().expect(2).says(["`every-ending list config.yml` lists them"]);
    scene.cw2("show config.yml --run no").expect(2).says(["`cw2 list config.yml` lists them"]);
}
