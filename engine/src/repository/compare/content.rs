//! A file's bytes beside an entry's chunk list: read piece by piece, compared by name.

use crate::class::Class;
use crate::entry::ChunkRef;
use crate::entry::Extent;
use crate::entry::Metadata;
use crate::format::wire::size;
use crate::limits::MIB;
use crate::store::Store;
use rustix::fs::SeekFrom;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;

/// A file being read beside a chunk list.
pub(super) struct Reading {
    file: File,
    /// Stretches that hold the entry's bytes, still to come.
    extents: VecDeque<Extent>,
    /// The file's length.
    end: u64,
    at: u64,
    buffer: Vec<u8>,
}

impl Reading {
    /// From the first byte; the file is as long as the entry.
    pub(super) fn new(file: File, metadata: &Metadata) -> Self {
        let end = metadata.size;
        let whole = || vec![Extent { offset: 0, length: end }];
        let extents = metadata.extents.clone().unwrap_or_else(whole).into();
        Self { file, extents, end, at: 0, buffer: Vec::new() }
    }

    /// Whether the file goes on with these chunks.
    pub(super) fn chunks(&mut self, store: &Store, chunks: &[ChunkRef]) -> io::Result<bool> {
        for chunk in chunks {
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.resize(size(chunk.length), 0);
            let filled = self.fill(&mut buffer);
            let same = filled? && store.names(Class::Data).name(&buffer) == chunk.id;
            self.buffer = buffer;
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether nothing but a hole follows.
    pub(super) fn rest(&mut self) -> io::Result<bool> {
        if self.extents.iter().any(|extent| extent.length > 0) {
            return Ok(false);
        }
        self.is_hole(self.end)
    }

    /// Reads the next bytes that the entry has; false when the file has none, or others where the entry has a hole.
    fn fill(&mut self, mut room: &mut [u8]) -> io::Result<bool> {
        while !room.is_empty() {
            let Some(extent) = self.extents.front().copied() else { return Ok(false) };
            if extent.length == 0 {
                self.extents.pop_front();
                continue;
            }
            if self.at < extent.offset && !self.is_hole(extent.offset)? {
                return Ok(false);
            }
            let count = room.len().min(usize::try_from(extent.length).unwrap_or(usize::MAX));
            let (now, later) = room.split_at_mut(count);
            match self.file.read_exact_at(now, extent.offset) {
                Ok(()) => {}
                Err(why) if why.kind() == ErrorKind::UnexpectedEof => return Ok(false),
                Err(why) => return Err(why),
            }
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            self.at = extent.offset.saturating_add(count);
            if let Some(front) = self.extents.front_mut() {
                front.offset = self.at;
                front.length -= count;
            }
            room = later;
        }
        Ok(true)
    }

    /// Whether there are only zeros from here to `end`; what the file system knows as a hole is not read.
    fn is_hole(&mut self, end: u64) -> io::Result<bool> {
        let mut buffer = Vec::new();
        while self.at < end {
            match rustix::fs::seek(&self.file, SeekFrom::Data(self.at)) {
                Ok(data) if data >= end => self.at = end,
                Err(Errno::NXIO) => self.at = end,
                found => {
                    // A file system that cannot tell has its bytes read.
                    self.at = found.unwrap_or(self.at).max(self.at);
                    let count = usize::try_from(end - self.at).unwrap_or(usize::MAX).min(MIB);
                    buffer.resize(count, 0);
                    match self.file.read_exact_at(&mut buffer, self.at) {
                        Ok(()) => {}
                        Err(why) if why.kind() == ErrorKind::UnexpectedEof => return Ok(false),
                        Err(why) => return Err(why),
                    }
                    if buffer.iter().any(|byte| *byte != 0) {
                        return Ok(false);
                    }
                    self.at += u64::try_from(count).unwrap_or(u64::MAX);
                }
            }
        }
        Ok(true)
    }
}
