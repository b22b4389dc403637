//! What the system knows of a file, as an entry's metadata.

use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::time::Timestamp;
use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Statx;
use rustix::fs::StatxFlags;
use rustix::fs::StatxTimestamp;
use rustix::io;
use std::collections::HashMap;
use std::ffi::CStr;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

/// Names of users and groups by number, each asked for once.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    users: HashMap<u32, Vec<u8>>,
    groups: HashMap<u32, Vec<u8>>,
}

impl Owners {
    /// The user's name, empty when there is none.
    pub(super) fn user(&mut self, uid: u32) -> Vec<u8> {
        let find = || uzers::get_user_by_uid(uid).map(|user| user.name().as_bytes().to_vec()).unwrap_or_default();
        self.users.entry(uid).or_insert_with(find).clone()
    }

    /// The group's name, empty when there is none.
    pub(super) fn group(&mut self, gid: u32) -> Vec<u8> {
        let find = || uzers::get_group_by_gid(gid).map(|group| group.name().as_bytes().to_vec()).unwrap_or_default();
        self.groups.entry(gid).or_insert_with(find).clone()
    }

    /// Metadata as statx gives it: no extended attributes, flags, extents, and no symlink target.
    pub(crate) fn metadata(&mut self, stat: &Statx) -> Metadata {
        let mut metadata = Metadata::new(kind(stat));
        metadata.mode = u32::from(stat.stx_mode) & 0o7777;
        metadata.uid = stat.stx_uid;
        metadata.gid = stat.stx_gid;
        metadata.user = self.user(stat.stx_uid);
        metadata.group = self.group(stat.stx_gid);
        metadata.modified = timestamp(&stat.stx_mtime);
        metadata.changed = timestamp(&stat.stx_ctime);
        metadata.born = (stat.stx_mask & StatxFlags::BTIME.bits() != 0).then(|| timestamp(&stat.stx_btime));
        metadata.size = if matches!(metadata.kind, FileKind::File) { stat.stx_size } else { 0 };
        metadata.links = u64::from(stat.stx_nlink);
        metadata.device = device(stat);
        metadata.inode = stat.stx_ino;
        metadata
    }
}

/// What is called `name` in `directory`, symbolic links not followed.
pub(crate) fn stat_at(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<Statx> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    rustix::fs::statx(directory, name, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME)
}

/// What an open file is.
pub(super) fn stat_open(file: BorrowedFd<'_>) -> io::Result<Statx> {
    rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS | StatxFlags::BTIME)
}

/// True when something is mounted on what is called `name`, links not followed. Where the kernel does not number mounts
/// (before Linux 5.8) nothing is known to be.
pub(super) fn is_mount_point(directory: BorrowedFd<'_>, name: &CStr) -> bool {
    let mount = |name: &CStr, flags: AtFlags| {
        let stat = rustix::fs::statx(directory, name, flags | AtFlags::NO_AUTOMOUNT, StatxFlags::MNT_ID).ok()?;
        (stat.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(stat.stx_mnt_id)
    };
    match (mount(name, AtFlags::SYMLINK_NOFOLLOW), mount(c"", AtFlags::EMPTY_PATH)) {
        (Some(own), Some(above)) => own != above,
        _ => false,
    }
}

/// Opens for reading without following a link and, where allowed, without touching the access time.
pub(crate) fn open_at(directory: BorrowedFd<'_>, name: &CStr, extra: OFlags) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY | extra;
    loop {
        match rustix::fs::openat(directory, name, flags | OFlags::NOATIME, Mode::empty()) {
            Err(io::Errno::INTR) => {}
            // Only the owner and root may ask for that.
            Err(io::Errno::PERM) => return rustix::fs::openat(directory, name, flags, Mode::empty()),
            other => return other,
        }
    }
}

/// The device an inode is on.
pub(super) fn device(stat: &Statx) -> u64 {
    rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor)
}

/// True when nothing shows that the file was written, replaced or otherwise changed in between.
pub(super) fn is_same(before: &Metadata, after: &Statx) -> bool {
    before.inode == after.stx_ino
        && before.device == device(after)
        && before.size == after.stx_size
        && before.modified == timestamp(&after.stx_mtime)
        && before.changed == timestamp(&after.stx_ctime)
}

/// True when a file that is not the same any more still shows nothing to have been written over what was `read` of it:
/// only its attributes or links changed, or bytes came behind it.
pub(super) fn keeps_content(before: &Metadata, after: &Statx, read: u64) -> bool {
    let is_untouched = before.size == after.stx_size && before.modified == timestamp(&after.stx_mtime);
    let has_grown = before.size == read && before.size < after.stx_size;
    before.inode == after.stx_ino && before.device == device(after) && (is_untouched || has_grown)
}

/// True for a directory.
pub(super) fn is_directory(stat: &Statx) -> bool {
    FileType::from_raw_mode(u32::from(stat.stx_mode)) == FileType::Directory
}

fn kind(stat: &Statx) -> FileKind {
    let rdev = rustix::fs::makedev(stat.stx_rdev_major, stat.stx_rdev_minor);
    match FileType::from_raw_mode(u32::from(stat.stx_mode)) {
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink { target: Vec::new() },
        FileType::Fifo => FileKind::Fifo,
        FileType::Socket => FileKind::Socket,
        FileType::CharacterDevice => FileKind::CharDevice { rdev },
        FileType::BlockDevice => FileKind::BlockDevice { rdev },
        FileType::RegularFile | FileType::Unknown => FileKind::File,
    }
}

fn timestamp(time: &StatxTimestamp) -> Timestamp {
    Timestamp { seconds: time.tv_sec, nanoseconds: time.tv_nsec }
}
