//! Looking into snapshots costs what there is to see: each segment is opened once for a folder of files, each page once for
//! many snapshots, and the index is read once for all of them.

mod far;

use super::support::given::Given;
use super::support::given::Tree;
use super::support::scene::Scene;
use super::support::scene::backup;
use super::support::scene::in_time;
use super::support::scene::shared;
use std::collections::HashSet;
use strongroom::Area;
use strongroom::Class;
use strongroom::Entry;
use strongroom::MemoryBackend;
use strongroom::Name;
use strongroom::Repository;
use strongroom::Snapshot;
use strongroom_testkit::counting::Counting;
use strongroom_testkit::counting::Counts;
use strongroom_testkit::counting::Operation;

/// Segments of the packs of a class.
async fn segments(repository: &Repository, class: Class) -> u64 {
    let mut count = 0;
    for object in repository.list_objects(Area::Packs).await.expect("listed") {
        let Name::Pack(id) = object.name else { continue };
        let pack = repository.inspect_pack(id).await.expect("a pack");
        count += if pack.class == class { pack.segments.len() as u64 } else { 0 };
    }
    count
}

/// What was read of packs and of the index.
fn read(counts: &Counts) -> (u64, u64) {
    let of = |area| counts.of_area(Operation::Get, area) + counts.of_area(Operation::GetRange, area);
    (of(Area::Packs), of(Area::Index))
}

#[tokio::test]
async fn a_folder_of_ten_thousand_small_files_is_read_with_each_segment_opened_once() {
    in_time(async {
        let (scene, counting) = (Scene::new(41), Counting::new(shared(MemoryBackend::new())));
        let (repository, _) = scene.create(shared(counting.clone()), false).await.expect("created");
        let files: Vec<(u64, usize)> = (0..10_000).map(|seed| (seed, 1_000 + (seed as usize * 37) % 2_000)).collect();
        let tree = Tree::of_files("many", &files);
        let done = backup(&repository, Given::new(&tree)).threads(2).start().await.expect("stored");
        let snapshot = done.snapshot.expect("a snapshot");
        let all = segments(&repository, Class::Data).await + segments(&repository, Class::Metadata).await;
        assert!(all > 8, "there is something to open: {all}");
        let repository = scene.open(shared(counting.clone())).await.expect("opened");
        counting.take();
        let mut entries = repository.view(&snapshot).await.expect("a view").walk(None);
        let mut expected = tree.items.iter();
        while let Some(entry) = entries.next().await.expect("an entry") {
            let item = expected.next().expect("no more than there were");
            assert_eq!(entry.path, item.path);
            let (mut content, mut bytes) = (entries.open(&entry), Vec::new());
            while let Some(piece) = content.next().await.expect("a piece") {
                bytes.extend_from_slice(&piece);
            }
            assert!(bytes == item.bytes, "{} has other bytes", entry.path);
        }
        assert_eq!(expected.count(), 0);
        assert_eq!(read(&counting.counts()).0, all, "each segment once");
    })
    .await;
}

/// What a walk finds, one snapshot after the other.
async fn walked(repository: &Repository, snapshots: &[Snapshot]) -> Vec<Vec<Entry>> {
    let mut all = Vec::new();
    for snapshot in snapshots {
        let (mut entries, mut found) = (repository.view(snapshot).await.expect("a view").walk(None), Vec::new());
        while let Some(entry) = entries.next().await.expect("an entry") {
            found.extend(Some(entry).filter(is_wanted));
        }
        all.push(found);
    }
    all
}

fn is_wanted(entry: &Entry) -> bool {
    entry.path.as_bytes().ends_with(b"7")
}

