//! `cw2 python`: what the Python package calls, for programs whose experiments are classes. Not for people.
//!
//! Answers are JSON lines on standard output: one about the whole, then one for each run, repetition or job.

use super::echo::Echo;
use super::run::{Bar, exit_of};
use super::{Exit, SnapshotArgs, submit, tell};
use crate::ops;
use crate::ops::failure::Failure;
use crate::ops::handed::HandOver;
use crate::ops::program::{Program, called_by};
use crate::ops::python;
use crate::ops::reading::Reading;
use crate::ops::run::Given;
use crate::scheduler::Planned;
use crate::store::plan::Plan;
use crate::store::read_range;
use crate::value::Value;
use crate::worker::Observer;
use clap::{Args, Subcommand};
use nix::unistd::{Pid, dup2_stdin};
use serde_json::json;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Args)]
pub(super) struct PythonArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Every run of a configuration
    Expand(ExpandArgs),
    /// The repetitions of a job
    Configs(ConfigsArgs),
    /// Plan what a program hands over, and run it
    Run(RunArgs),
    /// Plan what a program hands over, for a scheduler of its own
    Plan(HandedArgs),
    /// Plan what a program hands over, and submit it
    Submit(SubmitArgs),
    /// Run one repetition of a plan
    Task(TaskArgs),
}

#[derive(Debug, Args)]
struct ExpandArgs {
    config: PathBuf,
    #[arg(long = "experiment")]
    experiments: Vec<String>,
    #[arg(long)]
    debug: bool,
    #[arg(long)]
    debugall: bool,
    #[arg(long)]
    prefix: Option<String>,
}

#[derive(Debug, Args)]
struct ConfigsArgs {
    #[arg(long)]
    plan: PathBuf,
    #[arg(long)]
    job: u64,
    #[arg(long)]
    index: Option<usize>,
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    warm: WarmArgs,
    #[command(flatten)]
    handed: HandedArgs,
    #[arg(long, default_value = "1")]
    jobs: NonZeroUsize,
    #[arg(long)]
    no_echo: bool,
}

#[derive(Debug, Args)]
struct TaskArgs {
    #[command(flatten)]
    warm: WarmArgs,
    #[arg(long)]
    plan: PathBuf,
    #[arg(long)]
    job: u64,
    #[arg(long)]
    index: usize,
}

#[derive(Debug, Args)]
struct SubmitArgs {
    #[command(flatten)]
    handed: HandedArgs,
    #[command(flatten)]
    code: SnapshotArgs,
}

#[derive(Debug, Args)]
struct HandedArgs {
    /// A file that holds it
    handed: PathBuf,
}

/// A warm process that is there, at the other end of standard input.
#[derive(Debug, Args)]
struct WarmArgs {
    /// Its number
    #[arg(long)]
    warm: Option<i32>,
    /// Who waits for this process; with its end this one ends what runs
    #[arg(long)]
    parent: Option<i32>,
    /// What is run by hand reads from the terminal
    #[arg(long)]
    terminal: bool,
}

pub(super) fn python(args: PythonArgs, quiet: bool) -> Result<Exit, Failure> {
    match args.command {
        Command::Expand(args) => expand(args, quiet),
        Command::Configs(args) => configs(&args),
        Command::Run(args) => run(&args, quiet),
        Command::Plan(args) => plan(&args, quiet),
        Command::Submit(args) => submit(&args, quiet),
        Command::Task(args) => task(&args),
    }
}

/// The program that hands itself over, as the commands of this one know programs.
fn program(handed: HandOver) -> Program {
    let script = handed.program.program.last().cloned().unwrap_or_default();
    called_by(script.as_ref());
    let (scheduler, own_args) = (Box::new(Planned), Vec::new());
    Program { factory: None, scheduler, version: None, own_args, python: Some(handed) }
}

