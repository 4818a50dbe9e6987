//! Settings: precedence, origins, and what is refused.

use super::*;

fn with_file(toml: &str) -> Result<Sources, ConfigError> {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), toml).expect("written");
    let mut sources = Sources::default();
    sources.add_file(file.path()).map(|()| sources)
}

#[test]
fn defaults_are_usable() {
    let config = Config::from_sources(&Sources::default()).expect("defaults");
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8787");
    assert_eq!(config.retention, Retention::default());
    assert_eq!(config.agents.interval, Duration::from_secs(15));
}

#[test]
fn flags_win_over_environment_over_file_over_default() {
    let mut sources = with_file("listen = \"127.0.0.1:1\"\nlog = \"warn\"\n[retention]\nraw = \"3d\"").expect("file");
    sources.add_environment([("NIGHTBELL_LISTEN".to_owned(), "127.0.0.1:2".to_owned())].into_iter()).expect("environment");
    sources.add_flag("listen", "--listen", Some("127.0.0.1:3".to_owned()));
    sources.add_flag("data", "--data", None);
    let config = Config::from_sources(&sources).expect("typed");
    assert_eq!(config.server.listen.port(), 3);
    assert_eq!(config.log.filter, "warn");
    assert_eq!(config.retention.raw_ms, 3 * 86_400_000);
    let origin = sources.iter().find(|(key, ..)| *key == "listen").map(|(.., origin)| origin);
    assert_eq!(origin, Some(Origin::Flag("--listen")));
}

#[test]
fn what_cannot_be_used_is_named_with_its_origin_and_the_mend() {
    let unknown = with_file("lissten = \"x\"").expect_err("unknown key").to_string();
    assert!(unknown.contains("`lissten`") && unknown.contains("listen"), "{unknown}");
    let mut sources = Sources::default();
    let variable =
        sources.add_environment([("NIGHTBELL_PORT".to_owned(), "1".to_owned())].into_iter()).expect_err("unknown variable");
    assert!(variable.to_string().contains("NIGHTBELL_PORT") && variable.to_string().contains("NIGHTBELL_LISTEN"));
    for (key, value, say) in [
        ("listen", "8787", "127.0.0.1:8787"),
        ("retention.raw", "-3d", "7d"),
        ("retention.raw", "1m", "between"),
        ("agents.interval", "10", "15s"),
        ("public_url", "monitor.example.org", "https://"),
        ("tls_cert", "cert.pem", "tls_key"),
        ("notify.allow_networks", "home", "192.168"),
        ("jobs.retain", "daily", "cron"),
        ("retention.max_size", "10MiB", "64MiB"),
        ("retention.max_size", "20 boxes", "20GiB"),
        ("retention.max_size", "99999999999999999T", "20GiB"),
    ] {
        let mut sources = Sources::default();
        sources.add_flag(key, "--x", Some(value.to_owned()));
        let error = Config::from_sources(&sources).expect_err(key).to_string();
        assert!(error.contains(key) && error.contains("--x") && error.contains(say), "{error}");
    }
}
