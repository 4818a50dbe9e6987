//! A notification in the words of people, before it takes a channel's form: what, where, how bad, since when, why, and
//! everything that makes it less than certain. Pure. Escaping and cutting to a service's limits is left to the channels.

mod fold;
mod moments;
mod others;
mod sentences;
mod states;
#[cfg(test)]
mod tests;

use crate::delivery::Message;
use crate::notification::{NoticeWord, Notification, Resource};
use crate::truncate;
use crate::words::{self, Wall};
use nightbell_alerts::{OFFLINE_METRIC, Severity};
use serde::Serialize;

/// How many of the busiest processes are named.
const PROCESSES_SHOWN: usize = 5;
/// So much of a rule's name is kept where a headline has to be cut.
const SHORTEST_NAME: usize = 24;
/// No name or text of a host is longer than this on a page.
const LONGEST_TEXT: usize = 1_000;

/// How a page looks: one colour, one symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Tone {
    /// Get up.
    Critical,
    /// Look at it in the morning.
    Warning,
    /// Good to know.
    Info,
    /// It is over.
    Good,
    /// Nothing is known, or nothing is the matter.
    Neutral,
}

impl Tone {
    fn of(notification: &Notification) -> Self {
        match (notification.kind, notification.severity()) {
            (NoticeWord::Resolved | NoticeWord::NodataEnd | NoticeWord::HubDoubtEnd, _) => Self::Good,
            (NoticeWord::Test | NoticeWord::NodataStart | NoticeWord::Acked, _) => Self::Neutral,
            (NoticeWord::HubDoubt, _) => Self::Critical,
            (NoticeWord::ChannelBroken, _) => Self::Warning,
            (NoticeWord::Digest, _) => others::tone(notification),
            (_, Severity::Critical) => Self::Critical,
            (_, Severity::Warning) => Self::Warning,
            (_, Severity::Info) => Self::Info,
        }
    }

    /// The colour as `0xRRGGBB`, readable on white and on black.
    pub(crate) const fn colour(self) -> u32 {
        match self {
            Self::Critical => 0x00E5_484D,
            Self::Warning => 0x00F5_A524,
            Self::Info => 0x003E_7BFA,
            Self::Good => 0x0030_A46C,
            Self::Neutral => 0x0080_838D,
        }
    }

    /// A symbol that tells the tone without colour vision or colour support.
    pub(crate) const fn symbol(self) -> &'static str {
        match self {
            Self::Critical => "🔴",
            Self::Warning => "🟠",
            Self::Info => "🔵",
            Self::Good => "✅",
            Self::Neutral => "⚪",
        }
    }
}

/// A name and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Fact {
    pub(crate) name: &'static str,
    pub(crate) value: String,
}

/// One busy process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ProcessLine {
    pub(crate) name: String,
    pub(crate) cpu: String,
    pub(crate) memory: String,
    /// Empty where it is not known.
    pub(crate) io: String,
}

impl ProcessLine {
    /// What it uses, in one line.
    pub(crate) fn uses(&self) -> String {
        let io = if self.io.is_empty() { String::new() } else { format!(", {} disk", self.io) };
        format!("{} CPU, {}{io}", self.cpu, self.memory)
    }
}

/// Some lines under a title.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct List {
    pub(crate) title: String,
    pub(crate) lines: Vec<Line>,
}

/// One line of a list, and the page of what it speaks of; empty where there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) url: String,
}

impl Line {
    /// A line about one notification.
    fn about(one: &Notification, text: String) -> Self {
        Self { text, url: clean(&one.url) }
    }

    /// A line that leads nowhere.
    const fn bare(text: String) -> Self {
        Self { text, url: String::new() }
    }
}

/// A notification in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Page {
    pub(crate) tone: Tone,
    /// What it is: `Critical`, `Still critical`, `Resolved`, …
    pub(crate) status: String,
    /// What it is about: `CPU hot on db-01`.
    pub(crate) subject: String,
    /// The rule's name in that; empty where it is not.
    #[serde(skip)]
    pub(crate) rule: String,
    /// The shortest form of the matter: `97.2 % > 90 %`; may be empty.
    pub(crate) gist: String,
    /// The matter in one sentence.
    pub(crate) sentence: String,
    pub(crate) facts: Vec<Fact>,
    /// The decision in the evaluator's words.
    pub(crate) why: String,
    /// What that is called: of something that is over it is why it was said at all.
    pub(crate) why_name: &'static str,
    /// What makes this page special: a repeat, a late one, one after silence, a hub in trouble.
    pub(crate) notes: Vec<String>,
    pub(crate) processes: Vec<ProcessLine>,
    /// What they are: the busiest, or those that use most of what is the matter.
    pub(crate) processes_name: &'static str,
    /// What else there is to say, one line each: the other notifications that travel along, the matters of a digest.
    pub(crate) lists: Vec<List>,
    /// The incident's page; empty where there is none.
    pub(crate) url: String,
    /// What the way there is called.
    pub(crate) link: &'static str,
    /// The time zone of all times above.
    pub(crate) zone: &'static str,
    /// When it was decided, on the wall's clock.
    pub(crate) at: String,
}

