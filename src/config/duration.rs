//! Time spans as people and Slurm write them.
//!
//! Owns the two grammars: ours (`90s`, `1h30m`, `01:30:00`) and Slurm's `--time`. It must not know keys.

/// A limit as Slurm writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlurmTime {
    /// `UNLIMITED` or `INFINITE`.
    Unlimited,
    /// So many seconds.
    Seconds(u64),
}

/// Reads Slurm's forms: `minutes`, `minutes:seconds`, `hours:minutes:seconds`, `days-hours`, `days-hours:minutes`,
/// `days-hours:minutes:seconds` and `UNLIMITED`.
pub fn slurm_time(text: &str) -> Option<SlurmTime> {
    if text.eq_ignore_ascii_case("unlimited") || text.eq_ignore_ascii_case("infinite") {
        return Some(SlurmTime::Unlimited);
    }
    let (days, rest) = match text.split_once('-') {
        Some((days, rest)) => (Some(digits(days)?), rest),
        None => (None, text),
    };
    let parts = rest.split(':').map(digits).collect::<Option<Vec<_>>>()?;
    let (hours, minutes, seconds) = match (days, parts.as_slice()) {
        (None, [minutes]) => (0, *minutes, 0),
        (None, [minutes, seconds]) => (0, *minutes, *seconds),
        (Some(_), [hours]) => (*hours, 0, 0),
        (Some(_), [hours, minutes]) => (*hours, *minutes, 0),
        (_, [hours, minutes, seconds]) => (*hours, *minutes, *seconds),
        _ => return None,
    };
    // Nine digits at most, each: no sum overflows.
    Some(SlurmTime::Seconds(days.unwrap_or(0) * 86_400 + hours * 3_600 + minutes * 60 + seconds))
}

/// Reads `90`, `90s`, `30m`, `2h`, `1d`, `1h30m`, and Slurm's `HH:MM:SS` and `D-HH:MM:SS`; in seconds.
pub(super) fn seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    if text.contains(':') {
        let clock = text.split_once('-').map_or(text, |(_, clock)| clock);
        if clock.split(':').count() != 3 {
            return None;
        }
        return match slurm_time(text)? {
            #[expect(clippy::cast_precision_loss, reason = "nine digits at most")]
            SlurmTime::Seconds(seconds) => Some(seconds as f64),
            SlurmTime::Unlimited => None,
        };
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return text.parse().ok();
    }
    let mut rest = text;
    let mut sum = 0.0;
    let mut smallest = f64::INFINITY;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?.min(12));
        let unit = match after.chars().next()? {
            's' => 1.0,
            'm' => 60.0,
            'h' => 3_600.0,
            'd' => 86_400.0,
            _ => return None,
        };
        // `30m1h` is more likely a slip than meant.
        if unit >= smallest {
            return None;
        }
        smallest = unit;
        sum += number.parse::<f64>().ok()? * unit;
        rest = after.get(1..)?.trim_start();
    }
    (smallest < f64::INFINITY).then_some(sum)
}

fn digits(text: &str) -> Option<u64> {
    let fits = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_forms() {
        for (text, expected) in [
            ("90", Some(90.0)),
            ("1.5", Some(1.5)),
            ("90s", Some(90.0)),
            ("30m", Some(1_800.0)),
            ("1.5h", Some(5_400.0)),
            ("1d", Some(86_400.0)),
            ("1h30m", Some(5_400.0)),
            ("1d 2h 3m 4s", Some(93_784.0)),
            ("01:30:00", Some(5_400.0)),
            ("2-00:00:01", Some(172_801.0)),
            ("", None),
            ("h", None),
            ("30", Some(30.0)),
            ("30m1h", None),
            ("1h1h", None),
            ("1:30", None),
            ("1w", None),
            ("-5s", None),
            ("1..5h", None),
            ("1.2.3", None),
            ("99999999999999h", None),
            ("é", None),
            ("5é", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn slurms_forms() {
        let seconds = |seconds| Some(SlurmTime::Seconds(seconds));
        for (text, expected) in [
            ("90", seconds(5_400)),
            ("90:30", seconds(5_430)),
            ("1:30:00", seconds(5_400)),
            ("2-12", seconds(216_000)),
            ("2-12:30", seconds(217_800)),
            ("2-12:30:15", seconds(217_815)),
            ("unlimited", Some(SlurmTime::Unlimited)),
            ("", None),
            ("1h", None),
            ("1:2:3:4", None),
            ("1-", None),
            ("-5", None),
            ("1:", None),
            ("9999999999", None),
        ] {
            assert_eq!(slurm_time(text), expected, "{text}");
        }
    }
}