fn expand(args: ExpandArgs, quiet: bool) -> Result<Exit, Failure> {
    let reading = Reading {
        config: args.config,
        experiments: args.experiments,
        debug: args.debug,
        debug_all: args.debugall,
        prefix: args.prefix,
        ..Reading::default()
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let json = |slurm: Option<Value>| slurm.map_or_else(|| "null".to_owned(), |slurm| slurm.to_json());
    if let Some((slurm, repetitions)) = python::written(&reading) {
        writeln!(out, r#"{{"digest":"","written":true,"slurm":{}}}"#, json(slurm))?;
        for (line, map) in repetitions.into_iter().enumerate() {
            let rep = map.get("_rep_idx").and_then(Value::as_i64).unwrap_or(0);
            writeln!(out, r#"{{"run":{line},"rep":{rep},"reps":1,"config":{}}}"#, Value::Map(map).to_json())?;
        }
        return Ok(out.flush().map(|()| Exit::Done)?);
    }
    let expanded = python::expand(&reading, &mut |notice| tell(&notice, quiet))?;
    writeln!(out, r#"{{"digest":"{}","slurm":{}}}"#, expanded.digest, json(expanded.slurm))?;
    for line in expanded.order {
        let Some(run) = expanded.runs.get(line) else { continue };
        let config = run.python.as_deref().unwrap_or("{}");
        writeln!(out, r#"{{"run":{line},"reps":{},"config":{config}}}"#, run.reps.count())?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn configs(args: &ConfigsArgs) -> Result<Exit, Failure> {
    let plan = Plan::open(&args.plan)?;
    let job = plan.job(args.job)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let slurm = python::planned_slurm(&plan, &job).map_or_else(|| "null".to_owned(), |slurm| slurm.to_json());
    writeln!(out, r#"{{"digest":"","slurm":{slurm}}}"#)?;
    for (index, rep) in job.reps.iter().enumerate() {
        if args.index.is_some_and(|wanted| wanted != index) {
            continue;
        }
        let config = match &rep.run.python {
            Some(line) => String::from_utf8_lossy(&read_range(&line.file, line.start, line.length)?).into_owned(),
            None => "{}".to_owned(),
        };
        writeln!(out, r#"{{"run":0,"reps":1,"rep":{},"config":{config}}}"#, rep.number)?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn run(args: &RunArgs, quiet: bool) -> Result<Exit, Failure> {
    let given = args.warm.take()?;
    let handed = HandOver::take(&args.handed.handed)?;
    let options = ops::run::Options {
        reading: handed.reading(),
        overwrite: handed.overwrite,
        jobs: args.jobs,
        grace: Duration::from_secs(15),
        fail_fast: None,
        setup_left_out: Some("repetitions run in the environment of this program"),
    };
    let program = program(handed);
    let echoes = !args.no_echo && !quiet && !options.reading.debug && args.jobs.get() == 1;
    let hidden = quiet || options.reading.debug;
    let bar = |count| -> Arc<dyn Observer> {
        if echoes { Arc::new(Echo::new(count)) } else { Arc::new(Bar::new(count, hidden)) }
    };
    let ran = ops::run::run(&options, &program, given, &mut |notice| tell(&notice, quiet), bar)?;
    exit_of(ran, quiet)
}

fn plan(args: &HandedArgs, quiet: bool) -> Result<Exit, Failure> {
    let handed = HandOver::take(&args.handed)?;
    let options =
        ops::plan::Options { reading: handed.reading(), overwrite: handed.overwrite, ..ops::plan::Options::default() };
    let (_, frozen) = ops::plan::plan(&options, &program(handed), &mut |notice| tell(&notice, quiet))?;
    let Some(folder) = frozen.folder else { return Ok(Exit::Done) };
    let plan = Plan::open(&folder)?;
    ops::work::begin(&plan);
    let mut out = std::io::stdout().lock();
    for number in 0..plan.jobs() {
        let dirs: Vec<_> = plan.job(number)?.reps.iter().map(|rep| rep.dir.to_string_lossy().into_owned()).collect();
        let line = json!({ "plan": folder.to_string_lossy(), "job": number, "dirs": dirs });
        writeln!(out, "{line}")?;
    }
    Ok(Exit::Done)
}

fn submit(args: &SubmitArgs, quiet: bool) -> Result<Exit, Failure> {
    let handed = HandOver::take(&args.handed.handed)?;
    let options = ops::submit::Options {
        reading: handed.reading(),
        overwrite: handed.overwrite,
        code: args.code.wish(),
        ..ops::submit::Options::default()
    };
    submit::submit_all(&options, &program(handed), quiet)
}

fn task(args: &TaskArgs) -> Result<Exit, Failure> {
    let given = args.warm.take()?;
    let end = ops::python::task(&args.plan, args.job, args.index, given)?;
    Ok(super::worker::exit(&end))
}

impl WarmArgs {
    /// Takes standard input, which is nothing from now on.
    fn take(&self) -> Result<Option<Given>, Failure> {
        let failed =
            |error: std::io::Error| Failure::Environment(format!("cannot take over from the program: {error}"));
        if let Some(parent) = self.parent {
            let signal = Some(rustix::process::Signal::TERM);
            rustix::process::set_parent_process_death_signal(signal).map_err(|errno| failed(errno.into()))?;
            if Pid::parent() != Pid::from_raw(parent) {
                return Err(failed(std::io::Error::other("it has ended")));
            }
        }
        let Some(pid) = self.warm else { return Ok(None) };
        let socket = std::io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
        let terminal = self.terminal.then(|| std::fs::File::open("/dev/tty").ok()).flatten();
        let stdin = terminal.map_or_else(|| std::fs::File::open("/dev/null"), Ok).map_err(failed)?;
        dup2_stdin(&stdin).map_err(|errno| failed(errno.into()))?;
        Ok(Some(Given { socket, pid: Pid::from_raw(pid) }))
    }
}
