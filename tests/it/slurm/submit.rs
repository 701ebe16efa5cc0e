//! `cw2 submit`: every array once, whatever happens between cw2 and Slurm.

use std::path::PathBuf;

use serde_json::Value;

use super::{SOON, last_states};
use crate::project::{counts, eventually};
use crate::support::{CW2, Call, Outcome, Scene};
use crate::testbed::{Testbed, testbed};

const SWEEP: &str = "name: SLURM
partition: dev
time: 5
---
name: e
path: out
repetitions: 4
reps_per_job: 2
command: echo {{ rep }} >>ran
";

impl Testbed {
    /// A call of cw2 that talks to the bed.
    fn cw2(&self, scene: &Scene, words: &str) -> Call {
        scene.call(words.split_whitespace()).env("SLURM_CONF", self.conf())
    }

    /// The jobs that were submitted with a script of the scene, as squeue has them, ended ones too.
    fn jobs_of(&self, scene: &Scene) -> Vec<u64> {
        let queue = self.run("squeue", &["--noheader", "--states=all", "--format=%F|%o"]);
        let folder = format!("{}/", scene.root().display());
        let ours = queue.lines().filter_map(|line| {
            let (job, script) = line.split_once('|')?;
            script.starts_with(&folder).then(|| job.trim().parse().expect("a job id"))
        });
        let mut jobs: Vec<u64> = ours.collect();
        jobs.sort_unstable();
        jobs.dedup();
        jobs
    }
}

/// The job ids that `cw2 submit` printed.
fn ids(outcome: &Outcome) -> Vec<u64> {
    outcome.stdout.lines().map(|line| line.parse().expect("a job id")).collect()
}

#[test]
fn what_another_plan_has_under_way_is_not_submitted_by_accident() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(SWEEP);
    let submitted = bed.cw2(&scene, "submit config.yml --hold").run().expect(0);
    let [first] = ids(&submitted)[..] else { panic!("{}", submitted.stdout) };

    // The same command once more, which leaves no plan that `status` and `retry` would go by.
    let before = scene.tree();
    for overwrite in ["", " -o"] {
        let refused = bed.cw2(&scene, &format!("submit config.yml --hold{overwrite}")).run().expect(2).silent();
        refused.says(["nothing was planned or submitted: 4 repetitions of it are queued", &format!("job {first}")]);
        assert_eq!(scene.tree(), before);
    }
    // Nor is another plan of the same submitted.
    scene.cw2("plan config.yml").expect(0);
    let said = ["out/plans/002` is not submitted: 4 repetitions of it are queued or running", &format!("job {first}")];
    bed.cw2(&scene, "submit out/plans/002 --hold").run().expect(2).says(said);
    assert_eq!(bed.jobs_of(&scene), [first]);
    // More of the same is no accident where it is said to be none.
    let again = bed.cw2(&scene, "submit config.yml --hold --again").run().expect(0);
    let [second] = ids(&again)[..] else { panic!("{}", again.stdout) };
    bed.run("scancel", &[&first.to_string(), &second.to_string()]);
    bed.wait(second, SOON);
    bed.wait(first, SOON);
    let third = bed.cw2(&scene, "submit out/plans/002 --hold").run().expect(0);
    bed.run("scancel", &[third.stdout.trim()]);
}

/// What waits in the queue runs the code it was planned with, also after a call that is refused.
#[test]
fn a_refused_submit_changes_nothing() {
    let scene = crate::snapshot::project(crate::snapshot::EXACT);
    let cluster = |words: &str| {
        let words: Vec<_> = words.split_whitespace().collect();
        scene.on_cluster(&words).current_dir(scene.path("p")).run()
    };
    scene.queue(&[]);
    cluster("plan config.yml").expect(0);
    // The first repetition is finished, the others wait.
    cluster("worker --plan out/plans/001 --index 0").expect(0);
    scene.queue(&[(7, "1-2", "PENDING", "p/out/plans/001/sbatch.sh")]);
    scene.write("p/main.sh", "echo new\n");
    // What every submit takes its turn by.
    scene.write("p/out/plans/submit.lock", "");
    scene.write_program("bin/sbatch", "#!/bin/sh\necho sbatch >>\"$HOME/calls\"; [ \"$1\" = --test-only ]\n");
    let (status, before) = (cluster("status out").expect(0).stdout, scene.tree());
    cluster("submit config.yml -o").expect(2).says(["nothing was planned or submitted: 2 repetitions", "see job 7"]);
    assert_eq!(scene.tree(), before);
    assert_eq!(scene.read("copy/main.sh"), "echo old\n");
    assert_eq!(cluster("status out").expect(0).stdout, status);
    assert!(!scene.lines("calls").contains(&"sbatch".to_owned()));
    // Also where the plan itself is gone: its jobs' script is not that of the next one.
    std::fs::remove_dir_all(scene.path("p/out/plans/001")).unwrap();
    cluster("submit config.yml --nocodecopy -o").expect(3).says(["p/out/plans/002` submits the rest"]);
}

