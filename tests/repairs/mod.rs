//! Repair: what is left is made good, what is lost is named, and nothing that was there is touched.

mod fetch;
mod index;
mod matrix;
mod packs;
mod sectors;
mod snapshots;
mod stand_ins;
mod stopped;
mod together;
mod unnamed;

use crate::support::given::Tree;
use crate::support::scene::Scene;
use crate::support::scene::Trees;
use crate::support::scene::check;
use crate::support::scene::shared;
use crate::support::scene::store;
use bytes::Bytes;
use std::time::Duration;
use strongroom::Area;
use strongroom::Backend;
use strongroom::MaxUnused;
use strongroom::MemoryBackend;
use strongroom::Name;
use strongroom::PackId;
use strongroom::PacksRepaired;
use strongroom::Repository;
use strongroom::Result;
use strongroom::Snapshot;
use strongroom::SnapshotId;

/// A repository with two snapshots of trees that share most of their files; each file is a segment of its own.
pub struct House {
    pub memory: MemoryBackend,
    pub trees: Trees,
    pub ids: [SnapshotId; 2],
}

/// Seeds and sizes of the files of both trees.
const ONE: [(u64, usize); 5] = [(1, 300_000), (2, 310_000), (3, 290_000), (4, 280_000), (5, 2000)];
const TWO: [(u64, usize); 5] = [(1, 300_000), (3, 290_000), (4, 280_000), (6, 305_000), (7, 3000)];

impl House {
    pub async fn new(seed: u64) -> Self {
        Self::of(seed, [Tree::of_files("one", &ONE), Tree::of_files("two", &TWO)]).await
    }

    pub async fn of(seed: u64, trees: [Tree; 2]) -> Self {
        let scene = Scene::new(seed);
        let memory = MemoryBackend::with_clock(scene.clock());
        let (repository, _) = scene.create(shared(memory.clone()), false).await.expect("created");
        let ids = [stored(&repository, &trees[0]).await, stored(&repository, &trees[1]).await];
        Self { memory, trees: Trees(trees.to_vec()), ids }
    }

    /// Opened anew, with nothing remembered of what was there before.
    pub async fn open(&self, seed: u64) -> Repository {
        Scene::new(seed).open(shared(self.memory.clone())).await.expect("opened")
    }

    pub async fn names(&self, area: Area) -> Vec<Name> {
        self.memory.list(area).await.expect("listed").into_iter().map(|listed| listed.name).collect()
    }

    /// The packs of data, or of the catalog, each with its bytes.
    pub fn packs(&self, class: u8) -> Vec<(PackId, Bytes)> {
        // The class stands in the head, in the clear.
        let of_class = |(name, bytes): (Name, Bytes)| match name {
            Name::Pack(id) if bytes.get(10) == Some(&class) => Some((id, bytes)),
            _ => None,
        };
        self.memory.contents().into_iter().filter_map(of_class).collect()
    }

    /// Flips a bit of an object.
    pub fn flip(&self, name: Name, at: usize) {
        let bytes = self.memory.contents().into_iter().find(|(other, _)| *other == name).expect("it is there").1;
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        self.memory.replace(name, bytes);
    }

    pub async fn delete(&self, name: Name) {
        self.memory.delete(&name).await.expect("deleted");
    }

    /// Snapshots that read back byte for byte; others may be damaged, but never wrong.
    pub async fn right(&self) -> Vec<SnapshotId> {
        let repository = self.open(900).await;
        let mut right = Vec::new();
        for snapshot in repository.list_snapshots().await.expect("listed").snapshots {
            match self.trees.compare(&repository, &snapshot).await {
                Ok(None) => right.push(snapshot.id),
                // A repaired one has fewer entries.
                Ok(Some(difference)) => assert!(is_repaired(&snapshot), "wrong bytes: {difference}"),
                Err(_) => {}
            }
        }
        right
    }

    /// What a check that reads everything names.
    pub async fn problems(&self) -> Vec<String> {
        let report = check(&self.open(901).await).await.expect("checked");
        report.problems.into_iter().map(|problem| format!("{}: {}", problem.object, problem.message)).collect()
    }
}

pub const DATA: u8 = 1;
pub const METADATA: u8 = 2;

pub fn is_repaired(snapshot: &Snapshot) -> bool {
    snapshot.tags.iter().any(|tag| tag == "repaired")
}

pub async fn stored(repository: &Repository, tree: &Tree) -> SnapshotId {
    store(repository, tree).await.expect("stored").snapshot.expect("a snapshot").id
}

/// Every object of `before` is there still, byte for byte.
#[track_caller]
pub fn untouched(before: &[(Name, Bytes)], memory: &MemoryBackend) {
    let after = memory.contents();
    for object in before {
        assert!(after.contains(object), "{} is no more what it was", object.0);
    }
}

/// A prune that spares nothing because of its age.
pub async fn prune(repository: &Repository) -> Result<()> {
    let prune = repository.prune().min_age(Duration::ZERO).grace(Duration::ZERO).max_unused(MaxUnused::Bytes(0));
    prune.plan().await?.apply().await.map(|_| ())
}

pub async fn repair_packs(repository: &Repository) -> PacksRepaired {
    repository.repair_packs().start().await.expect("repaired")
}
