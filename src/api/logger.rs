//! Loggers: what becomes of the metrics an experiment reports.

use super::Repetition;
use crate::value::{Map, Value};
use serde::{Serialize, Serializer};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// What every record begins with.
pub(super) const STAMP: [&str; 3] = ["ts", "rep", "iter"];

/// The results of one iteration, or any record of them: names and values, in order. `ts`, `rep` and `iter` are not free: see
/// [`Context::log`](super::Context::log).
///
/// ```
/// let metrics = cw2::Metrics::new().with("loss", 0.5).with("correct", 12).with("note", "warm-up");
/// assert_eq!(metrics.to_json(), r#"{"loss":0.5,"correct":12,"note":"warm-up"}"#);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics(Map);

impl Metrics {
    /// None yet.
    pub fn new() -> Self {
        Metrics::default()
    }

    /// With one more; of the same name the last one counts.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// The fields of a struct, or the entries of a mapping.
    ///
    /// # Errors
    /// Where serde cannot write it, or it is no mapping.
    ///
    /// ```
    /// #[derive(serde::Serialize)]
    /// struct Epoch { loss: f64, correct: u32 }
    /// let metrics = cw2::Metrics::of(&Epoch { loss: f64::NAN, correct: 3 })?;
    /// assert_eq!(metrics.to_json(), r#"{"loss":NaN,"correct":3}"#);
    /// # anyhow::Ok(())
    /// ```
    pub fn of<T: Serialize + ?Sized>(values: &T) -> anyhow::Result<Self> {
        match Value::of(values)? {
            Value::Map(map) => Ok(Metrics(map)),
            other => anyhow::bail!("metrics are names and their values, not `{other}`"),
        }
    }

    /// One of them.
    ///
    /// ```
    /// use cw2::Metrics;
    /// let metrics: Metrics = [("loss", 0.5), ("accuracy", 0.9)].into_iter().collect();
    /// assert_eq!(metrics.get("loss").and_then(|loss| loss.as_f64()), Some(0.5));
    /// ```
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// One line of JSON; numbers that are not finite as Python writes them.
    pub fn to_json(&self) -> String {
        // The same text as of the map as a value, without a copy of it.
        let mut out = String::from("{");
        for (number, (name, value)) in self.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            // Writing to a String cannot fail.
            let _ = write!(out, "{comma}{}:{}", Value::from(name).to_json(), value.to_json());
        }
        out.push('}');
        out
    }

    /// A surrender's payload as metrics: itself where it is a mapping, else under `payload`.
    pub(super) fn of_payload(payload: &Value) -> Self {
        match payload {
            Value::Map(map) => Metrics(map.clone()),
            Value::Null => Metrics::new(),
            other => Metrics::new().with("payload", other.clone()),
        }
    }

    pub(crate) fn from_map(map: Map) -> Self {
        Metrics(map)
    }

    /// A metric that [`Metrics::stamped`] takes the place of.
    pub(super) fn hidden_by_stamp(&self) -> Option<&'static str> {
        STAMP.into_iter().find(|name| self.0.contains_key(*name))
    }

    /// With the time and place of the record, which come first and win.
    pub(super) fn stamped(self, rep: u32, iter: Option<u64>) -> Self {
        let now = jiff::Timestamp::now();
        let now = now.round(jiff::Unit::Microsecond).unwrap_or(now).to_string();
        let stamp = STAMP.into_iter().zip([now.into(), rep.into(), iter.map_or(Value::Null, Value::from)]);
        let mut map = Map::with_capacity(self.0.len() + STAMP.len());
        map.extend(stamp.map(|(name, value)| (name.to_owned(), value)));
        for (name, value) in self.0 {
            map.entry(name).or_insert(value);
        }
        Metrics(map)
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Metrics {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(metrics: I) -> Self {
        Metrics(metrics.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// A mapping.
impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.0)
    }
}

impl From<Metrics> for Value {
    fn from(metrics: Metrics) -> Self {
        Value::Map(metrics.0)
    }
}

/// Takes the metrics of one repetition. A fresh one is made for every attempt; its failures are logged, and never end an
/// experiment.
///
/// ```
/// use cw2::{Logger, Metrics, Repetition, value::Value};
/// use std::path::Path;
///
/// /// Keeps the lowest loss.
/// #[derive(Default)]
/// struct Best { file: std::path::PathBuf, loss: f64 }
///
/// impl Logger for Best {
///     fn initialize(&mut self, rep: &Repetition) -> anyhow::Result<()> {
///         *self = Best { file: rep.dir().join("best.txt"), loss: f64::INFINITY };
///         Ok(())
///     }
///     fn process(&mut self, metrics: &Metrics) -> anyhow::Result<()> {
///         if let Some(Value::Float(loss)) = metrics.get("loss") {
///             self.loss = self.loss.min(*loss);
///         }
///         Ok(())
///     }
///     fn finalize(&mut self) -> anyhow::Result<()> {
///         Ok(std::fs::write(&self.file, self.loss.to_string())?)
///     }
///     fn load(&self, dir: &Path) -> anyhow::Result<Option<Value>> {
///         Ok(Some(std::fs::read_to_string(dir.join("best.txt"))?.parse::<f64>()?.into()))
///     }
/// }
/// ```
pub trait Logger: Send {
    /// What stands for it in messages and in what [`LoggerArray::load`] returns.
    fn name(&self) -> String {
        let name = std::any::type_name::<Self>();
        name.rsplit("::").next().unwrap_or(name).to_owned()
    }

    /// Called once, before the repetition starts.
    ///
    /// # Errors
    /// Are logged; the logger gets nothing more of this repetition.
    fn initialize(&mut self, rep: &Repetition) -> anyhow::Result<()> {
        let _ = rep;
        Ok(())
    }

    /// Called for every record of metrics, with `ts`, `rep` and `iter` in it.
    ///
    /// # Errors
    /// Are logged, the first one of a repetition in full.
    fn process(&mut self, metrics: &Metrics) -> anyhow::Result<()>;

    /// Called once, when the repetition is over.
    ///
    /// # Errors
    /// Are logged.
    fn finalize(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Reads back what it wrote in a repetition's directory; `None` where it keeps nothing.
    ///
    /// # Errors
    /// Where that cannot be read.
    fn load(&self, dir: &Path) -> anyhow::Result<Option<Value>> {
        let _ = dir;
        Ok(None)
    }
}

/// Several loggers as one; a failure of one does not keep the others from their work.
///
/// ```
/// use cw2::{LoggerArray, loggers};
/// let array = LoggerArray::new().with(loggers::JsonLines::new()).with(loggers::Csv::new());
/// assert_eq!(array.len(), 2);
/// ```
#[derive(Default)]
pub struct LoggerArray {
    members: Vec<Member>,
}

struct Member {
    logger: Box<dyn Logger>,
    /// `initialize` failed.
    dead: bool,
    failures: u64,
}

impl std::fmt::Debug for LoggerArray {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.members.iter().map(|member| name_of(&*member.logger))).finish()
    }
}

