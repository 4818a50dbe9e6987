//! Storms as tables: what waits since when, and which messages go when.

use super::*;
use nightbell_model::IncidentId;

struct Around {
    folds: Folds,
    coming_ms: Option<i64>,
    silent: bool,
}

const USUAL: Around = Around { folds: Folds::Storms, coming_ms: None, silent: false };
const MACHINE: Around = Around { folds: Folds::Never, ..USUAL };

impl Circumstances for Around {
    fn folds(&self, _channel: ChannelId) -> Folds {
        self.folds
    }
    fn coming(&self, rule: &str) -> Option<Timestamp> {
        self.coming_ms.filter(|_| rule == "offline").map(Timestamp::from_millis)
    }
    fn is_about_silence(&self, rule: &str) -> bool {
        self.silent && rule == "offline"
    }
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

/// A page of `rule` about host `id`, made at `made_ms` and due `wait_ms` later.
fn page(id: u128, rule: &str, (made_ms, wait_ms): (i64, i64)) -> Waiting {
    Waiting {
        id: Ulid::from_bits(id),
        channel: ChannelId::from_bits(1),
        instance: format!("{rule}/host-{id}/x"),
        incident: IncidentId::from_bits(id),
        kind: NoticeKind::Fired,
        created_at: at(made_ms),
        due_at: at(made_ms + wait_ms),
        attempts: 0,
        fold: None,
        storm: None,
        storm_rest: 0,
        storm_size: 0,
    }
}

/// The end of a page that was part of message 100, which told of six.
fn end(id: u128, made_ms: i64, rest: u32) -> Waiting {
    let storm = Some(Ulid::from_bits(100));
    Waiting { kind: NoticeKind::Resolved, storm, storm_rest: rest, storm_size: 6, ..page(id, "offline", (made_ms, 5_000)) }
}

fn decide(waiting: &[Waiting], around: &Around, now_ms: i64) -> (Vec<Vec<u128>>, Option<i64>) {
    let room = Room { all: 64, per_channel: 4, busy: &HashMap::new() };
    let plan = plan(waiting, around, &room, at(now_ms));
    let ids = plan.messages.iter().map(|one| one.ids.iter().map(|id| id.bits()).collect()).collect();
    (ids, plan.wake.map(Timestamp::as_millis))
}

/// The first moment at which everything goes, looked for as the worker does: from wake to wake.
fn goes_at(waiting: &[Waiting], around: &Around) -> (i64, usize) {
    let mut now = waiting.iter().map(|one| one.created_at.as_millis()).max().unwrap();
    for _round in 0..20 {
        match decide(waiting, around, now) {
            (messages, None) => return (now, messages.len()),
            (_, Some(wake)) => now = wake,
        }
    }
    panic!("never");
}

#[test]
fn a_lone_page_goes_at_its_time() {
    for (wait_ms, expected) in [(0, 300), (5_000, 5_000), (10_000, 10_000)] {
        assert_eq!(goes_at(&[page(1, "offline", (0, wait_ms))], &USUAL), (expected, 1), "{wait_ms}");
    }
    assert_eq!(goes_at(&[page(1, "hot", (0, 0))], &MACHINE), (0, 1), "a program is not kept waiting");
}

#[test]
fn what_comes_within_the_wait_of_the_first_travels_with_it() {
    let waiting = [page(1, "hot", (0, 10_000)), page(2, "hot", (9_000, 10_000)), page(3, "full", (0, 10_000))];
    assert_eq!(decide(&waiting, &USUAL, 9_999), (vec![], Some(10_000)));
    assert_eq!(decide(&waiting, &USUAL, 10_000), (vec![vec![1, 2], vec![3]], None));
    assert_eq!(decide(&waiting, &MACHINE, 19_000).0, vec![vec![1], vec![2], vec![3]]);
    let mut other = waiting.clone();
    other[1].kind = NoticeKind::Resolved;
    assert_eq!(decide(&other, &USUAL, 20_000).0, vec![vec![1], vec![2], vec![3]], "beginnings and ends are told apart");
}

#[test]
fn a_storm_is_waited_for_as_long_as_it_lasts_and_not_longer_than_a_minute() {
    let storm = |step_ms: i64, count: i64, wait_ms: i64| -> Vec<Waiting> {
        (0..count).map(|n| page(n.unsigned_abs().into(), "hot", (n * step_ms, wait_ms))).collect()
    };
    // Twenty hosts over nineteen seconds: one message five seconds after the last.
    assert_eq!(goes_at(&storm(1_000, 20, 10_000), &USUAL), (24_000, 1));
    // Somebody must be told although they keep coming.
    assert_eq!(decide(&storm(4_000, 15, 10_000), &USUAL, 59_999), (vec![], Some(60_000)));
    assert_eq!(decide(&storm(4_000, 15, 10_000), &USUAL, 60_000).0.len(), 1);
    // What may go at once waits for seconds only.
    assert_eq!(goes_at(&storm(50, 20, 0), &USUAL), (1_950, 1));
    assert_eq!(decide(&storm(600, 17, 0), &USUAL, 10_000).0.len(), 1);
}

/// A page of a storm of which something was told already.
fn next(id: u128, times: (i64, i64)) -> Waiting {
    Waiting { storm: Some(Ulid::from_bits(100)), storm_size: 1, ..page(id, "hot", times) }
}

#[test]
fn after_the_first_page_of_a_storm_the_next_is_the_list() {
    let storm = |step_ms: i64, count: i64, wait_ms: i64| -> Vec<Waiting> {
        (1..=count).map(|n| next(n.unsigned_abs().into(), (n * step_ms, wait_ms))).collect()
    };
    // However far apart the others come, urgent or not: one message, once nothing has come for a while.
    for (step_ms, wait_ms) in [(500, 0), (2_000, 0), (10_000, 0), (500, 10_000), (10_000, 10_000)] {
        assert_eq!(goes_at(&storm(step_ms, 5, wait_ms), &USUAL), ((5 * step_ms + 15_000).min(step_ms + 60_000), 1), "{step_ms}");
    }
    // Nobody waits for more than a minute.
    assert_eq!(decide(&storm(10_000, 7, 0), &USUAL, 69_999), (vec![], Some(70_000)));
    assert_eq!(decide(&storm(10_000, 7, 0), &USUAL, 70_000).0.len(), 1);
    // One that began before it and waits still goes by itself.
    assert_eq!(decide(&[page(1, "hot", (0, 0)), next(2, (200, 0))], &USUAL, 15_200).0, vec![vec![1], vec![2]]);
}

/// What went when.
type Went = Vec<(i64, Vec<u128>)>;

/// Hosts that begin to fire at these moments, and what goes when: the outbox as a whole, with what it remembers of storms.
fn timeline(begins_ms: &[i64], wait_ms: i64) -> Went {
    let mut coming: Vec<Waiting> = (1_u128..).zip(begins_ms).map(|(id, begins)| page(id, "hot", (*begins, wait_ms))).collect();
    coming.reverse();
    let (mut waiting, mut went, mut told) = (Vec::new(), Went::new(), 0);
    let mut now = 0;
    while let Some(next) = coming.last().map(|one| one.created_at.as_millis()) {
        let wake = decide(&waiting, &USUAL, now).1;
        now = wake.map_or(next, |wake| wake.min(next));
        waiting.extend(coming.pop_if(|one| one.created_at.as_millis() <= now));
        went_now(&mut waiting, &mut went, &mut told, now);
    }
    while let (_, Some(wake)) = decide(&waiting, &USUAL, now) {
        now = wake;
        went_now(&mut waiting, &mut went, &mut told, now);
    }
    went
}

fn went_now(waiting: &mut Vec<Waiting>, went: &mut Went, told: &mut u32, now: i64) {
    let last = went.last().map(|(at, _)| *at);
    for one in &mut *waiting {
        let goes_on = last.is_some_and(|last| one.created_at.as_millis() - last < 60_000);
        (one.storm, one.storm_size) = (goes_on.then_some(Ulid::from_bits(1)), if goes_on { *told } else { 0 });
    }
    for ids in decide(waiting, &USUAL, now).0 {
        waiting.retain(|one| !ids.contains(&one.id.bits()));
        *told += u32::try_from(ids.len()).unwrap();
        went.push((now, ids));
    }
}

#[test]
fn a_second_host_is_told_of_soon_and_from_the_third_on_it_is_a_storm() {
    let told = |begins_ms: &[i64]| timeline(begins_ms, 0);
    assert_eq!(told(&[0, 20_000]), [(300, vec![1]), (25_000, vec![2])], "nobody waits for a storm that does not run");
    assert_eq!(told(&[0, 5_000, 40_000]), [(300, vec![1]), (10_000, vec![2]), (55_000, vec![3])]);
    assert_eq!(told(&[0, 5_000, 11_000, 12_000]), [(300, vec![1]), (10_000, vec![2]), (27_000, vec![3, 4])]);
    assert_eq!(
        told(&[0, 5_000, 9_900, 12_000]),
        [(300, vec![1]), (27_000, vec![2, 3, 4])],
        "the third comes within five seconds"
    );
    assert_eq!(told(&[0, 500, 900, 1_400]), [(300, vec![1]), (16_400, vec![2, 3, 4])], "what follows at once is one list");
    assert_eq!(told(&[0, 100, 5_000]), [(300, vec![1, 2]), (20_000, vec![3])]);
    assert_eq!(told(&[0, 70_000]), [(300, vec![1]), (70_300, vec![2])]);
    // Twenty hosts, as heartbeats 15 s apart find them: the first, and the list.
    let spread: Vec<i64> = (0..20).map(|host| host * 750).collect();
    assert_eq!(told(&spread).iter().map(|(at, ids)| (*at, ids.len())).collect::<Vec<_>>(), [(300, 1), (29_250, 19)]);
    // One that may wait for company waits no longer for the second host.
    assert_eq!(timeline(&[0, 15_000], 10_000), [(10_000, vec![1]), (25_000, vec![2])]);
    assert_eq!(timeline(&[0, 5_000, 15_000, 17_000], 10_000), [(10_000, vec![1, 2]), (32_000, vec![3, 4])]);
}

#[test]
fn a_host_that_stays_bad_does_not_keep_the_ends_of_the_others() {
    let ends = |times: &[i64], rest, size| -> Vec<Waiting> {
        let of = |(id, made_ms): (u128, &i64)| Waiting { storm_size: size, ..end(id, *made_ms, rest) };
        (1..).zip(times).map(of).collect()
    };
    let said = |times: &[i64], rest, size| goes_at(&ends(times, rest, size), &USUAL);
    assert_eq!(said(&[0, 3_000, 4_000], 1, 6), (24_000, 1), "once no more come");
    assert_eq!(said(&[0, 15_000, 30_000, 45_000], 1, 6), (65_000, 1));
    assert_eq!(said(&[0], 1, 2), (5_000, 1), "two are no storm: each end has its time");
    assert_eq!(said(&[0, 3_000], 0, 6), (5_000, 1), "nobody is left to wait for");
}

#[test]
fn a_program_gets_what_is_due_together_and_waits_for_no_storm() {
    let program = Around { folds: Folds::Due, ..USUAL };
    assert_eq!(goes_at(&[next(1, (0, 0)), next(2, (250, 0))], &program), (300, 1));
    assert_eq!(
        goes_at(&[page(1, "hot", (0, 10_000)), page(2, "hot", (9_000, 10_000)), next(3, (9_900, 10_000))], &program).0,
        10_000
    );
    assert_eq!(goes_at(&[end(1, 0, 5), end(2, 3_000, 5)], &program), (5_000, 1), "nor for the ends of others");
}

#[test]
fn hosts_behind_one_dead_switch_are_one_page() {
    // At 15 s between heartbeats they fall silent over one interval; the first is found offline while the last is yet to be.
    let first = [page(1, "offline", (0, 5_000))];
    let others = Around { coming_ms: Some(14_900), ..USUAL };
    assert_eq!(decide(&first, &others, 5_000), (vec![], Some(16_400)));
    let all: Vec<Waiting> = (0..14).map(|n| page(n, "offline", (i64::try_from(n).unwrap() * 1_100, 5_000))).collect();
    assert_eq!(goes_at(&all, &USUAL), (19_300, 1));
    // However long others take to be found, nobody waits longer than a minute.
    assert_eq!(goes_at(&first, &Around { coming_ms: Some(600_000), ..USUAL }), (60_000, 1));
    assert_eq!(goes_at(&[page(1, "hot", (0, 10_000))], &others), (10_000, 1), "other rules do not wait for it");
}

#[test]
fn silent_hosts_are_said_to_be_back_once_all_are_or_after_a_minute() {
    let silent = Around { silent: true, ..USUAL };
    let some = [end(1, 0, 2), end(2, 3_000, 2)];
    assert_eq!(decide(&some, &silent, 30_000), (vec![], Some(60_000)));
    assert_eq!(decide(&some, &silent, 60_000), (vec![vec![1, 2]], None));
    let all = [end(1, 0, 0), end(2, 3_000, 0), end(3, 20_000, 0)];
    assert_eq!(decide(&all, &silent, 20_000), (vec![vec![1, 2, 3]], None), "nobody is left to wait for");
    // The rest of an earlier message later, as one.
    assert_eq!(goes_at(&[end(3, 100_000, 1)], &silent), (160_000, 1));
    assert_eq!(goes_at(&[end(3, 100_000, 0), end(4, 130_000, 0)], &silent), (130_000, 1));
    // Those that keep coming are waited for a little longer.
    let slow: Vec<Waiting> = (0_i64..9).map(|n| end(n.unsigned_abs().into(), n * 10_000, 1)).collect();
    assert_eq!(decide(&slow[..7], &silent, 60_000), (vec![], Some(80_000)));
    assert_eq!(goes_at(&slow, &silent), (90_000, 1));
    let room = Room { all: 9, per_channel: 9, busy: &HashMap::new() };
    assert_eq!(plan(&some, &silent, &room, at(60_000)).messages[0].rest, 2, "the message can say that some are missing");
}

#[test]
fn a_retry_is_the_same_message() {
    let tried = |id| Waiting { attempts: 2, fold: Some(Ulid::from_bits(2)), ..page(id, "hot", (0, 90_000)) };
    let waiting = [tried(1), tried(2), page(3, "hot", (80_000, 10_000))];
    assert_eq!(decide(&waiting, &USUAL, 90_000).0, vec![vec![2, 1], vec![3]], "its leader first, and nothing added");
    let led_no_more = [tried(1), tried(3)];
    assert_eq!(decide(&led_no_more, &USUAL, 90_000).0, vec![vec![1, 3]]);
    let alone = Waiting { attempts: 1, ..page(9, "hot", (0, 90_000)) };
    assert_eq!(decide(&[alone, page(3, "hot", (80_000, 10_000))], &USUAL, 90_000).0, vec![vec![9], vec![3]]);
}

#[test]
fn what_belongs_to_a_digest_waits_for_it_and_not_for_ever() {
    let of_digest = |id| Waiting { fold: Some(Ulid::from_bits(50)), ..page(id, "hot", (0, 10_000)) };
    let waiting = [of_digest(1), of_digest(2)];
    assert_eq!(decide(&waiting, &USUAL, 15_000), (vec![], Some(20_000)));
    assert_eq!(decide(&waiting, &USUAL, 20_000).0, vec![vec![1, 2]], "better a list without a digest than none");
    let digest = Waiting { kind: NoticeKind::Digest, fold: Some(Ulid::from_bits(50)), ..page(50, "", (6_000, 0)) };
    let with = [of_digest(1), of_digest(2), digest];
    assert_eq!(decide(&with, &MACHINE, 10_000).0, vec![vec![50, 2, 1]]);
    let mut storm: Vec<Waiting> = (100..550).map(of_digest).collect();
    storm.push(with[2].clone());
    let chosen = decide(&storm, &USUAL, 10_000).0;
    assert_eq!((chosen.len(), chosen[0][0], chosen[0].len()), (1, 50, 451), "two messages of one name would be one to a reader");
}

#[test]
fn a_slow_channel_leaves_room_for_others_and_a_list_ends_somewhere() {
    let busy = HashMap::from([(ChannelId::from_bits(1), 3)]);
    let room = Room { all: 3, per_channel: 4, busy: &busy };
    let on = |id, channel| Waiting { channel: ChannelId::from_bits(channel), ..page(id, &format!("rule-{id}"), (0, 0)) };
    let waiting = [on(1, 1), on(2, 1), on(3, 2), on(4, 2), on(5, 2)];
    let chosen = plan(&waiting, &USUAL, &room, at(1_000));
    let ids: Vec<u128> = chosen.messages.iter().map(|one| one.ids[0].bits()).collect();
    assert_eq!(ids, [1, 3, 4]);
    let busy = HashMap::from([(ChannelId::from_bits(1), 4)]);
    let none = Room { all: 0, per_channel: 4, busy: &busy };
    let ids: Vec<_> = plan(&waiting, &USUAL, &none, at(1_000)).messages.iter().map(|one| one.ids[0].bits()).collect();
    assert_eq!(ids, [3], "where others have taken all lanes, a channel that has none gets one");
    let many: Vec<Waiting> = (0..450).map(|n| page(n, "hot", (0, 10_000))).collect();
    let sizes: Vec<usize> = decide(&many, &USUAL, 15_000).0.iter().map(Vec::len).collect();
    assert_eq!(sizes, [200, 200, 50]);
}
