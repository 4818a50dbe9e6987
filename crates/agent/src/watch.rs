//! What is watched beside the host itself, as the user wrote it: processes by pattern and whatever else has no place in
//! `/proc` that would name it.
//!
//! Pure: text becomes a wish or is refused. What the wishes cost and bring is left to `collect`.

use std::path::PathBuf;

/// A process carries one bit for each group it belongs to.
pub(crate) const MAX_GROUPS: usize = 64;

/// Each port elsewhere may have a thread while it keeps silent.
pub(crate) const MAX_PORTS: usize = 24;

/// All their names travel in one question.
pub(crate) const MAX_UNITS: usize = 100;
/// What switches a source off.
const OFF: &str = "off";
/// What leaves it to the agent to look.
const AUTO: &str = "auto";
/// Kinds of units; a name without one is a service.
const KINDS: [&str; 11] =
    ["service", "socket", "timer", "target", "mount", "automount", "path", "slice", "scope", "swap", "device"];

/// Everything that is watched by wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Groups of processes.
    pub processes: Vec<Group>,
    /// TCP ports.
    pub ports: Vec<Port>,
    /// Units of systemd beside those that have failed, by name or pattern; nothing is asked at all without a list.
    pub units: Option<Vec<String>>,
    /// Containers.
    pub containers: Engine,
    /// Disks' own health.
    pub smart: Disks,
}

/// Where disks' reports of their health come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Disks {
    /// Nobody asks.
    Off,
    /// smartctl, if it is there and we are root.
    #[default]
    Found,
    /// A folder with what smartctl printed.
    Folder(PathBuf),
}

/// Who is asked for containers' names, states and health.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Engine {
    /// Containers are not watched.
    Off,
    /// Docker, if it runs here and lets us.
    #[default]
    Found,
    /// Whoever listens on this socket.
    At(PathBuf),
}

impl Default for Watch {
    /// What costs nothing where it is not there.
    fn default() -> Self {
        Self {
            processes: Vec::new(),
            ports: Vec::new(),
            units: Some(Vec::new()),
            containers: Engine::default(),
            smart: Disks::default(),
        }
    }
}

/// A TCP port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Port {
    /// Of this host.
    Here(u16),
    /// Of another host, or of one address of this one.
    Elsewhere {
        /// The label `port` of its series, as the user wrote it.
        label: String,
        /// Name or address.
        host: String,
        /// Number.
        port: u16,
    },
}

/// Processes that are counted together under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The label `process` of its series.
    pub name: String,
    /// Whose name, program or command line fits belongs to the group.
    pub pattern: Pattern,
}

/// A text in which `*` stands for any text and `?` for any byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Group {
    /// The groups of `web=nginx, worker=*celery*worker*, sshd`: a name alone is its own pattern.
    pub(crate) fn list(text: &str) -> Option<Vec<Self>> {
        let groups: Vec<Self> = items(text).map(Self::parse).collect::<Option<_>>()?;
        let twice = groups.iter().enumerate().any(|(at, group)| groups[..at].iter().any(|other| other.name == group.name));
        (groups.len() <= MAX_GROUPS && !twice).then_some(groups)
    }

    fn parse(item: &str) -> Option<Self> {
        let (name, pattern) = item.split_once('=').map_or((item, item), |(name, pattern)| (name.trim(), pattern.trim()));
        // A pattern for everything would be a mistake, and a name with a star would look like one.
        let plain = !name.is_empty() && !name.contains(['*', '?']) && pattern.contains(|c| c != '*');
        plain.then(|| Self { name: name.to_owned(), pattern: Pattern(pattern.to_owned()) })
    }
}

impl Port {
    /// The ports of `22, db.example.org:5432, [::1]:8080`.
    pub(crate) fn list(text: &str) -> Option<Vec<Self>> {
        let ports: Vec<Self> = items(text).map(Self::parse).collect::<Option<_>>()?;
        let twice = ports.iter().enumerate().any(|(at, port)| ports[..at].contains(port));
        (ports.len() <= MAX_PORTS && !twice).then_some(ports)
    }

