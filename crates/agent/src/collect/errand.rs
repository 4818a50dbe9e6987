//! Something slow that is asked on a thread of its own, one question at a time, so that the pass goes on.
//!
//! What a question is, and how long it may take, is left to whoever sends it: a question without an end blocks no more than
//! its own answer.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

/// Enough for the resolver of glibc, the greediest thing that runs on such a thread; untouched pages cost nothing.
const STACK_BYTES: usize = 256 << 10;

/// A question that may be under way.
#[derive(Debug)]
pub(crate) struct Errand<T> {
    name: &'static str,
    owed: Option<Receiver<T>>,
}

impl<T: Send + 'static> Errand<T> {
    /// No question yet; `name` is that of the threads.
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, owed: None }
    }

    /// Whether an answer is owed.
    pub(crate) const fn is_out(&self) -> bool {
        self.owed.is_some()
    }

    /// Asks, unless an answer is owed.
    pub(crate) fn send(&mut self, question: impl FnOnce() -> T + Send + 'static) -> io::Result<()> {
        if self.is_out() {
            return Ok(());
        }
        let (sender, receiver) = channel();
        let asking = move || {
            // Nobody listens any more if the agent has stopped.
            let _unheard = sender.send(question());
        };
        std::thread::Builder::new().name(self.name.to_owned()).stack_size(STACK_BYTES).spawn(asking)?;
        self.owed = Some(receiver);
        Ok(())
    }

    /// The answer, if one is owed and comes by `deadline`.
    pub(crate) fn answer(&mut self, deadline: Instant) -> Option<T> {
        let owed = self.owed.as_ref()?;
        let answer = match owed.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => None,
        };
        self.owed = None;
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn one_question_at_a_time_and_its_answer_once() {
        let (mut errand, soon) = (Errand::new("test"), Instant::now() + Duration::from_secs(60));
        assert_eq!(errand.answer(soon), None, "nothing was asked");
        let (go, wait) = channel();
        errand.send(move || wait.recv().unwrap_or(0)).unwrap();
        errand.send(|| 2).unwrap();
        assert_eq!(errand.answer(Instant::now()), None, "not yet");
        assert!(errand.is_out());
        go.send(1).unwrap();
        assert_eq!(errand.answer(soon), Some(1), "the second question was not asked");
        assert!(!errand.is_out() && errand.answer(soon).is_none());
    }

    #[test]
    fn a_question_that_dies_owes_nothing() {
        let mut errand = Errand::<u32>::new("test");
        errand.send(|| std::panic::resume_unwind(Box::new("dead"))).unwrap();
        assert_eq!(errand.answer(Instant::now() + Duration::from_secs(60)), None);
        assert!(!errand.is_out());
    }
}
