//! Restores what has no content: symbolic links, devices, pipes and sockets.

use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::event::Action;
use crate::restore::flags;
use crate::restore::identity::Identity;
use crate::restore::identity::open_judged;
use crate::restore::judge::Standing;
use crate::restore::metadata;
use crate::restore::owner::Owner;
use crate::restore::site::Site;
use crate::restore::target::Dir;
use crate::restore::target::make_temp;
use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// What is to become of one entry without content.
pub(crate) struct Special<'a> {
    pub(crate) place: &'a EntryPath,
    pub(crate) dir: &'a Arc<Dir>,
    pub(crate) want: &'a Metadata,
    pub(crate) owner: Owner,
    /// What stands there.
    pub(crate) standing: Option<&'a Standing>,
    /// What stands there may be kept when it is the same.
    pub(crate) keeps: bool,
}

/// Makes the entry, or only sets its metadata when the same stands there; what it is then, if it is.
pub(crate) fn put(site: &Site, special: &Special<'_>) -> Option<Identity> {
    match try_put(site, special) {
        Ok((action, identity)) => {
            site.tally.done(special.place, action, 0);
            identity
        }
        Err(errno) => {
            site.tally.io(special.place, "make", errno);
            None
        }
    }
}

fn try_put(site: &Site, special: &Special<'_>) -> Result<(Action, Option<Identity>), Errno> {
    let Special { place, dir, want, owner, standing, keeps } = *special;
    if site.options.dry_run && dir.fresh {
        return Ok((Action::New, None));
    }
    let fd = site.target.handle(dir)?;
    let name = place.name();
    let action = match standing {
        None => Action::New,
        Some(old) if keeps && is_same(&fd, name, want, old) => Action::Unchanged,
        Some(_) => Action::Changed,
    };
    if site.options.dry_run {
        return Ok((action, None));
    }
    let put = match (action, standing) {
        (Action::New, _) => {
            flags::insist(site, &[(&fd, b".")], || make(&fd, name, want))?;
            let new = made(site, &fd, name, want)?;
            metadata::apply_named(site, place, &new, want, owner);
            new
        }
        (Action::Unchanged, Some(old)) => {
            let same = open_judged(&fd, name, OFlags::PATH, old)?;
            metadata::apply_named(site, place, &same, want, owner);
            same
        }
        _ => {
            let make = |temp: &[u8]| flags::insist(site, &[(&fd, b".")], || make(&fd, temp, want));
            let ((), temp) = make_temp(make)?;
            let named = made(site, &fd, &temp, want).and_then(|new| {
                metadata::apply_named(site, place, &new, want, owner);
                let rename = || rustix::fs::renameat(&fd, temp.as_slice(), &fd, name);
                flags::insist(site, &[(&fd, name), (&fd, &temp)], rename).map(|()| new)
            });
            if named.is_err() {
                let _ = rustix::fs::unlinkat(&fd, temp.as_slice(), AtFlags::empty());
            }
            named?
        }
    };
    Ok((action, Some(Identity::of(&put)?)))
}

/// Makes it for nobody but us: owner, access list and mode come later, in this order.
fn make(dir: &OwnedFd, name: &[u8], want: &Metadata) -> Result<(), Errno> {
    let node = |kind, rdev| rustix::fs::mknodat(dir, name, kind, Mode::RUSR | Mode::WUSR, rdev);
    match &want.kind {
        FileKind::Symlink { target } => rustix::fs::symlinkat(target.as_slice(), dir, name),
        FileKind::Fifo => node(FileType::Fifo, 0),
        FileKind::Socket => node(FileType::Socket, 0),
        FileKind::CharDevice { rdev } => node(FileType::CharacterDevice, *rdev),
        FileKind::BlockDevice { rdev } => node(FileType::BlockDevice, *rdev),
        FileKind::File | FileKind::Stream | FileKind::Directory => Err(Errno::INVAL),
    }
}

/// A handle of what was just made. Whoever may change the directory may have put something else there, which must not
/// get an owner and a mode that are not its own.
fn made(site: &Site, dir: &OwnedFd, name: &[u8], want: &Metadata) -> Result<OwnedFd, Errno> {
    let fd = open(dir, name)?;
    let stat = rustix::fs::fstat(&fd)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    // A server that squashes root gives what root makes to somebody else; a link is nobody's secret.
    let is_ours = stat.st_uid == site.target.me || kind == FileType::Symlink;
    if is_kind(want, kind, stat.st_rdev) && is_ours && stat.st_nlink == 1 { Ok(fd) } else { Err(Errno::STALE) }
}

fn open(dir: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

fn is_same(dir: &OwnedFd, name: &[u8], want: &Metadata, old: &Standing) -> bool {
    let has_text =
        |target: &[u8]| rustix::fs::readlinkat(dir, name, Vec::new()).is_ok_and(|text| text.as_bytes() == target);
    is_kind(want, old.kind, old.rdev)
        && match &want.kind {
            FileKind::Symlink { target } => has_text(target),
            _ => true,
        }
}

fn is_kind(want: &Metadata, kind: FileType, number: u64) -> bool {
    match &want.kind {
        FileKind::Symlink { .. } => kind == FileType::Symlink,
        FileKind::Fifo => kind == FileType::Fifo,
        FileKind::Socket => kind == FileType::Socket,
        FileKind::CharDevice { rdev } => kind == FileType::CharacterDevice && number == *rdev,
        FileKind::BlockDevice { rdev } => kind == FileType::BlockDevice && number == *rdev,
        FileKind::File | FileKind::Stream | FileKind::Directory => false,
    }
}
