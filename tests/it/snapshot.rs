//! Code snapshots: what is copied, what is refused, and that edits after planning change nothing.

use crate::support::Scene;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

/// A project in a folder of its own; `slurm` are keys of its SLURM document.
pub(crate) fn project(slurm: &str) -> Scene {
    let scene = Scene::new();
    scene.write(
        "p/config.yml",
        format!(
            "name: SLURM\n{slurm}\n---\nname: e\npath: out\nrepetitions: 3\ncommand: echo \"$(sh ./main.sh) in $PWD\"\n"
        ),
    );
    scene.write("p/main.sh", "echo old\n");
    scene
}

pub(crate) const EXACT: &str = "experiment_copy_src: .\nexperiment_copy_dst: ../copy";
const FRESH: &str = "experiment_copy_src: .\nexperiment_copy_auto_dst: ../copies";

impl Scene {
    pub(crate) fn in_project(&self, words: &str) -> crate::support::Outcome {
        self.call(words.split_whitespace()).current_dir(self.path("p")).run()
    }

    /// The names in a folder, sorted.
    fn names(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.path(folder))
            .unwrap_or_else(|error| panic!("{folder}: {error}"))
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// What the last attempt at the repetition `rep` printed.
    fn printed(&self, rep: u32) -> String {
        let text = self.read(format!("p/out/e/log/rep_{rep:02}/out.log"));
        text.rsplit("<==\n").next().unwrap_or_default().trim_end().to_owned()
    }

    fn here(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Runs every element of every script of the plan as Slurm would, but for Slurm.
    fn run_scripts(&self, scripts: &str) {
        for script in scripts.lines() {
            let text = fs::read_to_string(script).unwrap();
            let field = |name: &str| {
                let lead = format!("#SBATCH --{name}=");
                text.lines()
                    .find_map(|line| line.strip_prefix(&lead))
                    .unwrap_or_else(|| panic!("{text}"))
                    .trim_matches('"')
                    .to_owned()
            };
            let last: u32 = field("array").strip_prefix("0-").unwrap().parse().unwrap();
            for element in 0..=last {
                let call = crate::support::Call::new("bash", self.root()).args([script]);
                call.current_dir(field("chdir"))
                    .env("SLURM_ARRAY_TASK_ID", element.to_string())
                    .env("PYTHONPATH", "/inherited")
                    .run()
                    .expect(0);
            }
        }
    }
}

#[test]
fn code_edited_after_planning_changes_nothing() {
    let scene = project(EXACT);
    let outcome = scene.in_project("plan config.yml").expect(0);
    assert!(outcome.err().contains("code: 2 files (150 bytes) copied to [HERE]/copy\n"), "{}", outcome.err());
    scene.write("p/main.sh", "echo new\n");
    // By hand, without the script: the plan knows.
    scene.in_project("worker --plan out/plans/001 --index 0").expect(0);
    assert_eq!(scene.printed(0), format!("old in {}", scene.here("copy")));
    scene.run_scripts(&outcome.stdout);
    assert_eq!(scene.printed(2), format!("old in {}", scene.here("copy")));
    assert_eq!(scene.names("copy"), ["config.yml", "main.sh"]);
    // Results stay in the project, in spite of the other working directory.
    assert_eq!(scene.names("p"), ["config.yml", "main.sh", "out"]);
}

#[test]
fn every_job_finds_its_own_copy() {
    let scene = project(&format!("{EXACT}\nmax_array_size: 2"));
    let outcome = scene.in_project("plan config.yml --multicopy").expect(0);
    assert_eq!(outcome.stdout.lines().count(), 2, "{}", outcome.stdout);
    assert_eq!(scene.names("copy"), [".untouched", "0", "1", "2"]);
    // A job that writes into its copy does not reach the others.
    fs::OpenOptions::new()
        .append(true)
        .open(scene.path("copy/1/main.sh"))
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"echo mine\n"))
        .unwrap();
    scene.write("p/main.sh", "echo new\n");
    scene.run_scripts(&outcome.stdout);
    for (rep, said) in [(0, "old"), (1, "old\nmine"), (2, "old")] {
        assert_eq!(scene.printed(rep), format!("{said} in {}", scene.here(&format!("copy/{rep}"))));
    }
    // An element whose copy is gone does not start in another folder.
    fs::remove_dir_all(scene.path("copy/2")).unwrap();
    let script = outcome.stdout.lines().nth(1).unwrap();
    let call = crate::support::Call::new("bash", scene.root()).args([script]).env("SLURM_ARRAY_TASK_ID", "0");
    call.run().expect(3).says(["cw2: this job has no copy of the code; the worker is not started"]);
}

