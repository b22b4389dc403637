//! The last proof before anything goes: what stays of a chunk that has copies in victims is read and opened.
//!
//! A copy that is listed may be rotten all the same. As long as there are two of them that is no loss; so a prune, which
//! takes one, reads the other one first. Chunks are rarely stored twice, so this is little.

use super::count;
use super::trace::Trace;
use super::view::View;
use crate::class::Class;
use crate::error::Result;
use crate::id::SnapshotId;
use crate::index::chunks::ChunkReader;
use crate::index::table::ChunkPlace;
use crate::job::Control;
use std::collections::BTreeMap;
use std::collections::HashSet;

/// A segment, by the number of its pack and its own.
type Segment = (u32, u16);

/// What this run knows to be readable.
#[derive(Default)]
pub(super) struct Proof {
    /// Segments that it has read.
    read: HashSet<Segment>,
    /// Sessions under which it has stored packs itself, from bytes that it had verified.
    own: Vec<SnapshotId>,
}

impl Proof {
    /// Packs of this session are this run's own.
    pub(super) fn trust(&mut self, session: SnapshotId) {
        self.own.push(session);
    }

    /// Reads what is to stay of every live chunk in victims, if there is anything. `false` when some of it cannot be
    /// read: from then on its pack is no longer trusted, so it has to be counted again what is needed.
    pub(super) async fn complete(
        &mut self,
        view: &View,
        trace: &Trace,
        victims: &HashSet<u32>,
        control: &Control,
    ) -> Result<bool> {
        let readers =
            [Class::Data, Class::Metadata].map(|class| (class, ChunkReader::new(&view.store, &view.index, class)));
        let mut is_complete = true;
        for ((pack, _), place) in self.unread(view, trace, victims)? {
            control.check()?;
            let Some(info) = view.index.pack(pack)? else { continue };
            let Some((_, reader)) = readers.iter().find(|(class, _)| *class == info.class) else { continue };
            match reader.open_segment(&place).await {
                Ok(()) => drop(self.read.insert((place.pack, place.segment))),
                Err(error) if error.is_local() => {
                    view.index.distrust().add(info.id, &error);
                    is_complete = false;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(is_complete)
    }

    /// For each chunk of which nothing that stays was read one segment that is to be.
    fn unread(&self, view: &View, trace: &Trace, victims: &HashSet<u32>) -> Result<BTreeMap<Segment, ChunkPlace>> {
        let (mut unread, mut owned) = (BTreeMap::new(), BTreeMap::new());
        count::for_each_live(view, trace, victims, |(_, record), copies| {
            let mut first = None;
            for (_, home) in count::homes(view, victims, copies, record) {
                let segment = (home.pack, home.segment);
                if self.read.contains(&segment)
                    || unread.contains_key(&segment)
                    || self.owns(view, home.pack, &mut owned)?
                {
                    return Ok(());
                }
                first.get_or_insert((segment, ChunkPlace::from(home)));
            }
            unread.extend(first);
            Ok(())
        })?;
        Ok(unread)
    }

    /// Whether this run has stored the pack; what is known already is in `owned`.
    fn owns(&self, view: &View, pack: u32, owned: &mut BTreeMap<u32, bool>) -> Result<bool> {
        if self.own.is_empty() {
            return Ok(false);
        }
        if let Some(known) = owned.get(&pack) {
            return Ok(*known);
        }
        let is_own = view.index.pack(pack)?.is_some_and(|pack| self.own.contains(&pack.session));
        owned.insert(pack, is_own);
        Ok(is_own)
    }
}
