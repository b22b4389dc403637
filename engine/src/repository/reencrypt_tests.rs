//! Promises about sealing anew: no earlier root key opens anything any more, and nothing is lost on the way.

use super::PruneBuilder;
use super::Repository;
use super::hooked::Hooked;
use super::hooked::Step;
use super::rotate_tests::assert_holds;
use super::rotate_tests::back_up;
use super::rotate_tests::key;
use super::rotate_tests::made;
use super::rotate_tests::opened;
use super::rotate_tests::rotate;
use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::MemoryBackend;
use crate::backend::Name;
use crate::entry::EntryPath;
use crate::error::Error;
use crate::error::Kind;
use crate::format::snapshot::Snapshot;
use crate::prune::MaxUnused;
use crate::prune::PruneReport;
use crate::prune::SealedBefore;
use crate::random::Rng;
use crate::random::SeededRng;
use crate::source::ReaderSource;
use crate::verdict::Verdict;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A prune that seals anew and spares nothing because of its age.
fn eager(repository: &Repository) -> PruneBuilder {
    repository.prune().reencrypt(true).min_age(Duration::ZERO)
}

async fn reencrypt(repository: &Repository) -> PruneReport {
    eager(repository).plan().await.expect("a plan").apply().await.expect("sealed anew")
}

fn left(report: &PruneReport) -> SealedBefore {
    report.sealed_before.expect("it was asked for")
}

/// Nothing is there that opens with the keys of `old`, but the config, and data keys that seal nothing.
async fn assert_closed_to(old: &Repository, new: &Repository, backend: &MemoryBackend) {
    let is_refused = |name: &Name, error: Option<Error>| {
        let error = error.unwrap_or_else(|| panic!("{name} opens"));
        assert_eq!(error.kind(), Kind::Unsupported, "{name}: {error}");
    };
    let (mut packs, mut snapshots) = (0, 0);
    for (name, bytes) in backend.contents() {
        match name {
            Name::Config | Name::Slot(_) | Name::DataKey(_) => {}
            Name::Index(id) => is_refused(&name, old.inspect_index(id).await.err()),
            Name::Pack(id) => {
                packs += 1;
                is_refused(&name, old.inspect_pack(id).await.err());
                let own = new.store().open_pack(id, &bytes).expect("opens").own;
                for (key, copy) in own.table.data_keys.iter().zip(&own.wrapped_keys) {
                    is_refused(&name, old.store().reread_data_key(key, own.table.class).await.err());
                    is_refused(&name, old.store().open_key_copy(key, own.table.class, copy).err());
                }
            }
            other => {
                snapshots += usize::from(matches!(other, Name::Snapshot(_)));
                is_refused(&name, old.store().get_small(&name).await.err());
            }
        }
    }
    assert!(packs > 0 && snapshots > 0, "{packs} packs, {snapshots} snapshots");
    let list = old.list_snapshots().await.expect("a list");
    assert_eq!((list.snapshots.len(), list.unreadable.len()), (0, snapshots));
}

/// Records without their ids, by their sessions.
async fn history(repository: &Repository) -> Vec<Snapshot> {
    let mut all = repository.snapshots().await.expect("snapshots");
    all.iter_mut().for_each(|snapshot| snapshot.id = snapshot.session);
    all.sort_by_key(|snapshot| snapshot.session);
    all
}

#[tokio::test]
async fn what_was_stored_before_a_new_root_key_opens_with_no_key_from_before() {
    let (backend, first) = made().await;
    let old = [opened(&backend, 1).await, rotate(&first, 1).await];
    back_up(&old[1], 2).await;
    let new = rotate(&old[1], 1).await;
    back_up(&new, 3).await;
    let protected = new.snapshots().await.expect("snapshots")[1].id;
    // Its new record is of the present root key already.
    new.protect(&[protected], true).await.expect("protected");
    let before = history(&new).await;

    // They are young, but their sessions are known to have ended.
    let plan = new.prune().reencrypt(true).plan().await.expect("a plan");
    let found = plan.summary().sealed_before.expect("it was asked for");
    assert_eq!((found.snapshots, found.index_objects, found.packs, found.packs_staying), (1, 2, 4, 0), "{found:?}");
    assert!(found.bytes > 600_000, "{found:?}");
    assert!(plan.summary().bytes_copied > 600_000, "{:?}", plan.summary());
    let report = plan.apply().await.expect("sealed anew");
    assert!(left(&report).is_nothing(), "{report:?}");
    assert_eq!((report.snapshots_sealed_anew, report.segments_copied), (1, 0), "{report:?}");

    for old in &old {
        assert_closed_to(old, &new, &backend).await;
    }
    let new = opened(&backend, 1).await;
    assert_eq!(history(&new).await, before);
    assert_holds(&new, &[1, 2, 3]).await;
    for seed in 1..=3 {
        assert_eq!(back_up(&new, seed).await.bytes_new, 0, "names and cut points are as they were");
    }
    let again = eager(&new).plan().await.expect("a plan").summary();
    assert!(again.sealed_before.expect("it was asked for").is_nothing(), "{again:?}");
    assert_eq!((again.packs_removed, again.packs_repacked), (0, 0), "{again:?}");
}

