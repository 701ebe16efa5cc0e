//! A tree as a ZIP archive: for the record only, no job runs in it.

use super::super::{Result, StoreError, files};
use super::tree::{Entry, Kind, Tree};
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::time::SystemTime;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Writes the archive of a tree. `path` must not exist.
pub(super) fn write(tree: &Tree, path: &Path) -> Result<()> {
    let fail = |source| StoreError::new("write the archive", path, source);
    let file = File::create_new(path).map_err(fail)?;
    let mut archive = ZipWriter::new(BufWriter::new(file));
    for entry in &tree.entries {
        add(&mut archive, tree, entry)?.map_err(|error| fail(io::Error::other(error)))?;
    }
    let file = archive.finish().map_err(|error| fail(io::Error::other(error)))?;
    let file = file.into_inner().map_err(|error| fail(error.into_error()))?;
    file.sync_all().map_err(fail)
}

type Archive = ZipWriter<BufWriter<File>>;

/// Adds one entry: outside, that the source cannot be read; inside, that the archive cannot be written.
fn add(archive: &mut Archive, tree: &Tree, entry: &Entry) -> Result<zip::result::ZipResult<()>> {
    let name = entry.path.to_string_lossy();
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .unix_permissions(entry.mode)
        .last_modified_time(date_time(entry.modified));
    let size = match &entry.kind {
        Kind::Folder => return Ok(archive.add_directory(name, options)),
        Kind::Link(target) => return Ok(archive.add_symlink(name, target.to_string_lossy(), options)),
        Kind::File(size) => *size,
    };
    let path = tree.source.join(&entry.path);
    let mut file = match files::open(&path) {
        Ok(file) => file,
        // Somebody's temporary file, gone since it was listed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ok(())),
        Err(error) => return Err(StoreError::new("copy the code file", &path, error)),
    };
    // A file may have grown since it was listed.
    let large = size >= u64::from(u32::MAX) / 2;
    if let Err(error) = archive.start_file(name, options.large_file(large)) {
        return Ok(Err(error));
    }
    Ok(io::copy(&mut file, archive).map(drop).map_err(Into::into))
}

/// Local time to two seconds from 1980 on, which is all that the format has.
fn date_time(time: SystemTime) -> DateTime {
    let zoned = jiff::Timestamp::try_from(time).map(|time| time.to_zoned(jiff::tz::TimeZone::system()));
    let fields = zoned.ok().and_then(|t| {
        let part = |n: i8| u8::try_from(n).ok();
        let year = u16::try_from(t.year()).ok()?;
        let (month, day) = (part(t.month())?, part(t.day())?);
        DateTime::from_date_and_time(year, month, day, part(t.hour())?, part(t.minute())?, part(t.second())?).ok()
    });
    fields.unwrap_or_default()
}
