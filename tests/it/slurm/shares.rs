//! What a job was given, and how its slots share it: CPUs, GPUs, nodes.

use std::collections::{BTreeMap, BTreeSet};

use super::{SOON, last_states};
use crate::support::{Scene, skipped};
use crate::testbed::testbed;

/// The numbers of a list such as `0-3,8`.
fn numbers(list: &str) -> BTreeSet<u32> {
    let number = |text: &str| text.parse::<u32>().unwrap_or_else(|_| panic!("no list of CPUs: {list}"));
    list.trim()
        .split(',')
        .flat_map(|part| match part.split_once('-') {
            Some((start, end)) => number(start)..=number(end),
            None => number(part)..=number(part),
        })
        .collect()
}

#[test]
fn slots_have_disjoint_cpus_inside_the_allocation() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::with(
        "name: SLURM
cpus-per-task: 2
sh_lines: grep Cpus_allowed_list /proc/self/status | cut -f2 >mask
---
name: e
path: out
repetitions: 4
reps_per_job: 4
reps_in_parallel: 2
timeout: 60
command: |
  touch met_{{ rep }}
  until [ -e met_{{ rep + 1 - rep % 2 * 2 }} ]; do sleep 0.05; done
  grep Cpus_allowed_list /proc/self/status | cut -f2
  echo $CW2_SLOT $CW2_CPUS $OMP_NUM_THREADS $OPENBLAS_NUM_THREADS
",
    );

    let job = bed.sbatch(&scene.plan_one());

    assert_eq!(last_states(bed.wait(job, SOON)), ["COMPLETED"]);
    let mask = numbers(&scene.read("mask"));
    let mut slots = BTreeMap::new();
    for rep in scene.reps() {
        let out = scene.read(format!("{rep}/out.log"));
        let (cpus, words) = out.split_once('\n').expect("two lines");
        let cpus = numbers(cpus);
        let (slot, rest) = words.trim().split_once(' ').expect("four words");
        assert!(cpus.is_subset(&mask), "{cpus:?} in {mask:?}");
        if mask.len() >= 2 {
            assert_eq!((cpus.len(), rest), (1, "1 1 1"));
        }
        assert_eq!(slots.entry(slot.to_owned()).or_insert_with(|| cpus.clone()), &cpus, "a slot keeps its CPUs");
    }
    let shares: Vec<_> = slots.values().collect();
    assert_eq!(shares.len(), 2);
    if mask.len() < 2 {
        skipped("the job got one CPU, which no two slots can share out");
        return;
    }
    assert!(shares[0].is_disjoint(shares[1]), "{shares:?}");
}

#[test]
fn slots_split_the_gpus_of_the_job() {
    let Some(bed) = testbed() else { return };
    let scene = Scene::example("gpu-split");

    let jobs: Vec<_> = scene.plan().iter().map(|script| bed.sbatch(script)).collect();

    for job in jobs {
        assert_eq!(last_states(bed.wait(job, SOON)), ["COMPLETED"]);
    }
    let mut seen: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let reps = scene.reps();
    for rep in &reps {
        let experiment = if rep.contains("/half/") { "half" } else { "whole" };
        let out = scene.read(format!("{rep}/out.log"));
        let (what, _) = out.split_once(',').expect("a slot and its GPUs");
        seen.entry(experiment).or_default().insert(what.to_owned());
    }
    let slots = |gpus: &[&str]| {
        (0..).zip(gpus).map(|(slot, gpu)| format!("slot {slot}: CUDA_VISIBLE_DEVICES={gpu}")).collect::<BTreeSet<_>>()
    };
    // Which two of a node's four it gave to the job is Slurm's affair.
    let given: BTreeSet<_> =
        seen.values().flatten().filter_map(|what| Some(what.split_once('=')?.1.to_owned())).collect();
    assert!(given.iter().all(|gpu| ["0", "1", "2", "3"].contains(&gpu.as_str())), "{given:?}");
    let first = |experiment: &str| {
        let gpus: Vec<_> = seen[experiment].iter().filter_map(|what| Some(what.split_once('=')?.1)).collect();
        gpus.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let (whole, half) = (first("whole"), first("half"));
    assert_eq!(seen["whole"], slots(&[&whole[0], &whole[1]]));
    assert_ne!(whole[0], whole[1]);
    assert_eq!(seen["half"], slots(&[&half[0], &half[0], &half[2], &half[2]]));
    assert_ne!(half[0], half[2]);
}
