//! What somebody has begun to write anew without a file: so that what comes of it can be told from a loss.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use strongroom::Snapshot;
use strongroom::SnapshotId;
use strongroom::Timestamp;

#[derive(Default)]
struct Inner {
    /// What may be in a snapshot that is made of one, told by that one's id and time.
    labels: BTreeMap<(SnapshotId, Timestamp), BTreeSet<String>>,
    /// Snapshots that are to go once another one has taken their place, and by whom.
    replaced: BTreeSet<(SnapshotId, usize)>,
}

/// All rewrites of a world; clones share them.
#[derive(Clone, Default)]
pub struct Rewrites(Arc<Mutex<Inner>>);

/// Whether one was made of the other, which has this id.
pub fn is_made_of(one: &Snapshot, other: &Snapshot) -> bool {
    one.parent == Some(other.id) && one.started == other.started && one.host == other.host
}

impl Rewrites {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no holder panics")
    }

    /// What a snapshot may hold: one of these.
    pub fn labels(&self, snapshot: &Snapshot) -> BTreeSet<String> {
        let made_of = snapshot.parent.map(|parent| (parent, snapshot.started));
        let known = made_of.and_then(|made_of| self.lock().labels.get(&made_of).cloned());
        known.unwrap_or_else(|| BTreeSet::from([snapshot.label.clone().unwrap_or_default()]))
    }

    /// The snapshot is about to be written anew without the file of this label; whom it then goes by, if it does.
    pub fn begin(&self, snapshot: &Snapshot, file: &str, replaced_by: Option<usize>) {
        let without = |label: &String| label.split(' ').filter(|part| *part != file).collect::<Vec<_>>().join(" ");
        let labels: BTreeSet<String> = self.labels(snapshot).iter().map(without).collect();
        let mut inner = self.lock();
        inner.labels.entry((snapshot.id, snapshot.started)).or_default().extend(labels);
        inner.replaced.extend(replaced_by.map(|actor| (snapshot.id, actor)));
    }

    /// The snapshot is about to be forgotten by this actor, and nothing need take its place.
    pub fn let_go(&self, id: SnapshotId, by: usize) {
        self.lock().replaced.remove(&(id, by));
    }

    pub fn is_replaced(&self, id: SnapshotId, by: usize) -> bool {
        self.lock().replaced.contains(&(id, by))
    }
}
