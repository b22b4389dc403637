//! The reserve: room set aside, so that a full disk can still be pruned.

use super::Folder;
use super::durable::settle;
use super::failure::failed;
use super::failure::is_unknown_call;
use super::failure::retried;
use crate::error::Kind;
use crate::error::Result;
use crate::limits::RESERVE_BYTES_LEAST;
use crate::limits::RESERVE_BYTES_MAX;
use crate::limits::RESERVE_BYTES_MIN;
use crate::limits::RESERVE_DISK_SHARE;
use crate::limits::RESERVE_FREE_SHARE;
use crate::limits::RESERVE_STORED_SHARE;
use rustix::fs::FallocateFlags;
use rustix::fs::FileType;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::File;
use std::io;

/// The reserve's file name; no object has it.
pub(super) const RESERVE: &str = "reserve";

impl Folder {
    /// Makes it, or makes it larger where it has become far too small for what is `stored`.
    pub(super) fn make_reserve(&self, stored: u64) -> Result<bool> {
        let doing = || format!("cannot set room aside in {}", self.root.display());
        self.must_stand()?;
        let there = match self.stat_below(RESERVE) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                Some(u64::try_from(stat.st_size).unwrap_or_default())
            }
            // Something of somebody else: not to be touched.
            Ok(_) => return Ok(false),
            Err(_) => None,
        };
        let room = retried(|| rustix::fs::statvfs(&self.root)).map_err(|cause| failed(doing(), cause))?;
        let bytes = |blocks: u64| blocks.saturating_mul(room.f_frsize);
        let free = bytes(room.f_bavail).saturating_add(there.unwrap_or_default());
        let wanted = wanted(stored, bytes(room.f_blocks), free);
        match there {
            Some(there) if wanted / 2 <= there => Ok(true),
            Some(_) => self.extend_reserve(wanted, &doing),
            None if wanted < RESERVE_BYTES_LEAST => Ok(false),
            None => self.new_reserve(wanted, &doing),
        }
    }

    fn new_reserve(&self, wanted: u64, doing: &dyn Fn() -> String) -> Result<bool> {
        let made = self.stage(doing, |staged| {
            let written = retried(|| rustix::fs::fallocate(&staged.file, FallocateFlags::empty(), 0, wanted))
                .and_then(|()| settle(&staged.file, wanted))
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

    /// What cannot be added is no failure: the smaller one is there.
    fn extend_reserve(&self, wanted: u64, doing: &dyn Fn() -> String) -> Result<bool> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let opened = self.top().and_then(|top| self.open_from(&top, RESERVE, flags));
        let extended = opened.and_then(|file| {
            // A further name would be that of somebody else's file.
            if rustix::fs::fstat(&file)?.st_nlink != 1 {
                return Ok(());
            }
            retried(|| rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, wanted))?;
            settle(&File::from(file), wanted)
        });
        match extended {
            Err(cause) if !is_no_failure(&cause) => Err(failed(doing(), cause)),
            _ => Ok(true),
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

/// How many bytes to set aside where so many are stored, on a file system of that size with so much room.
fn wanted(stored: u64, disk: u64, free: u64) -> u64 {
    let by_need = (stored / RESERVE_STORED_SHARE).clamp(RESERVE_BYTES_MIN, RESERVE_BYTES_MAX);
    by_need.min((disk / RESERVE_DISK_SHARE).max(RESERVE_BYTES_LEAST)).min(free / RESERVE_FREE_SHARE)
}

/// No room, no such call, or another process was quicker.
fn is_no_failure(cause: &io::Error) -> bool {
    match Errno::from_io_error(cause) {
        Some(Errno::NOSPC | Errno::DQUOT | Errno::EXIST) => true,
        Some(errno) => is_unknown_call(errno),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_reserve_is_a_share_of_what_is_stored_of_the_disk_and_of_what_is_free() {
        let disk = 1 << 40;
        assert_eq!(wanted(0, disk, disk), MIB);
        assert_eq!(wanted(160 * MIB, disk, disk), 10 * MIB);
        assert_eq!(wanted(u64::MAX, disk, disk), 128 * MIB);
        // A small disk, and one that is nearly full.
        assert_eq!(wanted(100 * MIB, 120 * MIB, 60 * MIB), 120 * MIB / 50);
        assert_eq!(wanted(100 * MIB, MIB, MIB), 64 * 1024);
        assert_eq!(wanted(u64::MAX, disk, MIB), MIB / 4);
        assert_eq!(wanted(u64::MAX, disk, 0), 0);
    }
}
