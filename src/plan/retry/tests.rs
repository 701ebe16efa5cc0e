//! Retry's promise: exactly what is missing, once, in order, no experiments mixed.

use super::*;
use crate::experiment::testing::experiment;
use crate::plan::Reps;
use crate::plan::record::Counts;
use proptest::prelude::*;

fn record(name: &str, reps_per_job: u32) -> ExperimentRecord {
    let mut e = experiment(name, "{}", vec![]);
    e.reps_per_job = reps_per_job;
    crate::plan::settings::record(&e)
}

fn run(experiment: u32, name: &str) -> PlannedRun {
    let (dir, params_sha256) = (format!("out/{name}"), format!("hash of {name}"));
    let record = RunRecord { experiment, run: name.to_owned(), dir, params_sha256, same_as: Vec::new(), rep_dir: None };
    PlannedRun { record, params: String::new(), python: None, reps: Reps::default() }
}

/// A plan whose parameters say where they are from.
fn original(number: u32, experiments: Vec<ExperimentRecord>, mut runs: Vec<PlannedRun>) -> Plan {
    runs.iter_mut().zip(0..).for_each(|(run, line)| run.params = format!("{number}:{line}"));
    let experiments = experiments
        .into_iter()
        .map(|record| PlannedExperiment { settings: format!("settings of {}", record.name), record })
        .collect();
    Plan { experiments, runs, ..Plan::default() }
}

fn made(originals: &[Plan], places: &[MissingRep]) -> Plan {
    let records = |plan: &Plan| plan.experiments.iter().map(|experiment| experiment.record.clone()).collect();
    let originals: Vec<_> =
        originals.iter().map(|plan| Original { experiments: records(plan), plan, settings: HashMap::new() }).collect();
    build(&originals, places, |_| 1001)
}

fn place(plan: usize, run: u32, rep: u32) -> MissingRep {
    MissingRep { plan, run, rep }
}

#[test]
fn what_is_alike_in_two_plans_is_bundled_together() {
    let (first, second) = (vec![run(0, "a1"), run(0, "a2"), run(1, "b")], vec![run(0, "a2"), run(1, "b")]);
    let mut other = record("b", 2);
    other.slurm.options.set_key("time", "5");
    let originals = [
        original(0, vec![record("a", 2), record("b", 2)], first),
        original(1, vec![record("a", 2), other.clone()], second),
    ];
    let places = [place(0, 0, 3), place(0, 2, 0), place(1, 0, 1), place(1, 0, 0), place(1, 1, 1)];
    let plan = made(&originals, &places);
    let records: Vec<_> = plan.experiments.iter().map(|experiment| &experiment.record).collect();
    assert_eq!(records, [&record("a", 2), &record("b", 2), &other]);
    let runs: Vec<_> =
        plan.runs.iter().map(|run| (run.record.experiment, run.record.run.as_str(), run.params.as_str())).collect();
    assert_eq!(runs, [(0, "a1", "0:0"), (0, "a2", "1:0"), (1, "b", "0:2"), (2, "b", "1:1")]);
    let jobs: Vec<_> = plan.jobs().map(|job| job.reps).collect();
    assert_eq!(jobs, [vec![(0, 3, 1), (1, 0, 1)], vec![(1, 1, 1)], vec![(2, 0, 1)], vec![(3, 1, 1)]]);
    assert_eq!(plan.counts(), Counts { experiments: 3, runs: 4, repetitions: 5, finished: 0, jobs: 4 });
    // Equal resources share an array, whatever plan they come from.
    assert_eq!(plan.arrays.iter().map(|array| array.record.jobs).collect::<Vec<_>>(), [3, 1]);
}

#[test]
fn the_reasons_are_told() {
    let mut picked = Picked::default();
    for (effective, only) in [
        (EffectiveState::Crashed, &[][..]),
        (EffectiveState::TimedOut, &[]),
        (EffectiveState::Completed, &[]),
        (EffectiveState::Queued, &[]),
        (EffectiveState::Lost, &[EffectiveState::Crashed]),
    ] {
        picked.add(place(0, 0, 0), effective, wanted(effective, only));
    }
    picked.add(place(0, 0, 0), EffectiveState::Completed, Wanted::No(LeftOut::OtherParams));
    assert_eq!(
        picked.summary(),
        "to retry: 1 crashed, 1 timed out\n\
         left out: 1 completed, 1 queued, 1 finished with other parameters than these plans', 1 not selected"
    );
    assert_eq!(picked.finished(), 1);
    assert_eq!(picked.retried(), [("crashed", 1), ("timed_out", 1)]);
    assert_eq!(Picked::default().summary(), "to retry: nothing\nleft out: nothing");
}

proptest! {
    #[test]
    fn jobs_hold_exactly_what_is_missing(
        shape in prop::collection::vec((prop::collection::vec(prop::collection::vec(0..9usize, 1..6), 1..4), 1..5u32), 1..4),
        only in prop::collection::vec(0..9usize, 0..4),
    ) {
        let only: Vec<_> = only.into_iter().map(|index| EffectiveState::ALL[index]).collect();
        let experiments: Vec<_> =
            shape.iter().enumerate().map(|(number, (_, per_job))| record(&format!("e{number}"), *per_job)).collect();
        let mut runs = Vec::new();
        let mut picked = Picked::default();
        for ((runs_of, _), number) in shape.iter().zip(0..) {
            for standings in runs_of {
                let line = u32::try_from(runs.len()).unwrap();
                for (index, rep) in standings.iter().zip(0..) {
                    picked.add(place(0, line, rep), EffectiveState::ALL[*index], wanted(EffectiveState::ALL[*index], &only));
                }
                runs.push(run(number, &format!("r{line}")));
            }
        }
        let mut expected = Vec::new();
        for (line, standings) in shape.iter().flat_map(|(runs, _)| runs).enumerate() {
            for (index, rep) in standings.iter().zip(0..) {
                let effective = EffectiveState::ALL[*index];
                if effective.is_missing() && (only.is_empty() || only.contains(&effective)) {
                    expected.push((format!("r{line}"), rep));
                }
            }
        }
        let plan = made(&[original(0, experiments, runs)], &picked.places);
        let name = |line: u32| plan.runs[line as usize].record.run.clone();
        let jobs: Vec<_> = plan.jobs().collect();
        let held: Vec<_> = jobs.iter().flat_map(|job| &job.reps)
            .flat_map(|(line, first, count)| (*first..first + count).map(|rep| (name(*line), rep))).collect();
        prop_assert_eq!(&held, &expected);
        prop_assert_eq!(plan.counts().repetitions, expected.len() as u64);
        for job in &jobs {
            let of = |line: u32| plan.runs[line as usize].record.experiment;
            prop_assert!(job.reps.iter().all(|(line, ..)| of(*line) == of(job.reps[0].0)));
            let size: u32 = job.reps.iter().map(|(_, _, count)| count).sum();
            prop_assert!(size <= plan.experiments[of(job.reps[0].0) as usize].record.reps_per_job);
        }
    }
}
