//! Reading logs: whole, from the end, and while they grow. Bytes, for a log need not be text.

use super::{Result, StoreError, files};
use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Read at a time.
const BLOCK: usize = 1 << 16;

/// Why a log was not copied.
#[derive(Debug)]
pub enum CopyError {
    /// The log cannot be read.
    Read(StoreError),
    /// Nobody takes it.
    Write(std::io::Error),
}

/// The length of a log; `None` where there is none.
pub fn length(path: &Path) -> Result<Option<u64>> {
    match files::open(path).and_then(|file| file.metadata()) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if files::is_missing(&error) => Ok(None),
        Err(error) => Err(StoreError::new("read", path, error)),
    }
}

/// The end of the file that this process's standard error goes to, at most so many bytes; nothing where that is no file.
pub fn of_standard_error(limit: u64) -> String {
    end_of(Path::new("/proc/self/fd/2"), limit).unwrap_or_default()
}

/// The end of a log, at most so many bytes.
pub fn end_of(path: &Path, limit: u64) -> std::io::Result<String> {
    end_and_break(path, limit).map(|(text, _)| text.trim_end().to_owned())
}

/// The beginning of a log, at most so many bytes.
pub fn beginning_of(path: &Path, limit: u64) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    files::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The end of a log as it is, at most so many bytes, and whether it ends in a line break.
pub(super) fn end_and_break(path: &Path, limit: u64) -> std::io::Result<(String, bool)> {
    let file = files::open(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(limit);
    let mut bytes = vec![0; usize::try_from(length - start).unwrap_or(0)];
    let read = file.read_at(&mut bytes, start)?;
    bytes.truncate(read);
    let text = String::from_utf8_lossy(&bytes);
    let whole = if start > 0 { text.split_once('\n').map_or(&*text, |(_, rest)| rest) } else { &text };
    Ok((whole.to_owned(), whole.ends_with('\n')))
}

/// A log that is read from where the last look ended.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: Option<File>,
    at: u64,
}

impl Log {
    /// The log at `path`, from the last `tail` lines on, or from its start. It may not exist yet.
    pub fn open(path: &Path, tail: Option<u64>) -> Result<Self> {
        let mut log = Log { path: path.to_owned(), file: None, at: 0 };
        log.reopen()?;
        if let (Some(file), Some(lines)) = (&log.file, tail) {
            log.at = start_of_last(file, lines).map_err(|source| StoreError::new("read", path, source))?;
        }
        Ok(log)
    }

    fn reopen(&mut self) -> Result<()> {
        match files::open(&self.path) {
            Ok(file) => (self.file, self.at) = (Some(file), 0),
            Err(error) if files::is_missing(&error) => {}
            Err(error) => return Err(StoreError::new("open", &self.path, error)),
        }
        Ok(())
    }

    /// Whether another file has taken its place, or it was cut: then it is read from the start again.
    pub fn renewed(&mut self) -> Result<bool> {
        let Some(file) = &self.file else {
            self.reopen()?;
            return Ok(false);
        };
        let now = match std::fs::metadata(&self.path) {
            Ok(now) => now,
            Err(error) if files::is_missing(&error) => return Ok(false),
            Err(error) => return Err(StoreError::new("read", &self.path, error)),
        };
        let open = file.metadata().map_err(|source| StoreError::new("read", &self.path, source))?;
        if (now.dev(), now.ino()) == (open.dev(), open.ino()) && now.len() >= self.at {
            return Ok(false);
        }
        self.reopen()?;
        Ok(true)
    }

    /// Copies what is new; returns how many bytes that were.
    pub fn copy(&mut self, out: &mut dyn Write) -> std::result::Result<u64, CopyError> {
        let Some(file) = &mut self.file else { return Ok(0) };
        let fail = |source| CopyError::Read(StoreError::new("read", &self.path, source));
        file.seek(SeekFrom::Start(self.at)).map_err(fail)?;
        let mut block = vec![0; BLOCK];
        let start = self.at;
        loop {
            let length = match file.read(&mut block) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(fail(error)),
            };
            out.write_all(block.get(..length).unwrap_or_default()).map_err(CopyError::Write)?;
            self.at += length as u64;
        }
        Ok(self.at - start)
    }
}

/// Where the last `lines` lines start.
fn start_of_last(file: &File, lines: u64) -> std::io::Result<u64> {
    let length = file.metadata()?.len();
    if lines == 0 {
        return Ok(length);
    }
    let (mut end, mut found) = (length, 0);
    let mut block = vec![0; BLOCK];
    while end > 0 {
        let start = end.saturating_sub(BLOCK as u64);
        let size = usize::try_from(end - start).unwrap_or(BLOCK);
        let Some(part) = block.get_mut(..size) else { return Ok(0) };
        file.read_exact_at(part, start)?;
        for (offset, byte) in part.iter().enumerate().rev() {
            let place = start + offset as u64;
            // The break that ends the last line begins no other.
            if *byte == b'\n' && place + 1 != length {
                found += 1;
                if found == lines {
                    return Ok(place + 1);
                }
            }
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_found_from_the_end() {
        let mut file = tempfile::tempfile().unwrap();
        let long = "x".repeat(BLOCK);
        file.write_all(format!("one\n{long}\nthree\n\nfive").as_bytes()).unwrap();
        let rest = |lines| {
            let start = usize::try_from(start_of_last(&file, lines).unwrap()).unwrap();
            format!("one\n{long}\nthree\n\nfive").get(start..).unwrap().replace(&long, "…")
        };
        for (lines, expected) in [
            (0, ""),
            (1, "five"),
            (2, "\nfive"),
            (3, "three\n\nfive"),
            (4, "…\nthree\n\nfive"),
            (9, "one\n…\nthree\n\nfive"),
        ] {
            assert_eq!(rest(lines), expected, "{lines}");
        }
        file.write_all(b"\n").unwrap();
        assert_eq!(start_of_last(&file, 1).unwrap(), start_of_last(&file, 2).unwrap() + 1);
    }

    #[test]
    fn what_grows_is_copied_once_and_what_is_rewritten_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Log::open(&path, Some(1)).unwrap();
        let look = |log: &mut Log| {
            let renewed = log.renewed().unwrap();
            let mut out = Vec::new();
            log.copy(&mut out).unwrap();
            (renewed, out)
        };
        assert_eq!(look(&mut log), (false, b"".to_vec()));
        std::fs::write(&path, b"a\xff\n").unwrap();
        assert_eq!(look(&mut log), (false, b"a\xff\n".to_vec()));
        assert_eq!(look(&mut log), (false, b"".to_vec()));
        File::options().append(true).open(&path).unwrap().write_all(b"b").unwrap();
        assert_eq!(look(&mut log), (false, b"b".to_vec()));
        // Cut, then replaced by a longer one.
        std::fs::write(&path, b"c").unwrap();
        assert_eq!(look(&mut log), (true, b"c".to_vec()));
        std::fs::write(dir.path().join("new"), b"longer").unwrap();
        std::fs::rename(dir.path().join("new"), &path).unwrap();
        assert_eq!(look(&mut log), (true, b"longer".to_vec()));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(look(&mut log), (false, b"".to_vec()));
    }
}
