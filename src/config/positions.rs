//! From bytes to text, and from the parser's character counts to places.
//!
//! Owns decoding (UTF-8 and nothing else, a byte-order mark skipped) and the arithmetic of lines and columns.

use super::error::Diagnostic;
use super::node::At;

const BOM: char = '\u{feff}';

/// The text of a file. On an error also the text as far as it can be shown.
pub(super) fn decode(bytes: Vec<u8>, file: u32) -> Result<String, (String, Box<Diagnostic>)> {
    let too_long = u32::try_from(bytes.len()).is_err();
    if too_long {
        return Err((String::new(), Box::new(Diagnostic::error("the file is larger than 4 GiB").at(start_of(file)))));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => {
            let offset = error.utf8_error().valid_up_to();
            let byte = error.as_bytes().get(offset).copied().unwrap_or_default();
            let shown = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let mut positions = Positions::new(&shown, file);
            let at = positions.at_bytes(offset, offset + BOM.len_utf8());
            let diagnostic = Diagnostic::error(format!("the file is not UTF-8: byte 0x{byte:02X} cannot stand here"))
                .at(at)
                .help("save the file as UTF-8");
            Err((shown, Box::new(diagnostic)))
        }
    }
}

/// The text behind a byte-order mark, if there is one.
pub(super) fn without_bom(text: &str) -> &str {
    text.strip_prefix(BOM).unwrap_or(text)
}

/// The first character that YAML does not allow in a file, by its byte offset.
pub(super) fn unprintable(text: &str) -> Option<(usize, char)> {
    text.char_indices().find(|(_, c)| {
        !matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
    })
}

/// The very beginning of a file.
pub(super) fn start_of(file: u32) -> At {
    At { file, line: 1, column: 1, start: 0, end: 0 }
}

/// Turns character counts into places. Walks from the last place asked for, so asking in order costs one pass.
pub(super) struct Positions<'a> {
    /// Without the byte-order mark.
    text: &'a str,
    /// Bytes of the byte-order mark.
    skipped: usize,
    file: u32,
    /// The byte and character offset of each line.
    lines: Vec<(usize, usize)>,
    byte: usize,
    char: usize,
}

impl<'a> Positions<'a> {
    /// For the text of a file, with its byte-order mark.
    pub(super) fn new(text: &'a str, file: u32) -> Self {
        let shown = without_bom(text);
        let mut lines = vec![(0, 0)];
        let mut previous = '\0';
        let mut chars = 0;
        for (byte, c) in shown.char_indices() {
            if previous == '\n' || (previous == '\r' && c != '\n') {
                lines.push((byte, chars));
            }
            previous = c;
            chars += 1;
        }
        if matches!(previous, '\n' | '\r') {
            lines.push((shown.len(), chars));
        }
        Positions { text: shown, skipped: text.len() - shown.len(), file, lines, byte: 0, char: 0 }
    }

    /// The place between two character counts.
    pub(super) fn at(&mut self, start: usize, end: usize) -> At {
        let end_byte = self.seek_char(end.max(start));
        let start_byte = self.seek_char(start);
        self.here(start_byte, end_byte)
    }

    /// The place between two byte offsets (behind the byte-order mark).
    pub(super) fn at_bytes(&mut self, start: usize, end: usize) -> At {
        let start = start.min(self.text.len());
        while self.byte < start && self.step() {}
        while self.byte > start && self.back() {}
        self.here(start, end.min(self.text.len()).max(start))
    }

    /// The byte offset of a character.
    fn seek_char(&mut self, target: usize) -> usize {
        while self.char < target && self.step() {}
        while self.char > target && self.back() {}
        self.byte
    }

    fn step(&mut self) -> bool {
        match self.text.get(self.byte..).and_then(|rest| rest.chars().next()) {
            Some(c) => {
                self.byte += c.len_utf8();
                self.char += 1;
                true
            }
            None => false,
        }
    }

    fn back(&mut self) -> bool {
        match self.text.get(..self.byte).and_then(|before| before.chars().next_back()) {
            Some(c) => {
                self.byte -= c.len_utf8();
                self.char -= 1;
                true
            }
            None => false,
        }
    }

    /// The cursor stands on `start`.
    fn here(&self, start: usize, end: usize) -> At {
        let line = self.lines.partition_point(|(byte, _)| *byte <= start);
        let line_start = line.checked_sub(1).and_then(|index| self.lines.get(index)).map_or(0, |(_, char)| *char);
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        At {
            file: self.file,
            line: small(line),
            column: small(self.char.saturating_sub(line_start) + 1),
            start: small(start + self.skipped),
            end: small(end + self.skipped),
        }
    }
}
