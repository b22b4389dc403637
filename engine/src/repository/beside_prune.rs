//! Promises about forgetting and pruning while another verb is at work: whatever is there afterwards is whole.

use super::hooked::Hooked;
use super::hooked::Step;
use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::MemoryBackend;
use crate::backend::Name;
use crate::class::Class;
use crate::crypto::secret::Secret;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::error::Kind;
use crate::format::gc::Mark;
use crate::format::gc::Tomb;
use crate::id::PackId;
use crate::id::SnapshotId;
use crate::random::SeededRng;
use crate::repository::CheckReport;
use crate::repository::CreateOptions;
use crate::repository::KdfChoice;
use crate::repository::Key;
use crate::repository::ReadData;
use crate::repository::Repository;
use crate::repository::TagChange;
use crate::source::EntryStart;
use crate::source::ReaderSource;
use crate::source::Sink;
use crate::source::Source;
use crate::source::SourceError;
use crate::source::Want;
use crate::store::OnFull;
use crate::time::Timestamp;
use crate::verdict::Verdict;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

const RUN: SnapshotId = SnapshotId::from_bytes([7; 16]);

fn key() -> Key {
    Key::KeyFile(Secret::new(super::generate_key_file(&SeededRng::new(1)).expect("seeded")))
}

/// A repository with two snapshots that share nothing.
async fn made() -> (MemoryBackend, Repository, [SnapshotId; 2]) {
    let backend = MemoryBackend::new();
    let options = CreateOptions { kdf: KdfChoice::Minimal, recovery: false, ..CreateOptions::default() };
    let created = Repository::create(Arc::new(backend.clone()), key(), options).await.expect("a repository");
    let repository = created.repository;
    let ids = [back_up(&repository, b"one").await, back_up(&repository, b"another").await];
    (backend, repository, ids)
}

async fn back_up(repository: &Repository, bytes: &'static [u8]) -> SnapshotId {
    let source = ReaderSource::new(EntryPath::parse(b"f").expect("a path"), bytes);
    repository.backup(source).start().await.expect("a backup").snapshot.expect("a snapshot").id
}

async fn open(hooked: &Arc<Hooked>) -> Repository {
    Repository::open(Arc::clone(hooked) as Arc<dyn Backend>, key()).await.expect("open")
}

/// Forgets a snapshot if it is there, and prunes all that can be pruned at once.
async fn forget_and_prune(repository: &Repository, id: SnapshotId) {
    match repository.forget(&[id]).await {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), Kind::NotFound, "{error}"),
    }
    let prune = repository.prune().grace(Duration::ZERO).min_age(Duration::ZERO).allow_no_snapshots(true);
    prune.plan().await.expect("a plan").apply().await.expect("pruned");
}

async fn checked(repository: &Repository) -> CheckReport {
    repository.check().read_data(ReadData::All).start().await.expect("a check")
}

fn change() -> TagChange {
    TagChange { add: vec!["kept".into()], ..TagChange::default() }
}

async fn packs(objects: &MemoryBackend) -> Vec<PackId> {
    let listed = objects.list(Area::Packs).await.expect("a list");
    listed.into_iter().filter_map(|listed| if let Name::Pack(id) = listed.name { Some(id) } else { None }).collect()
}

#[tokio::test]
async fn many_marks_are_read_several_at_once_and_not_all() {
    let (backend, repository, _) = made().await;
    for number in 100..130 {
        let name = Name::Mark(SnapshotId::from_bytes([number; 16]));
        repository.store().put_small(&name, &Mark { packs: Vec::new() }.encode()).await.expect("a mark");
    }
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let hooked = Hooked::new(backend, move |step, _| {
        let (running, seen) = (Arc::clone(&running), Arc::clone(&seen));
        async move {
            if matches!(step, Step::Get(Name::Mark(_))) {
                seen.fetch_max(running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::Relaxed);
            }
        }
    });
    let _ = open(&hooked).await.prune().plan().await.expect("a plan");
    let most = most.load(Ordering::Relaxed);
    assert!((2..=8).contains(&most), "{most} at once");
}

