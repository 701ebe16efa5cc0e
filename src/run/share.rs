//! Cutting a job's CPUs and GPUs into the slots' disjoint shares.

/// Where a CPU sits. The numbers only say what is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu {
    /// The system's number.
    pub id: usize,
    /// Its core: hyper-threads of one core share it.
    pub core: usize,
    /// Its last-level cache.
    pub cache: usize,
    /// Its socket.
    pub package: usize,
}

/// One list of CPUs a slot: `per_slot` each, or as many as all slots can have alike. Disjoint where there are enough,
/// else (`oversubscribe`) every slot gets all.
///
/// A slot stays within one cache, else within one socket, where one has room; it takes whole cores before it splits one.
pub fn cpus(topology: &[Cpu], slots: usize, per_slot: Option<usize>) -> Vec<Vec<usize>> {
    let slots = slots.max(1);
    let size = per_slot.unwrap_or(topology.len() / slots).max(1);
    if size.saturating_mul(slots) > topology.len() {
        return vec![topology.iter().map(|cpu| cpu.id).collect(); slots];
    }
    let mut free = topology.to_vec();
    (0..slots)
        .map(|_| {
            let chosen = choose(&free, size);
            free.retain(|cpu| !chosen.contains(&cpu.id));
            chosen
        })
        .collect()
}

fn choose(free: &[Cpu], size: usize) -> Vec<usize> {
    let domain = [|cpu: &Cpu| cpu.cache, |cpu: &Cpu| cpu.package, |_: &Cpu| 0]
        .into_iter()
        .find_map(|key| fullest_fit(free, size, key))
        .unwrap_or_else(|| free.to_vec());
    let mut chosen = Vec::with_capacity(size);
    let mut cores: Vec<Vec<usize>> = Vec::new();
    for cpu in &domain {
        match cores.iter_mut().find(|core| same_core(&domain, core, cpu)) {
            Some(core) => core.push(cpu.id),
            None => cores.push(vec![cpu.id]),
        }
    }
    // The last place goes to the core with the fewest free threads: a half-used one before a whole one is split.
    while chosen.len() < size && !cores.is_empty() {
        let left = size - chosen.len();
        let whole = cores
            .iter()
            .enumerate()
            .filter(|(_, core)| core.len() <= left)
            .max_by_key(|(i, core)| (core.len(), usize::MAX - i));
        let index = match whole {
            Some((index, _)) => index,
            None => cores.iter().enumerate().min_by_key(|(_, core)| core.len()).map_or(0, |(index, _)| index),
        };
        chosen.extend(cores.remove(index).into_iter().take(left));
    }
    chosen.sort_unstable();
    chosen
}

fn same_core(cpus: &[Cpu], core: &[usize], cpu: &Cpu) -> bool {
    cpus.iter().any(|other| core.first() == Some(&other.id) && other.core == cpu.core)
}

/// The free CPUs of the domain that fits the slot with the least left over, the first of equals.
fn fullest_fit(free: &[Cpu], size: usize, key: fn(&Cpu) -> usize) -> Option<Vec<Cpu>> {
    let mut domains: Vec<(usize, Vec<Cpu>)> = Vec::new();
    for cpu in free {
        match domains.iter_mut().find(|(k, _)| *k == key(cpu)) {
            Some((_, cpus)) => cpus.push(*cpu),
            None => domains.push((key(cpu), vec![*cpu])),
        }
    }
    domains.into_iter().map(|(_, cpus)| cpus).filter(|cpus| cpus.len() >= size).min_by_key(Vec::len)
}

