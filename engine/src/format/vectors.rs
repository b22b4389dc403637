//! Frozen encodings: if one of these changes, repositories in the field can no longer be read.

use crate::class::Class;
use crate::entry::ChunkProfile;
use crate::entry::ChunkRef;
use crate::entry::Chunking;
use crate::entry::Content;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::entry::Extent;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::entry::Xattr;
use crate::format::FormatError;
use crate::format::index;
use crate::format::index::IndexBody;
use crate::format::index::IndexRecords;
use crate::format::index::IndexedPack;
use crate::format::index_parts;
use crate::format::index_parts::IndexHead;
use crate::format::index_reader;
use crate::format::pack;
use crate::format::pack::NO_SALT;
use crate::format::pack::OwnTable;
use crate::format::pack::PackHead;
use crate::format::pack::PackTable;
use crate::format::pack::SegmentRecord;
use crate::format::pack::TableFrame;
use crate::format::page::Child;
use crate::format::page::Page;
use crate::id::ChunkId;
use crate::id::DataKeyId;
use crate::id::IndexId;
use crate::id::PackId;
use crate::id::RepositoryId;
use crate::id::SnapshotId;
use crate::time::Timestamp;

/// Decodes and encodes again; what it does not read is given back as it was.
pub(crate) type Reread = fn(&[u8]) -> Result<Vec<u8>, FormatError>;

pub(crate) fn chunk(name: u8, length: u32) -> ChunkRef {
    ChunkRef { id: ChunkId::from_bytes([name; 32]), length }
}

fn segment(offset: u32, stored_length: u32, salt: u16, chunks: &[ChunkRef]) -> SegmentRecord {
    let plain_length = chunks.iter().map(|chunk| chunk.length).sum();
    let (number, compression) = if salt == NO_SALT { (0, 0) } else { (offset, 1) };
    let chunks = chunks.to_vec();
    SegmentRecord { offset, stored_length, plain_length, data_key: 1, salt, number, compression, chunks }
}

pub(crate) fn table() -> PackTable {
    PackTable {
        class: Class::Data,
        session: SnapshotId::from_bytes([0x51; 16]),
        data_keys: vec![DataKeyId::from_bytes([0x61; 16]), DataKeyId::from_bytes([0x62; 16])],
        salts: vec![[0x71; 32]],
        segments: vec![
            segment(56, 340, NO_SALT, &[chunk(9, 100), chunk(1, 200)]),
            segment(396, 50, 0, &[chunk(5, 70)]),
            segment(446, 2_000, 0, &[chunk(1, 200), chunk(2, 3_000), chunk(3, 1)]),
        ],
    }
}

/// Bytes of each wrapped key in [`own_table`].
pub(crate) const WRAPPED_BYTES: usize = 119;

/// The same table with what a pack holds besides.
pub(crate) fn own_table() -> OwnTable {
    OwnTable { table: table(), wrapped_keys: vec![vec![0x81; WRAPPED_BYTES], vec![0x82; WRAPPED_BYTES]] }
}

pub(crate) fn body() -> IndexBody {
    let metadata = PackTable {
        class: Class::Metadata,
        salts: vec![],
        segments: vec![segment(100, 140, NO_SALT, &[chunk(5, 70), chunk(4, 30)])],
        ..table()
    };
    IndexBody {
        supersedes: vec![IndexId::from_bytes([0x31; 32]), IndexId::from_bytes([0x32; 32])],
        packs: vec![
            IndexedPack { pack: PackId::from_bytes([0x41; 32]), length: 4096, table: table() },
            IndexedPack { pack: PackId::from_bytes([0x42; 32]), length: 260, table: metadata },
        ],
    }
}

/// Index records of one pack with one segment that holds `chunks`.
pub(crate) fn records_with(chunks: &[(ChunkId, u32)]) -> IndexRecords {
    let chunks: Vec<_> = chunks.iter().map(|(id, length)| ChunkRef { id: *id, length: *length }).collect();
    let table = PackTable { segments: vec![segment(56, 20, NO_SALT, &chunks)], ..table() };
    let packs = vec![IndexedPack { pack: PackId::from_bytes([0x41; 32]), length: 4096, table }];
    let bytes = index::body_encode(&IndexBody { supersedes: vec![], packs }).expect("a valid body");
    index_reader::records_decode(&bytes).expect("the body just encoded")
}

pub(crate) fn path(text: &str) -> EntryPath {
    EntryPath::parse(text.as_bytes()).expect("a valid path")
}

