//! What may have been meant by a word that is not known.

/// At most so many are named.
const MOST: usize = 3;

/// How many letters have to be put in, taken out, replaced or swapped with their neighbour to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.to_lowercase().chars().collect(), b.to_lowercase().chars().collect());
    let width = b.len() + 1;
    let mut cells = vec![0; (a.len() + 1) * width];
    for row in 0..=a.len() {
        for column in 0..width {
            cells[row * width + column] = match (row, column) {
                (0, steps) | (steps, 0) => steps,
                _ => {
                    let differs = usize::from(a[row - 1] != b[column - 1]);
                    let above = cells[(row - 1) * width + column] + 1;
                    let left = cells[row * width + column - 1] + 1;
                    let mut least = above.min(left).min(cells[(row - 1) * width + column - 1] + differs);
                    if row > 1 && column > 1 && a[row - 1] == b[column - 2] && a[row - 2] == b[column - 1] {
                        least = least.min(cells[(row - 2) * width + column - 2] + 1);
                    }
                    least
                }
            };
        }
    }
    cells.last().copied().unwrap_or(0)
}

/// The known words that are nearly `word`, the nearest first.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let bound = (word.chars().count() / 3).clamp(1, 4);
    let mut near: Vec<(usize, &str)> = known.into_iter().map(|other| (distance(word, other), other)).collect();
    near.retain(|(steps, _)| *steps <= bound);
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(MOST).map(|(_, other)| other).collect()
}

/// The end of a sentence that asks for them; nothing if there are none.
pub(crate) fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = nearest(word, known);
    if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(" or ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_found_and_a_stranger_is_not() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("opst", "opts"), 1, "two letters swapped are one slip");
        let known = ["threshold", "channels", "severity", "key"];
        assert_eq!(nearest("threshhold", known), ["threshold"]);
        assert_eq!(nearest("kye", known), ["key"]);
        assert_eq!(hint("colour", known), "");
        assert_eq!(hint("chanels", known), "; did you mean channels?");
    }
}
