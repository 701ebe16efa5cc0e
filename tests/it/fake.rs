//! A Slurm that says what a test wants: `squeue` and `scancel` of a scene's own, in front of the real ones.

use crate::support::{Call, Outcome, Scene};
use serde_json::{Value, json};

/// What the fake programs do: answer from a file, and note each call.
const SQUEUE: &str = "#!/bin/sh
echo squeue \"$@\" >>\"$HOME/calls\"
[ -e \"$HOME/queue\" ] || { echo 'squeue: error: Slurm is away' >&2; exit 1; }
cat \"$HOME/queue\"
";
const SCANCEL: &str = "#!/bin/sh
echo scancel \"$@\" >>\"$HOME/calls\"
";

impl Scene {
    /// Sets what the cluster says: `(job, indices, state, script)`; the script relative to the scene.
    pub(crate) fn queue(&self, elements: &[(u64, &str, &str, &str)]) {
        self.write_program("bin/squeue", SQUEUE);
        self.write_program("bin/scancel", SCANCEL);
        let line = |&(job, indices, state, script): &(u64, &str, &str, &str)| {
            let script = self.path(script).display().to_string();
            [&job.to_string(), indices, state, "None", "(null)", &script].join("\u{1f}") + "\n"
        };
        self.write("queue", elements.iter().map(line).collect::<String>());
    }

    /// Makes the cluster one that does not answer.
    pub(crate) fn no_queue(&self) {
        self.queue(&[]);
        std::fs::remove_file(self.path("queue")).expect("the queue");
    }

    /// A call of cw2 that meets the fake programs first.
    pub(crate) fn on_cluster(&self, args: &[&str]) -> Call {
        let path = std::env::var("PATH").unwrap_or_default();
        self.call(args).env("PATH", format!("{}:{path}", self.path("bin").display()))
    }

    /// The same, run, with words separated by spaces.
    pub(crate) fn cluster(&self, words: &str) -> Outcome {
        self.on_cluster(&words.split_whitespace().collect::<Vec<_>>()).run()
    }

    /// Changes keys of a repetition's status.
    pub(crate) fn forge(&self, dir: &str, changes: &Value) {
        let mut status = self.status(dir);
        for (key, value) in changes.as_object().expect("a mapping") {
            status[key] = value.clone();
        }
        self.write(&format!("{dir}/status.json"), status.to_string());
    }

    /// Makes a repetition one that an element left in a state.
    pub(crate) fn forge_state(&self, dir: &str, state: &str, job: u64, index: u64) {
        let slurm = json!({"job_id": "1", "array_job_id": job.to_string(), "array_task_id": index.to_string(), "restart_count": 0});
        self.forge(dir, &json!({"state": state, "slurm": slurm, "ended": null}));
    }

    /// The jobs of a plan, as `run name rep` of every repetition.
    pub(crate) fn jobs(&self, plan: &str) -> Vec<Vec<String>> {
        let mut jobs: Vec<Vec<String>> = Vec::new();
        for rep in self.cw2(&format!("list {plan} --json")).expect(0).json_lines() {
            let job = usize::try_from(rep["job"].as_u64().expect("a number")).expect("a small one");
            jobs.resize(jobs.len().max(job + 1), Vec::new());
            jobs[job].push(format!("{} {}", rep["run"].as_str().expect("a name"), rep["rep"]));
        }
        jobs
    }
}
