//! The SLURM document, merged for one experiment → [`Slurm`].
//!
//! Owns what may be written into a batch script: nothing that starts a new line or that Slurm could take for another option.

use super::error::Diagnostic;
use super::fields;
use super::keys::{self, Known, Scope};
use super::node::{At, Node, NodeKind, brief};
use super::option::{self, Options, SbatchArg};
use super::reader::Reader;
use super::{Slurm, Template};
use crate::value::Value;
use std::path::{Path, PathBuf};

/// Reads a merged SLURM mapping. `readable` tells whether a file is there (for the template).
pub(super) fn slurm(reader: &mut Reader<'_>, strict: bool, readable: &dyn Fn(&Path) -> bool) -> Slurm {
    let foreign = reader.foreign(Scope::Slurm, strict);
    if let Some(node) = reader.node("import_path") {
        let message = "`import_path` has no effect in an experiment's `slurm`";
        let help = "write it into a SLURM document, or import an experiment";
        reader.report.push(Diagnostic::error(message).at(node.at).help(help));
    }
    if reader.node("path_to_template").is_none() {
        unused(reader, strict);
    }
    Slurm {
        options: options(reader),
        num_parallel_jobs: count(reader, "num_parallel_jobs"),
        pilots: count(reader, "pilots"),
        sh_lines: sh_lines(reader),
        sh_lines_after: lines(reader, "sh_lines_after"),
        on_finish: Some(lines(reader, "on_finish").join("\n")).filter(|text| !text.trim().is_empty()),
        venv: line(reader, "venv"),
        slurm_log: line(reader, "slurm_log"),
        path_to_template: template(reader, readable),
        scheduler: line(reader, "scheduler"),
        max_array_size: count(reader, "max_array_size"),
        requeue: reader.read("requeue", fields::switch),
        max_requeues: reader.read("max_requeues", fields::count::<0>),
        grace: reader.read("grace", fields::seconds),
        experiment_copy_src: line(reader, "experiment_copy_src"),
        experiment_copy_dst: line(reader, "experiment_copy_dst"),
        experiment_copy_auto_dst: line(reader, "experiment_copy_auto_dst"),
        extra: foreign.into_iter().map(|(key, node)| (key.to_owned(), node.to_value())).collect(),
    }
}

/// Warns of the keys that only a template of the user's own could use, where there is none: the job would go without them.
fn unused(reader: &mut Reader<'_>, strict: bool) {
    for (key, at, _) in reader.entries().filter(|(key, ..)| keys::classify(key, Scope::Slurm) == Known::Foreign) {
        let key = brief(key);
        let message = format!("`{key}` is not a key of SLURM: nothing uses it");
        let diagnostic = if strict { Diagnostic::error(message) } else { Diagnostic::warning(message) };
        let help = match keys::classify(&key, Scope::Experiment) {
            Known::Key => format!("`{key}` is a key of experiments: write it in one, or in `DEFAULT` for all"),
            _ => format!("an option of sbatch belongs in `sbatch_args`, as in `sbatch_args: {{{key}: …}}`"),
        };
        reader.report.push(diagnostic.at(at).help(help));
    }
}

/// The one map: the keys that stand for options, and `sbatch_args`, which wins over them.
fn options(reader: &mut Reader<'_>) -> Options {
    let mut options = Options::default();
    for key in option::KEYS {
        let value = match key {
            "ntasks" | "cpus-per-task" => count(reader, key).map(|number| number.to_string()),
            "mem-per-cpu" => reader.read(key, fields::memory),
            "time" => reader.read(key, fields::time_limit),
            _ => option_text(reader, key),
        };
        if let Some(value) = value {
            options.set_key(key, value);
        }
    }
    if let Some(node) = reader.node("sbatch_args") {
        sbatch_args(reader, node, &mut options);
    }
    options
}

fn count(reader: &mut Reader<'_>, key: &str) -> Option<u32> {
    reader.read(key, fields::count::<1>)
}

/// A text without a line break.
fn line(reader: &mut Reader<'_>, key: &str) -> Option<String> {
    let text = reader.text(key)?;
    (one_line(reader, key, &text) && !empty(reader, key, &text)).then_some(text.text)
}

/// A text that becomes an option's value.
fn option_text(reader: &mut Reader<'_>, key: &str) -> Option<String> {
    let text = reader.text(key)?;
    if !one_line(reader, key, &text) {
        return None;
    }
    if text.text.trim_start().starts_with('-') {
        let message = format!("`{key}` is `{}`, which Slurm could take for another option", brief(&text.text));
        let help = "a value may not start with `-`; other options belong in `sbatch_args`";
        reader.report.push(Diagnostic::error(message).at(text.at).help(help));
        return None;
    }
    (!empty(reader, key, &text)).then_some(text.text)
}