fn time(seconds: i64, nanoseconds: u32) -> Timestamp {
    Timestamp { seconds, nanoseconds }
}

fn entry(kind: FileKind) -> Entry {
    Entry::new(path("home/ann/thing"), Metadata::new(kind), Content::Empty)
}

fn full_entry() -> Entry {
    let content = Content::Inline(vec![chunk(1, 4096), chunk(2, 1)]);
    let metadata = Metadata {
        mode: 0o4755,
        uid: 1000,
        gid: 100,
        user: b"ann".to_vec(),
        group: b"users".to_vec(),
        modified: time(1_700_000_000, 123_456_789),
        changed: time(1_700_000_001, 1),
        born: Some(time(-1, 999_999_999)),
        size: 10_000,
        links: 2,
        device: 0xfd01,
        inode: 131_074,
        xattrs: vec![
            Xattr { name: b"user.a".to_vec(), value: b"1".to_vec() },
            Xattr { name: b"user.b".to_vec(), value: vec![] },
        ],
        flags: 0x40,
        extents: Some(vec![Extent { offset: 0, length: 4096 }, Extent { offset: 9_999, length: 1 }]),
        ..Metadata::new(FileKind::File)
    };
    let warnings = vec!["its access control list could not be read".to_owned(), "été".to_owned()];
    Entry { content, metadata, warnings, ..entry(FileKind::File) }
}

/// One entry of every kind and shape, by name.
pub(crate) fn entries() -> Vec<(&'static str, Entry)> {
    let with = |change: &dyn Fn(&mut Entry)| {
        let mut entry = entry(FileKind::File);
        change(&mut entry);
        entry
    };
    let tree = Content::Tree { root: ChunkId::from_bytes([7; 32]), length: 5_000, chunks: 100, bytes: 50_000_000 };
    vec![
        ("entry empty file", entry(FileKind::File)),
        ("entry directory", entry(FileKind::Directory)),
        ("entry symlink", entry(FileKind::Symlink { target: b"../else/where".to_vec() })),
        ("entry symlink to nothing", entry(FileKind::Symlink { target: vec![] })),
        ("entry fifo", entry(FileKind::Fifo)),
        ("entry socket", entry(FileKind::Socket)),
        ("entry character device", entry(FileKind::CharDevice { rdev: 0x0103 })),
        ("entry block device", entry(FileKind::BlockDevice { rdev: 0x0801 })),
        ("entry device zero", entry(FileKind::BlockDevice { rdev: 0 })),
        ("entry stream", Entry { content: tree.clone(), ..entry(FileKind::Stream) }),
        ("entry full", full_entry()),
        ("entry tree", with(&|entry| entry.content = tree.clone())),
        ("entry inline", with(&|entry| entry.content = Content::Inline(vec![chunk(3, 77); 32]))),
        (
            "entry sized",
            with(&|entry| (entry.metadata.size, entry.content) = (77, Content::Inline(vec![chunk(3, 77)]))),
        ),
        ("entry all hole", with(&|entry| (entry.metadata.size, entry.metadata.extents) = (1 << 40, Some(vec![])))),
        ("entry born at the epoch", with(&|entry| entry.metadata.born = Some(Timestamp::default()))),
        ("entry without links", with(&|entry| entry.metadata.links = 0)),
        ("entry far past", with(&|entry| entry.metadata.modified = time(i64::MIN, 0))),
        ("entry hashed", with(&|entry| (entry.content, entry.hash) = (tree.clone(), Some([0x91; 32])))),
        ("entry in pages", with(&|entry| entry.chunking = Some(Chunking { chunker: 2, sizes: [8192; 3] }))),
        ("entry in rows", with(&|entry| entry.chunking = ChunkProfile::Rows.stored())),
        ("entry with a token", with(&|entry| entry.change_token = Some(b"\"etag\"".to_vec()))),
        ("entry raw bytes", with(&|entry| entry.path = EntryPath::parse(b"\xff\xfe/\x01 \n").expect("valid"))),
    ]
}

pub(crate) fn child(last_path: Option<&str>, name: u8) -> Child {
    let id = ChunkId::from_bytes([name; 32]);
    Child { last_path: last_path.map(path), id, length: 48_000, entries: 300 + u64::from(name), bytes: 1 << 33 }
}

