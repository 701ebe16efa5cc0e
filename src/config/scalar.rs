//! What a scalar's text means: the rules of YAML 1.1 as `PyYAML` applies them.
//!
//! Owns the recognition of plain scalars, of the explicit `!!int`, `!!float` and `!!bool`, and the three documented exceptions
//! ([`Trap`]). It must not know positions.

use crate::value::Value;

/// Where we differ from `PyYAML` on purpose, because its reading is never what was meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trap {
    /// `1e-3`: a number here, text there.
    Exponent,
    /// `12:30:00`: text here, a number to the base 60 there.
    Clock,
    /// `2024-01-31`: text here, a date there.
    Date,
    /// `010`: text here, an octal number there.
    LeadingZero,
}

/// What a plain (unquoted) scalar means.
pub(super) fn plain(text: &str) -> (Value, Option<Trap>) {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return (Value::Null, None),
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return (Value::Bool(true), None),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return (Value::Bool(false), None),
        _ => {}
    }
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    let as_text = || Value::String(text.to_owned());
    if !numeric {
        return (as_text(), None);
    }
    match number(text) {
        Reading::Number(value) => (value, None),
        Reading::Exponent(value) => (value, Some(Trap::Exponent)),
        Reading::Text(trap) => (as_text(), Some(trap)),
        Reading::Not => (as_text(), None),
    }
}

enum Reading {
    Number(Value),
    Exponent(Value),
    Text(Trap),
    Not,
}

fn number(text: &str) -> Reading {
    let (signed, body) = match text.strip_prefix(['+', '-']) {
        Some(body) => (true, body),
        None => (false, text),
    };
    let negative = text.starts_with('-');
    match body {
        ".inf" | ".Inf" | ".INF" => return Reading::Number(Value::Float(signed_float(negative, f64::INFINITY))),
        ".nan" | ".NaN" | ".NAN" if !signed => return Reading::Number(Value::Float(f64::NAN)),
        _ => {}
    }
    if let Some(value) = radix(negative, body) {
        return Reading::Number(value);
    }
    if !signed && is_timestamp(text) {
        return Reading::Text(Trap::Date);
    }
    if is_base_60(body) {
        return Reading::Text(Trap::Clock);
    }
    decimal(signed, negative, body)
}

/// `0b…` and `0x…`.
fn radix(negative: bool, body: &str) -> Option<Value> {
    let (digits, radix) = match (body.strip_prefix("0b"), body.strip_prefix("0x")) {
        (Some(digits), _) => (digits, 2),
        (_, Some(digits)) => (digits, 16),
        _ => return None,
    };
    integer(negative, digits, radix)
}

fn decimal(signed: bool, negative: bool, body: &str) -> Reading {
    let whole = span(body, |c| c.is_ascii_digit() || c == '_');
    let (whole, rest) = body.split_at(if body.starts_with('_') { 0 } else { whole });
    let (point, fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => {
            let (fraction, rest) = rest.split_at(span(rest, |c| c.is_ascii_digit() || c == '_'));
            (true, fraction, rest)
        }
        None => (false, "", rest),
    };
    // A sign before a bare point makes it text there, and the exceptions do not cover that.
    if whole.is_empty() && (signed || !fraction.starts_with(|c: char| c.is_ascii_digit())) {
        return Reading::Not;
    }
    let exponent_signed = match rest.strip_prefix(['e', 'E']) {
        Some(exponent) => {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if digits.is_empty() || span(digits, |c| c.is_ascii_digit()) != digits.len() {
                return Reading::Not;
            }
            Some(digits.len() < exponent.len())
        }
        None if rest.is_empty() => None,
        None => return Reading::Not,
    };
    if whole.len() > 1 && whole.starts_with('0') {
        return Reading::Text(Trap::LeadingZero);
    }
    if !point && exponent_signed.is_none() {
        return integer(negative, whole, 10).map_or(Reading::Not, Reading::Number);
    }
    let Ok(float) = body.replace('_', "").parse() else { return Reading::Not };
    let value = Value::Float(signed_float(negative, float));
    match exponent_signed {
        // `123e4567` is a commit more likely than a number, and text there too.
        Some(has_sign) if !(point && has_sign) && f64::is_infinite(float) => Reading::Not,
        Some(has_sign) if !(point && has_sign) => Reading::Exponent(value),
        _ => Reading::Number(value),
    }
}

