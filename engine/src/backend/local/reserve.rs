//! The reserve: room set aside, so that a full disk can still be pruned.

use super::Folder;
use super::durable::settle;
use super::failure::failed;
use super::failure::is_unknown_call;
use super::failure::retried;
use crate::error::Kind;
use crate::error::Result;
use crate::limits::RESERVE_BYTES;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use std::io;

/// The reserve's file name; no object has it.
pub(super) const RESERVE: &str = "reserve";
/// A file system with less room than this gets no reserve: it would be felt.
const ROOM_BYTES_MIN: u64 = 4 << 30;

const _: () = assert!(ROOM_BYTES_MIN >= 4 * RESERVE_BYTES);

impl Folder {
    pub(super) fn make_reserve(&self) -> Result<bool> {
        let doing = || format!("cannot set room aside in {}", self.root.display());
        self.must_stand()?;
        if self.stat_below(RESERVE).is_ok() {
            return Ok(true);
        }
        let room = retried(|| rustix::fs::statvfs(&self.root)).map_err(|cause| failed(doing(), cause))?;
        if room.f_bavail.saturating_mul(room.f_frsize) < ROOM_BYTES_MIN {
            return Ok(false);
        }
        let made = self.stage(&doing, |staged| {
            let written = retried(|| rustix::fs::fallocate(&staged.file, FallocateFlags::empty(), 0, RESERVE_BYTES))
                .and_then(|()| settle(&staged.file, RESERVE_BYTES))
                .and_then(|()| self.publish(staged, RESERVE));
            match written {
                Ok(()) => Ok(true),
                // Leaves the file without its name: taken back here, as staging succeeds.
                Err(cause) if is_no_failure(&cause) => {
                    staged.remove().map_err(|cause| failed(doing(), cause))?;
                    Ok(self.stat_below(RESERVE).is_ok())
                }
                Err(cause) => Err(failed(doing(), cause)),
            }
        });
        match made {
            Ok(true) => {
                self.queue_sync(&self.root);
                self.sync_pending().map(|()| true)
            }
            Err(error) if error.kind() == Kind::NoSpace => Ok(false),
            other => other,
        }
    }

    pub(super) fn release_reserve(&self) -> Result<bool> {
        let doing = || format!("cannot release the room set aside in {}", self.root.display());
        match self.remove_below(RESERVE) {
            Ok(()) => {
                self.queue_sync(&self.root);
                self.sync_pending().map(|()| true)
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => self.must_stand().map(|()| false),
            Err(cause) => Err(failed(doing(), cause)),
        }
    }
}

/// No room, no such call, or another process was quicker.
fn is_no_failure(cause: &io::Error) -> bool {
    match Errno::from_io_error(cause) {
        Some(Errno::NOSPC | Errno::DQUOT | Errno::EXIST) => true,
        Some(errno) => is_unknown_call(errno),
        None => false,
    }
}
