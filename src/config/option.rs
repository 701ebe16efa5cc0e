//! The options of sbatch: the one table of their names, and the one map of what is asked for by them.
//!
//! An option has several names: a letter, an older name, any unambiguous beginning. Whoever asks about one asks here, by its
//! long name. As with sbatch, what is given later wins; and `sbatch_args` over the key of SLURM that stands for the same.

use serde::{Deserialize, Serialize};

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

/// What is asked of sbatch: each option once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Options(Vec<Asked>);

/// An option that is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Its long name.
    pub option: String,
    /// What `sbatch_args` calls it; `None` where a key of SLURM stands for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<String>,
    /// What is asked.
    pub value: SbatchArg,
}

/// The value of an option.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SbatchArg {
    /// A bare flag.
    Flag,
    /// One `--key=value` line for each.
    Values(Vec<String>),
}

/// The keys of SLURM that stand for the option of the same name, in the order of their lines in a script.
pub const KEYS: [&str; 7] = ["job-name", "partition", "account", "ntasks", "cpus-per-task", "mem-per-cpu", "time"];

/// The options that say how much memory a job gets. sbatch takes one of them.
pub const MEMORY: [&str; 3] = ["mem", "mem-per-cpu", "mem-per-gpu"];

impl Options {
    /// Asks for an option by the key of SLURM that is called as it.
    pub fn set_key(&mut self, key: &str, value: impl Into<String>) {
        self.set(Asked { option: key.to_owned(), written: None, value: SbatchArg::Values(vec![value.into()]) });
    }

    /// Asks for an option by an entry of `sbatch_args`.
    pub fn set_arg(&mut self, written: &str, value: SbatchArg) {
        self.set(Asked { option: long_name(written).to_owned(), written: Some(written.to_owned()), value });
    }

    /// Asks for an option, whatever was asked by it before.
    pub fn set(&mut self, asked: Asked) {
        self.remove(&asked.option);
        self.0.push(asked);
    }

    /// Asks for an option no more.
    pub fn remove(&mut self, option: &str) {
        self.retain(|asked| asked.option != option);
    }

    /// Keeps some of them.
    pub fn retain(&mut self, keep: impl FnMut(&Asked) -> bool) {
        self.0.retain(keep);
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them, in the order they were asked for.
    pub fn iter(&self) -> impl Iterator<Item = &Asked> {
        self.0.iter()
    }

    /// Those that `sbatch_args` asks for, with their names there.
    pub fn written(&self) -> impl Iterator<Item = (&str, &Asked)> {
        self.0.iter().filter_map(|asked| Some((asked.written.as_deref()?, asked)))
    }

    /// An option, where it is asked for.
    pub fn get(&self, option: &str) -> Option<&Asked> {
        self.0.iter().find(|asked| asked.option == option)
    }

    /// Its value; the last one, where there are several.
    pub fn text(&self, option: &str) -> Option<&str> {
        match &self.get(option)?.value {
            SbatchArg::Values(values) => values.last().map(|value| value.trim()),
            SbatchArg::Flag => None,
        }
    }

    /// Its value, where that is a number.
    pub fn number(&self, option: &str) -> Option<u32> {
        self.text(option)?.parse().ok()
    }

    /// The option by which memory is asked for.
    pub fn memory(&self) -> Option<&'static str> {
        MEMORY.into_iter().find(|option| self.get(option).is_some())
    }

    /// The GPUs of a job, where that can be read: `gres: gpu:4`, `gres: gpu:a100:4,gpu:h100:2`, `gpus: 4`, `gpus-per-task: 1`.
    pub fn gpus(&self) -> Option<usize> {
        // `gpu` alone is one of them.
        let number = |entry: &str| match entry.rsplit(':').next()?.parse::<usize>() {
            Ok(number) => Some(number),
            Err(_) => entry.starts_with("gpu").then_some(1),
        };
        let sum = |entries: Vec<&str>| entries.into_iter().map(number).sum::<Option<usize>>();
        let all = |option: &str| sum(self.text(option)?.split(',').collect());
        let gres = || {
            let entries = self.text("gres")?.split(',').map(|entry| entry.trim_start_matches("gres/"));
            let gpus: Vec<_> = entries.filter(|entry| entry.starts_with("gpu")).collect();
            if gpus.is_empty() { None } else { sum(gpus) }
        };
        let tasks = || usize::try_from(self.number("ntasks").unwrap_or(1)).unwrap_or(usize::MAX);
        let per_task = || Some(all("gpus-per-task")?.saturating_mul(tasks()));
        gres().or_else(|| all("gpus")).or_else(|| all("gpus-per-node")).or_else(per_task)
    }
}

/// What is asked, for tests: `key=value` by a key, `:option=value` or `:option` in `sbatch_args`; several values with a `+`.
#[cfg(test)]
pub fn asked(texts: &[&str]) -> Options {
    let mut options = Options::default();
    for text in texts {
        let (name, value) = text.split_once('=').map_or((*text, None), |(name, value)| (name, Some(value)));
        match (name.strip_prefix(':'), value) {
            (None, value) => options.set_key(name, value.unwrap_or_default()),
            (Some(written), None) => options.set_arg(written, SbatchArg::Flag),
            (Some(written), Some(value)) => {
                options.set_arg(written, SbatchArg::Values(value.split('+').map(str::to_owned).collect()));
            }
        }
    }
    options
}

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
        let options = asked(&["cpus-per-task=1", "time=5", ":c=2", ":cpus-per-ta=3+ 4 ", ":tim=7"]);
        assert_eq!(options.number("cpus-per-task"), Some(4));
        // `tim` begins `time` and `time-min`.
        assert_eq!(options.text("time"), Some("5"));
        let written: Vec<_> = options.written().map(|(written, asked)| (written, asked.option.as_str())).collect();
        assert_eq!(written, [("cpus-per-ta", "cpus-per-task"), ("tim", "tim")]);
    }
}
