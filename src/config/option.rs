//! The options of sbatch: the one table of their names, and what a SLURM document asks for by them.
//!
//! An option has several names: a letter, an older name, any unambiguous beginning. Whoever asks about one asks here, by its
//! long name. As with sbatch, what is given later wins; and `sbatch_args` over the key of SLURM that stands for the same.

use super::{SbatchArg, Slurm};

/// The short options of sbatch, and its other names of an option. They are written long: a short flag with a value would end
/// sbatch's reading of options, and with it silently drop all lines below.
const ALIASES: [(&str, &str); 39] = [
    ("A", "account"),
    ("a", "array"),
    ("B", "extra-node-info"),
    ("b", "begin"),
    ("C", "constraint"),
    ("c", "cpus-per-task"),
    ("D", "chdir"),
    ("d", "dependency"),
    ("e", "error"),
    ("F", "nodefile"),
    ("G", "gpus"),
    ("H", "hold"),
    ("h", "help"),
    ("i", "input"),
    ("J", "job-name"),
    ("k", "no-kill"),
    ("L", "licenses"),
    ("M", "clusters"),
    ("m", "distribution"),
    ("N", "nodes"),
    ("n", "ntasks"),
    ("O", "overcommit"),
    ("o", "output"),
    ("P", "dependency"),
    ("p", "partition"),
    ("Q", "quiet"),
    ("q", "qos"),
    ("S", "core-spec"),
    ("s", "oversubscribe"),
    ("t", "time"),
    ("u", "usage"),
    ("V", "version"),
    ("v", "verbose"),
    ("W", "wait"),
    ("w", "nodelist"),
    ("x", "exclude"),
    ("workdir", "chdir"),
    ("share", "oversubscribe"),
    ("tasks-per-node", "ntasks-per-node"),
];

/// The long options of sbatch, up to 25.05.
const LONG: [&str; 108] = [
    "account",
    "acctg-freq",
    "array",
    "batch",
    "bb",
    "bbf",
    "begin",
    "chdir",
    "cluster-constraint",
    "clusters",
    "comment",
    "constraint",
    "container",
    "container-id",
    "contiguous",
    "core-spec",
    "cores-per-socket",
    "cpu-freq",
    "cpus-per-gpu",
    "cpus-per-task",
    "deadline",
    "delay-boot",
    "dependency",
    "distribution",
    "error",
    "exclude",
    "exclusive",
    "export",
    "export-file",
    "extra",
    "extra-node-info",
    "get-user-env",
    "gid",
    "gpu-bind",
    "gpu-freq",
    "gpus",
    "gpus-per-node",
    "gpus-per-socket",
    "gpus-per-task",
    "gres",
    "gres-flags",
    "help",
    "hint",
    "hold",
    "ignore-pbs",
    "input",
    "job-name",
    "kill-on-invalid-dep",
    "licenses",
    "mail-type",
    "mail-user",
    "mcs-label",
    "mem",
    "mem-bind",
    "mem-per-cpu",
    "mem-per-gpu",
    "mincpus",
    "network",
    "nice",
    "no-kill",
    "no-requeue",
    "nodefile",
    "nodelist",
    "nodes",
    "ntasks",
    "ntasks-per-core",
    "ntasks-per-gpu",
    "ntasks-per-node",
    "ntasks-per-socket",
    "open-mode",
    "output",
    "overcommit",
    "oversubscribe",
    "parsable",
    "partition",
    "power",
    "prefer",
    "priority",
    "profile",
    "propagate",
    "qos",
    "quiet",
    "reboot",
    "requeue",
    "reservation",
    "segment",
    "signal",
    "sockets-per-node",
    "spread-job",
    "stepmgr",
    "switches",
    "test-only",
    "thread-spec",
    "threads-per-core",
    "time",
    "time-min",
    "tmp",
    "tres-bind",
    "tres-per-task",
    "uid",
    "usage",
    "use-min-nodes",
    "verbose",
    "version",
    "wait",
    "wait-all-nodes",
    "wckey",
    "wrap",
];

