//! A JSON object in a file that proves itself: its first key is the SHA-256 of all the rest of the text.

use crate::experiment::hex;
use sha2::{Digest as _, Sha256};

const BEFORE: &str = "{\n  \"sha256\": \"";
/// The key of the seal.
const HASH: &[u8] = b"\"sha256\":";
const AFTER: &str = "\",\n";
/// The text of an object begins so.
const OPEN: &str = "{\n";

/// The text with its seal; it is an object with at least one key, each on a line of its own.
pub(super) fn seal(text: &str) -> String {
    let rest = text.strip_prefix(OPEN).unwrap_or(text);
    format!("{BEFORE}{}{AFTER}{rest}", hash(rest))
}

/// Whether a text was sealed once, whatever became of it.
pub(super) fn is_sealed(text: &[u8]) -> bool {
    text.windows(HASH.len()).any(|part| part == HASH)
}

/// Whether a text is as it was sealed.
pub(super) fn is_whole(text: &[u8]) -> bool {
    let parts = || {
        let (hash, rest) = std::str::from_utf8(text).ok()?.strip_prefix(BEFORE)?.split_at_checked(64)?;
        Some((hash, rest.strip_prefix(AFTER)?))
    };
    parts().is_some_and(|(expected, rest)| hash(rest) == expected)
}

fn hash(rest: &str) -> String {
    hex(&Sha256::digest(rest.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_byte_is_found() {
        let sealed = seal("{\n  \"a\": 1\n}\n");
        assert!(is_whole(sealed.as_bytes()) && sealed.ends_with("\",\n  \"a\": 1\n}\n"), "{sealed}");
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone().into_bytes();
            damaged[at] ^= 1;
            assert!(!is_whole(&damaged), "byte {at}");
            assert!(!is_whole(&sealed.as_bytes()[..at]), "{at} bytes");
        }
    }
}
