//! From the options that a Python program declares with argparse to a configuration that calls it.
//!
//! Pure. Every option becomes a parameter that has the program's own default, so that the first run is the one it does by
//! itself; seeds and output folders are cw2's to give.

use crate::ops::failure::Failure;
use crate::run::quote;
use crate::value::Value;
use serde::Deserialize;
use std::fmt::Write as _;

/// What was found in the program.
#[derive(Debug, Deserialize)]
pub(super) struct Found {
    /// Why nothing could be read.
    pub(super) error: Option<String>,
    #[serde(default)]
    options: Vec<Declared>,
    /// Its subcommands.
    #[serde(default)]
    commands: Vec<String>,
    #[serde(default)]
    defaults: serde_json::Map<String, serde_json::Value>,
}

/// One `add_argument`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Declared {
    flags: Vec<String>,
    dest: Option<String>,
    action: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    default: Option<serde_json::Value>,
    choices: Option<Vec<serde_json::Value>>,
    nargs: Option<serde_json::Value>,
    required: Option<bool>,
    help: Option<String>,
}

impl Declared {
    /// The longest way to write it; a positional one's name.
    fn flag(&self) -> &str {
        self.flags.iter().find(|flag| flag.starts_with("--")).or(self.flags.first()).map_or("", String::as_str)
    }

    fn is_positional(&self) -> bool {
        !self.flag().starts_with('-')
    }

    /// The name that its value has in the program.
    fn name(&self) -> String {
        self.dest.clone().unwrap_or_else(|| {
            let flag = self.flag();
            if self.is_positional() { flag.to_owned() } else { flag.trim_start_matches('-').replace('-', "_") }
        })
    }

    fn action(&self) -> &str {
        self.action.as_deref().unwrap_or("store")
    }

    fn takes_list(&self) -> bool {
        match &self.nargs {
            Some(serde_json::Value::String(nargs)) => nargs == "+" || nargs == "*",
            Some(serde_json::Value::Number(_)) => true,
            _ => false,
        }
    }

    fn is_required(&self) -> bool {
        let optional = matches!(&self.nargs, Some(serde_json::Value::String(nargs)) if nargs == "?" || nargs == "*");
        self.required.unwrap_or(self.is_positional() && !optional)
    }

    /// Its help in a few words, where it has one that fits a comment.
    fn hint(&self) -> Option<String> {
        let choices = self.choices.as_ref().filter(|choices| choices.len() <= 12);
        let choices = choices.map(|choices| {
            let named: Vec<_> = choices.iter().map(|choice| plain(choice).python_str()).collect();
            format!("one of {}", named.join(", "))
        });
        let help = self.help.as_deref().map(|help| help.split_whitespace().collect::<Vec<_>>().join(" "));
        let help = help.filter(|help| !help.is_empty() && help.chars().count() <= 80 && !help.contains('%'));
        let hint: Vec<_> = help.into_iter().chain(choices).collect();
        let hint = hint.join("; ");
        (!hint.is_empty() && !hint.chars().any(char::is_control)).then_some(hint)
    }
}

fn plain(json: &serde_json::Value) -> Value {
    Value::from_json(&json.to_string()).unwrap_or(Value::Null)
}

const SEEDS: [&str; 4] = ["seed", "random_seed", "rng_seed", "manual_seed"];
const FOLDERS: [&str; 14] = [
    "out_dir",
    "outdir",
    "output_dir",
    "outputdir",
    "save_dir",
    "savedir",
    "log_dir",
    "logdir",
    "results_dir",
    "result_dir",
    "exp_dir",
    "run_dir",
    "out_folder",
    "output_folder",
];
const FILES: [&str; 6] = ["out", "output", "output_path", "output_file", "save_path", "outfile"];

/// A parameter of the configuration.
struct Param {
    name: String,
    value: Value,
    comment: Option<String>,
}

