//! `~` and `${env:NAME}` in the keys that name places, and in `env`: resolved once, when the configuration is read.
//!
//! Owns their syntax, and which keys take them. Pure: the environment comes in as a value. What a template inserts later is
//! not looked at here.

use super::error::{Diagnostic, Report};
use super::node::{At, Node, NodeKind, brief};
use crate::value::Value;
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// What a configuration may ask of the process that reads it.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The environment.
    pub variables: HashMap<OsString, OsString>,
    /// The home folder of a user, by name.
    pub home_of: Option<fn(&str) -> Option<PathBuf>>,
}

/// What a text is, which decides what stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A path. A variable of the shell would become part of its name.
    Path,
    /// The same, and a template.
    PathTemplate,
    /// What bash reads at the job's start, so that its variables may stay.
    ShellPath,
    /// A variable of the environment, and a template: `~` also counts behind a `:`, as in an assignment of a shell.
    Variable,
}

impl Kind {
    fn is_template(self) -> bool {
        matches!(self, Kind::PathTemplate | Kind::Variable)
    }
}

/// The keys of an experiment that name places.
const EXPERIMENT: [(&str, Kind); 2] = [("path", Kind::Path), ("workdir", Kind::PathTemplate)];

/// The keys of SLURM that name places.
const SLURM: [(&str, Kind); 6] = [
    ("venv", Kind::ShellPath),
    ("slurm_log", Kind::Path),
    ("path_to_template", Kind::Path),
    ("experiment_copy_src", Kind::Path),
    ("experiment_copy_dst", Kind::Path),
    ("experiment_copy_auto_dst", Kind::Path),
];

/// Resolves what an experiment holds by itself; its `slurm` only once it is merged.
pub(super) fn experiment(node: &mut Node, around: &Surroundings, report: &mut Report) {
    keys(node, &EXPERIMENT, around, report);
    let env = node.as_map_mut().and_then(|map| map.get_mut("env"));
    for (name, (_, value)) in env.and_then(|(_, env)| env.as_map_mut()).into_iter().flatten() {
        resolve(value, &format!("env.{name}"), Kind::Variable, around, report);
    }
}

/// Resolves a merged SLURM document.
pub(super) fn slurm(node: &mut Node, around: &Surroundings, report: &mut Report) {
    keys(node, &SLURM, around, report);
}

fn keys(node: &mut Node, keys: &[(&str, Kind)], around: &Surroundings, report: &mut Report) {
    let Some(map) = node.as_map_mut() else { return };
    for (key, kind) in keys {
        if let Some((_, value)) = map.get_mut(*key) {
            resolve(value, key, *kind, around, report);
        }
    }
}

fn resolve(node: &mut Node, key: &str, kind: Kind, around: &Surroundings, report: &mut Report) {
    match &node.kind {
        NodeKind::Scalar(Value::String(written)) => match text(key, written, kind, node.at, around) {
            Ok(resolved) => node.kind = NodeKind::Scalar(Value::String(resolved)),
            Err(diagnostic) => report.push(*diagnostic),
        },
        NodeKind::Scalar(Value::Null) if is_bare_tilde(node.at, report) => {
            let message = format!("`{}: ~` sets nothing: a bare `~` is YAML's `null`", brief(key));
            let help = "write `~/` or `\"~\"` for the home folder, `null` for nothing";
            report.push(Diagnostic::warning(message).at(node.at).help(help));
        }
        _ => {}
    }
}

fn is_bare_tilde(at: At, report: &Report) -> bool {
    let text = report.files.get(at.file as usize).and_then(|file| file.text.get(at.start as usize..at.end as usize));
    text == Some("~")
}

/// Resolves one text.
pub(super) fn text(
    key: &str,
    written: &str,
    kind: Kind,
    at: At,
    around: &Surroundings,
) -> Result<String, Box<Diagnostic>> {
    let reader = Reader { key, written, kind, around };
    let resolved = reader.expand(written, true);
    let resolved = resolved.and_then(|text| {
        // What a variable holds is not read once more.
        if kind != Kind::Variable && text.starts_with('~') {
            return Err(reader.wrong(
                &format!("it becomes `{}`, which would name a folder `~`", brief(&text)),
                "write a whole path into the variable",
            ));
        }
        Ok(text)
    });
    resolved.map_err(|(message, help)| Box::new(Diagnostic::error(message).at(at).help(help)))
}

/// What is wrong, and what to do.
type Problem = (String, String);

struct Reader<'a> {
    key: &'a str,
    /// The whole text.
    written: &'a str,
    kind: Kind,
    around: &'a Surroundings,
}

const START: &str = "${env:";