impl Page {
    /// The words of a whole message.
    pub(crate) fn of(message: &Message<'_>) -> Self {
        let folded =
            (!message.folded.is_empty()).then(|| fold::page(message.all().collect(), Wall::of(&message.notification.timezone)));
        folded.flatten().unwrap_or_else(|| Self::of_one(message.notification))
    }

    fn of_one(notification: &Notification) -> Self {
        let wall = Wall::of(&notification.timezone);
        // Where no value is the matter, no comparison explains it and no process caused it.
        let about_values = !others::is_other(notification.kind)
            && !matches!(notification.kind, NoticeWord::NodataStart | NoticeWord::NodataEnd | NoticeWord::Test);
        Self {
            tone: Tone::of(notification),
            status: sentences::status(notification).to_owned(),
            subject: sentences::subject(notification),
            rule: clean(&notification.rule.name),
            gist: sentences::gist(notification),
            sentence: sentences::sentence(notification, wall),
            facts: facts(notification, wall),
            why: if about_values { clean(&notification.why) } else { String::new() },
            why_name: why_name(notification),
            notes: notes(notification, wall),
            processes: if about_values { processes(notification) } else { Vec::new() },
            processes_name: processes_name(notification),
            lists: others::lists(notification, wall),
            url: clean(&notification.url),
            link: others::link(notification.kind),
            zone: wall.zone(),
            at: wall.long(&notification.timestamp),
        }
    }

    /// `Critical: CPU hot on db-01`.
    pub(crate) fn title(&self) -> String {
        format!("{}: {}", self.status, self.subject)
    }

    /// `Critical: CPU hot on db-01 (97.2 % > 90 %)`: enough for a locked phone.
    pub(crate) fn headline(&self) -> String {
        if self.gist.is_empty() { self.title() } else { format!("{} ({})", self.title(), self.gist) }
    }

    /// The title in at most so many characters.
    pub(crate) fn title_within(&self, limit: usize) -> String {
        self.cut(self.title(), limit)
    }

    /// The headline in at most so many characters.
    pub(crate) fn headline_within(&self, limit: usize) -> String {
        self.cut(self.headline(), limit)
    }

    /// How bad it is and where stays legible: what is cut first is the rule's name, which people may make as long as they like.
    fn cut(&self, text: String, limit: usize) -> String {
        let (long, name) = (truncate::length(&text), truncate::length(&self.rule));
        let has_rule = !self.rule.is_empty() && self.subject.starts_with(&self.rule);
        if long <= limit || !has_rule {
            return truncate::to_chars(&text, limit);
        }
        let shorter = truncate::to_chars(&self.rule, name.saturating_sub(long - limit).max(SHORTEST_NAME));
        truncate::to_chars(&text.replacen(&self.rule, &shorter, 1), limit)
    }

    /// Everything as lines of plain text.
    pub(crate) fn plain(&self) -> String {
        let mut lines = vec![self.headline(), String::new(), self.sentence.clone()];
        lines.extend(self.notes.iter().map(|note| format!("Note: {note}")));
        if !self.facts.is_empty() {
            lines.push(String::new());
        }
        let why = Some(self.why_name.len()).filter(|_| !self.why.is_empty());
        let width = self.facts.iter().map(|fact| fact.name.len()).chain(why).max().unwrap_or(0) + 1;
        lines.extend(self.facts.iter().map(|fact| format!("{:width$} {}", format!("{}:", fact.name), fact.value)));
        if !self.why.is_empty() {
            lines.push(format!("{:width$} {}", format!("{}:", self.why_name), self.why));
        }
        if !self.processes.is_empty() {
            lines.extend([String::new(), format!("{}:", self.processes_name)]);
            lines.extend(self.processes.iter().map(|line| format!("  {}  {}", line.name, line.uses())));
        }
        for list in &self.lists {
            lines.extend([String::new(), format!("{}:", list.title)]);
            lines.extend(list.lines.iter().map(|line| format!("  {}", line.text)));
        }
        if !self.url.is_empty() {
            lines.extend([String::new(), self.url.clone()]);
        }
        lines.extend([String::new(), format!("Times in {}", self.zone)]);
        lines.join("\n")
    }
}

