//! Runs the console blocks of a page of the documentation, and compares what they show with what they print.
//!
//! What a page may hold, apart from prose:
//!
//! - a block ```` ```console ````: each line `$ command` is run, `> ` continues it, and what follows is what it prints. A line `…`
//!   there stands for any lines, `…` in a line for any text. A command must succeed, unless the next one is `echo $?`.
//! - any other block below a paragraph that ends in `` `NAME.END`: ``: that file, as a whole.
//! - `<!-- scene: NAME -->`: a fresh folder for what follows. If `slurm-examples/NAME` is one, a copy of it. It has the files that
//!   the page showed in a scene of that name before. With `slurm` behind the name its commands talk to the test bed, with
//!   `python` they have the packages of `python/tests/requirements.txt`.
//! - `<!-- $ command -->`: a command that readers do not see. `wait_for_jobs` waits until the scene's jobs have ended.
//!
//! All commands of a scene run in one bash, so `cd` and `export` last. Readers see the home `/home/you`, jobs from 40711 on, and times
//! as they were when the page was written.

use std::borrow::Cow;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;

use crate::project::example;
use crate::support::{CW2, Scene, skipped};
use crate::testbed::testbed;

/// What readers see in place of this machine's folders.
const HOME: &str = "/home/you";
const BIN: &str = "/home/you/.local/bin";

/// The first job's id, as readers see it.
const FIRST_JOB: usize = 40_711;

/// How long the commands of one scene may take, in seconds.
const PATIENCE: &str = "300";

/// A folder with all that happens in it.
#[derive(Debug, Default)]
struct Scenario<'a> {
    name: &'a str,
    slurm: bool,
    python: bool,
    steps: Vec<Step<'a>>,
}

#[derive(Debug, Clone)]
enum Step<'a> {
    File(&'a str, String),
    /// What is run, and which lines of the page it is told to print; none where readers do not see it.
    Run(String, Option<std::ops::Range<usize>>),
}

/// The page as its commands have it: as it is, where it is right.
pub(crate) fn replay(page: &str) -> String {
    let lines: Vec<_> = page.lines().collect();
    let mut printed = Vec::new();
    for scenario in scenarios(&lines) {
        printed.extend(run(&scenario, &lines));
    }
    let mut out = String::new();
    let mut next = 0;
    for (range, text) in printed {
        put(&mut out, &lines[next..range.start]);
        let (told, printed) = (&lines[range.clone()], text.lines().collect::<Vec<_>>());
        if matches(told, &printed) {
            put(&mut out, told);
        } else {
            // What was left open stays open, where it still fits.
            let open = |line: &str| {
                told.iter()
                    .copied()
                    .find(|told| told.len() > "…".len() && told.contains('…') && line_matches(told, line))
            };
            put(&mut out, &printed.iter().map(|line| open(line).unwrap_or(line)).collect::<Vec<_>>());
        }
        next = range.end;
    }
    put(&mut out, &lines[next..]);
    out
}

fn put(out: &mut String, lines: &[&str]) {
    for line in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{line}");
    }
}

fn scenarios<'a>(lines: &[&'a str]) -> Vec<Scenario<'a>> {
    let mut scenarios = vec![Scenario { name: "project", ..Scenario::default() }];
    let mut at = 0;
    let mut prose = "";
    while at < lines.len() {
        let line = lines[at];
        let scene = scenarios.last_mut().expect("there is always one");
        at += 1;
        if let Some(language) = line.strip_prefix("```") {
            let end = at + lines[at..].iter().position(|line| *line == "```").expect("a block ends");
            if language == "console" {
                commands(lines, at..end, scene);
            } else if let Some(name) = file_name(prose) {
                scene.steps.push(Step::File(name, lines[at..end].join("\n") + "\n"));
            }
            at = end + 1;
        } else if let Some(words) = line.strip_prefix("<!-- scene: ").and_then(|rest| rest.strip_suffix(" -->")) {
            let mut words = words.split(' ');
            let name = words.next().expect("a name");
            let (slurm, python) = words.fold((false, false), |(slurm, python), word| match word {
                "slurm" => (true, python),
                "python" => (slurm, true),
                _ => panic!("what is a scene with `{word}`?"),
            });
            // What the page showed of the same folder before.
            let before = scenarios.iter().filter(|scene| scene.name == name).flat_map(|scene| &scene.steps);
            let steps = before.filter(|step| matches!(step, Step::File(..))).cloned().collect();
            scenarios.push(Scenario { name, slurm, python, steps });
        } else if let Some(command) = line.strip_prefix("<!-- $ ").and_then(|rest| rest.strip_suffix(" -->")) {
            scene.steps.push(Step::Run(command.to_owned(), None));
        }
        if !line.is_empty() && !line.starts_with("<!--") {
            prose = line;
        }
    }
    scenarios.retain(|scene| scene.steps.iter().any(|step| matches!(step, Step::Run(..))));
    scenarios
}

