//! What the tests of several collectors need.

use crate::sheet::{Sheet, unscaled};

/// The value of a series on a sheet as it stands.
pub(crate) fn value(sheet: &mut Sheet, key: &str) -> Option<f64> {
    let (names, row) = sheet.finish();
    let at = names.keys.iter().position(|name| name == key)?;
    unscaled(row[at], names.decimals[at])
}