/// The configuration, and what to know of it.
pub(super) fn config(program: &str, found: &Found) -> Result<(String, Vec<String>), Failure> {
    if found.options.is_empty() {
        return Err(Failure::Usage(format!(
            "`{program}` declares no option with argparse (`add_argument`) that could be read: `{} init` without `--from` writes a \
             configuration to fill in",
            crate::ops::program::name()
        )));
    }
    if program.chars().any(char::is_control) {
        return Err(Failure::Usage(format!(
            "{program:?} cannot be written into a command: give the program another name"
        )));
    }
    let mut notes = Vec::new();
    let mut params: Vec<Param> = Vec::new();
    let mut calls: Vec<String> = Vec::new();
    let mut positional: Vec<String> = Vec::new();
    let mut seeded = false;
    for option in &found.options {
        let name = option.name();
        if matches!(option.action(), "help" | "version") {
            continue;
        }
        if !is_flag(option.flag()) {
            notes.push(format!(
                "an option is left out, as it has a name that a shell could misread: {:?}",
                option.flag()
            ));
            continue;
        }
        let default = option.default.as_ref().or_else(|| found.defaults.get(&name)).map_or(Value::Null, plain);
        if let Some(given) = given_by_cw2(option, &name, &default) {
            seeded |= given.contains("{{ seed }}");
            calls.push(given);
            continue;
        }
        let Some((value, call)) = as_parameter(option, &name, default) else {
            notes.push(format!("`{}` is left out: its action `{}` takes no value", option.flag(), option.action()));
            continue;
        };
        let unknown = value.is_null() && option.is_required();
        let value = if unknown { example_of(option) } else { value };
        if unknown {
            notes.push(format!("`{name}` is required, and has no default: write its value under `params`"));
        }
        if option.kind.as_deref() == Some("bool") && option.action() == "store" {
            notes.push(format!(
                "`{}` has `type=bool`, for which argparse takes every text but the empty one as true, `False` too; \
                 `action=argparse.BooleanOptionalAction` means what is written",
                option.flag()
            ));
        }
        let comment = match (unknown, option.hint()) {
            (true, hint) => Some(format!("required{}", hint.map(|hint| format!(": {hint}")).unwrap_or_default())),
            (false, hint) => hint,
        };
        if option.is_positional() {
            positional.push(call);
        } else {
            calls.push(call);
        }
        if !params.iter().any(|param| param.name == name) {
            params.push(Param { name, value, comment });
        }
    }
    if !found.commands.is_empty() {
        let commands = found.commands.join("`, `");
        notes.push(format!("it has the commands `{commands}`: write the one that is meant behind the program, and remove the options of others"));
    }
    calls.extend(positional);
    Ok((text(program, found, &params, &calls, seeded), notes))
}

/// What each repetition must have of its own, so that repetitions differ, and none overwrites what another wrote.
fn given_by_cw2(option: &Declared, name: &str, default: &Value) -> Option<String> {
    if option.action() != "store" || option.is_positional() || option.takes_list() {
        return None;
    }
    let flag = option.flag();
    if SEEDS.contains(&name) {
        return Some(format!("{flag} {{{{ seed }}}}"));
    }
    if FOLDERS.contains(&name) {
        return Some(format!("{flag} {{{{ rep_dir }}}}"));
    }
    let file = default.as_str().and_then(|path| path.rsplit('/').next()).filter(|file| file.contains('.'));
    let file = file
        .filter(|file| file.chars().all(|c| c.is_alphanumeric() || "._-".contains(c)) && *file != "." && *file != "..");
    match (FILES.contains(&name), file) {
        (true, Some(file)) => Some(format!("{flag} {{{{ rep_dir }}}}/{file}")),
        (true, None) => Some(format!("{flag} {{{{ rep_dir }}}}")),
        _ => None,
    }
}

/// The parameter's value, and the words of the command that hand it on.
fn as_parameter(option: &Declared, name: &str, default: Value) -> Option<(Value, String)> {
    let of = if is_name(name) {
        format!("params.{name}")
    } else {
        format!("params[{}]", Value::String(name.to_owned()).to_json())
    };
    let flag = if option.is_positional() { String::new() } else { format!("{} ", option.flag()) };
    let optional = default.is_null() && !option.is_required();
    let when = |condition: &str, words: &str| format!("{{% if {condition} %}}{words}{{% endif %}}");
    Some(match option.action() {
        "store_true" => (switch(default, false), when(&of, option.flag())),
        "store_false" => (switch(default, true), when(&format!("not {of}"), option.flag())),
        "BooleanOptionalAction" => {
            let no = format!("--no-{}", option.flag().trim_start_matches('-'));
            let words = format!("{{% if {of} %}}{}{{% else %}}{no}{{% endif %}}", option.flag());
            let words = if default.is_null() { when(&format!("{of} is not none"), &words) } else { words };
            (default, words)
        }
        "append" | "extend" => {
            let each =
                if option.takes_list() { "{% for item in value %} {{ item }}{% endfor %}" } else { "{{ value }}" };
            let value = if default.is_null() { Value::List(Vec::new()) } else { default };
            (value, format!("{{% for value in {of} %}}{flag}{each} {{% endfor %}}"))
        }
        "store" if option.kind.as_deref() == Some("bool") => {
            let words = format!("{flag}{{% if {of} %}}True{{% else %}}''{{% endif %}}");
            (default.clone(), if optional { when(&format!("{of} is not none"), &words) } else { words })
        }
        "store" if option.takes_list() => {
            let list =
                if matches!(default, Value::Null | Value::List(_)) { default } else { Value::List(vec![default]) };
            let words = format!("{}{{% for value in {of} %}} {{{{ value }}}}{{% endfor %}}", flag.trim_end());
            (list, if optional { when(&format!("{of} is not none"), &words) } else { words })
        }
        "store" => {
            let words = format!("{flag}{{{{ {of} }}}}");
            (default, if optional { when(&format!("{of} is not none"), &words) } else { words })
        }
        _ => return None,
    })
}

fn switch(default: Value, otherwise: bool) -> Value {
    if default.is_null() { Value::Bool(otherwise) } else { default }
}

