//! Reads and writes stretches of open files, and their holes.

use rustix::fs::FallocateFlags;
use rustix::fs::SeekFrom;
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// The unit in which zeros become holes.
const HOLE_BYTES: usize = 4096;
/// Bytes looked at or cleared at once.
const STEP_BYTES: usize = 64 << 10;

/// Fills `into` from `at`; false when the file ends before.
pub(crate) fn read_all(fd: &OwnedFd, mut at: u64, mut into: &mut [u8]) -> Result<bool, Errno> {
    while !into.is_empty() {
        match rustix::io::pread(fd, &mut *into, at) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                into = into.get_mut(count..).unwrap_or_default();
                at += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(true)
}

pub(crate) fn put_all(fd: &OwnedFd, mut at: u64, mut data: &[u8]) -> Result<(), Errno> {
    while !data.is_empty() {
        match rustix::io::pwrite(fd, data, at) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => {
                data = data.get(count..).unwrap_or_default();
                at += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Writes everything but blocks of zeros (or the parts of them at both ends), into a file that is all hole.
pub(crate) fn put_around_zeros(fd: &OwnedFd, at: u64, data: &[u8]) -> Result<(), Errno> {
    let mut start = 0usize;
    let mut end = 0usize;
    while end < data.len() {
        let phase = usize::try_from((at + end as u64) % HOLE_BYTES as u64).unwrap_or(0);
        let next = (end + HOLE_BYTES - phase).min(data.len());
        let block = data.get(end..next).unwrap_or_default();
        if block.iter().all(|byte| *byte == 0) {
            put_all(fd, at + start as u64, data.get(start..end).unwrap_or_default())?;
            start = next;
        }
        end = next;
    }
    put_all(fd, at + start as u64, data.get(start..).unwrap_or_default())
}

/// True when nothing but zeros, stored or not, is between `start` and `end` (or the end of the file).
pub(crate) fn is_zero(fd: &OwnedFd, start: u64, end: u64) -> Result<bool, Errno> {
    let mut buffer = vec![0u8; STEP_BYTES];
    let mut at = next_data(fd, start)?;
    while at < end {
        let take = usize::try_from(end - at).unwrap_or(STEP_BYTES).min(STEP_BYTES);
        match rustix::io::pread(fd, buffer.get_mut(..take).unwrap_or_default(), at) {
            Ok(0) => return Ok(true),
            Ok(count) if buffer.iter().take(count).any(|byte| *byte != 0) => return Ok(false),
            Ok(count) => at = next_data(fd, at + count as u64)?,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(true)
}

/// Gives the room between `start` and `end` back where something is stored; where holes cannot be made, zeros are.
pub(crate) fn clear(fd: &OwnedFd, start: u64, end: u64) -> Result<(), Errno> {
    let mut at = next_data(fd, start)?;
    if at >= end {
        return Ok(());
    }
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match rustix::fs::fallocate(fd, punch, at, end - at) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
        other => return other,
    }
    let zeros = vec![0u8; STEP_BYTES];
    while at < end {
        let take = usize::try_from(end - at).unwrap_or(STEP_BYTES).min(STEP_BYTES);
        put_all(fd, at, zeros.get(..take).unwrap_or_default())?;
        at = next_data(fd, at + take as u64)?;
    }
    Ok(())
}

/// Where the next stored bytes are from `at` on; `at` itself where the file system does not tell.
fn next_data(fd: &OwnedFd, at: u64) -> Result<u64, Errno> {
    match rustix::fs::seek(fd, SeekFrom::Data(at)) {
        Ok(next) => Ok(next),
        Err(Errno::NXIO) => Ok(u64::MAX),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(at),
        Err(errno) => Err(errno),
    }
}
