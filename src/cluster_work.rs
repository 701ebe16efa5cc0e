//! A user's whole program.

use crate::api::loggers::JsonLines;
use crate::api::{Experiment, Factory, Iterative, IterativeExperiment, Logger};
use crate::cli;
use crate::ops::program::Program;
use crate::scheduler::{Planned, Scheduler};
use serde::de::DeserializeOwned;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

/// As the first thread of a program usually has.
const STACK_SIZE: usize = 8 << 20;

/// A program with an experiment written in Rust, and the commands of `cw2`: `plan`, `run`, `submit`, `status`, `retry` …
///
/// The scripts it plans start the program itself, so it must lie where the cluster's nodes see it. In its configuration
/// `command` may be missing: such an experiment runs in the program, each repetition on a thread of its own; one that has a
/// `command` runs that, as with `cw2`.
///
/// ```no_run
/// use cw2::{ClusterWork, Context, Experiment};
/// use std::process::ExitCode;
///
/// #[derive(Default)]
/// struct MyExperiment;
///
/// impl Experiment for MyExperiment {
///     fn run(&mut self, cx: &Context) -> anyhow::Result<()> {
///         let lr = cx.params_value()["lr"].as_f64().unwrap_or(0.1);
///         log::info!("learning at {lr}");
///         Ok(())
///     }
/// }
///
/// fn main() -> ExitCode {
///     ClusterWork::new(|| MyExperiment::default()).main()
/// }
/// ```
///
/// # What differs from a `command`
///
/// Repetitions share the process:
/// - `timeout`, and the worker's order to stop, are asked for by [`Context::stopping`](crate::Context::stopping). A thread that
///   does not is left behind after the grace; its CPUs are free only when the job ends.
/// - What ends the process (`exit`, `abort`, a panic with `panic = "abort"`, a stack overflow, the kernel for lack of memory) ends all
///   repetitions of the job; they are resumed or run again as after any death of a worker: last, then alone, and as crashed
///   after `retries` + 1 (at least 3) deaths. An experiment that is not to be trusted is better a `command`.
/// - CPU time is that of the repetition's own thread, memory that of the process.
/// - `env`, `workdir` and `launcher` mean nothing, and `CUDA_VISIBLE_DEVICES` is the job's: see
///   [`Repetition::gpus`](crate::Repetition::gpus).
/// - Errors carry backtraces: `RUST_LIB_BACKTRACE` is set to 1 where it is not set (0 keeps errors cheap) and the program has
///   no other thread yet, where it could not be set safely.
/// - Records of the `log` facade go to `out.log`, warnings and errors to `err.log` too, unless the program set a logger of its
///   own before, which may write there by a [`LogWriter`](crate::LogWriter). Threads that the experiment starts need [`Context::log_handle`](crate::Context::log_handle).
/// - What is printed, and not logged, goes where the program's own output goes.
pub struct ClusterWork {
    factory: Factory,
    scheduler: Box<dyn Scheduler>,
    version: Option<&'static str>,
    own_args: Vec<String>,
}

