//! Promises about the repair of packs: what it has found is made use of at once, and nothing is lost by that.

use super::packs::PacksRepaired;
use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::MemoryBackend;
use crate::backend::Name;
use crate::entry::EntryPath;
use crate::error::Kind;
use crate::id::PackId;
use crate::id::SnapshotId;
use crate::job::Canceller;
use crate::repository::ReadData;
use crate::repository::Repository;
use crate::repository::damage::key;
use crate::repository::damage::made;
use crate::repository::damage::read_all;
use crate::repository::hooked::Hooked;
use crate::repository::hooked::Step;
use crate::source::ReaderSource;
use crate::store::Condemned;
use std::sync::Arc;
use std::sync::OnceLock;

/// Behind the head, in the sealed table.
const IN_TABLE: usize = 70;

async fn back_up(repository: &Repository, bytes: &'static [u8]) -> SnapshotId {
    let source = ReaderSource::new(EntryPath::parse(b"f").expect("a path"), bytes);
    repository.backup(source).threads(1).start().await.expect("a backup").snapshot.expect("a snapshot").id
}

/// Opened anew, with nothing remembered of what was there before.
async fn opened(backend: impl Backend) -> Repository {
    Repository::open(Arc::new(backend), key()).await.expect("opens")
}

async fn repaired(memory: &MemoryBackend) -> PacksRepaired {
    opened(memory.clone()).await.repair_packs().start().await.expect("repaired")
}

async fn packs(memory: &MemoryBackend) -> Vec<PackId> {
    let listed = memory.list(Area::Packs).await.expect("a list");
    listed.into_iter().filter_map(|listed| if let Name::Pack(id) = listed.name { Some(id) } else { None }).collect()
}

fn flip(memory: &MemoryBackend, pack: PackId, at: usize) {
    let name = Name::Pack(pack);
    let bytes = memory.contents().into_iter().find(|(there, _)| *there == name).expect("a pack").1;
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    memory.replace(name, bytes);
}

#[tokio::test]
async fn a_repair_that_is_stopped_has_saved_and_condemned_what_it_had_found() {
    let (memory, repository) = made().await;
    for bytes in [&b"one"[..], b"two", b"three", b"four"] {
        back_up(&repository, bytes).await;
    }
    let mut all = packs(&memory).await;
    all.sort_unstable();
    let (damaged, late) = (all[0], all[all.len() - 2]);
    flip(&memory, damaged, 20);
    let cancel: Arc<OnceLock<Canceller>> = Arc::default();
    let canceller = Arc::clone(&cancel);
    let hooked = Hooked::new(memory.clone(), move |step, _| {
        if step == Step::Get(Name::Pack(late)) {
            canceller.get().expect("it runs").cancel();
        }
        async {}
    });
    let job =
        Repository::open(Arc::clone(&hooked) as Arc<dyn Backend>, key()).await.expect("opens").repair_packs().start();
    assert!(cancel.set(job.canceller()).is_ok());
    assert_eq!(job.await.expect_err("it was stopped").kind(), Kind::Cancelled);
    let adds = hooked.steps().into_iter().filter_map(|step| match step {
        Step::Put(Name::Pack(_)) => Some("pack"),
        Step::Put(Name::Index(_)) => Some("index"),
        Step::Put(Name::Mark(_)) => Some("mark"),
        _ => None,
    });
    assert_eq!(adds.collect::<Vec<_>>(), ["pack", "index", "mark"]);
    let fresh = opened(memory.clone()).await;
    assert!(Condemned::read(fresh.store()).await.expect("marks").is_condemned(&damaged));
    memory.delete(&Name::Pack(damaged)).await.expect("nobody needs it");
    assert!(read_all(memory.fork()).await.is_ok());
}

#[tokio::test]
async fn started_again_a_repair_neither_saves_nor_condemns_anew() {
    let (memory, repository) = made().await;
    back_up(&repository, b"one").await;
    for pack in packs(&memory).await {
        flip(&memory, pack, 20);
    }
    let first = repaired(&memory).await;
    assert_eq!((first.damaged.len(), first.packs_written, first.chunks_lost), (2, 2, 0));
    let before = memory.contents();
    let again = repaired(&memory).await;
    assert_eq!((&again.damaged, again.packs_written, again.chunks_lost), (&first.damaged, 0, 0));
    assert!(memory.contents() == before);
}

