//! What follows from an attempt: done, once more at a later time, or never again. Pure arithmetic; the clock and the dice are
//! the hub's.

use crate::delivery::Outcome;
use std::time::Duration;

/// How long a delivery is tried, counted from its first attempt.
pub const GIVE_UP_AFTER: Duration = Duration::from_hours(24);
/// The pause after the first failed attempt; it doubles with each further one.
pub const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause of our own choice.
pub const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// The longest pause a receiver may ask for.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);
/// By how much of itself a pause is lengthened or shortened, so that what failed together does not come back together.
pub const JITTER: f64 = 0.2;

/// What to do with the outbox row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is done.
    Sent,
    /// Try again.
    RetryAfter {
        /// After how many milliseconds.
        delay_ms: i64,
        /// Whether to send it as plain text from now on.
        plain: bool,
    },
    /// Keep it as a dead letter.
    Dead {
        /// Why.
        error: String,
        /// Whether the channel as a whole is refused.
        broken: bool,
    },
}

/// Decides about a row after its attempt number `attempts` (the first is 1), whose first attempt began `first_attempt_ms_ago`.
/// `jitter` lies between -1 and 1 and is drawn afresh for every call.
#[must_use]
pub fn decide(outcome: &Outcome, attempts: u32, first_attempt_ms_ago: i64, plain_already: bool, jitter: f64) -> Decision {
    match outcome {
        Outcome::Sent { .. } => Decision::Sent,
        Outcome::Broken { error } => Decision::Dead { error: error.clone(), broken: true },
        Outcome::Unacceptable { error } if plain_already => Decision::Dead { error: error.clone(), broken: false },
        Outcome::Unacceptable { .. } => Decision::RetryAfter { delay_ms: 0, plain: true },
        Outcome::Retry { error, .. } if first_attempt_ms_ago >= millis(GIVE_UP_AFTER) => {
            Decision::Dead { error: format!("given up after 24 h: {error}"), broken: false }
        }
        Outcome::Retry { after, .. } => {
            let asked = after.map_or(0, |after| millis(after.min(LONGEST_RETRY_AFTER)));
            Decision::RetryAfter { delay_ms: asked.max(pause_ms(attempts, jitter)), plain: plain_already }
        }
    }
}

/// The pause after attempt number `attempts`, in milliseconds: 5 s x 2^n, at most 10 min, give or take a fifth.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "at most 720,000 ms")]
pub fn pause_ms(attempts: u32, jitter: f64) -> i64 {
    let doublings = attempts.saturating_sub(1).min(16);
    let pause = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    let jitter = if jitter.is_finite() { jitter.clamp(-1.0, 1.0) } else { 0.0 };
    (pause.as_secs_f64() * 1000.0 * JITTER.mul_add(jitter, 1.0)).round() as i64
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(after: Option<u64>) -> Outcome {
        Outcome::Retry { error: "503".to_owned(), after: after.map(Duration::from_secs), ambiguous: false }
    }

    fn delay(outcome: &Outcome, attempts: u32, jitter: f64) -> i64 {
        match decide(outcome, attempts, 0, false, jitter) {
            Decision::RetryAfter { delay_ms, plain: false } => delay_ms,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn pauses_double_from_five_seconds_to_ten_minutes() {
        let pauses: Vec<i64> = (1..=9).map(|attempts| delay(&failed(None), attempts, 0.0) / 1000).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
        assert_eq!(delay(&failed(None), u32::MAX, 0.0), 600_000);
        assert_eq!(delay(&failed(None), 0, 0.0), 5_000);
    }

    #[test]
    fn jitter_is_a_fifth_at_most() {
        assert_eq!((delay(&failed(None), 1, -1.0), delay(&failed(None), 1, 1.0)), (4_000, 6_000));
        assert_eq!((delay(&failed(None), 9, -7.0), delay(&failed(None), 9, 7.0)), (480_000, 720_000));
        assert_eq!(delay(&failed(None), 1, f64::NAN), 5_000);
    }

    #[test]
    fn the_receivers_wish_counts_up_to_an_hour_and_never_shortens_ours() {
        assert_eq!(delay(&failed(Some(30)), 1, 1.0), 30_000);
        assert_eq!(delay(&failed(Some(1)), 3, 0.0), 20_000);
        assert_eq!(delay(&failed(Some(86_400)), 1, 0.0), 3_600_000);
        assert_eq!(delay(&failed(Some(u64::MAX)), 1, 0.0), 3_600_000);
    }

    #[test]
    fn it_ends_after_a_day() {
        let day = 24 * 3_600_000;
        assert!(matches!(decide(&failed(None), 150, day - 1, false, 0.0), Decision::RetryAfter { .. }));
        let dead = decide(&failed(None), 150, day, false, 0.0);
        assert_eq!(dead, Decision::Dead { error: "given up after 24 h: 503".to_owned(), broken: false });
    }

    #[test]
    fn what_is_not_accepted_is_said_once_more_in_plain_text() {
        let outcome = Outcome::unacceptable("400");
        assert_eq!(decide(&outcome, 1, 0, false, 0.0), Decision::RetryAfter { delay_ms: 0, plain: true });
        assert_eq!(decide(&outcome, 2, 0, true, 0.0), Decision::Dead { error: "400".to_owned(), broken: false });
        let Decision::RetryAfter { plain, .. } = decide(&failed(None), 2, 0, true, 0.0) else { panic!() };
        assert!(plain, "plain stays plain when the second try meets a busy server");
    }

    #[test]
    fn sent_is_sent_and_broken_is_dead_at_once() {
        assert_eq!(decide(&Outcome::sent("204"), 1, 0, false, 0.0), Decision::Sent);
        assert_eq!(decide(&Outcome::broken("401"), 1, 0, false, 0.0), Decision::Dead { error: "401".to_owned(), broken: true });
    }
}