/// One list of GPU entries a slot: `per_slot` whole ones each, or, below 1, a GPU shared by as many slots as fit.
///
/// # Errors
/// Where they do not suffice, with the arithmetic.
pub fn gpus(entries: &[String], slots: usize, per_slot: f64) -> Result<Vec<Vec<String>>, String> {
    let available = entries.len();
    let fits = fit(available, per_slot)?;
    if fits < slots {
        return Err(format!("{slots} slots of {per_slot} GPUs do not fit {available} GPUs ({fits} would)"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`fit` checked that it is a small positive number"
    )]
    Ok((0..slots)
        .map(|slot| {
            if per_slot >= 1.0 {
                let each = per_slot as usize;
                entries.iter().skip(slot * each).take(each).cloned().collect()
            } else {
                let sharing = (1.0 / per_slot + 1e-9) as usize;
                entries.get(slot / sharing).cloned().into_iter().collect()
            }
        })
        .collect())
}

/// How many slots of `per_slot` GPUs fit `available` ones.
///
/// # Errors
/// Where `per_slot` is neither a whole number nor a fraction below 1.
pub fn fit(available: usize, per_slot: f64) -> Result<usize, String> {
    if !(per_slot > 0.0 && per_slot <= 1024.0) || (per_slot > 1.0 && per_slot.fract() != 0.0) {
        return Err(format!("`gpus_per_rep: {per_slot}` must be a whole number, or a fraction such as 0.5"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1024, as just checked")]
    Ok(if per_slot >= 1.0 {
        available / per_slot as usize
    } else {
        available.saturating_mul((1.0 / per_slot + 1e-9).min(1e6) as usize)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `sockets` × `cores` cores with two threads each; thread numbers as Linux gives them (siblings half apart).
    fn machine(sockets: usize, cores: usize) -> Vec<Cpu> {
        let all = sockets * cores;
        (0..2 * all).map(|id| Cpu { id, core: id % all, cache: id % all / cores, package: id % all / cores }).collect()
    }

    #[test]
    fn slots_keep_cores_and_caches_whole() {
        assert_eq!(cpus(&machine(1, 4), 4, None), [[0, 4], [1, 5], [2, 6], [3, 7]]);
        assert_eq!(cpus(&machine(2, 2), 2, None), [[0, 1, 4, 5], [2, 3, 6, 7]]);
        assert_eq!(cpus(&machine(1, 4), 3, None), [[0, 4], [1, 5], [2, 6]]);
        // An odd share splits one core, and the next slot takes the other half.
        assert_eq!(cpus(&machine(1, 3), 2, None), [[0, 1, 3], [2, 4, 5]]);
        // A share that leaves no room in a cache goes to the next one.
        assert_eq!(cpus(&machine(2, 3), 3, Some(4)), vec![vec![0, 1, 6, 7], vec![3, 4, 9, 10], vec![2, 5, 8, 11]]);
        // More slots than CPUs: all share all.
        assert_eq!(cpus(&machine(1, 1), 3, None), [[0, 1], [0, 1], [0, 1]]);
    }

    #[test]
    fn gpus_are_split_whole_or_shared() {
        let uuids: Vec<String> = ["GPU-a", "MIG-b", "2"].map(str::to_owned).to_vec();
        assert_eq!(gpus(&uuids, 3, 1.0).unwrap(), [["GPU-a"], ["MIG-b"], ["2"]]);
        assert_eq!(gpus(&uuids, 1, 2.0).unwrap(), [["GPU-a", "MIG-b"]]);
        assert_eq!(gpus(&uuids, 4, 0.5).unwrap(), [["GPU-a"], ["GPU-a"], ["MIG-b"], ["MIG-b"]]);
        assert_eq!(gpus(&uuids, 10, 0.3).unwrap_err(), "10 slots of 0.3 GPUs do not fit 3 GPUs (9 would)");
        for wrong in [0.0, -1.0, 1.5, f64::NAN, f64::INFINITY] {
            assert!(fit(4, wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn shares_are_disjoint_equal_and_allowed(sockets in 1usize..4, cores in 1usize..9, slots in 1usize..12, skip in 0usize..5) {
            let allowed: Vec<Cpu> = machine(sockets, cores).into_iter().skip(skip).collect();
            prop_assume!(slots <= allowed.len());
            let shares = cpus(&allowed, slots, None);
            let mut all: Vec<usize> = shares.concat();
            all.sort_unstable();
            let count = all.len();
            all.dedup();
            prop_assert_eq!(all.len(), count);
            prop_assert!(shares.iter().all(|share| share.len() == allowed.len() / slots));
            prop_assert!(all.iter().all(|id| allowed.iter().any(|cpu| cpu.id == *id)));
        }
    }
}
