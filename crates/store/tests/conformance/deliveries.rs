//! The outbox: in order, leased, settled, cancelled.

use crate::build::{agent, at, channel_row, delivery, event, instance};
use crate::engine::Engine;
use nightbell_alerts::{Effects, EventKind, NoticeKind, ToldRecord};
use nightbell_model::{ChannelId, IncidentId, Timestamp, Ulid};
use nightbell_store::{
    Change, Commit, Delivery, DeliveryCommand, DeliveryQuery, DeliveryState, LoggedEvent, NewDelivery, Retention, Settled,
    StoreError,
};

crate::conformance!(
    deliveries_of_one_instance_go_out_one_after_another,
    instances_and_channels_do_not_wait_for_each_other,
    a_message_of_several_stays_together,
    ends_know_who_else_was_told_of_in_the_same_message,
    beginnings_within_a_minute_of_each_other_are_one_storm,
    what_is_to_travel_in_a_message_says_so_from_the_start,
    a_clock_that_is_set_holds_up_nothing,
    what_waits_for_a_future_that_cannot_be_meant_is_due_now,
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
    what_was_given_up_is_kept_for_thirty_days,
    who_was_told_of_what_is_not_over_is_known_however_long_ago,
    deliveries_are_listed_and_counted,
);

fn put(engine: &dyn Engine, rows: &[NewDelivery]) -> Vec<LoggedEvent> {
    let commit = Commit { outbox: rows.to_vec(), ..Commit::default() };
    engine.store().commit(engine.lease(), &commit).unwrap()
}

fn claim(engine: &dyn Engine, ms: i64) -> Vec<Delivery> {
    claim_some(engine, ms, ms + 100, usize::MAX)
}

/// Takes what is due, at most so many, each as a message of its own.
fn claim_some(engine: &dyn Engine, ms: i64, until: i64, most: usize) -> Vec<Delivery> {
    assert!(engine.store().claim(engine.lease(), at(ms), at(until), &[]).unwrap().is_empty());
    let waiting = engine.store().waiting(at(ms)).unwrap();
    let messages: Vec<Vec<Ulid>> = waiting.into_iter().take(most).map(|one| vec![one.id]).collect();
    engine.store().claim(engine.lease(), at(ms), at(until), &messages).unwrap().concat()
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
    let limited = claim_some(engine, 1, 9, 2);
    assert_eq!(ids(&limited), [1, 2]);
    assert_eq!(ids(&claim(engine, 1)), [3]);
}

/// A delivery of an incident of its own.
fn of_incident(id: u128, incident: u128, kind: NoticeKind) -> NewDelivery {
    let row = delivery(id, kind, 0, 0);
    NewDelivery { instance: format!("instance {incident}"), incident: IncidentId::from_bits(incident), ..row }
}

fn message(of: &[u128]) -> Vec<Ulid> {
    of.iter().copied().map(Ulid::from_bits).collect()
}

