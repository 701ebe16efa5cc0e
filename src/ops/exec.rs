//! One repetition by hand: in the foreground, with the terminal, called as its job would call it.
//!
//! It runs in a scratch copy of its directory, so that its state, logs and metrics stay; or in its place, claimed as a worker
//! claims it.

use super::failure::Failure;
use super::here::shown;
use super::notice::{Notice, Tell, unreadable};
use super::program::{self, Program};
use super::select::{self, Selection};
use super::trust;
use super::work;
use crate::plan::by_hand::{self, Prefix};
use crate::plan::record::{ArgvRecord, ExperimentRecord};
use crate::plan::sbatch::{
    self,
    written::{self, Preparation},
};
use crate::printable;
use crate::report::human::counted;
use crate::run::status::{Found, Params, State};
use crate::store::plan::{Experiment, Plan, Rep, Run};
use crate::store::scratch::Scratch;
use crate::store::survey::Survey;
use crate::store::{self, rep, submissions};
use crate::worker::{self, Allowed, ByHand, Control, End, Observer, Setting, Surroundings, WarmHost};
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Options {
    /// Plan folders, or results folders, which stand for all their plans; those that lie here where none is named.
    pub sources: Vec<PathBuf>,
    /// One of their repetitions.
    pub select: Selection,
    /// In its own directory.
    pub in_place: bool,
    /// The scratch copy stays.
    pub keep: bool,
    /// Words before the command.
    pub with: Vec<String>,
    /// Instead of the configured `launcher`.
    pub launcher: Option<Vec<String>>,
    /// Between a polite signal and SIGKILL.
    pub grace: Duration,
    /// What is done.
    pub wish: Wish,
}

/// What is done with a repetition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// It is run.
    Run,
    /// Its call is told, as a line for a shell.
    Print,
    /// The variables that are added to its environment are told, a line each, as a shell reads them.
    Env,
    /// A shell is run in its place.
    Shell,
}

/// What came of it.
#[derive(Debug)]
pub enum Done {
    /// It ran to this state; the text says why it is not completed.
    Ran(State, Option<String>),
    /// A text to be told.
    Told(String),
    /// The shell ended with this status.
    Left(u8),
}

/// The one repetition that was chosen.
pub struct Chosen {
    plan: Plan,
    job: u64,
    rep: Rep,
    /// Whether its jobs are, or were, Slurm's.
    for_slurm: bool,
}

/// Finds the repetition.
///
/// # Errors
/// Where none or several are chosen.
pub fn choose(options: &Options, tell: Tell<'_>) -> Result<Chosen, Failure> {
    let sources = select::plans_here(&options.sources)?;
    options.select.check_plans(&sources.plans)?;
    let mut survey = options.select.survey(sources, None)?;
    let seen = match survey.reps.as_slice() {
        [seen] => seen,
        [] => {
            unreadable(&survey.unreadable_plans, &survey.unreadable, tell);
            let me = program::name();
            return Err(Failure::Usage(format!(
                "no repetition is chosen by these options; `{me} status --runs` and `{me} list PLAN` name them"
            )));
        }
        several => return Err(Failure::Usage(too_many(&survey, several.len()))),
    };
    let (number, job, dir) = (seen.plan, seen.job, survey.dir(seen));
    let by_slurm = seen.status.as_ref().is_some_and(|status| status.slurm.is_some());
    let plan = survey.plans.swap_remove(number);
    if matches!(options.wish, Wish::Run | Wish::Shell) {
        trust::check([&plan])?;
    }
    let rep = plan.job(job)?.reps.into_iter().find(|rep| rep.dir == dir);
    let rep = rep.ok_or_else(|| Failure::Environment(format!("`{}` is in no job of its plan", dir.display())))?;
    let submitted = || -> Result<bool, Failure> { Ok(!submissions::read(&plan.folder)?.submissions.is_empty()) };
    let for_slurm = by_slurm || work::in_job() || submitted()?;
    Ok(Chosen { plan, job, rep, for_slurm })
}

