//! The socket in the data folder through which the command line reaches a running hub. Who may open the folder may use it:
//! that is the same right as to the database itself.
//!
//! One line of JSON each way: an [`Operation`] in, an [`Answer`] out.

use crate::app::App;
use crate::clock;
use crate::files::{self, FilesOperation};
use crate::operations::{self, Operation};
use crate::transfer::{self, Transfer, TransferError};
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// The longest line that is read: a piece of imported history is half a megabyte, anything else a few hundred bytes.
const LINE_LIMIT: u64 = 8 << 20;
/// How long the command line waits for an answer: a backup of a large database takes a while.
const PATIENCE: Duration = Duration::from_secs(600);

/// What the hub says to an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Done; this is to be printed.
    Done(String),
    /// Not done, and why.
    Refused(String),
}

/// Listens until it is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

/// The longest path a socket's address holds, with its end (unix(7)).
const ADDRESS_LIMIT: usize = 108;

/// Where the socket of a data folder is.
#[must_use]
pub fn socket_path(data: &Path) -> PathBuf {
    data.join("control.sock")
}

/// Calls `with` with a path to the socket that fits into an address: a deep folder is reached through an open handle of it.
fn reach<T>(data: &Path, with: impl FnOnce(&Path) -> std::io::Result<T>) -> std::io::Result<T> {
    let path = socket_path(data);
    if path.as_os_str().len() < ADDRESS_LIMIT {
        return with(&path);
    }
    let folder = std::fs::File::open(data)?;
    with(Path::new(&format!("/proc/self/fd/{}/control.sock", folder.as_raw_fd())))
}

impl ControlSocket {
    /// Listens in the hub's data folder.
    ///
    /// # Errors
    /// When the socket cannot be made there.
    pub fn listen(app: Arc<App>) -> anyhow::Result<Self> {
        let path = socket_path(&app.config.data);
        // The data folder is locked by us: a socket that is there was left by a hub that died.
        let _none = std::fs::remove_file(&path);
        let listener = reach(&app.config.data, |path| UnixListener::bind(path))
            .with_context(|| format!("cannot make the control socket {}", path.display()))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
            .with_context(|| format!("cannot protect the control socket {}", path.display()))?;
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let app = Arc::clone(&app);
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, &app).await {
                        tracing::debug!(%error, "control connection ended");
                    }
                });
            }
        });
        Ok(Self { path, task })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.task.abort();
        let _gone = std::fs::remove_file(&self.path);
    }
}

async fn serve(mut stream: UnixStream, app: &Arc<App>) -> std::io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut line = String::new();
    tokio::io::BufReader::new(reader.take(LINE_LIMIT)).read_line(&mut line).await?;
    let answer = match serde_json::from_str(&line) {
        Ok(operation) => carry_out(operation, app).await,
        Err(error) => Answer::Refused(format!("this is not an operation: {error}")),
    };
    let mut text = serde_json::to_string(&answer).unwrap_or_default();
    text.push('\n');
    writer.write_all(text.as_bytes()).await
}

async fn carry_out(operation: Operation, app: &Arc<App>) -> Answer {
    match operation {
        Operation::Health => match crate::api::readiness(app).await {
            Ok(()) => Answer::Done("ready".to_owned()),
            Err(why) => Answer::Refused(why),
        },
        Operation::Backup { file } => {
            let engine = Arc::clone(&app.engine);
            match tokio::task::spawn_blocking(move || engine.backup_to(&file).map(|()| file)).await {
                Ok(Ok(file)) => Answer::Done(format!("backed up into {}", file.display())),
                Ok(Err(error)) => Answer::Refused(describe(&error)),
                Err(error) => Answer::Refused(error.to_string()),
            }
        }
        Operation::Agents => Answer::Done(operations::agents(&app.registry.read())),
        Operation::Transfer(piece) => {
            let app = Arc::clone(app);
            match tokio::task::spawn_blocking(move || carry(&app, &piece)).await {
                Ok(Ok(text)) => Answer::Done(text),
                Ok(Err(error)) => Answer::Refused(describe(&error)),
                Err(error) => Answer::Refused(error.to_string()),
            }
        }
        Operation::Files(operation) => {
            apply_files(operation, app).await.unwrap_or_else(|why| Answer::Refused(format!("{why:#}")))
        }
        operation => change(operation, app).await.unwrap_or_else(|why| Answer::Refused(format!("{why:#}"))),
    }
}

fn carry(app: &App, piece: &Transfer) -> Result<String, TransferError> {
    let carried = transfer::carry(&*app.metrics, app.lease, piece);
    let Transfer::Give { agent, series, rows, .. } = piece else { return carried };
    // Part of it may be stored even where it failed.
    app.fleet.arrivals().upheaval();
    let text = carried?;
    // What was imported is the newest there is of an agent that is not heard.
    let newest = rows.iter().max_by_key(|row| row.t).map_or(&[][..], std::slice::from_ref);
    for batch in transfer::batches(agent, series, newest)? {
        app.fleet.update(batch.agent, |vitals| vitals.take(Arc::new(batch)));
    }
    Ok(text)
}

async fn change(operation: Operation, app: &Arc<App>) -> anyhow::Result<Answer> {
    let _turn = crate::api::turn().await;
    let lifts_limits = matches!(operation, Operation::PasswordReset { .. });
    let planner = Arc::clone(app);
    let planned = tokio::task::spawn_blocking(move || {
        let holdings = planner.registry.read().clone();
        operations::plan(&operation, &holdings)
    });
    let plan = planned.await??;
    app.registry.apply(plan.changes, Some(plan.audit)).await?;
    if !app.registry.read().users.is_empty() {
        app.setup.spend();
    }
    if lifts_limits {
        app.attempts.clear();
    }
    Ok(Answer::Done(plan.output))
}

async fn apply_files(operation: FilesOperation, app: &Arc<App>) -> anyhow::Result<Answer> {
    let _turn = crate::api::turn().await;
    let planner = Arc::clone(app);
    let decided = tokio::task::spawn_blocking(move || {
        let holdings = planner.registry.read().clone();
        files::carry_out(operation, &holdings, clock::now())
    });
    let (applied, work) = decided.await?;
    if let Some((changes, audit)) = work {
        app.registry.apply(changes, Some(audit)).await?;
    }
    Ok(Answer::Done(serde_json::to_string(&applied)?))
}

/// An error with its causes, on one line.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

/// Asks the hub that runs on this data folder; `None` when none runs there.
///
/// # Errors
/// When it is there but does not answer.
pub fn ask(data: &Path, operation: &Operation) -> anyhow::Result<Option<Answer>> {
    let Ok(mut stream) = reach(data, |path| std::os::unix::net::UnixStream::connect(path)) else {
        return Ok(None);
    };
    stream.set_read_timeout(Some(PATIENCE)).context("cannot wait for the hub")?;
    let mut line = serde_json::to_string(operation).context("cannot write the operation")?;
    line.push('\n');
    stream.write_all(line.as_bytes()).context("cannot speak to the hub")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).context("the hub does not answer")?;
    serde_json::from_str(&answer).map(Some).context("the hub's answer cannot be read")
}