#[tokio::test]
async fn objects_that_differ_about_a_pack_are_not_merged_and_all_of_them_stay() {
    let (backend, repository, _) = made().await;
    for _ in 0..6 {
        let name = backend.list(Area::Index).await.expect("a list")[0].name;
        let Name::Index(id) = name else { panic!("{name}") };
        // The same once more: no reason to refuse anything.
        let records = repository.store().get_index(id).await.expect("an index object");
        repository.store().put_merged_index(&records, OnFull::Fail).await.expect("another one");
    }
    let twice = backend.fork();
    let name = backend.list(Area::Index).await.expect("a list")[0].name;
    let Name::Index(id) = name else { panic!("{name}") };
    let mut records = repository.store().get_index(id).await.expect("an index object");
    records.packs[0].session = RUN;
    repository.store().put_merged_index(&records, OnFull::Fail).await.expect("another one");
    let before = backend.contents();
    let failed = repository.prune().plan().await.expect("a plan").apply().await.expect_err("which one is right?");
    assert!(failed.kind() == Kind::Damaged && format!("{failed:?}").contains("differ"), "{failed:?}");
    assert!(before.iter().all(|object| backend.contents().contains(object)), "something is gone");
    let repository = open(&Hooked::new(twice.clone(), |_, _| async {})).await;
    repository.prune().plan().await.expect("a plan").apply().await.expect("pruned");
    assert_eq!(twice.list(Area::Index).await.expect("a list").len(), 1);
    assert_eq!(checked(&repository).await.problems, []);
}

#[tokio::test]
async fn a_snapshot_forgotten_and_pruned_at_any_step_of_its_tagging_is_whole_or_gone() {
    let (mut whole, mut gone) = (0, 0);
    for due in 0.. {
        let (memory, repository, [id, _]) = made().await;
        let (other, step) = (repository.clone(), Arc::new(AtomicUsize::new(0)));
        let steps = Arc::clone(&step);
        let hooked = Hooked::new(memory.clone(), move |_, _| {
            let (is_due, other) = (steps.fetch_add(1, Ordering::SeqCst) == due, other.clone());
            async move {
                if is_due {
                    forget_and_prune(&other, id).await;
                }
            }
        });
        let tagging = open(&hooked).await;
        let tagged = tagging.tag(&[id], &change()).await;
        let left = repository.snapshots().await.expect("a list");
        match &tagged {
            Ok(changed) => assert!(left.iter().any(|snapshot| snapshot.id == changed[0].1), "step {due}"),
            Err(_) => assert_eq!(left.len(), 1, "step {due}"),
        }
        let report = checked(&repository).await;
        assert_eq!(report.problems_total, 0, "step {due}: {:?}", report.problems);
        *if tagged.is_ok() { &mut whole } else { &mut gone } += 1;
        if step.load(Ordering::SeqCst) <= due {
            break;
        }
    }
    assert!(whole > 3 && gone > 3, "{whole} whole, {gone} gone");
}

#[tokio::test]
async fn a_snapshot_tagged_at_any_step_of_a_prune_is_whole() {
    for due in 0.. {
        let (memory, repository, [forgotten, id]) = made().await;
        repository.forget(&[forgotten]).await.expect("forgotten");
        let (other, step) = (repository.clone(), Arc::new(AtomicUsize::new(0)));
        let steps = Arc::clone(&step);
        let hooked = Hooked::new(memory.clone(), move |_, _| {
            let (is_due, other) = (steps.fetch_add(1, Ordering::SeqCst) == due, other.clone());
            async move {
                if is_due {
                    other.tag(&[id], &change()).await.expect("tagged");
                }
            }
        });
        let pruning = open(&hooked).await;
        let plan = pruning.prune().grace(Duration::ZERO).min_age(Duration::ZERO).plan().await;
        plan.expect("a plan").apply().await.expect("pruned");
        let report = checked(&repository).await;
        assert_eq!((report.problems_total, report.snapshots), (0, 1), "step {due}: {:?}", report.problems);
        if step.load(Ordering::SeqCst) <= due {
            assert!(due > 10, "{due} steps");
            break;
        }
    }
}