impl Reader<'_> {
    fn wrong(&self, what: &str, help: &str) -> Problem {
        (format!("`{}` is `{}`, but {what}", brief(self.key), brief(self.written)), help.to_owned())
    }

    /// `head`: whether a `~` at the beginning is a home folder.
    fn expand(&self, text: &str, head: bool) -> Result<String, Problem> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut head = head;
        while let Some(first) = rest.chars().next() {
            if self.kind.is_template()
                && let Some(length) = template_part(rest)
            {
                let (part, after) = rest.split_at(length);
                out.push_str(part);
                (rest, head) = (after, false);
            } else if let Some(inner) = rest.strip_prefix(START) {
                let length = closing(inner).ok_or_else(|| {
                    self.wrong("its `${env:` has no end", "write `${env:NAME}` or `${env:NAME:-default}`")
                })?;
                out.push_str(&self.variable(&inner[..length], head)?);
                (rest, head) = (&inner[length + 1..], false);
            } else if let Some((home, after)) = if head { self.home(rest)? } else { None } {
                out.push_str(&home);
                (rest, head) = (after, false);
            } else {
                if matches!(self.kind, Kind::Path | Kind::PathTemplate) {
                    self.refuse_shell(rest)?;
                }
                out.push(first);
                rest = &rest[first.len_utf8()..];
                head = self.kind == Kind::Variable && first == ':';
            }
        }
        Ok(out)
    }

    /// The value for what stands between `${env:` and `}`.
    fn variable(&self, inner: &str, head: bool) -> Result<String, Problem> {
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        let fits = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !fits {
            let what = format!("`{}` is no variable's name", brief(name));
            return Err(self.wrong(&what, "write `${env:NAME}` or `${env:NAME:-default}`"));
        }
        let value = self.around.variables.get(std::ffi::OsStr::new(name));
        let missing = match (value, default) {
            (Some(value), _) if !value.is_empty() => {
                let Some(value) = value.to_str() else {
                    let what = format!("the environment variable `{name}` is not UTF-8");
                    return Err(self.wrong(&what, "write the value out"));
                };
                return Ok(self.inserted(value));
            }
            (_, Some(default)) => return self.expand(default, head),
            (Some(_), None) if self.kind == Kind::Variable => return Ok(String::new()),
            (Some(_), None) => "is empty",
            (None, None) => "is not set",
        };
        let help = format!("set it, or write what holds without it, as in `${{env:{name}:-/tmp}}`");
        Err(self.wrong(&format!("the environment variable `{name}` {missing}"), &help))
    }

    /// The home folder that the text begins with, and what follows.
    fn home<'t>(&self, text: &'t str) -> Result<Option<(String, &'t str)>, Problem> {
        let Some(behind) = text.strip_prefix('~') else { return Ok(None) };
        let end = |c: char| c == '/' || (self.kind == Kind::Variable && c == ':');
        let (user, after) = behind.split_at(behind.find(end).unwrap_or(behind.len()));
        let fits = user.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
        if self.kind == Kind::Variable && !fits {
            return Ok(None);
        }
        let home = if user.is_empty() {
            self.around.variables.get(std::ffi::OsStr::new("HOME")).map(PathBuf::from)
        } else {
            self.around.home_of.filter(|_| fits).and_then(|home_of| home_of(user))
        };
        let home = home.filter(|home| home.is_absolute()).and_then(|home| Some(home.to_str()?.to_owned()));
        match home {
            Some(home) => {
                let bare = home.trim_end_matches('/');
                let folder = if bare.is_empty() && !after.starts_with('/') { "/" } else { bare };
                Ok(Some((self.inserted(folder), after)))
            }
            None if user.is_empty() => {
                Err(self
                    .wrong("`~` stands for `HOME`, which holds no absolute path", "set `HOME`, or write the path out"))
            }
            None => {
                let help = match self.kind {
                    Kind::Variable => "write the path out; `{{ '~' }}` is the character itself".to_owned(),
                    _ => format!("write the path out, or `./{}` for a folder of that name", brief(text)),
                };
                Err(self.wrong(&format!("there is no user `{}`", brief(user)), &help))
            }
        }
    }

    /// A value as the text of a template.
    fn inserted(&self, value: &str) -> String {
        if self.kind.is_template() && value.contains('{') {
            return format!("{{{{ {} }}}}", Value::from(value).to_json());
        }
        value.to_owned()
    }

    /// Refuses what only a shell would expand: it would become part of a folder's name.
    fn refuse_shell(&self, rest: &str) -> Result<(), Problem> {
        let Some(behind) = rest.strip_prefix('$') else { return Ok(()) };
        let (name, braces) = behind.strip_prefix('{').map_or((behind, false), |name| (name, true));
        let length = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(name.len());
        let name = &name[..length];
        if !braces && !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return Ok(());
        }
        let name = if name.is_empty() { "NAME" } else { name };
        Err(self.wrong(
            "variables of a shell are not expanded here: it would become part of the folder's name",
            &format!("write `${{env:{name}}}` for an environment variable"),
        ))
    }
}

