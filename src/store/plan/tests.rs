//! A plan on disk that is not what was written: found by whoever reads it, wherever it was touched.

use super::*;
use crate::experiment::testing::{experiment, sweep};
use crate::plan::build::build;
use crate::plan::runs::resolve;
use std::fs;

/// Writes a plan of two experiments with several runs and jobs below `root`; returns its folder.
fn written(root: &Path) -> PathBuf {
    let mut first =
        experiment("a", r#"{"x": "é", "big": 123456789012345678901}"#, vec![sweep("grid", r#"{"lr": [1, 1e-3]}"#)]);
    (first.repetitions, first.reps_per_job) = (3, 2);
    let second = experiment("b", "{}", vec![sweep("grid", r#"{"lr": [1, 2]}"#)]);
    let experiments = [first, second];
    let runs = resolve(&experiments, root, |_| Ok(())).unwrap();
    let plan = build(&experiments, runs, &[], &[], |_| 3);
    let writer = PlanWriter::create(&root.join("out/plans")).unwrap();
    writer.plan(&plan).unwrap();
    let manifest = Manifest {
        format: FORMAT,
        id: String::new(),
        cw2: String::new(),
        created: String::new(),
        root: root.to_string_lossy().into_owned(),
        folder: "out/plans/001".to_owned(),
        config: String::new(),
        overwrite: true,
        retry_of: Vec::new(),
        counts: plan.counts(),
        jobs_per_line: plan.jobs_per_line(),
        arrays: plan.arrays.iter().map(|array| array.record.clone()).collect(),
        python: false,
    };
    let folder = writer.finish::<StoreError>(|_| Ok((manifest.clone(), Vec::new()))).unwrap();
    assert_eq!(Plan::open(&folder).unwrap().read().unwrap(), plan, "what was written is read");
    folder
}

/// All that a plan says to workers, element by element.
fn obeyed(folder: &Path) -> Result<Vec<String>> {
    let plan = Plan::open(folder)?;
    (0..4).map(|job| Ok(format!("{:?} {:?} {:?}", plan.manifest, plan.start_dir(job), plan.job(job)?))).collect()
}

/// Each of its files, and what it holds.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let mut files: Vec<_> = paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    files.sort_unstable();
    assert_eq!(files.len(), 11);
    files
}

/// Whoever reads the plan refuses it by this file's name, or obeys it as it was planned.
fn assert_noticed(folder: &Path, path: &Path, whole: &[String], what: &str) {
    let stem = path.file_stem().unwrap().to_str().unwrap();
    match obeyed(folder) {
        Ok(found) => assert_eq!(found, whole, "{what} of {}", path.display()),
        Err(error) => assert!(error.to_string().contains(stem), "{what} of {}: {error}", path.display()),
    }
    if let Ok(plan) = Plan::open(folder).and_then(|plan| plan.read()) {
        assert_eq!(
            (plan.experiments.len(), plan.runs.len(), plan.jobs().count()),
            (2, 4, 5),
            "{what} of {}",
            path.display()
        );
    }
}

#[test]
fn every_changed_byte_is_noticed_or_without_meaning() {
    let root = tempfile::tempdir().unwrap();
    let folder = written(root.path());
    let whole = obeyed(&folder).unwrap();
    for (path, bytes) in files(&folder) {
        for at in 0..bytes.len() {
            for change in [1, 0x20, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= change;
                fs::write(&path, &damaged).unwrap();
                assert_noticed(&folder, &path, &whole, &format!("byte {at} ^ {change}"));
            }
        }
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            assert_noticed(&folder, &path, &whole, &format!("the first {length} bytes"));
        }
        fs::write(&path, &bytes).unwrap();
    }
    assert_eq!(obeyed(&folder).unwrap(), whole);
}

#[test]
fn a_line_in_anothers_place_is_noticed() {
    let (root, another) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (folder, other) = (written(root.path()), written(another.path()));
    for ((path, bytes), (_, others)) in files(&folder).into_iter().zip(files(&other)) {
        // With its index swapped too, by which each would be a whole file.
        let mut lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        if lines.len() > 1 && path.extension().is_some_and(|extension| extension == "jsonl") {
            lines.reverse();
            let mut ends = 0;
            let index = fs::read(path.with_extension("idx")).unwrap();
            let entries = lines.iter().zip(index.chunks(16).rev()).flat_map(|(line, entry)| {
                ends += line.len() as u64;
                [&ends.to_le_bytes(), &entry[8..]].concat()
            });
            fs::write(path.with_extension("idx"), entries.collect::<Vec<_>>()).unwrap();
            fs::write(&path, lines.concat()).unwrap();
            let error = obeyed(&folder).unwrap_err().to_string();
            assert!(error.contains("line ") && error.contains("plan its configuration again"), "{error}");
            fs::write(path.with_extension("idx"), index).unwrap();
        }
        // Of another plan with the same content.
        if path.extension().is_some_and(|extension| extension == "idx") {
            fs::write(&path, others).unwrap();
            assert!(obeyed(&folder).is_err(), "{}", path.display());
        }
        fs::write(&path, bytes).unwrap();
    }
}
