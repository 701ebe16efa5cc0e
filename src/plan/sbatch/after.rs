//! What runs when a job ends: `sh_lines_after`, by the shell that started the worker.
//!
//! That shell waits instead of becoming the worker, and Slurm tells some signals to it alone (`scancel --batch`, the warning before
//! the time limit): it hands them on. What Slurm tells all processes of the job the worker then hears twice, which it knows by
//! `CW2_SHELL`.

use super::{Script, ScriptError, looks_expandable};
use crate::run::quote;

/// Defines what runs at the end, for every end from here on; nothing where there are no such lines.
///
/// The lines are a word for `eval`: whatever they hold, they end where they end, and a slip in them shows when they run.
pub(super) fn definition(script: &Script<'_>) -> Result<Option<String>, ScriptError> {
    let lines = &script.slurm().sh_lines_after;
    if lines.iter().all(|line| line.trim().is_empty()) {
        return Ok(None);
    }
    let text = lines.join("\n");
    if text.contains('\0') {
        let problem = "it holds a null byte; remove it".to_owned();
        return Err(ScriptError::Value { key: "sh_lines_after".to_owned(), problem });
    }
    // Neither a variable nor a quote in it is a slip.
    let disable = match (looks_expandable(&text), text.contains(['\'', '\\'])) {
        (false, false) => "",
        (true, false) => "# shellcheck disable=SC2016\n",
        (_, true) => "# shellcheck disable=SC1003,SC2016\n",
    };
    let text = quote::in_single(&text);
    Ok(Some(format!(
        "# However this job ends.
{disable}cw2_after='{text}'
# shellcheck disable=SC2317
cw2_end() {{
    export CW2_EXIT_CODE=$?
    trap '' TERM INT HUP USR1
    (eval \"$cw2_after\") || echo \"cw2: \\`sh_lines_after\\` end with exit status $?\" >&2
}}
trap cw2_end EXIT
trap 'exit 75' TERM INT HUP USR1"
    )))
}

/// What the lines begin with that start the worker and wait for it.
pub const WAITING: &str = "cw2_worker=''";

/// How the line ends that starts the worker.
pub const STARTS: &str = " <&\"$cw2_in\" >&\"$cw2_out\" {cw2_in}<&- {cw2_out}>&- &";

/// Starts a command, hands on what this shell is told, and ends with the command's exit code.
///
/// A shell that a signal interrupts while it waits for a child may lose how that ended (bash 5.2 does where both come together). So
/// another one, which no signal interrupts, waits and says.
pub(super) fn around(command: &str) -> String {
    format!(
        "{WAITING} cw2_signal='' cw2_code=''
cw2_tell() {{
    cw2_signal=$1
    [ -z \"$cw2_worker\" ] || kill -s \"$1\" \"$cw2_worker\" 2>/dev/null || :
}}
trap 'cw2_tell TERM' TERM
trap 'cw2_tell INT' INT
trap 'cw2_tell HUP' HUP
trap 'cw2_tell USR1' USR1
trap cw2_end EXIT
exec {{cw2_in}}<&0 {{cw2_out}}>&1
exec {{cw2_said}}< <(
    trap '' TERM INT HUP USR1
    export CW2_SHELL=$BASHPID
    {command}{STARTS}
    echo \"$!\"
    cw2_code=0
    wait \"$!\" || cw2_code=$?
    echo \"$cw2_code\"
)
read -r cw2_worker <&\"$cw2_said\" || :
[ -z \"$cw2_signal\" ] || cw2_tell \"$cw2_signal\"
read -r cw2_code <&\"$cw2_said\" || :
exit \"${{cw2_code:-137}}\""
    )
}
