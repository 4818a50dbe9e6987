//! The command line: what it understands, and which file does it.

mod backtest;
mod backup;
mod carrier;
mod demo;
mod export_history;
mod files;
mod import;
mod inspect;
mod operate;
mod serve;

use crate::config::{Config, Sources};
use anyhow::ensure;
use clap::{Args, Parser, Subcommand};
use rustix::fs::Mode;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// A self-hosted fleet monitor: a time-series store with an alerting engine.
#[derive(Debug, Parser)]
#[command(name = "nightbell", version, about, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
struct Common {
    /// The folder that holds everything the hub keeps [env: NIGHTBELL_DATA] [default: ./nightbell-data]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<String>,
    /// Address and port; port 0 is any free one [env: NIGHTBELL_LISTEN] [default: 127.0.0.1:8787]
    #[arg(long, global = true, value_name = "ADDRESS")]
    listen: Option<String>,
    /// A TOML file with settings
    #[arg(long, global = true, value_name = "FILE", env = "NIGHTBELL_CONFIG")]
    config: Option<PathBuf>,
    /// error, warn, info, debug, trace, or a filter [env: NIGHTBELL_LOG] [default: info]
    #[arg(long, global = true, value_name = "LEVEL")]
    log: Option<String>,
    /// PEM file with the certificate chain: the hub then speaks TLS [env: NIGHTBELL_TLS_CERT]
    #[arg(long, global = true, value_name = "FILE")]
    tls_cert: Option<String>,
    /// PEM file with the private key [env: NIGHTBELL_TLS_KEY]
    #[arg(long, global = true, value_name = "FILE")]
    tls_key: Option<String>,
    /// The file with the key that channels' secrets are kept under [env: NIGHTBELL_SECRET_KEY_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    secret_key_file: Option<String>,
    /// The address that links in pages begin with [env: NIGHTBELL_PUBLIC_URL]
    #[arg(long, global = true, value_name = "URL")]
    public_url: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the hub and an agent for this host (what happens without a command)
    Up,
    /// Runs the hub alone
    Serve,
    /// Makes API tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Makes enrolment tokens for agents
    #[command(subcommand)]
    Enroll(EnrollCommand),
    /// Sets passwords
    #[command(subcommand)]
    User(UserCommand),
    /// Runs a rule over a CSV and shows what it would have done
    Backtest(backtest::Arguments),
    /// Takes in history of another system as that of an agent; the hub may run
    Import(import::Arguments),
    /// Gives out what the hub keeps, as files; the hub may run
    #[command(subcommand)]
    Export(ExportCommand),
    /// Makes channels, rules, routes, silences and thresholds what the files of a folder declare; the hub may run
    Apply(files::ApplyArguments),
    /// Says what is wrong with the files of a folder, without a hub
    Check(files::CheckArguments),
    /// Rolls up, removes what is too old and gives space back, then exits
    Maintain,
    /// Checks or shows the settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Copies the database into a file; the hub may run
    Backup {
        /// Which file; it must not exist
        file: PathBuf,
    },
    /// Puts a backup back, once all of it has been checked; the hub must not run
    Restore {
        /// Which file
        file: PathBuf,
        /// Takes one of which a part is damaged, without that part
        #[arg(long)]
        damaged: bool,
    },
    /// Says whether the hub on this data folder is ready
    Health,
    /// Runs a hub with made-up agents, for a look around
    Demo(demo::Arguments),
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Makes one and prints it
    Create {
        /// What it is called
        #[arg(long)]
        name: String,
        /// What it may do, comma-separated: admin, metrics:read, alerts:read, …
        #[arg(long, value_delimiter = ',', required = true)]
        scopes: Vec<String>,
        /// For how long, such as 90d; for ever if not said
        #[arg(long, value_parser = humantime::parse_duration)]
        expires: Option<std::time::Duration>,
    },
}

