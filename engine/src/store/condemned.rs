//! What prunes have condemned and deleted: every mark and every tomb, read at one moment.

use super::Store;
use super::ahead::Ahead;
use crate::backend::Area;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::FormatError;
use crate::format::gc::Mark;
use crate::format::gc::Tomb;
use crate::id::PackId;
use crate::id::SnapshotId;
use crate::limits::INDEX_FETCH_BYTES;
use std::collections::BTreeMap;
use std::collections::HashSet;

/// The way out where one cannot be read. Without prunes no pack is about to go, and those that are gone are missed in
/// the list of packs, which everybody reads who commits. Damaged packs that it named are found only by reading: to a
/// prune that does not know of them they are as good as the sound copies of what they hold.
const BY_HAND: &str = "when no prune runs on any host, delete that file from the repository by hand, and then run \
                       'strongroom repair packs' before the next prune: the file may have told it which packs are damaged";

/// Marks or tombs read at once.
const READS_MAX: usize = 8;
/// Their stored bytes, unless one alone has more.
const READ_BYTES_MAX: u64 = INDEX_FETCH_BYTES;

/// The marks and tombs of a repository. A pack in any of them is not to be relied on.
#[derive(Debug, Default)]
pub(crate) struct Condemned {
    marks: Named,
    tombs: Named,
}

/// Which mark or tomb names which packs.
#[derive(Debug, Default)]
struct Named {
    by: BTreeMap<SnapshotId, HashSet<PackId>>,
    /// All packs in `by`: there may be very many of both, and every pack of an index is looked for.
    all: HashSet<PackId>,
}

impl Named {
    fn add(&mut self, by: SnapshotId, packs: Vec<PackId>) {
        self.all.extend(&packs);
        self.by.insert(by, packs.into_iter().collect());
    }
}

impl Condemned {
    /// Reads all of them; an error means that nothing is known. An object that is listed and then gone counts as
    /// gone once a second listing says so too.
    pub(crate) async fn read(store: &Store) -> Result<Self> {
        let (condemned, damaged) = Self::read_what_opens(store).await?;
        damaged.into_iter().next().map_or(Ok(condemned), |(_, error)| Err(error.advise(BY_HAND)))
    }

    /// The same for those who only read: what can be read of it, and the damaged marks and tombs. One that is not
    /// understood is an error to everybody (docs/FORMAT.md, order of writing).
    pub(crate) async fn read_what_opens(store: &Store) -> Result<(Self, Vec<(Name, Error)>)> {
        // Marks come first: a prune takes its mark away only after its tomb is visible, so that a mark that is gone
        // by now has its packs in a tomb that is listed afterwards.
        let mut damaged = Vec::new();
        let decode = |body: &[u8]| Mark::decode(body).map(|mark| mark.packs);
        let marks = sets(store, Area::Marks, decode, &mut damaged).await?;
        let decode = |body: &[u8]| Tomb::decode(body).map(|tomb| tomb.packs);
        let tombs = sets(store, Area::Tombs, decode, &mut damaged).await?;
        Ok((Self { marks, tombs }, damaged))
    }

    /// These packs in one mark and one tomb.
    #[cfg(test)]
    pub(crate) fn of(marked: HashSet<PackId>, deleted: HashSet<PackId>) -> Self {
        let run = SnapshotId::from_bytes([0; 16]);
        let named = |packs: HashSet<PackId>| Named { all: packs.clone(), by: BTreeMap::from([(run, packs)]) };
        Self { marks: named(marked), tombs: named(deleted) }
    }

    /// No new snapshot may rely on this pack: a mark or a tomb names it.
    pub(crate) fn is_condemned(&self, pack: &PackId) -> bool {
        self.marks.all.contains(pack) || self.is_deleted(pack)
    }

    /// A mark names any pack at all.
    pub(crate) fn has_marked_any(&self) -> bool {
        !self.marks.all.is_empty()
    }

    /// A tomb names it: it is deleted, or may be at any moment.
    pub(crate) fn is_deleted(&self, pack: &PackId) -> bool {
        self.tombs.all.contains(pack)
    }

    /// The marks, each with the packs it names.
    pub(crate) fn marks(&self) -> &BTreeMap<SnapshotId, HashSet<PackId>> {
        &self.marks.by
    }

    /// The tombs, each with the packs it names.
    pub(crate) fn tombs(&self) -> &BTreeMap<SnapshotId, HashSet<PackId>> {
        &self.tombs.by
    }
}