fn a_message_of_several_stays_together(engine: &mut dyn Engine) {
    let fired = |id| of_incident(id, id, NoticeKind::Fired);
    put(engine, &[fired(1), fired(2), fired(3), of_incident(4, 1, NoticeKind::Repeat)]);
    let take = |engine: &dyn Engine, ms, messages: &[Vec<Ulid>]| {
        engine.store().claim(engine.lease(), at(ms), at(ms + 100), messages).unwrap()
    };
    let taken = take(engine, 0, &[message(&[2, 1, 9, 4]), message(&[3])]);
    assert_eq!((ids(&taken[0]), ids(&taken[1])), (vec![2, 1], vec![3]), "what is not there or not its turn is left out");
    assert_eq!(taken[0].iter().map(|one| one.row.fold).collect::<Vec<_>>(), [Some(Ulid::from_bits(2)); 2]);
    for id in [1, 2] {
        settle(engine, id, retry(50), 1);
    }
    engine.store().note_progress(engine.lease(), Ulid::from_bits(2), r#"{"reached":1}"#).unwrap();
    engine.reopen();
    let folds: Vec<_> =
        engine.store().waiting(at(60)).unwrap().into_iter().map(|one| (one.id.bits(), one.fold, one.attempts)).collect();
    let (two, three) = (Some(Ulid::from_bits(2)), Some(Ulid::from_bits(3)));
    assert_eq!(folds, [(1, two, 1), (2, two, 1), (3, three, 1)], "a retry is the same message");
    assert_eq!(one(engine, 2).progress.as_deref(), Some(r#"{"reached":1}"#));
    assert_eq!(take(engine, 60, &[message(&[1, 2])])[0][0].row.fold, two, "whoever is named first");
    settle(engine, 1, Settled::Dead { error: "no".to_owned() }, 61);
    let again = engine.store().command_delivery(engine.lease(), Ulid::from_bits(1), DeliveryCommand::Retry, at(62)).unwrap();
    assert_eq!(again.row.fold, None, "what a person sends again is a message of its own");
    assert_eq!((again.first_attempt_at, again.attempts), (None, 2), "and has all the time of a new one");
    settle(engine, 2, retry(80), 62);
    let hurried = engine.store().command_delivery(engine.lease(), Ulid::from_bits(2), DeliveryCommand::Retry, at(63)).unwrap();
    assert_eq!(hurried.first_attempt_at, Some(at(0)), "what is hurried has not");
}

fn ends_know_who_else_was_told_of_in_the_same_message(engine: &mut dyn Engine) {
    let fired = |id| of_incident(id, id, NoticeKind::Fired);
    put(engine, &[fired(1), fired(2), fired(3), fired(4)]);
    let messages = [message(&[1, 2, 3]), message(&[4])];
    engine.store().claim(engine.lease(), at(0), at(100), &messages).unwrap();
    for id in 1..=4 {
        settle(engine, id, sent(), 1);
    }
    let storms = |engine: &dyn Engine| {
        let waiting = engine.store().waiting(at(10)).unwrap();
        waiting
            .into_iter()
            .map(|one| (one.id.bits(), one.storm.map(|id| id.bits()), one.storm_rest, one.storm_size))
            .collect::<Vec<_>>()
    };
    put(engine, &[of_incident(11, 2, NoticeKind::Resolved), of_incident(14, 4, NoticeKind::Resolved)]);
    assert_eq!(storms(engine), [(11, Some(1), 2, 3), (14, None, 0, 0)]);
    put(engine, &[of_incident(12, 1, NoticeKind::Repeat), of_incident(13, 3, NoticeKind::Resolved)]);
    assert_eq!(storms(engine), [(11, Some(1), 1, 3), (14, None, 0, 0), (12, Some(1), 0, 3), (13, Some(1), 1, 3)]);
}

/// A beginning of rule `rule` on host `host`, made at `ms`.
fn begin(id: u128, (rule, host): (u128, u128), ms: i64) -> NewDelivery {
    let instance = format!("{}/{}/x", Ulid::from_bits(rule), Ulid::from_bits(host));
    NewDelivery { instance, incident: IncidentId::from_bits(id), ..delivery(id, NoticeKind::Fired, 0, ms) }
}

fn beginnings_within_a_minute_of_each_other_are_one_storm(engine: &mut dyn Engine) {
    let storm = |engine: &dyn Engine, ms| {
        let waiting = engine.store().waiting(at(ms)).unwrap();
        waiting
            .into_iter()
            .map(|one| (one.id.bits(), one.storm.map(|id| id.bits()), (one.storm_rest, one.storm_size)))
            .collect::<Vec<_>>()
    };
    let tell = |engine: &dyn Engine, rows: &[NewDelivery], ms| {
        put(engine, rows);
        let seen = storm(engine, ms);
        let all = message(&rows.iter().map(|row| row.id.bits()).collect::<Vec<_>>());
        let taken = engine.store().claim(engine.lease(), at(ms), at(ms + 100), &[all]).unwrap().concat();
        for one in &taken {
            settle(engine, one.row.id.bits(), sent(), ms + 1);
        }
        assert!(taken.iter().all(|one| one.storm == taken[0].storm), "{taken:#?}");
        (seen[0].1, taken[0].storm.map(|id| id.bits()), seen[0].2.1)
    };
    assert_eq!(tell(engine, &[begin(1, (7, 1), 0)], 0), (None, Some(1), 0), "it begins one");
    assert_eq!(tell(engine, &[begin(2, (8, 2), 10_000)], 10_000), (None, Some(2), 0), "another rule");
    assert_eq!(tell(engine, &[begin(3, (7, 1), 20_000)], 20_000), (None, Some(3), 0), "the same host is no crowd");
    assert_eq!(tell(engine, &[begin(4, (7, 2), 59_999), begin(5, (7, 3), 60_500)], 75_000), (Some(3), Some(3), 1));
    engine.reopen();
    assert_eq!(tell(engine, &[begin(6, (7, 4), 134_999)], 140_000), (Some(3), Some(3), 3), "it goes on while they keep coming");
    assert_eq!(tell(engine, &[begin(7, (7, 5), 200_000)], 200_000), (None, Some(7), 0), "a minute later it does not");
    assert_eq!(tell(engine, &[begin(8, (7, 6), 201_000)], 201_000), (Some(7), Some(7), 1));
    assert_eq!(tell(engine, &[begin(9, (7, 5), 202_000)], 202_000), (Some(7), Some(7), 1), "who fires again is no more hosts");
    let end = |id, of: NewDelivery| NewDelivery { id: Ulid::from_bits(id), kind: NoticeKind::Resolved, ..of };
    put(engine, &[end(14, begin(4, (7, 2), 300_000)), end(17, begin(7, (7, 5), 300_000))]);
    assert_eq!(
        storm(engine, 300_000),
        [(14, Some(3), (3, 4)), (17, Some(7), (2, 2))],
        "told alone or in a list, they end together"
    );
    let query = DeliveryQuery { storm: Some(Ulid::from_bits(3)), limit: 9, ..Default::default() };
    assert_eq!(ids(&engine.store().deliveries(&query).unwrap().items), [6, 5, 4, 3]);
}

fn a_clock_that_is_set_holds_up_nothing(engine: &mut dyn Engine) {
    put(
        engine,
        &[of_incident(1, 1, NoticeKind::Fired), of_incident(2, 2, NoticeKind::Fired), of_incident(3, 3, NoticeKind::Fired)],
    );
    claim_some(engine, 0, 100, 2);
    settle(engine, 2, retry(50), 1);
    let shift = |engine: &dyn Engine, by_ms| engine.store().shift_deliveries(engine.lease(), by_ms).unwrap();
    shift(engine, -1_000);
    let waiting = engine.store().waiting(at(-950)).unwrap();
    let times: Vec<_> = waiting.iter().map(|one| (one.id.bits(), one.created_at, one.due_at)).collect();
    assert_eq!(times, [(2, at(-1_000), at(-950)), (3, at(-1_000), at(-1_000))]);
    assert_eq!((one(engine, 2).next_attempt_at, one(engine, 2).first_attempt_at), (Some(at(-950)), Some(at(-1_000))));
    assert_eq!(one(engine, 1).row.created_at, at(0), "what is out keeps its time");
    assert!(engine.store().claim(engine.lease(), at(-901), at(0), &[]).unwrap().is_empty());
    assert_eq!(one(engine, 1).state, DeliveryState::Sending, "its lease has moved along");
    shift(engine, 5_000);
    engine.store().claim(engine.lease(), at(4_099), at(5_000), &[]).unwrap();
    assert_eq!(one(engine, 1).state, DeliveryState::Sending);
    assert_eq!(engine.store().waiting(at(-950)).unwrap().len(), 2, "early is early enough");
    engine.store().claim(engine.lease(), at(4_100), at(5_000), &[]).unwrap();
    assert_eq!(one(engine, 1).state, DeliveryState::Queued);
}

fn what_waits_for_a_future_that_cannot_be_meant_is_due_now(engine: &mut dyn Engine) {
    let made = |id: u128, ms: i64| NewDelivery {
        created_at: at(ms),
        not_before: at(ms + 10_000),
        ..of_incident(id, id, NoticeKind::Fired)
    };
    put(engine, &[NewDelivery { not_before: at(0), ..made(3, 0) }]);
    claim_some(engine, 500, 600, 1);
    settle(engine, 3, retry(200_000), 500);
    // The clock goes an hour ahead; one is made before that, and one after.
    put(engine, &[made(1, 3_600_000), made(2, 0)]);
    engine
        .store()
        .claim(engine.lease(), at(3_700_000), at(3_800_000), &[vec![Ulid::from_bits(1)], vec![Ulid::from_bits(2)]])
        .unwrap();
    settle(engine, 1, retry(3_800_000), 3_700_000);
    settle(engine, 2, retry(3_800_000), 3_700_000);
    put(engine, &[made(4, 0)]);
    let pull_back = |ms| engine.store().pull_back_deliveries(engine.lease(), at(ms), 250_000).unwrap();
    assert_eq!(pull_back(1_000), 2);
    let first = one(engine, 1);
    assert_eq!((first.row.created_at, first.row.not_before), (at(1_000), at(11_000)));
    assert_eq!((first.next_attempt_at, first.first_attempt_at), (Some(at(1_000)), Some(at(1_000))));
    let second = one(engine, 2);
    assert_eq!((second.next_attempt_at, second.first_attempt_at), (Some(at(1_000)), Some(at(1_000))));
    assert_eq!(one(engine, 3).next_attempt_at, Some(at(200_000)), "a receiver may ask for so much patience");
    assert_eq!((one(engine, 4).row.not_before, one(engine, 4).next_attempt_at), (at(10_000), None), "it waits as was meant");
    assert_eq!(pull_back(1_000), 0, "and once is enough");
    let due: Vec<u128> = engine.store().waiting(at(1_000)).unwrap().iter().map(|one| one.id.bits()).collect();
    assert_eq!(due, [1, 2]);
}

fn what_is_to_travel_in_a_message_says_so_from_the_start(engine: &mut dyn Engine) {
    let digest = Some(Ulid::from_bits(77));
    put(engine, &[NewDelivery { fold: digest, ..of_incident(1, 1, NoticeKind::Fired) }]);
    assert_eq!(engine.store().waiting(at(0)).unwrap()[0].fold, digest);
    assert_eq!(claim(engine, 0)[0].row.fold, digest);
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

fn what_was_given_up_is_kept_for_thirty_days(engine: &mut dyn Engine) {
    const DAY: i64 = 86_400_000;
    let fired = |id| of_incident(id, id, NoticeKind::Fired);
    put(engine, &[fired(1), fired(2), fired(3)]);
    claim_some(engine, 0, 100, 2);
    settle(engine, 1, Settled::Dead { error: "gone".to_owned() }, 1);
    settle(engine, 2, sent(), 1);
    let left = |engine: &dyn Engine, day: i64, log_days: i64| {
        let keep = Retention { log_ms: log_days * DAY, ..Retention::default() };
        engine.store().retain(engine.lease(), at(day * DAY), &keep).unwrap();
        ids(&engine.store().deliveries(&DeliveryQuery { limit: 9, ..Default::default() }).unwrap().items)
    };
    assert_eq!(left(engine, 29, 90), [3, 2, 1]);
    assert_eq!(left(engine, 30, 7), [3, 1], "whatever is set for logs");
    assert_eq!(left(engine, 31, 90), [3], "what waits still is not old");
}

fn who_was_told_of_what_is_not_over_is_known_however_long_ago(engine: &mut dyn Engine) {
    const DAY: i64 = 86_400_000;
    let told = |incident: Option<u128>| Commit {
        effects: Effects {
            told: vec![ToldRecord {
                key: instance(),
                channel: ChannelId::from_bits(1),
                told: incident.map(IncidentId::from_bits),
                told_nodata: None,
                last_fired_at: Some(at(0)),
                last_said_at: None,
                suppressed: 0,
                repeats: 1,
            }],
            ..Effects::default()
        },
        ..Commit::default()
    };
    put(engine, &[of_incident(1, 1, NoticeKind::Fired), of_incident(2, 2, NoticeKind::Fired)]);
    claim_some(engine, 0, 100, 2);
    put(engine, &[of_incident(3, 1, NoticeKind::Repeat)]);
    (1..3).for_each(|id| settle(engine, id, sent(), 1));
    claim_some(engine, 0, 100, 1);
    settle(engine, 3, sent(), 1);
    engine.store().commit(engine.lease(), &told(Some(1))).unwrap();
    let left = |engine: &dyn Engine| {
        engine.store().retain(engine.lease(), at(91 * DAY), &Retention::default()).unwrap();
        ids(&engine.store().deliveries(&DeliveryQuery { limit: 9, ..Default::default() }).unwrap().items)
    };
    assert_eq!(left(engine), [1], "its end is to be told to the same");
    engine.store().commit(engine.lease(), &told(None)).unwrap();
    assert_eq!(left(engine), []);
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
    claim_some(engine, 0, 9, 2);
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
