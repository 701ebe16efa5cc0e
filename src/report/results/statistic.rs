//! What repeated measurements say together, and how such numbers are printed.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

/// What is made of the values of several repetitions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Statistic {
    /// Mean and sample standard deviation.
    #[default]
    Deviation,
    /// Mean and half the width of its 95 % interval, by Student's t.
    Interval,
    /// Median and quartiles.
    Median,
}

/// Values together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// How many there are, at least one.
    pub n: usize,
    /// Their mean or median.
    pub center: f64,
    /// How far they lie apart; nothing where one alone tells nothing of that.
    pub spread: Option<Spread>,
}

/// How far values lie apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spread {
    /// To both sides.
    Around(f64),
    /// The quartiles.
    Between(f64, f64),
}

impl Statistic {
    /// What these values say; nothing where there are none.
    pub fn of(self, values: &[f64]) -> Option<Estimate> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let spread = |spread| (n > 1).then_some(spread);
        Some(match self {
            Statistic::Median => {
                let mut sorted = values.to_vec();
                sorted.sort_by(f64::total_cmp);
                let nan = values.iter().any(|value| value.is_nan());
                let at = |part| if nan { f64::NAN } else { quantile(&sorted, part) };
                Estimate { n, center: at(0.5), spread: spread(Spread::Between(at(0.25), at(0.75))) }
            }
            Statistic::Deviation => {
                Estimate { n, center: mean(values), spread: spread(Spread::Around(deviation(values))) }
            }
            Statistic::Interval => {
                let half = || half_interval(deviation(values), n);
                Estimate { n, center: mean(values), spread: (n > 1).then(|| Spread::Around(half())) }
            }
        })
    }

    /// What the spread is called in a column's name: one, or both quartiles.
    pub fn suffixes(self) -> &'static [&'static str] {
        match self {
            Statistic::Deviation => &["sd"],
            Statistic::Interval => &["ci"],
            Statistic::Median => &["q1", "q3"],
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "no sweep has 2^53 repetitions")]
fn mean(values: &[f64]) -> f64 {
    match values {
        // Of equal values the sum may be off by a digit that none of them has.
        [first, rest @ ..] if rest.iter().all(|value| value.total_cmp(first).is_eq()) => *first,
        _ => values.iter().sum::<f64>() / values.len() as f64,
    }
}

/// Of a sample: by n - 1.
#[expect(clippy::cast_precision_loss, reason = "no sweep has 2^53 repetitions")]
fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len().saturating_sub(1)) as f64).sqrt()
}

#[expect(clippy::cast_precision_loss, reason = "no sweep has 2^53 repetitions")]
fn half_interval(deviation: f64, n: usize) -> f64 {
    match StudentsT::new(0.0, 1.0, (n - 1) as f64) {
        Ok(t) => t.inverse_cdf(0.975) * deviation / (n as f64).sqrt(),
        Err(_) => f64::NAN,
    }
}

/// As `numpy.quantile` interpolates.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place between the first value and the last"
)]
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * sorted.len().saturating_sub(1) as f64;
    let at = |place: f64| sorted.get(place as usize).copied().unwrap_or(f64::NAN);
    let (low, high) = (at(place.floor()), at(place.ceil()));
    // Not between infinities.
    if low.to_bits() == high.to_bits() { low } else { low + (high - low) * place.fract() }
}

impl Estimate {
    /// As people read it: the spread with two digits, the center as exactly; or both with so many decimals.
    pub fn show(&self, digits: Option<usize>) -> String {
        let center = self.center;
        match self.spread {
            None => number(center, digits),
            Some(Spread::Around(spread)) => match decimals(center, spread, digits) {
                Some(decimals) => format!("{center:.decimals$} ± {spread:.decimals$}"),
                None => format!("{} ± {}", number(center, digits), number(spread, digits)),
            },
            Some(Spread::Between(low, high)) => match decimals(center, high - low, digits) {
                Some(decimals) => format!("{center:.decimals$} [{low:.decimals$}, {high:.decimals$}]"),
                None => format!("{} [{}, {}]", number(center, digits), number(low, digits), number(high, digits)),
            },
        }
    }
}

