//! Deterministic corpora: the same seed gives the same bytes on every machine.

use std::fs;
use std::io;
use std::path::Path;

/// What the bytes of a corpus are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Lines of words that repeat as words in sources and logs do; zstd makes about a fourth of it.
    Text,
    /// Records of small numbers, offsets and names, like object files and tables; about half.
    Binary,
    /// Bytes without any pattern: media, archives, encrypted files.
    Random,
}

/// All kinds, with the names that benchmarks show.
pub const KINDS: [(&str, Kind); 3] = [("text", Kind::Text), ("binary", Kind::Binary), ("random", Kind::Random)];

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, and good enough to look random to a compressor.
pub struct Seeded(u64);

impl Seeded {
    /// A generator that begins at `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, small ones far more often than large ones.
    fn skewed(&mut self, bound: u64) -> u64 {
        let zeros = self.draw().leading_zeros().min(5);
        self.draw() % (bound >> zeros).max(1)
    }
}

/// `length` bytes of one kind.
pub fn bytes(kind: Kind, seed: u64, length: usize) -> Vec<u8> {
    let mut from = Seeded::new(seed);
    let mut into = Vec::with_capacity(length + 64);
    while into.len() < length {
        match kind {
            Kind::Text => line(&mut from, &mut into),
            Kind::Binary => record(&mut from, &mut into),
            Kind::Random => into.extend_from_slice(&from.draw().to_le_bytes()),
        }
    }
    into.truncate(length);
    into
}

fn line(from: &mut Seeded, into: &mut Vec<u8>) {
    into.resize(into.len() + usize::try_from(from.skewed(5)).unwrap_or(0) * 4, b' ');
    for _ in 0..2 + from.draw() % 8 {
        word(from.skewed(6000), into);
        into.push(b' ');
    }
    into.push(b'\n');
}

/// The word of a number: always the same letters.
fn word(number: u64, into: &mut Vec<u8>) {
    let mut letters = Seeded::new(number);
    for _ in 0..2 + letters.draw() % 9 {
        let letter = u8::try_from(letters.draw() % 26).unwrap_or(0);
        into.push(b'a' + letter);
    }
}

fn record(from: &mut Seeded, into: &mut Vec<u8>) {
    into.extend_from_slice(&from.skewed(1 << 12).to_le_bytes());
    into.extend_from_slice(&(from.draw() as u32).to_le_bytes());
    into.extend_from_slice(&[0, 0, 1, 0]);
    if from.draw().is_multiple_of(4) {
        word(from.skewed(500), into);
        into.push(0);
    }
}

/// Writes a tree of small and large files that holds `total` bytes, a hundred files to a folder.
pub fn tree(root: &Path, seed: u64, total: usize) -> io::Result<usize> {
    let mut from = Seeded::new(seed);
    let (mut written, mut files) = (0, 0);
    while written < total {
        let folder = root.join(format!("folder{}", files / 100));
        if usize::is_multiple_of(files, 100) {
            fs::create_dir_all(&folder)?;
        }
        // Most files are small, most bytes are in large ones.
        let large = from.draw().is_multiple_of(64);
        let length = usize::try_from(if large { from.draw() % (4 << 20) } else { from.skewed(64 << 10) }).unwrap_or(0);
        let length = length.min(total - written).max(1);
        let (_, kind) = KINDS[usize::try_from(from.draw() % 8).unwrap_or(0).saturating_sub(5)];
        fs::write(folder.join(format!("file{files}")), bytes(kind, from.draw(), length))?;
        written += length;
        files += 1;
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_names_its_bytes() {
        for (name, kind) in KINDS {
            assert_eq!(bytes(kind, 1, 10_000), bytes(kind, 1, 10_000), "{name}");
            assert_ne!(bytes(kind, 1, 10_000), bytes(kind, 2, 10_000), "{name}");
            assert_eq!(bytes(kind, 1, 10_001).len(), 10_001, "{name}");
        }
    }

    #[test]
    fn a_tree_has_the_bytes_asked_for() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let files = tree(folder.path(), 3, 1 << 20).expect("a tree");
        let folders = fs::read_dir(folder.path()).expect("folders").flatten();
        let inside = folders.flat_map(|it| fs::read_dir(it.path()).expect("files").flatten());
        let lengths: Vec<u64> = inside.map(|it| it.metadata().expect("metadata").len()).collect();
        assert_eq!((lengths.len(), lengths.iter().sum::<u64>()), (files, 1 << 20));
    }
}
