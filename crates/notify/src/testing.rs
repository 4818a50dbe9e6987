//! What the tests of this crate share: notifications of every kind, a picture drawn by hand, and a TLS provider.

pub(crate) mod double;
pub(crate) mod relay;
pub(crate) mod samples;
pub(crate) mod vendors;

use crate::config::ChannelConfig;
use crate::delivery::{Charts, Message, Outcome};
use crate::notification::{AgentFacts, NoticeWord, Notification, RuleFacts, TopProcess};
use crate::notifier::{Notifier, NotifierOptions};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// All kinds, with the name they have in files.
pub(crate) const KINDS: [(&str, NoticeWord); 12] = [
    ("fired", NoticeWord::Fired),
    ("resolved", NoticeWord::Resolved),
    ("nodata_start", NoticeWord::NodataStart),
    ("nodata_end", NoticeWord::NodataEnd),
    ("repeat", NoticeWord::Repeat),
    ("escalated", NoticeWord::Escalated),
    ("test", NoticeWord::Test),
    ("acked", NoticeWord::Acked),
    ("digest", NoticeWord::Digest),
    ("hub_doubt", NoticeWord::HubDoubt),
    ("hub_doubt_end", NoticeWord::HubDoubtEnd),
    ("channel_broken", NoticeWord::ChannelBroken),
];

/// A page of each kind: mostly a CPU rule on a database host, at the stage of its incident that `kind` tells of.
pub(crate) fn notification(kind: NoticeWord) -> Notification {
    match kind {
        NoticeWord::Digest | NoticeWord::HubDoubt | NoticeWord::HubDoubtEnd | NoticeWord::ChannelBroken => samples::other(kind),
        NoticeWord::Test => samples::test(),
        _ => samples::incident(kind),
    }
}

/// The same with everything that can be said at all, and texts that mean something to somebody.
pub(crate) fn hostile() -> Notification {
    let mut notification = notification(NoticeWord::Fired);
    notification.rule.name = "@everyone <!channel> <script>alert(1)</script> *b* _i_ `c`".to_owned();
    notification.agent.name = "db\r\nBcc: x@evil.example\r\n\r\n<b>&amp;".to_owned();
    notification.agent.tags = vec!["{{ page.url }}".to_owned(), "\"quoted\"".to_owned(), "[x](https://evil.example)".to_owned()];
    notification.labels = BTreeMap::from([("mount".to_owned(), "/mnt/\u{202e}live\u{2028}<img src=x onerror=y>".to_owned())]);
    notification.why = "</style><!everyone> <@123> http://evil.example {% raw %}".to_owned();
    notification.top_processes[0].name = "<iframe src=javascript:x>|sh".to_owned();
    notification.suppressed_count = 3;
    notification.late = true;
    notification.maybe_repeat = true;
    notification.hub_note = Some("The hub cannot write to its disk.".to_owned());
    notification
}

/// A message of its own about `notification`.
pub(crate) fn message(notification: &Notification) -> Message<'_> {
    Message {
        delivery_id: "01KANB0000000000000000000D".to_owned(),
        notification,
        charts: Charts::default(),
        plain: false,
        thread: Vec::new(),
        folded: Vec::new(),
        progress: None,
    }
}

/// A picture that could be a chart: a line over a threshold, drawn pixel by pixel.
pub(crate) fn picture() -> Vec<u8> {
    const WIDTH: u32 = 1112;
    const HEIGHT: u32 = 400;
    let mut pixels = vec![255_u8; (WIDTH * HEIGHT * 3) as usize];
    let mut paint = |x: u32, y: u32, colour: [u8; 3]| {
        let at = ((y * WIDTH + x) * 3) as usize;
        pixels[at..at + 3].copy_from_slice(&colour);
    };
    for x in 0..WIDTH {
        let level = if x < 700 { 300.0 } else { 90.0 };
        let wave = (f64::from(x) / 23.0).sin() * 18.0 + (f64::from(x) / 5.0).sin() * 5.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 60 and 330 by construction")]
        let line = (level + wave) as u32;
        for y in 0..HEIGHT {
            if x >= 700 {
                paint(x, y, [253, 236, 237]);
            }
            if y.abs_diff(130) < 1 && x % 12 < 8 {
                paint(x, y, [229, 72, 77]);
            }
            if y.abs_diff(line) <= 2 {
                paint(x, y, [62, 123, 250]);
            }
        }
    }
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, WIDTH, HEIGHT);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    png
}

/// The same picture for every reader.
pub(crate) fn charted() -> Charts {
    Charts { light: Some(picture()), dark: Some(picture()) }
}

/// Installs the TLS provider that the hub installs in production.
pub(crate) fn install_tls() {
    // A second test that installs it finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A notifier as it is in production.
pub(crate) fn notifier() -> Notifier {
    notifier_with(NotifierOptions::default())
}

/// One whose patience ends soon, for receivers that never answer.
pub(crate) fn hasty() -> Notifier {
    notifier_with(NotifierOptions { timeout: Duration::from_secs(1), ..Default::default() })
}

/// One with other options.
pub(crate) fn notifier_with(options: NotifierOptions) -> Notifier {
    install_tls();
    Notifier::new(options).unwrap()
}

impl Notifier {
    /// How one attempt ends, for tests that look at nothing else.
    pub(crate) async fn attempt(&self, channel: &ChannelConfig, message: Message<'_>) -> Outcome {
        self.deliver(channel, message).await.outcome
    }
}

/// A channel's configuration, which has to be right.
pub(crate) fn channel(kind: &str, config: &Value) -> ChannelConfig {
    ChannelConfig::parse(kind, config).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// Texts that are empty, long, beyond ASCII, or mean something to some service.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-z0-9._-]{1,40}",
        "\\PC{0,60}",
        any::<String>(),
        "[<>&@!#*_`|\\[\\](){}%\"'\\\\:/-]{0,1200}",
        (1_usize..1_100).prop_map(|length| "🔴".repeat(length)),
    ]
}

/// Any notification that a misbehaving agent or a bold user could bring about.
pub(crate) fn any_notification() -> impl Strategy<Value = Notification> {
    let kind = (0..KINDS.len()).prop_map(|at| KINDS[at].1);
    let numbers = (proptest::option::of(any::<f64>()), proptest::option::of(any::<f64>()), any::<f64>());
    let process = (text(), any::<f64>(), any::<u64>());
    let lists = (
        proptest::collection::vec(text(), 0..4),
        proptest::collection::btree_map(text(), text(), 0..4),
        proptest::collection::vec(process, 0..8),
    );
    (kind, [text(), text(), text(), text(), text(), text(), text()], numbers, lists).prop_map(
        |(kind, [rule, agent, metric, op, why, url, note], (value, threshold, for_seconds), (tags, labels, processes))| {
            Notification {
                rule: RuleFacts { name: rule, ..notification(kind).rule },
                agent: AgentFacts { name: agent, tags, ..notification(kind).agent },
                metric,
                labels,
                value,
                op,
                threshold,
                for_seconds,
                why,
                top_processes: processes
                    .into_iter()
                    .map(|(name, cpu_percent, rss_bytes)| TopProcess {
                        name,
                        pid: None,
                        cpu_percent,
                        rss_bytes,
                        io_bytes_per_second: None,
                    })
                    .collect(),
                started_at: note.clone(),
                url,
                hub_note: Some(note),
                maybe_repeat: true,
                suppressed_count: 7,
                ..notification(kind)
            }
        },
    )
}
