//! The script of the job that runs `on_finish`: one small job, which `cw2 submit` lets wait for all arrays of a plan.

use super::{Script, ScriptError, directives, looks_expandable, quote_path};
use crate::run::quote;

/// Its name in the plan's folder.
pub const SCRIPT: &str = "on_finish.sh";

/// Renders it; the commands are words of the script, to be edited there until it runs. `script` is that of the first array.
///
/// # Errors
/// A value that no script can hold.
pub fn render(script: &Script<'_>, commands: &[&str]) -> Result<String, ScriptError> {
    let (binary, plan) = (quote_path(script.binary)?, quote_path(script.plan)?);
    let unfit =
        || ScriptError::Value { key: "on_finish".to_owned(), problem: "it holds a null byte; remove it".to_owned() };
    let mut words = vec![binary];
    for argument in script.own_args {
        words.push(quote::word(argument).map_err(|_| unfit())?);
    }
    words.extend(["finish --plan".to_owned(), plan]);
    for command in commands {
        if command.contains('\0') {
            return Err(unfit());
        }
        words.push(format!("--call='{}'", quote::in_single(command)));
    }
    let call = words.join(" ");
    let disable = match (looks_expandable(&call), call.contains("'\\''")) {
        (false, false) => "",
        (true, false) => "# shellcheck disable=SC2016\n",
        (_, true) => "# shellcheck disable=SC1003,SC2016\n",
    };
    Ok(format!(
        "#!/bin/bash\n# cw2: calls `on_finish` when all of the plan has ended; `cw2 submit` lets it wait for that.\n{}\n\n{disable}exec {call}\n",
        directives::of_finish(script)?.join("\n")
    ))
}
