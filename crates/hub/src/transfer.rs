//! History from elsewhere and back, in pieces that the command line carries: to the store of a hub that stands still, or through
//! the socket of one that runs. Numbers travel as their bits, so that what arrives is what was sent.

use crate::operations::OperationError;
use crate::{clock, ids};
use nightbell_model::{AgentId, Batch, Schema, SeriesKey, Tier, Timestamp};
use nightbell_store::{
    AgentRow, ExportCursor, ExportPage, ExportQuery, Imported, LeaseToken, MetricStore, RangeQuery, StoreError,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The longest name of an agent, in characters.
const NAME_LIMIT: usize = 200;

/// A piece of history, given or wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "transfer", rename_all = "snake_case")]
pub enum Transfer {
    /// Rows to be stored.
    Give {
        /// Whose.
        agent: String,
        /// Whether the agent's history is to be kept whatever its age.
        keep: bool,
        /// The columns.
        series: Vec<String>,
        /// The rows.
        rows: Vec<Row>,
    },
    /// The series of an agent that have samples.
    Outline(Span),
    /// The next rows of an agent.
    Take {
        /// Whose and when.
        span: Span,
        /// The columns.
        series: Vec<String>,
        /// Where the piece before ended.
        after: Option<Place>,
        /// At most so many rows.
        rows: usize,
        /// Whether buckets come with their extremes.
        #[serde(default)]
        extremes: bool,
    },
}

/// A stretch of an agent's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Whose.
    pub agent: String,
    /// Series keys and metric names; empty is everything.
    pub series: Vec<String>,
    /// The first moment wanted, in epoch milliseconds.
    pub start: i64,
    /// The first moment not wanted.
    pub end: i64,
    /// At which resolution, by its name in the API.
    pub tier: String,
}

/// The values of a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// When, in epoch milliseconds.
    pub t: i64,
    /// The bits of a double for each column; those of NaN where there is no value.
    pub v: Vec<u64>,
    /// What else is known where the values are means and extremes were asked for; nothing on a raw sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<Bucket>,
}

/// The bucket that a row stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// How wide it is, in milliseconds.
    pub width_ms: i64,
    /// The bits of the smallest value of each column.
    pub min: Vec<u64>,
    /// The bits of the largest value of each column.
    pub max: Vec<u64>,
}

/// What became of rows that were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Taken {
    /// Stored.
    pub stored: u64,
    /// At whose moment the agent had a heartbeat already.
    pub duplicates: u64,
    /// From before what is still open.
    pub too_old: u64,
}

/// Rows that were wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The rows.
    pub rows: Vec<Row>,
    /// Where the next piece begins, if there may be one.
    pub next: Option<Place>,
}

/// The place between two rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The time from which on rows follow.
    pub t: i64,
    /// How many rows of just that time were given.
    pub given: usize,
    /// What the store knows of the rows that follow.
    pub stretch_ms: i64,
}

impl From<ExportCursor> for Place {
    fn from(cursor: ExportCursor) -> Self {
        Self { t: cursor.time.as_millis(), given: cursor.given, stretch_ms: cursor.stretch_ms }
    }
}

impl From<Place> for ExportCursor {
    fn from(place: Place) -> Self {
        Self { time: Timestamp::from_millis(place.t), given: place.given, stretch_ms: place.stretch_ms }
    }
}

/// Why a piece cannot be carried.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// An id, a series key or a tier that is none.
    #[error("{0}")]
    Malformed(String),
    /// The store cannot.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn malformed(error: impl std::fmt::Display) -> TransferError {
    TransferError::Malformed(error.to_string())
}

impl From<Imported> for Taken {
    fn from(done: Imported) -> Self {
        Self { stored: done.stored, duplicates: done.duplicates, too_old: done.too_old }
    }
}

fn keys(series: &[String]) -> Result<Vec<SeriesKey>, TransferError> {
    let read = |text: &String| text.parse().map_err(|why| malformed(format!("{text:?} is no series key: {why}")));
    series.iter().map(read).collect()
}

/// Rows as the heartbeats they were, or might have been.
///
/// # Errors
/// When the agent or a series is none, or a row has too many values or too few.
pub fn batches(agent: &str, series: &[String], rows: &[Row]) -> Result<Vec<Batch>, TransferError> {
    let agent: AgentId = agent.parse().map_err(malformed)?;
    let (schema, received) = (Schema::new(keys(series)?), clock::now());
    let batch = |row: &Row| {
        if row.v.len() != series.len() {
            return Err(malformed(format!("a row has {} values for {} series", row.v.len(), series.len())));
        }
        let values = row.v.iter().map(|bits| f64::from_bits(*bits)).collect();
        Ok(Batch { agent, ts: Timestamp::from_millis(row.t), received, boot_seq: None, schema: Arc::clone(&schema), values })
    };
    rows.iter().map(batch).collect()
}

