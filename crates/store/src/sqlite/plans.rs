//! No statement reads a table that grows from end to end: the statements of a life in brief are listened to, and the plan of
//! each is looked at.

use super::history::Selection;
use super::{SqliteOptions, SqliteStore, chunks, held};
use crate::entities::{AgentRow, AuditEntry, Change, Commit, NewDelivery, SeenRow, Settled};
use crate::seams::{
    DeliveryCommand, DeliveryQuery, EventQuery, ExportQuery, FleetQuery, IncidentQuery, LeaseToken, MetricStore, RangeQuery,
    Retention, ScrubPlace, SealPolicy, StateStore,
};
use nightbell_alerts::{Effects, Event, EventKind, IncidentRecord, InstanceKey, InstanceRecord, NoticeKind, Severity, State};
use nightbell_model::{AgentId, Batch, BootId, ChannelId, IncidentId, RuleId, Schema, Tier, Timestamp, Ulid};
use rusqlite::Connection;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

static HEARD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Tables that are small and meant to be read whole: configuration, and what is at hand at start.
const SMALL: [&str; 15] = [
    "sqlite_schema",
    "agents",
    "agent_keys",
    "agent_settings",
    "default_settings",
    "enrolment_tokens",
    "users",
    "sessions",
    "tokens",
    "channels",
    "silences",
    "settings",
    "alert_rules",
    "alert_state",
    "notice_state",
];

/// Pages are looked through where the scrub has found damage, and by `nightbell maintain`; a table's columns are few.
const MENDING: [&str; 2] = ["dbstat", "pragma_table_info"];

/// Processes are read whole at start; there is a bound to them for each agent.
const READ_AT_START: &str = "SELECT agent_keys.agent AS agent, boot,";

fn hear(event: TraceEvent<'_>) {
    if let TraceEvent::Stmt(statement, _) = event {
        HEARD.lock().unwrap_or_else(PoisonError::into_inner).insert(statement.sql().into_owned());
    }
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn listen(store: &SqliteStore) {
    store.gate.urgent().connection().trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(hear));
    store
        .readers
        .read("listen", |connection| {
            connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(hear));
            Ok(())
        })
        .unwrap();
}

fn instance() -> InstanceKey {
    let (rule, agent) = (RuleId::from_bits(1), AgentId::from_bits(1));
    InstanceKey { rule, agent, series: "m.a".parse().unwrap() }
}

fn effects() -> Effects {
    let record = IncidentRecord {
        id: IncidentId::from_bits(1),
        key: instance(),
        rule_name: String::new(),
        severity: Severity::Info,
        comparison: nightbell_alerts::Comparison::Less,
        threshold: 0.0,
        hold_ms: 0,
        started_at: at(0),
        fired_at: at(0),
        resolved_at: None,
        end_reason: None,
        value: 0.0,
        peak: 0.0,
        samples: 0,
        ack: None,
        why: String::new(),
        late: false,
    };
    let event = Event::of_agent(AgentId::from_bits(1), at(0), EventKind::Fired, String::new());
    let state = InstanceRecord {
        key: instance(),
        state: State::Firing,
        since: at(0),
        fired_at: None,
        clear_since: None,
        was_firing: false,
        incident: None,
        rule_version: 1,
        samples: 0,
        peak: None,
        last_ts: None,
    };
    Effects {
        incidents: vec![record],
        instances: vec![state],
        forgotten: vec![InstanceKey { rule: RuleId::from_bits(2), ..instance() }],
        events: vec![event],
        ..Effects::default()
    }
}

fn deliver(id: u128, kind: NoticeKind) -> NewDelivery {
    NewDelivery {
        id: Ulid::from_bits(id),
        channel: ChannelId::from_bits(1),
        instance: "i".to_owned(),
        incident: IncidentId::from_bits(1),
        kind,
        n: 0,
        payload_json: String::new(),
        created_at: at(0),
        not_before: at(i64::from(u8::try_from(id).unwrap())),
        fold: None,
    }
}

fn audit() -> AuditEntry {
    AuditEntry {
        at: at(0),
        actor: "user:ann".to_owned(),
        action: "incident.ack".to_owned(),
        object: String::new(),
        detail_json: "{}".to_owned(),
        address: String::new(),
    }
}