/// The file that a paragraph announces at its end.
fn file_name(prose: &str) -> Option<&str> {
    let name = prose.strip_suffix("`:")?.rsplit('`').next()?;
    (name.contains('.') && !name.contains(' ')).then_some(name)
}

fn commands(lines: &[&str], block: std::ops::Range<usize>, scene: &mut Scenario<'_>) {
    let mut at = block.start;
    while at < block.end {
        let mut command = lines[at].strip_prefix("$ ").expect("a block begins with a command").to_owned();
        at += 1;
        while let Some(more) = lines[at].strip_prefix("> ").filter(|_| at < block.end) {
            command = format!("{command}\n{more}");
            at += 1;
        }
        let end = (at..block.end).find(|line| lines[*line].starts_with("$ ")).unwrap_or(block.end);
        scene.steps.push(Step::Run(command, Some(at..end)));
        at = end;
    }
}

/// What each command of a scene prints, as readers see it. Nothing where this machine lacks what the scene needs.
fn run(scenario: &Scenario<'_>, lines: &[&str]) -> Vec<(std::ops::Range<usize>, String)> {
    let bed = if scenario.slurm { testbed() } else { None };
    let packages = env::var_os("CW2_BOOK_PYTHON");
    if scenario.python && packages.is_none() {
        assert!(env::var_os("CI").is_none(), "no Python packages, and CI must not skip a test (scripts/test has them)");
        skipped("no Python packages for the book (scripts/test has them)");
    }
    if (scenario.slurm && bed.is_none()) || (scenario.python && packages.is_none()) {
        return Vec::new();
    }

    let home = Scene::new();
    let folder = home.path(scenario.name);
    fs::create_dir_all(&folder).expect("the scene's folder");
    if example(scenario.name).is_dir() {
        copy(&example(scenario.name), &folder);
    }
    // Kept apart from the scene, whose files are shown.
    let stage = tempfile::tempdir().expect("a temporary folder");
    let script = stage.path().join("script");
    fs::write(&script, script_of(scenario, stage.path(), &folder)).expect("the script");

    let bin = Path::new(CW2).parent().expect("the program lies in a folder");
    let mut path = vec![bin.to_owned()];
    path.extend(packages.filter(|_| scenario.python).map(PathBuf::from));
    path.extend(env::split_paths(&env::var_os("PATH").expect("a PATH")));
    let output = Command::new("timeout")
        .args([PATIENCE, "bash"])
        .arg(&script)
        .env_clear()
        .env("PATH", env::join_paths(path).expect("no colon in a folder's name"))
        .env("HOME", home.root())
        .env("LANG", "C.UTF-8")
        .env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CW2_BINARY", CW2)
        .envs(bed.map(|bed| ("SLURM_CONF", bed.conf())))
        .current_dir(&folder)
        .output()
        .expect("bash starts");
    let output = String::from_utf8(output.stdout).expect("text");

    let shown = Shown::new(home.root(), bin, scenario.slurm, &output);
    let mut rest = &*output;
    let mut printed = Vec::new();
    let mut failed = None;
    for step in &scenario.steps {
        let Step::Run(command, range) = step else { continue };
        let (text, more) = rest.split_once('\x1e').unwrap_or_else(|| panic!("`{command}` never ended:\n{rest}"));
        let (code, more) = more.split_once("\x1e\n").expect("the code has an end");
        rest = more;
        if let Some(what) = failed.take().filter(|_| !command.starts_with("echo $?")) {
            panic!("{what}");
        }
        failed = (code != "0").then(|| format!("`{command}` exits with {code}:\n{text}"));
        if let Some(range) = range {
            printed.push((range.clone(), shown.text(text)));
        }
    }
    assert_eq!(failed, None, "{lines:?}");
    printed
}

/// The commands of a scene for bash; a mark and the exit code behind each.
fn script_of(scenario: &Scenario<'_>, stage: &Path, folder: &Path) -> String {
    let mut script = "exec 2>&1 </dev/null\ncode=0\n\
        wait_for_jobs() { while squeue --noheader --Format=WorkDir:200 | grep -q \"^$HOME/\"; do sleep 0.2; done; }\n"
        .to_owned();
    for (number, step) in scenario.steps.iter().enumerate() {
        match step {
            Step::File(name, text) => {
                let file = stage.join(number.to_string());
                fs::write(&file, text).expect("a file of the page");
                let mode = if text.starts_with("#!") { 755 } else { 644 };
                let _ = writeln!(script, "install -D -m {mode} '{}' '{}'", file.display(), folder.join(name).display());
            }
            Step::Run(command, _) => {
                let _ = writeln!(script, "(exit $code)\n{command}\ncode=$?\nprintf '\\x1e%d\\x1e\\n' $code");
            }
        }
    }
    script
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("the example's folder") {
        let entry = entry.expect("an entry of the example");
        if entry.file_type().expect("its type").is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
        }
    }
}

