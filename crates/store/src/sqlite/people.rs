//! People, their sessions, API tokens, channels, silences and settings: configuration that is small and read whole.

use super::cells::{at, at_opt, list, ms, named, named_opt, parsed, parsed_opt};
use super::failure::Answer;
use super::rules;
use crate::entities::{ApiTokenRow, ChannelRow, Recurrence, Role, SessionRow, SilenceRow, UserRow};
use crate::texts;
use nightbell_alerts::{MuteKind, Severity};
use rusqlite::{Connection, Row, ToSql, params};

/// Does one prepared statement; how many rows it changed.
pub(super) fn run(connection: &Connection, sql: &str, values: &[&dyn ToSql]) -> Answer<usize> {
    Ok(connection.prepare_cached(sql)?.execute(values)?)
}

/// All rows of a statement.
fn rows<T>(connection: &Connection, sql: &str, read: impl Fn(&Row<'_>) -> rusqlite::Result<T>) -> Answer<Vec<T>> {
    let mut select = connection.prepare_cached(sql)?;
    Ok(select.query_map([], read)?.collect::<rusqlite::Result<_>>()?)
}

/// Adds or replaces a person.
pub(super) fn put_user(connection: &Connection, user: &UserRow) -> Answer<()> {
    let sql = "INSERT INTO users (id, username, password_phc, role, created_at) VALUES (?1, ?2, ?3, ?4, ?5) \
               ON CONFLICT (id) DO UPDATE SET username = ?2, password_phc = ?3, role = ?4, created_at = ?5";
    let values = params![user.id.to_string(), user.username, user.password_phc, user.role.name(), user.created_at.as_millis()];
    run(connection, sql, values)?;
    Ok(())
}

/// Whether there is anybody.
pub(super) fn has_users(connection: &Connection) -> Answer<bool> {
    Ok(connection.prepare_cached("SELECT 1 FROM users LIMIT 1")?.exists([])?)
}

/// All people, by id.
pub(super) fn users(connection: &Connection) -> Answer<Vec<UserRow>> {
    rows(connection, "SELECT * FROM users ORDER BY id", |row| {
        Ok(UserRow {
            id: parsed(row, "id")?,
            username: row.get("username")?,
            password_phc: row.get("password_phc")?,
            role: named(row, "role", Role::from_name)?,
            created_at: at(row, "created_at")?,
        })
    })
}

/// Adds or refreshes a session.
pub(super) fn put_session(connection: &Connection, session: &SessionRow) -> Answer<()> {
    let sql = "INSERT INTO sessions (hash, user_id, created_at, used_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5) \
               ON CONFLICT (hash) DO UPDATE SET used_at = ?4, expires_at = ?5";
    let times = [session.created_at, session.used_at, session.expires_at].map(|time| time.as_millis());
    run(connection, sql, params![session.hash, session.user.to_string(), times[0], times[1], times[2]])?;
    Ok(())
}

/// All sessions, by hash.
pub(super) fn sessions(connection: &Connection) -> Answer<Vec<SessionRow>> {
    rows(connection, "SELECT * FROM sessions ORDER BY hash", |row| {
        Ok(SessionRow {
            hash: row.get("hash")?,
            user: parsed(row, "user_id")?,
            created_at: at(row, "created_at")?,
            used_at: at(row, "used_at")?,
            expires_at: at(row, "expires_at")?,
        })
    })
}

/// Adds or refreshes an API token.
pub(super) fn put_token(connection: &Connection, token: &ApiTokenRow) -> Answer<()> {
    let sql = "INSERT INTO tokens (id, name, hash, scopes, created_at, expires_at, used_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
               ON CONFLICT (id) DO UPDATE SET name = ?2, hash = ?3, scopes = ?4, created_at = ?5, expires_at = ?6, used_at = ?7";
    let (created_at, scopes) = (token.created_at.as_millis(), texts::write(&token.scopes));
    let (expires_at, used_at) = (ms(token.expires_at), ms(token.used_at));
    run(connection, sql, params![token.id.to_string(), token.name, token.hash, scopes, created_at, expires_at, used_at])?;
    Ok(())
}

/// All API tokens, by id.
pub(super) fn tokens(connection: &Connection) -> Answer<Vec<ApiTokenRow>> {
    rows(connection, "SELECT * FROM tokens ORDER BY id", |row| {
        Ok(ApiTokenRow {
            id: parsed(row, "id")?,
            name: row.get("name")?,
            hash: row.get("hash")?,
            scopes: list(row, "scopes")?,
            created_at: at(row, "created_at")?,
            expires_at: at_opt(row, "expires_at")?,
            used_at: at_opt(row, "used_at")?,
        })
    })
}

/// Adds or replaces a channel. What stood there before is overwritten in the file, not only given free: it may be a secret in
/// clear, of a hub that did not seal yet.
pub(super) fn put_channel(connection: &Connection, channel: &ChannelRow) -> Answer<()> {
    overwriting(connection, "ON")?;
    let put = write_channel(connection, channel);
    overwriting(connection, "OFF")?;
    put
}

/// Whether what is given free is overwritten with zeros. It costs a write for each page: history does without.
fn overwriting(connection: &Connection, word: &str) -> Answer<()> {
    connection.pragma_update_and_check(None, "secure_delete", word, |_row| Ok(()))?;
    Ok(())
}

fn write_channel(connection: &Connection, channel: &ChannelRow) -> Answer<()> {
    let sql = "INSERT INTO channels (id, name, kind, config, enabled, broken, created_at, version, quiet) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (id) DO UPDATE SET name = ?2, kind = ?3, config = ?4, \
               enabled = ?5, broken = ?6, created_at = ?7, version = ?8, quiet = ?9";
    let values = params![
        channel.id.to_string(),
        channel.name,
        channel.kind,
        channel.config_json,
        channel.enabled,
        channel.broken,
        channel.created_at.as_millis(),
        channel.version.cast_signed(),
        channel.quiet_json,
    ];
    run(connection, sql, values)?;
    Ok(())
}

/// All channels, by id.
pub(super) fn channels(connection: &Connection) -> Answer<Vec<ChannelRow>> {
    rows(connection, "SELECT * FROM channels ORDER BY id", |row| {
        Ok(ChannelRow {
            id: parsed(row, "id")?,
            name: row.get("name")?,
            kind: row.get("kind")?,
            config_json: row.get("config")?,
            enabled: row.get("enabled")?,
            broken: row.get("broken")?,
            created_at: at(row, "created_at")?,
            version: row.get::<_, i64>("version")?.cast_unsigned(),
            quiet_json: row.get("quiet")?,
        })
    })
}

/// Adds or replaces a silence.
pub(super) fn put_silence(connection: &Connection, silence: &SilenceRow) -> Answer<()> {
    let sql = "INSERT OR REPLACE INTO silences (id, kind, starts_at, ends_at, rule, agent, tag, series, up_to, comment, \
               created_by, created_at, cron, timezone, duration_ms, matchers) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
    let again = silence.recurrence.as_ref();
    let values = params![
        silence.id.to_string(),
        silence.kind.name(),
        silence.starts_at.as_millis(),
        silence.ends_at.as_millis(),
        silence.rule.map(|id| id.to_string()),
        silence.agent.map(|id| id.to_string()),
        silence.tag,
        silence.series,
        silence.up_to.map(Severity::name),
        silence.comment,
        silence.created_by,
        silence.created_at.as_millis(),
        again.map(|again| &*again.cron),
        again.map(|again| &*again.timezone),
        again.map(|again| again.duration_ms),
        rules::write_matchers(&silence.matchers),
    ];
    run(connection, sql, values)?;
    Ok(())
}

/// All silences, by id.
pub(super) fn silences(connection: &Connection) -> Answer<Vec<SilenceRow>> {
    rows(connection, "SELECT * FROM silences ORDER BY id", |row| {
        Ok(SilenceRow {
            id: parsed(row, "id")?,
            kind: named(row, "kind", MuteKind::from_name)?,
            starts_at: at(row, "starts_at")?,
            ends_at: at(row, "ends_at")?,
            rule: parsed_opt(row, "rule")?,
            agent: parsed_opt(row, "agent")?,
            tag: row.get("tag")?,
            series: row.get("series")?,
            up_to: named_opt(row, "up_to", Severity::from_name)?,
            comment: row.get("comment")?,
            created_by: row.get("created_by")?,
            created_at: at(row, "created_at")?,
            recurrence: recurrence(row)?,
            matchers: rules::read_matchers(row)?,
        })
    })
}

fn recurrence(row: &Row<'_>) -> rusqlite::Result<Option<Recurrence>> {
    let Some(cron) = row.get("cron")? else { return Ok(None) };
    Ok(Some(Recurrence { cron, timezone: row.get("timezone")?, duration_ms: row.get("duration_ms")? }))
}

/// Sets a setting.
pub(super) fn put_setting(connection: &Connection, key: &str, value: &str) -> Answer<()> {
    run(connection, "INSERT OR REPLACE INTO settings (key, value) VALUES (?1, ?2)", params![key, value])?;
    Ok(())
}

/// All settings, by key.
pub(super) fn settings(connection: &Connection) -> Answer<Vec<(String, String)>> {
    rows(connection, "SELECT key, value FROM settings ORDER BY key", |row| Ok((row.get(0)?, row.get(1)?)))
}
