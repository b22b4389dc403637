//! What a repair goes by: marks and tombs, then the index, then which packs there are; and one pack read whole.

use crate::backend::Area;
use crate::backend::Name;
use crate::crypto::name;
use crate::entry::ChunkRef;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::pack::OwnTable;
use crate::format::wire::length_u32;
use crate::format::wire::size;
use crate::id::PackId;
use crate::index::live::LiveIndex;
use crate::index::load;
use crate::index::load::DamagedObject;
use crate::index::load::Read;
use crate::index::table::Index;
use crate::limits::PACK_BYTES_MAX;
use crate::store::Condemned;
use crate::store::Store;
use bytes::Bytes;
use bytes::BytesMut;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// What is read at once of a pack that cannot be read whole: what a disk loses with one bad sector.
const PIECE_BYTES: usize = 4096;

/// The repository as it was when it was looked at.
pub(super) struct Look {
    pub(super) store: Arc<Store>,
    pub(super) condemned: Condemned,
    pub(super) index: Arc<Index>,
    /// The same index, which follows what prunes do.
    pub(super) live: Arc<LiveIndex>,
    /// Index objects that cannot be read.
    pub(super) damaged: Vec<DamagedObject>,
    /// The packs that are listed, with their lengths.
    pub(super) there: BTreeMap<PackId, u64>,
    /// One for each pack of the index: a new snapshot may rely on it, by all that a listing tells.
    usable: Vec<AtomicBool>,
}

/// A pack that was read.
pub(super) enum PackRead {
    /// Its bytes hash to its name.
    Whole { bytes: Bytes, own: OwnTable },
    /// They do not, or it is no pack.
    Damaged { bytes: Bytes, why: String },
    /// A newer program wrote it.
    Unknown(String),
}

impl Look {
    /// Looks. A damaged mark or tomb is an error: what is condemned is then not known.
    pub(super) async fn take(store: &Arc<Store>) -> Result<Self> {
        let condemned = Condemned::read(store).await?;
        let (index, damaged) = load::load_what_opens(store, Read::All).await?;
        let mut there = BTreeMap::new();
        for listed in store.list(Area::Packs).await? {
            if let Name::Pack(id) = listed.name {
                there.insert(id, listed.length);
            }
        }
        let mut usable = Vec::new();
        for pack in index.packs() {
            let pack = pack?;
            let is_whole = there.get(&pack.id) == Some(&u64::from(pack.length));
            usable.push(AtomicBool::new(is_whole && !condemned.is_condemned(&pack.id)));
        }
        let index = Arc::new(index);
        let live = LiveIndex::new(store, Arc::clone(&index));
        Ok(Self { store: Arc::clone(store), condemned, index, live, damaged, there, usable })
    }

    /// Whether a pack of the index, by its number, is all that a listing can tell of a good one.
    pub(super) fn is_usable(&self, number: u32) -> bool {
        self.usable.get(size(number)).is_some_and(|usable| usable.load(Ordering::Relaxed))
    }

    /// Nothing is to rely on this pack any more.
    pub(super) fn distrust(&self, pack: &PackId) {
        let number = self.index.pack_number(pack);
        if let Some(usable) = number.and_then(|number| self.usable.get(size(number))) {
            usable.store(false, Ordering::Relaxed);
        }
    }

    /// The number of a usable pack that should hold the chunk.
    pub(super) fn copy(&self, chunk: &ChunkRef) -> Result<Option<u32>> {
        let places = self.index.find_all(&chunk.id)?;
        let mut fit = places.iter().filter(|place| place.length == chunk.length && self.is_usable(place.pack));
        Ok(fit.next().map(|place| place.pack))
    }

    /// Whether a usable pack should hold the chunk.
    pub(super) fn has(&self, chunk: &ChunkRef) -> Result<bool> {
        Ok(self.copy(chunk)?.is_some())
    }

    /// Packs that no index object names. One that a prune has condemned must not come back into the index.
    pub(super) fn unnamed(&self) -> Vec<PackId> {
        let is_unnamed = |pack: &PackId| !self.index.has_pack(pack) && !self.condemned.is_condemned(pack);
        self.there.keys().copied().filter(is_unnamed).collect()
    }

    /// Packs that the index names and that are not there, although no prune says that it took them.
    pub(super) async fn missing(&self) -> Result<Vec<PackId>> {
        let named = self.index.pack_ids().iter().copied();
        let mut missing: Vec<PackId> = named.filter(|pack| !self.there.contains_key(pack)).collect();
        if !missing.is_empty() {
            let now = Condemned::read(&self.store).await?;
            missing.retain(|pack| !self.condemned.is_condemned(pack) && !now.is_condemned(pack));
        }
        missing.sort_unstable();
        Ok(missing)
    }
}

/// Reads a pack whole and compares it with its name; `None` when it is gone. Damage is believed only when a second
/// reading finds it too: a bad cable must not condemn a good pack.
pub(super) async fn read_pack(store: &Arc<Store>, id: PackId) -> Result<Option<PackRead>> {
    match read_once(store, id).await? {
        Some(PackRead::Damaged { .. }) => read_once(store, id).await,
        other => Ok(other),
    }
}

async fn read_once(store: &Arc<Store>, id: PackId) -> Result<Option<PackRead>> {
    let bytes = match store.get_pack(id).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == Kind::NotFound => return Ok(None),
        Err(error) if error.kind() == Kind::Damaged => {
            return Ok(Some(PackRead::Damaged { bytes: what_is_left(store, id).await?, why: why(&error) }));
        }
        Err(error) => return Err(error),
    };
    let (opener, body) = (Arc::clone(store), bytes.clone());
    let opened = tokio::task::spawn_blocking(move || {
        if name::object_hash([body.as_ref()]) != *id.as_bytes() {
            return Err(Error::damaged(Name::Pack(id), "its bytes do not hash to its name"));
        }
        opener.open_pack(id, &body)
    });
    Ok(Some(match opened.await.map_err(lost)? {
        Ok(opened) => PackRead::Whole { bytes, own: opened.own },
        Err(error) if error.kind() == Kind::Damaged => PackRead::Damaged { bytes, why: why(&error) },
        Err(error) if error.kind() == Kind::Unsupported => PackRead::Unknown(error.in_one_line()),
        Err(error) => return Err(error),
    }))
}

/// A pack that cannot be read whole, piece by piece, with zeros for what cannot be read: a bad sector costs the segment it
/// is in and no other.
async fn what_is_left(store: &Arc<Store>, id: PackId) -> Result<Bytes> {
    let length = match store.backend().stat(&Name::Pack(id)).await {
        Ok(listed) => listed.map_or(0, |listed| listed.length),
        Err(error) if error.is_local() => 0,
        Err(error) => return Err(error),
    };
    let Some(length) = usize::try_from(length).ok().filter(|length| *length <= PACK_BYTES_MAX) else {
        return Ok(Bytes::new());
    };
    let (mut bytes, mut offset) = (BytesMut::zeroed(length), 0);
    for piece in bytes.chunks_mut(PIECE_BYTES) {
        let wanted = u64::from(length_u32(piece.len()));
        match store.fetch(id, offset, wanted).await {
            Ok(found) if found.len() == piece.len() => piece.copy_from_slice(&found),
            Err(error) if !error.is_local() => return Err(error),
            _ => {}
        }
        offset += wanted;
    }
    Ok(bytes.freeze())
}

/// The reason beneath an error that names the object once more.
pub(super) fn why(error: &Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

pub(super) fn lost(cause: tokio::task::JoinError) -> Error {
    Error::new(Kind::Bug, "a task of the repair was lost").because(cause.to_string())
}