#[tokio::test]
async fn a_plan_to_seal_anew_writes_nothing() {
    let (backend, old) = made().await;
    let untouched = eager(&old).plan().await.expect("a plan").summary();
    assert_eq!(untouched.sealed_before, Some(SealedBefore::default()), "the root key was never changed");
    let new = rotate(&old, 1).await;
    let whole = backend.contents();
    let summary = eager(&new).plan().await.expect("a plan").summary();
    assert_eq!((summary.packs_repacked, summary.sealed_before.map(|before| before.packs)), (2, Some(2)));
    assert_eq!(new.prune().plan().await.expect("a plan").summary().sealed_before, None, "it was not asked for");
    assert_eq!(backend.contents(), whole);
}

/// A stream of several segments.
async fn back_up_bytes(repository: &Repository, bytes: Vec<u8>) -> Snapshot {
    let source = ReaderSource::new(EntryPath::parse(b"file").expect("a path"), std::io::Cursor::new(bytes));
    let report = repository.backup(source).threads(1).start().await.expect("a backup");
    assert_eq!(report.verdict, Verdict::Whole);
    report.snapshot.expect("a snapshot")
}

#[tokio::test]
async fn segments_that_prunes_copied_as_they_were_are_sealed_anew() {
    let (backend, repository) = made().await;
    let mut bytes = vec![0; 12 << 20];
    SeededRng::new(5).fill(&mut bytes).expect("seeded");
    let whole = back_up_bytes(&repository, bytes.clone()).await;
    bytes.truncate(10 << 20);
    back_up_bytes(&repository, bytes).await;
    let old = opened(&backend, 1).await;
    let new = rotate(&repository, 1).await;
    new.forget(&[whole.id]).await.expect("forgotten");
    let plan = new.prune().min_age(Duration::ZERO).max_unused(MaxUnused::Bytes(1)).plan().await.expect("a plan");
    let report = plan.apply().await.expect("a prune");
    assert!(report.segments_copied > 0, "{report:?}");
    // The pack's head names the present root key, the keys of its segments do not.
    let found = eager(&new).plan().await.expect("a plan").summary().sealed_before.expect("it was asked for");
    assert!(found.packs > 0 && found.bytes > 6 << 20, "{found:?}");
    assert!(left(&reencrypt(&new).await).is_nothing());
    assert_closed_to(&old, &new, &backend).await;
    let report = new.check().read_data(super::ReadData::All).threads(1).start().await.expect("a check");
    assert_eq!(report.problems, []);
}

#[tokio::test]
async fn what_waits_for_its_grace_is_told_and_goes_with_a_later_run() {
    for patient_before in [false, true] {
        let (backend, repository) = made().await;
        let old = opened(&backend, 1).await;
        let day = Duration::from_secs(24 * 3600);
        if patient_before {
            // Something is condemned already when the records are to be replaced.
            let second = back_up(&repository, 2).await.snapshot.expect("a snapshot").id;
            repository.forget(&[second]).await.expect("forgotten");
            let plan = repository.prune().min_age(Duration::ZERO).grace(day).plan().await.expect("a plan");
            assert!(plan.apply().await.expect("a prune").packs_waiting > 0);
        }
        let new = rotate(&repository, 1).await;
        let report = eager(&new).grace(day).plan().await.expect("a plan").apply().await.expect("sealed anew");
        let waiting = left(&report);
        assert!(waiting.packs >= 2 && waiting.packs == waiting.packs_condemned, "{waiting:?}");
        assert_eq!((waiting.snapshots, waiting.index_objects, waiting.packs_staying), (0, 0, 0), "{waiting:?}");
        assert_eq!(report.snapshots_sealed_anew, 1);
        assert_holds(&new, &[1]).await;
        let report = eager(&new).grace(Duration::ZERO).plan().await.expect("a plan").apply().await.expect("finished");
        assert!(left(&report).is_nothing(), "{report:?}");
        assert_eq!((report.chunks_copied, report.snapshots_sealed_anew), (0, 0), "nothing is done twice");
        assert_closed_to(&old, &new, &backend).await;
        assert_holds(&opened(&backend, 1).await, &[1]).await;
    }
}

