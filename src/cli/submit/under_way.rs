//! What other plans of a folder have queued or running: not to be submitted by accident, most often by the same command
//! given twice.

use crate::cli::Failure;
use crate::cli::choose;
use crate::cli::draft;
use crate::cli::worker::hostname;
use crate::plan::record::{JobRecord, RunRecord};
use crate::run::standing::Standing;
use crate::slurm::Element;
use crate::store::plan::Plan;
use crate::store::survey;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// The repetitions that are under way, and how many of them a plan has, whose records are handed to it.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    /// By their run's folder.
    reps: HashMap<PathBuf, HashSet<u32>>,
    /// A job of an array that has some.
    job: u64,
    /// Where the plan's relative paths start.
    root: PathBuf,
    /// The lines of the plan's runs that have some, and all its lines so far.
    runs: HashMap<u32, PathBuf>,
    lines: u32,
    /// How many the plan has.
    busy: u64,
}

impl UnderWay {
    /// Looks at the plans of a folder, for one whose paths start at `root`; `queue` is what Slurm says, less that plan's own.
    pub(super) fn look(folder: &Path, queue: &[Element], root: &Path) -> Result<Self, Failure> {
        let mut found = UnderWay { root: root.to_owned(), ..UnderWay::default() };
        let (live, jobs): (Vec<_>, Vec<_>) = choose::under_way(folder, queue)?.into_iter().unzip();
        let Some(job) = jobs.last() else { return Ok(found) };
        found.job = *job;
        // The worker of such a plan still keeps others from what it runs.
        let unreadable = |why: &[String]| choose::tell_unreadable(why, &[]);
        let survey = match survey::survey(live, Some(queue), &hostname()) {
            Ok(survey) => survey,
            Err(error) => {
                unreadable(&[error.to_string()]);
                return Ok(found);
            }
        };
        unreadable(&survey.unreadable_plans);
        for seen in survey.reps.iter().filter(|seen| matches!(seen.standing, Standing::Queued | Standing::Running)) {
            if let Some((plan, run)) = survey.plans.get(seen.plan).zip(survey.run(seen)) {
                found.reps.entry(plan.root.join(&run.dir)).or_default().insert(seen.rep);
            }
        }
        Ok(found)
    }

    /// How many repetitions of a plan on disk are under way, in words.
    pub(super) fn of(mut self, plan: &Plan) -> Result<Option<String>, Failure> {
        if !self.reps.is_empty() {
            let records = plan.records()?;
            records.runs.iter().for_each(|run| self.run(run));
            records.jobs.iter().for_each(|job| self.job(job));
        }
        Ok(self.told())
    }

    /// Takes the plan's next run.
    pub(super) fn run(&mut self, record: &RunRecord) {
        if !self.reps.is_empty() {
            let dir = self.root.join(&record.dir);
            if self.reps.contains_key(&dir) {
                self.runs.insert(self.lines, dir);
            }
        }
        self.lines += 1;
    }

    /// Takes one of the plan's jobs.
    pub(super) fn job(&mut self, record: &JobRecord) {
        for &(line, first, count) in &record.reps {
            let under_way = self.runs.get(&line).and_then(|dir| self.reps.get(dir));
            let planned = first..first.saturating_add(count);
            self.busy += under_way.map_or(0, |reps| planned.filter(|rep| reps.contains(rep)).count() as u64);
        }
    }

    /// What the plan has of them, in words; `None` where that is nothing.
    pub(super) fn told(&self) -> Option<String> {
        let are = if self.busy == 1 { "is" } else { "are" };
        let reps = draft::count(self.busy, "repetition");
        (self.busy > 0)
            .then(|| format!("{reps} of it {are} queued or running already, of an earlier plan (see job {})", self.job))
    }
}
