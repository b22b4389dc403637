//! A repository in memory and a small folder reader, for tests of the restore alone.

use crate::entry::ChunkRef;
use crate::entry::Content;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::entry::Extent;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::entry::Xattr;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::id::ChunkId;
use crate::job::Canceller;
use crate::restore::boundary::ChunkList;
use crate::restore::boundary::ChunkLists;
use crate::restore::boundary::EntryPage;
use crate::restore::boundary::EntryStream;
use crate::restore::boundary::Later;
use crate::restore::boundary::Located;
use crate::restore::boundary::SegmentDecode;
use crate::restore::boundary::SegmentStore;
use crate::time::Timestamp;
use bytes::Bytes;
use rustix::fs::FileType;
use std::collections::HashMap;
use std::collections::HashSet;
use std::hash::DefaultHasher;
use std::hash::Hasher;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// Stored bytes differ from plain ones by this.
const SEAL: u8 = 0x5a;
const CHUNK_BYTES: usize = 60_000;
const SEGMENT_BYTES: usize = 200_000;
const PACK_BYTES: usize = 900_000;
const INLINE_MAX: usize = 4;

#[derive(Default)]
pub(super) struct FakeStore {
    packs: Vec<Vec<u8>>,
    segments: Vec<Vec<(u64, u32)>>,
    places: HashMap<ChunkId, Vec<(u32, u16, u32, u32)>>,
    pub(super) lists: HashMap<ChunkId, Vec<ChunkRef>>,
    /// Lists of which only so many pages can be read.
    pub(super) cut: HashMap<ChunkId, usize>,
    pub(super) damaged_packs: HashSet<u32>,
    pub(super) fetched: AtomicUsize,
    pub(super) decoded: Arc<AtomicUsize>,
    pub(super) refuses: bool,
    /// Called at every fetch.
    pub(super) at_fetch: Option<Box<dyn Fn() + Send + Sync>>,
    /// Cancels the job at this fetch.
    pub(super) cancel_at: Option<(usize, Canceller)>,
}

pub(super) fn name(bytes: &[u8]) -> ChunkId {
    let mut id = [0u8; 32];
    for (salt, part) in id.chunks_exact_mut(8).enumerate() {
        let mut hasher = DefaultHasher::new();
        hasher.write_usize(salt);
        hasher.write(bytes);
        part.copy_from_slice(&hasher.finish().to_le_bytes());
    }
    ChunkId::from_bytes(id)
}

impl FakeStore {
    /// Stores content and returns its place in an entry.
    pub(super) fn content(&mut self, bytes: &[u8]) -> Content {
        let chunks: Vec<ChunkRef> = bytes.chunks(CHUNK_BYTES).map(|chunk| self.chunk(chunk, false)).collect();
        if chunks.is_empty() {
            return Content::Empty;
        }
        if chunks.len() <= INLINE_MAX {
            return Content::Inline(chunks);
        }
        let root = name(&[bytes, b"list"].concat());
        let count = chunks.len() as u64;
        self.lists.insert(root, chunks);
        Content::Tree { root, length: 1, chunks: count, bytes: bytes.len() as u64 }
    }

    /// Stores one chunk, again when `copy`.
    pub(super) fn chunk(&mut self, bytes: &[u8], copy: bool) -> ChunkRef {
        let id = name(bytes);
        let length = u32::try_from(bytes.len()).expect("a small chunk");
        if copy || !self.places.contains_key(&id) {
            if copy || self.packs.last().is_none_or(|pack| pack.len() > PACK_BYTES) {
                self.packs.push(b"head".to_vec());
                self.segments.push(Vec::new());
            }
            let number = self.packs.len() - 1;
            let (pack, segments) = (&mut self.packs[number], &mut self.segments[number]);
            if segments.last().is_none_or(|(_, length)| *length as usize > SEGMENT_BYTES) {
                segments.push((pack.len() as u64, 0));
            }
            let segment = segments.len() - 1;
            let offset = segments[segment].1;
            segments[segment].1 += length;
            pack.extend(bytes.iter().map(|byte| byte ^ SEAL));
            let place = (u32::try_from(number).expect("few"), u16::try_from(segment).expect("few"), offset, length);
            self.places.entry(id).or_default().push(place);
        }
        ChunkRef { id, length }
    }

