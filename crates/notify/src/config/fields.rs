//! Reads the fields of one JSON object and collects everything that is wrong with them, unknown ones included.

use super::ConfigFault;
use lettre::message::Mailbox;
use reqwest::header::HeaderName;
use serde_json::{Map, Value};
use std::fmt;
use url::{Host, Url};

/// The longest text that any field may have.
const LONGEST_TEXT: usize = 2_048;
/// How many people one mail channel may write to; more belong on a list.
const MOST_RECIPIENTS: usize = 50;
/// How many headers a webhook may set.
const MOST_HEADERS: usize = 16;
/// Headers that are not a channel's to set: HTTP's own framing, what the connection is about, and what describes our body.
const OUR_HEADERS: [&str; 14] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "accept-encoding",
];
/// What a secret reads as when it is shown.
pub(crate) const PLACEHOLDER: &str = "set";

/// A text that no log and no error shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(set)")
    }
}

/// The fields of a configuration, read one by one.
pub(super) struct Fields<'a> {
    object: Option<&'a Map<String, Value>>,
    known: &'static [&'static str],
    faults: Vec<ConfigFault>,
}

impl<'a> Fields<'a> {
    /// `known` are the fields there are.
    pub(super) fn new(config: &'a Value, known: &'static [&'static str]) -> Self {
        let mut fields = Self { object: config.as_object(), known, faults: Vec::new() };
        if fields.object.is_none() {
            fields.faults.push(ConfigFault { pointer: String::new(), detail: "is not an object".to_owned() });
        }
        fields
    }

    /// All faults found, unknown fields included.
    pub(super) fn finish(mut self) -> Vec<ConfigFault> {
        for name in self.object.into_iter().flat_map(Map::keys) {
            if !self.known.contains(&name.as_str()) {
                let detail = format!("is not known here: there are {}", self.known.join(", "));
                self.faults.push(ConfigFault { pointer: format!("/{}", escaped(name)), detail });
            }
        }
        self.faults
    }

    pub(super) fn fault(&mut self, name: &str, detail: impl Into<String>) {
        self.faults.push(ConfigFault { pointer: format!("/{name}"), detail: detail.into() });
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.object.and_then(|object| object.get(name)).is_some_and(|value| !value.is_null())
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.object?.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn optional_text(&mut self, name: &str) -> Option<String> {
        let value = self.get(name)?;
        match value.as_str() {
            None => self.fault(name, "is not a text"),
            Some(text) if text.trim().is_empty() => self.fault(name, "is empty"),
            Some(text) if text.len() > LONGEST_TEXT => self.fault(name, format!("is longer than {LONGEST_TEXT} bytes")),
            Some(text) if text.chars().any(char::is_control) => {
                self.fault(name, "contains a line break or another control character")
            }
            Some(text) => return Some(text.to_owned()),
        }
        None
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        if self.object.is_some() && !self.has(name) {
            self.fault(name, "is missing");
            return None;
        }
        self.optional_text(name)
    }

    fn not_placeholder(&mut self, name: &str, text: Option<String>) -> Option<Secret> {
        let text = text?;
        if text == PLACEHOLDER {
            self.fault(name, format!("\"{PLACEHOLDER}\" is what a hidden secret is shown as: give the secret itself"));
            return None;
        }
        Some(Secret(text))
    }

    pub(super) fn optional_secret(&mut self, name: &str) -> Option<Secret> {
        let text = self.optional_text(name);
        self.not_placeholder(name, text)
    }

    pub(super) fn secret(&mut self, name: &str) -> Option<Secret> {
        let text = self.text(name);
        self.not_placeholder(name, text)
    }

    pub(super) fn flag(&mut self, name: &str, default: bool) -> bool {
        match self.get(name) {
            None => default,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                self.fault(name, "is neither true nor false");
                default
            }
        }
    }

    pub(super) fn one_of(&mut self, name: &str, choices: &[&'static str]) -> Option<&'static str> {
        let value = self.get(name)?;
        let found = choices.iter().copied().find(|choice| value.as_str() == Some(choice));
        if found.is_none() {
            self.fault(name, format!("is none of {}", choices.join(", ")));
        }
        found
    }

    pub(super) fn required_one_of(&mut self, name: &str, choices: &[&'static str]) -> Option<&'static str> {
        if self.object.is_some() && !self.has(name) {
            self.fault(name, format!("is missing: it is one of {}", choices.join(", ")));
            return None;
        }
        self.one_of(name, choices)
    }

    pub(super) fn port(&mut self, name: &str) -> Option<u16> {
        let port = self.get(name).and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
        if port.is_none() {
            self.fault(name, "is not a port: a whole number from 1 to 65535");
        }
        port
    }

    /// A host's name or address, as it may stand in a URL.
    pub(super) fn host(&mut self, name: &str) -> Option<String> {
        let text = self.text(name)?;
        let bare = text.trim().trim_start_matches('[').trim_end_matches(']');
        let parsed = if bare.contains(':') { Host::parse(&format!("[{bare}]")) } else { Host::parse(bare) };
        match parsed {
            Ok(Host::Domain(domain)) => Some(domain),
            Ok(Host::Ipv4(address)) => Some(address.to_string()),
            Ok(Host::Ipv6(address)) => Some(address.to_string()),
            Err(why) => {
                self.fault(name, format!("is not a host's name or address: {why}"));
                None
            }
        }
    }

    pub(super) fn url(&mut self, name: &str) -> Option<Url> {
        let text = self.text(name)?;
        match check_url(text.trim()) {
            Ok(url) => Some(url),
            Err(why) => {
                self.fault(name, why);
                None
            }
        }
    }

    /// A URL that is shown without its path.
    pub(super) fn whole_url(&mut self, name: &str) -> Option<Url> {
        let url = self.url(name)?;
        if url.path().contains('…') || url.path().contains("%E2%80%A6") {
            self.fault(name, "is the shortened form it is shown in: give the whole URL");
            return None;
        }
        Some(url)
    }

    /// A URL whose path is a secret: encrypted unless it stays in a private network.
    pub(super) fn secret_url(&mut self, name: &str, allow_private: bool) -> Option<Url> {
        let url = self.whole_url(name)?;
        if url.scheme() != "https" && !allow_private {
            self.fault(name, "is not https: it would show its token to everybody on the way");
            return None;
        }
        Some(url)
    }

    /// Headers by name. Their values are treated as secrets, for many are.
    pub(super) fn headers(&mut self, name: &str) -> Vec<(HeaderName, Secret)> {
        let Some(value) = self.get(name) else { return Vec::new() };
        let Some(object) = value.as_object() else {
            self.fault(name, "is not an object of header names and values");
            return Vec::new();
        };
        if object.len() > MOST_HEADERS {
            self.fault(name, format!("has more than {MOST_HEADERS} headers"));
            return Vec::new();
        }
        let mut headers = Vec::with_capacity(object.len());
        for (header, value) in object {
            match check_header(header, value) {
                Ok(checked) => headers.push(checked),
                Err(why) => self.fault(&format!("{name}/{}", escaped(header)), why),
            }
        }
        headers
    }

    pub(super) fn mailbox(&mut self, name: &str) -> Option<Mailbox> {
        let text = self.text(name)?;
        self.parse_mailbox(name, &text)
    }

    fn parse_mailbox(&mut self, at: &str, text: &str) -> Option<Mailbox> {
        let mailbox = text.trim().parse::<Mailbox>().ok();
        if mailbox.is_none() {
            self.fault(at, "is not a mail address, such as ops@example.org or Ops <ops@example.org>");
        }
        mailbox
    }

    pub(super) fn mailboxes(&mut self, name: &str) -> Option<Vec<Mailbox>> {
        let Some(list) = self.get(name).and_then(Value::as_array).filter(|list| !list.is_empty()) else {
            self.fault(name, "is not a list of at least one mail address");
            return None;
        };
        if list.len() > MOST_RECIPIENTS {
            self.fault(name, format!("has more than {MOST_RECIPIENTS} addresses: use a mailing list"));
            return None;
        }
        let mut mailboxes = Vec::with_capacity(list.len());
        for (index, item) in list.iter().enumerate() {
            let at = format!("{name}/{index}");
            match item.as_str() {
                Some(text) if !text.chars().any(char::is_control) => mailboxes.extend(self.parse_mailbox(&at, text)),
                Some(_) => self.fault(&at, "contains a line break or another control character"),
                None => self.fault(&at, "is not a text"),
            }
        }
        (mailboxes.len() == list.len()).then_some(mailboxes)
    }
}

/// A name as it stands in a JSON pointer (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A header that a channel may set.
fn check_header(name: &str, value: &Value) -> Result<(HeaderName, Secret), String> {
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_why| "is not a header's name".to_owned())?;
    if OUR_HEADERS.contains(&header.as_str()) || header.as_str().starts_with("webhook-") {
        return Err("is set by us or by HTTP itself".to_owned());
    }
    let text = value.as_str().ok_or("is not a text")?;
    if text == PLACEHOLDER {
        return Err(format!("\"{PLACEHOLDER}\" is what a hidden value is shown as: give the value itself"));
    }
    if text.len() > LONGEST_TEXT {
        return Err(format!("is longer than {LONGEST_TEXT} bytes"));
    }
    if text.trim() != text || text.is_empty() || text.bytes().any(|byte| !(0x20..0x7f).contains(&byte)) {
        return Err("is empty, begins or ends with a space, or has something beyond printable ASCII in it".to_owned());
    }
    Ok((header, Secret::new(text)))
}

/// A URL we may send to, as far as its text tells.
fn check_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|why| format!("is not a URL: {why}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("begins with {}: only http and https are spoken", url.scheme()));
    }
    if url.host().is_none() {
        return Err("names no host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("contains a user name or password: they would be shown with it".to_owned());
    }
    if url.port() == Some(0) {
        return Err("has the port 0".to_owned());
    }
    Ok(url)
}
