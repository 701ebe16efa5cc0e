//! What Slurm's accounting keeps of jobs that are over, long after squeue has forgotten them.

use super::SlurmError;
use super::client::call_soon;
use std::collections::BTreeSet;

/// How an element, or a job that is no array, ended or stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounted {
    /// The array's job id.
    pub job: u64,
    /// The element; `None` for a job that is no array.
    pub index: Option<u64>,
    /// Slurm's own word, such as `OUT_OF_MEMORY`.
    pub word: String,
    /// Its exit code, and the signal that ended it.
    pub exit: (u8, u8),
    /// Where it ran; empty where it did not.
    pub nodes: String,
}

/// What accounting says of these jobs: one call. Many sites have none; whoever waits at a terminal waits not long.
///
/// # Errors
/// Where there is no accounting, or it cannot be asked.
pub fn accounted(jobs: &BTreeSet<u64>) -> Result<Vec<Accounted>, SlurmError> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let jobs: Vec<_> = jobs.iter().map(u64::to_string).collect();
    let arguments = ["--allocations", "--noheader", "--parsable2", "--format=JobID,State,ExitCode,NodeList"];
    let arguments = arguments.into_iter().map(str::to_owned).chain([format!("--jobs={}", jobs.join(","))]);
    let out = call_soon("sacct", arguments.collect())?;
    Ok(out.lines().filter_map(line).collect())
}

/// `12_3|FAILED|3:0|n1`; elements that never started share a line (`12_[4-5]`), which tells nothing of an end.
fn line(line: &str) -> Option<Accounted> {
    let mut fields = line.split('|');
    let (id, word, exit, nodes) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let (job, index) = match id.split_once('_') {
        Some((job, index)) => (job.parse().ok()?, Some(index.parse().ok()?)),
        None => (id.parse().ok()?, None),
    };
    let (code, signal) = exit.split_once(':')?;
    let exit = (code.parse().ok()?, signal.parse().ok()?);
    let nodes = if nodes.starts_with("None") { String::new() } else { nodes.to_owned() };
    Some(Accounted { job, index, word: word.to_owned(), exit, nodes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_22_05_writes_them() {
        let found = |job, index, word: &str, exit, nodes: &str| {
            Some(Accounted { job, index, word: word.to_owned(), exit, nodes: nodes.to_owned() })
        };
        assert_eq!(line("10_0|FAILED|3:0|n1"), found(10, Some(0), "FAILED", (3, 0), "n1"));
        assert_eq!(line("7|CANCELLED by 0|0:0|None assigned"), found(7, None, "CANCELLED by 0", (0, 0), ""));
        assert_eq!(line("16_1|OUT_OF_MEMORY|0:125|n[1-2]"), found(16, Some(1), "OUT_OF_MEMORY", (0, 125), "n[1-2]"));
        assert_eq!(line("22_[0-3%2]|PENDING|0:0|None assigned"), None);
        assert_eq!(line(""), None);
    }
}
