//! Which rules apply to which agent.

use super::*;
use crate::fixtures;
use crate::rule::Severity;
use nightbell_model::AgentId;

const AGENT: AgentId = AgentId::from_bits(42);

fn rule(id: u128, key: &str, scope: Scope) -> Rule {
    Rule { key: (!key.is_empty()).then(|| key.to_owned()), scope, ..fixtures::rule(id, "cpu.usage_percent") }
}

fn tag(name: &str) -> Scope {
    Scope::Tag(name.to_owned())
}

/// The ids of the rules that apply to an agent tagged `db` and `prod`.
fn effective(rules: &[Rule]) -> Vec<u128> {
    let agent = fixtures::agent(AGENT.bits(), &["db", "prod"]);
    let book = RuleBook::new(rules.to_vec());
    book.effective(&agent).into_iter().map(|at| book.get(at).rule.id.bits()).collect()
}

#[test]
fn rules_without_a_common_key_all_apply_where_their_scope_does() {
    let other = Scope::Agent(AgentId::from_bits(1));
    let rules = [rule(1, "", Scope::Global), rule(2, "", tag("db")), rule(3, "", tag("web")), rule(4, "", other)];
    assert_eq!(effective(&rules), [1, 2]);
}

#[test]
fn the_most_specific_rule_of_a_key_replaces_the_wider_ones() {
    let (global, tagged, own) = (rule(1, "cpu", Scope::Global), rule(2, "cpu", tag("db")), rule(3, "cpu", Scope::Agent(AGENT)));
    assert_eq!(effective(&[global.clone(), tagged.clone(), own]), [3]);
    assert_eq!(effective(&[global.clone(), tagged]), [2]);
    assert_eq!(effective(&[global, rule(2, "cpu", tag("web"))]), [1]);
}

#[test]
fn the_default_key_is_the_rules_own_id() {
    let wide = rule(1, "", Scope::Global);
    let narrow = rule(2, &wide.id.to_string(), tag("db"));
    assert_eq!(effective(&[wide, narrow]), [2]);
}

#[test]
fn of_two_tags_the_stricter_severity_wins_then_the_lower_id() {
    let strict = Rule { severity: Severity::Critical, ..rule(9, "cpu", tag("prod")) };
    assert_eq!(effective(&[rule(1, "cpu", tag("db")), strict]), [9]);
    assert_eq!(effective(&[rule(5, "cpu", tag("db")), rule(4, "cpu", tag("prod"))]), [4]);
}

#[test]
fn a_disabled_narrower_rule_exempts_and_a_disabled_equal_one_does_not() {
    let off = |rule: Rule| Rule { enabled: false, ..rule };
    assert_eq!(effective(&[rule(1, "cpu", Scope::Global), off(rule(2, "cpu", tag("db")))]), [] as [u128; 0]);
    assert_eq!(effective(&[rule(1, "cpu", tag("db")), off(rule(2, "cpu", tag("prod")))]), [1]);
    assert_eq!(effective(&[off(rule(1, "cpu", Scope::Global))]), [] as [u128; 0]);
}

#[test]
fn gaps_and_patience_follow_the_slower_of_heartbeat_and_metric() {
    let cpu = Compiled::new(rule(1, "", Scope::Global));
    assert_eq!((cpu.max_gap_ms(15_000), cpu.max_gap_ms(30_000)), (60_000, 90_000));
    assert_eq!((cpu.missing_after_ms(15_000), cpu.missing_after_ms(30_000)), (120_000, 150_000));
    let slow = catalogue::ROWS.iter().find(|row| row.period_ms.is_some_and(|ms| ms > 120_000)).unwrap();
    let period = slow.period_ms.unwrap();
    let mut smart = rule(2, "", Scope::Global);
    smart.selector.metric = slow.name.to_owned();
    let smart = Compiled::new(smart);
    assert_eq!((smart.max_gap_ms(15_000), smart.missing_after_ms(15_000)), (3 * period, 5 * period));
}
