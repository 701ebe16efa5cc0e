//! Opening files that others can touch: regular ones only, without waiting, and read whole only up to a size.
//!
//! A name may lead to a pipe that nobody writes to, to a device without end, or to a folder. Whoever opens one of those is
//! stuck, past every timeout, or runs out of memory. A symbolic link to a regular file is fine, unless somebody else made it to a
//! file that is not theirs ([`super::owner`]). Nothing else in this crate opens files by their names, but what is new
//! (`create_new`) and what the kernel serves (`/proc`, `/sys`).

use super::owner;
use super::{Result, StoreError};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, statat};
use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The most a file of each kind may hold to be read whole; far more than any of them ever needs.
pub mod cap {
    const MIB: u64 = 1 << 20;
    /// What a person writes: a configuration, an import, a template of a script. Parsed, it takes many times its size.
    pub const WRITTEN: u64 = 16 * MIB;
    /// The payload of a surrender, which a repetition's status then holds.
    pub const SURRENDER: u64 = 4 * MIB;
    /// What cw2 writes of one repetition or one plan.
    pub const RECORD: u64 = 64 * MIB;
    /// What grows with the number of repetitions, or of records of metrics.
    pub const NONE: u64 = u64::MAX;
}

/// What each open adds: neither a pipe nor a terminal is waited for, and none of them becomes this process's terminal.
const NEVER_WAIT: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Opens a regular file for reading.
pub fn open(path: &Path) -> io::Result<File> {
    open_at(rustix::fs::CWD, path)
}

/// The same, for a path below an open folder.
pub fn open_at(folder: BorrowedFd<'_>, path: &Path) -> io::Result<File> {
    regular(folder, path, OFlags::RDONLY)
}

/// Opens a folder, to look below it.
pub fn open_folder(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | NEVER_WAIT;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// Opens a regular file to append to, which is created where it is missing. It may be read as well.
pub fn append(path: &Path) -> io::Result<File> {
    let file = regular(rustix::fs::CWD, path, OFlags::RDWR | OFlags::CREATE | OFlags::APPEND)?;
    // A child that gets it as its standard output inherits the flags.
    rustix::fs::fcntl_setfl(&file, OFlags::APPEND)?;
    Ok(file)
}

/// Opens a regular file to read it and to write parts of it, created where it is missing.
pub fn update(path: &Path) -> io::Result<File> {
    regular(rustix::fs::CWD, path, OFlags::RDWR | OFlags::CREATE)
}

/// The same where it exists.
pub fn update_if_there(path: &Path) -> io::Result<File> {
    regular(rustix::fs::CWD, path, OFlags::RDWR)
}

/// Opens a regular file to write it anew; what it held is gone.
pub fn create(path: &Path) -> io::Result<File> {
    let file = regular(rustix::fs::CWD, path, OFlags::WRONLY | OFlags::CREATE)?;
    file.set_len(0)?;
    Ok(file)
}

/// Opens a regular file that only carries a lock, created where it is missing. Network file systems want it open for writing.
pub fn lockable(path: &Path) -> io::Result<File> {
    open_to_lock(path, OFlags::CREATE)
}

/// The same where it exists.
pub fn lockable_if_there(path: &Path) -> io::Result<File> {
    open_to_lock(path, OFlags::empty())
}

fn open_to_lock(path: &Path, more: OFlags) -> io::Result<File> {
    match regular(rustix::fs::CWD, path, OFlags::WRONLY | more) {
        // A lock needs no right to write, where another user made the file.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => open(path).map_err(|_| error),
        result => result,
    }
}

/// Whether a regular file begins with these bytes; `None` where nothing is there.
pub fn begins_with(path: &Path, bytes: &[u8]) -> io::Result<Option<bool>> {
    let file = match open(path) {
        Ok(file) => file,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut head = Vec::new();
    file.take(bytes.len() as u64).read_to_end(&mut head)?;
    Ok(Some(head == bytes))
}

/// Reads a regular file of at most so many bytes.
pub fn read(path: &Path, cap: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    read_into(&open(path)?, cap, &mut bytes)?;
    Ok(bytes)
}

/// The same, as text.
pub fn read_text(path: &Path, cap: u64) -> io::Result<String> {
    let not_text = |_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8");
    String::from_utf8(read(path, cap)?).map_err(not_text)
}

/// The same of a file that may be missing, with its path in errors.
pub fn read_if_there(path: &Path, cap: u64) -> Result<Option<Vec<u8>>> {
    match read(path, cap) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(StoreError::new("read", path, error)),
    }
}

/// Removes a file that may be missing.
pub fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if !is_missing(&error) => Err(StoreError::new("remove", path, error)),
        _ => Ok(()),
    }
}

/// Adds what is left of an open file, of at most so many bytes.
pub fn read_into(file: &File, cap: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
    let size = file.metadata()?.len();
    let fits = |size: u64| {
        let limit = format!("it is larger than {} MiB, the most a file of this kind may be", cap >> 20);
        if size > cap { Err(io::Error::new(ErrorKind::FileTooLarge, limit)) } else { Ok(()) }
    };
    fits(size)?;
    bytes.reserve(usize::try_from(size).unwrap_or(0));
    // It may grow meanwhile.
    fits(file.take(cap.saturating_add(1)).read_to_end(bytes)? as u64)
}

