//! The names of runs: the original's abbreviations, made safe for file systems, and the seed of a repetition.
//!
//! Owns how a parameter and its value become a part of a directory name. It must not know where directories lie (that is
//! [`crate::plan::layout`]) nor which other runs a plan has.
//!
//! A run's name is `<experiment>__<part>_<part>…`, one part for each swept parameter: the first three letters of every key on
//! the way, the initials of the last key's words, then the value as Python prints it (`net.learning_rate: 1e-5` gives
//! `net.lr1e-05`).

use crate::value::Value;
use sha2::{Digest as _, Sha256};

/// The longest name of a run, in bytes: what file systems take.
pub const MAX_NAME: usize = 255;

/// Hexadecimal digits of the hashes that names end in.
const HASH_DIGITS: usize = 12;

/// The part of a run's name that one parameter gives, as the original writes it.
pub fn part(path: &[String], value: &Value) -> String {
    let text = shorten(&path.join(".")) + &value.python_str();
    text.chars()
        .filter_map(|c| match c {
            '\'' | '"' | ' ' | ')' | ']' => None,
            '(' | '[' | ',' => Some('_'),
            c => Some(c),
        })
        .collect()
}

/// What stands for a value in a short name: a number with three significant digits; anything else as it is.
pub(super) fn short(value: &Value) -> Value {
    match value {
        Value::Float(float) => Value::Float(format!("{float:.2e}").parse().unwrap_or(*float)),
        other => other.clone(),
    }
}

/// `agent.network.learning_rate` → `age.net.lr`. A dot inside a key counts like one between keys, as in the original.
fn shorten(dotted: &str) -> String {
    let (parents, leaf) = dotted.rsplit_once('.').unwrap_or(("", dotted));
    let mut out = String::new();
    if dotted.contains('.') {
        for (i, parent) in parents.split('.').enumerate() {
            if i > 0 {
                out.push('.');
            }
            out.extend(parent.chars().take(3));
        }
        if !out.is_empty() {
            out.push('.');
        }
    }
    out.extend(leaf.split('_').filter_map(|word| word.chars().next()));
    out
}

/// Replaces every character that a shell or a file system treats specially by `-`; letters of any script stay.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if is_safe(c) { c } else { '-' }).collect()
}

fn is_safe(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '=' | '@' | '%' | ',' | '~' | '^');
    }
    // Invisible characters and those that reorder text: two names that look alike must be alike.
    let invisible = matches!(u32::from(c),
        0xad | 0x61c | 0x180e | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0xfe00..=0xfe0f | 0xfeff
        | 0xfff0..=0xffff | 0xe000..=0xf8ff | 0xe0000..=0xe0fff | 0xf_0000..=0x10_ffff);
    !(c.is_control() || c.is_whitespace() || invisible)
}

/// A text as one component of a path: safe characters, never empty, `.` or `..`, at most [`MAX_NAME`] bytes.
///
/// A longer one is cut and ends in `-` and the first 12 hexadecimal digits of the SHA-256 of the full text.
pub fn component(text: &str) -> String {
    cut(clean(text), || text.to_owned())
}

/// The end of [`component`]: `full` gives the unchanged name, needed only where `cleaned` is too long.
pub(crate) fn cut(mut cleaned: String, full: impl FnOnce() -> String) -> String {
    if matches!(cleaned.as_str(), "" | "." | "..") {
        return "-".repeat(cleaned.len().max(1));
    }
    if cleaned.len() > MAX_NAME {
        cleaned = with_hash(&cleaned, &hex(&Sha256::digest(full().as_bytes())));
    }
    cleaned
}

/// `<name>-<the hash's first 12 digits>`, for the last name of a path; one that would be too long is cut.
pub(crate) fn with_hash(path: &str, hash: &str) -> String {
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    let most = path.len().min(name + MAX_NAME - HASH_DIGITS - 1);
    let kept = (0..=most).rev().find_map(|end| path.get(..end)).unwrap_or_default();
    format!("{kept}-{}", hash.get(..HASH_DIGITS).unwrap_or(hash))
}

/// Bytes in lower case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(if value < 10 { b'0' + value } else { b'a' - 10 + value });
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

/// The identity of a run's parameters: the SHA-256 of their canonical JSON, in hexadecimal.
pub(crate) fn params_sha256(params: &Value) -> String {
    hex(&Sha256::digest(params.to_canonical_json().as_bytes()))
}

/// The random seed of a repetition, the same on every machine and in every plan that holds it.
///
/// It is the first four bytes, big-endian, of the SHA-256 of `<experiment>/<run>/rep_<two digits>`. In a shell: `printf %s 'exp/exp__lr0.1/rep_00' | sha256sum | cut -c 1-8` gives it in hexadecimal. Four
/// bytes, because `numpy` wants a seed below 2³².
pub fn seed(experiment: &str, run: &str, rep: u32) -> u32 {
    first_bytes(&format!("{experiment}/{run}/rep_{rep:02}"))
}

