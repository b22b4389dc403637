//! No snapshot without its verdict: what dies midway leaves none, what lacks something says so.

use crate::support::crowd;
use crate::support::flows::Flow;
use crate::support::flows::Stage;
use crate::support::given::End;
use crate::support::given::Given;
use crate::support::given::Tree;
use crate::support::scene::Scene;
use crate::support::scene::Trees;
use crate::support::scene::backup;
use crate::support::scene::in_time;
use crate::support::scene::shared;
use strongroom::Area;
use strongroom::Backend;
use strongroom::Kind;
use strongroom::MemoryBackend;
use strongroom::Repository;
use strongroom::Verdict;
use strongroom_testkit::faulty::Fault;
use strongroom_testkit::faulty::Faulty;
use strongroom_testkit::faulty::Plan;

async fn repository(scene: &Scene) -> (MemoryBackend, Repository) {
    let memory = MemoryBackend::new();
    let (repository, _) = scene.create(shared(memory.clone()), false).await.expect("created");
    (memory, repository)
}

async fn has_no_snapshot(memory: &MemoryBackend) -> bool {
    memory.list(Area::Snapshots).await.expect("listed").is_empty()
        && memory.list(Area::Pending).await.expect("listed").is_empty()
}

#[tokio::test]
async fn a_dump_that_dies_midway_leaves_no_snapshot() {
    let tree = Tree::new("one", 21, 3_000_000);
    for at in 0..tree.items.len() {
        let scene = Scene::new(21);
        let (memory, repository) = repository(&scene).await;
        let given = Given::ending(&tree, End::FailAt(at));
        let error = in_time(backup(&repository, given).start()).await.expect_err("the source failed");
        assert_eq!(error.kind(), Kind::SourceFailed, "{at}: {error}");
        assert!(has_no_snapshot(&memory).await, "{at}");
        Trees(vec![tree.clone()]).sound(&scene, &memory).await.expect("it is sound");
    }
}

#[tokio::test]
async fn a_partial_source_leaves_a_snapshot_that_says_so() {
    let tree = Tree::new("one", 22, 300_000);
    let scene = Scene::new(22);
    let (_, repository) = repository(&scene).await;
    let report = backup(&repository, Given::ending(&tree, End::Partial)).start().await.expect("stored");
    let partial = Verdict::Partial(vec!["one file could not be read".into()]);
    assert_eq!(report.verdict, partial);
    let snapshots = repository.snapshots().await.expect("listed");
    assert_eq!(snapshots.iter().map(|snapshot| &snapshot.verdict).collect::<Vec<_>>(), [&partial]);
}

/// A job learns of its canceller only after it was started, so the source gets it through the runtime's back door.
#[tokio::test]
async fn a_cancelled_job_leaves_no_snapshot() {
    let tree = Tree::new("one", 23, 3_000_000);
    for at in 0..tree.items.len() {
        let scene = Scene::new(23);
        let (memory, repository) = repository(&scene).await;
        let job = backup(&repository, Given::new(&tree)).start();
        let (canceller, mut events) = (job.canceller(), job.events());
        let mut seen = 0;
        let watch = async {
            while let Some(event) = events.next().await {
                seen += usize::from(matches!(event, strongroom::Event::EntryDone { .. }));
                if seen > at {
                    canceller.cancel();
                }
            }
        };
        let outcome = in_time(async {
            tokio::select! {
                outcome = job => outcome,
                () = watch => unreachable!("the job ends first"),
            }
        });
        match outcome.await {
            Err(error) => {
                assert_eq!(error.kind(), Kind::Cancelled, "{at}: {error}");
                assert!(has_no_snapshot(&memory).await, "{at}");
            }
            // The switch was flipped after the commit had begun.
            Ok(report) => assert!(report.snapshot.is_some(), "{at}"),
        }
        Trees(vec![tree.clone()]).sound(&scene, &memory).await.expect("it is sound");
    }
}

#[tokio::test]
async fn a_job_cancelled_before_it_began_stores_no_snapshot() {
    let tree = Tree::new("one", 24, 300_000);
    let scene = Scene::new(24);
    let (memory, repository) = repository(&scene).await;
    let job = backup(&repository, Given::new(&tree)).start();
    job.canceller().cancel();
    assert_eq!(in_time(job).await.expect_err("cancelled").kind(), Kind::Cancelled);
    assert!(has_no_snapshot(&memory).await);
}

#[derive(Debug)]
struct Refused {
    fault: Fault,
    at: u64,
}

/// Writes that fail for ever, from the n-th on: no success may come of it.
#[test]
fn a_write_that_fails_always_fails_the_run() {
    let runtime = crowd::runtime();
    let stage = runtime.block_on(Stage::new(25, 300_000));
    let counting = Faulty::new(shared(stage.before(Flow::Second)), Plan::never(Fault::NoSpace));
    runtime.block_on(stage.run(&Scene::new(25), Flow::Second, shared(counting.clone()))).expect("stored");
    let mut cases = Vec::new();
    for fault in [Fault::NoSpace, Fault::Conflict, Fault::TimeoutAfter] {
        // Everything up to the commit itself: two data keys, two packs, index, intent, snapshot.
        cases.extend((1..=7).map(|at| Refused { fault, at }));
    }
    crowd::all("refused writes", &cases, async |case| {
        let faulty = Faulty::new(shared(stage.before(Flow::Second)), Plan::forever(case.fault, case.at));
        match in_time(stage.run(&Scene::new(26), Flow::Second, shared(faulty))).await {
            Ok(done) => Err(format!("it claims {done:?}")),
            Err(error) if error.kind() == Kind::SourceFailed => Err("the source is blamed".into()),
            Err(_) => Ok(()),
        }
    });
    assert!(counting.seen() >= 7);
}
