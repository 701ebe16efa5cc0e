//! Paths as texts: what can be said of one without looking at the disk.

use std::path::{Component, Path, PathBuf};

/// A path without `.` and `a/..`, by its text alone, as the original cleans it; a symbolic link on the way may lead elsewhere.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => match out.components().next_back() {
                Some(Component::Normal(_)) => {
                    out.pop();
                }
                Some(Component::RootDir) => {}
                _ => out.push(".."),
            },
            other => out.push(other),
        }
    }
    if out.as_os_str().is_empty() { PathBuf::from(".") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dots_go() {
        for (path, expected) in [
            ("out", "out"),
            ("./out/", "out"),
            ("a/../out", "out"),
            ("../../a/./b", "../../a/b"),
            ("a/../../b", "../b"),
            ("/../a", "/a"),
            ("/a/../..", "/"),
            ("a/..", "."),
            ("", "."),
        ] {
            assert_eq!(clean(Path::new(path)), Path::new(expected), "{path}");
        }
    }

    proptest! {
        #[test]
        fn absolute_paths_have_no_dots(path in "(/|\\.|[ab]){0,12}") {
            let path = clean(&Path::new("/").join(path));
            prop_assert!(path.has_root() && path.components().all(|part| part != Component::ParentDir), "{path:?}");
            prop_assert_eq!(clean(&path), path);
        }
    }
}