#[test]
fn a_configuration_is_planned_submitted_and_run() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(SWEEP);

    let submitted = bed.cw2(&scene, "submit config.yml").run().expect(0);
    let [job] = ids(&submitted)[..] else { panic!("{}", submitted.stdout) };
    assert!(submitted.stderr.contains(&format!("submitted sbatch.sh as job {job} (2 jobs)")), "{}", submitted.stderr);
    let again = bed.cw2(&scene, "submit out/plans/001").run().expect(2);
    assert!(again.stderr.contains(&format!("was already submitted, as job {job};")), "{}", again.stderr);

    assert_eq!(last_states(bed.wait(job, SOON)), ["COMPLETED", "COMPLETED"]);
    assert_eq!(scene.states(), counts([("completed", 4)]));
    bed.cw2(&scene, "submit out/plans/001").run().expect(2);
    assert_eq!(bed.jobs_of(&scene), [job]);
    let nothing = bed.cw2(&scene, "submit config.yml").run().expect(0);
    assert!(nothing.stderr.contains("nothing is left to do"), "{}", nothing.stderr);
}

#[test]
fn the_limit_of_jobs_holds_over_several_arrays() {
    let Some(bed) = testbed() else { return };
    let config = SWEEP.replace("time: 5", "time: 5\nnum_parallel_jobs: 2\nmax_array_size: 1");
    let scene = Scene::with(&config);

    let [first, second] = ids(&bed.cw2(&scene, "submit --hold config.yml").run().expect(0))[..] else { panic!() };
    let dependency = bed.element(second, 0, "Dependency");
    assert!(dependency.starts_with(&format!("afterany:{first}")), "{dependency}");
    assert_eq!(bed.element(first, 0, "JobState"), "PENDING");
    bed.run("scontrol", &["release", &first.to_string(), &second.to_string()]);
    for job in [first, second] {
        assert_eq!(last_states(bed.wait(job, SOON)), ["COMPLETED"]);
    }
    let ledger: Value = serde_json::from_str(&scene.read("out/plans/001/submissions.json")).unwrap();
    assert_eq!(ledger["submissions"][1]["job"], second);
}

#[test]
fn the_limit_of_jobs_holds_with_other_dependencies() {
    let Some(bed) = testbed() else { return };
    let config = |dependency: &str| {
        let keys = format!("time: 5\nnum_parallel_jobs: 2\nmax_array_size: 1\n{dependency}");
        SWEEP.replace("time: 5", &keys)
    };
    let scene = Scene::with(&config(""));
    let script = scene.write("first.sh", "#!/bin/bash\n#SBATCH --hold --output=/dev/null\n");
    let waited = [bed.sbatch(&script), bed.sbatch(&script)];
    let either = format!("afterany:{}?afterany:{}", waited[0], waited[1]);
    // Slurm can join `,` with the arrays' own, but not `?`: the second array would not wait for the first.
    let before = scene.tree();
    let refused = bed.cw2(&scene, &format!("submit config.yml --dependency {either}")).run().expect(2);
    refused.says([&*format!("the dependency `{either}` cannot be kept"), "`num_parallel_jobs`"]);
    assert_eq!(scene.tree(), before);
    scene.plan();
    bed.cw2(&scene, &format!("submit out/plans/001 --dependency {either}")).run().expect(2).says(["cannot be kept"]);

    // A configured one is the first array's, and the second's too.
    scene.write("config.yml", config(&format!("sbatch_args: {{dependency: 'afterok:{}'}}", waited[0])));
    let [first, second] = ids(&bed.cw2(&scene, "submit config.yml").run().expect(0))[..] else { panic!() };
    let dependency = |job| bed.element(job, 0, "Dependency").replace("(unfulfilled)", "").replace("_*", "");
    assert_eq!(dependency(first), format!("afterok:{}", waited[0]));
    assert_eq!(dependency(second), format!("afterany:{first},afterok:{}", waited[0]));
    bed.run("scancel", &[first, second].map(|job| job.to_string()).each_ref().map(String::as_str));

    scene.write("config.yml", config(&format!("sbatch_args: {{dependency: '{either}'}}")));
    bed.cw2(&scene, "submit config.yml --again").run().expect(2).says(["cannot be kept"]);
    // One array needs no other.
    scene.write("config.yml", scene.read("config.yml").replace("max_array_size: 1", ""));
    let job = bed.cw2(&scene, "submit config.yml --again").run().expect(0).stdout;
    bed.run("scancel", &[job.trim(), &waited[0].to_string(), &waited[1].to_string()]);
}

