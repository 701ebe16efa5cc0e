//! The real Slurm, through its commands.

use super::element::{Element, ElementState, parse_indices};
use super::{Cluster, SlurmError, SubmitOptions};
use crate::config::{SlurmTime, slurm_time};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What Slurm's commands say when they fail for a while, under load or while the controller restarts.
const PASSING: [&str; 10] = [
    "Socket timed out",
    "Unable to contact slurm controller",
    "Resource temporarily unavailable",
    "temporarily unable to accept job",
    "Zero Bytes were transmitted or received",
    "Transport endpoint is not connected",
    "Connection refused",
    // 26.05: while it is made, written to or read from.
    "Connection timed out",
    // 23.02: please retry momentarily; 24.05: please retry later.
    "Rate limit exceeded",
    "Unexpected message received",
];

/// What they say where they are installed and know of no cluster, as on a laptop.
const NO_CLUSTER: &str = "Could not establish a configuration source";

/// Waits between tries, in seconds: some two minutes in all.
const BACK_OFF: [u64; 6] = [1, 2, 5, 10, 30, 60];

/// How long someone at a terminal waits for an answer.
const GLANCE: Duration = Duration::from_secs(20);

/// The Slurm of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Client;

impl Cluster for Client {
    fn submit(&self, script: &Path, token: &str, options: &SubmitOptions, turn: &File) -> Result<u64, SlurmError> {
        let mut arguments = vec!["--parsable".to_owned(), format!("--comment={}", comment(token, options))];
        arguments.extend(submit_arguments(script, options));
        let mut waits = BACK_OFF.iter();
        loop {
            // It reads nothing there: its standard input is only how it gets hold of the lock.
            let stdin = turn.try_clone().map_or_else(|_| Stdio::null(), Stdio::from);
            let error = match call_with("sbatch", &arguments, stdin) {
                // `id` or `id;cluster`.
                Ok((out, _)) => {
                    let id = out.trim().split(';').next().and_then(|id| id.parse().ok());
                    let message = format!("answered `{}`, which is no job id", out.trim());
                    return id.ok_or(SlurmError::Refused { program: "sbatch", message });
                }
                Err(error @ SlurmError::Busy { .. }) => error,
                Err(error) => return Err(error),
            };
            // The job may have been accepted though the answer was lost.
            if let Some(element) = with_retries(|| self.queue(&[]))?.iter().find(|element| element.token() == token) {
                return Ok(element.job);
            }
            let Some(wait) = waits.next() else { return Err(error) };
            log::warn!("{error}; trying again in {wait} s");
            std::thread::sleep(Duration::from_secs(*wait));
        }
    }

    fn test(&self, script: &Path, options: &SubmitOptions) -> Result<String, SlurmError> {
        let mut arguments = vec!["--test-only".to_owned()];
        arguments.extend(submit_arguments(script, options));
        let (_, said) = call("sbatch", &arguments)?;
        Ok(said.trim().trim_start_matches("sbatch: ").to_owned())
    }

    fn queue(&self, users: &[u32]) -> Result<Vec<Element>, SlurmError> {
        let (out, _) = call("squeue", &queue_arguments(users))?;
        Ok(elements(&out))
    }

    fn cancel(&self, jobs: &[String]) -> Result<(), SlurmError> {
        let mut rest = jobs;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(fitting(rest).max(1));
            match with_retries(|| call("scancel", now)) {
                // It ended by itself meanwhile; newer versions complain.
                Err(SlurmError::Refused { message, .. })
                    if message.split("; ").all(|line| line.contains("Invalid job id")) => {}
                result => drop(result?),
            }
            rest = later;
        }
        Ok(())
    }

    fn requeue(&self, job: &str) -> Result<(), SlurmError> {
        with_retries(|| call("scontrol", &["requeue", job])).map(drop)
    }
}

/// The user's comment, and the token behind it.
fn comment(token: &str, options: &SubmitOptions) -> String {
    options.comment.iter().map(String::as_str).chain([token]).collect::<Vec<_>>().join(" ")
}

impl Client {
    /// As [`Cluster::queue`], for someone who waits at a terminal and only wants to look: one call, no second try, and no long
    /// wait.
    pub fn glance(users: &[u32]) -> Result<Vec<Element>, SlurmError> {
        let out = call_soon("squeue", queue_arguments(users).to_vec())?;
        Ok(elements(&out))
    }

    /// Whether Slurm keeps the jobs of one of these users from this one. Where it does not say so in time, it does not.
    pub fn hides(users: &[u32]) -> bool {
        let own = rustix::process::getuid();
        if own.is_root() || users.iter().all(|user| *user == own.as_raw()) {
            return false;
        }
        let hidden = setting("PrivateData", GLANCE).unwrap_or_default();
        hidden.split(',').any(|what| matches!(what, "jobs" | "all"))
    }

    /// The cluster's `MaxArraySize`, where it says so in time.
    pub fn max_array_size(patience: Duration) -> Result<u32, SlurmError> {
        setting("MaxArraySize", patience)?.parse().map_err(|_| SlurmError::Refused {
            program: "scontrol",
            message: "its config names no MaxArraySize".to_owned(),
        })
    }
}

