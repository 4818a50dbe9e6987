//! On series without gaps, and without what Prometheus does not have (`clear`, policies for missing data), this machine and
//! Prometheus make the same transitions: random rules on random series, judged by `promtool test rules`.
//!
//! Where the tool is not installed there is nothing to compare with, and the test says so.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use nightbell_alerts::{
    Aggregate, BacktestInput, Comparison, Missing, Rule, RuleKind, Scope, Selector, Severity, State, Threshold, Transform,
    backtest,
};
use nightbell_model::{RuleId, SeriesKey, Timestamp};
use std::fmt::Write as _;
use std::process::Command;

const CASES: u64 = 1_000;
/// So many cases are judged by one run of the tool.
const BATCH: usize = 125;
const SAMPLES: usize = 60;
const STEP_S: i64 = 30;

/// One rule on one series.
struct Case {
    number: u64,
    /// The rule as the tool is told it.
    rule: Rule,
    /// How much longer our machine waits: 0 but in the test of this test.
    longer_ms: i64,
    values: Vec<i32>,
}

/// A generator of numbers that are the same in every run (splitmix64, <https://prng.di.unimi.it/splitmix64.c>).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

impl Case {
    fn new(number: u64) -> Self {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        let mut dice = Dice(number);
        let comparison = dice.one_of(&[Greater, GreaterOrEqual, Less, LessOrEqual, Equal, NotEqual]);
        let rule = Rule {
            id: RuleId::from_bits(u128::from(number)),
            version: 1,
            name: format!("r{number}"),
            key: None,
            kind: RuleKind::Threshold,
            transform: Transform::None,
            selector: Selector { metric: metric(number), labels: vec![], matchers: vec![], aggregate: Aggregate::Each },
            comparison,
            threshold: Threshold::Value(2.0),
            clear: None,
            hold_ms: dice.one_of(&[0, 0, 30, 45, 60, 90, 120, 300]) * 1000,
            keep_firing_ms: dice.one_of(&[0, 0, 30, 50, 60, 120, 240]) * 1000,
            cooldown_ms: 0,
            repeat_ms: 0,
            missing: Missing::Keep,
            missing_after_ms: None,
            severity: Severity::Warning,
            scope: Scope::Global,
            channels: vec![],
            escalation: vec![],
            fold_late: true,
            enabled: true,
        };
        // Runs of the same value, so that holds are reached and missed.
        let mut values = Vec::new();
        while values.len() < SAMPLES {
            let (value, run) = (dice.one_of(&[0, 1, 2, 3, 4]), dice.below(8) + 1);
            values.extend((0..run).map(|_| value));
        }
        values.truncate(SAMPLES);
        Self { number, rule, longer_ms: 0, values }
    }

    /// The state after each sample.
    fn states(&self) -> Vec<State> {
        let at = |step: usize| Timestamp::from_secs(i64::try_from(step).unwrap() * STEP_S);
        let samples: Vec<_> = self.values.iter().enumerate().map(|(step, value)| (at(step), Some(f64::from(*value)))).collect();
        let key: SeriesKey = metric(self.number).parse().unwrap();
        let end = at(self.values.len());
        let input = BacktestInput {
            key,
            samples: samples.into_iter(),
            past: vec![],
            interval_ms: STEP_S * 1000,
            levels: None,
            mutes: vec![],
            end,
        };
        let rule = Rule { hold_ms: self.rule.hold_ms + self.longer_ms, ..self.rule.clone() };
        let transitions = backtest(&rule, input).transitions;
        (0..self.values.len()).map(|step| transitions.iter().rev().find(|(ts, _)| *ts <= at(step)).unwrap().1).collect()
    }

    fn rule_text(&self) -> String {
        format!(
            "  - alert: r{}\n    expr: {} {} 2\n    for: {}s\n    keep_firing_for: {}s\n",
            self.number,
            exposed(self.number),
            self.rule.comparison.name(),
            self.rule.hold_ms / 1000,
            self.rule.keep_firing_ms / 1000,
        )
    }

