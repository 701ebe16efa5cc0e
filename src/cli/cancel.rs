//! `cw2 cancel`: takes a plan's arrays, or the elements of chosen repetitions, off the cluster.

use super::Exit;
use super::choose::{self, PlanArgs, RepArgs};
use crate::ops::failure::Failure;
use crate::ops::select;
use crate::ops::work::hostname;
use crate::report::human::counted as count;
use crate::run::cancel::{Choice, Load, choose};
use crate::slurm::{Client, Cluster as _, Element, ElementState, element_names};
use crate::store::plan::Plan;
use crate::store::survey::{self, PlanElement, Sources};
use clap::Args;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write as _;

#[derive(Debug, Args)]
pub(super) struct CancelArgs {
    #[command(flatten)]
    plans: PlanArgs,
    #[command(flatten)]
    select: RepArgs,
    /// Say what would be cancelled, and cancel nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// How many left-alone elements are named one by one.
const NAMED: usize = 10;

pub(super) fn cancel(args: &CancelArgs, quiet: bool) -> Result<Exit, Failure> {
    let Sources { plans, unreadable, .. } = args.plans.open()?;
    choose::tell_unreadable(&unreadable, &[]);
    let queue = select::queue(&plans).map_err(|error| {
        Failure::Environment(format!("nothing was cancelled, because Slurm could not be asked what there is: {error}"))
    })?;
    let mut found = Found::default();
    let mut experiments = Vec::new();
    for plan in plans {
        let under_way: Vec<_> = survey::elements(&plan, &queue)?;
        let under_way: Vec<_> = under_way.into_iter().filter(|element| element.state != ElementState::Ended).collect();
        if args.select.selection().all() {
            found.whole(&under_way);
        } else {
            experiments.extend(plan.all_experiments()?.into_iter().map(|experiment| experiment.name));
            found.chosen(plan, &under_way, &queue, &args.select.selection())?;
        }
    }
    if !args.select.selection().all() {
        args.select.selection().check(&experiments.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    let names: Vec<String> = found.names();
    if !args.dry_run && !names.is_empty() {
        Client.cancel(&names)?;
    }
    let mut out = std::io::stdout().lock();
    for name in &names {
        writeln!(out, "{name}")?;
    }
    out.flush()?;
    for line in found.left.iter().take(NAMED) {
        tell!("{line}");
    }
    if found.left.len() > NAMED {
        tell!("… and {} left alone", count((found.left.len() - NAMED) as u64, "more element"));
    }
    if !quiet {
        tell!("{}", found.summary(args.dry_run));
    }
    Ok(Exit::Done)
}

/// What is to be cancelled.
#[derive(Default)]
struct Found {
    /// Arrays as a whole.
    arrays: BTreeSet<u64>,
    /// Elements of arrays.
    elements: BTreeMap<u64, Vec<u64>>,
    running: u64,
    queued: u64,
    /// What is left alone, and why.
    left: Vec<String>,
}

impl Found {
    fn count(&mut self, element: &PlanElement) {
        match element.state {
            ElementState::Running => self.running += 1,
            _ => self.queued += 1,
        }
    }

    fn whole(&mut self, elements: &[PlanElement]) {
        for element in elements {
            self.arrays.insert(element.id);
            self.count(element);
        }
    }

    fn chosen(
        &mut self,
        plan: Plan,
        elements: &[PlanElement],
        queue: &[Element],
        select: &select::Selection,
    ) -> Result<(), Failure> {
        if elements.is_empty() {
            return Ok(());
        }
        // Alone: another plan's word on the same repetitions does not matter for this one's elements.
        let survey = survey::survey(vec![plan], Some(queue), &hostname())?;
        let mut loads: HashMap<u64, Load> = HashMap::new();
        for seen in &survey.reps {
            let (Some(experiment), Some(run)) = (survey.experiment(seen), survey.run(seen)) else { continue };
            let load = loads.entry(seen.job).or_default();
            let chosen = select.has(&experiment.name, &run.run, seen.rep);
            load.add(chosen, seen.effective, || format!("{} rep {}", run.run, seen.rep));
        }
        let mut all_of: BTreeMap<u64, bool> = BTreeMap::new();
        let mut taken: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for element in elements {
            let choice = loads.get(&element.job).map_or(Choice::Other, choose);
            *all_of.entry(element.id).or_insert(true) &= matches!(choice, Choice::Cancel);
            match choice {
                Choice::Cancel => {
                    taken.entry(element.id).or_default().push(element.index);
                    self.count(element);
                }
                Choice::Shared(why) => {
                    self.left.push(format!("left alone: element {}_{} {why}", element.id, element.index));
                }
                Choice::Other => {}
            }
        }
        for (id, indices) in taken {
            if all_of.get(&id) == Some(&true) {
                self.arrays.insert(id);
            } else {
                self.elements.entry(id).or_default().extend(indices);
            }
        }
        Ok(())
    }

    /// What `scancel` is given.
    fn names(&self) -> Vec<String> {
        let arrays = self.arrays.iter().map(u64::to_string);
        arrays.chain(self.elements.iter().flat_map(|(id, indices)| element_names(*id, indices))).collect()
    }

    fn summary(&self, dry_run: bool) -> String {
        let (running, queued) = (self.running, self.queued);
        if running + queued == 0 {
            let why = if self.left.is_empty() {
                "nothing of that is queued or running"
            } else {
                "nothing else is queued or running"
            };
            return format!("nothing to cancel: {why}");
        }
        let verb = if dry_run { "would cancel" } else { "cancelled" };
        format!("{verb} {}: {running} running, {queued} queued", count(running + queued, "element"))
    }
}
