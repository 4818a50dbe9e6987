//! Configuration: what is put in is loaded again, what contradicts it is refused, all or none.

use crate::build::{agent, agent_row, at, audit_line, channel_row, event, incident, rule, user_row};
use crate::engine::Engine;
use nightbell_alerts::{Clear, EventKind, MatchKind, Matcher, MuteKind, Rule, Scope, Severity, Threshold};
use nightbell_model::{ChannelId, IncidentId, Levels, RuleId, Timestamp, Ulid};
use nightbell_store::{
    AgentRow, ApiTokenRow, Change, ChannelRow, EnrolmentToken, Loaded, Recurrence, Role, SessionRow, SilenceRow, StoreError,
    UserRow,
};

crate::conformance!(
    everything_is_loaded_as_it_was_put,
    rules_of_all_shapes_come_back,
    what_is_deleted_is_gone,
    deleting_what_is_not_there_is_refused,
    names_are_unique,
    all_changes_are_made_or_none,
    what_belongs_to_nobody_is_refused,
    an_enrolment_token_is_used_as_often_as_it_may,
    of_many_at_once_one_uses_a_single_use_token,
    only_one_can_be_the_first_user,
    the_audit_log_is_read_in_pages,
);

fn apply(engine: &dyn Engine, changes: &[Change]) -> Result<(), StoreError> {
    engine.store().apply(engine.lease(), changes, None).map(drop)
}

fn enrolment(uses_left: Option<u32>, expires_at: Option<Timestamp>) -> EnrolmentToken {
    let tags = vec!["web".to_owned()];
    EnrolmentToken { id: Ulid::from_bits(9), hash: [9; 32], created_at: at(0), expires_at, uses_left, tags }
}

fn session(n: u8) -> SessionRow {
    SessionRow { hash: [n; 32], user: Ulid::from_bits(1), created_at: at(0), used_at: at(1), expires_at: at(2) }
}

fn token(n: u8) -> ApiTokenRow {
    ApiTokenRow {
        id: Ulid::from_bits(u128::from(n)),
        name: "script".to_owned(),
        hash: [n; 32],
        scopes: vec!["read".to_owned()],
        created_at: at(0),
        expires_at: Some(at(5)),
        used_at: None,
    }
}

fn silence() -> SilenceRow {
    SilenceRow {
        id: Ulid::from_bits(4),
        kind: MuteKind::Maintenance,
        starts_at: at(0),
        ends_at: at(9),
        rule: Some(RuleId::from_bits(1)),
        agent: None,
        tag: Some("web".to_owned()),
        series: Some("disk.used_percent{mount=/}".to_owned()),
        up_to: Some(Severity::Warning),
        comment: "new disk".to_owned(),
        created_by: "user:ann".to_owned(),
        created_at: at(0),
        recurrence: Some(Recurrence {
            cron: "30 2 * * sun".to_owned(),
            timezone: "Europe/Berlin".to_owned(),
            duration_ms: 3_600_000,
        }),
        matchers: vec![Matcher { label: "mount".to_owned(), kind: MatchKind::Regex, value: "/data.*".to_owned() }],
    }
}

fn levels(warn: f64) -> Levels {
    Levels { warn, crit: 95.5 }
}

fn put_levels(agent_number: Option<u128>, warn: f64) -> Change {
    Change::PutLevels { agent: agent_number.map(agent), key: "cpu.usage_percent".to_owned(), levels: levels(warn) }
}

fn one_of_each() -> Vec<Change> {
    vec![
        Change::PutAgent(agent_row(1)),
        Change::PutAgent(AgentRow { paused: true, last_seen: Some(at(3)), ..agent_row(2) }),
        Change::PutEnrolment(enrolment(Some(1), None)),
        Change::PutUser(user_row(1)),
        Change::PutSession(session(1)),
        Change::PutToken(token(1)),
        Change::PutChannel(channel_row(1)),
        Change::PutRule { rule: rule(1), created_at: at(7) },
        Change::PutSilence(silence()),
        put_levels(None, 70.0),
        put_levels(Some(1), 60.0),
        Change::PutSetting { key: "time_zone".to_owned(), value: "Europe/Berlin".to_owned() },
    ]
}

