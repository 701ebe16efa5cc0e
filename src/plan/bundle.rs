//! Repetitions → jobs → arrays.
//!
//! Owns the two cuts: `reps_per_job` repetitions to a job, `max_array_size` jobs to an array. Pure arithmetic; it must not
//! know where runs lie or how a script looks.

use super::record::{ArrayRecord, ExperimentRecord, JobLine, JobRecord, Share};
use crate::config::Slurm;

/// Cuts the repetitions of one experiment into jobs of at most `per_job`. They come as stretches: a run's number, the first
/// repetition, how many.
pub fn jobs(per_job: u32, mut stretches: impl Iterator<Item = (u32, u32, u32)>) -> impl Iterator<Item = JobRecord> {
    let mut left = None;
    std::iter::from_fn(move || {
        let mut room = per_job.max(1);
        let mut reps = Vec::new();
        while room > 0
            && let Some((run, first, count)) = left.take().or_else(|| stretches.next())
        {
            let taken = room.min(count);
            reps.push((run, first, taken));
            room -= taken;
            if taken < count {
                left = Some((run, first.saturating_add(taken), count - taken));
            }
        }
        (!reps.is_empty()).then_some(JobRecord { reps })
    })
}

/// The same for all experiments in turn, each with its repetitions of a job, as lines of so many jobs.
pub fn lines<S: Iterator<Item = (u32, u32, u32)>>(
    jobs_per_line: u32,
    mut experiments: impl Iterator<Item = (u32, S)>,
) -> impl Iterator<Item = JobLine> {
    let mut experiment = experiments.next();
    let mut left = None;
    std::iter::from_fn(move || {
        let mut jobs = u64::from(jobs_per_line);
        let mut line = Vec::new();
        while jobs > 0
            && let Some((per_job, stretches)) = &mut experiment
        {
            let per_job = (*per_job).max(1);
            let all = jobs.saturating_mul(per_job.into());
            let mut room = all;
            let mut reps: Vec<(u32, u32, u32, u32)> = Vec::new();
            while room > 0
                && let Some((run, first, count)) = left.take().or_else(|| stretches.next())
            {
                let taken = u32::try_from(room).unwrap_or(u32::MAX).min(count);
                match reps.last_mut() {
                    Some((start, runs, from, each)) if (*start + *runs, *from, *each) == (run, first, taken) => {
                        *runs += 1;
                    }
                    _ => reps.push((run, 1, first, taken)),
                }
                room -= u64::from(taken);
                if taken < count {
                    left = Some((run, first.saturating_add(taken), count - taken));
                }
            }
            jobs -= (all - room).div_ceil(per_job.into());
            if !reps.is_empty() {
                line.push(Share { per_job, reps });
            }
            if room > 0 {
                experiment = experiments.next();
            }
        }
        (!line.is_empty()).then_some(JobLine::Many { jobs: line })
    })
}

/// An array and what its script must say.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedArray {
    /// The part the plan's manifest keeps.
    pub record: ArrayRecord,
    /// What it asks of the cluster.
    pub slurm: Slurm,
    /// The copy of the user's template, relative to the plan's folder.
    pub template: Option<String>,
    /// The experiments its jobs belong to.
    pub experiments: Vec<String>,
}

/// Cuts the jobs into arrays: neighbouring experiments that ask the cluster for the same share one, as far as
/// `max_array_size` elements go: pilots, or else jobs. `jobs` has the number of jobs of each experiment, in plan order.
pub fn arrays(experiments: &[&ExperimentRecord], jobs: &[u64], max_array_size: u32) -> Vec<PlannedArray> {
    let mut arrays: Vec<PlannedArray> = Vec::new();
    let mut offset = 0;
    let mut previous: Option<&ExperimentRecord> = None;
    for (&experiment, &count) in experiments.iter().zip(jobs).filter(|(_, count)| **count > 0) {
        let most = match experiment.slurm.pilots {
            Some(_) => u64::MAX,
            None => most_elements(&experiment.slurm, max_array_size).into(),
        };
        let mut rest = count;
        if previous.is_some_and(|previous| previous.same_resources(experiment))
            && let Some(last) = arrays.last_mut()
            && last.record.jobs < most
        {
            let taken = rest.min(most - last.record.jobs);
            last.record.jobs += taken;
            last.experiments.push(experiment.name.clone());
            rest -= taken;
            offset += taken;
        }
        while rest > 0 {
            let jobs = rest.min(most);
            arrays.push(PlannedArray {
                record: ArrayRecord {
                    script: String::new(),
                    offset,
                    jobs,
                    code: experiment.code.clone(),
                    num_parallel_jobs: experiment.slurm.num_parallel_jobs,
                    pilots: None,
                },
                slurm: experiment.slurm.clone(),
                template: experiment.template.clone(),
                experiments: vec![experiment.name.clone()],
            });
            rest -= jobs;
            offset += jobs;
        }
        previous = Some(experiment);
    }
    let count = arrays.len();
    for (array, number) in arrays.iter_mut().zip(1..) {
        array.record.script = script_name(number, count);
        // A pilot without a job would only wait for its turn to end.
        let most =
            most_elements(&array.slurm, max_array_size).min(u32::try_from(array.record.jobs).unwrap_or(u32::MAX));
        array.record.pilots = array.slurm.pilots.map(|pilots| pilots.min(most));
    }
    arrays
}