    fn series_text(&self) -> String {
        let values: Vec<String> = self.values.iter().map(ToString::to_string).collect();
        format!("  - series: '{}'\n    values: '{}'\n", exposed(self.number), values.join(" "))
    }
}

/// What the tool has to find: at each step the alerts that we say wait or fire, and no others.
fn expected_text(cases: &[Case]) -> String {
    let states: Vec<Vec<State>> = cases.iter().map(Case::states).collect();
    let mut text = String::new();
    for step in 0..SAMPLES {
        let seconds = i64::try_from(step).unwrap() * STEP_S;
        let found = cases.iter().zip(&states).filter(|(_, states)| states[step] != State::Ok);
        let samples: String = found
            .map(|(case, states)| {
                let (number, state) = (case.number, states[step].name());
                format!("    - labels: 'ALERTS{{alertname=\"r{number}\",alertstate=\"{state}\"}}'\n      value: 1\n")
            })
            .collect();
        let samples = if samples.is_empty() { " []\n".to_owned() } else { format!("\n{samples}") };
        write!(text, "  - expr: ALERTS\n    eval_time: {seconds}s\n    exp_samples:{samples}").unwrap();
    }
    text
}

/// Has the tool judge these cases; what it says if it disagrees.
fn judge(batch: usize, cases: &[Case]) -> Option<String> {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("promtool-{batch}"));
    std::fs::create_dir_all(&folder).unwrap();
    let rules: String = cases.iter().map(Case::rule_text).collect();
    std::fs::write(folder.join("rules.yml"), format!("groups:\n- name: all\n  interval: {STEP_S}s\n  rules:\n{rules}")).unwrap();
    let series: String = cases.iter().map(Case::series_text).collect();
    let expected = expected_text(cases);
    let tests = format!(
        "rule_files: [rules.yml]\nevaluation_interval: {STEP_S}s\ntests:\n- interval: {STEP_S}s\n  input_series:\n{series}  \
         promql_expr_test:\n{expected}"
    );
    std::fs::write(folder.join("tests.yml"), tests).unwrap();
    let output = Command::new("promtool").args(["test", "rules", "tests.yml"]).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let good = output.status.success() && said.contains("SUCCESS");
    (!good).then(|| said.chars().take(4000).collect())
}

fn metric(number: u64) -> String {
    format!("custom.v{number}")
}

fn exposed(number: u64) -> String {
    format!("custom_v{number}")
}

#[test]
fn prometheus_makes_the_same_transitions() {
    if Command::new("promtool").arg("--version").output().is_err() {
        println!("promtool is not installed: nothing was compared");
        return;
    }
    let cases: Vec<Case> = (0..CASES).map(Case::new).collect();
    let fired = cases.iter().filter(|case| case.states().contains(&State::Firing)).count();
    let waited = cases.iter().filter(|case| case.states().contains(&State::Pending)).count();
    assert!(fired > 500 && waited > 300, "only {fired} cases fire and {waited} wait: the series say too little");

    let wrong: Vec<String> = std::thread::scope(|scope| {
        let runs: Vec<_> =
            cases.chunks(BATCH).enumerate().map(|(batch, cases)| scope.spawn(move || judge(batch, cases))).collect();
        runs.into_iter().filter_map(|run| run.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_wrong_expectation_would_be_found() {
    if Command::new("promtool").arg("--version").output().is_err() {
        println!("promtool is not installed: nothing was compared");
        return;
    }
    let case = (0..CASES).map(Case::new).find(|case| case.states().contains(&State::Firing)).unwrap();
    let wrong = Case { longer_ms: 60_000, ..Case::new(case.number) };
    assert_ne!(case.states(), wrong.states());
    assert!(judge(1_000, &[wrong]).is_some());
}
