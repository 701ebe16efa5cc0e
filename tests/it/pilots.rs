//! Pilots: each takes job after job of a plan, whatever happens to the others.

use crate::kills::Random;
use crate::support::{Call, PATIENCE, Scene, wait_until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const PLAN: &str = "out/plans/001";
const CLAIMS: &str = "out/plans/001/pilots/0";

/// A plan of `config` with some pilots.
fn planned(config: &str) -> Scene {
    let scene = Scene::with(&format!("name: SLURM\npilots: 3\n---\n{config}"));
    scene.plan();
    scene
}

fn pilot(scene: &Scene) -> Call {
    scene.call(["worker", "--plan", PLAN, "--index", "0", "--pilot", "--grace", "0.2"])
}

/// The jobs that are taken and not done.
fn taken(scene: &Scene) -> Vec<String> {
    let names = fs::read_dir(scene.path(CLAIMS)).expect("the pilots' folder");
    let mut names: Vec<_> =
        names.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name != "next");
    names.sort();
    names
}

fn next(scene: &Scene) -> u64 {
    let text = scene.read(format!("{CLAIMS}/next"));
    let (first, second) = text.trim_end().split_once(' ').expect("two numbers");
    assert_eq!(first, second);
    first.parse().expect("a number")
}

#[test]
fn jobs_go_to_whoever_is_free() {
    let scene = planned(
        "name: e\npath: out\nrepetitions: 7\nreps_per_job: 2\ncommand: echo $CW2_REP $PPID >> ran; [ $CW2_REP != 0 ] || until [ -e go ]; do sleep 0.02; done\n",
    );
    let script = scene.read(format!("{PLAN}/sbatch.sh"));
    assert!(script.contains("#SBATCH --array=0-2\n") && script.ends_with(" --pilot\n"), "{script}");
    let slow = pilot(&scene).start();
    wait_until("its first repetition", || scene.lines("ran").len() == 1);
    // All others are this one's, and what the slow one has is not.
    pilot(&scene).run().expect(0).silent().says(["a pilot of 4 jobs", "5 repetitions: 5 completed"]);
    assert_eq!((taken(&scene), next(&scene)), (vec!["0".to_owned()], 4));
    pilot(&scene).run().expect(0).says(["0 repetitions: nothing was left to do"]);
    scene.write("go", "");
    slow.end().expect(0).says(["2 repetitions: 2 completed"]);
    assert_eq!(taken(&scene), [""; 0]);
    let mut ran: Vec<_> = scene.lines("ran").iter().map(|line| line[..1].to_owned()).collect();
    ran.sort();
    assert_eq!(ran, ["0", "1", "2", "3", "4", "5", "6"]);
}

#[test]
fn what_a_dead_pilot_had_comes_last() {
    let scene = planned(
        "name: e\npath: out\nrepetitions: 6\nreps_per_job: 2\ncommand: echo $CW2_REP $CW2_ATTEMPT >> ran; [ $CW2_REP != 0 ] || exit 1; [ $CW2_REP$CW2_ATTEMPT != 11 ] || sleep 1000\n",
    );
    let killed = pilot(&scene).start();
    wait_until("its second repetition", || scene.lines("ran").len() == 2);
    killed.signal(Signal::SIGKILL);
    killed.end();
    // What crashed stays so: that is for `retry`. What ran goes on, when all else is done.
    let other = pilot(&scene).run().expect(1);
    other.says(["job 0: taken", "6 repetitions: 5 completed, 1 crashed", "(run by another pilot of this plan)"]);
    assert_eq!(scene.lines("ran"), ["0 1", "1 1", "2 1", "3 1", "4 1", "5 1", "1 2"]);
    assert_eq!(taken(&scene), [""; 0]);
    scene.cw2("retry out").expect(0).says(["to retry: 1 crashed"]);
}

#[test]
fn a_pilot_takes_no_job_that_cannot_end_in_time() {
    let scene = planned("name: e\npath: out\nrepetitions: 4\nrep_time: 28\ncommand: echo $CW2_REP >> ran; sleep 2.5\n");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs();
    let limited = pilot(&scene).env("SLURM_JOB_ID", "7").env("SLURM_JOB_END_TIME", (now + 30).to_string()).run();
    limited
        .expect(75)
        .says(["2 repetitions: 1 completed, 1 not started for lack of time; other jobs of the plan are left"]);
    assert_eq!(scene.lines("ran"), ["0"]);
    pilot(&scene).run().expect(0).says(["3 repetitions: 3 completed"]);
    assert_eq!((scene.lines("ran"), taken(&scene)), (["0", "2", "3", "1"].map(str::to_owned).to_vec(), vec![]));
}

