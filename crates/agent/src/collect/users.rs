//! How many people are logged in, from utmp (utmp(5)). A host without that file says nothing.

use super::Roots;
use super::source::{Reader, Source};
use crate::sheet::Sheet;
use std::path::Path;

/// The size of a record on 64-bit Linux with glibc, where 32-bit times are kept for compatibility.
const RECORD: usize = 384;
/// `ut_type` of a login.
const USER_PROCESS: i16 = 7;

/// The file, if the host is the one we run on.
#[derive(Debug)]
pub(crate) struct Users {
    source: Option<Source>,
}

impl Users {
    /// utmp lies outside `/proc` and `/sys`, so there is none in a tree of fixtures.
    pub(crate) fn new(roots: &Roots) -> Self {
        let live = roots.proc == Path::new("/proc");
        Self { source: live.then(|| Source::sys(Path::new("/run"), "utmp")) }
    }

    /// Writes `sys.users`.
    pub(crate) fn collect(&mut self, reader: &mut Reader, sheet: &mut Sheet) {
        let Some(source) = &mut self.source else { return };
        if let Some(count) = source.parse(reader, sheet, |bytes| Ok(count(bytes))) {
            sheet.put("sys.users", Some(f64::from(count)));
        }
    }
}

fn count(bytes: &[u8]) -> u32 {
    let logins = bytes.chunks_exact(RECORD).filter(|record| i16::from_ne_bytes([record[0], record[1]]) == USER_PROCESS);
    u32::try_from(logins.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_told_from_other_records() {
        let mut file = vec![0; 3 * RECORD + 5];
        file[0] = 2;
        file[RECORD] = 7;
        file[2 * RECORD] = 7;
        assert_eq!(count(&file), 2);
        assert_eq!(count(&[7]), 0);
    }
}
