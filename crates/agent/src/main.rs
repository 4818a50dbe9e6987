//! The program `nightbell-agent`: reads its settings, runs the agent on one thread, ends with a code that says what to do.
//!
//! Exit codes: 0 stopped as told, 1 something of the system failed, 2 a setting or the enrolment must be mended by the user.

use nightbell_agent::config::cli::{self, Task};
use nightbell_agent::{AgentError, log};
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// Longer than the usual interval, so that the helper thread that reads the host is kept; not longer than two, so that the one
/// that once looked up the hub's name is not.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("nightbell-agent: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                text.push_str(&format!(": {error}"));
                cause = error.source();
            }
            // There is nowhere to say that this cannot be said.
            let _lost = writeln!(std::io::stderr(), "{text}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn start() -> Result<(), AgentError> {
    let command = cli::command()?;
    log::start(command.log);
    match command.task {
        Task::Once { roots, watch, json } => writeln!(std::io::stdout(), "{}", nightbell_agent::once(&roots, &watch, json))
            .map_err(|source| AgentError::System { action: "write to standard output", source }),
        Task::Run(config) => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(4)
            .thread_keep_alive(KEEP_ALIVE)
            .build()
            .map_err(|source| AgentError::System { action: "start the runtime", source })?
            .block_on(nightbell_agent::run(*config, std::future::pending())),
    }
}
