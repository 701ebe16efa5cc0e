//! What an experiment is given: who it is, where it may write, what it may use, and when it is to stop.

use super::logs::LogHandle;
use super::{LoggerArray, Metrics};
use crate::plan::layout::rep as names;
use crate::store::atomic::{self, Durable};
use crate::store::files;
use crate::value::{TypeError, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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
    pub(crate) experiment: String,
    pub(crate) run: String,
    pub(crate) iterations: Option<u64>,
    /// With the run's parameters, under `params`.
    pub(crate) config: Value,
    pub(crate) number: u32,
    pub(crate) seed: u32,
    pub(crate) dir: PathBuf,
    pub(crate) attempt: u32,
    pub(crate) resume: bool,
    /// How many records of metrics there are that it goes on from.
    pub(crate) records: u64,
    pub(crate) slot: u32,
    pub(crate) cpus: Vec<usize>,
    pub(crate) threads: usize,
    pub(crate) gpus: Vec<String>,
}

impl Repetition {
    /// The experiment's name.
    pub fn experiment(&self) -> &str {
        &self.experiment
    }

    /// The run's name: the experiment's, with the parameters that vary.
    pub fn run_name(&self) -> &str {
        &self.run
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
        &self.config["params"]
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
        self.params_value().to()
    }

    /// `iterations` of the configuration.
    pub fn iterations(&self) -> Option<u64> {
        self.iterations
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
    /// Whether it is to stop; notes that the experiment knows.
    fn stopping(&self) -> bool;

    /// Whether it is to stop.
    fn stop_requested(&self) -> bool;

    /// Waits until it is to stop, at most so long; whether it is.
    fn wait_stop(&self, patience: Duration) -> bool;

    /// All is done: a stop interrupts nothing any more, nor did one before.
    fn done(&self);

    /// A stop that the experiment first hears of from here on interrupts nothing.
    fn unheard_stops_come_too_late(&self);

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
        let records = Records { loggers, iter: Iter::Records(rep.records), warned: false };
        Context { rep, records: Mutex::new(records), worker, logs }
    }

    /// Hands metrics to the loggers. A logger that fails says so in the repetition's log; the experiment goes on.
    ///
    /// Three are added, and take the place of any of these names:
    /// - `ts`, the time (RFC 3339);
    /// - `rep`, the repetition's number;
    /// - `iter`: how many records there were before. An attempt that resumes another one goes on from the record after which the
    ///   checkpoint it [restores](Context::restore) was saved (from 0 where none was), and one that does not ask for it after
    ///   the last record (from 0 where nothing was saved in [`dir`](Repetition::dir)). In an [`IterativeExperiment`](super::IterativeExperiment) it
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
    /// It does not matter which of its threads asks, for what that one leaves out then is missing: nothing counts as finished
    /// that may not be. A thread that merely looks asks [`stop_requested`](Context::stop_requested), and an experiment that left
    /// nothing out says so with [`done`](Context::done).
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

    /// The same without a promise: only a look, which changes nothing of how the repetition ends. For threads that report or
    /// display, and for code that does not return because of it.
    ///
    /// ```
    /// fn progress(cx: &cw2::Context) -> &'static str {
    ///     if cx.stop_requested() { "saving" } else { "training" }
    /// }
    /// ```
    pub fn stop_requested(&self) -> bool {
        self.worker.stop_requested()
    }

    /// Waits until the experiment is to stop, at most so long, and says whether it is; for experiments that watch something
    /// else do the work. As with [`stopping`](Context::stopping), one that was told so and returns is interrupted.
    ///
    /// ```
    /// use std::time::Duration;
    /// fn watch(cx: &cw2::Context, mut running: impl FnMut() -> bool) -> anyhow::Result<()> {
    ///     while running() {
    ///         if cx.wait_stop(Duration::from_secs(1)) {
    ///             break;
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn wait_stop(&self, patience: Duration) -> bool {
        self.worker.wait_stop(patience) && self.stopping()
    }

    /// All that was to be done is done: from here on no stop interrupts the repetition, and none that was heard of before
    /// did. It is completed when it returns without an error.
    ///
    /// ```
    /// fn run(cx: &cw2::Context) -> anyhow::Result<()> {
    ///     let mut left = 100;
    ///     while left > 0 && !cx.stopping() {
    ///         left -= 1;
    ///     }
    ///     if left == 0 {
    ///         // A stop that came with the last step came too late.
    ///         cx.done();
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn done(&self) {
        self.worker.done();
    }

    /// The last iteration is over. Where it heard of a stop, it may have left out some of its work.
    pub(crate) fn last_iteration_over(&self) {
        self.worker.unheard_stops_come_too_late();
    }

    /// Saves a checkpoint for [`restore`](Context::restore): whole or not at all, in place of the one before, and on the disk
    /// when this returns. It lies in the repetition's directory, as JSON.
    ///
    /// # Errors
    /// Where serde cannot write the state, or the file cannot be written.
    ///
    /// ```
    /// #[derive(Default, serde::Serialize, serde::Deserialize)]
    /// struct State { epoch: u64, weights: Vec<f64> }
    /// fn run(cx: &cw2::Context) -> anyhow::Result<()> {
    ///     let mut state: State = cx.restore()?.unwrap_or_default();
    ///     while state.epoch < 100 && !cx.stopping() {
    ///         state.epoch += 1;
    ///         cx.save(&state)?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn save<S: Serialize + ?Sized>(&self, state: &S) -> anyhow::Result<()> {
        let records = match self.records().iter {
            Iter::Records(count) => Value::from(count),
            Iter::Iteration(_) => Value::Null,
        };
        let text = Value::from_pairs([("records", records), ("state", Value::of(state)?)]).to_json();
        atomic::replace(&self.checkpoint(), text.as_bytes(), Durable::Yes)?;
        Ok(())
    }

    /// What [`save`](Context::save) saved in an attempt that this one resumes; `None` where there is nothing to resume, or
    /// nothing was saved.
    ///
    /// # Errors
    /// Where it cannot be read, or is not of that type.
    pub fn restore<S: DeserializeOwned>(&self) -> anyhow::Result<Option<S>> {
        if !self.resume() {
            return Ok(None);
        }
        let path = self.checkpoint();
        let go_on_from = |records: u64| {
            if let Iter::Records(count) = &mut self.records().iter {
                *count = records;
            }
        };
        let Some(text) = files::read_if_there(&path, files::cap::NONE)? else {
            go_on_from(0);
            return Ok(None);
        };
        let parse = || {
            let saved = Value::from_json(std::str::from_utf8(&text)?)?;
            if let Some(records) = saved["records"].as_i64() {
                go_on_from(u64::try_from(records)?);
            }
            Ok(saved["state"].to()?)
        };
        parse().map(Some).map_err(|error: anyhow::Error| error.context(format!("cannot restore `{}`", path.display())))
    }

    /// What an attempt saved that this one does not resume must not be found by the next one.
    pub(crate) fn forget_checkpoint(&self) -> anyhow::Result<()> {
        if self.resume() {
            return Ok(());
        }
        Ok(files::remove_if_there(&self.checkpoint())?)
    }

    fn checkpoint(&self) -> PathBuf {
        self.dir().join(names::CHECKPOINT)
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
