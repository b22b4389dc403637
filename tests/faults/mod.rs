//! The n-th operation of every flow fails in every way, once or for ever: the flow succeeds and did what it says, or
//! fails with an error of the right sort; afterwards the repository is whole and the next backup works.

mod concurrent;
mod found;
mod restores;
mod verdicts;

use super::support::crowd;
use super::support::flows::Done;
use super::support::flows::Flow;
use super::support::flows::Stage;
use super::support::scene::Scene;
use super::support::scene::in_time;
use super::support::scene::shared;
use super::support::scene::told;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use strongroom::Error;
use strongroom::Kind;
use strongroom_testkit::faulty::Fault;
use strongroom_testkit::faulty::Faulty;
use strongroom_testkit::faulty::Plan;

/// Times every case is played, with other random numbers: they decide how many packs there are.
const PLAYS: u64 = 2;
/// Sizes of the largest file: one segment, and several.
const LARGE: [usize; 2] = [300_000, 2_300_000];

#[derive(Clone, Copy, Debug)]
struct Case {
    /// Which stage it plays on.
    stage: usize,
    flow: Flow,
    plan: Plan,
    /// Decides every random number.
    seed: u64,
}

/// Kinds of error that a fault may come out as.
fn fits(fault: Fault, kind: Kind) -> bool {
    let allowed: &[Kind] = match fault {
        Fault::TimeoutBefore | Fault::TimeoutAfter | Fault::Busy | Fault::ListError => &[Kind::BackendBusy],
        Fault::Denied => &[Kind::BackendDenied],
        Fault::NoSpace => &[Kind::NoSpace],
        Fault::Conflict => &[Kind::Conflict],
        Fault::NotFound => &[Kind::NotFound, Kind::NoRepository, Kind::Damaged, Kind::WrongKey],
        Fault::ShortBody | Fault::CorruptBody => &[Kind::Damaged, Kind::Unsupported, Kind::WrongKey],
        // A listing that hides objects makes them missing; one that shows old ones too.
        _ => &[Kind::NotFound, Kind::Damaged, Kind::WrongKey],
    };
    allowed.contains(&kind)
}

/// Faults that make a backend say that something is not there.
fn hides(fault: Fault) -> bool {
    matches!(fault, Fault::NotFound | Fault::EmptyList | Fault::ShortList | Fault::StaleList(_))
}

fn judge(case: &Case, struck: u64, outcome: &Result<Done, Error>) -> Result<(), String> {
    match outcome {
        Err(error) if struck == 0 => Err(format!("it failed without a fault: {}", told(error))),
        // A key that cannot be found makes the other one the last, and the last one is not removed, or put back.
        Err(error)
            if case.flow == Flow::Keys
                && hides(case.plan.fault)
                && matches!(error.kind(), Kind::Invalid | Kind::Conflict) =>
        {
            Ok(())
        }
        // Where no snapshot is listed, nothing is pruned.
        Err(error)
            if matches!(case.flow, Flow::Prune | Flow::Reencrypt)
                && hides(case.plan.fault)
                && error.kind() == Kind::Invalid =>
        {
            Ok(())
        }
        Err(error) if !fits(case.plan.fault, error.kind()) => {
            Err(format!("an error of the wrong sort: {}", told(error)))
        }
        Ok(Done::SealedAnew(false)) if struck == 0 => Err("not all is sealed anew".into()),
        Ok(Done::Wrong(difference)) => Err(format!("wrong bytes: {difference}")),
        Ok(Done::Read(count)) if *count != 2 && !hides(case.plan.fault) => {
            Err(format!("{count} snapshots instead of 2"))
        }
        Ok(Done::Checked(problems)) if *problems > 0 && fits(case.plan.fault, Kind::BackendBusy) => {
            Err(format!("a store that does not answer was taken for {problems} problems"))
        }
        Ok(Done::Checked(problems)) if *problems > 0 && struck == 0 => Err(format!("{problems} problems of nothing")),
        _ => Ok(()),
    }
}

async fn one(stage: &Stage, case: &Case, struck: &AtomicU64) -> Result<(), String> {
    let scene = Scene::new(case.seed);
    let memory = stage.before(case.flow);
    let faulty = Faulty::new(shared(memory.clone()), case.plan);
    let outcome = in_time(stage.run(&scene, case.flow, shared(faulty.clone()))).await;
    struck.fetch_add(u64::from(faulty.struck() > 0), Ordering::SeqCst);
    judge(case, faulty.struck(), &outcome)?;
    if let Ok(done) = &outcome {
        stage.verify(&scene, done, &memory).await?;
    } else if case.flow == Flow::Init {
        // What is there has a config and opens, or has none and is no repository.
        match scene.open(shared(memory.clone())).await {
            Ok(_) => {}
            Err(error) if error.kind() == Kind::NoRepository => return Ok(()),
            Err(error) => return Err(format!("half a repository: {}", told(&error))),
        }
    }
    let labels = in_time(stage.trees.sound(&scene, &memory)).await?;
    match stage.kept(case.flow).iter().find(|label| !labels.iter().any(|found| found == *label)) {
        Some(lost) => Err(format!("snapshot {lost} is lost")),
        None => Ok(()),
    }
}

/// Every fault at every operation it can strike, once and for ever.
async fn cases(stages: &[Stage]) -> Vec<Case> {
    let mut cases = Vec::new();
    for (number, stage) in stages.iter().enumerate() {
        for (flow, fault) in Flow::ALL.into_iter().flat_map(|flow| Fault::ALL.map(|fault| (flow, fault))) {
            // The longest flow, of steps that others take too: small files are enough.
            if flow == Flow::Reencrypt && number > 0 {
                continue;
            }
            for play in 0..PLAYS {
                let seed = 1000 + cases.len() as u64 + play;
                let counting = Faulty::new(shared(stage.before(flow)), Plan::never(fault));
                let done = stage.run(&Scene::new(seed), flow, shared(counting.clone())).await;
                assert!(!matches!(done, Err(_) | Ok(Done::Wrong(_))), "{flow:?} works without faults: {done:?}");
                for at in 1..=counting.seen() {
                    let plans = [Plan::once(fault, at), Plan::forever(fault, at)];
                    cases.extend(plans.map(|plan| Case { stage: number, flow, plan, seed }));
                }
            }
        }
    }
    cases
}

#[test]
fn a_fault_at_any_operation_of_any_flow_ends_in_success_or_in_its_error() {
    let runtime = crowd::runtime();
    let stages = LARGE.map(|large| runtime.block_on(Stage::new(11, large)));
    let cases = runtime.block_on(cases(&stages));
    let struck = AtomicU64::new(0);
    crowd::all("faults", &cases, async |case| one(&stages[case.stage], case, &struck).await);
    println!("faults: {} cases were struck", struck.load(Ordering::SeqCst));
    assert!(struck.load(Ordering::SeqCst) >= 3000, "{} of {} cases", struck.load(Ordering::SeqCst), cases.len());
}