/// How long the part of a template is that the text begins with: what is between its braces is left alone.
fn template_part(text: &str) -> Option<usize> {
    let close = match text.get(..2)? {
        "{{" => "}}",
        "{%" => "%}",
        "{#" => "#}",
        _ => return None,
    };
    text.find(close).map(|at| at + close.len())
}

/// Where the brace is that closes one which stands before the text.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn around() -> Surroundings {
        let variables = [("HOME", "/home/u/"), ("S", "/scratch"), ("EMPTY", ""), ("T", "~/x"), ("B", "a{{ b }}\"")];
        Surroundings {
            variables: variables.map(|(name, value)| (name.into(), value.into())).into(),
            home_of: Some(|user| (user == "me").then(|| "/home/me".into())),
        }
    }

    fn read(written: &str, kind: Kind) -> Result<String, String> {
        text("k", written, kind, At::default(), &around()).map_err(|wrong| wrong.message)
    }

    #[test]
    fn what_is_expanded_where() {
        use Kind::{Path, PathTemplate, ShellPath, Variable};
        for (written, kind, expected) in [
            ("~", Path, "/home/u"),
            ("~/a/~/b~", Path, "/home/u/a/~/b~"),
            ("~me/a", Path, "/home/me/a"),
            ("./~", Path, "./~"),
            ("${env:S}/a/${env:S}", Path, "/scratch/a//scratch"),
            ("${env:NO:-/tmp}/a", Path, "/tmp/a"),
            ("${env:EMPTY:-~/a}", Path, "/home/u/a"),
            ("${env:NO:-${env:ALSO:-${env:S}}/x}y", Path, "/scratch/xy"),
            ("${env:NO:-}a", Path, "a"),
            ("a$/5$", Path, "a$/5$"),
            ("~/{{ run }}/${env:S}", PathTemplate, "/home/u/{{ run }}//scratch"),
            ("{{ '${env:S}' }}{# ~ #}", PathTemplate, "{{ '${env:S}' }}{# ~ #}"),
            ("${env:B}", PathTemplate, r#"{{ "a{{ b }}\"" }}"#),
            ("${env:B}", Path, "a{{ b }}\""),
            ("$WORK/venv", ShellPath, "$WORK/venv"),
            ("~/venv", ShellPath, "/home/u/venv"),
            ("~/a:~/b:~", Variable, "/home/u/a:/home/u/b:/home/u"),
            ("~ 5", Variable, "~ 5"),
            ("$S ${S} ${env:EMPTY}|", Variable, "$S ${S} |"),
            ("{{ '~me' }}", Variable, "{{ '~me' }}"),
        ] {
            assert_eq!(read(written, kind).as_deref(), Ok(expected), "{written}");
        }
    }

    #[test]
    fn what_cannot_be_expanded_is_an_error() {
        use Kind::{Path, Variable};
        for (written, kind, expected) in [
            ("${env:NO}/a", Path, "the environment variable `NO` is not set"),
            ("${env:EMPTY}", Path, "the environment variable `EMPTY` is empty"),
            ("${env:NO:-${env:ALSO}}", Variable, "the environment variable `ALSO` is not set"),
            ("${env:S", Path, "its `${env:` has no end"),
            ("${env:}", Path, "`` is no variable's name"),
            ("${env:A B}", Variable, "`A B` is no variable's name"),
            ("~you/a", Path, "there is no user `you`"),
            ("~ a", Path, "there is no user ` a`"),
            ("~you", Variable, "there is no user `you`"),
            ("${env:T}", Path, "it becomes `~/x`, which would name a folder `~`"),
            ("$S/a", Path, "variables of a shell are not expanded here"),
            ("a/${S}", Path, "variables of a shell are not expanded here"),
        ] {
            let error = read(written, kind).unwrap_err();
            assert!(error.starts_with(&format!("`k` is `{written}`, but {expected}")), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_path_begins_with_a_tilde(written in "[~a/$:{}\\-]{0,3}(\\$\\{env:(S|T|NO|B)(:-~?/?)?\\})?[~a/$:{}\\- é]{0,6}") {
            for kind in [Kind::Path, Kind::PathTemplate, Kind::ShellPath] {
                if let Ok(path) = read(&written, kind) {
                    prop_assert!(!path.starts_with('~'), "{} → {}", written, path);
                }
            }
            let _ = read(&written, Kind::Variable);
        }
    }
}
