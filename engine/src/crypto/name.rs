//! Names that are hashes: chunk ids, keyed so that they tell nothing to whoever has no key, and object names.

use crate::id::ChunkId;
use std::fmt;
use zeroize::Zeroizing;

/// Names chunks of one class.
#[derive(Clone)]
pub(crate) struct NameKey(Zeroizing<[u8; 32]>);

impl NameKey {
    /// A derived key (`keys`).
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Keyed BLAKE3-256 of a chunk's plaintext.
    pub(crate) fn name(&self, bytes: &[u8]) -> ChunkId {
        ChunkId::from_bytes(*blake3::keyed_hash(&self.0, bytes).as_bytes())
    }

    #[cfg(test)]
    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Unkeyed BLAKE3-256 of an object's stored bytes, given in parts: the name of packs and index objects. It tells nothing
/// that whoever holds the object does not have, and lets damage be found without any key.
pub(crate) fn object_hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hasher = ObjectHasher::default();
    parts.into_iter().for_each(|part| hasher.add(part));
    hasher.finish()
}

/// The same for an object that comes bit by bit.
#[derive(Default)]
pub(crate) struct ObjectHasher(blake3::Hasher);

impl ObjectHasher {
    /// Takes in the next bytes.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all that was taken in.
    pub(crate) fn finish(&self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

impl fmt::Debug for NameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NameKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_ids_are_frozen() {
        let key = NameKey::from_bytes([0x42; 32]);
        assert_eq!(key.name(b"").to_string(), "4fa213fa1c1f5ae802e09c6e384b60390a0b5a1b0f228d77d89af00a84b29a21");
        assert_eq!(
            key.name(b"strongroom").to_string(),
            "acbd93e77dc29e7e3e856ec4194fca622d5253c13b52b9c60fee310de9e02d0c"
        );
        let long: Vec<u8> = (0..100_000u32).map(|n| n.to_le_bytes()[0]).collect();
        assert_eq!(key.name(&long).to_string(), "3f6ae95bafd9c83381c6ea0bc701eed909bc8dade148c57923424fbf3c9358cc");
    }

    #[test]
    fn the_name_of_an_object_depends_on_its_bytes_only() {
        let whole = object_hash([b"abc".as_slice()]);
        // The published test vector of BLAKE3.
        let known = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
        assert_eq!(crate::crypto::seal::tests::hex(&whole), known);
        assert_eq!(object_hash([b"a".as_slice(), b"", b"bc"]), whole);
        assert_ne!(object_hash([b"ab".as_slice()]), whole);
    }

    #[test]
    fn another_key_gives_other_names() {
        assert_ne!(NameKey::from_bytes([1; 32]).name(b"x"), NameKey::from_bytes([2; 32]).name(b"x"));
    }
}
