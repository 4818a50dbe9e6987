//! Reading numbers and words out of the kernel's text files, byte by byte and without allocating.
//!
//! What the fields mean is left to the parser of each source. Nothing here panics, whatever the bytes.

/// A text that does not look like the file it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unparsable(pub(crate) String);

impl std::fmt::Display for Unparsable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The error for a field that should be there.
pub(crate) fn missing(field: &str) -> Unparsable {
    Unparsable(format!("cannot be parsed: {field} is missing or no number"))
}

/// The lines of a file, without their ends.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// The words of a line.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty())
}

/// A decimal number that fits in 64 bits.
pub(crate) fn number(word: &[u8]) -> Option<u64> {
    if word.is_empty() {
        return None;
    }
    word.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// A decimal number with a sign.
pub(crate) fn signed(word: &[u8]) -> Option<i64> {
    match word.strip_prefix(b"-") {
        Some(digits) => number(digits).and_then(|value| i64::try_from(value).ok()).map(|value| -value),
        None => number(word).and_then(|value| i64::try_from(value).ok()),
    }
}

/// A decimal number with a fraction, as in `/proc/loadavg`.
pub(crate) fn fraction(word: &[u8]) -> Option<f64> {
    let plain = !word.is_empty() && word.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    std::str::from_utf8(word).ok().filter(|_| plain)?.parse().ok().filter(|value: &f64| value.is_finite())
}

/// The number in a file that holds nothing else, as most of `/sys` does.
pub(crate) fn whole(bytes: &[u8]) -> Option<i64> {
    signed(bytes.trim_ascii())
}

/// The text of a file or word, bytes that are not UTF-8 replaced.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.trim_ascii()).into_owned()
}

/// `value` as a float. Counters pass 2^53 only after petabytes, where a lost byte does not matter.
#[expect(clippy::cast_precision_loss, reason = "above 2^53 a relative error of 2^-53 is meant")]
pub(crate) fn float(value: u64) -> f64 {
    value as f64
}

/// 100 × part ÷ whole, at most 100; nothing if the whole is 0.
pub(crate) fn percent(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| (100.0 * part / whole).clamp(0.0, 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_all_else_is_refused() {
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        for bad in [&b""[..], b"18446744073709551616", b"-1", b"1.5", b"0x1", b" 1"] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
        assert_eq!(signed(b"-128000"), Some(-128_000));
        assert_eq!(fraction(b"0.36"), Some(0.36));
        for bad in [&b""[..], b"nan", b"inf", b"-1.0", b"1e300", b"1.2.3"] {
            assert_eq!(fraction(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_share_of_nothing_is_nothing() {
        assert_eq!(percent(1.0, 0.0), None);
        assert_eq!(percent(0.0, 0.0), None);
        assert_eq!(percent(3.0, 2.0), Some(100.0));
        assert_eq!(percent(1.0, 4.0), Some(25.0));
    }
}
