//! Workers that die at any moment: nothing is lost, nothing runs beside its own ghost, no state is ever torn.

use crate::support::{Call, PATIENCE, Scene, alive, wait_until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const PLAN: &str = "out/plans/001";

/// Numbers that look random: xorshift, from a seed that a failure prints.
pub(crate) struct Random(u64);

impl Random {
    /// From `CW2_TEST_SEED`, where a failure is looked for again.
    pub(crate) fn new() -> Self {
        let seed = if let Ok(seed) = std::env::var("CW2_TEST_SEED") {
            seed.parse().expect("`CW2_TEST_SEED` is a number above 0")
        } else {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
            u64::from(now.subsec_nanos()) + now.as_secs() + 1
        };
        println!("again with `CW2_TEST_SEED={seed}`");
        Random(seed)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Appends to `ran.N` when it starts and to `ended.N` when it is through; tells where another one of its repetition lives.
///
/// The descriptor 9 is inherited by all it starts: the lock is free when the last of them is gone.
const REPETITION: &str = r#"
exec 9>> lock.$CW2_RUN.$CW2_REP
flock -n 9 || echo "$CW2_RUN $CW2_REP lives twice" >> violations
echo "$CW2_ATTEMPT" >> ran.$CW2_RUN.$CW2_REP
case $CW2_REP in
1) setsid sleep 0.03 ;;
2) trap '' TERM; sleep 0.01; sleep 0.01 ;;
3) (setsid sleep 100 > /dev/null 2>&1 &) ; sleep 0.01 ;;
4) sleep 0.12 ;;
*) sleep 0.02 ;;
esac
"#;

fn call(scene: &Scene, index: u64) -> Call {
    scene.call(["worker", "--plan", PLAN, "--index", &index.to_string(), "--grace", "0.05"])
}

/// Reads the statuses over and over, those that are worked on (from `near` on) and some before them: each is whole at any
/// time, and what is finished stays finished.
fn watch(dirs: &[PathBuf], near: &AtomicUsize, stop: &AtomicBool) -> Result<u64, String> {
    let mut finished = BTreeMap::new();
    let mut read = 0;
    while !stop.load(Ordering::Relaxed) {
        let near = near.load(Ordering::Relaxed);
        for dir in dirs.iter().take(near + 12).skip(near.saturating_sub(60)) {
            let Ok(text) = fs::read_to_string(dir.join("status.json")) else { continue };
            read += 1;
            let status: Value =
                serde_json::from_str(&text).map_err(|error| format!("{}: {error}: `{text}`", dir.display()))?;
            let done = status["state"] == "completed";
            match finished.get(dir) {
                None if done => drop(finished.insert(dir.clone(), text)),
                Some(before) if *before != text => {
                    return Err(format!("{}: finished and then\n{text}", dir.display()));
                }
                _ => {}
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(read)
}

/// Stops the watcher also where the test fails, which would wait for it for ever.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn two_hundred_kills_lose_nothing() {
    const KILLS: u32 = 200;
    // Far more than are needed: how many bundles end between two kills depends on the machine.
    const RUNS: usize = 600;
    let scene = Scene::with(&format!(
        "name: a\npath: out\nrepetitions: 6\nreps_per_job: 6\nreps_in_parallel: 2\nretries: 1000\ngrid: {{x: {:?}}}\ncommand: . ./repetition\n",
        (0..RUNS).collect::<Vec<_>>()
    ));
    scene.write("repetition", REPETITION);
    scene.plan();
    let repetitions = scene.cw2(&format!("list {PLAN} --json")).json_lines();
    let dir = |repetition: &Value| PathBuf::from(repetition["dir"].as_str().expect("a folder"));
    let dirs: Vec<PathBuf> = repetitions.iter().map(|repetition| scene.path(dir(repetition))).collect();
    let ran = |repetition: &Value| {
        let name = format!("ran.{}.{}", repetition["run"].as_str().expect("a run"), repetition["rep"]);
        scene.lines(&name).len()
    };
    let mut random = Random::new();
    let (stop, near) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (mut kills, mut job, mut starts) = (0, 0, 0);
    // How often each repetition had been started when it was first seen finished.
    let mut finished: BTreeMap<usize, usize> = BTreeMap::new();
    thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&dirs, &near, &stop));
        let watching = StopOnDrop(&stop);
        let deadline = Instant::now() + 5 * PATIENCE;
        while kills < KILLS {
            assert!(Instant::now() < deadline, "only {kills} kills of {starts} workers");
            starts += 1;
            let mut worker = call(&scene, job).start_silent();
            let moment = Instant::now() + Duration::from_micros(random.below(200_000));
            while Instant::now() < moment && worker.try_wait().expect("a child of this process").is_none() {
                thread::sleep(Duration::from_millis(1));
            }
            // It may have ended by itself.
            let _ = worker.kill();
            let status = worker.wait().expect("a child of this process");
            match status.code() {
                None => kills += 1,
                Some(code) => {
                    assert_eq!(code, 0, "the worker of job {job} failed by itself");
                    job += 1;
                }
            }
            for number in (usize::try_from(job.saturating_sub(1)).expect("a small number") * 6..).take(12) {
                let Some(repetition) = repetitions.get(number) else { break };
                if scene.path(dir(repetition)).join("status.json").exists()
                    && scene.state(dir(repetition)) == "completed"
                {
                    finished.entry(number).or_insert_with(|| ran(repetition));
                }
            }
            near.store(usize::try_from(job).expect("a small number") * 6, Ordering::Relaxed);
        }
        // Now in peace.
        for index in 0..=job {
            call(&scene, index).run().expect(0);
        }
        drop(watching);
        let read = watcher.join().expect("the watcher").unwrap_or_else(|error| panic!("{error}"));
        assert!(read > 1000, "the watcher read only {read} states");
    });
    assert_eq!(scene.lines("violations"), Vec::<String>::new());
    for (number, repetition) in
        repetitions.iter().enumerate().take(usize::try_from(job + 1).expect("a small number") * 6)
    {
        let status = scene.status(dir(repetition));
        assert_eq!(status["state"], "completed", "{repetition}");
        if let Some(count) = finished.get(&number) {
            assert_eq!(ran(repetition), *count, "ran again after it was finished: {repetition}");
        }
    }
    let left: Vec<_> = scene.tree().into_iter().filter(|name| name.contains("/.status.json.")).collect();
    assert_eq!(left, Vec::<String>::new(), "temporary files were left");
    println!("{kills} kills of {starts} workers, {job} jobs");
}

