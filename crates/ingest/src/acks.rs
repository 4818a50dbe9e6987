//! Which acknowledgements are due on one connection. Pure.
//!
//! A connection sends its heartbeats oldest first, so what has not come when a later number comes was given up by the agent. An
//! acknowledgement therefore says the highest number of its boot among the heartbeats that came up to the first one still
//! unanswered: all before it are durable or were refused by name.

use crate::mailbox::Answer;
use crate::understand::Mark;
use nightbell_model::BootId;
use std::collections::VecDeque;

/// How many boots of one connection have their highest number remembered: the running one, and those of a replayed buffer.
const MAX_BOOTS: usize = 16;

/// One heartbeat of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) mark: Mark,
    /// It was refused at the door and is not part of the submission.
    pub(crate) refused: bool,
}

#[derive(Debug)]
struct Frame {
    entries: Vec<Entry>,
    answered: bool,
}

/// A refusal to tell before the next acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) mark: Mark,
    pub(crate) code: &'static str,
    pub(crate) why: String,
}

/// The unanswered frames of one connection, in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    frames: VecDeque<Frame>,
    first_tag: u64,
    waiting: usize,
    highest: Vec<(BootId, u64)>,
}

impl Acks {
    /// The tag that the next frame will have.
    pub(crate) fn next_tag(&self) -> u64 {
        self.first_tag + self.frames.len() as u64
    }

    /// Takes note of a frame that came; one with nothing to submit is answered already.
    pub(crate) fn open(&mut self, entries: Vec<Entry>) -> u64 {
        let tag = self.next_tag();
        let answered = entries.iter().all(|entry| entry.refused);
        self.waiting += entries.len();
        self.frames.push_back(Frame { entries, answered });
        tag
    }

    /// How many heartbeats have no acknowledgement yet.
    pub(crate) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// The submission `tag` was answered; what was refused in it.
    pub(crate) fn answer(&mut self, tag: u64, answers: Vec<Answer>) -> Vec<Refused> {
        let index = tag.checked_sub(self.first_tag).and_then(|index| usize::try_from(index).ok());
        let Some(frame) = index.and_then(|index| self.frames.get_mut(index)) else { return Vec::new() };
        frame.answered = true;
        let submitted = frame.entries.iter().filter(|entry| !entry.refused);
        submitted.zip(answers).filter_map(|(entry, answer)| refusal(&entry.mark, answer)).collect()
    }

    /// The acknowledgements that are due now: one for each boot, and one for each heartbeat without a number of its own.
    pub(crate) fn due(&mut self) -> Vec<Mark> {
        let mut due: Vec<Mark> = Vec::new();
        while self.frames.front().is_some_and(|frame| frame.answered) {
            let Some(frame) = self.frames.pop_front() else { break };
            self.first_tag += 1;
            self.waiting -= frame.entries.len();
            for entry in frame.entries {
                self.settle(entry, &mut due);
            }
        }
        due
    }

    fn settle(&mut self, entry: Entry, due: &mut Vec<Mark>) {
        let Mark { boot: Some(boot), seq: Some(seq) } = entry.mark else {
            // Without both there is nothing cumulative to say; a refusal of such a heartbeat was its answer.
            if !entry.refused {
                due.push(entry.mark);
            }
            return;
        };
        let highest = match self.highest.iter_mut().find(|(known, _)| *known == boot) {
            Some((_, highest)) => {
                *highest = seq.max(*highest);
                *highest
            }
            None => {
                if self.highest.len() >= MAX_BOOTS {
                    self.highest.remove(0);
                }
                self.highest.push((boot.clone(), seq));
                seq
            }
        };
        match due.iter_mut().find(|mark| mark.boot.as_ref() == Some(&boot)) {
            Some(mark) => mark.seq = Some(highest),
            None => due.push(Mark { boot: Some(boot), seq: Some(highest) }),
        }
    }
}

fn refusal(mark: &Mark, answer: Answer) -> Option<Refused> {
    let mark = mark.clone();
    match answer {
        Answer::Stored | Answer::Duplicate => None,
        Answer::TooOld => Some(Refused { mark, code: "too_old", why: "older than the raw history that is kept".to_owned() }),
        Answer::Refused { code, why } => Some(Refused { mark, code, why }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(boot: &str, seq: u64) -> Entry {
        Entry { mark: Mark { boot: Some(BootId(boot.into())), seq: Some(seq) }, refused: false }
    }

    fn shown(due: Vec<Mark>) -> Vec<String> {
        let one =
            |mark: Mark| format!("{}:{}", mark.boot.map_or("-".into(), |boot| boot.0), mark.seq.map_or(-1, |seq| seq as i64));
        due.into_iter().map(one).collect()
    }

    #[test]
    fn acknowledgements_wait_for_what_came_before() {
        let mut acks = Acks::default();
        let first = acks.open(vec![entry("a", 1), entry("a", 2)]);
        let second = acks.open(vec![entry("a", 3)]);
        assert_eq!(acks.waiting(), 3);
        acks.answer(second, vec![Answer::Stored]);
        assert_eq!(shown(acks.due()), Vec::<String>::new());
        acks.answer(first, vec![Answer::Stored, Answer::Duplicate]);
        assert_eq!(shown(acks.due()), ["a:3"]);
        assert_eq!((acks.waiting(), acks.next_tag()), (0, 2));
    }

    #[test]
    fn refusals_are_named_and_covered() {
        let mut acks = Acks::default();
        let tag = acks.open(vec![Entry { refused: true, ..entry("a", 1) }, entry("a", 2), entry("a", 3)]);
        let refused = acks.answer(tag, vec![Answer::TooOld, Answer::Refused { code: "no", why: String::new() }]);
        let named: Vec<_> = refused.iter().map(|refused| (refused.mark.seq, refused.code)).collect();
        assert_eq!(named, [(Some(2), "too_old"), (Some(3), "no")]);
        assert_eq!(shown(acks.due()), ["a:3"]);
        acks.open(vec![Entry { refused: true, ..entry("a", 4) }]);
        assert_eq!(shown(acks.due()), ["a:4"]);
    }

    #[test]
    fn what_is_resent_is_acknowledged_again_with_the_highest_number() {
        let mut acks = Acks::default();
        for (boot, seq, expected) in [("a", 7, "a:7"), ("b", 1, "b:1"), ("a", 5, "a:7"), ("a", 8, "a:8")] {
            let tag = acks.open(vec![entry(boot, seq)]);
            acks.answer(tag, vec![Answer::Duplicate]);
            assert_eq!(shown(acks.due()), [expected]);
        }
    }

    #[test]
    fn heartbeats_without_numbers_are_acknowledged_one_by_one() {
        let mut acks = Acks::default();
        let bare = Entry { mark: Mark::default(), refused: false };
        let only_seq = Entry { mark: Mark { boot: None, seq: Some(4) }, refused: false };
        let tag = acks.open(vec![bare.clone(), bare, only_seq]);
        acks.answer(tag, vec![Answer::Stored, Answer::Stored, Answer::Stored]);
        assert_eq!(shown(acks.due()), ["-:-1", "-:-1", "-:4"]);
        assert_eq!(acks.answer(99, vec![]), []);
    }
}