#[derive(Debug, Subcommand)]
enum EnrollCommand {
    /// Makes one and prints it
    Create {
        /// For how long
        #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
        expires: std::time::Duration,
        /// How often it may be used
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        uses: u32,
        /// A tag for its agents; may be given several times
        #[arg(long)]
        tag: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Sets a person's password, read from standard input; a new name becomes an admin
    Password {
        /// Who
        username: String,
    },
}

#[derive(Debug, Subcommand)]
enum ExportCommand {
    /// History, as tables that import reads
    History(export_history::Arguments),
    /// Channels, rules, routes, silences and thresholds, as files that apply reads
    Config(files::ExportArguments),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Says whether the settings can be used
    Check,
    /// Prints the settings
    Show {
        /// Also where each came from
        #[arg(long)]
        origin: bool,
    },
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    crate::memory::keep_few_heaps();
    let cli = Cli::parse();
    // The data folder, its socket and backups hold secrets: what we make is for our own user alone.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("nightbell: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let command = cli.command.unwrap_or(Command::Up);
    if let Command::Backtest(arguments) = command {
        return backtest::run(&arguments);
    }
    if let Command::Check(arguments) = command {
        return files::check(&arguments);
    }
    let sources = sources(&cli.common)?;
    if let Command::Config(command) = command {
        return inspect::config(&command, &sources);
    }
    let config = Config::from_sources(&sources)?;
    match command {
        Command::Up => serve::run(config, serve::Guest::Agent),
        Command::Serve => serve::run(config, serve::Guest::Nobody),
        Command::Demo(arguments) => demo::run(config, &arguments),
        Command::Token(TokenCommand::Create { name, scopes, expires }) => operate::token(&config, name, scopes, expires),
        Command::Enroll(EnrollCommand::Create { expires, uses, tag }) => operate::enroll(&config, expires, uses, tag),
        Command::User(UserCommand::Password { username }) => operate::password(&config, username),
        Command::Import(arguments) => import::run(&config, &arguments),
        Command::Export(ExportCommand::History(arguments)) => export_history::run(&config, &arguments),
        Command::Export(ExportCommand::Config(arguments)) => files::export(&config, &arguments),
        Command::Apply(arguments) => files::apply(&config, &arguments),
        Command::Maintain => inspect::maintain(&config),
        Command::Backup { file } => backup::backup(&config, file),
        Command::Restore { file, damaged } => backup::restore(&config, &file, damaged),
        Command::Health => operate::health(&config),
        Command::Backtest(_) | Command::Check(_) | Command::Config(_) => Ok(ExitCode::SUCCESS),
    }
}

/// Refuses commands that make no sense on a folder without a database: a typing error would make a new, empty one.
fn existing(config: &Config) -> anyhow::Result<()> {
    let database = config.data.join("nightbell.db");
    ensure!(database.exists(), "there is no database in {}; name the hub's data folder with --data", config.data.display());
    Ok(())
}

fn sources(common: &Common) -> anyhow::Result<Sources> {
    let mut sources = Sources::default();
    if let Some(file) = &common.config {
        sources.add_file(file)?;
    }
    // What is no text cannot be one of ours.
    sources.add_environment(
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
    )?;
    sources.add_flag("data", "--data", common.data.clone());
    sources.add_flag("listen", "--listen", common.listen.clone());
    sources.add_flag("log", "--log", common.log.clone());
    sources.add_flag("tls_cert", "--tls-cert", common.tls_cert.clone());
    sources.add_flag("tls_key", "--tls-key", common.tls_key.clone());
    sources.add_flag("secret_key_file", "--secret-key-file", common.secret_key_file.clone());
    sources.add_flag("public_url", "--public-url", common.public_url.clone());
    Ok(sources)
}

/// Prints a line for whoever asked: the one thing that belongs on standard output. Whoever has stopped reading misses nothing.
fn say(line: &str) {
    let _nobody = writeln!(std::io::stdout(), "{line}");
}