#[test]
fn what_the_submitter_inherited_does_not_reach_the_job() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(&SWEEP.replace("echo {{ rep }}", "env | grep -c SBATCH_PARTITION"));
    let call =
        bed.cw2(&scene, "submit --hold config.yml").env("SBATCH_PARTITION", "low").env("SLURM_CPU_BIND", "quiet");
    let [job] = ids(&call.run().expect(0))[..] else { panic!() };
    assert_eq!(bed.element(job, 0, "Partition"), "dev");
    bed.run("scancel", &[&job.to_string()]);
}

#[test]
fn a_plan_that_was_moved_is_submitted_in_new_words() {
    let Some(bed) = testbed() else { return };
    for copied in [false, true] {
        let scene = Scene::new();
        let project = "experiment_copy_src: src\nexperiment_copy_dst: copy";
        let command = "command: cat code >$CW2_REP_DIR/ran; pwd >>$CW2_REP_DIR/ran";
        let config = SWEEP.replace("time: 5", &format!("time: 5\n{project}"));
        scene.write("w/config.yml", config.replace("command: echo {{ rep }} >>ran", command));
        scene.write("w/src/code", "old\n");
        bed.cw2(&scene, "plan config.yml").current_dir(scene.path("w")).run().expect(0);
        bed.cw2(&scene, "worker --plan w/out/plans/001 --index 0").run().expect(0);
        if copied {
            Call::new("cp", scene.root()).args(["-r", "w", "w2"]).run().expect(0);
        } else {
            std::fs::rename(scene.path("w"), scene.path("w2")).unwrap();
        }
        let here = |words: &str| bed.cw2(&scene, words).current_dir(scene.path("w2")).run();
        for flag in ["", " --test-only"] {
            let refused = here(&format!("submit out/plans/001{flag}")).expect(2).silent();
            let (from, to) = (scene.path("w/out/plans/001"), scene.path("w2/out/plans/001"));
            let was = format!("plan `{}` was made as `{}`", to.display(), from.display());
            refused.says([was, format!("`cw2 retry {}` writes new ones", to.display())]);
        }
        // What it advises, and in the frozen code.
        scene.write("w2/src/code", "new\n");
        here("retry out/plans/001").expect(0);
        let [job] = ids(&here("submit out/plans/002").expect(0))[..] else { panic!() };
        assert_eq!(last_states(bed.wait(job, SOON)), ["COMPLETED"]);
        for (rep, place) in [(0, "w/copy"), (3, "w2/copy")] {
            let ran = scene.read(format!("w2/out/e/log/rep_{rep:02}/ran"));
            assert_eq!(ran, format!("old\n{}\n", scene.path(place).display()));
        }
        here("submit config.yml --nocodecopy").expect(0).silent().says(["nothing is left to do"]);
    }
}

/// Puts a program named `sbatch` before the real one, which it finds as `$real`. It counts its calls in `calls`.
fn wrap_sbatch(bed: &Testbed, scene: &Scene, body: &str) -> String {
    let real = bed.run("bash", &["-c", "command -v sbatch"]);
    let script = format!("#!/bin/bash\nreal={}\necho x >>'{}'\n{body}\n", real.trim(), scene.path("calls").display());
    std::fs::create_dir(scene.path("bin")).unwrap();
    scene.write_program("bin/sbatch", &script);
    format!("{}:{}", scene.path("bin").display(), std::env::var("PATH").unwrap())
}

