//! The command line: clap's types, one command a file, and the exit codes. clap's types stop here.
//!
//! It must not decide anything about experiments: it reads arguments, calls the stages in order, prints what they say.
//! Standard output is for the machine, standard error for the person.

/// Prints a line for the person. A standard error that is closed or full must not end the program, as `eprintln` would.
macro_rules! tell {
    ($($arg:tt)*) => {
        drop(std::io::Write::write_all(&mut std::io::stderr(), format!("{}\n", format_args!($($arg)*)).as_bytes()))
    };
}

mod cancel;
mod choose;
mod completions;
mod doctor;
mod echo;
mod exec;
mod failure;
mod finish;
mod forget;
mod init;
mod list;
mod logger;
mod logs;
mod man;
mod meant;
mod plan;
mod print;
mod progress_lines;
mod python;
mod report;
mod results;
mod retry;
mod run;
mod schema;
mod show;
mod status;
mod submit;
mod surrender;
mod worker;

use crate::config::Report;
use crate::ops::notice::Notice;
use crate::ops::program::{self, Program};
use crate::ops::reading::Reading;
use crate::plan::code::SnapshotFlags;
use crate::report::{human::counted, planned};
use crate::scheduler::Planned;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use failure::Exit;
use std::path::{Path, PathBuf};

/// Runs parameter sweeps on Slurm: freezes a plan, writes the sbatch scripts, runs the repetitions.
#[derive(Debug, Parser)]
#[command(name = "cw2", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    verbosity: Verbosity,
}

const AFTER_HELP: &str = "\
Exit codes: 0 done; 1 a repetition crashed or timed out; 2 usage or configuration error;
3 environment failure (Slurm, disk, permissions); 75 interrupted, run again to continue.";

#[derive(Debug, Clone, Copy, Args)]
struct Verbosity {
    /// Print more (twice for debugging); `RUST_LOG` takes precedence
    #[arg(short, long, action = clap::ArgAction::Count, global = true, display_order = 998)]
    verbose: u8,
    /// Print only warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = 998)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Freeze a configuration into a plan and sbatch scripts
    Plan(plan::PlanArgs),
    /// Run one array element of a plan (called by the sbatch script)
    Worker(worker::WorkerArgs),
    /// Plan, then run everything on this machine, without Slurm
    Run(run::RunArgs),
    /// Submit a plan's job arrays to Slurm; given a configuration, plan it first
    Submit(submit::SubmitArgs),
    /// Show the state of every repetition
    Status(status::StatusArgs),
    /// Print the logs of repetitions, or the last lines of all that failed
    Logs(logs::LogsArgs),
    /// List the repetitions of a configuration or a plan
    List(list::ListArgs),
    /// Show the resolved configuration of one repetition, and where each value came from
    Show(show::ShowArgs),
    /// Print what repetitions measured, as a table
    Results(results::ResultsArgs),
    /// Make one HTML file of a sweep: how far it is, what is best, what failed, what it cost
    Report(report::ReportArgs),
    /// Run one repetition by hand, in the foreground, as its job would
    Exec(exec::ExecArgs),
    /// Plan what earlier plans left undone: crashed, timed out, interrupted, lost or never started
    Retry(retry::RetryArgs),
    /// Cancel the jobs of plans, or of selected repetitions
    Cancel(cancel::CancelArgs),
    /// Stop counting runs that are no longer wanted, in `status` and `retry`
    Forget(forget::ForgetArgs),
    /// Say what is known of the cluster here, and whether locks work where results go
    #[command(visible_alias = "clusters")]
    Doctor(doctor::DoctorArgs),
    /// End the repetition that calls it early, as a success
    Surrender(surrender::SurrenderArgs),
    /// Write a configuration and a program to start from, or a configuration for a program
    Init(init::InitArgs),
    /// Print a JSON Schema of configurations, for editors
    #[command(after_help = schema::AFTER_HELP)]
    Schema,
    /// Print what makes a shell complete commands, experiments, runs and plans
    Completions(completions::CompletionsArgs),
    /// Write the manual pages
    #[command(hide = true)]
    Man(man::ManArgs),
    /// What the job calls that waits for all of a plan
    #[command(hide = true)]
    Finish(finish::FinishArgs),
    /// What the Python package calls
    #[command(hide = true)]
    Python(python::PythonArgs),
}

