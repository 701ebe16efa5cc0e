//! The same plan and the same worker, on this machine.

use super::draft::Mode;
use super::failure::Failure;
use super::finish;
use super::freeze::{self, Purpose, freeze};
use super::here::hostname;
use super::notice::{Notice, Tell};
use super::program::Program;
use super::reading::Reading;
use super::{status, work};
use crate::config::Slurm;
use crate::plan::sbatch;
use crate::store::plan::Plan;
use crate::store::survey;
use crate::worker::{self, Control, Jobs, Observer, Setting, Tally, WarmHost};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Options {
    /// The configuration.
    pub reading: Reading,
    /// Run finished repetitions again.
    pub overwrite: bool,
    /// Jobs at a time.
    pub jobs: NonZeroUsize,
    /// Between a polite signal to a repetition and SIGKILL.
    pub grace: Duration,
    /// After so many that crashed or timed out no other one is started.
    pub fail_fast: Option<NonZeroUsize>,
    /// Why `venv`, `sh_lines` and `sh_lines_after` are left out, where they are and nobody asked for it.
    pub setup_left_out: Option<&'static str>,
}

/// What is to be called instead of this, where something is to be done before and after the repetitions (`venv`, `sh_lines`,
/// `sh_lines_after`): that, around this same call. What is wrong with the configuration is for that call to say.
///
/// # Errors
/// Where the experiments want different things done.
pub fn preparation(options: &Options, program: &Program, call: &[OsString]) -> Result<Option<Command>, Failure> {
    let purpose = Purpose { command_optional: program.command_optional(), for_slurm: false };
    let Ok(config) = freeze::load(&options.reading, purpose, &mut |_| {}) else { return Ok(None) };
    let root = freeze::working_directory()?;
    let mut wanted: Vec<(Option<String>, &str)> = Vec::new();
    for experiment in &config.experiments {
        let lines =
            sbatch::before_a_call(&experiment.slurm, &root).map_err(|error| Failure::Usage(error.to_string()))?;
        if wanted.iter().all(|(known, _)| *known != lines) {
            wanted.push((lines, &experiment.name));
        }
    }
    match wanted.as_slice() {
        [(Some(lines), _)] => {
            let mut command = Command::new(SHELL);
            command.args(["-c", lines, SHELL]).args(call);
            Ok(Some(command))
        }
        [] | [(None, _)] => Ok(None),
        [(_, one), (_, two), ..] => Err(Failure::Usage(format!(
            "the experiments `{one}` and `{two}` have different `venv`, `sh_lines` or `sh_lines_after`: run them one by one with \
             `-e`, or leave all that out with `--no-setup`"
        ))),
    }
}

/// Whether this process was called by the shell that [`preparation`] starts.
pub fn is_prepared() -> bool {
    let pid = |name: &str| std::env::var(name).ok().and_then(|pid| pid.parse().ok()).map(Pid::from_raw);
    // In place of that shell, or as its child.
    pid("CW2_PREPARED") == Some(Pid::this()) || pid("CW2_SHELL") == Some(Pid::parent())
}

/// What reads those lines, as in a job.
const SHELL: &str = "/bin/bash";

fn has_setup(slurm: &Slurm) -> bool {
    slurm.venv.is_some() || !slurm.sh_lines.is_empty() || !slurm.sh_lines_after.is_empty()
}

/// A warm process that is there: the other end of a socket, and its number.
#[derive(Debug)]
pub struct Given {
    /// The socket.
    pub socket: OwnedFd,
    /// The process, a child of this one.
    pub pid: Pid,
}

impl Given {
    /// All warm processes that this worker will have.
    pub fn host(given: Option<Self>, control: &Control) -> Result<WarmHost, Failure> {
        let Some(Given { socket, pid }) = given else { return Ok(WarmHost::default()) };
        let failed = |error| Failure::Environment(format!("cannot listen to a warm process: {error}"));
        WarmHost::given(socket, pid, control).map_err(failed)
    }
}

/// What became of the repetitions.
#[derive(Debug)]
pub struct Ran {
    /// How they ended.
    pub tally: Tally,
    /// Whether the scheduler did its work.
    pub result: anyhow::Result<()>,
    /// The same in words.
    pub summary: String,
}

