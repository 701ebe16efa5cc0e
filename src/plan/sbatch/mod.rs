//! Rendering of an array's sbatch script: a pure function of the plan.
//!
//! Owns everything a script says and how it is quoted, for Slurm and for the shell. It must not decide anything about jobs.
//!
//! # A template of one's own
//!
//! `path_to_template` names a Jinja template. It must use `worker` and have the array among its `#SBATCH` lines. It sees
//!
//! | name | what |
//! |---|---|
//! | `sbatch` | all `#SBATCH` lines, as one text |
//! | `setup` | the lines before the worker: what `sh_lines_after` are, into the job's own copy of the code, `venv`, `sh_lines`, `PYTHONPATH`; empty where there are none |
//! | `worker` | the last lines: they start the worker, in place of the shell where there are no `sh_lines_after` |
//! | `array` | the value of `--array`, `0-9%4` |
//! | `offset`, `jobs`, `last_index` | the number of the first job, of the jobs, of the last element |
//! | `experiments`, `title` | the names of the experiments; a line that says what the script is |
//! | `plan`, `workdir`, `log_folder`, `cw2`, `config` | paths: the plan's folder, the working directory (the code snapshot, if there is one), Slurm's logs, this program, the YAML file |
//! | `slurm.…` | the SLURM document's keys, `-` as `_` (`slurm.cpus_per_task`); `none` where not given; own keys by their names |
//!
//! and the filter `quote`, which quotes a value for the shell. The original's `%%key%%` templates work too: every key of its
//! default template is known, the command that holds `%%python_script%%` becomes the worker's, and an `#SBATCH` line whose
//! value is not given is left out.

mod after;
mod check;
mod directives;
pub mod finish;
pub(super) mod limit;
mod percent;
mod shell;
mod snapshot;
pub mod written;

pub use after::{STARTS, WAITING};
pub use directives::{quote_sbatch, unfit, unfit_option};

use super::bundle::PlannedArray;
use super::code::PathEntry;
use super::layout;
use super::record::ArrayRecord;
use crate::config::{Slurm, option};
use crate::experiment::component;
use crate::jinja::{guarded, to_jinja};
use crate::run::quote;
use minijinja::value::Value as Jinja;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

const DEFAULT_TEMPLATE: &str = include_str!("../../../templates/sbatch.sh.j2");

/// What a script is made of. Every path is absolute.
#[derive(Debug, Clone, Copy)]
pub struct Script<'a> {
    /// Its jobs, resources and experiments.
    pub array: &'a PlannedArray,
    /// The plan's folder.
    pub plan: &'a Path,
    /// The working directory of the plan, where relative paths start, and the script too unless it runs in a copy.
    pub workdir: &'a Path,
    /// The code snapshot its jobs run in.
    pub code: Option<Code<'a>>,
    /// This program.
    pub binary: &'a Path,
    /// What its jobs are to call it with, before `worker`.
    pub own_args: &'a [String],
    /// The configuration file as the user named it, for the user's template.
    pub config: &'a str,
    /// Its lines go before a call on this machine.
    pub by_hand: bool,
}

/// A code snapshot, for a script.
#[derive(Debug, Clone, Copy)]
pub struct Code<'a> {
    /// The copy, or the folder of all copies.
    pub folder: &'a Path,
    /// Each job has a copy of its own.
    pub per_job: bool,
    /// `PYTHONPATH`.
    pub path: &'a [PathEntry],
}

/// The file `path_to_template` names.
#[derive(Debug, Clone, Copy)]
pub struct UserTemplate<'a> {
    /// Its path, for messages.
    pub path: &'a Path,
    /// Its text.
    pub text: &'a str,
}

/// Why there is no script.
#[derive(Debug)]
pub enum ScriptError {
    /// A value that no `#SBATCH` line can hold.
    Value {
        /// Its key.
        key: String,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// A key of `sbatch_args` that does not belong there.
    Key {
        /// The key.
        key: String,
        /// Why, and what to do.
        problem: String,
    },
    /// A path that is not text, or holds line breaks.
    Path(PathBuf),
    /// The user's template is no Jinja template or asks for something that is not there.
    Jinja {
        /// Its path.
        template: PathBuf,
        /// What minijinja says, with the line.
        error: Box<minijinja::Error>,
    },
    /// The user's template gives no script that can work.
    Template {
        /// Its path.
        template: PathBuf,
        /// From 1, where one line is to blame.
        line: Option<usize>,
        /// What is wrong with it, and what to do.
        problem: String,
    },
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScriptError::Value { key, problem } => {
                write!(f, "the value of `{key}` cannot be passed to Slurm: {problem}")
            }
            ScriptError::Key { key, problem } => write!(f, "`{key}` cannot be set in `sbatch_args`: {problem}"),
            ScriptError::Path(path) => {
                write!(
                    f,
                    "the path `{}` cannot be used in a script: it must be UTF-8 without line breaks; rename it",
                    path.display().to_string().escape_debug()
                )
            }
            ScriptError::Jinja { template, error } => {
                let line = error.line().map(|line| format!(":{line}")).unwrap_or_default();
                let why = crate::jinja::explain(error);
                write!(f, "{}{line}: {why}; the names a template can use are {}", template.display(), NAMES.join(", "))
            }
            ScriptError::Template { template, line: Some(line), problem } => {
                write!(f, "{}:{line}: {problem}", template.display())
            }
            ScriptError::Template { template, line: None, problem } => write!(f, "{}: {problem}", template.display()),
        }
    }
}

