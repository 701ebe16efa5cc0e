//! Values inside a shell text: each is quoted for exactly the place it stands at.
//!
//! A template is rendered with a mark in place of every value; this module walks the text as a POSIX shell would
//! (XCU chapter 2, "Shell Command Language"), and writes each value so that it stays one word of data, in bare text, in
//! single and in double quotes. Where no quoting is safe (comments, here-documents, backticks, `${…}`) it refuses.

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
enum Place {
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
    let mut walk =
        Walk { out: String::with_capacity(text.len() + 32), places: vec![Place::Bare(0)], before: None, lost: None };
    let mut inserted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if matches!(c, WORD | WORDS) {
            let mut value = String::new();
            loop {
                match chars.next() {
                    Some(END) => break,
                    Some(c) => value.push(c),
                    None => return Err("a filter block cut an inserted value in two".to_owned()),
                }
            }
            inserted = true;
            walk.value(&value, c == WORDS, before_redirection(chars.clone()))?;
        } else {
            walk.text(c, &mut chars)?;
        }
    }
    if inserted && !matches!(walk.places.as_slice(), [_] | [.., Place::Comment]) {
        return Err("a quote or parenthesis of the command is never closed".to_owned());
    }
    Ok(walk.out)
}

/// The state of the walk through a shell text.
struct Walk {
    out: String,
    places: Vec<Place>,
    /// The character before, where it still has its meaning (not escaped).
    before: Option<char>,
    /// Set once nothing that follows can be judged any more.
    lost: Option<&'static str>,
}

impl Walk {
    fn place(&self) -> Place {
        self.places.last().copied().unwrap_or(Place::Bare(0))
    }

    /// Writes a value, quoted for the present place. `redirected`: see [`before_redirection`].
    fn value(&mut self, value: &str, several: bool, redirected: bool) -> Result<(), String> {
        if let Some(place) = self.lost {
            return Err(cannot(place));
        }
        let place = self.place();
        if self.before == Some('$') && place != Place::Single {
            return Err(cannot("right after a `$`"));
        }
        if matches!(place, Place::Bare(_)) && after_duplication(&self.out) {
            // bash expands what stands there a second time.
            return Err(cannot("right after `>&`"));
        }
        match place {
            Place::Bare(_) if several && value.is_empty() => {}
            Place::Bare(_) => {
                let mut words = value.split(NEXT).map(bare).collect::<Result<Vec<_>, _>>()?;
                if let Some(last) = words.last_mut().filter(|last| redirected && is_number(last)) {
                    *last = format!("'{last}'");
                }
                self.out.push_str(&words.join(" "));
            }
            Place::Single | Place::Double if several => {
                return Err("`flags` and `overrides` make several words: they cannot stand in quotes".to_owned());
            }
            Place::Single => self.out.push_str(&value.replace('\'', r"'\''")),
            Place::Double => {
                for c in value.chars() {
                    if matches!(c, '\\' | '"' | '$' | '`') {
                        self.out.push('\\');
                    }
                    self.out.push(c);
                }
            }
            Place::Comment => return Err(cannot("in a comment")),
            Place::Backtick => return Err(cannot("between backticks (write `$( … )`)")),
            Place::Brace => return Err(cannot("inside `${ … }`")),
            Place::Arithmetic(_) => return Err(cannot("inside `$(( … ))`")),
        }
        // Whatever it was, it is no operator.
        self.before = Some('x');
        Ok(())
    }

    /// Copies a character of the text itself, and notes which place it opens or closes.
    fn text(&mut self, c: char, rest: &mut Peekable<Chars<'_>>) -> Result<(), String> {
        self.out.push(c);
        let before = self.before.replace(c);
        match self.place() {
            Place::Single => self.close_at(c, '\''),
            Place::Comment => self.close_at(c, '\n'),
            _ if c == '\\' => {
                if matches!(rest.peek(), Some(&(WORD | WORDS))) {
                    return Err(cannot("right after a backslash"));
                }
                let escaped = rest.next();
                self.out.extend(escaped);
                // The shell takes both characters of a line continuation out.
                self.before = if escaped == Some('\n') { before } else { Some('x') };
            }
            Place::Backtick => self.close_at(c, '`'),
            _ if c == '`' => self.places.push(Place::Backtick),
            _ if c == '(' && before == Some('$') => {
                if rest.peek() == Some(&'(') {
                    self.out.extend(rest.next());
                    self.places.push(Place::Arithmetic(2));
                } else {
                    self.places.push(Place::Bare(1));
                    self.before = Some(' ');
                }
            }
            _ if c == '{' && before == Some('$') => self.places.push(Place::Brace),
            Place::Brace if matches!(c, '\'' | '"') && self.within_double() => {
                // It quotes after some operators, in some shells, and is a character like any other elsewhere.
                self.lost = Some("after a quote inside `${ … }` inside double quotes");
            }
            Place::Double => self.close_at(c, '"'),
            _ if c == '"' => self.places.push(Place::Double),
            place if c == '\'' => {
                if before == Some('$') && matches!(place, Place::Bare(_)) {
                    // Some shells read escapes in it, others do not, so where it ends is unknown.
                    self.lost = Some("after `$'…'`");
                }
                self.places.push(Place::Single);
            }
            Place::Brace => self.close_at(c, '}'),
            Place::Arithmetic(depth) => self.parenthesis(c, depth, Place::Arithmetic),
            Place::Bare(depth) => self.bare_text(c, before, depth, rest),
        }
        Ok(())
    }

