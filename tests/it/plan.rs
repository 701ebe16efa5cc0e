//! `cw2 plan`: what it writes and prints, when it refuses, and that its scripts mean what the configuration says.

use crate::support::{CW2, Call, Outcome, Scene, skipped, tree};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const SIMPLE: &str =
    "name: a\npath: out\nrepetitions: 2\ncommand: echo {{ params.x }} $CW2_REP >> ran\ngrid: {x: [1, 2]}\n";

/// Runs a script as Slurm would: under bash, from another folder, with the element's index.
fn as_slurm(script: &Path, index: u32) -> Outcome {
    Call::new("bash", Path::new("/")).args([script]).env("SLURM_ARRAY_TASK_ID", index.to_string()).run()
}

/// Whether bash can read a script; and shellcheck has nothing to say, where it is installed.
#[track_caller]
pub(crate) fn assert_sound(script: &Path) {
    let folder = script.parent().expect("a folder");
    let read = Call::new("bash", folder).args(["-n".as_ref(), script.as_os_str()]).run();
    assert_eq!((read.code, read.stderr.as_str()), (Some(0), ""), "{}", script.display());
    if std::process::Command::new("shellcheck").arg("--version").output().is_err() {
        skipped("there is no shellcheck");
        return;
    }
    let checked = Call::new("shellcheck", folder).args(["--norc".as_ref(), script.as_os_str()]).run();
    assert_eq!((checked.code, checked.stdout.as_str()), (Some(0), ""), "{}", fs::read_to_string(script).expect("it"));
}

#[test]
fn a_pattern_that_excludes_nothing_is_told_of() {
    let scene = Scene::with(&format!("{SIMPLE}exclude: [{{x: '1'}}, {{x: 2.0}}]\n"));
    assert_eq!(
        scene.cw2("plan config.yml").expect(0).err(),
        "1 experiment, 1 run, 2 repetitions to do in 2 jobs (1 array)\n\
         note: experiment `a`: no run matches `exclude: {\"x\":\"1\"}` (a parameter's name and type count)\n\
         submit it with `cw2 submit out/plans/001`\n"
    );
}

#[test]
fn a_job_that_cannot_end_in_time_is_warned_of() {
    let config = |slurm: &str, more: &str| {
        format!(
            "name: SLURM\ntime: 10\n{slurm}---\nname: e\npath: out\nrepetitions: 8\nrep_time: 5m\ncommand: 'true'\n{more}"
        )
    };
    let scene = Scene::with(&config("", "reps_per_job: 8\nreps_in_parallel: 2\noversubscribe: true\n"));
    assert_eq!(
        scene.cw2("plan -n config.yml").expect(0).err(),
        "warning: experiment `e`: a job runs its repetitions in 4 rounds of 300 s (`rep_time`), but its time limit is 600 s (`time`): what has not finished by then is left undone
 --> config.yml:7:1
  |
7 | rep_time: 5m
  | ^^^^^^^^
  |
  = help: raise `time`, lower `reps_per_job`, or let jobs requeue themselves: `requeue: true`
1 experiment, 1 run, 8 repetitions to do in 1 job (1 array)
dry run: nothing was written
"
    );
    scene.write("config.yml", config("", "").replace("5m", "11m"));
    scene.cw2("plan -n config.yml").expect(0).says([
        "a repetition takes 660 s (`rep_time`), but its time limit is 600 s (`time`)",
        "help: raise `time`, or let jobs requeue themselves",
    ]);
    for fits in [
        config("", "reps_per_job: 2\n"),
        // There are only 8.
        config("", "reps_per_job: 99\nreps_in_parallel: 4\noversubscribe: true\n"),
        config("requeue: true\n", "reps_per_job: 8\n"),
    ] {
        scene.write("config.yml", fits);
        assert!(!scene.cw2("plan -n config.yml").expect(0).stderr.contains("warning"));
    }
}

