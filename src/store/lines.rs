//! Files of lines that anybody may have written, line by line: a line without end costs no memory.

use std::io::{self, BufRead, Read as _};

/// More of a line is not kept: no record of metrics is so long.
const LONGEST: u64 = 16 << 20;

/// Reads line by line, and knows where each begins.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    at: u64,
}

/// One of them.
#[derive(Debug, PartialEq)]
pub(super) struct Line<'a> {
    /// Where it begins.
    pub start: u64,
    /// Its bytes without the line break; `None` where they are too many.
    pub text: Option<&'a [u8]>,
}

impl<R: BufRead> Lines<R> {
    /// The lines from where the reader stands, which is `at` bytes from the start.
    pub(super) fn new(reader: R, at: u64) -> Self {
        Lines { reader, buffer: Vec::new(), at }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        let start = self.at;
        self.at += self.reader.by_ref().take(LONGEST).read_until(b'\n', &mut self.buffer)? as u64;
        if self.at == start {
            return Ok(None);
        }
        let whole = self.buffer.last() == Some(&b'\n') || (self.buffer.len() as u64) < LONGEST;
        if !whole {
            self.at += self.reader.skip_until(b'\n')? as u64;
            return Ok(Some(Line { start, text: None }));
        }
        Ok(Some(Line { start, text: Some(self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer)) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_with_their_places() {
        let long = "x".repeat(usize::try_from(LONGEST).unwrap());
        let text = format!("a\n\n{long}yz\nlast");
        let mut lines = Lines::new(text.as_bytes(), 7);
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            found.push((line.start, line.text.map(<[u8]>::to_vec)));
        }
        let after = 10 + LONGEST + 3;
        let text = |text: &[u8]| Some(text.to_vec());
        assert_eq!(found, [(7, text(b"a")), (9, text(b"")), (10, None), (after, text(b"last"))]);
    }
}
