//! What is wrong is told with its place and with what to do, and leaves nothing behind.

use crate::support::{CW2, Call, Outcome, Scene, SmallDisk, is_root};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

const GOOD: &str = "name: a\npath: out\nrepetitions: 1\ncommand: touch ran\n";

/// A configuration that must be refused.
struct Wrong {
    what: &'static str,
    config: Vec<u8>,
    /// `file:line:column`.
    place: &'static str,
    /// The line shown.
    line: &'static str,
    /// In the message.
    message: &'static str,
}

fn wrong(
    what: &'static str,
    config: impl Into<Vec<u8>>,
    place: &'static str,
    line: &'static str,
    message: &'static str,
) -> Wrong {
    Wrong { what, config: config.into(), place, line, message }
}

fn good_and(more: &str) -> String {
    format!("{GOOD}{more}")
}

/// One of each stage that can refuse; the messages of the configuration itself have their tests beside it.
fn all_wrong() -> Vec<Wrong> {
    vec![
        wrong(
            "a wrong type",
            GOOD.replace("repetitions: 1", "repetitions: many"),
            "config.yml:3:14",
            "3 | repetitions: many",
            "`repetitions` must be a whole number",
        ),
        wrong(
            "a cyclic import",
            good_and("import_exp: b\n---\nname: b\nimport_exp: a\n"),
            "config.yml:8:13",
            "8 | import_exp: a",
            "config.yml:a → config.yml:b → config.yml:a",
        ),
        wrong(
            "not UTF-8",
            [GOOD.as_bytes(), b"params: {a: \xff}\n"].concat(),
            "config.yml:5:13",
            "5 | params: {a: ",
            "not UTF-8: byte 0xFF",
        ),
        wrong(
            "an unknown name in a template",
            GOOD.replace("touch ran", "'echo {{ nothing }}'"),
            "config.yml:4:10",
            "4 | command: 'echo {{ nothing }}'",
            "`nothing`",
        ),
        wrong(
            "an unknown parameter in a template",
            GOOD.replace("touch ran", "'echo {{ params.nothing }}'"),
            "config.yml:4:10",
            "4 | command: 'echo {{ params.nothing }}'",
            "`params.nothing`",
        ),
        wrong(
            "a template without an end",
            GOOD.replace("touch ran", "'echo {{ rep'"),
            "config.yml:4:10",
            "4 | command: 'echo {{ rep'",
            "",
        ),
        wrong(
            "a misspelt key (strict)",
            good_and("rep_per_job: 2\n"),
            "config.yml:5:1",
            "5 | rep_per_job",
            "reps_per_job",
        ),
        wrong(
            "more slots than CPUs",
            good_and("reps_in_parallel: 3\nreps_per_job: 3\n---\nname: SLURM\ncpus-per-task: 2\n"),
            "config.yml:5:",
            "5 | reps_in_parallel: 3",
            "do not fit the 2 CPUs",
        ),
        wrong(
            "more slots than the CPUs of sbatch_args",
            good_and("reps_in_parallel: 3\nreps_per_job: 3\n---\nname: SLURM\nsbatch_args: {cpus-per-task: 2}\n"),
            "config.yml:5:",
            "5 | reps_in_parallel: 3",
            "do not fit the 2 CPUs",
        ),
        wrong(
            "more GPUs than two kinds of them",
            good_and(
                "reps_in_parallel: 4\nreps_per_job: 4\ngpus_per_rep: 1\n---\nname: SLURM\nsbatch_args: {gres: 'gpu:a:1,gpu:b:2'}\n",
            ),
            "config.yml:7:",
            "7 | gpus_per_rep: 1",
            "= 4 GPUs, but a job gets 3",
        ),
        wrong(
            "more GPUs than those of the tasks",
            good_and(
                "reps_in_parallel: 3\nreps_per_job: 3\ngpus_per_rep: 1\n---\nname: SLURM\nntasks: 2\nsbatch_args: {gpus-per-task: 1}\n",
            ),
            "config.yml:7:",
            "7 | gpus_per_rep: 1",
            "= 3 GPUs, but a job gets 2",
        ),
        wrong(
            "a name that the last repetition lacks",
            "name: a\npath: out\nrepetitions: 3\ncommand: echo {% if rep > 1 %}{{ params.a }}{% endif %}\n",
            "config.yml:4:",
            "4 | command: echo",
            "in run `a`, repetition 2",
        ),
        wrong(
            "a warning before the start",
            good_and("---\nname: SLURM\ntime: 2\ngrace: 2m\n"),
            "config.yml:1:",
            "1 | name: a",
            "lower `grace`",
        ),
    ]
}

