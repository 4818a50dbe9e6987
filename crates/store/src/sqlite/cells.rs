//! Our types in the cells of a row: ids as text, moments as milliseconds, lists as JSON arrays of texts, names of enums.

use nightbell_model::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Type, ValueRef};
use rusqlite::{Error, Result, Row};
use std::str::FromStr;

/// A moment in a cell.
#[derive(Debug, Clone, Copy)]
pub(super) struct At(pub(super) Timestamp);

impl FromSql for At {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(|ms| Self(Timestamp::from_millis(ms)))
    }
}

impl ToSql for At {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(self.0.as_millis().into())
    }
}

/// A moment of a row.
pub(super) fn at(row: &Row<'_>, cell: &str) -> Result<Timestamp> {
    row.get::<_, At>(cell).map(|at| at.0)
}

/// A moment of a row that may be absent.
pub(super) fn at_opt(row: &Row<'_>, cell: &str) -> Result<Option<Timestamp>> {
    row.get::<_, Option<At>>(cell).map(|at| at.map(|at| at.0))
}

/// A moment that may be absent, for binding.
pub(super) fn ms(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_millis)
}

/// An id or key of a row.
pub(super) fn parsed<T: FromStr>(row: &Row<'_>, cell: &str) -> Result<T> {
    parse(cell, row.get_ref(cell)?.as_str()?)
}

/// An id or key of a row that may be absent.
pub(super) fn parsed_opt<T: FromStr>(row: &Row<'_>, cell: &str) -> Result<Option<T>> {
    row.get_ref(cell)?.as_str_or_null()?.map(|text| parse(cell, text)).transpose()
}

/// A text as an id or key; `cell` is what to call it when it is none.
pub(super) fn parse<T: FromStr>(cell: &str, text: &str) -> Result<T> {
    text.parse().map_err(|_refused| unfit(cell, text))
}

/// A value of an enum by its name.
pub(super) fn named<T>(row: &Row<'_>, cell: &str, from_name: impl Fn(&str) -> Option<T>) -> Result<T> {
    let text = row.get_ref(cell)?.as_str()?;
    from_name(text).ok_or_else(|| unfit(cell, text))
}

/// A value of an enum by its name that may be absent.
pub(super) fn named_opt<T>(row: &Row<'_>, cell: &str, from_name: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
    let text = row.get_ref(cell)?.as_str_or_null()?;
    text.map(|text| from_name(text).ok_or_else(|| unfit(cell, text))).transpose()
}

/// A number that is missing where the cell is empty: the engine stores NaN as NULL.
pub(super) fn number(row: &Row<'_>, cell: &str) -> Result<f64> {
    row.get::<_, Option<f64>>(cell).map(|value| value.unwrap_or(f64::NAN))
}

/// A list of texts.
pub(super) fn list(row: &Row<'_>, cell: &str) -> Result<Vec<String>> {
    let text = row.get_ref(cell)?.as_str()?;
    crate::texts::read(text).ok_or_else(|| unfit(cell, text))
}

/// The error of a cell whose text is not what belongs there.
pub(super) fn unfit(cell: &str, text: &str) -> Error {
    let shown: String = text.chars().take(40).collect();
    let cause = FromSqlError::Other(format!("{cell} cannot be {shown:?}").into());
    Error::FromSqlConversionFailure(0, Type::Text, Box::new(cause))
}
