//! Files of lines that are found by number and prove themselves: `name.jsonl` and, beside it, `name.idx`.
//!
//! The index has 16 bytes for each line: its end as a little-endian 64-bit offset, and the first 8 bytes of a SHA-256 over the
//! id of the whole the file belongs to, the file's name, the line's number and the line. So a line that was changed, or stands
//! in another's place, or comes from another plan, is found by whoever reads it. Reading line `n` takes two reads whatever the
//! file's length.

use super::{Result, StoreError, files};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// The bytes of a line in the index, and of each half of them.
const ENTRY: usize = 16;
const HALF: usize = 8;

/// What is read without a look at the file's length: a damaged index must not ask for all memory.
const LONG_LINE: u64 = 1 << 20;

fn index_path(path: &Path) -> PathBuf {
    path.with_extension("idx")
}

/// What the proofs of a file's lines have in common: the whole it belongs to, and its name.
fn seed(path: &Path, id: &str) -> Sha256 {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Sha256::new_with_prefix(format!("{id}\n{name}\n"))
}

fn proof(seed: &Sha256, number: u64, line: &[u8]) -> [u8; HALF] {
    let mut proof = [0; HALF];
    let hash = seed.clone().chain_update(number.to_le_bytes()).chain_update(line).finalize();
    proof.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    proof
}

/// Appends lines to a new file.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    seed: Sha256,
    lines: BufWriter<File>,
    index: BufWriter<File>,
    end: u64,
    count: u64,
}

impl Writer {
    /// Creates the file and its index; both must be new. `id` names the whole that the file is a part of.
    pub fn create(path: &Path, id: &str) -> Result<Self> {
        let create = |path: &Path| {
            File::create_new(path)
                .map(|f| BufWriter::with_capacity(1 << 16, f))
                .map_err(|e| StoreError::new("create", path, e))
        };
        let (lines, index) = (create(path)?, create(&index_path(path))?);
        Ok(Writer { path: path.to_owned(), seed: seed(path, id), lines, index, end: 0, count: 0 })
    }

    /// Appends a line, which must not hold a line break.
    pub fn push(&mut self, line: &str) -> Result<()> {
        debug_assert!(!line.contains('\n'));
        let proof = proof(&self.seed, self.count, line.as_bytes());
        self.end += line.len() as u64 + 1;
        self.count += 1;
        self.lines
            .write_all(line.as_bytes())
            .and_then(|()| self.lines.write_all(b"\n"))
            .and_then(|()| self.index.write_all(&self.end.to_le_bytes()))
            .and_then(|()| self.index.write_all(&proof))
            .map_err(|source| StoreError::new("write", &self.path, source))
    }

    /// Appends a line for each of these, made and proven side by side.
    pub fn extend<'i, T: Sync, L: AsRef<str>>(
        &mut self,
        items: &'i [T],
        line: impl Fn(&'i T) -> L + Sync,
    ) -> Result<()> {
        /// What one thread makes at a time, and how many of those are held.
        const PART: usize = 1 << 10;
        const PARTS: usize = 1 << 6;
        for items in items.chunks(PART * PARTS) {
            let first = self.count;
            let parts: Vec<(String, Vec<u8>)> = items
                .par_chunks(PART)
                .enumerate()
                .map(|(part, items)| {
                    let (mut text, mut index) = (String::new(), Vec::with_capacity(items.len() * ENTRY));
                    for (number, item) in (first + (part * PART) as u64..).zip(items) {
                        let line = line(item);
                        debug_assert!(!line.as_ref().contains('\n'));
                        text.push_str(line.as_ref());
                        text.push('\n');
                        // From the part's own beginning, as nobody knows yet where that is.
                        index.extend_from_slice(&(text.len() as u64).to_le_bytes());
                        index.extend_from_slice(&proof(&self.seed, number, line.as_ref().as_bytes()));
                    }
                    (text, index)
                })
                .collect();
            for (text, mut index) in parts {
                for bytes in index.as_chunks_mut::<ENTRY>().0 {
                    let end = (self.end + entry(bytes).0).to_le_bytes();
                    bytes.iter_mut().zip(end).for_each(|(byte, new)| *byte = new);
                }
                self.end += text.len() as u64;
                self.count += (index.len() / ENTRY) as u64;
                self.lines
                    .write_all(text.as_bytes())
                    .and_then(|()| self.index.write_all(&index))
                    .map_err(|source| StoreError::new("write", &self.path, source))?;
            }
        }
        Ok(())
    }

    /// Writes out what is buffered and syncs both files.
    pub fn finish(self) -> Result<()> {
        for file in [self.lines, self.index] {
            let file = file.into_inner().map_err(|error| StoreError::new("write", &self.path, error.into_error()))?;
            file.sync_all().map_err(|source| StoreError::new("sync", &self.path, source))?;
        }
        Ok(())
    }
}

/// Reads lines by number.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    seed: Sha256,
    lines: File,
    index: File,
}