/// Checks the outcome of a refusal, and returns what is missing from it.
fn complaints(case: &Wrong, command: &str, outcome: &Outcome) -> Vec<String> {
    let mut missing = Vec::new();
    let mut check = |holds: bool, what: &str| {
        if !holds {
            missing.push(format!("{} ({command}): {what}\n{}", case.what, outcome.stderr));
        }
    };
    check(outcome.code == Some(2), &format!("exit code {:?}", outcome.code));
    check(outcome.stdout.is_empty(), "something on standard output");
    check(outcome.stderr.starts_with("error: "), "no error first");
    check(outcome.stderr.contains(case.place), &format!("not the place `{}`", case.place));
    check(outcome.stderr.contains(case.line), &format!("not the line `{}`", case.line));
    check(outcome.stderr.contains(case.message), &format!("not the message `{}`", case.message));
    check(outcome.stderr.contains("= help: "), "not what to do");
    check(!outcome.stderr.contains("panicked"), "a panic");
    missing
}

#[test]
fn a_wrong_configuration_is_shown_and_nothing_is_written() {
    let mut missing = Vec::new();
    for case in all_wrong() {
        for command in ["plan", "plan --dry-run", "run"] {
            let scene = Scene::new();
            scene.write("config.yml", &case.config);
            let outcome = scene.cw2(&format!("{command} config.yml --strict"));
            missing.extend(complaints(&case, command, &outcome));
            if scene.tree() != ["config.yml"] {
                missing.push(format!("{} ({command}): left {:?}", case.what, scene.tree()));
            }
        }
    }
    assert!(missing.is_empty(), "{} complaints:\n{}", missing.len(), missing.join("\n"));
}

#[test]
fn list_and_show_need_no_command() {
    let scene = Scene::with("name: a\npath: out\nrepetitions: 1\n");
    scene.cw2("list config.yml").expect(0);
    scene.cw2("show config.yml").expect(0);
    assert_eq!(scene.tree(), ["config.yml"]);
}

#[test]
fn a_misspelt_key_is_warned_of() {
    let scene = Scene::with(&good_and("rep_per_job: 2\n"));
    scene.cw2("plan config.yml").expect(0).says(["warning: ", "config.yml:5:1", "reps_per_job"]);
}

#[test]
fn an_error_in_a_later_run_leaves_nothing() {
    // Only the last of the runs lacks the parameter: the planner is halfway when it finds out.
    let scene = Scene::with(
        "name: a\npath: out/deep\nrepetitions: 1\ncommand: echo {{ params.x.y }}\nlist: {x: [{y: 1}, {y: 2}, 3]}\n",
    );
    for command in ["plan", "run"] {
        scene.cw2(&format!("{command} config.yml")).expect(2).silent().says(["config.yml:4:10", "`params.x.y`"]);
        assert_eq!(scene.tree(), ["config.yml"]);
    }
}

#[test]
fn a_configuration_that_cannot_be_read_is_named() {
    let scene = Scene::new();
    fs::create_dir(scene.path("folder")).expect("a folder");
    for command in ["plan", "run", "list", "show"] {
        let outcome = scene.cw2(&format!("{command} missing.yml")).silent().says(["missing.yml", "No such file"]);
        assert_eq!(outcome.code, Some(2), "{command}: {}", outcome.stderr);
    }
    for command in ["plan", "run", "show"] {
        let outcome = scene.cw2(&format!("{command} folder")).silent().says(["folder", "directory"]);
        assert_eq!(outcome.code, Some(2), "{command}: {}", outcome.stderr);
    }
    assert_eq!(scene.tree(), ["folder/"]);
}

#[test]
fn an_unknown_experiment_is_named_with_those_there_are() {
    let scene = Scene::with(GOOD);
    for command in ["plan", "run", "list", "show"] {
        scene.cw2(&format!("{command} config.yml -e b")).expect(2).silent().says(["no experiment `b`", "`a`"]);
    }
    assert_eq!(scene.tree(), ["config.yml"]);
}