/// Whether sbatch has an option of this long name.
pub fn is_known(name: &str) -> bool {
    LONG.contains(&name)
}

/// The long name of an option; an unknown or ambiguous name as it is, for sbatch to judge.
pub fn long_name(key: &str) -> &str {
    if let Some((_, long)) = ALIASES.iter().find(|(alias, _)| *alias == key) {
        return long;
    }
    if is_known(key) || key.len() < 2 {
        return key;
    }
    let mut begun = LONG.iter().filter(|long| long.starts_with(key));
    match (begun.next(), begun.next()) {
        (Some(long), None) => long,
        _ => key,
    }
}

impl Slurm {
    /// The name by which `sbatch_args` gives an option.
    pub fn given_as(&self, option: &str) -> Option<&str> {
        self.sbatch_args.iter().rev().map(|(key, _)| key.as_str()).find(|key| long_name(key) == option)
    }

    /// What `sbatch_args` gives for an option, by any of its names. It wins over the key of SLURM, as the later line does.
    pub fn sbatch_value(&self, option: &str) -> Option<&str> {
        self.sbatch_args.iter().rev().find_map(|(key, value)| match value {
            SbatchArg::Values(values) if long_name(key) == option => values.last().map(|value| value.trim()),
            _ => None,
        })
    }

    /// The option by which memory is asked for.
    pub fn memory_option(&self) -> Option<&'static str> {
        let given = MEMORY.into_iter().find(|option| self.given_as(option).is_some());
        given.or_else(|| self.mem_per_cpu.as_ref().map(|_| "mem-per-cpu"))
    }

    /// `cpus-per-task`, wherever it is given.
    pub fn effective_cpus_per_task(&self) -> Option<u32> {
        self.sbatch_value("cpus-per-task").and_then(|text| text.parse().ok()).or(self.cpus_per_task)
    }

    /// `ntasks`, wherever it is given.
    pub fn effective_ntasks(&self) -> Option<u32> {
        self.sbatch_value("ntasks").and_then(|text| text.parse().ok()).or(self.ntasks)
    }

    /// `time`, wherever it is given.
    pub fn effective_time(&self) -> Option<&str> {
        self.sbatch_value("time").or(self.time.as_deref())
    }
}

/// The options that say how much memory a job gets. sbatch takes one of them.
pub const MEMORY: [&str; 3] = ["mem", "mem-per-cpu", "mem-per-gpu"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_an_option_is_known() {
        for (key, long) in [
            ("c", "cpus-per-task"),
            ("cpus-per-t", "cpus-per-task"),
            ("part", "partition"),
            ("mem", "mem"),
            ("mem-per", "mem-per"),
            ("gpus", "gpus"),
            ("time", "time"),
            ("time-", "time-min"),
            ("share", "oversubscribe"),
            ("sig", "signal"),
            ("z", "z"),
            ("", ""),
            ("brand-new", "brand-new"),
        ] {
            assert_eq!(long_name(key), long);
        }
        assert!(LONG.is_sorted() && ALIASES.iter().all(|(_, long)| is_known(long)));
    }

    #[test]
    fn the_last_value_wins_by_whatever_name() {
        let values = |texts: &[&str]| SbatchArg::Values(texts.iter().map(|text| (*text).to_owned()).collect());
        let slurm = Slurm {
            cpus_per_task: Some(1),
            time: Some("5".to_owned()),
            sbatch_args: vec![
                ("c".to_owned(), values(&["2"])),
                ("cpus-per-ta".to_owned(), values(&["3", "4"])),
                ("tim".to_owned(), values(&["7"])),
            ],
            ..Slurm::default()
        };
        assert_eq!(slurm.effective_cpus_per_task(), Some(4));
        // `tim` begins `time` and `time-min`.
        assert_eq!(slurm.effective_time(), Some("5"));
        assert_eq!(slurm.given_as("cpus-per-task"), Some("cpus-per-ta"));
    }
}