fn too_many(survey: &Survey, count: usize) -> String {
    let first = survey.reps.first().and_then(|seen| Some((survey.experiment(seen)?, survey.run(seen)?, seen.rep)));
    let example = first.map_or_else(String::new, |(experiment, run, rep)| {
        let word = |text: &str| crate::run::quote::word(text).unwrap_or_default();
        format!(", such as `-e {} -r {} --rep {rep}`", word(&experiment.name), word(&run.run))
    });
    format!("{} are chosen, and one can be run by hand: choose it{example}", counted(count as u64, "repetition"))
}

impl Chosen {
    /// What is to be called instead of this, inside an allocation of what the plan asks for: this same call.
    ///
    /// # Errors
    /// Where the plan's script cannot be read.
    pub fn allocation(&self, call: &[OsString]) -> Result<Command, Failure> {
        let slurm = &self.rep.run.experiment.record.slurm;
        let script = self.script()?;
        let mut command = Command::new("salloc");
        command.args(written::allocation(&script)).args(["srun", "--overlap", "--nodes=1", "--ntasks=1"]);
        if let Some(cpus) = cpus(slurm) {
            command.arg(format!("--cpus-per-task={cpus}"));
        }
        if std::io::IsTerminal::is_terminal(&std::io::stdin()) {
            command.arg("--pty");
        }
        command.args(call);
        crate::slurm::without_job(&mut command);
        Ok(command)
    }

    /// What is to be called instead of this, where its jobs are prepared by lines of their script (`venv`, `sh_lines`): those
    /// lines, and this same call after them.
    ///
    /// # Errors
    /// Where the plan's script cannot be read.
    pub fn preparation(&self, call: &[OsString]) -> Result<Option<Command>, Failure> {
        let Some(Preparation { interpreter, before, after }) = self.lines()? else { return Ok(None) };
        let Some((program, arguments)) = interpreter.split_first() else { return Ok(None) };
        let mut command = Command::new(program);
        let mut text = before;
        if std::env::var_os("SLURM_ARRAY_TASK_ID").is_none() {
            command.env("SLURM_ARRAY_TASK_ID", self.element().to_string());
            text.push_str("\nunset SLURM_ARRAY_TASK_ID");
        }
        match after {
            Some(after) => text.extend(["\n\"$@\"", sbatch::STARTS, "\n", &after]),
            None => text.push_str("\nexec \"$@\""),
        }
        command.args(arguments).arg("-c").arg(text).arg(program).args(call);
        command.current_dir(self.plan.start_dir(self.job));
        Ok(Some(command))
    }

    /// The interpreter and the lines; nothing where there are none, or no job runs them.
    fn lines(&self) -> Result<Option<Preparation>, Failure> {
        if !self.for_slurm {
            return Ok(None);
        }
        let found = written::preparation(&self.script()?);
        Ok(found.filter(|found| written::has_commands(&found.before)))
    }

    fn array(&self) -> Option<&crate::plan::record::ArrayRecord> {
        self.plan.array_of(self.job).map(|(_, array)| array)
    }

    fn element(&self) -> u64 {
        // A pilot's script must not depend on which one it is.
        self.array().filter(|array| array.pilots.is_none()).map_or(0, |array| self.job - array.offset)
    }

    fn script(&self) -> Result<String, Failure> {
        let Some(array) = self.array() else {
            return Err(Failure::Environment(format!("plan `{}` has no script for it", self.plan.folder.display())));
        };
        Ok(String::from_utf8_lossy(&store::read(&self.plan.folder.join(&array.script))?).into_owned())
    }
}

