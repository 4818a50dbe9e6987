//! The outbox: in order, leased, settled, cancelled.

use crate::build::{agent, at, channel_row, delivery, event, instance};
use crate::engine::Engine;
use nightbell_alerts::{EventKind, NoticeKind};
use nightbell_model::{ChannelId, IncidentId, Timestamp, Ulid};
use nightbell_store::{
    Change, ClaimRoom, Commit, Delivery, DeliveryCommand, DeliveryQuery, DeliveryState, LoggedEvent, NewDelivery, Settled,
    StoreError,
};

crate::conformance!(
    deliveries_of_one_instance_go_out_one_after_another,
    instances_and_channels_do_not_wait_for_each_other,
    a_slow_channel_leaves_room_for_others,
    nothing_goes_out_before_its_time,
    a_lease_that_runs_out_is_a_marked_repeat,
    a_restart_sends_again_with_a_mark,
    a_failed_attempt_waits_and_keeps_what_went_wrong,
    a_dead_delivery_lets_the_next_one_go,
    a_pair_nobody_was_told_of_is_cancelled,
    a_pair_that_was_tried_or_is_due_is_kept,
    a_second_delivery_of_the_same_kind_is_ignored,
    a_person_can_retry_and_cancel,
    a_deleted_channel_takes_what_waits_along,
    deliveries_are_listed_and_counted,
);

fn put(engine: &dyn Engine, rows: &[NewDelivery]) -> Vec<LoggedEvent> {
    let commit = Commit { outbox: rows.to_vec(), ..Commit::default() };
    engine.store().commit(engine.lease(), &commit).unwrap()
}

fn claim(engine: &dyn Engine, ms: i64) -> Vec<Delivery> {
    engine.store().claim(engine.lease(), at(ms), at(ms + 100), ClaimRoom { all: 10, per_channel: 10 }).unwrap()
}

fn ids(deliveries: &[Delivery]) -> Vec<u128> {
    deliveries.iter().map(|one| one.row.id.bits()).collect()
}

fn settle(engine: &dyn Engine, id: u128, settled: Settled, ms: i64) {
    engine.store().settle(engine.lease(), &[(Ulid::from_bits(id), settled)], at(ms)).unwrap();
}

fn sent() -> Settled {
    Settled::Sent { latency_ms: 12 }
}

fn retry(ms: i64) -> Settled {
    Settled::Retry { at: at(ms), error: "refused".to_owned(), ambiguous: false, plain: true }
}

fn one(engine: &dyn Engine, id: u128) -> Delivery {
    engine.store().delivery(Ulid::from_bits(id)).unwrap().unwrap()
}

fn next_due(engine: &dyn Engine) -> Option<Timestamp> {
    engine.store().next_due().unwrap()
}

fn deliveries_of_one_instance_go_out_one_after_another(engine: &mut dyn Engine) {
    put(engine, &[delivery(3, NoticeKind::Fired, 0, 0), delivery(1, NoticeKind::Repeat, 0, 0)]);
    put(engine, &[delivery(2, NoticeKind::Resolved, 0, 5)]);
    assert_eq!(next_due(engine), Some(at(0)));
    for id in [3, 1, 2] {
        let claimed = claim(engine, 10);
        assert_eq!(ids(&claimed), [id], "in the order they were put in");
        assert_eq!((claimed[0].state, claimed[0].attempts), (DeliveryState::Sending, 1));
        assert_eq!(ids(&claim(engine, 11)), [0; 0], "while one is out the others wait");
        assert_eq!(next_due(engine), Some(at(110)), "its lease");
        settle(engine, id, sent(), 20);
    }
    let last = one(engine, 2);
    assert_eq!((last.state, last.sent_at, last.latency_ms), (DeliveryState::Sent, Some(at(20)), Some(12)));
    assert_eq!((last.first_attempt_at, last.maybe_repeat), (Some(at(10)), false));
    assert_eq!(next_due(engine), None);
}

fn instances_and_channels_do_not_wait_for_each_other(engine: &mut dyn Engine) {
    let other_channel = NewDelivery { channel: ChannelId::from_bits(2), ..delivery(2, NoticeKind::Fired, 0, 0) };
    let other_instance = NewDelivery { instance: "other".to_owned(), ..delivery(3, NoticeKind::Fired, 7, 0) };
    put(engine, &[delivery(1, NoticeKind::Fired, 0, 0), delivery(4, NoticeKind::Repeat, 0, 0), other_channel, other_instance]);
    let limited = engine.store().claim(engine.lease(), at(1), at(9), ClaimRoom { all: 2, per_channel: 2 }).unwrap();
    assert_eq!(ids(&limited), [1, 2]);
    assert_eq!(ids(&claim(engine, 1)), [3]);
}

