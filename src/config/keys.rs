//! The table of all keys: the one place that names them.
//!
//! Owns names, kinds, defaults and one line of documentation each; the check for misspelt keys and the reference in the book
//! are made from it. What a key's value must be in detail is [`super::typed`]'s and [`super::slurm`]'s matter.

use std::fmt::Write as _;

/// Where a key may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In an experiment or DEFAULT.
    Experiment,
    /// In a SLURM document or an experiment's `slurm`.
    Slurm,
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name; for the sweeps, the prefix.
    pub name: &'static str,
    /// Where it may stand.
    pub scope: Scope,
    /// What its value must be, in words.
    pub kind: &'static str,
    /// What holds without it, in words.
    pub default: &'static str,
    /// What it means, in one line.
    pub doc: &'static str,
    /// Whether the original cw2 has it.
    pub original: bool,
}

const fn exp(name: &'static str, kind: &'static str, default: &'static str, doc: &'static str) -> Key {
    Key { name, scope: Scope::Experiment, kind, default, doc, original: false }
}

const fn slurm(name: &'static str, kind: &'static str, default: &'static str, doc: &'static str) -> Key {
    Key { name, scope: Scope::Slurm, kind, default, doc, original: false }
}

impl Key {
    const fn of_original(mut self) -> Key {
        self.original = true;
        self
    }
}

