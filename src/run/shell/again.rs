//! Programs that evaluate a part of their command line a second time: `sh -c …`, `eval …`, `ssh host …`.
//!
//! What quoting keeps whole for the first shell is syntax to the second one. There only values are safe that mean the same
//! at every level: letters, digits and a few more.

/// What the words of a command so far make of those that follow.
#[derive(Debug, Clone, Default)]
pub(in crate::run) struct Words {
    stage: Stage,
    /// The present word, as far as it is written, without its quotes.
    word: Option<String>,
    /// The value would stand in `name[…]`, which bash evaluates.
    subscript: bool,
}

#[derive(Debug, Clone, Default)]
enum Stage {
    /// Nothing stands before the command's name but assignments and words such as `then`.
    #[default]
    Start,
    /// Ordinary words.
    Plain,
    /// An option `-c` of this program's would be followed by a script; the option before may want a word of its own.
    Interpreter { program: String, option: bool },
    /// The next word is a script for this program.
    Script(String),
    /// All further words are evaluated by this program.
    Everything(String),
}

/// Their `-c` is followed by a script.
const INTERPRETERS: &[&str] = &[
    "sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "fish", "csh", "tcsh", "su", "runuser", "sg", "script", "flock",
];

/// Evaluate their words: as commands, as arithmetic (whose subscripts run commands), or as names with subscripts.
const BUILTINS: &[&str] = &["eval", "trap", "alias", "let", "read", "unset", "[["];

/// Words before the name of a command.
const PREFIXES: &[&str] =
    &["if", "then", "else", "elif", "do", "while", "until", "time", "{", "!", "command", "builtin", "exec"];

impl Words {
    /// Adds a character to the present word.
    pub(super) fn text(&mut self, c: char, quoted: bool) {
        let word = self.word.get_or_insert_default();
        match c {
            '[' if !quoted && is_name(word) => self.subscript = true,
            ']' if !quoted => self.subscript = false,
            _ => {}
        }
        word.push(c);
    }

    /// Adds a value to the present word.
    ///
    /// # Errors
    /// Where it would be evaluated, and is not the same afterwards.
    pub(super) fn value(&mut self, value: &str) -> Result<(), String> {
        let word = self.word.get_or_insert_default();
        let before = std::mem::take(word);
        self.check(&before, value)?;
        self.word = Some(before + value);
        Ok(())
    }

    /// Whether a value may follow `before`, the beginning of the present word.
    pub(in crate::run) fn check(&self, before: &str, value: &str) -> Result<(), String> {
        let by = match &self.stage {
            Stage::Script(program) | Stage::Everything(program) => program,
            _ if self.subscript => "bash (as the subscript of an array)",
            _ => return Ok(()),
        };
        if is_plain(value) && !is_unfinished(before) {
            return Ok(());
        }
        Err(format!(
            "`{}` stands where `{by}` evaluates it a second time, which only letters, digits and `_-./:@+,%` survive; \
             hand it over as a word of its own, as in `sh -c 'run \"$1\"' sh {{{{ … }}}}`, or use `| raw`",
            value.escape_debug()
        ))
    }

    /// Adds a whole word.
    pub(in crate::run) fn word(&mut self, word: &str) {
        self.word = Some(word.to_owned());
        self.blank();
    }

    /// Ends the present word, if there is one.
    pub(super) fn blank(&mut self) {
        self.subscript = false;
        let Some(word) = self.word.take() else { return };
        let name = word.rsplit('/').next().unwrap_or_default();
        let stage = std::mem::take(&mut self.stage);
        self.stage = match stage {
            Stage::Everything(_) => stage,
            Stage::Start if PREFIXES.contains(&name) || is_assignment(&word) => Stage::Start,
            Stage::Start if BUILTINS.contains(&name) => Stage::Everything(name.to_owned()),
            Stage::Interpreter { program, .. } if word.starts_with('-') || word.starts_with('+') => {
                if word.ends_with('c') && !word.starts_with("--") {
                    Stage::Script(program)
                } else {
                    // `-o pipefail`, `-W ignore`
                    Stage::Interpreter { program, option: word.ends_with(['o', 'O', 'W', 'X']) }
                }
            }
            Stage::Interpreter { program, option } if option || takes_names(&program) => {
                Stage::Interpreter { program, option: false }
            }
            _ if name == "ssh" => Stage::Everything(name.to_owned()),
            _ if INTERPRETERS.contains(&name) || name.starts_with("python") => {
                Stage::Interpreter { program: name.to_owned(), option: false }
            }
            _ => Stage::Plain,
        };
    }

    /// Ends the command.
    pub(super) fn end(&mut self) {
        *self = Words::default();
    }
}

/// `su user -c …`: what stands before the option is no script.
fn takes_names(program: &str) -> bool {
    matches!(program, "su" | "runuser" | "sg" | "script" | "flock")
}

/// Whether no shell sees anything but text in a value.
fn is_plain(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|c| c.is_alphanumeric() || "_-./:@+,%".contains(c))
}

/// Whether a letter behind this text would be taken for a part of `$NAME`, `~name` or an escape.
fn is_unfinished(text: &str) -> bool {
    let home = text.rsplit(['/', ' ', '\t', '\n', '\'', '"']).next().is_some_and(|part| part.contains('~'));
    home || text.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_').ends_with(['$', '\\'])
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| is_name(name.strip_suffix('+').unwrap_or(name)))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
