//! The file locks of this machine, from `/proc/locks` (proc(5)): looking must not disturb a worker that takes one.

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// A file system's device, as its superblock has it: major and minor number.
type Device = (u32, u32);

/// The locks that were held at one moment.
#[derive(Debug)]
pub(super) struct Locks {
    files: HashSet<(Device, u64)>,
    inodes: HashSet<u64>,
    /// The device of each mount.
    mounts: HashMap<u64, Device>,
}

impl Locks {
    pub(super) fn read() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Locks::parse(&read("/proc/locks"), &read("/proc/self/mountinfo"))
    }

    fn parse(locks: &str, mounts: &str) -> Self {
        // `1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF`: device (hexadecimal) and inode.
        let file = |line: &str| {
            let mut parts = line.split_whitespace().nth(5)?.split(':');
            let mut number = || u32::from_str_radix(parts.next()?, 16).ok();
            Some(((number()?, number()?), parts.next()?.parse().ok()?))
        };
        // `36 35 254:0 / /home rw,relatime …`: the mount's number, its parent's, the device (decimal).
        let mount = |line: &str| {
            let mut parts = line.split_whitespace();
            let id = parts.next()?.parse().ok()?;
            let (major, minor) = parts.nth(1)?.split_once(':')?;
            Some((id, (major.parse().ok()?, minor.parse().ok()?)))
        };
        let files: HashSet<_> = locks.lines().filter_map(file).collect();
        let inodes = files.iter().map(|(_, inode)| *inode).collect();
        Locks { files, inodes, mounts: mounts.lines().filter_map(mount).collect() }
    }

    /// Whether somebody holds a lock on the file at this path.
    pub(super) fn held(&self, path: &Path) -> bool {
        let wanted = StatxFlags::INO | StatxFlags::MNT_ID;
        let Ok(file) = statx(CWD, path, AtFlags::empty(), wanted) else { return false };
        let known = StatxFlags::from_bits_retain(file.stx_mask).contains(StatxFlags::MNT_ID);
        self.hold((file.stx_dev_major, file.stx_dev_minor), file.stx_ino, known.then_some(file.stx_mnt_id))
    }

    /// Whether one is on this inode. Where a file system tells files another device than its superblock's (btrfs does), the
    /// mount knows that one; where no mount is told (before Linux 5.8), the inode alone has to do: a worker that lives must
    /// not be taken for dead.
    fn hold(&self, device: Device, inode: u64, mount: Option<u64>) -> bool {
        if !self.inodes.contains(&inode) {
            return false;
        }
        let of_mount = mount.and_then(|mount| self.mounts.get(&mount));
        self.files.contains(&(device, inode)) || of_mount.is_none_or(|device| self.files.contains(&(*device, inode)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_on_one_file_of_one_file_system() {
        let locks = "1: FLOCK  ADVISORY  WRITE 17892 fe:0a:77 0 EOF\n2: POSIX  ADVISORY  READ 1 00:2b:88 0 EOF\nodd\n";
        let mounts =
            "36 35 254:10 / / rw - ext4 /dev/vda rw\n40 36 0:43 /sub /data rw - btrfs /dev/vdb rw\n41 36 8:1 / /x rw\n";
        let locks = Locks::parse(locks, mounts);
        for (device, inode, mount, expected) in [
            ((254, 10), 77, Some(36), true),
            ((254, 10), 78, Some(36), false),
            // The same number on another file system.
            ((8, 1), 77, Some(41), false),
            ((8, 1), 88, Some(41), false),
            // A subvolume has a device of its own.
            ((0, 99), 88, Some(40), true),
            ((0, 99), 88, None, true),
            ((0, 99), 77, Some(40), false),
        ] {
            assert_eq!(locks.hold(device, inode, mount), expected, "{device:?} {inode} {mount:?}");
        }
    }

    #[test]
    fn a_lock_of_this_machine_is_seen() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(!Locks::read().held(file.path()));
        file.as_file().lock().unwrap();
        assert!(Locks::read().held(file.path()));
        assert!(!Locks::read().held(Path::new("/nowhere")));
    }
}
