//! A source's statement as bytes, and the key-values that a snapshot carries.

use crate::format::FormatError;
use crate::format::segment::too_large;
use crate::format::wire::Reader;
use crate::format::wire::Writer;
use crate::limits::FACT_SUBJECT_BYTES_MAX;
use crate::limits::SNAPSHOT_KEY_BYTES_MAX;
use crate::limits::SNAPSHOT_METADATA_BYTES_MAX;
use crate::limits::SNAPSHOT_STATEMENT_BYTES_MAX;
use crate::statement::Fact;
use crate::statement::Statement;
use crate::statement::UnknownFact;
use std::collections::BTreeMap;

/// Least bytes of a fact: name, subject, type, an empty value.
const FACT_BYTES_MIN: usize = 4 + 1 + 4 + 1 + 4;
/// Least bytes of a key and its value.
const PAIR_BYTES_MIN: usize = 4 + 1 + 4;

/// A count, and for each fact its name, what it is about, the type of its value, and that.
pub(crate) fn encode(writer: &mut Writer, statement: &Statement) {
    writer.count(statement.facts().len());
    for (name, of, fact) in statement.facts() {
        writer.block(name).block(of);
        let mut value = Writer::new();
        let kind = match fact {
            Fact::Text(text) => {
                value.bytes(text.as_bytes());
                1
            }
            Fact::Count(count) => {
                value.u64(*count);
                2
            }
            Fact::Is(is) => {
                value.u8(u8::from(*is));
                3
            }
            Fact::Time(time) => {
                value.timestamp(*time);
                4
            }
            Fact::Unknown(unknown) => {
                value.bytes(unknown.bytes());
                unknown.kind()
            }
        };
        writer.u8(kind).block(value.finish());
    }
}

/// Why a statement could not be read again, if it could not.
pub(crate) fn check(statement: &Statement) -> Result<(), FormatError> {
    let mut writer = Writer::new();
    encode(&mut writer, statement);
    Reader::new(&writer.finish()).whole(decode).map(drop)
}

/// How many bytes [`encode_pairs`] appends.
pub(crate) fn encoded_pairs_length(pairs: &BTreeMap<String, String>) -> usize {
    4 + pairs.iter().map(|(key, value)| 8 + key.len() + value.len()).sum::<usize>()
}

/// Reads a statement, which takes all that is left; one of a newer vocabulary, and with types of values that are not known, is
/// read like any other.
pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Statement, FormatError> {
    if reader.remaining() > SNAPSHOT_STATEMENT_BYTES_MAX {
        return Err(too_large("the length of a statement", reader.remaining(), SNAPSHOT_STATEMENT_BYTES_MAX));
    }
    let mut statement = Statement::new();
    for _ in 0..reader.count(FACT_BYTES_MIN)? {
        let (name, of) = (reader.text()?, reader.block()?);
        if of.len() > FACT_SUBJECT_BYTES_MAX {
            return Err(too_large("the length of what a fact is about", of.len(), FACT_SUBJECT_BYTES_MAX));
        }
        let kind = reader.u8()?;
        let fact = Reader::new(reader.block()?).whole(|value| read_value(kind, value))?;
        if !statement.push(name, of.to_vec(), fact) {
            return Err(FormatError::Invalid("the facts of a statement are out of order, doubled or misnamed"));
        }
    }
    Ok(statement)
}

fn read_value(kind: u8, value: &mut Reader<'_>) -> Result<Fact, FormatError> {
    Ok(match kind {
        0 => return Err(FormatError::Invalid("a fact is of no type")),
        1 => Fact::Text(value.text_to_end()?),
        2 => Fact::Count(value.u64()?),
        3 => match value.u8()? {
            0 => Fact::Is(false),
            1 => Fact::Is(true),
            _ => return Err(FormatError::Invalid("a fact is neither so nor not so")),
        },
        4 => Fact::Time(value.timestamp()?),
        kind => Fact::Unknown(UnknownFact::new(kind, value.rest()?.to_vec())),
    })
}

/// A count, and each key with its value.
pub(crate) fn encode_pairs(writer: &mut Writer, pairs: &BTreeMap<String, String>) {
    writer.count(pairs.len());
    for (key, value) in pairs {
        writer.block(key).block(value);
    }
}

/// Reads key-values, which take all that is left.
pub(crate) fn decode_pairs(reader: &mut Reader<'_>) -> Result<BTreeMap<String, String>, FormatError> {
    if reader.remaining() > SNAPSHOT_METADATA_BYTES_MAX {
        return Err(too_large("the length of key-values", reader.remaining(), SNAPSHOT_METADATA_BYTES_MAX));
    }
    let mut pairs = BTreeMap::new();
    for _ in 0..reader.count(PAIR_BYTES_MIN)? {
        let (key, value) = (reader.text()?, reader.text()?);
        if pairs.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err(FormatError::Invalid("the key-values of a snapshot are out of order or doubled"));
        }
        if !is_key(&key) {
            return Err(FormatError::Invalid("a key of a snapshot's key-values is empty or too long"));
        }
        pairs.insert(key, value);
    }
    Ok(pairs)
}

