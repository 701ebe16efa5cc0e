//! A user's whole program.

use crate::api::loggers::JsonLines;
use crate::api::{Experiment, Factory, Iterative, IterativeExperiment, Logger};
use crate::cli::{self, Program};
use crate::scheduler::{Planned, Scheduler};
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

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
/// - What ends the process (`abort`, a panic with `panic = "abort"`, a stack overflow, the kernel for lack of memory) ends all repetitions of the job; they
///   are resumed or run again as after any death of a worker. An experiment that is not to be trusted is better a `command`.
/// - CPU time is that of the repetition's own thread, memory that of the process.
/// - `env`, `workdir` and `launcher` mean nothing, and `CUDA_VISIBLE_DEVICES` is the job's: see
///   [`Repetition::gpus`](crate::Repetition::gpus).
/// - Errors carry backtraces: `RUST_LIB_BACKTRACE` is set to 1 where it is not set (0 keeps errors cheap) and the program has
///   no other thread yet, where it could not be set safely.
/// - Records of the `log` facade go to `out.log`, warnings and errors to `err.log` too, unless the program set a logger of its
///   own before. Threads that the experiment starts need [`Context::log_handle`](crate::Context::log_handle).
/// - What is printed, and not logged, goes where the program's own output goes.
pub struct ClusterWork {
    factory: Factory,
}

impl ClusterWork {
    /// A program with this experiment. The closure is called once for every attempt at a repetition, on the thread that runs
    /// it.
    ///
    /// It has the logger [`JsonLines`].
    ///
    /// ```
    /// # struct E;
    /// # impl cw2::Experiment for E { fn run(&mut self, _: &cw2::Context) -> anyhow::Result<()> { Ok(()) } }
    /// let program = cw2::ClusterWork::new(|| E);
    /// ```
    pub fn new<E: Experiment + 'static>(make: impl Fn() -> E + Send + Sync + 'static) -> Self {
        let factory = Factory { experiment: Arc::new(move || Box::new(make())), loggers: Vec::new(), iterative: false };
        ClusterWork { factory }.logger(JsonLines::new)
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
        self.run_with(Planned)
    }

    /// The same with a scheduler of choice for `run` and `worker`.
    ///
    /// ```no_run
    /// # struct E;
    /// # impl cw2::Experiment for E { fn run(&mut self, _: &cw2::Context) -> anyhow::Result<()> { Ok(()) } }
    /// fn main() -> std::process::ExitCode {
    ///     cw2::ClusterWork::new(|| E).run_with(cw2::scheduler::Sequential)
    /// }
    /// ```
    pub fn run_with(self, scheduler: impl Scheduler + 'static) -> ExitCode {
        ExitCode::from(self.call(std::env::args_os(), scheduler))
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
    /// assert_eq!(cw2::ClusterWork::new(|| E).call(args, cw2::scheduler::Sequential), 0);
    ///
    /// assert_eq!(cw2::load(&results)?.len(), 3);
    /// # anyhow::Ok(())
    /// ```
    pub fn call(self, args: impl IntoIterator<Item = OsString>, scheduler: impl Scheduler + 'static) -> u8 {
        want_backtraces();
        cli::call(args, &Program { factory: Some(self.factory), scheduler: Box::new(scheduler) })
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
