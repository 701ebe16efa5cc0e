//! The original's templates: `%%key%%` in a shell script.
//!
//! Values are quoted for the place they stand in, which the original did not do. A value that is not given removes the
//! `#SBATCH` line that holds it.

use super::directives::{self, escape_quoted, inside_quotes, quote_sbatch};
use super::{Script, ScriptError, UserTemplate, limit, shell, snapshot, text};
use crate::value::Value;

/// What a key stands for.
enum Replacement {
    /// One value, to be quoted; `None` where it is not given.
    Value(Option<String>),
    /// A folder of log files: Slurm reads `%` in it.
    LogFolder { plain: String, pattern: String },
    /// Lines that are already what they should be.
    Lines(String),
}

/// Whether a template is of this kind: it has a `%%key%%` and nothing of Jinja's.
pub(super) fn is_template(text: &str) -> bool {
    !text.contains("{{") && !text.contains("{%") && next_key(text).is_some()
}

/// The first `%%key%%`: where it starts, the key, where it ends.
fn next_key(text: &str) -> Option<(usize, &str, usize)> {
    let mut from = 0;
    while let Some(found) = text.get(from..)?.find("%%") {
        let start = from + found;
        let rest = text.get(start + 2..)?;
        let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))).unwrap_or(rest.len());
        if length > 0 && rest[length..].starts_with("%%") {
            return Some((start, &rest[..length], start + length + 4));
        }
        // `%%last_job_idx%%%%%num_parallel_jobs%%`: the middle one of five is the array's own.
        from = start + 1;
    }
    None
}

/// Fills in a template of the original's kind.
pub(super) fn render(script: &Script<'_>, template: &UserTemplate<'_>) -> Result<String, ScriptError> {
    let mut out: Vec<String> = Vec::new();
    let mut command_start = 0;
    let mut continued = false;
    let mut dropping = false;
    for (number, line) in (1..).zip(template.text.lines()) {
        let comment = line.trim_start().starts_with('#');
        if !continued {
            (command_start, dropping) = (out.len(), false);
        }
        continued = !comment && line.ends_with('\\');
        if dropping {
            continue;
        }
        if !comment && line.contains("%%python_script%%") {
            // The whole command becomes the worker's, also where it is written over several lines.
            out.truncate(command_start);
            out.push(shell::worker(script)?);
            dropping = true;
            continue;
        }
        let unknown =
            |problem| ScriptError::Template { template: template.path.to_owned(), line: Some(number), problem };
        out.extend(fill(script, line, &unknown)?);
    }
    let mut rendered = out.join("\n");
    rendered.push('\n');
    Ok(rendered)
}

/// One line; `None` where it goes because its value is not given.
fn fill(
    script: &Script<'_>,
    line: &str,
    failed: &dyn Fn(String) -> ScriptError,
) -> Result<Option<String>, ScriptError> {
    let directive = line.starts_with("#SBATCH");
    let comment = line.trim_start().starts_with('#');
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((start, key, end)) = next_key(rest) {
        out.push_str(&rest[..start]);
        let replacement = lookup(script, key)?.ok_or_else(|| {
            failed(format!("`%%{key}%%` is no key of a template; put your own keys into the SLURM document"))
        })?;
        let value = match replacement {
            Replacement::Lines(lines) => {
                // Behind a `#` every line must stay a comment.
                let lines = if comment { lines.replace('\n', "\n# ") } else { lines };
                out.push_str(&lines);
                rest = &rest[end..];
                continue;
            }
            Replacement::LogFolder { pattern, .. } if directive => Some(pattern),
            Replacement::LogFolder { plain, .. } => Some(plain),
            Replacement::Value(value) => value,
        };
        match value {
            Some(value) => {
                let unfit =
                    || failed(format!("the value of `%%{key}%%` holds a line break or another control character"));
                let quoted = match directive {
                    _ if value.chars().any(char::is_control) => return Err(unfit()),
                    true if inside_quotes(&out) => escape_quoted(&value),
                    true => quote_sbatch(&value)?,
                    false => shell::quote_after(&out, &value).ok_or_else(unfit)?,
                };
                out.push_str(&quoted);
            }
            // `0-%%last_job_idx%%%%%num_parallel_jobs%%`: without a limit there is no `%` either.
            None if key == "num_parallel_jobs" && out.ends_with('%') => {
                out.pop();
            }
            None if directive => return Ok(None),
            None => {}
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    Ok(Some(out))
}

fn lookup(script: &Script<'_>, key: &str) -> Result<Option<Replacement>, ScriptError> {
    let slurm = script.slurm();
    let number = |number: Option<u32>| Replacement::Value(number.map(|number| number.to_string()));
    let value = |value: String| Replacement::Value(Some(value));
    Ok(Some(match key {
        "partition" => Replacement::Value(slurm.partition.clone()),
        "account" => Replacement::Value(slurm.account.clone()),
        "job-name" => value(script.job_name()),
        "time" => Replacement::Value(slurm.time.clone()),
        "mem-per-cpu" => Replacement::Value(slurm.mem_per_cpu.clone()),
        "ntasks" => number(slurm.ntasks),
        "cpus-per-task" => number(slurm.cpus_per_task),
        "num_parallel_jobs" => number(slurm.num_parallel_jobs.filter(|most| *most > 0)),
        "last_job_idx" => value(script.array.record.jobs.saturating_sub(1).to_string()),
        "experiment_execution_dir" => value(text(script.start())?),
        "slurm_log" => {
            Replacement::LogFolder { plain: text(&script.log_folder())?, pattern: directives::log_pattern(script)? }
        }
        "python_script" => value(text(script.binary)?),
        "path_to_yaml_config" => value(script.config.to_owned()),
        "sbatch_args" => Replacement::Lines(directives::remaining_lines(script)?.join("\n")),
        "venv" => Replacement::Lines(shell::environment(script)?.unwrap_or_default()),
        "sh_lines" => {
            // The original too goes into a job's own copy here.
            let lines = snapshot::enter(script)?.into_iter().chain(shell::user_lines(script));
            Replacement::Lines(lines.collect::<Vec<_>>().join("\n"))
        }
        "cw_args" => Replacement::Lines(limit::arguments(script.slurm())),
        "pythonpath" => Replacement::Lines(snapshot::python_path(script)?.unwrap_or_default()),
        key => match slurm.extra.get(key) {
            Some(Value::Null) => Replacement::Value(None),
            Some(Value::String(text)) => value(text.clone()),
            Some(other) => value(other.to_json()),
            None => return Ok(None),
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found() {
        assert_eq!(next_key("0-%%last_job_idx%%%%%num_parallel_jobs%%"), Some((2, "last_job_idx", 18)));
        assert_eq!(next_key("%%%num_parallel_jobs%%"), Some((1, "num_parallel_jobs", 22)));
        assert_eq!(next_key("100%% of %%"), None);
        assert_eq!(next_key("ü%%a-b%%"), Some((2, "a-b", 9)));
        assert!(is_template("x %%time%%") && !is_template("%%time%% {{ worker }}") && !is_template("date +%%Y"));
    }
}
