//! Links that open one incident for whoever holds them, without a login, until a moment that stands in them.
//!
//! A link carries `e`, the second at which it ends, and `s`, an HMAC-SHA256 over both and the incident, under a key derived from
//! the one that seals secrets. It gives nothing but reading this incident. Ends are rounded up to whole days, so that a page that
//! is sent again says the same.

use crate::sealing::Keyring;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nightbell_model::Timestamp;
use ring::hmac;
use std::fmt;

/// What the key is derived for.
const PURPOSE: &str = "nightbell incident links 1";
const DAY_S: i64 = 86_400;

/// Signs links and tells its own from others'.
#[derive(Clone)]
pub struct Signer {
    key: hmac::Key,
    life_s: i64,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("life_s", &self.life_s).finish_non_exhaustive()
    }
}

/// What a link is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It opens the incident.
    Good,
    /// It did once.
    Ended,
    /// It is none of ours.
    Forged,
}

impl Signer {
    /// A signer of links that live for `life_ms`, at least; `None` without a key, or if links are not to live at all.
    #[must_use]
    pub fn new(keyring: &Keyring, life_ms: i64) -> Option<Self> {
        let key = keyring.derive(PURPOSE).filter(|_| life_ms > 0)?;
        Some(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), life_s: life_ms / 1_000 })
    }

    /// The query that opens `incident` from now on.
    #[must_use]
    pub fn query(&self, incident: &str, now: Timestamp) -> String {
        let end = now.as_millis() / 1_000 + self.life_s;
        let end = end.div_euclid(DAY_S).saturating_add(1).saturating_mul(DAY_S);
        let tag = hmac::sign(&self.key, &said(incident, end));
        format!("e={end}&s={}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// What `end` and `signature` of a link to `incident` are worth now.
    #[must_use]
    pub fn judge(&self, incident: &str, end: i64, signature: &str, now: Timestamp) -> Verdict {
        let Ok(tag) = URL_SAFE_NO_PAD.decode(signature) else { return Verdict::Forged };
        match hmac::verify(&self.key, &said(incident, end), &tag) {
            Err(_) => Verdict::Forged,
            Ok(()) if now.as_millis() / 1_000 >= end => Verdict::Ended,
            Ok(()) => Verdict::Good,
        }
    }
}

fn said(incident: &str, end: i64) -> Vec<u8> {
    format!("incident {incident} until {end}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK_MS: i64 = 7 * DAY_S * 1_000;

    fn signer(seed: u8) -> Signer {
        Signer::new(&Keyring::new([[seed; 32]]), WEEK_MS).expect("a key")
    }

    fn parts(query: &str) -> (i64, &str) {
        let (end, signature) = query.strip_prefix("e=").and_then(|rest| rest.split_once("&s=")).expect(query);
        (end.parse().expect("seconds"), signature)
    }

    #[test]
    fn a_link_opens_its_incident_until_its_end_and_nothing_else() {
        let now = Timestamp::from_secs(1_000_000);
        let query = signer(1).query("A", now);
        let (end, signature) = parts(&query);
        assert!(end >= 1_000_000 + 7 * DAY_S && end % DAY_S == 0, "{end}");
        let judge = |signer: &Signer, incident, end, at| signer.judge(incident, end, signature, Timestamp::from_secs(at));
        assert_eq!(judge(&signer(1), "A", end, 1_000_000), Verdict::Good);
        assert_eq!(judge(&signer(1), "A", end, end - 1), Verdict::Good);
        assert_eq!(judge(&signer(1), "A", end, end), Verdict::Ended);
        assert_eq!(judge(&signer(1), "B", end, 1_000_000), Verdict::Forged);
        assert_eq!(judge(&signer(1), "A", end + 1, 1_000_000), Verdict::Forged);
        assert_eq!(judge(&signer(2), "A", end, 1_000_000), Verdict::Forged);
        for forged in ["", "AAAA", "%", &signature[1..]] {
            assert_eq!(signer(1).judge("A", end, forged, now), Verdict::Forged, "{forged}");
        }
        assert_eq!(signer(1).query("A", now.plus_millis(60_000)), query, "the same page says the same");
    }

    #[test]
    fn without_a_key_or_a_life_there_are_no_links() {
        assert!(Signer::new(&Keyring::without("gone"), WEEK_MS).is_none());
        assert!(Signer::new(&Keyring::new([[1; 32]]), 0).is_none());
    }
}