/// Starts things that outlive a killed worker in every way there is, and writes down their pids.
const HAUNTED: &str = r#"
[ "$CW2_ATTEMPT" = 1 ] || { for pid in $(cat pids); do ! [ -e /proc/$pid/cwd/config.yml ] || echo $pid >> met; done; exit 0; }
echo $$ >> pids
(setsid ./stay &)
setsid ./stay > /dev/null 2>&1 < /dev/null &
(setsid env -i PATH="$PATH" ./stay &)
while [ "$(wc -l < pids)" != 4 ]; do sleep 0.01; done
touch haunted
trap '' TERM
while :; do sleep 1000; done
"#;

#[test]
fn ghosts_are_ended_before_the_repetition_starts_again() {
    let scene = Scene::with("name: a\npath: out\nrepetitions: 1\ncommand: . ./repetition\n");
    scene.write("repetition", HAUNTED);
    scene.write("stay", "#!/bin/sh\ntrap '' TERM HUP\necho $$ >> pids\nwhile :; do sleep 1000; done\n");
    fs::set_permissions(scene.path("stay"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a script");
    scene.plan();
    let worker = call(&scene, 0).start();
    wait_until("all ghosts", || scene.has("haunted"));
    worker.signal(Signal::SIGKILL);
    assert_eq!(worker.end().signal, Some(9));
    let pids = scene.lines("pids");
    assert!(pids.iter().all(|pid| alive(pid)), "the ghosts must outlive their worker for this test");

    call(&scene, 0).run().expect(0).says(["that an earlier worker left"]);
    assert_eq!(scene.lines("met"), Vec::<String>::new());
    assert!(!pids.iter().any(|pid| alive(pid)));
    let status = scene.status("out/a/log/rep_00");
    assert_eq!((&status["attempt"], &status["earlier"][0]["state"]), (&json!(2), &json!("running")));
}

#[test]
fn the_half_written_status_of_a_dead_worker_is_removed() {
    let scene = Scene::with("name: a\npath: out\nrepetitions: 1\ncommand: 'true'\n");
    scene.plan();
    call(&scene, 0).run().expect(0);
    let dir = "out/a/log/rep_00";
    // It died before it had written the very first one.
    fs::rename(scene.path(format!("{dir}/status.json")), scene.path(format!("{dir}/.status.json.Ab1234")))
        .expect("a status");
    call(&scene, 0).run().expect(0);
    assert!(!scene.has(&format!("{dir}/.status.json.Ab1234")) && scene.state(dir) == "completed");
}

#[test]
fn a_ghost_may_save_its_work_before_it_is_ended() {
    let scene = Scene::with(
        "name: a\npath: out\nrepetitions: 1\ncommand: |\n  [ $CW2_RESUME = 0 ] || { cat saved; exit 0; }\n  trap 'echo checkpoint > saved; exit 0' TERM\n  touch started\n  while :; do sleep 0.01; done\n",
    );
    scene.plan();
    let worker = call(&scene, 0).start();
    wait_until("its start", || scene.has("started"));
    worker.signal(Signal::SIGKILL);
    worker.end();
    scene.cw2(&format!("worker --plan {PLAN} --index 0")).expect(0);
    let log = scene.read("out/a/log/rep_00/out.log");
    assert!(log.ends_with("checkpoint\n"), "{log}");
}

#[test]
fn a_repetition_that_ended_without_its_worker_runs_again() {
    // What nobody saw succeed is not believed to have succeeded.
    let scene = Scene::with(
        "name: a\npath: out\nrepetitions: 1\ncommand: echo x >> ran; while ! [ -e go ]; do sleep 0.01; done\n",
    );
    scene.plan();
    let worker = call(&scene, 0).start();
    wait_until("its start", || scene.has("out/a/log/rep_00/status.json"));
    worker.signal(Signal::SIGKILL);
    worker.end();
    scene.write("go", "");
    assert_eq!(scene.state("out/a/log/rep_00"), "running");
    call(&scene, 0).run().expect(0);
    assert_eq!((scene.lines("ran").len(), scene.state("out/a/log/rep_00").as_str()), (2, "completed"));
}

#[test]
fn a_worker_that_dies_before_it_notes_that_a_repetition_runs_is_known_of() {
    // It is killed by what it started, which goes on without holding a lock.
    const REPETITION: &str = r#"
[ "$CW2_ATTEMPT" = 1 ] || { echo "resume $CW2_RESUME"; exit 0; }
echo '{"loss": 1}' >> "$CW2_METRICS"; echo 1 > "$CW2_REP_DIR/saved"
kill -KILL $PPID
echo $$ > pid.$CW2_REP
exec sleep 1000 > /dev/null 2>&1
"#;
    let scene = Scene::with("name: a\npath: out\nrepetitions: 10\ncommand: . ./repetition\n");
    scene.write("repetition", REPETITION);
    scene.plan();
    let mut noted = 0;
    for rep in 0..10 {
        let dir = format!("out/a/log/rep_{rep:02}");
        assert_eq!(call(&scene, rep).run().signal, Some(9));
        wait_until("its ghost", || !scene.lines(&format!("pid.{rep}")).is_empty());
        let pid = scene.lines(&format!("pid.{rep}")).remove(0);
        noted += u32::from(scene.has(&format!("{dir}/status.json")));
        call(&scene, rep).run().expect(0);
        assert!(!alive(&pid), "its ghost outlived it");
        let status = scene.status(&dir);
        assert_eq!((&status["attempt"], &status["state"]), (&json!(2), &json!("completed")));
        let earlier = status["earlier"].as_array().expect("a list");
        assert_eq!((earlier.len(), &earlier[0]["attempt"], &earlier[0]["state"]), (1, &json!(1), &json!("running")));
        assert!(earlier[0]["started"].as_str() <= status["started"].as_str(), "{status}");
        assert!(scene.read(format!("{dir}/out.log")).ends_with("<==\nresume 1\n"));
        assert!(scene.has(&format!("{dir}/metrics.jsonl")), "what is resumed goes on with its metrics");
    }
    assert!(noted < 10, "no worker died soon enough for this test");
}

#[test]
fn what_kills_its_worker_runs_last_and_crashes_at_last() {
    // Only when the ends of those before it are on the disk: what they did not get told would be done again.
    const REPETITION: &str = r"
echo $CW2_REP >> ran
[ $CW2_REP = 1 ] || exit 0
others=4; [ $CW2_ATTEMPT != 1 ] || others=1
until [ $(grep -l completed out/a/log/rep_*/status.json | wc -l) = $others ]; do sleep 0.01; done
echo too much >&2
kill -KILL $PPID
exec sleep 1000
";
    for (retries, deaths) in [(0, 3), (3, 4)] {
        let scene = Scene::with(&format!(
            "name: a\npath: out\nrepetitions: 5\nreps_per_job: 5\nretries: {retries}\ncommand: . ./repetition\n"
        ));
        scene.write("repetition", REPETITION);
        scene.plan();
        let counts = || scene.cluster("status --json").expect(0).json_lines().remove(0)["total"].clone();

        assert_eq!(call(&scene, 0).run().signal, Some(9));
        assert_eq!(scene.lines("ran"), ["0", "1"]);
        assert_eq!((&counts()["lost"], &counts()["pending"]), (&json!(1), &json!(3)), "{}", counts());

        for _ in 1..deaths {
            assert_eq!(call(&scene, 0).run().signal, Some(9));
        }
        let ran = [vec!["0", "1", "2", "3", "4"], vec!["1"; deaths - 1]].concat();
        assert_eq!(scene.lines("ran"), ran);

        let message = format!("{deaths} workers died while they ran it, so it is not started again");
        call(&scene, 0).run().expect(1).says(["5 repetitions: 1 crashed, 4 finished before", &message]);
        let status = scene.status("out/a/log/rep_01");
        assert_eq!((&status["state"], &status["attempt"]), (&json!("crashed"), &json!(deaths)));
        assert!(status["error"]["stderr_tail"].as_str().is_some_and(|tail| tail.contains("too much")), "{status}");
        assert_eq!((&counts()["crashed"], &counts()["completed"]), (&json!(1), &json!(4)));

        // Asked for anew, it has all its chances again.
        scene.cluster("retry out").expect(0);
        let retry = |_| scene.cw2("worker --plan out/plans/002 --index 0").signal;
        assert_eq!((0..deaths).map(retry).collect::<Vec<_>>(), vec![Some(9); deaths]);
        scene.cw2("worker --plan out/plans/002 --index 0").expect(1).says(["1 crashed"]);
    }
}

#[test]
fn what_ran_beside_the_one_that_kills_the_worker_has_its_last_chance_alone() {
    const REPETITION: &str = r#"
echo $CW2_REP $CW2_ATTEMPT >> ran
if [ $CW2_REP = 0 ]; then
    # Alone it waits in vain.
    patience=3000; [ $CW2_ATTEMPT != 3 ] || patience=50
    until grep -qx "1 $CW2_ATTEMPT" ran || [ $patience = 0 ]; do sleep 0.01; patience=$((patience - 1)); done
    kill -KILL $PPID
    exec sleep 1000
fi
[ $CW2_ATTEMPT = 3 ] || exec sleep 1000
sleep 1
"#;
    let scene = Scene::with(
        "name: a\npath: out\nrepetitions: 2\nreps_per_job: 2\nreps_in_parallel: 2\noversubscribe: true
command: . ./repetition\n",
    );
    scene.write("repetition", REPETITION);
    scene.plan();
    let death = || call(&scene, 0).run().signal;
    assert_eq!([death(), death()], [Some(9); 2]);
    let mut ran = scene.lines("ran");
    ran.sort();
    assert_eq!(ran, ["0 1", "0 2", "1 1", "1 2"]);

    assert_eq!(death(), Some(9));
    call(&scene, 0).run().expect(1).says(["1 crashed"]);
    let status = scene.status("out/a/log/rep_01");
    assert_eq!((&status["state"], &status["attempt"]), (&json!("completed"), &json!(3)));
}

#[test]
fn what_was_begun_unnoted_with_other_parameters_is_not_resumed() {
    let config = |lr: &str| {
        format!("name: a\npath: out\nrepetitions: 1\nparams: {{lr: {lr}}}\ncommand: echo resume $CW2_RESUME\n")
    };
    let scene = Scene::with(&config("1"));
    scene.plan();
    call(&scene, 0).run().expect(0);
    for (lr, resume) in [("1", "resume 1"), ("2", "resume 0")] {
        fs::remove_file(scene.path("out/a/log/rep_00/status.json")).expect("a status");
        scene.write("config.yml", config(lr));
        scene.cw2("run config.yml").expect(0);
        assert_eq!(scene.lines("out/a/log/rep_00/out.log").last().expect("a line"), resume);
    }
    // Numbers that JSON itself does not have tell parameters apart as well.
    for (lr, resume) in
        [("{a: .inf, b: 1}", "resume 0"), ("{a: .inf, b: 1}", "resume 1"), ("{a: .inf, b: 2}", "resume 0")]
    {
        fs::remove_file(scene.path("out/a/log/rep_00/status.json")).expect("a status");
        scene.write("config.yml", config(lr));
        scene.cw2("run config.yml").expect(0);
        assert_eq!(scene.lines("out/a/log/rep_00/out.log").last().expect("a line"), resume, "{lr}");
    }
}

#[test]
fn an_attempt_that_could_not_begin_is_not_resumed() {
    // A folder in the place of a file stands for a disk that fails just then.
    for obstacle in ["surrender.json", "config.yml"] {
        for noted in [false, true] {
            let scene =
                Scene::with("name: a\npath: out\nrepetitions: 1\nparams: {lr: 1}\ncommand: echo resume $CW2_RESUME\n");
            scene.plan();
            call(&scene, 0).run().expect(0);
            let dir = "out/a/log/rep_00";
            let status = scene.path(format!("{dir}/status.json"));
            if noted {
                let text = scene.read(&status).replace("\"completed\"", "\"interrupted\"");
                fs::write(&status, text).expect("a status");
            } else {
                fs::remove_file(&status).expect("a status");
            }
            scene.cw2("plan config.yml --set params.lr=2").expect(0);
            let second = || scene.cw2("worker --plan out/plans/002 --index 0");
            let (path, aside) = (scene.path(format!("{dir}/{obstacle}")), scene.path("aside"));
            let there = fs::rename(&path, &aside).is_ok();
            fs::create_dir_all(path.join("x")).expect("an obstacle");
            second().expect(1).says(["1 crashed", obstacle]);
            fs::remove_dir_all(&path).expect("the obstacle");
            if there {
                fs::rename(&aside, &path).expect("the file");
            }

            second().expect(0);
            let log = scene.read(format!("{dir}/out.log"));
            assert!(log.ends_with("<==\nresume 0\n"), "{obstacle} {noted}: {log}");
        }
    }
}

#[test]
fn a_killed_planner_leaves_no_half_plan() {
    let scene = Scene::with(&format!(
        "name: a\npath: out\nrepetitions: 3\nreps_per_job: 7\ngrid: {{x: {numbers:?}, y: {numbers:?}}}\ncommand: 'true'\n",
        numbers = (0..45).collect::<Vec<_>>()
    ));
    let jobs = (45_usize * 45 * 3).div_ceil(7);
    let mut random = Random::new();
    let (mut killed, mut whole) = (0, 0);
    // As long as one takes undisturbed.
    let start = Instant::now();
    scene.cw2("plan config.yml").expect(0);
    let span = u64::try_from(start.elapsed().as_micros()).expect("a short time");
    while killed < 30 {
        let mut planner = scene.call(["plan", "config.yml"]).start_silent();
        thread::sleep(Duration::from_micros(random.below(span * 5 / 4)));
        let ended = planner.try_wait().expect("a child of this process").is_some();
        killed += u32::from(!ended);
        planner.kill().expect("a child of this process");
        planner.wait().expect("a child of this process");
        assert!(whole < 500, "only {killed} planners were killed in time");
        whole += u32::from(ended);
    }
    let mut numbers = BTreeSet::new();
    for entry in fs::read_dir(scene.path("out/plans")).expect("plans") {
        let name = entry.expect("an entry").file_name().into_string().expect("a name");
        let folder = format!("out/plans/{name}");
        let listed = scene.cw2(&format!("list {folder} --json"));
        let worker = scene.cw2(&format!("worker --plan {folder} --index {jobs}"));
        if name.starts_with('.') {
            // Half a plan, or a whole one that has no number yet: refused, or read to its last line.
            assert!(listed.code == Some(3) || listed.stdout.lines().count() == 45 * 45 * 3, "{name}");
        } else {
            numbers.insert(name.parse::<u32>().expect("a number"));
            assert_eq!(listed.expect(0).stdout.lines().count(), 45 * 45 * 3, "{name}");
            assert!(worker.expect(2).stderr.contains(&format!("it has {jobs}")));
            assert!(scene.has(&format!("{folder}/sbatch.sh")) && scene.has(&format!("{folder}/config/config.yml")));
        }
    }
    assert_eq!(numbers, (1..=u32::try_from(numbers.len()).expect("a small number")).collect(), "a number was left out");
    // And the next one is not disturbed by what they left.
    scene.cw2("plan config.yml").expect(0);
}
