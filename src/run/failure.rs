//! What a program that failed says of it, made short: the error itself, of all that it wrote.

use super::status::{Exit, Failure};
use crate::printable;

/// Why a repetition failed, in one line: what its status says, and the last line of its standard error, which says more in
/// most languages.
pub fn cause(error: &Failure, exit: Option<Exit>) -> String {
    let message = printable::line(&error.message);
    match printable::line(&last_lines(&error.stderr_tail, 1)) {
        // What ended without a process of its own tells its error itself.
        last if last.is_empty() || exit.is_none() || message.contains(&last) => message,
        last => format!("{message}: {last}"),
    }
}

/// The last `count` lines that are not blank at the end and no backtrace of a Rust program; of a line that was drawn over (a
/// progress bar), what was drawn last.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = without_backtrace(text).lines().rev().take(count).map(drawn_last).collect();
    printable::escaped(&lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
}

/// What stands above a Rust program's backtrace at the end: the error itself.
fn without_backtrace(text: &str) -> &str {
    let mut rest = text.trim_end();
    loop {
        let (above, last) = rest.rsplit_once('\n').unwrap_or(("", rest));
        if !is_of_backtrace(last) {
            return rest;
        }
        // A text of nothing else still tells more than none.
        if above.trim().is_empty() {
            return text.trim_end();
        }
        rest = above.trim_end();
    }
}

/// `  12: std::rt::lang_start`, `     at /rustc/…/rt.rs:1:2`, its heading, and the note below it.
fn is_of_backtrace(line: &str) -> bool {
    let frame = line.trim_start();
    let number = frame.trim_start_matches(|c: char| c.is_ascii_digit());
    let indented = frame.len() < line.len();
    (indented && number.len() < frame.len() && number.starts_with(": "))
        || (indented && frame.starts_with("at ") && frame.contains(".rs:"))
        || frame.eq_ignore_ascii_case("stack backtrace:")
        || frame.starts_with("note: run with `RUST_BACKTRACE")
        || frame.starts_with("note: Some details are omitted, run with `RUST_BACKTRACE")
}

fn drawn_last(line: &str) -> &str {
    let line = line.trim_end();
    line.rsplit('\r').next().unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_those_a_person_saw() {
        assert_eq!(last_lines("a\nb\r 10%\r 20%\r\nc\n\n", 2), " 20%\nc");
        assert_eq!(last_lines("", 3), "");
    }
}
