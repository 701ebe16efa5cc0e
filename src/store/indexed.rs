//! Files of lines that are found by number: `name.jsonl` and, beside it, `name.idx` with the end of each line as a
//! little-endian 64-bit offset. Reading line `n` takes two reads whatever the file's length.

use super::{Error, Result, files};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

const OFFSET: u64 = 8;

/// What is read without a look at the file's length: a damaged index must not ask for all memory.
const LONG_LINE: u64 = 1 << 20;

fn index_path(path: &Path) -> PathBuf {
    path.with_extension("idx")
}

/// Appends lines to a new file.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    lines: BufWriter<File>,
    index: BufWriter<File>,
    end: u64,
}

impl Writer {
    /// Creates the file and its index; both must be new.
    pub fn create(path: &Path) -> Result<Self> {
        let create = |path: &Path| {
            File::create_new(path)
                .map(|f| BufWriter::with_capacity(1 << 16, f))
                .map_err(|e| Error::new("create", path, e))
        };
        Ok(Writer { path: path.to_owned(), lines: create(path)?, index: create(&index_path(path))?, end: 0 })
    }

    /// Appends a line, which must not hold a line break.
    pub fn push(&mut self, line: &str) -> Result<()> {
        debug_assert!(!line.contains('\n'));
        self.end += line.len() as u64 + 1;
        let end = self.end.to_le_bytes();
        self.lines
            .write_all(line.as_bytes())
            .and_then(|()| self.lines.write_all(b"\n"))
            .and_then(|()| self.index.write_all(&end))
            .map_err(|source| Error::new("write", &self.path, source))
    }

    /// Writes out what is buffered and syncs both files.
    pub fn finish(self) -> Result<()> {
        for file in [self.lines, self.index] {
            let file = file.into_inner().map_err(|error| Error::new("write", &self.path, error.into_error()))?;
            file.sync_all().map_err(|source| Error::new("sync", &self.path, source))?;
        }
        Ok(())
    }
}

/// Reads lines by number.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    lines: File,
    index: File,
}

impl Reader {
    /// Opens the file and its index.
    pub fn open(path: &Path) -> Result<Self> {
        let open = |path: &Path| files::open(path).map_err(|source| Error::new("open", path, source));
        Ok(Reader { path: path.to_owned(), lines: open(path)?, index: open(&index_path(path))? })
    }

    /// The number of lines.
    pub fn len(&self) -> Result<u64> {
        let bytes = self.index.metadata().map_err(|source| Error::new("read", &self.path, source))?.len();
        Ok(bytes / OFFSET)
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// The whole text, for those who want every line.
    pub fn text(&self) -> Result<String> {
        files::read_text(&self.path, files::cap::NONE).map_err(|source| Error::new("read", &self.path, source))
    }

    /// The `n`th line, from 0, without its line break.
    pub fn line(&self, n: u64) -> Result<String> {
        let fail = |source| Error::new("read", &self.path, source);
        let mut bounds = [0; 16];
        let (start, end) = if n == 0 {
            self.index.read_exact_at(&mut bounds[8..], 0).map_err(fail)?;
            (0, offset(&bounds[8..]))
        } else {
            self.index.read_exact_at(&mut bounds, (n - 1) * OFFSET).map_err(fail)?;
            (offset(&bounds[..8]), offset(&bounds[8..]))
        };
        // Asking for the file's length costs a call: a short line that is not there is noticed when it is read.
        let possible =
            |length: &u64| *length <= LONG_LINE || self.lines.metadata().is_ok_and(|metadata| end <= metadata.len());
        let length =
            end.checked_sub(start.saturating_add(1)).filter(possible).and_then(|length| usize::try_from(length).ok());
        let Some(length) = length else { return Err(Error::corrupt(&self.path, "its index is damaged")) };
        let mut line = vec![0; length];
        self.lines.read_exact_at(&mut line, start).map_err(fail)?;
        String::from_utf8(line).map_err(|_| Error::corrupt(&self.path, "a line is not UTF-8"))
    }
}

fn offset(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_le_bytes)
}
