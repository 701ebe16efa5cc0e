//! Failures that are alike: what differs from one to the next (numbers, addresses, the repetition's own folder) does not count.

use super::human;
use crate::run::effective_state::EffectiveState;
use crate::run::failure::{cause, last_lines};
use crate::run::job_end::JobEnd;
use crate::run::status::Status;
use std::collections::HashMap;
use std::fmt::Write as _;

/// Failures that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// How they stand.
    pub effective: EffectiveState,
    /// What the first of them says.
    pub text: String,
    /// How many.
    pub count: u64,
    /// The directory of the first of them.
    pub example: String,
    /// The log of the first of them that says more.
    pub log: String,
    /// Which they are, by their places among those that were grouped.
    pub members: Vec<usize>,
    /// What they have in common, and the others do not.
    pub common: Vec<String>,
}

/// A failed repetition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// How it stands.
    pub effective: EffectiveState,
    /// What it says.
    pub text: String,
    /// Its directory.
    pub dir: String,
    /// Its run's name.
    pub run: String,
    /// The log that says more.
    pub log: String,
}

/// Groups, the largest first; equally large ones in the order they came.
pub fn group(failures: impl Iterator<Item = Failed>) -> Vec<Group> {
    let mut places: HashMap<(EffectiveState, String), usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for (number, failed) in failures.enumerate() {
        let key = (failed.effective, normal(&failed.text, &[&failed.dir, &failed.run]));
        if let Some(group) = places.get(&key).and_then(|place| groups.get_mut(*place)) {
            group.count += 1;
            group.members.push(number);
        } else {
            places.insert(key, groups.len());
            let Failed { effective, text, dir, log, .. } = failed;
            let (members, common) = (vec![number], Vec::new());
            groups.push(Group { effective, text, count: 1, example: dir, log, members, common });
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    groups
}

/// Kinds of failures that are told.
const KINDS: usize = 25;

/// The groups as text: how many, how they stand, what the first says, and where it lies.
pub fn render(groups: &[Group]) -> String {
    let mut text = String::new();
    for group in groups.iter().take(KINDS) {
        let _ = writeln!(text, "{} × {}: {}", human::count(group.count), group.effective.word(), group.text);
        // A job's log is not below the directory, which need not exist.
        let example = if group.log.starts_with(&group.example) { &group.example } else { &group.log };
        let _ = writeln!(text, "    e.g. {example}");
        for common in &group.common {
            let _ = writeln!(text, "    {common}");
        }
    }
    if let Some(more) = groups.len().checked_sub(KINDS).filter(|more| *more > 0) {
        let _ = writeln!(text, "and {more} more kinds (`status --failed --json` has them all)");
    }
    text
}

/// The groups as blocks of lines, for `logs --failed`.
pub fn render_lines(groups: &[Group]) -> String {
    let mut text = String::new();
    for (number, group) in groups.iter().enumerate() {
        let gap = if number > 0 { "\n" } else { "" };
        let (first, rest) = group.text.split_once('\n').unwrap_or((&group.text, ""));
        let _ = writeln!(text, "{gap}{} × {}: {first}", human::count(group.count), group.effective.word());
        for line in rest.lines() {
            let _ = writeln!(text, "    {line}");
        }
        let _ = writeln!(text, "  e.g. {}", group.log);
    }
    text
}

/// Why a repetition failed, in one line. `end` is what Slurm says of the end of its element.
pub fn reason(effective: EffectiveState, status: Option<&Status>, end: Option<&JobEnd>) -> String {
    if effective == EffectiveState::Lost {
        return match (end, status.and_then(|status| status.slurm.as_ref())) {
            (Some(end), _) => format!("its worker is gone: Slurm {end}"),
            (None, Some(_)) => "its worker is gone: Slurm no longer knows its job".to_owned(),
            (None, None) => "its worker is gone".to_owned(),
        };
    }
    if let (EffectiveState::JobFailed, Some(end)) = (effective, end) {
        return job_reason(end, 1);
    }
    let cause = status.and_then(|status| Some(cause(status.error.as_ref()?, status.exit)));
    cause.unwrap_or_else(|| effective.word().to_owned())
}

/// What a script says last where one of `sh_lines` fails.
const HINT: &str = "cw2: the worker is not started; write `|| true` behind a command that may fail";

/// Why nothing was started of a job: what Slurm says, and the last lines of the job's log.
pub fn job_reason(end: &JobEnd, lines: usize) -> String {
    let head = format!("Slurm {end}, and nothing was started");
    if end.log.is_none() {
        return format!("{head}; it has no log: is the folder for it there?");
    }
    let mut tail = end.tail.as_str();
    if lines == 1 {
        // What comes before it says why.
        tail = tail.trim_end().strip_suffix(HINT).filter(|before| !before.trim().is_empty()).unwrap_or(tail);
    }
    match last_lines(tail, lines) {
        last if last.is_empty() => format!("{head}; its log is empty"),
        last if lines > 1 => format!("{head}\n{last}"),
        last => format!("{head}: {last}"),
    }
}

/// The text without what differs between failures that are alike: `own` texts, numbers, hexadecimal addresses and hashes, and how
/// far a progress bar was.
pub fn normal(text: &str, own: &[&str]) -> String {
    let mut text = text.to_owned();
    for own in own.iter().filter(|own| !own.is_empty()) {
        text = text.replace(own, "<own>");
    }
    let chars: Vec<char> = text.chars().collect();
    let mut normal = String::with_capacity(text.len());
    let mut at = 0;
    let mut in_word = false;
    while let Some(&c) = chars.get(at) {
        let rest = chars.get(at..).unwrap_or_default();
        let hash = if in_word { 0 } else { hexadecimal(rest) };
        let (kind, length) = match c {
            _ if hash > 0 => ('0', hash),
            '0'..='9' => ('0', number(rest)),
            '\u{2580}'..='\u{259f}' => ('█', length(rest, |c| matches!(c, '\u{2580}'..='\u{259f}'))),
            '\n' => ('\n', 1),
            c if c.is_whitespace() => (' ', length(rest, |c| c.is_whitespace() && c != '\n')),
            c => (c, 1),
        };
        normal.push(kind);
        in_word = c.is_alphanumeric() || c == '_';
        at += length.max(1);
    }
    normal
}

fn length(chars: &[char], is: impl Fn(char) -> bool) -> usize {
    chars.iter().take_while(|c| is(**c)).count()
}

/// The length of an address or a hash at the start: `0x…`, or at least eight digits of which some are letters.
fn hexadecimal(chars: &[char]) -> usize {
    let word = length(chars, |c| c.is_alphanumeric() || c == '_');
    let digits = match chars {
        ['0', 'x' | 'X', rest @ ..] => 2 + length(rest, |c| c.is_ascii_hexdigit()),
        _ => length(chars, |c| c.is_ascii_hexdigit()),
    };
    let prefixed = matches!(chars, ['0', 'x' | 'X', ..]) && digits > 2;
    let word_chars = chars.get(..digits).unwrap_or_default();
    let mixed = word_chars.iter().any(char::is_ascii_digit) && word_chars.iter().any(char::is_ascii_alphabetic);
    if digits == word && (prefixed || (digits >= 8 && mixed)) { digits } else { 0 }
}

/// The length of a decimal number at the start: `12`, `0.5`, `1.5e-3`.
fn number(chars: &[char]) -> usize {
    let digits = |from: usize| length(chars.get(from..).unwrap_or_default(), |c| c.is_ascii_digit());
    let mut end = digits(0);
    if chars.get(end) == Some(&'.') && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    }
    if matches!(chars.get(end), Some('e' | 'E')) {
        let sign = usize::from(matches!(chars.get(end + 1), Some('+' | '-')));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::status::{Exit, Failure};
    use proptest::prelude::*;

    #[test]
    fn what_differs_by_chance_is_normal() {
        for (text, expected) in [
            ("loss 1.5e-3 at 12", "loss 0 at 0"),
            ("loss 7 at step 9999", "loss 0 at step 0"),
            ("<Tensor at 0x7ffdAB12>", "<Tensor at 0>"),
            ("commit 3fa94c1e8d is bad, cafe too", "commit 0 is bad, cafe too"),
            ("deadbeef is a word", "deadbeef is a word"),
            ("layer12.weight, 0xzz", "layer0.weight, 0xzz"),
            (" 37%|███▋      | 37/100", " 0%|█ | 0/0"),
            ("v1.2.3 e+4\t\tx\n y", "v0.0 e+0 x\n y"),
            ("out/e/log/rep_00/x.py: rep e__a1", "<own>/x.py: rep <own>"),
            ("", ""),
        ] {
            assert_eq!(normal(text, &["out/e/log/rep_00", "e__a1", ""]), expected, "{text}");
        }
    }

    #[test]
    fn reasons_say_the_most_that_is_known() {
        let mut status = super::super::progress::tests::status("crashed", 1.0);
        assert_eq!(reason(EffectiveState::Crashed, Some(&status), None), "crashed");
        let failure = |message: &str, tail: &str| {
            Some(Failure {
                phase: "run".to_owned(),
                message: message.to_owned(),
                stderr_tail: tail.to_owned(),
                ..Failure::default()
            })
        };
        status.exit = Some(Exit::Code(1));
        status.error = failure("exit status 1", "Traceback\nValueError: no\n");
        assert_eq!(reason(EffectiveState::Crashed, Some(&status), None), "exit status 1: ValueError: no");
        let rust = "thread 'main' (7) panicked at src/main.rs:2:5:\nno value\nstack backtrace:\n   0: __rustc::rust_begin_unwind\n             at /rustc/59/library/std/src/panicking.rs:689:5\n  10: main\nnote: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.\n";
        status.error = failure("exit status 101", rust);
        assert_eq!(reason(EffectiveState::Crashed, Some(&status), None), "exit status 101: no value");
        status.error = failure("exit status 1", "\u{1b}]0;x\u{7}no");
        assert_eq!(reason(EffectiveState::Crashed, Some(&status), None), "exit status 1: \\u{1b}]0;x\\u{7}no");
        status.exit = None;
        status.error = failure("`run` failed: no value", rust);
        assert_eq!(reason(EffectiveState::Crashed, Some(&status), None), "`run` failed: no value");
        status.error = failure("cannot start `x`", "");
        assert_eq!(reason(EffectiveState::Crashed, Some(&status), None), "cannot start `x`");
        assert_eq!(reason(EffectiveState::Lost, Some(&status), None), "its worker is gone");
        let mut end = JobEnd {
            id: "1_0".to_owned(),
            word: Some("NODE_FAIL".to_owned()),
            exit: None,
            nodes: String::new(),
            log: None,
            tail: "a\nno such file\n".to_owned(),
        };
        assert_eq!(reason(EffectiveState::Lost, None, Some(&end)), "its worker is gone: Slurm says NODE_FAIL");
        (end.word, end.exit) = (Some("FAILED".to_owned()), Some((3, 0)));
        let failed = "Slurm says FAILED (exit code 3), and nothing was started";
        assert_eq!(
            reason(EffectiveState::JobFailed, None, Some(&end)),
            format!("{failed}; it has no log: is the folder for it there?")
        );
        end.log = Some("/x".into());
        assert_eq!(reason(EffectiveState::JobFailed, None, Some(&end)), format!("{failed}: no such file"));
        assert_eq!(job_reason(&end, 5), format!("{failed}\na\nno such file"));
        end.tail = format!("cw2: `sh_lines` end\n{HINT}\n");
        assert_eq!(job_reason(&end, 1), format!("{failed}: cw2: `sh_lines` end"));
    }

    #[test]
    fn like_failures_are_one_group_and_the_largest_comes_first() {
        let failed = |effective, text: &str, dir: &str| Failed {
            effective,
            text: text.to_owned(),
            dir: dir.to_owned(),
            run: String::new(),
            log: format!("{dir}/err.log"),
        };
        let groups = group(
            [
                failed(EffectiveState::TimedOut, "after 1 s", "a"),
                failed(EffectiveState::Crashed, "no file b/x.1", "b"),
                failed(EffectiveState::Crashed, "no file c/x.22", "c"),
                failed(EffectiveState::Crashed, "after 1 s", "d"),
            ]
            .into_iter(),
        );
        let members: Vec<_> = groups.iter().map(|group| group.members.clone()).collect();
        assert_eq!(members, [vec![1, 2], vec![0], vec![3]]);
        let told: Vec<_> = groups.iter().map(|g| (g.effective, g.text.as_str(), g.count, g.example.as_str())).collect();
        assert_eq!(
            told,
            [
                (EffectiveState::Crashed, "no file b/x.1", 2, "b"),
                (EffectiveState::TimedOut, "after 1 s", 1, "a"),
                (EffectiveState::Crashed, "after 1 s", 1, "d"),
            ]
        );
    }

    proptest! {
        #[test]
        fn any_text_has_a_normal_form_without_numbers(text in "[ -~\\n\u{2580}é]*") {
            let normal = normal(&text, &[]);
            prop_assert!(!normal.contains(|c: char| ('1'..='9').contains(&c)), "{}", normal);
        }
    }
}
