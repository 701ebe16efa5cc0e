//! What several commands print of a plan.

use crate::ops::draft::Frozen;
use crate::ops::failure::Failure;
use crate::ops::here::shown;
use crate::run::quote::word;
use std::io::Write as _;

/// The scripts' paths; of a dry run, the scripts.
pub(super) fn scripts(frozen: &Frozen) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    // What calls `on_finish` is no array: `sbatch` alone would start it at once.
    let finish = frozen.finish.iter().filter(|_| frozen.folder.is_none());
    let several = frozen.scripts.len() + usize::from(frozen.finish.is_some()) > 1;
    for (number, (script, text)) in frozen.scripts.iter().chain(finish).enumerate() {
        if let Some(folder) = &frozen.folder {
            writeln!(out, "{}", folder.join(script).display())?;
            continue;
        }
        if several {
            let gap = if number > 0 { "\n" } else { "" };
            writeln!(out, "{gap}# ---- {script} ----")?;
        }
        out.write_all(text.as_bytes())?;
    }
    Ok(out.flush()?)
}

/// What can be done with the scripts.
pub(super) fn next(frozen: &Frozen, dry_run: bool, program: &str) {
    if dry_run {
        tell!("dry run: nothing was written");
        return;
    }
    // To be pasted.
    let Some(folder) = frozen.folder.as_deref().and_then(|folder| word(&shown(folder)).ok()) else { return };
    match frozen.scripts.as_slice() {
        [] => {}
        [_] => tell!("submit it with `{program} submit {folder}`"),
        // `sbatch` takes one script; it would take the others for that one's arguments.
        [_, _, ..] => tell!("submit each of them on its own, or all with `{program} submit {folder}`"),
    }
    if frozen.finish.is_some() {
        tell!(
            "`on_finish` is called where `{program} submit` submits it: `sbatch` does not know when all of it has ended"
        );
    }
}
