//! A client on one kept connection that does as little as possible: it reads an answer to its end and counts its bytes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

/// How much is read at once.
const BUFFER: usize = 256 * 1024;

/// See the head of this file.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    head: String,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects to a hub.
    pub(crate) fn connect(url: &str, token: &str) -> Self {
        let address = url.strip_prefix("http://").unwrap();
        let stream = TcpStream::connect(address).expect("the hub listens");
        stream.set_nodelay(true).unwrap();
        let head = format!("HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\r\n");
        Self { stream: BufReader::with_capacity(BUFFER, stream), head, buffer: vec![0; BUFFER] }
    }

    /// The length of the answer's body, which must be a good one.
    pub(crate) fn get(&mut self, path: &str) -> usize {
        let request = format!("GET /api/v1{path} {}", self.head);
        self.stream.get_mut().write_all(request.as_bytes()).expect("the hub reads");
        let status = self.line();
        let mut length = None;
        loop {
            let line = self.line().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            length = line.strip_prefix("content-length: ").map(|text| text.parse().unwrap()).or(length);
        }
        let read = match length {
            Some(length) => self.skip(length),
            None => self.chunks(),
        };
        assert!(status.contains(" 200 "), "{path}: {status} {}", String::from_utf8_lossy(&self.buffer[..read.min(600)]));
        read
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.stream.read_line(&mut line).expect("the hub answers") > 0, "the connection is closed");
        line.trim_end().to_owned()
    }

    fn chunks(&mut self) -> usize {
        let mut all = 0;
        loop {
            let size = usize::from_str_radix(&self.line(), 16).expect("the length of a chunk");
            self.skip(size);
            self.line();
            all += size;
            if size == 0 {
                return all;
            }
        }
    }

    fn skip(&mut self, length: usize) -> usize {
        let mut left = length;
        while left > 0 {
            let part = left.min(self.buffer.len());
            self.stream.read_exact(&mut self.buffer[..part]).expect("the whole answer");
            left -= part;
        }
        length
    }
}