/// What an explicit `!!int` means, octal and base 60 included; `None` where the text is no integer.
pub(super) fn tagged_int(text: &str) -> Option<Value> {
    let (negative, body) = (text.starts_with('-'), text.strip_prefix(['+', '-']).unwrap_or(text));
    if body.starts_with("0b") || body.starts_with("0x") {
        return radix(negative, body);
    }
    if body.contains(':') {
        let sum = base_60(body)?;
        #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small enough to be exact")]
        return (sum.fract() == 0.0 && sum < 9e15)
            .then(|| Value::Int(if negative { -(sum as i128) } else { sum as i128 }));
    }
    let digits: String = body.chars().filter(|c| *c != '_').collect();
    if digits.len() > 1 && digits.starts_with('0') {
        return integer(negative, &digits, 8);
    }
    integer(negative, &digits, 10)
}

/// What an explicit `!!float` means; `None` where the text is no number.
pub(super) fn tagged_float(text: &str) -> Option<Value> {
    let text = text.replace('_', "").to_lowercase();
    let (negative, body) = (text.starts_with('-'), text.strip_prefix(['+', '-']).unwrap_or(&text));
    let float = match body {
        ".inf" => f64::INFINITY,
        ".nan" => f64::NAN,
        _ if body.contains(':') => base_60(body)?,
        _ if body.starts_with(['+', '-']) => return None,
        _ => body.parse().ok()?,
    };
    Some(Value::Float(signed_float(negative, float)))
}

/// What an explicit `!!bool` means.
pub(super) fn tagged_bool(text: &str) -> Option<Value> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" => Some(Value::Bool(true)),
        "no" | "false" | "off" => Some(Value::Bool(false)),
        _ => None,
    }
}

fn signed_float(negative: bool, float: f64) -> f64 {
    if negative { -float } else { float }
}

/// The length of the prefix whose characters (all ASCII) fit.
fn span(text: &str, fits: impl Fn(char) -> bool) -> usize {
    text.find(|c| !fits(c)).unwrap_or(text.len())
}

/// An integer of any size; underscores are skipped, but a digit there must be.
fn integer(negative: bool, digits: &str, radix: u32) -> Option<Value> {
    let digits: String = digits.chars().filter(|c| *c != '_').collect();
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    if let Ok(int) = i128::from_str_radix(&format!("{}{digits}", if negative { "-" } else { "" }), radix) {
        return Some(Value::Int(int));
    }
    let digits = if radix == 10 { digits.trim_start_matches('0').to_owned() } else { to_decimal(&digits, radix) };
    Some(Value::BigInt(if negative { format!("-{digits}") } else { digits }))
}

/// Decimal digits of a large number, by schoolbook multiplication with limbs of nine digits.
fn to_decimal(digits: &str, radix: u32) -> String {
    const BASE: u64 = 1_000_000_000;
    let mut limbs: Vec<u64> = vec![0];
    let chunk = 5;
    let values: Vec<u64> = digits.chars().filter_map(|c| c.to_digit(radix)).map(u64::from).collect();
    for part in values.chunks(chunk) {
        let factor = part.iter().fold(1, |factor, _| factor * u64::from(radix));
        let mut carry = part.iter().fold(0, |sum, digit| sum * u64::from(radix) + digit);
        for limb in &mut limbs {
            let sum = *limb * factor + carry;
            *limb = sum % BASE;
            carry = sum / BASE;
        }
        if carry > 0 {
            limbs.push(carry);
        }
    }
    let mut limbs = limbs.into_iter().rev();
    let first = limbs.next().unwrap_or(0).to_string();
    std::iter::once(first).chain(limbs.map(|limb| format!("{limb:09}"))).collect()
}

