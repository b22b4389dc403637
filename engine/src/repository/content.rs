//! The bytes of an entry, in order or from any place; what comes next is opened ahead.

use crate::catalog::ChunkWalk;
use crate::catalog::PageSource;
use crate::catalog::PlacedChunk;
use crate::entry::Entry;
use crate::entry::Extent;
use crate::error::Result;
use crate::index::chunks::ChunkReader;
use crate::limits::MIB;
use crate::limits::READ_AHEAD_BYTES;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

/// An entry's bytes, holes filled with zeros, piece by piece.
pub struct ContentReader {
    chunks: ChunkWalk,
    reader: ChunkReader,
    /// Chunks whose segments are opened ahead, in order.
    ahead: VecDeque<PlacedChunk>,
    /// Bytes in them.
    ahead_bytes: u64,
    /// Something was read, and more of it will be.
    is_going_on: bool,
    /// `None` for files without holes.
    sparse: Option<Sparse>,
    at: u64,
    /// What comes before this byte of the chunks is left out.
    from: u64,
    left_over: Bytes,
}

/// Where a file with holes has its bytes.
struct Sparse {
    extents: Vec<Extent>,
    /// The first stretch of data that is not passed.
    next: usize,
    /// The file's whole length.
    size: u64,
}

impl ContentReader {
    /// Nothing is read yet.
    pub(super) fn new(pages: Arc<dyn PageSource>, reader: ChunkReader, entry: &Entry) -> Self {
        let size = entry.metadata.size;
        let sparse = entry.metadata.extents.clone().map(|extents| Sparse { extents, next: 0, size });
        Self {
            chunks: ChunkWalk::new(pages, &entry.content),
            reader,
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            is_going_on: false,
            sparse,
            at: 0,
            from: 0,
            left_over: Bytes::new(),
        }
    }

    /// Goes on from this byte, forward or back; nothing is read yet. Behind the end there is nothing.
    pub fn seek(&mut self, offset: u64) {
        (self.at, self.from) = (offset, offset);
        if let Some(Sparse { extents, next, size }) = &mut self.sparse {
            self.at = offset.min(*size);
            *next = extents.partition_point(|extent| extent.offset.saturating_add(extent.length) <= self.at);
            let before: u64 = extents.iter().take(*next).map(|extent| extent.length).sum();
            let inside = extents.get(*next).map_or(0, |extent| self.at.saturating_sub(extent.offset));
            self.from = before + inside;
        }
        self.left_over = Bytes::new();
        self.ahead.clear();
        self.ahead_bytes = 0;
        self.is_going_on = false;
        self.chunks.seek(self.from);
    }

    /// The next chunk; the segments of those behind it are opened meanwhile, once it is known that they are wanted.
    async fn next_chunk(&mut self) -> Result<Option<PlacedChunk>> {
        if self.ahead.is_empty() && !self.is_going_on {
            self.is_going_on = true;
            return self.chunks.next().await;
        }
        while self.ahead_bytes < READ_AHEAD_BYTES {
            match self.chunks.next().await {
                Ok(Some(placed)) => {
                    self.reader.ahead(&placed.chunk.id);
                    self.ahead_bytes += u64::from(placed.chunk.length);
                    self.ahead.push_back(placed);
                }
                Ok(None) => break,
                // What comes before it is given first; then the same is tried again.
                Err(error) if self.ahead.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        let next = self.ahead.pop_front();
        self.ahead_bytes -= next.map_or(0, |placed| u64::from(placed.chunk.length));
        Ok(next)
    }

    /// The next bytes, never empty; `None` at the end. Every chunk is verified before any of it is given.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let limit = match &mut self.sparse {
            None => u64::MAX,
            Some(Sparse { extents, next, size }) => {
                while extents.get(*next).is_some_and(|extent| extent.offset + extent.length <= self.at) {
                    *next += 1;
                }
                let (start, end) = extents
                    .get(*next)
                    .map_or((*size, *size), |extent| (extent.offset, extent.offset.saturating_add(extent.length)));
                if self.at < start {
                    let zeros = (start - self.at).min(u64::try_from(MIB).unwrap_or(u64::MAX));
                    self.at += zeros;
                    return Ok(Some(Bytes::from(vec![0; usize::try_from(zeros).unwrap_or(MIB)])));
                }
                end - self.at
            }
        };
        if limit == 0 {
            return Ok(None);
        }
        if self.left_over.is_empty() {
            match self.next_chunk().await? {
                None => return Ok(None),
                Some(placed) => {
                    let bytes = self.reader.chunk(&placed.chunk.id).await?;
                    let skip = usize::try_from(self.from.saturating_sub(placed.offset)).unwrap_or(usize::MAX);
                    self.left_over = bytes.slice(skip.min(bytes.len())..);
                }
            }
        }
        let length = self.left_over.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
        let bytes = self.left_over.split_to(length);
        self.at += u64::try_from(length).unwrap_or(0);
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::MemoryBackend;
    use crate::crypto::secret::Secret;
    use crate::entry::EntryPath;
    use crate::random::Rng;
    use crate::random::SeededRng;
    use crate::repository::CreateOptions;
    use crate::repository::KdfChoice;
    use crate::repository::Key;
    use crate::repository::Repository;
    use crate::source::FolderSource;
    use std::os::unix::fs::FileExt;

    async fn rest(content: &mut ContentReader) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(piece) = content.next().await.expect("a piece") {
            bytes.extend_from_slice(&piece);
        }
        bytes
    }

    #[tokio::test]
    async fn reading_goes_on_from_any_byte_of_files_with_and_without_holes() {
        let options = CreateOptions { kdf: KdfChoice::Minimal, ..CreateOptions::default() };
        let key = Key::Passphrase(Secret::new("open"));
        let created = Repository::create(Arc::new(MemoryBackend::new()), key, options).await.expect("a repository");
        let folder = tempfile::tempdir().expect("a folder");
        let mut big = vec![0; 20 << 20];
        SeededRng::new(5).fill(&mut big).expect("seeded bytes");
        std::fs::write(folder.path().join("big"), &big).expect("written");
        let sparse = std::fs::File::create(folder.path().join("sparse")).expect("made");
        sparse.write_all_at(&big[..1 << 20], 1 << 20).expect("written");
        sparse.write_all_at(&big[..3 << 20], 4 << 20).expect("written");
        sparse.set_len(9 << 20).expect("longer");
        let source = FolderSource::new(vec![".".into()]).relative_to(folder.path().to_owned());
        let snapshot = created.repository.backup(source).start().await.expect("a backup").snapshot.expect("a snapshot");
        for name in ["big", "sparse"] {
            let bytes = std::fs::read(folder.path().join(name)).expect("read");
            let path = EntryPath::parse(name.as_bytes()).expect("a path");
            let entry = created.repository.entry(&snapshot, &path).await.expect("read").expect("an entry");
            let mut content = created.repository.content(&entry).await.expect("content");
            let last = bytes.len() - 1;
            for offset in [last, 0, 1, 1 << 20, (4 << 20) + 7, 3 << 20, (7 << 20) + 1, last + 1, last + 5, 777_777] {
                content.seek(offset as u64);
                assert!(rest(&mut content).await == bytes[offset.min(bytes.len())..], "{name} from {offset}");
            }
            content.seek(0);
            content.next().await.expect("a piece");
            content.seek(123);
            assert!(rest(&mut content).await == bytes[123..], "{name} after a part was read");
        }
    }
}
