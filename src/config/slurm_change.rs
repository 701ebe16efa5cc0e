//! `key=value` changes to a SLURM document that is already resolved, for one more attempt at a plan (`cw2 retry`).
//!
//! Values are read and refused exactly as those of a configuration; only what a retry cannot change is refused besides.

use super::error::{Diagnostic, Report};
use super::keys::{self, Known, Scope};
use super::node::{At, Node, NodeKind, brief};
use super::option::{self, long_name};
use super::reader::Reader;
use super::{SbatchArg, Slurm, set, slurm};
use std::path::Path;

/// What the command line changes.
#[derive(Debug, Clone)]
pub struct SlurmChange {
    /// The keys that are given.
    keys: Vec<String>,
    /// The entries of `sbatch_args` that are given; `None` where it is set as a whole.
    args: Option<Vec<String>>,
    /// Their values.
    values: Slurm,
    /// Memory, by whichever option the document asks for it.
    memory: Option<String>,
}

impl SlurmChange {
    /// Reads assignments such as `time=90` and `sbatch_args.gres=gpu:2`. `readable` tells whether a file is there.
    ///
    /// # Errors
    ///
    /// Whatever the configuration would refuse; a key that a retry cannot change; one that no SLURM document has.
    pub fn parse(assignments: &[String], readable: &dyn Fn(&Path) -> bool) -> Result<Self, Box<Report>> {
        let mut report = Report::new(assignments.to_vec());
        report.option = Some("--set-slurm");
        let mut node = Node::empty_map(At::default());
        for (index, text) in assignments.iter().enumerate() {
            let applied = set::parse(text, index).and_then(|assignment| set::apply(&assignment, &mut node));
            if let Err(diagnostic) = applied {
                report.push(*diagnostic);
            }
        }
        let NodeKind::Map(map) = node.kind else { return Err(Box::new(report)) };
        for (key, (at, _)) in &map {
            check_key(key, *at, &mut report);
        }
        let values = if report.has_errors() {
            Slurm::default()
        } else {
            slurm::slurm(&mut Reader::new(&map, &mut report), true, readable)
        };
        if report.has_errors() {
            return Err(Box::new(report));
        }
        let args = map.get("sbatch_args").and_then(|(_, node)| node.as_map());
        // Nothing takes an option back, also where a document would make a flag of it.
        let mut values = values;
        values
            .sbatch_args
            .retain(|(option, _)| args.and_then(|args| args.get(option)).is_some_and(|(_, node)| !node.is_null()));
        Ok(SlurmChange {
            keys: map.keys().cloned().collect(),
            args: args.map(|args| args.keys().cloned().collect()),
            values,
            memory: None,
        })
    }

    /// Asks for other memory as the document does: for each node, CPU or GPU; for each CPU where it says nothing.
    ///
    /// # Errors
    ///
    /// What is no size of memory.
    pub fn with_memory(mut self, memory: Option<&str>) -> Result<Self, Box<Report>> {
        let Some(memory) = memory else { return Ok(self) };
        let read = Self::parse(&[format!("mem-per-cpu={memory}")], &|_| false)?;
        self.memory = read.values.mem_per_cpu;
        Ok(self)
    }

    /// Whether anything is changed.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.memory.is_none()
    }

    /// Whether another template is to be used.
    pub fn sets_template(&self) -> bool {
        self.keys.iter().any(|key| key == "path_to_template")
    }

    /// Changes a resolved document; an empty value takes back what it says.
    pub fn apply(&self, slurm: &mut Slurm) {
        let mut new = self.values.clone();
        let mut keys = self.keys.clone();
        let as_planned = self.memory.as_deref().map(|memory| (memory, slurm.memory_option()));
        match as_planned {
            Some((memory, Some(option))) if option != "mem-per-cpu" => {
                slurm.sbatch_args.retain(|(given, _)| !option::MEMORY.contains(&long_name(given)));
                slurm.sbatch_args.push((option.to_owned(), SbatchArg::Values(vec![memory.to_owned()])));
            }
            Some((memory, _)) => {
                keys.push("mem-per-cpu".to_owned());
                new.mem_per_cpu = Some(memory.to_owned());
            }
            None => {}
        }
        // `sbatch_args` would win over the key, as the later line of a script does.
        let replaces = |option: &str| keys.iter().any(|key| options(key).contains(&option));
        slurm.sbatch_args.retain(|(given, _)| !replaces(long_name(given)));
        let given: Vec<_> = self.args.iter().flatten().map(|key| long_name(key)).collect();
        let memory = |option: &str| option::MEMORY.contains(&option);
        if given.iter().any(|option| memory(option)) {
            slurm.mem_per_cpu = None;
            slurm.sbatch_args.retain(|(key, _)| !memory(long_name(key)));
        }
        let keys = &keys;
        for key in keys {
            match key.as_str() {
                "partition" => slurm.partition.clone_from(&new.partition),
                "job-name" => slurm.job_name.clone_from(&new.job_name),
                "account" => slurm.account.clone_from(&new.account),
                "ntasks" => slurm.ntasks = new.ntasks,
                "cpus-per-task" => slurm.cpus_per_task = new.cpus_per_task,
                "mem-per-cpu" => slurm.mem_per_cpu.clone_from(&new.mem_per_cpu),
                "time" => slurm.time.clone_from(&new.time),
                "num_parallel_jobs" => slurm.num_parallel_jobs = new.num_parallel_jobs,
                "sbatch_args" => {
                    let whole = self.args.is_none();
                    slurm.sbatch_args.retain(|(key, _)| !whole && !given.contains(&long_name(key)));
                    slurm.sbatch_args.extend(new.sbatch_args.iter().cloned());
                }
                "sh_lines" => slurm.sh_lines.clone_from(&new.sh_lines),
                "venv" => slurm.venv.clone_from(&new.venv),
                "slurm_log" => slurm.slurm_log.clone_from(&new.slurm_log),
                "path_to_template" => slurm.path_to_template.clone_from(&new.path_to_template),
                "max_array_size" => slurm.max_array_size = new.max_array_size,
                "requeue" => slurm.requeue = new.requeue,
                "max_requeues" => slurm.max_requeues = new.max_requeues,
                "grace" => slurm.grace = new.grace,
                _ => {}
            }
        }
    }
}

