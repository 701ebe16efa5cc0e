//! Whether a template is small enough to be read.
//!
//! minijinja parses and compiles by recursion, one call for each operator in a row, on whatever stack it is called; it has no
//! limit of its own for that.

use std::iter::Peekable;
use std::str::Chars;

/// The longest text with a template in it, in bytes.
const MAX_LENGTH: usize = 64 << 10;
/// The most operators, brackets and filters in one expression, and the most `elif` in a template.
const MAX_OPERATORS: usize = 100;
/// The most brackets in brackets, and blocks in blocks: each level takes many calls.
const MAX_DEPTH: usize = 20;

/// Refuses a template whose parser could run out of stack.
///
/// # Errors
/// What is too large, and what to do.
pub(crate) fn check(template: &str) -> Result<(), String> {
    if !["{{", "{%"].iter().any(|start| template.contains(start)) {
        return Ok(());
    }
    if template.len() > MAX_LENGTH {
        return Err(format!(
            "the template is longer than {} KiB; write the text to a file, and name that",
            MAX_LENGTH >> 10
        ));
    }
    let mut chars = template.chars().peekable();
    let (mut branches, mut blocks) = (0, 0_usize);
    while let Some(c) = chars.next() {
        if c != '{' {
            continue;
        }
        let end = match chars.peek() {
            Some('{') => '}',
            Some('%') => '%',
            Some('#') => {
                skip(&mut chars, "#}");
                continue;
            }
            _ => continue,
        };
        chars.next();
        let Expression { operators, depth, statement } = expression(&mut chars, end);
        match statement.as_str() {
            "elif" => branches += 1,
            "if" | "for" | "filter" | "with" | "macro" | "call" | "autoescape" | "block" => blocks += 1,
            end if end.starts_with("end") => blocks = blocks.saturating_sub(1),
            "raw" => skip(&mut chars, "endraw"),
            _ => {}
        }
        let (most, what) = match () {
            () if operators > MAX_OPERATORS => (MAX_OPERATORS, "operators in one expression"),
            () if branches > MAX_OPERATORS => (MAX_OPERATORS, "`elif`"),
            () if depth > MAX_DEPTH => (MAX_DEPTH, "brackets in each other"),
            () if blocks > MAX_DEPTH => (MAX_DEPTH, "blocks in each other"),
            () => continue,
        };
        return Err(format!("the template has more than {most} {what}; let the program compute that"));
    }
    Ok(())
}

/// What nests in an expression, and its first word: the kind of a statement.
struct Expression {
    operators: usize,
    /// The most brackets in each other.
    depth: usize,
    statement: String,
}

/// Walks past the end of an expression: `end` and a `}` outside of brackets and texts.
fn expression(chars: &mut Peekable<Chars<'_>>, end: char) -> Expression {
    let (mut operators, mut depth, mut deepest) = (0, 0_usize, 0);
    let (mut word, mut statement) = (String::new(), String::new());
    while let Some(c) = chars.next() {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        match word.as_str() {
            "not" | "and" | "or" | "in" | "is" | "if" | "else" => operators += 1,
            _ => {}
        }
        if statement.is_empty() {
            statement.clone_from(&word);
        }
        word.clear();
        match c {
            _ if c == end && depth == 0 && chars.peek() == Some(&'}') => {
                chars.next();
                break;
            }
            '"' | '\'' => {
                while let Some(inner) = chars.next().filter(|inner| *inner != c) {
                    if inner == '\\' {
                        chars.next();
                    }
                }
            }
            '(' | '[' | '{' => {
                (operators, depth) = (operators + 1, depth + 1);
                deepest = deepest.max(depth);
            }
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '-' | '+' | '*' | '/' | '%' | '~' | '|' | '.' | '<' | '>' | '=' | '!' => operators += 1,
            _ => {}
        }
    }
    Expression { operators, depth: deepest, statement }
}

/// Walks past a text.
fn skip(chars: &mut Peekable<Chars<'_>>, text: &str) {
    let rest: String = chars.clone().collect();
    let length = rest.split_once(text).map_or(&*rest, |(before, _)| before).chars().count();
    chars.by_ref().take(length + text.chars().count()).for_each(drop);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On the stack of a slot, where the worker renders, and then some: a debug build needs more than a release one.
    fn on_a_slots_stack(check: impl FnOnce() + Send) {
        std::thread::scope(|scope| {
            std::thread::Builder::new().stack_size(1 << 20).spawn_scoped(scope, check).unwrap().join().unwrap();
        });
    }

    #[test]
    fn what_is_accepted_can_be_rendered_and_what_nests_deeply_is_refused() {
        use crate::run::render::{Context, Names, plain};
        let context = Context::new(&crate::value::Value::Null, &Names::default());
        for (start, part, end) in [
            ("{{ ", "-", "1 }}"),
            ("{{ ", "not ", "1 }}"),
            ("{{ 1", "+1", " }}"),
            ("{{ 1", " and 1", " }}"),
            ("{{ 1", "|abs", " }}"),
            ("{{ 1", " if 1 else 1", " }}"),
            ("{{ 1", "~1", " }}"),
            ("{{ 1", " == 1", " }}"),
            ("{{ rep", "[0]", " }}"),
            ("{{ rep", ".a", " }}"),
            ("{{ {'a': {'b': '}}\\''}} == ", "-", "1 }}"),
            ("{% set x = ", "-", "1 %}"),
            ("{% if 0 %}", "{% elif 0 %}", "{% endif %}"),
            ("{# {{ ' #}{% raw %}{{ ' {% endraw %}{{ ", "-", "1 }}"),
            ("{{ ", "[", "1"),
            ("{{ ", "(", "1"),
            ("", "{% if 1 %}", ""),
            ("", "{% set x %}", ""),
            ("", "{% if 1 %}{{ [-(-[", ""),
            ("{% if 1 %}", "{% for x in y %}", "{{ ((((((((((((((((((((-------------------1"),
        ] {
            let template = |times: usize| format!("{start}{}{end}", part.repeat(times));
            on_a_slots_stack(|| {
                for times in [10, 20, 50, 98] {
                    // Wrong or not: it comes back.
                    let _ = plain(&template(times), &context);
                }
                for times in [101, 6_000, 30_000] {
                    assert!(plain(&template(times), &context).is_err(), "{start}{part}{end} × {times}");
                }
            });
        }
        for fine in
            ["a -------------- b ".repeat(100), "{{ 'a--+' }}".repeat(1000), "{{ [1, 2, 3]|join(', ') }}".to_owned()]
        {
            assert_eq!(check(&fine), Ok(()), "{fine}");
        }
        assert!(check(&format!("{}{{{{ rep }}}}", "x".repeat(70_000))).is_err());
        assert_eq!(check(&"x".repeat(70_000)), Ok(()));
    }
}
