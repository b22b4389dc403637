//! Makes and enters directories so that what is under their names later is known for what it was then.
//!
//! Whoever owns the directory above may rename what is made in it before it is opened, and put something else there. So it
//! is trusted only when it is as this job makes it: ours, empty, for nobody else, and none that this job has made already.

use crate::restore::flags;
use crate::restore::identity::Identity;
use crate::restore::identity::is_loose;
use crate::restore::identity::open;
use crate::restore::site::Site;
use crate::restore::target::Dir;
use crate::restore::target::is_empty;
use crate::restore::target::make_temp;
use rustix::fs::AtFlags;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Makes a directory where nothing stands; `STALE` when something else has its name by the time it is opened.
pub(crate) fn make(site: &Site, parent: &Arc<Dir>, name: &[u8], mode: u32) -> Result<Arc<Dir>, Errno> {
    let above = site.target.handle(parent)?;
    let make = || rustix::fs::mkdirat(&above, name, Mode::from_raw_mode(mode));
    flags::insist(site, &[(&above, b".")], make)?;
    if parent.is_made() {
        // Nobody else may change anything in there.
        return Ok(Dir::below(parent, name, true, parent.plain));
    }
    let fd = open_made(&above, name, mode, site.target.me)?;
    let identity = Identity::of(&fd)?;
    if !site.target.note_made(&identity) && !is_loose(&fd) {
        return Err(Errno::STALE);
    }
    let dir = Dir::below(parent, name, true, site.target.is_plain(&fd));
    site.target.keep(&dir, fd, identity);
    Ok(dir)
}

/// Opens a directory that was just made; `STALE` when it is none that this process makes there.
pub(crate) fn open_made(above: &OwnedFd, name: &[u8], mode: u32, me: u32) -> Result<OwnedFd, Errno> {
    let fd = open(above, name, OFlags::PATH | OFlags::DIRECTORY)?;
    let stat = rustix::fs::fstat(&fd)?;
    let (is_mine, is_narrow) = (stat.st_uid == me, stat.st_mode & 0o777 & !mode == 0);
    let is_as_made = is_mine && is_narrow || {
        let given = Given::look(above)?;
        stat.st_uid == given.uid && (is_narrow || !given.keeps_modes)
    };
    if is_as_made && is_empty(&fd)? { Ok(fd) } else { Err(Errno::STALE) }
}

/// What the file system makes of whatever this process makes: some have one owner and one mode for everything (FAT, CIFS),
/// and a server may give what root makes to somebody else. A file tells, and not a directory: what its handle says of it
/// cannot come from something that took its name. Its mode says nothing of those of directories (`fmask`, `dmask`), but
/// where a file takes two modes, one after the other, a directory has the one that it is made with.
struct Given {
    uid: u32,
    keeps_modes: bool,
}

impl Given {
    fn look(dir: &OwnedFd) -> Result<Self, Errno> {
        let create = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let make = |temp: &[u8]| rustix::fs::openat(dir, temp, create, Mode::RUSR | Mode::WUSR);
        let (fd, temp) = make_temp(make)?;
        let first = rustix::fs::fstat(&fd);
        // Where that is refused, the mode tells.
        let _ = rustix::fs::fchmod(&fd, Mode::RWXU);
        let then = rustix::fs::fstat(&fd);
        let _ = rustix::fs::unlinkat(dir, temp.as_slice(), AtFlags::empty());
        let (first, then) = (first?, then?);
        // A umask may have taken more away.
        let keeps_modes = first.st_mode & 0o777 & !0o600 == 0 && then.st_mode & 0o777 == 0o700;
        Ok(Self { uid: first.st_uid, keeps_modes })
    }
}
