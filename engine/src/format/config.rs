//! The repository's `config`: a part anyone can read before having a key, and a sealed part.

use crate::format::FormatError;
use crate::format::envelope;
use crate::format::wire::Fields;
use crate::format::wire::Reader;
use crate::format::wire::Writer;
use crate::format::wire::required;
use crate::format::wire::size;
use crate::format::wire::unknown_field;
use crate::id::RepositoryId;
use crate::limits;
use crate::time::Timestamp;

const MAGIC: [u8; 8] = *b"SRMCONF\0";
const VERSION: u16 = 1;
/// Bytes of the public part before its features.
const PUBLIC_BYTES_MIN: usize = 44;
const FEATURES_MAX: usize = 64;
const FEATURE_BYTES_MAX: usize = 64;
/// Features this program has. Version 1 of the format needs none.
const KNOWN_FEATURES: [&str; 0] = [];
/// FastCDC with a keyed gear table.
pub(crate) const CHUNKER_FASTCDC: u8 = 1;

/// What everybody may know of a repository; authenticated together with the sealed part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicConfig {
    /// Which repository this is.
    pub(crate) repository: RepositoryId,
    /// When it was made, by the maker's clock.
    pub(crate) created: Timestamp,
    /// Features needed to read; sorted.
    pub(crate) read: Vec<String>,
    /// Features needed to write as well; sorted.
    pub(crate) write: Vec<String>,
    /// Features needed to prune as well; sorted.
    pub(crate) prune: Vec<String>,
}

/// A whole config object, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigParts<'a> {
    /// The decoded public part.
    pub(crate) public: PublicConfig,
    /// Its bytes, which [`aad`] binds.
    pub(crate) public_bytes: &'a [u8],
    /// The envelope of the sealed part.
    pub(crate) envelope: &'a [u8],
}

impl PublicConfig {
    /// The public part's bytes; the envelope follows them in the object.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut features = Writer::new();
        for list in [&self.read, &self.write, &self.prune] {
            features.list(list, |writer, feature| {
                writer.block(feature);
            });
        }
        let mut writer = Writer::with_capacity(PUBLIC_BYTES_MIN + features.len());
        writer.bytes(&MAGIC).u16(VERSION).u16(0).bytes(self.repository.as_bytes()).timestamp(self.created);
        writer.block(features.finish());
        writer.finish()
    }

    /// Takes a whole config object apart; the envelope is not looked into.
    pub(crate) fn decode(bytes: &[u8]) -> Result<ConfigParts<'_>, FormatError> {
        let mut reader = Reader::new(bytes);
        if reader.array()? != MAGIC {
            return Err(FormatError::BadMagic { object: "a repository config" });
        }
        let version = reader.u16()?;
        if version != VERSION {
            return Err(FormatError::Version { found: version, known: VERSION });
        }
        let flags = reader.u16()?;
        if flags != 0 {
            return Err(FormatError::Unsupported(format!("flags {flags:#06x} of the config")));
        }
        let repository = RepositoryId::from_bytes(reader.array()?);
        let created = reader.timestamp()?;
        let (read, write, prune) = Reader::new(reader.block()?)
            .whole(|features| Ok((feature_list(features)?, feature_list(features)?, feature_list(features)?)))?;
        let (public_bytes, envelope) = bytes
            .split_at_checked(bytes.len().saturating_sub(reader.remaining()))
            .ok_or(FormatError::Invalid("the config has no sealed part"))?;
        let public = Self { repository, created, read, write, prune };
        Ok(ConfigParts { public, public_bytes, envelope })
    }

    /// The first feature that this program lacks for reading.
    pub(crate) fn missing_to_read(&self) -> Option<&str> {
        missing(&self.read)
    }

    /// The first feature that this program lacks for writing (and reading).
    pub(crate) fn missing_to_write(&self) -> Option<&str> {
        self.missing_to_read().or_else(|| missing(&self.write))
    }

    /// The first feature that this program lacks for pruning (and reading and writing).
    pub(crate) fn missing_to_prune(&self) -> Option<&str> {
        self.missing_to_write().or_else(|| missing(&self.prune))
    }
}

/// The associated data of the sealed part: its head, the object's name, and the whole public part.
pub(crate) fn aad(head: &[u8], public_bytes: &[u8]) -> Vec<u8> {
    let mut aad = envelope::aad(head, "config");
    aad.extend_from_slice(public_bytes);
    aad
}

fn missing(features: &[String]) -> Option<&str> {
    features.iter().map(String::as_str).find(|feature| !KNOWN_FEATURES.contains(feature))
}