fn a_slow_channel_leaves_room_for_others(engine: &mut dyn Engine) {
    let on = |id: u128, channel: u128| {
        let row = delivery(id, NoticeKind::Fired, 0, 0);
        NewDelivery {
            channel: ChannelId::from_bits(channel),
            instance: format!("instance {id}"),
            incident: IncidentId::from_bits(id),
            ..row
        }
    };
    put(engine, &[on(1, 7), on(2, 7), on(3, 7), on(4, 8), on(5, 8)]);
    let room = |all| ClaimRoom { all, per_channel: 2 };
    let first = engine.store().claim(engine.lease(), at(1), at(100), room(3)).unwrap();
    assert_eq!(ids(&first), [1, 2, 4], "two of one channel, then the next one's");
    let second = engine.store().claim(engine.lease(), at(1), at(100), room(9)).unwrap();
    assert_eq!(ids(&second), [5], "what is being sent counts");
    settle(engine, 1, sent(), 2);
    assert_eq!(ids(&engine.store().claim(engine.lease(), at(2), at(100), room(9)).unwrap()), [3]);
}

fn nothing_goes_out_before_its_time(engine: &mut dyn Engine) {
    put(engine, &[NewDelivery { not_before: at(50), ..delivery(1, NoticeKind::Fired, 0, 0) }]);
    put(engine, &[delivery(2, NoticeKind::Repeat, 0, 10)]);
    assert_eq!((ids(&claim(engine, 49)).len(), next_due(engine)), (0, Some(at(50))));
    assert_eq!(ids(&claim(engine, 50)), [1]);
}

fn a_lease_that_runs_out_is_a_marked_repeat(engine: &mut dyn Engine) {
    put(engine, &[delivery(1, NoticeKind::Fired, 0, 0)]);
    claim(engine, 0);
    assert!(claim(engine, 99).is_empty());
    let again = claim(engine, 100);
    assert_eq!((ids(&again), again[0].attempts, again[0].maybe_repeat), (vec![1], 2, true));
    settle(engine, 1, sent(), 101);
    settle(engine, 1, retry(500), 102);
    assert_eq!(one(engine, 1).state, DeliveryState::Sent, "what was taken stays taken");
}

fn a_restart_sends_again_with_a_mark(engine: &mut dyn Engine) {
    put(engine, &[delivery(1, NoticeKind::Fired, 0, 0), delivery(2, NoticeKind::Resolved, 0, 0)]);
    claim(engine, 0);
    engine.reopen();
    assert_eq!(one(engine, 1).state, DeliveryState::Queued);
    let again = claim(engine, 1);
    assert_eq!((ids(&again), again[0].maybe_repeat), (vec![1], true));
    assert!(!one(engine, 2).maybe_repeat);
}

fn a_failed_attempt_waits_and_keeps_what_went_wrong(engine: &mut dyn Engine) {
    put(engine, &[delivery(1, NoticeKind::Fired, 0, 0)]);
    claim(engine, 0);
    settle(engine, 1, retry(500), 1);
    let waiting = one(engine, 1);
    assert_eq!(
        (waiting.state, waiting.next_attempt_at, waiting.last_error.as_deref()),
        (DeliveryState::Queued, Some(at(500)), Some("refused"))
    );
    assert_eq!((waiting.plain, waiting.maybe_repeat, next_due(engine)), (true, false, Some(at(500))));
    assert!(claim(engine, 499).is_empty());
    assert_eq!(claim(engine, 500)[0].attempts, 2);
    let ambiguous = Settled::Retry { at: at(600), error: "no reply".to_owned(), ambiguous: true, plain: false };
    settle(engine, 1, ambiguous, 501);
    assert_eq!((one(engine, 1).maybe_repeat, one(engine, 1).plain), (true, true));
}

fn a_dead_delivery_lets_the_next_one_go(engine: &mut dyn Engine) {
    put(engine, &[delivery(1, NoticeKind::Fired, 0, 0), delivery(2, NoticeKind::Resolved, 0, 0)]);
    claim(engine, 0);
    settle(engine, 1, Settled::Dead { error: "gone".to_owned() }, 1);
    assert_eq!((one(engine, 1).state, one(engine, 1).last_error.as_deref()), (DeliveryState::Dead, Some("gone")));
    assert_eq!(ids(&claim(engine, 2)), [2]);
}

fn a_pair_nobody_was_told_of_is_cancelled(engine: &mut dyn Engine) {
    put(engine, &[NewDelivery { not_before: at(50), ..delivery(1, NoticeKind::Fired, 0, 0) }]);
    let logged = put(engine, &[delivery(2, NoticeKind::Resolved, 0, 20)]);
    assert_eq!([one(engine, 1).state, one(engine, 2).state], [DeliveryState::Cancelled; 2]);
    let line = &logged[0].event;
    assert_eq!((line.kind, &*line.reason, line.at), (EventKind::Suppressed, "too short", at(20)));
    assert_eq!((line.rule, line.agent, line.series.clone()), (Some(instance().rule), Some(agent(1)), Some(instance().series)));
    assert_eq!(line.incident, Some(IncidentId::from_bits(1)));
    assert!(claim(engine, 100).is_empty());
    assert_eq!(next_due(engine), None);
}