/// How many decimals show two digits of the spread; nothing where plain decimals show neither number well.
fn decimals(center: f64, spread: f64, digits: Option<usize>) -> Option<usize> {
    let plain = center.is_finite() && spread.is_finite() && center.abs() < 1e9;
    if let (Some(digits), true) = (digits, plain) {
        return Some(digits);
    }
    if !plain || spread <= 0.0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a logarithm")]
    let magnitude = spread.log10().floor() as i64;
    usize::try_from(1 - magnitude).map_or(Some(0), |decimals| (decimals <= 8).then_some(decimals))
}

/// One number with four digits; a whole one as it is.
pub fn number(value: f64, digits: Option<usize>) -> String {
    if !value.is_finite() {
        return crate::value::python_float(value);
    }
    if let Some(digits) = digits {
        return format!("{value:.digits$}");
    }
    let size = value.abs();
    if value.fract() == 0.0 && size < 1e9 {
        return format!("{value}");
    }
    if !(1e-4..1e9).contains(&size) {
        return format!("{value:.3e}");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 7")]
    let decimals = (3.0 - size.log10().floor()).clamp(0.0, 7.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_textbook_says_the_same() {
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        let of = |statistic: Statistic| statistic.of(&values).unwrap();
        let Estimate { n, center, spread } = of(Statistic::Deviation);
        assert!(n == 8 && center.total_cmp(&5.0).is_eq());
        let Some(Spread::Around(sd)) = spread else { panic!("{spread:?}") };
        assert!((sd - 2.138_089_935).abs() < 1e-9);
        let Some(Spread::Around(half)) = of(Statistic::Interval).spread else { panic!("no interval") };
        // 2.364624 is the quantile of 7 degrees of freedom.
        assert!((half - 2.364_624_25 * sd / 8_f64.sqrt()).abs() < 1e-6, "{half}");
        assert_eq!(of(Statistic::Median), Estimate { n: 8, center: 4.5, spread: Some(Spread::Between(4.0, 5.5)) });
        // Two repetitions: 12.7062.
        let Some(Spread::Around(half)) = Statistic::Interval.of(&[0.0, 2.0]).unwrap().spread else { panic!("none") };
        assert!((half - 12.706_204_7).abs() < 1e-5, "{half}");
    }

    #[test]
    fn few_and_strange_values() {
        for statistic in [Statistic::Deviation, Statistic::Interval, Statistic::Median] {
            assert_eq!(statistic.of(&[]), None);
            assert_eq!(statistic.of(&[3.0]), Some(Estimate { n: 1, center: 3.0, spread: None }));
            assert!(statistic.of(&[1.0, f64::NAN]).unwrap().center.is_nan());
        }
        assert!(Statistic::Median.of(&[f64::INFINITY; 3]).unwrap().center.is_infinite());
    }

    #[test]
    fn numbers_are_as_exact_as_they_are_known() {
        let around = |center, spread| Estimate { n: 3, center, spread: Some(Spread::Around(spread)) }.show(None);
        for (shown, expected) in [
            (around(0.931_24, 0.004_13), "0.9312 ± 0.0041"),
            (around(123_456.7, 4321.0), "123457 ± 4321"),
            (around(12.3, 1.26), "12.3 ± 1.3"),
            (around(1.0, 0.0), "1 ± 0"),
            (Statistic::Deviation.of(&[0.4; 3]).unwrap().show(None), "0.4 ± 0"),
            (around(1e-12, 3e-13), "1.000e-12 ± 3.000e-13"),
            (around(f64::NAN, f64::NAN), "nan ± nan"),
            (Estimate { n: 3, center: 0.5, spread: Some(Spread::Between(0.25, 0.75)) }.show(None), "0.50 [0.25, 0.75]"),
            (Estimate { n: 1, center: 0.123_456, spread: None }.show(None), "0.1235"),
            (Estimate { n: 3, center: 0.931_24, spread: Some(Spread::Around(0.004)) }.show(Some(2)), "0.93 ± 0.00"),
            (number(1e6, None), "1000000"),
            (number(0.25, None), "0.25"),
            (number(-1234.56, None), "-1235"),
            (number(1.5e-7, None), "1.500e-7"),
            (number(f64::NEG_INFINITY, None), "-inf"),
        ] {
            assert_eq!(shown, expected);
        }
    }
}
