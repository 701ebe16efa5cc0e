//! The words that a command of a repetition is called with.

use super::record::ArgvRecord;
use crate::run::quote;
use crate::run::render::{Arguments, Context, shell};

/// The words of a command: its launcher's, and its own.
///
/// # Errors
/// What is wrong with a template.
pub fn words(launcher: &[String], argv: &ArgvRecord, context: &Context) -> Result<Vec<String>, String> {
    let mut words = Arguments::default();
    for prefix in launcher {
        words.push(prefix, context).map_err(|why| format!("launcher: {why}"))?;
    }
    match argv {
        ArgvRecord::Shell(text) => words.push_shell(text, context)?,
        ArgvRecord::Exec(arguments) => arguments.iter().try_for_each(|argument| words.push(argument, context))?,
    }
    Ok(words.into_words())
}

/// The same as a line of a shell: a text as it is, where nothing stands before it.
///
/// # Errors
/// As of [`words`].
pub fn line(launcher: &[String], argv: &ArgvRecord, context: &Context) -> Result<String, String> {
    if let (ArgvRecord::Shell(text), []) = (argv, launcher) {
        return shell(text, context);
    }
    let words = words(launcher, argv, context)?;
    Ok(words.iter().map(|each| quote::word(each)).collect::<Result<Vec<_>, _>>()?.join(" "))
}