/// Does what is wanted.
///
/// # Errors
/// Where it cannot be begun.
pub fn exec(options: &Options, chosen: &Chosen, program: &Program, tell: Tell<'_>) -> Result<Done, Failure> {
    // Before anything starts a thread; a shell gets the signals itself.
    let control =
        if options.wish == Wish::Run { work::start()? } else { Control::listen().map_err(anyhow::Error::from)? };
    let mut here = work::options(options.grace)?;
    here.terminal = true;
    let record = &chosen.rep.run.experiment.record;
    limit_cpus(&mut here, record);
    let found = rep::status(&chosen.rep.dir);
    let (attempt, resume) = next(&found, chosen.rep.run.record.params());
    let mut rep = altered(options, &chosen.rep)?;
    let scratch = if options.in_place { None } else { Some(Scratch::copy(&chosen.rep.dir, resume)?) };
    if let Some(scratch) = &scratch {
        scratch.path().clone_into(&mut rep.dir);
    }
    let warm = WarmHost::default();
    let setting = Setting {
        plan: &chosen.plan,
        options: &here,
        control: &control,
        observer: Arc::new(Quiet),
        factory: program.factory.as_ref(),
        warm: &warm,
    };
    let by_hand = ByHand::new(setting, chosen.job, &rep)?;
    let (attempt, resume) = if options.in_place || resume { (attempt, resume) } else { (1, false) };
    let prepared = |command| by_hand.prepare(attempt, resume, command, !options.in_place).map_err(Failure::from);
    if options.in_place && options.wish == Wish::Run {
        work::begin(&chosen.plan);
    }
    let done = match options.wish {
        Wish::Run => ran(by_hand.run(), &rep)?,
        Wish::Print => {
            let surroundings = prepared(true)?;
            if surroundings.words.is_empty() {
                return Err(Failure::Usage(
                    "it is part of a program, and no command: there is no line to print; `--env` prints its variables"
                        .to_owned(),
                ));
            }
            let setup = chosen.lines()?;
            Done::Told(line(&surroundings, setup.as_ref())?)
        }
        Wish::Env => Done::Told(env(&prepared(false)?)?),
        Wish::Shell => {
            let surroundings = prepared(false)?;
            tell(Notice::Note(format!("a shell in `{}`; `exit` leaves it", shown(&surroundings.dir))));
            by_hand.bind();
            Done::Left(shell(&surroundings)?)
        }
    };
    if let Some(scratch) = scratch {
        let refers_to_it = matches!(options.wish, Wish::Print | Wish::Env);
        if options.keep || refers_to_it {
            let place = scratch.keep();
            tell(Notice::Note(format!("the scratch copy of its directory is yours to remove: {}", shown(&place))));
        }
    }
    Ok(done)
}

/// No more CPUs than its job asks for; inside a job Slurm saw to that.
fn limit_cpus(here: &mut worker::Options, record: &ExperimentRecord) {
    if here.slurm.is_some() {
        return;
    }
    let Allowed { cpus: allowed, .. } = &mut here.allowed;
    if let Some(asked) = cpus(&record.slurm) {
        allowed.truncate(asked.max(1) as usize);
    }
    here.max_slots = Some(allowed.len().max(1));
}

/// The CPUs that a job asks for.
fn cpus(slurm: &crate::config::Slurm) -> Option<u32> {
    let (tasks, each) = (slurm.options.number("ntasks"), slurm.options.number("cpus-per-task"));
    (tasks.is_some() || each.is_some()).then(|| tasks.unwrap_or(1).saturating_mul(each.unwrap_or(1)))
}

/// The number of the attempt that would come next, and whether it resumes the one before.
fn next(found: &Found, params: Params<'_>) -> (u32, bool) {
    match found {
        Found::Status(status) => (status.attempt.saturating_add(1), status.is_resumed_with(params)),
        Found::Nothing | Found::Unreadable(_) => (1, false),
    }
}

/// The repetition as it is called by hand: once, and with the words that were asked for.
fn altered(options: &Options, rep: &Rep) -> Result<Rep, Failure> {
    let Run { experiment, record: run, params, python } = &*rep.run;
    let mut record = experiment.record.clone();
    record.retries = 0;
    // A copy of a warm process has no terminal of its own, and no debugger before it.
    record.warm_start = false;
    if let Some(launcher) = &options.launcher {
        record.launcher = launcher.iter().map(|word| by_hand::literal(word)).collect();
    }
    if let (Some(python), false) = (&mut record.python, options.with.is_empty()) {
        let program = ArgvRecord::Exec(std::mem::take(&mut python.program));
        if let Prefix::Command(ArgvRecord::Exec(words)) =
            by_hand::prefix(&options.with, &program).map_err(Failure::Usage)?
        {
            python.program = words;
        }
    }
    if let (Some(command), false) = (&mut record.command, options.with.is_empty()) {
        match by_hand::prefix(&options.with, &command.run).map_err(Failure::Usage)? {
            Prefix::Command(argv) => command.run = argv,
            Prefix::Launcher(words) => record.launcher.extend(words),
        }
    }
    let experiment = Arc::new(Experiment { record, settings: experiment.settings.clone() });
    let run = Run { experiment, record: run.clone(), params: params.clone(), python: python.clone() };
    Ok(Rep { run: Arc::new(run), number: rep.number, dir: rep.dir.clone() })
}

