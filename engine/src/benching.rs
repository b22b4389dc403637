//! The inner stages as the benchmarks call them: thin wrappers, hidden, without any promise.

use crate::backend::Name;
use crate::backup::cut::Cutter;
use crate::backup::cut::Cutters;
use crate::catalog::CatalogBuilder;
use crate::catalog::PageHasher;
use crate::catalog::PageSink;
use crate::class::Class;
use crate::crypto::keys::Keys;
use crate::crypto::keys::RootKey;
use crate::crypto::seal::DataKey;
use crate::crypto::seal::SealedSegment;
use crate::crypto::seal::Sealer;
use crate::crypto::seal::SegmentHead;
use crate::crypto::seal::Suite;
use crate::entry::ChunkProfile;
use crate::entry::ChunkRef;
use crate::entry::Content;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::config::PrivateConfig;
use crate::format::index::IndexBody;
use crate::format::index::IndexedPack;
use crate::format::pack::NO_SALT;
use crate::format::pack::PackTable;
use crate::format::pack::SegmentRecord;
use crate::format::page::PageRef;
use crate::format::segment::SegmentInfo;
use crate::format::snapshot::Snapshot;
use crate::format::wire::length_u32;
use crate::id::ChunkId;
use crate::id::DataKeyId;
use crate::id::PackId;
use crate::id::RepositoryId;
use crate::id::SnapshotId;
use crate::index::claim::Claim;
use crate::index::claim::Claims;
use crate::index::load;
use crate::index::table::Index;
use crate::limits::INDEX_MERGED_CHUNKS;
use crate::limits::METADATA_PACK_BYTES_GOAL;
use crate::limits::SEGMENT_CHUNKS_MAX;
use crate::pack::Form;
use crate::pack::FullPack;
use crate::pack::IndexWriter;
use crate::pack::OpenPacks;
use crate::pack::PackShape;
use crate::pack::Parcel;
use crate::pack::SegmentBuilder;
use crate::pack::SegmentShape;
use crate::random::SeededRng;
use crate::repository::Repository;
use crate::squeeze::Compression;
use crate::squeeze::Squeezer;
use crate::store::DurablePacks;
use crate::store::OnFull;
use crate::store::Store;
use crate::time::Timestamp;
use std::sync::Arc;

/// Which AEAD the bench seals with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aead {
    /// Suite 1.
    XChaCha20Poly1305,
    /// Suite 2.
    Aes256Gcm,
}

/// Fixed keys and reused buffers: one worker of a backup, taken apart.
pub struct Bench {
    keys: Keys,
    cutter: Cutter,
    rng: SeededRng,
}

impl Bench {
    /// The same keys every time.
    pub fn new() -> Self {
        let keys = RootKey::from_bytes([7; 32]).derive(&repository());
        let cutters = Cutters::new(&keys.chunker, PrivateConfig::standard(String::new()).chunker);
        let cutter = cutters.of(ChunkProfile::Default);
        Self { keys, cutter, rng: SeededRng::new(7) }
    }

    /// Lengths of the chunks that `bytes` is cut into.
    pub fn cut(&self, bytes: &[u8]) -> Vec<usize> {
        let mut lengths = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let length = self.cutter.cut(rest);
            lengths.push(length);
            rest = rest.get(length..).unwrap_or_default();
        }
        lengths
    }

    /// The name of one chunk.
    pub fn name(&self, chunk: &[u8]) -> ChunkId {
        self.keys.data_names.name(chunk)
    }

    /// A stage that compresses and seals, as one worker does.
    pub fn segments(&self, aead: Aead, level: i32) -> Result<Segments<'_>> {
        let suite = match aead {
            Aead::XChaCha20Poly1305 => Suite::XChaCha20Poly1305,
            Aead::Aes256Gcm => Suite::Aes256Gcm,
        };
        let key = Arc::new(DataKey::random(DataKeyId::from_bytes([2; 16]), suite, &self.rng)?);
        let sealer = Sealer::new(key, repository(), &self.rng)?;
        Ok(Segments { bench: self, sealer, squeezer: Squeezer::new(level)?, squeezed: Vec::new() })
    }
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