/// Every key, in the order of the reference.
pub const KEYS: &[Key] = &[
    exp("name", "text", "required", "the experiment's unique name").of_original(),
    exp("path", "text", "required", "where results go, relative to the working directory").of_original(),
    exp("repetitions", "whole number ≥ 1", "required", "how often each run is repeated").of_original(),
    exp(
        "command",
        "text, list or mapping",
        "required",
        "what to run: a text goes through `/bin/sh -c`, a list runs without a shell, a mapping has `initialize`, `run` and `finalize`",
    ),
    exp("iterations", "whole number ≥ 1", "none", "passed to iterative experiments").of_original(),
    exp("reps_per_job", "whole number ≥ 1", "1", "repetitions that one job bundles").of_original(),
    exp("reps_in_parallel", "whole number ≥ 1", "1", "repetitions of a job that run at once").of_original(),
    exp("params", "mapping", "empty", "the parameters; they reach the experiment unchanged").of_original(),
    exp(
        "grid",
        "mapping with lists at its leaves",
        "none",
        "every combination of the values; any key that starts with `grid`",
    )
    .of_original(),
    exp(
        "list",
        "mapping with lists at its leaves",
        "none",
        "the first values together, then the second ones, …; any key that starts with `list`",
    )
    .of_original(),
    exp(
        "ablative",
        "mapping with lists at its leaves",
        "none",
        "each value alone; any key that starts with `ablative`",
    )
    .of_original(),
    exp(
        "random",
        "mapping with `samples`, perhaps `seed`, and distributions at its leaves",
        "none",
        "points drawn from `uniform`, `log_uniform`, `int_uniform`, `normal`, `log_normal` or `choice`; any key that starts with `random`",
    ),
    exp(
        "cases",
        "list of mappings with `params` and sweeps",
        "none",
        "all combinations of the first case, all of the second, …; any key that starts with `cases`",
    ),
    exp("ablative_base", "true or false", "false", "also run the unchanged parameters before the ablations"),
    exp(
        "exclude",
        "mapping, expression, or list of these",
        "none",
        "runs whose parameters match one of these are dropped, as `{opt: sgd}` or `lr > 0.1 and width >= 64`",
    ),
    exp(
        "derive",
        "mapping with templates at its leaves",
        "empty",
        "parameters that are computed from the others, as in `hidden: '{{ params.width * 2 }}'`; no part of names",
    ),
    exp(
        "defaults",
        "mapping of parameters",
        "empty",
        "parameters that were added later, at the values the program had anyway: runs that have these keep their names and stay finished",
    ),
    exp(
        "seed",
        "`rep`",
        "a seed of its own for each repetition",
        "`rep`: the same seeds in every run, by the number of the repetition; anything else is a key of your own",
    ),
    exp("import_path", "text", "this file", "the file of the parent experiment, relative to the file it is written in")
        .of_original(),
    exp("import_exp", "text", "DEFAULT", "the parent experiment's name").of_original(),
    exp("env", "mapping of texts", "empty", "environment variables of every repetition (templates)"),
    exp("workdir", "text", "the working directory", "where every repetition runs (a template)"),
    exp("launcher", "text or list", "none", "what to put before the command, such as `srun --exact` (templates)"),
    exp(
        "flag_style",
        "mapping",
        "`{bools: value, lists: values, dashes: false, nested: ., equals: false}`",
        "how the filter `flags` writes parameters: `bools`: `value`, `lower`, `switch` or `pair`; `lists`: `values`, `repeat` or `comma`",
    ),
    exp("timeout", "duration > 0", "none", "hard limit of a repetition"),
    exp(
        "retries",
        "whole number, or mapping with `count` and `delay`",
        "0",
        "automatic retries of a crashed repetition; one more death of its worker (at least 3) makes it a crash",
    ),
    exp("retry_delay", "duration", "0", "how long to wait before a retry"),
    exp("rep_time", "duration > 0", "none", "how long a repetition is expected to take"),
    exp("cpus_per_rep", "whole number ≥ 1", "an equal share", "CPUs of each slot; also accepted in SLURM"),
    exp(
        "gpus_per_rep",
        "whole number, or a fraction below 1",
        "all of the job's",
        "GPUs of each slot; also accepted in SLURM",
    ),
    exp("oversubscribe", "true or false", "false", "allow more slots than CPUs"),
    exp("checkpoint_signal", "signal name", "SIGTERM", "what tells a repetition to save its state when time runs out"),
    exp(
        "warm_start",
        "true or false",
        "true",
        "start what runs in Python as a copy of a process that has imported all it needs",
    ),
    exp(
        "warm_imports",
        "text or list of texts",
        "none",
        "modules that are imported once a job for a `command` that is a Python script, given as a list",
    ),
    exp(
        "metrics",
        "mapping, or list of mappings",
        "what is appended to `CW2_METRICS`",
        "files that hold its metrics, below its directory: `{file: metrics.csv, step: epoch}`, `{file: '*.jsonl'}`, or `{regex: 'loss (?P<loss>\\S+)', in: out.log}`",
    ),
    exp(
        "objective",
        "text",
        "none",
        "what is to be reached, as in `max test_acc` or `min loss`; what `results` sorts by",
    ),
    exp("slurm", "mapping of keys of SLURM", "empty", "merged over the SLURM document for this experiment"),
    slurm(
        "name",
        "text",
        "required",
        "`SLURM`, or `SLURM_<host>` for the machines whose name holds `<host>`, merged over `SLURM`",
    )
    .of_original(),
    slurm(
        "import_path",
        "text",
        "none",
        "a file whose SLURM document this one is merged over, relative to the file it is written in",
    ),
    slurm("partition", "text", "the cluster's", "`#SBATCH --partition`").of_original(),
    slurm("job-name", "text", "the experiment's name", "`#SBATCH --job-name`").of_original(),
    slurm("account", "text", "the cluster's", "`#SBATCH --account`").of_original(),
    slurm("ntasks", "whole number ≥ 1", "the cluster's", "`#SBATCH --ntasks`").of_original(),
    slurm("cpus-per-task", "whole number ≥ 1", "the cluster's", "`#SBATCH --cpus-per-task`").of_original(),
    slurm("mem-per-cpu", "megabytes, or text such as `4G`", "the cluster's", "`#SBATCH --mem-per-cpu`").of_original(),
    slurm("time", "minutes, or one of Slurm's forms such as `1-12:00:00`", "the cluster's", "`#SBATCH --time`")
        .of_original(),
    slurm("num_parallel_jobs", "whole number ≥ 1", "no limit", "how many jobs may run at once: the `%N` of the array")
        .of_original(),
    slurm(
        "pilots",
        "whole number ≥ 1",
        "one element for each job",
        "so many elements, each of which takes job after job until none is left or its time runs out",
    ),
    slurm(
        "sbatch_args",
        "mapping of options of sbatch",
        "empty",
        "further `#SBATCH --key=value` lines; null or true: a bare flag; false: nothing; a list: one line each",
    )
    .of_original(),
    slurm(
        "sh_lines",
        "text or list of texts",
        "none",
        "lines of bash before the worker starts; one that fails ends the job",
    )
    .of_original(),
    slurm(
        "sh_lines_after",
        "text or list of texts",
        "none",
        "lines of bash after the worker has ended, however it did; `CW2_EXIT_CODE` is its exit code, which stays the job's",
    ),
    slurm(
        "on_finish",
        "text or list of texts",
        "none",
        "a command (through `/bin/sh -c`) that is called once when all of the plan has ended, by a job that `cw2 submit` adds, and by `cw2 run`",
    ),
    slurm("venv", "text", "none", "the virtual or conda environment to activate").of_original(),
    slurm("slurm_log", "text", "the plan's folder", "the folder of Slurm's own logs").of_original(),
    slurm("path_to_template", "text", "the built-in template", "your own sbatch template").of_original(),
    slurm("scheduler", "text", "slots", "the original's in-job schedulers are accepted; all mean the slots")
        .of_original(),
    slurm("cpus_per_rep", "whole number ≥ 1", "an equal share", "CPUs of each slot; an experiment's own wins")
        .of_original(),
    slurm(
        "gpus_per_rep",
        "whole number, or a fraction below 1",
        "all of the job's",
        "GPUs of each slot; an experiment's own wins",
    )
    .of_original(),
    slurm("max_array_size", "whole number ≥ 1", "the cluster's", "the cluster's `MaxArraySize`"),
    slurm("requeue", "true or false", "true with `max_requeues`", "requeue a job that ran out of time"),
    slurm("max_requeues", "whole number", "10 with `requeue: true`, else 0", "how often at most"),
    slurm(
        "grace",
        "duration",
        "120 s, at most half of `time`, where jobs requeue themselves",
        "how long before its limit a job is warned",
    ),
    slurm("experiment_copy_src", "text", "none", "code snapshot: from where").of_original(),
    slurm("experiment_copy_dst", "text", "none", "code snapshot: to where").of_original(),
    slurm("experiment_copy_auto_dst", "text", "none", "code snapshot: to a fresh dated folder below this one")
        .of_original(),
];

