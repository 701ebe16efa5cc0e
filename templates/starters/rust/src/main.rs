//! Gradient descent on a parabola: replace `Descent` by your experiment.

use cw2::{ClusterWork, Context, IterativeExperiment, Metrics};
use std::process::ExitCode;

#[derive(serde::Deserialize)]
struct Params {
    start: f64,
    lr: f64,
}

#[derive(Default)]
struct Descent {
    x: Option<f64>,
}

impl IterativeExperiment for Descent {
    fn iterate(&mut self, cx: &Context, n: u64) -> anyhow::Result<Metrics> {
        let Params { start, lr } = cx.params()?;
        let x = self.x.unwrap_or(start);
        let x = x - lr * 2.0 * (x - 3.0);
        self.x = Some(x);
        log::info!("iteration {n}: x = {x}");
        Ok(Metrics::new().with("loss", (x - 3.0).powi(2)))
    }
}

fn main() -> ExitCode {
    ClusterWork::iterative(Descent::default).params::<Params>().main()
}
