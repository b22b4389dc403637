//! Every object hurt in every way: repair, a backup and a prune make a sound repository of it again.

use super::House;
use super::is_repaired;
use super::prune;
use super::untouched;
use crate::support::crowd;
use crate::support::scene::in_time;
use crate::support::scene::store;
use crate::support::scene::told;
use strongroom::Backend;
use strongroom::Name;
use strongroom::Repository;
use strongroom::Result;

#[derive(Clone, Copy, Debug)]
enum Way {
    /// A bit at this percentage of its length.
    Flip(usize),
    /// To this percentage of its length.
    Cut(usize),
    Zero,
    Delete,
}

const WAYS: [Way; 8] =
    [Way::Flip(0), Way::Flip(20), Way::Flip(50), Way::Flip(80), Way::Flip(99), Way::Cut(60), Way::Zero, Way::Delete];

#[derive(Debug)]
struct Hurt {
    name: Name,
    way: Way,
}

impl Hurt {
    async fn apply(&self, house: &House) {
        let contents = house.memory.contents();
        let bytes = contents.into_iter().find(|(name, _)| *name == self.name).expect("it is there").1;
        match self.way {
            Way::Flip(percent) => house.flip(self.name, bytes.len() * percent / 100),
            Way::Cut(percent) => house.memory.replace(self.name, bytes.slice(..bytes.len() * percent / 100)),
            Way::Zero => house.memory.replace(self.name, vec![0; bytes.len()]),
            Way::Delete => house.memory.delete(&self.name).await.expect("deleted"),
        }
    }
}

/// All forms that need no other repository, in the order that the help gives.
async fn repair(repository: &Repository) -> Result<()> {
    repository.repair_index().start().await?;
    repository.repair_packs().start().await?;
    let snapshots = repository.list_snapshots().await?.snapshots;
    repository.repair_snapshots(snapshots).start().await.map(|_| ())
}

/// Forgets what has lost something and was not made good by the backup.
async fn forget_the_hurt(repository: &Repository) -> Result<()> {
    let list = repository.list_snapshots().await?;
    let unreadable: Vec<_> = list.unreadable.iter().map(|one| one.id).collect();
    repository.forget_unreadable(&unreadable).await?;
    let hopeless = repository.repair_snapshots(list.snapshots.clone()).forget(true).start().await?.hopeless;
    let hopeless: Vec<_> = hopeless.into_iter().map(|(id, _)| id).collect();
    repository.forget(&hopeless).await.map(|_| ())
}

async fn one(whole: &House, hurt: &Hurt) -> std::result::Result<(), String> {
    let house = House { memory: whole.memory.fork(), trees: whole.trees.clone(), ids: whole.ids };
    hurt.apply(&house).await;
    let before = house.memory.contents();
    let repository = house.open(700).await;
    in_time(repair(&repository)).await.map_err(|error| format!("repair: {}", told(&error)))?;
    untouched(&before, &house.memory);
    let repository = house.open(701).await;
    for tree in &house.trees.0 {
        store(&repository, tree).await.map_err(|error| format!("backup: {}", told(&error)))?;
    }
    in_time(forget_the_hurt(&repository)).await.map_err(|error| format!("forget: {}", told(&error)))?;
    in_time(prune(&repository)).await.map_err(|error| format!("prune: {}", told(&error)))?;
    // A damaged data key stands in the way of its own bytes until somebody has looked at it.
    let in_the_way = |problem: &String| matches!(hurt.name, Name::DataKey(_)) && problem.contains("nothing is lost");
    let problems = house.problems().await;
    if !problems.iter().all(in_the_way) {
        return Err(format!("{problems:?}"));
    }
    let left = repository.snapshots().await.map_err(|error| told(&error))?;
    let whole = left.iter().filter(|snapshot| !is_repaired(snapshot)).count();
    let right = house.right().await.len();
    if right >= 2 && right >= whole { Ok(()) } else { Err(format!("{right} of {whole} are right")) }
}

#[test]
fn after_any_damage_repair_and_backup_and_prune_make_a_sound_repository() {
    let whole = crowd::runtime().block_on(House::new(1));
    let objects = whole.memory.contents().into_iter().map(|(name, _)| name);
    // Without these nobody can open it.
    let objects = objects.filter(|name| !matches!(name, Name::Config | Name::Slot(_) | Name::KeyList(_)));
    let hurts: Vec<Hurt> = objects.flat_map(|name| WAYS.map(|way| Hurt { name, way })).collect();
    crowd::all("repaired damage", &hurts, async |hurt| one(&whole, hurt).await);
    assert!(hurts.len() >= 100, "{} cases", hurts.len());
}