#[test]
fn paths_go_to_standard_output_and_the_summary_to_standard_error() {
    let scene = Scene::with(SIMPLE);
    let outcome = scene.cw2("plan config.yml").expect(0);
    assert_eq!(outcome.out(), "[HERE]/out/plans/001/sbatch.sh\n");
    assert_eq!(
        outcome.err(),
        "1 experiment, 2 runs, 4 repetitions to do in 4 jobs (1 array)\nsubmit it with `cw2 submit out/plans/001`\n"
    );
    let outcome = scene.cw2("plan config.yml --quiet").expect(0);
    assert_eq!((outcome.out().as_str(), outcome.stderr.as_str()), ("[HERE]/out/plans/002/sbatch.sh\n", ""));
    let names: Vec<_> = scene.tree().into_iter().filter(|name| name.starts_with("out/plans/001/")).collect();
    let expected = [
        "",
        "config/",
        "config/config.yml",
        "experiments.idx",
        "experiments.jsonl",
        "git.json",
        "jobs.idx",
        "jobs.jsonl",
        "params.idx",
        "params.jsonl",
        "plan.json",
        "runs.idx",
        "runs.jsonl",
        "sbatch.sh",
        "settings.idx",
        "settings.jsonl",
        "slurm/",
    ];
    assert_eq!(names, expected.map(|name| format!("out/plans/001/{name}")));
    assert_eq!(scene.read("out/plans/001/config/config.yml"), SIMPLE, "a verbatim copy");
}

#[test]
fn a_dry_run_prints_what_plan_writes_and_writes_nothing() {
    let scene = Scene::with(SIMPLE);
    let dry = scene.cw2("plan --dry-run config.yml").expect(0).says(["nothing was written"]);
    assert_eq!(scene.tree(), ["config.yml"]);
    let script = scene.plan().remove(0);
    assert_eq!(dry.stdout, crate::support::read(&script));
    // The second plan has another number.
    let before = scene.tree();
    let dry = scene.cw2("plan -n config.yml").expect(0);
    assert_eq!(scene.tree(), before);
    assert_eq!(dry.stdout, crate::support::read(&scene.plan()[0]));
}

#[test]
fn a_dry_run_of_several_scripts_tells_them_apart() {
    let scene = Scene::with(&format!("name: SLURM\nmax_array_size: 3\n---\n{SIMPLE}"));
    let dry = scene.cw2("plan -n config.yml").expect(0).stdout;
    let texts: Vec<String> = scene
        .plan()
        .iter()
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            format!("# ---- {name} ----\n{}", crate::support::read(path))
        })
        .collect();
    assert_eq!((texts.len(), dry), (2, texts.join("\n")));
}

#[test]
fn the_frozen_imports_are_copied_too() {
    let scene = Scene::with("name: a\nimport_path: sub/config.yml\nimport_exp: p\ncommand: 'true'\n");
    scene.write("sub/config.yml", "name: p\npath: out\nrepetitions: 1\n");
    scene.plan();
    let copies: Vec<_> = tree(&scene.path("out/plans/001/config"));
    assert_eq!(copies, ["1_config.yml", "config.yml"]);
    assert_eq!(scene.read("out/plans/001/config/1_config.yml"), scene.read("sub/config.yml"));
}

