//! What prune leaves behind for writers: packs it has condemned, packs it has deleted.

use crate::format::FormatError;
use crate::format::wire::Fields;
use crate::format::wire::Reader;
use crate::format::wire::Writer;
use crate::format::wire::required;
use crate::format::wire::unknown_field;
use crate::id::PackId;

/// Packs that one run of prune condemned; no new snapshot may rely on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Ascending, no doubles.
    pub(crate) packs: Vec<PackId>,
}

/// Packs that one run of prune is about to delete or has deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tomb {
    /// Ascending, no doubles.
    pub(crate) packs: Vec<PackId>,
}

impl Mark {
    /// The body that is sealed; `packs` in any order.
    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(&self.packs)
    }

    /// Reads the opened body.
    pub(crate) fn decode(body: &[u8]) -> Result<Self, FormatError> {
        decode_packs(body).map(|packs| Self { packs })
    }
}

impl Tomb {
    /// The body that is sealed; `packs` in any order.
    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(&self.packs)
    }

    /// Reads the opened body.
    pub(crate) fn decode(body: &[u8]) -> Result<Self, FormatError> {
        decode_packs(body).map(|packs| Self { packs })
    }
}

fn encode(packs: &[PackId]) -> Vec<u8> {
    let mut packs = packs.to_vec();
    packs.sort_unstable();
    packs.dedup();
    let mut writer = Writer::with_capacity(10 + packs.len() * PackId::BYTES);
    writer.field(1, |value| write_packs(value, &packs));
    writer.finish()
}

/// The packs in the opened body of a mark or a tomb: to a writer both mean that it cannot rely on them.
pub(crate) fn decode_packs(body: &[u8]) -> Result<Vec<PackId>, FormatError> {
    let mut packs = None;
    let mut fields = Fields::new(body);
    while let Some((tag, value)) = fields.next_field()? {
        match tag {
            1 => packs = Some(value.whole(read_packs)?),
            other => return Err(unknown_field("a mark or tomb", other)),
        }
    }
    required(packs)
}

/// A count and pack ids, which the caller has sorted.
fn write_packs(writer: &mut Writer, packs: &[PackId]) {
    writer.list(packs, |writer, pack| {
        writer.bytes(pack.as_bytes());
    });
}

/// A count and ascending pack ids.
fn read_packs(reader: &mut Reader<'_>) -> Result<Vec<PackId>, FormatError> {
    let packs = reader.list(PackId::BYTES, |reader| reader.array().map(PackId::from_bytes))?;
    if !packs.is_sorted_by(|a, b| a < b) {
        return Err(FormatError::Invalid("pack ids are not in order"));
    }
    Ok(packs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::damage;

    fn packs(bytes: &[u8]) -> Vec<PackId> {
        bytes.iter().map(|byte| PackId::from_bytes([*byte; 32])).collect()
    }

    #[test]
    fn marks_and_tombs_are_frozen() {
        assert_eq!(
            damage::hex(&Mark { packs: packs(&[1, 2]) }.encode()),
            "0100440000000200000001010101010101010101010101010101010101010101010101010101010101010202020202020202020202020202020202020202020202020202020202020202"
        );
        assert_eq!(damage::hex(&Tomb { packs: vec![] }.encode()), "01000400000000000000");
    }

    #[test]
    fn marks_and_tombs_decode_totally_and_are_sorted() {
        let mark = Mark { packs: packs(&[3, 1, 2, 1]) };
        let read = Mark::decode(&mark.encode()).expect("a good mark");
        assert_eq!(read.packs, packs(&[1, 2, 3]));
        damage::survives(&mark.encode(), |body| Mark::decode(body).map(|mark| mark.encode()));
        damage::survives(&mark.encode(), |body| Tomb::decode(body).map(|tomb| tomb.encode()));
    }

    #[test]
    fn unsorted_packs_are_refused() {
        let mut writer = Writer::new();
        writer.field(1, |value| write_packs(value, &packs(&[2, 1])));
        assert!(matches!(Mark::decode(&writer.finish()), Err(FormatError::Invalid(_))));
    }
}