#[test]
fn a_passing_failure_of_sbatch_is_tried_again() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(SWEEP);
    let path = wrap_sbatch(
        bed,
        &scene,
        r#"if [ "$(wc -l <"$(dirname "$0")/../calls")" -lt 2 ]; then
    echo "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation" >&2; exit 1
fi
exec "$real" "$@""#,
    );
    let [job] = ids(&bed.cw2(&scene, "submit --hold config.yml").env("PATH", path).run().expect(0))[..] else {
        panic!()
    };
    assert_eq!((bed.jobs_of(&scene), scene.lines("calls").len()), (vec![job], 2));
    bed.run("scancel", &[&job.to_string()]);
}

#[test]
fn an_answer_that_was_lost_does_not_submit_twice() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(SWEEP);
    let path = wrap_sbatch(
        bed,
        &scene,
        r#""$real" "$@" >/dev/null; echo "sbatch: error: Socket timed out on send/recv operation" >&2; exit 1"#,
    );
    let [job] = ids(&bed.cw2(&scene, "submit --hold config.yml").env("PATH", path).run().expect(0))[..] else {
        panic!()
    };
    assert_eq!((bed.jobs_of(&scene), scene.lines("calls").len()), (vec![job], 1));
    bed.run("scancel", &[&job.to_string()]);
}

#[test]
fn a_submit_that_is_killed_is_continued_not_repeated() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(SWEEP);
    let path = wrap_sbatch(
        bed,
        &scene,
        r#""$real" "$@" >/dev/null; touch "$(dirname "$0")/../got"; exec sleep 600 </dev/null"#,
    );
    let call = bed.cw2(&scene, "submit --hold config.yml").env("PATH", path);
    let submit = call.start();
    eventually("sbatch has submitted", SOON, || scene.has("got"));
    submit.signal(nix::sys::signal::Signal::SIGKILL);
    drop(submit.end());
    let before = bed.jobs_of(&scene);
    let continued = bed.cw2(&scene, "submit out/plans/001").run().expect(0);
    assert_eq!((ids(&continued), bed.jobs_of(&scene)), (before.clone(), before.clone()));
    bed.run("scancel", &[&before[0].to_string()]);
}

#[test]
fn a_submit_that_is_killed_before_sbatch_was_heard_is_waited_for() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(SWEEP);
    let path =
        wrap_sbatch(bed, &scene, r#"until [ -e "$(dirname "$0")/../go" ]; do sleep 0.02; done; exec "$real" "$@""#);
    let submit = bed.cw2(&scene, "submit --hold config.yml").env("PATH", path).start();
    eventually("it calls sbatch", SOON, || !scene.lines("calls").is_empty());
    submit.signal(nix::sys::signal::Signal::SIGKILL);
    drop(submit.end());
    let line = format!("'{CW2}' submit out/plans/001 --hold 2>said");
    let next = Call::new("sh", scene.root()).args(["-c", &line]).env("SLURM_CONF", bed.conf()).start();
    eventually("the next one waits", SOON, || scene.lines("said").iter().any(|line| line.starts_with("waiting for")));
    assert_eq!(bed.jobs_of(&scene), Vec::<u64>::new());
    scene.write("go", "");
    let [job] = ids(&next.end().expect(0))[..] else { panic!() };
    assert_eq!(bed.jobs_of(&scene), [job]);
    bed.run("scancel", &[&job.to_string()]);
}

#[test]
fn of_simultaneous_submits_one_succeeds() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(SWEEP);
    let path =
        wrap_sbatch(bed, &scene, r#"until [ -e "$(dirname "$0")/../go" ]; do sleep 0.02; done; exec "$real" "$@""#);
    let start = |number: u32| {
        let line = format!("'{CW2}' submit config.yml --hold 2>said_{number}");
        let call = Call::new("sh", scene.root()).args(["-c", &line]).env("SLURM_CONF", bed.conf());
        call.env("PATH", &path).start()
    };
    let first = start(1);
    eventually("the first calls sbatch", SOON, || !scene.lines("calls").is_empty());
    let others = [start(2), start(3)];
    for said in ["said_2", "said_3"] {
        eventually("the others wait", SOON, || scene.lines(said).iter().any(|line| line.starts_with("waiting for")));
    }
    scene.write("go", "");
    let [job] = ids(&first.end().expect(0))[..] else { panic!() };
    for other in others {
        other.end().expect(2);
    }
    for said in ["said_2", "said_3"] {
        let said = scene.read(said);
        assert!(
            said.contains(&format!(
                "4 repetitions of it are queued or running already, of an earlier plan (see job {job})"
            )),
            "{said}"
        );
    }
    assert_eq!((bed.jobs_of(&scene), scene.has("out/plans/002")), (vec![job], false));
    bed.run("scancel", &[&job.to_string()]);
}

