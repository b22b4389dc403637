//! Several backups into one repository at once.

use crate::support::given::Given;
use crate::support::given::Tree;
use crate::support::scene::Scene;
use crate::support::scene::Trees;
use crate::support::scene::backup;
use crate::support::scene::check;
use crate::support::scene::in_time;
use crate::support::scene::shared;
use strongroom::MemoryBackend;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_backups_of_overlapping_data_at_once_both_restore() {
    for round in 0..12 {
        let one = Tree::new("one", 40, 1_500_000);
        let two = one.changed("two", 41, 600_000);
        let trees = Trees(vec![one.clone(), two.clone()]);
        let scene = Scene::new(400 + round);
        let memory = MemoryBackend::new();
        let (first, _) = scene.create(shared(memory.clone()), false).await.expect("created");
        // On odd rounds through one opened repository, on even ones as two programs would.
        let second = match round % 2 {
            0 => scene.open(shared(memory.clone())).await.expect("opened"),
            _ => first.clone(),
        };
        let jobs = (backup(&first, Given::new(&one)).threads(2), backup(&second, Given::new(&two)).threads(2));
        let (left, right) = in_time(async { tokio::join!(jobs.0.start(), jobs.1.start()) }).await;
        assert!(left.expect("stored").snapshot.is_some() && right.expect("stored").snapshot.is_some());
        let report = check(&first).await.expect("checked");
        assert_eq!((report.problems_total, report.snapshots, report.packs_unreferenced), (0, 2, 0));
        let mut labels = trees.all_right(&first).await.expect("both are right");
        labels.sort();
        assert_eq!(labels, ["one", "two"]);
        trees.sound(&scene, &memory).await.expect("it is sound");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_goes_on_while_another_snapshot_is_forgotten() {
    for round in 0..8 {
        let one = Tree::new("one", 42, 700_000);
        let two = one.changed("two", 43, 100_000);
        let trees = Trees(vec![one.clone(), two.clone()]);
        let scene = Scene::new(500 + round);
        let memory = MemoryBackend::new();
        let (repository, _) = scene.create(shared(memory.clone()), false).await.expect("created");
        let job = backup(&repository, Given::new(&one)).start();
        let first = in_time(job).await.expect("stored").snapshot.expect("a snapshot");
        let ids = [first.id];
        let job = backup(&repository, Given::new(&two)).start();
        let (stored, forgotten) = in_time(async { tokio::join!(job, repository.forget(&ids)) }).await;
        assert_eq!(forgotten.expect("forgotten"), 1);
        assert!(stored.expect("stored").snapshot.is_some());
        assert_eq!(trees.sound(&scene, &memory).await.expect("it is sound"), ["two"]);
    }
}
