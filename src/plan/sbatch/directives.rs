//! The `#SBATCH` lines: which there are, and how a value is written so that Slurm reads that value.
//!
//! sbatch reads a line as arguments split at white space. Both quotes group, a backslash takes the next character as it is
//! (inside either quotes too, but never white space outside them), `#` outside quotes ends the line, and an empty argument
//! ends it too. To older versions the words `hetjob` and `packjob` anywhere in a line start another job component.
//! Its options are then read by `getopt_long`, which takes any unambiguous beginning of a name for the name.

use super::{Script, ScriptError, limit, text};
use crate::config::Slurm;
use crate::config::option::{self, SbatchArg};
use crate::plan::bundle::PlannedArray;

/// Options that are cw2's to set, or would keep sbatch from submitting, and what to do instead.
const OWNED: [(&str, &str); 12] = [
    (
        "array",
        "cw2 numbers the jobs; `num_parallel_jobs` says how many run at once, `max_array_size` how many an array has",
    ),
    ("chdir", "a script starts in the directory cw2 was called in; give the experiment a `workdir`"),
    // The worker counts on the warning: another signal would kill it, and nobody would requeue the job.
    ("signal", "cw2 has Slurm warn the worker itself; `grace` says how many seconds before the time limit"),
    // `cw2 status` and `cw2 logs` name these files where a job died.
    ("output", "cw2 must find Slurm's log of each job; `slurm_log` says the folder"),
    ("error", "cw2 must find Slurm's log of each job; `slurm_log` says the folder"),
    ("wrap", "the script is cw2's; use `sh_lines` for commands of your own"),
    ("parsable", "`cw2 submit` asks for it by itself"),
    ("test-only", "nothing would be submitted; `cw2 plan --dry-run` shows what would be"),
    ("wait", "`cw2 submit` would wait for the last job; call `sbatch --wait` on the script yourself"),
    ("help", "sbatch would print its help and submit nothing"),
    ("usage", "sbatch would print its usage and submit nothing"),
    ("version", "sbatch would print its version and submit nothing"),
];

/// One option: its long name, and its value unless it is a bare flag. Values are already quoted.
struct Directive {
    key: String,
    value: Option<String>,
}

impl Directive {
    fn line(&self) -> String {
        match &self.value {
            Some(value) => format!("#SBATCH --{}={value}", self.key),
            None => format!("#SBATCH --{}", self.key),
        }
    }
}

/// Every `#SBATCH` line of a script. An entry of `sbatch_args` replaces the line that cw2 would write for the same option.
pub(super) fn lines(script: &Script<'_>) -> Result<Vec<String>, ScriptError> {
    let mut own = basic(script)?;
    own.extend(keys(script, &option::KEYS)?);
    joined(script, own)
}

/// The lines a template of the original's kind cannot name one by one: `%%sbatch_args%%`.
pub(super) fn remaining_lines(script: &Script<'_>) -> Result<Vec<String>, ScriptError> {
    joined(script, keys(script, &["mem-per-cpu"])?)
}

/// With how an element ends and starts again, and the user's.
fn joined(script: &Script<'_>, mut own: Vec<Directive>) -> Result<Vec<String>, ScriptError> {
    let users = users(script)?;
    own.extend(behaviour(script));
    own.retain(|directive| !users.iter().any(|user| user.key == directive.key));
    Ok(own.iter().chain(&users).map(Directive::line).collect())
}

/// Options that decide whether a job may run at all, wherever it does.
const ADMITTED_BY: [&str; 4] = ["partition", "account", "qos", "reservation"];

/// Seconds that the job of `on_finish` has, unless the other jobs have less.
const FINISH: f64 = 1800.0;

