//! The web UI, embedded in the hub: files by path, each with what an HTTP answer needs to say about it.
//!
//! `build.rs` makes the files from `web/`. This crate knows no HTTP server: routing, conditional requests and headers are the hub's.

use std::borrow::Cow;
use std::fmt::Write as _;

use rust_embed::{EmbeddedFile, RustEmbed};

#[cfg(test)]
mod tests;

/// The `Content-Security-Policy` every page is made for: nothing from another
/// origin, nothing inline. `connect-src 'self'` covers the WebSocket as well.
pub const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Files under this folder carry a hash of their content in their name.
const HASHED: &str = "assets/";

#[derive(RustEmbed)]
#[folder = "$OUT_DIR/ui"]
struct Files;

/// One file of the UI and what to say about it.
#[derive(Debug, Clone)]
pub struct Asset {
    /// The body, already compressed where `gzip` says so.
    pub bytes: Cow<'static, [u8]>,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// A strong validator with its quotes; differs between plain and gzip.
    pub etag: String,
    /// The name changes with the content: may be cached for ever. Otherwise
    /// the browser must ask again (`no-cache`) with the `etag`.
    pub immutable: bool,
    /// `bytes` are gzip: send `Content-Encoding: gzip`. Send
    /// `Vary: Accept-Encoding` in either case.
    pub gzip: bool,
}

/// The file at `path` (with or without the leading slash), in gzip where the
/// client takes it and a smaller twin exists. `None` means: not a file of the
/// UI, so answer with [`index`] unless the path belongs to the API.
#[must_use]
pub fn asset(path: &str, accept_gzip: bool) -> Option<Asset> {
    let path = path.strip_prefix('/').unwrap_or(path);
    // The twins are the same files in another coding, not files of their own.
    if path.is_empty() || extension(path) == "gz" {
        return None;
    }
    let plain = Files::get(path)?;
    let twin = if accept_gzip { Files::get(&format!("{path}.gz")) } else { None };
    let gzip = twin.is_some();
    Some(describe(path, twin.unwrap_or(plain), gzip))
}

/// The page for every path that is neither a file nor the API's: the UI reads
/// the address itself.
#[must_use]
pub fn index() -> Asset {
    asset("index.html", false).unwrap_or(Asset {
        bytes: Cow::Borrowed(include_bytes!("notice.html")),
        content_type: content_type("index.html"),
        etag: "\"notice\"".to_owned(),
        immutable: false,
        gzip: false,
    })
}

fn describe(path: &str, file: EmbeddedFile, gzip: bool) -> Asset {
    let mut etag = String::from("\"");
    for byte in &file.metadata.sha256_hash()[..16] {
        // Writing to a string cannot fail.
        let _ = write!(etag, "{byte:02x}");
    }
    etag.push('"');
    let immutable = path.starts_with(HASHED);
    Asset { bytes: file.data, content_type: content_type(path), etag, immutable, gzip }
}

fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

fn content_type(path: &str) -> &'static str {
    match extension(path) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "png" => "image/png",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