#[test]
fn a_stopped_pilot_leaves_its_job_to_others() {
    let scene = planned(
        "name: e\npath: out\nrepetitions: 3\ncommand: echo $CW2_REP $CW2_RESUME >> ran; [ $CW2_RESUME = 1 ] || [ $CW2_REP != 0 ] || sleep 1000\n",
    );
    scene.write_program("bin/scontrol", "#!/bin/sh\necho \"$@\" >>\"$HOME/calls\"\n");
    let path = format!("{}:{}", scene.path("bin").display(), std::env::var("PATH").unwrap_or_default());
    let call = scene.call(["worker", "--plan", PLAN, "--index", "0", "--pilot", "--max-requeues", "2"]);
    let slurm = [("SLURM_JOB_ID", "9"), ("SLURM_ARRAY_JOB_ID", "7"), ("SLURM_ARRAY_TASK_ID", "0"), ("PATH", &path)];
    let stopped = slurm.iter().fold(call, |call, (name, value)| call.env(name, value)).start();
    wait_until("a repetition", || scene.lines("ran").len() == 1);
    stopped.signal(Signal::SIGUSR1);
    stopped.end().expect(75).says(["1 interrupted; other jobs of the plan are left", "requeueing 7_0 (1 of 2)"]);
    assert_eq!((scene.lines("calls"), taken(&scene)), (vec!["requeue 7_0".to_owned()], vec!["0".to_owned()]));
    pilot(&scene).run().expect(0).says(["3 repetitions: 3 completed"]);
    assert_eq!(scene.lines("ran"), ["0 0", "1 0", "2 0", "0 1"]);
}

#[test]
fn a_lost_cursor_costs_looks_alone() {
    let scene = planned(
        "name: e\npath: out\nrepetitions: 5\ncommand: echo $CW2_REP >> ran; [ $CW2_REP != 3 ] || until [ -e go ]; do sleep 0.02; done\n",
    );
    let slow = pilot(&scene).start();
    wait_until("the fourth repetition", || scene.lines("ran").len() == 4);
    for text in
        ["", "torn", "00000000000000000005 00000000000000000004\n", "00000000000000000099 00000000000000000099\n"]
    {
        scene.write(&format!("{CLAIMS}/next"), text);
        pilot(&scene).run().expect(0);
        assert_eq!((taken(&scene), next(&scene)), (vec!["3".to_owned()], 5), "{text:?}");
    }
    fs::remove_dir_all(scene.path(CLAIMS)).expect("the pilots' folder");
    // The one that runs has it all the same: its repetition is locked.
    pilot(&scene).run().expect(75).says([
        "left alone: ",
        "another worker runs it",
        "4 finished before, 1 left to another worker",
    ]);
    scene.write("go", "");
    slow.end().expect(0);
    assert_eq!(scene.lines("ran"), ["0", "1", "2", "3", "4"]);
}

/// As when the same command is given twice.
#[test]
fn two_plans_of_the_same_repetitions_run_each_once() {
    let scene =
        planned("name: e\npath: out\nrepetitions: 40\nreps_per_job: 2\ncommand: echo $CW2_REP >> ran; sleep 0.05\n");
    scene.plan();
    let pilot_of = |plan: &str| scene.call(["worker", "--plan", plan, "--index", "0", "--pilot"]);
    let plans = ["out/plans/001", "out/plans/002"];
    let pilots: Vec<_> = plans.iter().chain(&plans).map(|plan| pilot_of(plan).start()).collect();
    for pilot in pilots {
        // One that met the other plan's cannot say that all is done.
        let code = pilot.end().code;
        assert!(matches!(code, Some(0 | 75)), "{code:?}");
    }
    // Nothing is left that they met.
    for plan in plans {
        pilot_of(plan).run().expect(0);
    }
    let mut ran: Vec<u32> = scene.lines("ran").iter().map(|line| line.parse().expect("a number")).collect();
    ran.sort_unstable();
    assert_eq!(ran, (0..40).collect::<Vec<_>>());
    assert_eq!(taken(&scene), [""; 0]);
}

#[test]
fn advice_leaves_a_pilots_time_alone() {
    let scene = Scene::with(
        "name: SLURM\npilots: 2\ntime: 60\n---\nname: e\npath: out\nrepetitions: 2\nreps_per_job: 2\nrep_time: 2000\ncommand: 'true'\n",
    );
    // Each repetition fits, and what one pilot does not come to another one does.
    let planned = scene.cw2("plan config.yml").expect(0);
    assert!(!planned.stderr.contains("warning"), "{}", planned.stderr);
    pilot(&scene).run().expect(0);
    let advice: Value = serde_json::from_str(&scene.cw2("status out --advice --json").expect(0).stdout).expect("JSON");
    let fits = &advice["advice"][0]["fits"];
    assert_eq!((&fits["time"], &fits["reps_per_job"]), (&json!("1:00:00"), &json!(2)), "{advice}");
}

