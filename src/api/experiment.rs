//! The experiment, whole or iteration by iteration.

use super::{Context, Ending, Metrics, Surrender};

/// An experiment: what one repetition does.
///
/// A fresh object is made for every attempt at every repetition, on the thread that then runs it. An error that is not a
/// [`Surrender`], and a panic, is a crash of this repetition; the others go on.
///
/// ```
/// use cw2::{Context, Ending, Experiment, Metrics};
///
/// #[derive(Default)]
/// struct Pi {
///     inside: u64,
/// }
///
/// impl Experiment for Pi {
///     fn run(&mut self, cx: &Context) -> anyhow::Result<()> {
///         let mut state = u64::from(cx.seed()) | 1;
///         let mut random = || {
///             state ^= state << 13;
///             state ^= state >> 7;
///             state ^= state << 17;
///             f64::from((state >> 40) as u32) / f64::from(1 << 24)
///         };
///         for n in 0..1000 {
///             self.inside += u64::from(random().hypot(random()) < 1.0);
///             cx.log(Metrics::new().with("pi", 4.0 * self.inside as f64 / (n + 1) as f64));
///         }
///         Ok(())
///     }
///
///     fn finalize(&mut self, cx: &Context, ending: &Ending) -> anyhow::Result<()> {
///         log::info!("repetition {} {}", cx.number(), ending.word());
///         Ok(())
///     }
/// }
/// ```
pub trait Experiment {
    /// Prepares the repetition. Called once, first.
    ///
    /// # Errors
    /// As of [`run`](Experiment::run), which is then not called.
    fn initialize(&mut self, cx: &Context) -> anyhow::Result<()> {
        let _ = cx;
        Ok(())
    }

    /// The experiment itself.
    ///
    /// # Errors
    /// A [`Surrender`] ends the repetition gracefully, any other error is a crash.
    fn run(&mut self, cx: &Context) -> anyhow::Result<()>;

    /// Called last, after `initialize` and `run`, however they ended; not for a crash that is to be retried (`retries`), and
    /// not where they did not return in time when told to stop.
    ///
    /// # Errors
    /// An error makes a crash of a repetition that would have been completed or surrendered.
    fn finalize(&mut self, cx: &Context, ending: &Ending) -> anyhow::Result<()> {
        let _ = (cx, ending);
        Ok(())
    }
}

impl<E: Experiment + ?Sized> Experiment for Box<E> {
    fn initialize(&mut self, cx: &Context) -> anyhow::Result<()> {
        (**self).initialize(cx)
    }

    fn run(&mut self, cx: &Context) -> anyhow::Result<()> {
        (**self).run(cx)
    }

    fn finalize(&mut self, cx: &Context, ending: &Ending) -> anyhow::Result<()> {
        (**self).finalize(cx, ending)
    }
}

/// An experiment that runs `iterations` times the same step; see [`Iterative`], which makes an [`Experiment`] of it.
///
/// ```
/// use cw2::{Context, IterativeExperiment, Metrics, Surrender};
///
/// #[derive(Default)]
/// struct Descent {
///     x: f64,
/// }
///
/// impl IterativeExperiment for Descent {
///     fn iterate(&mut self, cx: &Context, n: u64) -> anyhow::Result<Metrics> {
///         self.x -= 0.1 * 2.0 * (self.x - 3.0);
///         let loss = (self.x - 3.0).powi(2);
///         if loss < 1e-12 {
///             return Err(Surrender::with([("loss", loss)]).into());
///         }
///         Ok(Metrics::new().with("loss", loss))
///     }
/// }
/// ```
pub trait IterativeExperiment {
    /// Prepares the repetition. Called once, first.
    ///
    /// # Errors
    /// As of [`Experiment::initialize`].
    fn initialize(&mut self, cx: &Context) -> anyhow::Result<()> {
        let _ = cx;
        Ok(())
    }

