//! Every configuration of the corpus expands as the original expands it, straight from the file and frozen into a plan.

use crate::support::{Outcome, Scene, tree};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

fn cases() -> Vec<String> {
    let entries = fs::read_dir(corpus()).expect("the corpus").map(|entry| entry.expect("an entry"));
    let mut names: Vec<_> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().expect("a case's name"))
        .collect();
    names.sort();
    assert_eq!(names.len(), 53, "the corpus is not whole");
    names
}

/// The experiments that sweep one parameter twice. The original runs them, with names that tell a value that the run does not
/// have (`bssoftmax_bs100.0` where `batch_size` is 100.0); ours refuses them.
const SWEPT_TWICE: &[(&str, &str)] = &[
    ("case003", "exp0"),
    ("case009", "exp0"),
    ("case013", "exp0"),
    ("case013", "exp2"),
    ("case019", "exp1"),
    ("case022", "exp0"),
    ("case032", "exp0"),
    ("case037", "exp1"),
    ("case041", "exp0"),
    ("case042", "exp1"),
    ("case044", "exp0"),
    ("case045", "exp1"),
    ("case045", "exp2"),
    ("case046", "exp0"),
    ("case047", "exp1"),
    ("case051", "exp0"),
    ("case052", "exp1"),
    ("case054", "exp0"),
    ("case057", "exp1"),
    ("case059", "exp0"),
];

fn is_swept_twice(case: &str, experiment: &str) -> bool {
    SWEPT_TWICE.contains(&(case, experiment))
}

/// A command for the experiments of a case that ours accepts; `None` where there are none.
fn call(scene: &Scene, case: &str, words: &str) -> Option<Outcome> {
    let experiments: Vec<_> = expected(case).into_keys().flat_map(|name| ["-e".to_owned(), name]).collect();
    let words = words.split_whitespace().map(str::to_owned).chain(experiments.clone());
    (!experiments.is_empty()).then(|| scene.call(words).run().expect(0))
}

/// Repetitions by experiment, in order, with job numbers from the experiment's first one.
type ByExperiment = BTreeMap<String, Vec<Value>>;

fn by_experiment(repetitions: Vec<Value>) -> ByExperiment {
    let mut groups = ByExperiment::new();
    for mut repetition in repetitions {
        let name = repetition["experiment"].as_str().expect("an experiment").to_owned();
        let group = groups.entry(name).or_default();
        let job = repetition["job"].as_u64().expect("a job");
        let first = group.first().map_or(job, |first| first["first_job"].as_u64().expect("set below"));
        let object = repetition.as_object_mut().expect("an object");
        object.insert("job".to_owned(), (job - first).into());
        object.insert("first_job".to_owned(), first.into());
        group.push(repetition);
    }
    for repetition in groups.values_mut().flatten() {
        repetition.as_object_mut().expect("an object").remove("first_job");
    }
    groups
}

fn expected(case: &str) -> ByExperiment {
    let text = fs::read_to_string(corpus().join(case).join("expected.jsonl")).expect("what is expected");
    let mut all = by_experiment(text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect());
    all.retain(|experiment, _| !is_swept_twice(case, experiment));
    all
}

/// A copy of the case: a plan is written into the working directory.
fn copy(case: &str) -> Scene {
    let scene = Scene::new();
    let source = corpus().join(case);
    for name in tree(&source).iter().filter(|name| !name.ends_with('/')) {
        scene.write(name, fs::read(source.join(name)).expect("a file of the case"));
    }
    scene
}

/// Whether two groups agree; shows the first repetition that does not.
fn compare(case: &str, ours: &ByExperiment, expected: &ByExperiment) -> Result<(), String> {
    for (experiment, wanted) in expected {
        let found = ours.get(experiment).map_or(&[][..], Vec::as_slice);
        for (number, pair) in found.iter().zip(wanted).enumerate() {
            if pair.0 != pair.1 {
                return Err(format!("{case}: {experiment}, repetition {number}\n ours {}\nwants {}", pair.0, pair.1));
            }
        }
        if found.len() != wanted.len() {
            return Err(format!("{case}: {experiment} has {} repetitions, not {}", found.len(), wanted.len()));
        }
    }
    if ours.len() == expected.len() { Ok(()) } else { Err(format!("{case}: other experiments: {:?}", ours.keys())) }
}

fn assert_all(results: impl Iterator<Item = Result<(), String>>) {
    let failed: Vec<_> = results.filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{} cases differ:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn list_of_a_configuration_agrees_with_the_original() {
    assert_all(cases().iter().map(|case| {
        let scene = copy(case);
        let before = scene.tree();
        let Some(outcome) = call(&scene, case, "list config.yml --json") else { return Ok(()) };
        assert_eq!(scene.tree(), before, "{case}: list writes nothing");
        compare(case, &by_experiment(outcome.json_lines()), &expected(case))
    }));
}

#[test]
fn list_of_a_plan_agrees_with_the_original() {
    assert_all(cases().iter().map(|case| {
        let scene = copy(case);
        let Some(outcome) = call(&scene, case, "plan config.yml --set command=true --set oversubscribe=true") else {
            return Ok(());
        };
        let script = outcome.stdout.lines().next().expect("a script");
        let folder = Path::new(script).parent().expect("the plan's folder").to_string_lossy().into_owned();
        let listed = scene.cw2(&format!("list {folder} --json")).expect(0);
        compare(case, &by_experiment(listed.json_lines()), &expected(case))
    }));
}

#[test]
fn the_names_and_folders_are_those_of_the_readable_listing() {
    for case in cases().iter().take(10) {
        let Some(Outcome { stdout: table, .. }) = call(&copy(case), case, "list config.yml") else { continue };
        for repetition in expected(case).values().flatten() {
            let run = repetition["run"].as_str().expect("a run");
            assert!(
                table.lines().any(|line| line.split_whitespace().any(|cell| cell == run)),
                "{run} is not in\n{table}"
            );
        }
    }
}

#[test]
fn what_the_original_gives_untrue_names_is_refused() {
    for (case, experiment) in SWEPT_TWICE {
        let outcome = copy(case).call(["list", "config.yml", "-e", experiment]).run().expect(2);
        assert!(outcome.stderr.contains(" sweeps too\n"), "{case}, {experiment}: {}", outcome.stderr);
    }
}
