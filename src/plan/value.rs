//! A plan as one value: written to disk, printed by a dry run, listed, compared, submitted, narrowed by a retry.
//!
//! It must not know where it comes from: [`build`](super::build) makes it of a configuration, [`retry`](super::retry) of earlier
//! plans, `crate::store` of a plan's files.

use super::bundle::{self, PlannedArray};
use super::record::{ArrayRecord, Counts, ExperimentRecord, JobLine, JobRecord, RunRecord};
use smallvec::SmallVec;

/// Everything that is decided before a worker starts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The experiments.
    pub experiments: Vec<PlannedExperiment>,
    /// The runs, those of an experiment together, in the experiments' order. A run's number is its place here.
    pub runs: Vec<PlannedRun>,
    /// The arrays, in submission order; none where nothing is left to do.
    pub arrays: Vec<PlannedArray>,
    /// How many repetitions are left out because they are finished.
    pub finished: u64,
    /// What a person should know of it.
    pub notes: Vec<String>,
}

/// An experiment of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedExperiment {
    /// What the worker obeys.
    pub record: ExperimentRecord,
    /// The rest of its configuration, as JSON.
    pub settings: String,
}

/// A run of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRun {
    /// Its name, its place and its experiment.
    pub record: RunRecord,
    /// Its parameters, as JSON.
    pub params: String,
    /// What a program in Python is given, as JSON; see [`crate::config::Typed`].
    pub python: Option<String>,
    /// Its repetitions that are to do.
    pub reps: Reps,
}

/// Numbers of repetitions, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reps {
    /// Stretches: the first number and how many there are, at least one; never two that touch.
    // Almost always one, and in a long plan there are millions.
    stretches: SmallVec<[(u32, u32); 1]>,
}

impl Reps {
    /// The first `count`.
    pub fn all(count: u32) -> Self {
        Reps { stretches: (count > 0).then_some((0, count)).into_iter().collect() }
    }

    /// Adds the numbers from `first`, which is above all that are in.
    pub fn push(&mut self, first: u32, count: u32) {
        match self.stretches.last_mut() {
            Some((last, length)) if last.checked_add(*length) == Some(first) => *length = length.saturating_add(count),
            _ if count > 0 => self.stretches.push((first, count)),
            _ => {}
        }
    }

    /// All but those.
    #[must_use]
    pub fn without(&self, others: &Reps) -> Self {
        let mut rest = Reps::default();
        let mut others = others.stretches.iter().copied().peekable();
        for &(first, count) in &self.stretches {
            let (mut next, end) = (first, first.saturating_add(count));
            while let Some(&(other, length)) = others.peek() {
                if other >= end {
                    break;
                }
                rest.push(next, other.saturating_sub(next));
                next = next.max(other.saturating_add(length));
                if next > end {
                    break;
                }
                others.next();
            }
            rest.push(next, end.saturating_sub(next));
        }
        rest
    }

    /// Whether this one is among them.
    pub fn contains(&self, number: u32) -> bool {
        let before = self.stretches.partition_point(|(first, _)| *first <= number);
        let stretch = before.checked_sub(1).and_then(|last| self.stretches.get(last));
        stretch.is_some_and(|(first, count)| number - first < *count)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.stretches.iter().flat_map(|&(first, count)| first..first.saturating_add(count))
    }

    /// The first number and the length of each stretch.
    pub fn stretches(&self) -> &[(u32, u32)] {
        &self.stretches
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.stretches.iter().map(|(_, count)| u64::from(*count)).sum()
    }
}

impl FromIterator<u32> for Reps {
    /// They must ascend.
    fn from_iter<I: IntoIterator<Item = u32>>(reps: I) -> Self {
        let mut all = Reps::default();
        reps.into_iter().for_each(|rep| all.push(rep, 1));
        all
    }
}

