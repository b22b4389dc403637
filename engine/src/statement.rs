//! What a source says of the state that it read, so that a restore can be compared with it: facts under names that all
//! sources share.

use crate::time::Timestamp;
use std::collections::BTreeMap;

/// Longest name of a fact in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Facts in the order of their names, and of what they are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement(BTreeMap<(String, Vec<u8>), Fact>);

/// One value of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact {
    /// Words, a version, a position in a log.
    Text(String),
    /// How many.
    Count(u64),
    /// Whether it is so.
    Is(bool),
    /// When.
    Time(Timestamp),
    /// A value of a type that this version does not know; kept as it is.
    Unknown(UnknownFact),
}

/// A value of a later version: the number of its type, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFact {
    kind: u8,
    bytes: Vec<u8>,
}

impl UnknownFact {
    /// Of a type that has no variant of [`Fact`]: only a reader makes it.
    pub(crate) fn new(kind: u8, bytes: Vec<u8>) -> Self {
        Self { kind, bytes }
    }

    /// Number of its type.
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// The value as it is stored.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A name that no fact can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fact cannot be called '{0}': a name is 1 to {NAME_BYTES_MAX} of a-z, 0-9 and '-', and begins with a letter")]
pub struct BadFactName(pub String);

impl Statement {
    /// No fact yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one fact more, or another value for one, about the whole.
    #[must_use]
    pub fn with(self, name: KnownFact, value: impl Into<Fact>) -> Self {
        self.with_of(name, b"", value)
    }

    /// The same about one stream.
    #[must_use]
    pub fn with_of(mut self, name: KnownFact, of: &[u8], value: impl Into<Fact>) -> Self {
        self.0.insert((name.name().to_owned(), of.to_vec()), value.into());
        self
    }

    /// Sets a fact by its name, which may be one of the source's own; `of` is the stream that it is about, or empty.
    pub fn set(&mut self, name: &str, of: &[u8], value: impl Into<Fact>) -> Result<(), BadFactName> {
        if !is_name(name) {
            return Err(BadFactName(name.to_owned()));
        }
        self.0.insert((name.to_owned(), of.to_vec()), value.into());
        Ok(())
    }

    /// The fact of this name about `of`, or about the whole where that is empty.
    pub fn get(&self, name: &str, of: &[u8]) -> Option<&Fact> {
        self.0.get(&(name.to_owned(), of.to_vec()))
    }

    /// Name, what it is about, and value, in order.
    pub fn facts(&self) -> impl ExactSizeIterator<Item = (&str, &[u8], &Fact)> {
        self.0.iter().map(|((name, of), fact)| (name.as_str(), of.as_slice(), fact))
    }

    /// True without any fact.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a fact that must come behind all others; false if it does not, or if its name is none.
    pub(crate) fn push(&mut self, name: String, of: Vec<u8>, fact: Fact) -> bool {
        let key = (name, of);
        let fits = is_name(&key.0) && self.0.last_key_value().is_none_or(|(last, _)| *last < key);
        self.0.insert(key, fact);
        fits
    }
}

/// A name of the vocabulary that all sources share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KnownFact {
    /// The product that was read, for example `PostgreSQL`.
    Server,
    /// Its version.
    Version,
    /// The tool that read it, with its version.
    Tool,
    /// Where in its log the state stands: an LSN, a binlog position, a GTID.
    Position,
    /// How the parts of the state hang together, for example `one transaction`.
    Consistency,
    /// When the state was as it was read.
    AsOf,
    /// Rows of one stream.
    Rows,
    /// Bytes of one stream.
    Bytes,
    /// Whether the end mark of one stream was seen.
    EndMark,
    /// A checksum of one stream, with its kind before it, for example `sha256:..`.
    Checksum,
}

impl KnownFact {
    /// As it is stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Version => "version",
            Self::Tool => "tool",
            Self::Position => "position",
            Self::Consistency => "consistency",
            Self::AsOf => "as-of",
            Self::Rows => "rows",
            Self::Bytes => "bytes",
            Self::EndMark => "end-mark",
            Self::Checksum => "checksum",
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

impl From<&str> for Fact {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Fact {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Fact {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<bool> for Fact {
    fn from(is: bool) -> Self {
        Self::Is(is)
    }
}

impl From<Timestamp> for Fact {
    fn from(time: Timestamp) -> Self {
        Self::Time(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_stand_in_order_and_each_once() {
        let mut statement = Statement::new()
            .with(KnownFact::Version, "16.2")
            .with_of(KnownFact::Rows, b"b", 1)
            .with_of(KnownFact::Rows, b"a", 5)
            .with_of(KnownFact::Rows, b"b", 7);
        statement.set("own-fact", b"", true).expect("a name");
        let found: Vec<_> = statement.facts().map(|(name, of, fact)| (name, of.to_vec(), fact.clone())).collect();
        let wanted = [
            ("own-fact", b"".to_vec(), Fact::Is(true)),
            ("rows", b"a".to_vec(), Fact::Count(5)),
            ("rows", b"b".to_vec(), Fact::Count(7)),
            ("version", b"".to_vec(), Fact::Text("16.2".into())),
        ];
        assert_eq!(found, wanted);
        assert_eq!(statement.get(KnownFact::Rows.name(), b"a"), Some(&Fact::Count(5)));
    }

    #[test]
    fn names_that_would_not_be_read_are_refused() {
        let mut statement = Statement::new();
        for name in ["", "A", "1a", "a b", "a_b", "\u{e9}", &"a".repeat(NAME_BYTES_MAX + 1)] {
            assert_eq!(statement.set(name, b"", 1), Err(BadFactName(name.to_owned())));
        }
        assert!(statement.set(&"a".repeat(NAME_BYTES_MAX), b"", 1).is_ok());
    }
}
