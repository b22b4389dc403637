//! Bytes and structs: every object of a repository, encoded and decoded, with no I/O and no keys.
//!
//! The normative text is `docs/FORMAT.md`; this room is that text as code. Three rules hold everywhere:
//!
//! - **Decoding is total.** Any bytes whatever give a struct or a [`FormatError`], never a panic, and no allocation is
//!   sized by a number that was not first compared with the bytes at hand or with `limits`.
//! - **One encoding per value.** Fields ascend, nothing is optional twice, nothing may follow the end. So a decoded
//!   object encodes to the bytes it came from, and there is nothing to hide data in.
//! - **Not understood is not damaged.** A higher version, an unknown tag or flag is [`FormatError::is_unsupported`];
//!   everything else that does not fit is damage. The two never share a message or an exit code.
//!
//! `wire` holds the primitives. The other files hold one object each. What is sealed and what stands in the clear is
//! decided here (by giving the two parts apart); sealing itself is done by `crypto`, and `store` brings them together.

pub(crate) mod config;
pub(crate) mod entry;
pub(crate) mod envelope;
pub(crate) mod gc;
pub(crate) mod index;
pub(crate) mod index_parts;
pub(crate) mod index_reader;
pub(crate) mod keylist;
pub(crate) mod keyslot;
pub(crate) mod pack;
pub(crate) mod page;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod seeds;
pub(crate) mod segment;
pub(crate) mod snapshot;
pub(crate) mod statement;
#[cfg(test)]
pub(crate) mod vectors;
pub(crate) mod wire;

use crate::error::Error;
use crate::error::Kind;
use std::fmt;

/// Why bytes are not the object they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormatError {
    /// The bytes end before the object does.
    #[error("it ends too early: {missing} bytes are missing")]
    Truncated {
        /// How many more bytes the field at the end needed.
        missing: usize,
    },
    /// The object ends before the bytes do.
    #[error("{count} bytes follow its end")]
    TrailingBytes {
        /// How many.
        count: usize,
    },
    /// It does not begin as this kind of object begins.
    #[error("it does not begin like {object}")]
    BadMagic {
        /// What was expected, with its article.
        object: &'static str,
    },
    /// Another version of the format.
    #[error("it has format version {found}; this program knows version {known}")]
    Version {
        /// The version it states.
        found: u16,
        /// The only version known here.
        known: u16,
    },
    /// It uses something this program does not know.
    #[error("it needs something this program does not know: {0}")]
    Unsupported(String),
    /// A number is larger than any writer would have written.
    #[error("{what} is {found}, more than the limit of {limit}")]
    TooLarge {
        /// Which number.
        what: &'static str,
        /// Its value.
        found: u64,
        /// The largest one allowed.
        limit: u64,
    },
    /// Well-formed bytes that contradict themselves or the format.
    #[error("{0}")]
    Invalid(&'static str),
}

impl FormatError {
    /// True when a newer program may understand the object: it is not damaged as far as can be told.
    pub(crate) fn is_unsupported(&self) -> bool {
        matches!(self, Self::Version { .. } | Self::Unsupported(_))
    }

    /// The engine's error about the stored object `what` ("snapshot 12ab..").
    pub(crate) fn while_reading(self, what: impl fmt::Display) -> Error {
        if self.is_unsupported() {
            Error::new(Kind::Unsupported, format!("{what} was written by a newer program")).because(self)
        } else {
            Error::new(Kind::Damaged, format!("{what} is damaged")).because(self)
        }
    }
}

#[cfg(test)]
pub(crate) mod damage;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_understood_and_damaged_are_told_apart() {
        let newer = FormatError::Version { found: 2, known: 1 };
        let torn = FormatError::Truncated { missing: 3 };
        assert_eq!(newer.while_reading("the config").kind(), Kind::Unsupported);
        assert_eq!(FormatError::Unsupported("field 9".into()).while_reading("the config").kind(), Kind::Unsupported);
        let error = torn.while_reading("the config");
        assert_eq!(error.kind(), Kind::Damaged);
        assert_eq!(error.to_string(), "the config is damaged");
    }
}