/// Compresses and seals with buffers of its own.
pub struct Segments<'a> {
    bench: &'a Bench,
    sealer: Sealer,
    squeezer: Squeezer,
    squeezed: Vec<u8>,
}

impl Segments<'_> {
    /// Compresses only: the compressed length, or the plain one when it would not shrink.
    pub fn squeeze(&mut self, plain: &[u8]) -> Result<usize> {
        let smaller = self.squeezer.squeeze(plain, &mut self.squeezed)?;
        Ok(if smaller { self.squeezed.len() } else { plain.len() })
    }

    /// Seals only: the sealed length.
    pub fn seal(&mut self, bytes: &[u8]) -> Result<usize> {
        self.sealed(0, bytes.len(), bytes).map(|segment| segment.bytes().len())
    }

    /// Compresses and seals: the stored length of the segment.
    pub fn build(&mut self, plain: &[u8]) -> Result<usize> {
        let mut squeezed = std::mem::take(&mut self.squeezed);
        let segment = if self.squeezer.squeeze(plain, &mut squeezed)? {
            self.sealed(1, plain.len(), &squeezed)
        } else {
            self.sealed(0, plain.len(), plain)
        };
        self.squeezed = squeezed;
        segment.map(|segment| segment.bytes().len())
    }

    fn sealed(&mut self, compression: u8, plain_length: usize, bytes: &[u8]) -> Result<SealedSegment> {
        let plain_length = u32::try_from(plain_length).unwrap_or(u32::MAX);
        self.sealer.seal(
            Vec::new(),
            &self.bench.rng,
            SegmentHead { class: Class::Data, compression, plain_length },
            bytes,
        )
    }
}

/// An index of made-up chunks, with their names at hand.
pub struct Lookup {
    index: Index,
    names: Vec<ChunkId>,
}

impl Lookup {
    /// An index of `chunks` chunks.
    pub fn new(bench: &Bench, chunks: u64) -> Self {
        let names: Vec<ChunkId> = (0..chunks).map(|number| bench.name(&number.to_le_bytes())).collect();
        let mut index = Index::empty();
        for (number, pack) in names.chunks(SEGMENT_CHUNKS_MAX).enumerate() {
            let body = IndexBody { supersedes: Vec::new(), packs: vec![indexed_pack(number, pack)] };
            index.add(body).expect("a benchmark has far fewer chunks than can be counted");
        }
        Self { index, names }
    }

    /// How many of the names are found when each `step`th is looked up.
    pub fn hits(&self, step: usize) -> usize {
        self.names.iter().step_by(step.max(1)).filter(|name| matches!(self.index.find(name), Ok(Some(_)))).count()
    }

    /// How many of these are found: names the index does not have, for instance.
    pub fn found(&self, names: &[ChunkId]) -> usize {
        names.iter().filter(|name| matches!(self.index.find(name), Ok(Some(_)))).count()
    }
}

/// A repository's index of made-up chunks of 512 KiB, as large as wished.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// All chunks.
    pub chunks: u64,
    /// Chunks of a pack.
    pub of_pack: u64,
    /// Chunks of a segment.
    pub of_segment: usize,
}

impl Scale {
    /// Stores index objects for all chunks, as full as a prune makes them. Gives the path of every pack they name and
    /// its length, for whoever lays empty files there.
    pub async fn fill(self, repository: &Repository) -> Result<Vec<(String, u64)>> {
        let store = repository.store();
        let key = store.new_data_key(Class::Data, Suite::fastest(), true).await?;
        let mut packs = Vec::new();
        let mut named = Vec::new();
        let mut chunks = 0;
        for first in (0..self.chunks).step_by(usize::try_from(self.of_pack).unwrap_or(usize::MAX)) {
            let pack = self.pack(repository, first, key.id);
            packs.push((Name::Pack(pack.pack).to_string(), u64::from(pack.length)));
            named.push(pack);
            chunks += self.of_pack;
            if chunks >= u64::try_from(INDEX_MERGED_CHUNKS).unwrap_or(u64::MAX) {
                store.put_index(&DurablePacks::made_up(std::mem::take(&mut named)), OnFull::Fail).await?;
                chunks = 0;
            }
        }
        if !named.is_empty() {
            store.put_index(&DurablePacks::made_up(named), OnFull::Fail).await?;
        }
        Ok(packs)
    }

