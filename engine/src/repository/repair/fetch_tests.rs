//! Promises about what a fetch counts, and what it does not read again.

use super::fetch::FetchReport;
use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::MemoryBackend;
use crate::entry::EntryPath;
use crate::id::SnapshotId;
use crate::repository::Repository;
use crate::repository::damage::key;
use crate::repository::damage::made;
use crate::repository::hooked::Hooked;
use crate::repository::hooked::Step;
use crate::source::ReaderSource;
use std::sync::Arc;

async fn back_up(repository: &Repository, bytes: &'static [u8]) -> SnapshotId {
    let source = ReaderSource::new(EntryPath::parse(b"f").expect("a path"), bytes);
    let job = repository.backup(source).host("h".into()).threads(1).start();
    job.await.expect("a backup").snapshot.expect("a snapshot").id
}

/// Takes all packs of data away.
async fn lose_content(memory: &MemoryBackend) {
    for (name, bytes) in memory.contents() {
        if name.is_pack() && bytes.get(10) == Some(&1) {
            memory.delete(&name).await.expect("lost");
        }
    }
}

async fn fetched(hooked: &Arc<Hooked>, other: &Repository, dry_run: bool) -> FetchReport {
    let repository = Repository::open(Arc::clone(hooked) as Arc<dyn Backend>, key()).await.expect("opens");
    let all = repository.snapshots().await.expect("a list");
    repository.fetch_from(other, all).dry_run(dry_run).start().await.expect("fetched")
}

#[tokio::test]
async fn each_of_several_snapshots_that_share_what_is_lost_lacks_it() {
    let ((memory, here), (_, there)) = (made().await, made().await);
    let mut lacking = Vec::new();
    for _ in 0..3 {
        lacking.push((back_up(&here, b"lost").await, 1));
    }
    lose_content(&memory).await;
    let mut whole = Vec::new();
    for _ in 0..3 {
        whole.push(back_up(&here, b"kept").await);
    }
    let hooked = Hooked::new(memory, |_, _| async {});
    let report = fetched(&hooked, &there, true).await;
    assert_eq!((report.lacking, report.whole), (lacking.clone(), whole.clone()));
    back_up(&there, b"lost").await;
    let report = fetched(&hooked, &there, false).await;
    let ids: Vec<SnapshotId> = lacking.iter().map(|(id, _)| *id).collect();
    assert_eq!((report.mended, report.lacking), (vec![lacking[0]], vec![]));
    assert_eq!(report.whole, [&ids[1..], &whole[..]].concat());
}

#[tokio::test]
async fn a_candidate_that_gives_nothing_is_no_reason_to_look_at_the_repository_again() {
    let mut looks = Vec::new();
    for candidates in [&[b"a".as_slice()][..], &[b"a", b"b", b"c", b"d"]] {
        let ((memory, here), (_, there)) = (made().await, made().await);
        back_up(&here, b"lost").await;
        lose_content(&memory).await;
        for bytes in candidates {
            back_up(&there, bytes).await;
        }
        let hooked = Hooked::new(memory, |_, _| async {});
        let report = fetched(&hooked, &there, false).await;
        assert_eq!(report.lacking.len(), 1, "{report:?}");
        looks.push(hooked.steps().into_iter().filter(|step| *step == Step::List(Area::Packs)).count());
    }
    let [one, four] = looks[..] else { unreachable!("two rounds") };
    // Those that fill look once for all of them.
    assert_eq!((one, four - one), (2, 0));
}