fn pages() -> Vec<(&'static str, u8, Page)> {
    let named = |text: &str, entry: Entry| Entry { path: path(text), ..entry };
    let several = vec![
        named("home", entry(FileKind::Directory)),
        named("home/ann", entry(FileKind::Directory)),
        named("home/ann/a", full_entry()),
        named("home/ann/a/b", full_entry()),
        named("home/ann/a!", entry(FileKind::Fifo)),
        named("home/ann/a-b", entry(FileKind::File)),
        named("z", entry(FileKind::Socket)),
    ];
    let children = vec![child(Some("a/b"), 1), child(Some("a/b/c"), 2), child(Some("a-b"), 3)];
    vec![
        ("page of entries", 0, Page::Entries(several)),
        ("page of chunks", 0, Page::Chunks(vec![chunk(3, 10), chunk(1, 20), chunk(3, 10)])),
        ("inner page of entries", 1, Page::EntriesInner(children)),
        ("inner page of chunks", 2, Page::ChunksInner(vec![child(None, 1), child(None, 1), child(None, 0)])),
    ]
}

pub(crate) fn reread_page(bytes: &[u8]) -> Result<Vec<u8>, FormatError> {
    Page::decode_with_level(bytes).and_then(|(level, page)| page.encode(level))
}

fn reread_pack_head(bytes: &[u8]) -> Result<Vec<u8>, FormatError> {
    pack::head_decode(bytes).map(|head| pack::head_encode(&head))
}

fn reread_table(bytes: &[u8]) -> Result<Vec<u8>, FormatError> {
    pack::table_decode(bytes, 56, 4096).and_then(|table| pack::table_encode(&table))
}

fn reread_frame(bytes: &[u8]) -> Result<Vec<u8>, FormatError> {
    pack::table_frame_decode(bytes).map(|frame| pack::table_frame_encode(&frame))
}

fn reread_body(bytes: &[u8]) -> Result<Vec<u8>, FormatError> {
    index::body_decode(bytes).and_then(|body| index::body_encode(&body))
}

fn reread_index_head(bytes: &[u8]) -> Result<Vec<u8>, FormatError> {
    index_parts::head_decode(bytes).map(|head| index_parts::head_encode(&head))
}

fn reread_pack(bytes: &[u8]) -> Result<Vec<u8>, FormatError> {
    pack::trailer_check(bytes).map(|_| bytes.to_vec())
}

/// Every frozen encoding, and how to read it again.
pub(crate) fn vectors() -> Vec<(&'static str, Vec<u8>, Reread)> {
    let head = PackHead { class: Class::Metadata, table_length: 0x0001_0203, key_id: [0x11; 16], nonce: [0x22; 24] };
    let index_head = IndexHead {
        repository: RepositoryId::from_bytes([0x11; 16]),
        key_id: [0x22; 16],
        salt: [0x33; 32],
        plain_length: 3_000_000,
    };
    let frame = TableFrame { squeezed: false, plain_length: 5, bytes: b"table" };
    let small_pack = [b"any bytes".to_vec(), pack::trailer_encode([b"any ".as_slice(), b"bytes"])].concat();
    let mut vectors: Vec<(&'static str, Vec<u8>, Reread)> = vec![
        ("pack head", pack::head_encode(&head), reread_pack_head),
        ("pack table", pack::table_encode(&own_table()).expect("valid"), reread_table),
        ("pack table frame", pack::table_frame_encode(&frame), reread_frame),
        ("pack with trailer", small_pack, reread_pack),
        ("index head", index_parts::head_encode(&index_head), reread_index_head),
        ("index body", index::body_encode(&body()).expect("valid"), reread_body),
        ("index body of nothing", index::body_encode(&IndexBody::default()).expect("valid"), reread_body),
    ];
    for (name, level, page) in pages() {
        vectors.push((name, page.encode(level).expect("valid"), reread_page));
    }
    for (name, entry) in entries() {
        vectors.push((name, Page::Entries(vec![entry]).encode(0).expect("valid"), reread_page));
    }
    vectors
}