/// Whether a snapshot may carry a value under this key.
pub(crate) fn is_key(key: &str) -> bool {
    (1..=SNAPSHOT_KEY_BYTES_MAX).contains(&key.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::damage;
    use crate::statement::KnownFact;
    use crate::time::Timestamp;

    fn statement() -> Statement {
        Statement::new()
            .with(KnownFact::Server, "PostgreSQL")
            .with(KnownFact::AsOf, Timestamp { seconds: 1_700_000_000, nanoseconds: 5 })
            .with_of(KnownFact::Rows, b"db/\xff.copy", 611_400)
            .with_of(KnownFact::EndMark, b"db/\xff.copy", true)
    }

    fn encoded(statement: &Statement) -> Vec<u8> {
        let mut writer = Writer::new();
        encode(&mut writer, statement);
        writer.finish()
    }

    #[test]
    fn a_statement_is_frozen_and_decodes_totally() {
        let bytes = encoded(&statement());
        assert_eq!(damage::hex(&bytes), FROZEN);
        assert_eq!(Reader::new(&bytes).whole(decode), Ok(statement()));
        damage::survives(&bytes, |bytes| Reader::new(bytes).whole(decode).map(|statement| encoded(&statement)));
    }

    const FROZEN: &str = "040000000500000061732d6f6600000000040c00000000f15365000000000500000008000000656e642d6d61726b0900000064622fff2e636f707903010000000104000000726f77730900000064622fff2e636f7079020800000048540900000000000600000073657276657200000000010a000000506f737467726553514c";

    fn one_fact(name: &str, of: &[u8], kind: u8, value: &[u8]) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.count(1).block(name).block(of).u8(kind).block(value);
        writer.finish()
    }

    #[test]
    fn facts_of_names_and_types_that_are_not_known_are_read_and_written_again_to_the_byte() {
        let mut newer = statement();
        newer.set("shards", b"", 3).expect("a name");
        assert_eq!(Reader::new(&encoded(&newer)).whole(decode), Ok(newer));
        for (name, kind, value) in [("rows", 9, &[1, 2, 3][..]), ("rows", 255, b""), ("shards", 5, b"x")] {
            let bytes = one_fact(name, b"t", kind, value);
            let read = Reader::new(&bytes).whole(decode).expect("opaque");
            let Some(Fact::Unknown(unknown)) = read.get(name, b"t") else { panic!("{read:?}") };
            assert_eq!((unknown.kind(), unknown.bytes()), (kind, value));
            assert_eq!(encoded(&read), bytes);
            assert_eq!(check(&read), Ok(()));
            damage::survives(&bytes, |bytes| Reader::new(bytes).whole(decode).map(|statement| encoded(&statement)));
        }
    }

    #[test]
    fn a_known_name_with_a_value_of_another_type_is_a_fact_and_a_value_that_its_type_does_not_have_is_damage() {
        let other = Statement::new().with(KnownFact::Rows, "many");
        assert_eq!(Reader::new(&encoded(&other)).whole(decode), Ok(other));
        for (kind, value) in
            [(0, &b""[..]), (1, b"\xff"), (2, &[0; 7]), (2, &[0; 9]), (3, &[2]), (3, b""), (4, &[0xff; 12])]
        {
            let error = Reader::new(&one_fact("rows", b"", kind, value)).whole(decode).expect_err("damage");
            assert!(!error.is_unsupported(), "type {kind} {value:?}");
        }
    }

    #[test]
    fn a_reader_takes_no_more_than_a_writer_may_write() {
        let read = |bytes: Vec<u8>| Reader::new(&bytes).whole(decode).map(drop);
        let most = SNAPSHOT_STATEMENT_BYTES_MAX - one_fact("rows", b"", 1, b"").len();
        assert_eq!(read(one_fact("rows", b"", 1, &vec![b'a'; most])), Ok(()));
        assert!(read(one_fact("rows", b"", 1, &vec![b'a'; most + 1])).is_err());
        assert_eq!(read(one_fact("rows", &[7; FACT_SUBJECT_BYTES_MAX], 3, &[1])), Ok(()));
        assert!(read(one_fact("rows", &[7; FACT_SUBJECT_BYTES_MAX + 1], 3, &[1])).is_err());
        let long = Statement::new().with_of(KnownFact::Rows, &[7; FACT_SUBJECT_BYTES_MAX + 1], 1);
        let bad = Statement::new().with(KnownFact::AsOf, Timestamp { seconds: 0, nanoseconds: 1_500_000_000 });
        assert!(check(&long).is_err() && check(&bad).is_err() && check(&statement()).is_ok());
    }

    #[test]
    fn key_values_stand_in_order_and_their_keys_are_not_empty_and_not_long() {
        let pairs: BTreeMap<_, _> = [("b", ""), ("a", "1")].map(|(key, value)| (key.into(), value.into())).into();
        let encoded = |pairs: &BTreeMap<String, String>| {
            let mut writer = Writer::new();
            encode_pairs(&mut writer, pairs);
            writer.finish()
        };
        assert_eq!(Reader::new(&encoded(&pairs)).whole(decode_pairs), Ok(pairs.clone()));
        assert_eq!(encoded_pairs_length(&pairs), encoded(&pairs).len());
        for (more, is_read) in [(0, true), (1, false)] {
            let long = BTreeMap::from([("k".to_owned(), "v".repeat(SNAPSHOT_METADATA_BYTES_MAX - 13 + more))]);
            assert_eq!(Reader::new(&encoded(&long)).whole(decode_pairs).is_ok(), is_read);
        }
        damage::survives(&encoded(&pairs), |bytes| Reader::new(bytes).whole(decode_pairs).map(|it| encoded(&it)));
        for key in [String::new(), "k".repeat(SNAPSHOT_KEY_BYTES_MAX + 1)] {
            let pairs = BTreeMap::from([(key, String::new())]);
            assert!(Reader::new(&encoded(&pairs)).whole(decode_pairs).is_err());
        }
    }
}
