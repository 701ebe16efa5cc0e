//! One repetition by hand: the same slot, environment and words as in its job.

use super::budget::Budget;
use super::calls::Calls;
use super::context::Life;
use super::devices::{self, Sharing, Slot};
use super::{End, Setting, TimeLimit};
use crate::store::plan::Rep;
use crate::store::rep::{self, Claim};
use std::ffi::OsString;
use std::path::PathBuf;

/// A repetition, in the first slot of its job.
pub(crate) struct ByHand<'a> {
    setting: Setting<'a>,
    job: u64,
    rep: &'a Rep,
    slot: Slot,
    /// Its place in the job.
    index: usize,
}

/// Where and with what a command of a repetition is called.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// The program and its arguments; none where no command was asked for.
    pub words: Vec<String>,
    /// Where it starts.
    pub dir: PathBuf,
    /// What is added to its environment.
    pub variables: Vec<(OsString, OsString)>,
}

impl<'a> ByHand<'a> {
    /// A repetition of a job of the plan.
    ///
    /// # Errors
    /// Where the GPUs do not suffice.
    pub(crate) fn new(setting: Setting<'a>, job: u64, rep: &'a Rep) -> anyhow::Result<Self> {
        let slots = devices::slots(&rep.run.experiment.record, 1, setting.options, Sharing::Planned)?;
        let mut slot = slots.into_iter().next().ok_or_else(|| anyhow::anyhow!("the job has no slot"))?;
        slot.pinned = setting.options.allowed.bound;
        let same = |other: &Rep| other.number == rep.number && other.run.record == rep.run.record;
        let index = setting.plan.job(job)?.reps.iter().position(same).unwrap_or(0);
        Ok(ByHand { setting, job, rep, slot, index })
    }

    /// Runs it as a worker would.
    pub(crate) fn run(&self) -> End {
        let budget = Budget::new(TimeLimit::default());
        let _occupied = self.slot.occupy();
        let (end, last) = self.life(&budget).live();
        let end = last.map_or_else(|| end.clone(), |last| last.commit_now(end.clone()));
        super::end_strays();
        end
    }

    /// Tells how its `run` is called by an attempt with this number, without `command` only where and with what. Where it may
    /// `write`, the configuration is written into its directory.
    ///
    /// # Errors
    /// Where a worker is at it, its directory cannot be written, or a template cannot be rendered.
    pub(crate) fn prepare(
        &self,
        attempt: u32,
        resume: bool,
        command: bool,
        write: bool,
    ) -> anyhow::Result<Surroundings> {
        let budget = Budget::new(TimeLimit::default());
        let life = self.life(&budget);
        if write {
            let Claim::Owned(owned) = rep::claim(&self.rep.dir)? else { anyhow::bail!("another worker runs it") };
            let config = life.config();
            owned.renew_config(&config.to_json_and_yaml())?;
        }
        let calls = Calls::new(&life, attempt, resume);
        let run = life.experiment().command.as_ref().filter(|_| command);
        let words = match run {
            Some(record) => calls.call(&record.run).map_err(anyhow::Error::msg)?.words,
            None => Vec::new(),
        };
        let (dir, variables) = calls.surroundings().map_err(anyhow::Error::msg)?;
        Ok(Surroundings { words, dir, variables: variables.pairs() })
    }

    /// Binds this process to the CPUs of the slot.
    pub(crate) fn bind(&self) {
        drop(self.slot.occupy());
    }

    fn life<'b>(&'b self, budget: &'b Budget) -> Life<'b> {
        let Setting { plan, options, control, ref observer, factory, warm } = self.setting;
        let (observer, index) = (&**observer, self.index);
        Life {
            plan,
            job: self.job,
            rep: self.rep,
            slot: &self.slot,
            options,
            control,
            observer,
            budget,
            factory,
            warm,
            index,
        }
    }
}
