//! As much of D-Bus as it takes to ask a question: connect, say who we are, call a method, read its answer
//! (D-Bus Specification 0.43, "Message Protocol" and "Authentication Protocol").
//!
//! Blocks, within limits; whoever must not wait asks on an errand. No signals, no objects of our own. A client of our own and
//! not a library, because four calls with lists of strings are all that is wanted, and the agent is to stay small: zbus 6 was
//! measured at 463 KiB more program, 536 KiB more resident memory of a budget of 4.5 MiB, and twelve crates; and it needs the
//! runtime, which a helper thread does not have.

use std::io::{self, Error, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long the bus may keep silent.
const LIMIT: Duration = Duration::from_secs(2);
/// A host with thousands of units answers with some hundreds of kilobytes.
const MAX_MESSAGE: usize = 8 << 20;
/// Signals that may come before an answer; none was asked for but the one that greets us.
const MAX_STRAY: usize = 32;
/// The longest line of the authentication that is honest.
const MAX_LINE: usize = 1024;

const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;
/// Nothing is to be started on our behalf.
const NO_AUTO_START: u8 = 2;

/// A connection.
#[derive(Debug)]
pub(crate) struct Bus {
    stream: UnixStream,
    serial: u32,
}

/// Whom to ask for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Method<'a> {
    pub(crate) service: &'a str,
    pub(crate) object: &'a str,
    pub(crate) interface: &'a str,
    pub(crate) name: &'a str,
}

/// What a method is given.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Argument<'a> {
    /// `s`.
    Text(&'a str),
    /// `as`.
    List(&'a [String]),
}

impl Bus {
    /// Connects to the socket at `path` as the user that we are.
    pub(crate) fn connect(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        let mut bus = Self { stream, serial: 0 };
        bus.authenticate()?;
        let hello = Method {
            service: "org.freedesktop.DBus",
            object: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            name: "Hello",
        };
        bus.call(&hello, &[])?;
        Ok(bus)
    }

    fn authenticate(&mut self) -> io::Result<()> {
        let user = rustix::process::geteuid().as_raw().to_string();
        let user: String = user.bytes().map(|digit| format!("{digit:02x}")).collect();
        self.stream.write_all(format!("\0AUTH EXTERNAL {user}\r\n").as_bytes())?;
        let mut line = Vec::new();
        // Byte by byte: what follows the line belongs to the messages.
        while !line.ends_with(b"\r\n") && line.len() < MAX_LINE {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        if !line.starts_with(b"OK ") {
            return Err(Error::new(ErrorKind::PermissionDenied, "the bus does not take us"));
        }
        self.stream.write_all(b"BEGIN\r\n")
    }

    /// Calls a method and waits for its answer.
    pub(crate) fn call(&mut self, method: &Method<'_>, arguments: &[Argument<'_>]) -> io::Result<Answer> {
        self.serial = self.serial.wrapping_add(1).max(1);
        self.stream.write_all(&message(self.serial, method, arguments)?)?;
        for _ in 0..MAX_STRAY {
            let (head, answer) = self.receive()?;
            match head.kind {
                METHOD_RETURN if head.answers == Some(self.serial) => return Ok(answer),
                ERROR if head.answers == Some(self.serial) => {
                    let words = answer.reader().text().unwrap_or_default().to_owned();
                    return Err(Error::other(if words.is_empty() { "the bus refuses".to_owned() } else { words }));
                }
                _ => {}
            }
        }
        Err(broken("no answer among the messages"))
    }

    fn receive(&mut self) -> io::Result<(Head, Answer)> {
        let mut fixed = [0; 16];
        self.stream.read_exact(&mut fixed)?;
        let big = fixed[0] == b'B';
        let mut reader = Reader { bytes: &fixed, at: 4, big };
        let (body, _serial, fields) = (reader.number()?, reader.number()?, reader.number()?);
        let (body, fields) = (length(body)?, length(fields)?);
        let mut rest = vec![0; fields.next_multiple_of(8) + body];
        self.stream.read_exact(&mut rest)?;
        let head = Head { kind: fixed[1], answers: answers(&rest[..fields], big)? };
        rest.drain(..fields.next_multiple_of(8));
        Ok((head, Answer { bytes: rest, big }))
    }
}

/// What matters of a message's head.
struct Head {
    kind: u8,
    answers: Option<u32>,
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    bytes: Vec<u8>,
    big: bool,
}

impl Answer {
    /// Reads it from its beginning.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader { bytes: &self.bytes, at: 0, big: self.big }
    }

    /// One with this body, for tests.
    #[cfg(test)]
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), big: false }
    }
}

