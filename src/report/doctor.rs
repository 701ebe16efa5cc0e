//! `cw2 doctor`: what is known of the cluster and of folders for results, as text and as JSON.

use super::human;
use crate::slurm::{Facts, Limit, Nodes, Partition};
use crate::store::file_system::{FileSystem, Reach};
use crate::store::lock_probe::Locks;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What was found.
#[derive(Debug)]
pub struct Examined {
    /// This machine.
    pub host: String,
    /// The cluster.
    pub slurm: Slurm,
    /// The folders that were asked about.
    pub folders: Vec<Folder>,
}

/// The cluster.
#[derive(Debug)]
pub enum Slurm {
    /// There is none here; why that is known.
    None(String),
    /// It does not answer, or not as it should.
    Broken(String),
    /// What it says.
    Found {
        /// Itself.
        facts: Facts,
        /// Why `sacct` does not answer, where it does not.
        accounting: Result<(), String>,
        /// What this user may have at once, where the accounting tells.
        limits: Result<Vec<Limit>, String>,
    },
}

/// A folder for results.
#[derive(Debug)]
pub struct Folder {
    /// Where.
    pub path: String,
    /// The folder above that was looked at, where this one does not exist.
    pub instead: Option<String>,
    /// What was found, or why nothing.
    pub found: Result<Found, String>,
}

/// What was found of a folder.
#[derive(Debug)]
pub struct Found {
    /// Where it lies.
    pub file_system: FileSystem,
    /// What two processes of this machine did to each other.
    pub here: Locks,
    /// What two nodes did, where that was asked.
    pub nodes: Option<Result<BetweenNodes, String>>,
}

/// What two nodes did to each other.
#[derive(Debug)]
pub struct BetweenNodes {
    /// Their names.
    pub nodes: Vec<String>,
    /// What came of it.
    pub locks: Locks,
}

impl Examined {
    /// Whether something is wrong.
    pub fn is_ill(&self) -> bool {
        let folder = |folder: &Folder| match &folder.found {
            Err(_) => true,
            Ok(found) => {
                let nodes = found.nodes.as_ref();
                found.here.objection().is_some()
                    || nodes.is_some_and(|nodes| nodes.as_ref().map_or(true, |nodes| nodes.locks.objection().is_some()))
            }
        };
        matches!(self.slurm, Slurm::Broken(_)) || self.folders.iter().any(folder)
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.slurm.write(&self.host, &mut out);
        for folder in &self.folders {
            folder.write(&mut out);
        }
        out
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "host": self.host,
            "slurm": self.slurm.json(),
            "folders": self.folders.iter().map(Folder::json).collect::<Vec<_>>(),
            "ok": !self.is_ill(),
        })
    }
}

/// A line with its name in front. Writing to a String cannot fail.
fn line(out: &mut String, name: &str, text: &str) {
    let _ = writeln!(out, "  {name:<14}{text}");
}

impl Slurm {
    fn write(&self, host: &str, out: &mut String) {
        let (facts, accounting, limits) = match self {
            Slurm::None(why) => {
                let _ = writeln!(out, "Slurm: none on this machine, {host} ({why})");
                line(out, "", "`cw2 run` works here all the same; `plan` writes scripts for any cluster");
                return;
            }
            Slurm::Broken(why) => {
                let _ = writeln!(out, "Slurm: it does not answer on this machine, {host}");
                line(out, "", why);
                return;
            }
            Slurm::Found { facts, accounting, limits } => (facts, accounting, limits),
        };
        let cluster = facts.cluster.as_deref().map_or(String::new(), |cluster| format!(", cluster {cluster}"));
        let _ = writeln!(out, "Slurm {}{cluster} (asked on {host})", facts.version);
        if let Some(most) = facts.max_array_size {
            line(out, "arrays", &format!("{most} jobs each (MaxArraySize); larger sweeps become several"));
        }
        if let Some(most) = facts.max_jobs {
            line(out, "queue", &format!("{most} jobs of all users (MaxJobCount)"));
        }
        match facts.requeue {
            Some(true) => line(out, "requeue", "allowed by default"),
            Some(false) => line(out, "requeue", "only where a job asks for it, as `requeue: true` does"),
            None => {}
        }
        match (accounting, &facts.accounting) {
            (Ok(()), Some(kind)) => line(out, "accounting", &format!("works ({kind})")),
            (Ok(()), None) => line(out, "accounting", "works"),
            (Err(why), _) => {
                line(out, "accounting", &format!("none: {why}"));
                line(out, "", "what Slurm has forgotten stays unknown: `status` tells it from files alone");
            }
        }
        match limits {
            Err(_) if accounting.is_err() => line(out, "your limits", "not known without accounting"),
            Err(why) => line(out, "your limits", &format!("not known: {why}")),
            Ok(limits) if limits.is_empty() => line(out, "your limits", "this user has no account there"),
            Ok(limits) => {
                for (number, limit) in limits.iter().enumerate() {
                    line(out, if number == 0 { "your limits" } else { "" }, &limit_text(limit));
                }
            }
        }
        out.push('\n');
        if facts.partitions.is_empty() {
            out.push_str("Slurm shows you no partition here (`PrivateData`)\n");
        } else {
            out.push_str(&partitions(&facts.partitions));
        }
    }

