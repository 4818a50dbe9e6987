//! Waiting for something to become true, with a limit that only a broken hub meets.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// How long anything may take on a slow machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(40);

/// Looks until there is an answer.
pub(crate) async fn until<T>(what: impl Display, look: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look).await
}

/// Looks until there is an answer, for at most `limit`.
pub(crate) async fn within<T>(limit: Duration, what: impl Display, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = look().await {
            return answer;
        }
        assert!(begun.elapsed() < limit, "waited {limit:?} in vain for {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Looks until it is so.
pub(crate) async fn until_true(what: impl Display, mut look: impl AsyncFnMut() -> bool) {
    until(what, async || look().await.then_some(())).await;
}