/// Whether an option can stand in a shell's line as it is.
fn is_flag(flag: &str) -> bool {
    let bare = flag.trim_start_matches('-');
    bare.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        && bare.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':'))
}

/// Whether a template can name a parameter so.
fn is_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// A value for what must have one, and says none.
fn example_of(option: &Declared) -> Value {
    let one = match option.choices.as_deref() {
        Some([first, ..]) => plain(first),
        _ => match option.kind.as_deref() {
            Some("int") => Value::Int(1),
            Some("float") => Value::Float(0.1),
            _ => Value::String("CHANGE-ME".to_owned()),
        },
    };
    if option.takes_list() { Value::List(vec![one]) } else { one }
}

/// A value on one line.
fn inline(value: &Value) -> String {
    match value {
        Value::List(_) | Value::Map(_) => value.to_json(),
        scalar => scalar.to_yaml().trim_end().to_owned(),
    }
}

/// What is worth varying: a learning rate, or what there is a choice of.
fn sweep(found: &Found, params: &[Param]) -> Option<String> {
    let rate = params.iter().find(|param| matches!(param.name.as_str(), "lr" | "learning_rate" | "alpha"));
    if let Some(Param { name, value: Value::Float(rate), .. }) =
        rate.filter(|param| matches!(param.value, Value::Float(_)))
    {
        let smaller = inline(&Value::Float(tenth(*rate)));
        return Some(format!("  {name}: [{smaller}, {}]\n", inline(&Value::Float(*rate))));
    }
    let choice = params.iter().find_map(|param| {
        let option = found.options.iter().find(|option| option.name() == param.name)?;
        let choices = option.choices.as_ref().filter(|choices| choices.len() > 1 && !option.takes_list())?;
        Some((param, choices))
    });
    let (param, choices) = choice?;
    let values: Vec<_> = choices.iter().take(4).map(|choice| plain(choice).to_json()).collect();
    Some(format!("  {}: [{}]\n", inline(&Value::String(param.name.clone())), values.join(", ")))
}

/// A tenth, with as few digits: dividing makes 2.9999999999999997e-05 of 3e-4.
fn tenth(value: f64) -> f64 {
    let text = format!("{value:e}");
    let tenth = text.split_once('e').and_then(|(digits, power)| {
        let power: i32 = power.parse().ok()?;
        format!("{digits}e{}", power - 1).parse().ok()
    });
    tenth.unwrap_or(value)
}

fn text(program: &str, found: &Found, params: &[Param], calls: &[String], seeded: bool) -> String {
    let stem = program.rsplit('/').next().unwrap_or_default().trim_end_matches(".py");
    let name =
        if is_name(stem) && !["DEFAULT", "SLURM", "PLANS"].iter().any(|taken| stem.to_uppercase().starts_with(taken)) {
            stem
        } else {
            "sweep"
        };
    let word = quote::word(program).unwrap_or_else(|_| program.to_owned());
    // Braces in a path would be a template.
    let word = if word.contains("{{") || word.contains("{%") {
        format!("{{{{ {} }}}}", Value::String(program.to_owned()).to_json())
    } else {
        word
    };
    let mut out = format!(
        "# yaml-language-server: $schema={}\n\
         # What a job asks of the cluster. `cw2 run` needs none of it.\n\
         name: SLURM\n\
         time: 60 # minutes\n\
         cpus-per-task: 1\n\
         # partition: gpu\n\
         # sbatch_args: {{gres: 'gpu:1'}}\n\
         # venv: ~/venvs/mine # activated before the work starts\n\
         ---\n\
         name: {name}\n\
         path: results # where they go, relative to where cw2 is called\n",
        super::SCHEMA
    );
    // Writing to a String cannot fail.
    let _ = if seeded {
        writeln!(out, "repetitions: 3 # each with a seed of its own")
    } else {
        writeln!(out, "repetitions: 1 # more are of use once the program takes a seed: --seed {{{{ seed }}}}")
    };
    let _ = writeln!(
        out,
        "# {{{{ seed }}}} and {{{{ rep_dir }}}}, its own folder, are each repetition's. Every value is quoted for the shell."
    );
    let _ = writeln!(out, "command: >-\n  python3 {word}");
    for call in calls {
        let _ = writeln!(out, "  {call}");
    }
    out.push_str("# What `cw2 results` shows: lines of JSON that the program appends to the file $CW2_METRICS, or what the key `metrics` names.\n");
    if !params.is_empty() {
        out.push_str("# The program's own defaults.\nparams:\n");
        for Param { name, value, comment } in params {
            let comment = comment.as_ref().map(|comment| format!(" # {comment}")).unwrap_or_default();
            let _ = writeln!(out, "  {}: {}{comment}", inline(&Value::String(name.clone())), inline(value));
        }
        match sweep(found, params) {
            Some(axis) => {
                let _ = write!(out, "# What to vary: every combination of the values is a run.\ngrid:\n{axis}");
            }
            None => out.push_str(
                "# What to vary: every combination of the values is a run.\n# grid:\n#   name: [first, second]\n",
            ),
        }
    }
    out
}
