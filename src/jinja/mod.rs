//! What all users of minijinja share: values on their way into templates and back, what is too large to be read, and errors in
//! words of the user's.
//!
//! It must not know what a template is for: each environment is its user's own.

mod convert;
pub(crate) mod size;

pub(crate) use convert::{from_jinja, guarded, to_jinja};

use minijinja::{Error, ErrorKind};

/// The expression of a template that is one `{{ … }}` and nothing else.
pub(crate) fn sole_expression(template: &str) -> Option<&str> {
    let inner = template.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    (!inner.contains("{{") && !inner.contains("}}")).then(|| inner.trim_matches('-').trim())
}

/// What is wrong with a template, in words of the user's: which name is not defined, not that one is.
pub(crate) fn explain(error: &Error) -> String {
    use std::error::Error as _;
    let mut text = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    if error.kind() == ErrorKind::UndefinedError {
        let name = error.template_source().zip(error.range()).and_then(|(source, range)| {
            // The range of a path is its last parts only.
            let before = source.get(..range.start)?;
            let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
            source.get(before.trim_end_matches(part).len()..range.end)
        });
        text = match name {
            Some(name) => format!("`{}` is not defined here", name.trim_matches(['{', '}', ' '])),
            None => "a name is not defined here".to_owned(),
        };
    }
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    format!("template: {text}")
}