impl ClusterWork {
    /// A program with this experiment. The closure is called once for every attempt at a repetition, on the thread that runs
    /// it.
    ///
    /// It has the logger [`JsonLines`], and the scheduler [`Planned`].
    ///
    /// ```
    /// # struct E;
    /// # impl cw2::Experiment for E { fn run(&mut self, _: &cw2::Context) -> anyhow::Result<()> { Ok(()) } }
    /// let program = cw2::ClusterWork::new(|| E);
    /// ```
    pub fn new<E: Experiment + 'static>(make: impl Fn() -> E + Send + Sync + 'static) -> Self {
        let factory = Factory {
            experiment: Arc::new(move || Box::new(make())),
            loggers: Vec::new(),
            iterative: false,
            check_params: None,
            stack_size: STACK_SIZE,
        };
        ClusterWork { factory, scheduler: Box::new(Planned), version: None, own_args: Vec::new() }
            .logger(JsonLines::new)
    }

    /// A program with this iterative experiment. A configuration without `iterations` (or a `command`) is refused.
    ///
    /// ```
    /// # use cw2::{Context, IterativeExperiment, Metrics};
    /// # struct E;
    /// # impl IterativeExperiment for E {
    /// #     fn iterate(&mut self, _: &Context, _: u64) -> anyhow::Result<Metrics> { Ok(Metrics::new()) }
    /// # }
    /// let program = cw2::ClusterWork::iterative(|| E);
    /// ```
    pub fn iterative<E: IterativeExperiment + 'static>(make: impl Fn() -> E + Send + Sync + 'static) -> Self {
        let mut program = Self::new(move || Iterative(make()));
        program.factory.iterative = true;
        program
    }

    /// With parameters of this type: a configuration whose runs have others is refused when it is planned, instead of crashing
    /// when it runs.
    ///
    /// ```
    /// # use cw2::{ClusterWork, Context, Experiment};
    /// # struct E;
    /// # impl Experiment for E { fn run(&mut self, _: &Context) -> anyhow::Result<()> { Ok(()) } }
    /// #[derive(serde::Deserialize)]
    /// struct Params { lr: f64, layers: Vec<usize> }
    /// let program = ClusterWork::new(|| E).params::<Params>();
    /// ```
    #[must_use]
    pub fn params<P: DeserializeOwned>(mut self) -> Self {
        self.factory.check_params = Some(Arc::new(|params| params.to::<P>().map(drop)));
        self
    }

    /// With arguments of the program's own, which its jobs on the cluster call it with too, before `worker`. A program that
    /// has such arguments reads them first, and hands the rest of its command line to [`call`](ClusterWork::call).
    ///
    /// ```
    /// # struct E;
    /// # impl cw2::Experiment for E { fn run(&mut self, _: &cw2::Context) -> anyhow::Result<()> { Ok(()) } }
    /// use std::ffi::OsString;
    /// let mut words: Vec<OsString> = ["mytool", "--data", "/data/mnist", "plan", "sweep.yml"].map(Into::into).to_vec();
    /// let own: Vec<OsString> = words.drain(1..3).collect();
    /// let own = own.iter().map(|word| word.to_string_lossy());
    /// // There is no such file.
    /// assert_eq!(cw2::ClusterWork::new(|| E).worker_args(own).call(words), 2);
    /// ```
    #[must_use]
    pub fn worker_args(mut self, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.own_args = args.into_iter().map(Into::into).collect();
        self
    }

    /// With another scheduler, for `run` and `worker`.
    ///
    /// ```no_run
    /// # struct E;
    /// # impl cw2::Experiment for E { fn run(&mut self, _: &cw2::Context) -> anyhow::Result<()> { Ok(()) } }
    /// fn main() -> std::process::ExitCode {
    ///     cw2::ClusterWork::new(|| E).scheduler(cw2::scheduler::Sequential).main()
    /// }
    /// ```
    #[must_use]
    pub fn scheduler(mut self, scheduler: impl Scheduler + 'static) -> Self {
        self.scheduler = Box::new(scheduler);
        self
    }

    /// What `--version` says, beside the program's name; cw2's own version where none is given.
    ///
    /// ```
    /// # struct E;
    /// # impl cw2::Experiment for E { fn run(&mut self, _: &cw2::Context) -> anyhow::Result<()> { Ok(()) } }
    /// let program = cw2::ClusterWork::new(|| E).version(env!("CARGO_PKG_VERSION"));
    /// ```
    #[must_use]
    pub fn version(mut self, version: &'static str) -> Self {
        self.version = Some(version);
        self
    }

    /// How large the stack of a repetition's thread is, in bytes; 8 MiB where none is given, as that of a program's first
    /// thread usually is.
    ///
    /// ```
    /// # struct E;
    /// # impl cw2::Experiment for E { fn run(&mut self, _: &cw2::Context) -> anyhow::Result<()> { Ok(()) } }
    /// let program = cw2::ClusterWork::new(|| E).stack_size(64 << 20);
    /// ```
    #[must_use]
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.factory.stack_size = bytes;
        self
    }

    /// With one more logger; the closure is called once for every attempt at a repetition.
    ///
    /// ```
    /// # use cw2::{ClusterWork, loggers};
    /// # struct E;
    /// # impl cw2::Experiment for E { fn run(&mut self, _: &cw2::Context) -> anyhow::Result<()> { Ok(()) } }
    /// let program = ClusterWork::new(|| E).logger(loggers::Csv::new).logger(loggers::Console::new);
    /// ```
    #[must_use]
    pub fn logger<L: Logger + 'static>(mut self, make: impl Fn() -> L + Send + Sync + 'static) -> Self {
        self.factory.loggers.push(Arc::new(move || Box::new(make())));
        self
    }

    /// Does what the command line says, and returns the exit code (`--help` lists them).
    ///
    /// To be called first thing in `main`: `run` and `worker` take over the signals that ask a program to end. Where there are
    /// other threads by then, a stop that ends a `command` too may be seen only after its end, and be taken for a crash.
    ///
    /// ```no_run
    /// # struct E;
    /// # impl cw2::Experiment for E { fn run(&mut self, _: &cw2::Context) -> anyhow::Result<()> { Ok(()) } }
    /// fn main() -> std::process::ExitCode {
    ///     cw2::ClusterWork::new(|| E).main()
    /// }
    /// ```
    pub fn main(self) -> ExitCode {
        ExitCode::from(self.call(std::env::args_os()))
    }

    /// The same for a command line of one's own, whose first word is the program's name. Returns the exit code.
    ///
    /// It may be called again. The signals stay taken over: what comes between two calls is not heard.
    ///
    /// ```
    /// # struct E;
    /// # impl cw2::Experiment for E { fn run(&mut self, _: &cw2::Context) -> anyhow::Result<()> { Ok(()) } }
    /// let folder = tempfile::tempdir()?;
    /// let config = folder.path().join("config.yml");
    /// let results = folder.path().join("results");
    /// std::fs::write(&config, format!("name: e\npath: {}\nrepetitions: 3\n", results.display()))?;
    ///
    /// let args = ["e".into(), "run".into(), config.into_os_string(), "--quiet".into()];
    /// assert_eq!(cw2::ClusterWork::new(|| E).call(args), 0);
    ///
    /// assert_eq!(cw2::load(&results)?.len(), 3);
    /// # anyhow::Ok(())
    /// ```
    pub fn call(self, args: impl IntoIterator<Item = OsString>) -> u8 {
        want_backtraces();
        let ClusterWork { factory, scheduler, version, own_args } = self;
        cli::call(args, &Program { factory: Some(factory), scheduler, version, own_args, python: None })
    }

    /// All commands, to be shown in the help of a program with a command line of its own. What such a program takes for one
    /// of them it hands to [`call`](ClusterWork::call), as words.
    ///
    /// ```
    /// use std::ffi::OsString;
    /// # struct E;
    /// # impl cw2::Experiment for E { fn run(&mut self, _: &cw2::Context) -> anyhow::Result<()> { Ok(()) } }
    /// let command = clap::Command::new("mytool")
    ///     .subcommand(clap::Command::new("convert").about("Convert the data"))
    ///     .subcommands(cw2::ClusterWork::command().get_subcommands().cloned());
    /// let words: Vec<OsString> = ["mytool", "plan", "--dry-run", "sweep.yml"].map(Into::into).to_vec();
    /// match command.get_matches_from(words.clone()).subcommand() {
    ///     Some(("convert", _)) => {}
    ///     Some(_) => {
    ///         // There is no such file.
    ///         assert_eq!(cw2::ClusterWork::new(|| E).call(words), 2);
    ///     }
    ///     None => {}
    /// }
    /// ```
    pub fn command() -> clap::Command {
        cli::command()
    }
}

/// Makes every error of the program carry a backtrace, for `err.log`: without this variable none does.
fn want_backtraces() {
    const NAME: &str = "RUST_LIB_BACKTRACE";
    let alone = std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1);
    if alone && std::env::var_os(NAME).is_none() {
        // SAFETY: changing the environment is unsound only while another thread reads or changes it. There is none: the
        // kernel lists one thread of this process, this one, and only it could start another.
        #[expect(unsafe_code, reason = "the standard library has no other switch for backtraces of errors")]
        unsafe {
            std::env::set_var(NAME, "1");
        }
    }
}
