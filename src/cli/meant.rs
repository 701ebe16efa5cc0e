//! Commands that do not exist, and the ones that are meant: other tools' words, and the original's command line.

use super::command;
use crate::ops::program;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;
use std::path::Path;

/// What people type, and what does that.
const MEANT: &[(&[&str], &str)] = &[
    (&["stop", "kill", "abort", "scancel", "terminate"], "cancel"),
    (&["rerun", "restart", "resume", "resubmit", "repeat", "again", "continue"], "retry"),
    (&["ls", "runs", "dir", "experiments"], "list"),
    (&["sbatch", "launch", "enqueue", "send"], "submit"),
    (&["start", "local", "execute", "go"], "run"),
    (&["compile", "prepare", "generate", "create", "freeze", "expand", "check", "validate"], "plan"),
    (&["cluster", "diagnose", "info", "sinfo", "partitions", "limits"], "doctor"),
    (&["queue", "squeue", "ps", "progress", "watch", "state", "stat", "sacct", "monitor"], "status"),
    (&["log", "tail", "cat", "output", "err", "errors"], "logs"),
    (&["table", "export", "metrics", "result", "csv", "collect", "gather"], "results"),
    (&["plot", "plots", "html", "dashboard", "view"], "report"),
    (&["rm", "remove", "delete", "drop", "clean", "prune"], "forget"),
    (&["config", "resolve", "inspect", "describe", "cfg"], "show"),
    (&["debug", "sh", "shell", "attach", "reproduce"], "exec"),
    (&["new", "starter", "template", "scaffold"], "init"),
    (&["completion", "complete", "autocomplete"], "completions"),
];

/// Tells what was meant by a command line that clap refuses. Whether anything is known.
pub(super) fn tell_meant(error: &clap::Error, words: &[OsString]) -> bool {
    let commands = command();
    if words.iter().skip(1).any(|word| commands.find_subcommand(word).is_some()) {
        return false;
    }
    if let Some(config) = words.iter().skip(1).find(|word| is_config(Path::new(word))) {
        tell_of_config(&config.to_string_lossy());
        return true;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return false };
    let plain = word.to_lowercase();
    let Some((_, meant)) = MEANT.iter().find(|(words, _)| words.contains(&plain.as_str())) else { return false };
    let about = commands.find_subcommand(meant).and_then(clap::Command::get_about).map(ToString::to_string);
    tell!(
        "error: there is no command `{word}`\n = help: `{0} {meant}`: {1}",
        program::name(),
        about.unwrap_or_default()
    );
    error.kind() == ErrorKind::InvalidSubcommand
}

/// The original takes the configuration first, and what to do with it as a flag.
fn tell_of_config(config: &str) {
    let cw2 = program::name();
    let config = crate::run::quote::word(config).unwrap_or_else(|_| config.to_owned());
    tell!(
        "error: a command comes before the configuration\n \
         = help: `{cw2} plan {config}` writes the sbatch scripts (the original's `-s`), `{cw2} submit {config}` submits them too, \
         `{cw2} run {config}` runs everything here"
    );
}

fn is_config(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "yml" || end == "yaml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_exists_and_what_is_typed_does_not() {
        let commands = command();
        let mut seen = Vec::new();
        for (words, meant) in MEANT {
            assert!(commands.find_subcommand(meant).is_some_and(|command| !command.is_hide_set()), "{meant}");
            for word in *words {
                assert!(commands.find_subcommand(word).is_none(), "{word} is a command");
                assert!(!seen.contains(word), "{word} stands twice");
                seen.push(*word);
            }
        }
    }
}
