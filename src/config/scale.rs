//! What one more attempt asks for as a multiple of what the last one had: `2x` of its memory, of its time.

use super::option::{MEMORY, SbatchArg};
use super::{Slurm, SlurmTime, slurm_time};

/// A multiple, as in `2x`; above 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Factor(f64);

impl Factor {
    /// Reads `2x` and `1.5x`; `None` for what is no multiple.
    pub fn parse(text: &str) -> Option<Self> {
        let number: f64 = text.trim().strip_suffix(['x', 'X'])?.parse().ok()?;
        (number.is_finite() && number > 0.0).then_some(Factor(number))
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "too large saturates, and Slurm refuses it"
    )]
    fn of(self, amount: u64) -> u64 {
        (amount as f64 * self.0).ceil() as u64
    }
}

impl std::fmt::Display for Factor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x", self.0)
    }
}

/// Asks for that multiple of the memory that `had` asked for, by the same option: per node stays per node.
///
/// # Errors
/// Where it asked for none.
pub fn memory(slurm: &mut Slurm, had: &Slurm, factor: Factor) -> Result<(), String> {
    let option = had.options.memory().ok_or("asks for no memory")?;
    let text = had.options.text(option).unwrap_or_default();
    let scaled = size(text, factor).ok_or_else(|| format!("asks for the memory `{text}`, which is no amount"))?;
    slurm.options.retain(|asked| !MEMORY.contains(&asked.option.as_str()));
    match option {
        "mem-per-cpu" => slurm.options.set_key(option, scaled),
        _ => slurm.options.set_arg(option, SbatchArg::Values(vec![scaled])),
    }
    Ok(())
}

/// The same of the time limit.
///
/// # Errors
/// Where it had none that can be read.
pub fn time(slurm: &mut Slurm, had: &Slurm, factor: Factor) -> Result<(), String> {
    let text = had.options.text("time").ok_or("asks for no `time`")?;
    let scaled = match slurm_time(text).ok_or_else(|| format!("asks for the time `{text}`, which cannot be read"))? {
        SlurmTime::Unlimited => text.to_owned(),
        SlurmTime::Seconds(seconds) => clock(factor.of(seconds).max(1)),
    };
    slurm.options.set_key("time", scaled);
    Ok(())
}

fn clock(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (hours, minutes, seconds) = (rest / 3_600, rest % 3_600 / 60, rest % 60);
    let days = if days > 0 { format!("{days}-") } else { String::new() };
    format!("{days}{hours}:{minutes:02}:{seconds:02}")
}

/// An amount in Slurm's form, in the largest unit that holds it whole. What asks for all of a node's memory (0) goes on doing so.
fn size(text: &str, factor: Factor) -> Option<String> {
    let number = text.strip_suffix(['b', 'B']).unwrap_or(text);
    let (digits, power) = match number.chars().last()?.to_ascii_uppercase() {
        'K' => (number.get(..number.len() - 1)?, 0),
        'M' => (number.get(..number.len() - 1)?, 1),
        'G' => (number.get(..number.len() - 1)?, 2),
        'T' => (number.get(..number.len() - 1)?, 3),
        _ => (number, 1),
    };
    let kilobytes = digits.parse::<u64>().ok()?.checked_mul(1024_u64.checked_pow(power)?)?;
    let mut scaled = factor.of(kilobytes);
    let mut units = "KMGT".chars();
    let mut unit = units.next()?;
    while scaled > 0 && scaled.is_multiple_of(1024) {
        let Some(larger) = units.next() else { break };
        (scaled, unit) = (scaled / 1024, larger);
    }
    Some(if scaled == 0 { "0".to_owned() } else { format!("{scaled}{unit}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::option;
    use proptest::prelude::*;

    #[test]
    fn factors_are_read() {
        for (text, expected) in [("2x", Some(2.0)), ("1.5X", Some(1.5)), ("0x", None), ("-1x", None), ("x", None)] {
            assert_eq!(Factor::parse(text).map(|factor| factor.0), expected, "{text}");
        }
        for text in ["2", "4G", "infx", "nanx", "1:00x", ""] {
            assert_eq!(Factor::parse(text), None, "{text}");
        }
    }

    #[test]
    fn each_option_stays_what_it_is() {
        for (had, factor, expected) in [
            (vec!["mem-per-cpu=4G", "time=30"], "2x", [("mem-per-cpu", "8G"), ("time", "1:00:00")]),
            (vec![":mem=4000", ":t=1-12"], "1.5x", [("mem", "6000M"), ("time", "2-6:00:00")]),
            (vec![":mem-per-gpu=1GB", "time=UNLIMITED"], "1.5x", [("mem-per-gpu", "1536M"), ("time", "UNLIMITED")]),
            (vec![":mem=0", "time=1:30"], "0.5x", [("mem", "0"), ("time", "0:00:45")]),
        ] {
            let had = Slurm { options: option::asked(&had), ..Slurm::default() };
            let mut slurm = Slurm { options: option::asked(&["mem-per-cpu=1M", "time=1"]), ..Slurm::default() };
            let factor = Factor::parse(factor).unwrap();
            memory(&mut slurm, &had, factor).unwrap();
            time(&mut slurm, &had, factor).unwrap();
            for (option, value) in expected {
                assert_eq!(slurm.options.text(option), Some(value));
            }
            let asked = MEMORY.into_iter().filter(|option| slurm.options.get(option).is_some()).count();
            assert_eq!(asked, 1);
        }
        let mut slurm = Slurm::default();
        let factor = Factor(2.0);
        assert_eq!(memory(&mut slurm, &Slurm::default(), factor), Err("asks for no memory".to_owned()));
        assert_eq!(time(&mut slurm, &Slurm::default(), factor), Err("asks for no `time`".to_owned()));
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_not(text in ".{0,12}", factor in 0.1..100.0_f64) {
            let _ = (size(&text, Factor(factor)), Factor::parse(&text));
        }

        #[test]
        fn an_amount_grows_as_it_is_told(number in 0..1_000_000_u64, unit in "[KMGT]?", factor in 1..9_u32) {
            let kilobytes = |text: &str| {
                let power = text.chars().last().and_then(|unit| "KMGT".find(unit));
                let digits = text.trim_end_matches(char::is_alphabetic).parse::<u64>().unwrap();
                digits * 1024_u64.pow(u32::try_from(power.unwrap_or(1)).unwrap())
            };
            let scaled = size(&format!("{number}{unit}"), Factor(factor.into())).unwrap();
            prop_assert_eq!(kilobytes(&scaled), kilobytes(&format!("{number}{unit}")) * u64::from(factor));
        }
    }
}
