//! Looking into snapshots that are far away: what will be needed is asked for together and not one thing after the other.

use super::segments;
use crate::support::given::Given;
use crate::support::given::Tree;
use crate::support::scene::Scene;
use crate::support::scene::backup;
use crate::support::scene::passphrase;
use crate::support::scene::shared;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use strongroom::Area;
use strongroom::Class;
use strongroom::CreateOptions;
use strongroom::KdfChoice;
use strongroom::MemoryBackend;
use strongroom::Repository;
use strongroom::RepositoryView;
use strongroom::SeededRng;
use strongroom::Snapshot;
use strongroom::testing;
use strongroom::testing::Sizes;
use strongroom_testkit::counting::Counting;
use strongroom_testkit::counting::Operation;
use strongroom_testkit::distant::Distant;

/// What one request takes.
const ROUND: Duration = Duration::from_millis(50);
/// Pages that are fetched ahead, as the engine has it.
const BATCH: u64 = 8;
/// The root, the level below it, and the data key.
const ON_THE_WAY: u64 = 3;

/// Snapshots that share nothing, whose catalog pages stand in a segment each.
struct Far {
    repository: Repository,
    counting: Counting,
    slow: Distant,
    snapshots: Vec<Snapshot>,
    trees: Vec<Tree>,
    pages: u64,
}

/// So many files that their entries fill many pages.
fn tree(name: &'static str, seed: u64) -> Tree {
    Tree::of_files(name, &(0..12_000).map(|number| (seed + number, 200)).collect::<Vec<_>>())
}

async fn far(trees: Vec<Tree>) -> Far {
    let (scene, counting) = (Scene::new(51), Counting::new(shared(MemoryBackend::new())));
    let slow = Distant::new(shared(counting.clone()), ROUND);
    let sizes = Sizes { chunk: 4096, pack: 64 << 10 };
    let mut options = CreateOptions::default();
    (options.kdf, options.recovery) = (KdfChoice::Minimal, false);
    let state = (Arc::new(SeededRng::new(52)) as _, scene.clock() as _);
    let made = testing::create(shared(counting.clone()), passphrase(), options, state, sizes).await.expect("made");
    let mut snapshots = Vec::new();
    for tree in &trees {
        let done = backup(&made.repository, Given::new(tree)).start().await.expect("stored");
        snapshots.extend(done.snapshot);
    }
    let pages = segments(&made.repository, Class::Metadata).await / snapshots.len() as u64;
    assert!(pages > 3 * BATCH, "there is something to read: {pages}");
    let repository = scene.open(shared(slow.clone())).await.expect("opened");
    tokio::time::pause();
    Far { repository, counting, slow, snapshots, trees, pages }
}

impl Far {
    async fn view(&self) -> RepositoryView {
        let view = self.repository.view_all().await.expect("a view");
        self.counting.take();
        view
    }

    /// What was read of packs.
    fn reads(&self) -> u64 {
        self.counting.take().of_area(Operation::GetRange, Area::Packs)
    }
}

/// How many requests, one after the other, take as long as some work does.
async fn rounds(work: impl Future<Output = ()>) -> u64 {
    let before = tokio::time::Instant::now();
    work.await;
    // The clock goes by milliseconds.
    let round = ROUND + Duration::from_millis(1);
    u64::try_from(before.elapsed().as_millis() / round.as_millis()).expect("few")
}

#[tokio::test]
async fn a_walk_waits_once_for_a_level_and_a_batch_of_pages() {
    let far = far(vec![tree("first", 0)]).await;
    let most = ON_THE_WAY + far.pages.div_ceil(BATCH);
    let view = far.view().await;
    let walked = rounds(async {
        let mut entries = view.snapshot(&far.snapshots[0]).walk(None);
        let mut count = 0;
        while entries.next().await.expect("an entry").is_some() {
            count += 1;
        }
        assert_eq!(count, far.trees[0].items.len());
    });
    let walked = walked.await;
    assert!(walked <= most, "{walked} rounds for {} pages", far.pages);
    assert!(far.reads() <= far.pages + 1, "no page is read twice");
}