fn feature_list(reader: &mut Reader<'_>) -> Result<Vec<String>, FormatError> {
    let features = reader.list(4, Reader::text)?;
    if features.len() > FEATURES_MAX || features.iter().any(|feature| feature.len() > FEATURE_BYTES_MAX) {
        return Err(FormatError::Invalid("the config has too many features or too long ones"));
    }
    if !features.is_sorted_by(|a, b| a < b) {
        return Err(FormatError::Invalid("the features of the config are not in order"));
    }
    Ok(features)
}

/// What only key holders know of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PrivateConfig {
    /// How entries are cut.
    pub(crate) chunker: ChunkerConfig,
    /// Stored bytes at which a data pack is closed.
    pub(crate) pack_bytes: u32,
    /// Stored bytes at which a metadata pack is closed.
    pub(crate) metadata_pack_bytes: u32,
    /// The program that made the repository.
    pub(crate) program: String,
}

/// How entries are cut into chunks; fixed for the life of a repository, since other cuts would find no duplicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkerConfig {
    /// The algorithm.
    pub(crate) id: u8,
    /// Smallest chunk in bytes (an entry's last one may be smaller).
    pub(crate) min: u32,
    /// Nominal chunk in bytes.
    pub(crate) nominal: u32,
    /// Largest chunk in bytes.
    pub(crate) max: u32,
}

impl PrivateConfig {
    /// The defaults of this program.
    pub(crate) fn standard(program: String) -> Self {
        let stored = |bytes: usize| u32::try_from(bytes).expect("limits are below 4 GiB");
        Self {
            chunker: ChunkerConfig {
                id: CHUNKER_FASTCDC,
                min: stored(limits::CHUNK_BYTES_MIN),
                nominal: stored(limits::CHUNK_BYTES_NOMINAL),
                max: stored(limits::CHUNK_BYTES_MAX),
            },
            pack_bytes: stored(limits::PACK_BYTES_GOAL),
            metadata_pack_bytes: stored(limits::METADATA_PACK_BYTES_GOAL),
            program,
        }
    }

    /// The body that is sealed.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        let ChunkerConfig { id, min, nominal, max } = self.chunker;
        writer.field(1, |value| {
            value.u8(id).u32(min).u32(nominal).u32(max);
        });
        writer.field(2, |value| {
            value.u32(self.pack_bytes).u32(self.metadata_pack_bytes);
        });
        writer.field(3, |value| {
            value.bytes(self.program.as_bytes());
        });
        writer.finish()
    }

    /// Reads the opened body.
    pub(crate) fn decode(body: &[u8]) -> Result<Self, FormatError> {
        let (mut chunker, mut packs, mut program) = (None, None, None);
        let mut fields = Fields::new(body);
        while let Some((tag, value)) = fields.next_field()? {
            match tag {
                1 => chunker = Some(value.whole(chunker_config)?),
                2 => packs = Some(value.whole(|value| Ok((pack_goal(value)?, pack_goal(value)?)))?),
                3 => program = Some(value.whole(Reader::text_to_end)?),
                other => return Err(unknown_field("the config", other)),
            }
        }
        let (pack_bytes, metadata_pack_bytes) = required(packs)?;
        Ok(Self { chunker: required(chunker)?, pack_bytes, metadata_pack_bytes, program: required(program)? })
    }
}

fn chunker_config(value: &mut Reader<'_>) -> Result<ChunkerConfig, FormatError> {
    let config = ChunkerConfig { id: value.u8()?, min: value.u32()?, nominal: value.u32()?, max: value.u32()? };
    if config.id != CHUNKER_FASTCDC {
        return Err(FormatError::Unsupported(format!("chunker {}", config.id)));
    }
    let is_ordered = config.min < config.nominal && config.nominal < config.max;
    // The chunker looks at two bytes at a time.
    let is_even = [config.min, config.nominal, config.max].iter().all(|size| size.is_multiple_of(2));
    if !is_ordered
        || !is_even
        || size(config.min) < limits::CHUNK_BYTES_LEAST
        || size(config.max) > limits::CHUNK_BYTES_MAX
    {
        return Err(FormatError::Invalid("the config has impossible chunk sizes"));
    }
    Ok(config)
}

