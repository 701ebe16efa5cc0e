//! A copy of a repetition's directory, to try something out in: beside it, so that links in it lead where they led.

use super::made::MadeFolders;
use super::snapshot::Sharing;
use super::{Result, StoreError, files};
use crate::plan::layout::rep as names;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A scratch copy, which goes when it is dropped.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    // After the folder: what was made to hold it goes too.
    _made: Option<MadeFolders>,
}

impl Scratch {
    /// Copies the directory of a repetition, which may be missing. `whole` is with what cw2 keeps of it, for an attempt that
    /// resumes; without it only with what the repetition saved there.
    pub fn copy(dir: &Path, whole: bool) -> Result<Self> {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        let prefix = format!(".exec-{name}-");
        let beside = || -> std::io::Result<_> {
            let folder = dir.parent().ok_or(ErrorKind::NotFound)?;
            let made = MadeFolders::make(folder).map_err(|error| std::io::Error::from(error.kind()))?;
            Ok((tempfile::Builder::new().prefix(&prefix).tempdir_in(folder)?, Some(made)))
        };
        // Somebody else's results.
        let (folder, made) = match beside() {
            Ok(beside) => beside,
            Err(error) => {
                log::info!("note: the scratch copy is not beside `{}`: {error}", dir.display());
                let folder = tempfile::Builder::new().prefix("cw2-exec-").tempdir();
                (folder.map_err(|source| StoreError::new("create", &std::env::temp_dir(), source))?, None)
            }
        };
        let scratch = Scratch { folder, _made: made };
        if dir.is_dir() {
            copy(dir, scratch.path(), &|name| whole || !names::is_own(name), &Sharing::default())?;
        }
        Ok(scratch)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Leaves it there.
    pub fn keep(self) -> PathBuf {
        self.folder.keep()
    }
}

fn copy(from: &Path, to: &Path, wanted: &dyn Fn(&str) -> bool, sharing: &Sharing) -> Result<()> {
    let unreadable = |source| StoreError::new("read", from, source);
    for entry in fs::read_dir(from).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let (name, from) = (entry.file_name(), entry.path());
        if !wanted(&name.to_string_lossy()) {
            continue;
        }
        let to = to.join(&name);
        let fail = |source| StoreError::new("copy", &from, source);
        let kind = entry.file_type().map_err(fail)?;
        if kind.is_dir() {
            fs::create_dir(&to).map_err(|source| StoreError::new("create", &to, source))?;
            copy(&from, &to, &|_| true, sharing)?;
        } else if kind.is_symlink() {
            fs::read_link(&from).and_then(|target| symlink(target, &to)).map_err(fail)?;
        } else if kind.is_file() {
            let mut original = match files::open(&from) {
                Ok(file) => file,
                // It runs, and removes what it no longer needs.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(fail(error)),
            };
            let permissions = original.metadata().map_err(fail)?.permissions();
            let mut new = files::create(&to).map_err(fail)?;
            sharing.clone_or_copy(&mut original, &mut new).map_err(fail)?;
            new.set_permissions(permissions).map_err(fail)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_holds_what_was_saved_and_goes_without_a_trace() {
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().join("run/log/rep_00");
        let scratch = Scratch::copy(&dir, true).unwrap();
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
        drop(scratch);
        assert!(!top.path().join("run").exists());

        fs::create_dir_all(dir.join("sub/deep")).unwrap();
        for name in ["model.pt", "sub/deep/x", names::STATUS, names::OUT] {
            fs::write(dir.join(name), name).unwrap();
        }
        symlink("../../shared", dir.join("link")).unwrap();
        nix::unistd::mkfifo(&dir.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for (whole, expected) in [(false, false), (true, true)] {
            let scratch = Scratch::copy(&dir, whole).unwrap();
            assert_eq!(scratch.path().parent(), dir.parent());
            assert_eq!(fs::read_to_string(scratch.path().join("model.pt")).unwrap(), "model.pt");
            assert_eq!(fs::read_to_string(scratch.path().join("sub/deep/x")).unwrap(), "sub/deep/x");
            assert_eq!(fs::read_link(scratch.path().join("link")).unwrap(), Path::new("../../shared"));
            assert!(!scratch.path().join("fifo").exists());
            assert_eq!(scratch.path().join(names::STATUS).exists(), expected);
            assert_eq!(scratch.path().join(names::OUT).exists(), expected);
        }
        assert_eq!(fs::read_dir(dir.parent().unwrap()).unwrap().count(), 1);
    }
}
