//! Where chunks end: FastCDC (Xia et al., 2020) over a gear table that only the repository's keys know.

use crate::crypto::keys::ChunkerKey;
use crate::entry::ChunkProfile;
use crate::format::config::ChunkerConfig;
use crate::format::wire::size;
use fastcdc::v2020::Normalization;
use fastcdc::v2020::cut_gear;
use fastcdc::v2020::select_masks;
use std::sync::Arc;

/// Finds chunk ends as an entry's source wants them found.
pub(crate) struct Cutters {
    usual: Cutter,
    rows: Cutter,
}

/// Finds chunk ends; the same key and bytes give the same ends for ever.
#[derive(Clone)]
pub(crate) enum Cutter {
    /// Where the bytes say so.
    ByContent(Arc<ByContent>),
    /// After so many bytes, always.
    BySize(usize),
}

/// FastCDC over the repository's own table.
pub(crate) struct ByContent {
    gear: Box<[u64; 256]>,
    gear_shifted: Box<[u64; 256]>,
    mask_strict: u64,
    mask_relaxed: u64,
    bytes_min: usize,
    bytes_nominal: usize,
    bytes_max: usize,
}

impl Cutters {
    /// Cutters for every profile, the usual one with the sizes of the repository's config, which its decoder has checked.
    pub(crate) fn new(key: &ChunkerKey, config: ChunkerConfig) -> Self {
        let by_content = |sizes| Cutter::ByContent(Arc::new(ByContent::new(key, sizes)));
        let usual = by_content([config.min, config.nominal, config.max]);
        let rows = ChunkProfile::Rows.stored().map_or_else(|| usual.clone(), |rows| by_content(rows.sizes));
        Self { usual, rows }
    }

    /// The one for a profile.
    pub(crate) fn of(&self, profile: ChunkProfile) -> Cutter {
        match profile {
            ChunkProfile::Default => self.usual.clone(),
            ChunkProfile::Rows => self.rows.clone(),
            ChunkProfile::Pages(bytes) => Cutter::BySize(size(bytes)),
        }
    }
}

impl Cutter {
    /// Length of the chunk at the start of `bytes`. Final only when `bytes` reaches the entry's end or
    /// holds at least as many as [`Self::most`] says.
    pub(crate) fn cut(&self, bytes: &[u8]) -> usize {
        match self {
            Self::ByContent(cutter) => cutter.cut(bytes),
            Self::BySize(most) => bytes.len().min(*most),
        }
    }

    /// Bytes of the largest chunk.
    pub(crate) fn most(&self) -> usize {
        match self {
            Self::ByContent(cutter) => cutter.bytes_max,
            Self::BySize(most) => *most,
        }
    }
}

impl ByContent {
    fn new(key: &ChunkerKey, [min, nominal, max]: [u32; 3]) -> Self {
        let gear = key.table();
        let gear_shifted = Box::new(gear.map(|entry| entry << 1));
        let (mask_strict, mask_relaxed) = select_masks(size(nominal), Normalization::Level2);
        let (bytes_min, bytes_nominal, bytes_max) = (size(min), size(nominal), size(max));
        Self { gear, gear_shifted, mask_strict, mask_relaxed, bytes_min, bytes_nominal, bytes_max }
    }

    fn cut(&self, bytes: &[u8]) -> usize {
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
        Cutters::new(&keys.chunker, standard()).of(ChunkProfile::Default)
    }

    #[test]
    fn the_least_sizes_that_a_config_may_have_can_be_cut_by() {
        let least = ChunkerConfig { id: 1, min: 64, nominal: 66, max: 68 };
        let config = PrivateConfig { chunker: least, ..PrivateConfig::standard(String::new()) };
        assert_eq!(PrivateConfig::decode(&config.encode()), Ok(config));
        let keys = RootKey::from_bytes([7; 32]).derive(&RepositoryId::from_bytes([9; 16]));
        assert!((64..=68).contains(&Cutters::new(&keys.chunker, least).usual.cut(&random_bytes(1000))));
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

    #[test]
    fn rows_and_pages_are_cut_as_entries_say_that_they_were() {
        let keys = RootKey::from_bytes([7; 32]).derive(&RepositoryId::from_bytes([9; 16]));
        let cutters = Cutters::new(&keys.chunker, standard());
        let bytes = random_bytes(1 << 20);
        let rows = ends(&cutters.of(ChunkProfile::Rows), &bytes);
        assert_eq!((rows.len(), blake3_of(&rows).as_str()), GOLDEN_ROWS, "{rows:?}");
        let mut before = 0;
        for end in &rows {
            assert!((4096..=65_536).contains(&(end - before)) || *end == bytes.len());
            before = *end;
        }
        let pages = ends(&cutters.of(ChunkProfile::Pages(8192)), &bytes[..20_000]);
        assert_eq!(pages, [8192, 16_384, 20_000]);
    }

    const GOLDEN_ROWS: (usize, &str) = (57, "dc5a99b82b12ef9b1951507238648c0447e7172b77697182604f76e5011cd62a");

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
        assert_ne!(ends(&cutter(), &bytes), ends(&Cutters::new(&other.chunker, standard()).usual, &bytes));
    }
}