/// Whether `PyYAML` reads this as a number to the base 60: `1:30`, `12:30:00`, `1:30.5`.
fn is_base_60(body: &str) -> bool {
    let mut parts = body.split(':').peekable();
    let first = parts.next().unwrap_or("");
    let digits = first.starts_with(|c: char| c.is_ascii_digit())
        && span(first, |c| c.is_ascii_digit() || c == '_') == first.len();
    if !digits || parts.peek().is_none() {
        return false;
    }
    let mut fraction = false;
    while let Some(part) = parts.next() {
        let part = match part.split_once('.') {
            Some((part, rest))
                if parts.peek().is_none() && span(rest, |c| c.is_ascii_digit() || c == '_') == rest.len() =>
            {
                fraction = true;
                part
            }
            _ => part,
        };
        let fits = match part.as_bytes() {
            [digit] => digit.is_ascii_digit(),
            [ten, digit] => (b'0'..=b'5').contains(ten) && digit.is_ascii_digit(),
            _ => false,
        };
        if !fits {
            return false;
        }
    }
    fraction || !first.starts_with('0')
}

fn base_60(body: &str) -> Option<f64> {
    body.split(':').try_fold(0.0, |sum, part| {
        let digits = part.chars().all(|c| c.is_ascii_digit() || c == '.');
        part.parse::<f64>().ok().filter(|_| digits).map(|part| sum * 60.0 + part)
    })
}

/// Whether `PyYAML` reads this as a date or a time stamp.
pub(super) fn is_timestamp(text: &str) -> bool {
    let mut scan = Scan(text);
    if !(scan.digits(4, 4) && scan.char('-')) {
        return false;
    }
    let after_year = scan.0;
    if scan.digits(2, 2) && scan.char('-') && scan.digits(2, 2) && scan.0.is_empty() {
        return true;
    }
    scan.0 = after_year;
    if !(scan.digits(1, 2) && scan.char('-') && scan.digits(1, 2)) {
        return false;
    }
    if !(scan.char('T') || scan.char('t') || scan.blanks() > 0) {
        return false;
    }
    if !(scan.digits(1, 2) && scan.char(':') && scan.digits(2, 2) && scan.char(':') && scan.digits(2, 2)) {
        return false;
    }
    if scan.char('.') {
        scan.0 = scan.0.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    let before_zone = scan.0;
    scan.blanks();
    if scan.char('Z') {
        return scan.0.is_empty();
    }
    if scan.char('+') || scan.char('-') {
        return scan.digits(1, 2) && (!scan.char(':') || scan.digits(2, 2)) && scan.0.is_empty();
    }
    before_zone.is_empty()
}

/// The rest of a text that is being matched from the left.
struct Scan<'a>(&'a str);

