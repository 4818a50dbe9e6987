//! Secrets at rest: what channels are configured with stands in the database only sealed, under keys that are kept in a file
//! outside of it and never in a backup.
//!
//! A sealed text is a JSON object with one field, `{"sealed":"1.<key>.<bytes>"}`: the layout's version, the name of the key, and
//! in base64url a nonce of 12 bytes with what ChaCha20-Poly1305 (RFC 8439) makes of the text. What it belongs to is bound to it,
//! so that a sealed text that is moved to another row does not open. Where the keys come from is [`key_file`]'s business.

pub mod key_file;
pub mod store;
#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use serde_json::Value;
use std::fmt;

/// How many bytes a key has.
pub const KEY_BYTES: usize = 32;
/// The layout that is written.
const LAYOUT: &str = "1";
/// What sealing keys are derived for.
const SEALING: &[u8] = b"nightbell sealing 1";
/// What a key's name is derived for.
const NAMING: &[u8] = b"nightbell key name 1";

/// A key, and what it is called in sealed texts.
#[derive(Clone, PartialEq, Eq)]
struct Key {
    name: String,
    secret: [u8; KEY_BYTES],
}

/// The keys there are: the first seals, all open.
#[derive(Clone, Default)]
pub struct Keyring {
    keys: Vec<Key>,
    /// Why there is none.
    trouble: Option<String>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.keys.iter().map(|key| key.name.as_str()).collect();
        f.debug_struct("Keyring").field("keys", &names).field("trouble", &self.trouble).finish()
    }
}

/// A text that cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// There is no key to seal with.
    #[error("there is no key to keep secrets with: {0}")]
    NoKey(String),
    /// It was sealed with a key that is not here.
    #[error("it was sealed with the key {wanted}, which is not in the key file{}", trouble(.why))]
    OtherKey {
        /// The name of the key it was sealed with.
        wanted: String,
        /// Why there is no key at all, if so.
        why: Option<String>,
    },
    /// Its bytes are not what was written, or belong to something else.
    #[error("its sealed text is damaged")]
    Damaged,
    /// It was written by a hub that is newer than this one.
    #[error("it was sealed by a newer hub (layout {0})")]
    Newer(String),
    /// The system has no randomness to give.
    #[error("the system has no randomness to give")]
    Chance,
}

fn trouble(why: &Option<String>) -> String {
    why.as_ref().map_or_else(String::new, |why| format!(" ({why})"))
}

/// A text that was opened.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// The text.
    pub text: String,
    /// Whether it was sealed with the key that seals now.
    pub is_current: bool,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("is_current", &self.is_current).finish_non_exhaustive()
    }
}

/// As many bytes as a key has, for the derivation.
struct KeyLength;

impl KeyType for KeyLength {
    fn len(&self) -> usize {
        KEY_BYTES
    }
}

fn derived(secret: &[u8; KEY_BYTES], purpose: &[u8]) -> [u8; KEY_BYTES] {
    let prk: Prk = Salt::new(HKDF_SHA256, &[]).extract(secret);
    let mut bytes = [0; KEY_BYTES];
    // One block of the hash: the derivation cannot be too long.
    let info = [purpose];
    let _fits = prk.expand(&info, KeyLength).and_then(|okm| okm.fill(&mut bytes));
    bytes
}

impl Key {
    fn new(secret: [u8; KEY_BYTES]) -> Self {
        let name = derived(&secret, NAMING).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Self { name, secret }
    }

    fn cipher(&self) -> Result<LessSafeKey, SealError> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &derived(&self.secret, SEALING));
        key.map(LessSafeKey::new).map_err(|_length| SealError::Damaged)
    }
}

impl Keyring {
    /// A ring of these keys, the one that seals first.
    #[must_use]
    pub fn new(secrets: impl IntoIterator<Item = [u8; KEY_BYTES]>) -> Self {
        Self { keys: secrets.into_iter().map(Key::new).collect(), trouble: None }
    }

    /// A ring without keys, and why.
    #[must_use]
    pub fn without(trouble: impl Into<String>) -> Self {
        Self { keys: Vec::new(), trouble: Some(trouble.into()) }
    }

    /// Why there are no keys; `None` if there are.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// A key for another purpose, made of the one that seals; `None` without one.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> Option<[u8; KEY_BYTES]> {
        self.keys.first().map(|key| derived(&key.secret, purpose.as_bytes()))
    }

    /// Seals `text`, which belongs to `owner`.
    ///
    /// # Errors
    /// When there is no key, or no randomness.
    pub fn seal(&self, owner: &str, text: &str) -> Result<String, SealError> {
        let none = || SealError::NoKey(self.trouble.clone().unwrap_or_else(|| "the key file is empty".to_owned()));
        let key = self.keys.first().ok_or_else(none)?;
        let nonce: [u8; NONCE_LEN] = crate::ids::random().map_err(|_none| SealError::Chance)?;
        let mut body = text.as_bytes().to_vec();
        key.cipher()?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(owner.as_bytes()), &mut body)
            .map_err(|_too_long| SealError::Damaged)?;
        let bytes = URL_SAFE_NO_PAD.encode([nonce.as_slice(), &body].concat());
        Ok(serde_json::json!({"sealed": format!("{LAYOUT}.{}.{bytes}", key.name)}).to_string())
    }

    /// Opens what was sealed for `owner`. A text that is not sealed is answered as it is, to be sealed at the next occasion.
    ///
    /// # Errors
    /// When its key is not here, or it is not what was sealed.
    pub fn open(&self, owner: &str, text: &str) -> Result<Opened, SealError> {
        let Some(sealed) = sealed(text) else { return Ok(Opened { text: text.to_owned(), is_current: false }) };
        let (layout, rest) = sealed.split_once('.').ok_or(SealError::Damaged)?;
        if layout != LAYOUT {
            return Err(SealError::Newer(layout.chars().take(8).collect()));
        }
        let (name, bytes) = rest.split_once('.').ok_or(SealError::Damaged)?;
        let other = || SealError::OtherKey { wanted: name.chars().take(16).collect(), why: self.trouble.clone() };
        let (at, key) = self.keys.iter().enumerate().find(|(_, key)| key.name == name).ok_or_else(other)?;
        let bytes = URL_SAFE_NO_PAD.decode(bytes).map_err(|_letters| SealError::Damaged)?;
        let (nonce, body) = bytes.split_at_checked(NONCE_LEN).ok_or(SealError::Damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_length| SealError::Damaged)?;
        let mut body = body.to_vec();
        let clear = key.cipher()?.open_in_place(nonce, Aad::from(owner.as_bytes()), &mut body);
        let clear = clear.map_err(|_forged| SealError::Damaged)?;
        let text = std::str::from_utf8(clear).map_err(|_letters| SealError::Damaged)?.to_owned();
        Ok(Opened { text, is_current: at == 0 })
    }
}

/// The sealed bytes of a text that is sealed.
fn sealed(text: &str) -> Option<String> {
    let Ok(Value::Object(object)) = serde_json::from_str::<Value>(text) else { return None };
    match object.get("sealed") {
        Some(Value::String(sealed)) if object.len() == 1 => Some(sealed.clone()),
        _ => None,
    }
}

/// Whether a text is sealed.
#[must_use]
pub fn is_sealed(text: &str) -> bool {
    sealed(text).is_some()
}