impl std::error::Error for ScriptError {}

/// The folder of Slurm's own logs: `slurm_log`, relative to the working directory, or a folder of the plan's.
/// Slurm does not create it.
pub fn log_folder(slurm: &Slurm, workdir: &Path, plan: &Path) -> PathBuf {
    match &slurm.slurm_log {
        Some(folder) => workdir.join(folder),
        None => plan.join(layout::plan::SLURM_LOG),
    }
}

/// Renders the script of one array, through the user's template where there is one.
///
/// # Errors
///
/// A value or key that Slurm would not read as it is meant, a path that is no text, a template that cannot work.
pub fn render(script: &Script<'_>, template: Option<&UserTemplate<'_>>) -> Result<String, ScriptError> {
    let Some(template) = template else {
        let default = UserTemplate { path: Path::new("sbatch.sh.j2"), text: DEFAULT_TEMPLATE };
        return jinja(script, &default, None);
    };
    // sbatch refuses a script with DOS line breaks.
    let text = template.text.replace("\r\n", "\n");
    let template = UserTemplate { path: template.path, text: &text };
    let rendered = if percent::is_template(&text) {
        let known = slurm_keys(script);
        let rewritten = percent::rewrite(&template, |key| known.contains_key(key))?;
        jinja(script, &UserTemplate { text: &rewritten, ..template }, Some(percent::context(script)?))?
    } else {
        jinja(script, &template, None)?
    };
    check::check(script, &template, &rendered)?;
    Ok(rendered)
}

/// What a template of the user's own can use: the names of the context below.
const NAMES: [&str; 15] = [
    "sbatch",
    "setup",
    "worker",
    "title",
    "array",
    "offset",
    "jobs",
    "last_index",
    "experiments",
    "plan",
    "workdir",
    "log_folder",
    "cw2",
    "config",
    "slurm",
];

/// Renders a template. `original` is what one of the original's kind sees besides.
fn jinja(script: &Script<'_>, template: &UserTemplate<'_>, original: Option<Jinja>) -> Result<String, ScriptError> {
    crate::jinja::size::check(template.text).map_err(|problem| ScriptError::Template {
        template: template.path.to_owned(),
        line: None,
        problem,
    })?;
    let failed = |error| ScriptError::Jinja { template: template.path.to_owned(), error: Box::new(error) };
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_debug(true);
    // A template that loops without end must not hang the planner.
    environment.set_fuel(Some(10_000_000));
    environment.set_formatter(|out, state, value| {
        if value.is_none() {
            let detail = "what it writes was not given; write it between `{% if … %}` and `{% endif %}`";
            return Err(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, detail));
        }
        minijinja::escape_formatter(out, state, value)
    });
    environment.add_filter("quote", |text: String| {
        quote::word(&text)
            .map_err(|_| minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, "no shell can hold this value"))
    });
    if original.is_some() {
        percent::add_filters(&mut environment);
    }
    let mut syntax = minijinja::syntax::SyntaxConfig::builder();
    syntax.keep_trailing_newline(true);
    environment.set_syntax(syntax.build().map_err(failed)?);

    let array = script.array;
    let context = context! {
        title => title(script),
        sbatch => directives::lines(script)?.join("\n"),
        setup => shell::setup(script)?,
        worker => shell::worker(script)?,
        array => directives::array_spec(array),
        offset => array.record.offset,
        jobs => array.record.jobs,
        last_index => array.record.elements().saturating_sub(1),
        experiments => array.experiments.iter().map(String::as_str).collect::<Jinja>(),
        plan => text(script.plan)?,
        workdir => text(script.start())?,
        log_folder => text(&script.log_folder())?,
        cw2 => text(script.binary)?,
        config => script.config,
        slurm => Jinja::from(slurm_keys(script)),
        original,
    };
    let name = template.path.to_string_lossy();
    guarded(|| environment.render_named_str(&name, template.text, context)).map_err(failed)
}

