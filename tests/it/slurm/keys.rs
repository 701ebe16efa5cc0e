//! Every key of SLURM has its effect, read back from Slurm.

use super::{SOON, last_states};
use crate::project::{counts, eventually};
use crate::support::Scene;
use crate::testbed::testbed;

#[test]
fn every_key_reaches_slurm() {
    let Some(bed) = testbed() else { return };
    // An account that nobody knows is replaced by the user's own. A bed without accounting knows none at all.
    let accounts = bed.try_run("sacctmgr", &["-i", "add", "account", "physics"]).is_ok();
    if accounts {
        let user = bed.run("id", &["-un"]);
        bed.run("sacctmgr", &["-i", "add", "user", user.trim(), "account=physics"]);
    }
    let scene = Scene::with(
        r#"
name: SLURM
partition: low
job-name: "it's \"my\" #1 sweep"
account: physics
ntasks: 2
cpus-per-task: 2
mem-per-cpu: 50
time: 90
num_parallel_jobs: 2
slurm_log: logs of mine
venv: ./venv
sh_lines: |
  export FROM_LINES="a  b"
  cd .
sbatch_args:
  comment: "a=b; it's \"x\" #2 $HOME `id` \\ é"
  hold: true
  exclusive: false
  nice: [3]
  open-mode: truncate
---
name: e
path: out
repetitions: 3
command: 'echo "$FROM_LINES|$FROM_VENV|$SLURM_NTASKS|$SLURM_CPUS_PER_TASK|$SRUN_CPUS_PER_TASK"'
"#,
    );
    scene.write("venv/bin/activate", "FROM_VENV=active; export FROM_VENV\n");

    let job = bed.sbatch(&scene.plan_one());

    let asked = |format: &str| bed.run("squeue", &["--noheader", "--jobs", &job.to_string(), "--format", format]);
    assert_eq!(asked("%P"), "low\n");
    assert_eq!(asked("%j"), "it's \"my\" #1 sweep\n");
    assert_eq!(asked("%k"), "a=b; it's \"x\" #2 $HOME `id` \\ é\n");
    assert_eq!(asked("%l"), "1:30:00\n");
    assert_eq!(asked("%m"), "50M\n");
    assert_eq!(asked("%K"), "0-2%2\n");
    assert_eq!(asked("%y"), "3\n");
    if accounts {
        assert_eq!(asked("%a"), "physics\n");
    }
    let shown = bed.run("scontrol", &["--oneliner", "show", "job", &job.to_string()]);
    for field in ["NumTasks=2", "CPUs/Task=2", "MinMemoryCPU=50M", "ArrayTaskThrottle=2"] {
        assert!(shown.split(' ').any(|word| word == field), "{field} in {shown}");
    }
    // Not exclusive, as 20.11 to 24.11 say it, and 26.05.
    let shares = shown.split(' ').any(|word| ["OverSubscribe=OK", "Exclusive=NO"].contains(&word));
    assert!(shares, "{shown}");

    bed.run("scontrol", &["release", &job.to_string()]);
    assert_eq!(last_states(bed.wait(job, SOON)), ["COMPLETED"; 3]);
    for rep in scene.reps() {
        assert_eq!(scene.read(format!("{rep}/out.log")), "a  b|active|2|2|2\n");
    }
    for element in 0..3 {
        let log = scene.read(format!("logs of mine/{job}_{element}.log"));
        assert!(log.contains("1 repetition: 1 completed"), "{log}");
    }
}

#[test]
fn a_venv_that_cannot_be_activated_fails_the_job_and_runs_nothing() {
    let Some(bed) = testbed() else { return };
    let scene =
        Scene::with("name: SLURM\nvenv: ./no such venv\n---\nname: e\npath: out\nrepetitions: 1\ncommand: touch ran\n");

    let job = bed.sbatch(&scene.plan_one());

    assert_eq!(last_states(bed.wait(job, SOON)), ["FAILED"]);
    assert_eq!(bed.element(job, 0, "ExitCode"), "3:0");
    let log = scene.slurm_log(job, 0);
    assert!(log.contains("cw2: the environment ./no such venv cannot be activated"), "{log}");
    assert!(!scene.has("ran"));
    assert_eq!(scene.states(), counts([("pending", 1)]));
}

#[test]
fn at_most_num_parallel_jobs_run_at_once() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(
        "name: SLURM
num_parallel_jobs: 2
---
name: e
path: out
repetitions: 4
timeout: 60
command: touch here_{{ rep }}; until [ -e go ]; do sleep 0.05; done
",
    );
    let here = || (0..4).filter(|rep| scene.has(&format!("here_{rep}"))).count();

    let job = bed.sbatch(&scene.plan_one());

    eventually("two run", SOON, || here() == 2);
    eventually("Slurm says why no other runs", SOON, || {
        bed.run("squeue", &["--noheader", "--jobs", &job.to_string(), "--format", "%r"]).contains("JobArrayTaskLimit")
    });
    assert_eq!(here(), 2);
    scene.write("go", "");
    assert_eq!(last_states(bed.wait(job, SOON)), ["COMPLETED"; 4]);
}

#[test]
fn templates_of_ones_own_work_in_both_languages() {
    let Some(bed) = testbed() else { return };
    let original = include_str!("../../../src/plan/sbatch/testdata/original.template");
    let jinja = "#!/bin/bash\n{{ sbatch }}\n#SBATCH --comment={{ experiments[0] }}\n{{ setup }}\nexport FROM_TEMPLATE={{ slurm.mine | quote }}\n{{ worker }}\n";
    for (template, expected) in [(original, "from lines|\n"), (jinja, "from lines|it's mine\n")] {
        let scene = Scene::with(
            "name: SLURM
partition: dev
job-name: own
num_parallel_jobs: 2
ntasks: 1
cpus-per-task: 1
mem-per-cpu: 10
time: 5
path_to_template: own template.sh
mine: it's mine
sh_lines: export FROM_LINES='from lines'
---
name: e
path: out
repetitions: 2
command: echo \"$FROM_LINES|$FROM_TEMPLATE\"
",
        );
        scene.write("own template.sh", template);

        let job = bed.sbatch(&scene.plan_one());

        assert_eq!(last_states(bed.wait(job, SOON)), ["COMPLETED"; 2]);
        for rep in scene.reps() {
            assert_eq!(scene.read(format!("{rep}/out.log")), expected);
        }
    }
}

#[test]
fn a_failing_line_fails_the_job() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(
        "name: SLURM
time: 5
sh_lines: module load nothing
---
name: e
path: out
repetitions: 1
command: touch ran
",
    );

    let job = bed.sbatch(&scene.plan_one());

    assert_eq!(last_states(bed.wait(job, SOON)), ["FAILED"]);
    assert!(!scene.path("ran").exists());
    let log = scene.read(format!("out/plans/001/slurm/{job}_0.log"));
    assert!(log.contains("cw2: `sh_lines` end with exit status 127: module load nothing\n"), "{log}");
}
