//! A page store in memory that counts what is read, and entries to fill it with.

use crate::catalog::CatalogBuilder;
use crate::catalog::PageHasher;
use crate::catalog::PageSink;
use crate::catalog::PageSource;
use crate::catalog::Walk;
use crate::catalog::read::LeveledPage;
use crate::catalog::read::PageFuture;
use crate::entry::ChunkRef;
use crate::entry::Content;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::page::Page;
use crate::format::page::PageRef;
use crate::id::ChunkId;
use crate::time::Timestamp;
use std::collections::HashMap;
use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::Mutex;

/// Pages by id, and which of them were read or announced.
#[derive(Clone, Default)]
pub(super) struct Shelf {
    pub(super) pages: HashMap<ChunkId, Arc<LeveledPage>>,
    /// Encoded length of each page in the order of writing, repeated pages too.
    pub(super) written: Vec<PageRef>,
}

/// A shelf to read from.
pub(super) struct Library {
    pub(super) shelf: Shelf,
    read: Mutex<Vec<ChunkId>>,
    pub(super) announced: Mutex<Vec<ChunkId>>,
}

impl PageSink for Shelf {
    fn put_page(&mut self, bytes: Vec<u8>) -> Result<PageRef> {
        let id = ChunkId::from_bytes(*blake3::keyed_hash(&[9; 32], &bytes).as_bytes());
        let length = u32::try_from(bytes.len()).expect("a page is short");
        self.pages.insert(id, Arc::new(LeveledPage::decode(&bytes).expect("what was encoded decodes")));
        self.written.push(PageRef { id, length });
        Ok(PageRef { id, length })
    }
}

impl Shelf {
    /// All pages by id.
    pub(super) fn ids(&self) -> HashSet<ChunkId> {
        self.pages.keys().copied().collect()
    }

    /// Puts a page under an id that is not its own.
    pub(super) fn forge(&mut self, id: u8, level: u8, page: Page) -> PageRef {
        let id = ChunkId::from_bytes([id; 32]);
        self.pages.insert(id, Arc::new(LeveledPage { level, page }));
        PageRef { id, length: 100 }
    }

    /// To read from.
    pub(super) fn open(&self) -> Arc<Library> {
        Arc::new(Library { shelf: self.clone(), read: Mutex::default(), announced: Mutex::default() })
    }
}

impl PageSource for Library {
    fn page<'a>(&'a self, page: PageRef) -> PageFuture<'a> {
        self.read.lock().unwrap().push(page.id);
        let found = self.shelf.pages.get(&page.id).cloned();
        Box::pin(async move { found.ok_or_else(|| Error::new(Kind::Damaged, "a page is missing")) })
    }

    fn prefetch(&self, pages: &[PageRef]) {
        self.announced.lock().unwrap().extend(pages.iter().map(|page| page.id));
    }
}

impl Library {
    /// The pages read since this was asked last.
    pub(super) fn take_read(&self) -> Vec<ChunkId> {
        std::mem::take(&mut *self.read.lock().unwrap())
    }
}

/// Runs a future that waits for nothing.
pub(super) fn now<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

/// The hasher of real pages.
pub(super) fn hasher() -> PageHasher {
    PageHasher::new([7; 32])
}

/// The hasher of pages so small that few entries make a tall tree.
pub(super) fn tiny() -> PageHasher {
    PageHasher::tiny_pages([7; 32])
}

/// A path.
pub(super) fn path(text: &str) -> EntryPath {
    EntryPath::parse(text.as_bytes()).expect("a valid path")
}

/// A chunk whose id follows from a number.
pub(super) fn chunk(number: u64, length: u32) -> ChunkRef {
    ChunkRef { id: ChunkId::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes()), length }
}

/// An ordinary file of one chunk.
pub(super) fn file(path: EntryPath, version: u32) -> Entry {
    let mut metadata = Metadata::new(FileKind::File);
    metadata.mode = 0o644;
    metadata.uid = 1000;
    metadata.gid = 1000;
    metadata.user = b"ann".to_vec();
    metadata.group = b"users".to_vec();
    metadata.modified = Timestamp { seconds: 1_700_000_000, nanoseconds: version };
    metadata.changed = metadata.modified;
    metadata.size = 5000;
    metadata.device = 64_769;
    metadata.inode = 4_711;
    let number = path.as_bytes().iter().fold(u64::from(version), |sum, byte| sum * 31 % 1_000_003 + u64::from(*byte));
    Entry::new(path, metadata, Content::Inline(vec![chunk(number, 5000)]))
}

/// `count` files in directories of 100, in order.
pub(super) fn files(count: u32) -> Vec<Entry> {
    (0..count)
        .map(|number| file(path(&format!("home/ann/project {:04}/source/file {number:07}.rs", number / 100)), 0))
        .collect()
}

/// Writes a catalog.
pub(super) fn write(hasher: PageHasher, entries: &[Entry], shelf: &mut Shelf) -> Option<PageRef> {
    let mut builder = CatalogBuilder::new(hasher);
    for entry in entries {
        builder.push(entry.clone(), shelf).expect("entries in order are taken");
    }
    builder.finish(shelf).expect("a tree ends")
}

/// Everything a walk gives.
pub(super) fn walk(library: &Arc<Library>, root: Option<PageRef>, below: Option<&EntryPath>) -> Result<Vec<Entry>> {
    let mut walk = Walk::new(Arc::clone(library) as Arc<dyn PageSource>, root);
    if let Some(below) = below {
        walk = walk.below(below.clone());
    }
    now(async {
        let mut all = Vec::new();
        while let Some(page) = walk.next_page().await? {
            assert!(!page.is_empty());
            all.extend(page);
        }
        Ok(all)
    })
}
