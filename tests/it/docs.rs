//! What the documentation shows is what the program does.
//!
//! With `CW2_BLESS=1` the tests write the pages instead of comparing them.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::console::{replay, without_times};
use crate::support::{Scene, tree};

/// The keys' reference.
const KEYS: &str = "docs/reference/keys.md";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// All pages, the README among them.
fn pages() -> Vec<String> {
    let is_page = |file: &String| Path::new(file).extension().is_some_and(|end| end == "md");
    let mut pages: Vec<_> =
        tree(&root().join("docs")).into_iter().filter(is_page).map(|file| format!("docs/{file}")).collect();
    pages.push("README.md".to_owned());
    pages
}

/// Compares a page with what it must be, or writes it.
fn check(page: &str, expected: &str) {
    let text = read(page);
    if without_times(&text) == without_times(expected) {
        return;
    }
    assert!(
        env::var_os("CW2_BLESS").is_some(),
        "{page} is out of date (CW2_BLESS=1 cargo test --test it docs writes it):\n{}",
        first_difference(&text, expected)
    );
    // Whole at any time: other tests read it.
    let new = root().join(page).with_extension("new");
    fs::write(&new, expected).expect("the page is written");
    fs::rename(new, root().join(page)).expect("it takes its place");
}

/// The lines around the first one that differs.
fn first_difference(told: &str, expected: &str) -> String {
    let same = told.lines().zip(expected.lines()).take_while(|(a, b)| without_times(a) == without_times(b)).count();
    let part = |text: &str| text.lines().skip(same.saturating_sub(3)).take(12).collect::<Vec<_>>().join("\n");
    format!("line {}\n--- it says\n{}\n--- it is\n{}\n", same + 1, part(told), part(expected))
}

/// One test a page, so that they run side by side. A page not named here is found by [`every_page_is_read`].
macro_rules! pages {
    ($($test:ident: $page:literal,)*) => {
        const TESTED: &[&str] = &[$($page),*];
        $(
            #[test]
            fn $test() {
                check($page, &replay(&read($page)));
            }
        )*
    };
}

pages! {
    readme: "README.md",
    argparse: "docs/recipes/argparse.md",
    changed: "docs/changed.md",
    cluster: "docs/cluster.md",
    clusters: "docs/recipes/clusters.md",
    commands: "docs/reference/commands.md",
    data: "docs/recipes/data.md",
    debugging: "docs/recipes/debugging.md",
    editors: "docs/editors.md",
    gpus: "docs/recipes/gpus.md",
    hydra: "docs/recipes/hydra.md",
    install: "docs/install.md",
    json: "docs/reference/json.md",
    notify: "docs/recipes/notify.md",
    own_config: "docs/recipes/own-config.md",
    preemption: "docs/recipes/preemption.md",
    python: "docs/python.md",
    results: "docs/results.md",
    seeds: "docs/recipes/seeds.md",
    snapshots: "docs/snapshots.md",
    sweeps: "docs/sweeps.md",
    templates: "docs/reference/templates.md",
    tiny: "docs/recipes/tiny.md",
    tutorial: "docs/tutorial.md",
    wandb: "docs/recipes/wandb.md",
}

#[test]
fn every_page_is_read() {
    let shown: BTreeSet<_> = pages().into_iter().filter(|page| read(page).contains("```console\n")).collect();
    let tested: BTreeSet<_> = TESTED.iter().map(|page| (*page).to_owned()).collect();
    assert_eq!(shown, tested, "pages with console blocks, and those that `pages!` names");
    let summary = read("docs/SUMMARY.md");
    for page in pages().iter().filter_map(|page| page.strip_prefix("docs/")).filter(|page| *page != "SUMMARY.md") {
        assert!(summary.contains(&format!("]({page})")), "{page} is not in SUMMARY.md");
    }
}

#[test]
fn the_reference_has_every_key() {
    let (begin, end) = ("<!-- keys:begin -->\n", "<!-- keys:end -->\n");
    let text = read(KEYS);
    let (before, rest) = text.split_once(begin).expect("a mark where the tables begin");
    let (_, after) = rest.split_once(end).expect("a mark where they end");
    let tables = cw2::internals::reference_markdown();
    check(KEYS, &format!("{before}{begin}{tables}{end}{after}"));
    // Each has a section, in the order of the tables.
    let names = |text: &str, start: &str| -> Vec<String> {
        let name = |line: &str| Some(line.strip_prefix(start)?.split('`').next()?.trim_end_matches('…').to_owned());
        text.lines().filter_map(name).collect()
    };
    assert_eq!(names(after, "### `"), names(&tables, "| `"), "the sections of {KEYS}, and the keys that there are");
}

#[test]
fn every_key_has_an_example_that_can_be_planned() {
    let (_, sections) = read(KEYS)
        .split_once("## Keys of an experiment\n")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("sections");
    let (of_experiment, of_slurm) = sections.split_once("## Keys of SLURM\n").expect("sections");
    for (part, slurm) in [(of_experiment, false), (of_slurm, true)] {
        for section in part.split("### `").skip(1) {
            let key = section.split('`').next().expect("a name");
            let examples: Vec<_> =
                section.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
            assert!(!examples.is_empty(), "{KEYS}: `{key}` has no example");
            for example in examples {
                check_example(key, example, slurm);
            }
        }
    }
}

