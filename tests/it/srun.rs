//! A repetition that is an `srun`: what reaches the program behind it. Here a pretended one; the real one in [`crate::slurm`].

use crate::project::counts;
use crate::support::{Running, Scene, wait_until};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;

/// Aborts its step when it is told SIGTERM, and keeps SIGINT to itself; the program has a session of its own.
const SRUN: &str = r#"#!/bin/sh
[ "$1" != -n1 ] || shift
# A shell lets what it starts beside itself ignore SIGINT.
env --default-signal=INT setsid "$@" &
step=$!
trap 'echo aborted >>"$HOME/aborted"; kill -KILL $step' TERM
trap : INT
mkdir -p "$HOME/steps"
echo $step >"$HOME/new.$$"
mv "$HOME/new.$$" "$HOME/steps/$$"
while kill -0 $step 2>/dev/null; do wait $step; done
rm "$HOME/steps/$$"
"#;

/// Tells of the steps as Slurm does where they are an array's, or that it has none to tell of.
const SCONTROL: &str = r#"#!/bin/sh
echo scontrol "$@" >>"$HOME/calls"
[ ! -e "$HOME/away" ] || { echo 'scontrol: error: Slurm is away' >&2; exit 1; }
echo "StepId=6_0.batch UserId=0 Name=batch SrunHost:Pid=(null):0"
cd "$HOME/steps" && for srun in *; do
    echo "StepId=6_0.$srun UserId=0 Name=save SrunHost:Pid=$(uname -n | cut -d. -f1):$srun TresPerTask=cpu=1"
done
"#;

