//! Commands that change a hub's data: through its socket if it runs, else on the data folder itself.

use super::{existing, say};
use crate::config::Config;
use crate::control::{self, Answer};
use crate::operations::{self, Operation};
use crate::registry::Holdings;
use crate::{clock, ids, wiring};
use anyhow::{Context, bail};
use nightbell_store::StateStore;
use std::process::ExitCode;
use std::time::Duration;

pub(super) fn token(config: &Config, name: String, scopes: Vec<String>, expires: Option<Duration>) -> anyhow::Result<ExitCode> {
    operate(config, &Operation::TokenCreate { name, scopes, expires_ms: expires.map(millis).transpose()? })
}

pub(super) fn enroll(config: &Config, expires: Duration, uses: u32, tags: Vec<String>) -> anyhow::Result<ExitCode> {
    operate(config, &Operation::EnrollCreate { expires_ms: Some(millis(expires)?), uses: Some(uses), tags })
}

pub(super) fn password(config: &Config, username: String) -> anyhow::Result<ExitCode> {
    let mut password = String::new();
    std::io::stdin().read_line(&mut password).context("cannot read the password from standard input")?;
    operate(config, &Operation::PasswordReset { username, password: password.trim_end_matches(['\r', '\n']).to_owned() })
}

pub(super) fn health(config: &Config) -> anyhow::Result<ExitCode> {
    match control::ask(&config.data, &Operation::Health)? {
        Some(Answer::Done(word)) => {
            say(&word);
            Ok(ExitCode::SUCCESS)
        }
        Some(Answer::Refused(why)) => bail!("the hub is not ready: {why}"),
        None => bail!("no hub runs on {}; name its data folder with --data", config.data.display()),
    }
}

fn operate(config: &Config, operation: &Operation) -> anyhow::Result<ExitCode> {
    match control::ask(&config.data, operation)? {
        Some(Answer::Done(output)) => say(&output),
        Some(Answer::Refused(why)) => bail!(why),
        None => say(&offline(config, operation)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn offline(config: &Config, operation: &Operation) -> anyhow::Result<String> {
    if existing(config).is_err() {
        // What cannot be done makes no folder either.
        operations::plan(operation, &Holdings::default())?;
    }
    let store = wiring::open(config)?;
    let lease = store.acquire(ids::fresh(), clock::now()).context("cannot take over the database")?;
    let holdings = Holdings::from_loaded(&store.load().context("cannot read the database")?);
    let plan = operations::plan(operation, &holdings)?;
    store.apply(lease, &plan.changes, Some(&plan.audit)).context("cannot write to the database")?;
    Ok(plan.output)
}

fn millis(duration: Duration) -> anyhow::Result<i64> {
    i64::try_from(duration.as_millis()).context("that is too long")
}
