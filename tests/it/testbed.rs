//! The real Slurm that integration tests submit to.
//!
//! `scripts/test` starts it with `scripts/slurm-testbed` and names its folder in `CW2_TESTBED`; a test only ever talks to
//! that one and never starts, stops or reconfigures a daemon. Tests share the bed: they wait for their own jobs, in folders
//! of their own, and rely on nobody else's absence.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// How often a waiting test asks Slurm.
const POLL: Duration = Duration::from_millis(200);

/// A running cluster on this machine.
#[derive(Debug)]
pub(crate) struct Testbed {
    slurm_conf: PathBuf,
    max_array_size: u32,
}

/// The bed, or nothing, and a line on standard error that the calling test was skipped.
///
/// # Panics
///
/// If there should be a bed and is none: `CI` is set, or `CW2_TESTBED` names one that does not answer.
pub(crate) fn testbed() -> Option<&'static Testbed> {
    static BED: OnceLock<Option<Testbed>> = OnceLock::new();
    let bed = BED.get_or_init(|| env::var_os("CW2_TESTBED").map(|dir| Testbed::open(Path::new(&dir)))).as_ref();
    if bed.is_none() {
        assert!(
            env::var_os("CI").is_none(),
            "no Slurm test bed, and CI must not skip a test (scripts/test starts one)"
        );
        let thread = thread::current();
        let test = thread.name().unwrap_or("a test");
        // `eprintln!` would be captured, and the skip never seen.
        writeln!(std::io::stderr(), "SKIPPED: {test}: no Slurm test bed (scripts/test starts one)")
            .expect("standard error is writable");
    }
    bed
}

impl Testbed {
    /// The bed in a folder, for a test that has one of its own.
    pub(crate) fn open(dir: &Path) -> Self {
        let slurm_conf = dir.join("slurm.conf");
        let text = fs::read_to_string(&slurm_conf)
            .unwrap_or_else(|error| panic!("CW2_TESTBED names no test bed: {}: {error}", slurm_conf.display()));
        let setting = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let bed = Self {
            max_array_size: setting("MaxArraySize")
                .and_then(|size| size.parse().ok())
                .expect("the bed sets MaxArraySize"),
            slurm_conf,
        };
        run(bed.cmd("scontrol").arg("ping")).unwrap_or_else(|error| panic!("the test bed does not answer: {error}"));
        bed
    }

    /// The file that `SLURM_CONF` must name.
    pub(crate) fn conf(&self) -> &Path {
        &self.slurm_conf
    }

    /// Slurm's year and month: 22.05.8 is (22, 5).
    pub(crate) fn version(&self) -> (u32, u32) {
        let words = self.run("sinfo", &["--version"]);
        let mut numbers = words.split([' ', '.']).filter_map(|word| word.trim().parse().ok());
        (numbers.next().expect("a year"), numbers.next().expect("a month"))
    }

    /// A command that talks to the bed, and inherits nothing from a job that the tests may run in.
    pub(crate) fn cmd(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if ["SLURM_", "SBATCH_", "SRUN_", "SQUEUE_", "SACCT_", "SINFO_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
            {
                command.env_remove(&*name);
            }
        }
        command.env("SLURM_CONF", &self.slurm_conf);
        command
    }

    /// Runs a program that talks to the bed and returns its standard output.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> String {
        self.try_run(program, args).unwrap_or_else(|error| panic!("{error}"))
    }

    /// [`Testbed::run`] for a program that may fail.
    pub(crate) fn try_run(&self, program: &str, args: &[&str]) -> Result<String, String> {
        run(self.cmd(program).args(args))
    }

    /// Submits a script from the folder it lies in and returns the job's id.
    pub(crate) fn sbatch(&self, script: &Path) -> u64 {
        let mut command = self.cmd("sbatch");
        command.arg("--parsable").arg(script).current_dir(script.parent().expect("a script lies in a folder"));
        let stdout = run(&mut command).unwrap_or_else(|error| panic!("{error}"));
        stdout.trim().parse().unwrap_or_else(|_| panic!("sbatch printed no job id but `{stdout}`"))
    }

    /// Waits until no element of `job` is queued or running; returns each element's index (empty for a job that is no array)
    /// and last state, in the order of the indices.
    ///
    /// # Panics
    ///
    /// If that takes longer than `deadline`.
    pub(crate) fn wait(&self, job: u64, deadline: Duration) -> Vec<(String, String)> {
        let started = Instant::now();
        // An error may pass, so it is no end.
        while run(self.cmd("squeue").args(["--noheader", "--jobs", &job.to_string()])).as_deref() != Ok("") {
            assert!(started.elapsed() < deadline, "job {job} did not end within {deadline:?}:\n{}", self.describe(job));
            thread::sleep(POLL);
        }
        self.states(job)
    }

    /// The bed's limit on the index of an array's element; the highest index is one less.
    pub(crate) fn max_array_size(&self) -> u32 {
        self.max_array_size
    }

    /// What the controller says of an array's element, such as its `ExitCode`.
    pub(crate) fn element(&self, job: u64, index: u32, field: &str) -> String {
        let shown = self.run("scontrol", &["--oneliner", "show", "job", &format!("{job}_{index}")]);
        let value = shown.split(' ').find_map(|word| word.strip_prefix(field)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("no {field} in {shown}")).to_owned()
    }

    /// Asks the controller, which remembers a job for some minutes after its end: `sacct` runs seconds behind it, and shows an
    /// array's elements one after the other.
    fn states(&self, job: u64) -> Vec<(String, String)> {
        let lines = run(self.cmd("scontrol").args(["--oneliner", "show", "job", &job.to_string()]))
            .unwrap_or_else(|error| panic!("{error}"));
        let mut states: Vec<_> = lines.lines().flat_map(states_of_line).collect();
        states.sort_by_key(|(index, _)| index.parse().unwrap_or(0_u64));
        states
    }

    fn describe(&self, job: u64) -> String {
        [vec!["squeue", "--all", "--long"], vec!["sinfo"], vec!["scontrol", "show", "job", &job.to_string()]]
            .map(|words| {
                let text = run(self.cmd(words[0]).args(&words[1..])).unwrap_or_else(|error| error);
                format!("$ {}\n{text}", words.join(" "))
            })
            .concat()
    }
}

/// The elements that one line of `scontrol` tells of: those that never started share a line (`ArrayTaskId=3-5,9%2`).
fn states_of_line(line: &str) -> Vec<(String, String)> {
    let field = |name: &str| line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let state = field("JobState").unwrap_or_default();
    let indices = field("ArrayTaskId").unwrap_or_default().split('%').next().unwrap_or_default();
    indices
        .split(',')
        .flat_map(|part| match part.split_once('-').map(|(first, last)| (first.parse::<u32>(), last.parse())) {
            Some((Ok(first), Ok(last))) => (first..=last).map(|index| index.to_string()).collect(),
            _ => vec![part.to_owned()],
        })
        .map(|index| (index, state.to_owned()))
        .collect()
}

/// Standard output, or why there is none.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
    }
}
