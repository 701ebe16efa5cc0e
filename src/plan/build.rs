//! A configuration → the plan: which repetitions are left to do, and in which jobs and arrays.
//!
//! Pure: what is finished it is told, what is decided it returns.

use super::record::ExperimentRecord;
use super::runs::Runs;
use super::settings;
use super::template::Template;
use super::value::{Plan, PlannedExperiment, Reps};
use crate::config::Experiment;

/// The plan of some experiments and their runs. `finished` has the finished repetitions of each run, none where it ends;
/// `max_array_size` gives the elements an array may have for so many jobs whose configuration does not say.
///
/// Jobs hold repetitions run by run, repetition by repetition, never of two experiments.
pub fn build(
    experiments: &[Experiment],
    runs: Runs,
    finished: &[Reps],
    templates: &[Template],
    max_array_size: impl FnOnce(u64) -> u32,
) -> Plan {
    let planned = experiments.iter().map(|experiment| PlannedExperiment {
        record: record(experiment, templates),
        settings: settings::settings(experiment).to_json(),
    });
    let mut plan = Plan { experiments: planned.collect(), runs: runs.runs, notes: runs.notes, ..Plan::default() };
    for (run, finished) in plan.runs.iter_mut().zip(finished) {
        let all = run.reps.count();
        run.reps = run.reps.without(finished);
        plan.finished += all - run.reps.count();
    }
    plan.cut(max_array_size);
    plan
}

fn record(experiment: &Experiment, templates: &[Template]) -> ExperimentRecord {
    let mut record = settings::record(experiment);
    let path = record.slurm.path_to_template.as_deref();
    let template = path.and_then(|path| templates.iter().find(|template| template.path == path));
    record.template = template.map(Template::copy);
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::testing::{experiment, sweep};
    use crate::plan::record::Counts;
    use crate::plan::runs::resolve;
    use std::path::Path;

    /// The plan of experiments where `finished` tells what is, by a run's folder.
    fn plan(experiments: &[Experiment], finished: impl Fn(&str) -> Vec<u32>) -> Plan {
        let runs = resolve(experiments, Path::new("/home/u"), |_| Ok(())).unwrap();
        let finished: Vec<Reps> = runs.runs.iter().map(|run| finished(&run.record.dir).into_iter().collect()).collect();
        build(experiments, runs, &finished, &[], |_| 1001)
    }

    #[test]
    fn finished_repetitions_are_left_out_and_their_runs_kept() {
        let mut e = experiment("e", "{}", vec![sweep("grid", r#"{"a": [1, 2, 3]}"#)]);
        (e.repetitions, e.reps_per_job) = (3, 2);
        let f = experiment("f", r#"{"x": 1}"#, vec![]);
        let plan = plan(&[e, f], |dir| match dir {
            "out/e/e__a1" => vec![1],
            "out/e/e__a2" => vec![0, 1, 2],
            _ => vec![],
        });
        let runs: Vec<_> =
            plan.runs.iter().map(|r| (r.record.experiment, r.record.run.as_str(), r.params.as_str())).collect();
        assert_eq!(
            runs,
            [
                (0, "e__a1", r#"{"a":1}"#),
                (0, "e__a2", r#"{"a":2}"#),
                (0, "e__a3", r#"{"a":3}"#),
                (1, "f", r#"{"x":1}"#)
            ]
        );
        let jobs: Vec<_> = plan.jobs().map(|job| job.reps).collect();
        assert_eq!(jobs, [vec![(0, 0, 1), (0, 2, 1)], vec![(2, 0, 2)], vec![(2, 2, 1)], vec![(3, 0, 1)]]);
        assert_eq!(plan.counts(), Counts { experiments: 2, runs: 4, repetitions: 6, finished: 4, jobs: 4 });
        assert_eq!(plan.arrays.len(), 1);
        let hash = "5041bf1f713df204784353e82f6a4a535931cb64f1f4b4a5aeaffcb720918b22";
        assert_eq!(plan.runs[3].record.params_sha256, hash);
    }

    #[test]
    fn nothing_left_to_do_gives_no_array() {
        let plan = plan(&[experiment("e", "{}", vec![])], |_| vec![0]);
        assert_eq!((plan.arrays.len(), plan.finished, plan.runs.len(), plan.jobs().count()), (0, 1, 1, 0));
    }
}