/// Whether a text says nothing, which is told: it was meant to, or stands for what was forgotten.
fn empty(reader: &mut Reader<'_>, key: &str, text: &Template) -> bool {
    let empty = text.text.trim().is_empty();
    if empty {
        let message = format!("`{}` is empty, and is taken as not given", brief(key));
        reader
            .report
            .push(Diagnostic::warning(message).at(text.at).help("write a value, `null`, or leave out the key"));
    }
    empty
}

fn one_line(reader: &mut Reader<'_>, key: &str, text: &Template) -> bool {
    let Some(c) = text.text.chars().find(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) else {
        return true;
    };
    let what = if matches!(c, '\n' | '\r') {
        "a line break".to_owned()
    } else {
        format!("the control character U+{:04X}", u32::from(c))
    };
    let message = format!("`{}` holds {what}, which would break the batch script", brief(key));
    reader
        .report
        .push(Diagnostic::error(message).at(text.at).help("write it on one line; shell lines belong in `sh_lines`"));
    false
}

/// Lines of a shell script, each written by itself or several in a text.
fn lines(reader: &mut Reader<'_>, key: &str) -> Vec<String> {
    let texts = reader.node(key).and_then(|node| reader.texts_of(node, key)).unwrap_or_default();
    texts.iter().flat_map(|text| text.text.lines().map(str::to_owned)).collect()
}

fn sh_lines(reader: &mut Reader<'_>) -> Vec<String> {
    let Some(node) = reader.node("sh_lines") else { return Vec::new() };
    let texts = reader.texts_of(node, "sh_lines").unwrap_or_default();
    // Up to the first command Slurm reads them in a script, against cw2's own; it still knows those of LSF and PBS.
    let read_by_slurm = |line: &str| ["#SBATCH", "#BSUB", "#PBS"].iter().any(|word| line.starts_with(word));
    let lines = texts.iter().flat_map(|text| text.text.lines().map(move |line| (text.at, line.trim())));
    let mut comments = lines.take_while(|(_, line)| line.is_empty() || line.starts_with('#'));
    if let Some((at, line)) = comments.find(|(_, line)| read_by_slurm(line)) {
        let message = format!("`sh_lines` holds an option for Slurm, not a line for the shell: `{}`", brief(line));
        let help = "give it a key of its own, or put it into `sbatch_args` as `option: value`";
        reader.report.push(Diagnostic::error(message).at(at).help(help));
    }
    texts.iter().flat_map(|text| text.text.lines().map(str::to_owned)).collect()
}

fn sbatch_args(reader: &mut Reader<'_>, node: &Node, options: &mut Options) {
    let NodeKind::Map(map) = &node.kind else {
        let message = format!("`sbatch_args` must be a mapping, found {}", node.describe());
        let diagnostic = Diagnostic::error(message).at(node.at);
        reader.report.push(diagnostic.help("write `option: value`, one a line, as in `gres: gpu:4`"));
        return;
    };
    for (key, (at, value)) in map {
        if !check_option(reader, key, *at) {
            continue;
        }
        let what = format!("sbatch_args.{key}");
        let arg = match &value.kind {
            NodeKind::Scalar(Value::Null | Value::Bool(true)) => SbatchArg::Flag,
            NodeKind::Scalar(Value::Bool(false)) => continue,
            NodeKind::List(items) if items.is_empty() => continue,
            _ => match reader.texts_of(value, &what) {
                Some(texts) if texts.iter().all(|text| one_line(reader, &what, text)) => {
                    SbatchArg::Values(texts.into_iter().map(|text| text.text).collect())
                }
                _ => continue,
            },
        };
        options.set_arg(key, arg);
    }
}

fn check_option(reader: &mut Reader<'_>, key: &str, at: At) -> bool {
    let fits = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !fits {
        let help = match key.trim_start_matches('-') {
            bare if bare.len() < key.len() && !bare.is_empty() => {
                format!("write it without the dashes: `{}`", brief(bare))
            }
            _ => "use letters, digits and `-`, as in `mail-type`".to_owned(),
        };
        let message = format!("`{}` cannot be an option of sbatch", brief(key));
        reader.report.push(Diagnostic::error(message).at(at).help(help));
    }
    fits
}

/// The user's template: beside the file that names it, else from the working directory, as the original has it.
fn template(reader: &mut Reader<'_>, readable: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    let text = reader.text("path_to_template")?;
    let path = PathBuf::from(&text.text);
    let folder = reader.report.files.get(text.at.file as usize).and_then(|file| file.path.parent());
    let beside = folder.map(|folder| folder.join(&path));
    let found = beside.filter(|path| readable(path)).or_else(|| Some(path).filter(|path| readable(path)));
    if found.is_none() {
        let message = format!("the template `{}` cannot be read", brief(&text.text));
        let help = "the path is absolute, or relative to this file or the working directory";
        reader.report.push(Diagnostic::error(message).at(text.at).help(help));
    }
    found
}
