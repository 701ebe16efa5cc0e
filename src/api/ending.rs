//! How a repetition ends: what an experiment returns to end early, and what its `finalize` is told.

use crate::value::{Map, TypeError, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::fmt;

/// Ends a repetition early, on purpose: it counts as done, with this payload.
///
/// It is returned as an error, bare or with context around it; wherever it is found in an error's chain, the repetition
/// surrenders.
///
/// ```
/// use cw2::Surrender;
/// fn iterate(loss: f64) -> anyhow::Result<()> {
///     if loss < 1e-3 {
///         return Err(Surrender::with([("loss", loss)]).into());
///     }
///     Ok(())
/// }
/// let error = iterate(1e-4).unwrap_err().context("while training");
/// assert_eq!(Surrender::find(&error).unwrap().payload.to_json(), r#"{"loss":0.0001}"#);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Surrender {
    /// What is kept of it: in the repetition's status, and, where an iteration surrendered, as that iteration's metrics.
    pub payload: Value,
}

impl Surrender {
    /// A surrender with this payload, usually a mapping.
    ///
    /// ```
    /// assert_eq!(cw2::Surrender::new("converged").payload.to_json(), "\"converged\"");
    /// ```
    pub fn new(payload: impl Into<Value>) -> Self {
        Surrender { payload: payload.into() }
    }

    /// A surrender whose payload is a mapping.
    ///
    /// ```
    /// assert_eq!(cw2::Surrender::with([("step", 7)]).payload.to_json(), r#"{"step":7}"#);
    /// ```
    pub fn with<K: Into<String>, V: Into<Value>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        Surrender { payload: Value::from_pairs(pairs) }
    }

    /// A surrender whose payload is anything that serde can write.
    ///
    /// # Errors
    /// Where serde cannot write it.
    ///
    /// ```
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Best { epoch: u32, loss: f64 }
    /// let surrender = cw2::Surrender::of(&Best { epoch: 7, loss: 0.5 })?;
    /// assert_eq!(surrender.payload.to_json(), r#"{"epoch":7,"loss":0.5}"#);
    /// assert_eq!(surrender.payload::<Best>()?.epoch, 7);
    /// # anyhow::Ok(())
    /// ```
    pub fn of<T: Serialize + ?Sized>(payload: &T) -> anyhow::Result<Self> {
        Ok(Surrender { payload: Value::of(payload)? })
    }

    /// The payload as a type of the user's.
    ///
    /// # Errors
    /// Where it is not of that type, with the path to the part that is not.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, TypeError> {
        self.payload.to()
    }

    /// The surrender in an error's chain, where there is one.
    ///
    /// ```
    /// assert!(cw2::Surrender::find(&anyhow::anyhow!("out of memory")).is_none());
    /// ```
    pub fn find(error: &anyhow::Error) -> Option<&Surrender> {
        // The first finds one that is context, the second one that is wrapped in another error type, the last one of an error
        // whose type was lost before.
        let boxed = || error.downcast_ref::<Box<dyn Error + Send + Sync>>()?.downcast_ref();
        error.downcast_ref().or_else(|| error.chain().find_map(|cause| cause.downcast_ref())).or_else(boxed)
    }
}

impl Default for Surrender {
    /// An empty mapping, as in the original.
    fn default() -> Self {
        Surrender { payload: Value::Map(Map::new()) }
    }
}

impl fmt::Display for Surrender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "surrendered: {}", self.payload)
    }
}

impl Error for Surrender {}

/// How a repetition ended, for its `finalize`.
///
/// ```
/// use cw2::{Ending, Surrender};
/// fn summary(ending: &Ending) -> String {
///     match ending {
///         Ending::Surrendered(surrender) => format!("early: {}", surrender.payload),
///         Ending::Crashed(error) => format!("crashed: {error:#}"),
///         other => other.word().to_owned(),
///     }
/// }
/// assert_eq!(summary(&Ending::Completed), "completed");
/// assert_eq!(summary(&Ending::Surrendered(Surrender::new(3))), "early: 3");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Ending {
    /// `run` returned without an error.
    Completed,
    /// It ended early on purpose.
    Surrendered(Surrender),
    /// `initialize` or `run` failed with this error, or panicked with this message.
    Crashed(anyhow::Error),
    /// It passed its `timeout`, noticed ([`Context::stopping`](super::Context::stopping)) and returned.
    TimedOut,
    /// The worker was told to stop, and the experiment noticed and returned: it is to be resumed.
    Interrupted,
}

impl Ending {
    /// What came of an experiment that returned this; `stopped` is what becomes of one that was told to stop, where it was.
    pub(crate) fn of(result: anyhow::Result<()>, stopped: Option<Ending>) -> Self {
        match (result, stopped) {
            (Ok(()), stopped) => stopped.unwrap_or(Ending::Completed),
            (Err(error), stopped) => match (Surrender::find(&error), stopped) {
                (Some(surrender), _) => Ending::Surrendered(surrender.clone()),
                (None, Some(stopped)) => {
                    log::warn!("ended while it was told to stop: {error:#}");
                    stopped
                }
                (None, None) => Ending::Crashed(error),
            },
        }
    }

    /// The word users read, as in `cw2 status`.
    ///
    /// ```
    /// assert_eq!(cw2::Ending::TimedOut.word(), "timed out");
    /// ```
    pub fn word(&self) -> &'static str {
        use crate::run::status::State;
        match self {
            Ending::Completed => State::Completed,
            Ending::Surrendered(_) => State::Surrendered,
            Ending::Crashed(_) => State::Crashed,
            Ending::TimedOut => State::TimedOut,
            Ending::Interrupted => State::Interrupted,
        }
        .word()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Wrapper(Surrender);

    impl fmt::Display for Wrapper {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("wrapped")
        }
    }

    impl Error for Wrapper {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_surrender_is_found_wherever_it_is() {
        let bare = anyhow::Error::from(Surrender::default());
        let below = anyhow::Error::from(Surrender::default()).context("a").context("b");
        let on_top = anyhow::anyhow!("cause").context(Surrender::default());
        let inside = anyhow::anyhow!("cause").context(Surrender::default()).context("more");
        let wrapped = anyhow::Error::from(Wrapper(Surrender::default())).context("more");
        let boxed = |error| anyhow::Error::from_boxed(error);
        let lost = boxed(Surrender::default().into()).context("more");
        let lost_and_wrapped = boxed(Wrapper(Surrender::default()).into());
        for error in [bare, below, on_top, inside, wrapped, lost, lost_and_wrapped] {
            assert!(Surrender::find(&error).is_some(), "{error:?}");
        }
    }
}
