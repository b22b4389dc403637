//! Failures that were found once, each by its name.

use crate::support::flows::Done;
use crate::support::flows::Flow;
use crate::support::flows::Stage;
use crate::support::scene::Scene;
use crate::support::scene::check;
use crate::support::scene::shared;
use crate::support::scene::told;
use strongroom::Area;
use strongroom::Backend;
use strongroom::Kind;
use strongroom_testkit::faulty::Fault;
use strongroom_testkit::faulty::Faulty;
use strongroom_testkit::faulty::Plan;

/// The error of a failed upload was lost on its way, and a bug was reported in its place.
#[tokio::test]
async fn a_failed_upload_is_told_as_what_it_is() {
    let stage = Stage::new(31, 300_000).await;
    for at in 3..=4 {
        let faulty = Faulty::new(shared(stage.before(Flow::First)), Plan::forever(Fault::NoSpace, at + 1));
        let error = stage.run(&Scene::new(31), Flow::First, shared(faulty)).await.expect_err("there is no room");
        assert_eq!(error.kind(), Kind::NoSpace, "{}", told(&error));
    }
}

/// A store that said of an index object that it exists was believed; the snapshot that came of it was unreadable.
#[tokio::test]
async fn an_index_object_that_is_said_to_exist_is_looked_at() {
    let stage = Stage::new(32, 300_000).await;
    let mut refused = 0;
    for at in 1..=9 {
        let memory = stage.before(Flow::First);
        let faulty = Faulty::new(shared(memory.clone()), Plan::once(Fault::Conflict, at));
        let outcome = stage.run(&Scene::new(32), Flow::First, shared(faulty.clone())).await;
        assert_eq!(outcome.is_ok(), faulty.struck() == 0, "{at}: {outcome:?}");
        let packs = memory.list(Area::Packs).await.expect("listed").len();
        refused += usize::from(packs > 0 && memory.list(Area::Index).await.expect("listed").is_empty());
        stage.trees.sound(&Scene::new(33), &memory).await.expect("it is sound");
    }
    assert!(refused > 0, "one of them strikes the index object");
}

/// A listing that named the only key twice made it look like two, so that it could be removed.
#[tokio::test]
async fn a_listing_that_repeats_the_last_key_does_not_let_it_go() {
    let stage = Stage::new(33, 300_000).await;
    let memory = stage.before(Flow::Keys);
    let faulty = Faulty::new(shared(memory.clone()), Plan::forever(Fault::DuplicateEntry, 1));
    let repository = Scene::new(33).open(shared(faulty)).await.expect("opened");
    let keys = repository.keys().await.expect("listed");
    let [only] = keys.as_slice() else { panic!("{keys:?}") };
    assert_eq!(repository.remove_key(only.id).await.expect_err("it is the last").kind(), Kind::Invalid);
    assert_eq!(repository.snapshots().await.expect("listed").len(), 2);
    let report = check(&repository).await.expect("checked");
    assert_eq!((report.problems_total, report.snapshots), (0, 2));
    assert_eq!(stage.run(&Scene::new(34), Flow::Read, shared(memory)).await.expect("read"), Done::Read(2));
}

/// Intents were never looked at, although what they name is kept only as long as they can be read.
#[tokio::test]
async fn an_intent_that_cannot_be_read_is_a_problem() {
    let stage = Stage::new(34, 300_000).await;
    let memory = stage.before(Flow::Resume);
    let repository = Scene::new(35).open(shared(memory.clone())).await.expect("opened");
    assert_eq!(check(&repository).await.expect("checked").problems_total, 0);
    let [intent] = memory.list(Area::Pending).await.expect("listed")[..] else { panic!("one run died") };
    let mut bytes = memory.get(&intent.name).await.expect("read").to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    memory.replace(intent.name, bytes);
    let report = check(&repository).await.expect("checked");
    let objects: Vec<String> = report.problems.into_iter().map(|problem| problem.object).collect();
    assert_eq!(objects, [intent.name.to_string()]);
}
