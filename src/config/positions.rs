//! From bytes to text, and from the parser's character counts to places.
//!
//! Owns decoding (UTF-8 and nothing else, a byte-order mark skipped) and the arithmetic of lines and columns.

use super::error::Diagnostic;
use super::node::At;
use saphyr_parser::Marker;

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
            // What it is shown as has three bytes.
            let at = at_bytes(&shown, file, offset, offset + char::REPLACEMENT_CHARACTER.len_utf8());
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

/// The place between two byte offsets of a file's text.
pub(super) fn at_bytes(text: &str, file: u32, start: usize, end: usize) -> At {
    let before = without_bom(text.get(..start).unwrap_or(text));
    let line = before.rsplit(['\n', '\r']).next().unwrap_or_default();
    let lines = before.replace("\r\n", "\n").matches(['\n', '\r']).count();
    let column = line.chars().count() + 1;
    At { file, line: small(lines + 1), column: small(column), start: small(start), end: small(end) }
}

/// Turns the parser's marks, which count characters, into places. Walks from the last one asked for, so asking in order costs
/// one pass.
pub(super) struct Positions<'a> {
    whole: &'a str,
    /// Without the byte-order mark.
    text: &'a str,
    file: u32,
    byte: usize,
    char: usize,
    /// The place behind the last character, once it was asked for: the parser is on another line there.
    end: Option<At>,
}

impl<'a> Positions<'a> {
    /// For the text of a file, with its byte-order mark.
    pub(super) fn new(text: &'a str, file: u32) -> Self {
        Positions { whole: text, text: without_bom(text), file, byte: 0, char: 0, end: None }
    }

    /// The place from a mark up to a character count.
    pub(super) fn at(&mut self, start: &Marker, end: usize) -> At {
        let end = self.byte_of(end.max(start.index()));
        let first = self.byte_of(start.index());
        if first == self.text.len() {
            let length = self.whole.len();
            return *self.end.get_or_insert_with(|| at_bytes(self.whole, self.file, length, length));
        }
        let skipped = self.whole.len() - self.text.len();
        At {
            file: self.file,
            line: small(start.line()),
            column: small(start.col() + 1),
            start: small(first + skipped),
            end: small(end + skipped),
        }
    }

    /// The byte offset of a character, or the end.
    fn byte_of(&mut self, char: usize) -> usize {
        if char < self.char {
            let before = self.text.get(..self.byte).unwrap_or_default();
            let back = self.char - char;
            self.byte = before.char_indices().nth_back(back - 1).map_or(0, |(byte, _)| byte);
        } else {
            let rest = self.text.get(self.byte..).unwrap_or_default();
            self.byte += rest.char_indices().nth(char - self.char).map_or(rest.len(), |(byte, _)| byte);
        }
        self.char = char;
        self.byte
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use saphyr_parser::Parser;

    proptest! {
        #[test]
        fn the_parser_s_lines_and_columns_are_those_of_the_text(
            text in "\u{feff}?([ab]: |- |\n|\r\n|\r|  |\\[|\\]|,|'|\"|\\||>|#|---\n|\t|\u{e9}|\u{1f600}|&a |\\*a){0,40}"
        ) {
            let mut positions = Positions::new(&text, 7);
            for event in Parser::new_from_str(without_bom(&text)) {
                let Ok((_, span)) = event else { break };
                let at = positions.at(&span.start, span.end.index());
                prop_assert_eq!(at, at_bytes(&text, 7, at.start as usize, at.end as usize));
            }
        }
    }
}