#[test]
fn usage_errors_exit_with_2() {
    let scene = Scene::with(GOOD);
    for words in [
        "",
        "frobnicate",
        "plan",
        "plan config.yml --frobnicate",
        "plan config.yml --set",
        "plan config.yml --set x",
        "plan config.yml --set =1",
        "run config.yml --jobs 0",
        "worker --plan out/plans/001",
        "worker --plan . --index x",
        "worker --plan . --index -1",
        "worker --plan . --index 0 --grace soon",
        "list",
        "show config.yml --run nobody",
        "show config.yml --rep 1",
        "surrender",
    ] {
        let outcome = scene.cw2(words);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{words}: {}", outcome.stderr);
        assert!(!outcome.stderr.is_empty(), "{words}");
    }
    assert_eq!(scene.tree(), ["config.yml"]);
    for words in ["--help", "--version", "plan --help"] {
        let outcome = scene.cw2(words).expect(0);
        assert!(!outcome.stdout.is_empty() && outcome.stderr.is_empty(), "{words}");
    }
}

#[test]
fn a_plan_that_is_none_is_an_environment_failure() {
    let scene = Scene::with(GOOD);
    fs::create_dir(scene.path("empty")).expect("a folder");
    for words in ["worker --plan empty --index 0", "worker --plan missing --index 0", "list empty"] {
        scene.cw2(words).expect(3).silent().says(["cannot"]);
    }
    scene.cw2("list empty").says(["name a plan's own folder, such as `results/plans/001`"]);
    assert_eq!(scene.tree(), ["config.yml", "empty/"]);
}

#[test]
fn a_job_that_the_plan_has_not_is_a_usage_error() {
    let scene = Scene::with(GOOD);
    scene.plan();
    for words in ["--index 1", "--index 0 --offset 1", "--index 18446744073709551615 --offset 5"] {
        scene.cw2(&format!("worker --plan out/plans/001 {words}")).expect(2).silent().says(["no job"]);
    }
    assert!(!scene.has("ran") && !scene.has("out/a"));
}

#[test]
fn a_file_where_a_folder_must_be_is_an_environment_failure() {
    for place in ["out", "out/plans"] {
        let scene = Scene::with(GOOD);
        scene.write(place, "in the way");
        let before = scene.tree();
        for command in ["plan", "run"] {
            let outcome = scene.cw2(&format!("{command} config.yml")).silent().says(["cannot", "out/plans"]);
            assert_eq!(outcome.code, Some(3), "{command}, {place}: {}", outcome.stderr);
            assert_eq!(scene.tree(), before);
        }
    }
}

/// A scene that a user without rights works in, and the binary where that user can reach it.
fn as_nobody() -> Option<(Scene, impl Fn(&Scene, &str) -> Outcome)> {
    if !is_root("only root can become another user") {
        return None;
    }
    let scene = Scene::with(GOOD);
    fs::set_permissions(scene.root(), PermissionsExt::from_mode(0o755)).expect("a folder of ours");
    fs::create_dir(scene.path("bin")).expect("a folder");
    fs::copy(CW2, scene.path("bin/cw2")).expect("a copy of the binary");
    let call = |scene: &Scene, words: &str| {
        let mut command = Command::new(scene.path("bin/cw2"));
        command.args(words.split_whitespace()).current_dir(scene.root()).uid(65534).gid(65534);
        command.env("NO_COLOR", "1").env_remove("RUST_LOG").env_remove("SLURM_ARRAY_TASK_ID");
        Outcome::new(command.output().expect("cw2 runs as nobody"), scene.root())
    };
    Some((scene, call))
}

#[test]
fn a_read_only_results_folder_is_an_environment_failure() {
    let Some((scene, call)) = as_nobody() else { return };
    let before = scene.tree();
    for command in ["plan", "run"] {
        call(&scene, &format!("{command} config.yml")).expect(3).silent().says(["out", "Permission denied"]);
        assert_eq!(scene.tree(), before);
    }
    // A dry run writes nothing, so it needs no right to.
    call(&scene, "plan --dry-run config.yml").expect(0);
    // A results folder that is there, but another's.
    fs::create_dir_all(scene.path("out/plans")).expect("a folder");
    let before = scene.tree();
    for command in ["plan", "run"] {
        call(&scene, &format!("{command} config.yml")).expect(3).silent().says(["out/plans", "Permission denied"]);
        assert_eq!(scene.tree(), before);
    }
}

#[test]
fn an_unreadable_configuration_is_named() {
    let Some((scene, call)) = as_nobody() else { return };
    fs::set_permissions(scene.path("config.yml"), PermissionsExt::from_mode(0o600)).expect("a file of ours");
    call(&scene, "plan config.yml").expect(2).silent().says(["config.yml", "Permission denied"]);
}

