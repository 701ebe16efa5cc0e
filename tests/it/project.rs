//! Scenes that hold a sweep: its repetitions and how they stand.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::programs::program;
use crate::support::Scene;

/// How often a test that waits for a job looks.
const POLL: Duration = Duration::from_millis(50);

impl Scene {
    /// A copy of the example of that name, without what earlier runs left in it.
    pub(crate) fn example(name: &str) -> Self {
        let mut scene = Scene::new();
        if example(name).join("Cargo.toml").exists() {
            scene = scene.of(program(name));
        }
        for entry in fs::read_dir(example(name)).expect("the example's folder") {
            let entry = entry.expect("an entry of the example");
            if entry.file_type().expect("its type").is_file() {
                // Keeps the permissions: some are programs.
                fs::copy(entry.path(), scene.path(entry.file_name())).expect("a copy");
            }
        }
        scene
    }

    /// Writes a program.
    pub(crate) fn write_program(&self, name: &str, text: &str) {
        let path = self.write(name, text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions");
    }

    /// The only script of the plan.
    pub(crate) fn plan_one(&self) -> PathBuf {
        let [script] = self.plan().try_into().expect("a plan of one array");
        script
    }

    /// The directories of all repetitions of `config.yml`, in plan order.
    pub(crate) fn reps(&self) -> Vec<String> {
        let dir = |rep: &Value| rep["dir"].as_str().expect("a directory").to_owned();
        self.cw2("list config.yml --json").expect(0).json_lines().iter().map(dir).collect()
    }

    /// How many repetitions are in each state; those without one are `pending`.
    pub(crate) fn states(&self) -> BTreeMap<String, usize> {
        let mut states = BTreeMap::new();
        for rep in self.reps() {
            let state = if self.has(&format!("{rep}/status.json")) { self.state(&rep) } else { "pending".to_owned() };
            *states.entry(state).or_default() += 1;
        }
        states
    }

    /// Whether the repetition in this directory crashed, and its worker will start it again.
    pub(crate) fn waits_for_retry(&self, rep: &str) -> bool {
        self.has(&format!("{rep}/status.json")) && self.status(rep)["error"]["phase"] == "retry"
    }

    /// Slurm's log of an element of the plan `out/plans/001`; empty while there is none.
    pub(crate) fn slurm_log(&self, job: u64, element: u32) -> String {
        fs::read_to_string(self.path(format!("out/plans/001/slurm/{job}_{element}.log"))).unwrap_or_default()
    }
}

/// The folder of an example.
pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("slurm-examples").join(name)
}

/// Waits until `ready` says yes.
///
/// # Panics
///
/// If that takes longer than `deadline`; `what` says what did not happen.
#[track_caller]
pub(crate) fn eventually(what: &str, deadline: Duration, mut ready: impl FnMut() -> bool) {
    let started = Instant::now();
    while !ready() {
        assert!(started.elapsed() < deadline, "{what}: not within {deadline:?}");
        thread::sleep(POLL);
    }
}

/// States as [`Scene::states`] counts them.
pub(crate) fn counts<const N: usize>(states: [(&str, usize); N]) -> BTreeMap<String, usize> {
    states.map(|(state, count)| (state.to_owned(), count)).into()
}
