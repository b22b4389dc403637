//! The least prune that keeps to the protocol (docs/FORMAT.md), one step at a time: the writer's partner in these tests.

use crate::backend::Area;
use crate::backend::Name;
use crate::backup::rescue;
use crate::class::Class;
use crate::format::gc::Mark;
use crate::format::gc::Tomb;
use crate::format::snapshot::Snapshot;
use crate::id::PackId;
use crate::id::SnapshotId;
use crate::index::load;
use crate::job::Control;
use crate::store::Condemned;
use crate::store::DurablePacks;
use crate::store::OnFull;
use crate::store::Store;
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;

/// The steps, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// P1.
    Mark,
    /// P2.
    Copy,
    /// P3.
    Merge,
    /// P4.
    Bury,
    /// P5.
    Delete,
    /// P6.
    Unmark,
}

pub(super) static STEPS: [Step; 6] = [Step::Mark, Step::Copy, Step::Merge, Step::Bury, Step::Delete, Step::Unmark];

/// One run. It condemns every pack that is there when it begins, however young.
#[derive(Clone)]
pub(super) struct Pruner {
    store: Arc<Store>,
    run: SnapshotId,
    only: Option<Class>,
    victims: Arc<Mutex<HashSet<PackId>>>,
}

impl Pruner {
    pub(super) fn new(store: &Arc<Store>, number: u8) -> Self {
        Self {
            store: Arc::clone(store),
            run: SnapshotId::from_bytes([number; 16]),
            only: None,
            victims: Arc::default(),
        }
    }

    /// One that condemns packs of content only.
    pub(super) fn of_data(store: &Arc<Store>, number: u8) -> Self {
        Self { only: Some(Class::Data), ..Self::new(store, number) }
    }

    fn victims(&self) -> HashSet<PackId> {
        self.victims.lock().expect("no holder panics").clone()
    }

    fn victim_list(&self) -> Vec<PackId> {
        self.victims().into_iter().collect()
    }

    pub(super) async fn step(&self, step: Step) {
        let store = &self.store;
        match step {
            Step::Mark => {
                let mut packs = packs(store).await;
                if let Some(only) = self.only {
                    let (index, _) = load::load_what_opens(store, load::Read::All).await.expect("an index");
                    let known: Vec<_> = index.packs().map(|known| known.expect("read")).collect();
                    packs.retain(|pack| known.iter().any(|known| known.id == *pack && known.class == only));
                }
                *self.victims.lock().expect("no holder panics") = packs;
                let mark = Mark { packs: self.victim_list() };
                store.put_small(&Name::Mark(self.run), &mark.encode()).await.expect("a mark");
            }
            Step::Copy => while self.copy_live().await {},
            Step::Merge => self.merge().await,
            Step::Bury => {
                let tomb = Tomb { packs: self.victim_list() };
                store.put_small(&Name::Tomb(self.run), &tomb.encode()).await.expect("a tomb");
            }
            Step::Delete => {
                for pack in self.victims() {
                    store.backend().delete(&Name::Pack(pack)).await.expect("deleted");
                }
            }
            Step::Unmark => store.backend().delete(&Name::Mark(self.run)).await.expect("deleted"),
        }
    }

    /// Whether anything had to be copied: then all is to be read once more.
    async fn copy_live(&self) -> bool {
        let before = packs(&self.store).await;
        for area in [Area::Pending, Area::Snapshots] {
            for listed in self.store.list(area).await.expect("a list") {
                // A pending record may go meanwhile: it is not, in these tests, while a step runs.
                let body = self.store.get_small(&listed.name).await.expect("a record");
                let root = Snapshot::decode(&body).expect("a record").root;
                let control = Control::new();
                let rescued =
                    rescue::rescue(&self.store, &control, self.run, root, &self.victims(), &Arc::default()).await;
                let lost = matches!(rescued.expect("a rescue"), rescue::Rescued::Lost(..));
                // What a pending record has lost before it was validated is its writer's affair.
                assert!(!lost || area == Area::Pending, "{} has lost data", listed.name);
            }
        }
        packs(&self.store).await != before
    }

    /// One index object for all, without victims and without what others have deleted.
    async fn merge(&self) {
        let condemned = Condemned::read(&self.store).await.expect("marks and tombs");
        let victims = self.victims();
        let mut supersedes = Vec::new();
        let mut kept = BTreeMap::new();
        for listed in self.store.list(Area::Index).await.expect("a list") {
            let Name::Index(id) = listed.name else { continue };
            let body = self.store.get_index(id).await.expect("an index object").into_body().expect("a good one");
            supersedes.push(id);
            kept.extend(body.packs.into_iter().map(|pack| (pack.pack, pack)));
        }
        kept.retain(|pack, _| !victims.contains(pack) && !condemned.is_deleted(pack));
        let packs = DurablePacks::made_up(kept.into_values().collect()).superseding(supersedes.clone());
        self.store.put_index(&packs, OnFull::Fail).await.expect("an index object");
        for id in supersedes {
            self.store.backend().delete(&Name::Index(id)).await.expect("deleted");
        }
    }
}

async fn packs(store: &Store) -> HashSet<PackId> {
    let listed = store.list(Area::Packs).await.expect("a list");
    listed.into_iter().filter_map(|listed| if let Name::Pack(id) = listed.name { Some(id) } else { None }).collect()
}
