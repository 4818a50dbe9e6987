//! Every disguise an inner address may wear, and what each policy says to it.

use super::*;
use url::Url;

fn policy(allow_private: bool, allowed: &[&str]) -> Policy {
    Policy { allow_private, allowed: allowed.iter().map(|network| network.parse().unwrap()).collect() }
}

fn reached(policy: &Policy, url: &str) -> Result<(), Refusal> {
    policy.check_literal(Url::parse(url).unwrap().host())
}

#[test]
fn every_spelling_of_an_inner_address_is_refused() {
    let strict = policy(false, &[]);
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:7f00:0001]",
        "[::127.0.0.1]",
        "[::]",
        "0.0.0.0",
        "0",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "100.127.255.255",
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[fec0::1]",
        "[fc00::1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::1]",
        "[2002:7f00:1::]",
        "[2002:c0a8:101::1]",
        "[2001:0:53aa:64c::1]",
        "[ff02::1]",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.0.192",
        "100.100.100.200",
        "168.63.129.16",
        "198.18.0.1",
        "192.0.2.1",
        "203.0.113.9",
        "240.0.0.1",
        "①②⑦.0.0.1",
        "[2001:db8::1]",
        "[::ffff:0:127.0.0.1]",
        "[100::1]",
        "[4000::1]",
    ] {
        let url = format!("http://{host}/");
        assert!(reached(&strict, &url).is_err(), "{host} is let through");
    }
}

#[test]
fn the_internet_is_reached() {
    let strict = policy(false, &[]);
    for host in [
        "1.1.1.1",
        "172.15.0.1",
        "172.32.0.1",
        "100.63.255.255",
        "100.128.0.1",
        "[2606:4700::1111]",
        "[::ffff:1.1.1.1]",
        "[64:ff9b::101:101]",
    ] {
        assert_eq!(reached(&strict, &format!("https://{host}/")), Ok(()), "{host}");
    }
    assert_eq!(reached(&strict, "https://example.org/"), Ok(()), "names are judged when resolved");
    assert!(reached(&strict, "http://1.1.1.1@127.0.0.1/").is_err(), "what stands before the @ is no host");
}

#[test]
fn a_channel_may_allow_its_own_networks_but_no_metadata() {
    let home = policy(true, &[]);
    for host in ["127.0.0.1", "[::1]", "192.168.1.1", "10.0.0.1", "100.64.0.1", "[fd12::1]", "[::ffff:192.168.0.1]"] {
        assert_eq!(reached(&home, &format!("http://{host}/")), Ok(()), "{host}");
    }
    for host in ["169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "0.0.0.0", "[::]", "224.0.0.1", "[fe80::1]"] {
        assert!(matches!(reached(&home, &format!("http://{host}/")), Err(Refusal::Forbidden(..))), "{host}");
    }
}

#[test]
fn the_hubs_own_list_allows_exactly_what_it_names() {
    let listed = policy(false, &["192.168.7.0/24", "fe80::/64"]);
    assert_eq!(reached(&listed, "http://192.168.7.9/"), Ok(()));
    assert_eq!(reached(&listed, "http://[::ffff:192.168.7.9]/"), Ok(()));
    assert_eq!(reached(&listed, "http://[fe80::9]/"), Ok(()));
    assert_eq!(reached(&listed, "http://192.168.8.9/"), Err(Refusal::Private("192.168.8.9".to_owned())));
}

#[test]
fn of_many_answers_only_the_allowed_ones_are_connected_to() {
    let strict = policy(false, &[]);
    let address = |text: &str| SocketAddr::new(text.parse().unwrap(), 443);
    let mixed = vec![address("127.0.0.1"), address("1.1.1.1"), address("10.0.0.1")];
    assert_eq!(strict.filter("x.example", mixed).unwrap(), [address("1.1.1.1")]);
    let inner = strict.filter("x.example", vec![address("127.0.0.1")]).unwrap_err();
    assert!(inner.to_string().starts_with("x.example is in a private network"), "{inner}");
    assert!(matches!(strict.filter("x.example", vec![]), Err(ResolveError::Nothing(_))));
}
