//! What Docker's API, or Podman's in its likeness, says of containers: names, states, health, restarts
//! (Docker Engine API, `GET /containers/json` and `GET /containers/{id}/json`).
//!
//! One list for each heartbeat, and details of a container only when it is new, began anew lately, or was not looked at for
//! long: the dear question, for statistics, is never asked; cgroups answer that. HTTP is spoken by hand and in version 1.0, in
//! which an answer ends with its connection: three lines, where hyper would need a runtime on this thread.

use serde::Deserialize;
use std::io::{self, Error, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long the API may keep silent.
const LIMIT: Duration = Duration::from_secs(2);
/// A hundred containers are described in some 300 KiB.
const MAX_ANSWER: u64 = 8 << 20;
/// Details asked for in one round.
const MAX_DETAILS: usize = 8;
/// Rounds after which details are asked for again: 5 minutes at 15 s.
const STALE: u32 = 20;

/// A container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) running: bool,
    /// Nothing while it starts, and for one without a check.
    pub(crate) healthy: Option<bool>,
    /// Nothing until it was looked at.
    pub(crate) restarts: Option<u32>,
    /// Rounds since it was looked at.
    age: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    state: String,
    #[serde(default)]
    status: Option<String>,
    health: Option<Health>,
}

/// Since API version 1.52.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Health {
    status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Details {
    #[serde(default)]
    restart_count: u32,
}

/// All containers, stopped ones too; `known` are those of the round before.
pub(crate) fn containers(socket: &Path, known: &[Container]) -> io::Result<Vec<Container>> {
    let mut containers = list(&get(socket, "/containers/json?all=true")?, known)?;
    let mut stale: Vec<&mut Container> = containers.iter_mut().filter(|container| container.age >= STALE).collect();
    // Those that were never looked at first.
    stale.sort_by_key(|container| container.restarts.is_some());
    for container in stale.into_iter().take(MAX_DETAILS) {
        match get(socket, &format!("/containers/{}/json", container.id)) {
            Ok(body) => {
                let details: Details = serde_json::from_slice(&body)?;
                (container.restarts, container.age) = (Some(details.restart_count), 0);
            }
            // Removed since it was listed.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(containers)
}

fn list(body: &[u8], known: &[Container]) -> io::Result<Vec<Container>> {
    let listed: Vec<Listed> = serde_json::from_slice(body)?;
    Ok(listed.into_iter().filter(|listed| is_id(&listed.id)).map(|listed| listed.into_container(known)).collect())
}

/// Ids go into paths of the API and are compared with names of cgroups.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Listed {
    fn into_container(self, known: &[Container]) -> Container {
        let status = self.status.unwrap_or_default();
        let health = self.health.map(|health| health.status).unwrap_or_default();
        let healthy = match &*health {
            "healthy" => Some(true),
            "unhealthy" => Some(false),
            _ if status.contains("(healthy)") => Some(true),
            _ if status.contains("(unhealthy)") => Some(false),
            _ => None,
        };
        let running = self.state == "running";
        // The first name is its own; others are links by which its neighbours call it.
        let name = self.names.iter().map(|name| name.trim_start_matches('/')).find(|name| !name.contains('/'));
        let name = name.filter(|name| !name.is_empty()).unwrap_or(&self.id[..12]).to_owned();
        let before = known.iter().find(|before| before.id == self.id);
        let began = running && (status.contains("second") || before.is_none_or(|before| !before.running));
        let (restarts, age) = before.map_or((None, STALE), |before| (before.restarts, before.age.saturating_add(1)));
        Container { id: self.id, name, running, healthy, restarts, age: if began { STALE } else { age } }
    }
}

/// The body of an answer with status 200.
fn get(socket: &Path, path: &str) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    body(answer)
}