impl ConfigArgs {
    fn reading(&self) -> Reading {
        self.select.reading(&self.config)
    }
}

impl SelectArgs {
    /// The same for a configuration.
    fn reading(&self, config: &Path) -> Reading {
        Reading {
            config: config.to_owned(),
            experiments: self.experiments.clone(),
            set: self.set.clone(),
            strict: self.strict,
            debug: self.debug,
            debug_all: self.debugall,
            prefix: None,
            cluster: self.cluster.clone(),
            original: false,
        }
    }
}

/// The flags about code snapshots, which the SLURM document's `experiment_copy_…` keys ask for.
#[derive(Debug, Clone, Copy, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct SnapshotArgs {
    /// Archive the code for the record; jobs run in the source folder
    #[arg(long, conflicts_with_all = ["multicopy", "nocodecopy"])]
    zip: bool,
    /// Copy the code once for each job
    #[arg(long, conflicts_with = "nocodecopy")]
    multicopy: bool,
    /// Copy no code: run in the copy that exists at `experiment_copy_dst`, or else in the source folder
    #[arg(long)]
    nocodecopy: bool,
    /// Copy the code even if it has more than 200 MB
    #[arg(long)]
    skipsizecheck: bool,
}

impl SnapshotArgs {
    fn wish(self) -> SnapshotFlags {
        SnapshotFlags {
            zip: self.zip,
            multicopy: self.multicopy,
            nocodecopy: self.nocodecopy,
            skip_size_check: self.skipsizecheck,
        }
    }

    /// The flags that were given.
    fn given(self) -> impl Iterator<Item = &'static str> {
        let flags = [
            ("--zip", self.zip),
            ("--multicopy", self.multicopy),
            ("--nocodecopy", self.nocodecopy),
            ("--skipsizecheck", self.skipsizecheck),
        ];
        flags.into_iter().filter_map(|(flag, given)| given.then_some(flag))
    }
}

/// What every command that reads a configuration takes.
#[derive(Debug, Clone, Args)]
struct ConfigArgs {
    /// The configuration (YAML)
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    #[command(flatten)]
    select: SelectArgs,
}

/// How a configuration is read.
#[derive(Debug, Clone, Args)]
struct SelectArgs {
    /// Only these experiments
    #[arg(short, long, num_args = 1.., value_name = "NAME")]
    experiments: Vec<String>,
    /// Set a key in every experiment, e.g. `params.lr=0.1` (the value is YAML)
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Read the SLURM document of this cluster, `SLURM_<NAME>`, whatever this machine is called
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Treat misspelt keys as errors
    #[arg(long)]
    strict: bool,
    /// Only one repetition, with one iteration, of the first run of each experiment; results go to a folder `debug` inside `path`
    #[arg(long)]
    debug: bool,
    /// The same for every run
    #[arg(long)]
    debugall: bool,
}

/// Runs the program `cw2`: parses `args`, does what they say, reports what went wrong. Returns the exit code.
pub fn main(args: impl IntoIterator<Item = std::ffi::OsString>) -> u8 {
    let (scheduler, own_args) = (Box::new(Planned), Vec::new());
    call(args, &Program { factory: None, scheduler, version: None, own_args, python: None })
}

/// All commands.
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

