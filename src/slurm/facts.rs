//! What a cluster says of itself: version, limits, partitions, accounting.
//!
//! Owns the calls, a handful for a question that a person asks, and how the answers are read.

use super::SlurmError;
use super::client::call_soon;
use crate::config::{SlurmTime, slurm_time};
use serde::Serialize;
use std::collections::HashSet;

/// The cluster as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Slurm's version.
    pub version: String,
    /// The cluster's name.
    pub cluster: Option<String>,
    /// One more than the highest index of an array.
    pub max_array_size: Option<u32>,
    /// How many jobs the queue holds, of all users.
    pub max_jobs: Option<u64>,
    /// Whether a job may be requeued that does not say so itself.
    pub requeue: Option<bool>,
    /// What keeps the accounting, without its prefix; none where nothing does.
    pub accounting: Option<String>,
    /// The partitions that this user may see; none where the site shows none.
    pub partitions: Vec<Partition>,
}

/// A partition. Limits that there are none of are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Partition {
    /// Its name.
    pub name: String,
    /// Whether a job goes there that names none.
    pub default: bool,
    /// Whether it takes and starts jobs.
    pub up: bool,
    /// Seconds.
    pub max_time: Option<u64>,
    /// Seconds that a job gets that asks for none.
    pub default_time: Option<u64>,
    /// Nodes of a job.
    pub max_nodes: Option<u32>,
    /// CPUs of a job on a node.
    pub max_cpus_per_node: Option<u32>,
    /// MB of a job on a node.
    pub max_mem_per_node: Option<u64>,
    /// Its nodes, like ones together.
    pub nodes: Vec<Nodes>,
}

/// Nodes that are alike.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Nodes {
    /// How many.
    pub count: u32,
    /// CPUs of each.
    pub cpus: u32,
    /// MB of each.
    pub memory: u64,
    /// GPUs of each.
    pub gpus: u32,
    /// What else there is, and the GPUs' types, in Slurm's words; empty for nothing.
    pub gres: String,
}

/// What a user may have at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// Whose limit it is, such as "account `lab`".
    pub of: String,
    /// The account whose jobs it is about; else of a QOS.
    pub account: Option<String>,
    /// The quality of service whose jobs it is about.
    pub qos: Option<String>,
    /// The partition whose jobs it is about, where not all are.
    pub partition: Option<String>,
    /// Whether a job belongs there that names no account or QOS.
    pub default: bool,
    /// Jobs that wait or run.
    pub max_submit: Option<u64>,
    /// Jobs that run.
    pub max_running: Option<u64>,
    /// Seconds of a job.
    pub max_time: Option<u64>,
}

/// Asks for everything but the accounting: three calls.
///
/// # Errors
/// Where there is no Slurm, or it does not answer.
pub fn facts() -> Result<Facts, SlurmError> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let config = call_soon("scontrol", words(&["show", "config"]))?;
    let partitions = unless_hidden(call_soon("scontrol", words(&["show", "partition", "--oneliner"])))?;
    let nodes = unless_hidden(call_soon("sinfo", words(&["--noheader", "--exact", "--format=%R|%D|%c|%m|%G"])))?;
    Ok(read(&config, &partitions, &nodes))
}

/// Nothing, where a site keeps this from its users (`PrivateData=partitions,nodes`).
fn unless_hidden(told: Result<String, SlurmError>) -> Result<String, SlurmError> {
    match told {
        Err(SlurmError::Refused { message, .. } | SlurmError::Busy { message, .. })
            if message.contains("Access/permission denied") =>
        {
            Ok(String::new())
        }
        told => told,
    }
}

/// What the accounting limits for a user: two calls.
///
/// # Errors
/// Where there is none, or it does not answer.
pub fn limits(user: &str) -> Result<Vec<Limit>, SlurmError> {
    let call = |words: Vec<String>| {
        let common = ["--noheader", "--parsable2", "show"].map(str::to_owned);
        call_soon("sacctmgr", common.into_iter().chain(words).collect())
    };
    let of_user = call(vec![
        "associations".to_owned(),
        "where".to_owned(),
        format!("user={user}"),
        "format=Cluster,Account,Partition,MaxSubmitJobs,GrpSubmitJobs,MaxJobs,GrpJobs,MaxWall,QOS,DefaultQOS"
            .to_owned(),
    ])?;
    let qos = call(vec![
        "qos".to_owned(),
        "format=Name,MaxSubmitJobsPerUser,GrpSubmitJobs,MaxJobsPerUser,GrpJobs,MaxWall".to_owned(),
    ])?;
    Ok(read_limits(&of_user, &qos))
}