impl Scan<'_> {
    fn digits(&mut self, least: usize, most: usize) -> bool {
        let count = span(self.0, |c| c.is_ascii_digit()).min(most);
        self.0 = self.0.split_at(count).1;
        count >= least
    }

    fn char(&mut self, c: char) -> bool {
        match self.0.strip_prefix(c) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn blanks(&mut self) -> usize {
        let count = span(self.0, |c| c == ' ' || c == '\t');
        self.0 = self.0.split_at(count).1;
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The JSON of a plain scalar; text in quotes.
    fn json(text: &str) -> String {
        plain(text).0.to_json()
    }

    #[test]
    fn as_pyyaml_reads_them() {
        for (text, expected) in [
            ("", "null"),
            ("~", "null"),
            ("NULL", "null"),
            ("nUll", "\"nUll\""),
            ("yes", "true"),
            ("On", "true"),
            ("TRUE", "true"),
            ("tRue", "\"tRue\""),
            ("off", "false"),
            ("No", "false"),
            ("y", "\"y\""),
            ("n", "\"n\""),
            ("0", "0"),
            ("-0", "0"),
            ("+12", "12"),
            ("1_000", "1000"),
            ("1__0_", "10"),
            ("_1", "\"_1\""),
            ("0x1F", "31"),
            ("-0xff_ff", "-65535"),
            ("0X1F", "\"0X1F\""),
            ("0x_", "\"0x_\""),
            ("0b1_01", "5"),
            ("0b2", "\"0b2\""),
            ("0o17", "\"0o17\""),
            ("1.", "1.0"),
            (".5", "0.5"),
            ("-.5", "\"-.5\""),
            ("+.5", "\"+.5\""),
            (".", "\".\""),
            ("-", "\"-\""),
            ("1_0.5_0", "10.5"),
            ("1.0e+5", "100000.0"),
            ("1.5E-3", "0.0015"),
            (".5e-3", "0.0005"),
            ("1e", "\"1e\""),
            ("1e+", "\"1e+\""),
            ("1.2.3", "\"1.2.3\""),
            ("-0.0", "-0.0"),
            ("1.0e+400", "Infinity"),
            (".inf", "Infinity"),
            ("-.INF", "-Infinity"),
            ("+.Inf", "Infinity"),
            (".iNf", "\".iNf\""),
            (".nan", "NaN"),
            (".NaN", "NaN"),
            ("-.nan", "\"-.nan\""),
            ("inf", "\"inf\""),
            ("<<x", "\"<<x\""),
            ("=", "\"=\""),
            ("1:60", "\"1:60\""),
            ("01:30", "\"01:30\""),
            ("2024-1-1", "\"2024-1-1\""),
            ("1e400", "\"1e400\""),
            ("123e4567", "\"123e4567\""),
        ] {
            assert_eq!(json(text), expected, "{text}");
            assert_eq!(plain(text).1, None, "{text}");
        }
    }

    #[test]
    fn the_traps() {
        for (text, expected, trap) in [
            ("1e-3", "0.001", Trap::Exponent),
            ("1E5", "100000.0", Trap::Exponent),
            ("-1.5e3", "-1500.0", Trap::Exponent),
            (".5e3", "500.0", Trap::Exponent),
            ("1_0e0", "10.0", Trap::Exponent),
            ("12:30:00", "\"12:30:00\"", Trap::Clock),
            ("1:5", "\"1:5\"", Trap::Clock),
            ("-1:30", "\"-1:30\"", Trap::Clock),
            ("01:30.5", "\"01:30.5\"", Trap::Clock),
            ("2024-01-31", "\"2024-01-31\"", Trap::Date),
            ("2024-1-1 1:02:03", "\"2024-1-1 1:02:03\"", Trap::Date),
            ("2024-01-31T10:00:00.5Z", "\"2024-01-31T10:00:00.5Z\"", Trap::Date),
            ("2024-01-31t10:00:00 +01:30", "\"2024-01-31t10:00:00 +01:30\"", Trap::Date),
            ("010", "\"010\"", Trap::LeadingZero),
            ("-007", "\"-007\"", Trap::LeadingZero),
            ("08", "\"08\"", Trap::LeadingZero),
            ("00.5", "\"00.5\"", Trap::LeadingZero),
        ] {
            assert_eq!((json(text).as_str(), plain(text).1), (expected, Some(trap)), "{text}");
        }
    }

    #[test]
    fn integers_of_any_size() {
        let limit = "170141183460469231731687303715884105727";
        assert_eq!(plain(limit).0, Value::Int(i128::MAX));
        assert_eq!(plain(&format!("-{limit}")).0, Value::Int(-i128::MAX));
        let larger = "170141183460469231731687303715884105728";
        assert_eq!(plain(larger).0, Value::BigInt(larger.to_owned()));
        assert_eq!(plain("0x80000000000000000000000000000000").0, Value::BigInt(larger.to_owned()));
        let power = format!("-0b1{}", "0".repeat(200));
        let expected = "-1606938044258990275541962092341162602522202993782792835301376";
        assert_eq!(plain(&power).0, Value::BigInt(expected.to_owned()));
    }

    #[test]
    fn explicit_tags() {
        assert_eq!(tagged_int("010"), Some(Value::Int(8)));
        assert_eq!(tagged_int("-1:30"), Some(Value::Int(-90)));
        assert_eq!(tagged_int("0x1f"), Some(Value::Int(31)));
        assert_eq!(tagged_int("1.5"), None);
        assert_eq!(tagged_int(""), None);
        assert_eq!(tagged_float("5"), Some(Value::Float(5.0)));
        assert_eq!(tagged_float("-1:30.5"), Some(Value::Float(-90.5)));
        assert_eq!(tagged_float("-.Inf"), Some(Value::Float(f64::NEG_INFINITY)));
        assert_eq!(tagged_float("--1"), None);
        assert_eq!(tagged_bool("YES"), Some(Value::Bool(true)));
        assert_eq!(tagged_bool("y"), None);
    }
}