/// A block of the reference as a configuration, with what it leaves out.
fn check_example(key: &str, example: &str, slurm: bool) {
    let has = |key: &str| example.lines().any(|line| line.starts_with(&format!("{key}:")));
    assert!(has(key), "{KEYS}: the example of `{key}` lacks it:\n{example}");
    let needed = [("name", "e"), ("path", "out"), ("repetitions", "1"), ("command", "./train")];
    let rest = needed.into_iter().filter(|(key, _)| slurm || !has(key));
    let experiment = rest.fold(String::new(), |text, (key, value)| format!("{text}{key}: {value}\n"));
    let config = match slurm {
        true if has("name") => format!("{example}---\n{experiment}"),
        true => format!("name: SLURM\n{example}---\n{experiment}"),
        false => format!("{experiment}{example}"),
    };
    // A folder in the scene, so that copies beside it lie in the scene too.
    let scene = Scene::new();
    scene.write("here/config.yml", &config);
    scene.write("here/base.yml", "name: base\nparams: {a: 1}\n---\nname: SLURM\ntime: 5\n");
    scene.write("here/job.sh.j2", "#!/bin/bash\n{{ sbatch }}\n{{ setup }}\n{{ worker }}\n");
    let planned = scene.call(["plan", "--strict", "--dry-run", "config.yml"]).current_dir(scene.path("here")).run();
    assert_eq!(
        (planned.code, planned.stderr.contains("warning")),
        (Some(0), false),
        "`{key}`:\n{config}\n{}",
        planned.stderr
    );
}

/// The links of a page that lead to a file here: the page it leads to, and the place in it.
fn links(page: &str) -> Vec<(String, Option<String>)> {
    let mut in_block = false;
    let prose = read(page)
        .lines()
        .filter(|line| {
            in_block ^= line.starts_with("```");
            !in_block
        })
        .fold(String::new(), |text, line| text + line + "\n");
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let here = targets.filter(|target| !target.starts_with("http"));
    here.map(|target| {
        let (file, place) =
            target.split_once('#').map_or((target, None), |(file, place)| (file, Some(place.to_owned())));
        let folder = Path::new(page).parent().expect("a page has a folder");
        let file = if file.is_empty() { PathBuf::from(page) } else { folder.join(file) };
        (file.to_string_lossy().into_owned(), place)
    })
    .collect()
}

/// The places of a page that a link may lead to, as mdBook and forges name them.
fn places(page: &str) -> BTreeSet<String> {
    let name = |heading: &str| -> String {
        let plain = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        plain.chars().filter(|char| char.is_alphanumeric() || ['-', '_'].contains(char)).collect()
    };
    read(page).lines().filter(|line| line.starts_with('#')).map(name).collect()
}

#[test]
fn every_link_leads_somewhere() {
    for page in pages() {
        for (file, place) in links(&page) {
            assert!(root().join(&file).exists(), "{page}: {file}");
            // The book holds nothing else: there a link out of it would lead nowhere.
            let inside =
                |file: &str| root().join(file).canonicalize().is_ok_and(|path| path.starts_with(root().join("docs")));
            assert!(inside(&file) || page == "README.md", "{page}: {file} lies outside of the book");
            if let Some(place) = place {
                assert!(places(&file).contains(&place), "{page}: no `{place}` in {file}");
            }
        }
    }
}

#[test]
fn the_page_of_examples_names_them_all() {
    let page = read("docs/examples.md");
    let folders = fs::read_dir(root().join("slurm-examples")).expect("the examples");
    for folder in folders.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")) {
        assert!(page.contains(&format!("| `{folder}` |")), "{folder}");
    }
}

#[test]
fn the_readme_is_short() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 120, "{lines} lines");
}

#[test]
fn the_reference_lists_the_exit_codes_of_the_help() {
    let help = Scene::with("").cw2("--help").expect(0).stdout;
    let text = read("docs/reference/exit-codes.md");
    for code in [0, 1, 2, 3, 75] {
        assert!(text.contains(&format!("\n| {code} | ")), "{code} in the reference");
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
    // Without what the sources include it does not compile.
    for source in list.lines().filter(|file| file.starts_with("src/")) {
        let text = read(source);
        for name in text.split("include_str!(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let mut parts: Vec<_> = source.split('/').collect();
            parts.pop();
            for part in name.split('/') {
                if part == ".." {
                    parts.pop();
                } else {
                    parts.push(part);
                }
            }
            assert!(has(&parts.join("/")), "{source} includes {name}, which is not in\n{list}");
        }
    }
    let strange = |file: &&str| {
        ["tests", "scripts", ".ci", "proptest-regressions"]
            .iter()
            .any(|folder| file.split('/').any(|part| part == *folder))
            || file.ends_with("/tests.rs")
            || Path::new(file).extension().is_some_and(|end| end == "snap")
    };
    assert_eq!(list.lines().find(strange), None);
}