/// Reads what a person named on the command line, of at most so many bytes: a pipe too (`<(…)`, `/dev/stdin`), which is waited
/// for.
pub fn read_given(path: &Path, cap: u64) -> io::Result<Vec<u8>> {
    if kind_of(rustix::fs::CWD, path) != Some(FileType::Fifo) {
        return read(path, cap);
    }
    let mut bytes = Vec::new();
    read_into(&File::open(path)?, cap, &mut bytes)?;
    Ok(bytes)
}

/// Whether an open file is the one at this path, and not one that was there before.
pub fn is_at(file: &File, path: &Path) -> bool {
    let there = std::fs::metadata(path);
    there.is_ok_and(|there| file.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (there.dev(), there.ino())))
}

/// Whether nothing is there.
pub fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn regular(folder: BorrowedFd<'_>, path: &Path, flags: OFlags) -> io::Result<File> {
    // The umask applies, as with any other file.
    let open = |flags| rustix::fs::openat(folder, path, flags | NEVER_WAIT, Mode::from_raw_mode(0o666));
    let file = match open(flags | OFlags::NOFOLLOW) {
        Err(rustix::io::Errno::LOOP) => return through_link(folder, path, flags, open),
        file => file,
    };
    fit(folder, path, file)
}

/// Opens what a symbolic link leads to.
fn through_link(
    folder: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    open: impl Fn(OFlags) -> rustix::io::Result<OwnedFd>,
) -> io::Result<File> {
    let maker = statat(folder, path, AtFlags::SYMLINK_NOFOLLOW)?.st_uid;
    if owner::is_own(maker) {
        return fit(folder, path, open(flags));
    }
    // Nothing is created where a stranger says, and who owns what was opened is asked of the open file.
    let file = fit(folder, path, open(flags.difference(OFlags::CREATE)))?;
    if rustix::fs::fstat(file.as_fd())?.st_uid != maker {
        return Err(owner::planted(maker));
    }
    Ok(file)
}

fn fit(folder: BorrowedFd<'_>, path: &Path, file: rustix::io::Result<OwnedFd>) -> io::Result<File> {
    let file = File::from(file.map_err(|error| match kind_of(folder, path) {
        // A folder, a socket and a pipe without a reader do not even open for writing: say what it is, not what the system says.
        Some(kind) if kind != FileType::RegularFile && error != rustix::io::Errno::ACCESS => unfit(kind),
        _ => error.into(),
    })?);
    match FileType::from_raw_mode(rustix::fs::fstat(file.as_fd())?.st_mode) {
        FileType::RegularFile => Ok(file),
        kind => Err(unfit(kind)),
    }
}

/// Whether a regular file is there.
pub fn is_regular(folder: BorrowedFd<'_>, path: &Path) -> bool {
    kind_of(folder, path) == Some(FileType::RegularFile)
}

fn kind_of(folder: BorrowedFd<'_>, path: &Path) -> Option<FileType> {
    statat(folder, path, AtFlags::empty()).ok().map(|stat| FileType::from_raw_mode(stat.st_mode))
}

fn unfit(kind: FileType) -> io::Error {
    let what = match kind {
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something else",
    };
    io::Error::new(ErrorKind::InvalidInput, format!("it is {what}, not a file"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    #[test]
    fn only_regular_files_are_opened_and_never_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "text").unwrap();
        fs::create_dir(at("folder")).unwrap();
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        symlink("file", at("link")).unwrap();
        symlink("fifo", at("to_fifo")).unwrap();
        symlink("loop", at("loop")).unwrap();
        symlink("/dev/zero", at("zero")).unwrap();
        for (name, expected) in [
            ("folder", "a directory"),
            ("fifo", "a FIFO"),
            ("to_fifo", "a FIFO"),
            ("socket", "a socket"),
            ("zero", "a device"),
            ("loop", "symbolic links"),
        ] {
            for result in [open(&at(name)), append(&at(name)), create(&at(name)), lockable(&at(name))] {
                let error = result.unwrap_err().to_string();
                assert!(error.contains(expected), "{name}: {error}");
            }
        }
        for name in ["file", "link"] {
            assert_eq!(read(&at(name), 4).unwrap(), b"text");
            assert_eq!(read(&at(name), 3).unwrap_err().kind(), ErrorKind::FileTooLarge);
        }
        append(&at("link")).unwrap().write_all(b" more").unwrap();
        assert_eq!(read_text(&at("file"), 10).unwrap(), "text more");
        create(&at("link")).unwrap().write_all(b"new").unwrap();
        assert_eq!(read_given(&at("file"), 10).unwrap(), b"new");
        assert!(read_given(&at("zero"), 10).is_err());
        assert_eq!(read_if_there(&at("nowhere"), 1).unwrap(), None);
        assert_eq!(read_if_there(&at("file/below"), 1).unwrap(), None);
    }

    #[test]
    fn what_a_child_gets_has_no_strange_flags() {
        let dir = tempfile::tempdir().unwrap();
        let file = append(&dir.path().join("new")).unwrap();
        assert!(!rustix::fs::fcntl_getfl(&file).unwrap().contains(OFlags::NONBLOCK));
        assert!(rustix::fs::fcntl_getfl(&file).unwrap().contains(OFlags::APPEND));
    }

    #[test]
    fn a_pipe_that_was_named_is_read_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for (cap, expected) in [(9, Some(b"from afar".to_vec())), (8, None)] {
            std::thread::scope(|scope| {
                scope.spawn(|| fs::write(&path, "from afar").unwrap());
                assert_eq!(read_given(&path, cap).ok(), expected);
            });
        }
    }
}