/// The prune has marked everything and listed the pending records before the tag is declared; it lists the snapshots
/// when the old one is forgotten and the new one is not there yet.
#[tokio::test]
async fn a_tag_that_a_prune_cannot_see_gets_its_data_off_the_condemned_packs() {
    let (memory, repository, [id, _]) = made().await;
    let (other, victims) = (repository.clone(), packs(&memory).await);
    let gone = victims.clone();
    let hooked = Hooked::new(memory.clone(), move |step, objects| {
        let (other, victims) = (other.clone(), victims.clone());
        async move {
            match step {
                Step::Put(Name::Pending(_)) => {
                    let body = Mark { packs: victims }.encode();
                    other.store().put_small(&Name::Mark(RUN), &body).await.expect("a mark");
                }
                Step::Put(Name::Snapshot(_)) => {
                    for snapshot in other.snapshots().await.expect("a list") {
                        objects.delete(&Name::Snapshot(snapshot.id)).await.expect("forgotten");
                    }
                    let body = Tomb { packs: victims.clone() }.encode();
                    other.store().put_small(&Name::Tomb(RUN), &body).await.expect("a tomb");
                    for pack in victims {
                        objects.delete(&Name::Pack(pack)).await.expect("deleted");
                    }
                }
                _ => {}
            }
        }
    });
    let new = open(&hooked).await.tag(&[id], &change()).await.expect("tagged")[0].1;
    assert!(packs(&memory).await.iter().all(|pack| !gone.contains(pack)));
    assert_eq!(repository.snapshots().await.expect("a list")[0].id, new);
    let report = checked(&repository).await;
    assert_eq!((report.problems_total, report.snapshots), (0, 1), "{:?}", report.problems);
}

#[tokio::test]
async fn packs_buried_during_a_check_before_the_index_is_merged_are_no_damage() {
    let (memory, repository, _) = made().await;
    let (other, kept) = (repository.clone(), packs(&memory).await);
    let forgotten = back_up(&repository, b"for a while").await;
    let dead: Vec<PackId> = packs(&memory).await.into_iter().filter(|pack| !kept.contains(pack)).collect();
    repository.forget(&[forgotten]).await.expect("forgotten");
    let hooked = Hooked::new(memory.clone(), move |step, objects| {
        let (other, dead) = (other.clone(), dead.clone());
        async move {
            if step == Step::List(Area::Packs) {
                let body = Tomb { packs: dead.clone() }.encode();
                // At the second listing it is there.
                let _ = other.store().put_small(&Name::Tomb(RUN), &body).await;
                for pack in dead {
                    objects.delete(&Name::Pack(pack)).await.expect("deleted");
                }
            }
        }
    });
    let report = open(&hooked).await.check().start().await.expect("a check");
    assert_eq!(report.problems_total, 0, "{:?}", report.problems);
}

#[tokio::test]
async fn a_check_counts_what_prunes_and_backups_have_left_and_names_only_damage() {
    let (memory, repository, [id, _]) = made().await;
    let snapshot = repository.snapshot(&id).await.expect("a snapshot");
    let store = repository.store();
    let marked = packs(&memory).await;
    store.put_small(&Name::Mark(RUN), &Mark { packs: marked.clone() }.encode()).await.expect("a mark");
    store.put_small(&Name::Tomb(RUN), &Tomb { packs: Vec::new() }.encode()).await.expect("a tomb");
    store.put_small(&Name::Pending(id), &snapshot.encode()).await.expect("a pending record");
    let report = checked(&repository).await;
    assert_eq!(report.problems_total, 0, "{:?}", report.problems);
    assert_eq!((report.marks, report.tombs, report.pending), (1, 1, 1));
    assert_eq!(report.packs_condemned, u64::try_from(marked.len()).expect("few"));
    for name in [Name::Mark(RUN), Name::Tomb(RUN)] {
        memory.replace(name, &b"torn"[..]);
    }
    let report = checked(&repository).await;
    let named: Vec<String> = report.problems.iter().map(|problem| problem.object.clone()).collect();
    assert_eq!(named, [Name::Mark(RUN).to_string(), Name::Tomb(RUN).to_string()]);
    assert!(report.segments > 0, "the rest was checked");
}

#[tokio::test]
async fn forgetting_a_snapshot_leaves_no_intent_that_keeps_its_data() {
    let (memory, repository, [id, _]) = made().await;
    let snapshot = repository.snapshot(&id).await.expect("a snapshot");
    repository.store().put_small(&Name::Pending(id), &snapshot.encode()).await.expect("left by its commit");
    repository.forget(&[id]).await.expect("forgotten");
    assert!(memory.list(Area::Pending).await.expect("a list").is_empty());
}

