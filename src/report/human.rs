//! Numbers as people read them.

/// A number with its thousands set apart: `12,345`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things: `1 run`, `1,000 runs`.
pub fn counted(n: u64, word: &str) -> String {
    format!("{} {word}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A time span in its two largest units: `4.2 s`, `1m 05s`, `2h 10m`, `3d 04h`.
pub fn seconds(seconds: f64) -> String {
    if seconds.is_nan() || seconds < 0.0 {
        return "0 s".to_owned();
    }
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; too large saturates")]
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3_600 => format!("{}m {:02}s", whole / 60, whole % 60),
        3_600..86_400 => format!("{}h {:02}m", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{}d {:02}h", count(whole / 86_400), whole % 86_400 / 3_600),
    }
}

/// An amount of memory: `512 B`, `1.5 GiB`.
pub fn bytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let mut rest = bytes as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if rest < 1024.0 {
            break;
        }
        rest /= 1024.0;
        unit = larger;
    }
    if unit == "B" || rest >= 99.95 { format!("{rest:.0} {unit}") } else { format!("{rest:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_whole() {
        for (value, expected) in [
            (0.0, "0.0 s"),
            (4.25, "4.2 s"),
            (9.96, "10 s"),
            (59.6, "1m 00s"),
            (65.0, "1m 05s"),
            (7_800.0, "2h 10m"),
            (273_600.0, "3d 04h"),
            (-1.0, "0 s"),
            (f64::NAN, "0 s"),
            (1e30, "213,503,982,334,601d 07h"),
        ] {
            assert_eq!(seconds(value), expected, "{value}");
        }
        for (value, expected) in
            [(0, "0 B"), (1023, "1023 B"), (1 << 20, "1.0 MiB"), (3 << 29, "1.5 GiB"), (u64::MAX, "16384 PiB")]
        {
            assert_eq!(bytes(value), expected, "{value}");
        }
        assert_eq!([count(0), count(999), count(1_234_567)], ["0", "999", "1,234,567"]);
    }
}
