//! A slot's share of the job's CPUs and GPUs: reads what the allocation allows, asks [`crate::run::share`] how to cut it.

use super::Options;
use super::gpus::Variables;
use crate::plan::record::ExperimentRecord;
use crate::run::share::{self, Cpu};
use anyhow::Context as _;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::sync::{Mutex, MutexGuard};

/// How the slots of a job share its CPUs and GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// As the configuration says: disjoint CPUs where there are several slots, GPUs split where `gpus_per_rep` is given.
    #[default]
    Planned,
    /// There is one slot, and all is its own.
    One,
    /// All share all.
    Free,
    /// Disjoint CPUs; all GPUs are everyone's.
    Cpus,
    /// Disjoint CPUs and GPUs, evenly where `gpus_per_rep` is not given; several slots share a GPU where there are too few.
    CpusAndGpus,
}

/// One of a job's places: a share of its CPUs and GPUs, in which one repetition runs at a time.
///
/// ```
/// use cw2::scheduler::{Job, Lane, Sharing};
/// fn look(job: &Job<'_>, lane: &Lane) -> anyhow::Result<()> {
///     for slot in job.slots(lane, Sharing::Cpus)? {
///         log::info!("slot {}: CPUs {:?}, GPUs {:?}", slot.number(), slot.cpus(), slot.gpus().collect::<Vec<_>>());
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Slot {
    /// From 0.
    pub(super) number: u32,
    /// Its CPUs.
    pub(super) cpus: Vec<usize>,
    /// How many threads its repetitions should start.
    pub(super) threads: usize,
    /// Whether its threads are bound to them.
    pub(super) pinned: bool,
    /// Its GPUs, comma-separated; empty where there is none.
    pub(super) gpus: String,
    /// The variables that restrict its processes to them, with their values.
    pub(super) gpu_variables: Variables,
    /// Held by whoever runs something in it.
    occupied: Mutex<()>,
}

impl Slot {
    /// Its number, from 0.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The system's numbers of its CPUs.
    pub fn cpus(&self) -> &[usize] {
        &self.cpus
    }

    /// Its GPUs, as `CUDA_VISIBLE_DEVICES` of the job names them.
    pub fn gpus(&self) -> impl Iterator<Item = &str> {
        self.gpus.split(',').filter(|gpu| !gpu.is_empty())
    }

    /// Waits until nothing runs in the slot, and binds the calling thread to its CPUs, where the slots have CPUs of their own.
    pub(super) fn occupy(&self) -> MutexGuard<'_, ()> {
        let held = super::lock(&self.occupied);
        self.pin();
        held
    }

    /// Binds the calling thread, and so all it starts, to the slot's CPUs.
    fn pin(&self) {
        if !self.pinned {
            return;
        }
        let mut set = CpuSet::new();
        let bound =
            self.cpus.iter().try_for_each(|&cpu| set.set(cpu)).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
        if let Err(errno) = bound {
            log::warn!("slot {}: cannot bind to CPUs {:?}: {errno}", self.number, self.cpus);
        }
    }
}

/// The CPUs of this process's allocation.
#[derive(Debug, Clone)]
pub struct Allowed {
    /// Their numbers, cut from the affinity mask, never counted from 0: the allocation's CPUs need not start there.
    pub cpus: Vec<usize>,
    /// Whether the mask is the allocation's own. A wider one belongs to other jobs too: theirs and ours would be bound to
    /// the same CPUs.
    pub bound: bool,
}

/// The CPUs this process may use: the affinity mask, or as many of it as Slurm gave where that is less.
pub fn allowed_cpus() -> anyhow::Result<Allowed> {
    let set = sched_getaffinity(Pid::from_raw(0))
        .context("cannot read this process's CPU affinity (machines with more than 1024 CPUs are not supported)")?;
    let mut cpus: Vec<usize> = (0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false)).collect();
    let number = |name: &str| std::env::var(name).ok()?.parse::<usize>().ok();
    // Several tasks on this node, or a whole core for half of one: the node's count is the larger and the true one.
    let given = number("SLURM_CPUS_ON_NODE").max(number("SLURM_CPUS_PER_TASK")).unwrap_or(usize::MAX).max(1);
    let bound = cpus.len() <= given;
    cpus.truncate(given);
    Ok(Allowed { cpus, bound })
}

/// How many of the slots that are asked for there are; where fewer will do, no more than the GPUs suffice for. Where they do not
/// suffice for one, that is for the split to say.
fn at_most(asked: u32, options: &Options, gpus_per_rep: Option<f64>) -> usize {
    let Some(max) = options.max_slots else { return (asked as usize).max(1) };
    let room = gpus_per_rep.and_then(|per_rep| options.gpus.room(per_rep)).filter(|room| *room > 0);
    (asked as usize).min(max).min(room.unwrap_or(usize::MAX)).max(1)
}