#[tokio::test]
async fn a_search_of_many_snapshots_reads_the_index_once_and_each_page_once() {
    in_time(async {
        let (scene, counting) = (Scene::new(42), Counting::new(shared(MemoryBackend::new())));
        let (repository, _) = scene.create(shared(counting.clone()), false).await.expect("created");
        for round in 0..30 {
            // Every third has the same files as the one before it, so the same pages.
            let changed = round - round % 3;
            let files: Vec<(u64, usize)> = (0..50).chain([1_000 + changed]).map(|seed| (seed, 64)).collect();
            let tree = Tree::of_files("some", &files);
            backup(&repository, Given::new(&tree)).start().await.expect("stored");
        }
        let snapshots = repository.snapshots().await.expect("listed");
        let roots: HashSet<_> = snapshots.iter().map(|snapshot| snapshot.root.expect("a root").id).collect();
        assert_eq!((snapshots.len(), roots.len()), (30, 10));
        let expected = walked(&repository, &snapshots).await;
        assert!(expected.iter().all(|found| found.len() >= 4));
        let repository = scene.open(shared(counting.clone())).await.expect("opened");
        let mut costs = Vec::new();
        for some in [&snapshots[..1], &snapshots[..]] {
            counting.take();
            let mut search = repository.view_all().await.expect("a view").search(is_wanted);
            for (snapshot, wanted) in some.iter().zip(&expected) {
                let (mut found, mut all) = (search.through(snapshot), Vec::new());
                while let Some(entry) = found.next().await.expect("an entry") {
                    all.push(entry);
                }
                assert_eq!(&all, wanted);
            }
            costs.push(read(&counting.counts()));
        }
        assert_eq!(costs[0].0, 1);
        assert_eq!(costs[1].0, 10, "one page for each different catalog, each in a segment of its own");
        assert_eq!(costs[0].1, costs[1].1, "the index is read once");
        // Whatever else looks into all of them through one view does not read it again either.
        counting.take();
        let view = repository.view_all().await.expect("a view");
        for snapshot in &snapshots {
            view.snapshot_stats(snapshot).await.expect("counted");
            let one = view.snapshot(snapshot);
            one.entry(&expected[0][0].path).await.expect("read");
            one.clone().children(None).await.expect("read");
        }
        assert_eq!(read(&counting.counts()), costs[1]);
    })
    .await;
}

#[tokio::test]
async fn reading_at_random_opens_the_segments_concerned_and_keeps_no_more_than_there_is_room_for() {
    in_time(async {
        let (scene, counting) = (Scene::new(43), Counting::new(shared(MemoryBackend::new())));
        let (repository, _) = scene.create(shared(counting.clone()), false).await.expect("created");
        // More than is kept of opened segments (48 MiB).
        let tree = Tree::of_files("large", &[(1, 72 << 20)]);
        let done = backup(&repository, Given::new(&tree)).start().await.expect("stored");
        let view = repository.view(&done.snapshot.expect("a snapshot")).await.expect("a view");
        let bytes = &tree.items[0].bytes;
        let content = view.open(&view.entry(&tree.items[0].path).await.expect("read").expect("an entry"));
        // The pages of the chunk list come with the first bytes.
        content.read_at(0, 1).await.expect("read");
        let mut place = 7u64;
        for _ in 0..40 {
            place = place.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (offset, length) = (place % (71 << 20), 64 << 10);
            let from = offset as usize;
            for most in [2, 0] {
                counting.take();
                let found = view.open(&view.entry(&tree.items[0].path).await.expect("read").expect("an entry"));
                let found = found.read_at(offset, length).await.expect("read");
                assert!(found == bytes[from..from + length], "at {offset}");
                let opened = read(&counting.counts()).0;
                assert!(opened <= most, "{opened} segments for {length} bytes at {offset}, and then none");
            }
        }
        let opened = |offset: usize| {
            let (content, counting) = (content.clone(), counting.clone());
            async move {
                counting.take();
                content.read_at(offset as u64, 1).await.expect("read");
                read(&counting.counts()).0
            }
        };
        for offset in (0..72 << 20).step_by(128 << 10) {
            opened(offset).await;
        }
        assert_eq!(opened((72 << 20) - 1).await, 0, "what was used last is at hand");
        assert_eq!(opened(0).await, 1, "what was used longest ago is not");
    })
    .await;
}