impl FromIterator<Box<dyn Logger>> for LoggerArray {
    fn from_iter<I: IntoIterator<Item = Box<dyn Logger>>>(loggers: I) -> Self {
        LoggerArray { members: loggers.into_iter().map(|logger| Member { logger, dead: false, failures: 0 }).collect() }
    }
}

impl LoggerArray {
    /// None yet.
    pub fn new() -> Self {
        LoggerArray::default()
    }

    /// With one more.
    #[must_use]
    pub fn with(mut self, logger: impl Logger + 'static) -> Self {
        self.members.push(Member { logger: Box::new(logger), dead: false, failures: 0 });
        self
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn initialize_all(&mut self, rep: &Repetition) {
        for member in &mut self.members {
            if let Err(error) = guarded(|| member.logger.initialize(rep)) {
                member.dead = true;
                log::error!("logger {} cannot start, and is left out: {error:#}", name_of(&*member.logger));
            }
        }
    }

    pub(super) fn process_all(&mut self, metrics: &Metrics) {
        for member in self.members.iter_mut().filter(|member| !member.dead) {
            if let Err(error) = guarded(|| member.logger.process(metrics)) {
                member.failures += 1;
                if member.failures == 1 {
                    log::error!("logger {} failed: {error:#}", name_of(&*member.logger));
                }
            }
        }
    }

    pub(super) fn finalize_all(&mut self) {
        for member in self.members.iter_mut().filter(|member| !member.dead) {
            if let Err(error) = guarded(|| member.logger.finalize()) {
                log::error!("logger {} failed at the end: {error:#}", name_of(&*member.logger));
            }
            if member.failures > 1 {
                log::error!("logger {} failed {} times", name_of(&*member.logger), member.failures);
            }
        }
    }
}

impl Logger for LoggerArray {
    fn initialize(&mut self, rep: &Repetition) -> anyhow::Result<()> {
        self.initialize_all(rep);
        Ok(())
    }

    fn process(&mut self, metrics: &Metrics) -> anyhow::Result<()> {
        self.process_all(metrics);
        Ok(())
    }

    fn finalize(&mut self) -> anyhow::Result<()> {
        self.finalize_all();
        Ok(())
    }

    /// What each of them loads, by its name; an error stands there as its text.
    fn load(&self, dir: &Path) -> anyhow::Result<Option<Value>> {
        let mut all = Map::new();
        for member in &self.members {
            let loaded = match guarded(|| member.logger.load(dir)) {
                Ok(None) => continue,
                Ok(Some(value)) => value,
                Err(error) => Value::from(format!("cannot be loaded: {error:#}")),
            };
            all.insert(name_of(&*member.logger), loaded);
        }
        Ok(Some(Value::Map(all)))
    }
}

impl Drop for LoggerArray {
    /// One that panics as it is dropped ends neither the others nor the repetition.
    fn drop(&mut self) {
        for Member { logger, .. } in self.members.drain(..) {
            let dropped = guarded(|| {
                drop(logger);
                Ok(())
            });
            if let Err(error) = dropped {
                log::error!("a logger failed as it was dropped: {error:#}");
            }
        }
    }
}

/// What a logger is called, where it can tell.
fn name_of(logger: &dyn Logger) -> String {
    guarded(|| Ok(logger.name())).unwrap_or_else(|_| "without a name".to_owned())
}

/// A panic is a failure like any other.
fn guarded<T>(call: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    // A logger that panicked may be in any state; only itself suffers from that.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(anyhow::anyhow!("{}", panic_text(&*panic))))
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("without a message"))
}
