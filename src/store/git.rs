//! What git says of the folder the code came from. It is asked as a program, and never a reason to fail: what it cannot tell
//! stands in the record's notes.
//!
//! It must not change anything: no index is refreshed, no hook, monitor, pager or external diff is run.

use crate::plan::layout::plan as names;
use crate::plan::record::{FORMAT, GitRecord};
use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The most bytes of an answer that are kept.
const LIMIT: usize = 5_000_000;

/// All of git's answers together may take so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// The state of the repository that `directory` lies in, and the difference to its commit.
pub fn record(directory: &Path) -> (GitRecord, Option<Vec<u8>>) {
    Git { directory, program: "git", until: Instant::now() + PATIENCE }.record()
}

/// Asks git about one folder.
struct Git<'a> {
    directory: &'a Path,
    program: &'a str,
    until: Instant,
}

impl Git<'_> {
    fn record(&self) -> (GitRecord, Option<Vec<u8>>) {
        let mut record =
            GitRecord { format: FORMAT, directory: self.directory.display().to_string(), ..GitRecord::default() };
        let diff = self.fill(&mut record).unwrap_or_else(|why| {
            record.notes.push(why);
            None
        });
        (record, diff)
    }

    fn fill(&self, record: &mut GitRecord) -> Result<Option<Vec<u8>>, String> {
        let top = text(&self.ask(&["rev-parse", "--show-toplevel"])?);
        record.repository = Some(top.strip_suffix('\n').unwrap_or(&top).to_owned());
        let status = text(&self.ask(&["status", "--porcelain=v2", "--branch", "--untracked-files=no"])?);
        let header = |key: &str| status.lines().find_map(|line| line.strip_prefix("# ")?.strip_prefix(key));
        record.commit = header("branch.oid ").filter(|oid| *oid != "(initial)").map(str::to_owned);
        record.branch = header("branch.head ").filter(|head| *head != "(detached)").map(str::to_owned);
        let dirty = status.lines().any(|line| !line.starts_with('#'));
        record.dirty = Some(dirty);
        if record.commit.is_none() {
            record.notes.push("the repository has no commit yet".to_owned());
            return Ok(None);
        }
        if !dirty {
            return Ok(None);
        }
        // Formatted for `git apply`, whatever the user's own settings are.
        let form = ["--binary", "--no-color", "--no-ext-diff", "--no-textconv", "--no-relative", "--submodule=short"];
        let mut diff = self.ask(&[&["diff", "HEAD", "--src-prefix=a/", "--dst-prefix=b/"], &form[..]].concat())?;
        if diff.len() > LIMIT {
            diff.truncate(LIMIT);
            record.notes.push(format!(
                "{} has only the first {LIMIT} bytes of the differences; it cannot be applied",
                names::GIT_DIFF
            ));
        }
        record.diff = Some(names::GIT_DIFF.to_owned());
        Ok(Some(diff))
    }

    /// Runs git and reads what it prints, at most one byte more than [`LIMIT`].
    fn ask(&self, arguments: &[&str]) -> Result<Vec<u8>, String> {
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
        let (send, receive) = mpsc::channel();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        std::thread::spawn(move || send.send(read(stdout, LIMIT + 1)));
        let answer = receive.recv_timeout(self.until.saturating_duration_since(Instant::now()));
        if !matches!(&answer, Ok(bytes) if bytes.len() <= LIMIT) {
            // Too slow, or nobody reads the rest.
            let group = i32::try_from(child.id()).ok().map(nix::unistd::Pid::from_raw);
            let _ = group.map(|group| nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL));
        }
        let status = child.wait().map_err(|error| format!("git cannot be waited for: {error}"))?;
        let name = arguments.first().copied().unwrap_or_default();
        let bytes = answer.map_err(|_| format!("`git {name}` was given up after {} s", PATIENCE.as_secs()))?;
        if status.success() || bytes.len() > LIMIT {
            return Ok(bytes);
        }
        Err(explain(name, &text(&read(stderr, 4096))))
    }
}

/// At most so many bytes of a stream. What was read before an error is still something.
fn read(stream: Option<impl Read>, limit: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    let _ = stream.map(|stream| stream.take(limit).read_to_end(&mut bytes));
    bytes
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

#[cfg(test)]
mod tests {
    use super::*;

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
        let (record, diff) = git.record();
        assert_eq!((record.notes, diff), (vec!["git is not installed".to_owned()], None));
    }
}
