//! What becomes of a symbolic link in a copy.

use crate::paths::clean;
use std::path::{Component, Path, PathBuf};

/// The target a link must have in the copy. `link` is the link's path relative to the source, `copied` tells whether an entry of
/// the source is in the copy.
///
/// A relative link that stays inside is kept as it is. One that leads out becomes absolute, since the copy lies elsewhere. One
/// that comes back in by the source's name, and an absolute one into the source, leads into the copy: otherwise a job would
/// see what is edited while it waits.
pub fn relink(source: &Path, link: &Path, target: &Path, copied: impl Fn(&Path) -> bool) -> PathBuf {
    let folder = link.parent().unwrap_or(Path::new(""));
    let leads_to = clean(&source.join(folder).join(target));
    if target.is_relative() && !climbs_out(folder, target) {
        return target.to_owned();
    }
    match leads_to.strip_prefix(source) {
        Ok(inner) if inner.as_os_str().is_empty() || target.is_relative() || copied(inner) => {
            let mut relative: PathBuf = folder.components().map(|_| Component::ParentDir).collect();
            relative.push(inner);
            if relative.as_os_str().is_empty() { PathBuf::from(".") } else { relative }
        }
        Err(_) if target.is_relative() => leads_to,
        _ => target.to_owned(),
    }
}

/// Whether the way from a folder of the source leaves the source, even if it comes back by the source's name.
fn climbs_out(folder: &Path, target: &Path) -> bool {
    let mut depth = folder.components().count();
    target.components().any(|part| match part {
        Component::ParentDir if depth == 0 => true,
        Component::ParentDir => {
            depth -= 1;
            false
        }
        Component::Normal(_) => {
            depth += 1;
            false
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_into_the_copy_and_out_of_it() {
        let to =
            |link: &str, target: &str| relink(Path::new("/home/u/p"), Path::new(link), Path::new(target), |_| true);
        assert_eq!(to("a/link", "../b"), Path::new("../b"));
        assert_eq!(to("a/link", "../../data"), Path::new("/home/u/data"));
        assert_eq!(to("a/link", "/home/u/p/b/c"), Path::new("../b/c"));
        assert_eq!(to("a/link", "/data"), Path::new("/data"));
    }
}
