//! Reading a request's body within bounds: bytes on the wire, time, and bytes after gzip is undone.

use crate::problem::Problem;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use flate2::bufread::GzDecoder;
use futures_util::StreamExt as _;
use nightbell_protocol::Limits;
use std::cell::RefCell;
use std::io::{Cursor, Read as _};
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

    /// What `read` makes of the body with gzip undone.
    pub(crate) fn decoded<T>(self, read: impl FnOnce(&[u8]) -> Result<T, Problem>) -> Result<T, Problem> {
        if self.gzip {
            ROOM.with_borrow_mut(|room| {
                let made = room.gunzip(self.bytes, Limits::BODY.bytes).and_then(read);
                room.tidy();
                made
            })
        } else {
            read(&self.bytes)
        }
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

/// A thread has this much room for undone gzip at first: a heartbeat of two hundred series.
const FIRST_ROOM: usize = 8 << 10;
/// It keeps no more than this between bodies: some heartbeats together fit, and a day's buffer is rare.
const KEPT_ROOM: usize = 64 << 10;

thread_local! {
    static ROOM: RefCell<Room> = RefCell::new(Room::default());
}

/// What undoing gzip needs, kept from one body to the next: the decoder's tables and window alone are 40 KiB, and fetching them
/// anew for each heartbeat costs more than decoding it.
struct Room {
    decoder: GzDecoder<Cursor<Bytes>>,
    decoded: Vec<u8>,
}

impl Default for Room {
    fn default() -> Self {
        Self { decoder: GzDecoder::new(Cursor::default()), decoded: Vec::with_capacity(FIRST_ROOM) }
    }
}

impl Room {
    /// Undoes gzip up to `limit` bytes; a bomb costs no more than that.
    fn gunzip(&mut self, wire: Bytes, limit: usize) -> Result<&[u8], Problem> {
        self.decoded.clear();
        self.decoder.reset(Cursor::new(wire));
        let undone = self.members(limit);
        // The bytes are their connection's: they go back now, and not with the next body.
        self.decoder.reset(Cursor::default());
        if let Err(error) = undone {
            return Err(Problem::new(StatusCode::BAD_REQUEST, "malformed", format!("the body is not gzip: {error}")));
        }
        if self.decoded.len() > limit {
            let detail = "a body may have 4 MiB after gzip is undone: send fewer heartbeats at once";
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "decoded_too_large", detail));
        }
        Ok(&self.decoded)
    }

    /// Gives back what an unusually large body took.
    fn tidy(&mut self) {
        self.decoded.clear();
        self.decoded.shrink_to(KEPT_ROOM);
    }

    /// Reads one member after the other (RFC 1952, section 2.2), until one byte more than `limit` has come.
    fn members(&mut self, limit: usize) -> std::io::Result<()> {
        loop {
            let left = (limit + 1).saturating_sub(self.decoded.len());
            (&mut self.decoder).take(left as u64).read_to_end(&mut self.decoded)?;
            let rest = self.decoder.get_ref();
            if self.decoded.len() > limit || rest.position() >= rest.get_ref().len() as u64 {
                return Ok(());
            }
            let rest = std::mem::take(self.decoder.get_mut());
            self.decoder.reset(rest);
        }
    }
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

    fn gunzip(wire: &[u8], limit: usize) -> Result<Vec<u8>, Problem> {
        Room::default().gunzip(Bytes::copy_from_slice(wire), limit).map(<[u8]>::to_vec)
    }

    #[test]
    fn what_was_undone_before_leaves_no_trace() {
        let mut room = Room::default();
        let mut cut = gzip(&[7; 100_000]);
        cut.truncate(cut.len() - 4);
        let undone = [gzip(b"one"), gzip(&[7; 100_000]), cut, gzip(b"two").repeat(2), b"no".to_vec(), Vec::new(), gzip(b"three")]
            .map(|wire| room.gunzip(wire.into(), 200_000).map(<[u8]>::len).ok());
        assert_eq!(undone, [Some(3), Some(100_000), None, Some(6), None, None, Some(5)]);
        assert_eq!(room.decoded, b"three");
        room.tidy();
        assert!(room.decoded.capacity() <= KEPT_ROOM, "{}", room.decoded.capacity());
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
