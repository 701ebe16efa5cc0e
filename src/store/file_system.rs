//! The file system that a folder lies on, and what its mount says about locks.

use super::{Result, StoreError};
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A mounted file system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileSystem {
    /// Its kind, such as `ext4`, `nfs4`, `fuse.sshfs`; empty where the system does not say.
    pub kind: String,
    /// Where it is mounted.
    pub mount: String,
    /// What is mounted, such as `server:/home`.
    pub source: String,
    /// The options of the mount and of the file system, separated by commas.
    pub options: String,
}

/// Whom a lock keeps out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Everybody on every machine that mounts it.
    Everywhere,
    /// Only those on the same machine; why, as a sentence's end.
    ThisMachine(String),
    /// The mount does not tell; two machines have to try.
    Unknown,
}

/// Kinds that one machine has for itself, unless it exports them.
const LOCAL: [&str; 14] = [
    "bcachefs", "btrfs", "devtmpfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "ramfs", "reiserfs", "tmpfs",
    "xfs", "zfs",
];

impl FileSystem {
    /// How far a lock reaches here, where the mount tells.
    pub fn reach(&self) -> Reach {
        let here = |why: &str| Reach::ThisMachine(why.to_owned());
        match self.kind.as_str() {
            kind if LOCAL.contains(&kind) => here(&format!("`{kind}` is a file system of one machine")),
            "nfs" | "nfs4" => match self.option("local_lock") {
                Some("all" | "flock") => here("it is mounted with `local_lock`, which keeps locks on each machine"),
                _ if self.has("nolock") => here("it is mounted with `nolock`, which keeps locks on each machine"),
                _ => Reach::Everywhere,
            },
            "lustre" if self.has("localflock") => {
                here("it is mounted with `localflock`, which keeps locks on each machine")
            }
            "lustre" if self.has("flock") => Reach::Everywhere,
            "gpfs" | "ceph" | "fuse.glusterfs" => Reach::Everywhere,
            _ => Reach::Unknown,
        }
    }

    /// Why one machine's locks are not another's though they should be, as a sentence's end; none where they may be. A file system
    /// that one machine has for itself is not meant.
    pub fn keeps_locks_apart(&self) -> Option<String> {
        match self.reach() {
            Reach::ThisMachine(why) if !LOCAL.contains(&self.kind.as_str()) => Some(why),
            // The kernel then has locks of its own, on each machine; a mount does not tell.
            Reach::Unknown if self.kind == "fuse" || self.kind.starts_with("fuse.") => {
                Some(format!("`{}` is a FUSE file system, which has no locks that reach other machines", self.kind))
            }
            _ => None,
        }
    }

    fn option(&self, name: &str) -> Option<&str> {
        self.options.split(',').find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    }

    fn has(&self, name: &str) -> bool {
        self.options.split(',').any(|option| option == name)
    }
}

/// The file system of a file or folder.
///
/// # Errors
/// Where the path cannot be looked at.
pub fn of(path: &Path) -> Result<FileSystem> {
    let fail = |error| StoreError::new("open", path, error);
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    let found = statx(CWD, path, AtFlags::empty(), wanted);
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let known = |mask| StatxFlags::from_bits_retain(mask).contains(StatxFlags::MNT_ID);
    Ok(match found {
        Ok(found) if known(found.stx_mask) => mount(&mounts, |id, _| id == found.stx_mnt_id),
        // Before Linux 5.8 the device has to do.
        _ => {
            let device = std::fs::metadata(path).map_err(fail)?.dev();
            let device = (rustix::fs::major(device), rustix::fs::minor(device));
            mount(&mounts, |_, of| of == device)
        }
    }
    .unwrap_or_default())
}

/// The last mount in a `/proc/self/mountinfo` (proc(5)) whose number and device are the ones wanted.
fn mount(mounts: &str, wanted: impl Fn(u64, (u32, u32)) -> bool) -> Option<FileSystem> {
    // `36 35 254:0 / /home rw,relatime shared:1 - ext4 /dev/vda rw`.
    mounts.lines().rev().find_map(|line| {
        let (head, tail) = line.split_once(" - ")?;
        let head: Vec<_> = head.split(' ').collect();
        let (major, minor) = head.get(2)?.split_once(':')?;
        if !wanted(head.first()?.parse().ok()?, (major.parse().ok()?, minor.parse().ok()?)) {
            return None;
        }
        let mut tail = tail.split(' ');
        let (kind, source) = (unescaped(tail.next()?), unescaped(tail.next()?));
        let options = format!("{},{}", head.get(5)?, tail.next().unwrap_or_default());
        Some(FileSystem { kind, mount: unescaped(head.get(4)?), source, options })
    })
}

/// A field's text: the kernel writes blanks, line breaks and backslashes as `\040`.
fn unescaped(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|_| *first == b'\\').and_then(|digits| str::from_utf8(digits).ok());
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(byte);
            rest = tail.get(3..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(kind: &str, options: &str) -> Reach {
        FileSystem { kind: kind.to_owned(), options: options.to_owned(), ..FileSystem::default() }.reach()
    }

    #[test]
    fn the_mount_tells_how_far_locks_reach() {
        assert_eq!(reach("nfs4", "rw,relatime,rw,vers=4.2,local_lock=none,addr=1.2.3.4"), Reach::Everywhere);
        assert_eq!(reach("lustre", "rw,flock,lazystatfs"), Reach::Everywhere);
        for (kind, options, expected) in [
            ("ext4", "rw", "file system of one machine"),
            ("nfs", "rw,vers=3,nolock,local_lock=all", "`local_lock`"),
            ("nfs", "rw,vers=3,nolock", "`nolock`"),
            ("lustre", "rw,localflock", "`localflock`"),
        ] {
            assert!(
                matches!(reach(kind, options), Reach::ThisMachine(why) if why.contains(expected)),
                "{kind} {options}"
            );
        }
        for (kind, options) in [("fuse.sshfs", "rw"), ("beegfs", "rw"), ("lustre", "rw"), ("", "")] {
            assert_eq!(reach(kind, options), Reach::Unknown, "{kind}");
        }
    }

    #[test]
    fn the_last_mount_of_a_place_counts() {
        let mounts = "36 35 254:10 / / rw - ext4 /dev/vda rw\n\
                      40 36 0:43 /sub /my\\040data rw,nosuid shared:3 master:1 - nfs4 server:/a\\134b rw,vers=4.2\n\
                      odd\n41 36 0:43 / /x rw - nfs4 server:/a rw\n";
        let found = mount(mounts, |id, _| id == 40).unwrap();
        let expected = ["nfs4", "/my data", "server:/a\\b", "rw,nosuid,rw,vers=4.2"];
        assert_eq!([found.kind, found.mount, found.source, found.options], expected);
        assert_eq!(mount(mounts, |_, device| device == (0, 43)).unwrap().mount, "/x");
        assert_eq!(mount(mounts, |id, _| id == 99), None);
    }

    #[test]
    fn every_path_of_this_machine_has_one() {
        assert_eq!(of(Path::new("/proc/self")).unwrap().kind, "proc");
        assert_ne!(of(Path::new("/")).unwrap().kind, "");
        assert!(of(Path::new("/nowhere")).is_err());
    }
}