    /// Flips a stored byte of the first copy of a chunk.
    pub(super) fn damage(&mut self, id: &ChunkId) {
        let (pack, segment, offset, _) = self.places[id][0];
        let at = self.segments[pack as usize][usize::from(segment)].0 + u64::from(offset);
        self.packs[pack as usize][usize::try_from(at).expect("a small pack")] ^= 1;
    }

    /// Forgets every copy of a chunk.
    pub(super) fn lose(&mut self, id: &ChunkId) {
        self.places.remove(id);
    }

    pub(super) fn pack_of(&self, id: &ChunkId) -> u32 {
        self.places[id][0].0
    }
}

impl SegmentStore for FakeStore {
    fn locate(&self, id: &ChunkId, copy: usize) -> Result<Option<Located>> {
        let Some(place) = self.places.get(id).and_then(|places| places.get(copy)) else { return Ok(None) };
        let (pack, segment, offset, length) = *place;
        let (stored_offset, stored_length) = self.segments[pack as usize][usize::from(segment)];
        Ok(Some(Located { pack, segment, offset, length, stored_offset, stored_length }))
    }

    fn fetch<'a>(&'a self, pack: u32, offset: u64, length: u64) -> Later<'a, Bytes> {
        Box::pin(async move {
            let number = self.fetched.fetch_add(1, Ordering::Relaxed);
            if let Some(at_fetch) = &self.at_fetch {
                at_fetch();
            }
            if let Some((at, canceller)) = &self.cancel_at
                && *at == number
            {
                canceller.cancel();
            }
            if self.refuses {
                return Err(Error::new(Kind::BackendDenied, "cannot read a pack"));
            }
            if self.damaged_packs.contains(&pack) {
                return Err(Error::damaged("a pack", "it is gone"));
            }
            let from = usize::try_from(offset).expect("a small pack");
            let to = from + usize::try_from(length).expect("a small range");
            Ok(Bytes::copy_from_slice(&self.packs[pack as usize][from..to]))
        })
    }

    fn decoder(&self) -> Box<dyn SegmentDecode> {
        Box::new(FakeDecoder(Vec::new(), Arc::clone(&self.decoded)))
    }

    fn verify(&self, id: &ChunkId, bytes: &[u8]) -> bool {
        name(bytes) == *id
    }
}

struct FakeDecoder(Vec<u8>, Arc<AtomicUsize>);

impl SegmentDecode for FakeDecoder {
    fn decode(&mut self, _: u32, _: u16, stored: &[u8]) -> Result<&[u8]> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0 = stored.iter().map(|byte| byte ^ SEAL).collect();
        Ok(&self.0)
    }
}

/// Chunk lists, three chunks a page.
pub(super) struct FakeLists {
    pub(super) lists: HashMap<ChunkId, Vec<ChunkRef>>,
    /// Lists of which only so many pages can be read.
    pub(super) cut: HashMap<ChunkId, usize>,
}

impl ChunkLists for FakeLists {
    fn list(&self, content: &Content) -> Box<dyn ChunkList> {
        let Content::Tree { root, .. } = content else { panic!("only trees are asked for") };
        let pages: Vec<_> = self.lists[root].chunks(3).map(<[ChunkRef]>::to_vec).collect();
        Box::new(FakeList { pages: pages.into_iter(), readable: self.cut.get(root).copied() })
    }
}

struct FakeList {
    pages: std::vec::IntoIter<Vec<ChunkRef>>,
    readable: Option<usize>,
}

impl ChunkList for FakeList {
    fn next_page(&mut self) -> Later<'_, Option<Vec<ChunkRef>>> {
        Box::pin(async {
            match &mut self.readable {
                Some(0) => return Err(Error::damaged("a page of the list", "it is cut")),
                Some(left) => *left -= 1,
                None => {}
            }
            Ok(self.pages.next())
        })
    }
}