/// The same for any program.
pub(crate) fn call(args: impl IntoIterator<Item = std::ffi::OsString>, program: &Program) -> u8 {
    let args: Vec<_> = args.into_iter().collect();
    if let Some(word) = args.first() {
        program::called_by(word);
    }
    if completions::answer() {
        return Exit::Done.code();
    }
    let mut command = command();
    if let Some(version) = program.version {
        command = command.name(program::name()).version(version);
    }
    let parsed = command.try_get_matches_from(&args).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) if meant::tell_meant(&error, &args) => return Exit::Usage.code(),
        Err(error) => {
            // Help and version go to standard output with 0, everything else is a usage error.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.code() } else { Exit::Done.code() };
        }
    };
    logger::init(cli.verbosity, matches!(cli.command, Command::Worker(_)));
    if !matches!(cli.command, Command::Worker(_) | Command::Surrender(_) | Command::Python(_)) {
        tell_of_the_original();
    }
    let result = match cli.command {
        Command::Plan(args) => plan::plan(&args, program, cli.verbosity.quiet),
        Command::Worker(args) => worker::worker(&args, program),
        Command::Run(args) => run::run(&args, program, cli.verbosity.quiet),
        Command::Submit(args) => submit::submit(&args, program, cli.verbosity.quiet),
        Command::Status(args) => status::status(&args, cli.verbosity.quiet),
        Command::Logs(args) => logs::logs(&args, cli.verbosity.quiet),
        Command::List(args) => list::list(&args),
        Command::Show(args) => show::show(&args),
        Command::Results(args) => results::results(&args, cli.verbosity.quiet),
        Command::Report(args) => report::report(&args, cli.verbosity.quiet),
        Command::Exec(args) => exec::exec(&args, program, cli.verbosity.quiet),
        Command::Retry(args) => retry::retry(&args, program, cli.verbosity.quiet),
        Command::Cancel(args) => cancel::cancel(&args, cli.verbosity.quiet),
        Command::Forget(args) => forget::forget(&args, cli.verbosity.quiet),
        Command::Doctor(args) => doctor::doctor(&args, program, cli.verbosity.quiet),
        Command::Surrender(args) => surrender::surrender(&args),
        Command::Init(args) => init::init(&args, cli.verbosity.quiet),
        Command::Schema => schema::schema(),
        Command::Completions(args) => completions::completions(&args),
        Command::Man(args) => man::man(&args),
        Command::Finish(args) => finish::finish(&args),
        Command::Python(args) => python::python(args, cli.verbosity.quiet),
    };
    match result {
        Ok(exit) => exit.code(),
        Err(failure) => {
            failure.report();
            failure.exit().code()
        }
    }
}

/// Warns where Python's original is installed beside this program; nothing else would.
fn tell_of_the_original() {
    let program = std::env::current_exe().ok();
    if let Some(folder) = program.and_then(|program| crate::store::original::beside(&program)) {
        tell!(
            "warning: the original package `cw2` is installed beside `clusterwork`, in `{}`: their files are mixed\n\
             = help: `pip uninstall cw2 clusterwork`, then `pip install clusterwork`",
            folder.display()
        );
    }
}

/// Tells a person on standard error; with `quiet` only what is wrong.
fn tell(notice: &Notice<'_>, quiet: bool) {
    match notice {
        Notice::Config(report) => tell_report(report),
        Notice::Warning(text) => tell!("warning: {text}"),
        Notice::Note(text) if !quiet => tell!("{text}"),
        Notice::Planned(plan, frozen) if !quiet => {
            tell!("{}", planned::summary(plan));
            frozen.notes.iter().for_each(|note| tell!("{note}"));
        }
        Notice::Submitted { script, job, elements, pilots } if !quiet => {
            let what = if *pilots { "pilot" } else { "job" };
            tell!("submitted {script} as job {job} ({})", counted(*elements, what));
        }
        Notice::Note(_) | Notice::Planned(..) | Notice::Submitted { .. } => {}
    }
}

/// Shows what is odd about a configuration.
fn tell_report(report: &Report) {
    if !report.is_empty() {
        tell!("{}", report.render(color()));
    }
}

/// Whether standard error takes colours.
fn color() -> bool {
    use std::io::IsTerminal as _;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