/// How readers see what a command prints.
struct Shown {
    folders: [(String, &'static str); 2],
    /// The bed's jobs, in the order they were submitted in.
    jobs: Vec<Regex>,
}

impl Shown {
    fn new(home: &Path, bin: &Path, slurm: bool, output: &str) -> Self {
        let id = |line: &str| slurm.then(|| line.rsplit(' ').next()?.parse::<u64>().ok().filter(|id| *id > 9_999))?;
        let mut ids: Vec<_> = output.lines().filter_map(id).collect();
        ids.sort_unstable();
        ids.dedup();
        let jobs = ids.iter().map(|id| Regex::new(&format!(r"\b{id}(?:\b|_)")).expect("a regular expression"));
        let text = |path: &Path| path.display().to_string();
        Shown { folders: [(text(bin), BIN), (text(home), HOME)], jobs: jobs.collect() }
    }

    fn text(&self, text: &str) -> String {
        let mut shown = String::new();
        let slow = Regex::new("^[0-9,]+ of [0-9,]+ repetitions? over.*, after ").expect("a regular expression");
        // A machine with a single CPU says that it runs fewer at a time, a busy one how far it is.
        let of_machine = |line: &&str| line.starts_with("note: 2 repetitions in parallel") || slow.is_match(line);
        for line in text.lines().filter(|line| !of_machine(line)) {
            let mut line = Cow::Borrowed(line);
            for (folder, name) in &self.folders {
                line = line.replace(folder, name).into();
            }
            for (number, job) in self.jobs.iter().enumerate() {
                let name = |found: &regex::Captures<'_>| {
                    let end = if found[0].ends_with('_') { "_" } else { "" };
                    format!("{}{end}", FIRST_JOB + number)
                };
                line = job.replace_all(&line, name).into_owned().into();
            }
            let _ = writeln!(shown, "{}", line.trim_end());
        }
        shown
    }
}

/// How long a repetition takes depends on the machine: `0.1 s` becomes `0.0 s`.
pub(crate) fn without_times(text: &str) -> String {
    let seconds = Regex::new(r"\b\d\.\d s\b").expect("a regular expression");
    let dates = Regex::new(r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?").expect("a regular expression");
    dates.replace_all(&seconds.replace_all(text, "0.0 s"), "DATE").into_owned()
}

/// Whether what a page tells is what a command prints.
fn matches(told: &[&str], printed: &[&str]) -> bool {
    match told {
        [] => printed.is_empty(),
        ["…", rest @ ..] => (0..=printed.len()).any(|skipped| matches(rest, &printed[skipped..])),
        [line, rest @ ..] => {
            printed.first().is_some_and(|printed| line_matches(line, printed)) && matches(rest, &printed[1..])
        }
    }
}

fn line_matches(told: &str, printed: &str) -> bool {
    // In a cell of a table, whose width may change with it.
    let cell = Regex::new(r" {2,}\d+(\.\d)? (s|min)\b").expect("a regular expression");
    let plain = |line: &str| cell.replace_all(&without_times(line), " TIME").into_owned();
    let (told, printed) = (plain(told), plain(printed));
    let pattern = told.split('…').map(regex::escape).collect::<Vec<_>>().join(".*");
    Regex::new(&format!("^{pattern}$")).expect("a regular expression").is_match(&printed)
}

#[test]
fn what_a_page_leaves_open_matches_anything_else_only_itself() {
    for (told, printed, expected) in [
        ("a\nb", "a\nb\n", true),
        ("a", "a\nb\n", false),
        ("…", "", true),
        ("a\n…\nd", "a\nb\nc\nd\n", true),
        ("a\n…\nd", "a\nb\nc\n", false),
        ("job … ended", "job 17 ended\n", true),
        ("job 1. ended", "job 17 ended\n", false),
        ("1.2 s", "3.4 s\n", true),
        ("60 s", "61 s\n", false),
        ("40    9.9 s  done", "40     12 s  done", true),
    ] {
        let lines = |text: &'static str| text.lines().collect::<Vec<_>>();
        assert_eq!(matches(&lines(told), &lines(printed)), expected, "{told:?} {printed:?}");
    }
}

#[test]
fn commands_files_and_scenes_of_a_page_are_found() {
    let page = "Save it as `a/b.sh`:\n\n```sh\n#!/bin/sh\necho \"$1\"\n```\n\n```console\n$ a/b.sh \\\n> hi\nold\n$ cd a; false\n$ echo $?\n1\n$ ls\n```\n<!-- scene: other -->\n```console\n$ pwd\n```\n";
    let shown = replay(page);
    assert_eq!(
        shown,
        page.replace("\nold\n", "\nhi\n")
            .replace("$ ls\n", "$ ls\nb.sh\n")
            .replace("$ pwd\n", "$ pwd\n/home/you/other\n")
    );
    let failing = std::panic::catch_unwind(|| replay("```console\n$ false\n$ true\n```\n"));
    assert!(failing.is_err());
}
