//! What waits for time to pass: the grace of condemned packs, old tombs, pending records of dead writers.

use super::bytes_in_packs;
use super::eager;
use super::is_sound;
use super::names;
use super::stored;
use super::tree;
use crate::support::scene::Scene;
use crate::support::scene::Trees;
use crate::support::scene::in_time;
use crate::support::scene::shared;
use crate::support::scene::store;
use crate::support::scene::told;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use strongroom::Area;
use strongroom::Clock;
use strongroom::MaxUnused;
use strongroom::MemoryBackend;
use strongroom::Name;
use strongroom::PruneReport;
use strongroom::Repository;
use strongroom::Timestamp;
use strongroom_testkit::between::Between;
use strongroom_testkit::crash::Crash;
use strongroom_testkit::crash::Event;
use strongroom_testkit::crash::Mode;

const HOUR: i64 = 3600;
pub(super) const DAY: i64 = 24 * HOUR;

/// The store's clock, set by hand.
#[derive(Clone, Default)]
pub(super) struct Hands(Arc<AtomicI64>);

impl Hands {
    pub(super) fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp { seconds: 1_800_000_000 + self.0.load(Ordering::SeqCst), nanoseconds: 0 }
    }
}

pub(super) async fn made(seed: u64) -> (Scene, Hands, MemoryBackend, Repository) {
    let (scene, hands) = (Scene::new(seed), Hands::default());
    let memory = MemoryBackend::with_clock(Arc::new(hands.clone()));
    let (repository, _) = scene.create(shared(memory.clone()), false).await.expect("created");
    (scene, hands, memory, repository)
}

/// A prune as on a store whose listings may be a day old.
async fn patient(repository: &Repository) -> PruneReport {
    let grace = Duration::from_secs(24 * 3600);
    let builder = repository.prune().min_age(Duration::ZERO).max_unused(MaxUnused::Bytes(0)).grace(grace);
    builder.plan().await.expect("planned").apply().await.expect("pruned")
}

#[tokio::test]
async fn condemned_packs_stay_until_their_grace_is_over() {
    let (_, hands, memory, repository) = made(31).await;
    let one = tree("one", &[(1, 400_000), (2, 300_000), (3, 200_000)]);
    let two = tree("two", &[(2, 300_000), (4, 1000)]);
    let first = stored(&repository, &one).await;
    stored(&repository, &two).await;
    repository.forget(&[first]).await.expect("forgotten");
    let before = names(&memory, Area::Packs).await;
    let report = patient(&repository).await;
    assert!(report.packs_condemned > 0 && report.packs_deleted == 0 && report.packs_waiting > 0, "{report:?}");
    let after = names(&memory, Area::Packs).await;
    assert!(before.iter().all(|pack| after.contains(pack)));
    let trees = Trees(vec![two]);
    is_sound(&repository, &trees, 1).await;
    let now = eager(&repository).plan().await.expect("planned").summary();
    assert_eq!((now.packs_due, now.packs_waiting), (report.packs_waiting, report.packs_waiting), "{now:?}");
    assert!(now.bytes_due > 400_000 && now.bytes_freed() == 0, "{now:?}");
    // Too early: by the time of the store, whatever the host's clock says.
    hands.pass(DAY - 2 * HOUR);
    assert_eq!(patient(&repository).await.packs_deleted, 0);
    hands.pass(3 * HOUR);
    let report = patient(&repository).await;
    assert!(report.packs_deleted > 0 && report.packs_waiting == 0, "{report:?}");
    assert!(!names(&memory, Area::Marks).await.is_empty(), "whoever lists old tombs must still see the mark");
    is_sound(&repository, &trees, 1).await;
    hands.pass(DAY + HOUR);
    patient(&repository).await;
    assert!(names(&memory, Area::Marks).await.is_empty());
    assert!(bytes_in_packs(&memory).await < 400_000);
}

