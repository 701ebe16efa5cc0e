//! The GPUs of a job and each slot's share of them: those that the allocation made visible; where there is neither an
//! allocation nor a word of the user's, all that this machine has.

use crate::run::share;
use std::path::{Path, PathBuf};

/// The environment variables that say which GPUs are visible, as CUDA, `ROCm` and oneAPI document them.
const CUDA: &str = "CUDA_VISIBLE_DEVICES";
const ROCM: &str = "ROCR_VISIBLE_DEVICES";
const ONE_API: &str = "ZE_AFFINITY_MASK";

/// What each of several variables is to be in a slot.
pub(super) type Variables = Vec<(&'static str, String)>;

/// The GPUs that may be used.
#[derive(Debug, Clone)]
pub struct Gpus {
    /// For each variable what it lists: as many each, for Slurm may set several of them for the same GPUs. One that lists
    /// another number of them is left as it is.
    lists: Vec<(&'static str, Vec<String>)>,
    /// How many this machine has that nobody told this job of.
    untold: usize,
    /// Which of how many jobs that run at a time has them.
    lane: (usize, usize),
}

impl Gpus {
    /// Those of this process. Inside a job of Slurm others may have what the machine has.
    pub fn visible(in_job: bool) -> Self {
        let value = |name| Some((name, std::env::var(name).ok()?));
        let told: Vec<_> = [CUDA, ROCM, ONE_API].into_iter().filter_map(value).collect();
        let found = if told.is_empty() { on_machine(Path::new("/")) } else { None };
        match found {
            Some((_, number)) if in_job => Gpus { lists: Vec::new(), untold: number, lane: (0, 1) },
            Some((name, number)) => Gpus::of(vec![(name, (0..number).map(|gpu| gpu.to_string()).collect())]),
            None => Gpus::of(told.into_iter().map(|(name, value)| (name, entries(&value))).collect()),
        }
    }

    fn of(mut lists: Vec<(&'static str, Vec<String>)>) -> Self {
        lists.retain(|(_, entries)| !entries.is_empty());
        let number = lists.first().map_or(0, |(_, entries)| entries.len());
        lists.retain(|(_, entries)| entries.len() == number);
        Gpus { lists, untold: 0, lane: (0, 1) }
    }

    /// Those of one of so many jobs that run at a time.
    pub fn of_lane(&self, lane: usize, jobs: usize) -> Self {
        Gpus { lane: (lane, jobs.max(1)), ..self.clone() }
    }

    /// What the job has of a variable's GPUs, and how many jobs have the same.
    fn own<'a>(&self, entries: &'a [String]) -> (&'a [String], usize) {
        let (lane, jobs) = self.lane;
        let each = (entries.len() / jobs).max(1);
        let first = if entries.len() >= jobs { lane * each } else { lane * entries.len() / jobs };
        let sharing = if entries.is_empty() { 1 } else { jobs.div_ceil(entries.len()) };
        (entries.get(first..first + each).unwrap_or_default(), sharing)
    }

    /// How many slots with so many each the job has room for; `None` where nothing is known of any GPU.
    pub fn room(&self, per_rep: f64) -> Option<usize> {
        let (own, sharing) = self.own(&self.lists.first()?.1);
        share::fit(own.len(), per_rep).ok().map(|fit| fit / sharing)
    }

    /// So many a slot that all get the same, `None` where there is none to share.
    pub(super) fn evenly(&self, slots: usize) -> Option<f64> {
        let (own, sharing) = self.own(&self.lists.first()?.1);
        #[expect(clippy::cast_precision_loss, reason = "numbers of GPUs and slots are small")]
        match own.len() {
            0 => None,
            own if sharing == 1 && own >= slots => Some((own / slots) as f64),
            own => Some(1.0 / (slots.div_ceil(own) * sharing) as f64),
        }
    }

    /// For each slot what the variables are to be: its share, or all where nothing is to be shared.
    ///
    /// # Errors
    /// Where they do not suffice, or several slots would share what they must not.
    pub(super) fn split(&self, per_rep: Option<f64>, slots: usize) -> anyhow::Result<Vec<Variables>> {
        let mut shares = vec![Vec::new(); slots];
        if let Some(per_rep) = per_rep.filter(|_| self.lists.is_empty()) {
            let names = format!("none of {CUDA}, {ROCM}, {ONE_API}");
            anyhow::ensure!(
                self.untold == 0 || slots == 1,
                "`gpus_per_rep: {per_rep}`, but Slurm says of none of this machine's {} GPUs that it is this job's, so all \
                 {slots} slots would share them ({names} is set): ask for GPUs, as in `sbatch_args: {{gres: gpu:{slots}}}`; \
                 where the cluster does not tell which they are, set {CUDA} in `sh_lines`",
                self.untold
            );
            log::warn!(
                "`gpus_per_rep: {per_rep}`, but no GPU is visible here: {names} names one, nor was one of NVIDIA's or AMD's found"
            );
        }
        for (name, entries) in &self.lists {
            let lists = match per_rep {
                None => vec![entries.clone(); slots],
                Some(per_rep) => self.cut(entries, per_rep, slots)?,
            };
            shares.iter_mut().zip(lists).for_each(|(share, list)| share.push((*name, list.join(","))));
        }
        Ok(shares)
    }

    fn cut(&self, entries: &[String], per_rep: f64, slots: usize) -> anyhow::Result<Vec<Vec<String>>> {
        let (own, sharing) = self.own(entries);
        let lists = share::gpus(own, slots.saturating_mul(sharing), per_rep);
        lists.map_err(|why| match self.lane.1 {
            1 => anyhow::anyhow!("the job's GPUs cannot be split: {why}"),
            jobs => anyhow::anyhow!(
                "{} GPUs cannot be split among {jobs} jobs at a time: {why}; ask for fewer with `--jobs`",
                entries.len()
            ),
        })
    }
}

/// What a variable lists; nothing where it hides all of them (`NoDevFiles` is Slurm's way to say so).
fn entries(value: &str) -> Vec<String> {
    let entries = value.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries.take_while(|entry| !["-1", "NoDevFiles"].contains(entry)).map(str::to_owned).collect()
}

/// How many GPUs the machine has whose files are below `root`, and the variable that chooses among them: NVIDIA's driver makes a
/// device for each, and AMD's lists them among its nodes, the CPUs being those without SIMD units.
fn on_machine(root: &Path) -> Option<(&'static str, usize)> {
    let within = |dir: &str| -> Vec<PathBuf> {
        std::fs::read_dir(root.join(dir)).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let is_nvidia = |path: &&PathBuf| {
        let number = path.file_name().and_then(|name| name.to_str()?.strip_prefix("nvidia")).unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_amd = |node: &&PathBuf| {
        let units = |line: &str| line.strip_prefix("simd_count ")?.trim().parse::<u32>().ok();
        std::fs::read_to_string(node.join("properties"))
            .is_ok_and(|text| text.lines().filter_map(units).sum::<u32>() > 0)
    };
    let nvidia = within("dev").iter().filter(is_nvidia).count();
    let amd = within("sys/class/kfd/kfd/topology/nodes").iter().filter(is_amd).count();
    [(CUDA, nvidia), (ROCM, amd)].into_iter().find(|(_, number)| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn gpus(number: usize) -> Gpus {
        Gpus::of(vec![(CUDA, (0..number).map(|gpu| gpu.to_string()).collect())])
    }

    fn first(shares: Vec<Variables>) -> Vec<String> {
        shares.into_iter().map(|mut share| share.remove(0).1).collect()
    }

    #[test]
    fn the_gpus_of_a_machine_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(on_machine(dir.path()), None);
        for name in ["nvidiactl", "nvidia-uvm", "nvidia", "nvidia0x", "kfd", "null"] {
            write(&format!("dev/{name}"), "");
        }
        for (node, units) in [(0, 0), (1, 256), (2, 256)] {
            let text = format!("cpu_cores_count 0\nsimd_count {units}\nmem_banks_count 1\n");
            write(&format!("sys/class/kfd/kfd/topology/nodes/{node}/properties"), &text);
        }
        assert_eq!(on_machine(dir.path()), Some((ROCM, 2)));
        for number in [0, 1, 11] {
            write(&format!("dev/nvidia{number}"), "");
        }
        assert_eq!(on_machine(dir.path()), Some((CUDA, 3)));
    }

    #[test]
    fn what_hides_all_lists_none() {
        assert_eq!(entries("GPU-a, MIG-b,7"), ["GPU-a", "MIG-b", "7"]);
        assert_eq!(entries("1,-1,2"), ["1"]);
        for hidden in ["", " ", "-1", "NoDevFiles"] {
            assert!(entries(hidden).is_empty(), "{hidden}");
        }
    }

    #[test]
    fn jobs_at_a_time_do_not_meet() {
        let lanes = |number, jobs, per_rep, slots| -> Result<Vec<_>, String> {
            let lane = |lane| gpus(number).of_lane(lane, jobs).split(per_rep, slots).map(first);
            (0..jobs).map(lane).collect::<Result<_, _>>().map_err(|error| error.to_string())
        };
        assert_eq!(lanes(4, 2, Some(1.0), 2).unwrap(), [["0", "1"], ["2", "3"]]);
        assert_eq!(lanes(5, 2, Some(2.0), 1).unwrap(), [["0,1"], ["2,3"]]);
        assert_eq!(lanes(2, 4, Some(0.5), 1).unwrap(), [["0"], ["0"], ["1"], ["1"]]);
        assert_eq!(lanes(1, 2, Some(0.25), 2).unwrap(), [["0", "0"], ["0", "0"]]);
        assert_eq!(lanes(2, 2, None, 1).unwrap(), [["0,1"], ["0,1"]]);
        let error = lanes(2, 4, Some(1.0), 1).unwrap_err();
        assert!(error.starts_with("2 GPUs cannot be split among 4 jobs at a time: "), "{error}");
        assert_eq!((gpus(4).of_lane(1, 2).room(1.0), gpus(0).room(1.0)), (Some(2), None));
        assert_eq!((gpus(1).of_lane(1, 2).room(1.0), gpus(1).of_lane(1, 2).room(0.25)), (Some(0), Some(2)));
    }

    #[test]
    fn nothing_is_shared_without_a_word() {
        let untold = Gpus { untold: 2, ..gpus(0) };
        let error = untold.split(Some(1.0), 2).unwrap_err().to_string();
        assert!(error.contains("all 2 slots would share them"), "{error}");
        assert_eq!(untold.split(Some(1.0), 1).unwrap(), [Variables::new()]);
        assert_eq!(untold.split(None, 2).unwrap(), [Variables::new(), Variables::new()]);
    }

    proptest! {
        #[test]
        fn no_gpu_is_given_twice(number in 1usize..9, jobs in 1usize..9, slots in 1usize..9, per_rep in 1usize..5) {
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let per_rep = per_rep as f64;
            let shares = (0..jobs).map(|lane| gpus(number).of_lane(lane, jobs).split(Some(per_rep), slots));
            if let Ok(shares) = shares.collect::<Result<Vec<_>, _>>() {
                let mut all: Vec<String> = shares.into_iter().flat_map(first).collect::<Vec<_>>().join(",")
                    .split(',').map(str::to_owned).collect();
                let count = all.len();
                all.sort();
                all.dedup();
                prop_assert_eq!(all.len(), count);
            }
        }

        #[test]
        fn even_shares_always_fit(number in 1usize..9, jobs in 1usize..9, slots in 1usize..9) {
            for lane in 0..jobs {
                let gpus = gpus(number).of_lane(lane, jobs);
                prop_assert!(gpus.split(gpus.evenly(slots), slots).is_ok());
            }
        }
    }
}
