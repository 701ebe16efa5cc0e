//! `command` and `launcher`: what a repetition runs.
//!
//! Owns their three shapes. The texts are templates, rendered later for each repetition.

use super::error::Diagnostic;
use super::node::{At, Node, NodeKind};
use super::reader::{Reader, unknown_key};
use super::{Argv, Command, Experiment, Template};

const PARTS: [&str; 3] = ["initialize", "run", "finalize"];

/// The value of `command`.
pub(super) fn command(reader: &mut Reader<'_>, node: &Node) -> Option<Command> {
    let NodeKind::Map(map) = &node.kind else {
        return Some(Command { initialize: None, run: argv(reader, node, "command")?, finalize: None });
    };
    let mut fine = true;
    for (key, (at, _)) in map {
        if !PARTS.contains(&key.as_str()) {
            reader.report.push(unknown_key(key, *at, "`command`", &PARTS));
            fine = false;
        }
    }
    let mut part = |name: &str| match node.get(name).filter(|part| !part.is_null()) {
        Some(part) => {
            let argv = argv(reader, part, &format!("command.{name}"));
            fine &= argv.is_some();
            argv
        }
        None => None,
    };
    let [initialize, run, finalize] = PARTS.map(&mut part);
    if run.is_none() && fine {
        let diagnostic = Diagnostic::error("`command` has no `run`").at(node.at);
        reader.report.push(diagnostic.help("write what runs a repetition under `run`"));
    }
    Some(Command { initialize, run: run.filter(|_| fine)?, finalize })
}

/// A text through the shell, or a list without one.
fn argv(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<Argv> {
    let empty = |reader: &mut Reader<'_>| {
        let diagnostic = Diagnostic::error(format!("`{what}` is empty")).at(node.at);
        reader.report.push(diagnostic.help("write the program to run"));
    };
    match &node.kind {
        NodeKind::List(items) if items.is_empty() => {
            empty(reader);
            None
        }
        NodeKind::List(items) => {
            let words = items.iter().map(|item| reader.text_of(item, what)).collect::<Option<Vec<_>>>()?;
            if words.first().is_some_and(|program| program.text.trim().is_empty()) {
                empty(reader);
                return None;
            }
            Some(Argv::Exec(words))
        }
        NodeKind::Map(_) => {
            let message = format!("`{what}` must be text or a list, found a mapping");
            reader.report.push(Diagnostic::error(message).at(node.at).help("write one shell line, or a list of words"));
            None
        }
        NodeKind::Scalar(_) => {
            let text = reader.text_of(node, what)?;
            if text.text.trim().is_empty() {
                empty(reader);
                return None;
            }
            Some(Argv::Shell(text))
        }
    }
}

/// The value of `warm_imports`: modules' names.
pub(super) fn warm_imports(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<Template>> {
    let names = reader.texts_of(node, "warm_imports")?;
    let is_name = |name: &str| {
        name.split('.').all(|part| {
            !part.starts_with(|c: char| c.is_ascii_digit())
                && !part.is_empty()
                && part.chars().all(|c| c.is_alphanumeric() || c == '_')
        })
    };
    let wrong: Vec<_> = names.iter().filter(|name| !is_name(&name.text)).collect();
    for name in &wrong {
        let message = format!("`{}` is not the name of a Python module", super::node::brief(&name.text));
        reader
            .report
            .push(Diagnostic::error(message).at(name.at).help("write names as after `import`, such as `torch.optim`"));
    }
    wrong.is_empty().then_some(names)
}

/// Whether what is to start warm can: a Python script, called without a shell.
pub(super) fn check_warm(reader: &mut Reader<'_>, experiment: &Experiment) {
    let (Some(first), Some(command)) = (experiment.warm_imports.first(), &experiment.command) else { return };
    if !matches!(command.run, Argv::Exec(_)) {
        let diagnostic = Diagnostic::error("`warm_imports` is for a `command` that is a list").at(first.at);
        reader.report.push(diagnostic.help("write it so: `command: [python, train.py, …]`"));
    }
}

/// The value of `launcher`: a list of words, or one text that is split like a shell line.
pub(super) fn launcher(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<Template>> {
    if node.as_list().is_some() {
        return reader.texts_of(node, "launcher");
    }
    let text = reader.text_of(node, "launcher")?;
    let Some(words) = split_words(&text.text) else {
        let diagnostic = Diagnostic::error("`launcher` has an unclosed quote").at(text.at);
        reader.report.push(diagnostic.help("close the quote, or write a list of words"));
        return None;
    };
    Some(words.into_iter().map(|word| Template { text: word, at: text.at }).collect())
}

/// Splits like a shell, but keeps `{{ … }}` and `{% … %}` whole.
fn split_words(text: &str) -> Option<Vec<String>> {
    // Private characters hold the places of the expressions while the line is split.
    const OPEN: char = '\u{f0000}';
    const CLOSE: char = '\u{f0001}';
    let mut plain = String::new();
    let mut expressions: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        let (before, expression) = rest.split_at(start);
        let close = if expression.starts_with("{{") { "}}" } else { "%}" };
        let Some(length) = expression.find(close).map(|end| end + close.len()) else { break };
        let (expression, after) = expression.split_at(length);
        plain.push_str(before);
        plain.extend([OPEN.to_string(), expressions.len().to_string(), CLOSE.to_string()]);
        expressions.push(expression);
        rest = after;
    }
    plain.push_str(rest);
    let restore = |word: String| {
        expressions
            .iter()
            .enumerate()
            .fold(word, |word, (index, expression)| word.replace(&format!("{OPEN}{index}{CLOSE}"), expression))
    };
    Some(shlex::split(&plain)?.into_iter().map(restore).collect())
}

/// The environment: names that a process can be given, and their templates.
pub(super) fn env(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<(String, Template)>> {
    let NodeKind::Map(map) = &node.kind else {
        let message = format!("`env` must be a mapping, found {}", node.describe());
        reader.report.push(Diagnostic::error(message).at(node.at).help("write `NAME: value`, one a line"));
        return None;
    };
    let mut variables = Vec::new();
    for (name, (at, value)) in map {
        check_name(reader, name, *at);
        if let Some(text) = reader.text_of(value, &format!("env.{name}")) {
            variables.push((name.clone(), text));
        }
    }
    Some(variables)
}

fn check_name(reader: &mut Reader<'_>, name: &str, at: At) {
    if name.is_empty() || name.contains(['=', '\0']) {
        let message = format!("`{}` cannot be an environment variable's name", super::node::brief(name));
        reader.report.push(Diagnostic::error(message).at(at).help("use letters, digits and `_`"));
    }
}