fn everything_is_loaded_as_it_was_put(engine: &mut dyn Engine) {
    apply(engine, &one_of_each()).unwrap();
    apply(engine, &one_of_each()).unwrap();
    engine.reopen();
    let Loaded { agents, enrolments, users, sessions, tokens, channels, rules, silences, levels: all_levels, settings, .. } =
        engine.store().load().unwrap();
    assert_eq!(agents, [agent_row(1), AgentRow { paused: true, last_seen: Some(at(3)), ..agent_row(2) }]);
    assert_eq!((enrolments, users), (vec![enrolment(Some(1), None)], vec![user_row(1)]));
    assert_eq!((sessions, tokens), (vec![session(1)], vec![token(1)]));
    assert_eq!((channels, silences), (vec![channel_row(1)], vec![silence()]));
    assert_eq!(rules, [(rule(1), at(7))]);
    let cpu = "cpu.usage_percent".to_owned();
    assert_eq!(all_levels, [(None, cpu.clone(), levels(70.0)), (Some(agent(1)), cpu, levels(60.0))]);
    assert_eq!(settings, [("time_zone".to_owned(), "Europe/Berlin".to_owned())]);
}

fn rules_of_all_shapes_come_back(engine: &mut dyn Engine) {
    let plain = Rule {
        key: None,
        clear: None,
        missing_after_ms: None,
        channels: Vec::new(),
        escalation: Vec::new(),
        threshold: Threshold::Value(-1.5),
        scope: Scope::Global,
        enabled: false,
        ..rule(2)
    };
    let agents_own = Rule { scope: Scope::Agent(agent(3)), clear: Some(Clear::Value(0.0)), ..rule(3) };
    let levelled = Rule { clear: Some(Clear::Level(nightbell_model::Level::Warn)), ..rule(4) };
    let rules = [plain, agents_own, levelled];
    let put = rules.clone().map(|rule| Change::PutRule { rule, created_at: at(1) });
    apply(engine, &put).unwrap();
    apply(engine, &[Change::PutRule { rule: rules[0].clone(), created_at: at(99) }]).unwrap();
    assert_eq!(engine.store().load().unwrap().rules, rules.map(|rule| (rule, at(1))));
}

fn what_is_deleted_is_gone(engine: &mut dyn Engine) {
    apply(engine, &one_of_each()).unwrap();
    apply(engine, &[Change::PutSession(session(2)), Change::DeleteSession([2; 32])]).unwrap();
    assert_eq!(engine.store().load().unwrap().sessions, [session(1)]);
    let deletes = [
        Change::DeleteAgent { id: agent(1), purge: false },
        Change::DeleteAgent { id: agent(2), purge: true },
        Change::DeleteEnrolment(Ulid::from_bits(9)),
        Change::DeleteUser(Ulid::from_bits(1)),
        Change::DeleteToken(Ulid::from_bits(1)),
        Change::DeleteChannel(ChannelId::from_bits(1)),
        Change::DeleteRule(RuleId::from_bits(1)),
        Change::DeleteSilence(Ulid::from_bits(4)),
        Change::DeleteLevels { agent: None, key: "cpu.usage_percent".to_owned() },
        Change::DeleteSessionsOf(Ulid::from_bits(1)),
    ];
    apply(engine, &deletes).unwrap();
    let left = engine.store().load().unwrap();
    assert!(left.agents.is_empty() && left.enrolments.is_empty() && left.users.is_empty() && left.tokens.is_empty());
    assert!(left.sessions.is_empty(), "a person's sessions go with them");
    assert!(left.levels.is_empty(), "an agent's levels go with it");
    assert!(left.channels.is_empty() && left.rules.is_empty() && left.silences.is_empty());
}

fn deleting_what_is_not_there_is_refused(engine: &mut dyn Engine) {
    for change in [
        Change::DeleteAgent { id: agent(1), purge: true },
        Change::DeleteUser(Ulid::from_bits(1)),
        Change::DeleteRule(RuleId::from_bits(1)),
        Change::DeleteSession([0; 32]),
        Change::DeleteLevels { agent: Some(agent(1)), key: "cpu.usage_percent".to_owned() },
    ] {
        assert!(matches!(apply(engine, std::slice::from_ref(&change)), Err(StoreError::NotFound(_))), "{change:?}");
    }
}

fn names_are_unique(engine: &mut dyn Engine) {
    apply(engine, &one_of_each()).unwrap();
    for change in [
        Change::PutAgent(AgentRow { id: agent(7), credential: [7; 32], ..agent_row(1) }),
        Change::PutAgent(AgentRow { name: "other".to_owned(), id: agent(7), ..agent_row(1) }),
        Change::PutUser(UserRow { id: Ulid::from_bits(7), ..user_row(1) }),
        Change::PutChannel(ChannelRow { id: ChannelId::from_bits(7), ..channel_row(1) }),
        Change::PutToken(ApiTokenRow { id: Ulid::from_bits(7), ..token(1) }),
    ] {
        assert!(matches!(apply(engine, std::slice::from_ref(&change)), Err(StoreError::Conflict(_))), "{change:?}");
    }
    let renamed = Change::PutAgent(AgentRow { name: "host-2".to_owned(), ..agent_row(1) });
    let Err(StoreError::Conflict(text)) = apply(engine, &[renamed]) else { panic!("the name is taken") };
    assert!(text.contains("host-2"), "{text}");
}