    /// Picks up what an interrupted attempt saved, and returns the iteration to go on with. Called after `initialize`, only
    /// where [`resume`](super::Repetition::resume) holds.
    ///
    /// That attempt may have ended before its first iteration did: be ready to find nothing saved, and return 0 then.
    ///
    /// ```
    /// # use cw2::{Context, IterativeExperiment, Metrics};
    /// # struct Descent { x: f64 }
    /// # impl IterativeExperiment for Descent {
    /// #     fn iterate(&mut self, _: &Context, _: u64) -> anyhow::Result<Metrics> { Ok(Metrics::new()) }
    /// fn restore(&mut self, cx: &Context) -> anyhow::Result<u64> {
    ///     let (next, x) = cx.restore()?.unwrap_or((0, self.x));
    ///     self.x = x;
    ///     Ok(next)
    /// }
    ///
    /// fn save_state(&mut self, cx: &Context, n: u64) -> anyhow::Result<()> {
    ///     cx.save(&(n + 1, self.x))
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// As of [`Experiment::initialize`].
    fn restore(&mut self, cx: &Context) -> anyhow::Result<u64> {
        let _ = cx;
        Ok(0)
    }

    /// Iteration `n`, from 0; what it returns is logged.
    ///
    /// # Errors
    /// A [`Surrender`] ends the repetition gracefully, its payload is logged as this iteration's result; any other error is a
    /// crash.
    fn iterate(&mut self, cx: &Context, n: u64) -> anyhow::Result<Metrics>;

    /// Saves what [`restore`](IterativeExperiment::restore) needs. Called after every iteration, also after one that
    /// surrendered. After the last one a stop interrupts nothing any more, though
    /// [`stopping`](super::Context::stopping) still tells of it.
    ///
    /// # Errors
    /// As of [`Experiment::run`].
    fn save_state(&mut self, cx: &Context, n: u64) -> anyhow::Result<()> {
        let _ = (cx, n);
        Ok(())
    }

    /// As [`Experiment::finalize`].
    ///
    /// # Errors
    /// As of [`Experiment::finalize`].
    fn finalize(&mut self, cx: &Context, ending: &Ending) -> anyhow::Result<()> {
        let _ = (cx, ending);
        Ok(())
    }
}

/// Makes an [`Experiment`] of an [`IterativeExperiment`]: `iterations` of the configuration, logged one by one. Between two of
/// them it heeds [`Context::stopping`], so that the repetition is resumed after an interruption.
///
/// ```
/// # use cw2::{Context, Iterative, IterativeExperiment, Metrics};
/// # #[derive(Default)]
/// # struct Descent;
/// # impl IterativeExperiment for Descent {
/// #     fn iterate(&mut self, _: &Context, _: u64) -> anyhow::Result<Metrics> { Ok(Metrics::new()) }
/// # }
/// let program = cw2::ClusterWork::new(|| Iterative(Descent::default()));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Iterative<E>(pub E);

impl<E: IterativeExperiment> Experiment for Iterative<E> {
    fn initialize(&mut self, cx: &Context) -> anyhow::Result<()> {
        cx.enter_iteration(None);
        self.0.initialize(cx)
    }

    fn run(&mut self, cx: &Context) -> anyhow::Result<()> {
        let iterations = cx.iterations().ok_or_else(|| {
            anyhow::anyhow!("the configuration of an iterative experiment needs `iterations`: how many there are")
        })?;
        let first = if cx.resume() { self.0.restore(cx)? } else { 0 };
        for n in first..iterations {
            // Before the first one too: it may be long. After the last there is nothing left to resume.
            if cx.stopping() {
                return Ok(());
            }
            cx.enter_iteration(Some(n));
            match self.0.iterate(cx, n) {
                Ok(metrics) => {
                    if n + 1 == iterations {
                        cx.last_iteration_over();
                    }
                    cx.log(metrics);
                    self.0.save_state(cx, n)?;
                }
                Err(error) => {
                    if let Some(surrender) = Surrender::find(&error) {
                        cx.log(Metrics::of_payload(&surrender.payload));
                        self.0.save_state(cx, n)?;
                    }
                    return Err(error);
                }
            }
            cx.enter_iteration(None);
        }
        Ok(())
    }

    fn finalize(&mut self, cx: &Context, ending: &Ending) -> anyhow::Result<()> {
        cx.enter_iteration(None);
        self.0.finalize(cx, ending)
    }
}
