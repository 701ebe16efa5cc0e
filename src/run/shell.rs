//! Values inside a shell text: each is quoted for exactly the place it stands at.
//!
//! A template is rendered with a mark in place of every value; this module walks the text as a POSIX shell would
//! (XCU chapter 2, "Shell Command Language"), and writes each value so that it stays one word of data, in bare text, in
//! single and in double quotes. Where no quoting is safe (comments, here-documents, backticks, `${…}`) it refuses.

mod again;

pub(super) use again::Words;

use super::quote;
use std::iter::Peekable;
use std::str::Chars;

/// The characters that mark values in a rendered text: Unicode noncharacters, never part of an interchanged text.
const WORD: char = '\u{FDD0}';
const WORDS: char = '\u{FDD1}';
const NEXT: char = '\u{FDD2}';
const END: char = '\u{FDD3}';

/// A value that stays one word, or a part of one, marked for [`insert`].
pub fn mark_word(value: &str) -> Result<String, String> {
    check(value)?;
    Ok(format!("{WORD}{value}{END}"))
}

/// Values that become words of their own, marked for [`insert`].
pub fn mark_words(values: &[String]) -> Result<String, String> {
    values.iter().try_for_each(|value| check(value))?;
    Ok(format!("{WORDS}{}{END}", values.join(&NEXT.to_string())))
}

fn check(value: &str) -> Result<(), String> {
    if value.contains('\0') {
        return Err("a value holds a NUL character, which no command line can carry".to_owned());
    }
    if value.contains([WORD, WORDS, NEXT, END]) {
        return Err("a value holds one of the noncharacters U+FDD0 to U+FDD3".to_owned());
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ShellContext {
    /// Bare text; inside `$( … )` or `( … )` with the number of open parentheses.
    Bare(u32),
    Single,
    Double,
    Comment,
    Backtick,
    /// `${ … }`.
    Brace,
    /// `$(( … ))` with the number of open parentheses.
    Arithmetic(u32),
}

/// Replaces the marks of a rendered shell text by their quoted values.
///
/// Errors name the place that cannot be quoted and say what to write instead.
pub fn insert(text: &str) -> Result<String, String> {
    let mut walk = Walk {
        out: String::with_capacity(text.len() + 32),
        places: vec![ShellContext::Bare(0)],
        commands: vec![Words::default()],
        before: None,
        unfinished: None,
        lost: None,
    };
    let mut inserted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if matches!(c, WORD | WORDS) {
            let value = marked(&mut chars)?;
            inserted = true;
            walk.value(&value, c == WORDS, &chars)?;
        } else {
            walk.text(c, &mut chars)?;
        }
    }
    if inserted && !matches!(walk.places.as_slice(), [_] | [.., ShellContext::Comment]) {
        return Err("a quote or parenthesis of the command is never closed".to_owned());
    }
    Ok(walk.out)
}

/// One argument of a call without a shell: the values of a rendered text as they are, where `words`, those before it, do not
/// say that the program evaluates it.
pub(super) fn argument(text: &str, words: &Words) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == WORD {
            let value = marked(&mut chars)?;
            words.check(&out, &value)?;
            out.push_str(&value);
        } else {
            out.push(c);
        }
    }
    Ok(out)
}

/// The value behind a mark, and its end.
fn marked(chars: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let mut value = String::new();
    loop {
        match chars.next() {
            Some(END) => return Ok(value),
            Some(c) => value.push(c),
            None => return Err("a filter block cut an inserted value in two".to_owned()),
        }
    }
}

/// What the text before a value is the beginning of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unfinished {
    /// A variable: `$NAME`.
    Variable,
    /// A home directory: `~name`, up to a `/`.
    Home,
}

/// The state of the walk through a shell text.
struct Walk {
    out: String,
    places: Vec<ShellContext>,
    /// The command that is being written, for each [`ShellContext::Bare`].
    commands: Vec<Words>,
    /// The character before, where it still has its meaning (not escaped).
    before: Option<char>,
    /// What a letter or digit would go on with.
    unfinished: Option<Unfinished>,
    /// Set once nothing that follows can be judged any more.
    lost: Option<&'static str>,
}

impl Walk {
    fn place(&self) -> ShellContext {
        self.places.last().copied().unwrap_or(ShellContext::Bare(0))
    }

    /// The command that is being written.
    fn command(&mut self) -> Option<&mut Words> {
        self.commands.last_mut()
    }

