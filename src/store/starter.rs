//! Files that a person asked for, in a folder of their own: all of them, or none, and never in the place of another one.

use super::{Result, StoreError, create_folder};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A file to be written.
#[derive(Debug)]
pub struct NewFile {
    /// Its path in the folder.
    pub name: &'static str,
    /// What it holds.
    pub text: String,
    /// Whether it is a program.
    pub executable: bool,
}

/// Writes files that are not there yet. Where one cannot be written, those before it go again.
pub fn write(folder: &Path, files: &[NewFile]) -> Result<()> {
    let mut written: Vec<PathBuf> = Vec::new();
    for file in files {
        let path = folder.join(file.name);
        let result = path.parent().map_or(Ok(()), create_folder).and_then(|()| {
            let mode = if file.executable { 0o777 } else { 0o666 };
            let mut open = OpenOptions::new();
            let new = open.write(true).create_new(true).mode(mode).open(&path);
            let mut new = new.map_err(|source| StoreError::new("create", &path, source))?;
            written.push(path.clone());
            new.write_all(file.text.as_bytes()).map_err(|source| StoreError::new("write", &path, source))
        });
        if let Err(error) = result {
            for path in &written {
                // What cannot be removed was made by this call, and holds nothing of anybody's.
                let _ = fs::remove_file(path);
            }
            return Err(error);
        }
    }
    Ok(())
}
