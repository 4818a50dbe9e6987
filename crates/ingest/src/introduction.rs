//! What an agent says of itself, held against bounds before anybody keeps it. Pure.

use crate::plan::Reject;
use nightbell_protocol::Register;
use nightbell_protocol::http::NodeRequest;

/// The longest interval that an agent may state: one heartbeat a day.
const LONGEST_INTERVAL_MS: u64 = 86_400_000;
/// The longest of the words for a host: a name of the domain name system has at most 253 bytes (RFC 1035, section 2.3.4).
const WORD_LIMIT: usize = 256;

/// How often an agent says it will send heartbeats.
///
/// # Errors
/// When it says never, or less often than once a day.
pub(crate) fn check_interval(interval_ms: Option<u64>) -> Result<(), Reject> {
    match interval_ms {
        None | Some(1..=LONGEST_INTERVAL_MS) => Ok(()),
        Some(other) => {
            let why = format!("interval_ms must be between 1 and {LONGEST_INTERVAL_MS}, not {other}");
            Err(Reject::new("invalid_message", why).of("interval_ms"))
        }
    }
}

/// The interval and the words for its host in a registration.
///
/// # Errors
/// Naming the first that is out of bounds.
pub(crate) fn check_register(register: &Register) -> Result<(), Reject> {
    check_interval(register.interval_ms)?;
    check_words([
        ("hostname", &register.hostname),
        ("ip", &register.ip),
        ("role", &register.role),
        ("version", &register.version),
    ])
}

/// The same in a body of `POST /nodes`.
///
/// # Errors
/// Naming the first that is out of bounds.
pub(crate) fn check_node(node: &NodeRequest) -> Result<(), Reject> {
    check_interval(node.interval_ms)?;
    check_words([("hostname", &node.hostname), ("ip", &node.ip), ("role", &node.role), ("version", &node.version)])
}

fn check_words(words: [(&str, &Option<String>); 4]) -> Result<(), Reject> {
    let is_long = |word: &Option<String>| word.as_ref().is_some_and(|word| word.len() > WORD_LIMIT);
    match words.into_iter().find(|(_, word)| is_long(word)) {
        None => Ok(()),
        Some((name, _)) => Err(Reject::new("invalid_message", format!("{name} may have {WORD_LIMIT} bytes")).of(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_between_a_millisecond_and_a_day() {
        for fine in [None, Some(1), Some(15_000), Some(LONGEST_INTERVAL_MS)] {
            assert_eq!(check_interval(fine), Ok(()), "{fine:?}");
        }
        for wrong in [0, LONGEST_INTERVAL_MS + 1, u64::MAX] {
            let reject = check_interval(Some(wrong)).expect_err("is refused");
            assert!(reject.why.contains(&wrong.to_string()), "{}", reject.why);
        }
    }

    #[test]
    fn words_for_a_host_are_short() {
        let node = |role: usize| NodeRequest { role: Some("x".repeat(role)), ..NodeRequest::default() };
        assert_eq!(check_node(&node(WORD_LIMIT)), Ok(()));
        assert!(check_node(&node(WORD_LIMIT + 1)).is_err_and(|reject| reject.why.contains("role")));
        let register = Register { version: Some("x".repeat(WORD_LIMIT + 1)), ..Register::default() };
        assert!(check_register(&register).is_err_and(|reject| reject.why.contains("version")));
    }
}