#[test]
fn concurrent_planners_each_get_their_own_whole_plan() {
    let scene = Scene::with(SIMPLE);
    let planners: Vec<_> = (0..8).map(|_| scene.call(["plan", "config.yml"]).start()).collect();
    let scripts: BTreeSet<_> = planners.into_iter().map(|planner| planner.end().expect(0).out()).collect();
    let expected = (1..=8).map(|number| format!("[HERE]/out/plans/{number:03}/sbatch.sh\n")).collect();
    assert_eq!(scripts, expected);
    for number in 1..=8 {
        let folder = format!("out/plans/{number:03}");
        assert_eq!(scene.cw2(&format!("list {folder} --json")).expect(0).stdout.lines().count(), 4);
        // What depends on the number says the right one.
        assert!(
            scene.read(format!("{folder}/sbatch.sh")).contains(&format!("--plan {}", scene.path(&folder).display()))
        );
        let manifest: Value = serde_json::from_str(&scene.read(format!("{folder}/plan.json"))).expect("JSON");
        assert_eq!(manifest["folder"], json!(folder));
    }
    let left: Vec<_> = tree(&scene.path("out/plans")).into_iter().filter(|name| name.starts_with('.')).collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn concurrent_planners_survive_those_that_fail() {
    let scene = Scene::with(SIMPLE);
    scene.write("wrong.yml", SIMPLE.replace("params.x }}", "params.y }}"));
    for _ in 0..5 {
        let planners: Vec<_> =
            (0..8).map(|n| scene.call(["plan", if n % 2 == 0 { "config.yml" } else { "wrong.yml" }]).start()).collect();
        for (n, planner) in planners.into_iter().enumerate() {
            planner.end().expect(if n % 2 == 0 { 0 } else { 2 });
        }
        fs::remove_dir_all(scene.path("out")).expect("four plans");
    }
}

#[test]
fn what_is_finished_is_left_out_unless_it_is_to_be_overwritten() {
    let scene = Scene::with(SIMPLE);
    let script = scene.plan().remove(0);
    for index in [0, 3] {
        as_slurm(&script, index).expect(0);
    }
    assert_eq!(scene.lines("ran"), ["1 0", "2 1"]);
    scene.cw2("plan config.yml").expect(0).says(["2 repetitions to do in 2 jobs", "2 repetitions finished"]);
    let listed = scene.cw2("list out/plans/002 --json").json_lines();
    let left: Vec<_> = listed.iter().map(|rep| (rep["run"].clone(), rep["rep"].clone(), rep["job"].clone())).collect();
    assert_eq!(left, [(json!("a__x1"), json!(1), json!(0)), (json!("a__x2"), json!(0), json!(1))]);

    scene.cw2("plan config.yml -o").expect(0).says(["4 repetitions to do in 4 jobs"]);
    scene.worker("out/plans/003", 0).expect(0);
    assert_eq!(scene.lines("ran"), ["1 0", "2 1", "1 0"]);
    // A requeued element does not begin anew.
    scene.worker("out/plans/003", 0).expect(0).says(["1 finished before"]);
    assert_eq!(scene.lines("ran").len(), 3);
}

#[test]
fn overwriting_does_not_mistake_the_work_of_a_deleted_plan_for_its_own() {
    let scene = Scene::with("name: e\npath: out\nrepetitions: 2\ncommand: echo x\n");
    for words in ["run config.yml", "run -o config.yml", "run -o config.yml"] {
        scene.cw2(words).expect(0).says(["2 repetitions: 2 completed"]);
        std::fs::remove_dir_all(scene.path("out/plans")).expect("the plans, removed");
    }
    assert_eq!(scene.lines("out/e/log/rep_01/out.log").iter().filter(|line| *line == "x").count(), 3);
}

#[test]
fn nothing_left_to_do_is_no_plan() {
    let scene = Scene::with(SIMPLE);
    scene.cw2("run config.yml").expect(0);
    let before = scene.tree();
    for words in ["plan config.yml", "plan -n config.yml", "run config.yml"] {
        scene.cw2(words).expect(0).silent().says(["0 repetitions to do", "nothing is left to do"]);
        assert_eq!(scene.tree(), before);
    }
    assert_eq!(scene.lines("ran").len(), 4);
    // More repetitions of the same.
    scene.write("config.yml", SIMPLE.replace("repetitions: 2", "repetitions: 3"));
    scene.cw2("plan config.yml").expect(0).says(["2 repetitions to do in 2 jobs", "4 repetitions finished"]);
}

#[test]
fn changed_parameters_of_finished_repetitions_are_refused_with_the_difference() {
    let scene = Scene::with(
        "name: a\npath: out\nrepetitions: 1\ncommand: echo x >> ran\nparams: {net: {lr: 0.1, old: 1}, same: 2}\n",
    );
    scene.cw2("run config.yml").expect(0);
    let text = scene.read("config.yml").replace("lr: 0.1, old: 1", "lr: 0.2, new: yes");
    scene.write("config.yml", text);
    let before = scene.tree();
    for words in ["plan config.yml", "plan -n config.yml", "run config.yml"] {
        let outcome = scene.cw2(words).expect(2).silent().says([
            "`out/a/log/rep_00`",
            "net.lr: 0.1 there, 0.2 here",
            "net.old: 1 there, (not set) here",
            "net.new: (not set) there, true here",
            "`-o`",
        ]);
        assert!(!outcome.stderr.contains("same"), "{}", outcome.stderr);
        assert_eq!(scene.tree(), before);
    }
    scene.cw2("run config.yml -o").expect(0);
    assert_eq!(scene.lines("ran").len(), 2);
    scene.cw2("plan config.yml").expect(0).says(["nothing is left to do"]);
}

#[test]
fn a_long_plan_is_cut_into_arrays() {
    let scene = Scene::with(
        "name: SLURM\nmax_array_size: 4\nnum_parallel_jobs: 2\n---\nname: a\npath: out\nrepetitions: 10\ncommand: echo $CW2_REP >> ran\n",
    );
    let scripts = scene.plan();
    let arrays: Vec<_> = scripts
        .iter()
        .map(|script| {
            assert_sound(script);
            let text = crate::support::read(script);
            let spec =
                text.lines().find_map(|line| line.strip_prefix("#SBATCH --array=")).expect("an array").to_owned();
            let offset = text.split("--offset ").nth(1).and_then(|rest| rest.split(' ').next()).expect("an offset");
            (spec, offset.to_owned())
        })
        .collect();
    let expected = [("0-3%2", "0"), ("0-3%2", "4"), ("0-1%2", "8")];
    assert_eq!(arrays, expected.map(|(spec, offset)| (spec.to_owned(), offset.to_owned())));
    for (script, last) in scripts.iter().zip([3, 3, 1]) {
        for index in 0..=last {
            as_slurm(script, index).expect(0);
        }
    }
    assert_eq!(scene.lines("ran"), (0..10).map(|rep| rep.to_string()).collect::<Vec<_>>());
}

#[test]
fn experiments_with_other_resources_are_arrays_of_their_own() {
    let experiment = |name: &str, more: &str| {
        format!("---\nname: {name}\npath: out\nrepetitions: 2\ncommand: echo {name} >> ran\n{more}")
    };
    let scene = Scene::with(
        &[
            "name: SLURM\ntime: 10\npartition: dev\n".to_owned(),
            experiment("a", ""),
            experiment("b", ""),
            experiment("c", "slurm: {time: 90}\n"),
        ]
        .concat(),
    );
    let outcome = scene.cw2("plan config.yml").expect(0).says(["3 experiments", "6 jobs (2 arrays)"]);
    let scripts: Vec<PathBuf> = outcome.stdout.lines().map(PathBuf::from).collect();
    let line = |script: &PathBuf, key: &str| {
        let text = crate::support::read(script);
        text.lines().find(|line| line.starts_with(&format!("#SBATCH --{key}="))).expect("its line").to_owned()
    };
    assert_eq!(
        scripts.iter().map(|script| line(script, "time")).collect::<Vec<_>>(),
        ["#SBATCH --time=0:10:00", "#SBATCH --time=1:30:00"]
    );
    assert_eq!(line(&scripts[1], "partition"), "#SBATCH --partition=dev");
    as_slurm(&scripts[1], 0).expect(0);
    as_slurm(&scripts[0], 3).expect(0);
    assert_eq!(scene.lines("ran"), ["c", "b"]);
}

#[test]
fn selection_and_debugging_shrink_the_plan() {
    let scene = Scene::with(&format!("{SIMPLE}---\n{}", SIMPLE.replace("name: a", "name: b")));
    for (words, expected) in [
        ("-e b", vec![("b", 1, 0), ("b", 1, 1), ("b", 2, 0), ("b", 2, 1)]),
        ("--debug", vec![("a", 1, 0), ("b", 1, 0)]),
        ("--debugall", vec![("a", 1, 0), ("a", 2, 0), ("b", 1, 0), ("b", 2, 0)]),
        ("-e a --set repetitions=1 --set grid.x=[7]", vec![("a", 7, 0)]),
    ] {
        let outcome = scene.cw2(&format!("plan config.yml {words}")).expect(0);
        let folder = Path::new(outcome.stdout.trim()).parent().expect("its folder").display().to_string();
        let listed: Vec<_> = scene
            .cw2(&format!("list {folder} --json"))
            .json_lines()
            .iter()
            .map(|rep| (rep["experiment"].clone(), rep["params"]["x"].clone(), rep["rep"].clone()))
            .collect();
        let expected: Vec<_> = expected.into_iter().map(|(name, x, rep)| (json!(name), json!(x), json!(rep))).collect();
        assert_eq!(listed, expected, "{words}");
    }
}

#[test]
fn what_is_debugged_is_not_finished_for_the_sweep() {
    let scene =
        Scene::with("name: a\npath: out\nrepetitions: 2\niterations: 9\ncommand: echo {{ iterations }} >> ran\n");
    scene.cw2("run config.yml --debug").expect(0);
    scene.cw2("run config.yml").expect(0);
    scene.cw2("run config.yml --debug -o").expect(0);
    assert_eq!(scene.lines("ran"), ["1", "9", "9", "1"]);
    assert_eq!(scene.state("out/debug/a/log/rep_00"), "completed");
    scene.cw2("run config.yml").expect(0).says(["2 repetitions finished and left out"]);
}

/// The configuration as JSON, which is YAML; `slurm` in the experiment.
fn with_slurm(slurm: &Value) -> String {
    json!({"name": "a", "path": "out", "repetitions": 1, "command": "echo x >> ran", "slurm": slurm}).to_string()
}

#[test]
fn a_template_of_one_s_own_is_used() {
    let scene = Scene::with(&with_slurm(&json!({
        "path_to_template": "my.sh.j2", "partition": "dev", "sh_lines": "export MINE=1", "project": "p 1"
    })));
    scene.write(
        "my.sh.j2",
        "#!/bin/bash\n# for {{ slurm.project }}\n{{ sbatch }}\n#SBATCH --comment=mine\n{{ setup }}\ntouch {{ (workdir ~ '/was here') | quote }}\n{{ worker }}\n",
    );
    let script = scene.plan().remove(0);
    let text = crate::support::read(&script);
    for line in ["# for p 1", "#SBATCH --comment=mine", "#SBATCH --partition=dev", "export MINE=1"] {
        assert!(text.lines().any(|found| found == line), "`{line}` is not in\n{text}");
    }
    assert_sound(&script);
    as_slurm(&script, 0).expect(0);
    assert!(scene.has("was here") && scene.lines("ran") == ["x"]);
}

#[test]
fn a_template_of_the_original_is_used() {
    let scene =
        Scene::with(&with_slurm(&json!({"path_to_template": "old.sh", "partition": "dev", "time": 30, "ntasks": 1})));
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plan/sbatch/testdata/original.template");
    scene.write("old.sh", fs::read(old).expect("the original's template"));
    let script = scene.plan().remove(0);
    let text = crate::support::read(&script);
    assert!(!text.contains("%%") && text.contains("#SBATCH -p dev\n"), "{text}");
    as_slurm(&script, 0).expect(0);
    assert_eq!(scene.lines("ran"), ["x"]);
}

#[test]
fn a_template_that_cannot_work_is_refused_and_nothing_is_written() {
    for (text, message) in [
        ("{{ sbatch }}\n{{ worker }}\n", "my.sh.j2"),
        ("#!/bin/bash\n{{ sbatch }}\n", "never starts the worker"),
        ("#!/bin/bash\n{{ worker }}\n", "#SBATCH"),
        ("#!/bin/bash\n{{ sbatch }}\n{{ nothing }}\n{{ worker }}\n", "my.sh.j2"),
        ("#!/bin/bash\n{{ sbatch\n{{ worker }}\n", "my.sh.j2"),
    ] {
        let scene = Scene::with(&with_slurm(&json!({"path_to_template": "my.sh.j2"})));
        scene.write("my.sh.j2", text);
        for words in ["plan config.yml", "plan -n config.yml", "run config.yml"] {
            scene.cw2(words).expect(2).silent().says(["my.sh.j2", message]);
            assert_eq!(scene.tree(), ["config.yml", "my.sh.j2"], "{text}");
        }
    }
    let scene = Scene::with(&with_slurm(&json!({"path_to_template": "missing.sh.j2"})));
    scene.cw2("plan config.yml").expect(2).silent().says([
        "missing.sh.j2",
        "cannot be read",
        "config.yml:1:",
        "= help: ",
    ]);
    assert_eq!(scene.tree(), ["config.yml"]);
}

#[test]
fn a_template_lies_beside_the_configuration_or_in_the_working_directory() {
    for place in ["sub/my.sh.j2", "my.sh.j2"] {
        let scene = Scene::new();
        scene.write("sub/config.yml", with_slurm(&json!({"path_to_template": "my.sh.j2"})));
        scene.write(place, "#!/bin/bash\n# mine\n{{ sbatch }}\n{{ worker }}\n");
        let outcome = scene.cw2("plan sub/config.yml").expect(0);
        assert!(crate::support::read(Path::new(outcome.stdout.trim())).contains("# mine\n"), "{place}");
    }
}

#[test]
fn a_virtual_environment_is_activated_or_the_worker_does_not_start() {
    let folder = "my $HOME 'env'";
    let config = with_slurm(&json!({"venv": format!("./{folder}"), "sh_lines": ["export LINE=\"$ACTIVE too\""]}));
    let scene = Scene::with(&config.replace("echo x >> ran", "echo $LINE >> ran"));
    let script = scene.plan().remove(0);
    assert_sound(&script);
    // Slurm starts it in the plan's working directory.
    let start = || {
        let call = Call::new("bash", scene.root()).args([&script]).env("SLURM_ARRAY_TASK_ID", "0");
        call.run()
    };
    start().expect(3).says(["cannot be activated"]);
    assert_eq!(scene.lines("ran"), Vec::<String>::new());
    scene.write(&format!("{folder}/bin/activate"), "export ACTIVE=yes\n");
    start().expect(0);
    assert_eq!(scene.lines("ran"), ["yes too"]);
}

#[test]
fn an_empty_value_is_told_of() {
    let scene = Scene::with(&with_slurm(&json!({"partition": "", "venv": " "})));
    let outcome = scene.cw2("plan config.yml").expect(0);
    outcome.says(["`partition` is empty, and is taken as not given", "`venv` is empty, and is taken as not given"]);
}

#[test]
fn the_last_of_several_values_is_checked() {
    for (gres, code) in [(json!(["gpu:1", "gpu:2"]), 0), (json!(["gpu:2", "gpu:1"]), 2)] {
        let slurm = json!({"sbatch_args": {"gres": gres}, "gpus_per_rep": 1});
        let config = with_slurm(&slurm).replace("\"repetitions\":1", "\"repetitions\":2,\"reps_in_parallel\":2");
        let outcome = Scene::with(&config).cw2("plan config.yml");
        assert_eq!(outcome.code, Some(code), "{gres}: {}", outcome.stderr);
    }
}

#[test]
fn a_failing_line_ends_the_job_before_the_worker_starts() {
    for (lines, fails) in [
        (vec!["false"], Some("cw2: `sh_lines` end with exit status 1: false\n")),
        (vec!["cd nowhere", "export X=1"], Some("cd nowhere")),
        (vec!["module load nothing"], Some("module load nothing")),
        (vec!["f() { true; false; }", "f"], Some("f")),
        (vec!["for i in 1 2; do", "[ $i = 1 ]", "done"], Some("[ $i = 1 ]")),
        (vec!["source ./fails"], Some("source ./fails")),
        (vec!["set -e", "false"], Some("false")),
        (vec!["true \\", "&& false \\"], Some("false")),
        (vec!["false || true", "! true || false || :"], None),
        (vec!["if false; then", "  exit 9", "fi"], None),
        (vec!["f() {", "  false", "  true", "}", "f", "set -E", "f"], None),
        (vec!["cat > text <<'END'", "false", "END"], None),
        (vec!["false & wait", "[ -e nowhere ] && false"], None),
        (vec!["source ./goes_on"], None),
        (vec!["# false"], None),
        (vec!["unset IFS; set -f; shopt -s extglob"], None),
    ] {
        let scene = Scene::with(&with_slurm(&json!({ "sh_lines": lines })));
        scene.write("goes_on", "false\ntrue\n");
        scene.write("fails", "true\nfalse\n");
        let script = scene.plan().remove(0);
        if lines == ["false"] {
            assert_sound(&script);
        }
        let call = Call::new("bash", scene.root()).args([&script]).env("SLURM_ARRAY_TASK_ID", "0");
        let outcome = call.run();
        let ran = scene.lines("ran");
        match fails {
            None => {
                assert_eq!(outcome.code, Some(0), "{lines:?}: {}", outcome.stderr);
                assert_eq!(ran, ["x"], "{lines:?}");
            }
            Some(command) => {
                assert_eq!(outcome.code, Some(3), "{lines:?}: {}", outcome.stderr);
                assert!(ran.is_empty(), "{lines:?}");
                assert!(
                    outcome.stderr.contains("cw2: `sh_lines` end with exit status "),
                    "{lines:?}: {}",
                    outcome.stderr
                );
                assert!(outcome.stderr.contains(command), "{lines:?}: {}", outcome.stderr);
            }
        }
    }
}

#[test]
fn line_breaks_and_options_in_disguise_are_refused() {
    for slurm in [
        json!({"job-name": "a\n#SBATCH --wrap=x"}),
        json!({"partition": "a\nb"}),
        json!({"account": "a\r\n#SBATCH --hold"}),
        json!({"sbatch_args": {"comment": "a\nb"}}),
        json!({"sbatch_args": {"comment\n#SBATCH --hold": "x"}}),
        json!({"sbatch_args": {"comment=x --hold": "x"}}),
        json!({"sbatch_args": {"array": "0-5"}}),
        json!({"sbatch_args": {"wrap": "touch hacked"}}),
        json!({"slurm_log": "a\nb"}),
        json!({"sbatch_args": {"signal": "B:USR2@40"}}),
        json!({"sbatch_args": {"sig": "B:USR2@40"}}),
        json!({"sbatch_args": {"o": "elsewhere"}}),
        json!({"sbatch_args": {"no-requeue": null}, "requeue": true}),
        json!({"sbatch_args": {"mem": "1G"}, "mem-per-cpu": "1G"}),
        json!({"gpus_per_rep": 0}),
    ] {
        let scene = Scene::with(&with_slurm(&slurm));
        let outcome = scene.cw2("plan config.yml").silent();
        assert_eq!(outcome.code, Some(2), "{slurm}: {}", outcome.stderr);
        assert_eq!(scene.tree(), ["config.yml"], "{slurm}");
    }
}

/// Text that is hard on shells, with no NUL: YAML cannot carry it.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just(" ".to_owned()),
        "[a-z]{1,3}",
        r#"['"\\$`#!%*?~&|;<>(){}\[\]=,:@^-]{1,3}"#,
        Just("$(touch hacked)".to_owned()),
        Just("`touch hacked`".to_owned()),
        Just("; touch hacked;".to_owned()),
        Just("'; touch hacked; '".to_owned()),
        Just("\"; touch hacked; \"".to_owned()),
        Just("#SBATCH --wrap=x".to_owned()),
        Just("%j%%".to_owned()),
        Just("{{ worker }}".to_owned()),
        Just("ü日🎉".to_owned()),
    ];
    proptest::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

