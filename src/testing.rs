//! Experiments in unit tests: one repetition, with given parameters, without a configuration file or a job.
//!
//! ```
//! use cw2::{Context, Ending, Iterative, IterativeExperiment, Metrics, testing::Trial};
//!
//! #[derive(Default)]
//! struct Descent {
//!     x: f64,
//! }
//!
//! impl IterativeExperiment for Descent {
//!     fn iterate(&mut self, cx: &Context, _: u64) -> anyhow::Result<Metrics> {
//!         self.x -= cx.params_value()["lr"].as_f64().unwrap_or(0.1) * 2.0 * (self.x - 3.0);
//!         Ok(Metrics::new().with("loss", (self.x - 3.0).powi(2)))
//!     }
//! }
//!
//! let mut descent = Iterative(Descent::default());
//! let tried = Trial::new().params(&[("lr", 0.5)])?.iterations(2).run(&mut descent)?;
//! assert!(matches!(tried.ending, Ending::Completed));
//! assert_eq!(descent.0.x, 3.0);
//! assert_eq!(tried.metrics[1].get("loss").and_then(|loss| loss.as_f64()), Some(0.0));
//! # anyhow::Ok(())
//! ```

use crate::api::logs::LogHandle;
use crate::api::{Context, Ending, Experiment, Logger, LoggerArray, Metrics, Repetition, Worker};
use crate::experiment::seed;
use crate::plan::layout::rep as names;
use crate::store;
use crate::store::files;
use crate::value::{Map, Value};
use serde::Serialize;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// One repetition that is tried: by default the first of a run without parameters, in a folder of its own.
#[derive(Debug)]
#[must_use = "nothing runs before `run`"]
pub struct Trial {
    config: Map,
    iterations: Option<u64>,
    number: u32,
    stop_after: Option<u64>,
    loggers: LoggerArray,
    /// What an earlier one left, and which attempt this one is.
    resumes: Option<(TempDir, u32)>,
}

/// What came of it.
#[derive(Debug)]
pub struct Tried {
    /// How it ended. Where `finalize` failed, it crashed.
    pub ending: Ending,
    /// What was logged, with `ts`, `rep` and `iter`.
    pub metrics: Vec<Metrics>,
    trial: Trial,
    dir: TempDir,
    attempt: u32,
}

impl Default for Trial {
    fn default() -> Self {
        Trial::new()
    }
}

impl Trial {
    /// A repetition without parameters.
    pub fn new() -> Self {
        let params = ("params".to_owned(), Value::Map(Map::new()));
        let config = Map::from_iter([("name".to_owned(), "test".into()), params]);
        Trial { config, iterations: None, number: 0, stop_after: None, loggers: LoggerArray::new(), resumes: None }
    }

    /// With these parameters: a type of the user's, a map, a list of pairs.
    ///
    /// # Errors
    /// Where serde cannot write them.
    pub fn params(mut self, params: &(impl Serialize + ?Sized)) -> anyhow::Result<Self> {
        let params = match Value::of(params)? {
            // A list of pairs, which is the shortest to write.
            Value::List(pairs) => Value::Map(pairs.iter().map(pair).collect::<anyhow::Result<Map>>()?),
            params => params,
        };
        self.config.insert("params".to_owned(), params);
        Ok(self)
    }

    /// With another key of the configuration.
    ///
    /// # Errors
    /// Where serde cannot write its value.
    pub fn config(mut self, key: impl Into<String>, value: &(impl Serialize + ?Sized)) -> anyhow::Result<Self> {
        self.config.insert(key.into(), Value::of(value)?);
        Ok(self)
    }

    /// With so many iterations.
    pub fn iterations(mut self, iterations: u64) -> Self {
        self.iterations = Some(iterations);
        self
    }

    /// Another repetition than the first one; it has another seed.
    pub fn number(mut self, number: u32) -> Self {
        self.number = number;
        self
    }

    /// Told to stop once it has logged so many records; at once for 0. [`Context::wait_stop`] does not wait here.
    pub fn stop_after(mut self, records: u64) -> Self {
        self.stop_after = Some(records);
        self
    }