/// The entries of a scene, a page at a time.
pub(super) struct FakeEntries(pub(super) std::vec::IntoIter<EntryPage>);

impl EntryStream for FakeEntries {
    fn next_page(&mut self) -> Later<'_, Option<EntryPage>> {
        Box::pin(async { Ok(self.0.next()) })
    }
}

/// Every entry of a folder in path order, its content stored.
pub(super) fn scan(store: &mut FakeStore, root: &Path) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut todo = vec![(None::<EntryPath>, root.to_owned())];
    while let Some((path, at)) = todo.pop() {
        if at.symlink_metadata().expect("it exists").is_dir() {
            for child in std::fs::read_dir(&at).expect("a folder") {
                let child = child.expect("an item").file_name();
                let below = match &path {
                    Some(path) => path.join(child.as_bytes()),
                    None => EntryPath::parse(child.as_bytes()),
                };
                todo.push((Some(below.expect("a valid path")), at.join(child)));
            }
        }
        if let Some(path) = path {
            entries.push(entry(store, path, &at));
        }
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries
}

fn entry(store: &mut FakeStore, path: EntryPath, at: &Path) -> Entry {
    let stat = at.symlink_metadata().expect("it exists");
    let rdev = stat.rdev();
    let kind = match FileType::from_raw_mode(stat.mode()) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => {
            FileKind::Symlink { target: std::fs::read_link(at).expect("a link").as_os_str().as_bytes().to_vec() }
        }
        FileType::Fifo => FileKind::Fifo,
        FileType::Socket => FileKind::Socket,
        FileType::CharacterDevice => FileKind::CharDevice { rdev },
        FileType::BlockDevice => FileKind::BlockDevice { rdev },
        FileType::Unknown => panic!("an unknown type"),
    };
    let mut metadata = Metadata {
        mode: stat.mode() & 0o7777,
        uid: stat.uid(),
        gid: stat.gid(),
        modified: Timestamp {
            seconds: stat.mtime(),
            nanoseconds: u32::try_from(stat.mtime_nsec()).expect("below a second"),
        },
        size: if kind == FileKind::File { stat.len() } else { 0 },
        links: if kind == FileKind::Directory { 1 } else { stat.nlink() },
        device: stat.dev(),
        inode: stat.ino(),
        xattrs: xattrs(at),
        ..Metadata::new(kind)
    };
    let mut content = Content::Empty;
    if metadata.kind == FileKind::File {
        let file = std::fs::File::open(at).expect("root reads everything");
        let extents = extents(&file, stat.len());
        let mut bytes = Vec::new();
        for extent in &extents {
            let mut part = vec![0; usize::try_from(extent.length).expect("a small file")];
            file.read_exact_at(&mut part, extent.offset).expect("bytes");
            bytes.extend(part);
        }
        content = store.content(&bytes);
        if bytes.len() as u64 != stat.len() {
            metadata.extents = Some(extents);
        }
    }
    Entry::new(path, metadata, content)
}

fn extents(file: &std::fs::File, size: u64) -> Vec<Extent> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Ok(offset) = rustix::fs::seek(file, rustix::fs::SeekFrom::Data(at)) {
        let end = rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(offset)).expect("the end is a hole").min(size);
        found.push(Extent { offset, length: end - offset });
        at = end;
    }
    found
}

fn xattrs(at: &Path) -> Vec<Xattr> {
    let mut names = vec![0u8; 64 << 10];
    let Ok(length) = rustix::fs::llistxattr(at, names.as_mut_slice()) else { return Vec::new() };
    let mut found = Vec::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0u8; 64 << 10];
        let length = rustix::fs::lgetxattr(at, name, value.as_mut_slice()).expect("a value");
        found.push(Xattr { name: name.to_vec(), value: value[..length].to_vec() });
    }
    found.sort();
    found
}
