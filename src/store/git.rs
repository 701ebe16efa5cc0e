//! What git says of the folder the code came from. It is asked as a program, and never a reason to fail: what it cannot tell
//! stands in the record's notes.
//!
//! It must not change anything: no index is refreshed, no hook, monitor, pager or external diff is run.

use crate::plan::layout::plan as names;
use crate::plan::record::{FORMAT, GitRecord};
use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// The most bytes of a diff that are kept.
const DIFF_LIMIT: usize = 5_000_000;

/// The most untracked files that are named.
const UNTRACKED_LIMIT: usize = 1000;

/// The most bytes of any other answer.
const ANSWER_LIMIT: usize = 16_000_000;

/// All of git's answers together may take so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// The state of the repository that `directory` lies in, and the difference to its commit. `results` are folders that a plan
/// fills: that git does not know them means nothing.
pub fn record(directory: &Path, results: &[PathBuf]) -> (GitRecord, Option<Vec<u8>>) {
    Git { directory, program: "git", until: Instant::now() + PATIENCE }.record(results)
}

/// Asks git about one folder.
struct Git<'a> {
    directory: &'a Path,
    program: &'a str,
    until: Instant,
}

/// What git printed, cut at a limit.
struct Answer {
    bytes: Vec<u8>,
    cut: bool,
}

impl Git<'_> {
    fn record(&self, results: &[PathBuf]) -> (GitRecord, Option<Vec<u8>>) {
        let mut record =
            GitRecord { format: FORMAT, directory: self.directory.display().to_string(), ..GitRecord::default() };
        let diff = self.fill(&mut record, results).unwrap_or_else(|why| {
            record.notes.push(why);
            None
        });
        (record, diff)
    }

    fn fill(&self, record: &mut GitRecord, results: &[PathBuf]) -> Result<Option<Vec<u8>>, String> {
        let top = self.ask(&["rev-parse", "--show-toplevel"], ANSWER_LIMIT)?;
        let top = PathBuf::from(text(top.bytes.strip_suffix(b"\n").unwrap_or(&top.bytes)));
        record.repository = Some(top.display().to_string());
        let status = self.ask(
            &["status", "--porcelain=v2", "--branch", "-z", "--untracked-files=normal", "--ignored=no"],
            ANSWER_LIMIT,
        )?;
        let status_of = Status::parse(&status.bytes);
        record.commit = status_of.commit;
        record.branch = status_of.branch;
        record.dirty = Some(status_of.dirty);
        let mut untracked = status_of.untracked;
        untracked.retain(|path| !results.iter().any(|results| top.join(path).starts_with(results)));
        let more = untracked.len().saturating_sub(UNTRACKED_LIMIT);
        if more > 0 || status.cut {
            record.notes.push(format!("only the first {UNTRACKED_LIMIT} untracked files are named"));
        }
        untracked.truncate(UNTRACKED_LIMIT);
        record.untracked = untracked;
        if record.commit.is_none() {
            record.notes.push("the repository has no commit yet".to_owned());
            return Ok(None);
        }
        if !status_of.dirty {
            return Ok(None);
        }
        // Formatted for `git apply`, whatever the user's own settings are.
        let diff = self.ask(
            &[
                "diff",
                "HEAD",
                "--binary",
                "--no-color",
                "--no-ext-diff",
                "--no-textconv",
                "--no-relative",
                "--submodule=short",
                "--src-prefix=a/",
                "--dst-prefix=b/",
            ],
            DIFF_LIMIT,
        )?;
        if diff.cut {
            record.notes.push(format!(
                "{} has only the first {DIFF_LIMIT} bytes of the differences; it cannot be applied",
                names::GIT_DIFF
            ));
        }
        record.diff = Some(names::GIT_DIFF.to_owned());
        Ok(Some(diff.bytes))
    }

    /// Runs git and reads at most `limit` bytes of what it prints.
    fn ask(&self, arguments: &[&str], limit: usize) -> Result<Answer, String> {
        let mut command = Command::new(self.program);
        command
            .args(["--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false"])
            .args(arguments)
            .current_dir(self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        // Inside a hook, or a shell set up for another repository, they would lead elsewhere.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0");
        let mut child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "git is not installed".to_owned(),
            _ => format!("git cannot be started: {error}"),
        })?;
        let out = read_aside(child.stdout.take(), limit);
        let err = read_aside(child.stderr.take(), 4096);
        let left = self.until.saturating_duration_since(Instant::now());
        let answer = out.recv_timeout(left);
        if !matches!(&answer, Ok(answer) if !answer.cut) {
            // Too slow, or nobody reads the rest.
            let group = i32::try_from(child.id()).ok().map(nix::unistd::Pid::from_raw);
            let _ = group.map(|group| nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL));
        }
        let status = child.wait().map_err(|error| format!("git cannot be waited for: {error}"))?;
        let name = arguments.first().copied().unwrap_or_default();
        let answer = match answer {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("`git {name}` was given up after {} s", PATIENCE.as_secs()));
            }
            Err(RecvTimeoutError::Disconnected) => return Err(format!("`git {name}` could not be read")),
        };
        if status.success() || answer.cut {
            return Ok(answer);
        }
        let err = err.recv_timeout(Duration::from_secs(1)).map(|answer| text(&answer.bytes)).unwrap_or_default();
        Err(explain(name, &err))
    }
}

