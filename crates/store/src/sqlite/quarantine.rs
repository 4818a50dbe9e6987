//! Sets damaged pieces of history aside, as they are, so that nothing stumbles over them again and a person can look at them.

use super::cells::At;
use super::failure::Answer;
use super::held;
use super::history::Span;
use super::marks::Piece;
use super::noted::{Noted, Spot};
use crate::seams::Damaged;
use nightbell_model::Timestamp;
use rusqlite::{Connection, params};

/// A damaged piece of history and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The agent's number.
    pub(super) agent: i64,
    /// The table it stands in.
    pub(super) table: &'static str,
    /// The number of its row.
    pub(super) id: i64,
    /// The stretch of time it is about.
    pub(super) span: Span,
    /// What is wrong with it.
    pub(super) why: String,
}

impl Fault {
    /// A chunk of an agent.
    pub(super) const fn chunk(agent: i64, table: &'static str, piece: &Piece, why: String) -> Self {
        Self { agent, table, id: piece.id, span: (piece.start, piece.until), why }
    }

    /// What it is called in the log.
    pub(super) fn words(&self) -> String {
        let (start, end) = (self.span.0.as_millis(), self.span.1.as_millis());
        format!("{} row {} of agent number {} ({start} to {end} ms): {}", self.table, self.id, self.agent, self.why)
    }
}

/// The column of a table that holds packed bytes.
fn packed_column(table: &str) -> &'static str {
    if table.ends_with("_chunks") { "body" } else { "vector" }
}

/// Moves a damaged piece out of the way. Bytes that cannot even be read are lost.
pub(super) fn set_aside(connection: &Connection, noted: &Noted, fault: &Fault, now: Timestamp) -> Answer<()> {
    let Fault { agent, table, id, span, why } = fault;
    noted.note(Spot { agent: *agent, what: table, start: span.0, until: span.1 }, &why);
    let sql = format!("SELECT {} FROM {table} WHERE id = ?1", packed_column(table));
    let body: Option<Vec<u8>> = connection.prepare_cached(&sql)?.query_row([id], |row| row.get(0)).ok();
    let sql = "INSERT INTO quarantine (at, agent, what, start, until, why, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let (start, until) = (span.0.as_millis(), span.1.as_millis());
    connection.prepare_cached(sql)?.execute(params![now.as_millis(), agent, table, start, until, why, body])?;
    connection.prepare_cached(&format!("DELETE FROM {table} WHERE id = ?1"))?.execute([id])?;
    held::revise(connection, *agent)
}

/// What was set aside of an agent's history over a span, ascending.
pub(super) fn of(connection: &Connection, agent: i64, span: Span) -> Answer<Vec<Damaged>> {
    let sql = "SELECT start, until, why FROM quarantine WHERE agent = ?1 AND start < ?2 AND until > ?3 ORDER BY start";
    let mut select = connection.prepare_cached(sql)?;
    let rows = select.query_map(params![agent, span.1.as_millis(), span.0.as_millis()], |row| {
        Ok(Damaged { start: row.get::<_, At>(0)?.0, end: row.get::<_, At>(1)?.0, why: row.get(2)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
