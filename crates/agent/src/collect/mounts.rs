//! Which of a host's mounts are file systems worth watching (proc_pid_mountinfo(5)).
//!
//! Kept are those on a real block device, ZFS and btrfs, and network file systems; one mount for each device, so bind mounts
//! are not counted twice. Left out are overlays, RAM, images (squashfs, erofs, ISO) and the kernel's own. Asking them how full
//! they are is left to `filesystems`.

use super::scan::{self, Unparsable, missing};

/// Images and layers: full by nature, or counted elsewhere.
const IMAGES: [&str; 7] = ["squashfs", "erofs", "iso9660", "udf", "cramfs", "romfs", "overlay"];
/// File systems without a block device of their own number that hold a host's data all the same.
const POOLED: [&str; 3] = ["btrfs", "zfs", "bcachefs"];
/// File systems whose answer depends on another machine.
const REMOTE: [&str; 14] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "ceph",
    "9p",
    "afs",
    "lustre",
    "glusterfs",
    "ncpfs",
    "fuse.glusterfs",
    "fuse.sshfs",
    "fuse.ceph",
];
/// Where container runtimes and services keep mounts of their own, and the files a runtime mounts into a container.
const NOT_OURS: [&str; 11] = [
    "/dev",
    "/proc",
    "/sys",
    "/snap",
    "/run/credentials",
    "/var/lib/docker",
    "/var/lib/containers/storage",
    "/var/lib/kubelet",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
];

/// One watched file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Where it is mounted.
    pub(crate) point: String,
    /// Whether another machine has to answer for it.
    pub(crate) remote: bool,
    /// Whether the file system itself (not this one view of it) is read-only.
    pub(crate) readonly: bool,
}

/// One line of mountinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line<'a> {
    device: (u64, u64),
    /// The directory of the file system that is mounted here.
    root: &'a [u8],
    point: String,
    kind: String,
    readonly: bool,
}

/// The file systems worth watching, in the order of the table.
pub(crate) fn select(mountinfo: &[u8]) -> Result<Vec<Mount>, Unparsable> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    for line in scan::lines(mountinfo) {
        let line = parse_line(line).ok_or_else(|| missing("a field of a mount"))?;
        // A later mount at the same place hides the earlier one.
        lines.retain(|earlier| earlier.point != line.point);
        lines.push(line);
    }
    lines.retain(is_watched);
    let mut chosen: Vec<Line<'_>> = Vec::new();
    for line in lines {
        match chosen.iter_mut().find(|other| other.device == line.device) {
            Some(other) if is_better(&line, other) => *other = line,
            Some(_) => {}
            None => chosen.push(line),
        }
    }
    Ok(chosen.into_iter().map(|line| Mount { remote: is_remote(&line), point: line.point, readonly: line.readonly }).collect())
}

/// A mount of the file system's own root says more than one of a directory in it; then the shorter path.
fn is_better(line: &Line<'_>, other: &Line<'_>) -> bool {
    let rank = |line: &Line<'_>| (line.root != b"/", line.point.len());
    rank(line) < rank(other)
}

fn is_watched(line: &Line<'_>) -> bool {
    let ours = |prefix: &str| line.point.strip_prefix(prefix).is_none_or(|rest| !rest.is_empty() && !rest.starts_with('/'));
    let kind = &*line.kind;
    let real = line.device.0 != 0 && !IMAGES.contains(&kind);
    (real || POOLED.contains(&kind) || is_remote(line)) && NOT_OURS.iter().all(|prefix| ours(prefix))
}

fn is_remote(line: &Line<'_>) -> bool {
    REMOTE.contains(&&*line.kind)
}

fn parse_line(line: &[u8]) -> Option<Line<'_>> {
    let mut words = scan::words(line).skip(2);
    let mut device = words.next()?.split(|byte| *byte == b':').map(scan::number);
    let device = (device.next()??, device.next()??);
    let (root, point) = (words.next()?, unescape(words.next()?));
    let mut after = words.skip_while(|word| *word != b"-").skip(1);
    let (kind, _source) = (scan::text(after.next()?), after.next()?);
    let readonly = after.next().is_some_and(|options| options.split(|byte| *byte == b',').any(|option| option == b"ro"));
    Some(Line { device, root, point, kind, readonly })
}

