//! Fits a polynomial to noisy points by gradient descent, and surrenders when the loss no longer falls.

use cw2::{ClusterWork, Context, Ending, IterativeExperiment, Metrics, Surrender, loggers};
use serde::Deserialize;
use std::process::ExitCode;

/// What the points lie on, but for the noise: 1 - 2x + 3x³.
const TRUTH: [f64; 4] = [1.0, -2.0, 0.0, 3.0];

/// How often the coefficients are saved, in iterations.
const SAVE_EVERY: u64 = 100;

/// `params` of `config.yml`, with the values of this run.
#[derive(Default, Deserialize)]
struct Params {
    points: u32,
    noise: f64,
    tolerance: f64,
    degree: usize,
    lr: f64,
}

/// One repetition. A fresh one is made for each.
#[derive(Default)]
struct Fit {
    params: Params,
    points: Vec<(f64, f64)>,
    coefficients: Vec<f64>,
    loss: f64,
}

impl IterativeExperiment for Fit {
    fn initialize(&mut self, cx: &Context) -> anyhow::Result<()> {
        self.params = cx.params()?;
        // The seed is this repetition's own: the same when it is run again, another one for every other.
        let mut random = Random(u64::from(cx.seed()));
        self.points = (0..self.params.points)
            .map(|_| {
                let x = 2.0 * random.next() - 1.0;
                (x, value(&TRUTH, x) + self.params.noise * (2.0 * random.next() - 1.0))
            })
            .collect();
        self.coefficients = vec![0.0; self.params.degree + 1];
        self.loss = f64::INFINITY;
        log::info!("{} points, degree {}", self.points.len(), self.params.degree);
        Ok(())
    }

    /// Called in place of starting anew where the attempt before was interrupted.
    fn restore(&mut self, cx: &Context) -> anyhow::Result<u64> {
        let Some((done, coefficients)) = cx.restore::<(u64, _)>()? else { return Ok(0) };
        self.coefficients = coefficients;
        log::info!("going on after iteration {done}");
        Ok(done + 1)
    }

    fn iterate(&mut self, _: &Context, n: u64) -> anyhow::Result<Metrics> {
        let mut gradient = vec![0.0; self.coefficients.len()];
        let mut loss = 0.0;
        for (x, y) in &self.points {
            let error = value(&self.coefficients, *x) - y;
            loss += error * error;
            let mut power = 1.0;
            for slope in &mut gradient {
                *slope += 2.0 * error * power;
                power *= x;
            }
        }
        let count = f64::from(self.params.points);
        loss /= count;
        for (coefficient, slope) in self.coefficients.iter_mut().zip(&gradient) {
            *coefficient -= self.params.lr * slope / count;
        }
        let fell = self.loss - loss;
        self.loss = loss;
        if fell < self.params.tolerance * loss {
            // Ends the repetition as a success; what it says becomes this iteration's metrics.
            return Err(Surrender::new(Metrics::new().with("loss", loss).with("converged", n)).into());
        }
        Ok(Metrics::new().with("loss", loss))
    }

    fn save_state(&mut self, cx: &Context, n: u64) -> anyhow::Result<()> {
        // Often enough to lose little, and always when there may be no other time.
        if n % SAVE_EVERY == SAVE_EVERY - 1 || cx.stop_requested() {
            cx.save(&(n, &self.coefficients))?;
        }
        Ok(())
    }

    fn finalize(&mut self, cx: &Context, ending: &Ending) -> anyhow::Result<()> {
        let coefficients: Vec<_> = self.coefficients.iter().map(|c| format!("{c:.2}")).collect();
        let summary = format!("{}: {} with loss {:.4}\n", ending.word(), coefficients.join(" "), self.loss);
        Ok(std::fs::write(cx.dir().join("summary.txt"), summary)?)
    }
}

/// The polynomial with these coefficients, the constant first.
fn value(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

/// Numbers from 0 to 1 (`SplitMix64`).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from(u32::try_from((z ^ (z >> 31)) >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }
}

fn main() -> ExitCode {
    ClusterWork::iterative(Fit::default).params::<Params>().logger(loggers::Csv::new).main()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cw2::testing::Trial;
    use cw2::{Iterative, Value};

    #[test]
    fn an_interrupted_fit_goes_on_where_it_was_saved() -> anyhow::Result<()> {
        let params: [(&str, Value); 5] = [
            ("points", 50.into()),
            ("noise", 0.0.into()),
            ("tolerance", 0.0.into()),
            ("degree", 3.into()),
            ("lr", 0.5.into()),
        ];
        let trial = Trial::new().params(&params)?.iterations(150);
        let mut fit = Iterative(Fit::default());
        let first = trial.stop_after(120).run(&mut fit)?;
        assert!(matches!(first.ending, Ending::Interrupted));
        let mut fit = Iterative(Fit::default());
        let second = first.resume().run(&mut fit)?;
        assert!(matches!(second.ending, Ending::Completed));
        assert_eq!(second.metrics.len(), 30);
        assert!(fit.0.loss < 0.1, "{}", fit.0.loss);
        Ok(())
    }
}
