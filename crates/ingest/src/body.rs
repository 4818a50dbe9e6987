//! Reading a request's body within bounds: bytes on the wire, time, and bytes after gzip is undone.

use crate::problem::Problem;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use flate2::bufread::MultiGzDecoder;
use futures_util::StreamExt as _;
use nightbell_protocol::Limits;
use std::borrow::Cow;
use std::io::Read as _;
use std::time::Duration;

/// The largest body on the wire: a day's buffer, compressed, with room to spare.
pub(crate) const WIRE_LIMIT: usize = 1 << 20;
/// From here on a body is decoded beside the connections: as gzip it may hold 4 MiB, which takes tens of milliseconds.
const LARGE: usize = 8 << 10;
/// How long a body may take to arrive: 1 MiB over the slowest links, and no longer for those who drip on purpose.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A body as it came.
#[derive(Debug)]
pub(crate) struct Wire {
    bytes: Bytes,
    gzip: bool,
}

impl Wire {
    /// Whether decoding it takes so long that other connections would notice.
    pub(crate) fn is_large(&self) -> bool {
        self.bytes.len() > LARGE
    }

    /// The body with gzip undone.
    pub(crate) fn decode(&self) -> Result<Cow<'_, [u8]>, Problem> {
        if self.gzip { gunzip(&self.bytes, Limits::BODY.bytes).map(Cow::Owned) } else { Ok(Cow::Borrowed(&self.bytes)) }
    }
}

/// The whole body, within the bounds on the wire.
pub(crate) async fn read(headers: &HeaderMap, body: Body) -> Result<Wire, Problem> {
    let gzip = match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"identity" | b"") => false,
        Some(encoding) if encoding.eq_ignore_ascii_case(b"gzip") || encoding.eq_ignore_ascii_case(b"x-gzip") => true,
        Some(_) => {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", "send gzip, or no encoding"));
        }
    };
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > WIRE_LIMIT as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(READ_TIMEOUT, collect(body)).await {
        Ok(bytes) => Ok(Wire { bytes: bytes?, gzip }),
        Err(_elapsed) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body did not arrive within 30 s")),
    }
}

/// The whole of a body; one that came in one piece, as most do, is not copied.
async fn collect(body: Body) -> Result<Bytes, Problem> {
    let mut stream = body.into_data_stream();
    let (mut first, mut whole) = (Bytes::new(), Vec::new());
    while let Some(chunk) = stream.next().await {
        let chunk =
            chunk.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "malformed", format!("the body broke off: {error}")))?;
        if first.len() + whole.len() + chunk.len() > WIRE_LIMIT {
            return Err(too_large());
        }
        if first.is_empty() && whole.is_empty() {
            first = chunk;
            continue;
        }
        whole.extend_from_slice(&std::mem::take(&mut first));
        whole.extend_from_slice(&chunk);
    }
    Ok(if whole.is_empty() { first } else { whole.into() })
}

fn too_large() -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too_large",
        "a body may have 1 MiB on the wire: send fewer heartbeats at once, or gzip",
    )
}

/// What JSON of heartbeats shrinks to at best; a first guess at the room it needs takes no sender's word.
const USUAL_RATIO: usize = 8;

/// Undoes gzip up to `limit` bytes; a bomb costs no more than that.
fn gunzip(wire: &[u8], limit: usize) -> Result<Vec<u8>, Problem> {
    // One byte more than what the sender says it is (RFC 1952, section 2.3.1: the last four bytes), so that the end is seen
    // without growing.
    let said = wire.last_chunk().map_or(0, |size| u32::from_le_bytes(*size) as usize);
    let mut decoded = Vec::with_capacity(said.min(wire.len() * USUAL_RATIO).min(limit) + 1);
    let read = MultiGzDecoder::new(wire).take(limit as u64 + 1).read_to_end(&mut decoded);
    if let Err(error) = read {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "malformed", format!("the body is not gzip: {error}")));
    }
    if decoded.len() > limit {
        let detail = "a body may have 4 MiB after gzip is undone: send fewer heartbeats at once";
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "decoded_too_large", detail));
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).expect("memory takes it");
        encoder.finish().expect("memory takes it")
    }

    #[test]
    fn gzip_is_undone_within_the_limit() {
        assert_eq!(gunzip(&gzip(b"hello"), 5), Ok(b"hello".to_vec()));
        assert!(gunzip(&gzip(b"hello"), 4).is_err());
        assert!(gunzip(b"hello", 100).is_err());
        let mut cut = gzip(&[7; 10_000]);
        cut.truncate(cut.len() - 4);
        assert!(gunzip(&cut, 100_000).is_err());
    }

    #[test]
    fn a_bomb_of_one_gibibyte_stops_at_the_limit() {
        let bomb = gzip(&vec![0; 1 << 20]).repeat(1024);
        assert!(bomb.len() < 2 * WIRE_LIMIT);
        let refused = gunzip(&bomb, Limits::BODY.bytes).expect_err("a bomb");
        assert!(format!("{refused:?}").contains("decoded_too_large"));
    }
}