/// Whether `sacct` answers: one call for nothing.
///
/// # Errors
/// Why it does not.
pub fn accounting_answers() -> Result<(), SlurmError> {
    let words = ["--allocations", "--noheader", "--starttime=now", "--format=JobID"];
    call_soon("sacct", words.map(str::to_owned).to_vec()).map(drop)
}

fn read(config: &str, partitions: &str, nodes: &str) -> Facts {
    let value = |key: &str| {
        let line = config.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='))?;
        Some(line.trim()).filter(|value| !value.is_empty() && !value.starts_with('('))
    };
    let accounting = value("AccountingStorageType").map(|kind| kind.trim_start_matches("accounting_storage/"));
    Facts {
        version: value("SLURM_VERSION").unwrap_or_default().to_owned(),
        cluster: value("ClusterName").map(str::to_owned),
        max_array_size: value("MaxArraySize").and_then(number),
        max_jobs: value("MaxJobCount").and_then(number),
        requeue: value("JobRequeue").map(|value| value != "0"),
        accounting: accounting.filter(|kind| *kind != "none").map(str::to_owned),
        partitions: partitions.lines().filter_map(|line| partition(line, nodes)).collect(),
    }
}

/// `PartitionName=dev … Default=YES … MaxTime=1-00:00:00 State=UP …`.
fn partition(line: &str, nodes: &str) -> Option<Partition> {
    let value = |key: &str| line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    let name = value("PartitionName")?.to_owned();
    // `dev|4|8|4000|gpu:a100:4(S:0-1)`.
    let own = nodes.lines().filter_map(|line| {
        let fields: Vec<_> = line.split('|').collect();
        let [of, count, cpus, memory, gres] = fields.try_into().ok()?;
        (of == name).then(|| {
            let gres = if gres == "(null)" { String::new() } else { gres.to_owned() };
            Nodes {
                count: number(count).unwrap_or_default(),
                cpus: number(cpus).unwrap_or_default(),
                memory: number(memory).unwrap_or_default(),
                gpus: gpus(&gres),
                gres,
            }
        })
    });
    Some(Partition {
        default: value("Default") == Some("YES"),
        up: value("State") == Some("UP"),
        max_time: value("MaxTime").and_then(seconds),
        default_time: value("DefaultTime").and_then(seconds),
        max_nodes: value("MaxNodes").and_then(number),
        max_cpus_per_node: value("MaxCPUsPerNode").and_then(number),
        max_mem_per_node: value("MaxMemPerNode").and_then(number),
        nodes: own.collect(),
        name,
    })
}

/// The GPUs of a node: `gpu:4`, `gpu:a100:4(S:0-1),gpu:h100:2`.
fn gpus(gres: &str) -> u32 {
    // A comma may stand in the brackets that tell sockets.
    let mut depth = 0_i32;
    let plain: String = gres
        .chars()
        .filter(|c| {
            depth += i32::from(*c == '(');
            let outside = depth == 0;
            depth -= i32::from(*c == ')');
            outside
        })
        .collect();
    let of = |entry: &str| {
        let mut parts = entry.split(':');
        if parts.next()? != "gpu" {
            return None;
        }
        parts.next_back()?.parse::<u32>().ok()
    };
    plain.split(',').filter_map(of).sum()
}

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.trim_end_matches(['+', '*']).parse().ok()
}

fn seconds(text: &str) -> Option<u64> {
    match slurm_time(text)? {
        SlurmTime::Seconds(seconds) => Some(seconds),
        SlurmTime::Unlimited => None,
    }
}