impl Reader {
    /// Opens the file and its index, written with this id.
    pub fn open(path: &Path, id: &str) -> Result<Self> {
        let open = |path: &Path| {
            files::open(path).map_err(|source| match source.kind() {
                ErrorKind::NotFound => StoreError::damaged(path, "it is missing"),
                _ => StoreError::new("open", path, source),
            })
        };
        Ok(Reader { path: path.to_owned(), seed: seed(path, id), lines: open(path)?, index: open(&index_path(path))? })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The `n`th line, from 0, without its line break.
    pub fn line(&self, n: u64) -> Result<String> {
        Ok(self.line_at(n)?.1)
    }

    /// The same, and where it begins.
    pub fn line_at(&self, n: u64) -> Result<(u64, String)> {
        let mut entries = [0; 2 * ENTRY];
        // The first line begins where the file does.
        let known = if n == 0 { &mut entries[ENTRY..] } else { &mut entries[..] };
        let at = n.checked_sub(1).and_then(|previous| previous.checked_mul(ENTRY as u64));
        self.index.read_exact_at(known, at.unwrap_or(0)).map_err(|source| self.failed(n, source))?;
        let (start, (end, proof)) = (entry(&entries[..ENTRY]).0, entry(&entries[ENTRY..]));
        // Asking for the file's length costs a call: a short line that is not there is noticed when it is read.
        let possible =
            |length: &u64| *length <= LONG_LINE || self.lines.metadata().is_ok_and(|metadata| end <= metadata.len());
        let length = end.checked_sub(start).and_then(|length| length.checked_sub(1)).filter(possible);
        let length = length.and_then(|length| usize::try_from(length).ok()).ok_or_else(|| self.damaged(n))?;
        let mut line = vec![0; length];
        self.lines.read_exact_at(&mut line, start).map_err(|source| self.failed(n, source))?;
        Ok((start, self.proven(n, &line, proof)?.to_owned()))
    }

    /// Every line, read by `read`, which says what is wrong with one; there must be `count` of them.
    pub fn all<T>(&self, count: u64, mut read: impl FnMut(&str) -> std::result::Result<T, String>) -> Result<Vec<T>> {
        let whole = |path: &Path| files::read(path, files::cap::NONE).map_err(|e| StoreError::new("read", path, e));
        let (lines, index) = (whole(&self.path)?, whole(&index_path(&self.path))?);
        let (entries, rest) = index.as_chunks::<ENTRY>();
        if !rest.is_empty() || entries.len() as u64 != count {
            return Err(StoreError::damaged(&index_path(&self.path), "it has another length than it was written with"));
        }
        let mut all = Vec::with_capacity(entries.len());
        let mut start = 0;
        for (n, (end, proof)) in (0..).zip(entries.iter().map(|bytes| entry(bytes))) {
            let end = usize::try_from(end).unwrap_or(usize::MAX);
            let line = end.checked_sub(1).and_then(|last| lines.get(start..last)).ok_or_else(|| self.damaged(n))?;
            all.push(read(self.proven(n, line, proof)?).map_err(|why| self.wrong(n, &why))?);
            start = end;
        }
        if start == lines.len() { Ok(all) } else { Err(self.damaged(count)) }
    }

    /// Line `n` says what it must not.
    pub fn wrong(&self, n: u64, what: &str) -> StoreError {
        StoreError::damaged(&self.path, format!("line {}: {what}", n.saturating_add(1)))
    }

    fn proven<'l>(&self, n: u64, line: &'l [u8], expected: [u8; HALF]) -> Result<&'l str> {
        let text = std::str::from_utf8(line).ok().filter(|_| proof(&self.seed, n, line) == expected);
        text.ok_or_else(|| self.damaged(n))
    }

    fn damaged(&self, n: u64) -> StoreError {
        self.wrong(n, "it is not what was planned")
    }

    fn failed(&self, n: u64, source: std::io::Error) -> StoreError {
        match source.kind() {
            ErrorKind::UnexpectedEof => self.wrong(n, "it is missing"),
            _ => StoreError::new("read", &self.path, source),
        }
    }
}

/// The end of a line, and its proof.
fn entry(bytes: &[u8]) -> (u64, [u8; HALF]) {
    let half = |bytes: Option<&[u8]>| bytes.and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
    (u64::from_le_bytes(half(bytes.get(..HALF))), half(bytes.get(HALF..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_made_side_by_side_are_those_made_in_turn() {
        let folder = tempfile::tempdir().unwrap();
        let numbers: Vec<u32> = (0..150_000).collect();
        let line = |number: &u32| format!("{number} {}", "é".repeat(*number as usize % 7));
        let bytes = |name: &str, write: &dyn Fn(&mut Writer)| {
            let path = folder.path().join(name).join("lines.jsonl");
            std::fs::create_dir(path.parent().unwrap()).unwrap();
            let mut writer = Writer::create(&path, "id").unwrap();
            write(&mut writer);
            writer.finish().unwrap();
            let reader = Reader::open(&path, "id").unwrap();
            assert_eq!(reader.line(149_999).unwrap(), line(&149_999));
            assert_eq!(reader.all(150_000, |line| Ok(line.len())).unwrap().len(), 150_000);
            [&path, &index_path(&path)].map(|path| std::fs::read(path).unwrap())
        };
        let in_turn = bytes("a", &|writer| numbers.iter().for_each(|number| writer.push(&line(number)).unwrap()));
        // A part of them before, so that no part begins at a round number.
        let aside = bytes("b", &|writer| {
            writer.extend(&numbers[..5], line).unwrap();
            writer.push(&line(&5)).unwrap();
            writer.extend(&numbers[6..], line).unwrap();
        });
        assert!(in_turn == aside);
    }
}
