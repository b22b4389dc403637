//! Modes of directories while something in them is restored: those that their owner had shut for himself are opened, and
//! those that are open to more than they will be are shut first.

use crate::entry::Metadata;
use crate::restore::judge::Standing;
use crate::restore::metadata;
use crate::restore::owner::Owner;
use crate::restore::site::Site;
use crate::restore::target::Dir;
use crate::restore::target::Target;
use crate::restore::trust;
use rustix::fs::AtFlags;
use rustix::fs::Mode;
use rustix::fs::Uid;
use rustix::io::Errno;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

/// The modes that are to be put back, outer directories first.
#[derive(Default)]
pub(crate) struct Opened(Mutex<Vec<(Arc<Dir>, u32)>>);

impl Opened {
    /// Lets the owner into an existing directory of mode `mode`.
    pub(crate) fn widen(&self, dir: &Arc<Dir>, fd: &OwnedFd, mode: u32) -> Result<(), Errno> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((Arc::clone(dir), mode));
        set_mode(fd, mode | 0o700)
    }

    /// Nothing in the directory is restored any more; its mode is put back unless it got one of its own.
    pub(crate) fn leave(&self, target: &Target, dir: &Arc<Dir>, has_mode: bool) -> Result<(), Errno> {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(at) = list.iter().rposition(|(other, _)| Arc::ptr_eq(other, dir)) else { return Ok(()) };
        let (dir, mode) = list.remove(at);
        drop(list);
        if has_mode { Ok(()) } else { set_mode(&*target.handle(&dir)?, mode) }
    }

    /// Puts every mode back that is left, inner directories first: a shut one cannot be reached through.
    pub(crate) fn leave_all(&self, target: &Target) {
        let list = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for (dir, mode) in list.into_iter().rev() {
            // Whoever moved or removed it meanwhile decides about it.
            let _ = target.handle(&dir).and_then(|fd| set_mode(&fd, mode));
        }
    }
}

/// Takes an existing directory out of the hands that it will not be in, before anything in it is written; its mode then. It
/// is not in those that it will be in either: root's own stays root's, and anybody else's becomes so, until nothing in it is
/// written any more. What does not work is told when its owner and mode are set for good.
pub(crate) fn narrow(site: &Site, fd: &OwnedFd, old: &Standing, want: &Metadata, owner: Owner) -> u32 {
    let me = site.target.me;
    let is_others = owner.uid.is_some_and(|uid| uid != old.uid && uid != u32::MAX) && old.uid != me;
    if is_others && site.target.is_root() {
        let _ = rustix::fs::chownat(fd, "", Some(Uid::from_raw(me)), None, AtFlags::EMPTY_PATH);
    }
    let is_of_group = !site.target.is_root() || owner.gid.is_none_or(|gid| gid == old.gid);
    let place = format!("/proc/self/fd/{}/.", fd.as_raw_fd()).into_bytes();
    let group = if is_of_group && trust::gives_no_more(place, old, want) { 0 } else { 0o070 };
    let mode = old.mode & (metadata::recorded_mode(want) | 0o7000) & !group;
    if mode != old.mode && set_mode(fd, mode).is_err() { old.mode } else { mode }
}

fn set_mode(fd: &OwnedFd, mode: u32) -> Result<(), Errno> {
    // The handle is for looking only: a mode is set through its name in /proc.
    rustix::fs::chmod(format!("/proc/self/fd/{}", fd.as_raw_fd()), Mode::from_raw_mode(mode))
}
