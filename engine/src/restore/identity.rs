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

    /// Device and inode.
    pub(crate) fn number(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// True for the same thing, as far as both tell.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let is_one_birth = self.born.zip(other.born).is_none_or(|(one, other)| one == other);
        (self.kind, self.number()) == (other.kind, other.number()) && is_one_birth
    }

    /// `STALE` when what is open is something else.
    pub(crate) fn check(&self, fd: impl AsFd) -> Result<(), Errno> {
        if self.is(&Self::of(fd)?) { Ok(()) } else { Err(Errno::STALE) }
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

/// Opens what was looked at, as it was then: `STALE` for anything else, also for something with its number.
pub(crate) fn open_judged(dir: impl AsFd, name: &[u8], access: OFlags, old: &Standing) -> Result<OwnedFd, Errno> {
    let fd = open(dir, name, access)?;
    let now = Standing::from(rustix::fs::fstat(&fd)?);
    let all = |it: &Standing| (it.kind, [it.device, it.inode], [it.uid, it.gid, it.mode]);
    if all(&now) == all(old) { Ok(fd) } else { Err(Errno::STALE) }
}

/// Opens what has the name, and follows no link; `STALE` when that is nothing of the kind.
pub(crate) fn open(dir: impl AsFd, name: &[u8], access: OFlags) -> Result<OwnedFd, Errno> {
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO => Errno::STALE,
        errno => errno,
    })
}
