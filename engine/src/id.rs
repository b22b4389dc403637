//! Names of things: fixed-width identifiers that cannot be mistaken for one another.

use std::fmt;

/// Declares one kind of identifier: `n` bytes, shown as lower-case hexadecimal.
macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// Width in bytes.
            pub const BYTES: usize = $bytes;

            /// An identifier read back from a repository or made by its owner room.
            pub(crate) const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            /// Parses exactly the full lower-case hexadecimal form.
            pub fn from_hex(text: &str) -> Option<Self> {
                let mut bytes = [0u8; $bytes];
                decode_hex(text, &mut bytes).then_some(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

identifier!(
    /// Keyed BLAKE3-256 of a chunk's plaintext; made only by `crypto::name::NameKey`.
    ChunkId, 32
);
identifier!(
    /// BLAKE3-256 of a pack's stored bytes: its object name.
    PackId, 32
);
identifier!(
    /// BLAKE3-256 of an index object's stored bytes: its object name.
    IndexId, 32
);
identifier!(
    /// A snapshot, and the session that writes it.
    SnapshotId, 16
);
identifier!(
    /// A repository; random, chosen at creation.
    RepositoryId, 16
);
identifier!(
    /// A wrapped data key in `keys/data`.
    DataKeyId, 16
);
identifier!(
    /// A list of key slots in `keys/list`; random.
    KeyListId, 16
);
identifier!(
    /// A way to unlock, in `keys/slot`.
    SlotId, 8
);

fn decode_hex(text: &str, into: &mut [u8]) -> bool {
    let digits = text.as_bytes();
    if digits.len() != into.len() * 2 {
        return false;
    }
    for (byte, pair) in into.iter_mut().zip(digits.chunks_exact(2)) {
        match pair {
            [high, low] => match (hex_digit(*high), hex_digit(*low)) {
                (Some(high), Some(low)) => *byte = high << 4 | low,
                _ => return false,
            },
            _ => return false,
        }
    }
    true
}

const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_form_reads_back() {
        let id = SlotId::from_bytes([0, 1, 0x7f, 0x80, 0xff, 0xab, 0xcd, 0xef]);
        assert_eq!(id.to_string(), "00017f80ffabcdef");
        assert_eq!(SlotId::from_hex("00017f80ffabcdef"), Some(id));
    }

    #[test]
    fn other_spellings_are_not_names() {
        for text in ["", "00017f80ffabcde", "00017F80FFABCDEF", "00017f80ffabcdeg", "00017f80ffabcdef0"] {
            assert_eq!(SlotId::from_hex(text), None, "{text}");
        }
    }
}
