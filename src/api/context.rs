//! What an experiment is given: who it is, where it may write, what it may use, and when it is to stop.

use super::logs::LogHandle;
use super::{LoggerArray, Metrics};
use crate::store::plan::Run;
use crate::value::{TypeError, Value};
use serde::de::DeserializeOwned;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who a repetition is: its configuration, number, seed, directory and share of the machine.
///
/// ```
/// fn greet(rep: &cw2::Repetition) {
///     log::info!("{} rep {}, attempt {}, seed {}", rep.run_name(), rep.number(), rep.attempt(), rep.seed());
///     log::info!("{} threads on CPUs {:?}, GPUs {:?}", rep.threads(), rep.cpus(), rep.gpus());
///     log::info!("{} with {}", rep.dir().display(), rep.params_value());
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Repetition {
    pub(crate) run: Arc<Run>,
    pub(crate) config: Value,
    pub(crate) number: u32,
    pub(crate) seed: u32,
    pub(crate) dir: PathBuf,
    pub(crate) attempt: u32,
    pub(crate) resume: bool,
    pub(crate) slot: u32,
    pub(crate) cpus: Vec<usize>,
    pub(crate) threads: usize,
    pub(crate) gpus: Vec<String>,
}

impl Repetition {
    /// The experiment's name.
    pub fn experiment(&self) -> &str {
        &self.run.experiment.record.name
    }

    /// The run's name: the experiment's, with the parameters that vary.
    pub fn run_name(&self) -> &str {
        &self.run.record.run
    }

    /// The resolved configuration, as it stands in the repetition's `config.yml`: the experiment's keys, `params`, `run`,
    /// `rep`, `seed`.
    pub fn config_value(&self) -> &Value {
        &self.config
    }

    /// The resolved configuration as a type of the user's.
    ///
    /// # Errors
    /// Where it is not of that type, with the path to the part that is not.
    ///
    /// ```
    /// #[derive(serde::Deserialize)]
    /// struct Config { iterations: u64, wandb: Option<String> }
    /// fn initialize(cx: &cw2::Context) -> anyhow::Result<()> {
    ///     let config: Config = cx.config()?;
    ///     Ok(())
    /// }
    /// ```
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, TypeError> {
        self.config.to()
    }

    /// The parameters of the run.
    pub fn params_value(&self) -> &Value {
        &self.run.params
    }

    /// The parameters of the run as a type of the user's.
    ///
    /// # Errors
    /// Where they are not of that type, with the path to the part that is not.
    ///
    /// ```
    /// #[derive(serde::Deserialize)]
    /// struct Params { lr: f64, layers: Vec<usize> }
    /// fn initialize(cx: &cw2::Context) -> anyhow::Result<()> {
    ///     let params: Params = cx.params()?;
    ///     Ok(())
    /// }
    /// ```
    pub fn params<T: DeserializeOwned>(&self) -> Result<T, TypeError> {
        self.run.params.to()
    }

    /// `iterations` of the configuration.
    pub fn iterations(&self) -> Option<u64> {
        self.run.experiment.record.iterations
    }

    /// The repetition's number, from 0.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// A number that depends on the experiment, the run and the repetition's number alone: the same at any time, on any machine.
    pub fn seed(&self) -> u32 {
        self.seed
    }

    /// The repetition's directory, absolute: for whatever the experiment writes.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Which start this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether the attempt before was interrupted, so that what it saved in [`dir`](Repetition::dir) may be picked up.
    pub fn resume(&self) -> bool {
        self.resume
    }

    /// The slot it runs in, from 0: no two repetitions are in the same one at a time.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// How many threads it should start: its share of the job's CPUs, at least 1.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The system's numbers of the CPUs it shares with no other slot (where there are enough); its thread is bound to them.
    pub fn cpus(&self) -> &[usize] {
        &self.cpus
    }

    /// The GPUs it shares with no other slot (unless `gpus_per_rep` is below 1), as `CUDA_VISIBLE_DEVICES` of the job names
    /// them: numbers, UUIDs or MIG ids. That variable holds for the whole process, so an experiment has to choose among
    /// these itself.
    pub fn gpus(&self) -> &[String] {
        &self.gpus
    }
}

/// What the worker does for an experiment.
pub(crate) trait Worker: Send + Sync {
    /// Whether it is to stop.
    fn stopping(&self) -> bool;

    /// All is done: a stop that the experiment first hears of from here on interrupts nothing.
    fn done(&self);

    /// Starts a process that takes the signals which the worker's own threads do not.
    fn spawn(&self, command: &mut Command) -> std::io::Result<Child>;
}

/// What an experiment works with: the [`Repetition`] it is, its loggers, and the worker's wish to stop.
///
/// ```
/// use cw2::{Context, Metrics};
/// fn run(cx: &Context) -> anyhow::Result<()> {
///     for step in 0..cx.iterations().unwrap_or(100) {
///         if cx.stopping() {
///             break;
///         }
///         cx.log(Metrics::new().with("step", step));
///     }
///     Ok(())
/// }
/// ```
pub struct Context {
    rep: Repetition,
    records: Mutex<Records>,
    worker: Arc<dyn Worker>,
    logs: LogHandle,
}

