//! The transition table of the law, cell by cell: every state against every input, with the policies that matter in a cell.
//!
//! A row reads `state | input | timing => next state, what happened`. `firing~` has been clear for 30 s, `nodata!` was firing,
//! `firing?` waits for the judgement of an edited rule. The state began 60 s before the input.

use super::*;

const TABLE: &str = "
# B, a breach
ok       | B         | for=0               => firing fired
ok       | B         | for=60              => pending began
pending  | B         | for=120             => pending
pending  | B         | for=60              => firing fired
pending  | B         | for=60.25           => firing fired
pending  | B         | for=60.251          => pending
pending  | B         | for=0               => firing fired
firing   | B         |                     => firing
firing~  | B         | keep=300            => firing
firing?  | B         |                     => firing
nodata   | B         | for=0               => firing fired back
nodata   | B         | for=60              => pending began back
nodata!  | B         | for=60              => firing back
# B after a hole
ok       | B hole    | for=0               => firing fired
ok       | B hole    | for=60              => pending began
pending  | B hole    | for=60              => pending restarted
pending  | B hole    | for=0               => pending restarted
firing   | B hole    |                     => firing
firing~  | B hole    | keep=300            => firing
nodata   | B hole    | for=0               => firing fired back
nodata   | B hole    | for=60              => pending began back
nodata!  | B hole    |                     => firing back
# M, inside the band
ok       | M         |                     => ok
pending  | M         |                     => ok
pending  | M hole    |                     => ok
firing   | M         |                     => firing
firing~  | M         | keep=30             => firing
firing~  | M hole    | keep=30             => firing
firing?  | M         |                     => firing
nodata   | M         |                     => ok back
nodata!  | M         |                     => firing back
nodata!  | M hole    |                     => firing back
# C, clear
ok       | C         |                     => ok
pending  | C         |                     => ok
firing   | C         | keep=0              => ok resolved:cleared
firing   | C         | keep=30             => firing~now
firing   | C         | keep=0.25           => ok resolved:cleared
firing~  | C         | keep=30             => ok resolved:cleared
firing~  | C         | keep=30.25          => ok resolved:cleared
firing~  | C         | keep=30.251         => firing~
firing?  | C         | keep=300            => ok resolved:rule changed
nodata   | C         |                     => ok back
nodata!  | C         | keep=300            => ok resolved:cleared back
# C after a hole
ok       | C hole    |                     => ok
pending  | C hole    |                     => ok
firing   | C hole    | keep=0              => ok resolved:cleared
firing   | C hole    | keep=30             => firing~now
firing~  | C hole    | keep=30             => firing~now
firing?  | C hole    | keep=300            => ok resolved:rule changed
nodata   | C hole    |                     => ok back
nodata!  | C hole    | keep=300            => ok resolved:cleared back
# T, samples stopped
ok       | T         | missing=keep        => ok
ok       | T         | missing=nodata      => nodata lost
ok       | T         | missing=resolve     => ok
pending  | T         | missing=keep        => ok
pending  | T         | missing=nodata      => nodata lost
pending  | T         | missing=resolve     => ok
firing   | T         | missing=keep        => firing
firing~  | T         | missing=keep        => firing~
firing   | T         | missing=nodata      => nodata! lost
firing~  | T         | missing=nodata      => nodata! lost
firing   | T         | missing=resolve     => ok resolved:no data
nodata   | T         | missing=nodata      => nodata
nodata   | T         | missing=keep        => nodata
nodata   | T         | missing=resolve     => nodata
nodata!  | T         | missing=nodata      => nodata!
# X, nothing to watch any more
ok       | X         |                     => ok
pending  | X         |                     => ok
firing   | X         | keep=300            => ok resolved:rule removed
firing~  | X         | keep=300            => ok resolved:rule removed
nodata   | X         |                     => ok back
nodata!  | X         |                     => ok resolved:rule removed back
# An edit of what is compared
ok       | edit      |                     => ok
pending  | edit      |                     => ok
firing   | edit      |                     => firing?
nodata   | edit      |                     => nodata
nodata!  | edit      |                     => nodata!?
# The agent itself is silent, not yet for as long as the rule asks, and for long enough
ok       | quiet     |                     => pending began
pending  | quiet     |                     => pending
firing   | quiet     |                     => firing
ok       | silent    |                     => firing fired
pending  | silent    |                     => firing fired
firing   | silent    |                     => firing
";