#[tokio::test]
async fn wherever_sealing_anew_is_cut_off_nothing_is_lost_and_nothing_is_done_twice() {
    let (backend, repository) = made().await;
    back_up(&repository, 2).await;
    let old = repository.list_snapshots().await.expect("a list").snapshots.len();
    rotate(&repository, 1).await;
    let before = history(&opened(&backend, 1).await).await;
    let states: Arc<Mutex<Vec<MemoryBackend>>> = Arc::default();
    let seen = Arc::clone(&states);
    let hooked = Hooked::new(backend.fork(), move |step, objects: MemoryBackend| {
        if matches!(step, Step::Put(_) | Step::Delete(_)) {
            seen.lock().expect("no holder panics").push(objects.fork());
        }
        async {}
    });
    let all = reencrypt(&Repository::open(hooked, key(1)).await.expect("opens")).await;
    assert_eq!((all.snapshots_sealed_anew, left(&all).is_nothing()), (2, true), "{all:?}");
    let states: Vec<MemoryBackend> = states.lock().expect("no holder panics").clone();
    assert!(states.len() > 20, "{} states", states.len());
    let (mut unfinished, mut twins) = (0, 0);
    for state in states {
        let new = opened(&state, 1).await;
        assert_holds(&new, &[1, 2]).await;
        twins += usize::from(new.snapshots().await.expect("snapshots").len() > old);
        let report = reencrypt(&new).await;
        unfinished += usize::from(report.chunks_copied > 0);
        assert!(left(&report).is_nothing(), "{report:?}");
        assert!(report.chunks_copied <= all.chunks_copied, "{report:?}");
        assert_eq!(history(&new).await, before, "each snapshot once, as it was");
        assert_holds(&opened(&state, 1).await, &[1, 2]).await;
        assert_eq!(back_up(&new, 2).await.bytes_new, 0);
    }
    assert!(
        unfinished > 3 && twins == 2 * 2,
        "{unfinished} cuts before the copies, {twins} with a record and its twin"
    );
}

#[tokio::test]
async fn a_backup_under_the_old_root_key_may_come_between_any_two_steps_and_the_next_run_takes_it() {
    let (mut at, mut stored) = (0, 0);
    loop {
        let (backend, repository) = made().await;
        let old = opened(&backend, 1).await;
        let new = rotate(&repository, 1).await;
        let (seen, running) = (AtomicU64::new(0), old.clone());
        let outcomes: Arc<Mutex<Vec<bool>>> = Arc::default();
        let told = Arc::clone(&outcomes);
        let hooked = Hooked::new(backend.clone(), move |_, _| {
            let is_due = seen.fetch_add(1, Ordering::SeqCst) == at;
            let (running, told) = (running.clone(), Arc::clone(&told));
            async move {
                if is_due {
                    let outcome = try_back_up(&running, 2).await;
                    told.lock().expect("no holder panics").push(outcome);
                }
            }
        });
        let opened_hooked = Repository::open(hooked, key(1)).await.expect("opens");
        reencrypt(&opened_hooked).await;
        let outcomes = outcomes.lock().expect("no holder panics").clone();
        let Some(is_stored) = outcomes.first() else { break };
        stored += u64::from(*is_stored);
        let seeds: &[u64] = if *is_stored { &[1, 2] } else { &[1] };
        assert_holds(&new, seeds).await;
        let report = reencrypt(&new).await;
        assert!(left(&report).is_nothing(), "before step {at}: {report:?}");
        assert_holds(&opened(&backend, 1).await, seeds).await;
        assert_closed_to(&old, &new, &backend).await;
        at += 1;
    }
    assert!(at > 40 && stored > 5 && stored < at, "{stored} of {at}");
}

/// A backup that may find that it can conclude nothing any more.
async fn try_back_up(repository: &Repository, seed: u64) -> bool {
    let content = super::rotate_tests::content(seed);
    let source = ReaderSource::new(EntryPath::parse(b"file").expect("a path"), std::io::Cursor::new(content));
    match repository.backup(source).threads(1).start().await {
        Ok(_) => true,
        Err(error) => {
            assert!(matches!(error.kind(), Kind::Unsupported | Kind::Conflict | Kind::Damaged), "{error}");
            false
        }
    }
}

#[tokio::test]
async fn what_no_key_opens_stops_it_before_it_begins() {
    let (backend, repository) = made().await;
    let new = rotate(&repository, 1).await;
    let mut keys = backend.list(Area::DataKeys).await.expect("a list");
    let lost = keys.remove(0).name;
    backend.delete(&lost).await.expect("deleted");
    // The packs hold the key too.
    assert_eq!(eager(&new).plan().await.expect("a plan").summary().packs_repacked, 2);
    for (name, bytes) in backend.contents().into_iter().filter(|(name, _)| name.is_pack()) {
        // The table alone is lost: the head is whole.
        let mut hurt = bytes.to_vec();
        hurt[60] ^= 1;
        backend.replace(name, hurt);
    }
    let whole = backend.contents();
    assert_eq!(eager(&opened(&backend, 1).await).plan().await.expect_err("no key").kind(), Kind::Damaged);
    assert_eq!(backend.contents(), whole);
}