impl Script<'_> {
    fn slurm(&self) -> &Slurm {
        &self.array.slurm
    }

    /// Where it starts: in the code snapshot, if there is one.
    fn start(&self) -> &Path {
        self.code.map_or(self.workdir, |code| code.folder)
    }

    /// See [`log_folder`].
    pub fn log_folder(&self) -> PathBuf {
        log_folder(self.slurm(), self.workdir, self.plan)
    }

    /// `job-name`, or the experiments' names.
    fn job_name(&self) -> String {
        match self.slurm().options.text("job-name") {
            Some(name) => name.to_owned(),
            None => component(&self.array.experiments.join("+")),
        }
    }
}

fn title(script: &Script<'_>) -> String {
    let record = &script.array.record;
    let last = (record.offset + record.jobs).saturating_sub(1);
    let experiments: Vec<_> = script.array.experiments.iter().map(|name| component(name)).collect();
    let pilots = match record.pilots {
        None => String::new(),
        Some(1) => ", by a pilot".to_owned(),
        Some(pilots) => format!(", by {pilots} pilots"),
    };
    format!("cw2: jobs {} to {last} of the plan{pilots}, for {}", record.offset, component(&experiments.join("+")))
}

/// The keys of the SLURM document for a template.
fn slurm_keys(script: &Script<'_>) -> BTreeMap<String, Jinja> {
    let slurm = script.slurm();
    let mut keys: BTreeMap<String, Jinja> = BTreeMap::new();
    for (key, value) in &slurm.extra {
        keys.insert(key.clone(), to_jinja(value));
        keys.insert(key.replace('-', "_"), to_jinja(value));
    }
    for key in option::KEYS {
        let value = match slurm.options.number(key) {
            Some(number) if matches!(key, "ntasks" | "cpus-per-task") => Jinja::from(number),
            _ => Jinja::from(slurm.options.text(key)),
        };
        keys.insert(key.replace('-', "_"), value);
    }
    let known = [
        ("job_name", Jinja::from(script.job_name())),
        ("num_parallel_jobs", Jinja::from(slurm.num_parallel_jobs)),
        ("pilots", Jinja::from(slurm.pilots)),
        ("venv", Jinja::from(slurm.venv.clone())),
        ("on_finish", Jinja::from(slurm.on_finish.clone())),
        ("sh_lines_after", slurm.sh_lines_after.iter().map(String::as_str).collect()),
        ("sh_lines", slurm.sh_lines.iter().map(String::as_str).collect()),
        ("scheduler", Jinja::from(slurm.scheduler.clone())),
        ("max_array_size", Jinja::from(slurm.max_array_size)),
        ("requeue", Jinja::from(slurm.requeue)),
        ("max_requeues", Jinja::from(slurm.max_requeues)),
        ("grace", Jinja::from(slurm.grace)),
        ("slurm_log", Jinja::from(slurm.slurm_log.clone())),
    ];
    keys.extend(known.map(|(key, value)| (key.to_owned(), value)));
    keys
}

/// What goes before a call on this machine, without Slurm, that is to run as a job would: `venv` and `sh_lines`, then the call `"$@"`,
/// then `sh_lines_after`. `None` where nothing does.
///
/// # Errors
/// A value that no shell can hold.
pub fn before_a_call(slurm: &Slurm, workdir: &Path) -> Result<Option<String>, ScriptError> {
    let record =
        ArrayRecord { script: String::new(), offset: 0, jobs: 1, code: None, num_parallel_jobs: None, pilots: None };
    let array = PlannedArray { record, slurm: slurm.clone(), template: None, experiments: Vec::new() };
    let nowhere = Path::new("");
    let script = Script {
        array: &array,
        plan: nowhere,
        workdir,
        code: None,
        binary: nowhere,
        own_args: &[],
        config: "",
        by_hand: true,
    };
    let setup = shell::setup(&script)?;
    if setup.is_empty() {
        return Ok(None);
    }
    let call = match after::definition(&script)? {
        Some(_) => after::around("\"$@\""),
        None => "export CW2_PREPARED=$$\nexec \"$@\"".to_owned(),
    };
    Ok(Some(format!("{setup}\n{call}\n")))
}

/// A path as text that fits on one line.
fn text(path: &Path) -> Result<String, ScriptError> {
    match path.to_str() {
        Some(text) if !text.chars().any(char::is_control) => Ok(text.to_owned()),
        _ => Err(ScriptError::Path(path.to_owned())),
    }
}

fn quote_path(path: &Path) -> Result<String, ScriptError> {
    quote::word(&text(path)?).map_err(|_| ScriptError::Path(path.to_owned()))
}

/// The exit code of a failed environment, as everywhere in cw2.
const ENVIRONMENT_FAILURE: u8 = 3;

/// Whether shellcheck would ask if the single quotes around it are meant (SC2016).
fn looks_expandable(text: &str) -> bool {
    text.contains(['$', '`'])
}

#[cfg(test)]
mod tests;
