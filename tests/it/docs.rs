//! What the documentation shows is what the program does.
//!
//! With `CW2_BLESS=1` the tests rewrite the README instead of comparing it.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Scene;

/// Stand for the folder of the tour and for the folder of the program, which differ from machine to machine.
const FOLDER: &str = "/home/you/quickstart";
const BIN: &str = "/home/you/.cargo/bin";

fn readme() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")
}

/// Compares the text between two marks of the README with what it must be, or writes it there.
fn check_section(name: &str, expected: impl FnOnce(&str) -> String) {
    let text = fs::read_to_string(readme()).expect("the README");
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->\n"));
    let (before, rest) = text.split_once(&begin).expect("a mark where the section begins");
    let (section, after) = rest.split_once(&end).expect("a mark where it ends");
    let expected = expected(section);
    if env::var_os("CW2_BLESS").is_some() {
        // Whole at any time: other tests read it.
        let new = readme().with_extension("new");
        fs::write(&new, format!("{before}{begin}{expected}{end}{after}")).expect("the README is written");
        fs::rename(new, readme()).expect("it takes its place");
    } else {
        assert!(
            section == expected,
            "the README's section `{name}` is out of date (CW2_BLESS=1 cargo test --test it docs writes it):\n{expected}"
        );
    }
}

/// One test for both sections: they are parts of one file.
#[test]
fn the_readme_shows_what_the_program_does() {
    check_section("keys", |_| cw2::internals::reference_markdown());
    check_section("tour", |section| run_blocks(section, &Scene::example("quickstart")));
}

#[test]
fn the_page_about_results_shows_what_the_program_does() {
    let page = readme().with_file_name("docs/results.md");
    let text = fs::read_to_string(&page).expect("the page");
    let expected = without_times(&run_blocks(&text, &Scene::example("results")));
    if env::var_os("CW2_BLESS").is_some() {
        fs::write(&page, expected).expect("the page is written");
    } else {
        assert!(
            without_times(&text) == expected,
            "docs/results.md is out of date (CW2_BLESS=1 cargo test --test it docs writes it):\n{expected}"
        );
    }
}

/// How long a repetition takes depends on the machine: `0.1 s` becomes `0.0 s`.
pub(crate) fn without_times(text: &str) -> String {
    let seconds = regex::Regex::new(r"\b\d\.\d s\b").expect("a regular expression");
    seconds.replace_all(text, "0.0 s").into_owned()
}

/// The text with each command of its blocks run in turn.
fn run_blocks(text: &str, scene: &Scene) -> String {
    let mut out = String::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.starts_with("```") {
            in_block = line == "```console";
        }
        if !in_block || line.starts_with("```") {
            let _ = writeln!(out, "{line}");
        } else if let Some(command) = line.strip_prefix("$ ") {
            let _ = writeln!(out, "{line}");
            out.push_str(&run(scene, command));
        }
    }
    out
}

/// What a command prints, as it would on the reader's machine.
fn run(scene: &Scene, command: &str) -> String {
    let bin = Path::new(env!("CARGO_BIN_EXE_cw2")).parent().expect("the program lies in a folder");
    let path = format!("{}:{}", bin.display(), env::var("PATH").expect("a PATH"));
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1; {command}")])
        .current_dir(scene.path(""))
        .env("PATH", path)
        .env_remove("RUST_LOG")
        .output()
        .expect("sh starts");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stdout));
    let text = String::from_utf8(output.stdout).expect("text");
    let folder = scene.path("").to_string_lossy().trim_end_matches('/').to_owned();
    let mut shown = String::new();
    // A machine with a single CPU says that it runs fewer at a time.
    for line in text.lines().filter(|line| !line.starts_with("note: ")) {
        let line = line.replace(&folder, FOLDER).replace(&*bin.to_string_lossy(), BIN);
        let _ = writeln!(shown, "{}", line.trim_end());
    }
    shown
}

#[test]
fn every_link_of_the_readme_leads_somewhere() {
    let text = fs::read_to_string(readme()).expect("the README");
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for link in links.filter(|link| !link.starts_with("http")) {
        assert!(readme().with_file_name(link).exists(), "{link}");
    }
}

#[test]
fn the_readme_lists_the_exit_codes_of_the_help() {
    let scene = Scene::with("");
    let help = scene.cw2("--help").expect(0).stdout;
    let text = fs::read_to_string(readme()).expect("the README");
    for code in [0, 1, 2, 3, 75] {
        assert!(text.contains(&format!("\n| {code} | ")), "{code} in the README");
        assert!(help.contains(&format!("{code} ")), "{code} in the help");
    }
}

#[test]
fn the_package_holds_what_users_need_and_no_tests() {
    let list = std::process::Command::new(env!("CARGO"))
        .args(["package", "--list", "--offline", "--allow-dirty", "--quiet", "--package", "clusterwork"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo");
    assert!(list.status.success(), "{}", String::from_utf8_lossy(&list.stderr));
    let list = String::from_utf8(list.stdout).expect("names");
    let has = |name: &str| list.lines().any(|file| file == name);
    for name in ["src/lib.rs", "templates/sbatch.sh.j2", "README.md", "LICENSE", "docs/INSIDE.md"] {
        assert!(has(name), "{name} is missing in\n{list}");
    }
    assert!(list.lines().any(|file| file.starts_with("slurm-examples/quickstart/")), "{list}");
    let strange = |file: &&str| {
        ["tests", "scripts", ".ci", "proptest-regressions"]
            .iter()
            .any(|folder| file.split('/').any(|part| part == *folder))
            || file.ends_with("/tests.rs")
            || Path::new(file).extension().is_some_and(|end| end == "snap")
    };
    assert_eq!(list.lines().find(strange), None);
}
