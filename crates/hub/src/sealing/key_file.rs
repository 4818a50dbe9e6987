//! The file that holds the keys: one per line in hexadecimal digits, the one that seals first; older ones below it go on opening
//! what they sealed. It is made at the first start, for its owner alone, and stands outside the database and its backups.

use super::{KEY_BYTES, Keyring};
use crate::ids;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Its name in the data folder, unless another place is configured.
pub const NAME: &str = "nightbell.key";
/// The head of a file that is made.
const HEAD: &str = "# Opens the secrets of this hub's channels. Keep a copy, but not beside the backups of the database.\n";

/// What to do when there is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Make one with a fresh key.
    Make,
    /// Say that it is missing: whoever names a place puts a key there, and a fresh one would hide that it is not mounted.
    Report,
}

/// The keys of the file at `path`. A hub without them still runs: the ring says why it has none.
#[must_use]
pub fn load(path: &Path, missing: Missing) -> Keyring {
    match std::fs::read_to_string(path) {
        Ok(text) => read(path, &text),
        Err(error) if error.kind() == ErrorKind::NotFound && missing == Missing::Make => make(path),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let path = path.display();
            Keyring::without(format!("there is no key file {path}; put it back, or make one with: openssl rand -hex 32 > {path}"))
        }
        Err(error) => Keyring::without(format!("the key file {} cannot be read: {error}", path.display())),
    }
}

fn read(path: &Path, text: &str) -> Keyring {
    let mut secrets = Vec::new();
    for (line, text) in (1..).zip(text.lines().map(str::trim)) {
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let Some(secret) = from_hex(text) else {
            return Keyring::without(format!("{}:{line}: a key has {} hexadecimal digits", path.display(), 2 * KEY_BYTES));
        };
        secrets.push(secret);
    }
    if secrets.is_empty() {
        return Keyring::without(format!("the key file {} holds no key", path.display()));
    }
    warn_if_open(path);
    Keyring::new(secrets)
}

/// A file that others may read is used all the same (some orchestrators know no other way), but not without a word.
fn warn_if_open(path: &Path) {
    let mode = std::fs::metadata(path).map_or(0, |data| data.permissions().mode());
    if mode & 0o007 != 0 {
        tracing::warn!(path = %path.display(), "everybody on this machine may read the key file; chmod 600 it");
    }
}

fn make(path: &Path) -> Keyring {
    let Ok(secret) = ids::random::<KEY_BYTES>() else { return Keyring::without("the system has no randomness for a key") };
    let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    match write(path, &format!("{HEAD}{digits}\n")) {
        Ok(()) => Keyring::new([secret]),
        Err(error) => Keyring::without(format!("the key file {} cannot be made: {error}", path.display())),
    }
}

/// Writes the file whole or not at all, and so that it is there after a power loss: what is sealed with it is not to outlive it.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let draft = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    std::fs::File::open(folder)?.sync_all()
}

fn from_hex(text: &str) -> Option<[u8; KEY_BYTES]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * KEY_BYTES {
        return None;
    }
    let mut secret = [0; KEY_BYTES];
    for (byte, pair) in secret.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(secret)
}
