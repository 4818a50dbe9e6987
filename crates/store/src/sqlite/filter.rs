//! Conditions that a list query may or may not have, and pages of its answer.

use super::failure::Answer;
use crate::seams::Page;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

/// A list with conditions, all of which must hold.
#[derive(Debug)]
pub(super) struct Filter {
    table: &'static str,
    /// The column that the list is ordered by and pages go on from.
    place: &'static str,
    is_ascending: bool,
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Filter {
    /// Rows of `table` below the place `before`, newest first.
    pub(super) fn newest_first(table: &'static str, place: &'static str, before: Option<u64>) -> Self {
        let before = before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX);
        let mut filter = Self { table, place, is_ascending: false, conditions: Vec::new(), values: Vec::new() };
        filter.and(&format!("{place} < ?"), before);
        filter
    }

    /// From here on: rows above the place `after`, oldest first.
    pub(super) fn oldest_first_after(&mut self, after: u64) {
        self.is_ascending = true;
        self.and(&format!("{} > ?", self.place), i64::try_from(after).unwrap_or(i64::MAX));
    }

    /// Adds a condition with one `?` in it, which stands for `value`.
    pub(super) fn and(&mut self, condition: &str, value: impl Into<Value>) {
        self.conditions.push(condition.to_owned());
        self.values.push(value.into());
    }

    /// Adds that `column` is this value, if there is one.
    pub(super) fn and_is(&mut self, column: &str, value: Option<String>) {
        if let Some(value) = value {
            self.and(&format!("{column} = ?"), value);
        }
    }

    /// Adds a condition without a value.
    pub(super) fn and_plain(&mut self, condition: &str) {
        self.conditions.push(condition.to_owned());
    }

    /// Adds that `column` is one of `names`; nothing if there are none.
    pub(super) fn and_any_of<'a>(&mut self, column: &str, names: impl Iterator<Item = &'a str>) {
        let before = self.values.len();
        self.values.extend(names.map(|name| Value::from(name.to_owned())));
        let count = self.values.len() - before;
        if count > 0 {
            self.conditions.push(format!("{column} IN ({})", vec!["?"; count].join(", ")));
        }
    }

    /// The statement.
    fn sql(&self) -> String {
        let Self { table, place, .. } = self;
        let direction = if self.is_ascending { "" } else { " DESC" };
        format!("SELECT * FROM {table} WHERE {} ORDER BY {place}{direction} LIMIT ?", self.conditions.join(" AND "))
    }

    /// At most `limit` rows, and the place of the last one if there are more.
    pub(super) fn page<T>(
        mut self,
        connection: &Connection,
        limit: usize,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Answer<Page<T>> {
        let sql = self.sql();
        self.values.push(Value::from(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)));
        let mut statement = connection.prepare_cached(&sql)?;
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(self.place)?.cast_unsigned(), read(row)?));
        let mut items: Vec<(u64, T)> =
            statement.query_map(params_from_iter(self.values), read)?.collect::<rusqlite::Result<_>>()?;
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| has_more).map(|item| item.0);
        Ok(Page { items: items.into_iter().map(|item| item.1).collect(), next })
    }
}
