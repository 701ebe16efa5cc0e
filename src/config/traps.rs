//! Where the files hold a scalar that the original's parser read differently.
//!
//! Owns the count of such places and the one note a kind; which scalars are meant is [`super::scalar`]'s matter.

use super::error::Diagnostic;
use super::node::{At, brief};
use super::scalar::Trap;
use std::collections::BTreeMap;

/// The first place and the number of places of each kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Traps(BTreeMap<Trap, (At, String, usize)>);

impl Traps {
    /// Counts a place.
    pub(super) fn record(&mut self, trap: Trap, at: At, text: &str) {
        self.0.entry(trap).or_insert_with(|| (at, brief(text), 0)).2 += 1;
    }

    /// One note for each kind that was met.
    pub(super) fn notes(&self) -> Vec<Diagnostic> {
        self.0.iter().map(|(trap, (at, text, count))| note(*trap, *at, text, *count)).collect()
    }
}

fn note(trap: Trap, at: At, text: &str, count: usize) -> Diagnostic {
    let (message, help) = match trap {
        Trap::Exponent => (
            format!("`{text}` is read as a number; the original cw2 read it as text"),
            format!("write \"{text}\" if text is meant"),
        ),
        Trap::Clock => (
            format!("`{text}` is read as text; the original cw2 read it as a number to the base 60"),
            format!("write \"{text}\" to make that plain"),
        ),
        Trap::Date => (
            format!("`{text}` is read as text; the original cw2 read it as a date"),
            format!("write \"{text}\" to make that plain"),
        ),
        Trap::LeadingZero => (
            format!(
                "`{text}` is read as text, for its leading zero; other readers take it for a decimal or octal number"
            ),
            format!("write \"{text}\" to make that plain, or leave the zero out if a number is meant"),
        ),
    };
    let others = match count {
        1 => String::new(),
        2 => "; so is one more place".to_owned(),
        _ => format!("; so are {} more places", count - 1),
    };
    Diagnostic::note(message + &others).at(at).help(help)
}