    fn parse(item: &str) -> Option<Self> {
        let number = |text: &str| text.parse().ok().filter(|number| *number > 0);
        let Some((host, port)) = item.rsplit_once(':') else { return number(item).map(Self::Here) };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let plain = bare.is_some() || !host.contains([':', '[', ']', '/']);
        let host = bare.unwrap_or(host);
        let port = number(port).filter(|_| plain && !host.is_empty())?;
        Some(Self::Elsewhere { label: item.to_owned(), host: host.to_owned(), port })
    }
}

impl Engine {
    /// `auto`, `off`, or a socket: `/run/podman/podman.sock`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            OFF => Some(Self::Off),
            AUTO => Some(Self::Found),
            text => absolute(text.strip_prefix("unix://").unwrap_or(text)).map(Self::At),
        }
    }
}

impl Disks {
    /// `auto`, `off`, or a folder: `/run/nightbell-smart`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            OFF => Some(Self::Off),
            AUTO => Some(Self::Found),
            text => absolute(text).map(Self::Folder),
        }
    }
}

impl Pattern {
    /// Whether the whole of `text` fits.
    pub(crate) fn fits(&self, text: &[u8]) -> bool {
        let pattern = self.0.as_bytes();
        let (mut at, mut read) = (0, 0);
        // Where the last star stood, and up to where its text reached.
        let mut star: Option<(usize, usize)> = None;
        while read < text.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    star = Some((at, read));
                    at += 1;
                }
                Some(byte) if *byte == b'?' || *byte == text[read] => {
                    at += 1;
                    read += 1;
                }
                _ => {
                    let Some((place, reached)) = &mut star else { return false };
                    *reached += 1;
                    (at, read) = (*place + 1, *reached);
                }
            }
        }
        pattern[at..].iter().all(|byte| *byte == b'*')
    }
}

/// The units of `nginx, ssh*, backup.timer`; nothing for `off`.
#[expect(clippy::option_option, reason = "a wish that cannot be read, and the wish for nothing")]
pub(crate) fn units(text: &str) -> Option<Option<Vec<String>>> {
    if text.trim() == OFF {
        return Some(None);
    }
    let unit = |item: &str| {
        let legal = item.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":-_.\\@*?[]".contains(&byte));
        let kind =
            item.rsplit_once('.').is_some_and(|(name, kind)| !name.is_empty() && (KINDS.contains(&kind) || kind.contains('*')));
        let complete = kind || item.ends_with('*');
        legal.then(|| if complete { item.to_owned() } else { format!("{item}.service") })
    };
    let units: Vec<String> = items(text).map(unit).collect::<Option<_>>()?;
    (units.len() <= MAX_UNITS).then_some(Some(units))
}

/// A path that does not depend on where the agent was started.
fn absolute(text: &str) -> Option<PathBuf> {
    Some(PathBuf::from(text)).filter(|path| path.is_absolute())
}

