//! One root key, and one derived key for each purpose.

use crate::crypto::name::NameKey;
use crate::error::Result;
use crate::id::RepositoryId;
use crate::id::SlotId;
use crate::random::Rng;
use std::fmt;
use zeroize::Zeroize;
use zeroize::Zeroizing;

const DATA_NAMES: &str = "strongroom format 1: names of data chunks";
const METADATA_NAMES: &str = "strongroom format 1: names of metadata chunks";
const CHUNKER: &str = "strongroom format 1: gear table of the chunker";
const ROOTS: &str = "strongroom format 1: config, snapshots, pending and gc";
const KEY_LISTS: &str = "strongroom format 1: lists of key slots";
const INDEX: &str = "strongroom format 1: index objects and pack tables";
const WRAP_DATA: &str = "strongroom format 1: wrapping of data keys for data";
const WRAP_METADATA: &str = "strongroom format 1: wrapping of data keys for metadata";
const NEXT_SLOT: &str = "strongroom format 1: first slot of the next root key";
const KEY_ID: &str = "strongroom format 1: public id of a key";

/// The key behind all keys of a repository. Kept only in sealed key slots; never printed.
pub(crate) struct RootKey(Zeroizing<[u8; 32]>);

/// Every key of an opened repository.
pub(crate) struct Keys {
    /// Names chunks of entries.
    pub(crate) data_names: NameKey,
    /// Names catalog pages.
    pub(crate) metadata_names: NameKey,
    /// Makes the gear table that decides where chunks end.
    pub(crate) chunker: ChunkerKey,
    /// Seals config, snapshots, pending and gc objects.
    pub(crate) roots: ObjectKey,
    /// Seals lists of key slots.
    pub(crate) key_lists: ObjectKey,
    /// Seals index objects and pack tables.
    pub(crate) index: ObjectKey,
    /// Wraps session keys for data segments.
    pub(crate) wrap_data: ObjectKey,
    /// Wraps session keys for metadata segments.
    pub(crate) wrap_metadata: ObjectKey,
    /// What root keys before the present one have sealed opens with these; the oldest first.
    pub(crate) earlier: Vec<SealingKeys>,
}

/// The keys of one root key that seal objects.
pub(crate) struct SealingKeys {
    roots: ObjectKey,
    key_lists: ObjectKey,
    index: ObjectKey,
    wrap_data: ObjectKey,
    wrap_metadata: ObjectKey,
}

/// What an object key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Config, snapshots, pending and gc objects.
    Roots,
    /// Lists of key slots.
    KeyLists,
    /// Index objects and pack tables.
    Index,
    /// Session keys for data segments.
    WrapData,
    /// Session keys for metadata segments.
    WrapMetadata,
}

impl Keys {
    /// The key that new objects of this purpose are sealed with.
    pub(crate) fn sealing(&self, purpose: Purpose) -> &ObjectKey {
        match purpose {
            Purpose::Roots => &self.roots,
            Purpose::KeyLists => &self.key_lists,
            Purpose::Index => &self.index,
            Purpose::WrapData => &self.wrap_data,
            Purpose::WrapMetadata => &self.wrap_metadata,
        }
    }

    /// The key of this purpose whose id is `id`, of whichever root key.
    pub(crate) fn opening(&self, purpose: Purpose, id: &[u8; 16]) -> Option<&ObjectKey> {
        let earlier = self.earlier.iter().rev().map(|keys| match purpose {
            Purpose::Roots => &keys.roots,
            Purpose::KeyLists => &keys.key_lists,
            Purpose::Index => &keys.index,
            Purpose::WrapData => &keys.wrap_data,
            Purpose::WrapMetadata => &keys.wrap_metadata,
        });
        std::iter::once(self.sealing(purpose)).chain(earlier).find(|key| key.id() == *id)
    }

    /// The same names and cut points, with other keys to seal with.
    pub(super) fn sealed_under(self, keys: SealingKeys) -> Self {
        let SealingKeys { roots, key_lists, index, wrap_data, wrap_metadata } = keys;
        Self { roots, key_lists, index, wrap_data, wrap_metadata, ..self }
    }
}

impl RootKey {
    /// A fresh root key.
    pub(crate) fn random(rng: &dyn Rng) -> Result<Self> {
        let mut bytes = Zeroizing::new([0u8; 32]);
        rng.fill(bytes.as_mut())?;
        Ok(Self(bytes))
    }