/// A setting of the cluster; nothing where it has none of that name.
fn setting(name: &str, patience: Duration) -> Result<String, SlurmError> {
    let out = call_within(patience, "scontrol", vec!["show".to_owned(), "config".to_owned()])?;
    let value = out.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='));
    Ok(value.unwrap_or_default().trim().to_owned())
}

/// What a program that only reads writes to standard output, if it does so in time: where the controller is away, or their
/// configuration is missing, Slurm's commands wait for a minute. Left alone, it ends by itself.
fn call_within(patience: Duration, program: &'static str, arguments: Vec<String>) -> Result<String, SlurmError> {
    let (answer, answered) = std::sync::mpsc::channel();
    std::thread::spawn(move || drop(answer.send(call(program, &arguments))));
    let late = || SlurmError::Busy { program, message: format!("no answer in {} s", patience.as_secs()) };
    Ok(answered.recv_timeout(patience).map_err(|_| late())??.0)
}

/// The same for someone who waits at a terminal.
pub(super) fn call_soon(program: &'static str, arguments: Vec<String>) -> Result<String, SlurmError> {
    call_within(GLANCE, program, arguments)
}

/// All of the users' jobs in one call: asked for ids it no longer knows, squeue fails as a whole.
fn queue_arguments(users: &[u32]) -> [String; 4] {
    let own = rustix::process::getuid().as_raw();
    let users: BTreeSet<u32> = users.iter().copied().chain([own]).collect();
    let users: Vec<_> = users.iter().map(u32::to_string).collect();
    ["--noheader".to_owned(), format!("--user={}", users.join(",")), "--states=all".to_owned(), QUEUE_FORMAT.to_owned()]
}

fn elements(out: &str) -> Vec<Element> {
    out.lines().filter_map(queue_line).flatten().collect()
}

fn submit_arguments(script: &Path, options: &SubmitOptions) -> Vec<String> {
    let hold = options.hold.then(|| "--hold".to_owned());
    let dependency = options.dependency.as_ref().map(|dependency| format!("--dependency={dependency}"));
    let array = options.array.as_ref().map(|array| format!("--array={array}"));
    let more = options.more.iter().cloned();
    let own = hold.into_iter().chain(dependency).chain(array);
    own.chain(more).chain([script.to_string_lossy().into_owned()]).collect()
}

/// How many of these arguments one command line holds: Linux takes 128 KiB an argument, and at least 2 MiB in all.
fn fitting(arguments: &[String]) -> usize {
    const MOST: usize = 256 * 1024;
    let mut bytes = 0;
    let fits = arguments.iter().take_while(|argument| {
        bytes += argument.len() + 1;
        bytes <= MOST
    });
    fits.count()
}

/// The time left of the allocation this process is in; `None` where it has no limit or Slurm does not say.
pub fn time_left() -> Option<Duration> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    if let Some(end) = number("SLURM_JOB_END_TIME") {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
        return Some(Duration::from_secs(end).saturating_sub(now));
    }
    // Older versions do not set it.
    let job = std::env::var("SLURM_JOB_ID").ok()?;
    let (out, _) = call("squeue", &["--noheader", "--format=%L", "--jobs", &job]).ok()?;
    match slurm_time(out.trim())? {
        SlurmTime::Unlimited => None,
        SlurmTime::Seconds(seconds) => Some(Duration::from_secs(seconds)),
    }
}

/// Between the fields of squeue's answer: comments and paths may hold anything that can be typed.
const SEPARATOR: char = '\u{1f}';

/// Array job, index or list, state, reason, comment, script.
const QUEUE_FORMAT: &str = "--format=%F\u{1f}%K\u{1f}%T\u{1f}%r\u{1f}%k\u{1f}%o";

/// A line of [`QUEUE_FORMAT`].
fn queue_line(line: &str) -> Option<Vec<Element>> {
    let fields: Vec<_> = line.splitn(6, SEPARATOR).map(str::trim).collect();
    let [job, index, word, reason, comment, script] = fields.try_into().ok()?;
    let job = job.parse().ok()?;
    let indices = match index {
        "N/A" => vec![None],
        // Without `--array`, pending elements share a line; a list too long for it is cut.
        list => parse_indices(list).map_or_else(|| vec![None], |indices| indices.into_iter().map(Some).collect()),
    };
    let known = |text: &str| if matches!(text, "None" | "(null)") { String::new() } else { text.to_owned() };
    let element = |index| Element {
        job,
        index,
        state: ElementState::of(word),
        word: word.to_owned(),
        reason: known(reason),
        script: known(script),
        comment: known(comment),
    };
    Some(indices.into_iter().map(element).collect())
}