async fn sets(
    store: &Store,
    area: Area,
    decode: impl Fn(&[u8]) -> Result<Vec<PackId>, FormatError>,
    damaged: &mut Vec<(Name, Error)>,
) -> Result<Named> {
    let (mut found, mut missing) = (Named::default(), Vec::new());
    let listed = store.list(area).await?;
    let (mut left, mut reads, mut bytes) = (listed.iter().peekable(), Ahead::new(), 0u64);
    loop {
        while reads.len() < READS_MAX
            && let Some(object) =
                left.next_if(|object| reads.len() == 0 || bytes.saturating_add(object.length) <= READ_BYTES_MAX)
        {
            bytes = bytes.saturating_add(object.length);
            reads.push(async move { (object, store.get_small(&object.name).await) });
        }
        let Some((object, body)) = reads.next().await else { break };
        bytes = bytes.saturating_sub(object.length);
        let name = object.name;
        let (Name::Mark(id) | Name::Tomb(id)) = name else { continue };
        match body.and_then(|body| decode(&body).map_err(|cause| cause.while_reading(name))) {
            Ok(packs) => found.add(id, packs),
            Err(error) if error.kind() == Kind::NotFound => missing.push(name),
            Err(error) if error.kind() == Kind::Damaged => damaged.push((name, error)),
            Err(error) => return Err(error),
        }
    }
    damaged.extend(store.still_listed(area, &missing).await?);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Backend;
    use crate::backend::MemoryBackend;
    use crate::crypto::keys::RootKey;
    use crate::id::RepositoryId;
    use crate::random::SeededRng;
    use crate::time::SystemClock;
    use std::sync::Arc;

    fn pack(number: u8) -> PackId {
        PackId::from_bytes([number; 32])
    }

    fn run(number: u8) -> SnapshotId {
        SnapshotId::from_bytes([number; 16])
    }

    /// Marks 1 (packs 1, 2) and 2 (pack 2), tomb 3 (pack 3).
    async fn scene() -> (MemoryBackend, Store) {
        let backend = MemoryBackend::new();
        let repository = RepositoryId::from_bytes([1; 16]);
        let keys = RootKey::from_bytes([1; 32]).derive(&repository);
        let (rng, clock) = (Arc::new(SeededRng::new(1)), Arc::new(SystemClock));
        let store = Store::new(Arc::new(backend.clone()), repository, keys, rng, clock);
        let mark = |packs: &[u8]| Mark { packs: packs.iter().map(|number| pack(*number)).collect() }.encode();
        store.put_small(&Name::Mark(run(1)), &mark(&[1, 2])).await.expect("a mark");
        store.put_small(&Name::Mark(run(2)), &mark(&[2])).await.expect("a mark");
        store.put_small(&Name::Tomb(run(3)), &Tomb { packs: vec![pack(3)] }.encode()).await.expect("a tomb");
        (backend, store)
    }

    #[tokio::test]
    async fn marks_condemn_and_tombs_delete() {
        let (_, store) = scene().await;
        let condemned = Condemned::read(&store).await.expect("read");
        let asked = |ask: &dyn Fn(&PackId) -> bool| (1..=4).map(|number| ask(&pack(number))).collect::<Vec<_>>();
        assert_eq!(asked(&|pack| condemned.is_condemned(pack)), [true, true, true, false]);
        assert_eq!(asked(&|pack| condemned.is_deleted(pack)), [false, false, true, false]);
    }

    #[tokio::test]
    async fn more_than_are_read_at_once_are_all_read_and_what_is_wrong_is_told_in_their_order() {
        let (backend, store) = scene().await;
        for number in 10..40 {
            let body = Mark { packs: vec![pack(number)] }.encode();
            store.put_small(&Name::Mark(run(number)), &body).await.expect("a mark");
        }
        let condemned = Condemned::read(&store).await.expect("read");
        assert!((10..40).all(|number| condemned.is_condemned(&pack(number)) && !condemned.is_deleted(&pack(number))));
        assert_eq!(condemned.marks().len(), 32);
        let torn = [12, 30, 39].map(|number| Name::Mark(run(number)));
        torn.into_iter().for_each(|name| backend.replace(name, &b"torn"[..]));
        let (condemned, damaged) = Condemned::read_what_opens(&store).await.expect("the rest");
        assert_eq!(damaged.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), torn);
        assert_eq!((condemned.marks().len(), condemned.is_condemned(&pack(30))), (29, false));
    }

    #[tokio::test]
    async fn a_damaged_mark_or_tomb_is_an_error_and_never_no_mark() {
        for name in [Name::Mark(run(1)), Name::Tomb(run(3))] {
            let (backend, store) = scene().await;
            backend.replace(name, &b"torn"[..]);
            assert_eq!(Condemned::read(&store).await.expect_err("damaged").kind(), Kind::Damaged, "{name}");
            backend.delete(&name).await.expect("deleted");
            assert!(Condemned::read(&store).await.is_ok(), "{name}");
        }
    }
}