/// Name, length in bytes, first 16 bytes of the BLAKE3 hash.
const FROZEN: &[(&str, usize, &str)] = &[
    ("pack head", 56, "be0dca52f135d2f6c5f3d9741df17ea2"),
    ("pack table", 602, "134ea6ccd7a9d6faa05b9cfa71d9a529"),
    ("pack table frame", 10, "41faaa904498864dbc0c6e1d70238a9c"),
    ("pack with trailer", 29, "5e0b5511426c00167f1ca85b10d8798d"),
    ("index head", 88, "2a0ba91c9a8439655f48f67c7b3cbf54"),
    ("index body", 754, "5da04c05e662d8231c7acae8bf88a4f7"),
    ("index body of nothing", 16, "e572dff82304700b856a555ac3a4558d"),
    ("page of entries", 649, "2c9875ffecbd0d78daaa2c1de47e5b51"),
    ("page of chunks", 114, "023d10717c98b5115555e1a8a1d39e37"),
    ("inner page of entries", 181, "ff5280841f51461b49f7f15833e6b165"),
    ("inner page of chunks", 162, "de752fe0befef1c459b00b364843ec25"),
    ("entry empty file", 29, "a00a5c41433ed63aabcfefcd3c9c6b25"),
    ("entry directory", 29, "5fd20e8819765696f2f4122971e4840a"),
    ("entry symlink", 44, "9942d5d84674ded61515ad588f3cb115"),
    ("entry symlink to nothing", 29, "61899afbc240209cbdd4e8fc0fec607f"),
    ("entry fifo", 29, "f5200f144b9506b556cbce777a54a0ef"),
    ("entry socket", 29, "79fe538da84f8d89badf919457ea28d0"),
    ("entry character device", 37, "7fddf22d36a94e378f3f5b7069efca92"),
    ("entry block device", 37, "ae07ef3af7af972455beca923dbc4967"),
    ("entry device zero", 29, "c99fc1e3714f8e20b7ec8f6ad6f6c206"),
    ("entry stream", 89, "de6887312f4697583015ef78b108684f"),
    ("entry full", 311, "7716b6591db758b2ef00d72682b0b0fe"),
    ("entry tree", 89, "43bec91335d3e93216c6a6f98ad27553"),
    ("entry inline", 1190, "8ebb757ea43d5d2e2e8426de36146569"),
    ("entry sized", 66, "905791e348723d7eabb5c3853620f9e2"),
    ("entry all hole", 41, "5bf30b9cf919ec7eca8c5ff3e64baa1f"),
    ("entry born at the epoch", 41, "61799a1c063bfe701807b49a87915e2f"),
    ("entry without links", 37, "19338d37d865e8f8f6307ad4e9b387c0"),
    ("entry far past", 41, "97a13dbf21aed84db499f9df8ae92b5a"),
    ("entry hashed", 121, "9fbb7a4da61962512ff199d7a52eb21e"),
    ("entry in pages", 42, "8d62a6f335251335b33389ab692b002a"),
    ("entry in rows", 42, "446bed701efa7128f00f1dd82d9c5635"),
    ("entry with a token", 37, "33a5eed8d84508b42d7f5123703b13af"),
    ("entry raw bytes", 21, "1d97be2de288690506c76c07db976552"),
];

#[test]
fn encodings_are_frozen() {
    let found: Vec<_> = vectors()
        .into_iter()
        .map(|(name, bytes, _)| (name, bytes.len(), blake3::hash(&bytes).to_hex().as_str()[..32].to_owned()))
        .collect();
    let found: Vec<_> = found.iter().map(|(name, length, hash)| (*name, *length, hash.as_str())).collect();
    assert_eq!(found, FROZEN);
}

#[test]
fn what_was_encoded_reads_back_to_the_same_bytes() {
    for (name, bytes, reread) in vectors() {
        assert_eq!(reread(&bytes).as_ref(), Ok(&bytes), "{name}");
    }
}

#[test]
fn whatever_is_cut_short_is_an_error() {
    for (name, bytes, reread) in vectors() {
        for length in 0..bytes.len() {
            // A frame ends where its bytes end, so only its stated length can tell.
            assert!(reread(&bytes[..length]).is_err(), "{name} cut to {length} bytes");
        }
    }
}

#[test]
fn whatever_is_too_long_is_an_error() {
    for (name, bytes, reread) in vectors().into_iter().filter(|(name, ..)| !name.ends_with("head")) {
        assert!(reread(&[bytes.as_slice(), &[0]].concat()).is_err(), "{name}");
    }
}

#[test]
fn a_flipped_byte_is_an_error_or_another_value() {
    let mut values = 0;
    for (name, mut bytes, reread) in vectors() {
        for at in 0..bytes.len() {
            for flip in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
                bytes[at] ^= flip;
                if let Ok(again) = reread(&bytes) {
                    // It encodes to the flipped bytes, so it is not the value that was damaged.
                    assert_eq!(again, bytes, "{name}, byte {at} flipped by {flip:#04x}");
                    values += 1;
                }
                bytes[at] ^= flip;
            }
        }
    }
    assert!(values > 1000, "{values} flips gave values: the loop does not reach the decoders");
}
