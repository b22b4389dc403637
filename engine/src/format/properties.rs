//! Round trips of arbitrary values, and arbitrary bytes against every decoder.

use crate::entry::ChunkRef;
use crate::entry::Chunking;
use crate::entry::Content;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::entry::Extent;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::entry::Xattr;
use crate::format::index;
use crate::format::index::IndexBody;
use crate::format::index::IndexedPack;
use crate::format::index_parts;
use crate::format::index_reader;
use crate::format::pack;
use crate::format::page::Page;
use crate::format::page::PageWriter;
use crate::format::vectors;
use crate::id::ChunkId;
use crate::id::PackId;
use crate::limits::MIB;
use crate::limits::PACK_PADDING_BYTES;
use crate::time::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn paths() -> impl Strategy<Value = EntryPath> {
    let component = proptest::collection::vec(1u8.., 1..5);
    proptest::collection::vec(component, 1..4)
        .prop_filter_map("no path", |parts| EntryPath::parse(&parts.join(&b'/')).ok())
}

fn times() -> impl Strategy<Value = Timestamp> {
    (any::<i64>(), 0..1_000_000_000u32).prop_map(|(seconds, nanoseconds)| Timestamp { seconds, nanoseconds })
}

fn chunks() -> impl Strategy<Value = ChunkRef> {
    (any::<[u8; 32]>(), 1..=2_097_152u32).prop_map(|(id, length)| ChunkRef { id: ChunkId::from_bytes(id), length })
}

fn contents() -> impl Strategy<Value = Content> {
    prop_oneof![
        Just(Content::Empty),
        proptest::collection::vec(chunks(), 1..=32).prop_map(Content::Inline),
        (any::<[u8; 32]>(), 1..=2_097_152u32, 1..1000u64, 1000u64..).prop_map(|(root, length, chunks, bytes)| {
            Content::Tree { root: ChunkId::from_bytes(root), length, chunks, bytes }
        }),
    ]
}

fn kinds() -> impl Strategy<Value = FileKind> {
    prop_oneof![
        4 => Just(FileKind::File),
        1 => Just(FileKind::Stream),
        1 => Just(FileKind::Directory),
        1 => any::<Vec<u8>>().prop_map(|target| FileKind::Symlink { target }),
        1 => Just(FileKind::Fifo),
        1 => Just(FileKind::Socket),
        1 => any::<u64>().prop_map(|rdev| FileKind::CharDevice { rdev }),
        1 => any::<u64>().prop_map(|rdev| FileKind::BlockDevice { rdev }),
    ]
}

fn extents() -> impl Strategy<Value = Option<Vec<Extent>>> {
    let gaps = proptest::collection::vec((0..1u64 << 30, 1..1u64 << 30), 0..5);
    proptest::option::of(gaps.prop_map(|gaps| {
        let mut end = 0;
        let place = |(gap, length): (u64, u64)| {
            let offset = end + gap;
            end = offset + length;
            Extent { offset, length }
        };
        gaps.into_iter().map(place).collect()
    }))
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let owner = (0..=0o7777u32, any::<u32>(), any::<u32>(), any::<Vec<u8>>(), any::<Vec<u8>>());
    let when = (times(), times(), proptest::option::of(times()));
    let numbers = (any::<u64>(), 0..3u64, any::<u64>(), any::<u64>(), any::<u32>());
    let xattrs = proptest::collection::btree_map(any::<Vec<u8>>(), any::<Vec<u8>>(), 0..4);
    (kinds(), owner, when, numbers, xattrs, extents()).prop_map(|(kind, owner, when, numbers, xattrs, extents)| {
        let (mode, uid, gid, user, group) = owner;
        let (modified, changed, born) = when;
        let (size, links, device, inode, flags) = numbers;
        let xattrs = xattrs.into_iter().map(|(name, value)| Xattr { name, value }).collect();
        let base =
            Metadata { kind, mode, uid, gid, user, group, modified, changed, born, ..Metadata::new(FileKind::File) };
        Metadata { size, links, device, inode, flags, xattrs, extents, ..base }
    })
}

fn entries() -> impl Strategy<Value = Entry> {
    let warnings = proptest::collection::vec(any::<String>(), 0..3);
    let token = proptest::option::of(proptest::collection::vec(any::<u8>(), 1..20));
    let later = (proptest::option::of(any::<[u8; 32]>()), proptest::option::of(1u8..), token);
    (paths(), metadata(), contents(), any::<bool>(), warnings, later).prop_map(
        |(path, mut metadata, content, whole, warnings, (hash, chunker, token))| {
            let content = if metadata.has_content() { content } else { Content::Empty };
            if whole {
                metadata.size = content.bytes();
            }
            let hash = hash.filter(|_| metadata.has_content());
            let change_token = token.filter(|_| metadata.has_content());
            let chunker = chunker.filter(|_| metadata.has_content());
            let sizes =
                |chunker: u8| if chunker == 2 { [u32::from(u8::MAX); 3] } else { [1, u32::from(chunker), 2 << 20] };
            let chunking = chunker.map(|chunker| Chunking { chunker, sizes: sizes(chunker) });
            Entry { warnings, hash, chunking, change_token, ..Entry::new(path, metadata, content) }
        },
    )
}

fn sorted(entries: Vec<Entry>) -> Vec<Entry> {
    let by_path: BTreeMap<EntryPath, Entry> = entries.into_iter().map(|entry| (entry.path.clone(), entry)).collect();
    by_path.into_values().collect()
}

