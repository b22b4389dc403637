//! The index by its answers: in memory and in shards the same.

use super::table::ChunkPlace;
use super::table::Index;
use crate::cache::Draft;
use crate::cache::ReadObject;
use crate::cache::ShardFolder;
use crate::class::Class;
use crate::crypto::name::NameKey;
use crate::entry::ChunkRef;
use crate::format::index::IndexBody;
use crate::format::index::IndexedPack;
use crate::format::index::body_encode;
use crate::format::index_reader::records_decode;
use crate::format::pack::NO_SALT;
use crate::format::pack::PackTable;
use crate::format::pack::SegmentRecord;
use crate::id::ChunkId;
use crate::id::DataKeyId;
use crate::id::IndexId;
use crate::id::PackId;
use crate::id::RepositoryId;
use crate::id::SnapshotId;
use crate::random::SystemRng;
use crate::store::Condemned;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::path::Path;

fn id(number: u64) -> ChunkId {
    ChunkId::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

fn pack(name: u8, chunks: std::ops::Range<u64>) -> IndexedPack {
    let chunks: Vec<ChunkRef> = chunks.map(|number| ChunkRef { id: id(number), length: 10 }).collect();
    let mut offset = 100;
    let segments = chunks.chunks(1000).map(|chunks| {
        let plain_length = 10 * u32::try_from(chunks.len()).expect("small");
        let stored_length = plain_length + 40;
        offset += stored_length;
        SegmentRecord {
            offset: offset - stored_length,
            stored_length,
            plain_length,
            data_key: 0,
            salt: NO_SALT,
            number: 0,
            compression: 0,
            chunks: chunks.to_vec(),
        }
    });
    let segments = segments.collect();
    let data_keys = vec![DataKeyId::from_bytes([1; 16])];
    let session = SnapshotId::from_bytes([2; 16]);
    let table = PackTable { class: Class::Data, session, data_keys, salts: vec![], segments };
    IndexedPack { pack: PackId::from_bytes([name; 32]), length: offset + 20, table }
}

fn body(packs: Vec<IndexedPack>) -> IndexBody {
    IndexBody { supersedes: vec![], packs }
}

#[test]
fn a_chunk_is_found_where_it_was_put() {
    let mut index = Index::empty();
    index.add(body(vec![pack(1, 0..2500)])).expect("room");
    let place = index.find(&id(2004)).expect("read").expect("known");
    assert_eq!(place, ChunkPlace { pack: 0, segment: 2, offset: 40, length: 10 });
    assert_eq!(index.pack(0).expect("read").map(|pack| pack.segments.len()), Some(3));
    assert_eq!(index.find(&id(2500)).expect("read"), None);
    assert_eq!(index.len(), 2500);
}

#[test]
fn every_copy_of_a_chunk_can_be_reached() {
    let mut index = Index::empty();
    for name in 0..5 {
        index
            .add(body(vec![
                pack(name, 7..8),
                pack(name + 100, u64::from(name) * 100 + 1000..1050 + u64::from(name) * 100),
            ]))
            .expect("room");
    }
    let places = index.find_all(&id(7)).expect("read").into_iter();
    let mut packs: Vec<_> =
        places.filter_map(|place| index.pack_id(place.pack)).map(|pack| pack.as_bytes()[0]).collect();
    packs.sort_unstable();
    assert_eq!(packs, [0, 1, 2, 3, 4]);
}

#[test]
fn a_condemned_copy_is_read_last_and_never_relied_on() {
    let mut index = Index::empty();
    index.add(body((0..5).map(|name| pack(name, 7..8)).collect())).expect("room");
    let usable = |index: &Index, length| index.usable(&id(7), length).expect("read").map(|place| place.pack);
    let packs = |numbers: &[u8]| numbers.iter().map(|number| PackId::from_bytes([*number; 32])).collect();
    let order = |index: &Index| {
        let places = index.find_all(&id(7)).expect("read").into_iter().filter_map(|place| index.pack_id(place.pack));
        places.map(|pack| pack.as_bytes()[0]).collect::<Vec<_>>()
    };
    index.judge(&Condemned::of(packs(&[0, 1, 2, 4]), packs(&[0, 2])));
    let order = order(&index);
    assert_eq!(order[0], 3);
    assert!(order[1..3].contains(&1) && order[1..3].contains(&4), "{order:?}");
    assert!(order[3..].contains(&0) && order[3..].contains(&2), "{order:?}");
    assert_eq!(usable(&index, 10), Some(3));
    assert_eq!(usable(&index, 11), None);
    index.judge(&Condemned::of(packs(&[0, 1, 2, 3, 4]), packs(&[])));
    assert_eq!((usable(&index, 10), index.find_all(&id(7)).expect("read").len()), (None, 5));
    index.judge(&Condemned::default());
    assert!(usable(&index, 10).is_some());
}

#[test]
fn a_pack_named_by_two_index_objects_counts_once() {
    let mut index = Index::empty();
    index.add(body(vec![pack(1, 0..10)])).expect("room");
    index.add(body(vec![pack(1, 0..10), pack(2, 20..30)])).expect("room");
    assert_eq!(index.len(), 20);
    assert_eq!(index.find_all(&id(3)).expect("read").len(), 1);
    assert_eq!(index.pack_id(1), Some(PackId::from_bytes([2; 32])));
    assert_eq!(index.packs().count(), 2);
}

#[test]
fn the_stored_form_gives_the_same_index() {
    let both = body(vec![pack(1, 0..3000), pack(2, 2990..4000)]);
    let mut by_packs = Index::empty();
    by_packs.add(both.clone()).expect("room");
    let mut by_records = Index::empty();
    by_records
        .add_records(records_decode(&body_encode(&both).expect("valid")).expect("valid"), &HashSet::new())
        .expect("room");
    assert_eq!(by_packs.len(), by_records.len());
    for number in 0..4000 {
        let all = |index: &Index| {
            let places = index.find_all(&id(number)).expect("read").into_iter();
            let mut all: Vec<_> = places.map(|place| (place.pack, place.segment, place.offset)).collect();
            all.sort_unstable();
            all
        };
        assert_eq!(all(&by_packs), all(&by_records));
        assert_eq!(all(&by_packs).len(), if (2990..3000).contains(&number) { 2 } else { 1 });
    }
}

#[test]
fn an_index_in_memory_takes_at_most_sixty_bytes_a_chunk() {
    let mut index = Index::empty();
    for name in 0..20 {
        index.add(body(vec![pack(name, u64::from(name) * 10_000..(u64::from(name) + 1) * 10_000)])).expect("room");
    }
    assert_eq!(index.len(), 200_000);
    assert!((0..200_000).step_by(997).all(|number| matches!(index.find(&id(number)), Ok(Some(_)))));
    assert!(index.memory_bytes() <= index.len() * 60, "{} bytes", index.memory_bytes());
}

fn folder(path: &Path) -> ShardFolder {
    ShardFolder::new(Some(path), None, &NameKey::from_bytes([1; 32]), &RepositoryId::from_bytes([2; 16]))
}

fn object(name: u8, packs: Vec<IndexedPack>) -> ReadObject {
    let records = records_decode(&body_encode(&body(packs)).expect("valid")).expect("valid");
    ReadObject { id: IndexId::from_bytes([name; 32]), length: 100, records }
}

fn shard_of(folder: &ShardFolder, objects: &[ReadObject]) -> crate::cache::Shard {
    folder.make(&Draft::of_objects(objects.to_vec()), true, &SystemRng).expect("written").expect("hashes")
}

/// All that can be asked of an index, independent of positions and numbers.
#[derive(Debug, PartialEq)]
struct Answers {
    places: Vec<Vec<(PackId, u16, u32, u32)>>,
    usable: Vec<bool>,
    packs: BTreeMap<PackId, crate::format::index::PackInfo>,
    copies: usize,
}

fn answers(index: &Index, chunks: std::ops::Range<u64>) -> Answers {
    let places = |number| {
        let all = index.find_all(&id(number)).expect("read").into_iter();
        let mut all: Vec<_> = all
            .map(|place| (index.pack_id(place.pack).expect("a pack"), place.segment, place.offset, place.length))
            .collect();
        all.sort_unstable();
        all
    };
    let packs = index.packs().map(|pack| pack.expect("read")).map(|pack| (pack.id, (*pack).clone())).collect();
    Answers {
        places: chunks.clone().map(places).collect(),
        usable: chunks.map(|number| index.usable(&id(number), 10).expect("read").is_some()).collect(),
        packs,
        copies: index.len(),
    }
}

/// Positions as a prune uses them: each below the end, each once, copies of one chunk together and as `copies` says.
fn assert_positions_hold(index: &Index) {
    let mut seen = HashSet::new();
    let mut last = None;
    index
        .for_each_chunk(|copies| {
            let id = copies[0].1.id;
            assert!(last.is_none_or(|last| last < id), "chunks come in order, each once");
            last = Some(id);
            let mut asked = index.copies(&id)?;
            asked.sort_unstable();
            assert_eq!(asked, copies);
            assert!(copies.iter().all(|(position, _)| *position < index.end() && seen.insert(*position)));
            Ok(())
        })
        .expect("read");
    assert_eq!(seen.len(), index.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Objects name packs of random stretches of chunks, some packs twice; some are gone, some condemned.
    #[test]
    fn shards_and_memory_give_the_same_answers(
        packs in proptest::collection::vec((0u64..300, 1u64..60, 0u8..6), 1..20),
        gone in proptest::collection::vec(0usize..20, 0..4),
        condemned in proptest::collection::vec(0usize..20, 0..4),
        in_shards in any::<u8>(),
    ) {
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = folder(temporary.path());
        let named = |chosen: &[usize]| -> HashSet<PackId> {
            chosen.iter().map(|number| PackId::from_bytes([u8::try_from(*number).expect("small"); 32])).collect()
        };
        let mut objects: BTreeMap<u8, Vec<IndexedPack>> = BTreeMap::new();
        for (number, (first, count, of)) in (0u8..).zip(&packs) {
            let made = pack(number, *first..first + count);
            // Every third pack is named by a second object.
            if number % 3 == 0 {
                objects.entry(of + 10).or_default().push(made.clone());
            }
            objects.entry(*of).or_default().push(made);
        }
        let gone = named(&gone);
        let condemned = Condemned::of(named(&condemned), HashSet::new());
        let (mut memory, mut mixed) = (Index::empty(), Index::empty());
        for (name, packs) in objects {
            let object = object(name, packs);
            memory.add_records(object.records.clone(), &gone).expect("room");
            if in_shards >> (name % 8) & 1 == 1 {
                mixed.add_shard(shard_of(&folder, &[object]), &gone).expect("read");
            } else {
                mixed.add_records(object.records, &gone).expect("room");
            }
        }
        memory.judge(&condemned);
        mixed.judge(&condemned);
        assert_eq!(answers(&memory, 0..400), answers(&mixed, 0..400));
        assert_positions_hold(&memory);
        assert_positions_hold(&mixed);
    }
}

#[test]
fn positions_stay_while_an_index_grows() {
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = folder(temporary.path());
    let mut index = Index::empty();
    let mut known: BTreeMap<u32, crate::format::index::ChunkRecord> = BTreeMap::new();
    for name in 0..6u8 {
        let first = u64::from(name) * 50;
        let object = object(name, vec![pack(name, first..first + 100)]);
        if name % 2 == 0 {
            index.add_shard(shard_of(&folder, &[object]), &HashSet::new()).expect("read");
        } else {
            index.add_records(object.records, &HashSet::new()).expect("room");
        }
        let mut now = BTreeMap::new();
        index
            .for_each_chunk(|copies| {
                now.extend(copies.iter().copied());
                Ok(())
            })
            .expect("read");
        assert!(known.iter().all(|(position, record)| now.get(position) == Some(record)));
        known = now;
    }
    assert_eq!(known.len(), 600);
}

#[test]
fn an_index_in_shards_takes_at_most_three_bytes_a_chunk() {
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = folder(temporary.path());
    let mut index = Index::empty();
    // Packs as small as the default ones are with chunks that do not squeeze.
    for name in 0..8u8 {
        let packs = (0..50).map(|number| {
            let first = (u64::from(name) * 50 + number) * 32;
            let mut made = pack(name, first..first + 32);
            made.pack = PackId::from_bytes(*blake3::hash(&first.to_le_bytes()).as_bytes());
            made
        });
        index.add_shard(shard_of(&folder, &[object(name, packs.collect())]), &HashSet::new()).expect("read");
    }
    assert_eq!((index.len(), index.shards()), (8 * 50 * 32, 8));
    assert!(index.memory_bytes() <= index.len() * 3, "{} bytes", index.memory_bytes());
}
