//! The bytes of one open file, straight into the sink; holes are not read.

use super::ahead;
use super::ahead::Pace;
use crate::entry::Extent;
use crate::source::Sink;
use crate::source::Stop;
use rustix::fs::Advice;
use rustix::fs::SeekFrom;
use rustix::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;
use std::time::Instant;

/// Files smaller than this are read whole: a hole in them saves nothing.
const SPARSE_BYTES_MIN: u64 = 4096;
/// Files from this size on are announced to the kernel as read in sequence.
const SEQUENTIAL_BYTES_MIN: u64 = 4 * 1024 * 1024;
/// Stretches of data kept for one file; beyond that, small holes are stored as zeros.
const EXTENTS_MAX: usize = 8192;
/// How far ahead of us the kernel is asked to read a large file from a disk that is waited for.
const AHEAD_BYTES: u64 = 16 * 1024 * 1024;
/// How much further it is asked at a time.
const AHEAD_STEP: u64 = 2 * 1024 * 1024;
/// A read that takes longer waited for the disk.
const SLOW: Duration = Duration::from_micros(800);
/// Such reads of one file, before it is read ahead.
const SLOW_MIN: u32 = 3;

/// Why reading ended early.
#[derive(Debug)]
pub(super) enum Broken {
    /// The sink wants no more.
    Stopped,
    /// The file cannot be read.
    Unreadable(io::Errno),
}

impl From<Stop> for Broken {
    fn from(_: Stop) -> Self {
        Self::Stopped
    }
}

impl From<io::Errno> for Broken {
    fn from(errno: io::Errno) -> Self {
        Self::Unreadable(errno)
    }
}

/// What was read of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Poured {
    /// The file's length as far as it was read, holes included.
    pub(super) size: u64,
    /// The stretches that were read, for a file with holes.
    pub(super) extents: Option<Vec<Extent>>,
}

/// Reads a file of `size` bytes and `blocks` of 512 bytes. Reads no further than `size`, unless that
/// is 0: files of /proc claim to be empty.
pub(super) fn pour(
    file: BorrowedFd<'_>,
    size: u64,
    blocks: u64,
    pace: &mut Pace,
    sink: &mut dyn Sink,
) -> Result<Poured, Broken> {
    if size >= SEQUENTIAL_BYTES_MIN {
        // Advice only: whether it was heard changes nothing.
        let _ = rustix::fs::fadvise(file, 0, None, Advice::Sequential);
    }
    let mut reading = Reading { file, pace, slow: 0, asked: 0, size };
    let is_sparse = size > SPARSE_BYTES_MIN && blocks.saturating_mul(512) < size;
    let Some(extents) = (if is_sparse { data(file, size) } else { None }) else {
        let limit = if size == 0 { u64::MAX } else { size };
        return Ok(Poured { size: stretch(&mut reading, 0, limit, sink)?, extents: None });
    };
    let mut read = Vec::with_capacity(extents.len());
    for extent in extents {
        let length = stretch(&mut reading, extent.offset, extent.length, sink)?;
        if length > 0 {
            read.push(Extent { offset: extent.offset, length });
        }
        if length < extent.length {
            // The file was cut while it was read: it ends here.
            return Ok(Poured { size: extent.offset + length, extents: Some(read) });
        }
    }
    Ok(Poured { size, extents: Some(read) })
}

/// A file being read, and how long that takes.
struct Reading<'a> {
    file: BorrowedFd<'a>,
    pace: &'a mut Pace,
    size: u64,
    /// Reads that waited for the disk.
    slow: u32,
    /// The kernel was asked to read up to here.
    asked: u64,
}

impl Reading<'_> {
    /// Reads what is at `offset`, and has the kernel go on reading when the disk is slower than we are.
    fn read(&mut self, room: &mut [u8], offset: u64) -> io::Result<usize> {
        let is_large = self.size >= SEQUENTIAL_BYTES_MIN;
        if is_large && self.slow >= SLOW_MIN && self.asked < self.size && self.asked < offset + AHEAD_BYTES {
            let begin = self.asked.max(offset);
            self.asked = (offset + AHEAD_BYTES + AHEAD_STEP).min(self.size);
            ahead::will_need(self.file, begin, self.asked);
        }
        let begin = Instant::now();
        let count = rustix::io::pread(self.file, room, offset)?;
        let time = begin.elapsed();
        if is_large {
            self.slow += u32::from(time >= SLOW);
        } else {
            self.pace.took(time);
        }
        Ok(count)
    }
}

/// Reads up to `length` bytes from `offset` on; fewer only at the end of the file.
fn stretch(from: &mut Reading<'_>, offset: u64, length: u64, sink: &mut dyn Sink) -> Result<u64, Broken> {
    let mut done = 0;
    while done < length {
        let room = sink.buffer()?;
        let take = usize::try_from(length - done).unwrap_or(usize::MAX).min(room.len());
        let Some(room) = room.get_mut(..take) else { break };
        let count = match from.read(room, offset + done) {
            Err(io::Errno::INTR) => continue,
            other => other?,
        };
        if count == 0 {
            break;
        }
        sink.filled(count)?;
        done += u64::try_from(count).unwrap_or(u64::MAX);
    }
    Ok(done)
}

/// The stretches of data in a file; `None` when it has no hole or the file system cannot tell.
fn data(file: BorrowedFd<'_>, size: u64) -> Option<Vec<Extent>> {
    let mut extents: Vec<Extent> = Vec::new();
    let mut at = 0;
    while at < size {
        let begin = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(begin) => begin,
            Err(io::Errno::NXIO) => break,
            Err(_) => return None,
        };
        let end = rustix::fs::seek(file, SeekFrom::Hole(begin)).ok()?.min(size);
        if begin >= end {
            break;
        }
        extents.push(Extent { offset: begin, length: end - begin });
        at = end;
        if extents.len() >= EXTENTS_MAX {
            extents = merged(&extents);
        }
    }
    match extents.as_slice() {
        [Extent { offset: 0, length }] if *length == size => None,
        _ => Some(extents),
    }
}

/// Half as many stretches: each pair becomes one, with the hole between them.
fn merged(extents: &[Extent]) -> Vec<Extent> {
    let pair = |pair: &[Extent]| {
        let (first, last) = (pair.first()?, pair.last()?);
        Some(Extent { offset: first.offset, length: last.offset + last.length - first.offset })
    };
    extents.chunks(2).filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_stretches_are_merged_in_pairs() {
        let extent = |offset, length| Extent { offset, length };
        let merged = merged(&[extent(0, 10), extent(20, 10), extent(100, 5)]);
        assert_eq!(merged, [extent(0, 30), extent(100, 5)]);
    }
}