    /// The root key from an opened slot.
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for sealing them into a slot.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// All keys of the repository `repository`. The id goes in so that two repositories that were given the same root
    /// key (a copied slot) still share no key.
    pub(crate) fn derive(&self, repository: &RepositoryId) -> Keys {
        let SealingKeys { roots, key_lists, index, wrap_data, wrap_metadata } = self.sealing(repository);
        Keys {
            data_names: NameKey::from_bytes(self.derived(DATA_NAMES, repository)),
            metadata_names: NameKey::from_bytes(self.derived(METADATA_NAMES, repository)),
            chunker: ChunkerKey(Zeroizing::new(self.derived(CHUNKER, repository))),
            roots,
            key_lists,
            index,
            wrap_data,
            wrap_metadata,
            earlier: Vec::new(),
        }
    }

    /// Of these the keys that seal objects.
    pub(super) fn sealing(&self, repository: &RepositoryId) -> SealingKeys {
        let key = |context| ObjectKey::from_bytes(self.derived(context, repository));
        SealingKeys {
            roots: key(ROOTS),
            key_lists: key(KEY_LISTS),
            index: key(INDEX),
            wrap_data: key(WRAP_DATA),
            wrap_metadata: key(WRAP_METADATA),
        }
    }

    /// The id of the slot that holds the next root key: of two programs that change the root key at once only one can
    /// store it.
    pub(crate) fn next_slot(&self, repository: &RepositoryId) -> SlotId {
        let [a, b, c, d, e, f, g, h, ..] = self.derived(NEXT_SLOT, repository);
        SlotId::from_bytes([a, b, c, d, e, f, g, h])
    }

    /// Another hold of the same key, for the keyring that comes after this one.
    pub(super) fn copied(&self) -> Self {
        Self(self.0.clone())
    }

    /// Whether it is the same key; for keys that are both at hand, so that time tells nothing.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    fn derived(&self, context: &str, repository: &RepositoryId) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        hasher.update(self.0.as_ref()).update(repository.as_bytes());
        let key = *hasher.finalize().as_bytes();
        hasher.zeroize();
        key
    }
}

/// Seals objects of one purpose with suite 1.
pub(crate) struct ObjectKey(Zeroizing<[u8; 32]>);

impl ObjectKey {
    /// A derived key.
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the cipher.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// A public name of this key: stands in the clear heads of what it seals.
    pub(crate) fn id(&self) -> [u8; 16] {
        let [id @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = blake3::derive_key(KEY_ID, self.0.as_ref());
        id
    }

    /// A key for one object: derived from this key and the object's own random salt, so that its parts can be sealed
    /// with counter nonces.
    pub(crate) fn for_object(&self, context: &str, salt: &[u8; 32]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        hasher.update(self.0.as_ref()).update(salt);
        let key = *hasher.finalize().as_bytes();
        hasher.zeroize();
        Self::from_bytes(key)
    }
}

/// Decides where chunks end.
pub(crate) struct ChunkerKey(Zeroizing<[u8; 32]>);

impl ChunkerKey {
    /// The gear table of chunker 1: 256 numbers in which each of the 64 bits is set in exactly 128 entries, so that
    /// every bit of the rolling hash is balanced whatever the key. For each bit from 0 to 63 a Fisher-Yates shuffle
    /// (Durstenfeld's form) of the 256 entries, driven by the keyed BLAKE3 stream, picks the 128.
    pub(crate) fn table(&self) -> Box<[u64; 256]> {
        let mut draws = Draws::new(&self.0);
        let mut table = Box::new([0u64; 256]);
        for bit in 0..64 {
            let mut order: [u8; 256] = std::array::from_fn(|at| u8::try_from(at).expect("256 entries count to 255"));
            for last in (1..=255u8).rev() {
                order.swap(usize::from(last), usize::from(draws.up_to(last)));
            }
            for entry in &order[..128] {
                table[usize::from(*entry)] |= 1 << bit;
            }
        }
        table
    }
}

/// Unbiased small numbers from a keyed BLAKE3 stream.
struct Draws(blake3::OutputReader);

impl Draws {
    fn new(key: &[u8; 32]) -> Self {
        Self(blake3::Hasher::new_keyed(key).finalize_xof())
    }

    /// A number of 0..=`last`, each as likely: a `u16` from the stream, drawn again when it falls into the
    /// incomplete last round of `last + 1` numbers.
    fn up_to(&mut self, last: u8) -> u8 {
        let choices = u32::from(last) + 1;
        let rounds = 65_536 / choices * choices;
        loop {
            let mut draw = [0u8; 2];
            self.0.fill(&mut draw);
            let draw = u32::from(u16::from_le_bytes(draw));
            if draw < rounds {
                return u8::try_from(draw % choices).expect("a remainder by at most 256 is at most 255");
            }
        }
    }
}

macro_rules! never_printed {
    ($($name:ident),*) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        })*
    };
}

