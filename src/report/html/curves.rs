//! Learning curves, so small that ten thousand of them open at once: a common grid of steps for each metric of an experiment.
//!
//! A value is never made up: of each stretch between two steps of the grid the last value that was logged is told, as it was.

use super::found::Series;
use super::page::Curve;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::HashSet;

/// Values of all curves together: 10.7 MB of base64.
const BUDGET: usize = 2_000_000;

/// Steps of a curve below which fewer curves are better than coarser ones.
const COARSEST: usize = 24;

/// Steps of a curve that a plot can show.
const FINEST: usize = 1_000;

/// The curves of one metric of one experiment.
#[derive(Debug)]
pub struct Curves<'a> {
    /// The experiment's place.
    pub experiment: usize,
    /// Each repetition's place and what it measured.
    pub reps: Vec<(usize, &'a Series)>,
}

/// All of them, each thinned alike.
pub fn curves(all: Vec<Curves<'_>>) -> Vec<Curve> {
    within(all, BUDGET)
}

fn within(mut all: Vec<Curves<'_>>, budget: usize) -> Vec<Curve> {
    all.retain(|curves| curves.reps.iter().any(|(_, series)| series.steps.len() > 1));
    let count: usize = all.iter().map(|curves| curves.reps.len()).sum();
    let steps = (budget / count.max(1)).clamp(COARSEST, FINEST);
    // Where even the coarsest are too many: every so many-th repetition.
    let every = (count * steps).div_ceil(budget).max(1);
    all.iter().map(|curves| one(curves, steps, every)).collect()
}

fn one(curves: &Curves<'_>, most: usize, every: usize) -> Curve {
    let first = curves.reps.first().map(|(_, series)| *series);
    let all = union(curves.reps.iter().map(|(_, series)| series.steps.as_slice()));
    let steps = grid(&all, most);
    let kept: Vec<_> = curves.reps.iter().step_by(every).collect();
    let mut bytes = Vec::with_capacity(kept.len() * steps.len() * size_of::<f32>());
    for (_, series) in &kept {
        bytes.extend(row(series, &steps).into_iter().flat_map(f32::to_le_bytes));
    }
    Curve {
        experiment: curves.experiment,
        metric: first.map(|series| series.name.clone()).unwrap_or_default(),
        step: first.map(|series| series.step.clone()).unwrap_or_default(),
        of: all.len(),
        thinned: steps.len() < all.len(),
        left_out: curves.reps.len() - kept.len(),
        reps: kept.iter().map(|(rep, _)| *rep).collect(),
        values: STANDARD.encode(bytes),
        steps,
    }
}

/// Every step that occurs, ascending.
fn union<'a>(of: impl Iterator<Item = &'a [f64]>) -> Vec<f64> {
    // Nearly always all of them have the same.
    let mut known: HashSet<Vec<u64>> = HashSet::new();
    let mut all: Vec<f64> = Vec::new();
    let mut last: &[f64] = &[];
    for steps in of {
        if steps == last {
            continue;
        }
        last = steps;
        if known.insert(steps.iter().map(|step| step.to_bits()).collect()) {
            all.extend(steps);
        }
    }
    all.sort_by(f64::total_cmp);
    all.dedup_by(|a, b| a.total_cmp(b).is_eq());
    all
}

/// So many of the steps at most: the first, the last, three quarters evenly, the others denser towards the beginning, where curves
/// change most and a logarithmic axis has its room.
fn grid(all: &[f64], most: usize) -> Vec<f64> {
    if all.len() <= most {
        return all.to_vec();
    }
    let last = all.len() - 1;
    let (early, even) = (most / 4, most - most / 4);
    let mut places: Vec<usize> = (0..even).map(|i| i * last / (even - 1).max(1)).collect();
    let growth = as_float(last).ln() / as_float(early.max(1));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to the number of steps")]
    places.extend((0..early).map(|i| (growth * as_float(i)).exp() as usize));
    places.sort_unstable();
    places.dedup();
    places.into_iter().filter_map(|place| all.get(place).copied()).collect()
}

