//! Which source wins, and what wrong settings say.

use super::*;

fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Command, AgentError> {
    let arguments = std::iter::once("nightbell-agent").chain(arguments.iter().copied());
    let environment: Vec<_> = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    read(Flags::try_parse_from(arguments).expect("flags"), &environment)
}

fn configured(arguments: &[&str], environment: &[(&str, &str)]) -> AgentConfig {
    match command(arguments, environment).expect("settings").task {
        Task::Run(config) => *config,
        Task::Once { .. } => panic!("once"),
    }
}

fn refused(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    command(arguments, environment).expect_err("refused").to_string()
}

#[test]
fn flags_come_before_the_environment_and_that_before_the_file() -> std::io::Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("agent.env");
    std::fs::write(
        &file,
        "# settings\nNIGHTBELL_AGENT_HUB=wss://file\nexport NIGHTBELL_AGENT_NAME=\"from file\"\nNIGHTBELL_AGENT_INTERVAL=30s\nNIGHTBELL_AGENT_TAGS=db, eu\n",
    )?;
    let file = file.display().to_string();
    let environment =
        [("NIGHTBELL_AGENT_HUB", "wss://env"), ("NIGHTBELL_AGENT_INTERVAL", "20s"), ("NIGHTBELL_AGENT_SERVICE_HOST", "10.0.0.1")];
    let config = configured(&["--config", &file, "--interval", "10s"], &environment);
    assert_eq!((config.hub.as_str(), config.interval), ("wss://env", Duration::from_secs(10)));
    assert_eq!((config.name.as_deref(), config.tags), (Some("from file"), vec!["db".to_owned(), "eu".to_owned()]));
    let config = configured(&[], &[("NIGHTBELL_AGENT_CONFIG", &file)]);
    assert_eq!((config.hub.as_str(), config.interval), ("wss://file", Duration::from_secs(30)));
    Ok(())
}

#[test]
fn defaults_are_those_of_the_documents() {
    let config = configured(&["--hub", "wss://hub"], &[]);
    assert_eq!((config.interval, config.reconnect_max), (Duration::from_secs(15), Duration::from_secs(60)));
    assert_eq!((config.transport, config.encoding), (Transport::WebSocket, Encoding::Cbor));
    assert!(!config.allow_plaintext && config.token.is_none());
}

#[test]
fn a_token_may_stand_in_a_file() -> std::io::Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("token");
    std::fs::write(&file, "nb_enr_x\n")?;
    let file = file.display().to_string();
    let config = configured(&["--hub", "wss://hub"], &[("NIGHTBELL_AGENT_TOKEN_FILE", &file)]);
    assert_eq!(config.token.as_deref(), Some("nb_enr_x"));
    let config = configured(&["--hub", "wss://hub", "--token", "flag"], &[("NIGHTBELL_AGENT_TOKEN_FILE", &file)]);
    assert_eq!(config.token.as_deref(), Some("flag"), "the flag is the nearer source");
    assert!(!format!("{config:?}").contains("flag"), "secrets are not printed");
    assert!(refused(&["--hub", "wss://hub", "--token", "a", "--token-file", &file], &[]).contains("twice"));
    assert!(refused(&["--hub", "wss://hub", "--token-file", "/nowhere/token"], &[]).contains("/nowhere/token cannot be read"));
    Ok(())
}

#[test]
fn wrong_settings_name_their_place_the_cause_and_the_mend() -> std::io::Result<()> {
    assert_eq!(refused(&[], &[]), "--hub: the hub's URL is missing; give --hub wss://HUB, or set NIGHTBELL_AGENT_HUB");
    let hub = ("NIGHTBELL_AGENT_HUB", "wss://hub");
    assert_eq!(refused(&["--interval", "15"], &[hub]), "--interval: \"15\" cannot be used; write a time such as 15s or 1m");
    assert!(refused(&[], &[hub, ("NIGHTBELL_AGENT_TRANSPORT", "udp")]).starts_with("NIGHTBELL_AGENT_TRANSPORT: \"udp\""));
    assert!(refused(&["--encoding", "xml"], &[hub]).contains("cbor or json"));
    assert!(refused(&["--process", "web="], &[hub]).starts_with("--process: \"web=\" cannot be used; write at most 64"));
    assert!(refused(&["--port", "ssh"], &[hub]).starts_with("--port: \"ssh\" cannot be used; write at most 24"));
    assert!(refused(&["--unit", "a b"], &[hub]).starts_with("--unit: \"a b\" cannot be used; write off, or at most 100"));
    assert!(refused(&["--containers", "podman"], &[hub]).starts_with("--containers: \"podman\" cannot be used; write auto"));
    assert!(refused(&["--log", "loud"], &[hub]).contains("error, warn, info"));
    assert!(refused(&["--config", "/nowhere"], &[hub]).contains("/nowhere: cannot be read"));
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("agent.env");
    std::fs::write(&file, "\nNIGHTBELL_AGENT_INTERVALL=15s\n")?;
    let message = refused(&["--config", &file.display().to_string()], &[hub]);
    assert!(
        message.contains("line 2: NIGHTBELL_AGENT_INTERVALL is no setting") && message.contains("NIGHTBELL_AGENT_INTERVAL,"),
        "{message}"
    );
    std::fs::write(&file, "hub wss://hub\n")?;
    assert!(refused(&["--config", &file.display().to_string()], &[hub]).contains("line 1: is no setting"));
    Ok(())
}

#[test]
fn ranges_are_checked() {
    for (flag, value) in [("--interval", "0s"), ("--interval", "2h"), ("--reconnect-max", "100ms")] {
        let config = configured(&["--hub", "wss://hub", flag, value], &[]);
        assert!(config.check().is_err(), "{flag} {value}");
    }
    assert!(configured(&["--hub", "wss://hub"], &[]).check().is_ok());
}

#[test]
fn what_is_watched_may_stand_in_every_source() {
    let names = |config: AgentConfig| config.watch.processes.into_iter().map(|group| group.name).collect::<Vec<_>>();
    let environment = [("NIGHTBELL_AGENT_HUB", "wss://hub"), ("NIGHTBELL_AGENT_PROCESSES", "web=nginx, db=postgres")];
    assert_eq!(names(configured(&[], &environment)), ["web", "db"]);
    assert_eq!(names(configured(&["--process", "cron", "--process", "ssh=sshd"], &environment)), ["cron", "ssh"]);
    assert_eq!(configured(&["--hub", "wss://hub", "--unit", "off"], &[]).watch.units, None);
    assert_eq!(configured(&["--hub", "wss://hub"], &[]).watch, Watch::default());
}

#[test]
fn once_needs_no_hub() {
    let command = command(&["--once", "--json", "--proc", "/tmp/p"], &[]).expect("once");
    assert!(matches!(command.task, Task::Once { roots, json: true, .. } if roots.proc == std::path::Path::new("/tmp/p")));
    assert!(Flags::try_parse_from(["nightbell-agent", "--json"]).is_err());
}
