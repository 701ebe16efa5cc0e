//! A repetition and all that surrounds it: what an attempt at it takes, whatever the attempt consists of.
//!
//! It must not do anything: [`super::life`] does.

use super::budget::Budget;
use super::control::Control;
use super::devices::Slot;
use super::{Observer, Options, WarmHost};
use crate::api::Factory;
use crate::plan::of_repetition;
use crate::plan::record::ExperimentRecord;
use crate::store::plan::{Plan, Rep};
use crate::value::Value;

/// A repetition and all that surrounds it.
pub(super) struct Life<'a> {
    pub plan: &'a Plan,
    pub job: u64,
    pub rep: &'a Rep,
    pub slot: &'a Slot,
    pub options: &'a Options,
    pub control: &'a Control,
    pub observer: &'a dyn Observer,
    pub budget: &'a Budget,
    /// Makes what a repetition without `command` runs.
    pub factory: Option<&'a Factory>,
    /// Warm processes.
    pub warm: &'a WarmHost,
    /// Its place in its job.
    pub index: usize,
}

impl Life<'_> {
    pub(super) fn experiment(&self) -> &ExperimentRecord {
        &self.rep.run.experiment.record
    }

    /// The resolved configuration of this repetition, as the experiment reads it.
    pub(super) fn config(&self) -> Value {
        let run = &self.rep.run;
        let settings = &run.experiment.settings;
        of_repetition(settings, &run.record.run, self.rep.number, self.seed(), &run.params)
    }

    pub(super) fn seed(&self) -> u32 {
        self.experiment().seed(&self.rep.run.record.run, self.rep.number)
    }
}