/// Does what a piece asks for, and answers as JSON: [`Taken`], a list of series keys, or a [`Piece`].
///
/// # Errors
/// When it is malformed, or the store cannot.
pub fn carry(store: &dyn MetricStore, lease: LeaseToken, transfer: &Transfer) -> Result<String, TransferError> {
    match transfer {
        Transfer::Give { agent, keep, series, rows } => {
            let batches = batches(agent, series, rows)?;
            let done = store.import(lease, agent.parse().map_err(malformed)?, &batches, *keep)?;
            text(&Taken::from(done))
        }
        Transfer::Outline(span) => text(&outline(store, span)?),
        Transfer::Take { span, series, after, rows, extremes } => {
            let query = ExportQuery {
                agent: span.agent.parse().map_err(malformed)?,
                series: keys(series)?,
                start: Timestamp::from_millis(span.start),
                end: Timestamp::from_millis(span.end),
                tier: tier(&span.tier)?,
                cursor: after.map(ExportCursor::from),
                max_rows: *rows,
            };
            text(&piece(&store.export_page(&query)?, *extremes))
        }
    }
}

fn text<T: Serialize>(answer: &T) -> Result<String, TransferError> {
    serde_json::to_string(answer).map_err(malformed)
}

fn tier(name: &str) -> Result<Tier, TransferError> {
    Tier::from_name(name).ok_or_else(|| malformed(format!("{name:?} is none of raw, 5m, hourly, daily")))
}

fn outline(store: &dyn MetricStore, span: &Span) -> Result<Vec<String>, TransferError> {
    let query = RangeQuery {
        agent: span.agent.parse().map_err(malformed)?,
        series: span.series.clone(),
        start: Timestamp::from_millis(span.start),
        end: Timestamp::from_millis(span.end),
        tier: None,
        max_points: 1,
        now: clock::now(),
    };
    Ok(store.range(&query)?.columns.into_iter().map(|column| column.key.to_string()).collect())
}

fn piece(page: &ExportPage, extremes: bool) -> Piece {
    let bits = |columns: &[Vec<f64>], at: usize| columns.iter().map(|column| column[at].to_bits()).collect();
    let bucket = |at: usize| {
        let width_ms = page.widths.get(at).copied().flatten().filter(|_| extremes)?;
        Some(Bucket { width_ms, min: bits(&page.min, at), max: bits(&page.max, at) })
    };
    let row = |(at, time): (usize, &Timestamp)| Row { t: time.as_millis(), v: bits(&page.mean, at), bucket: bucket(at) };
    let rows = page.times.iter().enumerate().map(row);
    Piece { rows: rows.collect(), next: page.next.map(Place::from) }
}

/// The row of an agent that exists for its history. It was never heard, so it is never missed: no page says that it is offline.
///
/// # Errors
/// When the name cannot be one.
pub fn imported_agent(name: &str, interval_ms: i64, now: Timestamp) -> Result<AgentRow, OperationError> {
    let why = format!("an agent's name has 1 to {NAME_LIMIT} characters and no control characters");
    let fits = (1..=NAME_LIMIT).contains(&name.trim().chars().count()) && !name.chars().any(char::is_control);
    if !fits {
        return Err(OperationError::Refused { field: "agent", why });
    }
    // Nobody knows this credential: whoever wants to send heartbeats as this agent cannot.
    let (_text, credential) = crate::auth::token::mint(crate::auth::token::Kind::Agent)?;
    Ok(AgentRow {
        id: AgentId(ids::fresh()),
        name: name.trim().to_owned(),
        tags: Vec::new(),
        created_at: now,
        last_seen: None,
        interval_ms,
        paused: false,
        version: String::new(),
        facts_json: "{}".to_owned(),
        credential,
        enrolled_as: "import".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_arrive_with_the_bits_they_were_sent_with() {
        let (id, odd) = (AgentId(ids::fresh()).to_string(), [-0.0, f64::INFINITY, 0.1 + 0.2, f64::NAN, f64::MIN_POSITIVE]);
        let series: Vec<String> = (0..odd.len()).map(|at| format!("a.b{at}")).collect();
        let row = Row { t: 1_700_000_000_123, v: odd.map(f64::to_bits).to_vec(), bucket: None };
        let sent = Transfer::Give { agent: id, keep: true, series, rows: vec![row] };
        let read: Transfer = serde_json::from_str(&serde_json::to_string(&sent).expect("text")).expect("the same");
        assert_eq!(read, sent);
        let Transfer::Give { agent, series, rows, .. } = read else { panic!("another transfer") };
        let batch = &batches(&agent, &series, &rows).expect("well formed")[0];
        assert_eq!(batch.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), odd.map(f64::to_bits));
    }

    #[test]
    fn what_is_malformed_is_named() {
        let id = AgentId::default().to_string();
        let said = |agent: &str, series: &str, values| {
            let row = Row { t: 0, v: vec![0; values], bucket: None };
            batches(agent, &[series.to_owned()], &[row]).expect_err("malformed").to_string()
        };
        assert!(said("me", "a.b", 1).contains("not an id"));
        assert!(said(&id, "A", 1).contains("\"A\" is no series key"));
        assert!(said(&id, "a.b", 2).contains("2 values for 1 series"));
        let at = Timestamp::default();
        assert!(
            imported_agent(" ", 1, at).is_err() && imported_agent("a\nb", 1, at).is_err() && imported_agent("ä", 1, at).is_ok()
        );
    }
}
