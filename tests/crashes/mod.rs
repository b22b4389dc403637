//! A crash after every write of every flow, with what no barrier covered lost, kept, torn or mixed: every committed
//! snapshot restores byte for byte (I-1), the check finds nothing, and the next backup works.

use crate::support::crowd;
use crate::support::flows::Flow;
use crate::support::flows::Stage;
use crate::support::given::End;
use crate::support::given::Given;
use crate::support::given::Tree;
use crate::support::scene::Scene;
use crate::support::scene::Trees;
use crate::support::scene::backup;
use crate::support::scene::check;
use crate::support::scene::in_time;
use crate::support::scene::shared;
use crate::support::scene::store;
use crate::support::scene::told;
use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;
use strongroom::Area;
use strongroom::Backend;
use strongroom::Kind;
use strongroom::MemoryBackend;
use strongroom::Name;
use strongroom_testkit::counting::Counting;
use strongroom_testkit::counting::Operation;
use strongroom_testkit::crash::Crash;
use strongroom_testkit::crash::Event;
use strongroom_testkit::crash::Mode;

/// Flows that write.
const FLOWS: [Flow; 10] = [
    Flow::Init,
    Flow::First,
    Flow::Second,
    Flow::Resume,
    Flow::Again,
    Flow::Forget,
    Flow::Prune,
    Flow::Reencrypt,
    Flow::Tag,
    Flow::Keys,
];
/// Seeds tried at every cut; those that leave what another one left are no cases.
const SEEDS: u64 = 300;
/// Times each flow is played, with other data.
const PLAYS: u64 = 3;

struct Case {
    flow: Flow,
    stage: usize,
    at: usize,
    mode: Mode,
    crash: Crash,
    /// Snapshots whose put had returned and that nobody deleted.
    committed: Vec<Name>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} of stage {} cut after write {}, {:?}", self.flow, self.stage, self.at, self.mode)
    }
}

/// Tells what is left of one cut from what is left of another: names, lengths, and a few bytes of every sector.
fn fingerprint(memory: &MemoryBackend) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (name, bytes) in memory.contents() {
        (name, bytes.len()).hash(&mut hasher);
        bytes.chunks(512).for_each(|sector| sector[..sector.len().min(4)].hash(&mut hasher));
    }
    hasher.finish()
}

/// Snapshots that are committed after the first `at` writes.
fn committed(before: &MemoryBackend, trace: &[Event], at: usize) -> Vec<Name> {
    let is_snapshot = |name: &Name| name.area() == Some(Area::Snapshots);
    let mut names: Vec<Name> = before.contents().into_iter().map(|(name, _)| name).filter(is_snapshot).collect();
    for event in &trace[..at] {
        match event {
            Event::Put { name, .. } if is_snapshot(name) => names.push(*name),
            Event::Delete { name } => names.retain(|other| other != name),
            _ => {}
        }
    }
    names
}

/// Plays a flow once and cuts it everywhere.
async fn cut(stage: &Stage, number: usize, flow: Flow) -> Vec<Case> {
    let before = stage.before(flow);
    let crash = Crash::new(&before);
    stage.run(&Scene::new(900), flow, shared(crash.clone())).await.expect("it works without a crash");
    let (trace, mut seen, mut cases) = (crash.trace(), HashSet::new(), Vec::new());
    assert!(!trace.is_empty(), "{flow:?} writes");
    for at in 0..=trace.len() {
        // Where all packs are durable, the seeds make no difference.
        let all_durable = crash.at(at, Mode::Lost).contents().len() == crash.at(at, Mode::Kept).contents().len();
        let seeds = if all_durable { 0 } else { SEEDS };
        let seeded = (0..seeds).flat_map(|seed| [Mode::Torn { seed }, Mode::Mixed { seed }]);
        for mode in [Mode::Lost, Mode::Kept].into_iter().chain(seeded) {
            if seen.insert(fingerprint(&crash.at(at, mode))) {
                let committed = committed(&before, &trace, at);
                cases.push(Case { flow, stage: number, at, mode, crash: crash.clone(), committed });
            }
        }
    }
    cases
}

