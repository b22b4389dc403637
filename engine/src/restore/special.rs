//! Restores what has no content: symbolic links, devices, pipes and sockets.

use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::event::Action;
use crate::restore::flags;
use crate::restore::judge::Standing;
use crate::restore::metadata;
use crate::restore::owner::Owner;
use crate::restore::site::Site;
use crate::restore::target::Dir;
use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Makes the entry, or only sets its metadata when the same stands there.
pub(crate) fn put(
    site: &Site,
    place: &EntryPath,
    dir: &Arc<Dir>,
    want: &Metadata,
    owner: Owner,
    standing: Option<&Standing>,
) {
    match try_put(site, place, dir, want, owner, standing) {
        Ok(action) => site.tally.done(place, action, 0),
        Err(errno) => site.tally.io(place, "make", errno),
    }
}

fn try_put(
    site: &Site,
    place: &EntryPath,
    dir: &Arc<Dir>,
    want: &Metadata,
    owner: Owner,
    standing: Option<&Standing>,
) -> Result<Action, Errno> {
    if site.options.dry_run && dir.fresh {
        return Ok(Action::New);
    }
    let fd = site.target.handle(dir)?;
    let name = place.name();
    let action = match standing {
        None => Action::New,
        Some(old) if is_same(&fd, name, want, old) => Action::Unchanged,
        Some(_) => Action::Changed,
    };
    if site.options.dry_run {
        return Ok(action);
    }
    match action {
        Action::New => flags::insist(site, &[(&fd, b".")], || make(&fd, name, want))?,
        Action::Unchanged => {}
        _ => {
            let temp = site.target.temp_name();
            flags::insist(site, &[(&fd, b".")], || make(&fd, &temp, want))?;
            let rename = || rustix::fs::renameat(&fd, temp.as_slice(), &fd, name);
            if let Err(errno) = flags::insist(site, &[(&fd, name), (&fd, &temp)], rename) {
                let _ = rustix::fs::unlinkat(&fd, temp.as_slice(), AtFlags::empty());
                return Err(errno);
            }
        }
    }
    metadata::apply_named(site, place, &fd, name, want, owner);
    Ok(action)
}

fn make(dir: &OwnedFd, name: &[u8], want: &Metadata) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(want.mode & 0o777);
    let node = |kind, rdev| rustix::fs::mknodat(dir, name, kind, mode, rdev);
    match &want.kind {
        FileKind::Symlink { target } => rustix::fs::symlinkat(target.as_slice(), dir, name),
        FileKind::Fifo => node(FileType::Fifo, 0),
        FileKind::Socket => node(FileType::Socket, 0),
        FileKind::CharDevice { rdev } => node(FileType::CharacterDevice, *rdev),
        FileKind::BlockDevice { rdev } => node(FileType::BlockDevice, *rdev),
        FileKind::File | FileKind::Stream | FileKind::Directory => Err(Errno::INVAL),
    }
}

fn is_same(dir: &OwnedFd, name: &[u8], want: &Metadata, old: &Standing) -> bool {
    match &want.kind {
        FileKind::Symlink { target } => {
            old.kind == FileType::Symlink
                && rustix::fs::readlinkat(dir, name, Vec::new()).is_ok_and(|text| text.as_bytes() == target.as_slice())
        }
        FileKind::Fifo => old.kind == FileType::Fifo,
        FileKind::Socket => old.kind == FileType::Socket,
        FileKind::CharDevice { rdev } => old.kind == FileType::CharacterDevice && old.rdev == *rdev,
        FileKind::BlockDevice { rdev } => old.kind == FileType::BlockDevice && old.rdev == *rdev,
        FileKind::File | FileKind::Stream | FileKind::Directory => false,
    }
}