/// The most elements an array may have.
fn most_elements(slurm: &Slurm, max_array_size: u32) -> u32 {
    slurm.max_array_size.unwrap_or(max_array_size).max(1)
}

/// `sbatch.sh`, or `sbatch_1.sh`, … with as many digits as the last one needs, so that they sort.
pub(super) fn script_name(number: usize, of: usize) -> String {
    if of == 1 {
        return "sbatch.sh".to_owned();
    }
    format!("sbatch_{number:0width$}.sh", width = of.to_string().len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::testing::experiment;
    use proptest::prelude::*;

    fn named(name: &str, partition: &str) -> ExperimentRecord {
        let mut e = experiment(name, "{}", vec![]);
        e.slurm.options.set_key("partition", partition);
        crate::plan::settings::record(&e)
    }

    #[test]
    fn jobs_are_filled_over_runs() {
        let jobs: Vec<_> = jobs(3, [(0, 0, 2), (1, 0, 3)].into_iter()).map(|job| job.reps).collect();
        assert_eq!(jobs, [vec![(0, 0, 2), (1, 0, 1)], vec![(1, 1, 2)]]);
    }

    proptest! {
        #[test]
        fn a_job_is_found_in_its_line(
            experiments in prop::collection::vec((1..9u32, prop::collection::vec((0..3u32, 1..7u32), 0..20)), 0..4),
            jobs_per_line in 1..12u32,
        ) {
            let mut run = 0;
            let experiments: Vec<(u32, Vec<_>)> = experiments
                .into_iter()
                .map(|(per_job, runs)| {
                    let stretches = runs.into_iter().map(|(first, count)| {
                        run += 1;
                        (run - 1, first, count)
                    });
                    (per_job, stretches.collect())
                })
                .collect();
            let own = || experiments.iter().map(|(per_job, runs)| (*per_job, runs.iter().copied()));
            let expected: Vec<_> = own().flat_map(|(per_job, stretches)| jobs(per_job, stretches)).collect();
            let lines: Vec<_> = lines(jobs_per_line, own()).collect();
            prop_assert_eq!(lines.len(), expected.len().div_ceil(jobs_per_line as usize));
            for (number, job) in expected.iter().enumerate() {
                let line = &lines[number / jobs_per_line as usize];
                let found: Vec<_> = line.job(number as u64 % u64::from(jobs_per_line)).collect();
                prop_assert_eq!(&found, &job.reps);
            }
            if let Some(last) = lines.last() {
                prop_assert_eq!(last.job(jobs_per_line.into()).count(), 0);
            }
        }
    }

    #[test]
    fn whole_runs_take_a_line_together() {
        let line = lines(1024, [(1, (0..100).map(|run| (run, 0, 10)))].into_iter()).next().unwrap();
        assert_eq!(serde_json::to_string(&line).unwrap(), r#"{"jobs":[{"per_job":1,"reps":[[0,100,0,10]]}]}"#);
    }

    fn cut(experiments: &[ExperimentRecord], jobs: &[u64], most: u32) -> Vec<PlannedArray> {
        arrays(&experiments.iter().collect::<Vec<_>>(), jobs, most)
    }

    #[test]
    fn neighbours_with_the_same_resources_share_an_array() {
        let experiments =
            [named("a", "cpu"), named("b", "cpu"), named("idle", "gpu"), named("c", "gpu"), named("d", "cpu")];
        let found = cut(&experiments, &[2, 3, 0, 4, 1], 1001);
        let found: Vec<_> = found
            .iter()
            .map(|a| (a.record.script.as_str(), a.record.offset, a.record.jobs, a.experiments.join("+")))
            .collect();
        assert_eq!(
            found,
            [
                ("sbatch_1.sh", 0, 5, "a+b".to_owned()),
                ("sbatch_2.sh", 5, 4, "c".to_owned()),
                ("sbatch_3.sh", 9, 1, "d".to_owned())
            ]
        );
    }

    #[test]
    fn a_large_experiment_is_cut() {
        let experiments = [named("a", "cpu"), named("b", "cpu")];
        let found = cut(&experiments, &[5, 4], 3);
        let found: Vec<_> = found.iter().map(|a| (a.record.offset, a.record.jobs, a.experiments.join("+"))).collect();
        assert_eq!(found, [(0, 3, "a".to_owned()), (3, 3, "a+b".to_owned()), (6, 3, "b".to_owned())]);
    }

    #[test]
    fn pilots_need_no_second_array() {
        let mut experiments = [named("a", "cpu"), named("b", "cpu"), named("c", "gpu")];
        experiments.iter_mut().take(2).for_each(|e| e.slurm.pilots = Some(5));
        experiments[2].slurm.pilots = Some(1);
        let found = cut(&experiments, &[300, 40, 2], 3);
        let found: Vec<_> =
            found.iter().map(|a| (a.record.offset, a.record.jobs, a.record.pilots, a.record.elements())).collect();
        assert_eq!(found, [(0, 340, Some(3), 3), (340, 2, Some(1), 1)]);
        // What a program's own scheduler runs is handed to it; a command is not.
        experiments[1].command = None;
        assert_eq!(cut(&experiments, &[2, 2, 2], 100).len(), 3);
        // No more pilots than jobs.
        assert_eq!(cut(&experiments, &[2, 2, 2], 100)[0].record.elements(), 2);
    }

    #[test]
    fn scripts_are_numbered_so_that_they_sort() {
        let found = cut(&[named("a", "cpu")], &[10], 1);
        assert_eq!(found[0].record.script, "sbatch_01.sh");
        assert_eq!(found[9].record.script, "sbatch_10.sh");
        assert_eq!(cut(&[named("a", "cpu")], &[10], 10)[0].record.script, "sbatch.sh");
        assert_eq!(cut(&[named("a", "cpu")], &[0], 10), []);
    }

    proptest! {
        #[test]
        fn arrays_tile_the_jobs(
            jobs in prop::collection::vec((0..20u64, 0..3u8), 0..8),
            most in 0..7u32,
        ) {
            let experiments: Vec<_> =
                jobs.iter().enumerate().map(|(i, (_, p))| named(&i.to_string(), &p.to_string())).collect();
            let counts: Vec<_> = jobs.iter().map(|(count, _)| *count).collect();
            let mut next = 0;
            for array in cut(&experiments, &counts, most) {
                prop_assert_eq!(array.record.offset, next);
                prop_assert!((1..=u64::from(most.max(1))).contains(&array.record.jobs));
                next += array.record.jobs;
            }
            prop_assert_eq!(next, counts.iter().sum::<u64>());
        }

        #[test]
        fn every_repetition_is_in_exactly_one_job(
            finished in prop::collection::vec(prop::collection::vec(any::<bool>(), 1..6), 0..8),
            per_job in 0..6u32,
        ) {
            let mut todo = Vec::new();
            for (run, reps) in (0..).zip(&finished) {
                todo.extend((0..).zip(reps).filter(|(_, done)| !**done).map(|(rep, _)| (run, rep)));
            }
            let stretches = todo.iter().map(|&(run, rep)| (run, rep, 1));
            let jobs: Vec<_> = jobs(per_job, stretches).collect();
            let sizes: Vec<_> = jobs.iter().map(|job| job.reps.iter().map(|(_, _, n)| n).sum::<u32>()).collect();
            prop_assert!(sizes.iter().rev().skip(1).all(|size| *size == per_job.max(1)));
            prop_assert!(sizes.last().is_none_or(|size| (1..=per_job.max(1)).contains(size)));
            let held: Vec<_> = jobs.iter().flat_map(|job| &job.reps)
                .flat_map(|(run, first, n)| (*first..first + n).map(move |rep| (*run, rep))).collect();
            prop_assert_eq!(held, todo);
        }
    }
}