    /// Stores two snapshots with real catalogs, of files of eight chunks: one needs every chunk, the other one those of
    /// every second pack. Gives the first.
    pub async fn snapshots(self, repository: &Repository) -> Result<SnapshotId> {
        let store = repository.store();
        let step = usize::try_from(self.of_pack).unwrap_or(usize::MAX);
        for (number, step) in [(1, step), (2, 2 * step)] {
            let mut shelf = Shelf::new(repository).await?;
            let mut catalog = CatalogBuilder::new(PageHasher::new([5; 32]));
            for first in (0..self.chunks).step_by(step) {
                let last = self.chunks.min(first + self.of_pack);
                for file in (first..last).step_by(8) {
                    let to = last.min(file + FILE_CHUNKS);
                    let chunk = |number| ChunkRef { id: made_up(repository, number), length: CHUNK_BYTES };
                    let chunks: Vec<ChunkRef> = (file..to).map(chunk).collect();
                    let mut metadata = Metadata::new(FileKind::File);
                    metadata.size = (to - file) * u64::from(CHUNK_BYTES);
                    let path = EntryPath::parse(format!("{file:012}").as_bytes());
                    let path = path.map_err(|cause| Error::new(Kind::Bug, "a made-up path").because(cause))?;
                    catalog.push(Entry::new(path, metadata, Content::Inline(chunks)), &mut shelf)?;
                }
                shelf.put().await?;
            }
            let root = catalog.finish(&mut shelf)?;
            shelf.finish().await?;
            let mut record = Snapshot::new(SnapshotId::from_bytes([number; 16]), Timestamp::default());
            record.root = root;
            store.put_small(&Name::Snapshot(record.id), &record.encode()).await?;
        }
        Ok(SnapshotId::from_bytes([1; 16]))
    }

    fn pack(self, repository: &Repository, first: u64, data_key: DataKeyId) -> IndexedPack {
        let last = self.chunks.min(first + self.of_pack);
        let chunks: Vec<ChunkRef> =
            (first..last).map(|number| ChunkRef { id: made_up(repository, number), length: CHUNK_BYTES }).collect();
        let mut offset = 4096;
        let mut segments = Vec::new();
        for chunks in chunks.chunks(self.of_segment) {
            let plain_length = CHUNK_BYTES.saturating_mul(u32::try_from(chunks.len()).unwrap_or(u32::MAX));
            let (stored_length, chunks) = (plain_length / 2, chunks.to_vec());
            let info = SegmentInfo {
                offset,
                stored_length,
                plain_length,
                data_key: 0,
                salt: NO_SALT,
                number: 0,
                compression: 1,
            };
            segments.push(info.with_chunks(chunks));
            offset += stored_length;
        }
        let (class, session) = (Class::Data, SnapshotId::from_bytes([3; 16]));
        let table = PackTable { class, session, data_keys: vec![data_key], salts: Vec::new(), segments };
        let name = repository.store().names(Class::Metadata).name(&first.to_le_bytes());
        IndexedPack { pack: PackId::from_bytes(*name.as_bytes()), length: offset + 8192, table }
    }
}

/// The length of a made-up chunk.
const CHUNK_BYTES: u32 = 512 * 1024;
/// Chunks of a made-up file.
const FILE_CHUNKS: u64 = 8;

/// Pages of a catalog on their way into packs.
struct Shelf {
    store: Arc<Store>,
    segments: SegmentBuilder,
    packs: OpenPacks,
    full: Vec<FullPack>,
    index: IndexWriter,
}

impl Shelf {
    async fn new(repository: &Repository) -> Result<Self> {
        let store = Arc::clone(repository.store());
        let class = Class::Metadata;
        let key = store.new_data_key(class, Suite::fastest(), true).await?;
        let shape = SegmentShape::new(class, Compression::Level(3), METADATA_PACK_BYTES_GOAL);
        let session = SnapshotId::from_bytes([3; 16]);
        let packs = OpenPacks::new(&store, PackShape::new(class, session, METADATA_PACK_BYTES_GOAL));
        let segments = SegmentBuilder::new(&store, shape, &key, None)?;
        let index = IndexWriter::new(&store, OnFull::Fail);
        Ok(Self { store, segments, packs, full: Vec::new(), index })
    }