fn ran(end: End, rep: &Rep) -> Result<Done, Failure> {
    let dir = shown(&rep.dir);
    match end {
        End::Ran(state, why) => Ok(Done::Ran(state, why)),
        End::Skipped(state, _) => {
            let word = state.word();
            Err(Failure::Usage(format!("`{dir}` is {word}; without `--in-place` it is run in a scratch copy")))
        }
        End::Busy(why) => Err(Failure::Environment(format!("`{dir}` is left alone: {why}"))),
        End::Refused(why) => Err(Failure::Usage(format!("`{dir}`: {why}"))),
        End::NoRoom(why) => Err(Failure::Environment(format!("`{dir}` is not started: {why}"))),
        End::NoTime | End::Stopped => Ok(Done::Ran(State::Interrupted, None)),
    }
}

/// A line to be pasted into a shell; above it those that prepare the job.
fn line(surroundings: &Surroundings, setup: Option<&Preparation>) -> Result<String, Failure> {
    let word = |text: &str| crate::run::quote::word(text).map_err(Failure::Usage);
    let mut text = String::new();
    // In a shell of its own: what fails in it ends that one.
    let (open, close) = if setup.is_some() { ("(\n", ")\n") } else { ("", "") };
    text.push_str(open);
    let told = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
    // That shell need not wait to hand on signals: what comes after the call runs at its end.
    let own = |line: &&str| !line.starts_with(sbatch::WAITING);
    for line in setup.into_iter().flat_map(|setup| setup.before.lines()).take_while(own).filter(told) {
        text.extend([line, "\n"]);
    }
    let dir = word(&surroundings.dir.to_string_lossy())?;
    let mut words = vec![format!("cd {dir} && env")];
    for (name, value) in &surroundings.variables {
        words.push(assignment(name, value)?);
    }
    for each in &surroundings.words {
        words.push(word(each)?);
    }
    text.extend([words.join(" ").as_str(), "\n", close]);
    Ok(text)
}

/// The same of the variables alone.
fn env(surroundings: &Surroundings) -> Result<String, Failure> {
    let lines = surroundings.variables.iter().map(|(name, value)| Ok(assignment(name, value)? + "\n"));
    lines.collect()
}

/// `NAME=value`, quoted. What is added to `PATH` is added to the one that is there.
fn assignment(name: &OsString, value: &OsString) -> Result<String, Failure> {
    let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
    let own = std::env::var("PATH").ok().filter(|_| name == "PATH");
    let added = own.and_then(|own| value.strip_prefix(&own).map(str::to_owned));
    let quoted = |text: &str| crate::run::quote::word(text).map_err(Failure::Usage);
    Ok(match added {
        Some(added) => format!("PATH=\"$PATH\"{}", quoted(&added)?),
        None => format!("{name}={}", quoted(&value)?),
    })
}

/// Runs the user's shell.
fn shell(surroundings: &Surroundings) -> Result<u8, Failure> {
    let program = std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into());
    let mut command = Command::new(&program);
    let variables = surroundings.variables.iter().map(|(name, value)| (name, value));
    command.envs(variables).current_dir(&surroundings.dir);
    let status = command
        .status()
        .map_err(|error| Failure::Environment(format!("cannot start `{}`: {error}", Path::new(&program).display())))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Takes the place of this process.
///
/// # Errors
/// Where it cannot be started.
pub fn replace_by(mut command: Command) -> Failure {
    let error = command.exec();
    let program = command.get_program().to_string_lossy().into_owned();
    Failure::Environment(format!("cannot start `{}`: {error}", printable::line(&program)))
}

/// What happens is seen in the terminal.
struct Quiet;

impl Observer for Quiet {}