#[test]
fn a_fresh_folder_is_found_also_within_a_second() {
    let scene = project(FRESH);
    for _ in 0..3 {
        scene.in_project("plan config.yml").expect(0);
    }
    let names = scene.names("copies");
    assert_eq!(names.len(), 3, "{names:?}");
    for name in names {
        let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
        let parts: Vec<_> = name.split('-').collect();
        assert!(parts[0].len() == 8 && parts[1].len() == 6 && parts.iter().all(|part| digits(part)), "{name}");
        assert_eq!(scene.names(&format!("copies/{name}")), ["config.yml", "main.sh"]);
    }
}

#[test]
fn an_archive_is_for_the_record_only() {
    for (slurm, archive) in [(EXACT, "copy.zip"), ("{}", "p/out/plans/001/code.zip")] {
        let scene = project(slurm.trim_start_matches("{}"));
        scene.write("p/tool", "#!/bin/sh\n");
        fs::set_permissions(scene.path("p/tool"), Permissions::from_mode(0o750)).unwrap();
        symlink("tool", scene.path("p/link")).unwrap();
        let outcome = scene.in_project("plan config.yml --zip").expect(0);
        scene.write("p/main.sh", "echo new\n");
        scene.run_scripts(&outcome.stdout);
        assert_eq!(scene.printed(0), format!("new in {}", scene.here("p")));
        let script = format!(
            "import os, stat, sys, zipfile\n\
             for i in zipfile.ZipFile({:?}).infolist():\n    \
             print(i.filename, oct(i.external_attr >> 16), i.file_size)",
            scene.here(archive)
        );
        let listing = crate::support::Call::new("python3", scene.root()).args(["-c", &script]).run().expect(0).stdout;
        let config = fs::metadata(scene.path("p/config.yml")).unwrap().len();
        assert_eq!(
            listing,
            format!("config.yml 0o100644 {config}\nlink 0o120777 4\nmain.sh 0o100644 9\ntool 0o100750 10\n")
        );
    }
}

#[test]
fn no_copy_where_none_is_wanted() {
    let scene = project(EXACT);
    let outcome = scene.in_project("plan config.yml --nocodecopy").expect(0);
    let note = "no code is copied: jobs run in the source, since `[HERE]/copy` does not exist\n";
    assert!(outcome.err().contains(note), "{}", outcome.err());
    scene.run_scripts(&outcome.stdout);
    assert_eq!(scene.printed(0), format!("old in {}", scene.here("p")));
    assert_eq!(scene.names("."), ["p"]);

    // As in the original: an earlier copy is used as it is.
    scene.write("copy/main.sh", "echo earlier\n");
    let outcome = scene.in_project("plan config.yml --nocodecopy -o").expect(0);
    assert!(outcome.err().contains("no code is copied: jobs run in the earlier copy `[HERE]/copy`\n"));
    scene.run_scripts(&outcome.stdout);
    assert_eq!(scene.printed(0), format!("earlier in {}", scene.here("copy")));

    let scene = project(FRESH);
    scene.in_project("plan config.yml --nocodecopy").expect(0);
    scene.in_project("run config.yml").expect(0);
    assert_eq!(scene.printed(0), format!("old in {}", scene.here("p")));
    assert_eq!(scene.names("."), ["p"]);
}

#[test]
fn a_dry_run_copies_nothing_and_shows_where() {
    let scene = project(EXACT);
    let outcome = scene.in_project("plan config.yml -n").expect(0);
    assert!(outcome.out().contains("#SBATCH --chdir=[HERE]/copy\n"), "{}", outcome.out());
    assert!(outcome.out().contains("\nexport PYTHONPATH=[HERE]/copy\"${PYTHONPATH:+:$PYTHONPATH}\"\n"));
    assert_eq!(scene.tree(), ["p/", "p/config.yml", "p/main.sh"]);
}