    fn bare_text(&mut self, c: char, before: Option<char>, depth: u32, rest: &mut Peekable<Chars<'_>>) {
        let starts_word =
            before.is_none_or(|b| b.is_whitespace() || matches!(b, ';' | '&' | '|' | '(' | ')' | '<' | '>'));
        match c {
            '#' if starts_word => self.places.push(Place::Comment),
            '<' if before == Some('<') && rest.peek() != Some(&'<') => self.lost = Some("after `<<` (a here-document)"),
            'e' if depth > 0 && ends_with_case(&self.out, rest.peek().copied()) => {
                self.lost = Some("after a `case` inside `$( … )`");
            }
            _ if depth > 0 => self.parenthesis(c, depth, Place::Bare),
            _ => {}
        }
    }

    /// Whether double quotes surround the present place, with no `$( … )` between.
    fn within_double(&self) -> bool {
        let inner = self.places.iter().rev().take_while(|place| !matches!(place, Place::Bare(_)));
        inner.into_iter().any(|place| *place == Place::Double)
    }

    /// Counts the parentheses of a place that ends with the last one.
    fn parenthesis(&mut self, c: char, depth: u32, place: fn(u32) -> Place) {
        let depth = match c {
            '(' => depth + 1,
            ')' => depth - 1,
            _ => return,
        };
        self.places.pop();
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

/// Whether what comes next may be a redirection: a number right before it would be the descriptor that it redirects.
fn before_redirection(mut rest: Peekable<Chars<'_>>) -> bool {
    let next = rest.find(|&c| !c.is_ascii_digit() && !matches!(c, WORD | WORDS | NEXT | END | '\\' | '\n'));
    matches!(next, Some('<' | '>'))
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

/// A word for bare shell text: as it is where that is unmistakable, else quoted.
pub fn bare(word: &str) -> Result<String, String> {
    const RESERVED: &[&str] = &[
        "if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "while", "until", "for", "in", "function",
        "select", "time", "coproc",
    ];
    if RESERVED.contains(&word) {
        return Ok(format!("'{word}'"));
    }
    shlex::try_quote(word).map(std::borrow::Cow::into_owned).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    /// The words `/bin/sh` makes of a script's arguments to `printf`.
    fn words(script: &str) -> Vec<String> {
        let output = Command::new("/bin/sh").args(["-c", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn every_place_keeps_the_value_one_word() {
        let value = "it's \"a\" $HOME `id` \\ ; # & *\nnext\\";
        for (template, expected) in [
            ("printf '%s\\0' @", value.to_owned()),
            ("printf '%s\\0' --x=@", format!("--x={value}")),
            ("printf '%s\\0' '<@>'", format!("<{value}>")),
            ("printf '%s\\0' \"<@>\"", format!("<{value}>")),
            ("printf '%s\\0' \"$(printf '%s' @)\"", value.to_owned()),
            ("printf '%s\\0' \"$(printf '%s' \"@\")\"", value.to_owned()),
            ("# don't\nprintf '%s\\0' a#b@", format!("a#b{value}")),
            ("x=@; printf '%s\\0' \"$x\"", value.to_owned()),
            ("(printf '%s\\0' \"${HOME:+@}\")".replace('@', "y").as_str(), "y".to_owned()),
            ("printf \\\n '%s\\0' \\\n @", value.to_owned()),
            ("x=$(: ./lowercase case.txt; printf '%s\\0' @); printf '%s\\0' \"$x\"", value.to_owned()),
        ] {
            let script = insert(&template.replace('@', &mark_word(value).unwrap())).unwrap();
            assert_eq!(words(&script), [expected], "{template} became {script}");
        }
    }

    #[test]
    fn places_that_cannot_be_quoted_are_refused() {
        for template in [
            "# @",
            "cat <<EOF\n@\nEOF",
            "echo `echo @`",
            "echo ${x:-@}",
            "echo $((1 + @))",
            "echo \\@",
            "echo \"\\@\"",
            "echo $@",
            "echo \"$@\"",
            "echo $'a' @",
            "echo $(case x in x) echo @;; esac)",
            "echo 'x @",
            "echo \"${HOME:-it's} ${HOME:-it's}\" @",
            "echo \"${HOME#\"a\"}\" @",
            "echo a \\\n# --name @ \\\necho b",
            "echo a \\\n# it's\necho b # that's @",
            "echo a ># @",
            "echo a >& \\\n @",
            "echo a 2<&@",
        ] {
            let result = insert(&template.replace('@', &mark_word("v").unwrap()));
            assert!(result.is_err(), "{template} became {result:?}");
        }
        let words = mark_words(&["a b".to_owned(), "c".to_owned()]).unwrap();
        assert!(insert(&format!("echo \"{words}\"")).is_err());
        assert_eq!(insert(&format!("echo {words}")).unwrap(), "echo 'a b' c");
    }

    #[test]
    fn a_number_before_a_redirection_is_no_descriptor() {
        for (template, expected) in [
            ("printf '%s\\0' a @>/dev/stdout", vec!["a", "2"]),
            ("printf '%s\\0' a 1@>/dev/stdout", vec!["a", "12"]),
            ("printf '%s\\0' a @1>/dev/stdout", vec!["a", "21"]),
            ("printf '%s\\0' a @\\\n>/dev/stdout", vec!["a", "2"]),
            ("printf '%s\\0' a @@>/dev/stdout", vec!["a", "22"]),
            ("printf '%s\\0' a @</dev/null", vec!["a", "2"]),
        ] {
            let script = insert(&template.replace('@', &mark_word("2").unwrap())).unwrap();
            assert_eq!(words(&script), expected, "{script}");
        }
        let flags = mark_words(&["--layers".to_owned(), "2".to_owned()]).unwrap();
        assert_eq!(insert(&format!("a {flags}>b")).unwrap(), "a --layers '2'>b");
        assert_eq!(insert(&format!("a {flags} >b")).unwrap(), "a --layers 2 >b");
    }

    /// Pieces of which hardly any whole is a sound script.
    const PIECES: &[&str] = &[
        "echo", " ", "@", "'", "\"", "${U:-", "${U#", "}", "it's", "#", "\\", "\\\n", "\n", "$(", "(", ")", "$((",
        "))", "`", ";", "|", "2", ">", "<", "<<", "$", "case", "x=", "{", "!", "&",
    ];

    /// Whether a shell can read the script.
    fn is_sound(shell: &str, script: &str) -> bool {
        Command::new(shell).args(["-n", "-c", script]).output().unwrap().status.success()
    }

    /// Whether a value did something of its own when a shell ran the script.
    fn breaks_out(shell: &str, script: &str, folder: &std::path::Path) -> bool {
        let place = tempfile::tempdir_in(folder).unwrap();
        let mut command = Command::new(shell);
        command.args(["-c", script]).current_dir(place.path()).env_clear().env("PATH", "/usr/bin:/bin");
        command.stdin(std::process::Stdio::null()).output().unwrap();
        place.path().join("PWN").exists()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn no_value_breaks_out_of_any_text(
            pieces in prop::collection::vec(prop::sample::select(PIECES), 1..14),
            value in prop::sample::select(&[
                "\n:>PWN;#", "'\n:>PWN;#", "\"\n:>PWN;#", ")\n:>PWN;#", "}\n:>PWN;#", "$(:>PWN)", "`:>PWN`", "';:>PWN;'",
                "\";:>PWN;\"", "}$(:>PWN)", "';$(:>PWN);'", "\\\";:>PWN;\\\"", "\\';:>PWN;\\'", "))\n:>PWN\n((",
            ][..]),
        ) {
            let template = pieces.concat();
            let with = |value| insert(&template.replace('@', &mark_word(value).unwrap()));
            if let (Ok(harmless), Ok(script)) = (with("v"), with(value)) {
                let folder = tempfile::tempdir().unwrap();
                // What a shell does with a text that it cannot read is its own affair.
                for shell in ["/bin/sh", "/bin/bash"].iter().filter(|shell| is_sound(shell, &harmless)) {
                    prop_assert!(!breaks_out(shell, &script, folder.path()), "{shell}: {template:?} became {script}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_value_in_any_quotes_arrives_unchanged(value in "[^\0]{0,20}", quote in "['\"]?") {
            prop_assume!(check(&value).is_ok());
            let script = insert(&format!("printf '%s\\0' {quote}{}{quote}", mark_word(&value).unwrap())).unwrap();
            prop_assert_eq!(words(&script), [value]);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[\u{FDD0}-\u{FDD3}a-e'\"$(){}`#<\\\\ \n]{0,40}") {
            let _ = insert(&text);
        }
    }
}