#[test]
fn a_repetition_whose_folder_is_another_s_crashes_alone() {
    let Some((scene, call)) = as_nobody() else { return };
    scene.write("config.yml", "name: a\npath: out\nrepetitions: 3\nreps_per_job: 3\ncommand: 'true'\n");
    scene.plan();
    for name in ["out/a", "out/a/log"] {
        fs::create_dir(scene.path(name)).expect("a folder");
        fs::set_permissions(scene.path(name), PermissionsExt::from_mode(0o777)).expect("a folder of ours");
    }
    fs::create_dir(scene.path("out/a/log/rep_01")).expect("a folder");
    call(&scene, "worker --plan out/plans/001 --index 0").expect(1).says([
        "rep_01",
        "Permission denied",
        "2 completed",
    ]);
    assert_eq!(
        (scene.state("out/a/log/rep_00"), scene.state("out/a/log/rep_02")),
        ("completed".into(), "completed".into())
    );
    assert_eq!(scene.tree().iter().filter(|name| name.contains("rep_01/")).count(), 1);
}

/// Fills what is left of a small disk, but for this many bytes.
fn fill(scene: &Scene, but: usize) {
    let file = scene.path("disk/filler");
    let mut size = 0;
    // There is none the first time.
    let _ = fs::remove_file(&file);
    // Page by page until the disk refuses.
    while fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&file)
        .and_then(|mut file| std::io::Write::write_all(&mut file, &[0; 4096]))
        .is_ok()
    {
        size += 4096;
    }
    fs::OpenOptions::new()
        .write(true)
        .open(&file)
        .and_then(|file| file.set_len(u64::try_from(size - but).expect("a size")))
        .expect("to shrink the filler");
}

#[test]
fn on_a_full_disk_a_plan_appears_whole_or_not_at_all() {
    let scene = Scene::with("name: a\npath: disk/out\nrepetitions: 2\ncommand: 'true'\ngrid: {x: [1, 2, 3]}\n");
    let Some(_disk) = SmallDisk::mount(&scene.path("disk"), "128k") else { return };
    let mut whole = 0;
    // From no room at all to enough for a plan, a page at a time.
    for pages in 0..24 {
        fill(&scene, pages * 4096);
        let outcome = scene.cw2("plan config.yml");
        match outcome.code {
            Some(0) => {
                whole += 1;
                let listed = scene.cw2("list disk/out/plans/001").expect(0);
                assert_eq!(listed.stdout.lines().count(), 4, "{}", listed.stdout);
            }
            Some(3) => {
                assert!(whole == 0 && outcome.stdout.is_empty());
                let outcome = outcome.says(["No space left on device", "free some space"]);
                assert_eq!(scene.tree(), ["config.yml", "disk/", "disk/filler"], "{pages} pages: {}", outcome.stderr);
            }
            code => panic!("exit code {code:?}: {}", outcome.stderr),
        }
        let _ = fs::remove_dir_all(scene.path("disk/out"));
    }
    assert!(whole > 0 && whole < 24, "{whole} of 24 plans were written: the disk's size does not test anything");
}