    /// Writes a value, quoted for the present place.
    fn value(&mut self, value: &str, several: bool, rest: &Peekable<Chars<'_>>) -> Result<(), String> {
        if let Some(place) = self.lost {
            return Err(cannot(place));
        }
        let place = self.place();
        if self.before == Some('$') && place != ShellContext::Single {
            return Err(cannot("right after a `$`"));
        }
        if matches!(place, ShellContext::Bare(_)) && after_duplication(&self.out) {
            // bash expands what stands there a second time.
            return Err(cannot("right after `>&`"));
        }
        if place != ShellContext::Comment && !(several && value.is_empty()) {
            for (i, word) in value.split(NEXT).enumerate() {
                let Some(command) = self.command() else { break };
                if i > 0 {
                    command.blank();
                }
                command.value(word)?;
            }
        }
        match place {
            ShellContext::Bare(_) if several && value.is_empty() => {}
            ShellContext::Bare(_) => {
                let words: Vec<_> = value.split(NEXT).collect();
                for (i, word) in words.iter().enumerate() {
                    let joined = (i == 0 && self.unfinished.is_some()) || (i + 1 == words.len() && goes_on(word, rest));
                    let word = if joined { format!("'{}'", quote::in_single(word)) } else { quote::word(word)? };
                    self.out.push_str(if i > 0 { " " } else { "" });
                    self.out.push_str(&word);
                }
            }
            ShellContext::Single | ShellContext::Double if several => {
                return Err("`flags` and `overrides` make several words: they cannot stand in quotes".to_owned());
            }
            ShellContext::Single => self.out.push_str(&quote::in_single(value)),
            ShellContext::Double => {
                if self.unfinished.is_some() {
                    self.out.push_str("\"\"");
                }
                self.out.push_str(&quote::in_double(value));
            }
            ShellContext::Comment => return Err(cannot("in a comment")),
            ShellContext::Backtick => return Err(cannot("between backticks (write `$( … )`)")),
            ShellContext::Brace => return Err(cannot("inside `${ … }`")),
            ShellContext::Arithmetic(_) => return Err(cannot("inside `$(( … ))`")),
        }
        // Whatever it was, it is no operator.
        self.before = Some('x');
        self.unfinished = None;
        Ok(())
    }

    /// Copies a character of the text itself, and notes which place it opens or closes.
    fn text(&mut self, c: char, rest: &mut Peekable<Chars<'_>>) -> Result<(), String> {
        self.out.push(c);
        let before = self.before.replace(c);
        let unfinished = self.unfinished;
        let place = self.place();
        self.unfinished = goes_on_with(c, before, unfinished)
            .filter(|_| matches!(place, ShellContext::Bare(_) | ShellContext::Double));
        self.note(c, place);
        match place {
            ShellContext::Single => self.close_at(c, '\''),
            ShellContext::Comment => self.close_at(c, '\n'),
            _ if c == '\\' => {
                if matches!(rest.peek(), Some(&(WORD | WORDS))) {
                    return Err(cannot("right after a backslash"));
                }
                let escaped = rest.next();
                self.out.extend(escaped);
                // The shell takes both characters of a line continuation out.
                if escaped == Some('\n') {
                    (self.before, self.unfinished) = (before, unfinished);
                } else {
                    self.before = Some('x');
                    if let Some(c) = escaped {
                        self.note(c, ShellContext::Single);
                    }
                }
            }
            ShellContext::Backtick => self.close_at(c, '`'),
            _ if c == '`' => self.places.push(ShellContext::Backtick),
            _ if c == '(' && before == Some('$') => {
                if rest.peek() == Some(&'(') {
                    self.out.extend(rest.next());
                    self.places.push(ShellContext::Arithmetic(2));
                } else {
                    self.places.push(ShellContext::Bare(1));
                    self.commands.push(Words::default());
                    self.before = Some(' ');
                }
            }
            _ if c == '{' && before == Some('$') => self.places.push(ShellContext::Brace),
            _ if c == '[' && before == Some('$') => self.lost = Some("after `$[`, which bash reckons with"),
            ShellContext::Brace if matches!(c, '\'' | '"') && self.within_double() => {
                // It quotes after some operators, in some shells, and is a character like any other elsewhere.
                self.lost = Some("after a quote inside `${ … }` inside double quotes");
            }
            ShellContext::Double => self.close_at(c, '"'),
            _ if c == '"' => self.places.push(ShellContext::Double),
            place if c == '\'' => {
                if before == Some('$') && matches!(place, ShellContext::Bare(_)) {
                    // Some shells read escapes in it, others do not, so where it ends is unknown.
                    self.lost = Some("after `$'…'`");
                }
                self.places.push(ShellContext::Single);
            }
            ShellContext::Brace => self.close_at(c, '}'),
            ShellContext::Arithmetic(depth) => self.parenthesis(c, depth, ShellContext::Arithmetic),
            ShellContext::Bare(depth) => self.bare_text(c, before, depth, rest),
        }
        Ok(())
    }

