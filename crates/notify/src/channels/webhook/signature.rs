//! Signatures after the Standard Webhooks specification
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>): HMAC-SHA256 over
//! `id.timestamp.body`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What a secret in the specification's form begins with.
const PREFIX: &str = "whsec_";

/// The key that a configured secret stands for: base64 after `whsec_`, else the text's own bytes.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn key_of(secret: &str) -> Result<Vec<u8>, String> {
    let Some(encoded) = secret.strip_prefix(PREFIX) else {
        return Ok(secret.as_bytes().to_vec());
    };
    let key = STANDARD.decode(encoded).map_err(|why| format!("is not base64 after {PREFIX}: {why}"))?;
    if key.is_empty() { Err(format!("is empty after {PREFIX}")) } else { Ok(key) }
}

/// The value of `webhook-signature` for a message.
///
/// # Errors
/// What is wrong with the secret.
pub(crate) fn sign(secret: &str, id: &str, timestamp: i64, body: &str) -> Result<String, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key_of(secret)?).map_err(|why| why.to_string())?;
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

/// The value of `webhook-id`: the delivery's id. A dot in it could be moved into the timestamp, so there is none.
pub(crate) fn id(delivery_id: &str) -> String {
    delivery_id.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specifications_example_is_met() {
        let signature = sign(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            "{\"test\": 2432232314}",
        );
        assert_eq!(signature.as_deref(), Ok("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn other_secrets_are_taken_as_they_are_and_bad_ones_named() {
        assert_eq!(key_of("plain"), Ok(b"plain".to_vec()));
        assert!(key_of("whsec_???").is_err_and(|why| why.starts_with("is not base64")));
        assert!(key_of("whsec_").is_err());
    }
}