#[tokio::test]
async fn whatever_looks_into_a_snapshot_waits_once_for_a_batch_of_pages() {
    let far = far(vec![tree("first", 0), tree("second", 100_000)]).await;
    let most = ON_THE_WAY + far.pages.div_ceil(BATCH);
    let (one, two) = (&far.snapshots[0], &far.snapshots[1]);
    let view = far.view().await;
    let searched = rounds(async {
        let mut search = view.search(|_| true);
        let mut found = search.through(one);
        while found.next().await.expect("an entry").is_some() {}
    });
    let searched = searched.await;
    let view = far.view().await;
    let counted = rounds(async {
        let stats = view.snapshot_stats(one).await.expect("counted");
        assert_eq!(stats.pages_unreadable, 0);
    });
    let counted = counted.await;
    let view = far.view().await;
    let listed = rounds(async {
        let children = view.snapshot(one).children(None).await.expect("listed");
        assert_eq!(children.len(), far.trees[0].items.len());
    });
    let listed = listed.await;
    let view = far.view().await;
    let compared = rounds(async {
        let mut differences = view.diff(one, two);
        while differences.next().await.expect("a difference").is_some() {}
    });
    let compared = compared.await;
    assert!(searched <= most, "{searched} rounds of a search for {} pages", far.pages);
    assert!(counted <= most, "{counted} rounds of counting for {} pages", far.pages);
    assert!(listed <= most, "{listed} rounds of a listing for {} pages", far.pages);
    assert!(compared <= 2 * most, "{compared} rounds of a comparison for twice {} pages", far.pages);
    assert!(far.reads() <= 2 * far.pages + 2, "no page is read twice");
}

#[tokio::test]
async fn the_bytes_of_many_files_are_asked_for_together_and_not_too_many_at_once() {
    let far = far(vec![tree("first", 0)]).await;
    let view = far.view().await;
    let data = segments(&far.repository, Class::Data).await;
    assert!(data > 60, "there is something to read: {data}");
    far.counting.take();
    let read = rounds(async {
        let mut entries = view.snapshot(&far.snapshots[0]).walk(None);
        let mut expected = far.trees[0].items.iter();
        while let Some(entry) = entries.next().await.expect("an entry") {
            let bytes = entries.open(&entry).read_to_end(1 << 20).await.expect("its bytes");
            assert!(expected.next().is_some_and(|item| item.bytes == bytes), "{}", entry.path);
        }
        assert_eq!(expected.count(), 0);
    });
    let read = read.await;
    let most = ON_THE_WAY + far.pages.div_ceil(BATCH) + data.div_ceil(BATCH);
    assert!(read <= most, "{read} rounds for {} pages and {data} segments", far.pages);
    assert!(far.reads() <= far.pages + 1 + data + 2, "nothing is read twice");
    assert!(far.slow.most() <= 40, "{} requests at once", far.slow.most());
}

#[tokio::test]
async fn a_restore_asks_for_several_ranges_at_once() {
    let far = far(vec![tree("first", 0)]).await;
    let target = tempfile::tempdir().expect("a folder");
    let all = segments(&far.repository, Class::Data).await + segments(&far.repository, Class::Metadata).await;
    far.counting.take();
    let restored = far.repository.restore(&far.snapshots[0], target.path().join("here")).threads(2).start().await;
    restored.expect("restored");
    for item in far.trees[0].items.iter() {
        let found = std::fs::read(target.path().join("here").join(item.path.to_string())).expect("a file");
        assert!(found == item.bytes, "{}", item.path);
    }
    let reads = far.reads();
    assert!(reads <= all + 2, "{reads} reads, and no more than the {all} segments");
    assert!(far.slow.most() >= 4, "{} requests at once", far.slow.most());
}
