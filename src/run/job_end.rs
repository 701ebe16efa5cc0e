//! How the job of a repetition ended that cannot say so itself: its worker never started, or is gone.

use std::fmt;
use std::path::PathBuf;

/// The end of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEnd {
    /// The element: `12_3`.
    pub id: String,
    /// Slurm's word; `None` where Slurm no longer knows the job.
    pub word: Option<String>,
    /// Its exit code, and the signal that ended it, where Slurm's accounting tells.
    pub exit: Option<(u8, u8)>,
    /// Where it ran, where that is known.
    pub nodes: String,
    /// Slurm's log of it, where there is one.
    pub log: Option<PathBuf>,
    /// The end of that log.
    pub tail: String,
}

impl JobEnd {
    /// Slurm's word without who did it.
    fn plain_word(&self) -> Option<&str> {
        self.word.as_deref()?.split([' ', '+']).next()
    }

    /// Whether somebody, or another job, took it off the cluster: then it did not fail.
    pub fn was_taken_off(&self) -> bool {
        matches!(self.plain_word(), Some("CANCELLED" | "PREEMPTED" | "REVOKED"))
    }

    /// Whether it is over in a way that a worker's own end cannot explain, though a worker was there: one that is through, was
    /// interrupted or saw crashes would have left states.
    pub fn is_no_workers(&self) -> bool {
        !matches!((self.plain_word(), self.exit), (Some("COMPLETED"), _) | (_, Some((1 | 75, 0))))
    }
}

impl fmt::Display for JobEnd {
    /// `FAILED (exit code 3)`, `OUT_OF_MEMORY: its job had too little memory`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(word) = self.plain_word() else { return f.write_str("no longer knows its job") };
        write!(f, "says {word}")?;
        match self.exit {
            _ if word == "OUT_OF_MEMORY" => f.write_str(": it needed more memory than its job had"),
            _ if word == "TIMEOUT" => f.write_str(": the time limit of its job"),
            Some((0, 0)) | None => Ok(()),
            // What Slurm says where it could not even open the log.
            Some((0, 53)) => f.write_str(" (signal 53: Slurm could not start it)"),
            Some((0, signal)) => write!(f, " (signal {signal})"),
            Some((code, _)) => write!(f, " (exit code {code})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_in_slurms_words_and_ours() {
        let end = |word: Option<&str>, exit| JobEnd {
            id: "1_2".to_owned(),
            word: word.map(str::to_owned),
            exit,
            nodes: String::new(),
            log: None,
            tail: String::new(),
        };
        for (word, exit, expected, taken_off, no_workers) in [
            (Some("FAILED"), Some((3, 0)), "says FAILED (exit code 3)", false, true),
            (Some("FAILED"), Some((0, 9)), "says FAILED (signal 9)", false, true),
            (Some("FAILED"), Some((1, 0)), "says FAILED (exit code 1)", false, false),
            (Some("COMPLETED"), None, "says COMPLETED", false, false),
            (
                Some("OUT_OF_MEMORY"),
                Some((0, 125)),
                "says OUT_OF_MEMORY: it needed more memory than its job had",
                false,
                true,
            ),
            (Some("CANCELLED by 0"), Some((0, 0)), "says CANCELLED", true, true),
            (Some("NODE_FAIL"), None, "says NODE_FAIL", false, true),
            (None, None, "no longer knows its job", false, true),
        ] {
            let end = end(word, exit);
            assert_eq!(end.to_string(), expected);
            assert_eq!((end.was_taken_off(), end.is_no_workers()), (taken_off, no_workers), "{expected}");
        }
    }
}
