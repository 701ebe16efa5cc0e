//! What is wrong with a configuration, and where: diagnostics and their rendering.
//!
//! Owns the shape of every message: lowercase, `value` in backticks, the place, the line itself, then what to do.
//! It must not decide what is an error; the stages do.

use super::node::{At, brief};
use super::{SourceFile, keys};
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Nothing is planned.
    Error,
    /// Planned, but probably not what was meant.
    Warning,
    /// Worth knowing.
    Note,
}

/// One thing to tell about a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: lowercase, without a full stop.
    pub message: String,
    /// Where.
    pub at: Option<At>,
    /// What to write under the place.
    pub label: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// Other places that matter, each with what to write under it.
    pub secondary: Vec<(At, String)>,
    /// Circumstances, such as the chain of imports that led here.
    pub notes: Vec<String>,
}

impl Diagnostic {
    fn new(severity: Severity, message: impl Into<String>) -> Self {
        let message = message.into();
        Diagnostic { severity, message, at: None, label: None, help: None, secondary: Vec::new(), notes: Vec::new() }
    }

    /// Something that stops the plan.
    pub fn error(message: impl Into<String>) -> Self {
        Diagnostic::new(Severity::Error, message)
    }

    /// Something that is probably not meant.
    pub fn warning(message: impl Into<String>) -> Self {
        Diagnostic::new(Severity::Warning, message)
    }

    /// Something worth knowing.
    pub fn note(message: impl Into<String>) -> Self {
        Diagnostic::new(Severity::Note, message)
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, at: At) -> Self {
        self.at = Some(at);
        self
    }

    /// Says what to write under the place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Shows another place.
    #[must_use]
    pub fn also(mut self, at: At, label: impl Into<String>) -> Self {
        self.secondary.push((at, label.into()));
        self
    }

    /// Adds a circumstance.
    #[must_use]
    pub fn because(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

/// Everything there is to tell about a configuration, with the texts it speaks of.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// In the order they were found.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that [`At::file`] indexes.
    pub files: Vec<SourceFile>,
    /// The `--set` arguments, which places with [`At::COMMAND_LINE`] speak of.
    pub command_line: Vec<String>,
    /// The option they were given with, where it is not `--set`.
    pub option: Option<&'static str>,
    seen: HashSet<Diagnostic>,
}

impl Report {
    /// A report that knows the `--set` arguments.
    pub fn new(command_line: Vec<String>) -> Self {
        Report { command_line, ..Report::default() }
    }

    /// Adds a diagnostic, unless the very same is there already (a key of DEFAULT is met once for each experiment).
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.seen.insert(diagnostic.clone()) {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Whether nothing may be planned.
    pub fn has_errors(&self) -> bool {
        self.error_count() > 0
    }

    pub(super) fn error_count(&self) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
    }

    /// Puts errors first, then warnings, then notes, each in the order of their places.
    pub(super) fn sort(&mut self) {
        self.diagnostics.sort_by_key(|diagnostic| {
            let rank = match diagnostic.severity {
                Severity::Error => 0,
                Severity::Warning => 1,
                Severity::Note => 2,
            };
            (rank, diagnostic.at.map(|at| (at.file, at.line, at.start)))
        });
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// `file:line:column`, for a message or a listing.
    pub fn place(&self, at: At) -> String {
        let name = if at.file == At::COMMAND_LINE { self.option().to_owned() } else { self.file_name(at) };
        if at.line == 0 { name } else { format!("{name}:{}:{}", at.line, at.column) }
    }

    fn option(&self) -> &'static str {
        self.option.unwrap_or("--set")
    }

    /// All diagnostics as text for a person, separated by empty lines, without a final newline.
    pub fn render(&self, color: bool) -> String {
        let rendered: Vec<_> = self.diagnostics.iter().map(|diagnostic| self.render_one(diagnostic, color)).collect();
        rendered.join("\n\n")
    }