    /// With a logger, to test that one too.
    pub fn logger(mut self, logger: impl Logger + 'static) -> Self {
        self.loggers = std::mem::take(&mut self.loggers).with(logger);
        self
    }

    /// Runs `initialize`, `run` and `finalize` on the calling thread. A panic is the test's.
    ///
    /// # Errors
    /// Where no folder can be made for it.
    pub fn run(mut self, experiment: &mut impl Experiment) -> anyhow::Result<Tried> {
        let (dir, attempt) = match self.resumes.take() {
            Some(resumed) => resumed,
            None => (tempfile::tempdir()?, 1),
        };
        let log = |name: &str| files::append(&dir.path().join(name));
        let logs = LogHandle::new(log(names::OUT)?, log(names::ERR)?);
        let _guard = logs.enter();
        let records = Arc::<Mutex<Vec<Metrics>>>::default();
        let told =
            Arc::new(Told { records: Arc::clone(&records), stop_after: self.stop_after, news: Mutex::default() });
        let loggers = std::mem::take(&mut self.loggers).with(Keep(Arc::clone(&records)));
        let rep = self.repetition(dir.path(), attempt);
        let cx = Context::new(rep, loggers, Arc::<Told>::clone(&told), logs.clone());
        cx.start_loggers();
        let result = cx.forget_checkpoint().and_then(|()| {
            experiment.initialize(&cx)?;
            if cx.stopping() { Ok(()) } else { experiment.run(&cx) }
        });
        let mut ending = Ending::of(result, lock(&told.news).told.then_some(Ending::Interrupted));
        if let Err(error) = experiment.finalize(&cx, &ending)
            && matches!(ending, Ending::Completed | Ending::Surrendered(_))
        {
            ending = Ending::Crashed(error.context("`finalize` failed"));
        }
        cx.finish_loggers();
        let metrics = std::mem::take(&mut *lock(&records));
        Ok(Tried { ending, metrics, trial: self, dir, attempt })
    }

    fn repetition(&self, dir: &Path, attempt: u32) -> Repetition {
        let mut config = self.config.clone();
        let seed = seed("test", "test", self.number);
        config.extend([
            ("run".to_owned(), "test".into()),
            ("rep".to_owned(), self.number.into()),
            ("seed".to_owned(), seed.into()),
        ]);
        Repetition {
            experiment: "test".to_owned(),
            run: "test".to_owned(),
            iterations: self.iterations,
            config: Value::Map(config),
            number: self.number,
            seed,
            dir: dir.to_owned(),
            attempt,
            resume: attempt > 1,
            records: 0,
            slot: 0,
            cpus: Vec::new(),
            threads: 1,
            gpus: Vec::new(),
        }
    }
}

/// `[key, value]`.
fn pair(pair: &Value) -> anyhow::Result<(String, Value)> {
    match pair {
        Value::List(pair) => match pair.as_slice() {
            [Value::String(key), value] => Ok((key.clone(), value.clone())),
            _ => anyhow::bail!("parameters are pairs of a name and a value"),
        },
        _ => anyhow::bail!("parameters are a mapping, or pairs of a name and a value"),
    }
}

impl Tried {
    /// Its directory, which is removed with this.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it wrote through the [`log_handle`](Context::log_handle)'s files or a [`LogWriter`](crate::LogWriter).
    ///
    /// # Errors
    /// Where that cannot be read.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&store::read(&self.dir().join(names::OUT))?).into_owned())
    }

    /// Another attempt at the same repetition, in the same directory, that resumes this one and is not told to stop.
    ///
    /// ```
    /// use cw2::{Context, Ending, Experiment, Metrics, testing::Trial};
    /// struct Count;
    /// impl Experiment for Count {
    ///     fn run(&mut self, cx: &Context) -> anyhow::Result<()> {
    ///         for n in cx.restore()?.unwrap_or(0)..4_u32 {
    ///             if cx.stopping() {
    ///                 return cx.save(&n);
    ///             }
    ///             cx.log(Metrics::new().with("n", n));
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// let first = Trial::new().stop_after(3).run(&mut Count)?;
    /// assert!(matches!(first.ending, Ending::Interrupted));
    /// let second = first.resume().run(&mut Count)?;
    /// assert!(matches!(second.ending, Ending::Completed));
    /// assert_eq!(second.metrics.len(), 1);
    /// # anyhow::Ok(())
    /// ```
    pub fn resume(self) -> Trial {
        Trial { stop_after: None, resumes: Some((self.dir, self.attempt.saturating_add(1))), ..self.trial }
    }
}

