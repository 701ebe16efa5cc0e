//! Words that a person puts before a repetition's command.

use super::record::ArgvRecord;

/// Where the words go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prefix {
    /// Into the command.
    Command(ArgvRecord),
    /// Before its shell, behind the launcher's.
    Launcher(Vec<String>),
}

/// A word as a template that becomes this word.
pub fn literal(word: &str) -> String {
    let begins = ["{{", "{%", "{#"].iter().any(|mark| word.contains(mark));
    if begins { format!("{{% raw %}}{word}{{% endraw %}}") } else { word.to_owned() }
}

/// Puts words before a command: `gdb --args`, `strace -f`, `python -m pdb`. A module of Python's takes the place between the
/// command's own interpreter and its script.
///
/// # Errors
/// Where it is not known which of several commands is meant.
pub fn prefix(with: &[String], command: &ArgvRecord) -> Result<Prefix, String> {
    let module = module_of(with);
    match command {
        ArgvRecord::Exec(words) => {
            let (head, rest) = match (&module, words.split_first()) {
                (Some(module), Some((first, rest))) if is_python(first) => {
                    let (options, rest) = rest.split_at(python_options(rest));
                    ([std::slice::from_ref(first), options, module].concat(), rest)
                }
                _ => (with.to_vec(), words.as_slice()),
            };
            let head = head.iter().map(|word| if words.contains(word) { word.clone() } else { literal(word) });
            Ok(Prefix::Command(ArgvRecord::Exec(head.chain(rest.iter().cloned()).collect())))
        }
        ArgvRecord::Shell(text) if is_one_command(text) => {
            let text = text.trim();
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            let quoted = |words: &[String]| {
                let words = words.iter().map(|word| crate::run::quote::word(word));
                words.collect::<Result<Vec<_>, _>>().map(|words| literal(&words.join(" ")))
            };
            let text = match (&module, words.split_first()) {
                (Some(module), Some((first, rest))) if is_python(first) => {
                    let options = python_options(rest);
                    let head = std::iter::once(first).chain(rest.iter().take(options));
                    let head = head.map(String::as_str).collect::<Vec<_>>().join(" ");
                    let script = after_words(text, options + 1);
                    format!("{head} {} {script}", quoted(module)?)
                }
                _ => format!("{} {text}", quoted(with)?),
            };
            Ok(Prefix::Command(ArgvRecord::Shell(text)))
        }
        ArgvRecord::Shell(_) if module.is_some() => Err(
            "the command consists of several, and it is not known which of them is meant: start it from `--shell`, or paste \
             what `--print` prints and change it"
                .to_owned(),
        ),
        ArgvRecord::Shell(_) => Ok(Prefix::Launcher(with.iter().map(|word| literal(word)).collect())),
    }
}

/// What follows the interpreter in `python -m pdb`.
fn module_of(with: &[String]) -> Option<Vec<String>> {
    let (first, rest) = with.split_first()?;
    (is_python(first) && rest.iter().any(|word| word == "-m")).then(|| rest.to_vec())
}

fn is_python(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or_default();
    let version = name.strip_prefix("python").or_else(|| name.strip_prefix("pypy"));
    version.is_some_and(|version| version.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

/// How many of the words are options of the interpreter's own, such as `-u` and `-X dev`; not `-m` and `-c`, which end them.
fn python_options(words: &[String]) -> usize {
    let mut count = 0;
    while let Some(word) = words.get(count) {
        let short =
            word.strip_prefix('-').filter(|short| !short.is_empty() && !short.contains(['m', 'c', '{', '"', '\'']));
        match short {
            Some("X" | "W") => count += 2,
            Some(_) => count += 1,
            None => break,
        }
    }
    count.min(words.len())
}

/// The text behind its first words.
fn after_words(text: &str, count: usize) -> &str {
    let mut rest = text;
    for _ in 0..count {
        rest = rest.trim_start();
        rest = rest.get(rest.find(char::is_whitespace).unwrap_or(rest.len())..).unwrap_or_default();
    }
    rest.trim_start()
}

/// Whether a shell text is one simple command, as far as can be told: outside of quotes and templates nothing ends or joins
/// commands, and no variable is set for it.
fn is_one_command(text: &str) -> bool {
    let mut rest = text.trim();
    if rest.split_whitespace().next().is_none_or(|first| first.contains('=')) {
        return false;
    }
    let mut quote = None;
    while let Some(c) = rest.chars().next() {
        let end = ["{{", "{%", "{#"].iter().zip(["}}", "%}", "#}"]).find(|(begin, _)| rest.starts_with(**begin));
        if let Some((begin, end)) = end {
            // A template that repeats or leaves out commands is none to put words before.
            if *begin == "{%" {
                return false;
            }
            let Some(at) = rest.find(end) else { return false };
            rest = rest.get(at + end.len()..).unwrap_or_default();
            continue;
        }
        match (quote, c) {
            (None, '\n' | ';' | '&' | '|' | '(' | ')' | '`' | '<' | '>') => return false,
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None | Some('"'), '\\') => rest = rest.get(1..).unwrap_or_default(),
            _ => {}
        }
        let length = rest.chars().next().map_or(0, char::len_utf8);
        rest = rest.get(length..).unwrap_or_default();
    }
    quote.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn words_go_before_the_command_they_are_for() {
        for (with, command, expected) in [
            ("strace -f", "./a {{ x }}", Some("strace -f ./a {{ x }}")),
            (
                "python -m pdb",
                "python3 train.py --lr {{ params.lr }}",
                Some("python3 -m pdb train.py --lr {{ params.lr }}"),
            ),
            (
                "python3 -m pdb",
                "/v/bin/python3.12 -u -X dev -m a.b  'c  d'",
                Some("/v/bin/python3.12 -u -X dev -m pdb -m a.b  'c  d'"),
            ),
            ("python -m pdb", "./train.py x", Some("python -m pdb ./train.py x")),
            ("echo {{ x }}", "a", Some("{% raw %}echo '{{' x '}}'{% endraw %} a")),
            ("time", "a 'b; c' \"d & e\" {{ params | flags }}", Some("'time' a 'b; c' \"d & e\" {{ params | flags }}")),
            ("strace", "a; b", None),
            ("strace", "a\nb", None),
            ("strace", "A=1 b", None),
            ("strace", "a > b", None),
        ] {
            let found = prefix(&words(with), &ArgvRecord::Shell(command.to_owned())).unwrap();
            let expected = match expected {
                Some(text) => Prefix::Command(ArgvRecord::Shell(text.to_owned())),
                None => Prefix::Launcher(words(with)),
            };
            assert_eq!(found, expected, "{with}: {command}");
        }
        assert!(prefix(&words("python -m pdb"), &ArgvRecord::Shell("a; python b".to_owned())).is_err());
    }

    #[test]
    fn the_same_without_a_shell() {
        for (with, command, expected) in [
            ("strace -f", "./a {{x}}", "strace -f ./a {{x}}"),
            ("python -m pdb", "python3 -u train.py", "python3 -u -m pdb train.py"),
            ("python -m pdb", "{{x}} train.py", "python -m pdb {{x}} train.py"),
        ] {
            let found = prefix(&words(with), &ArgvRecord::Exec(words(command))).unwrap();
            assert_eq!(found, Prefix::Command(ArgvRecord::Exec(words(expected))), "{with}: {command}");
        }
    }
}