    fn add(&mut self, parcels: impl IntoIterator<Item = Parcel>) -> Result<()> {
        for parcel in parcels {
            self.full.extend(self.packs.add(parcel)?);
        }
        Ok(())
    }

    /// Stores what is full.
    async fn put(&mut self) -> Result<()> {
        for pack in std::mem::take(&mut self.full) {
            let pack = pack.lay_out(&self.store)?;
            let (stored, _) = self.store.put_pack(pack, OnFull::Fail).await?;
            self.index.add(stored).await?;
        }
        Ok(())
    }

    /// Stores the rest.
    async fn finish(mut self) -> Result<()> {
        let rest = self.segments.finish()?;
        self.add(rest)?;
        self.full.extend(self.packs.finish());
        self.put().await?;
        self.index.finish().await.map(drop)
    }
}

impl PageSink for Shelf {
    fn put_page(&mut self, bytes: Vec<u8>) -> Result<PageRef> {
        let page = PageRef { id: self.store.names(Class::Metadata).name(&bytes), length: length_u32(bytes.len()) };
        let chunk = ChunkRef { id: page.id, length: page.length };
        let closed = self.segments.add(chunk, &bytes, Form::Squeezed)?;
        self.add(closed)?;
        Ok(page)
    }
}

fn made_up(repository: &Repository, number: u64) -> ChunkId {
    repository.store().names(Class::Data).name(&number.to_le_bytes())
}

/// What a backup knows of a repository.
pub struct Known {
    repository: Repository,
    claims: Claims,
}

impl Known {
    /// Opens the index as a backup does.
    pub async fn open(repository: &Repository) -> Result<Self> {
        let stored = load::load_what_is_stored(repository.store()).await?;
        let claims = Claims::beside(repository.store(), Arc::new(stored.index));
        Ok(Self { repository: repository.clone(), claims })
    }

    /// Copies of chunks it knows, shards they are in, bytes that the index itself says it takes.
    pub fn size(&self) -> (usize, usize, usize) {
        let index = self.claims.index();
        (index.len(), index.shards(), index.memory_bytes())
    }

    /// How many of these made-up chunks it has.
    pub fn found(&self, numbers: impl Iterator<Item = u64>) -> Result<usize> {
        let mut found = 0;
        for number in numbers {
            let id = made_up(&self.repository, number);
            found += usize::from(self.claims.index().usable(&id, CHUNK_BYTES)?.is_some());
        }
        Ok(found)
    }

    /// Takes on these made-up chunks; how many were new.
    pub fn claim(&self, numbers: impl Iterator<Item = u64>) -> Result<usize> {
        let mut new = 0;
        for number in numbers {
            let claim = self.claims.claim(&made_up(&self.repository, number), CHUNK_BYTES)?;
            new += usize::from(matches!(claim, Claim::New(_)));
        }
        Ok(new)
    }
}

fn repository() -> RepositoryId {
    RepositoryId::from_bytes([1; 16])
}

/// A pack of one segment that holds 100 bytes of each chunk.
fn indexed_pack(number: usize, names: &[ChunkId]) -> IndexedPack {
    let mut pack = [0; 32];
    pack.iter_mut().zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
    let chunks: Vec<ChunkRef> = names.iter().map(|id| ChunkRef { id: *id, length: 100 }).collect();
    let plain_length = u32::try_from(chunks.len() * 100).unwrap_or(u32::MAX);
    let segment = SegmentRecord {
        offset: 4096,
        stored_length: plain_length,
        plain_length,
        data_key: 0,
        salt: NO_SALT,
        number: 0,
        compression: 0,
        chunks,
    };
    let table = PackTable {
        class: Class::Data,
        session: SnapshotId::from_bytes([3; 16]),
        data_keys: vec![DataKeyId::from_bytes([2; 16])],
        salts: Vec::new(),
        segments: vec![segment],
    };
    IndexedPack { pack: PackId::from_bytes(pack), length: plain_length.saturating_add(8192), table }
}