/// Two beginnings in one message, and an end.
fn storm(store: &SqliteStore, lease: LeaseToken) {
    let of = |id: u128, incident: u128, kind| NewDelivery {
        incident: IncidentId::from_bits(incident),
        instance: format!("storm {incident}"),
        ..deliver(id, kind)
    };
    let begins = vec![of(21, 21, NoticeKind::Fired), of(22, 22, NoticeKind::Fired)];
    store.commit(lease, &Commit { outbox: begins, ..Commit::default() }).unwrap();
    let claimed = store.claim(lease, at(100), at(101), &[vec![Ulid::from_bits(21), Ulid::from_bits(22)]]).unwrap();
    for one in &claimed[0] {
        store.settle(lease, &[(one.row.id, Settled::Sent { latency_ms: 1 })], at(101)).unwrap();
    }
    store.commit(lease, &Commit { outbox: vec![of(23, 21, NoticeKind::Resolved)], ..Commit::default() }).unwrap();
    assert_eq!(store.waiting(at(100)).unwrap().last().map(|one| one.storm_rest), Some(1));
}

/// Does everything once.
fn live(store: &SqliteStore, lease: LeaseToken) {
    let schema = Schema::new(vec!["m.a".parse().unwrap()]);
    let beat = |n: i64, boot_seq| Batch {
        agent: AgentId::from_bits(1),
        ts: at(n * 3_600_000),
        received: at(n * 3_600_000),
        boot_seq,
        schema: schema.clone(),
        values: [1.0].into(),
    };
    let boot = BootId("b".into());
    let forget = SeenRow { agent: AgentId::from_bits(1), boot: BootId("old".into()), used_at: at(0), ranges: Vec::new() };
    let commit = Commit {
        batches: (0..2000).map(|n| beat(n, (n % 2 == 0).then(|| (boot.clone(), n.cast_unsigned())))).collect(),
        alive: vec![(AgentId::from_bits(1), at(1))],
        seen: vec![SeenRow { boot, ranges: vec![(1, 2)], ..forget.clone() }, forget],
        effects: effects(),
        outbox: vec![deliver(9, NoticeKind::Fired), deliver(2, NoticeKind::Resolved), deliver(3, NoticeKind::Test)],
        audit: vec![audit()],
        enrolled_only: false,
    };
    store.commit(lease, &commit).unwrap();
    store.commit(lease, &commit).unwrap();
    store
        .commit(
            lease,
            &Commit {
                enrolled_only: true,
                batches: vec![Batch { agent: AgentId::from_bits(77), ..beat(0, None) }],
                ..Commit::default()
            },
        )
        .unwrap();
    read(store);
    let waiting: Vec<Ulid> = store.waiting(at(100)).unwrap().into_iter().map(|one| one.id).collect();
    let claimed = store.claim(lease, at(100), at(101), &[waiting]).unwrap().remove(0);
    store.shift_deliveries(lease, -1).unwrap();
    store.pull_back_deliveries(lease, at(101), 1).unwrap();
    store.note_progress(lease, claimed[0].row.id, "{}").unwrap();
    storm(store, lease);
    let retry = Settled::Retry { at: at(7), error: String::new(), ambiguous: false, plain: false };
    store.settle(lease, &[(claimed[0].row.id, retry)], at(3)).unwrap();
    store.command_delivery(lease, claimed[0].row.id, DeliveryCommand::Retry, at(1)).unwrap();
    store.command_delivery(lease, claimed[0].row.id, DeliveryCommand::Cancel, at(1)).unwrap();
    for settled in [Settled::Sent { latency_ms: 1 }, Settled::Dead { error: String::new() }] {
        store.settle(lease, &[(claimed[0].row.id, settled)], at(3)).unwrap();
    }
    store.roll_up(lease, at(3000 * 3_600_000)).unwrap();
    pack(store, lease, &schema);
    store.retain(lease, at(6000 * 3_600_000), &Retention::default()).unwrap();
    read(store);
    age(store, lease, &schema);
    for change in [
        Change::DeleteChannel(ChannelId::from_bits(1)),
        Change::DeleteAgent { id: AgentId::from_bits(1), purge: true },
        Change::DeleteUser(Ulid::from_bits(1)),
        Change::DeleteSessionsOf(Ulid::from_bits(1)),
        Change::UseEnrolment { id: Ulid::from_bits(1), now: at(0) },
    ] {
        drop(store.apply(lease, &[change], None));
    }
    store.apply(lease, &[Change::DeleteAgent { id: AgentId::from_bits(7), purge: true }], None).unwrap();
    store.retain(lease, at(6000 * 3_600_000), &Retention::default()).unwrap();
}

