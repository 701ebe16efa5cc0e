//! Where this program runs: on which machine, and from which directory its paths are told.

use crate::config::Surroundings;
use std::path::{Path, PathBuf};

/// This machine's name, empty where it has none.
pub fn hostname() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The user that runs this program, by name; by number where it has none.
pub fn user() -> String {
    let id = nix::unistd::getuid();
    nix::unistd::User::from_uid(id).ok().flatten().map_or_else(|| id.to_string(), |user| user.name)
}

/// What `~` and `${env:…}` in a configuration stand for here.
pub fn surroundings() -> Surroundings {
    Surroundings { variables: std::env::vars_os().collect(), home_of: Some(home_of) }
}

/// The home folder of a user.
fn home_of(user: &str) -> Option<PathBuf> {
    Some(nix::unistd::User::from_name(user).ok()??.dir)
}

/// A path as people see it: relative to the working directory where it lies below it.
pub fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let below = here.as_deref().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path);
    if below.as_os_str().is_empty() { ".".to_owned() } else { below.to_string_lossy().into_owned() }
}
