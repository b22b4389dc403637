//! What a merge of index objects must come to (I-11), reckoned from what goes in and apart from the merge itself.

use crate::crypto::name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::index;
use crate::format::index::ChunkRecord;
use crate::format::index::IndexRecords;
use crate::format::index::PackInfo;
use crate::format::wire::size;
use crate::id::PackId;
use std::collections::HashMap;
use std::collections::HashSet;

/// Records counted, and the hashes of what they say of which pack folded into one by XOR, so that it can be taken
/// back in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    count: usize,
    folded: [u8; 32],
}

impl Sum {
    fn add(&mut self, pack: &PackId, record: &ChunkRecord) {
        // The number of a pack is another one in every object.
        let said = index::record_encode(&ChunkRecord { pack: 0, ..*record });
        self.count += 1;
        self.fold(&name::object_hash([pack.as_bytes().as_slice(), said.as_slice()]));
    }

    fn take_back(&mut self, other: &Self) {
        self.count = self.count.saturating_sub(other.count);
        self.fold(&other.folded);
    }

    fn fold(&mut self, hash: &[u8; 32]) {
        self.folded.iter_mut().zip(hash).for_each(|(sum, byte)| *sum ^= byte);
    }

    /// Of all records of an object, and of those of each of its packs.
    fn of(records: &IndexRecords) -> Result<(Self, Vec<Self>)> {
        let (mut all, mut each) = (Self::default(), vec![Self::default(); records.packs.len()]);
        for record in &records.chunks {
            let number = size(record.pack);
            let (Some(pack), Some(sum)) = (records.packs.get(number), each.get_mut(number)) else {
                return Err(Error::new(Kind::Bug, "an index object names a chunk of no pack"));
            };
            all.add(&pack.id, record);
            sum.add(&pack.id, record);
        }
        Ok((all, each))
    }
}

/// The sum of the objects that are merged, less that of packs that are going and of packs that came before.
pub(super) struct Account<'a> {
    going: &'a HashSet<PackId>,
    packs: HashMap<PackId, (PackInfo, Sum)>,
    sum: Sum,
}

impl<'a> Account<'a> {
    pub(super) fn new(going: &'a HashSet<PackId>) -> Self {
        Self { going, packs: HashMap::new(), sum: Sum::default() }
    }

    /// Takes in an object that is merged. Of two that say different things of one pack at least one is wrong, and which
    /// cannot be told here.
    pub(super) fn enter(&mut self, records: &IndexRecords) -> Result<()> {
        let (all, each) = Sum::of(records)?;
        self.sum.count += all.count;
        self.sum.fold(&all.folded);
        for (pack, sum) in records.packs.iter().zip(each) {
            let is_left_out = self.going.contains(&pack.id)
                || match self.packs.get(&pack.id) {
                    None => false,
                    Some((before, of_it)) if before == pack && *of_it == sum => true,
                    Some(_) => {
                        return Err(Error::damaged(
                            "the index",
                            format!("two of its objects differ in what they say of pack {}", pack.id),
                        ));
                    }
                };
            if is_left_out {
                self.sum.take_back(&sum);
            } else {
                self.packs.insert(pack.id, (pack.clone(), sum));
            }
        }
        Ok(())
    }

    /// Whether nothing may be left of them.
    pub(super) fn is_empty(&self) -> bool {
        self.packs.is_empty()
    }