/// Two agents with hot rows are asked together; one is late over a row that was damaged meanwhile; all of it grows too old.
fn age(store: &SqliteStore, lease: LeaseToken, schema: &Arc<Schema>) {
    let hour = |n: i64| at(n * 3_600_000);
    let beat = |agent: u128, n: i64| {
        let (ts, values) = (hour(5000).plus_millis(n * 15_000), [1.0].into());
        Batch { agent: AgentId::from_bits(agent), ts, received: ts, boot_seq: None, schema: Arc::clone(schema), values }
    };
    store.apply(lease, &[7, 8].map(|n| Change::PutAgent(row(n))), None).unwrap();
    let beats: Vec<Batch> = (0..2000).map(|n| beat(7 + u128::from(n % 2 == 0), n)).collect();
    store.append(lease, &beats).unwrap();
    let groups = vec![vec![AgentId::from_bits(7), AgentId::from_bits(8)]];
    store.fleet(&FleetQuery { groups, series: "m.a".to_owned(), start: hour(5000), end: hour(5002), step_ms: 60_000 }).unwrap();
    store.load().unwrap();
    store.roll_up(lease, hour(5010)).unwrap();
    let spoil = "UPDATE agent_metrics SET received = 3 WHERE id = (SELECT max(id) FROM agent_metrics)";
    store.gate.urgent().write("damage", |connection, _| Ok(connection.execute_batch(spoil)?)).unwrap();
    let (start, end) = (hour(5000), hour(5010));
    let all =
        RangeQuery { series: Vec::new(), agent: AgentId::from_bits(7), start, end, tier: None, max_points: 10_000, now: end };
    store.range(&all).unwrap();
    store.append(lease, &[beat(7, 1998)]).unwrap();
    store.roll_up(lease, hour(5010)).unwrap();
    store.retain(lease, hour(8000), &Retention::default()).unwrap();
    store.append(lease, &[Batch { ts: hour(8000), ..beat(7, 0) }]).unwrap();
    store.roll_up(lease, hour(8001)).unwrap();
}

fn row(n: u128) -> AgentRow {
    AgentRow {
        id: AgentId::from_bits(n),
        name: n.to_string(),
        tags: Vec::new(),
        created_at: at(0),
        last_seen: None,
        interval_ms: 15_000,
        paused: false,
        version: String::new(),
        facts_json: "{}".to_owned(),
        credential: [u8::try_from(n).unwrap(); 32],
        enrolled_as: String::new(),
    }
}

/// Packs, is late, imports, checks, and needs more room than there is.
fn pack(store: &SqliteStore, lease: LeaseToken, schema: &Arc<Schema>) {
    let agent = AgentId::from_bits(1);
    let late = |ms: i64| {
        let (ts, values) = (at(ms), [2.0].into());
        Batch { agent, ts, received: ts, boot_seq: None, schema: Arc::clone(schema), values }
    };
    for policy in [SealPolicy { dense_after_ms: None, ..SealPolicy::default() }, SealPolicy::AT_ONCE] {
        store.seal(lease, at(2001 * 3_600_000), &policy).unwrap();
        read(store);
        store.append(lease, &[late(5), late(3_600_005), late(3_600_005), late(90 * 3_600_000)]).unwrap();
        read(store);
        store.roll_up(lease, at(3000 * 3_600_000)).unwrap();
    }
    look_one_by_one(store, agent);
    store.import(lease, agent, &[late(7), late(7)], false).unwrap();
    store.import(lease, AgentId::from_bits(3), &[late(7)], true).unwrap();
    store.seal(lease, at(2001 * 3_600_000), &SealPolicy::AT_ONCE).unwrap();
    let mut place = ScrubPlace::default();
    store.gate.urgent().write("damage", |connection, _| Ok(connection.execute_batch(DAMAGE)?)).unwrap();
    while !store.scrub(lease, at(1), &mut place).unwrap().is_round {}
    let group = FleetQuery { groups: vec![vec![agent]], series: "m.a".to_owned(), start: at(0), end: at(9), step_ms: 1 };
    store.fleet(&group).unwrap();
    store.fleet(&FleetQuery { groups: vec![(1..9).map(AgentId::from_bits).collect()], ..group }).unwrap();
    store.revision(agent, at(0), at(9)).unwrap();
    store.damage(agent, at(0), at(9)).unwrap();
    let keep = Retention { max_bytes: Some(1), ..Retention::default() };
    store.retain(lease, at(2300 * 3_600_000), &keep).unwrap();
}

