//! Every object of a small repository hurt in every way: opening, listing, reading and checking give the right bytes
//! or an error that says so, and the check never calls hurt data whole.

mod hurts;
mod victim;

use super::support::crowd;
use super::support::scene::Scene;
use super::support::scene::Trees;
use super::support::scene::check;
use super::support::scene::in_time;
use super::support::scene::shared;
use super::support::scene::told;
use hurts::Hurt;
use std::collections::BTreeMap;
use strongroom::Error;
use strongroom::Kind;
use strongroom::Name;
use strongroom::Snapshot;
use victim::Victim;

/// Whether an error is one that hurt objects may give.
fn fits(error: &Error) -> bool {
    matches!(error.kind(), Kind::Damaged | Kind::NotFound | Kind::Unsupported | Kind::WrongKey | Kind::NoRepository)
}

fn allowed(error: &Error, doing: &str) -> Result<(), String> {
    if fits(error) { Ok(()) } else { Err(format!("{doing}: an error of the wrong sort: {}", told(error))) }
}

/// What was seen of a repository.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Snapshots in the list.
    listed: usize,
    /// Those that could be read to the last byte.
    read: usize,
}

/// Reads all there is: wrong bytes are a failure of the case, errors of the right sort are not.
async fn read(trees: &Trees, repository: &strongroom::Repository) -> Result<Seen, String> {
    let snapshots: Vec<Snapshot> = match repository.snapshots().await {
        Ok(snapshots) => snapshots,
        Err(error) => return allowed(&error, "list").map(|()| Seen::default()),
    };
    let mut seen = Seen { listed: snapshots.len(), read: 0 };
    for snapshot in &snapshots {
        match trees.compare(repository, snapshot).await {
            Ok(None) => seen.read += 1,
            Ok(Some(difference)) => return Err(format!("WRONG BYTES in {:?}: {difference}", snapshot.label)),
            Err(error) => allowed(&error, "read")?,
        }
    }
    Ok(seen)
}

async fn one(victim: &Victim, hurt: &Hurt) -> Result<(), String> {
    let scene = Scene::new(7000);
    let memory = hurt.apply(victim);
    let key = victim.key_for(&hurt.name);
    let repository = match in_time(scene.open_by(shared(memory), key)).await {
        Ok(repository) => repository,
        // It is found out as early as can be.
        Err(error) => return allowed(&error, "open"),
    };
    let there = in_time(read(&victim.trees, &repository)).await?;
    if hurt.is_made_up_for() && there.read < 2 {
        return Err("the packs hold the data key too, and yet not every byte can be read".into());
    }
    let there = there.listed;
    match in_time(check(&repository)).await {
        Err(error) => allowed(&error, "check"),
        Ok(report) if report.problems_total > 0 => Ok(()),
        Ok(report) if hurt.is_harmless() || hurt.adds_a_pack() && report.packs_unreferenced > 0 => {
            let forgotten = usize::from(matches!(hurt.name, Name::Snapshot(_)) && hurt.is_harmless());
            if there + forgotten >= 2 { Ok(()) } else { Err("a harmless hurt hides a snapshot".into()) }
        }
        Ok(_) => Err("the check calls it whole".into()),
    }
}

#[test]
fn no_hurt_to_any_object_gives_wrong_bytes_or_a_clean_check() {
    let victim = crowd::runtime().block_on(Victim::new());
    let hurts = hurts::all(&victim);
    let mut by_kind: BTreeMap<String, usize> = BTreeMap::new();
    for hurt in &hurts {
        *by_kind.entry(format!("{} {}", hurt.area(), hurt.way.sort())).or_default() += 1;
    }
    println!("{by_kind:#?}");
    crowd::all("corruption", &hurts, async |hurt| one(&victim, hurt).await);
    assert!(hurts.len() >= 20_000, "{} cases", hurts.len());
}

/// The matrix has teeth: the victim unhurt opens, reads and checks clean.
#[test]
fn the_victim_is_whole_before_it_is_hurt() {
    let runtime = crowd::runtime();
    runtime.block_on(async {
        let victim = Victim::new().await;
        for name in victim.objects.keys() {
            let repository =
                Scene::new(7001).open_by(shared(victim.memory.fork()), victim.key_for(name)).await.expect("opened");
            assert_eq!(read(&victim.trees, &repository).await, Ok(Seen { listed: 2, read: 2 }));
            let report = check(&repository).await.expect("checked");
            assert_eq!((report.problems_total, report.packs_unreferenced, report.snapshots), (0, 0, 2));
        }
    });
}
