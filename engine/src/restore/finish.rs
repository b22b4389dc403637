//! Ends a window: further names of inodes, removal of strangers, and the metadata of directories that are complete.

use crate::event::Action;
use crate::restore::file;
use crate::restore::file::FileJob;
use crate::restore::file::FilePlan;
use crate::restore::file::How;
use crate::restore::flags;
use crate::restore::judge::Standing;
use crate::restore::metadata;
use crate::restore::remove;
use crate::restore::select::Select;
use crate::restore::site::Site;
use crate::restore::special;
use crate::restore::window::LeftDir;
use crate::restore::window::Link;
use crate::restore::window::Window;
use rustix::fs::AtFlags;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Bytes copied at once.
const COPY_BYTES: usize = 1 << 20;

/// What is left to do when all files of a window are written.
pub(crate) fn window(site: &Site, select: &Select, window: &Window) {
    for link in &window.links {
        if site.tally.is_halted() {
            return;
        }
        self::link(site, link);
    }
    for left in &window.left {
        if site.tally.is_halted() {
            return;
        }
        // As long as nothing was selected, what is missing from the snapshot may be a wrong pattern.
        if window.selected > 0 {
            remove::strangers(site, select, left);
        }
        directory(site, left);
    }
}

/// Counts what a dry run would have written.
pub(crate) fn dry_run(site: &Site, window: &Window) {
    for share in &window.shares {
        let wanted = window.pieces_of(share).iter().filter(|piece| piece.wanted);
        site.tally.wrote(wanted.map(|piece| u64::from(piece.length)).sum());
        if share.last && !share.file.is_failed() {
            let action = match &share.file.plan.standing {
                Some(_) if share.file.is_touched() => Action::Changed,
                Some(_) => Action::Unchanged,
                None => Action::New,
            };
            site.tally.done(&share.file.plan.path, action, share.file.plan.bytes);
        }
    }
}

fn link(site: &Site, link: &Link) {
    if link.original.file.as_ref().is_some_and(|file| file.is_failed()) {
        return site.tally.fail(Some(&link.path), "it is a hard link to a file that could not be restored", true);
    }
    site.tally.passed(link.bytes);
    if site.options.dry_run {
        return site.tally.done(&link.path, Action::New, link.bytes);
    }
    match try_link(site, link) {
        Ok(action) => site.tally.done(&link.path, action, link.bytes),
        Err(Errno::MLINK | Errno::XDEV | Errno::PERM | Errno::OPNOTSUPP) => {
            if let Err(errno) = copy(site, link) {
                site.tally.io(&link.path, "copy the linked file to", errno);
            }
        }
        Err(errno) => site.tally.io(&link.path, "link", errno),
    }
}

fn try_link(site: &Site, link: &Link) -> Result<Action, Errno> {
    let from = site.target.handle(&link.original.dir)?;
    let to = site.target.handle(&link.dir)?;
    let name = &*link.original.name;
    if link.standing.is_none() {
        let make = || rustix::fs::linkat(&from, name, &to, &*link.name, AtFlags::empty());
        flags::insist(site, &[(&from, name), (&to, &link.name)], make)?;
        return Ok(Action::New);
    }
    let stat = |dir: &OwnedFd, name: &[u8]| rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
    let (original, standing) = (Standing::from(stat(&from, name)?), Standing::from(stat(&to, &link.name)?));
    if (original.device, original.inode) == (standing.device, standing.inode) {
        return Ok(Action::Unchanged);
    }
    let temp = site.target.temp_name();
    let make = || rustix::fs::linkat(&from, name, &to, temp.as_slice(), AtFlags::empty());
    flags::insist(site, &[(&from, name), (&to, b".")], make)?;
    let rename = || rustix::fs::renameat(&to, temp.as_slice(), &to, &*link.name);
    if let Err(errno) = flags::insist(site, &[(&to, &link.name), (&to, &temp)], rename) {
        let _ = rustix::fs::unlinkat(&to, temp.as_slice(), AtFlags::empty());
        return Err(errno);
    }
    Ok(Action::Changed)
}

/// Where links cannot be made, the further name becomes a file of its own.
fn copy(site: &Site, link: &Link) -> Result<(), Errno> {
    let original = &link.original;
    let Some(first) = &original.file else {
        let (metadata, owner) = (&original.metadata, original.owner);
        special::put(site, &link.path, &link.dir, metadata, owner, link.standing.as_ref());
        return Ok(());
    };
    let from = first.open_by_name(site, OFlags::RDONLY)?;
    let length = first.length();
    let copy = FileJob::new(FilePlan {
        path: link.path.clone(),
        dir: Arc::clone(&link.dir),
        name: link.name.clone(),
        metadata: original.metadata.clone(),
        owner: original.owner,
        how: How::Replace,
        standing: link.standing,
        map: None,
        bytes: length,
        single: false,
        reuse: false,
    });
    copy.touch();
    let mut at = 0;
    let mut buffer = vec![0u8; COPY_BYTES];
    while at < length {
        let take = usize::try_from(length - at).unwrap_or(COPY_BYTES).min(COPY_BYTES);
        let part = buffer.get_mut(..take).unwrap_or_default();
        let whole = file::read_all(&from, at, part);
        let done = whole.and_then(|whole| if whole { copy.write_raw(site, at, part) } else { Err(Errno::IO) });
        if let Err(errno) = done {
            copy.discard(site);
            site.ended(&copy);
            return Err(errno);
        }
        at += take as u64;
    }
    copy.settle(site, 1);
    Ok(())
}

/// Owner, mode, attributes and times of a directory, now that nothing in it changes any more.
fn directory(site: &Site, left: &LeftDir) {
    let Some(place) = &left.place else { return };
    let mut has_mode = false;
    if let Some((metadata, owner)) = left.metadata.as_ref().filter(|_| !site.options.dry_run) {
        match open(site, left) {
            Ok(fd) => {
                let bare = !left.existed && left.dir.plain;
                metadata::apply(site, place, &fd, metadata, *owner, bare);
                flags::settle(site, place, &fd, metadata.flags, bare);
                has_mode = true;
            }
            Err(errno) => site.tally.io(place, "set the metadata of", errno),
        }
    }
    if let Err(errno) = site.opened.leave(&site.target, &left.dir, has_mode) {
        site.tally.io(place, "put back the mode of", errno);
    }
    left.dir.close();
    if left.selected {
        site.tally.done(place, if left.existed { Action::Unchanged } else { Action::New }, 0);
    }
}

fn open(site: &Site, left: &LeftDir) -> Result<OwnedFd, Errno> {
    let parent = left.dir.parent().ok_or(Errno::INVAL)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(site.target.handle(parent)?, left.dir.name(), flags, Mode::empty())
}
