//! What seals opens, for its owner and with its key only.

use super::key_file::{self, Missing};
use super::*;
use std::os::unix::fs::PermissionsExt;

const CLEAR: &str = r#"{"url":"https://example.org/in","secret":"whsec_canary"}"#;

fn ring(seed: u8) -> Keyring {
    Keyring::new([[seed; KEY_BYTES]])
}

#[test]
fn what_is_sealed_opens_again_and_shows_nothing() {
    let sealed = ring(1).seal("channel/a", CLEAR).expect("a key");
    assert!(is_sealed(&sealed) && !is_sealed(CLEAR) && !sealed.contains("canary"), "{sealed}");
    assert_ne!(sealed, ring(1).seal("channel/a", CLEAR).expect("a key"), "each time another nonce");
    let opened = ring(1).open("channel/a", &sealed).expect("the same key");
    assert!(opened.text == CLEAR && opened.is_current);
    let clear = ring(1).open("channel/a", CLEAR).expect("not sealed");
    assert!(clear.text == CLEAR && !clear.is_current, "what is not sealed is to be");
}

#[test]
fn nobody_else_opens_it() {
    let sealed = ring(1).seal("channel/a", CLEAR).expect("a key");
    let error = |ring: &Keyring, owner: &str, text: &str| ring.open(owner, text).expect_err("it does not open");
    assert_eq!(error(&ring(1), "channel/b", &sealed), SealError::Damaged, "moved to another row");
    assert!(matches!(error(&ring(2), "channel/a", &sealed), SealError::OtherKey { .. }));
    let text = error(&Keyring::without("the key file k is gone"), "channel/a", &sealed).to_string();
    assert!(text.contains("the key file k is gone"), "{text}");
    assert_eq!(error(&ring(1), "channel/a", r#"{"sealed":"9.00000000.AA"}"#), SealError::Newer("9".to_owned()));
    for text in ["", "1", "1.x", "1..", "1.00000000.?"] {
        assert!(ring(1).open("channel/a", &format!("{{\"sealed\":\"{text}\"}}")).is_err(), "{text}");
    }
    for at in 0..sealed.len() {
        let mut bytes = sealed.clone().into_bytes();
        bytes[at] ^= 1;
        if let Ok(text) = String::from_utf8(bytes) {
            assert!(ring(1).open("channel/a", &text).is_err() || !is_sealed(&text), "{at}: {text}");
        }
    }
}

#[test]
fn an_older_key_goes_on_opening_and_the_first_seals() {
    let old = ring(1).seal("channel/a", CLEAR).expect("a key");
    let both = Keyring::new([[2; KEY_BYTES], [1; KEY_BYTES]]);
    let opened = both.open("channel/a", &old).expect("the older key");
    assert!(opened.text == CLEAR && !opened.is_current, "to be sealed with the newer one");
    let new = both.seal("channel/a", CLEAR).expect("a key");
    assert!(ring(2).open("channel/a", &new).is_ok() && ring(1).open("channel/a", &new).is_err());
    assert!(!format!("{both:?}").contains("1, 1"), "a ring shows the names of its keys only");
    assert_ne!(both.derive("links"), both.derive("other"));
    assert_eq!(both.derive("links"), ring(2).derive("links"));
}

#[test]
fn a_key_file_is_made_once_for_its_owner_and_missed_when_it_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(key_file::NAME);
    assert!(key_file::load(&path, Missing::Report).trouble().expect("none").contains("there is no key file"));
    let sealed = key_file::load(&path, Missing::Make).seal("x", CLEAR).expect("a key");
    let mode = std::fs::metadata(&path).expect("made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(key_file::load(&path, Missing::Make).open("x", &sealed).expect("the same key").is_current);
    for (text, why) in [("", "holds no key"), ("# a\n12\n", ":2: a key has 64"), ("zz", ":1: a key has 64")] {
        std::fs::write(&path, text).expect("written");
        let ring = key_file::load(&path, Missing::Make);
        assert!(ring.trouble().expect(why).contains(why), "{ring:?}");
        assert!(matches!(ring.seal("x", CLEAR), Err(SealError::NoKey(_))));
    }
    std::fs::remove_file(&path).expect("removed");
    std::fs::create_dir(&path).expect("a folder in its place");
    assert!(key_file::load(&path, Missing::Make).trouble().expect("none").contains("cannot be read"));
}