#[test]
fn hostile_values_never_become_syntax() {
    let mut runner = TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
    let strategy = (hostile(), hostile(), hostile(), hostile());
    let planned = std::cell::Cell::new(0);
    runner
        .run(&strategy, |(name, folder, comment, value)| {
            let scene = Scene::new();
            let folder = format!("w{}", folder.replace('/', "_"));
            let slurm = json!({"job-name": name, "sbatch_args": {"comment": comment}, "slurm_log": format!("logs {value}")});
            let config = json!({
                "name": "a", "path": format!("out {}", value.replace('/', "_")), "repetitions": 1, "slurm": slurm,
                "params": {"v": value}, "command": ["sh", "-c", "printf %s \"$1\" > \"$CW2_REP_DIR/got\"", "sh", "{{ params.v }}"],
            });
            scene.write(&format!("{folder}/config.yml"), config.to_string());
            let outcome = scene.call(["plan", "config.yml"]).current_dir(scene.path(&folder)).run();
            if outcome.code == Some(2) {
                // A value that Slurm has no way to write; then nothing is there.
                prop_assert_eq!(tree(&scene.path(&folder)), ["config.yml"]);
                return Ok(());
            }
            prop_assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
            planned.set(planned.get() + 1);
            let script = PathBuf::from(outcome.stdout.trim_end_matches('\n'));
            let text = crate::support::read(&script);
            assert_sound(&script);
            let directives = text.lines().filter(|line| line.starts_with("#SBATCH")).count();
            prop_assert_eq!(directives, 6, "{}", text);
            let ran = as_slurm(&script, 0);
            prop_assert_eq!(ran.code, Some(0), "{}\n{}", ran.stderr, text);
            prop_assert!(!scene.tree().iter().any(|name| name.ends_with("hacked")), "{}", text);
            let got = scene.tree().into_iter().find(|name| name.ends_with("/got")).expect("the repetition ran");
            prop_assert_eq!(scene.read(got), value);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(planned.get() > 10, "only {} of 48 were planned at all", planned.get());
}

#[test]
fn a_binary_in_a_hostile_folder_is_found() {
    let scene = Scene::with(SIMPLE);
    let folder = scene.path("a 'b' \"c\" $HOME `d` #e");
    fs::create_dir(&folder).expect("a folder");
    fs::copy(CW2, folder.join("cw2")).expect("a copy of the binary");
    let outcome = Call::new(folder.join("cw2"), scene.root()).args(["plan", "config.yml"]).run().expect(0);
    let script = PathBuf::from(outcome.stdout.trim());
    assert_sound(&script);
    as_slurm(&script, 0).expect(0);
    assert_eq!(scene.lines("ran"), ["1 0"]);
}

#[test]
fn a_folder_whose_name_no_script_can_hold_is_refused() {
    let scene = Scene::new();
    scene.write("a\nb/config.yml", SIMPLE);
    for words in [["plan", "config.yml"], ["run", "config.yml"]] {
        let outcome = scene.call(words).current_dir(scene.path("a\nb")).run().expect(2).silent();
        assert!(outcome.stderr.contains("line breaks"), "{}", outcome.stderr);
        assert_eq!(tree(&scene.path("a\nb")), ["config.yml"]);
    }
}

#[test]
fn the_worker_takes_the_place_of_the_script_s_shell() {
    // Slurm signals the script's own process.
    let scene = Scene::with("name: a\npath: out\nrepetitions: 1\ncommand: echo x >> ran; sleep 1000\n");
    let script = scene.plan().remove(0);
    let running = Call::new("bash", Path::new("/")).args([&script]).env("SLURM_ARRAY_TASK_ID", "0").start();
    crate::support::wait_until("its start", || !scene.lines("ran").is_empty());
    running.signal(nix::sys::signal::Signal::SIGTERM);
    running.end().expect(75);
    assert_eq!(scene.state("out/a/log/rep_00"), "interrupted");
}

#[test]
fn names_of_runs_are_as_long_as_file_systems_take_them() {
    for (length, cut) in [(251, false), (252, true)] {
        let value = "x".repeat(length);
        let config = format!("name: a\npath: out\nrepetitions: 1\ncommand: 'true'\ngrid: {{l: [{value}, y]}}\n");
        let scene = Scene::with(&config);
        scene.cw2("run config.yml").expect(0).says(["2 completed"]);
        let mut names: Vec<_> = std::fs::read_dir(scene.path("out/a")).expect("the runs").flatten().collect();
        names.sort_by_key(|entry| entry.file_name().len());
        let name = names.pop().expect("a run").file_name().into_string().expect("text");
        assert_eq!((name.len(), name == format!("a__l{value}")), (255, !cut), "{name}");
    }
}
