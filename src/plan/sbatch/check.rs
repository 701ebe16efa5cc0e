//! What a user's template may have forgotten, each of which would only show when the jobs fail, or never.

use super::{Script, ScriptError, UserTemplate, after, limit, shell};

/// Looks at a rendered script as Slurm and the shell will.
pub(super) fn check(script: &Script<'_>, template: &UserTemplate<'_>, rendered: &str) -> Result<(), ScriptError> {
    let fail = |problem: String| Err(ScriptError::Template { template: template.path.to_owned(), line: None, problem });
    if !rendered.starts_with("#!") {
        return fail(
            "the first line must name the shell, as `#!/bin/bash` does; sbatch refuses a script without it".to_owned(),
        );
    }
    let worker = shell::worker(script)?;
    if !rendered.match_indices(&worker).any(|(at, _)| !is_comment(rendered, at)) {
        return fail(
            "the script never starts the worker; write `{{ worker }}` on a line of its own, at the end".to_owned(),
        );
    }
    if after::definition(script)?.is_some_and(|lines| !rendered.contains(&lines)) {
        return fail(
            "nothing says what `sh_lines_after` are; write `{{ setup }}` (or `%%sh_lines%%`) above the worker"
                .to_owned(),
        );
    }
    let shell = rendered.lines().next().unwrap_or_default();
    if after::definition(script)?.is_some() && !shell.contains("bash") {
        return fail(format!("`sh_lines_after` need bash, and the first line is `{shell}`; write `#!/bin/bash`"));
    }
    // What Slurm reads: the lines above the first command. Where there are several arrays, the last one counts.
    let header = || rendered.lines().take_while(|line| !is_command(line));
    if let Some(line) = header().find(|line| line.starts_with([' ', '\t']) && line.trim().starts_with("#SBATCH")) {
        return fail(format!("Slurm reads no option in `{}`: the line must begin with `#SBATCH`", line.trim_end()));
    }
    let Some(array) = header().filter_map(array_of).last() else {
        let command = rendered
            .lines()
            .find(|line| is_command(line))
            .filter(|_| rendered.lines().any(|line| array_of(line).is_some()));
        return fail(match command {
            Some(command) => format!(
                "Slurm reads no `#SBATCH` line below the first command, which is `{}`; write the command below them",
                command.trim()
            ),
            None => "no `#SBATCH` line has the array; write `{{ sbatch }}` below the first line, or `#SBATCH --array={{ array }}`"
                .to_owned(),
        });
    };
    let last = script.array.record.elements().saturating_sub(1);
    let (range, _) = array.split_once('%').unwrap_or((array, ""));
    if range != format!("0-{last}") && !(last == 0 && range == "0") {
        return fail(format!(
            "`#SBATCH` asks for the array `{array}`, but the elements are 0-{last}; write `#SBATCH --array={{{{ array }}}}`"
        ));
    }
    let Some(seconds) = limit::warning(script.slurm()) else { return Ok(()) };
    let expected = format!("B:USR1@{seconds}");
    let signal = header().filter_map(|line| value_of(line, "--signal", None)).last();
    if signal == Some(expected.as_str()) {
        return Ok(());
    }
    fail(format!(
        "`requeue` or `grace` needs a warning before the time limit, and {}; write `{{{{ sbatch }}}}` (or `%%sbatch_args%%`), or \
         `#SBATCH --signal={expected}`",
        match signal {
            Some(other) => format!("`#SBATCH` asks for another, `--signal={other}`"),
            None => "no `#SBATCH` line asks for it".to_owned(),
        }
    ))
}

/// Whether what begins at this place of a text stands behind a `#` that begins its line, or a word of it.
fn is_comment(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    line.starts_with('#') || line.contains(" #") || line.contains("\t#")
}

fn is_command(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

/// The array that a `#SBATCH` line asks for.
fn array_of(line: &str) -> Option<&str> {
    value_of(line, "--array", Some("-a"))
}

/// The value a `#SBATCH` line gives an option. The last one counts.
fn value_of<'a>(line: &'a str, long: &str, short: Option<&str>) -> Option<&'a str> {
    let mut options = line.strip_prefix("#SBATCH")?.split_whitespace();
    let mut found = None;
    while let Some(option) = options.next() {
        let value = if option == long || Some(option) == short {
            options.next()
        } else {
            let long = option.strip_prefix(long).and_then(|rest| rest.strip_prefix('='));
            long.or_else(|| option.strip_prefix(short?))
        };
        found = value.map(|value| value.trim_matches(['"', '\''])).or(found);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_found_however_they_are_written() {
        for (line, expected) in [
            ("#SBATCH --array=0-3%2", Some("0-3%2")),
            ("#SBATCH --time=5 --array 0-3", Some("0-3")),
            ("#SBATCH --array=0-3 --array=5", Some("5")),
            ("#SBATCH -a0-3", Some("0-3")),
            ("#SBATCH -a 0-3", Some("0-3")),
            ("#SBATCH --array=\"0-3\"", Some("0-3")),
            ("#SBATCH --time=5", None),
            ("# SBATCH --array=0-3", None),
            ("##SBATCH --array=0-3", None),
        ] {
            assert_eq!(array_of(line), expected, "{line}");
        }
    }

    #[test]
    fn a_comment_is_only_its_own_line() {
        for (before, expected) in
            [("# ", true), ("#\n", false), ("# a\n  # ", true), ("# a\nb # ", true), ("a#", false), ("", false)]
        {
            assert_eq!(is_comment(&format!("{before}exec"), before.len()), expected, "{before:?}");
        }
    }
}
