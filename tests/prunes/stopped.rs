//! A prune that is stopped anywhere: nothing is lost, and the next one goes on where it was.

use super::bytes_in_packs;
use super::eager;
use super::names;
use super::prune;
use super::stored;
use super::tree;
use crate::support::crowd;
use crate::support::scene::Scene;
use crate::support::scene::Trees;
use crate::support::scene::check;
use crate::support::scene::in_time;
use crate::support::scene::shared;
use crate::support::scene::told;
use std::time::Duration;
use strongroom::Area;
use strongroom::MaxUnused;
use strongroom::MemoryBackend;
use strongroom_testkit::crash::Crash;
use strongroom_testkit::crash::Mode;

/// Seeds for packs that no barrier covered.
const SEEDS: u64 = 7;

/// A repository of several packs, of which some are dead, some needed, and some needed in part.
async fn given(seed: u64) -> (MemoryBackend, Trees) {
    let scene = Scene::new(seed);
    let memory = MemoryBackend::with_clock(scene.clock());
    let (repository, _) = scene.create(shared(memory.clone()), false).await.expect("created");
    let one = tree("one", &[(1, 300_000), (2, 200_000), (3, 90_000), (4, 50_000)]);
    let two = tree("two", &[(2, 200_000), (3, 90_000), (5, 40_000)]);
    let three = tree("three", &[(3, 90_000), (5, 40_000), (6, 300_000), (7, 1000)]);
    let first = stored(&repository, &one).await;
    stored(&repository, &two).await;
    let third = stored(&repository, &three).await;
    repository.forget(&[first, third]).await.expect("forgotten");
    (memory, Trees(vec![one, two]))
}

struct Cut {
    crash: Crash,
    at: usize,
    mode: Mode,
    patient: bool,
    /// Bytes in packs when no crash comes.
    bytes: u64,
}

impl std::fmt::Debug for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cut after write {}, {:?}, with grace: {}", self.at, self.mode, self.patient)
    }
}

async fn goes_on(trees: &Trees, cut: &Cut) -> Result<(), String> {
    let left = cut.crash.at(cut.at, cut.mode);
    let repository = Scene::new(62).open(shared(left.clone())).await.map_err(|error| told(&error))?;
    let report = check(&repository).await.map_err(|error| told(&error))?;
    if report.problems_total > 0 {
        return Err(format!("check: {:?}", report.problems));
    }
    trees.all_right(&repository).await?;
    in_time(prune(&repository)).await.map_err(|error| format!("the next prune: {}", told(&error)))?;
    let labels = trees.all_right(&repository).await?;
    let report = check(&repository).await.map_err(|error| told(&error))?;
    let bytes = bytes_in_packs(&left).await;
    let marks = names(&left, Area::Marks).await.len();
    match (labels.as_slice(), report.problems_total, marks) {
        // Copies made twice may have been put together differently.
        ([label], 0, 0) if label == "two" && bytes <= cut.bytes + cut.bytes / 20 => Ok(()),
        _ => Err(format!("{labels:?}, {marks} marks, {bytes} bytes instead of {}: {report:?}", cut.bytes)),
    }
}

#[test]
fn a_prune_that_is_cut_after_any_write_is_finished_by_the_next() {
    let runtime = crowd::runtime();
    let (memory, trees) = runtime.block_on(given(61));
    let mut cuts = Vec::new();
    for patient in [false, true] {
        let crash = Crash::new(&memory);
        runtime.block_on(async {
            let repository = Scene::new(63).open(shared(crash.clone())).await.expect("opened");
            let grace = Duration::from_secs(if patient { 24 * 3600 } else { 0 });
            let plan = eager(&repository).grace(grace).plan().await.expect("planned");
            plan.apply().await.expect("pruned");
        });
        let done = crash.at(crash.writes(), Mode::Kept);
        runtime.block_on(async {
            let repository = Scene::new(64).open(shared(done.clone())).await.expect("opened");
            prune(&repository).await.expect("pruned");
        });
        let bytes = runtime.block_on(bytes_in_packs(&done));
        for at in 0..=crash.writes() {
            let seeded = (0..SEEDS).flat_map(|seed| [Mode::Torn { seed }, Mode::Mixed { seed }]);
            for mode in [Mode::Lost, Mode::Kept].into_iter().chain(seeded) {
                cuts.push(Cut { crash: crash.clone(), at, mode, patient, bytes });
            }
        }
    }
    crowd::all("cut prunes", &cuts, async |cut| goes_on(&trees, cut).await);
    assert!(cuts.len() >= 300, "{} cases", cuts.len());
}

#[tokio::test]
async fn a_prune_that_is_cancelled_has_deleted_nothing_that_is_needed() {
    let (memory, trees) = given(65).await;
    let repository = Scene::new(66).open(shared(memory.clone())).await.expect("opened");
    let plan =
        repository.prune().max_unused(MaxUnused::Bytes(0)).min_age(Duration::ZERO).plan().await.expect("planned");
    let job = plan.apply();
    job.canceller().cancel();
    job.await.expect_err("stopped");
    assert_eq!(trees.all_right(&repository).await.expect("all right"), ["two"]);
    prune(&repository).await.expect("pruned");
    assert!(names(&memory, Area::Marks).await.is_empty());
    assert_eq!(trees.all_right(&repository).await.expect("all right"), ["two"]);
}
