//! Text of programs, made fit for a person's terminal: what would move its cursor, rename its window, type for its user or turn
//! the reading direction of what stands beside it is shown as an escape such as `\u{1b}`.

use std::fmt::Write as _;
use std::io::{self, Write};

/// The most bytes of a message that are kept: whoever needs all of it has the log.
const LONGEST: usize = 8 << 10;

/// One line: line breaks become spaces, other control characters escapes, and what is too long loses its middle.
pub fn line(text: &str) -> String {
    escaped(&without_middle(text.trim(), LONGEST)).split(['\n', '\t']).collect::<Vec<_>>().join(" ")
}

/// A text without its middle, where it is longer than so many bytes; says how much is missing.
pub fn without_middle(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let head = text.get(..boundary(text, longest / 2)).unwrap_or_default();
    let tail = text.get(boundary(text, text.len() - longest / 2)..).unwrap_or_default();
    format!("{head} […{} bytes left out…] {tail}", text.len() - head.len() - tail.len())
}

/// The next place at or after `at` where a character begins.
fn boundary(text: &str, at: usize) -> usize {
    (at..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

/// The text with escapes for control characters other than line breaks and tabs.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push(&mut out, c));
    out
}

/// Whether it stands for nothing to be seen, but changes how other text is shown: controls, and those of the reading direction.
pub fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn push(out: &mut String, c: char) {
    if is_control(c) && !matches!(c, '\n' | '\t') {
        out.extend(c.escape_default());
    } else {
        out.push(c);
    }
}

/// Writes what programs wrote to a person's terminal. What a progress bar draws over itself stands line below line; what is not
/// UTF-8 is shown as `\x9b`.
#[derive(Debug)]
pub struct Printable<W: Write> {
    inner: W,
    /// The beginning of a character whose rest has not come.
    begun: Vec<u8>,
    /// The last character was a carriage return, which is a line break unless one follows.
    returned: bool,
}

impl<W: Write> Printable<W> {
    /// In front of a terminal.
    pub fn new(inner: W) -> Self {
        Printable { inner, begun: Vec::new(), returned: false }
    }

    fn text(&mut self, bytes: &[u8]) -> String {
        let mut out = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            for c in chunk.valid().chars() {
                if self.returned && c != '\n' && c != '\r' {
                    out.push('\n');
                }
                self.returned = c == '\r';
                if !self.returned {
                    push(&mut out, c);
                }
            }
            for byte in chunk.invalid() {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
        out
    }
}

impl<W: Write> Write for Printable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        // The last character may go on with the next write.
        let last = all.utf8_chunks().last().map(|chunk| chunk.invalid()).unwrap_or_default();
        let begun = std::str::from_utf8(last).is_err_and(|error| error.error_len().is_none());
        self.begun = all.split_off(all.len() - if begun { last.len() } else { 0 });
        let text = self.text(&all);
        self.inner.write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        for (text, expected) in [
            ("plain\ttext\nand ümläut", "plain\ttext\nand ümläut"),
            ("\u{1b}]0;owned\u{7}", "\\u{1b}]0;owned\\u{7}"),
            ("a\u{9b}31mb\u{7f}\0", "a\\u{9b}31mb\\u{7f}\\u{0}"),
            ("x\u{202e}dekatsim\u{2069} عربي", "x\\u{202e}dekatsim\\u{2069} عربي"),
        ] {
            assert_eq!(escaped(text), expected);
        }
        assert_eq!(line(" two\nlines\t\u{1b}[2J "), "two lines \\u{1b}[2J");
    }

    #[test]
    fn a_long_message_keeps_its_head_and_its_tail() {
        assert_eq!(without_middle("ääääää", 6), "ää […6 bytes left out…] ä");
        assert_eq!(without_middle("short", 5), "short");
        let long = line(&"x".repeat(5 << 20));
        assert!(long.len() < 9000 && long.contains("[…5234688 bytes left out…]"), "{}", long.len());
    }

    fn printed(parts: &[&[u8]]) -> String {
        let mut out = Vec::new();
        let mut printable = Printable::new(&mut out);
        for part in parts {
            printable.write_all(part).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_log_is_printed_as_it_was_seen() {
        for (parts, expected) in [
            (&[&b" 1%\r 2%\r"[..], b"\r\ndone\r\n"][..], " 1%\n 2%\ndone\n"),
            (&[b"\xc3", b"\xa4\xff\x9b", b"\x1b[1m"], "ä\\xff\\x9b\\u{1b}[1m"),
            (&[b"\xc3", b"x"], "\\xc3x"),
        ] {
            assert_eq!(printed(parts), expected);
        }
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_same_is_printed(bytes in proptest::collection::vec(any::<u8>(), 0..40), at in 0..40_usize) {
            let (a, b) = bytes.split_at(at.min(bytes.len()));
            let text = printed(&[a, b, b"."]);
            prop_assert_eq!(&text, &printed(&[&bytes, b"."]));
            prop_assert!(text.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'));
        }
    }
}
