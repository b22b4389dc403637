//! A pack that is to be left, read once from end to end: whether it is what its name says, and what is needed of it.

use super::extract::Take;
use super::extract::Victim;
use super::extract::Wanted;
use super::extract::Way;
use super::off_thread;
use super::options::PruneOptions;
use super::view::View;
use crate::backend::Name;
use crate::class::Class;
use crate::crypto::name::ObjectHasher;
use crate::crypto::seal::DataKey;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::index::PackInfo;
use crate::format::pack;
use crate::format::pack::TrailerSum;
use crate::format::wire::length_u32;
use crate::format::wire::size;
use crate::id::DataKeyId;
use crate::id::PackId;
use crate::index::keys;
use crate::limits::PACK_BYTES_MAX;
use crate::pack::SegmentBuffers;
use crate::store::Store;
use bytes::Bytes;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Bytes fetched at once: whatever threads do that, an allocator keeps little for each of them.
const PIECE_BYTES: u32 = 256 * 1024;

/// A victim, and what is needed of it, in the order in which it stands there.
pub(super) struct Scanned {
    pub(super) victim: Arc<Victim>,
    pub(super) takes: Vec<Take>,
    pub(super) length: u32,
    /// How many chunks are needed of it.
    pub(super) chunks: u64,
}

/// How to look at packs of one class.
#[derive(Clone)]
pub(super) struct Scanner {
    pub(super) store: Arc<Store>,
    pub(super) class: Class,
    pub(super) wanted: Wanted,
    pub(super) options: PruneOptions,
    pub(super) buffers: SegmentBuffers,
}

impl Scanner {
    /// A part of a pack, in memory that was in use before.
    pub(super) async fn read(&self, pack: PackId, place: Range<u32>) -> Result<Vec<u8>> {
        let mut bytes = self.buffers.take(size(place.end.saturating_sub(place.start)));
        let mut at = place.start;
        while at < place.end {
            let end = at.saturating_add(PIECE_BYTES).min(place.end);
            bytes.extend_from_slice(&fetch(&self.store, pack, at..end).await?);
            at = end;
        }
        Ok(bytes)
    }

    /// Reads the pack of this number, of which so many chunks are needed. One that is not what its name says is
    /// damaged: nothing of it is copied, so that no damage is given a new name. The same holds if it lacks anything of what the
    /// index says: that would be lost with it. Other copies of what it has are looked for first from then on.
    pub(super) async fn scan(&self, view: &View, (number, needed): (u32, usize)) -> Result<Scanned> {
        let pack = view.index.pack(number)?.ok_or_else(|| Error::new(Kind::Bug, "a victim is not in the index"))?;
        let id = pack.id;
        let scanned = self.read_whole(view, pack, (number, needed)).await;
        if let Err(error) = &scanned
            && error.kind() == Kind::Damaged
        {
            view.index.distrust().add(id, error);
        }
        scanned
    }

    async fn read_whole(&self, view: &View, pack: Arc<PackInfo>, (number, needed): (u32, usize)) -> Result<Scanned> {
        if size(pack.length) > PACK_BYTES_MAX {
            return Err(Error::damaged(Name::Pack(pack.id), "it is larger than any pack"));
        }
        // Keys that can be read or stand in a pack: without them its segments are copied as they are.
        let mut keys = HashMap::new();
        for id in &pack.data_keys {
            match keys::data_key(&view.store, &view.index, &pack, id).await {
                Ok(key) => drop(keys.insert(*id, key)),
                Err(error) if matches!(error.kind(), Kind::Damaged | Kind::Unsupported) => {}
                Err(error) => return Err(error),
            }
        }
        let start = pack.segments.first().map_or(0, |segment| segment.offset).min(pack.length);
        let front = self.read(pack.id, 0..start).await?;
        let (scanner, info) = (self.clone(), Arc::clone(&pack));
        let ((), mut reading) = off_thread((), move |()| Ok(scanner.begin(&info, number, keys, &front))).await?;
        let mut at = start;
        while at < pack.length {
            let end = at.saturating_add(PIECE_BYTES).min(pack.length);
            let piece = fetch(&self.store, pack.id, at..end).await?;
            // So little of it keeps nobody waiting.
            reading.add(&piece);
            at = end;
        }
        let (victim, takes, found) = reading.finish(pack.id)?;
        if found != needed {
            return Err(Error::damaged(Name::Pack(pack.id), "it does not hold what the index says"));
        }
        Ok(Scanned {
            victim: Arc::new(victim),
            takes,
            length: pack.length,
            chunks: u64::try_from(found).unwrap_or(u64::MAX),
        })
    }