    fn json(&self) -> Value {
        match self {
            Slurm::None(why) => json!({ "found": false, "error": why }),
            Slurm::Broken(why) => json!({ "found": true, "error": why }),
            Slurm::Found { facts, accounting, limits } => {
                let mut value = serde_json::to_value(facts).unwrap_or_default();
                if let Value::Object(map) = &mut value {
                    map.insert("found".to_owned(), true.into());
                    map.insert("accounting_works".to_owned(), accounting.is_ok().into());
                    map.insert("limits".to_owned(), json!(limits.as_ref().ok()));
                }
                value
            }
        }
    }
}

fn limit_text(limit: &Limit) -> String {
    let number = |number: Option<u64>, what: &str| number.map(|number| format!("{number} jobs {what}"));
    let time = limit.max_time.map(|seconds| format!("{} a job", clock(seconds)));
    let parts = [number(limit.max_submit, "in the queue"), number(limit.max_running, "running"), time];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    format!("{}: {}", limit.of, if parts.is_empty() { "none".to_owned() } else { parts.join(", ") })
}

#[expect(clippy::cast_precision_loss, reason = "time limits are far below 2^52 seconds")]
fn clock(seconds: u64) -> String {
    human::seconds(seconds as f64)
}

/// The partitions as a table, a row for each kind of node.
fn partitions(partitions: &[Partition]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["PARTITION", "TIME", "DEFAULT", "NODES", "CPUS", "MEMORY", "GPUS", "NOTE"]);
    let time = |seconds: Option<u64>, none: &str| seconds.map_or_else(|| none.to_owned(), clock);
    for partition in partitions {
        let mut remarks = Vec::new();
        if partition.default {
            remarks.push("default".to_owned());
        }
        if !partition.up {
            remarks.push("takes no jobs now".to_owned());
        }
        remarks.extend(partition.max_nodes.map(|most| format!("{most} nodes a job")));
        remarks.extend(partition.max_cpus_per_node.map(|most| format!("{most} CPUs a node")));
        remarks.extend(partition.max_mem_per_node.map(|most| format!("{most} MB a node")));
        let none = [Nodes::default()];
        let nodes: &[Nodes] = if partition.nodes.is_empty() { &none } else { &partition.nodes };
        for (number, kind) in nodes.iter().enumerate() {
            let first = |text: String| if number == 0 { text } else { String::new() };
            let gpus = match kind.gpus {
                0 => "-".to_owned(),
                gpus => format!("{gpus} ({})", kind.gres),
            };
            table.add_row([
                first(partition.name.clone()),
                first(time(partition.max_time, "no limit")),
                first(time(partition.default_time, "-")),
                kind.count.to_string(),
                kind.cpus.to_string(),
                format!("{} MB", kind.memory),
                gpus,
                first(remarks.join(", ")),
            ]);
        }
    }
    table.lines().fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

impl Folder {
    fn write(&self, out: &mut String) {
        let _ = writeln!(out, "\nresults in {}", self.path);
        if let Some(instead) = &self.instead {
            line(out, "", &format!("it does not exist yet; this is about {instead}"));
        }
        let found = match &self.found {
            Ok(found) => found,
            Err(why) => return line(out, "", why),
        };
        let FileSystem { kind, mount, source, .. } = &found.file_system;
        line(out, "file system", &format!("{kind} at {mount} ({source})"));
        line(out, "locks here", &verdict(&found.here, "between two processes of this machine"));
        match &found.nodes {
            Some(Ok(BetweenNodes { nodes, locks })) => {
                line(out, "between nodes", &verdict(locks, &format!("between {}", nodes.join(" and "))));
            }
            Some(Err(why)) => line(out, "between nodes", &format!("not known: {why}")),
            None if found.here.objection().is_some() => {}
            None => {
                let text = match found.file_system.reach() {
                    Reach::Everywhere => "they exclude each other, as the mount says; `--srun` tries".to_owned(),
                    Reach::ThisMachine(why) => format!("not to be expected, as {why}; `--srun` tries"),
                    Reach::Unknown => match found.file_system.keeps_locks_apart() {
                        Some(why) => format!("not to be expected: {why}; `--srun` tries"),
                        None => "not known: nothing but two nodes can tell; `--srun` tries".to_owned(),
                    },
                };
                line(out, "between nodes", &text);
            }
        }
    }

    fn json(&self) -> Value {
        let found = match &self.found {
            Err(why) => json!({ "error": why }),
            Ok(found) => {
                let reach = match found.file_system.reach() {
                    Reach::Everywhere => "everywhere",
                    Reach::ThisMachine(_) => "this machine",
                    Reach::Unknown => "unknown",
                };
                let nodes = found.nodes.as_ref().map(|nodes| match nodes {
                    Ok(BetweenNodes { nodes, locks }) => json!({ "nodes": nodes, "locks": word(locks) }),
                    Err(why) => json!({ "error": why }),
                });
                let FileSystem { kind, mount, source, .. } = &found.file_system;
                json!({
                    "file_system": { "kind": kind, "mount": mount, "source": source },
                    "locks_here": word(&found.here),
                    "locks_reach": reach,
                    "between_nodes": nodes,
                })
            }
        };
        let mut value = json!({ "path": self.path, "exists": self.instead.is_none() });
        if let (Value::Object(map), Value::Object(found)) = (&mut value, found) {
            map.extend(found);
        }
        value
    }
}

fn verdict(locks: &Locks, who: &str) -> String {
    match locks.objection() {
        None => format!("they exclude each other ({who})"),
        Some(why) => format!("they do not work ({who}): {why}"),
    }
}

fn word(locks: &Locks) -> &'static str {
    match locks {
        Locks::Exclude => "exclude",
        Locks::DoNotExclude => "do not exclude",
        Locks::Stay => "stay",
        Locks::None(_) => "none",
    }
}
