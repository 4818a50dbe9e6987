//! One file of `/proc` or `/sys`, kept open and read with `pread` into a buffer that all sources share.
//!
//! Reopens by itself when the kernel says that the object behind the descriptor is gone. Parsing is left to each source's file.

use super::scan::Unparsable;
use crate::sheet::Sheet;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, pread};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// No file of the kernel's that is read here is honestly larger (a mountinfo of 10,000 lines has 1.5 MiB).
const MAX_FILE: usize = 8 << 20;
/// The buffer's size at rest: holds every file of an ordinary host at once.
const BUFFER: usize = 16 << 10;

/// The buffer that all sources read into, one after the other.
#[derive(Debug)]
pub(crate) struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    /// An empty reader; it allocates with the first file.
    pub(crate) const fn new() -> Self {
        Self { buffer: Vec::new() }
    }

    /// Gives back what an unusually large file took.
    pub(crate) fn shrink(&mut self) {
        if self.buffer.len() > 4 * BUFFER {
            self.buffer = Vec::new();
        }
    }

    /// The content of the file at `path`, opened for this one time.
    pub(crate) fn once(&mut self, path: &Path) -> Result<&[u8], Errno> {
        let file = open_to_read(path)?;
        self.fill(file.as_fd())
    }

    /// The content of a file that the caller opened.
    pub(crate) fn file(&mut self, file: BorrowedFd<'_>) -> Result<&[u8], Errno> {
        self.fill(file)
    }

    fn fill(&mut self, file: BorrowedFd<'_>) -> Result<&[u8], Errno> {
        let mut length = 0;
        loop {
            if self.buffer.len() - length < BUFFER / 4 {
                if self.buffer.len() > MAX_FILE {
                    return Err(Errno::FBIG);
                }
                self.buffer.resize((self.buffer.len() * 2).max(BUFFER), 0);
            }
            match pread(file, &mut self.buffer[length..], u64::try_from(length).unwrap_or(u64::MAX)) {
                Ok(0) => return Ok(&self.buffer[..length]),
                Ok(count) => length += count,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A file that is read at every heartbeat.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    /// What the file is called in a gap: its path below the real root.
    name: String,
    /// Whether its absence is a gap, or only says that the host has no such thing.
    required: bool,
    file: Option<OwnedFd>,
}

impl Source {
    /// The file `name` of `/proc` (found under `root`), which every host has.
    pub(crate) fn proc(root: &Path, name: &str) -> Self {
        Self { path: root.join(name), name: format!("/proc/{name}"), required: true, file: None }
    }

    /// The file `name` of `/sys` (found under `root`), which not every host has.
    pub(crate) fn sys(root: &Path, name: &str) -> Self {
        Self { path: root.join(name), name: format!("/sys/{name}"), required: false, file: None }
    }

    /// The file `name` of cgroup v2 (found under `root`), which lives as long as what it is about.
    pub(crate) fn cgroup(root: &Path, name: &Path) -> Self {
        let path = root.join(name);
        Self { path, name: format!("/sys/fs/cgroup/{}", name.display()), required: false, file: None }
    }

    /// The same, for a host that may not have it.
    pub(crate) fn if_there(self) -> Self {
        Self { required: false, ..self }
    }

    /// The file's content as `parse` understands it; if it cannot be had, a gap on the sheet and nothing.
    pub(crate) fn parse<T>(
        &mut self,
        reader: &mut Reader,
        sheet: &mut Sheet,
        parse: impl FnOnce(&[u8]) -> Result<T, Unparsable>,
    ) -> Option<T> {
        let why = match self.read(reader) {
            Ok(content) => match parse(content) {
                Ok(parsed) => return Some(parsed),
                Err(unparsable) => unparsable.0,
            },
            Err(Errno::NOENT | Errno::NOTDIR) if !self.required => return None,
            // A sensor that is asleep, or pressure accounting that is compiled in but switched off.
            Err(Errno::NODATA | Errno::AGAIN | Errno::OPNOTSUPP) if !self.required => return None,
            Err(error) => reason(error),
        };
        sheet.gap(&*self.name, why);
        None
    }

    /// The whole content as it is now.
    pub(crate) fn read<'a>(&mut self, reader: &'a mut Reader) -> Result<&'a [u8], Errno> {
        if let Some(file) = &self.file {
            match reader.fill(file.as_fd()) {
                Ok(content) => {
                    let length = content.len();
                    return Ok(&reader.buffer[..length]);
                }
                // The device was unplugged or the module reloaded: the same path may be another object now.
                Err(Errno::NODEV | Errno::NXIO | Errno::NOENT | Errno::STALE) => self.file = None,
                Err(error) => return Err(error),
            }
        }
        let file = open_to_read(&self.path)?;
        let content = reader.fill(file.as_fd());
        if content.is_ok() {
            self.file = Some(file);
        }
        content
    }

    /// The open descriptor, if the file has been read.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(AsFd::as_fd)
    }
}

fn open_to_read(path: &Path) -> Result<OwnedFd, Errno> {
    open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// What an error of the kernel means, without the number.
pub(crate) fn reason(error: Errno) -> String {
    match error {
        Errno::NOENT => "is not there".to_owned(),
        Errno::ACCESS | Errno::PERM => "permission denied".to_owned(),
        Errno::FBIG => "is too large".to_owned(),
        error => {
            let text = std::io::Error::from(error).to_string();
            text.split_once(" (os error").map_or(text.clone(), |(words, _)| words.to_lowercase())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_and_again_whatever_its_size() -> std::io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("file");
        let (mut reader, mut source) = (Reader::new(), Source::proc(dir.path(), "file"));
        assert_eq!(source.read(&mut reader), Err(Errno::NOENT));
        for size in [0, 1, BUFFER - 1, BUFFER, BUFFER + 1, 10 * BUFFER, 3] {
            let content = vec![b'x'; size];
            std::fs::write(&path, &content)?;
            assert_eq!(source.read(&mut reader), Ok(&content[..]), "{size}");
        }
        reader.shrink();
        assert!(reader.buffer.is_empty());
        assert_eq!(source.read(&mut reader), Ok(&b"xxx"[..]));
        Ok(())
    }

    #[test]
    fn reasons_are_words() {
        assert_eq!(reason(Errno::NOENT), "is not there");
        assert_eq!(reason(Errno::IO), "input/output error");
    }
}