fn a_pair_that_was_tried_or_is_due_is_kept(engine: &mut dyn Engine) {
    put(engine, &[delivery(1, NoticeKind::Fired, 0, 0)]);
    assert!(put(engine, &[delivery(2, NoticeKind::Resolved, 0, 0)]).is_empty(), "due already");
    let other = IncidentId::from_bits(2);
    put(engine, &[NewDelivery { incident: other, ..delivery(3, NoticeKind::Fired, 0, 0) }]);
    for id in [1, 2] {
        claim(engine, 0);
        settle(engine, id, sent(), 0);
    }
    claim(engine, 0);
    settle(engine, 3, retry(500), 1);
    assert!(put(engine, &[NewDelivery { incident: other, ..delivery(4, NoticeKind::Resolved, 0, 2) }]).is_empty(), "tried");
    assert_eq!(ids(&claim(engine, 500)), [3]);
    settle(engine, 3, sent(), 501);
    assert_eq!(ids(&claim(engine, 502)), [4]);
}

fn a_second_delivery_of_the_same_kind_is_ignored(engine: &mut dyn Engine) {
    put(
        engine,
        &[delivery(1, NoticeKind::Fired, 0, 0), delivery(2, NoticeKind::Fired, 0, 0), delivery(3, NoticeKind::Fired, 1, 0)],
    );
    let all = engine.store().deliveries(&DeliveryQuery { limit: 10, ..Default::default() }).unwrap();
    assert_eq!(ids(&all.items), [3, 1]);
}

fn a_person_can_retry_and_cancel(engine: &mut dyn Engine) {
    put(engine, &[delivery(1, NoticeKind::Fired, 0, 0), delivery(2, NoticeKind::Resolved, 0, 0)]);
    let order = |id, command, ms| engine.store().command_delivery(engine.lease(), Ulid::from_bits(id), command, at(ms));
    assert!(matches!(order(9, DeliveryCommand::Retry, 0), Err(StoreError::NotFound(_))));
    claim(engine, 0);
    assert!(matches!(order(1, DeliveryCommand::Cancel, 1), Err(StoreError::Conflict(text)) if text.contains("sending")));
    settle(engine, 1, retry(5000), 1);
    let now = order(1, DeliveryCommand::Retry, 7).unwrap();
    assert_eq!((now.state, now.next_attempt_at), (DeliveryState::Queued, Some(at(7))));
    assert_eq!(ids(&claim(engine, 7)), [1]);
    settle(engine, 1, Settled::Dead { error: "no".to_owned() }, 8);
    assert_eq!(order(2, DeliveryCommand::Cancel, 9).unwrap().state, DeliveryState::Cancelled);
    assert!(matches!(order(2, DeliveryCommand::Retry, 9), Err(StoreError::Conflict(_))));
    order(1, DeliveryCommand::Retry, 10).unwrap();
    assert_eq!(ids(&claim(engine, 10)), [1]);
}

fn a_deleted_channel_takes_what_waits_along(engine: &mut dyn Engine) {
    let lease = engine.lease();
    engine
        .store()
        .apply(lease, &[Change::PutChannel(channel_row(1)), Change::PutDelivery(delivery(1, NoticeKind::Test, 0, 0))], None)
        .unwrap();
    engine.store().apply(lease, &[Change::DeleteChannel(ChannelId::from_bits(1))], None).unwrap();
    assert_eq!(one(engine, 1).state, DeliveryState::Cancelled);
}

fn deliveries_are_listed_and_counted(engine: &mut dyn Engine) {
    let mut commit = Commit::default();
    for id in 1..=6 {
        let (channel, incident) = (ChannelId::from_bits(1 + id % 2), IncidentId::from_bits(1 + id / 4));
        let instance = format!("instance {id}");
        commit.outbox.push(NewDelivery {
            channel,
            incident,
            instance,
            ..delivery(id, NoticeKind::Fired, u32::try_from(id).unwrap(), 0)
        });
    }
    commit.effects.events = vec![event(0, EventKind::Fired)];
    engine.store().commit(engine.lease(), &commit).unwrap();
    engine.store().claim(engine.lease(), at(0), at(9), ClaimRoom { all: 2, per_channel: 2 }).unwrap();
    let list = |query: DeliveryQuery| {
        let page = engine.store().deliveries(&DeliveryQuery { limit: 4, ..query }).unwrap();
        (ids(&page.items), page.next)
    };
    let (first, next) = list(DeliveryQuery::default());
    assert_eq!(first, [6, 5, 4, 3]);
    assert_eq!(list(DeliveryQuery { before: next, ..Default::default() }), (vec![2, 1], None));
    assert_eq!(list(DeliveryQuery { state: Some(DeliveryState::Sending), ..Default::default() }).0, [2, 1]);
    assert_eq!(list(DeliveryQuery { channel: Some(ChannelId::from_bits(2)), ..Default::default() }).0, [5, 3, 1]);
    assert_eq!(list(DeliveryQuery { incident: Some(IncidentId::from_bits(2)), ..Default::default() }).0, [6, 5, 4]);
    let counts = engine.store().delivery_counts().unwrap();
    let count = |state| counts.iter().find(|entry| entry.0 == state).unwrap().1;
    assert_eq!((count(DeliveryState::Queued), count(DeliveryState::Sending), count(DeliveryState::Held)), (4, 2, 0));
}
