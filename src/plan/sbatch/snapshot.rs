//! The lines of a script that lead into a code snapshot.

use super::{Code, ENVIRONMENT_FAILURE, Script, ScriptError, looks_expandable, quote_path, text};
use crate::plan::code::PathEntry;
use crate::run::quote;

/// The folder of the job's own copy, as a word of the shell: only the element knows its number.
fn own_copy(script: &Script<'_>, code: Code<'_>) -> Result<String, ScriptError> {
    let folder = quote_path(code.folder)?;
    Ok(match script.array.record.offset {
        0 => format!("{folder}/\"$SLURM_ARRAY_TASK_ID\""),
        offset => format!("{folder}/\"$(({offset} + SLURM_ARRAY_TASK_ID))\""),
    })
}

/// Goes into the job's own copy; nothing where all jobs run in one.
pub(super) fn enter(script: &Script<'_>) -> Result<Option<String>, ScriptError> {
    let Some(code) = script.code.filter(|code| code.per_job) else { return Ok(None) };
    let folder = own_copy(script, code)?;
    let disable = shellcheck(&folder);
    let message = "cw2: this job has no copy of the code; the worker is not started";
    let message = quote::word(message).unwrap_or_default();
    Ok(Some(format!("{disable}cd {folder} || {{\n    echo {message} >&2\n    exit {ENVIRONMENT_FAILURE}\n}}")))
}

/// Sets `PYTHONPATH`. What modules and `sh_lines` put there stays, behind it.
pub(super) fn python_path(script: &Script<'_>) -> Result<Option<String>, ScriptError> {
    let Some(code) = script.code else { return Ok(None) };
    let copy = if code.per_job { own_copy(script, code)? } else { quote_path(code.folder)? };
    // No entry can hold a colon.
    let fits = !text(code.folder)?.contains(':');
    let mut words = Vec::new();
    for entry in code.path {
        match entry {
            PathEntry::InCopy(_) if !fits => {}
            PathEntry::InCopy(inner) if inner.as_os_str().is_empty() => words.push(copy.clone()),
            PathEntry::InCopy(inner) => words.push(format!("{copy}/{}", quote_path(inner)?)),
            PathEntry::Elsewhere(path) => words.push(quote_path(path)?),
        }
    }
    if words.is_empty() {
        return Ok(None);
    }
    let path = words.join(":");
    Ok(Some(format!("{}export PYTHONPATH={path}\"${{PYTHONPATH:+:$PYTHONPATH}}\"", shellcheck(&path))))
}

/// Keeps shellcheck from asking whether single quotes are meant.
fn shellcheck(words: &str) -> &'static str {
    let quoted = words.split('\'').skip(1).step_by(2);
    if quoted.into_iter().any(looks_expandable) { "# shellcheck disable=SC2016\n" } else { "" }
}