/// Cuts a job into its slots.
pub(super) fn slots(
    experiment: &ExperimentRecord,
    reps: usize,
    options: &Options,
    sharing: Sharing,
) -> anyhow::Result<Vec<Slot>> {
    let wanted = match sharing {
        Sharing::One => 1,
        Sharing::Free | Sharing::Cpus => at_most(experiment.reps_in_parallel, options, None),
        Sharing::Planned | Sharing::CpusAndGpus => {
            at_most(experiment.reps_in_parallel, options, experiment.gpus_per_rep)
        }
    };
    let per_rep = experiment.cpus_per_rep.map(|n| n as usize).filter(|_| sharing != Sharing::One);
    let cpus = &options.allowed.cpus;
    let split = (wanted > 1 || per_rep.is_some()) && !matches!(sharing, Sharing::One | Sharing::Free);
    let shares = if split {
        let topology: Vec<Cpu> = cpus.iter().map(|&cpu| topology(cpu)).collect();
        share::cpus(&topology, wanted, per_rep)
    } else {
        vec![cpus.clone(); wanted]
    };
    let needed = wanted.saturating_mul(per_rep.unwrap_or(1));
    // An srun may run on any of the job's nodes.
    let available = if is_srun(experiment) { cpus.len().max(cpus_of_job()) } else { cpus.len() };
    if split && options.max_slots.is_none() && needed > available && !experiment.oversubscribe {
        // What the cluster gives by default is not known at plan time.
        log::warn!(
            "{wanted} repetitions in parallel need {needed} CPUs, and the job has {available}: all share all of them; \
             ask for more with `cpus-per-task`, or say `oversubscribe: true`"
        );
    }
    let threads = per_rep.unwrap_or(cpus.len() / wanted).max(1);
    let gpus = &options.gpus;
    let gpus_per_rep = match sharing {
        Sharing::Planned => experiment.gpus_per_rep,
        Sharing::CpusAndGpus => experiment.gpus_per_rep.or_else(|| gpus.evenly(wanted)),
        Sharing::One | Sharing::Free | Sharing::Cpus => None,
    };
    let slots = (0..)
        .zip(shares)
        .zip(gpus.split(gpus_per_rep, wanted)?)
        // A short job needs no more slots than it has repetitions; the share of each stays what it is in a full one.
        .take(reps)
        .map(|((number, cpus), gpu_variables)| {
            let gpus = gpu_variables.first().map(|(_, gpus)| gpus.clone()).unwrap_or_default();
            Slot {
                number,
                pinned: split && options.allowed.bound && cpus.len() < options.allowed.cpus.len(),
                cpus,
                threads,
                gpu_variables: if gpus_per_rep.is_some() { gpu_variables } else { Vec::new() },
                gpus,
                occupied: Mutex::default(),
            }
        })
        .collect();
    Ok(slots)
}

/// Whether each repetition is a step of the job's own.
fn is_srun(experiment: &ExperimentRecord) -> bool {
    experiment.launcher.first().is_some_and(|program| program.rsplit('/').next() == Some("srun"))
}

/// The CPUs of all nodes of the job; 0 where Slurm does not say.
fn cpus_of_job() -> usize {
    std::env::var("SLURM_JOB_CPUS_PER_NODE").ok().as_deref().and_then(sum_of_nodes).unwrap_or(0)
}

/// `8(x2),4`: eight CPUs on each of two nodes, four on another.
fn sum_of_nodes(text: &str) -> Option<usize> {
    let node = |entry: &str| match entry.split_once("(x") {
        Some((cpus, times)) => cpus.parse::<usize>().ok()?.checked_mul(times.strip_suffix(')')?.parse().ok()?),
        None => entry.parse().ok(),
    };
    text.split(',').try_fold(0_usize, |sum, entry| sum.checked_add(node(entry)?))
}

/// Where a CPU sits, as `/sys` tells; unknown places are one place.
fn topology(cpu: usize) -> Cpu {
    let base = format!("/sys/devices/system/cpu/cpu{cpu}");
    let first = |file: &str| {
        // A list such as `0-3,8`: its first number names the group.
        let text = std::fs::read_to_string(format!("{base}/{file}")).ok()?;
        text.split(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok()
    };
    Cpu {
        id: cpu,
        core: first("topology/thread_siblings_list").unwrap_or(cpu),
        cache: first("cache/index3/shared_cpu_list").unwrap_or(0),
        package: first("topology/package_cpus_list").or_else(|| first("topology/core_siblings_list")).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpus_of_a_job_are_those_of_all_its_nodes() {
        for (text, expected) in
            [("8", Some(8)), ("8(x2),4", Some(20)), ("2,3(x4)", Some(14)), ("", None), ("8(x", None)]
        {
            assert_eq!(sum_of_nodes(text), expected, "{text}");
        }
    }
}
