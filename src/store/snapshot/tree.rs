//! What of a source is code: its files without those that are ignored.

use super::super::{Result, StoreError};
use ignore::{DirEntry, WalkBuilder};
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Ignores more, or with `!` less, than `.gitignore` does.
const OWN_IGNORE: &str = ".cw2ignore";

/// The entries of a source that a snapshot has.
#[derive(Debug)]
pub struct Tree {
    /// The source, without symbolic links.
    pub source: PathBuf,
    /// The permission bits of the source itself.
    pub mode: u32,
    /// Every entry, a folder before what is in it.
    pub entries: Vec<Entry>,
}

/// A file, folder or symbolic link.
#[derive(Debug)]
pub struct Entry {
    /// Relative to the source.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Its permission bits.
    pub mode: u32,
    /// When it was changed last.
    pub modified: SystemTime,
}

/// What an entry is.
#[derive(Debug)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file of so many bytes.
    File(u64),
    /// A symbolic link, with the target it has in a copy.
    Link(PathBuf),
}

impl Tree {
    /// Lists all of a copy.
    pub fn all(copy: &Path) -> Result<Self> {
        Self::walk(copy, WalkBuilder::new(copy).standard_filters(false))
    }

    /// Lists `source`, which is resolved, without the folders in `leave_out` (resolved too).
    ///
    /// Never copied are `.git`, compiled Python (`*.pyc`, `__pycache__`), and what is neither file, folder nor link.
    pub fn list(source: &Path, leave_out: &[PathBuf]) -> Result<Self> {
        let left_out = leave_out.to_owned();
        let in_repository = source.ancestors().any(|folder| super::super::exists(&folder.join(".git")));
        let mut walk = WalkBuilder::new(source);
        walk.hidden(false)
            .ignore(false)
            .git_global(false)
            .git_exclude(false)
            // In a repository, files up to its top have a say, and none above; elsewhere only those of the source.
            .require_git(in_repository)
            .parents(in_repository)
            .add_custom_ignore_filename(OWN_IGNORE)
            .filter_entry(move |entry| !is_clutter(entry) && !left_out.iter().any(|path| path == entry.path()));
        Self::walk(source, &mut walk)
    }

    fn walk(source: &Path, walk: &mut WalkBuilder) -> Result<Self> {
        let metadata = fs::metadata(source).map_err(|error| StoreError::new("copy the code from", source, error))?;
        if !metadata.is_dir() {
            let error = std::io::Error::from(std::io::ErrorKind::NotADirectory);
            return Err(StoreError::new("copy the code from", source, error));
        }
        let walk = walk.follow_links(false).sort_by_file_name(std::cmp::Ord::cmp).build();
        let mut entries = Vec::new();
        for entry in walk {
            let entry = entry.map_err(|error| unreadable(source, &error))?;
            if entry.depth() > 0 {
                entries.extend(Self::entry(source, &entry)?);
            }
        }
        let mut tree = Tree { source: source.to_owned(), mode: metadata.mode() & 0o777, entries };
        tree.relink();
        Ok(tree)
    }

    fn entry(source: &Path, entry: &DirEntry) -> Result<Option<Entry>> {
        let fail = |error| StoreError::new("read", entry.path(), error);
        let metadata = match fs::symlink_metadata(entry.path()) {
            Ok(metadata) => metadata,
            // Somebody's temporary file.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fail(error)),
        };
        let file_type = metadata.file_type();
        let kind = if file_type.is_dir() {
            Kind::Folder
        } else if file_type.is_file() {
            Kind::File(metadata.len())
        } else if file_type.is_symlink() {
            Kind::Link(fs::read_link(entry.path()).map_err(fail)?)
        } else {
            let what = if file_type.is_socket() { "a socket" } else { "a device or pipe" };
            log::info!("not in the code snapshot: `{}` is {what}", entry.path().display());
            return Ok(None);
        };
        let path = entry.path().strip_prefix(source).unwrap_or(entry.path()).to_owned();
        let modified = metadata.modified().map_err(fail)?;
        Ok(Some(Entry { path, kind, mode: metadata.mode() & 0o777, modified }))
    }

    /// Gives the links the targets they need in a copy.
    fn relink(&mut self) {
        let source = &self.source;
        let known: HashSet<PathBuf> = self.entries.iter().map(|entry| entry.path.clone()).collect();
        for entry in &mut self.entries {
            if let Kind::Link(target) = &mut entry.kind {
                *target = crate::plan::code::relink(source, &entry.path, target, |inner| known.contains(inner));
            }
        }
    }

    /// The files, folders and links that one of two trees has, or has otherwise than the other. What has the same size and time is
    /// taken for the same.
    pub fn differences(&self, other: &Tree) -> Result<Vec<PathBuf>> {
        let mut theirs: BTreeMap<&Path, &Entry> =
            other.entries.iter().map(|entry| (entry.path.as_path(), entry)).collect();
        let mut found = Vec::new();
        for entry in &self.entries {
            let same = match theirs.remove(entry.path.as_path()) {
                None => false,
                Some(their) => match (&entry.kind, &their.kind) {
                    (Kind::Folder, Kind::Folder) => true,
                    (Kind::Link(a), Kind::Link(b)) => a == b,
                    (Kind::File(a), Kind::File(b)) if a != b => false,
                    (Kind::File(_), Kind::File(_)) if entry.modified == their.modified => true,
                    (Kind::File(_), Kind::File(_)) => {
                        let read = |tree: &Tree, path: &Path| super::super::read_large(&tree.source.join(path));
                        read(self, &entry.path)? == read(other, &their.path)?
                    }
                    _ => false,
                },
            };
            if !same {
                found.push(entry.path.clone());
            }
        }
        found.extend(theirs.into_keys().map(Path::to_owned));
        found.sort_unstable();
        Ok(found)
    }

    /// Each file and link, with its size.
    pub fn files(&self) -> impl Iterator<Item = (&Path, u64)> + Clone {
        self.entries.iter().filter_map(|entry| match entry.kind {
            Kind::Folder => None,
            Kind::File(size) => Some((entry.path.as_path(), size)),
            Kind::Link(_) => Some((entry.path.as_path(), 0)),
        })
    }
}

fn is_clutter(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    entry.depth() > 0
        && (name == ".git"
            || name == "__pycache__"
            || Path::new(name).extension().is_some_and(|extension| extension == "pyc"))
}

fn unreadable(source: &Path, error: &ignore::Error) -> StoreError {
    let text = error.to_string();
    let kind = error.io_error().map_or(std::io::ErrorKind::Other, std::io::Error::kind);
    let advice = format!("{text}; leave it out with a line in `{OWN_IGNORE}`");
    StoreError::new("copy the code from", source, std::io::Error::new(kind, advice))
}
