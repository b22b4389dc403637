//! Looking into snapshots: entries, one entry, its bytes, and what differs between two.

use super::Repository;
use crate::catalog;
use crate::catalog::ChunkWalk;
use crate::catalog::Differ;
use crate::catalog::Difference;
use crate::catalog::Gap;
use crate::catalog::PageSource;
use crate::catalog::Walk;
use crate::class::Class;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::entry::Extent;
use crate::error::Result;
use crate::format::snapshot::Snapshot;
use crate::index::chunks::ChunkReader;
use crate::index::live::LiveIndex;
use crate::limits::MIB;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

/// Entries of a snapshot, in order.
pub struct Entries {
    view: View,
    walk: Walk,
    ready: VecDeque<Entry>,
}

/// What reading needs: where chunks are, and where pages come from.
#[derive(Clone)]
struct View {
    index: Arc<LiveIndex>,
    pages: Arc<dyn PageSource>,
}

impl View {
    fn content(&self, entry: &Entry) -> ContentReader {
        let size = entry.metadata.size;
        let sparse = entry.metadata.extents.clone().map(|extents| Sparse { extents, next: 0, size });
        ContentReader {
            chunks: ChunkWalk::new(Arc::clone(&self.pages), &entry.content),
            reader: ChunkReader::live(&self.index, Class::Data),
            sparse,
            at: 0,
            from: 0,
            left_over: Bytes::new(),
        }
    }
}

impl Entries {
    /// The next entry; `None` at the end. After an error the same is tried again, unless [`Entries::pass_gap`] passes it.
    pub async fn next(&mut self) -> Result<Option<Entry>> {
        while self.ready.is_empty() {
            match self.walk.next_page().await? {
                Some(entries) => self.ready.extend(entries),
                None => return Ok(None),
            }
        }
        Ok(self.ready.pop_front())
    }

    /// Goes on behind what the last call of [`Entries::next`] could not read, and tells what is lost with it. `None`
    /// when it cannot go on: the backend does not answer, or nothing of the snapshot can be read.
    pub fn pass_gap(&mut self) -> Option<Gap> {
        self.walk.pass_gap()
    }

    /// The bytes of one of these entries; cheaper than [`Repository::content`] for many.
    pub fn content(&self, entry: &Entry) -> ContentReader {
        self.view.content(entry)
    }
}

/// What differs between two snapshots, in order.
pub struct Differences {
    differ: Differ,
}

impl Differences {
    /// The next difference; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Difference>> {
        self.differ.next().await
    }

    /// Goes on behind what the last call could not read, as [`Entries::pass_gap`] does; what is lost on one side is not
    /// told as added or removed on the other.
    pub fn pass_gap(&mut self) -> Option<Gap> {
        self.differ.pass_gap()
    }
}

/// An entry's bytes, holes filled with zeros, piece by piece.
pub struct ContentReader {
    chunks: ChunkWalk,
    reader: ChunkReader,
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
        self.chunks.seek(self.from);
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
            match self.chunks.next().await? {
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

impl Repository {
    async fn view(&self) -> Result<View> {
        let index = self.index().await?;
        Ok(View { pages: self.pages(&index), index })
    }

    /// All entries of a snapshot in order; with `below`, that entry and what stands below it.
    pub async fn entries(&self, snapshot: &Snapshot, below: Option<&EntryPath>) -> Result<Entries> {
        let view = self.view().await?;
        let walk = Walk::new(Arc::clone(&view.pages), snapshot.root);
        let walk = match below {
            Some(path) => walk.below(path.clone()),
            None => walk,
        };
        Ok(Entries { view, walk, ready: VecDeque::new() })
    }

    /// One entry by its path.
    pub async fn entry(&self, snapshot: &Snapshot, path: &EntryPath) -> Result<Option<Entry>> {
        catalog::find(self.view().await?.pages, snapshot.root, path).await
    }

    /// The entries directly in `directory`, or at the top.
    pub async fn children(&self, snapshot: &Snapshot, directory: Option<&EntryPath>) -> Result<Vec<Entry>> {
        catalog::children(self.view().await?.pages, snapshot.root, directory).await
    }

    /// The bytes of an entry of one of this repository's snapshots.
    pub async fn content(&self, entry: &Entry) -> Result<ContentReader> {
        Ok(self.view().await?.content(entry))
    }

    /// What differs between two snapshots. Parts that both share are not read.
    pub async fn diff(&self, before: &Snapshot, after: &Snapshot) -> Result<Differences> {
        let pages = self.view().await?.pages;
        Ok(Differences { differ: Differ::new(pages, before.root, after.root) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::MemoryBackend;
    use crate::crypto::secret::Secret;
    use crate::random::Rng;
    use crate::random::SeededRng;
    use crate::repository::CreateOptions;
    use crate::repository::KdfChoice;
    use crate::repository::Key;
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