never_printed!(RootKey, Keys, SealingKeys, ObjectKey, ChunkerKey);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::seal::tests::hex;
    use crate::random::SeededRng;
    use proptest::prelude::*;

    fn keys() -> Keys {
        let root = RootKey::from_bytes(std::array::from_fn(|at| at.to_le_bytes()[0]));
        root.derive(&RepositoryId::from_bytes([0xab; 16]))
    }

    #[test]
    fn every_derived_key_is_frozen() {
        let keys = keys();
        assert_eq!(hex(keys.data_names.expose()), "ac0d502b5f5787a7fc0275cc09b9b0b6f7d1d0bc1215b9eae231de88f9597326");
        assert_eq!(
            hex(keys.metadata_names.expose()),
            "f3c6a41f042fad941b539be30df37bbce359c20881486df4d453d5cbdb823f77"
        );
        assert_eq!(hex(keys.chunker.0.as_ref()), "f3ac9e0bed65b4b668b89910556451b3285de5a68e233bd488b9a5d0f0f34a1c");
        assert_eq!(hex(keys.roots.expose()), "6a6cf305d27d462779c3a7ad85179ffbb88f8e35bedefae29242778401dc9150");
        assert_eq!(hex(keys.index.expose()), "5b1ee400af27695e283abfb6259d6b97bb8373e7608893a1d5b707e52cb45ddd");
        assert_eq!(hex(keys.wrap_data.expose()), "3126337827770b68032e5461f3ca50801370bf233b161e5186f1cab48768cb1a");
        assert_eq!(
            hex(keys.wrap_metadata.expose()),
            "60fa0b0612c3386be6a70918a316a74f38a498290cc5bed2bff302bc9cf6a79f"
        );
    }

    #[test]
    fn key_ids_and_object_keys_are_frozen() {
        let keys = keys();
        assert_eq!(hex(&keys.roots.id()), "24e717bf3a15892c50ff2b3c4b54a466");
        assert_eq!(hex(&keys.index.id()), "dca346d933304f3c602c65120db28343");
        assert_eq!(
            hex(keys.index.for_object("a context", &[9; 32]).expose()),
            "aed4d92ac87f097ed008f1c019721199e0292114073ef727fb49d57398aff191"
        );
        assert_eq!(
            hex(RootKey::random(&SeededRng::new(1)).expect("seeded").expose()),
            "4ebe4ed46fdc86789ce48560135d80b77d1f527cf98cd98b420e67db478416a6"
        );
        let root = RootKey::from_bytes(std::array::from_fn(|at| at.to_le_bytes()[0]));
        assert_eq!(root.next_slot(&RepositoryId::from_bytes([0xab; 16])).to_string(), "df847ec72686a743");
    }

    #[test]
    fn the_gear_table_is_frozen() {
        let table = keys().chunker.table();
        assert_eq!(format!("{:016x}", table[0]), "981f29491074fc47");
        assert_eq!(format!("{:016x}", table[255]), "49fd8b64f0d6c0e7");
        let bytes: Vec<u8> = table.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        assert_eq!(
            blake3::hash(&bytes).to_string(),
            "ab547288e2a790b362ac1a77a616ac37b652acb41cd42defb18f47cf3372f00c"
        );
    }

    #[test]
    fn two_repositories_share_no_key_and_no_two_purposes_do() {
        let root = RootKey::from_bytes([5; 32]);
        let mut all = Vec::new();
        for repository in [[1; 16], [2; 16]] {
            let keys = root.derive(&RepositoryId::from_bytes(repository));
            all.extend([*keys.data_names.expose(), *keys.metadata_names.expose(), *keys.chunker.0]);
            all.extend([&keys.roots, &keys.index, &keys.wrap_data, &keys.wrap_metadata].map(|key| *key.expose()));
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 14);
    }

    #[test]
    fn keys_do_not_print() {
        let keys = keys();
        let printed =
            format!("{keys:?} {:?} {:?} {:?} {:?}", keys.roots, keys.chunker, keys.data_names, RootKey([0; 32].into()));
        assert_eq!(printed, "Keys(..) ObjectKey(..) ChunkerKey(..) NameKey(..) RootKey(..)");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn each_bit_is_set_in_exactly_half_of_the_gear_table(key in any::<[u8; 32]>()) {
            let table = ChunkerKey(Zeroizing::new(key)).table();
            for bit in 0..64 {
                prop_assert_eq!(table.iter().filter(|entry| **entry >> bit & 1 == 1).count(), 128);
            }
            let mut entries = table.to_vec();
            entries.sort_unstable();
            entries.dedup();
            prop_assert_eq!(entries.len(), 256, "entries repeat");
        }
    }
}