/// The limits that there are: of the user's accounts, and of the qualities of service they may use.
fn read_limits(of_user: &str, qos: &str) -> Vec<Limit> {
    let least = |a: &str, b: &str| [a, b].into_iter().filter_map(number::<u64>).min();
    let lines = of_user.lines().filter_map(|line| <[&str; 10]>::try_from(line.split('|').collect::<Vec<_>>()).ok());
    let lines: Vec<_> = lines.collect();
    let accounts: HashSet<_> = lines.iter().map(|[_, account, ..]| *account).collect();
    let usable: HashSet<_> = lines.iter().flat_map(|line| line[8].split(',')).filter(|qos| !qos.is_empty()).collect();
    let default_qos: HashSet<_> = lines.iter().map(|line| line[9]).filter(|qos| !qos.is_empty()).collect();
    let mut limits = Vec::new();
    for [_, account, partition, submit, all_submit, running, all_running, wall, ..] in &lines {
        let place = if partition.is_empty() { String::new() } else { format!(" in partition `{partition}`") };
        limits.push(Limit {
            of: format!("account `{account}`{place}"),
            account: Some((*account).to_owned()),
            qos: None,
            partition: Some((*partition).to_owned()).filter(|partition| !partition.is_empty()),
            default: accounts.len() == 1,
            max_submit: least(submit, all_submit),
            max_running: least(running, all_running),
            max_time: seconds(wall),
        });
    }
    for line in qos.lines() {
        let fields: Vec<_> = line.split('|').collect();
        let Ok([name, submit, all_submit, running, all_running, wall]) = <[&str; 6]>::try_from(fields) else {
            continue;
        };
        let limit = Limit {
            of: format!("QOS `{name}`"),
            account: None,
            qos: Some(name.to_owned()),
            partition: None,
            default: usable.len() == 1 || default_qos.len() == 1 && default_qos.contains(name),
            max_submit: least(submit, all_submit),
            max_running: least(running, all_running),
            max_time: seconds(wall),
        };
        let any = limit.max_submit.or(limit.max_running).or(limit.max_time);
        if usable.contains(name) && any.is_some() {
            limits.push(limit);
        }
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_22_05_writes_them() {
        let config = "Configuration data as of 2026-01-01T00:00:00\nAccountingStorageType   = accounting_storage/slurmdbd\n\
                      ClusterName             = lab\nJobRequeue              = 0\nMaxArraySize            = 101\n\
                      MaxJobCount             = 20101\nSLURM_VERSION           = 22.05.8\nNodeFeaturesPlugins     = (null)\n";
        let partitions = "PartitionName=dev AllowGroups=ALL Default=YES DefaultTime=00:10:00 MaxNodes=UNLIMITED MaxTime=1-00:00:00 \
                          MaxCPUsPerNode=6 Nodes=n[1-4] State=UP MaxMemPerNode=2000 TRES=cpu=32\n\
                          PartitionName=off Default=NO DefaultTime=NONE MaxNodes=1 MaxTime=UNLIMITED State=DOWN MaxCPUsPerNode=UNLIMITED\n";
        let nodes = "dev|3|8|4000|gpu:a100:4(S:0,1),gpu:h100:2,tmpdisk:9\ndev|1|16|8000+|(null)\noff|1|2|900|gpu:1\n";
        let facts = read(config, partitions, nodes);
        let gpu = Nodes {
            count: 3,
            cpus: 8,
            memory: 4000,
            gpus: 6,
            gres: "gpu:a100:4(S:0,1),gpu:h100:2,tmpdisk:9".to_owned(),
        };
        let large = Nodes { count: 1, cpus: 16, memory: 8000, ..Nodes::default() };
        let dev = Partition {
            name: "dev".to_owned(),
            default: true,
            up: true,
            max_time: Some(86_400),
            default_time: Some(600),
            max_nodes: None,
            max_cpus_per_node: Some(6),
            max_mem_per_node: Some(2000),
            nodes: vec![gpu, large],
        };
        let off = Partition {
            name: "off".to_owned(),
            max_nodes: Some(1),
            nodes: vec![Nodes { count: 1, cpus: 2, memory: 900, gpus: 1, gres: "gpu:1".to_owned() }],
            ..Partition::default()
        };
        let expected = Facts {
            version: "22.05.8".to_owned(),
            cluster: Some("lab".to_owned()),
            max_array_size: Some(101),
            max_jobs: Some(20_101),
            requeue: Some(false),
            accounting: Some("slurmdbd".to_owned()),
            partitions: vec![dev, off],
        };
        assert_eq!(facts, expected);
        assert_eq!(read("", "odd\n", "odd\n"), Facts::default());
    }

    #[test]
    fn limits_are_those_of_the_user_and_of_what_it_may_use() {
        let of_user = "lab|root|dev|50|40|20||1-00:00:00|normal,long|long\nlab|other||||||||\nodd\n";
        let qos = "normal||||5|\nlong|3||||\nhuge|9||||\n";
        let found: Vec<_> = read_limits(of_user, qos)
            .into_iter()
            .map(|limit| (limit.of, limit.default, limit.max_submit, limit.max_running, limit.max_time))
            .collect();
        let limit = |of: &str, default, submit, running, time| (of.to_owned(), default, submit, running, time);
        assert_eq!(
            found,
            [
                limit("account `root` in partition `dev`", false, Some(40), Some(20), Some(86_400)),
                limit("account `other`", false, None, None, None),
                limit("QOS `normal`", false, None, Some(5), None),
                limit("QOS `long`", true, Some(3), None, None),
            ]
        );
        let one = read_limits("lab|root||||||1-00:00:00|normal|\n", "normal||||5|\n");
        assert!(one.len() == 2 && one.iter().all(|limit| limit.default), "{one:?}");
    }
}