/// The prefixes of sweep keys.
pub(super) const SWEEPS: [&str; 5] = ["grid", "list", "ablative", "random", "cases"];

/// Keys that mean something only with a certain value. Others of these names are the user's own, so that a name that is nearly
/// one of these means nothing either.
const BY_VALUE: [&str; 5] = ["random", "cases", "derive", "defaults", "seed"];

/// What a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// One of the table.
    Key,
    /// A sweep.
    Sweep,
    /// One the original writes for itself.
    Internal,
    /// Probably meant to be this one.
    NearMiss(&'static str),
    /// The user's own.
    Foreign,
}

/// What a key of a scope is.
pub(super) fn classify(key: &str, scope: Scope) -> Known {
    let names = || KEYS.iter().filter(|known| known.scope == scope).map(|known| known.name);
    let sweep = |name: &str| scope == Scope::Experiment && SWEEPS.contains(&name);
    if names().any(|name| name == key && !sweep(name)) {
        return Known::Key;
    }
    if scope == Scope::Experiment && SWEEPS.iter().any(|prefix| key.starts_with(prefix)) {
        return Known::Sweep;
    }
    if key.starts_with('_') || (scope == Scope::Experiment && key == "log_path") {
        return Known::Internal;
    }
    near_miss(key, names().filter(|name| !by_value(name))).map_or(Known::Foreign, Known::NearMiss)
}

/// Whether a key means something only with a certain value: then it is this one, in keys that may have more behind it.
pub(super) fn by_value(key: &str) -> bool {
    BY_VALUE.contains(&key)
}

/// The key with a meaning by its value that a key is, or begins with where it is a sweep.
pub(super) fn of_value(key: &str) -> Option<&'static str> {
    BY_VALUE.into_iter().find(|name| *name == key || (SWEEPS.contains(name) && key.starts_with(name)))
}

/// The sweep, or the key with a meaning by its value, that a key was probably meant to be or to begin with.
pub(super) fn nearly(key: &str) -> Option<&'static str> {
    let names = || SWEEPS.into_iter().chain(BY_VALUE);
    let word = key.split(|c: char| c == '_' || c == '-' || c.is_ascii_digit()).next().unwrap_or(key);
    closest(key, names(), true).or_else(|| closest(word, SWEEPS, true))
}