/// Plans, and runs everything; `None` where nothing is left to do. `observer` is made for that many repetitions, and dropped when
/// the last has ended.
///
/// # Errors
/// What is wrong with the configuration, or keeps anything from being run.
pub fn run(
    options: &Options,
    program: &Program,
    given: Option<Given>,
    tell: Tell<'_>,
    observer: impl FnOnce(u64) -> Arc<dyn Observer>,
) -> Result<Option<Ran>, Failure> {
    // Before anything starts a thread.
    let control = work::start()?;
    let warm = Given::host(given, &control)?;
    let (planned, frozen) = freeze(&options.reading, program, options.overwrite, Mode::Write, None, tell)?;
    tell(Notice::Planned(&planned, &frozen));
    if let Some(why) =
        options.setup_left_out.filter(|_| planned.experiments.iter().any(|own| has_setup(&own.record.slurm)))
    {
        tell(Notice::Warning(format!("`venv`, `sh_lines` and `sh_lines_after` are left out: {why}")));
    }
    let Some(folder) = frozen.folder else { return Ok(None) };
    let plan = Plan::open(&folder)?;
    work::begin(&plan);
    let at_a_time = options.jobs.get().min(usize::try_from(plan.jobs()).unwrap_or(usize::MAX));
    // Whoever debugs looks, and answers.
    let terminal = options.reading.debug && at_a_time == 1;
    let fail_fast = options.fail_fast;
    let options = worker::Options { fail_fast, terminal, ..work::options(options.grace)? };
    tell_of_fewer_slots(&plan, at_a_time, &options);
    let repetitions = plan.manifest.counts.repetitions;
    let observer = observer(repetitions);
    let setting = Setting {
        plan: &plan,
        options: &options,
        control: &control,
        observer,
        factory: program.factory.as_ref(),
        warm: &warm,
    };
    let (mut tally, result) = program.schedule(Jobs::side_by_side(setting, 0..plan.jobs(), at_a_time));
    tally.total = usize::try_from(repetitions).unwrap_or(usize::MAX);
    let summary = summary(&plan, &tally, fail_fast);
    let commands = finish::commands(&planned.arrays);
    if !commands.is_empty() && !control.killing() {
        finish::finish(&plan.folder, &commands)?;
    }
    Ok(Some(Ran { tally, result, summary }))
}

/// How they ended, and what those that failed have in common.
fn summary(plan: &Plan, tally: &Tally, fail_fast: Option<NonZeroUsize>) -> String {
    let mut groups = work::groups(tally);
    if groups.iter().any(|group| group.count > 1) {
        // That it cannot be told does not matter beside how they ended.
        let seen = Plan::open(&plan.folder).and_then(|plan| survey::survey(vec![plan], None, &hostname()));
        if let Ok(survey) = seen {
            let dirs: Vec<_> = tally.failed().iter().map(|failed| failed.dir.as_path()).collect();
            status::add_common(&survey, &mut groups, &dirs);
        }
    }
    let mut text = work::told(tally, &groups);
    let enough = fail_fast.filter(|most| tally.failed().len() >= most.get() && tally.unfinished());
    if let Some(most) = enough {
        let _ =
            write!(text, "\nstopped after {most} failed (`--fail-fast`): what was not started is for the next `run`");
    }
    text
}

/// A cluster's configuration asks for more than this machine has.
fn tell_of_fewer_slots(plan: &Plan, jobs: usize, options: &worker::Options) {
    let Ok(experiment) = plan.experiment_record(0) else { return };
    let wanted = experiment.reps_in_parallel as usize;
    let cpus = (options.allowed.cpus.len() / jobs.max(1)).max(1);
    let gpus = experiment.gpus_per_rep.and_then(|per_rep| options.gpus.of_lane(0, jobs).room(per_rep));
    let (room, what) = match gpus {
        Some(0) => return,
        Some(gpus) if gpus < cpus => (gpus, "GPUs"),
        _ => (cpus, "CPUs"),
    };
    if wanted > room {
        log::info!("note: {wanted} repetitions in parallel are asked for, {room} run: this machine has no more {what}");
    }
}