/// One chunk in two packs of data.
async fn twice() -> (MemoryBackend, Repository, [PackId; 2]) {
    let (memory, repository) = made().await;
    back_up(&repository, b"one").await;
    for listed in memory.list(Area::Index).await.expect("a list") {
        memory.delete(&listed.name).await.expect("lost");
    }
    back_up(&opened(memory.clone()).await, b"one").await;
    opened(memory.clone()).await.repair_index().start().await.expect("repaired");
    let mut all = packs(&memory).await;
    all.sort_unstable();
    let is_data = |pack: &PackId| {
        let there = memory.contents().into_iter().find(|(name, _)| *name == Name::Pack(*pack)).expect("a pack").1;
        there.get(10) == Some(&1)
    };
    all.retain(is_data);
    (memory, repository, all.try_into().expect("two packs of data"))
}

#[tokio::test]
async fn a_damaged_pack_that_was_not_asked_for_is_no_copy_to_rely_on() {
    for order in [[0, 1], [1, 0]] {
        let (memory, repository, both) = twice().await;
        let [asked, other] = order.map(|number: usize| both[number]);
        flip(&memory, asked, 20);
        let view = repository.inspect_pack(other).await.expect("a pack");
        flip(&memory, other, usize::try_from(view.segments[0].offset).expect("small") + 2);
        let repair = opened(memory.clone()).await.repair_packs().only(vec![asked]).start().await.expect("repaired");
        assert_eq!(repair.damaged.iter().map(|pack| pack.id).collect::<Vec<_>>(), [asked]);
        assert_eq!((repair.packs_written, repair.chunks_saved, repair.chunks_lost), (1, 1, 0), "{repair:?}");
        let marks = Condemned::read(opened(memory.clone()).await.store()).await.expect("marks");
        assert!(marks.is_condemned(&asked) && !marks.is_condemned(&other));
        memory.delete(&Name::Pack(asked)).await.expect("nobody needs it");
        assert!(read_all(memory.fork()).await.expect("whole").starts_with(b"one"));
    }
}

#[tokio::test]
async fn a_sound_copy_in_a_pack_that_was_not_asked_for_is_not_made_again() {
    let (memory, _, [asked, _]) = twice().await;
    flip(&memory, asked, 20);
    let repair = opened(memory.clone()).await.repair_packs().only(vec![asked]).start().await.expect("repaired");
    assert_eq!((repair.damaged.len(), repair.packs_written, repair.chunks_lost), (1, 0, 0), "{repair:?}");
}

/// One chunk in two packs, of which one has lost its table and the other one the chunk: whichever is found first, the
/// other one is no copy to rely on.
#[tokio::test]
async fn a_pack_that_was_not_read_yet_is_no_copy_to_rely_on() {
    for is_first_hollow in [false, true] {
        let (memory, repository, [one, other]) = twice().await;
        let (hollow, blind) = if is_first_hollow { (one, other) } else { (other, one) };
        let view = repository.inspect_pack(hollow).await.expect("a pack");
        let segment = usize::try_from(view.segments[0].offset).expect("small");
        flip(&memory, hollow, segment + 2);
        flip(&memory, blind, IN_TABLE);
        let report = repaired(&memory).await;
        let named: Vec<PackId> = report.damaged.iter().map(|pack| pack.id).collect();
        assert_eq!(named, [one, other]);
        assert_eq!((report.packs_written, report.chunks_saved, report.chunks_lost), (1, 1, 0), "{report:?}");
        let check = opened(memory.clone()).await.check().read_data(ReadData::All).start().await.expect("a check");
        assert_eq!(check.packs_condemned, 2);
        for pack in named {
            memory.delete(&Name::Pack(pack)).await.expect("nobody needs it");
        }
        assert!(read_all(memory.fork()).await.expect("whole").starts_with(b"one"));
    }
}
