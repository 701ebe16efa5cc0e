//! Quoting for a POSIX shell: a text as one word, or inside quotes that are already there.

/// A text as one word of a bare command: as it is where that is unmistakable, else quoted.
///
/// # Errors
/// A NUL, which no word can hold.
pub(crate) fn word(text: &str) -> Result<String, String> {
    const RESERVED: &[&str] = &[
        "if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "while", "until", "for", "in", "function",
        "select", "time", "coproc",
    ];
    if RESERVED.contains(&text) {
        return Ok(format!("'{text}'"));
    }
    shlex::try_quote(text).map(std::borrow::Cow::into_owned).map_err(|error| error.to_string())
}

/// A text inside single quotes.
pub(crate) fn in_single(text: &str) -> String {
    text.replace('\'', r"'\''")
}

/// A text inside double quotes.
pub(crate) fn in_double(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '"' | '$' | '`') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
