//! A bucket's journal: one JSON line for each change, appended before the change is answered.
//!
//! Leaves to others: what the lines mean together ([`super::store`]).
//! It outlives a killed process, not a power cut: nothing is synced to the disk.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::records::JournalLine;

/// The open journal of one bucket.
pub struct Journal {
    file: File,
    length: u64,
}

impl Journal {
    /// Reads every whole line of the journal at `path`, in order. A missing file is an empty journal;
    /// a last line that was cut off by a crash was never answered and is cut off for good.
    ///
    /// # Errors
    /// When the file cannot be read, or a line in its middle is damaged.
    pub fn replay(path: &Path, mut apply: impl FnMut(JournalLine)) -> io::Result<Self> {
        let journal = Self::open(path)?;
        let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
        let mut line = Vec::new();
        let mut length = 0;
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line)? == 0 || line.last() != Some(&b'\n') {
                journal.file.set_len(length)?;
                return Ok(Self { length, ..journal });
            }
            apply(serde_json::from_slice(&line)?);
            length += line.len() as u64;
        }
    }

    /// Writes a fresh journal of `lines` in place of the one at `path`, and opens it for appending.
    ///
    /// # Errors
    /// When it cannot be written; the old journal is then still there.
    pub fn rewrite(path: &Path, lines: impl Iterator<Item = JournalLine>) -> io::Result<Self> {
        let temporary = PathBuf::from(format!("{}.new", path.display()));
        let mut writer = BufWriter::with_capacity(1 << 20, File::create(&temporary)?);
        for line in lines {
            serde_json::to_writer(&mut writer, &line)?;
            writer.write_all(b"\n")?;
        }
        writer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        std::fs::rename(&temporary, path)?;
        Self::open(path)
    }

    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }

    /// Appends `lines`, all or none.
    ///
    /// # Errors
    /// When the disk refuses (it may be full); the journal is then as it was.
    pub fn append<'a>(
        &mut self,
        lines: impl IntoIterator<Item = &'a JournalLine>,
    ) -> io::Result<()> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        if let Err(error) = self.file.write_all(&text) {
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += text.len() as u64;
        Ok(())
    }
}