/// Spaces, tabs, line ends and backslashes are written as three octal digits.
fn unescape(word: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, after)) = rest.split_first() {
        let octal = |digits: &[u8]| {
            digits
                .iter()
                .try_fold(0_u8, |value, digit| value.checked_mul(8)?.checked_add(digit.checked_sub(b'0').filter(|d| *d < 8)?))
        };
        match (first, after.get(..3).and_then(octal)) {
            (b'\\', Some(byte)) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(mountinfo: &str) -> Vec<String> {
        select(mountinfo.as_bytes()).unwrap().into_iter().map(|mount| mount.point).collect()
    }

    #[test]
    fn real_file_systems_are_kept_once_and_the_rest_is_left_out() {
        let table = "\
22 27 0:21 / /proc rw - proc proc rw
24 27 0:6 / /dev rw - devtmpfs devtmpfs rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
28 27 0:25 / /tmp rw - tmpfs tmpfs rw
29 27 254:0 /srv/www /www rw - ext4 /dev/vda rw
30 27 7:1 / /snap/core/1 ro - squashfs /dev/loop1 ro
31 27 0:40 / /tank rw - zfs tank rw
32 27 0:41 /@ /data rw - btrfs /dev/sdb rw
33 27 0:41 /@home /data/home rw - btrfs /dev/sdb rw
34 27 0:42 / /mnt/nas rw shared:9 master:2 - nfs4 nas:/export rw
35 27 8:1 / /mnt/with\\040space ro - xfs /dev/sda1 ro
36 27 0:50 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw
37 27 11:0 / /media/cd ro - iso9660 /dev/sr0 ro
";
        assert_eq!(points(table), ["/", "/tank", "/data", "/mnt/nas", "/mnt/with space"]);
        let mounts = select(table.as_bytes()).unwrap();
        assert!(mounts[3].remote && !mounts[0].remote);
        assert!(mounts[4].readonly && !mounts[0].readonly);
    }

    #[test]
    fn read_only_is_what_the_file_system_says_not_the_view_of_it() {
        let hardened = "27 1 254:0 / / ro,relatime - ext4 /dev/vda rw\n";
        assert!(!select(hardened.as_bytes()).unwrap()[0].readonly);
    }

    #[test]
    fn the_mount_that_shows_most_of_a_device_is_taken() {
        let table = "1 0 8:1 /sub /a rw - ext4 /dev/sda1 rw\n2 0 8:1 / /mnt/long/path rw - ext4 /dev/sda1 rw\n";
        assert_eq!(points(table), ["/mnt/long/path"]);
        let hidden = "1 0 8:1 / /mnt rw - ext4 /dev/sda1 rw\n2 0 8:2 / /mnt rw - ext4 /dev/sda2 rw\n";
        assert_eq!(points(hidden), ["/mnt"]);
    }

    #[test]
    fn inside_a_container_nothing_of_the_runtimes_remains() {
        let table = "\
1 0 0:50 / / rw - overlay overlay rw
2 1 254:0 /var/lib/docker/containers/x/hosts /etc/hosts rw - ext4 /dev/vda rw
3 1 254:0 /var/lib/docker/containers/x/resolv.conf /etc/resolv.conf rw - ext4 /dev/vda rw
";
        assert!(points(table).is_empty());
    }

    #[test]
    fn ten_thousand_mounts_are_read() {
        use std::fmt::Write;
        let mut table = String::new();
        for number in 0..10_000 {
            writeln!(table, "{number} 1 8:{} / /mnt/{number} rw - ext4 /dev/sda rw", number % 50).unwrap();
        }
        assert_eq!(points(&table).len(), 50);
    }

    #[test]
    fn what_is_not_such_a_table_is_refused() {
        for bad in ["x\n", "27 1 254 / / rw - ext4 /dev/vda rw\n", "27 1 254:0 / / rw ext4 /dev/vda rw\n"] {
            assert!(select(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(unescape(b"a\\040b\\134c\\9"), "a b\\c\\9");
    }
}