/// Reads values one after the other; each stands at a multiple of its size.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    big: bool,
}

impl<'a> Reader<'a> {
    /// `u`.
    pub(crate) fn number(&mut self) -> io::Result<u32> {
        self.align(4);
        let bytes = self.take(4)?.first_chunk().copied().ok_or_else(|| broken("a number is cut off"))?;
        Ok(if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    /// `s` or `o`.
    pub(crate) fn text(&mut self) -> io::Result<&'a str> {
        let length = length(self.number()?)?;
        self.text_of(length)
    }

    /// `g`.
    pub(crate) fn signature(&mut self) -> io::Result<&'a str> {
        let length = usize::from(*self.take(1)?.first().ok_or_else(|| broken("a signature is cut off"))?);
        self.text_of(length)
    }

    /// An array of structures: `each` is called at the beginning of each.
    pub(crate) fn structures(&mut self, mut each: impl FnMut(&mut Self) -> io::Result<()>) -> io::Result<()> {
        let length = length(self.number()?)?;
        self.align(8);
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| broken("a list is cut off"))?;
        while self.at < end {
            self.align(8);
            let before = self.at;
            each(self)?;
            if self.at <= before {
                return Err(broken("a list does not end"));
            }
        }
        Ok(())
    }

    fn text_of(&mut self, length: usize) -> io::Result<&'a str> {
        let bytes = self.take(length)?;
        self.take(1)?;
        std::str::from_utf8(bytes).ok().ok_or_else(|| broken("a text is not UTF-8"))
    }

    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let end = self.at.checked_add(count);
        let taken = end.and_then(|end| self.bytes.get(self.at..end)).ok_or_else(|| broken("the message is cut off"))?;
        self.at += count;
        Ok(taken)
    }
}

/// The serial number that a message answers, from the fields of its head: structures of a code and a variant.
fn answers(fields: &[u8], big: bool) -> io::Result<Option<u32>> {
    const REPLY_SERIAL: u8 = 5;
    let (mut reader, mut answers) = (Reader { bytes: fields, at: 0, big }, None);
    while reader.at < fields.len() {
        reader.align(8);
        let code = *reader.take(1)?.first().ok_or_else(|| broken("a field is cut off"))?;
        match reader.signature()? {
            "u" => {
                let number = reader.number()?;
                if code == REPLY_SERIAL {
                    answers = Some(number);
                }
            }
            "s" | "o" => _ = reader.text()?,
            "g" => _ = reader.signature()?,
            _ => return Err(broken("a field of a kind that does not exist")),
        }
    }
    Ok(answers)
}

/// A method call in little-endian order.
fn message(serial: u32, method: &Method<'_>, arguments: &[Argument<'_>]) -> io::Result<Vec<u8>> {
    let (mut body, mut signature) = (Writer::default(), String::new());
    for argument in arguments {
        match argument {
            Argument::Text(text) => {
                signature.push('s');
                body.text(text)?;
            }
            Argument::List(texts) => {
                signature.push_str("as");
                body.list(texts)?;
            }
        }
    }
    let mut fields = Writer::default();
    for (code, kind, value) in [
        (1, "o", method.object),
        (2, "s", method.interface),
        (3, "s", method.name),
        (6, "s", method.service),
        (8, "g", &*signature),
    ] {
        if value.is_empty() {
            continue;
        }
        fields.align(8);
        fields.bytes.push(code);
        fields.signature(kind)?;
        if kind == "g" { fields.signature(value)? } else { fields.text(value)? }
    }
    let mut message = Writer { bytes: vec![b'l', METHOD_CALL, NO_AUTO_START, 1] };
    message.length(body.bytes.len())?;
    message.bytes.extend_from_slice(&serial.to_le_bytes());
    message.length(fields.bytes.len())?;
    message.bytes.extend_from_slice(&fields.bytes);
    message.align(8);
    message.bytes.extend_from_slice(&body.bytes);
    Ok(message.bytes)
}

