//! `cw2 status`: what it tells of plans that ran here, and of states that are written by hand.

use crate::support::{Running, Scene, wait_until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// Two experiments; what a repetition does is decided by its parameter.
const CONFIG: &str = "\
name: DEFAULT
path: out
repetitions: 2
command: 'case {{ params.a }} in 2) echo no value {{ rep }} >&2; exit 3;; 3) sleep 9;; esac'
timeout: 0.3
---
name: first
grid: {a: [1, 2]}
---
name: second
params: {a: 3}
";

/// A folder where squeue is a script of the test, before the path.
fn path_with_squeue(scene: &Scene, script: &str) -> String {
    let squeue = scene
        .write("bin/squeue", format!("#!/bin/sh\necho called >>\"{}\"\n{script}\n", scene.path("calls").display()));
    std::fs::set_permissions(&squeue, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("it is ours");
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{}:{path}", scene.path("bin").display())
}

fn status_json(scene: &Scene, words: &str, squeue: &str) -> Value {
    let path = path_with_squeue(scene, squeue);
    let args = format!("status --json {words}");
    let outcome = scene.call(args.split_whitespace()).env("PATH", path).run().expect(0);
    outcome.json_lines().remove(0)
}

fn counts(row: &Value) -> Vec<(String, u64)> {
    let keys = [
        "completed",
        "surrendered",
        "crashed",
        "timed_out",
        "interrupted",
        "running",
        "queued",
        "lost",
        "pending",
        "unreadable",
    ];
    let count = |key: &str| (key.to_owned(), row[key].as_u64().expect("every count is there"));
    keys.into_iter().map(count).filter(|(_, count)| *count > 0).collect()
}

/// Writes a status file.
fn forge(scene: &Scene, dir: &str, changes: Value) {
    let mut status = json!({"format": 1, "experiment": "e", "run": "e", "rep": 0, "attempt": 1, "params_sha256": "",
        "plan": "out/plans/001", "job": 0, "host": "elsewhere", "pid": 1, "started": "2026-01-01T00:00:00Z"});
    let (Value::Object(status), Value::Object(changes)) = (&mut status, changes) else { panic!("objects") };
    status.extend(changes);
    scene.write(&format!("{dir}/status.json"), serde_json::to_vec_pretty(status).expect("JSON"));
}

#[test]
fn experiments_runs_and_failures_are_told() {
    let scene = Scene::with(CONFIG);
    scene.cw2("run config.yml").expect(1);
    let before = scene.tree();

    let first = status_json(&scene, "--runs --failed --advice", "");
    assert_eq!(first["plans"], json!(["out/plans/001"]));
    assert_eq!((&first["cluster_known"], &first["cluster_error"]), (&json!(true), &Value::Null));
    let rows = first["experiments"].as_array().expect("rows");
    assert_eq!([&rows[0]["experiment"], &rows[1]["experiment"]], ["first", "second"]);
    assert_eq!(counts(&rows[0]), [("completed".to_owned(), 2), ("crashed".to_owned(), 2)]);
    assert_eq!(counts(&rows[1]), [("timed_out".to_owned(), 2)]);
    assert_eq!(first["total"]["estimate"], "stopped");
    let runs: Vec<_> = first["runs"].as_array().expect("rows").iter().map(|row| row["run"].clone()).collect();
    assert_eq!(runs, ["first__a1", "first__a2", "second"]);
    let failed = first["failed"].as_array().expect("groups");
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert_eq!([&failed[0]["outcome"], &failed[0]["count"]], [&json!("crashed"), &json!(2)]);
    assert!(failed[0]["reason"].as_str().is_some_and(|reason| reason.ends_with("no value 0")), "{failed:?}");
    assert_eq!(failed[0]["example"], "out/first/first__a2/log/rep_00");
    assert_eq!(first["advice"][0]["finished"], 2);
    assert_eq!(first["advice"][1]["fits"], Value::Null);

    let text = scene.cw2("status out").expect(0);
    assert!(text.stdout.contains(" first ") && text.stdout.contains(" all "), "{}", text.stdout);
    let only = scene.cw2("status out/plans/001 -e second").expect(0);
    assert!(!only.stdout.contains("first"), "{}", only.stdout);
    scene.cw2("status -e thrid").expect(2).says(["there is no experiment `thrid` in these plans", "`second`"]).silent();

    // It looked, and changed nothing.
    let after: Vec<_> = scene.tree().into_iter().filter(|name| !name.starts_with("bin") && name != "calls").collect();
    assert_eq!(after, before);
    assert_eq!(scene.lines("calls").len(), 1, "one call of squeue a command");
}

#[test]
fn plans_are_found_or_asked_for() {
    let scene = Scene::with("name: e\npath: out\nrepetitions: 1\ncommand: 'true'\n");
    scene.cw2("status").expect(2).says(["`./plans` or `*/plans`"]).silent();
    scene.plan();
    for (folder, words) in
        [("", "status"), ("out", "status"), ("", "status out"), ("", "status out/plans"), ("", "status out/plans/001")]
    {
        let outcome = scene.call(words.split(' ')).current_dir(scene.path(folder)).run().expect(0);
        assert!(outcome.stdout.contains("PENDING"), "{words}: {}", outcome.stdout);
    }
    scene.cw2("status config.yml").expect(2).says(["`config.yml` is not a folder", "results/plans/001"]).silent();
    scene.write("empty/x", "");
    scene.cw2("status empty").expect(2).silent();
}

#[test]
fn what_slurm_says_decides_on_what_is_open() {
    let scene = Scene::with("name: e\npath: out\nrepetitions: 6\nreps_per_job: 1\ncommand: 'true'\n");
    let script = scene.plan().remove(0);
    let slurm = |index: u32| {
        json!({"state": "running", "slurm": {"job_id": format!("{}", 100 + index), "array_job_id": "77",
            "array_task_id": index.to_string(), "restart_count": 0}})
    };
    for index in 0..3 {
        forge(&scene, &format!("out/e/log/rep_0{index}"), slurm(index));
    }
    // 0 runs, 1 failed with its node, Slurm has forgotten 2, 3 waits, 4 and 5 were never submitted.
    let line = |index: &str, state: &str, reason: &str| {
        ["77", index, state, reason, "(null)", &script.display().to_string()].join("\u{1f}")
    };
    let answer = [line("0", "RUNNING", "None"), line("1", "NODE_FAIL", "NodeDown"), line("3", "PENDING", "Priority")];
    let squeue = format!("cat <<'END'\n{}\nEND", answer.join("\n"));

    let known = status_json(&scene, "--failed", &squeue);
    let expected = [("running", 1), ("queued", 1), ("lost", 2), ("pending", 2)];
    assert_eq!(counts(&known["total"]), expected.map(|(key, count)| (key.to_owned(), count)));
    assert_eq!(known["waiting"], json!({"Priority": 1}));
    let reasons: Vec<_> =
        known["failed"].as_array().expect("groups").iter().map(|group| group["reason"].clone()).collect();
    assert_eq!(
        reasons,
        ["its worker is gone: Slurm says NODE_FAIL", "its worker is gone: Slurm no longer knows its job"]
    );

    // An error of squeue: nothing is lost or queued for certain, and both streams say so.
    let path = path_with_squeue(&scene, "echo 'squeue: error: Unable to contact slurm controller' >&2; exit 1");
    let silent =
        scene.call(["status"]).env("PATH", path).run().expect(0).says(["Slurm cannot be asked", "Unable to contact"]);
    assert!(silent.stdout.contains("RUNNING (UNVERIFIED)") && !silent.stdout.contains("LOST"), "{}", silent.stdout);

    // No squeue at all.
    let silent = scene.call(["status", "--json"]).env("PATH", scene.root()).run().expect(0);
    let silent = silent.says(["`squeue` is not on this machine"]);
    assert_eq!(silent.json_lines()[0]["cluster_known"], false);
    assert_eq!(counts(&silent.json_lines()[0]["total"]), [("running".to_owned(), 3), ("pending".to_owned(), 3)]);
}

#[test]
fn without_a_cluster_nothing_is_missed_of_what_ran_here() {
    let scene = Scene::with("name: e\npath: out\nrepetitions: 2\ncommand: 'test {{ rep }} = 0'\n");
    let laptop = "echo 'squeue: error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host' >&2
echo 'squeue: fatal: Could not establish a configuration source' >&2; exit 1";
    let path = path_with_squeue(&scene, laptop);
    let status = || scene.call(["status"]).env("PATH", &path).run().expect(0);

    // It may have been submitted by hand.
    scene.plan();
    assert_eq!(
        status().err(),
        "note: Slurm cannot be asked, so what is queued or lost is not known: `squeue` knows of no cluster on this \
         machine; run this on a login node of the cluster\n"
    );
    scene.cw2("run config.yml").expect(1);
    let ran = status();
    let next = "next: `cw2 logs --failed out` (why it failed), `cw2 retry out` (the one that is missing)\n";
    assert_eq!(ran.err(), next);
    assert!(ran.stdout.contains("stopped"), "{}", ran.stdout);
}

#[test]
fn a_worker_on_this_machine_is_seen_alive_and_dead() {
    let scene = Scene::with(
        "name: e\npath: out\nrepetitions: 1\ncommand: 'while [ -e config.yml ] && [ ! -e go ]; do sleep 0.01; done'\n",
    );
    let worker: Running = scene.call(["run", "config.yml"]).start();
    wait_until("the repetition starts", || scene.has("out/e/log/rep_00/status.json"));
    assert_eq!(counts(&status_json(&scene, "", "")["total"]), [("running".to_owned(), 1)]);
    worker.signal(Signal::SIGKILL);
    worker.end();
    // The lock is the worker's alone: what it left behind does not hold it.
    assert_eq!(counts(&status_json(&scene, "", "")["total"]), [("lost".to_owned(), 1)]);
    scene.write("go", "");
}

#[test]
fn torn_and_foreign_status_files_are_nobodys_success() {
    let scene = Scene::with("name: e\npath: out\nrepetitions: 4\ncommand: 'true'\n");
    scene.plan();
    scene.write("out/e/log/rep_00/status.json", "");
    scene.write("out/e/log/rep_01/status.json", "{\"format\": 1, \"state\": \"compl");
    scene.write("out/e/log/rep_02", "a file where a folder is expected");
    assert_eq!(counts(&status_json(&scene, "", "")["total"]), [("pending".to_owned(), 4)]);
    scene.write("out/e/log/rep_03/status.json", "{\"format\": 99}");
    scene.cw2("status").expect(0).says(["rep_03/status.json", "newer cw2", "1 repetition is unreadable"]);
}

#[test]
fn a_repetition_of_several_plans_counts_once() {
    let scene = Scene::with("name: e\npath: out\nrepetitions: 3\ncommand: 'test {{ rep }} != 1'\n");
    scene.cw2("run config.yml").expect(1);
    scene.plan();
    let status = status_json(&scene, "", "");
    assert_eq!(status["plans"], json!(["out/plans/001", "out/plans/002"]));
    assert_eq!(counts(&status["total"]), [("completed".to_owned(), 2), ("crashed".to_owned(), 1)]);
    assert_eq!(status["total"]["total"], 3);
}

#[test]
fn watching_ends_with_the_last_repetition_and_with_a_signal() {
    let scene = Scene::with("name: e\npath: out\nrepetitions: 1\ncommand: 'true'\n");
    scene.cw2("status --watch 29").expect(2).says(["29 is not in 30"]);
    scene.plan();
    let path = path_with_squeue(&scene, "");
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let _ = std::fs::remove_file(scene.path("calls"));
        let watch = scene.call(["status", "out", "--watch"]).env("PATH", &path).start();
        wait_until("the first look", || scene.has("calls"));
        watch.signal(signal);
        let ended = watch.end();
        assert_eq!((ended.code, ended.signal, ended.err().as_str()), (Some(0), None, ""));
    }
    scene.cw2("run config.yml").expect(0);
    let ended = scene.call(["status", "out", "--watch", "30", "--json"]).env("PATH", &path).run().expect(0);
    assert_eq!(ended.json_lines().len(), 1);
    assert_eq!(ended.json_lines()[0]["total"]["estimate"], "done");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let scene = Scene::with("name: e\npath: out\nrepetitions: 1\ncommand: 'true'\n");
    scene.plan();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut call = std::process::Command::new(crate::support::CW2);
    let output = call.args(["status", "-q"]).current_dir(scene.root()).stdout(writer).output().expect("it runs");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn what_failures_have_in_common_is_told() {
    let scene = Scene::with(
        "name: e\npath: out\nrepetitions: 2\ncommand: 'test {{ params.net.width }} -lt 64'\ngrid: {net: {width: [16, 32, 64]}, lr: [1, 2]}\n",
    );
    scene.cw2("run config.yml").expect(1);
    let failed = &status_json(&scene, "--failed", "")["failed"];
    assert_eq!(failed[0]["count"], 4);
    assert_eq!(failed[0]["common"], json!(["all 4 have net.width=64; none of the other 8"]));
    let told = scene.cw2("status --failed").expect(0).stdout;
    assert!(told.ends_with("log/rep_00\n    all 4 have net.width=64; none of the other 8\n"), "{told}");
}

#[test]
fn each_repetition_is_told_with_where_it_is_and_what_it_says() {
    let scene = Scene::with(
        "name: e\npath: out\nrepetitions: 2\niterations: 5\nparams: {a: 1}\ncommand: |\n  echo '{\"epoch\": 3, \"test_acc\": 0.914}' >>\"$CW2_METRICS\"\n  printf '{\"epoch\": 4, \"tes' >>\"$CW2_METRICS\"\n  touch began; while [ -e config.yml ] && [ ! -e go ]; do sleep 0.01; done\n",
    );
    let worker = scene.call(["run", "config.yml"]).start();
    wait_until("the repetition starts", || scene.has("began") && scene.has("out/e/log/rep_00/status.json"));
    let reps = &status_json(&scene, "--reps", "")["reps"];
    let [first, second] = reps.as_array().expect("rows").as_slice() else { panic!("{reps}") };
    assert_eq!((&first["state"], &first["attempt"], &first["job"]), (&json!("running"), &json!(1), &Value::Null));
    assert_eq!(
        (&first["newest"], &first["log"]),
        (&json!("epoch 3/5 test_acc 0.914"), &json!("out/e/log/rep_00/out.log"))
    );
    let host = nix::unistd::gethostname().expect("a name");
    assert_eq!(first["node"].as_str(), host.to_str());
    assert_eq!((&second["state"], &second["attempt"], &second["log"]), (&json!("pending"), &Value::Null, &Value::Null));
    let table = scene.cw2("status --reps").expect(0).stdout;
    assert!(table.contains("epoch 3/5 test_acc 0.914  out/e/log/rep_00/out.log\n"), "{table}");
    scene.write("go", "");
    worker.end().expect(0);
}

#[test]
fn the_next_command_is_told_and_works() {
    let scene = Scene::with("name: e\npath: out\nrepetitions: 3\ncommand: 'test {{ rep }} != 1'\n");
    scene.plan();
    let path = path_with_squeue(&scene, "");
    scene
        .call(["status"])
        .env("PATH", path)
        .run()
        .expect(0)
        .says(["next: `cw2 submit out/plans/001` (it was never submitted)"]);
    scene.cw2("run config.yml").expect(1);
    let next = "next: `cw2 logs --failed out` (why it failed), `cw2 retry out` (the one that is missing)";
    scene.cw2("status").expect(0).says([next]);
    assert!(!scene.cw2("status -q").expect(0).stderr.contains("next:"));
    let commands = status_json(&scene, "out", "")["next"].clone();
    for command in commands.as_array().expect("commands") {
        let words = command.as_str().and_then(|command| command.strip_prefix("cw2 ")).expect("a call of cw2");
        scene.cw2(words).expect(0);
    }
    scene.write("config.yml", "name: e\npath: out\nrepetitions: 3\ncommand: 'true'\n");
    scene.cw2("run config.yml").expect(0);
    assert!(!scene.cw2("status").expect(0).stderr.contains("next:"));
}

#[test]
fn accounting_is_asked_once_and_only_where_a_job_is_gone() {
    let scene = Scene::with("name: e\npath: out\nrepetitions: 3\ncommand: 'true'\n");
    scene.plan();
    let ids = |index: u32| json!({"job_id": (100 + index).to_string(), "array_job_id": "77", "array_task_id": index.to_string(), "restart_count": 0});
    let sacct = "#!/bin/sh\necho \"$@\" >>calls-of-sacct\ncat <<'END'\n77_0|OUT_OF_MEMORY|0:125|n1\n77_1|NODE_FAIL|0:0|n2\n77_[2-3]|PENDING|0:0|None assigned\nEND\n";
    scene.write_program("bin/sacct", sacct);
    status_json(&scene, "--failed", "");
    assert!(!scene.has("calls-of-sacct"));
    for index in 0..2 {
        forge(&scene, &format!("out/e/log/rep_0{index}"), json!({"state": "running", "slurm": ids(index)}));
    }
    let status = status_json(&scene, "--failed", "");
    let reasons: Vec<_> =
        status["failed"].as_array().expect("groups").iter().map(|group| group["reason"].clone()).collect();
    assert_eq!(
        reasons,
        [
            "its worker is gone: Slurm says OUT_OF_MEMORY: it needed more memory than its job had",
            "its worker is gone: Slurm says NODE_FAIL"
        ]
    );
    assert_eq!(status["next"][1], "cw2 retry out --mem MORE");
    assert_eq!(
        scene.lines("calls-of-sacct"),
        ["--allocations --noheader --parsable2 --format=JobID,State,ExitCode,NodeList --jobs=77"]
    );
}