/// The last value of each stretch that ends with a step of the grid.
fn row(series: &Series, steps: &[f64]) -> Vec<f32> {
    let mut row = vec![f32::NAN; steps.len()];
    for (step, value) in series.steps.iter().zip(&series.values) {
        if let Some(place) = row.get_mut(steps.partition_point(|end| end < step)) {
            *place = *value;
        }
    }
    row
}

#[expect(clippy::cast_precision_loss, reason = "numbers of steps are far below 2^52")]
fn as_float(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn series(steps: &[f64]) -> Series {
        #[expect(clippy::cast_possible_truncation, reason = "small numbers")]
        let values: Vec<f32> = steps.iter().map(|step| *step as f32 * 10.0).collect();
        Series {
            name: "loss".into(),
            step: "epoch".into(),
            steps: steps.to_vec(),
            values,
            last: 0.0,
            range: (0.0, 0.0),
        }
    }

    fn values(curve: &Curve) -> Vec<Vec<f32>> {
        let bytes = STANDARD.decode(&curve.values).unwrap();
        let floats: Vec<f32> = bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
        floats.chunks(curve.steps.len()).map(<[f32]>::to_vec).collect()
    }

    #[test]
    fn few_curves_are_told_whole() {
        let (a, b, c) = (series(&[0.0, 1.0, 2.0]), series(&[0.0]), series(&[0.0, 2.0, 2.5]));
        let curve = within(vec![Curves { experiment: 3, reps: vec![(7, &a), (8, &b), (9, &c)] }], 100).remove(0);
        assert_eq!((curve.experiment, curve.metric.as_str(), curve.step.as_str()), (3, "loss", "epoch"));
        assert_eq!((curve.of, curve.thinned, curve.left_out), (4, false, 0));
        assert_eq!((curve.steps.as_slice(), curve.reps.as_slice()), (&[0.0, 1.0, 2.0, 2.5][..], &[7, 8, 9][..]));
        let told = values(&curve);
        assert_eq!(told[0][..3], [0.0, 10.0, 20.0]);
        assert!(told[0][3].is_nan() && told[1][1..].iter().all(|value| value.is_nan()) && told[2][1].is_nan());
        assert!(within(vec![Curves { experiment: 0, reps: vec![(0, &b)] }], 100).is_empty(), "a point is no curve");
    }

    #[test]
    fn many_curves_become_coarser_and_then_fewer() {
        let steps: Vec<f64> = (0..1_000).map(f64::from).collect();
        let long = series(&steps);
        let many = |count: usize| vec![Curves { experiment: 0, reps: (0..count).map(|rep| (rep, &long)).collect() }];
        let curve = within(many(10), 400).remove(0);
        assert!(curve.thinned && curve.of == 1_000 && curve.steps.len() <= 40 && curve.steps.len() > 30);
        assert_eq!((curve.steps.first(), curve.steps.last(), curve.left_out), (Some(&0.0), Some(&999.0), 0));
        let fewer = within(many(100), 240).remove(0);
        assert!(fewer.steps.len() <= COARSEST && fewer.reps.len() == 10 && fewer.left_out == 90, "{fewer:?}");
    }

    proptest! {
        #[test]
        fn every_value_that_is_told_was_logged_in_its_stretch(
            steps in prop::collection::btree_set(0_u32..500, 1..80), most in COARSEST..60,
        ) {
            let steps: Vec<f64> = steps.into_iter().map(f64::from).collect();
            let series = series(&steps);
            let grid = grid(&steps, most);
            prop_assert!(grid.len() <= most && grid.first() == steps.first() && grid.last() == steps.last());
            for (place, value) in row(&series, &grid).into_iter().enumerate() {
                // Every step of the grid was logged, so each of them tells its own value.
                prop_assert!((f64::from(value) - grid[place] * 10.0).abs() < 1e-9);
            }
        }
    }
}
