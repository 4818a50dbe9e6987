//! Wrong passwords of late, by account and by address: who has had too many has to wait.

use nightbell_model::Timestamp;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// After so many wrong passwords in the window, an account or an address has to wait.
pub const FAILURES: usize = 10;
/// The window.
pub const WINDOW_MS: i64 = 15 * 60_000;
/// How many accounts and addresses are remembered; then the one that failed longest ago is forgotten.
const REMEMBERED: usize = 10_000;

/// Who failed when.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<HashMap<String, Vec<Timestamp>>>);

impl Attempts {
    /// For how long `who` has to wait, in milliseconds; `None` is not at all.
    #[must_use]
    pub fn wait_ms(&self, who: &str, now: Timestamp) -> Option<i64> {
        let mut failed = self.lock();
        let times = failed.get_mut(who)?;
        times.retain(|at| is_recent(*at, now));
        let counting = times.len().checked_sub(FAILURES)?;
        times.get(counting).map(|at| WINDOW_MS - now.millis_since(*at))
    }

    /// Notes a wrong password.
    pub fn failed(&self, who: &str, now: Timestamp) {
        let mut failed = self.lock();
        if failed.len() >= REMEMBERED && !failed.contains_key(who) {
            failed.retain(|_, times| times.last().is_some_and(|at| is_recent(*at, now)));
            let oldest = failed.iter().min_by_key(|(_, times)| times.last().copied()).map(|(who, _)| who.clone());
            if let Some(oldest) = oldest.filter(|_| failed.len() >= REMEMBERED) {
                failed.remove(&oldest);
            }
        }
        let times = failed.entry(who.to_owned()).or_default();
        times.retain(|at| is_recent(*at, now));
        times.push(now);
    }

    /// Forgets the failures of `who`, who knew the password after all.
    pub fn forget(&self, who: &str) {
        self.lock().remove(who);
    }

    /// Forgets everybody's: whoever may set passwords from the command line has mended what there was to mend.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Timestamp>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    now.millis_since(at) < WINDOW_MS
}

/// The key of an account.
#[must_use]
pub fn account(username: &str) -> String {
    format!("account {username}")
}

/// The key of an address. Of IPv6 it is the network of 64 bits, which is what one customer has.
#[must_use]
pub fn address(remote: &str) -> String {
    match remote.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("address {a:x}:{b:x}:{c:x}:{d:x}")
        }
        Ok(address) => format!("address {address}"),
        Err(_unknown) => format!("address {remote}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_failures_in_a_quarter_of_an_hour_are_too_many() {
        let (attempts, at) = (Attempts::default(), Timestamp::from_secs);
        for second in 0..9 {
            attempts.failed("ana", at(second));
        }
        assert_eq!(attempts.wait_ms("ana", at(9)), None);
        attempts.failed("ana", at(9));
        assert_eq!(attempts.wait_ms("ana", at(10)), Some(890_000), "until the first is forgotten");
        assert_eq!(attempts.wait_ms("ben", at(10)), None);
        assert_eq!(attempts.wait_ms("ana", at(900)), None, "the first is a quarter of an hour ago");
        attempts.failed("ana", at(900));
        assert_eq!(attempts.wait_ms("ana", at(900)), Some(1_000));
        attempts.forget("ana");
        assert_eq!(attempts.wait_ms("ana", at(900)), None);
    }

    #[test]
    fn a_flood_of_names_pushes_out_the_oldest_only() {
        let (attempts, at) = (Attempts::default(), Timestamp::from_secs);
        for number in 0..10_500 {
            attempts.failed(&number.to_string(), at(number / 100));
        }
        for _ in 0..FAILURES {
            attempts.failed("ana", at(200));
        }
        assert_eq!(attempts.lock().len(), REMEMBERED);
        assert!(attempts.wait_ms("ana", at(201)).is_some());
        attempts.clear();
        assert_eq!(attempts.wait_ms("ana", at(201)), None);
    }

    #[test]
    fn one_customer_is_one_address() {
        assert_eq!(address("2001:db8:1:2:3:4:5:6"), address("2001:db8:1:2:ffff::1"));
        assert_ne!(address("2001:db8:1:2::1"), address("2001:db8:1:3::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
    }
}
