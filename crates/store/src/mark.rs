//! A mark by which a commit that is repeated is recognised, so that its log lines are not written twice. Pure.

use crate::entities::Commit;

/// 128 bits over what tells one commit from the next: its heartbeats, deliveries, incidents, log and audit lines (FNV-1a).
#[derive(Debug, Clone, Copy)]
struct Mark(u128);

impl Mark {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

    /// Adds a part, told apart from its neighbours by its length.
    fn add(&mut self, part: &[u8]) {
        for byte in part.iter().chain(&part.len().to_le_bytes()) {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(Self::PRIME);
        }
    }

    fn add_number(&mut self, number: i64) {
        self.add(&number.to_le_bytes());
    }

    fn add_id(&mut self, id: Option<u128>) {
        match id {
            Some(bits) => self.add(&bits.to_le_bytes()),
            None => self.add(&[]),
        }
    }
}

/// The mark of a commit that writes log lines; `None` for one that writes none, which is safe to repeat as it is.
#[must_use]
pub(crate) fn mark(commit: &Commit) -> Option<[u8; 16]> {
    if commit.effects.events.is_empty() && commit.outbox.is_empty() && commit.audit.is_empty() {
        return None;
    }
    let mut mark = Mark(Mark::OFFSET);
    for batch in &commit.batches {
        mark.add_id(Some(batch.agent.bits()));
        mark.add_number(batch.ts.as_millis());
        mark.add_number(batch.received.as_millis());
        if let Some((boot, seq)) = &batch.boot_seq {
            mark.add(boot.0.as_bytes());
            mark.add(&seq.to_le_bytes());
        }
    }
    for entry in &commit.audit {
        mark.add_number(entry.at.as_millis());
        [&entry.actor, &entry.action, &entry.object].into_iter().for_each(|part| mark.add(part.as_bytes()));
    }
    commit.outbox.iter().for_each(|row| mark.add_id(Some(row.id.bits())));
    commit.effects.incidents.iter().for_each(|record| mark.add_id(Some(record.id.bits())));
    for event in &commit.effects.events {
        mark.add_number(event.at.as_millis());
        mark.add(event.kind.name().as_bytes());
        mark.add_id(event.agent.map(|id| id.bits()));
        mark.add_id(event.rule.map(|id| id.bits()));
        mark.add_id(event.incident.map(|id| id.bits()));
        mark.add(event.series.as_ref().map_or("", |key| key.as_str()).as_bytes());
        mark.add(&event.value.unwrap_or(f64::NAN).to_le_bytes());
        mark.add(event.reason.as_bytes());
    }
    Some(mark.0.to_le_bytes())
}
