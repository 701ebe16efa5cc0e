//! Whether a plan's jobs fit the cluster: what they ask for against what its partitions have and allow.
//!
//! Pure. What Slurm itself says of a script is another matter: it often says no more than no.

use super::bundle::PlannedArray;
use super::record::ExperimentRecord;
use super::sbatch::limit;
use crate::config::{Slurm, SlurmTime, slurm_time};
use crate::slurm::{Facts, Limit, Nodes, Partition};

/// What does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The key of SLURM or of the experiment that asks for it; its place is shown.
    pub key: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to change.
    pub help: String,
}

fn misfit(key: &'static str, message: String, help: impl Into<String>) -> Misfit {
    Misfit { key, message, help: help.into() }
}

/// What of an array does not fit. Of several partitions that are asked for one is enough.
pub fn array(array: &PlannedArray, facts: &Facts, limits: &[Limit]) -> Vec<Misfit> {
    let mut found: Vec<_> = too_long(array, facts).into_iter().collect();
    match partitions(&array.slurm, facts) {
        Err(unknown) => found.push(unknown),
        Ok(partitions) => {
            let each = partitions.iter().map(|partition| of_partition(&array.slurm, partition, facts));
            found.extend(each.min_by_key(Vec::len).unwrap_or_default());
        }
    }
    let time = slurm_time(array.slurm.options.text("time").unwrap_or_default());
    for limit in limits.iter().filter(|limit| applies(limit, &array.slurm)) {
        if let (Some(most), Some(SlurmTime::Seconds(asked))) = (limit.max_time, time)
            && asked > most
        {
            let message = format!("`time` is {}, but {} allows {}", clock(asked), limit.of, clock(most));
            found.push(misfit("time", message, format!("lower `time` to `{}`", clock(most))));
        }
    }
    found
}

/// Whether a job of an experiment ends within the time it gets where the configuration asks for none; what it asks for itself is
/// looked at with the configuration.
pub fn rep_time(record: &ExperimentRecord, facts: &Facts) -> Option<Misfit> {
    if record.slurm.options.get("time").is_some() || limit::requeues(&record.slurm) > 0 {
        return None;
    }
    let each = record.rep_time?;
    let rounds = record.reps_per_job.div_ceil(record.reps_in_parallel.max(1));
    let partitions = partitions(&record.slurm, facts).ok()?;
    let given = |partition: &&Partition| partition.default_time.or(partition.max_time);
    let (partition, given) =
        partitions.iter().filter_map(|of| Some((of, given(of)?))).max_by_key(|(_, given)| *given)?;
    #[expect(clippy::cast_precision_loss, reason = "time limits are far below 2^52 seconds")]
    let (needed, fits) = (f64::from(rounds) * each, given as f64);
    (needed > fits).then(|| {
        let message = format!(
            "experiment `{}`: a job takes {rounds} × {each} s (`rep_time`), but without `time` partition `{}` gives it {}",
            record.name,
            partition.name,
            clock(given)
        );
        misfit("rep_time", message, "set `time`, lower `reps_per_job`, or say `requeue: true`")
    })
}

/// The partitions that are asked for.
fn partitions<'f>(slurm: &Slurm, facts: &'f Facts) -> Result<Vec<&'f Partition>, Misfit> {
    // Where the site shows none, `sbatch --test-only` alone knows.
    if facts.partitions.is_empty() {
        return Ok(Vec::new());
    }
    let Some(names) = slurm.options.text("partition") else {
        return Ok(facts.partitions.iter().filter(|partition| partition.default).collect());
    };
    let find = |name: &str| {
        facts.partitions.iter().find(|partition| partition.name == name).ok_or_else(|| {
            let all: Vec<_> = facts.partitions.iter().map(|partition| format!("`{}`", partition.name)).collect();
            misfit("partition", format!("there is no partition `{name}`"), format!("there are {}", all.join(", ")))
        })
    };
    names.split(',').map(|name| find(name.trim())).collect()
}

/// Whether a limit is about such jobs, as far as that is known.
fn applies(limit: &Limit, slurm: &Slurm) -> bool {
    let named = |option: &str, of: &Option<String>| match (of, slurm.options.text(option)) {
        (None, _) => true,
        (Some(of), Some(asked)) => of == asked,
        (Some(_), None) => limit.default,
    };
    let partition = limit.partition.as_deref().is_none_or(|of| slurm.options.text("partition") == Some(of));
    partition && named("account", &limit.account) && named("qos", &limit.qos)
}