/// Chunks as they are found where a page of their list is damaged.
fn look_one_by_one(store: &SqliteStore, agent: AgentId) {
    let span = (at(0), at(i64::MAX / 2));
    let look = |connection: &Connection| {
        let held = held::of(connection, agent)?.unwrap();
        let selection = Selection::new(&held, &[], &[], &store.noted);
        for tier in [Tier::Raw, Tier::FiveMinutes] {
            assert!(!chunks::one_by_one(connection, &selection, tier, span)?.is_empty());
            chunks::places(connection, (held.key, tier), span, "DESC")?;
        }
        Ok(())
    };
    store.readers.read("look one by one", look).unwrap();
}

/// A row and a chunk that are not what was written.
const DAMAGE: &str = "UPDATE agent_chunks SET rows = rows + 1 WHERE id = (SELECT max(id) FROM agent_chunks); \
                      UPDATE agent_metrics SET received = 3 WHERE id = (SELECT min(id) FROM agent_metrics)";

/// Asks every question.
fn read(store: &SqliteStore) {
    store.load().unwrap();
    store.stats().unwrap();
    store.next_due().unwrap();
    store.series(AgentId::from_bits(1)).unwrap();
    store.knows_metric("m.a").unwrap();
    store.incident(IncidentId::from_bits(1)).unwrap();
    store.delivery_counts().unwrap();
    store.audit(None, 5).unwrap();
    let (agent, limit) = (AgentId::from_bits(1), 5);
    for tier in Tier::ALL.map(Some).into_iter().chain([None]) {
        let (start, end) = (Timestamp::MIN, Timestamp::MAX);
        let query = RangeQuery { agent, series: Vec::new(), start, end, tier, max_points: 10, now: at(0) };
        store.range(&query).unwrap();
        store.range(&RangeQuery { max_points: 100_000, start: at(1), end: at(7_200_001), ..query }).unwrap();
        let (series, tier) = (vec!["m.a".parse().unwrap()], tier.unwrap_or(Tier::Raw));
        store.export_page(&ExportQuery { agent, series, start, end, tier, cursor: None, max_rows: 3 }).unwrap();
    }
    for (agent, incident) in [(None, None), (Some(agent), None), (None, Some(IncidentId::from_bits(1)))] {
        for (after, during) in [(None, None), (Some(0), None), (None, Some((at(0), at(9))))] {
            let kinds = vec![EventKind::Fired];
            store.events(&EventQuery { agent, incident, after, limit, kinds, during, ..EventQuery::default() }).unwrap();
            store.incidents(&IncidentQuery { agent, during, limit, ..IncidentQuery::default() }).unwrap();
        }
        let state = incident.map(|_| crate::entities::DeliveryState::Queued);
        store.deliveries(&DeliveryQuery { incident, state, limit, ..DeliveryQuery::default() }).unwrap();
        for open in [None, Some(true), Some(false)] {
            store.incidents(&IncidentQuery { agent, open, limit, ..IncidentQuery::default() }).unwrap();
        }
    }
}

