//! What must hold for any input: one function a target. `tests/it/fuzz.rs` holds them to the corpus in every test run.

use cw2::fuzzed;
use std::collections::HashSet;
use std::path::Component;
use std::process::{Command, Stdio};

/// Of a configuration, whatever it says: it is refused in words, or every run gets a directory of its own below the working
/// directory, with names that file systems take, and the scripts hold no line that is not cw2's or the user's.
pub fn yaml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let planned = match fuzzed::configuration(text) {
        Ok(planned) => planned,
        Err(told) => {
            let obeyed = |c: char| c.is_control() && c != '\n' && c != '\t';
            assert!(!told.contains(obeyed), "a terminal obeys {told:?}");
            return;
        }
    };
    let mut seen = HashSet::new();
    for dir in &planned.dirs {
        assert!(seen.insert(dir), "two runs in {}", dir.display());
        // What lies below the folder that the user named.
        for part in dir.components().rev().take(4) {
            let Component::Normal(name) = part else { panic!("{} leaves its folder", dir.display()) };
            assert!(name.len() <= 255 && !name.to_string_lossy().contains(char::is_control), "{}", dir.display());
        }
    }
    for script in &planned.scripts {
        let header = script.lines().take_while(|line| line.starts_with('#'));
        for line in header.filter(|line| line.starts_with("#SBATCH")) {
            let read = fuzzed::sbatch_arguments(line).unwrap_or_else(|| panic!("sbatch refuses {line:?}"));
            assert!(read.iter().all(|word| word.starts_with("--")) && read.len() == 1, "{line:?} is read as {read:?}");
        }
    }
}

/// Of a plan's files, whatever they say: they are read or refused.
pub fn plan(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(folder) = tempfile::tempdir() else { return };
    let _ = fuzzed::read_plan(text, folder.path());
}

/// Of a value in an `#SBATCH` line: it is refused, or sbatch reads that value and nothing else.
pub fn sbatch(data: &[u8]) {
    let Ok(value) = std::str::from_utf8(data) else { return };
    let Ok(written) = fuzzed::sbatch_value(value) else {
        assert!(value.contains(char::is_control), "{value:?} is refused");
        return;
    };
    let line = format!("#SBATCH --comment={written}");
    assert_eq!(fuzzed::sbatch_arguments(&line), Some(vec![format!("--comment={value}")]), "{line:?}");
}

/// Pieces of shell texts, of which none does harm however they are put together: what fuzzing makes of them is run.
const PIECES: &[&str] = &[
    "echo",
    " ",
    "@",
    "'",
    "\"",
    "${U:-",
    "${U#",
    "}",
    "it's",
    "#",
    "\\",
    "\\\n",
    "\n",
    "$(",
    "(",
    ")",
    "$((",
    "))",
    "`",
    ";",
    "|",
    "2",
    ">",
    "<",
    "<<",
    "$",
    "case",
    "x=",
    "{",
    "!",
    "&",
    "$U",
    "$1",
    "$?",
    "$$",
    "~",
    "~root",
    "/",
    ":",
    "((",
    "$[",
    "]",
    "a[",
    "sh -c ",
    "bash -ec '",
    "eval ",
    "trap ",
    " EXIT",
    "[[ ",
    " -eq 1 ]]",
    "let ",
    "=",
    "*",
    "?",
    "%",
    "-",
    "in",
    "esac",
    "x)",
    "EOF",
    "if",
    "then",
    "fi",
    "do",
    "done",
    "for ",
    "while ",
    "@ @",
    "exec ",
    "set -- ",
    ". ",
    "alias ",
];

/// Values that leave a file where a shell takes them for more than data.
const VALUES: &[&str] = &[
    "\n:>PWN;#",
    "'\n:>PWN;#",
    "\"\n:>PWN;#",
    ")\n:>PWN;#",
    "}\n:>PWN;#",
    "$(:>PWN)",
    "`:>PWN`",
    "';:>PWN;'",
    "\";:>PWN;\"",
    "}$(:>PWN)",
    "';$(:>PWN);'",
    "\\\";:>PWN;\\\"",
    "\\';:>PWN;\\'",
    "))\n:>PWN\n((",
    "a[$(:>PWN)]",
    "a[`:>PWN`]=1",
    ":>PWN",
    ">PWN",
    "\\\n:>PWN",
    "EOF\n:>PWN",
    "esac;:>PWN",
];

/// Of a value in a shell text: no text with it panics; and where it is inserted, no shell takes it for more than data.
pub fn shell(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    if first.is_multiple_of(8) {
        let text = String::from_utf8_lossy(rest);
        let (template, value) = text.split_once('\0').unwrap_or((&text, "a b"));
        let _ = fuzzed::shell_text(template, value);
        return;
    }
    let template: String = rest.iter().take(24).map(|byte| PIECES[usize::from(*byte) % PIECES.len()]).collect();
    let value = VALUES[usize::from(first) % VALUES.len()];
    // A text without a value is the user's own.
    let (Ok(harmless), Ok(script)) = (fuzzed::shell_text(&template, "v"), fuzzed::shell_text(&template, value)) else {
        return;
    };
    if !template.contains('@') {
        return;
    }
    for shell in ["/bin/sh", "/bin/bash"] {
        // What a shell does with a text that it cannot read is its own affair.
        let quiet =
            |command: &mut Command| command.stdin(Stdio::null()).output().is_ok_and(|done| done.status.success());
        if quiet(Command::new(shell).args(["-n", "-c", &harmless])) {
            let Ok(place) = tempfile::tempdir() else { return };
            let mut command = Command::new("timeout");
            command.args(["5", shell, "-c", &script]).current_dir(place.path()).env_clear().env("PATH", "/bin");
            quiet(&mut command);
            assert!(!place.path().join("PWN").exists(), "{shell}: {template:?} became {script}");
        }
    }
}