/// What is logged, and how it is numbered.
struct Records {
    loggers: LoggerArray,
    iter: Iter,
    /// A metric that the stamp hides was told of.
    warned: bool,
}

/// What `iter` of the next record is.
enum Iter {
    /// How many records there were before.
    Records(u64),
    /// The iteration under way, if one is.
    Iteration(Option<u64>),
}

impl std::ops::Deref for Context {
    type Target = Repetition;

    fn deref(&self) -> &Repetition {
        &self.rep
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("rep", &self.rep).finish_non_exhaustive()
    }
}

impl Context {
    pub(crate) fn new(rep: Repetition, loggers: LoggerArray, worker: Arc<dyn Worker>, logs: LogHandle) -> Self {
        let records = Records { loggers, iter: Iter::Records(0), warned: false };
        Context { rep, records: Mutex::new(records), worker, logs }
    }

    /// Hands metrics to the loggers. A logger that fails says so in the repetition's log; the experiment goes on.
    ///
    /// Three are added, and take the place of any of these names:
    /// - `ts`, the time (RFC 3339);
    /// - `rep`, the repetition's number;
    /// - `iter`: how many records of this attempt there were before. In an [`IterativeExperiment`](super::IterativeExperiment) it
    ///   is the number of the iteration that is under way or whose state is saved, and null outside of one.
    ///
    /// ```
    /// use cw2::{Context, Metrics};
    /// fn report(cx: &Context, loss: f64) {
    ///     cx.log(Metrics::new().with("loss", loss));
    /// }
    /// ```
    pub fn log(&self, metrics: Metrics) {
        // Counted under the lock, so that lines are in the order of their numbers.
        let mut records = self.records();
        if let Some(name) = metrics.hidden_by_stamp()
            && !std::mem::replace(&mut records.warned, true)
        {
            log::warn!("a metric is named `{name}`: it is left out, cw2's own of that name takes its place");
        }
        let iter = match &mut records.iter {
            Iter::Records(count) => {
                *count += 1;
                Some(*count - 1)
            }
            Iter::Iteration(iteration) => *iteration,
        };
        records.loggers.process_all(&metrics.stamped(self.rep.number, iter));
    }

    /// What is logged from here on belongs to this iteration, or to none.
    pub(crate) fn enter_iteration(&self, iteration: Option<u64>) {
        self.records().iter = Iter::Iteration(iteration);
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn start_loggers(&self) {
        self.records().loggers.initialize_all(&self.rep);
    }

    pub(crate) fn finish_loggers(&self) {
        self.records().loggers.finalize_all();
    }

    /// Whether the experiment is to save what it needs and return: the worker was told to stop, or `timeout` is over.
    ///
    /// An experiment that was told so and returns counts as interrupted (to be resumed) or timed out, whether it returns an
    /// error or none; a [`Surrender`](super::Surrender) stays one. One that does not ask is given the grace (15 s unless
    /// configured) and then left behind, as no thread can be ended from outside; its process ends with the job.
    ///
    /// ```
    /// fn train(cx: &cw2::Context) -> anyhow::Result<()> {
    ///     for epoch in 0..100 {
    ///         if cx.stopping() {
    ///             std::fs::write(cx.dir().join("checkpoint"), epoch.to_string())?;
    ///             return Ok(());
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn stopping(&self) -> bool {
        self.worker.stopping()
    }

    /// Nothing is left that a stop could interrupt.
    pub(crate) fn done(&self) {
        self.worker.done();
    }

    /// Starts a process of this repetition. It ends by SIGKILL, with all it started, where it outlives the attempt.
    ///
    /// One that is started otherwise inherits that the program's threads leave SIGTERM, SIGINT, SIGHUP and SIGUSR1 to the worker:
    /// nothing but SIGKILL would end it.
    ///
    /// # Errors
    /// Where it cannot be started.
    ///
    /// ```
    /// use std::process::Command;
    /// fn render(cx: &cw2::Context) -> anyhow::Result<()> {
    ///     let status = cx.spawn(Command::new("gnuplot").arg("plot.gp").current_dir(cx.dir()))?.wait()?;
    ///     anyhow::ensure!(status.success(), "gnuplot ended with {status}");
    ///     Ok(())
    /// }
    /// ```
    pub fn spawn(&self, command: &mut Command) -> std::io::Result<Child> {
        // The mark by which it is found when the attempt is over, or should this worker die.
        self.worker.spawn(command.env("CW2_REP_DIR", self.dir()))
    }

    /// What a thread that the experiment starts needs so that its log records, too, go to this repetition's files.
    ///
    /// ```
    /// fn run(cx: &cw2::Context) {
    ///     let handle = cx.log_handle();
    ///     std::thread::scope(|scope| {
    ///         scope.spawn(|| {
    ///             let _guard = handle.enter();
    ///             log::info!("in this repetition's out.log");
    ///         });
    ///     });
    /// }
    /// ```
    pub fn log_handle(&self) -> LogHandle {
        self.logs.clone()
    }
}
