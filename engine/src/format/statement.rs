//! A source's statement as bytes, and the key-values that a snapshot carries.

use crate::format::FormatError;
use crate::format::wire::Reader;
use crate::format::wire::Writer;
use crate::limits::SNAPSHOT_KEY_BYTES_MAX;
use crate::statement::Fact;
use crate::statement::Statement;
use std::collections::BTreeMap;

/// Least bytes of a fact: name, subject, type, a yes or no.
const FACT_BYTES_MIN: usize = 4 + 1 + 4 + 1 + 1;
/// Least bytes of a key and its value.
const PAIR_BYTES_MIN: usize = 4 + 1 + 4;

/// A count, and for each fact its name, what it is about, the type of its value, and that.
pub(crate) fn encode(writer: &mut Writer, statement: &Statement) {
    writer.count(statement.facts().len());
    for (name, of, fact) in statement.facts() {
        writer.block(name).block(of);
        match fact {
            Fact::Text(text) => writer.u8(1).block(text),
            Fact::Count(count) => writer.u8(2).u64(*count),
            Fact::Is(is) => writer.u8(3).u8(u8::from(*is)),
            Fact::Time(time) => writer.u8(4).timestamp(*time),
        };
    }
}

/// How many bytes [`encode`] appends.
pub(crate) fn encoded_length(statement: &Statement) -> usize {
    let mut writer = Writer::new();
    encode(&mut writer, statement);
    writer.len()
}

/// Reads a statement; one of a newer vocabulary is read like any other.
pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Statement, FormatError> {
    let mut statement = Statement::new();
    for _ in 0..reader.count(FACT_BYTES_MIN)? {
        let (name, of) = (reader.text()?, reader.block()?.to_vec());
        let fact = match reader.u8()? {
            1 => Fact::Text(reader.text()?),
            2 => Fact::Count(reader.u64()?),
            3 => match reader.u8()? {
                0 => Fact::Is(false),
                1 => Fact::Is(true),
                _ => return Err(FormatError::Invalid("a fact is neither so nor not so")),
            },
            4 => Fact::Time(reader.timestamp()?),
            other => return Err(FormatError::Unsupported(format!("facts of type {other}"))),
        };
        if !statement.push(name, of, fact) {
            return Err(FormatError::Invalid("the facts of a statement are out of order, doubled or misnamed"));
        }
    }
    Ok(statement)
}

/// A count, and each key with its value.
pub(crate) fn encode_pairs(writer: &mut Writer, pairs: &BTreeMap<String, String>) {
    writer.count(pairs.len());
    for (key, value) in pairs {
        writer.block(key).block(value);
    }
}

/// Reads key-values.
pub(crate) fn decode_pairs(reader: &mut Reader<'_>) -> Result<BTreeMap<String, String>, FormatError> {
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
        assert_eq!(encoded_length(&statement()), bytes.len());
        assert_eq!(Reader::new(&bytes).whole(decode), Ok(statement()));
        damage::survives(&bytes, |bytes| Reader::new(bytes).whole(decode).map(|statement| encoded(&statement)));
    }

    const FROZEN: &str = "040000000500000061732d6f66000000000400f15365000000000500000008000000656e642d6d61726b0900000064622fff2e636f7079030104000000726f77730900000064622fff2e636f70790248540900000000000600000073657276657200000000010a000000506f737467726553514c";

    #[test]
    fn a_fact_of_a_name_that_is_not_known_is_read_and_one_of_a_type_that_is_not_is_newer() {
        let mut newer = statement();
        newer.set("shards", b"", 3).expect("a name");
        assert_eq!(Reader::new(&encoded(&newer)).whole(decode), Ok(newer));
        let mut writer = Writer::new();
        writer.count(1).block("rows").block("").u8(9).u64(0);
        assert!(Reader::new(&writer.finish()).whole(decode).is_err_and(|error| error.is_unsupported()));
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
        damage::survives(&encoded(&pairs), |bytes| Reader::new(bytes).whole(decode_pairs).map(|it| encoded(&it)));
        for key in [String::new(), "k".repeat(SNAPSHOT_KEY_BYTES_MAX + 1)] {
            let pairs = BTreeMap::from([(key, String::new())]);
            assert!(Reader::new(&encoded(&pairs)).whole(decode_pairs).is_err());
        }
    }
}