fn all_changes_are_made_or_none(engine: &mut dyn Engine) {
    let changes =
        [Change::PutAgent(agent_row(1)), Change::LogEvent(event(0, EventKind::Config)), Change::DeleteRule(RuleId::from_bits(1))];
    assert!(apply(engine, &changes).is_err());
    assert!(engine.store().load().unwrap().agents.is_empty());
    let log = engine.store().events(&nightbell_store::EventQuery { limit: 1, ..Default::default() }).unwrap();
    assert!(log.items.is_empty());
    assert!(engine.store().audit(None, 1).unwrap().items.is_empty());
}

fn what_belongs_to_nobody_is_refused(engine: &mut dyn Engine) {
    let attach = Change::AttachToIncident {
        incident: IncidentId::from_bits(1),
        at: at(0),
        kind: "note".to_owned(),
        json: "{}".to_owned(),
    };
    for change in [Change::PutSession(session(1)), put_levels(Some(1), 1.0), attach.clone()] {
        assert!(matches!(apply(engine, std::slice::from_ref(&change)), Err(StoreError::NotFound(_))), "{change:?}");
    }
    apply(engine, &[Change::PutIncident(incident(1)), attach]).unwrap();
}

fn an_enrolment_token_is_used_as_often_as_it_may(engine: &mut dyn Engine) {
    let use_at = |ms| [Change::UseEnrolment { id: Ulid::from_bits(9), now: at(ms) }];
    assert!(matches!(apply(engine, &use_at(0)), Err(StoreError::Conflict(_))));
    apply(engine, &[Change::PutEnrolment(enrolment(Some(2), Some(at(10))))]).unwrap();
    apply(engine, &use_at(9)).unwrap();
    assert!(matches!(apply(engine, &use_at(10)), Err(StoreError::Conflict(text)) if text.contains("expired")));
    apply(engine, &use_at(9)).unwrap();
    assert!(matches!(apply(engine, &use_at(9)), Err(StoreError::Conflict(text)) if text.contains("used up")));
    apply(engine, &[Change::PutEnrolment(enrolment(None, None))]).unwrap();
    (0..5).for_each(|ms| apply(engine, &use_at(ms)).unwrap());
}

fn of_many_at_once_one_uses_a_single_use_token(engine: &mut dyn Engine) {
    apply(engine, &[Change::PutEnrolment(enrolment(Some(1), None))]).unwrap();
    let (store, lease) = (engine.store(), engine.lease());
    let enrol = |n: u128| {
        let changes = [Change::UseEnrolment { id: Ulid::from_bits(9), now: at(0) }, Change::PutAgent(agent_row(n))];
        store.apply(lease, &changes, None).is_ok()
    };
    let enrolled = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=100).map(|n| scope.spawn(move || enrol(n))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|is_in| *is_in).count()
    });
    assert_eq!((enrolled, store.load().unwrap().agents.len()), (1, 1));
}

fn only_one_can_be_the_first_user(engine: &mut dyn Engine) {
    let (store, lease) = (engine.store(), engine.lease());
    let first = std::thread::scope(|scope| {
        let race = |n: u128| store.apply(lease, &[Change::PutFirstUser(user_row(n))], None).is_ok();
        let threads: Vec<_> = (1..=20).map(|n| scope.spawn(move || race(n))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|is_first| *is_first).count()
    });
    assert_eq!((first, store.load().unwrap().users.len()), (1, 1));
    assert_eq!(store.load().unwrap().users[0].role, Role::Admin);
}

fn the_audit_log_is_read_in_pages(engine: &mut dyn Engine) {
    let entry = audit_line;
    for n in 0..5 {
        let change = Change::PutSetting { key: n.to_string(), value: String::new() };
        engine.store().apply(engine.lease(), &[change], Some(&entry(n))).unwrap();
    }
    let first = engine.store().audit(None, 2).unwrap();
    assert_eq!(first.items, [entry(4), entry(3)]);
    let second = engine.store().audit(first.next, 2).unwrap();
    assert_eq!(second.items, [entry(2), entry(1)]);
    let last = engine.store().audit(second.next, 2).unwrap();
    assert_eq!((last.items, last.next), (vec![entry(0)], None));
}