impl Plan {
    /// The jobs: the repetitions run by run, number by number, `reps_per_job` at a time, never of two experiments.
    pub fn jobs(&self) -> impl Iterator<Item = JobRecord> + '_ {
        self.by_experiment().flat_map(|(experiment, runs)| {
            let stretches = runs.flat_map(|(line, run)| run.reps.stretches().iter().map(move |&(a, n)| (line, a, n)));
            bundle::jobs(experiment.record.reps_per_job, stretches)
        })
    }

    /// The same as they are written: several a line.
    pub fn job_lines(&self) -> impl Iterator<Item = JobLine> + '_ {
        let experiments = self.by_experiment().map(|(experiment, runs)| {
            let stretches = runs.flat_map(|(line, run)| run.reps.stretches().iter().map(move |&(a, n)| (line, a, n)));
            (experiment.record.reps_per_job, stretches)
        });
        bundle::lines(self.jobs_per_line(), experiments)
    }

    /// The jobs of a line: together they have a thousand repetitions, so that a worker reads no more than that.
    pub fn jobs_per_line(&self) -> u32 {
        const REPETITIONS: u32 = 1024;
        let most = self.experiments.iter().map(|experiment| experiment.record.reps_per_job).max();
        (REPETITIONS / most.unwrap_or(1).max(1)).max(1)
    }

    /// Whether a program in Python runs any of it.
    pub fn has_python(&self) -> bool {
        self.runs.iter().any(|run| run.python.is_some())
    }

    /// How many there are of everything.
    pub fn counts(&self) -> Counts {
        Counts {
            experiments: self.experiments.len() as u64,
            runs: self.runs.len() as u64,
            repetitions: self.runs.iter().map(|run| run.reps.count()).sum(),
            finished: self.finished,
            jobs: self.jobs_by_experiment().iter().sum(),
        }
    }

    /// Cuts the jobs into arrays. `max_array_size` gives the most elements of an array for that many jobs whose configuration does
    /// not say; it is not asked where there is none.
    pub(super) fn cut(&mut self, max_array_size: impl FnOnce(u64) -> u32) {
        let jobs = self.jobs_by_experiment();
        let records: Vec<_> = self.experiments.iter().map(|experiment| &experiment.record).collect();
        let unsaid = records.iter().zip(&jobs).filter(|(record, _)| record.slurm.max_array_size.is_none());
        let elements = |(record, jobs): (_, &u64)| -> u64 {
            let record: &&ExperimentRecord = record;
            record.slurm.pilots.map_or(*jobs, |pilots| u64::from(pilots).min(*jobs))
        };
        let unsaid = unsaid.map(elements).sum();
        let most = if unsaid > 0 { max_array_size(unsaid) } else { u32::MAX };
        self.arrays = bundle::arrays(&records, &jobs, most);
        for array in &self.arrays {
            let (wanted, jobs) = (array.slurm.pilots.map_or(0, u64::from), array.record.jobs);
            let elements = array.record.elements();
            if array.record.pilots.is_some() && elements < wanted.min(jobs) {
                self.notes.push(format!(
                    "{wanted} pilots are asked for, and an array has at most {elements} elements here (`max_array_size`): submit \
                     more to the plan with `--pilots`"
                ));
            }
        }
    }

    /// With arrays that its jobs were cut into before.
    #[must_use]
    pub fn with_arrays(mut self, arrays: Vec<ArrayRecord>) -> Self {
        let jobs = self.jobs_by_experiment();
        let mut ends = 0;
        let spans: Vec<_> = jobs
            .iter()
            .map(|jobs| {
                (ends, {
                    ends += jobs;
                    ends
                })
            })
            .collect();
        let planned = arrays.into_iter().map(|record| {
            let all = record.all_jobs();
            let within = |(_, (start, end)): &(&PlannedExperiment, &(u64, u64))| *start < all.end && all.start < *end;
            let mut own =
                self.experiments.iter().zip(&spans).filter(within).map(|(experiment, _)| &experiment.record).peekable();
            let (slurm, template) =
                own.peek().map(|first| (first.slurm.clone(), first.template.clone())).unwrap_or_default();
            let experiments = own.map(|experiment| experiment.name.clone()).collect();
            PlannedArray { record, slurm, template, experiments }
        });
        self.arrays = planned.collect();
        self
    }

    /// The experiments and their runs with their numbers.
    fn by_experiment(&self) -> impl Iterator<Item = (&PlannedExperiment, impl Iterator<Item = (u32, &PlannedRun)>)> {
        let mut runs = self.runs.as_slice();
        let mut line = 0;
        (0..).zip(&self.experiments).map(move |(number, experiment)| {
            let (own, rest) = runs.split_at(runs.partition_point(|run| run.record.experiment <= number));
            let first = line;
            runs = rest;
            line += u32::try_from(own.len()).unwrap_or(u32::MAX);
            (experiment, (first..).zip(own))
        })
    }

    fn jobs_by_experiment(&self) -> Vec<u64> {
        let jobs = self.by_experiment().map(|(experiment, runs)| {
            let reps: u64 = runs.map(|(_, run)| run.reps.count()).sum();
            reps.div_ceil(experiment.record.reps_per_job.max(1).into())
        });
        jobs.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn repetitions_are_a_set(all in 0..40u32, some in prop::collection::btree_set(0..60u32, 0..40)) {
            let others: Reps = some.iter().copied().collect();
            prop_assert_eq!(others.iter().collect::<BTreeSet<_>>(), some.clone());
            let rest = Reps::all(all).without(&others);
            let expected: Vec<_> = (0..all).filter(|rep| !some.contains(rep)).collect();
            prop_assert_eq!(rest.iter().collect::<Vec<_>>(), expected.clone());
            prop_assert_eq!(rest.count(), expected.len() as u64);
            prop_assert_eq!(rest, expected.into_iter().collect::<Reps>());
        }
    }
}
