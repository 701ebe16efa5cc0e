//! Starters: a configuration, and a program where there is none yet, that run at once.

mod argparse;

use super::failure::Failure;
use super::here::shown;
use super::program;
use crate::config;
use crate::run::quote;
use crate::store::starter::{self, NewFile};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a starter's program is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// A script that takes options.
    Python,
    /// A shell script.
    Shell,
    /// A program with the library.
    Rust,
}

/// What a starter is made of.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// A program of cw2's own.
    Program(Language),
    /// The options of a Python program that is there, which declares them with argparse.
    From(PathBuf),
}

/// What was written.
#[derive(Debug)]
pub struct Made {
    /// The files.
    pub files: Vec<PathBuf>,
    /// What to know of them.
    pub notes: Vec<String>,
    /// What to call next, and what that does.
    pub next: Vec<(String, &'static str)>,
}

/// What editors check the configuration against, and its first line names.
const SCHEMA: &str = ".cw2.schema.json";

/// Reads Python, and runs nothing of it.
const OPTIONS: &str = include_str!("../../templates/argparse_options.py");

macro_rules! starter {
    ($language:literal, $file:literal) => {
        include_str!(concat!("../../templates/starters/", $language, "/", $file))
    };
}

/// Writes a starter into a folder, which is made where it is missing. Nothing that is there is touched.
///
/// # Errors
/// Where a file of that name is there, or the program cannot be read.
pub fn init(folder: &Path, wanted: &Wanted) -> Result<Made, Failure> {
    let mut notes = Vec::new();
    let file = |name: &'static str, text: &str| NewFile { name, text: text.to_owned(), executable: false };
    let mut files = match wanted {
        Wanted::Program(Language::Python) => {
            vec![file("config.yml", starter!("python", "config.yml")), file("train.py", starter!("python", "train.py"))]
        }
        Wanted::Program(Language::Shell) => vec![
            file("config.yml", starter!("shell", "config.yml")),
            NewFile { executable: true, ..file("train", starter!("shell", "train")) },
        ],
        Wanted::Program(Language::Rust) => vec![
            file("config.yml", starter!("rust", "config.yml")),
            file("Cargo.toml", &starter!("rust", "Cargo.toml.in").replace("@VERSION@", env!("CARGO_PKG_VERSION"))),
            file("src/main.rs", starter!("rust", "src/main.rs")),
        ],
        Wanted::From(path) => {
            let (text, more) = argparse::config(&path.to_string_lossy(), &options(path)?)?;
            notes = more;
            vec![file("config.yml", &text)]
        }
    };
    // One that is there is an older starter's, and as good.
    if !crate::store::exists(&folder.join(SCHEMA)) {
        files.push(file(SCHEMA, &format!("{:#}\n", config::schema())));
    }
    if let Some(there) = files.iter().map(|file| folder.join(file.name)).find(|path| crate::store::exists(path)) {
        return Err(Failure::Usage(format!(
            "`{}` is there already: nothing was written; name another folder, as in `{} init sweep`",
            shown(there.strip_prefix(".").unwrap_or(&there)),
            program::name()
        )));
    }
    starter::write(folder, &files)?;
    Ok(Made { files: files.iter().map(|file| folder.join(file.name)).collect(), notes, next: next(folder, wanted) })
}

fn next(folder: &Path, wanted: &Wanted) -> Vec<(String, &'static str)> {
    let word = |path: &Path| quote::word(&path.to_string_lossy()).unwrap_or_default();
    let mut next = Vec::new();
    let here = folder == Path::new(".");
    // The command of a program that is there is told from where that was named.
    let config = match wanted {
        Wanted::From(_) if !here => word(&folder.join("config.yml")),
        _ => "config.yml".to_owned(),
    };
    if !here && matches!(wanted, Wanted::Program(_)) {
        next.push((format!("cd {}", word(folder)), ""));
    }
    let program = match wanted {
        Wanted::Program(Language::Rust) => {
            next.push(("cargo build --release".to_owned(), ""));
            "target/release/sweep"
        }
        _ => program::name(),
    };
    next.extend([
        (format!("{program} list {config}"), "what would run"),
        (format!("{program} run {config}"), "run it here, without Slurm"),
        (format!("{program} results"), "what came out"),
        (format!("{program} submit {config}"), "run it on the cluster"),
    ]);
    next
}

/// What a Python program declares with argparse.
fn options(path: &Path) -> Result<argparse::Found, Failure> {
    let text = crate::store::files::read_given(path, crate::store::files::cap::WRITTEN)
        .map_err(|error| Failure::Usage(format!("cannot read `{}`: {error}", path.display())))?;
    let missing = |error: std::io::Error| {
        Failure::Environment(format!(
            "`--from` reads the program's options with Python, which cannot be started: `python3`: {error}; \
             `{} init` without it writes a configuration to fill in",
            program::name()
        ))
    };
    // Isolated, so that no file of the working directory takes the place of a module.
    let mut python = Command::new("python3")
        .args(["-I", "-c", OPTIONS])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(missing)?;
    // It reads all before it writes anything; where it does not, its answer tells why.
    let _ = python.stdin.take().map(|mut stdin| stdin.write_all(&text));
    let output = python.wait_with_output().map_err(missing)?;
    let found: argparse::Found = serde_json::from_slice(&output.stdout).map_err(|_| {
        let why = String::from_utf8_lossy(&output.stderr);
        let why = why.lines().last().unwrap_or("it said nothing").to_owned();
        Failure::Environment(format!("`python3` did not read `{}`: {why}", path.display()))
    })?;
    match found.error {
        Some(why) => Err(Failure::Usage(format!("`{}` cannot be read as Python: {why}", path.display()))),
        None => Ok(found),
    }
}
