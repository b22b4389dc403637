//! A repair that fails at any operation, in any way: nothing is touched, and run again it comes to what it would have.

use super::DATA;
use super::House;
use super::untouched;
use crate::support::crowd;
use crate::support::scene::Scene;
use crate::support::scene::in_time;
use crate::support::scene::shared;
use crate::support::scene::told;
use std::sync::Arc;
use strongroom::Area;
use strongroom::Backend;
use strongroom::MemoryBackend;
use strongroom::Name;
use strongroom::Result;
use strongroom_testkit::crash::Crash;
use strongroom_testkit::crash::Mode;
use strongroom_testkit::faulty::Fault;
use strongroom_testkit::faulty::Faulty;
use strongroom_testkit::faulty::Plan;

/// The forms of repair, one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Index,
    Packs,
    Snapshots,
    Fetch,
}

const FORMS: [Form; 4] = [Form::Index, Form::Packs, Form::Snapshots, Form::Fetch];
/// Those that neither lie about what there is nor leave the program guessing are enough: the others are tried beside them.
const FAULTS: [Fault; 8] = [
    Fault::TimeoutBefore,
    Fault::TimeoutAfter,
    Fault::NoSpace,
    Fault::NotFound,
    Fault::ShortBody,
    Fault::CorruptBody,
    Fault::EmptyList,
    Fault::ShortList,
];

/// A repository with damage of every sort, and one that can help.
struct Stage {
    house: House,
    other: MemoryBackend,
}

impl Stage {
    async fn new() -> Self {
        let house = House::new(1).await;
        let scene = Scene::new(501);
        let other = MemoryBackend::with_clock(scene.clock());
        let (to, _) = scene.create(shared(other.clone()), false).await.expect("created");
        let from = house.open(502).await;
        from.copy_to(&to, from.snapshots().await.expect("listed")).start().await.expect("copied");
        let mut packs = house.packs(DATA);
        packs.sort_by_key(|(_, bytes)| std::cmp::Reverse(bytes.len()));
        // Of the one with most segments something can be saved.
        house.flip(Name::Pack(packs[0].0), packs[0].1.len() / 2);
        house.delete(Name::Pack(packs[1].0)).await;
        house.flip(house.names(Area::Index).await[0], 200);
        house.delete(house.names(Area::DataKeys).await[0]).await;
        Self { house, other }
    }

    async fn run(&self, form: Form, backend: Arc<dyn Backend>, seed: u64) -> Result<()> {
        let repository = Scene::new(seed).open(backend).await?;
        let snapshots = repository.list_snapshots().await?.snapshots;
        match form {
            Form::Index => repository.repair_index().start().await.map(|_| ()),
            Form::Packs => repository.repair_packs().start().await.map(|_| ()),
            Form::Snapshots => repository.repair_snapshots(snapshots).start().await.map(|_| ()),
            Form::Fetch => {
                let other = Scene::new(seed + 1).open(shared(self.other.clone())).await?;
                repository.fetch_from(&other, snapshots).start().await.map(|_| ())
            }
        }
    }

    /// What the form comes to from here: paths that can be read in all snapshots, and how many of these there are.
    async fn comes_to(&self, memory: &MemoryBackend) -> (usize, usize) {
        let house = House { memory: memory.clone(), trees: self.house.trees.clone(), ids: self.house.ids };
        let right = house.right().await.len();
        (right, house.open(503).await.list_snapshots().await.expect("listed").snapshots.len())
    }
}

#[derive(Clone, Copy, Debug)]
struct Case {
    form: Form,
    plan: Plan,
}