/// Whether an experiment cannot do without a key.
pub(super) fn is_required(key: &str) -> bool {
    KEYS.iter().any(|known| known.scope == Scope::Experiment && known.name == key && known.default == "required")
}

/// The name that a misspelt one was probably meant to be, where only these names are allowed.
pub(crate) fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    closest(word, names, false)
}

/// The known key that a key was probably meant to be, though keys of the user's own are allowed too.
fn near_miss<'a>(key: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    closest(key, names, true)
}

/// `wary`: in a short word another letter makes another word (`game`, `name`), so only swapped, missing and doubled letters count.
fn closest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>, wary: bool) -> Option<&'a str> {
    // A distance between longer words costs time and means nothing.
    if word.len() > 64 {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
    let word = plain(word);
    let distance = |name: &str| {
        let name = plain(name);
        let most = match name.chars().count() {
            0..=4 if wary && word.len() == name.len() && !same_letters(&word, &name) => 0,
            0..=1 => 0,
            2..=5 => 1,
            _ => 2,
        };
        Some(strsim::damerau_levenshtein(&word, &name)).filter(|distance| *distance <= most)
    };
    let near = names.into_iter().filter_map(|name| Some((distance(name)?, name)));
    near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

fn same_letters(a: &str, b: &str) -> bool {
    let sorted = |text: &str| {
        let mut letters: Vec<_> = text.chars().collect();
        letters.sort_unstable();
        letters
    };
    sorted(a) == sorted(b)
}

/// The reference of all keys: two Markdown tables.
pub fn reference_markdown() -> String {
    let mut out = String::new();
    for (scope, title) in [(Scope::Experiment, "Keys of an experiment"), (Scope::Slurm, "Keys of SLURM")] {
        if scope == Scope::Slurm {
            out.push('\n');
        }
        // Writing to a String cannot fail.
        let _ = write!(out, "**{title}**\n\n| key | value | default | meaning |\n|---|---|---|---|\n");
        for key in KEYS.iter().filter(|key| key.scope == scope) {
            let new = if key.original { "" } else { " (new)" };
            let sweep = if scope == Scope::Experiment && SWEEPS.contains(&key.name) { "…" } else { "" };
            let _ = writeln!(out, "| `{}{sweep}`{new} | {} | {} | {} |", key.name, key.kind, key.default, key.doc);
        }
    }
    out.push_str("\nKeys marked (new) are not in the original cw2.\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_and_strangers() {
        let experiment = |key: &str| classify(key, Scope::Experiment);
        for (key, meant) in [
            ("repetition", "repetitions"),
            ("reps-per-job", "reps_per_job"),
            ("Params", "params"),
            ("parms", "params"),
            ("gird", "grid"),
            ("lsit", "list"),
            ("ablatve", "ablative"),
            ("pth", "path"),
            ("time_out", "timeout"),
            ("import_paht", "import_path"),
        ] {
            assert_eq!(experiment(key), Known::NearMiss(meant), "{key}");
        }
        for key in ["game", "seeds", "speed", "default", "end", "lr", "device", "partition", "wandb", "dist", "", "é"]
        {
            assert_eq!(experiment(key), Known::Foreign, "{key}");
        }
        for key in ["grid", "grid_net", "gridx", "list--2", "ablative", "listen"] {
            assert_eq!(experiment(key), Known::Sweep, "{key}");
        }
        assert_eq!(experiment("ablative_base"), Known::Key);
        assert_eq!(experiment("_basic_path"), Known::Internal);
        assert_eq!(experiment("log_path"), Known::Internal);
        let slurm = |key: &str| classify(key, Scope::Slurm);
        assert_eq!(slurm("cpus_per_task"), Known::NearMiss("cpus-per-task"));
        assert_eq!(slurm("grid"), Known::Foreign);
        assert_eq!(slurm("time"), Known::Key);
    }

    #[test]
    fn no_key_stands_twice() {
        for (index, key) in KEYS.iter().enumerate() {
            let twice = KEYS.iter().skip(index + 1).any(|other| other.name == key.name && other.scope == key.scope);
            assert!(!twice, "{}", key.name);
        }
    }
}
