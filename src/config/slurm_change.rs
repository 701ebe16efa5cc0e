//! `key=value` changes to a SLURM document that is already resolved, for one more attempt at a plan (`cw2 retry`).
//!
//! Values are read and refused exactly as those of a configuration; only what a retry cannot change is refused besides.

use super::error::{Diagnostic, Report};
use super::keys::{self, Known, Scope};
use super::node::{At, Node, NodeKind, brief};
use super::option::{self, SbatchArg, long_name};
use super::reader::Reader;
use super::{Slurm, set, slurm};
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
        let given = |written: &String| args.and_then(|args| args.get(written)).is_some_and(|(_, node)| !node.is_null());
        let mut values = values;
        values.options.retain(|asked| asked.written.as_ref().is_none_or(given));
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
        self.memory = read.values.options.text("mem-per-cpu").map(str::to_owned);
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
        let new = &self.values;
        if let Some(memory) = &self.memory {
            let option = slurm.options.memory();
            slurm.options.retain(|asked| !is_memory(&asked.option));
            match option {
                Some(option) if option != "mem-per-cpu" => {
                    slurm.options.set_arg(option, SbatchArg::Values(vec![memory.clone()]));
                }
                _ => slurm.options.set_key("mem-per-cpu", memory),
            }
        }
        for key in &self.keys {
            match key.as_str() {
                key if option::KEYS.contains(&key) => {
                    slurm
                        .options
                        .retain(|asked| asked.option != key && !(key == "mem-per-cpu" && is_memory(&asked.option)));
                    let asked = new.options.iter().filter(|asked| asked.written.is_none() && asked.option == key);
                    asked.for_each(|asked| slurm.options.set(asked.clone()));
                }
                "sbatch_args" => {
                    let whole = self.args.is_none();
                    let given: Vec<_> = self.args.iter().flatten().map(|key| long_name(key)).collect();
                    let memory = given.iter().any(|option| is_memory(option));
                    slurm.options.retain(|asked| {
                        let gone = given.contains(&asked.option.as_str()) || memory && is_memory(&asked.option);
                        !(gone || whole && asked.written.is_some())
                    });
                    new.options.written().for_each(|(_, asked)| slurm.options.set(asked.clone()));
                }
                "num_parallel_jobs" => slurm.num_parallel_jobs = new.num_parallel_jobs,
                "pilots" => slurm.pilots = new.pilots,
                "sh_lines" => slurm.sh_lines.clone_from(&new.sh_lines),
                "sh_lines_after" => slurm.sh_lines_after.clone_from(&new.sh_lines_after),
                "on_finish" => slurm.on_finish.clone_from(&new.on_finish),
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

fn is_memory(option: &str) -> bool {
    option::MEMORY.contains(&option)
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

    fn slurm_of(texts: &[&str]) -> Slurm {
        Slurm { options: option::asked(texts), ..Slurm::default() }
    }

    fn texts_of(slurm: &Slurm) -> Vec<String> {
        let text = |asked: &option::Asked| {
            let name = asked.written.as_ref().map_or(asked.option.clone(), |written| format!(":{written}"));
            match &asked.value {
                SbatchArg::Flag => name,
                SbatchArg::Values(values) => format!("{name}={}", values.join("+")),
            }
        };
        slurm.options.iter().map(text).collect()
    }

    #[test]
    fn only_what_is_named_changes() {
        let mut slurm = slurm_of(&["partition=cpu", "time=10", "account=a", ":gres=gpu:1", ":qos=low"]);
        let change =
            ["time=1:30:00", "mem-per-cpu=4G", "account=", "sbatch_args.gres=gpu:2", "sbatch_args.exclusive=true"];
        parse(&change).unwrap().apply(&mut slurm);
        let expected = ["partition=cpu", ":qos=low", "time=1:30:00", "mem-per-cpu=4G", ":gres=gpu:2", ":exclusive"];
        assert_eq!(texts_of(&slurm), expected);
        parse(&["sbatch_args.gres=false", "sbatch_args.exclusive=false"]).unwrap().apply(&mut slurm);
        assert_eq!(texts_of(&slurm), ["partition=cpu", ":qos=low", "time=1:30:00", "mem-per-cpu=4G"]);
        parse(&["sbatch_args="]).unwrap().apply(&mut slurm);
        assert_eq!(texts_of(&slurm), ["partition=cpu", "time=1:30:00", "mem-per-cpu=4G"]);
    }

    #[test]
    fn a_key_takes_the_place_of_its_option() {
        let mut slurm = slurm_of(&[":t=10", ":time=11", ":mem=1G", ":c=2", ":qos=low"]);
        parse(&["time=20", "mem-per-cpu=8G"]).unwrap().apply(&mut slurm);
        assert_eq!(texts_of(&slurm), [":c=2", ":qos=low", "time=0:20:00", "mem-per-cpu=8G"]);
        parse(&["cpus-per-task=4", "sbatch_args.c=5"]).unwrap().apply(&mut slurm);
        assert_eq!(texts_of(&slurm), [":qos=low", "time=0:20:00", "mem-per-cpu=8G", ":c=5"]);
        let mut slurm = slurm_of(&[":mem-per-c=1G", ":time-min=1"]);
        parse(&["time=5", "mem-per-cpu=2G"]).unwrap().apply(&mut slurm);
        assert_eq!(texts_of(&slurm), [":time-min=1", "time=0:05:00", "mem-per-cpu=2G"]);
        parse(&["sbatch_args.time-min="]).unwrap().apply(&mut slurm);
        assert_eq!(texts_of(&slurm), ["time=0:05:00", "mem-per-cpu=2G"]);
    }

    #[test]
    fn memory_is_asked_for_as_the_document_does() {
        let change = || parse(&[]).unwrap().with_memory(Some("300M")).unwrap();
        assert!(!change().is_empty() && parse(&[]).unwrap().with_memory(Some("much")).is_err());
        for (given, expected) in [("mem", "mem"), ("mem-per-gpu", "mem-per-gpu"), ("mem-per-g", "mem-per-gpu")] {
            let mut slurm = slurm_of(&[&format!(":{given}=1G")]);
            change().apply(&mut slurm);
            assert_eq!(texts_of(&slurm), [format!(":{expected}=300M")]);
            parse(&["sbatch_args.mem-per-cpu=4G"]).unwrap().apply(&mut slurm);
            assert_eq!(texts_of(&slurm), [":mem-per-cpu=4G"]);
            change().apply(&mut slurm);
            assert_eq!(texts_of(&slurm), ["mem-per-cpu=300M"]);
        }
        let mut slurm = slurm_of(&["mem-per-cpu=1G"]);
        parse(&["sbatch_args.mem=2G"]).unwrap().apply(&mut slurm);
        assert_eq!(texts_of(&slurm), [":mem=2G"]);
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
            let mut slurm = Slurm { grace: Some(1.5), ..Slurm::default() };
            slurm.options.set_key("time", time);
            slurm.options.set_arg("exclusive", SbatchArg::Flag);
            slurm.options.set_arg(&arg, SbatchArg::Values(vec![arg.clone()]));
            slurm.extra.insert(arg, crate::value::Value::Int(number));
            let json = serde_json::to_string(&slurm).unwrap();
            prop_assert_eq!(serde_json::from_str::<Slurm>(&json).unwrap(), slurm);
        }
    }
}
