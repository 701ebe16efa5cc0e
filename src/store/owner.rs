//! Whose files are whose, in folders that several users write in.
//!
//! Two things of a stranger's are not taken for one's own: a symbolic link, which could lead what is written into any file of
//! this user's, or show that file's text to others; and a plan, whose commands would run as this user.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

const ROOT: u32 = 0;
/// Of files whose owner this machine cannot name (`/proc/sys/kernel/overflowuid`), one's own among them.
const UNKNOWN: u32 = 65534;

/// Whether a user's files count as this user's own.
pub(super) fn is_own(user: u32) -> bool {
    user == ROOT || user == UNKNOWN || user == rustix::process::geteuid().as_raw()
}

/// The owner of a folder, where that is a stranger.
pub fn stranger(folder: &Path) -> io::Result<Option<u32>> {
    let owner = std::fs::metadata(folder)?.uid();
    // There are mounts on which every file seems to be somebody else's, also what is made only now.
    let made_here = || tempfile::tempfile_in(folder).and_then(|file| file.metadata()).map(|made| made.uid());
    Ok(Some(owner).filter(|owner| !is_own(*owner) && made_here().ok() != Some(*owner)))
}

/// Whether everybody may rename and replace what lies in a folder.
pub fn open_to_all(folder: &Path) -> bool {
    // With the sticky bit, each may do so with what is theirs.
    std::fs::metadata(folder).is_ok_and(|found| found.is_dir() && found.mode() & 0o1002 == 0o002)
}

/// A user's name, or number where it has none.
pub fn name(user: u32) -> String {
    let found = nix::unistd::User::from_uid(user.into()).ok().flatten();
    found.map_or_else(|| user.to_string(), |user| user.name)
}

/// Refuses a symbolic link that a stranger made to what is not that stranger's. Anything else passes, nothing at all too.
pub(super) fn check_link(path: &Path) -> io::Result<()> {
    let link = match std::fs::symlink_metadata(path) {
        Ok(link) if link.is_symlink() && !is_own(link.uid()) => link,
        Err(error) if !super::files::is_missing(&error) => return Err(error),
        _ => return Ok(()),
    };
    match std::fs::metadata(path) {
        Ok(target) if target.uid() == link.uid() => Ok(()),
        _ => Err(planted(link.uid())),
    }
}

pub(super) fn planted(user: u32) -> io::Error {
    let text =
        format!("it is a link that user `{}` made to what is not theirs; remove it, or ask them why", name(user));
    io::Error::other(text)
}
