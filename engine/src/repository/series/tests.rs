//! What a run of many backups knows is what is there: whatever others do between two of them.

use super::super::hooked::Hooked;
use super::super::hooked::Step;
use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::MemoryBackend;
use crate::backend::Name;
use crate::crypto::secret::Secret;
use crate::entry::EntryPath;
use crate::format::snapshot::Snapshot;
use crate::random::Rng;
use crate::random::SeededRng;
use crate::repository::CreateOptions;
use crate::repository::KdfChoice;
use crate::repository::Key;
use crate::repository::ReadData;
use crate::repository::Repository;
use crate::source::ReaderSource;
use crate::time::Timestamp;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn key() -> Key {
    Key::KeyFile(Secret::new(super::super::generate_key_file(&SeededRng::new(1)).expect("seeded")))
}

async fn create(backend: &MemoryBackend) -> Repository {
    let options = CreateOptions { kdf: KdfChoice::Minimal, recovery: false, ..CreateOptions::default() };
    Repository::create(Arc::new(backend.clone()), key(), options).await.expect("a repository").repository
}

/// A stream of its own bytes.
async fn back_up(repository: &Repository, seed: u64, bytes: usize) -> Snapshot {
    let mut content = vec![0; bytes];
    SeededRng::new(seed).fill(&mut content).expect("seeded");
    let source = ReaderSource::new(EntryPath::parse(b"f").expect("a path"), std::io::Cursor::new(content));
    let time = Timestamp { seconds: 1_000 + i64::try_from(seed).expect("small"), nanoseconds: 1 };
    repository.backup(source).time(time).start().await.expect("a backup").snapshot.expect("a snapshot")
}

/// The objects of a repository with a hook before each commit, which is told how many there were.
fn before_each_commit<F>(objects: MemoryBackend, act: impl Fn(usize) -> F + Send + Sync + 'static) -> Arc<Hooked>
where
    F: Future<Output = ()> + Send + 'static,
{
    let commits = AtomicUsize::new(0);
    Hooked::new(objects, move |step, _| {
        let due = matches!(step, Step::Put(Name::Pending(_))).then(|| act(commits.fetch_add(1, Ordering::Relaxed)));
        async move {
            if let Some(due) = due {
                due.await;
            }
        }
    })
}

async fn open(hooked: &Arc<Hooked>, shard_chunks: usize) -> Repository {
    let repository = Repository::open(Arc::clone(hooked) as Arc<dyn Backend>, key()).await.expect("open");
    repository.store().set_local(|local| local.shard_chunks = shard_chunks);
    repository
}

fn count(hooked: &Hooked, wanted: Step) -> usize {
    hooked.steps().into_iter().filter(|step| *step == wanted).count()
}

async fn is_sound(repository: &Repository) {
    let report = repository.check().read_data(ReadData::All).start().await.expect("a check");
    assert_eq!(report.problems, []);
}

#[tokio::test]
async fn what_others_prune_between_two_snapshots_of_a_run_is_stored_again() {
    let here = create(&MemoryBackend::new()).await;
    // The second and third have what the first has.
    let mut snapshots = vec![back_up(&here, 1, 5_000).await];
    for seconds in [2_000, 3_000] {
        let mut again = snapshots[0].clone();
        again.started.seconds = seconds;
        snapshots.push(again);
    }
    let backend = MemoryBackend::new();
    let others = create(&backend).await;
    let hooked = before_each_commit(backend, move |commits| {
        let others = others.clone();
        async move {
            if commits == 1 {
                let all = others.snapshots().await.expect("a list");
                others.forget(&[all[0].id]).await.expect("forgotten");
                let prune = others.prune().grace(Duration::ZERO).min_age(Duration::ZERO).allow_no_snapshots(true);
                prune.plan().await.expect("a plan").apply().await.expect("pruned");
            }
        }
    });
    let there = open(&hooked, 1 << 18).await;
    let report = here.copy_to(&there, snapshots).start().await.expect("a copy");
    assert_eq!((report.copied.len(), report.failed.len()), (3, 0), "{report:?}");
    assert_eq!(there.snapshots().await.expect("a list").len(), 2);
    is_sound(&there).await;
}

#[tokio::test]
async fn what_others_store_meanwhile_is_read_once_until_it_is_more_than_the_run_knows() {
    let here = create(&MemoryBackend::new()).await;
    let mut snapshots = Vec::new();
    for seed in 0..12 {
        snapshots.push(back_up(&here, seed, 500).await);
    }
    for (before, seldom) in [(8, true), (0, false)] {
        let backend = MemoryBackend::new();
        let others = create(&backend).await;
        for seed in 100..100 + before {
            back_up(&others, seed, 500).await;
        }
        let hooked = before_each_commit(backend, move |commits| {
            let others = others.clone();
            async move {
                for more in 0..if seldom { 1 } else { 3 } {
                    back_up(&others, 1_000 + u64::try_from(commits * 3 + more).expect("small"), 500).await;
                }
            }
        });
        let there = open(&hooked, 1 << 18).await;
        let report = here.copy_to(&there, snapshots.clone()).start().await.expect("a copy");
        assert_eq!(report.copied.len(), 12);
        let mut reads: HashMap<Name, usize> = HashMap::new();
        for step in hooked.steps() {
            if let Step::Get(name @ Name::Index(_)) = step {
                *reads.entry(name).or_default() += 1;
            }
        }
        let loads = count(&hooked, Step::List(Area::DataKeys));
        let most = reads.values().max().copied().expect("some were read");
        if seldom {
            assert_eq!((loads, most), (1, 1));
        } else {
            assert!((2..=4).contains(&loads) && most <= loads + 1, "loaded {loads} times, one read {most} times");
        }
        is_sound(&there).await;
    }
}

#[tokio::test]
async fn what_would_fill_the_memory_has_the_index_read_again() {
    let here = create(&MemoryBackend::new()).await;
    let mut snapshots = Vec::new();
    for seed in 0..12 {
        snapshots.push(back_up(&here, seed, 500).await);
    }
    let mut loads = Vec::new();
    for shard_chunks in [1 << 18, 6, 1] {
        let hooked = Hooked::new(
            {
                let backend = MemoryBackend::new();
                create(&backend).await;
                backend
            },
            |_, _| async {},
        );
        let there = open(&hooked, shard_chunks).await;
        let report = here.copy_to(&there, snapshots.clone()).start().await.expect("a copy");
        assert_eq!(report.copied.len(), 12);
        loads.push(count(&hooked, Step::List(Area::DataKeys)));
        is_sound(&there).await;
    }
    // Each snapshot has two chunks: its content, and a page.
    assert_eq!(loads, [1, 4, 12]);
}
