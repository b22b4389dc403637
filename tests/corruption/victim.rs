//! The repository that is hurt: two snapshots, two keys, one of every kind of object, and a stranger beside it.

use crate::support::given::Tree;
use crate::support::scene::Scene;
use crate::support::scene::Trees;
use crate::support::scene::passphrase;
use crate::support::scene::shared;
use crate::support::scene::store;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use strongroom::Area;
use strongroom::Backend;
use strongroom::Key;
use strongroom::MemoryBackend;
use strongroom::Name;
use strongroom::Secret;
use strongroom_testkit::crash::Crash;
use strongroom_testkit::crash::Event;

/// A small repository with everything in it.
pub struct Victim {
    pub memory: MemoryBackend,
    pub objects: BTreeMap<Name, Bytes>,
    pub trees: Trees,
    /// Objects of another repository.
    pub stranger: Vec<(Name, Bytes)>,
    recovery_code: String,
    /// Slots that the passphrase does not open.
    recovery_slots: BTreeSet<Name>,
}

impl Victim {
    pub async fn new() -> Self {
        let one = Tree::new("one", 71, 290_000);
        let two = one.changed("two", 72, 9_000);
        let trees = Trees(vec![one, two]);
        let (memory, recovery_code, recovery_slots) = build(71, &trees).await;
        let (stranger, _, _) = build(73, &trees).await;
        let objects: BTreeMap<Name, Bytes> = memory.contents().into_iter().collect();
        Self { memory, objects, trees, stranger: stranger.contents(), recovery_code, recovery_slots }
    }

    /// The key that needs the object, so that hurting another way in is seen as well.
    pub fn key_for(&self, name: &Name) -> Key {
        if self.recovery_slots.contains(name) {
            Key::Recovery(Secret::new(self.recovery_code.as_bytes()))
        } else {
            passphrase()
        }
    }
}

/// Both trees backed up; intents that were removed after their commits are put back, as after a crash between.
async fn build(seed: u64, trees: &Trees) -> (MemoryBackend, String, BTreeSet<Name>) {
    let crash = Crash::new(&MemoryBackend::new());
    let scene = Scene::new(seed);
    let (repository, code) = scene.create(shared(crash.clone()), true).await.expect("created");
    let slots = crash.list(Area::Slots).await.expect("listed");
    for tree in &trees.0 {
        store(&repository, tree).await.expect("stored");
    }
    let memory = MemoryBackend::new();
    for event in crash.trace() {
        if let Event::Put { name, bytes } = event {
            memory.replace(name, bytes);
        }
    }
    let current = repository.keys().await.expect("keys");
    let is_current = |name: &Name| current.iter().any(|slot| slot.current && Name::Slot(slot.id) == *name);
    let others = slots.into_iter().map(|listed| listed.name).filter(|name| !is_current(name)).collect();
    (memory, code.expect("a recovery code"), others)
}
