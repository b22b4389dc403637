//! Maps content bytes, which lie back to back, to their places in a sparse file.

use crate::entry::Extent;

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
    fn stretches_that_lie_are_refused() {
        assert!(ExtentMap::new(&extents(&[(0, 10), (5, 10)]), 100, 20).is_err());
        assert!(ExtentMap::new(&extents(&[(95, 10)]), 100, 10).is_err());
        assert!(ExtentMap::new(&extents(&[(u64::MAX, 2)]), u64::MAX, 2).is_err());
        assert!(ExtentMap::new(&extents(&[(0, 10)]), 100, 11).is_err());
    }
}
