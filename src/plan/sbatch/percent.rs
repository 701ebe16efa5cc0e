//! The original's templates: `%%key%%` in a shell script, rewritten to `{{ … }}`.
//!
//! Values are quoted for the place they stand in, which the original did not do. A value that is not given removes the
//! `#SBATCH` line that holds it.

use super::directives::{escape_quoted, inside_quotes, quote_sbatch};
use super::{Script, ScriptError, UserTemplate, after, directives, limit, shell, snapshot};
use crate::run::quote;
use minijinja::value::Value as Jinja;
use minijinja::{Environment, Error, ErrorKind, context};
use std::fmt::Write as _;

/// Keys whose values go by other names in the templates of our own.
const VALUES: [(&str, &str); 5] = [
    ("last_job_idx", "last_index"),
    ("experiment_execution_dir", "workdir"),
    ("slurm_log", "log_folder"),
    ("python_script", "cw2"),
    ("path_to_yaml_config", "config"),
];

/// Keys that stand for lines which are already what they should be.
const LINES: [&str; 5] = ["sbatch_args", "venv", "sh_lines", "cw_args", "pythonpath"];

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

/// The same template as one of Jinja's. `known` says which keys the SLURM document has.
pub(super) fn rewrite(template: &UserTemplate<'_>, known: impl Fn(&str) -> bool) -> Result<String, ScriptError> {
    let mut out = String::with_capacity(template.text.len() * 2);
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
            out.push_str("{{ worker }}\n");
            dropping = true;
            continue;
        }
        rewrite_line(line, &known, &mut out).map_err(|problem| ScriptError::Template {
            template: template.path.to_owned(),
            line: Some(number),
            problem,
        })?;
    }
    Ok(out)
}