/// The texts of a source file that are statements.
fn statements(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = source.split("#[cfg(test)]").next().unwrap_or("");
    while let Some(start) = rest.find('"') {
        let (mut text, mut escaped, mut end) = (String::new(), false, rest.len());
        for (at, letter) in rest[start + 1..].char_indices() {
            match (escaped, letter) {
                (false, '\\') => escaped = true,
                (false, '"') => {
                    end = start + 1 + at;
                    break;
                }
                // A line that goes on in the next.
                (true, '\n') => {
                    text.push('\u{0}');
                    escaped = false;
                }
                (_, letter) => {
                    text.push(letter);
                    escaped = false;
                }
            }
        }
        let text: String = text.split('\u{0}').map(str::trim_start).collect();
        if ["SELECT ", "INSERT ", "UPDATE ", "DELETE "].iter().any(|word| text.starts_with(word)) {
            found.push(text);
        }
        rest = rest.get(end + 1..).unwrap_or("");
    }
    found
}

/// The statements that stand in the engine's files.
fn written(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(written(&path));
        } else if !path.ends_with("plans.rs") {
            found.extend(statements(&std::fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

/// Whether a statement was put together by a template: all that stands between its braces is there, in its order.
fn is_made_of(sql: &str, template: &str) -> bool {
    let mut pieces = template
        .split('{')
        .enumerate()
        .map(|(at, piece)| if at == 0 { piece } else { piece.split_once('}').map_or("", |(_, rest)| rest) });
    let Some(mut rest) = pieces.next().and_then(|first| sql.strip_prefix(first)) else { return false };
    let mut last = "";
    for piece in pieces {
        let Some((_, after)) = rest.split_once(piece) else { return false };
        (rest, last) = (after, piece);
    }
    rest.is_empty() || last.is_empty() || sql.ends_with(last)
}

/// What the plan of a statement reads from end to end, but for small tables and partial indexes, which are small by their
/// condition.
fn scans(connection: &Connection, sql: &str) -> Vec<String> {
    let mut plan = match connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")) {
        Ok(plan) => plan,
        // Mending an index may change the list of indexes, which nobody else may; it is small.
        Err(_) if sql.contains(" sqlite_schema ") => return Vec::new(),
        Err(error) => return vec![error.to_string()],
    };
    let rows = plan.raw_query().mapped(|row| row.get::<_, String>(3)).collect::<Result<Vec<_>, _>>().unwrap();
    let is_small = |step: &str| {
        let table = step.split_whitespace().nth(1).unwrap_or("");
        SMALL.contains(&table)
            || MENDING.contains(&table)
            || table.starts_with('(')
            || ["outbox_due", "outbox_sending", "outbox_unfinished"].iter().any(|index| step.ends_with(index))
            || step.contains("INDEX incidents_open")
            || step.contains("INDEX agent_chunks_pinned")
    };
    rows.into_iter().filter(|step| step.starts_with("SCAN") && !is_small(step)).collect()
}

#[test]
fn no_statement_reads_a_growing_table_from_end_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    let store = SqliteStore::open(&path, SqliteOptions { readers: 1, ..SqliteOptions::default() }).unwrap();
    listen(&store);
    let lease = store.acquire(Ulid::from_bits(1), at(0)).unwrap();
    live(&store, lease);
    let connection = Connection::open(&path).unwrap();
    let mut heard = HEARD.lock().unwrap().clone();
    assert!(heard.len() > 100, "only {} statements were heard", heard.len());
    assert!(!scans(&connection, "SELECT * FROM agent_metrics WHERE seq = 1").is_empty(), "the check itself sees a scan");
    // What is written out is looked at whether it was heard or not; what is put together must have been heard.
    let written = written(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sqlite"));
    let (parts, whole): (Vec<String>, Vec<String>) = written.into_iter().partition(|text| text.contains('{'));
    let missing: Vec<&String> = parts.iter().filter(|text| !heard.iter().any(|sql| is_made_of(sql, text))).collect();
    assert!(missing.is_empty(), "nobody looked at the plans of {missing:#?}");
    heard.extend(whole);
    let found: Vec<String> = heard
        .iter()
        .filter(|sql| !sql.starts_with(READ_AT_START))
        .flat_map(|sql| scans(&connection, sql).into_iter().map(move |step| format!("{step}: {sql}")))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}