/// Reads a stream in a thread of its own, as far as it is wanted.
fn read_aside(stream: Option<impl Read + Send + 'static>, limit: usize) -> mpsc::Receiver<Answer> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let wanted = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        if let Some(stream) = stream {
            // What was read before an error is still something.
            let _ = stream.take(wanted).read_to_end(&mut bytes);
        }
        let cut = bytes.len() > limit;
        bytes.truncate(limit);
        // Nobody listens any more where git was given up.
        let _ = send.send(Answer { bytes, cut });
    });
    receive
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Why git had no answer.
fn explain(command: &str, message: &str) -> String {
    let line = message.lines().find(|line| line.starts_with("fatal: ")).or_else(|| message.lines().next());
    let line = line.unwrap_or("no message").trim_start_matches("fatal: ");
    if line.starts_with("not a git repository") {
        return "not a git repository".to_owned();
    }
    if line.contains("dubious ownership") {
        return format!("git refuses: {line}; `git config --global --add safe.directory …` allows it");
    }
    format!("`git {command}` failed: {line}")
}

/// What `git status --porcelain=v2 --branch -z` says.
#[derive(Debug, Default, PartialEq)]
struct Status {
    commit: Option<String>,
    branch: Option<String>,
    dirty: bool,
    untracked: Vec<String>,
}

impl Status {
    fn parse(bytes: &[u8]) -> Self {
        let mut status = Status::default();
        let mut lines = bytes.split(|byte| *byte == 0);
        while let Some(line) = lines.next() {
            let line = text(line);
            if let Some(header) = line.strip_prefix("# ") {
                let value = header.split_once(' ').map(|(key, value)| (key, value.to_owned()));
                match value {
                    Some(("branch.oid", oid)) if oid != "(initial)" => status.commit = Some(oid),
                    Some(("branch.head", head)) if head != "(detached)" => status.branch = Some(head),
                    _ => {}
                }
            } else if let Some(path) = line.strip_prefix("? ") {
                status.untracked.push(path.to_owned());
            } else if !line.is_empty() {
                status.dirty = true;
                if line.starts_with("2 ") {
                    // A renamed file has its old name in a field of its own, which may begin like anything.
                    lines.next();
                }
            }
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_status_is_read() {
        let bytes = b"# branch.oid 0a1b\0# branch.head main\0# branch.ab +1 -0\0\
                      1 .M N... 100644 100644 100644 a b train.py\x002 R. N... 1 1 1 a b R100 new\0? old\0? notes.txt\0? out/\0";
        let expected = Status {
            commit: Some("0a1b".to_owned()),
            branch: Some("main".to_owned()),
            dirty: true,
            untracked: vec!["notes.txt".to_owned(), "out/".to_owned()],
        };
        assert_eq!(Status::parse(bytes), expected);
        assert_eq!(Status::parse(b"# branch.oid (initial)\0# branch.head (detached)\0"), Status::default());
    }

    #[test]
    fn refusals_are_explained() {
        for (message, expected) in [
            ("fatal: not a git repository (or any of the parent directories): .git\n", "not a git repository"),
            (
                "fatal: detected dubious ownership in repository at '/r'\nTo add …\n",
                "git refuses: detected dubious ownership in repository at '/r'; `git config --global --add safe.directory …` allows it",
            ),
            (
                "warning: x\nfatal: this operation must be run in a work tree\n",
                "`git status` failed: this operation must be run in a work tree",
            ),
            ("", "`git status` failed: no message"),
        ] {
            assert_eq!(explain("status", message), expected);
        }
    }

    #[test]
    fn a_missing_git_is_a_note() {
        let git = Git { directory: Path::new("/"), program: "no-such-git", until: Instant::now() + PATIENCE };
        let (record, diff) = git.record(&[]);
        assert_eq!((record.notes, diff), (vec!["git is not installed".to_owned()], None));
    }

    proptest! {
        #[test]
        fn any_answer_is_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Status::parse(&bytes);
        }
    }
}