/// Adds a line, which goes where it is an `#SBATCH` line with a value that is not given.
fn rewrite_line(line: &str, known: &impl Fn(&str) -> bool, out: &mut String) -> Result<(), String> {
    let directive = line.starts_with("#SBATCH");
    let comment = line.trim_start().starts_with('#');
    let mut written = String::with_capacity(line.len());
    // What of the line is the template's own: a value leaves the quotes around it as they are.
    let mut before = String::new();
    let mut needed = Vec::new();
    let mut rest = line;
    while let Some((start, key, end)) = next_key(rest) {
        push_text(&mut written, &rest[..start]);
        before.push_str(&rest[..start]);
        rest = &rest[end..];
        let slurm = key.replace('-', "_");
        let value = match VALUES.iter().find(|(original, _)| *original == key) {
            Some(_) if directive && key == "slurm_log" => "original.log_pattern".to_owned(),
            Some((_, name)) => (*name).to_owned(),
            None if LINES.contains(&key) => {
                // Behind a `#` every line must stay a comment.
                let filter = if comment { r#" | replace("\n", "\n# ")"# } else { "" };
                let _ = write!(written, "{{{{ original.{key}{filter} }}}}");
                continue;
            }
            None if known(&slurm) => format!("slurm[\"{slurm}\"]"),
            None => {
                return Err(format!("`%%{key}%%` is no key of a template; put your own keys into the SLURM document"));
            }
        };
        let filter = match shell::open_quote(&before) {
            _ if directive => {
                if inside_quotes(&before) {
                    "in_option"
                } else {
                    "option"
                }
            }
            None => "word",
            Some('"') => "in_double",
            Some(_) => "in_single",
        };
        // `0-%%last_job_idx%%%%%num_parallel_jobs%%`: without a limit there is no `%` either.
        if key == "num_parallel_jobs" && written.ends_with('%') {
            written.pop();
            let _ = write!(written, "{{% if {value} %}}%{{{{ {value} | {filter} }}}}{{% endif %}}");
        } else {
            let _ = write!(written, "{{{{ {value} | {filter} }}}}");
            needed.push(format!("{value} is not none"));
        }
    }
    push_text(&mut written, rest);
    let _ = match needed.as_slice() {
        [_, ..] if directive => write!(out, "{{% if {} %}}{written}\n{{% endif %}}", needed.join(" and ")),
        _ => writeln!(out, "{written}"),
    };
    Ok(())
}

/// Adds text in which nothing is Jinja's.
fn push_text(out: &mut String, text: &str) {
    out.push_str(&text.replace('{', r#"{{ "{" }}"#));
}

/// What rewritten templates see besides the names of the others.
pub(super) fn context(script: &Script<'_>) -> Result<Jinja, ScriptError> {
    // The original too goes into a job's own copy in its `sh_lines`.
    let lines = after::definition(script)?.into_iter().chain(snapshot::enter(script)?).chain(shell::user_lines(script));
    Ok(context! {
        log_pattern => directives::log_pattern(script)?,
        sbatch_args => directives::remaining_lines(script)?.join("\n"),
        venv => shell::environment(script)?.unwrap_or_default(),
        sh_lines => lines.collect::<Vec<_>>().join("\n"),
        cw_args => limit::arguments(script.slurm()),
        pythonpath => snapshot::python_path(script)?.unwrap_or_default(),
    })
}

/// The filters that quote a value for the place it stands in; nothing is left of one that is not given.
pub(super) fn add_filters(environment: &mut Environment<'_>) {
    let mut add = |name: &'static str, quote: fn(&str) -> Option<String>| {
        environment.add_filter(name, move |value: Jinja| {
            if value.is_none() {
                return Ok(String::new());
            }
            let text = value.to_string();
            let fits = !text.chars().any(char::is_control);
            fits.then(|| quote(&text)).flatten().ok_or_else(|| {
                Error::new(ErrorKind::InvalidOperation, "a value holds a line break or another control character")
            })
        });
    };
    add("option", |text| quote_sbatch(text).ok());
    add("in_option", |text| Some(escape_quoted(text)));
    add("word", |text| quote::word(text).ok());
    add("in_double", |text| Some(quote::in_double(text)));
    add("in_single", |text| Some(quote::in_single(text)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn keys_are_found() {
        assert_eq!(next_key("0-%%last_job_idx%%%%%num_parallel_jobs%%"), Some((2, "last_job_idx", 18)));
        assert_eq!(next_key("%%%num_parallel_jobs%%"), Some((1, "num_parallel_jobs", 22)));
        assert_eq!(next_key("100%% of %%"), None);
        assert_eq!(next_key("ü%%a-b%%"), Some((2, "a-b", 9)));
        assert!(is_template("x %%time%%") && !is_template("%%time%% {{ worker }}") && !is_template("date +%%Y"));
    }

    #[test]
    fn keys_become_names_quoted_for_their_place() {
        for (text, expected) in [
            ("cd %%experiment_execution_dir%%", "cd {{ workdir | word }}\n"),
            (
                "cd \"%%path_to_yaml_config%%/'x%%a-b%%\"",
                "cd \"{{ config | in_double }}/'x{{ slurm[\"a_b\"] | in_double }}\"\n",
            ),
            (
                "f() { echo '${%%time%%}'; }",
                "f() {{ \"{\" }} echo '${{ \"{\" }}{{ slurm[\"time\"] | in_single }}}'; }\n",
            ),
            (
                "#SBATCH -D '%%time%%' -a 0-%%last_job_idx%%%%%num_parallel_jobs%%",
                "{% if slurm[\"time\"] is not none and last_index is not none %}#SBATCH -D '{{ slurm[\"time\"] | in_option }}' \
                 -a 0-{{ last_index | option }}{% if slurm[\"num_parallel_jobs\"] %}%{{ slurm[\"num_parallel_jobs\"] | option }}\
                 {% endif %}\n{% endif %}",
            ),
            (
                "#SBATCH -o %%slurm_log%%/x",
                "{% if original.log_pattern is not none %}#SBATCH -o {{ original.log_pattern | option }}/x\n{% endif %}",
            ),
            ("# %%venv%%\n%%venv%%", "# {{ original.venv | replace(\"\\n\", \"\\n# \") }}\n{{ original.venv }}\n"),
            ("a \\\n  %%python_script%% \\\n b\nc", "{{ worker }}\nc\n"),
        ] {
            let template = UserTemplate { path: Path::new("x"), text };
            assert_eq!(rewrite(&template, |_| true).unwrap(), expected);
        }
    }
}