/// Asks again while Slurm is busy: for what changes nothing when it is done twice, and for those who can wait.
pub fn with_retries<T>(mut ask: impl FnMut() -> Result<T, SlurmError>) -> Result<T, SlurmError> {
    let mut waits = BACK_OFF.iter();
    loop {
        match (ask(), waits.next()) {
            (Err(error @ SlurmError::Busy { .. }), Some(wait)) => {
                log::warn!("{error}; trying again in {wait} s");
                std::thread::sleep(Duration::from_secs(*wait));
            }
            (result, _) => return result,
        }
    }
}

/// Calls a program; returns what it wrote to standard output and standard error.
pub(super) fn call<S: AsRef<str>>(program: &'static str, arguments: &[S]) -> Result<(String, String), SlurmError> {
    call_with(program, arguments, Stdio::null())
}

/// Takes what is of a job from a command's environment. Inside a job it would become options of the new one; an inherited
/// `SLURM_CPU_BIND` slows every child down.
pub fn without_job(command: &mut Command) {
    const PREFIXES: [&str; 7] = ["SLURM_", "SBATCH_", "SRUN_", "SALLOC_", "SQUEUE_", "SACCT_", "SCANCEL_"];
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if PREFIXES.iter().any(|prefix| text.starts_with(prefix)) && text != "SLURM_CONF" {
            command.env_remove(&name);
        }
    }
}

fn call_with<S: AsRef<str>>(
    program: &'static str,
    arguments: &[S],
    stdin: Stdio,
) -> Result<(String, String), SlurmError> {
    let mut command = Command::new(program);
    command.args(arguments.iter().map(AsRef::as_ref)).stdin(stdin);
    without_job(&mut command);
    // Otherwise squeue cuts the list of an array's waiting elements at 64 characters.
    command.env("SLURM_BITSTR_LEN", "0");
    let output = command.output().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => SlurmError::Missing(program),
        _ => SlurmError::Refused { program, message: error.to_string() },
    })?;
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Ok((String::from_utf8_lossy(&output.stdout).into_owned(), text.into_owned()));
    }
    let prefix = format!("{program}: error: ");
    let message: Vec<_> = text.lines().map(|line| line.strip_prefix(&prefix).unwrap_or(line).trim()).collect();
    let message = if text.trim().is_empty() { output.status.to_string() } else { message.join("; ") };
    Err(failure(program, message))
}

/// What a program's message means.
fn failure(program: &'static str, message: String) -> SlurmError {
    if message.contains(NO_CLUSTER) {
        SlurmError::NoCluster(program)
    } else if PASSING.iter().any(|known| message.contains(known)) {
        SlurmError::Busy { program, message }
    } else {
        SlurmError::Refused { program, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(elements: Vec<Element>) -> Vec<(u64, Option<u64>, ElementState)> {
        elements.into_iter().map(|element| (element.job, element.index, element.state)).collect()
    }

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        for (message, expected) in [
            ("slurm_load_jobs error: Rate limit exceeded, please retry momentarily", "passes"),
            ("slurm_load_jobs error: Rate limit exceeded, please retry later", "passes"),
            ("Batch job submission failed: Connection timed out establishing", "passes"),
            ("Unable to contact slurm controller (connect failure)", "passes"),
            ("Batch job submission failed: Invalid partition name specified", "refused"),
            (
                "resolve_ctls_from_dns_srv: res_nsearch error: Unknown host; fetch_config: DNS SRV lookup failed; \
                 squeue: fatal: Could not establish a configuration source",
                "no cluster",
            ),
        ] {
            let found = match failure("squeue", message.to_owned()) {
                SlurmError::Busy { .. } => "passes",
                SlurmError::Refused { .. } => "refused",
                SlurmError::NoCluster(_) => "no cluster",
                SlurmError::Hidden => "hidden",
                SlurmError::Missing(_) => "missing",
            };
            assert_eq!(found, expected, "{message}");
        }
    }

    #[test]
    fn long_lists_are_cut_to_fit_a_command_line() {
        let lists = vec!["x".repeat(100_000); 5];
        assert_eq!(fitting(&lists), 2);
        assert_eq!(fitting(&["1".to_owned(), "2".to_owned()]), 2);
        assert_eq!(fitting(&[]), 0);
    }

    #[test]
    fn answers_are_read_as_22_05_writes_them() {
        use ElementState::{Queued, Running};
        assert_eq!(
            states(queue_line("12\u{1f}3\u{1f}RUNNING\u{1f}None\u{1f}(null)\u{1f}/p/sbatch.sh").unwrap()),
            [(12, Some(3), Running)]
        );
        assert_eq!(
            states(
                queue_line("12\u{1f}4-5%2\u{1f}PENDING\u{1f}JobArrayTaskLimit\u{1f}cw2:x\u{1f}/p|q/sbatch.sh").unwrap()
            ),
            [(12, Some(4), Queued), (12, Some(5), Queued)]
        );
        assert_eq!(
            states(queue_line("13\u{1f}N/A\u{1f}PENDING\u{1f}Priority\u{1f}(null)\u{1f}(null)").unwrap()),
            [(13, None, Queued)]
        );
        assert!(queue_line("garbage").is_none());
    }
}