#[tokio::test]
async fn an_object_that_is_dated_in_the_future_makes_nothing_old() {
    let (_, hands, memory, repository) = made(37).await;
    let first = stored(&repository, &tree("one", &[(1, 400_000), (2, 300_000)])).await;
    let (two, three) = (tree("two", &[(2, 300_000)]), tree("three", &[(3, 1000)]));
    stored(&repository, &two).await;
    repository.forget(&[first]).await.expect("forgotten");
    assert!(patient(&repository).await.packs_condemned > 0);
    // The clock of the store was wrong for a while, and has left dates behind.
    hands.pass(400 * DAY);
    stored(&repository, &three).await;
    hands.pass(HOUR - 400 * DAY);
    let report = patient(&repository).await;
    assert!(report.packs_deleted == 0 && report.packs_waiting > 0, "{report:?}");
    is_sound(&repository, &Trees(vec![two, three]), 2).await;
    hands.pass(DAY);
    assert!(patient(&repository).await.packs_deleted > 0);
    assert!(!names(&memory, Area::Marks).await.is_empty());
}

#[tokio::test]
async fn tombs_stay_for_thirty_days() {
    let (_, hands, memory, repository) = made(32).await;
    let first = stored(&repository, &tree("one", &[(1, 400_000)])).await;
    let two = tree("two", &[(2, 300_000)]);
    stored(&repository, &two).await;
    repository.forget(&[first]).await.expect("forgotten");
    super::prune(&repository).await.expect("pruned");
    let tombs = names(&memory, Area::Tombs).await;
    assert!(!tombs.is_empty());
    hands.pass(29 * DAY);
    super::prune(&repository).await.expect("pruned");
    assert_eq!(names(&memory, Area::Tombs).await, tombs);
    hands.pass(2 * DAY);
    let report = super::prune(&repository).await.expect("pruned");
    assert_eq!(report.tombs_removed as usize, tombs.len());
    assert!(names(&memory, Area::Tombs).await.is_empty() && names(&memory, Area::Marks).await.is_empty());
    is_sound(&repository, &Trees(vec![two]), 1).await;
}

#[tokio::test]
async fn a_prune_may_sleep_for_months_between_any_two_of_its_operations() {
    let (_, hands, memory, repository) = made(36).await;
    let first = stored(&repository, &tree("one", &[(1, 300_000), (2, 200_000)])).await;
    let two = tree("two", &[(2, 200_000), (3, 1000)]);
    stored(&repository, &two).await;
    repository.forget(&[first]).await.expect("forgotten");
    let mut at = 1;
    loop {
        let memory = memory.fork();
        let (other, clock) = (memory.clone(), hands.clone());
        let between = Between::new(&memory, at, async move {
            let repository = Scene::new(37).open(shared(other)).await.expect("opened");
            for _ in 0..3 {
                super::prune(&repository).await.expect("the others work");
                clock.pass(31 * DAY);
            }
        });
        let repository = Scene::new(38).open(shared(between.clone())).await.expect("opened");
        in_time(super::prune(&repository)).await.unwrap_or_else(|error| panic!("{at}: {}", told(&error)));
        let repository = Scene::new(39).open(shared(memory.clone())).await.expect("opened");
        is_sound(&repository, &Trees(vec![two.clone()]), 1).await;
        if !between.happened() {
            break;
        }
        at += 1;
    }
    assert!(at > 30, "{at} operations");
}

/// The repository as a backup leaves it that dies between its pending record and its commit.
async fn with_a_dead_writer(scene: &Scene, memory: &MemoryBackend, hands: &Hands) -> MemoryBackend {
    let crash = Crash::new(memory);
    let repository = scene.open(shared(crash.clone())).await.expect("opened");
    store(&repository, &tree("dead", &[(7, 500_000)])).await.expect("stored");
    let is_commit = |event: &Event| matches!(event, Event::Put { name: Name::Snapshot(_), .. });
    let at = crash.trace().iter().position(is_commit).expect("a commit");
    let left = MemoryBackend::with_clock(Arc::new(hands.clone()));
    for (name, bytes) in crash.at(at, Mode::Kept).contents() {
        left.replace(name, bytes);
    }
    left
}