#[test]
fn what_cannot_be_is_refused_with_words() {
    let scene = planned("name: e\npath: out\nrepetitions: 2\ncommand: 'true'\n");
    scene
        .cw2("worker --plan out/plans/001 --index 0 --offset 1 --pilot")
        .expect(2)
        .says(["has no array of pilots that begins at job 1"]);
    scene.cw2("submit config.yml --pilots 2").expect(2).says(["write `pilots: 2` in its SLURM document"]);
    for (words, expected) in [
        ("--array=1", "cw2 numbers the jobs"),
        ("-o x", "`slurm_log` says the folder"),
        ("--comment=x", "cw2 marks its jobs"),
        ("x", "`x` is no option of sbatch"),
    ] {
        let refused = scene.cw2(&format!("submit {PLAN} --pilots 2 -- {words}")).expect(2);
        refused.silent().says([expected]);
    }
    assert!(!scene.has(&format!("{PLAN}/submissions.json")));
    scene.write("config.yml", "name: f\npath: out\nrepetitions: 2\ncommand: 'true'\n");
    scene.plan();
    scene
        .cw2("submit out/plans/002 --pilots 2")
        .expect(2)
        .says(["out/plans/002` has no pilots: each of its jobs has an element of its own"]);
    scene.write("src/x", "");
    scene.write("config.yml", "name: SLURM\npilots: 2\nexperiment_copy_src: src\nexperiment_copy_dst: copy\n---\nname: f\npath: out\nrepetitions: 2\ncommand: 'true'\n");
    scene.cw2("plan config.yml --multicopy").expect(2).says(["`--multicopy`) and `pilots` do not go together"]);
    assert!(!scene.has("copy"));
}

#[test]
fn an_array_of_pilots_is_as_long_as_it_may_be() {
    let scene = Scene::with(
        "name: SLURM\npilots: 9\nmax_array_size: 4\nnum_parallel_jobs: 2\n---\nname: e\npath: out\nrepetitions: 6\ncommand: 'true'\n---\nname: f\npath: out\nrepetitions: 2\ncommand: 'true'\nslurm: {pilots: 3}\n",
    );
    let planned = scene.cw2("plan config.yml").expect(0);
    planned.says([
        "8 repetitions to do in 8 jobs (2 arrays, 6 pilots)",
        "note: 9 pilots are asked for, and an array has at most 4 elements here (`max_array_size`)",
    ]);
    assert!(scene.read(format!("{PLAN}/sbatch_1.sh")).contains("#SBATCH --array=0-3%2\n"));
    // Never more than jobs.
    assert!(scene.read(format!("{PLAN}/sbatch_2.sh")).contains("#SBATCH --array=0-1%2\n"));
    scene
        .cw2("worker --plan out/plans/001 --index 3 --offset 6 --pilot")
        .expect(0)
        .says(["2 repetitions: 2 completed"]);
    // On this machine there are none.
    scene.cw2("run config.yml").expect(0).says(["6 repetitions to do in 6 jobs (1 array)"]);
}

#[test]
fn status_and_cancel_know_that_any_pilot_may_take_any_job() {
    let scene = planned(
        "name: e\npath: out\nrepetitions: 5\ncommand: '[ $CW2_REP != 0 ]'\n---\nname: f\npath: out\nrepetitions: 2\ncommand: 'true'\n",
    );
    let script = &format!("{PLAN}/sbatch.sh");
    scene.call(["worker", "--plan", PLAN, "--index", "0"]).run().expect(1);
    scene.call(["worker", "--plan", PLAN, "--index", "1"]).run().expect(0);
    scene.call(["worker", "--plan", PLAN, "--index", "2"]).run().expect(0);
    scene.forge_state("out/e/log/rep_02", "running", 7, 1);
    scene.queue(&[(7, "0", "RUNNING", script), (7, "1", "CANCELLED", script), (7, "2", "COMPLETED", script)]);
    let states = |scene: &Scene| {
        let status: Value = serde_json::from_str(&scene.cluster("status out --json").expect(0).stdout).expect("JSON");
        let wanted = ["completed", "crashed", "running", "queued", "lost", "pending"];
        let counts = wanted.map(|state| (state.to_owned(), status["total"][state].clone()));
        counts.into_iter().filter(|(_, count)| *count != 0).collect::<BTreeMap<_, _>>()
    };
    // What the cancelled one ran, and what nobody took, is left to the one that runs; what crashed is not.
    let expected = [("crashed", 1), ("completed", 1), ("queued", 5)];
    assert_eq!(states(&scene), expected.map(|(state, count)| (state.to_owned(), json!(count))).into());
    scene.cluster("cancel out -e e").expect(0).says(["left alone: pilot 7_0 also holds f rep 0 and 1 more"]);
    scene.cluster("cancel out -e e f").expect(0);
    let calls = scene.lines("calls");
    assert_eq!(calls.iter().filter(|call| call.starts_with("scancel")).collect::<Vec<_>>(), ["scancel 7"]);
    // A retry that waits for its pilots has what crashed.
    scene.queue(&[(7, "0-2", "CANCELLED", script)]);
    scene.cluster("retry out -e e").expect(0);
    let again = "out/plans/002/sbatch.sh";
    scene.queue(&[(8, "0", "RUNNING", again)]);
    let expected = [("completed", 1), ("pending", 2), ("queued", 4)];
    assert_eq!(states(&scene), expected.map(|(state, count)| (state.to_owned(), json!(count))).into());
}