/// The random seed of a repetition where all runs have the same ones (`seed: rep`): the same of `rep_<two digits>`.
pub fn paired_seed(rep: u32) -> u32 {
    first_bytes(&format!("rep_{rep:02}"))
}

fn first_bytes(text: &str) -> u32 {
    Sha256::digest(text.as_bytes()).iter().take(4).fold(0, |seed, byte| seed << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::testing::value;
    use proptest::prelude::*;

    #[test]
    fn a_part_abbreviates_the_key() {
        let path = ["net".to_owned(), "learning_rate".to_owned()];
        assert_eq!(part(&path, &Value::Float(1e-5)), "net.lr1e-05");
    }

    #[test]
    fn a_component_is_short_and_safe() {
        assert_eq!(component("env: a/b"), "env--a-b");
        assert!(component(&"x".repeat(300)).len() <= 255);
    }

    #[test]
    fn a_seed_is_that_of_the_identity() {
        assert_eq!(seed("exp", "exp__lr0.1", 0), 0x5d75_84e7);
    }

    fn keys(dotted: &str) -> Vec<String> {
        dotted.split('|').map(str::to_owned).collect()
    }

    /// Every expectation was printed by the original's `util.convert_param_names`.
    #[test]
    fn parts_are_the_originals() {
        for (path, json, expected) in [
            ("lr", "1e-5", "l1e-05"),
            ("learning_rate", "0.0003", "lr0.0003"),
            ("net|opt|lr_x", "true", "net.opt.lxTrue"),
            ("a|b", "null", "a.bNone"),
            ("layers", "[64, 64]", "l_64_64"),
            ("layers", r#"[[1, 2], [3, "x y"]]"#, "l__1_2__3_xy"),
            ("s", r#""it's a \"test\"""#, "sitsatest"),
            ("d", r#"{"a": 1, "b": [1, 2]}"#, "d{a:1_b:_1_2}"),
            ("x__y", "1", "xy1"),
            ("_x", "1", "x1"),
            ("x_", "1", "x1"),
            ("learning.rate", "1", "lea.r1"),
            (".a", "1", "a1"),
            ("..a", "1", "..a1"),
            ("abcdef|ghijkl|mnop_qr", r#""v1.2""#, "abc.ghi.mqv1.2"),
            ("b", r#""(q,r)""#, "b_q_r"),
            ("größe|über_maß", r#""ä""#, "grö.ümä"),
            ("k", r#""a/b""#, "ka/b"),
            ("k", "1e16", "k1e+16"),
            ("k", "1.0", "k1.0"),
            ("k y", "2", "k2"),
            ("k'(x)", "2", "k2"),
            ("", "3", "3"),
            ("k", "1e22", "k1e+22"),
            ("k", "-0.0", "k-0.0"),
            ("k", r#""12:30:00""#, "k12:30:00"),
        ] {
            assert_eq!(part(&keys(path), &value(json)), expected, "{path} = {json}");
        }
        assert_eq!(part(&keys("k"), &Value::Float(f64::INFINITY)), "kinf");
    }

    #[test]
    fn components_are_safe_and_recognisable() {
        for (text, expected) in [
            ("exp__lr1e-05_net.h64", "exp__lr1e-05_net.h64"),
            ("a/b\\c\0d\ne", "a-b-c-d-e"),
            ("größe_名前_é", "größe_名前_é"),
            ("$(rm -rf *)", "--rm--rf---"),
            ("a\u{200b}b\u{202e}c\u{a0}d", "a-b-c-d"),
            ("", "-"),
            (".", "-"),
            ("..", "--"),
            ("...", "..."),
        ] {
            assert_eq!(component(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut_and_hashed() {
        let long = format!("{}ü{}", "x".repeat(241), "y".repeat(100));
        let cut = component(&long);
        assert_eq!(cut, format!("{}-{}", "x".repeat(241), &hex(&Sha256::digest(long.as_bytes()))[..12]));
        assert_eq!(component(&"x".repeat(255)), "x".repeat(255));
        let twin = with_hash(&format!("out/{}", "x".repeat(255)), "0123456789abcdef");
        assert_eq!(twin, format!("out/{}-0123456789ab", "x".repeat(242)));
        assert_ne!(component(&format!("{long}1")), component(&format!("{long}2")));
    }

    #[test]
    fn seeds_are_stable() {
        assert_eq!(seed("exp", "exp__lr0.1", 0), 0x5d75_84e7);
        assert_ne!(seed("exp", "exp__lr0.1", 1), seed("exp", "exp__lr0.1", 0));
        // From the hundredth on there are three digits, as in the directory.
        assert_eq!(hex(&seed("e", "r", 100).to_be_bytes()), &hex(&Sha256::digest(b"e/r/rep_100"))[..8]);
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_component(text in ".*") {
            let name = component(&text);
            prop_assert!(!name.is_empty() && name.len() <= MAX_NAME);
            prop_assert!(name.chars().all(is_safe));
            prop_assert!(name != "." && name != "..");
            prop_assert_eq!(component(&name), name);
        }
    }
}