/// Writes values one after the other.
#[derive(Debug, Default)]
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    fn length(&mut self, length: usize) -> io::Result<()> {
        self.align(4);
        let length = u32::try_from(length).ok().ok_or_else(|| broken("the question is too long"))?;
        self.bytes.extend_from_slice(&length.to_le_bytes());
        Ok(())
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        self.length(text.len())?;
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        Ok(())
    }

    fn signature(&mut self, text: &str) -> io::Result<()> {
        self.bytes.push(u8::try_from(text.len()).ok().ok_or_else(|| broken("the signature is too long"))?);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        Ok(())
    }

    fn list(&mut self, texts: &[String]) -> io::Result<()> {
        let mut items = Self::default();
        for text in texts {
            items.text(text)?;
        }
        self.length(items.bytes.len())?;
        self.bytes.extend_from_slice(&items.bytes);
        Ok(())
    }
}

fn length(length: u32) -> io::Result<usize> {
    let length = usize::try_from(length).ok().filter(|length| *length <= MAX_MESSAGE);
    length.ok_or_else(|| broken("a message is too large"))
}

fn broken(why: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Both messages as jeepney, another implementation, writes them.
    #[test]
    fn a_call_has_its_bytes() {
        let method = Method {
            service: "org.freedesktop.systemd1",
            object: "/org/freedesktop/systemd1",
            interface: "org.freedesktop.systemd1.Manager",
            name: "ListUnitsByPatterns",
        };
        let (states, patterns) = (["failed".to_owned()], ["nginx*".to_owned()]);
        let bytes = message(7, &method, &[Argument::List(&states), Argument::List(&patterns)]).unwrap();
        let expected: &[u8] =
            b"l\x01\x02\x01\x1f\0\0\0\x07\0\0\0\xaa\0\0\0\x01\x01o\0\x19\0\0\0/org/freedesktop/systemd1\0\0\0\0\0\0\0\
            \x02\x01s\0 \0\0\0org.freedesktop.systemd1.Manager\0\0\0\0\0\0\0\0\x03\x01s\0\x13\0\0\0ListUnitsByPatterns\0\0\0\0\0\
            \x06\x01s\0\x18\0\0\0org.freedesktop.systemd1\0\0\0\0\0\0\0\0\x08\x01g\0\x04asas\0\0\0\0\0\0\0\
            \x0b\0\0\0\x06\0\0\0failed\0\0\x0b\0\0\0\x06\0\0\0nginx*\0";
        assert_eq!(bytes, expected);
    }

    #[test]
    fn an_answer_is_found_by_the_number_of_its_call() {
        let fields = b"\x05\x01u\0\x07\0\0\0\x08\x01g\0\x0da(ssssssouso)\0";
        assert_eq!(answers(fields, false).unwrap(), Some(7));
        assert_eq!(answers(b"\x05\x01u\0\0\0\0\x07", true).unwrap(), Some(7), "from a host of the other order");
        assert!(answers(b"\x05\x01x\0\x07\0\0\0", false).is_err());
    }

    proptest! {
        #[test]
        fn whatever_the_bus_says_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), big in any::<bool>()) {
            let _refused = answers(&bytes, big);
            let answer = Answer { bytes, big };
            let _refused = answer.reader().structures(|reader| reader.text().map(drop));
            let _refused = answer.reader().structures(|_| Ok(()));
        }
    }
}