    /// Holds what was stored against it.
    pub(super) fn settle(&self, stored: &IndexRecords) -> Result<()> {
        let (sum, _) = Sum::of(stored)?;
        let is_known = |pack: &PackInfo| self.packs.get(&pack.id).is_some_and(|(before, _)| before == pack);
        if sum == self.sum && stored.packs.len() == self.packs.len() && stored.packs.iter().all(is_known) {
            return Ok(());
        }
        let (found, wanted) = (sum.count, self.sum.count);
        let why = format!(
            "{found} chunks in {} packs instead of {wanted} in {}; nothing was deleted",
            stored.packs.len(),
            self.packs.len()
        );
        Err(Error::new(Kind::Bug, "a merged index object does not hold what went into it").because(why))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::class::Class;
    use crate::id::ChunkId;
    use crate::id::SnapshotId;

    pub(in crate::prune) fn pack(number: u8) -> PackInfo {
        let (id, session) = (PackId::from_bytes([number; 32]), SnapshotId::from_bytes([3; 16]));
        let (data_keys, salts, segments) = (Vec::new(), Vec::new(), Vec::new());
        PackInfo { id, length: u32::from(number), class: Class::Data, session, data_keys, salts, segments }
    }

    /// Packs under these names, in which chunks stand: an id, and which of the packs.
    pub(in crate::prune) fn object(packs: &[u8], chunks: &[(u8, u32)]) -> IndexRecords {
        let chunk = |(id, pack): &(u8, u32)| ChunkRecord {
            id: ChunkId::from_bytes([*id; 32]),
            pack: *pack,
            segment: 0,
            offset: 0,
            length: 1,
        };
        let (packs, chunks) = (packs.iter().copied().map(pack).collect(), chunks.iter().map(chunk).collect());
        IndexRecords { supersedes: Vec::new(), packs, chunks }
    }

    /// Pack 7 is going, pack 5 comes twice.
    fn entered(going: &HashSet<PackId>) -> Account<'_> {
        let mut account = Account::new(going);
        account.enter(&object(&[5, 7], &[(1, 0), (2, 1), (3, 0)])).expect("the first");
        account.enter(&object(&[2, 5, 9], &[(1, 1), (3, 1), (4, 2), (6, 0), (8, 0), (8, 2)])).expect("the second");
        account
    }

    #[test]
    fn what_a_merge_has_lost_added_or_moved_is_found() {
        let going = HashSet::from([PackId::from_bytes([7; 32])]);
        let account = entered(&going);
        let right = object(&[2, 5, 9], &[(1, 1), (3, 1), (4, 2), (6, 0), (8, 0), (8, 2)]);
        account.settle(&right).expect("all of it");
        assert!(!account.is_empty());
        let wrong = |change: &dyn Fn(&mut IndexRecords)| {
            let mut records = right.clone();
            change(&mut records);
            account.settle(&records).expect_err("wrong").kind() == Kind::Bug
        };
        assert!(wrong(&|records| records.chunks.truncate(5)), "a chunk is lost");
        assert!(wrong(&|records| records.chunks.push(records.chunks[0])), "a chunk is there twice");
        assert!(wrong(&|records| records.chunks[0].pack = 0), "a chunk is in another pack");
        assert!(wrong(&|records| records.chunks[0].offset = 9), "a chunk is elsewhere in its pack");
        assert!(wrong(&|records| records.packs[0].length = 1), "a pack is another one");
        assert!(wrong(&|records| *records = object(&[2, 5], &[(1, 1), (3, 1), (6, 0), (8, 0)])), "a pack is lost");
        assert!(wrong(&|records| records.packs.push(pack(10))), "a pack came from nowhere");
        assert!(wrong(&|records| *records = object(&[], &[])), "nothing is left");
    }

    #[test]
    fn two_objects_that_differ_about_a_pack_are_never_merged() {
        let (none, first) = (HashSet::new(), object(&[2, 5], &[(1, 0), (2, 1)]));
        let mut longer = first.clone();
        longer.packs[1].length += 1;
        let others = [object(&[5], &[]), object(&[5], &[(3, 0)]), object(&[5], &[(2, 0), (3, 0)]), longer];
        for other in others {
            let mut account = Account::new(&none);
            account.enter(&first).expect("the first");
            assert_eq!(account.enter(&other).expect_err("differs").kind(), Kind::Damaged);
            // Of packs that go nothing is kept, so nobody needs to know which of them is right.
            let going = HashSet::from([PackId::from_bytes([5; 32])]);
            let mut account = Account::new(&going);
            account.enter(&first).expect("the first");
            account.enter(&other).expect("the second");
            assert!(other.packs.len() > 1 || account.packs.len() == 1);
        }
        let mut account = Account::new(&none);
        account.enter(&first).expect("the first");
        account.enter(&object(&[5], &[(2, 0)])).expect("the same again");
        account.settle(&first).expect("once");
    }
}