#[tokio::test]
async fn packs_that_a_prune_writes_carry_their_keys_even_when_the_objects_of_these_are_lost() {
    let (memory, repository, _) = made().await;
    back_up(&repository, b"a third").await;
    let before = packs(&memory).await;
    for listed in memory.list(Area::DataKeys).await.expect("a list") {
        memory.delete(&listed.name).await.expect("lost");
    }
    // A program that has no key in memory.
    let fresh = Repository::open(Arc::new(memory.clone()), key()).await.expect("open");
    let prune = fresh.prune().grace(Duration::ZERO).min_age(Duration::ZERO).repack_small(true);
    prune.plan().await.expect("a plan").apply().await.expect("pruned");
    let after = packs(&memory).await;
    assert!(after.iter().all(|pack| !before.contains(pack)), "every pack was written anew");
    let report = checked(&Repository::open(Arc::new(memory), key()).await.expect("open")).await;
    assert!(report.segments > 0 && report.snapshots == 3, "{report:?}");
    let is_key = |object: &str| object.starts_with("keys/data/");
    assert!(report.problems.iter().all(|problem| is_key(&problem.object)), "{:?}", report.problems);
    drop(repository);
}

#[tokio::test]
async fn damage_that_comes_while_a_pack_is_copied_gets_no_new_name() {
    let (mut refused, mut pruned) = (0, 0);
    for due in 0.. {
        let (memory, repository, _) = made().await;
        back_up(&repository, b"a third").await;
        back_up(&repository, b"and a fourth").await;
        let before = memory.contents();
        let reads = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&reads);
        let hooked = Hooked::new(memory.clone(), move |step, objects| {
            let is_due = |name: &Name| matches!(name, Name::Pack(_)) && counted.fetch_add(1, Ordering::SeqCst) == due;
            if let Step::Get(name) = step
                && is_due(&name)
            {
                let bytes = objects.contents().into_iter().find(|(there, _)| *there == name).expect("a pack").1;
                // Table, segments and all, but for the clear head.
                let hurt = bytes.iter().enumerate().map(|(at, byte)| if at < 56 { *byte } else { !byte });
                objects.replace(name, hurt.collect::<Vec<u8>>());
            }
            async {}
        });
        // Small packs are put together, each segment as it is.
        let copying = open(&hooked).await;
        let wish = copying.prune().grace(Duration::ZERO).min_age(Duration::ZERO).repack_small(true);
        let outcome = async { wish.plan().await?.apply().await }.await;
        if let Err(error) = &outcome {
            assert_eq!(error.kind(), Kind::Damaged, "read {due}: {error}");
        }
        *if outcome.is_ok() { &mut pruned } else { &mut refused } += 1;
        let there = memory.contents();
        for (name, bytes) in before.into_iter().filter(|(name, _)| there.iter().any(|(left, _)| left == name)) {
            memory.replace(name, bytes);
        }
        let report = checked(&repository).await;
        assert_eq!(report.problems_total, 0, "read {due}: {:?}", report.problems);
        if reads.load(Ordering::SeqCst) <= due {
            break;
        }
    }
    assert!(refused > 10 && pruned > 0, "{refused} refused, {pruned} pruned");
}

/// Calls `other` at step `due` of a run; the backend of the run, and how many steps it has taken.
fn forgetting_at(
    due: usize,
    memory: &MemoryBackend,
    other: &Repository,
    id: SnapshotId,
) -> (Arc<Hooked>, Arc<AtomicUsize>) {
    let (other, step) = (other.clone(), Arc::new(AtomicUsize::new(0)));
    let steps = Arc::clone(&step);
    let hooked = Hooked::new(memory.clone(), move |_, _| {
        let (is_due, other) = (steps.fetch_add(1, Ordering::SeqCst) == due, other.clone());
        async move {
            if is_due {
                forget_and_prune(&other, id).await;
            }
        }
    });
    (hooked, step)
}

#[tokio::test]
async fn a_snapshot_forgotten_and_pruned_at_any_step_of_a_check_is_no_damage() {
    for due in 0.. {
        let (memory, repository, [id, _]) = made().await;
        let (hooked, step) = forgetting_at(due, &memory, &repository, id);
        let checking = open(&hooked).await;
        let report = checked(&checking).await;
        assert_eq!(report.problems_total, 0, "step {due}: {:?}", report.problems);
        assert!(report.packs_unneeded.is_some(), "step {due}: nothing kept the check from looking at everything");
        if step.load(Ordering::SeqCst) <= due {
            assert!(due > 10, "{due} steps");
            break;
        }
    }
}

