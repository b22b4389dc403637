//! Promises of reading chunk lists: all of them, from any byte, touching few pages.

use super::shelf::Library;
use super::shelf::Shelf;
use super::shelf::chunk;
use super::shelf::hasher;
use super::shelf::now;
use super::shelf::tiny;
use crate::catalog::ChunkListBuilder;
use crate::catalog::ChunkWalk;
use crate::catalog::PageHasher;
use crate::catalog::PageSource;
use crate::catalog::chunks::PlacedChunk;
use crate::entry::ChunkRef;
use crate::entry::Content;
use proptest::prelude::ProptestConfig;
use proptest::prelude::prop;
use proptest::prelude::prop_assert_eq;
use proptest::proptest;
use std::sync::Arc;

fn content(hasher: PageHasher, chunks: impl Iterator<Item = ChunkRef>) -> (Arc<Library>, Content) {
    let mut shelf = Shelf::default();
    let mut list = ChunkListBuilder::new(hasher);
    for chunk in chunks {
        list.push(chunk, &mut shelf).unwrap();
    }
    let content = list.finish(&mut shelf).unwrap();
    (shelf.open(), content)
}

fn open(library: &Arc<Library>, content: &Content) -> ChunkWalk {
    ChunkWalk::new(Arc::clone(library) as Arc<dyn PageSource>, content)
}

fn rest(walk: &mut ChunkWalk) -> Vec<PlacedChunk> {
    now(async {
        let mut all = Vec::new();
        while let Some(placed) = walk.next().await.unwrap() {
            all.push(placed);
        }
        all
    })
}

#[test]
fn a_million_chunks_are_walked_and_sought() {
    let length = |number: u64| 1 + u32::try_from(number % 1000).unwrap();
    let (library, content) = content(hasher(), (0..1_000_000).map(|number| chunk(number, length(number))));
    let mut walk = open(&library, &content);
    let all = rest(&mut walk);
    assert_eq!(all.len(), 1_000_000);
    let mut offset = 0;
    for (number, placed) in (0u64..).zip(&all) {
        assert_eq!(placed.offset, offset);
        assert_eq!(placed.chunk.length, length(number));
        offset += u64::from(placed.chunk.length);
    }
    assert_eq!(offset, content.bytes());
    let pages = library.take_read().len();
    assert_eq!(pages, library.shelf.written.len(), "every page is read once");
    assert!(pages > 500);
    for offset in [0, 1, content.bytes() / 2, 17, content.bytes() - 1, 123_456_789, 123_456_789] {
        walk.seek(offset);
        let found = now(walk.next()).unwrap().expect("a chunk");
        let place = all.partition_point(|placed| placed.offset + u64::from(placed.chunk.length) <= offset);
        assert_eq!(found, all[place]);
        assert!(library.take_read().len() <= 3, "a seek reads one page per level");
    }
    walk.seek(content.bytes());
    assert_eq!(now(walk.next()).unwrap(), None);
    // The first chunks have 1, 2 and 3 bytes; a walk that ended can be taken back.
    walk.seek(5);
    assert_eq!(now(walk.next()).unwrap(), Some(all[2]));
}

#[test]
fn pages_are_announced_before_they_are_read() {
    let (library, content) = content(hasher(), (0..100_000).map(|number| chunk(number, 10)));
    rest(&mut open(&library, &content));
    let announced = library.announced.lock().unwrap();
    assert_eq!(announced.len(), library.shelf.written.len() - 2, "all but the root and its first child, each once");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_chunk_walk_gives_what_was_listed_from_any_byte(
        lengths in prop::collection::vec(1u32..50, 0..400),
        seeks in prop::collection::vec(0u64..12_000, 0..12),
    ) {
        let listed: Vec<ChunkRef> = (0u64..).zip(&lengths).map(|(number, length)| chunk(number % 50, *length)).collect();
        let (library, content) = content(tiny(), listed.iter().copied());
        let mut placed = Vec::new();
        let mut offset = 0;
        for chunk in &listed {
            placed.push(PlacedChunk { offset, chunk: *chunk });
            offset += u64::from(chunk.length);
        }
        prop_assert_eq!(content.bytes(), offset);
        let mut walk = open(&library, &content);
        for (turn, seek) in seeks.into_iter().enumerate() {
            walk.seek(seek);
            let place = placed.partition_point(|placed| placed.offset + u64::from(placed.chunk.length) <= seek);
            let want = placed.get(place..).unwrap_or_default();
            if turn % 3 == 0 {
                prop_assert_eq!(rest(&mut walk), want);
            } else {
                prop_assert_eq!(now(walk.next()).unwrap(), want.first().copied());
            }
        }
        walk.seek(0);
        prop_assert_eq!(rest(&mut walk), placed);
    }
}