#[test]
fn what_crashed_keeps_no_pilot_from_being_cancelled() {
    let scene = planned(
        "name: e\npath: out\nrepetitions: 1\ncommand: 'false'\n---\nname: f\npath: out\nrepetitions: 2\ncommand: 'true'\n",
    );
    scene.call(["worker", "--plan", PLAN, "--index", "0"]).run().expect(1);
    scene.queue(&[(7, "0", "RUNNING", &format!("{PLAN}/sbatch.sh"))]);
    let none = scene.cluster("cancel out -e e").expect(0).silent();
    assert_eq!(none.stderr, "nothing to cancel: nothing of these is queued or running\n");
    assert_eq!(scene.cluster("cancel out -e f").expect(0).stdout, "7\n");
}

/// Appends to `ran.N` when it starts; tells where another one of its repetition lives. The descriptor 9 is inherited by all it
/// starts: the lock is free when the last of them is gone.
const REPETITION: &str = r#"
exec 9>> lock.$CW2_REP
flock -n 9 || echo "$CW2_REP lives twice" >> violations
[ ! -e ended.$CW2_REP ] || echo "$CW2_REP runs again" >> violations
echo "$CW2_ATTEMPT" >> ran.$CW2_REP
case $(($CW2_REP % 5)) in
1) setsid sleep 0.03 ;;
2) trap '' TERM; sleep 0.01; sleep 0.01 ;;
3) (setsid sleep 100 > /dev/null 2>&1 &) ; sleep 0.01 ;;
4) sleep 0.15 ;;
*) sleep 0.02 ;;
esac
"#;

/// Pilots die at any moment, all the time, and what they noted is lost again and again: nothing runs twice, and nothing is left.
#[test]
fn a_hundred_dead_pilots_lose_nothing() {
    const KILLS: u32 = 100;
    const REPETITIONS: usize = 400;
    let scene = planned(&format!(
        "name: e\npath: out\nrepetitions: {REPETITIONS}\nreps_per_job: 3\nreps_in_parallel: 2\nretries: 1000\ncommand: . ./repetition\n"
    ));
    scene.write("repetition", REPETITION);
    let mut random = Random::new();
    let mut pilots = Vec::new();
    let (mut kills, mut ended, mut lost) = (0, 0, 0);
    let deadline = Instant::now() + 5 * PATIENCE;
    while kills < KILLS {
        assert!(Instant::now() < deadline, "only {kills} kills");
        while pilots.len() < 4 {
            pilots.push(pilot(&scene).start_silent());
        }
        std::thread::sleep(Duration::from_micros(random.below(60_000)));
        let at = usize::try_from(random.below(4)).expect("a small number");
        let mut one = pilots.swap_remove(at);
        if let Some(status) = one.try_wait().expect("a child of this process") {
            ended += 1;
            // It may have met a repetition that another one runs, where what was noted of that was lost.
            assert!(matches!(status.code(), Some(0 | 75)), "a pilot failed by itself: {status}");
            if ended > 40 {
                break;
            }
        } else {
            one.kill().expect("it runs");
            one.wait().expect("a child of this process");
            kills += 1;
        }
        match random.below(12) {
            0 => {
                // It may be missing already.
                let _ = fs::remove_file(scene.path(format!("{CLAIMS}/next")));
                lost += 1;
            }
            1 => drop(scene.write(&format!("{CLAIMS}/next"), "0000000000000")),
            _ => {}
        }
    }
    for mut one in pilots {
        one.kill().expect("a child of this process");
        one.wait().expect("a child of this process");
    }
    // Now in peace.
    let others: Vec<_> = (0..3).map(|_| pilot(&scene).start()).collect();
    for pilot in others {
        pilot.end().expect(0);
    }
    pilot(&scene).run().expect(0);
    assert_eq!(scene.lines("violations"), Vec::<String>::new());
    assert_eq!((taken(&scene), next(&scene)), (vec![], REPETITIONS.div_ceil(3) as u64));
    for rep in 0..REPETITIONS {
        assert_eq!(scene.state(format!("out/e/log/rep_{rep:02}")), "completed", "repetition {rep}");
    }
    println!("{kills} kills, {ended} ended by themselves, the cursor lost {lost} times");
}