/// Keeps every record.
struct Keep(Arc<Mutex<Vec<Metrics>>>);

impl Logger for Keep {
    fn process(&mut self, metrics: &Metrics) -> anyhow::Result<()> {
        lock(&self.0).push(metrics.clone());
        Ok(())
    }
}

/// What the experiment is told.
struct Told {
    records: Arc<Mutex<Vec<Metrics>>>,
    stop_after: Option<u64>,
    news: Mutex<News>,
}

#[derive(Default)]
struct News {
    told: bool,
    done: bool,
}

impl Worker for Told {
    fn stopping(&self) -> bool {
        let stop = self.stop_requested();
        let mut news = lock(&self.news);
        news.told |= stop && !news.done;
        stop
    }

    fn stop_requested(&self) -> bool {
        self.stop_after.is_some_and(|after| lock(&self.records).len() as u64 >= after)
    }

    fn wait_stop(&self, _: Duration) -> bool {
        self.stop_requested()
    }

    fn done(&self) {
        *lock(&self.news) = News { told: false, done: true };
    }

    fn unheard_stops_come_too_late(&self) {
        lock(&self.news).done = true;
    }

    fn spawn(&self, command: &mut Command) -> std::io::Result<Child> {
        command.spawn()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Iterative, IterativeExperiment, Surrender};

    struct Ends;

    impl Experiment for Ends {
        fn run(&mut self, cx: &Context) -> anyhow::Result<()> {
            assert_eq!((cx.experiment(), cx.run_name(), cx.attempt(), cx.resume()), ("test", "test", 1, false));
            assert_eq!(cx.config_value()["rep"].as_i64(), Some(i64::from(cx.number())));
            match cx.params_value()["how"].as_str() {
                Some("surrender") => Err(Surrender::new("enough").into()),
                Some("error") => anyhow::bail!("no"),
                _ => Ok(()),
            }
        }

        fn finalize(&mut self, cx: &Context, ending: &Ending) -> anyhow::Result<()> {
            std::fs::write(cx.dir().join("ending"), ending.word())?;
            anyhow::ensure!(cx.config_value()["strict"].as_bool() != Some(true), "not tidy");
            Ok(())
        }
    }

    #[test]
    fn every_ending_is_that_of_a_real_one() {
        for (how, strict, expected) in [
            ("well", false, "completed"),
            ("surrender", false, "surrendered"),
            ("error", false, "crashed"),
            ("well", true, "crashed"),
            ("error", true, "crashed"),
        ] {
            let trial = Trial::new().number(3).params(&[("how", how)]).unwrap().config("strict", &strict).unwrap();
            let tried = trial.run(&mut Ends).unwrap();
            assert_eq!(tried.ending.word(), expected, "{how} {strict}");
            assert!(tried.dir().join("ending").exists());
        }
        assert!(Trial::new().params(&[1, 2]).is_err());
    }

    struct Steps;

    impl IterativeExperiment for Steps {
        fn iterate(&mut self, _: &Context, n: u64) -> anyhow::Result<Metrics> {
            Ok(Metrics::new().with("n", n))
        }
    }

    #[test]
    fn a_stop_comes_between_two_iterations_and_after_the_last_too_late() {
        for (stop, records, expected) in [(0, 0, "interrupted"), (2, 2, "interrupted"), (4, 4, "completed")] {
            let tried = Trial::new().iterations(4).stop_after(stop).run(&mut Iterative(Steps)).unwrap();
            assert_eq!((tried.metrics.len(), tried.ending.word()), (records, expected));
        }
    }
}
