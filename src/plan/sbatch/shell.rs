//! The shell part of a script: the environment, the user's own lines, the worker.
//!
//! No `set -eu`: conda's scripts break under it. What cw2 itself writes checks for failure on its own, and a trap looks at
//! the user's own lines, which are left as written: one by one they may be no commands at all.

use super::{ENVIRONMENT_FAILURE, Script, ScriptError, after, limit, looks_expandable, quote_path, snapshot, text};
use crate::run::quote;

/// The lines before the worker; empty where there are none.
pub(super) fn setup(script: &Script<'_>) -> Result<String, ScriptError> {
    // First: it is for every end from there on.
    let mut lines: Vec<String> = after::definition(script)?.into_iter().chain(snapshot::enter(script)?).collect();
    lines.extend(environment(script)?);
    lines.extend(user_lines(script));
    // Last: whatever the lines before it do, the copy comes before its source.
    lines.extend(snapshot::python_path(script)?);
    Ok(lines.join("\n"))
}

/// `sh_lines` as written. One that fails ends the job: what runs after it would be another experiment than the one meant.
pub(super) fn user_lines(script: &Script<'_>) -> Option<String> {
    let lines = &script.slurm().sh_lines;
    if lines.iter().all(|line| line.trim().is_empty()) {
        return None;
    }
    // No backslash at their end may take away the line below.
    let lines = lines.join("\n");
    let end = if lines.ends_with('\\') { "\n" } else { "" };
    Some(format!("{}\n{lines}{end}\ntrap - ERR", guard(script)))
}

/// Ends the script where a command of the lines below fails. What such a command does inside is its own business: a shell's
/// functions do not inherit the trap, and in files it sources the trap does nothing.
fn guard(script: &Script<'_>) -> String {
    let advice = if script.by_hand {
        "nothing is started; write \\`|| true\\` behind a command that may fail, or leave them out with \\`--no-setup\\`"
    } else {
        "the worker is not started; write \\`|| true\\` behind a command that may fail"
    };
    // A shell that knows no such trap says so, and must not go on without it.
    format!(
        "trap 'case ${{#BASH_SOURCE[@]}} in [01])\n    \
         echo \"cw2: \\`sh_lines\\` end with exit status $?: $BASH_COMMAND\" >&2\n    \
         echo \"cw2: {advice}\" >&2\n    \
         exit {ENVIRONMENT_FAILURE}\nesac' ERR || exit {ENVIRONMENT_FAILURE}"
    )
}

/// Activates `venv`: the folder of a virtual environment, or what conda knows by this name or path. The worker must not start
/// in a broken environment, so a failure ends the script.
pub(super) fn environment(script: &Script<'_>) -> Result<Option<String>, ScriptError> {
    let Some(venv) = script.slurm().venv.as_deref().filter(|venv| !venv.is_empty()) else { return Ok(None) };
    let unfit = || ScriptError::Value {
        key: "venv".to_owned(),
        problem: "it holds a line break or another control character".to_owned(),
    };
    if venv.chars().any(char::is_control) {
        return Err(unfit());
    }
    let word = |value: &str| {
        // Quoted, a tilde or a variable would not be the folder it stands for.
        match leading_variable(value) {
            Some((variable, rest)) => quote::word(rest).map(|rest| format!("\"${variable}\"/{rest}")),
            None => quote::word(value),
        }
        .map_err(|_| unfit())
    };
    let activate = if venv.contains('/') {
        let folder = venv.strip_suffix("/bin/activate").unwrap_or(venv).trim_end_matches('/');
        // Without the `./`, `source` would take a leading dash for an option.
        let folder = if folder.starts_with('-') { format!("./{folder}") } else { folder.to_owned() };
        // Rarely is an environment part of a code snapshot; where it lies does not change.
        let folder = match script.code {
            Some(_) if leading_variable(&folder).is_none() => text(&script.workdir.join(folder))?,
            _ => folder,
        };
        let file = word(&format!("{folder}/bin/activate"))?;
        let folder = word(&folder)?;
        format!("if [ -f {file} ]; then\n    source {file}\nelse\n    source activate {folder}\nfi")
    } else {
        format!("source activate {}", word(venv)?)
    };
    let advice =
        if script.by_hand { "nothing is started; `--no-setup` leaves it out" } else { "the worker is not started" };
    let message = format!("cw2: the environment {venv} cannot be activated; {advice}");
    let message = quote::word(&message).map_err(|_| unfit())?;
    Ok(Some(format!(
        "# shellcheck disable=SC1091{}\n{activate} || {{\n    echo {message} >&2\n    exit {ENVIRONMENT_FAILURE}\n}}",
        if looks_expandable(venv) { ",SC2016" } else { "" }
    )))
}

