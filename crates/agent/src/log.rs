//! The program's log: one line an event on standard error, as a service manager likes it. No more than the agent needs.

use std::fmt::{Debug, Write as _};
use std::io::Write as _;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Writes events of at least one level.
#[derive(Debug)]
struct Log {
    level: Level,
}

/// Starts to log events of `level` and above.
pub fn start(level: Level) {
    // A second start in one process changes nothing.
    let _already = tracing::subscriber::set_global_default(Log { level });
}

/// The message and the fields of one event.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _infallible = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries explain every byte at the lower levels; what matters of them comes as our own words.
        *metadata.level() <= self.level && (metadata.target().starts_with("nightbell") || self.level == Level::TRACE)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let text = format!("{} {}{}\n", event.metadata().level(), line.message, line.fields);
        // There is nowhere to say that the log cannot be written.
        let _lost = std::io::stderr().lock().write_all(text.as_bytes());
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}