/// The items of a list in one setting.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fits(pattern: &str, text: &str) -> bool {
        Pattern(pattern.to_owned()).fits(text.as_bytes())
    }

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text) in [
            ("nginx", "nginx"),
            ("nginx*", "nginx"),
            ("*", ""),
            ("php-fpm?.?", "php-fpm8.2"),
            ("*celery*worker*", "python -m celery -A app worker -l info"),
            ("*aab", "aaaab"),
            ("a*b*c", "a-b-b-c"),
        ] {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("nginx", "nginx: worker"), ("nginx", "NGINX"), ("", "x"), ("a?", "a"), ("*b", "abc"), ("a*a", "a")]
        {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn groups_as_people_write_them() {
        let groups = Group::list(" web = nginx* ,sshd,, db=/usr/lib/postgresql/*/bin/postgres ").expect("groups");
        let written: Vec<_> = groups.iter().map(|group| (&*group.name, &*group.pattern.0)).collect();
        assert_eq!(written, [("web", "nginx*"), ("sshd", "sshd"), ("db", "/usr/lib/postgresql/*/bin/postgres")]);
        for bad in ["=nginx", "web=", "*", "web=**", "ng*", "a=x,a=y"] {
            assert_eq!(Group::list(bad), None, "{bad}");
        }
        let names = |count: usize| (0..count).map(|at| format!("p{at}")).collect::<Vec<_>>().join(",");
        assert_eq!(Group::list(&names(64)).map(|groups| groups.len()), Some(64));
        assert_eq!(Group::list(&names(65)), None);
    }

    #[test]
    fn ports_as_people_write_them() {
        let elsewhere = |label: &str, host: &str, port| Port::Elsewhere { label: label.into(), host: host.into(), port };
        assert_eq!(
            Port::list("22, db.example.org:5432,[::1]:8080"),
            Some(vec![
                Port::Here(22),
                elsewhere("db.example.org:5432", "db.example.org", 5432),
                elsewhere("[::1]:8080", "::1", 8080)
            ])
        );
        for bad in ["0", "65536", "ssh", ":22", "db:", "db:x", "::1:22", "http://db:80", "22,22", "[]:1"] {
            assert_eq!(Port::list(bad), None, "{bad}");
        }
        let numbers = |count: usize| (1..=count).map(|port| port.to_string()).collect::<Vec<_>>().join(",");
        assert_eq!((Port::list(&numbers(24)).map(|ports| ports.len()), Port::list(&numbers(25))), (Some(24), None));
    }

    #[test]
    fn units_as_people_write_them() {
        let list = |names: &[&str]| Some(Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()));
        assert_eq!(
            units("nginx, ssh*,backup.timer , postgresql@15-main"),
            list(&["nginx.service", "ssh*", "backup.timer", "postgresql@15-main.service"])
        );
        assert_eq!(units("my.app,*.timer"), list(&["my.app.service", "*.timer"]));
        assert_eq!((units("off"), units("")), (Some(None), list(&[])));
        assert_eq!((units("a b"), units("a/b"), units("ü")), (None, None, None));
        assert_eq!(units(&"x,".repeat(101)), None);
    }

    #[test]
    fn engines_as_people_write_them() {
        assert_eq!((Engine::parse("off"), Engine::parse(" auto ")), (Some(Engine::Off), Some(Engine::Found)));
        let at = Some(Engine::At("/run/podman/podman.sock".into()));
        assert_eq!((Engine::parse("/run/podman/podman.sock"), Engine::parse("unix:///run/podman/podman.sock")), (at.clone(), at));
        assert_eq!((Engine::parse("podman"), Engine::parse("tcp://1.2.3.4:2375")), (None, None));
    }

    #[test]
    fn disks_as_people_write_them() {
        assert_eq!((Disks::parse("off"), Disks::parse("auto")), (Some(Disks::Off), Some(Disks::Found)));
        assert_eq!(Disks::parse("/run/nightbell-smart"), Some(Disks::Folder("/run/nightbell-smart".into())));
        assert_eq!(Disks::parse("sda"), None);
    }

    proptest! {
        #[test]
        fn a_pattern_fits_as_its_slow_definition_says(pattern in "[ab*?]{0,7}", text in "[ab]{0,9}") {
            fn slow(pattern: &[u8], text: &[u8]) -> bool {
                match (pattern.first(), text.first()) {
                    (None, None) => true,
                    (Some(b'*'), None) => slow(&pattern[1..], text),
                    (Some(b'*'), Some(_)) => slow(&pattern[1..], text) || slow(pattern, &text[1..]),
                    (Some(byte), Some(other)) => (*byte == b'?' || byte == other) && slow(&pattern[1..], &text[1..]),
                    _ => false,
                }
            }
            prop_assert_eq!(fits(&pattern, &text), slow(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
