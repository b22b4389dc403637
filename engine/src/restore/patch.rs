//! Files that are changed in place: marked before the first byte, so that one left midway is never taken for whole.
//!
//! The mark is an extended attribute. Where there are none, the file gets a time before the snapshot's, again after
//! every write, so that no overwrite policy that looks at times calls it unchanged or newer.

use crate::entry::Xattr;
use crate::restore::metadata;
use crate::restore::site::Site;
use crate::restore::target::Dir;
use crate::time::Timestamp;
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// What a file has while it is neither the old one nor the new one.
const MARK: &[u8] = b"user.strongroom.unfinished";

/// One file that is being changed.
pub(super) struct Patch {
    marked: bool,
    /// Older than the snapshot's.
    time: Timestamp,
}

impl Patch {
    /// Marks the file durably: the bytes that follow may reach the disk before anything else does.
    pub(super) fn begin(fd: &OwnedFd, modified: Timestamp) -> Result<Self, Errno> {
        let marked = rustix::fs::fsetxattr(fd, MARK, &[], XattrFlags::empty()).is_ok();
        let patch = Self { marked, ..Self::unmarked(modified) };
        patch.wrote(fd)?;
        rustix::fs::fsync(fd)?;
        Ok(patch)
    }

    fn unmarked(modified: Timestamp) -> Self {
        let seconds = if modified.seconds > 0 { 0 } else { modified.seconds.saturating_sub(1) };
        Self { marked: false, time: Timestamp { seconds, nanoseconds: 0 } }
    }

    /// After every write, which gives a file the time of the clock.
    pub(super) fn wrote(&self, fd: &OwnedFd) -> Result<(), Errno> {
        if self.marked { Ok(()) } else { rustix::fs::futimens(fd, &metadata::times(self.time)) }
    }

    /// The file is the new one: its bytes must not be lost when the mark is.
    pub(super) fn end(&self, fd: &OwnedFd) -> Result<(), Errno> {
        rustix::fs::fdatasync(fd)?;
        if self.marked { rustix::fs::fremovexattr(fd, MARK) } else { Ok(()) }
    }
}

/// True when the file of that name was left midway by an earlier restore.
pub(super) fn is_unfinished(site: &Site, dir: &Arc<Dir>, name: &[u8]) -> bool {
    let Ok(dir) = site.target.handle(dir) else { return false };
    let mut place = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    place.extend_from_slice(name);
    rustix::fs::lgetxattr(place, MARK, &mut [0u8; 1]).is_ok()
}

/// Marks the folder that the target is: what it gets at the end it has not yet. Without attributes that is not remembered.
pub(super) fn mark_folder(fd: &OwnedFd) {
    let _ = rustix::fs::setxattr(format!("/proc/self/fd/{}", fd.as_raw_fd()), MARK, &[], XattrFlags::empty());
}

/// True when an earlier restore was stopped before the folder that the target is got what is its own.
pub(super) fn is_folder_marked(fd: &OwnedFd) -> bool {
    rustix::fs::getxattr(format!("/proc/self/fd/{}", fd.as_raw_fd()), MARK, &mut [0u8; 1]).is_ok()
}

/// The folder gets what is its own now.
pub(super) fn unmark_folder(fd: &OwnedFd) {
    let _ = rustix::fs::fremovexattr(fd, MARK);
}

/// True for the mark itself, which a backup of such a file has kept.
pub(super) fn is_mark(xattr: &Xattr) -> bool {
    xattr.name == MARK
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::Overwrite;
    use crate::restore::judge::Judgement;
    use crate::restore::judge::Standing;
    use crate::restore::judge::judge_file;

    #[test]
    fn without_marks_the_time_tells_that_a_file_is_not_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        for seconds in [1_700_000_000, 1, 0, -5] {
            let modified = Timestamp { seconds, nanoseconds: 3 };
            let file = OwnedFd::from(std::fs::File::create(folder.path().join("file")).expect("a file"));
            let patch = Patch::unmarked(modified);
            rustix::io::pwrite(&file, b"half", 0).expect("written");
            patch.wrote(&file).expect("a time");
            let standing = Standing::from(rustix::fs::fstat(&file).expect("it is there"));
            for policy in [Overwrite::Always, Overwrite::IfChanged, Overwrite::IfNewer] {
                assert_eq!(judge_file(policy, Some(&standing), modified, 4), Judgement::Write, "{policy:?} {seconds}");
            }
        }
    }
}