const NOW: Timestamp = Timestamp::from_secs(1_000_000);

fn since() -> Timestamp {
    NOW.plus_millis(-60_000)
}

fn machine(text: &str) -> Machine {
    let base = Machine::new(since());
    let (state, was_firing) = (text.trim_end_matches(['~', '!', '?']), text.contains('!'));
    let state = State::from_name(state).unwrap();
    let clear_since = text.contains('~').then(|| NOW.plus_millis(-30_000));
    Machine { state, clear_since, was_firing, rule_changed: text.contains('?'), ..base }
}

fn input(text: &str) -> Input {
    let verdict = match text.chars().next() {
        Some('B') => Verdict::Breach,
        Some('M') => Verdict::Between,
        Some('C') => Verdict::Clear,
        Some('T') => return Input::Missing { at: NOW },
        Some('X') => return Input::Gone { at: NOW, reason: EndReason::RuleRemoved },
        Some('e') => return Input::RuleChanged { at: NOW },
        Some('q') => return Input::Silent { since: since(), at: NOW, fires: false },
        Some('s') => return Input::Silent { since: since(), at: NOW, fires: true },
        other => panic!("unknown input {other:?}"),
    };
    Input::Sample { ts: NOW, verdict, after_hole: text.ends_with("hole") }
}

fn timing(text: &str) -> Timing {
    let mut timing = Timing { hold_ms: 0, keep_firing_ms: 0, missing: Missing::Keep };
    for word in text.split_whitespace() {
        match word.split_once('=').unwrap() {
            ("for", seconds) => timing.hold_ms = ms(seconds),
            ("keep", seconds) => timing.keep_firing_ms = ms(seconds),
            ("missing", policy) => timing.missing = Missing::from_name(policy).unwrap(),
            other => panic!("unknown timing {other:?}"),
        }
    }
    timing
}

fn ms(seconds: &str) -> i64 {
    let (whole, part) = seconds.split_once('.').unwrap_or((seconds, "0"));
    whole.parse::<i64>().unwrap() * 1000 + format!("{part:0<3}").parse::<i64>().unwrap()
}

/// What a step came to, in the words of the table.
fn told(before: Machine, after: Machine, outcome: Outcome) -> String {
    let mut text = after.state.name().to_owned();
    match after.clear_since {
        Some(at) if at == NOW => text.push_str("~now"),
        Some(_) => text.push('~'),
        None => {}
    }
    text.push_str(if after.was_firing { "!" } else { "" });
    text.push_str(if after.rule_changed { "?" } else { "" });
    if outcome.fired {
        text.push_str(" fired");
    }
    if outcome.pending {
        text.push_str(" began");
    }
    if before.state == State::Pending && after.state == State::Pending && after.since == NOW {
        text.push_str(" restarted");
    }
    if let Some(reason) = outcome.resolved {
        text.push_str(" resolved:");
        text.push_str(reason.name());
    }
    if outcome.nodata_started {
        text.push_str(" lost");
    }
    if outcome.nodata_ended {
        text.push_str(" back");
    }
    text
}

#[test]
fn every_cell_of_the_transition_table_holds() {
    let mut cells = 0;
    for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (left, expected) = line.split_once("=>").unwrap();
        let parts: Vec<&str> = left.split('|').map(str::trim).collect();
        let before = machine(parts[0]);
        let (after, outcome) = step(timing(parts[2]), before, input(parts[1]));
        assert_eq!(told(before, after, outcome), expected.trim(), "{line}");
        assert_eq!(outcome.moved, before != after, "{line}");
        cells += 1;
    }
    assert!(cells >= 7 * 8, "the table has {cells} rows");
}

#[test]
fn a_firing_alert_keeps_the_start_of_its_breach() {
    let timing = Timing { hold_ms: 60_000, keep_firing_ms: 0, missing: Missing::Keep };
    let (firing, _) = step(timing, machine("pending"), input("B"));
    assert_eq!(firing.since, since());
    let (ok, _) = step(timing, firing, input("C"));
    assert_eq!(ok.since, NOW);
}

#[test]
fn a_step_depends_on_its_arguments_alone() {
    let timing = timing("for=60");
    assert_eq!(step(timing, machine("pending"), input("B")), step(timing, machine("pending"), input("B")));
}
