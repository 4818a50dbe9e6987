//! Passwords: argon2id with the crate's defaults (19 MiB, two passes), a few at a time so that logins cannot starve ingest.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use std::sync::{Arc, LazyLock};
use tokio::sync::Semaphore;

/// The shortest password that is taken: NIST SP 800-63B asks for at least 8; 10 costs nobody anything.
pub const SHORTEST: usize = 10;
/// The longest, so that nobody makes us hash megabytes.
pub const LONGEST: usize = 1024;
/// How many are hashed at once, each for some 25 ms on 19 MiB.
const AT_ONCE: usize = 2;

static TURNS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(AT_ONCE)));

/// A password that cannot be hashed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the password cannot be hashed: {0}")]
pub struct HashError(String);

/// Hashes a password into a PHC string, on this thread.
///
/// # Errors
/// When the system has no randomness for the salt.
pub fn hash_blocking(password: &str) -> Result<String, HashError> {
    let hashed = Argon2::default().hash_password(password.as_bytes());
    hashed.map(|phc| phc.to_string()).map_err(|error| HashError(error.to_string()))
}

/// Whether a password is the one a PHC string was made of, on this thread.
#[must_use]
pub fn verify_blocking(password: &str, phc: &str) -> bool {
    PasswordHash::new(phc).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

/// Hashes a password without holding up the async threads.
///
/// # Errors
/// When the system has no randomness for the salt.
pub async fn hash(password: String) -> Result<String, HashError> {
    let turn = Arc::clone(&TURNS).acquire_owned().await.map_err(|closed| HashError(closed.to_string()))?;
    let hashed = tokio::task::spawn_blocking(move || {
        // Kept by the work itself, which goes on when nobody waits for it any more.
        let _turn = turn;
        hash_blocking(&password)
    })
    .await;
    hashed.unwrap_or_else(|gone| Err(HashError(gone.to_string())))
}

/// Whether a password fits. For a user that does not exist the same work is done, so that the answer takes as long.
pub async fn verify(password: String, phc: Option<String>) -> bool {
    static NOBODY: LazyLock<String> = LazyLock::new(|| hash_blocking("nobody has this password").unwrap_or_default());
    let Ok(turn) = Arc::clone(&TURNS).acquire_owned().await else { return false };
    let known = phc.is_some();
    let checked = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        verify_blocking(&password, phc.as_deref().unwrap_or(&NOBODY))
    })
    .await;
    checked.unwrap_or(false) && known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_fits() {
        let phc = hash("correct horse".to_owned()).await.expect("hashed");
        assert!(phc.starts_with("$argon2id$"), "{phc}");
        assert!(verify("correct horse".to_owned(), Some(phc.clone())).await);
        assert!(!verify("correct horsf".to_owned(), Some(phc)).await);
        assert!(!verify("nobody has this password".to_owned(), None).await);
        assert!(!verify("x".to_owned(), Some("no phc".to_owned())).await);
    }
}