fn pack_goal(value: &mut Reader<'_>) -> Result<u32, FormatError> {
    let bytes = value.u32()?;
    if bytes == 0 || usize::try_from(bytes).unwrap_or(usize::MAX) > limits::PACK_BYTES_GOAL_MAX {
        return Err(FormatError::Invalid("the config has an impossible pack size"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::damage;

    fn public() -> PublicConfig {
        PublicConfig {
            repository: RepositoryId::from_bytes([0x11; 16]),
            created: Timestamp { seconds: 1_700_000_000, nanoseconds: 5 },
            read: vec!["a".into(), "b".into()],
            write: vec![],
            prune: vec!["c".into()],
        }
    }

    #[test]
    fn both_parts_of_the_config_are_frozen() {
        assert_eq!(
            damage::hex(&public().encode()),
            "53524d434f4e4600010000001111111111111111111111111111111100f1536500000000050000001b000000020000000100000061010000006200000000010000000100000063"
        );
        let private = PrivateConfig::standard("strongroom 0.1.0".into());
        assert_eq!(
            damage::hex(&private.encode()),
            "01000d0000000100000400000008000000200002000800000000000001000080000300100000007374726f6e67726f6f6d20302e312e30"
        );
        assert_eq!(damage::hex(&aad(b"head", b"public")), "68656164636f6e6669677075626c6963");
    }

    #[test]
    fn the_config_comes_apart_where_it_was_put_together() {
        let bytes = [public().encode().as_slice(), b"envelope"].concat();
        let parts = PublicConfig::decode(&bytes).expect("a good config");
        assert_eq!(parts.public, public());
        assert_eq!(parts.public_bytes, public().encode());
        assert_eq!(parts.envelope, b"envelope");
    }

    #[test]
    fn every_byte_of_the_public_part_is_checked_or_bound() {
        let bytes = [public().encode().as_slice(), &[9; 80]].concat();
        let length = bytes.len();
        damage::is_bound(&bytes, |bytes| {
            let parts = PublicConfig::decode(bytes)?;
            assert_eq!(parts.public.encode(), parts.public_bytes);
            // The envelope checks its own length.
            match bytes.len() == length {
                true => Ok((aad(b"head", parts.public_bytes), parts.envelope.to_vec())),
                false => Err(FormatError::Invalid("envelope")),
            }
        });
    }

    #[test]
    fn the_sealed_part_decodes_totally() {
        let private = PrivateConfig::standard("strongroom".into());
        assert_eq!(PrivateConfig::decode(&private.encode()), Ok(private.clone()));
        let bytes = private.encode();
        for length in 0..bytes.len() {
            PrivateConfig::decode(&bytes[..length]).expect_err("cut short");
        }
        damage::survives(&bytes, |bytes| PrivateConfig::decode(bytes).map(|config| config.encode()));
    }

    #[test]
    fn features_this_program_lacks_are_named() {
        assert_eq!(public().missing_to_read(), Some("a"));
        let config = PublicConfig { read: vec![], ..public() };
        assert_eq!((config.missing_to_write(), config.missing_to_prune()), (None, Some("c")));
    }

    #[test]
    fn unordered_features_and_impossible_sizes_are_refused() {
        for read in [vec!["b".into(), "a".into()], vec!["a".into(), "a".into()], vec!["x".repeat(65)]] {
            let bytes = PublicConfig { read, ..public() }.encode();
            assert!(matches!(PublicConfig::decode(&bytes), Err(FormatError::Invalid(_))));
        }
        let good = PrivateConfig::standard(String::new());
        for (min, nominal, max) in [
            (0, 100, 200),
            (63, 100, 200),
            (100, 100, 200),
            (64, 200, 200),
            (64, 100, (2 << 20) + 1),
            (64, 100, u32::MAX),
        ] {
            let chunker = ChunkerConfig { id: 1, min, nominal, max };
            let bytes = PrivateConfig { chunker, ..good.clone() }.encode();
            assert!(matches!(PrivateConfig::decode(&bytes), Err(FormatError::Invalid(_))));
        }
        for bytes in [0, (80 << 20) + 1, 120 << 20, 128 << 20, u32::MAX] {
            for config in [
                PrivateConfig { pack_bytes: bytes, ..good.clone() },
                PrivateConfig { metadata_pack_bytes: bytes, ..good.clone() },
            ] {
                assert!(matches!(PrivateConfig::decode(&config.encode()), Err(FormatError::Invalid(_))), "{bytes}");
            }
        }
        let largest = PrivateConfig { pack_bytes: 80 << 20, ..good.clone() };
        assert_eq!(PrivateConfig::decode(&largest.encode()), Ok(largest));
        let chunker = ChunkerConfig { id: 2, ..good.chunker };
        assert!(
            PrivateConfig::decode(&PrivateConfig { chunker, ..good }.encode()).expect_err("newer").is_unsupported()
        );
    }
}
