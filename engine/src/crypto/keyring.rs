//! The root keys of a repository: the present one, and those that it had before.

use crate::crypto::keys::Keys;
use crate::crypto::keys::RootKey;
use crate::id::RepositoryId;

/// What a key slot gives: everything is sealed under the present root key, and opens under whichever sealed it.
pub(crate) struct Keyring {
    present: RootKey,
    /// The oldest first.
    earlier: Vec<RootKey>,
}

impl Keyring {
    /// A new repository's, or what a slot holds; `earlier` with the oldest first.
    pub(crate) fn new(present: RootKey, earlier: Vec<RootKey>) -> Self {
        Self { present, earlier }
    }

    /// The present root key.
    pub(crate) fn present(&self) -> &RootKey {
        &self.present
    }

    /// The root keys before it, the oldest first.
    pub(crate) fn earlier(&self) -> &[RootKey] {
        &self.earlier
    }

    /// The same keys with a new one in front.
    pub(crate) fn rotated(&self, new: RootKey) -> Self {
        let mut earlier: Vec<RootKey> = self.earlier.iter().map(RootKey::copied).collect();
        earlier.push(self.present.copied());
        Self { present: new, earlier }
    }

    /// Whether both hold the same keys in the same order.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.present.is_same(&other.present)
            && self.earlier.len() == other.earlier.len()
            && self.earlier.iter().zip(&other.earlier).all(|(one, other)| one.is_same(other))
    }

    /// All keys of the repository. Names and cut points stay those of its first root key for ever: under others nothing
    /// would be recognised as stored before.
    pub(crate) fn derive(&self, repository: &RepositoryId) -> Keys {
        let first = self.earlier.first().unwrap_or(&self.present);
        let earlier = self.earlier.iter().map(|root| root.sealing(repository)).collect();
        Keys { earlier, ..first.derive(repository).sealed_under(self.present.sealing(repository)) }
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyring(..)")
    }
}

/// Why an object does not open although nothing need be wrong with it: its head names a key that is not at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "its key is not at hand: the root key was changed after the key in use was made, or the object's head is damaged"
)]
pub struct UnknownKey;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keys::Purpose;

    const REPOSITORY: RepositoryId = RepositoryId::from_bytes([9; 16]);

    fn root(byte: u8) -> RootKey {
        RootKey::from_bytes([byte; 32])
    }

    #[test]
    fn names_and_cut_points_stay_those_of_the_first_root_key() {
        let first = root(1).derive(&REPOSITORY);
        let rotated = Keyring::new(root(1), Vec::new()).rotated(root(2)).rotated(root(3)).derive(&REPOSITORY);
        assert_eq!(rotated.data_names.expose(), first.data_names.expose());
        assert_eq!(rotated.metadata_names.expose(), first.metadata_names.expose());
        assert_eq!(rotated.chunker.table(), first.chunker.table());
    }

    #[test]
    fn what_is_sealed_is_sealed_under_the_present_key_and_opens_under_all() {
        let ring = Keyring::new(root(1), Vec::new()).rotated(root(2)).rotated(root(3));
        let keys = ring.derive(&REPOSITORY);
        for purpose in [Purpose::Roots, Purpose::KeyLists, Purpose::Index, Purpose::WrapData, Purpose::WrapMetadata] {
            let of = |byte| root(byte).derive(&REPOSITORY).sealing(purpose).id();
            assert_eq!(keys.sealing(purpose).id(), of(3));
            for byte in 1..=3 {
                assert_eq!(keys.opening(purpose, &of(byte)).map(|key| key.id()), Some(of(byte)));
            }
            assert!(keys.opening(purpose, &of(4)).is_none());
        }
        // A key of one purpose opens nothing of another.
        assert!(keys.opening(Purpose::Roots, &keys.sealing(Purpose::Index).id()).is_none());
    }

    #[test]
    fn a_keyring_is_the_same_only_with_the_same_keys_in_order() {
        let ring =
            |present, earlier: &[u8]| Keyring::new(root(present), earlier.iter().map(|byte| root(*byte)).collect());
        assert!(ring(3, &[1, 2]).is_same(&ring(1, &[]).rotated(root(2)).rotated(root(3))));
        for other in [ring(3, &[2, 1]), ring(3, &[1]), ring(2, &[1, 2]), ring(3, &[])] {
            assert!(!ring(3, &[1, 2]).is_same(&other));
        }
        assert_eq!(format!("{:?}", ring(1, &[2])), "Keyring(..)");
    }
}