    /// Opens the table and chooses what to take; whether it can be believed shows in the end.
    fn begin(&self, pack: &PackInfo, number: u32, keys: HashMap<DataKeyId, Arc<DataKey>>, front: &[u8]) -> Reading {
        let opened = self.store.open_table(pack.id, front, pack.length).and_then(|own| {
            if own.table.class != self.class {
                return Err(Error::damaged(format!("pack {}", pack.id), "it is of another class than the index says"));
            }
            let victim = Victim { id: pack.id, number, own, keys };
            let (takes, found) = victim.takes(&self.store, &self.wanted, &self.options)?;
            Ok((victim, takes, found))
        });
        let mut reading = Reading {
            whole: ObjectHasher::default(),
            sum: TrailerSum::default(),
            trailer: Vec::new(),
            trailer_at: pack::segments_end(pack.length).unwrap_or_default(),
            at: 0,
            opened,
            next: 0,
            part: ObjectHasher::default(),
        };
        reading.add(front);
        reading
    }
}

/// A pack that comes piece by piece.
struct Reading {
    whole: ObjectHasher,
    sum: TrailerSum,
    trailer: Vec<u8>,
    trailer_at: u32,
    /// Bytes seen so far.
    at: u32,
    opened: Result<(Victim, Vec<Take>, usize)>,
    /// The segment to be taken that has not been seen to its end, and the hash of what was seen of it.
    next: usize,
    part: ObjectHasher,
}

impl Reading {
    fn add(&mut self, piece: &[u8]) {
        let here = self.at..self.at.saturating_add(length_u32(piece.len()));
        let part = |range: Range<u32>| {
            let (from, to) = (range.start.clamp(here.start, here.end), range.end.clamp(here.start, here.end));
            piece.get(size(from - here.start)..size(to - here.start)).unwrap_or_default()
        };
        self.whole.add(piece);
        self.sum.add(part(0..self.trailer_at));
        self.trailer.extend_from_slice(part(self.trailer_at..u32::MAX));
        if let Ok((_, takes, _)) = &mut self.opened {
            while let Some(take) = takes.get_mut(self.next).filter(|take| take.place.start < here.end) {
                let is_whole_copy = matches!(take.way, Way::Whole(_));
                if is_whole_copy {
                    self.part.add(part(take.place.clone()));
                }
                if take.place.end > here.end {
                    break;
                }
                if is_whole_copy {
                    take.way = Way::Whole(std::mem::take(&mut self.part).finish());
                }
                self.next += 1;
            }
        }
        self.at = here.end;
    }

    fn finish(self, id: PackId) -> Result<(Victim, Vec<Take>, usize)> {
        if self.whole.finish() != *id.as_bytes() {
            return Err(Error::damaged(format!("pack {id}"), "its bytes do not hash to its name"));
        }
        self.sum.check(&self.trailer).map_err(|cause| cause.while_reading(format!("pack {id}")))?;
        self.opened
    }
}

/// A part of a pack that must be there.
async fn fetch(store: &Store, pack: PackId, place: Range<u32>) -> Result<Bytes> {
    let (offset, length) = (u64::from(place.start), u64::from(place.end.saturating_sub(place.start)));
    store.fetch(pack, offset, length).await.map_err(|error| match error.kind() {
        Kind::NotFound => Error::damaged(Name::Pack(pack), "it is missing").because(error),
        _ => error,
    })
}