#[test]
fn on_a_full_disk_nothing_is_believed_finished_that_is_not() {
    let scene = Scene::new();
    // The third repetition fills the disk itself; there is no room for those after it.
    scene.write("then", "[ $CW2_REP != 2 ] || cat /dev/zero > disk/filler\ntrue\n");
    scene.write(
        "config.yml",
        "name: a\npath: disk/out\nrepetitions: 5\nreps_per_job: 5\ncommand: echo $CW2_REP >> ran; . ./then\n",
    );
    let Some(_disk) = SmallDisk::mount(&scene.path("disk"), "512k") else { return };
    scene.plan();
    let outcome = scene.cw2("worker --plan disk/out/plans/001 --index 0").expect(3);
    let outcome = outcome.says(["rep_02", "No space left on device", "2 not started for lack of room on this machine"]);
    assert_eq!(scene.lines("ran"), ["0", "1", "2"]);
    assert_eq!(scene.state("disk/out/a/log/rep_00"), "completed");
    assert_eq!(scene.state("disk/out/a/log/rep_01"), "completed");
    // Whatever could be written of the third, it is not finished, and what there is of its status is whole.
    if scene.has("disk/out/a/log/rep_02/status.json") {
        assert_ne!(scene.state("disk/out/a/log/rep_02"), "completed", "{}", outcome.stderr);
    }
    let _ = fs::remove_file(scene.path("disk/filler"));
    scene.write("then", "true");
    scene.cw2("worker --plan disk/out/plans/001 --index 0").expect(0);
    for rep in 0..5 {
        assert_eq!(scene.state(format!("disk/out/a/log/rep_{rep:02}")), "completed");
        let left = scene.tree().into_iter().find(|name| name.contains(".status.json."));
        assert_eq!(left, None, "a torn status was left");
    }
    let runs = |rep: &str| scene.lines("ran").iter().filter(|line| *line == rep).count();
    assert_eq!((runs("0"), runs("1"), runs("2")), (1, 1, 2), "{:?}", scene.lines("ran"));
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let scene = Scene::new();
    scene.write(
        "config.yml",
        format!(
            "{GOOD}grid: {{a: {numbers}, b: {numbers}}}\n",
            numbers = format_args!("{:?}", (0..100).collect::<Vec<_>>())
        ),
    );
    for words in ["list config.yml", "list config.yml --json", "plan --dry-run config.yml"] {
        let mut child = Command::new(CW2)
            .args(words.split_whitespace())
            .current_dir(scene.root())
            .env("NO_COLOR", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cw2 starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a first line");
        assert!(!line.is_empty());
        let outcome = Outcome::new(child.wait_with_output().expect("its end"), scene.root()).expect(0);
        assert!(!outcome.stderr.contains("error"), "{words}: {}", outcome.stderr);
    }
    let closed = Call::new("sh", scene.root()).args(["-c", "\"$0\" list config.yml | head -1", CW2]).run().expect(0);
    assert_eq!((closed.stdout.lines().count(), closed.stderr.as_str()), (1, ""));
}

#[test]
fn what_is_too_large_is_refused_before_it_is_read() {
    let head = "name: a\npath: out\nrepetitions: 1\ncommand: 'true'\n";
    let minuses = |count: usize| format!("{{{{ {}1 }}}}", "-".repeat(count));
    for count in [6_000, 30_000] {
        let scene = Scene::with(&head.replace("'true'", &format!("echo {}", minuses(count))));
        scene.cw2("plan config.yml").expect(2).says(["more than 100 operators in one expression", "config.yml:4:10\n"]);
    }
    let scene = Scene::with(&format!("{head}slurm: {{path_to_template: job.sh}}\n"));
    scene.write("job.sh", format!("{{{{ sbatch }}}}\n{}\n{{{{ worker }}}}\n", minuses(30_000)));
    scene.cw2("plan config.yml").expect(2).says(["job.sh: the template has more than 100 operators"]);

    let nested = (0..100).map(|level| format!("&a{level} [")).collect::<Vec<_>>().concat();
    let items = "x,".repeat(10_000);
    let scene = Scene::with(&format!("{head}params: {{a: {nested}{items}{}}}\n", "]".repeat(100)));
    scene.cw2("plan config.yml").expect(2).says(["copy more than 200000 values", "config.yml:5:"]);
    let scene = Scene::with(&format!("{head}params:\n{}", "- - 1\n".repeat(500_000)));
    scene.cw2("plan config.yml").expect(2).says(["more than 1000000 keys and values", "config.yml:"]);
}

#[test]
fn errors_of_meaning_have_a_place() {
    for (lines, message, place) in [
        ("repetitions: 1\ngrid: {a: [1, 2, 1]}", "have the same parameters and would share `out/a/a__a1-", "5:18"),
        ("repetitions: 1\nexclude: {b: 1}\nparams: {b: 1}", "`exclude` drops every run of experiment `a`", "5:1"),
        ("repetitions: 200000000", "asks for too much: 200000000 (repetitions) = 200000000 repetitions", "4:1"),
        ("repetitions: 60000000\ngrid: {a: [1, 2]}", "asks for too much: 2 (grid) × 60000000 (repetitions)", "5:1"),
        ("repetitions: 1\nslurm: {sbatch_args: {array: 1-3}}", "`array` cannot be set in `sbatch_args`", "5:23"),
        ("repetitions: 1\nslurm: {slurm_log: 'a\\b'}", "the value of `slurm_log` cannot be passed to Slurm", "5:9"),
    ] {
        let scene = Scene::with(&format!("name: a\npath: out\ncommand: 'true'\n{lines}\n"));
        scene.cw2("plan config.yml").expect(2).says([message, &format!("--> config.yml:{place}\n")]);
        assert!(!scene.has("out"));
    }
}
