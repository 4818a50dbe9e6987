//! Pages of lists that are kept in memory: by the key of the last row shown, so that rows coming and going move nothing.

use crate::api::extract::Listing;
use crate::api::problem::Problem;

/// A place in a sorted list: the key of a row and, where keys are alike, its id.
pub(crate) type Place = (String, String);

/// What follows the place `cursor` in `rows`, at most `limit` of them; `rows` are sorted here.
///
/// # Errors
/// When the cursor is none of ours.
pub(crate) fn page<R>(
    mut rows: Vec<(Place, R)>,
    descending: bool,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Listing<R>, Problem> {
    let after = cursor.map(decode).transpose()?;
    rows.sort_by(|(a, _), (b, _)| if descending { b.cmp(a) } else { a.cmp(b) });
    let is_later = |place: &Place| after.as_ref().is_none_or(|after| if descending { place < after } else { place > after });
    let mut later = rows.into_iter().filter(|(place, _)| is_later(place)).peekable();
    let mut items = Vec::new();
    let mut last = None;
    while items.len() < limit
        && let Some((place, row)) = later.next()
    {
        items.push(row);
        last = Some(place);
    }
    let next_cursor = later.peek().and(last).map(|place| encode(&place));
    Ok(Listing { items, next_cursor })
}

fn encode((key, id): &Place) -> String {
    let bytes = format!("{key}\0{id}").into_bytes();
    std::iter::once("p".to_owned()).chain(bytes.iter().map(|byte| format!("{byte:02x}"))).collect()
}

fn decode(text: &str) -> Result<Place, Problem> {
    let read = || {
        let digits = text.strip_prefix('p').filter(|digits| digits.is_ascii())?;
        let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
        let text = String::from_utf8(bytes?).ok()?;
        text.split_once('\0').map(|(key, id)| (key.to_owned(), id.to_owned()))
    };
    read().ok_or_else(|| Problem::invalid_field("cursor", "this is not a next_cursor of this list"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<(Place, u32)> {
        [("b", 1), ("a", 2), ("b", 3), ("ü", 4)].map(|(key, id)| ((key.to_owned(), id.to_string()), id)).to_vec()
    }

    fn walk(descending: bool, limit: usize) -> Vec<u32> {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let found = page(rows(), descending, limit, cursor.as_deref()).expect("a page");
            assert!(found.items.len() <= limit);
            all.extend(found.items);
            match found.next_cursor {
                Some(next) => cursor = Some(next),
                None => return all,
            }
        }
    }

    #[test]
    fn pages_follow_one_another_in_both_directions() {
        for limit in 1..6 {
            assert_eq!(walk(false, limit), [2, 1, 3, 4], "{limit}");
            assert_eq!(walk(true, limit), [4, 3, 1, 2], "{limit}");
        }
    }

    #[test]
    fn a_foreign_cursor_is_refused() {
        for text in ["", "c12", "p0", "pzz", "p41", "pé"] {
            assert!(page(rows(), false, 1, Some(text)).is_err(), "{text}");
        }
    }
}