/// The lines of the job that calls `on_finish`: small, where the others may run. Slurm is never to start it a second time.
pub(super) fn of_finish(script: &Script<'_>) -> Result<Vec<String>, ScriptError> {
    let options = &script.slurm().options;
    let mut all = vec![
        with_value("job-name", &format!("{}-finish", script.job_name()))?,
        with_value("chdir", &text(script.workdir)?)?,
        with_value("output", &format!("{}/on_finish-%j.log", log_pattern(script)?))?,
    ];
    for option in ADMITTED_BY {
        if let Some(value) = options.text(option) {
            all.push(with_value(option, value)?);
        }
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most half an hour")]
    let seconds = limit::seconds(script.slurm()).map_or(FINISH, |limit| limit.clamp(60.0, FINISH)) as u64;
    all.push(with_value("time", &format!("0:{:02}:{:02}", seconds / 60, seconds % 60))?);
    all.extend(["ntasks=1", "no-requeue"].map(|option| {
        let (key, value) = option.split_once('=').map_or((option, None), |(key, value)| (key, Some(value.to_owned())));
        Directive { key: key.to_owned(), value }
    }));
    Ok(all.iter().map(Directive::line).collect())
}

/// What every script says.
fn basic(script: &Script<'_>) -> Result<Vec<Directive>, ScriptError> {
    let log = format!("{}/%A_%a.log", log_pattern(script)?);
    Ok(vec![
        with_value("job-name", &script.job_name())?,
        with_value("array", &array_spec(script.array))?,
        with_value("chdir", &text(script.start())?)?,
        with_value("output", &log)?,
    ])
}

/// What keys of SLURM ask of the cluster.
fn keys(script: &Script<'_>, keys: &[&str]) -> Result<Vec<Directive>, ScriptError> {
    let options = &script.slurm().options;
    // Every script has a name.
    let asked = keys.iter().filter(|key| **key != "job-name").filter_map(|key| options.get(key));
    let texts =
        asked.filter(|asked| asked.written.is_none()).filter_map(|asked| options.text(&asked.option).zip(Some(asked)));
    texts.map(|(text, asked)| with_value(&asked.option, text)).collect()
}

/// How an element ends and starts again.
fn behaviour(script: &Script<'_>) -> Vec<Directive> {
    let slurm = script.slurm();
    // A second attempt must not wipe the log of the first.
    let mut directives = vec![Directive { key: "open-mode".to_owned(), value: Some("append".to_owned()) }];
    if let Some(seconds) = limit::warning(slurm) {
        // `B:`: to the batch shell alone, which the worker has replaced by then.
        directives.push(Directive { key: "signal".to_owned(), value: Some(format!("B:USR1@{seconds}")) });
    }
    if limit::requeues(slurm) > 0 {
        directives.push(Directive { key: "requeue".to_owned(), value: None });
    }
    directives
}

/// The entries of `sbatch_args`, in their order.
fn users(script: &Script<'_>) -> Result<Vec<Directive>, ScriptError> {
    let mut directives = Vec::new();
    for (key, asked) in script.slurm().options.written() {
        let long = long_name(key)?;
        match &asked.value {
            SbatchArg::Flag => directives.push(Directive { key: long.to_owned(), value: None }),
            SbatchArg::Values(values) => {
                for value in values {
                    directives.push(with_value(long, value)?);
                }
            }
        }
    }
    Ok(directives)
}

/// Why an option, by its long name or its letter, is not the user's to give besides a script.
pub fn unfit_option(name: &str) -> Option<String> {
    match long_name(name) {
        Ok("comment") => Some("cw2 marks its jobs by their comment".to_owned()),
        Err(ScriptError::Key { problem, .. }) => Some(problem),
        _ => None,
    }
}

/// The long name of an option that a user may set.
fn long_name(key: &str) -> Result<&str, ScriptError> {
    let refuse = |problem: &str| ScriptError::Key { key: key.to_owned(), problem: problem.to_owned() };
    if key.starts_with('-') {
        return Err(refuse("write the option's name without dashes"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if key.is_empty() || !key.chars().all(plain) {
        return Err(refuse(
            "the name of an option has only letters, digits and dashes; the value comes after the colon",
        ));
    }
    let long = option::long_name(key);
    if long.len() == 1 {
        return Err(refuse("no such option of sbatch is known; write its long name"));
    }
    if component_word(long).is_some() {
        return Err(refuse("it would split the job into components of its own"));
    }
    // What is no unambiguous beginning here may be one in another version of Slurm.
    match OWNED.iter().find(|(owned, _)| *owned == long || !option::is_known(long) && owned.starts_with(long)) {
        Some((_, instead)) => Err(refuse(instead)),
        None => Ok(long),
    }
}

fn with_value(key: &str, value: &str) -> Result<Directive, ScriptError> {
    let value = quote_sbatch(value).map_err(|_| control(key))?;
    Ok(Directive { key: key.to_owned(), value: Some(value) })
}

fn control(key: &str) -> ScriptError {
    ScriptError::Value { key: key.to_owned(), problem: "it holds a line break or another control character".to_owned() }
}

/// The value of `--array`.
pub(super) fn array_spec(array: &PlannedArray) -> String {
    let last = array.record.elements().saturating_sub(1);
    match array.slurm.num_parallel_jobs {
        Some(most) if most > 0 => format!("0-{last}%{most}"),
        _ => format!("0-{last}"),
    }
}

/// The log folder as part of a file name pattern, in which Slurm takes `%` for a field and a backslash for "no fields".
pub(super) fn log_pattern(script: &Script<'_>) -> Result<String, ScriptError> {
    let folder = text(&script.log_folder())?;
    check_log_folder(&folder)?;
    Ok(folder.replace('%', "%%"))
}

fn check_log_folder(folder: &str) -> Result<(), ScriptError> {
    if !folder.contains('\\') {
        return Ok(());
    }
    let problem =
        format!("Slurm fills in no job numbers where a path has a backslash: `{folder}`; choose another folder");
    Err(ScriptError::Value { key: "slurm_log".to_owned(), problem })
}

/// What no script can hold of the keys of SLURM, each with the way to it.
pub fn unfit(slurm: &Slurm) -> Vec<(Vec<&str>, ScriptError)> {
    let options =
        slurm.options.written().filter_map(|(key, _)| Some((vec!["sbatch_args", key], long_name(key).err()?)));
    let requeue = (limit::requeues(slurm) > 0).then(|| slurm.options.get("no-requeue")?.written.as_deref()).flatten();
    let requeue = requeue.map(|key| {
        let problem = "`requeue` asks for the opposite; remove one of them".to_owned();
        (vec!["sbatch_args", key], ScriptError::Key { key: key.to_owned(), problem })
    });
    let memory = memory(slurm)
        .map(|(key, problem)| (vec!["sbatch_args", key], ScriptError::Key { key: key.to_owned(), problem }));
    let log = slurm.slurm_log.as_deref().and_then(|folder| check_log_folder(folder).err());
    options.chain(requeue).chain(memory).chain(log.map(|error| (vec!["slurm_log"], error))).collect()
}

/// The option of `sbatch_args` that asks for memory in a second way.
fn memory(slurm: &Slurm) -> Option<(&str, String)> {
    let asked = || option::MEMORY.into_iter().filter_map(|option| slurm.options.get(option));
    let key = asked().find(|asked| asked.written.is_none());
    let first = key.into_iter().chain(asked()).next()?;
    let second = asked().find(|asked| asked.option != first.option)?;
    let problem = format!("`{}` is given too, and sbatch takes only one of them; remove one of them", first.option);
    Some((second.written.as_deref()?, problem))
}

/// Writes a value so that sbatch reads exactly that value from an `#SBATCH` line.
///
/// # Errors
///
/// A control character: no line can hold it.
pub fn quote_sbatch(value: &str) -> Result<String, ScriptError> {
    if value.chars().any(char::is_control) {
        return Err(control(value));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.,:/=+@%*&|!^~?()[]{}<>;$".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return Ok(hide_component_words(value.to_owned()));
    }
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
    Ok(hide_component_words(format!("\"{escaped}\"")))
}

/// The same inside quotes of either kind that are already there.
pub(super) fn escape_quoted(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    for c in value.chars() {
        if matches!(c, '"' | '\'' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    hide_component_words(out)
}

/// Slurm looks for the word in the line as written, but drops the backslash when it reads the value.
fn hide_component_words(mut text: String) -> String {
    while let Some(at) = component_word(&text) {
        text.insert(at + 1, '\\');
    }
    text
}

fn component_word(text: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    lower.find("hetjob").or_else(|| lower.find("packjob"))
}

/// Whether the end of this beginning of an `#SBATCH` line stands inside quotes.
pub(super) fn inside_quotes(line: &str) -> bool {
    let mut quote = None;
    let mut escaped = false;
    for c in line.chars() {
        match (escaped, c, quote) {
            (true, _, _) => escaped = false,
            (_, '\\', _) => escaped = true,
            (_, c, Some(open)) if c == open => quote = None,
            (_, '"' | '\'', None) => quote = Some(c),
            _ => {}
        }
    }
    quote.is_some()
}

#[cfg(test)]
mod tests {
    use super::super::written::arguments;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_needs_it_is_quoted() {
        assert_eq!(quote_sbatch("gpu:a100:2").unwrap(), "gpu:a100:2");
        assert_eq!(quote_sbatch("my job #1").unwrap(), r#""my job #1""#);
    }

    fn read_back(value: &str) -> Vec<String> {
        arguments(&format!("#SBATCH --comment={}", quote_sbatch(value).unwrap())).unwrap()
    }

    #[test]
    fn values_survive_slurms_reading() {
        for (value, written) in [
            ("gpu:a100:2", "gpu:a100:2"),
            ("a&b|[c*2]", "a&b|[c*2]"),
            ("two words", "\"two words\""),
            ("", "\"\""),
            ("#1", "\"#1\""),
            ("it's \"x\" \\", r#""it's \"x\" \\""#),
            ("größe", "\"größe\""),
            ("my-HetJob", "my-H\\etJob"),
            ("--array=5", "--array=5"),
        ] {
            assert_eq!(quote_sbatch(value).unwrap(), written);
            assert_eq!(read_back(value), [format!("--comment={value}")]);
        }
        assert!(quote_sbatch("a\nb").is_err());
        assert!(quote_sbatch("a\u{85}b").is_err());
    }

    #[test]
    fn keys_that_are_cw2s_are_refused() {
        for key in [
            "array",
            "a",
            "arr",
            "signal",
            "sig",
            "o",
            "err",
            "wrap",
            "wr",
            "D",
            "chdir",
            "workdir",
            "test-only",
            "test",
            "parsable",
            "W",
            "V",
            "h",
        ] {
            assert!(long_name(key).is_err(), "{key}");
        }
        for key in ["", "--gres", "gres=gpu", "a b", "z", "hetjob", "é"] {
            assert!(long_name(key).is_err(), "{key}");
        }
        for (key, long) in
            [("p", "partition"), ("x", "exclude"), ("gres", "gres"), ("wait-all-nodes", "wait-all-nodes")]
        {
            assert_eq!(long_name(key).unwrap(), long);
        }
        assert_eq!(
            long_name("test").unwrap_err().to_string(),
            "`test` cannot be set in `sbatch_args`: nothing would be submitted; `cw2 plan --dry-run` shows what would be"
        );
    }

    #[test]
    fn quotes_are_followed_as_slurm_does() {
        for (line, inside) in
            [("-D ", false), ("-D \"a", true), ("-D \"a\\\"", true), ("-D 'a\"'", false), ("-D \\\"", false)]
        {
            assert_eq!(inside_quotes(line), inside, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_value_survives(value in r#"[ -~äé"'#\\hetjobPACKJOB\u{a0}]{0,24}"#) {
            prop_assert_eq!(read_back(&value), [format!("--comment={value}")]);
            for quote in ['"', '\''] {
                let line = format!("#SBATCH --comment={quote}{}{quote}", escape_quoted(&value));
                prop_assert_eq!(arguments(&line).unwrap(), [format!("--comment={value}")]);
            }
        }
    }
}
