//! Ends a window: further names of inodes, removal of strangers, and the metadata of directories that are complete.

use crate::event::Action;
use crate::restore::flags;
use crate::restore::metadata;
use crate::restore::names;
use crate::restore::patch;
use crate::restore::remove;
use crate::restore::select::Select;
use crate::restore::site::Site;
use crate::restore::window::LeftDir;
use crate::restore::window::Window;
use rustix::fs::Mode;
use rustix::fs::OFlags;

/// A handle that metadata is set through.
const OPEN: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// What is left to do when all files of a window are written.
pub(crate) fn window(site: &Site, select: &Select, window: &Window) {
    for link in &window.links {
        if site.tally.is_halted() {
            return;
        }
        names::link(site, link);
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

/// Owner, mode, attributes and times of a directory, now that nothing in it changes any more.
fn directory(site: &Site, left: &LeftDir) {
    // The target itself has metadata when the entry asked for is a folder.
    let Some(path) = left.place.as_ref().or(site.options.path.as_ref()) else { return };
    let mut has_mode = false;
    if let Some((metadata, owner)) = left.metadata.as_ref().filter(|_| !site.options.dry_run) {
        match site.target.handle(&left.dir).and_then(|dir| rustix::fs::openat(dir, ".", OPEN, Mode::empty())) {
            Ok(fd) => {
                let bare = !left.existed && left.dir.parent().is_some_and(|parent| parent.plain) && left.dir.plain;
                if left.place.is_none() {
                    patch::unmark_folder(&fd);
                }
                metadata::apply(site, path, &fd, metadata, *owner, bare);
                flags::settle(site, path, &fd, metadata.flags, bare);
                has_mode = true;
            }
            Err(errno) => site.tally.io(path, "set the metadata of", errno),
        }
    }
    if let Err(errno) = site.opened.leave(&site.target, &left.dir, has_mode) {
        site.tally.io(path, "put back the mode of", errno);
    }
    left.dir.close();
    if left.selected
        && let Some(place) = &left.place
    {
        site.tally.done(place, if left.existed { Action::Unchanged } else { Action::New }, 0);
    }
}
