//! Tells what was made or looked at from what somebody has put in its place since: names are his who owns the folder.

use crate::restore::judge::Standing;
use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::StatxFlags;
use rustix::io::Errno;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;

/// File systems that may give something another number when it is looked at again: FAT, exFAT, FUSE, SMB by its three names, and
/// the shared folders of VirtualBox. Nor does the time of birth stay with what is renamed on all of them.
const LOOSE: [u32; 7] = [0x4d44, 0x2011_bab0, 0x6573_5546, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x786f_4256];
/// One that brings what is changed into its upper layer, where it is born anew, and may give folders other numbers.
const OVERLAY: u32 = 0x794c_7630;

/// What something is, whatever its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    kind: FileType,
    device: u64,
    inode: u64,
    /// When it was made, where that is told: the number of a file that is gone goes to the next one.
    born: Option<(i64, u32)>,
}

impl Identity {
    /// Of something open.
    pub(crate) fn of(fd: impl AsFd) -> Result<Self, Errno> {
        Self::look(&fd, b"", AtFlags::EMPTY_PATH).or_else(|errno| match errno {
            // An old kernel, or a filter that does not know the call.
            Errno::NOSYS | Errno::PERM => rustix::fs::fstat(&fd).map(|stat| Self::from(&Standing::from(stat))),
            errno => Err(errno),
        })
    }

    fn look(dir: impl AsFd, name: &[u8], flags: AtFlags) -> Result<Self, Errno> {
        let wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::BTIME;
        let stat = rustix::fs::statx(dir, name, flags, wanted)?;
        let is_told = stat.stx_mask & StatxFlags::BTIME.bits() != 0;
        Ok(Self {
            kind: FileType::from_raw_mode(stat.stx_mode.into()),
            device: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
            born: is_told.then_some((stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec)),
        })
    }

    /// Device and inode; nothing where everything has the number 0.
    pub(crate) fn number(&self) -> Option<(u64, u64)> {
        (self.inode != 0).then_some((self.device, self.inode))
    }

    /// True for the same thing, as far as both tell.
    fn is(&self, other: &Self) -> bool {
        let is_one_birth = self.born.zip(other.born).is_none_or(|(one, other)| one == other);
        (self.kind, self.device, self.inode) == (other.kind, other.device, other.inode) && is_one_birth
    }

    /// True for what may be the same thing on a file system of this type.
    fn may_be(&self, other: &Self, magic: u32) -> bool {
        let has_one_birth = || self.born.is_some() && self.born == other.born;
        let may_differ = match magic {
            OVERLAY => self.inode == other.inode || self.kind == FileType::Directory && has_one_birth(),
            magic => LOOSE.contains(&magic),
        };
        (self.kind, self.device) == (other.kind, other.device) && may_differ
    }

    /// `STALE` when what is open is something else, as far as its file system tells things apart.
    pub(crate) fn check(&self, fd: impl AsFd) -> Result<(), Errno> {
        let now = Self::of(&fd)?;
        if self.is(&now) || self.may_be(&now, magic(&fd)) { Ok(()) } else { Err(Errno::STALE) }
    }

    /// Opens it by its name; `STALE` when the name leads to something else, or nowhere.
    pub(crate) fn open(&self, dir: impl AsFd, name: &[u8], access: OFlags) -> Result<OwnedFd, Errno> {
        let fd = open(dir, name, access)?;
        self.check(&fd)?;
        Ok(fd)
    }
}

impl From<&Standing> for Identity {
    fn from(old: &Standing) -> Self {
        Self { kind: old.kind, device: old.device, inode: old.inode, born: None }
    }
}

/// The type of the file system that something open is on; 0 where that is not told.
fn magic(fd: impl AsFd) -> u32 {
    // Its type has another width on each machine, and a sign on some.
    rustix::fs::fstatfs(fd).map_or(0, |all| u32::try_from(i128::from(all.f_type) & 0xffff_ffff).unwrap_or(0))
}

/// True where a number that was met before may be that of something else.
pub(crate) fn is_loose(fd: impl AsFd) -> bool {
    LOOSE.contains(&magic(fd))
}

/// True when both are the same thing for certain: while they are open neither can have the other's number.
pub(crate) fn are_one(one: impl AsFd, other: impl AsFd) -> Result<bool, Errno> {
    let (one, other) = (Identity::of(one)?, Identity::of(other)?);
    Ok(one.number().is_some() && one.is(&other))
}

/// Opens what was looked at, as it was then: `STALE` for anything else, also for something with its number.
pub(crate) fn open_judged(dir: impl AsFd, name: &[u8], access: OFlags, old: &Standing) -> Result<OwnedFd, Errno> {
    let fd = open(dir, name, access)?;
    let now = Standing::from(rustix::fs::fstat(&fd)?);
    let all = |it: &Standing| (it.kind, it.device, [it.uid, it.gid, it.mode]);
    let is_numbered_so = now.inode == old.inode || is_loose(&fd);
    if all(&now) == all(old) && is_numbered_so { Ok(fd) } else { Err(Errno::STALE) }
}

/// Opens what has the name, and follows no link; `STALE` when that is nothing of the kind.
pub(crate) fn open(dir: impl AsFd, name: &[u8], access: OFlags) -> Result<OwnedFd, Errno> {
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO => Errno::STALE,
        errno => errno,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXT4: u32 = 0xef53;

    fn folder(inode: u64, born: Option<(i64, u32)>) -> Identity {
        Identity { kind: FileType::Directory, device: 1, inode, born }
    }

    #[test]
    fn another_number_or_birth_is_another_thing_only_where_they_stay() {
        let old = folder(7, Some((1, 0)));
        let (renumbered, reborn) = (folder(8, Some((1, 0))), folder(7, Some((2, 0))));
        let another = folder(8, Some((2, 0)));
        for now in [renumbered, reborn, another] {
            assert!(!old.is(&now) && !old.may_be(&now, EXT4) && !old.may_be(&now, 0), "{now:?}");
            assert!(LOOSE.iter().all(|magic| old.may_be(&now, *magic)), "{now:?}");
        }
        // What is changed moves to the upper layer; folders of another file system get numbers as they come.
        assert!(old.may_be(&renumbered, OVERLAY) && old.may_be(&reborn, OVERLAY) && !old.may_be(&another, OVERLAY));
        assert!(!folder(7, None).may_be(&folder(8, None), OVERLAY), "neither tells");
        let file = |it: Identity| Identity { kind: FileType::RegularFile, ..it };
        assert!(!file(old).may_be(&file(renumbered), OVERLAY), "files have the numbers of their layer");
        for magic in [EXT4, OVERLAY, LOOSE[0], LOOSE[2]] {
            assert!(!old.may_be(&file(old), magic), "another kind");
            assert!(!old.may_be(&Identity { device: 2, ..old }, magic), "another device");
        }
    }

    #[test]
    fn what_has_no_number_is_never_the_same_for_certain() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = |name: &str| {
            let place = folder.path().join(name);
            std::fs::File::options().write(true).create(true).truncate(false).open(place).expect("a file")
        };
        assert_eq!(are_one(open("one"), open("one")), Ok(true));
        assert_eq!(are_one(open("one"), open("other")), Ok(false));
        assert_eq!(self::folder(0, None).number(), None);
        assert_ne!(magic(open("one")), 0, "it tells its type");
    }
}
