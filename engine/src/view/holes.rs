//! Files with holes: where in a file its stored bytes stand.

use crate::entry::Entry;

/// Which bytes of a file are in its content; the others are zeros.
pub(super) struct Holes {
    /// `None`: all of them.
    data: Option<Vec<Data>>,
    size: u64,
}

/// A stretch of data.
struct Data {
    start: u64,
    end: u64,
    /// Where it begins in the content.
    at: u64,
}

/// What stands at a place of a file, from there to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stretch {
    /// So many zeros.
    Zeros(u64),
    /// So many bytes of the content.
    Data(u64),
    /// The file's end.
    End,
}

impl Holes {
    pub(super) fn of(entry: &Entry) -> Self {
        let Some(extents) = &entry.metadata.extents else { return Self { data: None, size: entry.content.bytes() } };
        let mut at = 0u64;
        let data = extents.iter().map(|extent| {
            let here = at;
            at = at.saturating_add(extent.length);
            Data { start: extent.offset, end: extent.offset.saturating_add(extent.length), at: here }
        });
        Self { data: Some(data.collect()), size: entry.metadata.size }
    }

    /// The file's length in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// What stands at `offset`.
    pub(super) fn stretch(&self, offset: u64) -> Stretch {
        if offset >= self.size {
            return Stretch::End;
        }
        let Some(data) = &self.data else { return Stretch::Data(self.size - offset) };
        match data.get(data.partition_point(|data| data.end <= offset)) {
            Some(next) if next.start <= offset => Stretch::Data(next.end - offset),
            Some(next) => Stretch::Zeros(next.start.min(self.size) - offset),
            None => Stretch::Zeros(self.size - offset),
        }
    }

    /// The first byte of the content that does not stand before `offset`.
    pub(super) fn in_content(&self, offset: u64) -> u64 {
        let Some(data) = &self.data else { return offset };
        match data.get(data.partition_point(|data| data.end <= offset)) {
            Some(next) => next.at + offset.saturating_sub(next.start),
            None => data.last().map_or(0, |last| last.at.saturating_add(last.end - last.start)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Content;
    use crate::entry::EntryPath;
    use crate::entry::Extent;
    use crate::entry::FileKind;
    use crate::entry::Metadata;

    #[test]
    fn every_byte_of_a_file_with_holes_is_where_its_extents_say() {
        let extents = vec![Extent { offset: 10, length: 5 }, Extent { offset: 20, length: 1 }];
        let metadata = Metadata { size: 30, extents: Some(extents), ..Metadata::new(FileKind::File) };
        let entry = Entry::new(EntryPath::parse(b"file").expect("a path"), metadata, Content::Empty);
        let holes = Holes::of(&entry);
        let found: Vec<_> =
            [0, 9, 10, 14, 15, 20, 21, 29, 30, 99].map(|at| (holes.stretch(at), holes.in_content(at))).into();
        let (zeros, data) = (Stretch::Zeros, Stretch::Data);
        let wanted = [
            (zeros(10), 0),
            (zeros(1), 0),
            (data(5), 0),
            (data(1), 4),
            (zeros(5), 5),
            (data(1), 5),
            (zeros(9), 6),
            (zeros(1), 6),
            (Stretch::End, 6),
            (Stretch::End, 6),
        ];
        assert_eq!(found, wanted);
    }
}