    fn bare_text(&mut self, c: char, before: Option<char>, depth: u32, rest: &mut Peekable<Chars<'_>>) {
        let starts_word =
            before.is_none_or(|b| b.is_whitespace() || matches!(b, ';' | '&' | '|' | '(' | ')' | '<' | '>'));
        match c {
            '(' if before == Some('(') => self.lost = Some("after `((`, which bash reckons with"),
            '#' if starts_word => self.places.push(ShellContext::Comment),
            '<' if before == Some('<') && rest.peek() != Some(&'<') => self.lost = Some("after `<<` (a here-document)"),
            'e' if depth > 0 && ends_with_case(&self.out, rest.peek().copied()) => {
                self.lost = Some("after a `case` inside `$( … )`");
            }
            _ if depth > 0 => self.parenthesis(c, depth, ShellContext::Bare),
            _ => {}
        }
    }

    /// Tells the command about a character of its text.
    fn note(&mut self, c: char, place: ShellContext) {
        let Some(command) = self.commands.last_mut() else { return };
        match (place, c) {
            (ShellContext::Comment, '\n') | (ShellContext::Bare(_), '\n' | ';' | '&' | '|' | '(' | ')') => {
                command.end();
            }
            (ShellContext::Bare(_), ' ' | '\t' | '<' | '>') => command.blank(),
            (ShellContext::Bare(_), '\'' | '"' | '\\')
            | (ShellContext::Single, '\'')
            | (ShellContext::Double, '"')
            | (ShellContext::Comment, _) => {}
            _ => command.text(c, !matches!(place, ShellContext::Bare(_))),
        }
    }

    /// Whether double quotes surround the present place, with no `$( … )` between.
    fn within_double(&self) -> bool {
        let inner = self.places.iter().rev().take_while(|place| !matches!(place, ShellContext::Bare(_)));
        inner.into_iter().any(|place| *place == ShellContext::Double)
    }

    /// Counts the parentheses of a place that ends with the last one.
    fn parenthesis(&mut self, c: char, depth: u32, place: fn(u32) -> ShellContext) {
        let depth = match c {
            '(' => depth + 1,
            ')' => depth - 1,
            _ => return,
        };
        if let Some(ShellContext::Bare(_)) = self.places.pop().filter(|_| depth == 0) {
            self.commands.pop();
        }
        if depth > 0 {
            self.places.push(place(depth));
        }
    }

    fn close_at(&mut self, c: char, end: char) {
        if c == end {
            self.places.pop();
        }
    }
}

/// What a text has begun with its last character, which stands unescaped in bare text or double quotes.
fn goes_on_with(c: char, before: Option<char>, unfinished: Option<Unfinished>) -> Option<Unfinished> {
    let name = c.is_ascii_alphanumeric() || c == '_';
    match unfinished {
        _ if name && before == Some('$') => Some(Unfinished::Variable),
        Some(Unfinished::Variable) if name => unfinished,
        _ if c == '~' => Some(Unfinished::Home),
        Some(Unfinished::Home) if c != '/' && !c.is_whitespace() => unfinished,
        _ => None,
    }
}

/// Whether what comes next would make more of a word than data: of a number the descriptor that a redirection redirects, of a
/// name the one of an assignment or a function.
fn goes_on(word: &str, rest: &Peekable<Chars<'_>>) -> bool {
    let mut rest = rest.clone().filter(|c| !matches!(c, '\\' | '\n')).peekable();
    match rest.peek() {
        Some('=' | '+' | '[' | '(') => true,
        _ if !is_number(word) => false,
        _ => {
            let next = rest.find(|&c| !c.is_ascii_digit() && !matches!(c, WORD | WORDS | NEXT | END));
            matches!(next, Some('<' | '>'))
        }
    }
}

/// Whether the next word says which descriptor a redirection copies.
fn after_duplication(text: &str) -> bool {
    let mut text = text.trim_end_matches([' ', '\t']);
    while let Some(line) = text.strip_suffix("\\\n") {
        text = line.trim_end_matches([' ', '\t']);
    }
    text.ends_with(">&") || text.ends_with("<&")
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text ends with the reserved word, before the character `next`.
fn ends_with_case(text: &str, next: Option<char>) -> bool {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '=');
    let before = text.strip_suffix("case").map(|head| head.chars().next_back());
    before.is_some_and(|before| !before.is_some_and(part)) && !next.is_some_and(part)
}

fn cannot(place: &str) -> String {
    format!("a value cannot be inserted safely {place}; put it in a variable first (`x={{{{ … }}}}`), or use `| raw`")
}

#[cfg(test)]
mod tests;