    /// One diagnostic as text for a person.
    pub fn render_one(&self, diagnostic: &Diagnostic, color: bool) -> String {
        const WIDTH: usize = 120;
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let title = level.primary_title(diagnostic.message.as_str());
        let mut group = Group::with_title(title);
        let mut primary = AnnotationKind::Primary;
        let places = diagnostic.at.map(|at| (at, diagnostic.label.as_deref()));
        let others = diagnostic.secondary.iter().map(|(at, label)| (*at, Some(label.as_str())));
        for (at, label) in places.into_iter().chain(others) {
            let Some(excerpt) = self.excerpt(at) else {
                group = group.element(Origin::path(normalize_untrusted_str(&self.place(at))));
                continue;
            };
            let mut annotation = primary.span(excerpt.span);
            if let Some(label) = label {
                annotation = annotation.label(normalize_untrusted_str(label));
            }
            primary = AnnotationKind::Context;
            let snippet = Snippet::source(excerpt.line).line_start(at.line as usize).path(excerpt.path);
            group = group.element(snippet.annotation(annotation));
        }
        for note in &diagnostic.notes {
            group = group.element(Level::NOTE.message(normalize_untrusted_str(note)));
        }
        if let Some(help) = &diagnostic.help {
            group = group.element(Level::HELP.message(normalize_untrusted_str(help)));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.term_width(WIDTH).render(&[group])
    }

    fn file_name(&self, at: At) -> String {
        let path = self.files.get(at.file as usize).map(|file| file.path.display().to_string());
        path.unwrap_or_default()
    }

    /// The line a place lies on, and where on it; only as much of both as fits a terminal.
    fn excerpt(&self, at: At) -> Option<Excerpt<'_>> {
        const LONGEST_SPAN: usize = 80;
        if at.line == 0 {
            return None;
        }
        let (text, path) = if at.file == At::COMMAND_LINE {
            (self.command_line.get(at.line as usize - 1)?.as_str(), self.option().to_owned())
        } else {
            (self.files.get(at.file as usize)?.text.as_str(), self.file_name(at))
        };
        let start = floor_boundary(text, at.start as usize);
        let before = text.get(..start)?;
        let line_start = before.rfind(['\n', '\r']).map_or(0, |newline| newline + 1);
        let line_start = if before.get(line_start..)?.starts_with('\u{feff}') { line_start + 3 } else { line_start };
        let rest = text.get(start..)?;
        let line_end = start + rest.find(['\n', '\r']).unwrap_or(rest.len());
        let end = floor_boundary(text, (at.end as usize).min(start + LONGEST_SPAN)).clamp(start, line_end);
        // What lies far behind the span would only cost time: the renderer cuts it away.
        let shown_end = floor_boundary(text, line_end.min(end + 400)).max(end);
        let span = start.saturating_sub(line_start)..end - line_start.min(end);
        let line = without_c1(text.get(line_start..shown_end)?);
        Some(Excerpt { line, span, path: normalize_untrusted_str(&path) })
    }
}

struct Excerpt<'a> {
    line: Cow<'a, str>,
    span: std::ops::Range<usize>,
    path: String,
}

/// Without the controls of Latin-1, which some terminals obey; the renderer replaces the others. What stands for one is as long.
fn without_c1(line: &str) -> Cow<'_, str> {
    let c1 = |c: char| ('\u{80}'..='\u{9f}').contains(&c);
    if line.contains(c1) { Cow::Owned(line.replace(c1, "\u{b7}")) } else { Cow::Borrowed(line) }
}

/// The last character boundary at or before an offset.
fn floor_boundary(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}

/// The error for an experiment that is not there; `place` says where it was looked for.
pub fn no_experiment(wanted: &str, known: &[&str], place: &str) -> Diagnostic {
    let all = format!("the experiments are {}", names(known.iter().copied()));
    let help = match keys::nearest(wanted, known.iter().copied()) {
        _ if known.is_empty() => "there is none at all".to_owned(),
        Some(near) => format!("did you mean `{}`? {all}", brief(near)),
        None => all,
    };
    Diagnostic::error(format!("there is no experiment `{}`{place}", brief(wanted))).help(help)
}

/// `a`, `b` and `c`: names for a message, at most ten.
pub(super) fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const MOST: usize = 10;
    let all: Vec<_> = names.into_iter().collect();
    let mut shown: Vec<_> = all.iter().take(MOST).map(|name| format!("`{}`", brief(name))).collect();
    if all.len() > MOST {
        shown.push(format!("{} more", all.len() - MOST));
    }
    match shown.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}
