//! Where chunks end: FastCDC (Xia et al., 2020) over a gear table that only the repository's keys know.

use crate::crypto::keys::ChunkerKey;
use crate::format::config::ChunkerConfig;
use crate::format::wire::size;
use fastcdc::v2020::Normalization;
use fastcdc::v2020::cut_gear;
use fastcdc::v2020::select_masks;

/// Finds chunk ends; the same key and bytes give the same ends for ever.
#[derive(Clone)]
pub(crate) struct Cutter {
    gear: Box<[u64; 256]>,
    gear_shifted: Box<[u64; 256]>,
    mask_strict: u64,
    mask_relaxed: u64,
    bytes_min: usize,
    bytes_nominal: usize,
    bytes_max: usize,
}

impl Cutter {
    /// A cutter with the sizes of the repository's config, which its decoder has checked.
    pub(crate) fn new(key: &ChunkerKey, config: ChunkerConfig) -> Self {
        let gear = key.table();
        let gear_shifted = Box::new(gear.map(|entry| entry << 1));
        let (mask_strict, mask_relaxed) = select_masks(size(config.nominal), Normalization::Level2);
        Self {
            gear,
            gear_shifted,
            mask_strict,
            mask_relaxed,
            bytes_min: size(config.min),
            bytes_nominal: size(config.nominal),
            bytes_max: size(config.max),
        }
    }

    /// Length of the chunk at the start of `bytes`. Final only when `bytes` reaches the entry's end or
    /// holds at least `CHUNK_BYTES_MAX`.
    pub(crate) fn cut(&self, bytes: &[u8]) -> usize {
        let (_, length) = cut_gear(
            bytes,
            self.bytes_min,
            self.bytes_nominal,
            self.bytes_max,
            self.mask_strict,
            self.mask_relaxed,
            self.mask_strict << 1,
            self.mask_relaxed << 1,
            self.gear.as_slice(),
            self.gear_shifted.as_slice(),
        );
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keys::RootKey;
    use crate::format::config::PrivateConfig;
    use crate::id::RepositoryId;
    use crate::limits::CHUNK_BYTES_MAX;
    use crate::limits::CHUNK_BYTES_MIN;
    use crate::random::Rng;
    use crate::random::SeededRng;

    fn standard() -> ChunkerConfig {
        PrivateConfig::standard(String::new()).chunker
    }

    fn cutter() -> Cutter {
        let keys = RootKey::from_bytes([7; 32]).derive(&RepositoryId::from_bytes([9; 16]));
        Cutter::new(&keys.chunker, standard())
    }

    #[test]
    fn the_least_sizes_that_a_config_may_have_can_be_cut_by() {
        let least = ChunkerConfig { id: 1, min: 64, nominal: 66, max: 68 };
        let config = PrivateConfig { chunker: least, ..PrivateConfig::standard(String::new()) };
        assert_eq!(PrivateConfig::decode(&config.encode()), Ok(config));
        let keys = RootKey::from_bytes([7; 32]).derive(&RepositoryId::from_bytes([9; 16]));
        assert!((64..=68).contains(&Cutter::new(&keys.chunker, least).cut(&random_bytes(1000))));
    }

    fn random_bytes(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        SeededRng::new(1).fill(&mut bytes).expect("seeded bytes");
        bytes
    }

    fn ends(cutter: &Cutter, bytes: &[u8]) -> Vec<usize> {
        let mut ends = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            at += cutter.cut(&bytes[at..]);
            ends.push(at);
        }
        ends
    }

    #[test]
    fn cut_points_are_frozen() {
        let found = ends(&cutter(), &random_bytes(8 << 20));
        let digest = blake3_of(&found);
        assert_eq!((found.len(), digest.as_str()), GOLDEN_CUTS, "{found:?}");
    }

    const GOLDEN_CUTS: (usize, &str) = (15, "7ab03ac43095af0ca572a2c88d478e861f338cf6826d059a8407fa0d5f0c3b89");

    fn blake3_of(ends: &[usize]) -> String {
        let keys = RootKey::from_bytes([7; 32]).derive(&RepositoryId::from_bytes([9; 16]));
        let bytes: Vec<u8> = ends.iter().flat_map(|end| (*end as u64).to_le_bytes()).collect();
        keys.data_names.name(&bytes).to_string()
    }

    #[test]
    fn chunks_keep_their_bounds() {
        let cutter = cutter();
        for bytes in [random_bytes(8 << 20), vec![0; 8 << 20]] {
            let ends = ends(&cutter, &bytes);
            let mut before = 0;
            for (number, end) in ends.iter().enumerate() {
                let length = end - before;
                assert!(length <= CHUNK_BYTES_MAX);
                assert!(length >= CHUNK_BYTES_MIN || number + 1 == ends.len());
                before = *end;
            }
        }
    }

    #[test]
    fn an_inserted_byte_disturbs_only_its_neighbourhood() {
        let cutter = cutter();
        let bytes = random_bytes(16 << 20);
        let mut shifted = bytes.clone();
        shifted.insert(1_000_000, 42);
        let before: std::collections::HashSet<usize> = ends(&cutter, &bytes).into_iter().map(|end| end + 1).collect();
        let kept = ends(&cutter, &shifted).into_iter().filter(|end| before.contains(end)).count();
        assert!(kept + 4 >= before.len(), "{kept} of {}", before.len());
    }

    #[test]
    fn another_key_cuts_elsewhere() {
        let other = RootKey::from_bytes([8; 32]).derive(&RepositoryId::from_bytes([9; 16]));
        let bytes = random_bytes(8 << 20);
        assert_ne!(ends(&cutter(), &bytes), ends(&Cutter::new(&other.chunker, standard()), &bytes));
    }
}