async fn one(stage: &Stage, before: &MemoryBackend, expected: (usize, usize), case: &Case) -> Result<(), String> {
    let memory = before.fork();
    let faulty = Faulty::new(shared(memory.clone()), case.plan);
    let outcome = in_time(stage.run(case.form, shared(faulty), 520)).await;
    untouched(&before.contents(), &memory);
    in_time(stage.run(case.form, shared(memory.clone()), 530)).await.map_err(|error| told(&error))?;
    untouched(&before.contents(), &memory);
    let found = stage.comes_to(&memory).await;
    // A repair that was told that more is lost may have left another snapshot behind.
    let enough = found.0 >= expected.0 && found.1 >= expected.1 && found.1 <= expected.1 + 2;
    if enough { Ok(()) } else { Err(format!("{found:?} instead of {expected:?}, after {outcome:?}")) }
}

struct Cut {
    form: Form,
    crash: Crash,
    at: usize,
    mode: Mode,
}

impl std::fmt::Debug for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} cut after write {}, {:?}", self.form, self.at, self.mode)
    }
}

async fn goes_on(stage: &Stage, before: &MemoryBackend, expected: (usize, usize), cut: &Cut) -> Result<(), String> {
    let memory = cut.crash.at(cut.at, cut.mode);
    untouched(&before.contents(), &memory);
    let right = stage.comes_to(before).await.0;
    let now = stage.comes_to(&memory).await.0;
    in_time(stage.run(cut.form, shared(memory.clone()), 540)).await.map_err(|error| told(&error))?;
    untouched(&before.contents(), &memory);
    let found = stage.comes_to(&memory).await;
    let as_good = now >= right && found.0 >= expected.0 && found.1 == expected.1;
    if as_good { Ok(()) } else { Err(format!("{right} were right, {now}, then {found:?}, not {expected:?}")) }
}

#[test]
fn a_repair_that_is_cut_after_any_write_has_touched_nothing_and_can_be_run_again() {
    let runtime = crowd::runtime();
    let stage = runtime.block_on(Stage::new());
    let mut before = stage.house.memory.fork();
    let mut cases = 0;
    for form in FORMS {
        let crash = Crash::new(&before);
        runtime.block_on(stage.run(form, shared(crash.clone()), 510)).expect("it works");
        let done = crash.at(crash.writes(), Mode::Kept);
        let expected = runtime.block_on(stage.comes_to(&done));
        let modes = [Mode::Lost, Mode::Kept, Mode::Torn { seed: 1 }, Mode::Torn { seed: 2 }, Mode::Mixed { seed: 3 }];
        let cut = |at: usize| modes.map(|mode| Cut { form, crash: crash.clone(), at, mode });
        let all: Vec<Cut> = (0..=crash.writes()).flat_map(cut).collect();
        crowd::all("cut repairs", &all, async |cut| goes_on(&stage, &before, expected, cut).await);
        cases += all.len();
        before = done;
    }
    assert!(cases >= 100, "{cases} cases");
}

#[test]
fn a_repair_that_fails_anywhere_has_touched_nothing_and_can_be_run_again() {
    let runtime = crowd::runtime();
    let stage = runtime.block_on(Stage::new());
    let mut before = stage.house.memory.fork();
    let mut cases = 0;
    for form in FORMS {
        let done = before.fork();
        runtime.block_on(stage.run(form, shared(done.clone()), 510)).expect("it works without faults");
        let expected = runtime.block_on(stage.comes_to(&done));
        let mut all = Vec::new();
        for fault in FAULTS {
            let counting = Faulty::new(shared(before.fork()), Plan::never(fault));
            runtime.block_on(stage.run(form, shared(counting.clone()), 520)).expect("it works without faults");
            all.extend((1..=counting.seen()).map(|at| Case { form, plan: Plan::once(fault, at) }));
            all.extend((1..=counting.seen()).step_by(3).map(|at| Case { form, plan: Plan::forever(fault, at) }));
        }
        crowd::all("stopped repairs", &all, async |case| one(&stage, &before, expected, case).await);
        cases += all.len();
        before = done;
    }
    let house = House { memory: before, trees: stage.house.trees.clone(), ids: stage.house.ids };
    assert!(house.ids.iter().all(|id| runtime.block_on(house.right()).contains(id)), "all that was lost came back");
    assert!(cases > 500, "{cases} cases");
}
