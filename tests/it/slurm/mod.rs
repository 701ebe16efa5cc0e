//! What only a real Slurm can show.

mod after;
mod again;
mod arrays;
mod cluster;
mod ends;
mod exec;
mod finish;
mod job_ends;
mod keys;
mod limits;
mod pilots;
mod python;
mod shares;
mod snapshot;
mod status;
mod steps;
mod submit;

use std::fs;
use std::time::Duration;

use crate::testbed::testbed;

/// For one job on a machine that has other tests to run.
pub(crate) const SOON: Duration = Duration::from_secs(90);

#[test]
fn an_array_runs_on_the_bed() {
    let Some(bed) = testbed() else { return };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let script = dir.path().join("array.sh");
    fs::write(
        &script,
        "#!/bin/bash\n#SBATCH --array=0-2 --output=%a.log\necho \"element $SLURM_ARRAY_TASK_ID on $SLURMD_NODENAME\"\n",
    )
    .expect("a script");

    let job = bed.sbatch(&script);

    let completed = |index: &str| (index.to_owned(), "COMPLETED".to_owned());
    assert_eq!(bed.wait(job, Duration::from_secs(60)), [completed("0"), completed("1"), completed("2")]);
    for index in 0..3 {
        let log = fs::read_to_string(dir.path().join(format!("{index}.log"))).expect("the element's log");
        assert!(log.starts_with(&format!("element {index} on n")), "{log}");
    }
    assert!(bed.max_array_size() > 2);
}

/// The last state of each element, as [`crate::testbed::Testbed::wait`] returns them, without their indices.
pub(crate) fn last_states(elements: Vec<(String, String)>) -> Vec<String> {
    elements.into_iter().map(|(_, state)| state).collect()
}