fn body(mut answer: Vec<u8>) -> io::Result<Vec<u8>> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let end = end.ok_or_else(|| Error::new(ErrorKind::InvalidData, "the answer is no HTTP"))?;
    let status = String::from_utf8_lossy(answer.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
    match status.split(' ').nth(1) {
        Some("200") => {}
        Some("404") => return Err(ErrorKind::NotFound.into()),
        _ => return Err(Error::other(format!("the answer is {status:?}"))),
    }
    answer.drain(..end + 4);
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// As Docker 20.10 answers, shortened to what could matter.
    fn listed(id: char, name: &str, state: &str, status: &str) -> String {
        format!(
            r#"{{"Id":"{}","Names":["/web/{name}-alias","/{name}"],"Image":"nginx","ImageID":"sha256:0","Command":"run","Created":1,"Ports":[{{"PrivatePort":80,"Type":"tcp"}}],"Labels":{{}},"State":"{state}","Status":"{status}","HostConfig":{{"NetworkMode":"default"}},"NetworkSettings":{{"Networks":{{}}}},"Mounts":[]}}"#,
            String::from(id).repeat(64)
        )
    }

    fn parsed(items: &[String], known: &[Container]) -> Vec<Container> {
        list(format!("[{}]", items.join(",")).as_bytes(), known).unwrap()
    }

    #[test]
    fn names_states_and_health() {
        let items = [
            listed('a', "web", "running", "Up 2 hours (healthy)"),
            listed('b', "db", "running", "Up 3 minutes (unhealthy)"),
            listed('c', "new", "running", "Up 4 seconds (health: starting)"),
            listed('d', "job", "exited", "Exited (0) 5 days ago"),
            listed('e', "loop", "restarting", "Restarting (1) 8 seconds ago"),
            listed('f', "still", "paused", "Up 2 hours (Paused)"),
        ];
        let containers: Vec<_> =
            parsed(&items, &[]).into_iter().map(|container| (container.name, container.running, container.healthy)).collect();
        let expected = [
            ("web", true, Some(true)),
            ("db", true, Some(false)),
            ("new", true, None),
            ("job", false, None),
            ("loop", false, None),
            ("still", false, None),
        ];
        assert_eq!(containers, expected.map(|(name, running, healthy)| (name.to_owned(), running, healthy)));
        let newer =
            listed('a', "web", "running", "Up 2 hours").replace("\"Mounts\"", r#""Health":{"Status":"unhealthy"},"Mounts""#);
        assert_eq!(parsed(&[newer], &[])[0].healthy, Some(false));
        let nameless = listed('a', "web", "running", "").replace(r#"["/web/web-alias","/web"]"#, "[]");
        assert_eq!(parsed(&[nameless], &[])[0].name, "aaaaaaaaaaaa");
        assert!(parsed(&[listed('a', "x", "running", "").replace("aaaa", "../a")], &[]).is_empty(), "no id");
        assert!(list(b"{}", &[]).is_err() && list(b"", &[]).is_err());
    }

    #[test]
    fn details_are_wanted_of_what_is_new_or_began_anew_or_is_old() {
        let round = |status, known: &[Container]| parsed(&[listed('a', "web", "running", status)], known)[0].clone();
        let mut container = round("Up 2 hours", &[]);
        assert_eq!(container.age, STALE);
        (container.restarts, container.age) = (Some(3), 0);
        let quiet = round("Up 2 hours", &[container.clone()]);
        assert_eq!((quiet.restarts, quiet.age), (Some(3), 1));
        assert_eq!(round("Up 5 seconds", &[container.clone()]).age, STALE);
        assert_eq!(round("Up 1 minute", &[Container { running: false, ..container.clone() }]).age, STALE);
        assert_eq!(round("Up 2 hours", &[Container { age: STALE - 1, ..container }]).age, STALE);
    }

    #[test]
    fn answers_of_other_kinds_are_refused() {
        assert_eq!(body(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\n[]".to_vec()).unwrap(), b"[]");
        assert_eq!(body(b"HTTP/1.1 404 Not Found\r\n\r\n{}".to_vec()).unwrap_err().kind(), ErrorKind::NotFound);
        for bad in [&b""[..], b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 500 x\r\n\r\n", b"\r\n\r\n", b"HTTP/1.0\r\n\r\n"] {
            assert!(body(bad.to_vec()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_daemon_is_asked_for_the_list_and_for_details_once() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let daemon = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for stream in listener.incoming().take(3) {
                let mut stream = stream.unwrap();
                let mut question = Vec::new();
                while !question.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    question.push(byte[0]);
                }
                let path = String::from_utf8(question).unwrap().split(' ').nth(1).unwrap().to_owned();
                let body = if path.starts_with("/containers/json") {
                    format!("[{}]", listed('a', "web", "running", "Up 2 hours"))
                } else {
                    r#"{"Id":"a","RestartCount":4,"State":{"Pid":77}}"#.to_owned()
                };
                stream.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{body}").as_bytes()).unwrap();
                asked.push(path);
            }
            asked
        });
        let first = containers(&socket, &[]).unwrap();
        assert_eq!((first[0].restarts, first[0].age), (Some(4), 0));
        assert_eq!(containers(&socket, &first).unwrap()[0].restarts, Some(4));
        let id = "a".repeat(64);
        let list = "/containers/json?all=true".to_owned();
        assert_eq!(daemon.join().unwrap(), [list.clone(), format!("/containers/{id}/json"), list]);
    }
}