proptest! {
    #[test]
    fn a_page_of_any_entries_reads_back(entries in proptest::collection::vec(entries(), 1..12)) {
        let page = Page::Entries(sorted(entries));
        let bytes = page.encode(0).expect("valid entries");
        prop_assert_eq!(Page::decode_with_level(&bytes), Ok((0, page)));
    }

    #[test]
    fn a_page_writer_knows_the_length_beforehand(entries in proptest::collection::vec(entries(), 1..12)) {
        let mut writer = PageWriter::entries();
        for entry in sorted(entries) {
            let expected = writer.length_with_entry(&entry);
            writer.push_entry(&entry).expect("a valid entry");
            prop_assert_eq!(writer.byte_length(), expected);
        }
        let length = writer.byte_length();
        prop_assert_eq!(writer.finish().expect("valid").len(), length);
    }

    #[test]
    fn paths_out_of_order_are_refused_by_the_writer(a in paths(), b in paths()) {
        let entry = |path| Entry::new(path, Metadata::new(FileKind::Fifo), Content::Empty);
        let in_order = a < b;
        let page = Page::Entries(vec![entry(a), entry(b)]);
        prop_assert_eq!(page.encode(0).is_ok(), in_order);
    }

    #[test]
    fn an_index_body_reads_back_pack_by_pack(lists in proptest::collection::vec(proptest::collection::vec(chunks(), 1..5), 1..20)) {
        let sample = vectors::table();
        let packs = lists.chunks(3).zip(0u8..).map(|(lists, name)| {
            let mut table = pack::PackTable { segments: vec![], ..sample.clone() };
            for chunks in lists {
                let plain_length: u32 = chunks.iter().map(|chunk| chunk.length).sum();
                let sealed = sample.segments[0].clone();
                table.segments.push(pack::SegmentRecord { plain_length, stored_length: plain_length / 8 + 1, chunks: chunks.clone(), ..sealed });
            }
            let end = table.place_segments(56).expect("small");
            IndexedPack { pack: PackId::from_bytes([name; 32]), length: end + 20, table }
        });
        let body = IndexBody { supersedes: vec![], packs: packs.collect() };
        let bytes = index::body_encode(&body).expect("valid");
        prop_assert_eq!(index::body_decode(&bytes), Ok(body));
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in any::<Vec<u8>>(), kind in 1u8..5, level in 0u8..2) {
        let _ = Page::decode(&bytes);
        let _ = Page::decode(&[&[kind, level, 1, 0, 0, 0], bytes.as_slice()].concat());
        let _ = index::body_decode(&bytes);
        let _ = pack::table_decode(&bytes, 56, 1 << 20);
        let _ = pack::trailer_check(&bytes);
        prop_assert!(pack::head_decode(&bytes).is_err());
        prop_assert!(index_parts::head_decode(&bytes).is_err());
    }

    #[test]
    fn padding_hides_much_and_costs_little(length in 1usize..128 * MIB) {
        let padded = pack::padded_length(length);
        prop_assert!(padded >= length);
        prop_assert_eq!(pack::padded_length(padded), padded);
        prop_assert!(padded - length <= (length / 8).max(PACK_PADDING_BYTES - 1).min(length / 8 + PACK_PADDING_BYTES));
        prop_assert!(padded <= length + length / 8 + 1 || length >= 4 * MIB);
        prop_assert!(length < 4 * MIB || padded.is_multiple_of(PACK_PADDING_BYTES));
        prop_assert!(padded <= 128 * MIB);
    }
}

#[test]
fn padded_lengths_are_frozen() {
    let lengths = [0, 1, 9, 100, 1000, 70_000, 1_000_000, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 128 * MIB];
    let padded = [0, 1, 10, 104, 1024, 71_680, 1_015_808, 4 * MIB, 4 * MIB, 4 * MIB + 65_536, 128 * MIB];
    assert_eq!(lengths.map(pack::padded_length), padded);
}

#[test]
fn an_index_of_a_hundred_thousand_chunks_reads_back() {
    let sample = vectors::table();
    let chunk = |number: u32| ChunkRef {
        id: ChunkId::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes()),
        length: 100,
    };
    let mut table = pack::PackTable { segments: vec![], ..sample.clone() };
    for segment in 0..100u32 {
        let chunks: Vec<_> = (segment * 1000..(segment + 1) * 1000).map(chunk).collect();
        let sealed = sample.segments[0].clone();
        table.segments.push(pack::SegmentRecord { plain_length: 100_000, stored_length: 9000, chunks, ..sealed });
    }
    let end = table.place_segments(56).expect("small");
    let body = IndexBody {
        supersedes: vec![],
        packs: vec![IndexedPack { pack: PackId::from_bytes([1; 32]), length: end + 20, table }],
    };
    let start = std::time::Instant::now();
    let bytes = index::body_encode(&body).expect("valid");
    let written = start.elapsed();
    let records = index_reader::records_decode(&bytes).expect("valid");
    let read = start.elapsed() - written;
    let mut index = crate::index::table::Index::empty();
    index.add_records(records, &std::collections::HashSet::new()).expect("room");
    let added = start.elapsed() - written - read;
    println!("100,000 chunks: written in {written:?}, read in {read:?}, added in {added:?}");
    assert_eq!(index::body_decode(&bytes), Ok(body));
    assert_eq!(index.len(), 100_000);
}
