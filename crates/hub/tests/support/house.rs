//! A hub with its folder and a client that may do everything: where most tests begin.

use super::agents::{HttpAgent, JsonAgent};
use super::api::Api;
use super::hub::{Hub, Start, on_data, program};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) hub: Hub,
    pub(crate) api: Api,
    folder: Option<TempDir>,
}

impl House {
    /// A hub on a new folder.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A hub on a new folder with more flags. Its rules without channels tell nobody, so that a test hears of its own rules alone.
    pub(crate) async fn start_with(flags: &[&str]) -> Self {
        let house = Self::untouched(flags).await;
        house.api.put("/routes", &json!({"items": [{"channels": []}]})).await;
        house
    }

    /// A hub on a new folder with more flags, and nothing said to it yet.
    pub(crate) async fn untouched(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let start = Start::serve(&folder.path().join("data")).with(flags);
        Self { folder: Some(folder), ..Self::on(start).await }
    }

    /// A hub on a folder that is somebody else's to remove.
    pub(crate) async fn on(start: Start) -> Self {
        let token = on_data(&start.data, &["token", "create", "--name", "tests", "--scopes", "admin"]);
        assert!(token.starts_with("nb_api_") && !token.contains(char::is_whitespace), "{token:?}");
        let hub = Hub::start(start).await;
        Self { api: Api::new(&hub.url, &token), hub, folder: None }
    }

    /// Where tests may put files of their own.
    pub(crate) fn room(&self) -> &Path {
        self.folder.as_ref().expect("a folder of its own").path()
    }

    /// An enrolment token for so many agents, asked of the running hub.
    pub(crate) fn enrolment(&self, uses: u32) -> String {
        on_data(self.hub.data(), &["enroll", "create", "--uses", &uses.to_string()])
    }

    /// An agent that speaks JSON. Its interval is long, so that it stays online without heartbeats.
    pub(crate) async fn json_agent(&self, name: &str) -> JsonAgent {
        JsonAgent::enrol(&self.hub.url, &self.enrolment(1), name, 600_000).await
    }

    /// An agent that posts.
    pub(crate) async fn http_agent(&self, hostname: &str) -> HttpAgent {
        HttpAgent::enrol(&self.hub.url, &self.enrolment(1), hostname).await
    }

    /// Ends the hub by a signal and starts it again on the same data and port.
    pub(crate) async fn restart(&mut self, signal: Signal) {
        self.hub.end(signal).await;
        self.hub.again().await;
    }

    /// Deliveries in a state.
    pub(crate) async fn outbox(&self, state: &str) -> Vec<Value> {
        self.api.list(&format!("/outbox?state={state}")).await
    }
}

/// A rule over a number that pages at once: critical, so that nothing waits for company, and without a cooldown.
pub(crate) fn rule(name: &str, metric: &str, threshold: f64, channels: &[&str]) -> Value {
    json!({"name": name, "metric": metric, "op": ">", "threshold": threshold, "for": "0s", "cooldown": "0s",
        "severity": "critical", "scope": "global", "channels": channels, "enabled": true, "allow_unknown": true})
}

/// The same with some fields changed.
pub(crate) fn with(mut value: Value, changes: &Value) -> Value {
    value.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    value
}

/// The real agent's program, if it was built beside the hub's.
pub(crate) fn agent_program() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_BIN_EXE_nightbell")).with_file_name("nightbell-agent");
    if beside.exists() {
        return Some(beside);
    }
    eprintln!("skipped: there is no {}; build it with `cargo build -p nightbell-agent`", beside.display());
    None
}

/// A running agent program.
#[derive(Debug)]
pub(crate) struct AgentProcess {
    pub(crate) child: Child,
    command: Vec<String>,
    program: PathBuf,
}

impl AgentProcess {
    /// Starts it against a hub with an interval of a second.
    pub(crate) fn start(program: &Path, house: &House, name: &str, flags: &[&str]) -> Self {
        let state = house.room().join(name).to_string_lossy().into_owned();
        let hub = house.hub.url.replacen("http", "ws", 1);
        let token = house.enrolment(1);
        let fixed = ["--hub", &hub, "--token", &token, "--state", &state, "--name", name];
        let command: Vec<String> = fixed.iter().chain(flags).map(|word| (*word).to_owned()).collect();
        Self { child: spawn(program, &command), command, program: program.to_owned() }
    }

    /// Starts it again with the same words after it has ended.
    pub(crate) fn again(&mut self) {
        self.child = spawn(&self.program, &self.command);
    }
}

fn spawn(program: &Path, words: &[String]) -> Child {
    let mut command = clean(program);
    command.args(words).args(["--log", "error"]).stdin(Stdio::null());
    command.spawn().expect("the agent can be started")
}

/// A program with an environment that says nothing to it.
fn clean(path: &Path) -> Command {
    let mut command = Command::new(path);
    for (name, value) in program().get_envs() {
        if value.is_none() {
            command.env_remove(name);
        }
    }
    command
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}