async fn one(stage: &Stage, case: &Case) -> Result<(), String> {
    let scene = Scene::new(901 + case.at as u64);
    let left = case.crash.at(case.at, case.mode);
    match in_time(scene.open(shared(left.clone()))).await {
        Ok(_) => {}
        Err(error) if case.flow == Flow::Init && error.kind() == Kind::NoRepository => return Ok(()),
        Err(error) => return Err(format!("open: {}", told(&error))),
    }
    for name in &case.committed {
        let there = left.stat(name).await.map_err(|error| told(&error))?;
        there.ok_or_else(|| format!("{name} was committed and is gone"))?;
    }
    let labels = in_time(stage.trees.sound(&scene, &left)).await?;
    if labels.len() != case.committed.len() {
        return Err(format!("{labels:?} are there of {} committed", case.committed.len()));
    }
    match stage.kept(case.flow).iter().find(|label| !labels.iter().any(|found| found == *label)) {
        Some(lost) => Err(format!("snapshot {lost} is lost")),
        None => Ok(()),
    }
}

#[test]
fn a_crash_after_any_write_loses_no_committed_snapshot() {
    let runtime = crowd::runtime();
    let (mut stages, mut cases) = (Vec::new(), Vec::new());
    for play in 0..PLAYS {
        let stage = runtime.block_on(Stage::new(91 + play * 10, 280_000 + 90_000 * play as usize));
        for flow in FLOWS {
            cases.extend(runtime.block_on(cut(&stage, stages.len(), flow)));
        }
        stages.push(stage);
    }
    crowd::all("crashes", &cases, async |case| one(&stages[case.stage], case).await);
    assert!(cases.len() >= 3000, "{} cases", cases.len());
}

/// The proof has teeth: without the barrier before the index object, a crash loses what was committed.
#[test]
fn a_snapshot_whose_packs_were_never_synced_is_found_to_be_lost() {
    let runtime = crowd::runtime();
    runtime.block_on(async {
        let stage = Stage::new(99, 280_000).await;
        let crash = Crash::new(&stage.before(Flow::First));
        stage.run(&Scene::new(99), Flow::First, shared(crash.clone())).await.expect("stored");
        let whole = crash.at(crash.writes(), Mode::Lost);
        stage.trees.sound(&Scene::new(98), &whole.fork()).await.expect("it is sound");
        let is_pack = |(name, _): &(Name, _)| name.area() == Some(Area::Packs);
        for (name, _) in whole.contents().into_iter().filter(is_pack) {
            let without = whole.fork();
            without.delete(&name).await.expect("deleted");
            stage.trees.sound(&Scene::new(98), &without).await.expect_err("a pack is gone");
        }
    });
}

/// Killed just before its commit, all is there: the next run finds it and stores no pack.
#[test]
fn a_killed_backup_resumes_without_uploading_again() {
    let runtime = crowd::runtime();
    runtime.block_on(async {
        let stage = Stage::new(97, 2_300_000).await;
        let left = stage.before(Flow::Resume);
        let counting = Counting::new(shared(left.clone()));
        stage.run(&Scene::new(97), Flow::Resume, shared(counting.clone())).await.expect("stored");
        let counts = counting.counts();
        assert_eq!(counts.of_area(Operation::Put, Area::Packs), 0);
        assert_eq!(counts.of_area(Operation::Put, Area::Snapshots), 1);
        stage.trees.sound(&Scene::new(96), &left).await.expect("it is sound");
    });
}

/// Killed midway, what was full was stored, and was made durable and findable on the way out.
#[test]
fn a_backup_that_fails_midway_keeps_the_packs_it_had_filled() {
    let runtime = crowd::runtime();
    runtime.block_on(async {
        let tree = Tree::new("one", 98, 60 << 20);
        let (scene, memory) = (Scene::new(98), MemoryBackend::new());
        let (repository, _) = scene.create(shared(memory.clone()), false).await.expect("created");
        let last = tree.items.len() - 1;
        let failed = backup(&repository, Given::ending(&tree, End::FailAt(last))).start();
        assert_eq!(in_time(failed).await.expect_err("the source failed").kind(), Kind::SourceFailed);
        let report = check(&repository).await.expect("checked");
        assert!(report.problems_total == 0 && report.packs_unreferenced == 0 && report.packs >= 1, "{report:?}");
        let report = in_time(store(&repository, &tree)).await.expect("stored");
        assert!(report.bytes_new < 60 << 20, "{} bytes were new", report.bytes_new);
        Trees(vec![tree]).all_right(&repository).await.expect("it is right");
    });
}