/// A text from elsewhere on one line: no control characters, nothing that turns the direction of writing, not too long.
pub(crate) fn clean(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}');
    let spaced = text.chars().take(LONGEST_TEXT).map(|c| if c.is_control() || turns(c) { ' ' } else { c });
    spaced.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn facts(notification: &Notification, wall: Wall) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut add = |name: &'static str, value: String| {
        if !value.trim().is_empty() {
            facts.push(Fact { name, value });
        }
    };
    // A test is about no host.
    if notification.kind == NoticeWord::Test {
        return facts;
    }
    add("Host", sentences::host(notification));
    if others::is_other(notification.kind) && notification.kind != NoticeWord::Acked {
        return facts;
    }
    if notification.metric == OFFLINE_METRIC {
        add("Rule", clean(&notification.rule.name));
    } else {
        add("Metric", clean(&notification.series()));
    }
    // Of a state or a moment the sentence says everything, and its number nothing.
    let is_told = states::of(notification).is_some() || moments::of(notification).is_some();
    let is_number = notification.metric != OFFLINE_METRIC && !is_told;
    if is_number {
        let (value, threshold) = sentences::value_and_threshold(notification);
        add(value_name(notification), value);
        add("Threshold", threshold);
        let (name, peak) = sentences::worst(notification);
        add(name, peak);
    }
    add("Since", wall.long(&notification.started_at));
    let end = notification.resolved_at.as_ref();
    add("Until", end.map_or_else(String::new, |end| wall.long(end)));
    let span = words::seconds_between(&notification.started_at, end.unwrap_or(&notification.timestamp));
    let lasted = if notification.is_open() { "Lasting" } else { "Lasted" };
    // When it fires it has lasted as long as the hold, which stands beside the threshold.
    let span = span.filter(|_| notification.kind != NoticeWord::Fired || notification.late);
    add(lasted, span.filter(|span| *span >= 1.0).map_or_else(String::new, words::duration));
    facts
}

fn notes(notification: &Notification, wall: Wall) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(note) = &notification.hub_note {
        notes.push(clean(note));
    }
    if notification.maybe_repeat {
        notes.push("This may be a repeat: the answer to an earlier attempt was lost.".to_owned());
    }
    if notification.late {
        let from = wall.short(notification.fired_at.as_ref().unwrap_or(&notification.started_at));
        let to = notification.resolved_at.as_ref().map_or_else(String::new, |end| format!(" to {}", wall.short(end)));
        notes.push(format!("Reported late: this was firing from {from}{to}, before the hub could be told."));
    }
    match notification.suppressed_count {
        0 => {}
        1 => notes.push("1 earlier change was held back by a cooldown or a silence.".to_owned()),
        count => notes.push(format!("{count} earlier changes were held back by a cooldown or a silence.")),
    }
    notes
}

/// What the value of a notification is called.
const fn value_name(notification: &Notification) -> &'static str {
    match notification.kind {
        NoticeWord::NodataStart => "Last value",
        _ if notification.is_open() => "Value",
        _ => "Now",
    }
}

/// What the decision is called.
const fn why_name(notification: &Notification) -> &'static str {
    if notification.is_open() { "Why" } else { "Why it fired" }
}

/// What the processes of a notification are.
fn processes_name(notification: &Notification) -> &'static str {
    match notification.resource() {
        Resource::Cpu => "Busiest processes",
        Resource::Memory => "Largest processes",
        Resource::Io => "Processes with most disk I/O",
    }
}

fn processes(notification: &Notification) -> Vec<ProcessLine> {
    let line = |process: &crate::notification::TopProcess| ProcessLine {
        name: process.pid.map_or_else(|| clean(&process.name), |pid| format!("{} ({pid})", clean(&process.name))),
        cpu: words::value(process.cpu_percent, "percent"),
        memory: words::value(approximate(process.rss_bytes), "bytes"),
        io: process.io_bytes_per_second.map_or_else(String::new, |rate| words::value(approximate(rate), "bytes_per_second")),
    };
    notification.top_processes.iter().take(PROCESSES_SHOWN).map(line).collect()
}

#[expect(clippy::cast_precision_loss, reason = "shown with two decimals of a larger unit")]
const fn approximate(count: u64) -> f64 {
    count as f64
}
