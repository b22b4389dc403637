//! Maps content bytes, which lie back to back, to their places in a sparse file.

use crate::entry::Extent;
use crate::restore::io;
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// The data stretches of one sparse file, checked.
#[derive(Debug)]
pub(crate) struct ExtentMap(Vec<Stretch>);

#[derive(Clone, Copy, Debug)]
struct Stretch {
    content: u64,
    file: u64,
    length: u64,
}

impl ExtentMap {
    /// Checks that the stretches ascend, stay within `size` and add up to `bytes`.
    pub(crate) fn new(extents: &[Extent], size: u64, bytes: u64) -> Result<Self, String> {
        let mut stretches = Vec::with_capacity(extents.len());
        let mut content = 0u64;
        let mut end = 0u64;
        for extent in extents {
            let stop = extent.offset.checked_add(extent.length).filter(|stop| *stop <= size);
            match stop {
                Some(stop) if extent.offset >= end => end = stop,
                _ => return Err("its data stretches overlap or leave the file".to_owned()),
            }
            stretches.push(Stretch { content, file: extent.offset, length: extent.length });
            content = content.saturating_add(extent.length);
        }
        if content != bytes {
            return Err(format!("its data stretches hold {content} bytes, its content {bytes}"));
        }
        Ok(Self(stretches))
    }

    /// Calls `each(file offset, bytes)` for every stretch that `data`, which begins at content offset `at`, falls into.
    pub(crate) fn for_each<E>(
        &self,
        at: u64,
        mut data: &[u8],
        mut each: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let first = self.0.partition_point(|stretch| stretch.content + stretch.length <= at);
        let mut at = at;
        for stretch in self.0.iter().skip(first) {
            if data.is_empty() {
                break;
            }
            let inside = at.saturating_sub(stretch.content);
            let room = stretch.length.saturating_sub(inside);
            let take = usize::try_from(room).unwrap_or(usize::MAX).min(data.len());
            let (now, rest) = data.split_at(take);
            if !now.is_empty() {
                each(stretch.file + inside, now)?;
            }
            at += take as u64;
            data = rest;
        }
        Ok(())
    }

    /// Fills `into` with the content from content offset `at` on; false when the file ends before.
    pub(crate) fn read(&self, fd: &OwnedFd, at: u64, into: &mut [u8]) -> Result<bool, Errno> {
        let mut places = Vec::new();
        self.for_each::<Errno>(at, into, |offset, bytes| {
            places.push((offset, bytes.len()));
            Ok(())
        })?;
        let mut rest = into;
        for (offset, length) in places {
            let (now, later) = rest.split_at_mut(length);
            if !io::read_all(fd, offset, now)? {
                return Ok(false);
            }
            rest = later;
        }
        Ok(rest.is_empty())
    }

    /// The holes of a file of `size` bytes: where each begins and ends.
    pub(crate) fn holes(&self, size: u64) -> impl Iterator<Item = (u64, u64)> {
        let ends = [0].into_iter().chain(self.0.iter().map(|stretch| stretch.file + stretch.length));
        let starts = self.0.iter().map(|stretch| stretch.file).chain([size]);
        ends.zip(starts).filter(|(from, to)| from < to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extents(pairs: &[(u64, u64)]) -> Vec<Extent> {
        pairs.iter().map(|(offset, length)| Extent { offset: *offset, length: *length }).collect()
    }

    #[test]
    fn content_falls_into_its_stretches() {
        let map = ExtentMap::new(&extents(&[(10, 4), (20, 0), (100, 6)]), 200, 10).expect("valid");
        let mut seen = Vec::new();
        map.for_each::<()>(2, b"abcdef", |at, bytes| {
            seen.push((at, bytes.to_vec()));
            Ok(())
        })
        .expect("no error");
        assert_eq!(seen, [(12, b"ab".to_vec()), (100, b"cdef".to_vec())]);
    }

    #[test]
    fn what_is_in_no_stretch_is_a_hole() {
        let holes = |pairs: &[(u64, u64)], size| {
            let bytes = pairs.iter().map(|(_, length)| length).sum();
            ExtentMap::new(&extents(pairs), size, bytes).expect("valid").holes(size).collect::<Vec<_>>()
        };
        assert_eq!(holes(&[(10, 4), (20, 0), (100, 6)], 200), [(0, 10), (14, 20), (20, 100), (106, 200)]);
        assert_eq!(holes(&[(0, 7)], 7), []);
        assert_eq!(holes(&[], 9), [(0, 9)]);
    }

    #[test]
    fn stretches_that_lie_are_refused() {
        assert!(ExtentMap::new(&extents(&[(0, 10), (5, 10)]), 100, 20).is_err());
        assert!(ExtentMap::new(&extents(&[(95, 10)]), 100, 10).is_err());
        assert!(ExtentMap::new(&extents(&[(u64::MAX, 2)]), u64::MAX, 2).is_err());
        assert!(ExtentMap::new(&extents(&[(0, 10)]), 100, 11).is_err());
    }
}
