//! A run that stores many snapshots asks the same of the store for each of them, however many there are and however long the
//! index is: it is read once, and kept current with what the run stores.

use super::support::given::Given;
use super::support::given::Tree;
use super::support::scene::Scene;
use super::support::scene::backup;
use super::support::scene::check;
use super::support::scene::in_time;
use super::support::scene::shared;
use strongroom::Area;
use strongroom::MemoryBackend;
use strongroom::Repository;
use strongroom::Snapshot;
use strongroom_testkit::counting::Counting;
use strongroom_testkit::counting::Counts;
use strongroom_testkit::counting::Operation;

/// Snapshots that one run stores, and as many that the next one does.
const MANY: u64 = 30;
/// Objects read and lists taken for one small snapshot, at most.
const ASKED_MAX: u64 = 16;

/// A small snapshot, of which a little is new each time.
async fn store(repository: &Repository, round: u64) -> Snapshot {
    let files: Vec<(u64, usize)> = (0..5).chain([1_000 + round]).map(|seed| (seed, 300)).collect();
    let done = backup(repository, Given::new(&Tree::of_files("some", &files))).start().await.expect("stored");
    done.snapshot.expect("a snapshot")
}

/// What was asked of a store but for puts, by kind and area.
fn asked(counts: &Counts) -> u64 {
    [Operation::Get, Operation::GetRange, Operation::Stat, Operation::List].map(|kind| counts.of(kind)).iter().sum()
}

/// Two runs over as many snapshots each: the second finds an index twice as long.
fn cost_the_same(first: &Counts, second: &Counts) {
    let read = |counts: &Counts, area| counts.of_area(Operation::Get, area) + counts.of_area(Operation::GetRange, area);
    assert_eq!(read(first, Area::Index), 0, "nothing was there");
    assert_eq!(read(second, Area::Index), MANY, "each index object is read once");
    for area in [Area::Index, Area::Packs, Area::Marks, Area::Tombs] {
        let lists = [first, second].map(|counts| counts.of_area(Operation::List, area));
        assert!(lists[0] == lists[1] && lists[0] <= MANY + 3, "{area:?} is listed {lists:?} times");
    }
    let data_keys = second.of_area(Operation::List, Area::DataKeys);
    assert!(data_keys <= 3, "data keys are listed {data_keys} times");
    // The snapshots that are there are read as well, to find copies among them.
    let [first, second] = [asked(first), asked(second) - 2 * MANY];
    assert!(first <= ASKED_MAX * MANY, "{first} requests for {MANY} snapshots");
    assert!(second <= first + MANY, "{second} requests where there is more, {first} before");
}

#[tokio::test]
async fn a_copy_of_many_snapshots_reads_the_other_index_once() {
    in_time(async {
        let (scene, counting) = (Scene::new(51), Counting::new(shared(MemoryBackend::new())));
        let (here, _) = scene.create(shared(MemoryBackend::new()), false).await.expect("created");
        let (there, _) = scene.create(shared(counting.clone()), false).await.expect("created");
        let mut costs = Vec::new();
        for run in 0..2 {
            let mut snapshots = Vec::new();
            for round in 0..MANY {
                snapshots.push(store(&here, run * MANY + round).await);
            }
            counting.take();
            let report = here.copy_to(&there, snapshots).start().await.expect("copied");
            assert_eq!(report.copied.len() as u64, MANY);
            // Five files, which only the first has to store, and one each.
            assert_eq!(report.bytes_new, 300 * (MANY + if run == 0 { 5 } else { 0 }));
            costs.push(counting.take());
        }
        cost_the_same(&costs[0], &costs[1]);
        assert_eq!(check(&there).await.expect("checked").problems, []);
    })
    .await;
}

#[tokio::test]
async fn a_rewrite_of_many_snapshots_reads_the_index_once_to_look_and_once_to_write() {
    in_time(async {
        let (scene, counting) = (Scene::new(52), Counting::new(shared(MemoryBackend::new())));
        let (repository, _) = scene.create(shared(counting.clone()), false).await.expect("created");
        let mut costs = Vec::new();
        let mut objects = 0;
        for run in 0..2 {
            let mut snapshots = Vec::new();
            for round in 0..MANY {
                snapshots.push(store(&repository, run * MANY + round).await);
            }
            objects = repository.list_objects(Area::Index).await.expect("listed").len() as u64;
            counting.take();
            let report = repository.rewrite(snapshots, vec!["*000000".into()]).start().await.expect("rewritten");
            assert_eq!(report.rewritten.len() as u64, MANY, "{report:?}");
            costs.push(counting.take());
        }
        assert_eq!(costs[1].of_area(Operation::Get, Area::Index), 2 * objects);
        let lists = costs.iter().map(|counts| counts.of_area(Operation::List, Area::Index)).collect::<Vec<_>>();
        assert!(lists[0] == lists[1] && lists[0] <= MANY + 5, "listed {lists:?} times");
        assert_eq!(check(&repository).await.expect("checked").problems, []);
    })
    .await;
}
