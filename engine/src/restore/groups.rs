//! Which names of the snapshot are one file: the first one of each is remembered until its last one was seen.

use crate::entry::EntryPath;
use crate::restore::identity::Identity;
use crate::restore::judge::Standing;
use crate::restore::names::First;
use crate::restore::names::Original;
use crate::restore::names::Shared;
use crate::restore::plan::Placed;
use crate::restore::site::Site;
use crate::restore::window::Link;
use crate::restore::window::Window;
use std::collections::HashMap;
use std::sync::Arc;

/// Device and inode that a file of several names had.
pub(crate) type Key = (u64, u64);

/// The files of which further names may come.
#[derive(Default)]
pub(crate) struct Groups {
    /// First restored names, and how many names are still to come.
    originals: HashMap<Key, (Arc<Original>, u64)>,
    /// Names that were left as they stand, where no name of the same file was restored before.
    left: HashMap<Key, EntryPath>,
}

impl Groups {
    /// What tells names of one file from each other, if the entry is one of several.
    pub(crate) fn key(placed: &Placed) -> Option<Key> {
        let metadata = &placed.metadata;
        (metadata.links > 1 && metadata.inode != 0).then_some((metadata.device, metadata.inode))
    }

    /// True when this is a further name of an inode that was restored already: it will be linked to that.
    pub(crate) fn link(&mut self, key: Key, placed: &Placed, bytes: u64, window: &mut Window) -> bool {
        let Some((original, more)) = self.originals.get_mut(&key).filter(|(first, _)| is_same(first, placed)) else {
            return false;
        };
        window.links.push(Link {
            path: placed.place.clone(),
            dir: Arc::clone(&placed.dir),
            name: placed.place.name().into(),
            standing: placed.standing,
            original: Arc::clone(original),
            bytes,
        });
        *more = more.saturating_sub(1);
        if *more == 0 {
            self.originals.remove(&key);
        }
        true
    }

    /// The first restored name of an inode.
    pub(crate) fn begin(&mut self, site: &Site, key: Key, placed: Placed, first: First) {
        if let Some(left) = self.left.remove(&key) {
            site.tally.warn(&placed.place, parted(&left));
        }
        let is_shared = first.file().is_some_and(|file| file.plan.shared);
        let shared = placed.standing.filter(|_| is_shared && !site.options.dry_run).map(Shared::new);
        let original = self.insert(key, placed, first, shared);
        if original.shared.is_some() {
            site.share(&original);
        }
    }

    /// A name that is left as it stands. Further ones are linked to it when it `is_equal` to what the snapshot has.
    pub(crate) fn leave(&mut self, site: &Site, key: Key, placed: &Placed, is_equal: impl FnOnce() -> bool) {
        if let Some((original, more)) = self.originals.get_mut(&key).filter(|(first, _)| is_same(first, placed)) {
            let first = site.target.look_at(&original.dir, &original.name);
            let same = |old: &Standing| first.is_some_and(|new| (new.device, new.inode) == (old.device, old.inode));
            if original.first.file().is_some() && !placed.standing.as_ref().is_some_and(same) {
                site.tally.warn(&original.path, parted(&placed.place));
            }
            *more = more.saturating_sub(1);
            if *more == 0 {
                self.originals.remove(&key);
            }
        } else if is_equal() {
            let Placed { place, dir, metadata, owner, standing } = placed;
            let (place, dir, metadata) = (place.clone(), Arc::clone(dir), metadata.clone());
            let first = Placed { place, dir, metadata, owner: *owner, standing: *standing };
            let stands = First::Whole(standing.as_ref().map(Identity::from));
            self.insert(key, first, stands, None);
        } else {
            self.left.entry(key).or_insert_with(|| placed.place.clone());
        }
    }

    fn insert(
        &mut self,
        key: Key,
        placed: Placed,
        first: First,
        shared: Option<std::sync::Mutex<Shared>>,
    ) -> Arc<Original> {
        let Placed { place: path, dir, metadata, owner, .. } = placed;
        let (more, name) = (metadata.links.saturating_sub(1), path.name().into());
        let original = Arc::new(Original { path, dir, name, first, metadata, owner, shared });
        self.originals.insert(key, (Arc::clone(&original), more));
        original
    }
}

fn is_same(first: &Original, placed: &Placed) -> bool {
    first.metadata.kind == placed.metadata.kind
        && first.metadata.size == placed.metadata.size
        && first.metadata.modified == placed.metadata.modified
}

fn parted(left: &EntryPath) -> String {
    format!("it is no longer the same file as '{left}', which was left as it stood")
}