#[test]
fn a_plan_that_was_submitted_by_hand_is_not_submitted_again_by_accident() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(SWEEP);
    let script: PathBuf = scene.plan_one();
    let job = bed.run("sbatch", &["--parsable", "--hold", &script.to_string_lossy()]).trim().to_owned();
    let refused = bed.cw2(&scene, "submit out/plans/001").run().expect(2);
    assert!(refused.stderr.contains(&format!("job {job} was submitted with its script")), "{}", refused.stderr);
    let [again] = ids(&bed.cw2(&scene, "submit --again --hold out/plans/001").run().expect(0))[..] else { panic!() };
    assert_eq!(bed.jobs_of(&scene).len(), 2);
    bed.run("scancel", &[&job, &again.to_string()]);
}

#[test]
fn a_test_only_submits_nothing() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(SWEEP);
    let outcome = bed.cw2(&scene, "submit --test-only config.yml").run().expect(0);
    assert!(outcome.stderr.contains("to start at") && outcome.stdout.is_empty(), "{}", outcome.stderr);
    assert_eq!(bed.jobs_of(&scene), Vec::<u64>::new());
    assert_eq!(scene.tree(), ["config.yml"]);
    // Neither does it with a plan's folder.
    scene.plan_one();
    let before = scene.tree();
    bed.cw2(&scene, "submit --test-only out/plans/001").run().expect(0).silent().says(["to start at"]);
    assert_eq!((bed.jobs_of(&scene), scene.tree()), (Vec::new(), before));

    // The code that waiting jobs run in stays, though the plan would replace it.
    let scene = crate::snapshot::project(crate::snapshot::EXACT);
    scene.in_project("plan config.yml").expect(0);
    scene.write("p/main.sh", "echo new\n");
    let before = scene.tree();
    bed.cw2(&scene, "submit --test-only config.yml -o").current_dir(scene.path("p")).run().expect(0);
    assert_eq!((scene.tree(), &*scene.read("copy/main.sh")), (before, "echo old\n"));
}

#[test]
fn what_is_frozen_cannot_be_chosen_any_more() {
    let scene = Scene::with(SWEEP);
    scene.plan();
    let before = scene.tree();
    for flag in [
        "--experiments e",
        "--set params.a=1",
        "--strict",
        "--debug",
        "--debugall",
        "--overwrite",
        "--zip",
        "--multicopy",
        "--nocodecopy",
        "--skipsizecheck",
    ] {
        let name = flag.split(' ').next().unwrap_or_default();
        let refused = scene.cw2(&format!("submit out/plans/001 {flag}")).expect(2).silent();
        refused.says([format!("`out/plans/001` is a plan, and a plan is frozen: `{name}` would change nothing;")]);
    }
    scene.cw2("submit out/plans/001 -o -e e").expect(2).says(["`--experiments`, `--overwrite` would change"]);
    assert_eq!(scene.tree(), before);
}

#[test]
fn without_slurm_it_says_so() {
    let scene = Scene::with(SWEEP);
    let outcome = scene.call(["submit", "config.yml"]).env("PATH", scene.path("").as_os_str()).run().expect(3);
    assert!(outcome.stderr.contains("`squeue` is not on this machine"), "{}", outcome.stderr);
    assert_eq!(scene.tree(), ["config.yml"]);
}

#[test]
fn what_slurm_refuses_takes_the_place_of_nothing() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(SWEEP);
    scene.cw2("run config.yml").expect(0);
    let before = scene.tree();
    let submit = bed.cw2(&scene, "submit config.yml -o --dependency banana");
    submit.run().expect(3).says(["nothing was planned or submitted", "dependency"]);
    let mut after = scene.tree();
    after.retain(|name| name != "out/plans/submit.lock");
    assert_eq!(after, before);
}
