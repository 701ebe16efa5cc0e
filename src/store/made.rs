//! Folders that are created on the way to a place, to be removed again where nothing comes of it.

use super::{Result, StoreError};
use std::fs;
use std::path::{Path, PathBuf};

/// The folders that were created for something; those that are empty in the end are removed.
#[derive(Debug)]
pub(super) struct MadeFolders(Vec<PathBuf>);

impl MadeFolders {
    /// Creates a folder and those above it, where they are missing.
    pub(super) fn make(folder: &Path) -> Result<Self> {
        let missing = |folder: &&Path| !folder.as_os_str().is_empty() && !super::exists(folder);
        let made = MadeFolders(folder.ancestors().take_while(missing).map(Path::to_owned).collect());
        fs::create_dir_all(folder).map_err(|source| StoreError::new("create", folder, source))?;
        Ok(made)
    }
}

impl Drop for MadeFolders {
    fn drop(&mut self) {
        // A folder that holds something is refused by the system, and so are all above it.
        let _ = self.0.iter().try_for_each(fs::remove_dir);
    }
}
