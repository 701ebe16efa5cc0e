//! `cw2 exec` of what ran on a real Slurm: the job's own lines come first, and an allocation of what the plan asks for.

use super::SOON;
use crate::project::{counts, eventually};
use crate::support::Scene;
use crate::testbed::testbed;

const CONFIG: &str = "name: SLURM
cpus-per-task: 2
time: 5
sh_lines:
  - export PREPARED=yes
  - echo prepared >&2
---
name: e
path: out
repetitions: 2
reps_in_parallel: 2
reps_per_job: 2
command: 'echo \"$PREPARED cpus=$CW2_CPUS $(nproc) in ${SLURM_JOB_ID:+a job}\"'
";

#[test]
fn what_prepares_a_job_prepares_it_by_hand() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(CONFIG);
    let cw2 = |words: &str| scene.call(words.split_whitespace()).env("SLURM_CONF", bed.conf()).run();
    cw2("submit config.yml").expect(0);
    eventually("it ends", SOON, || scene.states() == counts([("completed", 2)]));
    let worker = scene.read("out/e/log/rep_01/out.log");
    assert_eq!(worker, "yes cpus=1 1 in a job\n");

    assert_eq!(cw2("exec --rep 1").expect(0).says(["prepared"]).stdout, "yes cpus=1 1 in \n");
    assert_eq!(cw2("exec --rep 1 --no-setup").expect(0).stdout, " cpus=1 1 in \n");
    let printed = cw2("exec --rep 1 --print").expect(0).stdout;
    assert!(printed.contains("\nexport PREPARED=yes\n") && printed.ends_with("\n)\n"), "{printed}");
    let allocated = cw2("exec --rep 1 --srun").expect(0).says(["prepared", "Granted job allocation"]);
    assert_eq!(allocated.stdout, worker);
}