const SCANCEL: &str = r#"#!/bin/sh
echo scancel "$@" >>"$HOME/calls"
signal=${2#--signal=}
shift 2
for step; do kill -"$signal" "$(cat "$HOME/steps/${step#7.}")"; done
"#;

/// Saves its work when it is told to end, unless it is to be stubborn.
const SAVE: &str = r#"#!/bin/sh
for signal in TERM INT USR2; do
    trap "echo saved on $signal >>'$CW2_REP_DIR/log'; [ -e '$HOME/stubborn' ] || exit 0" $signal
done
echo started >>"$CW2_REP_DIR/log"
while :; do sleep 0.02; done
"#;

/// Two repetitions at once, each with this in its configuration, that run `./save` behind an srun.
fn steps(more: &str) -> Scene {
    let scene = Scene::with(&format!(
        "name: e\npath: out\nrepetitions: 2\nreps_per_job: 2\nreps_in_parallel: 2\noversubscribe: true\n{more}\n"
    ));
    for (name, text) in [("bin/srun", SRUN), ("bin/scontrol", SCONTROL), ("bin/scancel", SCANCEL), ("save", SAVE)] {
        scene.write_program(name, text);
    }
    scene.plan();
    scene
}

/// The worker of Slurm's job 7, while the programs of both repetitions run.
fn start(scene: &Scene, grace: &str) -> Running {
    let call = scene.on_cluster(&["worker", "--plan", "out/plans/001", "--index", "0", "--grace", grace]);
    let running = call.env("SLURM_JOB_ID", "7").env("SLURM_ARRAY_JOB_ID", "6").env("SLURM_ARRAY_TASK_ID", "0").start();
    wait_until("the programs", || REPS.iter().all(|rep| !scene.lines(&format!("{rep}/log")).is_empty()));
    wait_until("their steps", || std::fs::read_dir(scene.path("steps")).is_ok_and(|steps| steps.count() == 2));
    running
}

const REPS: [&str; 2] = ["out/e/log/rep_00", "out/e/log/rep_01"];

/// What the programs wrote.
fn logs(scene: &Scene) -> String {
    REPS.map(|rep| scene.lines(&format!("{rep}/log")).join(", ")).join("; ")
}

const DIRECT: &str = "launcher: srun -n1\ncommand: [./save]";
const BELOW_A_SHELL: &str = "command: echo before; srun -n1 ./save; echo after";

#[test]
fn the_program_of_a_step_is_told_to_end_and_has_its_grace() {
    for (how, told, seen) in [
        (DIRECT, Signal::SIGTERM, Signal::SIGTERM),
        (DIRECT, Signal::SIGUSR1, Signal::SIGTERM),
        (DIRECT, Signal::SIGINT, Signal::SIGINT),
        (BELOW_A_SHELL, Signal::SIGTERM, Signal::SIGTERM),
        (BELOW_A_SHELL, Signal::SIGINT, Signal::SIGINT),
    ] {
        let scene = steps(how);
        let running = start(&scene, "60");
        running.signal(told);
        running.end().expect(75).says(["2 interrupted"]);

        assert_eq!(logs(&scene), format!("started, saved on {0}; started, saved on {0}", &seen.as_str()[3..]), "{how}");
        assert!(!scene.has("aborted"), "{how}");
        let calls = scene.lines("calls");
        let (asked, sent): (Vec<_>, Vec<_>) = calls.iter().partition(|call| call.starts_with("scontrol"));
        assert!(asked.iter().all(|call| *call == "scontrol --oneliner show step 7"), "{calls:?}");
        let signal = format!("scancel --ctld --signal={} 7.", seen as i32);
        assert!(sent.iter().all(|call| call.starts_with(&signal)), "{calls:?}");
        let steps: BTreeSet<_> = sent.iter().flat_map(|call| call.split(' ').skip(3)).collect();
        assert_eq!(steps.len(), 2, "{calls:?}");
        assert_eq!(calls.iter().flat_map(|call| call.matches(" 7.")).count(), 2, "each is signalled once: {calls:?}");
    }
}

#[test]
fn a_signal_that_srun_passes_on_needs_no_slurm() {
    let scene = steps(&format!("checkpoint_signal: USR2\n{DIRECT}"));
    scene.write_program("bin/srun", &SRUN.replace("trap : INT", "trap 'kill -USR2 $step' USR2"));
    let running = start(&scene, "60");
    running.signal(Signal::SIGTERM);
    running.end().expect(75).says(["2 interrupted"]);

    assert_eq!(logs(&scene), "started, saved on USR2; started, saved on USR2");
    assert!(!scene.has("calls") && !scene.has("aborted"));
}

#[test]
fn the_program_of_a_step_hears_of_its_timeout() {
    let scene = steps(&format!("timeout: 2s\n{DIRECT}"));
    start(&scene, "60").end().expect(1).says(["2 timed out"]);

    assert_eq!(logs(&scene), "started, saved on TERM; started, saved on TERM");
    assert!(!scene.has("aborted"));
}

#[test]
fn a_step_that_slurm_does_not_find_is_ended_and_the_log_says_so() {
    for away in [true, false] {
        let scene = steps(DIRECT);
        if away {
            scene.write("away", "");
        }
        let running = start(&scene, "60");
        if !away {
            std::fs::remove_dir_all(scene.path("steps")).unwrap();
        }
        running.signal(Signal::SIGTERM);
        let outcome =
            running.end().expect(75).says(["2 interrupted", "could be told SIGTERM", "checkpoint_signal: USR2"]);

        assert_eq!(outcome.err().contains("cannot ask for the steps of `srun`: scontrol: Slurm is away"), away);
        assert_eq!(logs(&scene), "started; started");
        assert_eq!(scene.lines("aborted").len(), 2);
    }
}

#[test]
fn a_step_that_does_not_heed_its_signal_is_aborted_and_not_left_behind() {
    for how in [DIRECT, BELOW_A_SHELL] {
        let scene = steps(how);
        scene.write("stubborn", "");
        let running = start(&scene, "1");
        running.signal(Signal::SIGTERM);
        running.end().expect(75).says(["2 interrupted"]);

        assert_eq!(logs(&scene), "started, saved on TERM; started, saved on TERM");
        assert_eq!(scene.lines("aborted").len(), 2, "{how}");
    }
}

#[test]
fn a_step_that_outlives_its_command_is_aborted() {
    let scene = steps("command: srun -n1 ./save & until [ -e go ]; do sleep 0.01; done");
    let running = start(&scene, "60");
    scene.write("go", "");
    running.end().expect(0);

    assert_eq!(scene.states(), counts([("completed", 2)]));
    assert_eq!(logs(&scene), "started; started");
    assert_eq!(scene.lines("aborted").len(), 2);
}
