//! What becomes of a repetition when its worker is told to stop.

use crate::project::counts;
use crate::support::Scene;

#[test]
fn a_repetition_that_ends_as_its_worker_is_told_to_stop_is_not_done() {
    // Slurm signals all processes of a job. The program may react, and end without an error, before its worker has looked
    // at its own signal. Whether it does is a matter of microseconds: hence more than one try.
    for _ in 0..20 {
        let scene = Scene::with("name: e\npath: out\nrepetitions: 2\nreps_per_job: 2\ncommand: kill -TERM $PPID\n");

        scene.cw2("run config.yml").expect(75);

        assert_eq!(scene.states(), counts([("interrupted", 1), ("pending", 1)]));
    }
}