/// Keys, flags, what else is there, and the message.
type Refusal = (&'static str, &'static str, fn(&Scene), &'static str);

#[test]
fn refusals_say_what_to_do_and_leave_nothing() {
    let cases: [Refusal; 9] = [
        ("experiment_copy_src: .", "", |_| {}, "incomplete: SLURM has `experiment_copy_src`, but neither"),
        ("experiment_copy_dst: ../c", "", |_| {}, "incomplete: SLURM has a destination, but no `experiment_copy_src`"),
        ("partition: cpu", "--multicopy", |_| {}, "`--multicopy` needs a code snapshot"),
        (
            EXACT,
            "",
            |scene| drop(scene.write("copy/precious", "x")),
            "destination `[HERE]/copy` exists; plan with `-o` to replace it (and to run finished repetitions again), with \
             `--nocodecopy` to run in it as it is, or set `experiment_copy_auto_dst`",
        ),
        (
            EXACT,
            "--zip",
            |scene| drop(scene.write("copy.zip", "x")),
            "the code archive `[HERE]/copy.zip` exists; plan with `-o`",
        ),
        (
            "experiment_copy_src: .\nexperiment_copy_dst: ../way/../link/deep/er",
            "",
            |scene| {
                fs::create_dir(scene.path("way")).unwrap();
                symlink("p", scene.path("link")).unwrap();
            },
            "destination `[HERE]/p/deep/er` lies inside its source `[HERE]/p`",
        ),
        ("experiment_copy_src: .\nexperiment_copy_auto_dst: copies", "", |_| {}, "lies inside its source `[HERE]/p`"),
        ("experiment_copy_src: .\nexperiment_copy_dst: ..", "-o", |_| {}, "`[HERE]` holds its source `[HERE]/p`"),
        (
            EXACT,
            "",
            |scene| {
                let file = File::create(scene.write("p/data/x/huge.bin", "")).unwrap();
                file.set_len(200_000_001).unwrap();
            },
            "would have 200.1 MB, more than 200 MB; the largest: `data` (200.1 MB), `config.yml` (141 bytes), \
             `main.sh` (9 bytes); list what is not code in `.cw2ignore`, or plan with `--skipsizecheck`",
        ),
    ];
    for (slurm, flags, prepare, message) in cases {
        let scene = project(slurm);
        prepare(&scene);
        let before = scene.tree();
        for dry in ["", "--dry-run"] {
            let outcome = scene.in_project(&format!("plan config.yml {flags} {dry}")).expect(2).silent();
            assert!(outcome.err().contains(message), "{}", outcome.err());
            assert_eq!(scene.tree(), before);
        }
    }
}

#[test]
fn failures_leave_nothing() {
    for (slurm, code, message) in [
        (
            "experiment_copy_src: nowhere\nexperiment_copy_dst: ../a/b/c",
            3,
            "cannot copy the code from `[HERE]/p/nowhere`",
        ),
        (
            "experiment_copy_src: main.sh\nexperiment_copy_dst: ../a/b/c",
            3,
            "cannot copy the code from `[HERE]/p/main.sh`",
        ),
        (
            "experiment_copy_src: empty\nexperiment_copy_dst: ../a/b/c",
            2,
            "the code snapshot of `[HERE]/p/empty` would be empty",
        ),
        ("experiment_copy_src: .\nexperiment_copy_dst: main.sh/c", 2, "lies inside its source"),
        ("experiment_copy_src: .\nexperiment_copy_dst: ../file/c", 3, "cannot create `[HERE]/file`"),
        // The script cannot be written: the snapshot, taken before, goes too.
        (&format!("{EXACT}\nsbatch_args: {{wrap: x}}"), 2, "`wrap` cannot be set in `sbatch_args`"),
        (&format!("{FRESH}\nsbatch_args: {{wrap: x}}"), 2, "`wrap` cannot be set in `sbatch_args`"),
    ] {
        let scene = project(slurm);
        scene.write("p/empty/.gitignore", "*\n");
        scene.write("file", "");
        scene.write("p/locked/x", "");
        fs::set_permissions(scene.path("p/locked"), Permissions::from_mode(0o555)).unwrap();
        let before = scene.tree();
        let outcome = scene.in_project("plan config.yml").expect(code).silent();
        assert!(outcome.err().contains(message), "{}", outcome.err());
        assert_eq!(scene.tree(), before);
    }
}

#[test]
fn what_is_replaced_is_kept_beside_and_comes_back_on_failure() {
    let scene = project(EXACT);
    scene.write("copy/precious", "x");
    let outcome = scene.in_project("plan config.yml -o").expect(0);
    let note = "what was there is now [HERE]/copy.replaced-1; remove it when no job needs it\n";
    assert!(outcome.err().contains(note), "{}", outcome.err());
    assert_eq!(scene.names("copy"), ["config.yml", "main.sh"]);
    assert_eq!(scene.read("copy.replaced-1/precious"), "x");

    let scene = project(&format!("{EXACT}\nsbatch_args: {{wrap: x}}"));
    scene.write("copy/precious", "x");
    let before = scene.tree();
    scene.in_project("plan config.yml -o").expect(2);
    assert_eq!(scene.tree(), before);
}

#[test]
fn a_finished_sweep_needs_no_snapshot() {
    let scene = project(EXACT);
    let outcome = scene.in_project("plan config.yml").expect(0);
    scene.run_scripts(&outcome.stdout);
    scene.in_project("plan config.yml").expect(0).silent().says(["nothing is left to do"]);
}

#[test]
fn flags_that_exclude_each_other_are_refused() {
    let scene = project(EXACT);
    for flags in ["--zip --multicopy", "--zip --nocodecopy", "--multicopy --nocodecopy"] {
        scene.in_project(&format!("plan config.yml {flags}")).expect(2).says(["cannot be used with"]);
    }
}

#[test]
fn python_finds_the_copy_and_not_the_source() {
    let scene = project("experiment_copy_src: src\nexperiment_copy_dst: ../copy dir\nmax_array_size: 2");
    scene.write("p/src/lib/mod.py", "WHERE = 'old'\n");
    scene.write("elsewhere/other.py", "");
    symlink("p", scene.path("alias")).unwrap();
    let command = "command: python3 -c \"import mod, other, sys; print(mod.WHERE, mod.__file__, sys.path[-1])\"";
    let config = scene.read("p/config.yml").replace("command: echo", "# command: echo");
    scene.write("p/config.yml", format!("{config}{command}\n"));
    let path = format!("{}:src/lib:{}", scene.here("elsewhere"), scene.here("alias/src/lib"));
    for (flags, copies) in [("", ["copy dir"; 3]), ("--multicopy", ["copy dir/0", "copy dir/1", "copy dir/2"])] {
        let words = format!("plan config.yml -o {flags}");
        let call = scene.call(words.split_whitespace()).current_dir(scene.path("p")).env("PYTHONPATH", &path);
        let outcome = call.run().expect(0);
        scene.write("p/src/lib/mod.py", "WHERE = 'new'\n");
        scene.run_scripts(&outcome.stdout);
        for (rep, copy) in (0..).zip(copies) {
            let expected = format!("old {}/lib/mod.py", scene.here(copy));
            assert!(scene.printed(rep).starts_with(&expected), "{}\n{expected}", scene.printed(rep));
        }
        scene.write("p/src/lib/mod.py", "WHERE = 'old'\n");
    }
}

#[test]
fn a_template_of_the_originals_kind_runs_in_the_copy() {
    let scene = project(&format!("{EXACT}\npath_to_template: own.sh\nmax_array_size: 2\nsh_lines: 'pwd > where'"));
    scene.write(
        "p/own.sh",
        "#!/bin/bash\n#SBATCH --array=0-%%last_job_idx%%\n#SBATCH --chdir=%%experiment_execution_dir%%\n%%venv%%\n\
         %%pythonpath%%\n%%sh_lines%%\npython3 %%python_script%% -j 1\n",
    );
    let outcome = scene.in_project("plan config.yml --multicopy").expect(0);
    scene.run_scripts(&outcome.stdout);
    for rep in 0..3 {
        let copy = scene.here(&format!("copy/{rep}"));
        assert_eq!(scene.printed(rep), format!("old in {copy}"));
        assert_eq!(scene.read(format!("copy/{rep}/where")), format!("{copy}\n"));
    }
}

#[test]
fn a_relative_workdir_lies_in_the_copy() {
    let scene = project(EXACT);
    scene.write("p/sub/x", "");
    let config = scene.read("p/config.yml").replace("sh ./main.sh", "sh ../main.sh");
    scene.write("p/config.yml", format!("{config}workdir: sub\n"));
    let outcome = scene.in_project("plan config.yml").expect(0);
    scene.run_scripts(&outcome.stdout);
    assert_eq!(scene.printed(0), format!("old in {}", scene.here("copy/sub")));
}

#[test]
fn a_retry_runs_the_code_of_the_first_plan() {
    for (flags, copies, again) in [
        ("", ["copy"; 3], ["copy"; 2]),
        ("--multicopy", ["copy/0", "copy/1", "copy/2"], ["copy-retry/0", "copy-retry/1"]),
    ] {
        let scene = project(EXACT);
        scene.write(
            "p/main.sh",
            "touch mine; echo \"old $(ls -d mine*) $PYTHONPATH\"; [ -e $HOME/now ] || [ $CW2_REP = 1 ] || exit 1\n",
        );
        let config = scene.read("p/config.yml").replace("echo \"$(sh ./main.sh) in $PWD\"", "sh ./main.sh >&1 && pwd");
        scene.write("p/config.yml", config);
        let planned = scene.in_project(&format!("plan config.yml {flags}")).expect(0);
        for (rep, copy) in (0..).zip(copies) {
            let code = i32::from(rep != 1);
            scene.in_project(&format!("worker --plan out/plans/001 --index {rep}")).expect(code);
            assert!(scene.has(&format!("{copy}/mine")));
        }
        assert_eq!(planned.stdout.lines().count(), 1);
        scene.write("p/main.sh", "echo new\n");
        scene.write("now", "");
        let retried = scene.in_project("retry out/plans/001").expect(0);
        assert!(!scene.has("copy-retry/0/mine"), "the copy that an earlier job wrote into");
        scene.run_scripts(&retried.stdout);
        for (rep, copy) in [(0, again[0]), (2, again[1])] {
            let expected = format!("old mine {0}:/inherited\n{0}", scene.here(copy));
            assert_eq!(scene.printed(rep), expected);
        }
        assert!(!scene.has("p/out/plans/002/git.json"));
    }
}

#[test]
fn a_retry_takes_the_code_of_the_plan_that_ran() {
    let scene = project(FRESH);
    scene.write("p/main.sh", "echo $0; test -e $HOME/now\n");
    let config = scene.read("p/config.yml").replace("echo \"$(sh ./main.sh) in $PWD\"", "pwd; sh ./main.sh");
    scene.write("p/config.yml", config);
    scene.in_project("plan config.yml").expect(0);
    scene.in_project("worker --plan out/plans/001 --index 0").expect(1);
    let copies = scene.names("copies");
    let [first] = copies.as_slice() else { panic!("{copies:?}") };
    // Planned with newer code, and never submitted.
    scene.write("p/main.sh", "echo new\n");
    scene.in_project("plan config.yml").expect(0);
    let retried = scene.in_project("retry out --assume-dead").expect(0);
    let place = scene.here(&format!("copies/{first}"));
    let retried = retried.says([&format!("code: that of plan out/plans/001, in {place}")]);
    assert!(scene.read(retried.stdout.trim_end()).contains(&place), "{}", retried.stdout);
    assert!(!retried.stderr.contains("out/plans/002"), "{}", retried.stderr);
}

#[test]
fn a_code_copy_that_is_gone_is_noticed_before_the_job() {
    for (flags, gone) in [("", "copy"), ("--multicopy", "copy/1"), ("--multicopy", "copy/.untouched")] {
        let scene = project(EXACT);
        scene.in_project(&format!("plan config.yml {flags}")).expect(0);
        fs::remove_dir_all(scene.path(gone)).expect("the copy");
        let before = scene.tree();
        let mut refusing = vec!["submit out/plans/001", "submit --test-only out/plans/001"];
        match gone {
            // A retry copies what no job ran in.
            "copy/.untouched" => refusing = vec!["retry out --assume-dead"],
            "copy/1" => {}
            _ => refusing.push("retry out --assume-dead"),
        }
        for words in refusing {
            let instead = if words.starts_with("retry") { "`--fresh-code`" } else { "plan the configuration again" };
            let told = ["the code copy", &scene.here(gone), "is gone", instead];
            scene.in_project(words).expect(3).silent().says(told);
        }
        assert_eq!(scene.tree(), before);
    }
}

#[test]
fn copies_for_single_jobs_are_no_place_to_run_in() {
    let scene = project(EXACT);
    scene.in_project("plan config.yml --multicopy").expect(0);
    let before = scene.tree();
    let told = [scene.here("copy"), "`--multicopy`".to_owned(), "leave out `--nocodecopy`".to_owned()];
    scene.in_project("plan config.yml --nocodecopy").expect(2).silent().says(told);
    assert_eq!(scene.tree(), before);
}