/// The options of sbatch that say what a key says, or the opposite of it.
fn options(key: &str) -> &'static [&'static str] {
    match key {
        "partition" => &["partition"],
        "job-name" => &["job-name"],
        "account" => &["account"],
        "ntasks" => &["ntasks"],
        "cpus-per-task" => &["cpus-per-task"],
        "mem-per-cpu" => &option::MEMORY,
        "time" => &["time"],
        _ => &[],
    }
}

/// What a change may name: the keys that say what is asked of the cluster.
fn check_key(key: &str, at: At, report: &mut Report) {
    let name = brief(key);
    let (message, help) = match keys::classify(key, Scope::Slurm) {
        Known::Key => match key {
            "cpus_per_rep" | "gpus_per_rep" => (
                format!("`{name}` is a repetition's share and cannot be changed by a retry"),
                "plan the configuration again; what is finished is left out".to_owned(),
            ),
            "scheduler" | "experiment_copy_src" | "experiment_copy_dst" | "experiment_copy_auto_dst" => (
                format!("`{name}` was decided by the plan and cannot be changed by a retry"),
                "plan the configuration again; what is finished is left out".to_owned(),
            ),
            _ => return,
        },
        Known::NearMiss(meant) => (format!("`{name}` is not a key of SLURM"), format!("did you mean `{meant}`?")),
        _ => (
            format!("`{name}` is not a key of SLURM"),
            format!("for an option of sbatch write `sbatch_args.{name}=VALUE`"),
        ),
    };
    report.push(Diagnostic::error(message).at(at).help(help));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(assignments: &[&str]) -> Result<SlurmChange, String> {
        let assignments: Vec<_> = assignments.iter().map(|&text| text.to_owned()).collect();
        SlurmChange::parse(&assignments, &|_| false).map_err(|report| report.to_string())
    }

    #[test]
    fn only_what_is_named_changes() {
        let values = |text: &str| SbatchArg::Values(vec![text.to_owned()]);
        let mut slurm = Slurm {
            partition: Some("cpu".to_owned()),
            time: Some("10".to_owned()),
            account: Some("a".to_owned()),
            sbatch_args: vec![("gres".to_owned(), values("gpu:1")), ("qos".to_owned(), values("low"))],
            ..Slurm::default()
        };
        let change =
            ["time=1:30:00", "mem-per-cpu=4G", "account=", "sbatch_args.gres=gpu:2", "sbatch_args.exclusive=true"];
        parse(&change).unwrap().apply(&mut slurm);
        let expected = Slurm {
            partition: Some("cpu".to_owned()),
            time: Some("1:30:00".to_owned()),
            mem_per_cpu: Some("4G".to_owned()),
            sbatch_args: vec![
                ("qos".to_owned(), values("low")),
                ("gres".to_owned(), values("gpu:2")),
                ("exclusive".to_owned(), SbatchArg::Flag),
            ],
            ..Slurm::default()
        };
        assert_eq!(slurm, expected);
        parse(&["sbatch_args.gres=false", "sbatch_args.exclusive=false"]).unwrap().apply(&mut slurm);
        assert_eq!(slurm.sbatch_args, [("qos".to_owned(), values("low"))]);
        parse(&["sbatch_args="]).unwrap().apply(&mut slurm);
        assert_eq!(slurm.sbatch_args, []);
    }

    #[test]
    fn a_key_takes_the_place_of_its_option() {
        let values = |text: &str| SbatchArg::Values(vec![text.to_owned()]);
        let args = [("t", "10"), ("time", "11"), ("mem", "1G"), ("c", "2"), ("qos", "low")];
        let mut slurm = Slurm {
            sbatch_args: args.map(|(key, value)| (key.to_owned(), values(value))).to_vec(),
            ..Slurm::default()
        };
        parse(&["time=20", "mem-per-cpu=8G"]).unwrap().apply(&mut slurm);
        assert_eq!(slurm.sbatch_args, [("c".to_owned(), values("2")), ("qos".to_owned(), values("low"))]);
        parse(&["cpus-per-task=4", "sbatch_args.c=5"]).unwrap().apply(&mut slurm);
        assert_eq!(slurm.sbatch_args, [("qos".to_owned(), values("low")), ("c".to_owned(), values("5"))]);
        slurm.sbatch_args = vec![("mem-per-c".to_owned(), values("1G")), ("time-min".to_owned(), values("1"))];
        parse(&["time=5", "mem-per-cpu=2G"]).unwrap().apply(&mut slurm);
        assert_eq!(slurm.sbatch_args, [("time-min".to_owned(), values("1"))]);
        parse(&["sbatch_args.time-min="]).unwrap().apply(&mut slurm);
        assert_eq!(slurm.sbatch_args, []);
    }

    #[test]
    fn memory_is_asked_for_as_the_document_does() {
        let values = |text: &str| SbatchArg::Values(vec![text.to_owned()]);
        let change = || parse(&[]).unwrap().with_memory(Some("300M")).unwrap();
        assert!(!change().is_empty() && parse(&[]).unwrap().with_memory(Some("much")).is_err());
        for key in ["mem", "mem-per-gpu", "mem-per-g"] {
            let args = vec![(key.to_owned(), values("1G"))];
            let mut slurm = Slurm { sbatch_args: args, ..Slurm::default() };
            change().apply(&mut slurm);
            let expected = if key == "mem" { "mem" } else { "mem-per-gpu" };
            assert_eq!(slurm.sbatch_args, [(expected.to_owned(), values("300M"))]);
            assert_eq!(slurm.mem_per_cpu, None);
            parse(&["sbatch_args.mem-per-cpu=4G"]).unwrap().apply(&mut slurm);
            assert_eq!(slurm.sbatch_args, [("mem-per-cpu".to_owned(), values("4G"))]);
            change().apply(&mut slurm);
            assert_eq!((slurm.sbatch_args, slurm.mem_per_cpu.as_deref()), (vec![], Some("300M")));
        }
        let mut slurm = Slurm { mem_per_cpu: Some("1G".to_owned()), ..Slurm::default() };
        parse(&["sbatch_args.mem=2G"]).unwrap().apply(&mut slurm);
        assert_eq!((slurm.sbatch_args, slurm.mem_per_cpu), (vec![("mem".to_owned(), values("2G"))], None));
    }

    #[test]
    fn what_the_configuration_refuses_is_refused() {
        for (assignment, expected) in [
            ("time=soon", "`time`"),
            ("cpus-per-task=0", "must be at least 1"),
            ("partition=--wrap=x", "could take for another option"),
            ("sbatch_args.a b=1", "cannot be an option of sbatch"),
            ("tmie=5", "did you mean `time`?"),
            ("gres=gpu:2", "sbatch_args.gres=VALUE"),
            ("cpus_per_rep=2", "cannot be changed by a retry"),
            ("time", "needs a `=`"),
            ("path_to_template=nowhere.j2", "cannot be read"),
        ] {
            let error = parse(&[assignment]).unwrap_err();
            assert!(error.contains(expected), "{assignment}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(text in ".{0,40}", key in "time|sbatch_args|sh_lines|requeue", value in ".{0,20}") {
            let _ = SlurmChange::parse(&[text, format!("{key}={value}")], &|_| true);
        }

        #[test]
        fn a_document_survives_the_disk(time in ".{0,9}", number in any::<i128>(), arg in ".{0,9}") {
            let mut slurm = Slurm { time: Some(time), grace: Some(1.5), ..Slurm::default() };
            slurm.sbatch_args = vec![(arg.clone(), SbatchArg::Flag), (arg.clone(), SbatchArg::Values(vec![arg.clone()]))];
            slurm.extra.insert(arg, crate::value::Value::Int(number));
            let json = serde_json::to_string(&slurm).unwrap();
            prop_assert_eq!(serde_json::from_str::<Slurm>(&json).unwrap(), slurm);
        }
    }
}