/// An array that is longer than the cluster takes.
fn too_long(array: &PlannedArray, facts: &Facts) -> Option<Misfit> {
    let (jobs, most) = (array.record.jobs, facts.max_array_size?);
    (jobs > u64::from(most)).then(|| {
        let message = format!("an array of {jobs} jobs, but the cluster takes {most} (`MaxArraySize`)");
        misfit("max_array_size", message, format!("set `max_array_size: {most}`, or leave it out"))
    })
}

/// Whether a user may have all jobs of a plan in the queue.
pub fn submits(jobs: u64, arrays: &[PlannedArray], limits: &[Limit]) -> Option<Misfit> {
    let all = |limit: &&Limit| arrays.iter().all(|array| applies(limit, &array.slurm));
    let (most, of) = limits.iter().filter(all).filter_map(|limit| Some((limit.max_submit?, &limit.of))).min()?;
    (jobs > most).then(|| {
        let message = format!("the plan has {jobs} jobs, but {of} allows {most} in the queue at once");
        let apart = if arrays.len() > 1 { ", or submit its scripts one after the other" } else { "" };
        let help = format!("raise `reps_per_job` by a factor of {}{apart}", jobs.div_ceil(most.max(1)));
        misfit("reps_per_job", message, help)
    })
}

/// What a job needs on one node, as far as it can be told.
#[derive(Debug, Default)]
struct Need {
    nodes: u32,
    cpus: u32,
    /// MB, and the key that asks for it.
    memory: Option<(u64, &'static str)>,
    gpus: u32,
}

fn need(slurm: &Slurm) -> Need {
    let options = &slurm.options;
    // `2-4`: the least has to do.
    let nodes: Option<u32> = options.text("nodes").and_then(|nodes| nodes.split('-').next()?.parse().ok());
    let tasks = options.number("ntasks").unwrap_or(1);
    let per_task = options.number("cpus-per-task").unwrap_or(1);
    // Where the number of nodes is open, tasks may lie on as many as it takes.
    let tasks_here = options.number("ntasks-per-node").or_else(|| Some(tasks.div_ceil(nodes?.max(1)))).unwrap_or(1);
    let cpus = per_task.saturating_mul(tasks_here);
    let memory = |key: &'static str| Some((megabytes(options.text(key)?)?, key));
    let per_cpu = || memory("mem-per-cpu").map(|(mb, key)| (mb.saturating_mul(cpus.into()), key));
    let gpus = u32::try_from(options.gpus().unwrap_or(0)).unwrap_or(u32::MAX);
    // `--gres` counts for a node, `--gpus` for a job, which may have several.
    let gpus = if options.get("gres").is_some() || nodes == Some(1) { gpus } else { 0 };
    Need { nodes: nodes.unwrap_or(1), cpus, memory: memory("mem").or_else(per_cpu), gpus }
}

fn of_partition(slurm: &Slurm, partition: &Partition, facts: &Facts) -> Vec<Misfit> {
    let name = &partition.name;
    let mut found = Vec::new();
    if !partition.up {
        let message = format!("partition `{name}` takes no jobs now");
        found.push(misfit("partition", message, "ask its operators, or choose another one"));
    }
    if let (Some(most), Some(asked)) = (partition.max_time, slurm.options.text("time").and_then(slurm_time)) {
        let too_long = match asked {
            SlurmTime::Unlimited => Some("unlimited".to_owned()),
            SlurmTime::Seconds(seconds) => (seconds > most).then(|| clock(seconds)),
        };
        if let Some(asked) = too_long {
            let message = format!("`time` is {asked}, but partition `{name}` allows {}", clock(most));
            let longer =
                facts.partitions.iter().filter(|other| other.up && other.max_time.is_none_or(|time| time > most));
            let longer: Vec<_> = longer.map(|other| format!("`{}`", other.name)).collect();
            let others = if longer.is_empty() { String::new() } else { format!("; longer: {}", longer.join(", ")) };
            found.push(misfit("time", message, format!("lower `time` to `{}`{others}", clock(most))));
        }
    }
    let need = need(slurm);
    let nodes = partition.nodes.iter().map(|nodes| nodes.count).sum::<u32>();
    let most_nodes = partition.max_nodes.map_or(nodes, |most| most.min(nodes));
    if need.nodes > most_nodes && nodes > 0 {
        let message = format!("a job asks for {} nodes, but partition `{name}` gives it {most_nodes}", need.nodes);
        found.push(misfit("sbatch_args", message, format!("lower `nodes` to {most_nodes}")));
    }
    found.extend(of_nodes(&need, partition));
    found
}

fn of_nodes(need: &Need, partition: &Partition) -> Vec<Misfit> {
    let name = &partition.name;
    let mut found = Vec::new();
    let cpus_of = |nodes: &Nodes| partition.max_cpus_per_node.map_or(nodes.cpus, |most| most.min(nodes.cpus));
    let memory_of = |nodes: &Nodes| partition.max_mem_per_node.map_or(nodes.memory, |most| most.min(nodes.memory));
    let Some(cpus) = partition.nodes.iter().map(cpus_of).max() else { return found };
    let memory = partition.nodes.iter().map(memory_of).max().unwrap_or_default();
    let gpus = partition.nodes.iter().map(|nodes| nodes.gpus).max().unwrap_or_default();
    if need.cpus > cpus {
        let message =
            format!("a job asks for {} CPUs of a node, but in partition `{name}` one gives at most {cpus}", need.cpus);
        found.push(misfit(
            "cpus-per-task",
            message,
            "lower `cpus-per-task` (and `reps_in_parallel`), or ask for more nodes",
        ));
    }
    if let Some((asked, key)) = need.memory.filter(|(asked, _)| *asked > memory) {
        let of = if key == "mem-per-cpu" { format!(" (`mem-per-cpu` × {} CPUs)", need.cpus) } else { String::new() };
        let message =
            format!("a job asks for {asked} MB of a node{of}, but in partition `{name}` one gives at most {memory} MB");
        let fits = if key == "mem-per-cpu" { memory / u64::from(need.cpus.max(1)) } else { memory };
        found.push(misfit(key, message, format!("lower `{key}` to `{fits}M`")));
    }
    if need.gpus > gpus {
        let message =
            format!("a job asks for {} GPUs of a node, but in partition `{name}` one has at most {gpus}", need.gpus);
        found.push(misfit("sbatch_args", message, "lower the GPUs in `sbatch_args`, or choose another partition"));
    }
    let fits = |nodes: &Nodes| {
        cpus_of(nodes) >= need.cpus
            && need.memory.is_none_or(|(asked, _)| asked <= memory_of(nodes))
            && nodes.gpus >= need.gpus
    };
    if found.is_empty() && !partition.nodes.iter().any(fits) {
        let message =
            format!("no node of partition `{name}` has all at once that a job asks for: CPUs, memory and GPUs");
        found.push(misfit("partition", message, "lower one of them, or choose another partition"));
    }
    found
}

/// Slurm's sizes: megabytes, or a number with `K`, `M`, `G` or `T`. 0 asks for all of a node.
fn megabytes(text: &str) -> Option<u64> {
    let text = text.trim().trim_end_matches(['b', 'B']);
    let (digits, unit) = match text.char_indices().next_back() {
        Some((at, c)) if c.is_ascii_alphabetic() => (text.get(..at)?, c.to_ascii_uppercase()),
        _ => (text, 'M'),
    };
    let number: u64 = digits.parse().ok()?;
    match unit {
        'K' => Some(number.div_ceil(1024)),
        'M' => Some(number),
        'G' => number.checked_mul(1024),
        'T' => number.checked_mul(1024 * 1024),
        _ => None,
    }
}

/// Seconds as Slurm writes them.
pub fn clock(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    if days == 0 { clock } else { format!("{days}-{clock:0>8}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::option::asked;
    use crate::experiment::testing::experiment;
    use crate::plan::bundle::arrays;
    use crate::plan::settings::record;
    use std::slice;

    fn facts() -> Facts {
        let nodes = |cpus, memory, gpus| Nodes { count: 4, cpus, memory, gpus, gres: String::new() };
        let partition = |name: &str, default, max_time, nodes| Partition {
            name: name.to_owned(),
            default,
            up: true,
            max_time,
            default_time: Some(600),
            nodes,
            ..Partition::default()
        };
        Facts {
            max_array_size: Some(101),
            partitions: vec![
                partition("dev", true, Some(3600), vec![nodes(8, 4000, 0), nodes(2, 1000, 4)]),
                partition("long", false, None, vec![nodes(16, 8000, 0)]),
            ],
            ..Facts::default()
        }
    }

    fn messages(options: &[&str], jobs: u64, limits: &[Limit]) -> Vec<String> {
        let mut e = experiment("e", "{}", vec![]);
        e.slurm.options = asked(options);
        let record = record(&e);
        let all = arrays(&[&record], &[jobs], 1000);
        array(&all[0], &facts(), limits)
            .into_iter()
            .map(|misfit| format!("{}; {}", misfit.message, misfit.help))
            .collect()
    }

    #[test]
    fn what_is_asked_for_is_compared_with_what_there_is() {
        for (options, expected) in [
            (&["time=60", "cpus-per-task=8", "mem-per-cpu=500M"][..], None),
            (
                &["time=61"],
                Some(
                    "`time` is 1:01:00, but partition `dev` allows 1:00:00; lower `time` to `1:00:00`; longer: `long`",
                ),
            ),
            (&["time=UNLIMITED"], Some("`time` is unlimited, but partition `dev` allows 1:00:00")),
            (&["time=2-0", "partition=long"], None),
            (&["time=2-0", "partition=dev,long"], None),
            (&["partition=lung"], Some("there is no partition `lung`; there are `dev`, `long`")),
            (&["cpus-per-task=9"], Some("a job asks for 9 CPUs of a node, but in partition `dev` one gives at most 8")),
            (&["cpus-per-task=4", "ntasks=4"], None),
            (&["cpus-per-task=4", "ntasks=4", ":nodes=1"], Some("a job asks for 16 CPUs of a node")),
            (&[":nodes=9"], Some("a job asks for 9 nodes, but partition `dev` gives it 8; lower `nodes` to 8")),
            (
                &[":mem=4G"],
                Some(
                    "a job asks for 4096 MB of a node, but in partition `dev` one gives at most 4000 MB; lower `mem` to `4000M`",
                ),
            ),
            (
                &["cpus-per-task=8", "mem-per-cpu=1G"],
                Some(
                    "a job asks for 8192 MB of a node (`mem-per-cpu` × 8 CPUs), but in partition `dev` one gives at most 4000 MB; lower `mem-per-cpu` to `500M`",
                ),
            ),
            (&[":gres=gpu:5"], Some("a job asks for 5 GPUs of a node, but in partition `dev` one has at most 4")),
            (&[":gres=gpu:4", "cpus-per-task=8"], Some("no node of partition `dev` has all at once")),
            (&[":mem=odd", ":nodes=odd"], None),
        ] {
            let found = messages(options, 1, &[]);
            match expected {
                None => assert_eq!(found, [""; 0], "{options:?}"),
                Some(expected) => {
                    assert!(found.len() == 1 && found[0].starts_with(expected), "{options:?}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn what_a_user_may_have_is_compared_too() {
        let limit = Limit {
            of: "account `lab`".to_owned(),
            account: Some("lab".to_owned()),
            max_submit: Some(40),
            max_time: Some(60),
            ..Limit::default()
        };
        let of_default = Limit { default: true, ..limit.clone() };
        let (limit, of_default) = (slice::from_ref(&limit), slice::from_ref(&of_default));
        assert_eq!(messages(&["time=2"], 1, limit), [""; 0]);
        assert_eq!(messages(&["time=2", "account=other"], 1, of_default), [""; 0]);
        let late = ["`time` is 0:02:00, but account `lab` allows 0:01:00; lower `time` to `0:01:00`"];
        assert_eq!(messages(&["time=2", "account=lab"], 1, limit), late);
        assert_eq!(messages(&["time=2"], 1, of_default), late);
        assert_eq!(
            messages(&[], 102, &[]),
            [
                "an array of 102 jobs, but the cluster takes 101 (`MaxArraySize`); set `max_array_size: 101`, or leave it out"
            ]
        );
        let record = record(&experiment("e", "{}", vec![]));
        let all = arrays(&[&record], &[102], 60);
        assert_eq!((submits(40, &all, of_default), submits(102, &all, limit)), (None, None));
        let found = submits(102, &all, of_default).unwrap();
        assert_eq!(found.message, "the plan has 102 jobs, but account `lab` allows 40 in the queue at once");
        assert_eq!(found.help, "raise `reps_per_job` by a factor of 3, or submit its scripts one after the other");
    }

    #[test]
    fn repetitions_are_compared_with_the_time_a_job_gets() {
        let mut e = experiment("e", "{}", vec![]);
        (e.rep_time, e.reps_per_job, e.reps_in_parallel) = (Some(200.0), 6, 2);
        assert_eq!(rep_time(&record(&e), &facts()), None);
        e.reps_per_job = 7;
        let found = rep_time(&record(&e), &facts()).unwrap().message;
        assert_eq!(
            found,
            "experiment `e`: a job takes 4 × 200 s (`rep_time`), but without `time` partition `dev` gives it 0:10:00"
        );
        e.slurm.requeue = Some(true);
        assert_eq!(rep_time(&record(&e), &facts()), None);
    }

    #[test]
    fn seconds_are_written_as_slurm_reads_them() {
        for seconds in [0, 59, 3600, 86_399, 86_400, 200_000] {
            assert_eq!(slurm_time(&clock(seconds)), Some(SlurmTime::Seconds(seconds)), "{}", clock(seconds));
        }
    }
}