#[tokio::test]
async fn damage_that_a_forgotten_snapshot_shares_with_one_that_is_there_is_named() {
    let (memory, repository, _) = made().await;
    let [forgotten, kept] = [back_up(&repository, b"the same").await, back_up(&repository, b"the same").await];
    for id in repository.snapshots().await.expect("a list").iter().map(|snapshot| snapshot.id) {
        if id != forgotten && id != kept {
            repository.forget(&[id]).await.expect("forgotten");
        }
    }
    for listed in memory.list(Area::Index).await.expect("a list") {
        memory.delete(&listed.name).await.expect("lost");
    }
    let order: Vec<SnapshotId> = repository.snapshots().await.expect("a list").iter().map(|one| one.id).collect();
    assert_eq!(order, [forgotten, kept], "the check comes to the forgotten one first");
    let hooked = Hooked::new(memory, move |step, objects| async move {
        if step == Step::List(Area::Index) {
            objects.delete(&Name::Snapshot(forgotten)).await.expect("forgotten");
        }
    });
    let report = open(&hooked).await.check().start().await.expect("a check");
    assert_eq!((report.problems_total, report.snapshots), (1, 1), "{:?}", report.problems);
    assert_eq!(report.packs_unneeded, None);
}

#[tokio::test]
async fn a_snapshot_forgotten_and_pruned_at_any_step_of_a_repair_is_not_written_once_more() {
    for is_damaged in [false, true] {
        for due in 0.. {
            let (memory, repository, [one, kept]) = made().await;
            let lost = packs(&memory).await;
            let source = Files(&[("f", b"one"), ("g", b"more")]);
            let id = repository.backup(source).start().await.expect("a backup").snapshot.expect("a snapshot").id;
            let snapshots = vec![repository.snapshot(&id).await.expect("a snapshot")];
            repository.forget(&[one]).await.expect("forgotten");
            if is_damaged {
                lose_content_of_one(&memory, &repository, &lost).await;
            }
            let (hooked, step) = forgetting_at(due, &memory, &repository, id);
            let repairing = open(&hooked).await;
            let report = repairing.repair_snapshots(snapshots).start().await.expect("repaired");
            assert_eq!(report.hopeless, [], "step {due}");
            if step.load(Ordering::SeqCst) <= due {
                assert!(due > 5, "{due} steps");
                assert_eq!(report.repaired.len(), usize::from(is_damaged), "{report:?}");
                break;
            }
            let left: Vec<SnapshotId> =
                repository.snapshots().await.expect("a list").iter().map(|snapshot| snapshot.id).collect();
            assert_eq!((left, report.repaired), (vec![kept], vec![]), "step {due}");
        }
    }
}

/// Takes the pack away, one of these, that has the content `one`.
async fn lose_content_of_one(memory: &MemoryBackend, repository: &Repository, of: &[PackId]) {
    let names = repository.store().names(Class::Data);
    let chunk = names.name(b"one");
    let index = repository.index().await.expect("an index").current();
    let place = index.find(&chunk).expect("read").expect("it is stored");
    let pack = index.pack_id(place.pack).expect("a pack");
    assert!(of.contains(&pack), "the content was stored once");
    memory.delete(&Name::Pack(pack)).await.expect("lost");
}

/// Files with these names and contents.
#[derive(Clone, Copy)]
struct Files(&'static [(&'static str, &'static [u8])]);

impl Source for Files {
    fn kind(&self) -> &str {
        "files"
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        vec![b"/files".to_vec()]
    }

    fn run(self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
        for (name, bytes) in self.0 {
            let mut metadata = Metadata::new(FileKind::File);
            metadata.size = bytes.len() as u64;
            metadata.modified = Timestamp { seconds: 1, nanoseconds: 1 };
            let path = EntryPath::parse(name.as_bytes()).expect("a path");
            if sink.begin(EntryStart::new(&path, &metadata))? == Want::Bytes {
                crate::source::give(bytes, sink)?;
            }
            sink.end(metadata, Vec::new())?;
        }
        Ok(Verdict::Whole)
    }
}