/// `~/x`, `$WORK/x` and `${WORK}/x` as the variable's name and the rest.
fn leading_variable(path: &str) -> Option<(&str, &str)> {
    let (first, rest) = path.split_once('/')?;
    if first == "~" {
        return Some(("HOME", rest));
    }
    let name = first.strip_prefix('$')?;
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (plain && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')).then_some((name, rest))
}

/// The last lines. `exec`, unless something is to run after it: a shell that waits for a child holds back the signals Slurm sends it.
pub(super) fn worker(script: &Script<'_>) -> Result<String, ScriptError> {
    let mut lines = String::new();
    if script.slurm().options.get("cpus-per-task").is_some() {
        // srun does not take it over by itself since Slurm 22.05.
        lines.push_str("export SRUN_CPUS_PER_TASK=\"$SLURM_CPUS_PER_TASK\"\n");
    }
    let (binary, plan) = (quote_path(script.binary)?, quote_path(script.plan)?);
    let own_arg = |arg: &String| match quote::word(arg).ok() {
        Some(arg) => Ok(format!(" {arg}")),
        None => Err(ScriptError::Value {
            key: "worker_args".to_owned(),
            problem: "holds a null byte; remove it".to_owned(),
        }),
    };
    let own_args = script.own_args.iter().map(own_arg).collect::<Result<String, ScriptError>>()?;
    if [&binary, &plan, &own_args].into_iter().any(|text| looks_expandable(text)) {
        lines.push_str("# shellcheck disable=SC2016\n");
    }
    let offset = script.array.record.offset;
    let mut words =
        vec![format!("{binary}{own_args} worker --plan {plan} --offset {offset} --index \"$SLURM_ARRAY_TASK_ID\"")];
    words.extend(script.array.record.pilots.map(|_| "--pilot".to_owned()));
    words.extend(Some(limit::arguments(script.slurm())).filter(|arguments| !arguments.is_empty()));
    let command = words.join(" ");
    let start = match after::definition(script)? {
        Some(_) => after::around(&command),
        None => format!("exec {command}"),
    };
    Ok(lines + &start)
}

/// The quotes that are open at the end of this beginning of a shell line.
pub(super) fn open_quote(before: &str) -> Option<char> {
    let mut open = None;
    let mut escaped = false;
    for c in before.chars() {
        match (open, c) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (None, '"' | '\'') => open = Some(c),
            (Some(quote), c) if c == quote => open = None,
            _ => {}
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leading_variable_is_found() {
        for (path, found) in [
            ("~/a b", Some(("HOME", "a b"))),
            ("$WORK/x", Some(("WORK", "x"))),
            ("${WORK}/x/y", Some(("WORK", "x/y"))),
            ("~u/x", None),
            ("$(ls)/x", None),
            ("$1/x", None),
            ("$/x", None),
            ("a/$b", None),
        ] {
            assert_eq!(leading_variable(path), found, "{path}");
        }
    }

    #[test]
    fn open_quotes_are_found() {
        for (before, open) in [
            ("cd ", None),
            ("cd \"", Some('"')),
            ("cd '", Some('\'')),
            ("cd \"it's", Some('"')),
            ("echo 'x' ", None),
            ("echo \\' ", None),
            ("echo \"\\\"", Some('"')),
        ] {
            assert_eq!(open_quote(before), open, "{before}");
        }
    }
}