#[tokio::test]
async fn a_pending_record_keeps_its_data_until_its_writer_is_surely_dead() {
    let (scene, hands, memory, repository) = made(33).await;
    let one = tree("one", &[(1, 100_000)]);
    stored(&repository, &one).await;
    let left = with_a_dead_writer(&scene, &memory, &hands).await;
    let repository = scene.open(shared(left.clone())).await.expect("opened");
    let full = bytes_in_packs(&left).await;
    for (days, pending, freed) in
        [(0, 1, false), (13, 1, false), (2, 1, false), (0, 1, false), (1, 0, false), (0, 0, true)]
    {
        hands.pass(days * DAY + HOUR);
        super::prune(&repository).await.expect("pruned");
        assert_eq!(names(&left, Area::Pending).await.len(), pending, "after {days} more days");
        assert_eq!(bytes_in_packs(&left).await < full - 400_000, freed, "after {days} more days");
        is_sound(&repository, &Trees(vec![one.clone()]), 1).await;
    }
    assert!(names(&left, Area::Marks).await.is_empty());
}

#[tokio::test]
async fn a_pending_record_is_named_with_what_it_keeps_and_when_it_goes() {
    let (scene, hands, memory, repository) = made(38).await;
    let one = tree("one", &[(1, 100_000)]);
    stored(&repository, &one).await;
    let alive = bytes_in_packs(&memory).await;
    let left = with_a_dead_writer(&scene, &memory, &hands).await;
    let repository = scene.open(shared(left.clone())).await.expect("opened");
    let (full, declared) = (bytes_in_packs(&left).await, hands.now().seconds);
    for (days, announced, goes_from) in [(0, false, 14), (15, false, 14), (0, true, 16), (1, true, 16)] {
        hands.pass(days * DAY);
        let plan = super::eager(&repository).plan().await.expect("planned");
        assert_eq!((plan.summary().snapshots, plan.summary().pending), (1, 1), "not committed, so no snapshot");
        let check = repository.check().start().await.expect("checked");
        let (stats, pending) = (repository.stats().await.expect("counted"), plan.pending());
        assert_eq!((stats.snapshots, pending.len()), (1, 1));
        assert!(pending == check.pending_records && pending == stats.pending_records, "{pending:?} {stats:?}");
        let record = &pending[0];
        assert!((record.packs, record.bytes) == (2, full - alive), "{record:?}, {alive} of {full}");
        assert!(!record.is_committed && record.announced.is_some() == announced, "{record:?}");
        assert_eq!(record.goes_from().expect("dated").seconds, declared + goes_from * DAY, "{days}");
        assert_eq!(check.packs_unneeded, Some(0), "no prune removes them yet");
        plan.apply().await.expect("pruned");
    }
    assert!(names(&left, Area::Pending).await.is_empty());
}

#[tokio::test]
async fn a_pending_record_goes_when_its_snapshot_is_there() {
    let (_, _, memory, repository) = made(34).await;
    let one = tree("one", &[(1, 100_000)]);
    let crash = Crash::new(&memory);
    let scene = Scene::new(35);
    let open = scene.open(shared(crash.clone())).await.expect("opened");
    store(&open, &one).await.expect("stored");
    let is_commit = |event: &Event| matches!(event, Event::Put { name: Name::Snapshot(_), .. });
    let at = crash.trace().iter().position(is_commit).expect("a commit");
    let left = crash.at(at + 1, Mode::Kept);
    drop(repository);
    let repository = scene.open(shared(left.clone())).await.expect("opened");
    assert_eq!(names(&left, Area::Pending).await.len(), 1);
    assert_eq!(super::prune(&repository).await.expect("pruned").pending_removed, 1);
    assert!(names(&left, Area::Pending).await.is_empty());
    is_sound(&repository, &Trees(vec![one]), 1).await;
}
