//! Bytes that unlock a repository, kept from being printed, copied or left behind in memory.

use std::fmt;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// A passphrase, the content of a key file, or a recovery code as typed. Wiped when dropped; never printed.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes over the bytes. (Copies the caller made earlier are the caller's to wipe.)
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// True when there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes as given.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes in Unicode normalisation form C when they are UTF-8, so that the same passphrase typed on another
    /// keyboard or system is the same secret; other bytes as given.
    pub(crate) fn normalised(&self) -> Zeroizing<Vec<u8>> {
        let Ok(text) = std::str::from_utf8(&self.0) else {
            return self.0.clone();
        };
        // NFC at most triples the length of UTF-8; with room for it the buffer never moves and leaves no copy behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() * 3));
        for character in text.nfc() {
            let mut encoded = Zeroizing::new([0u8; 4]);
            bytes.extend_from_slice(character.encode_utf8(encoded.as_mut()).as_bytes());
        }
        bytes
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(..)");
    }

    #[test]
    fn the_same_word_from_two_keyboards_is_the_same_secret() {
        let composed = Secret::new("caf\u{e9} \u{212b}");
        let decomposed = Secret::new("cafe\u{301} A\u{30a}");
        assert_ne!(composed.expose(), decomposed.expose());
        assert_eq!(composed.normalised(), decomposed.normalised());
        assert_eq!(composed.normalised().as_slice(), "caf\u{e9} \u{c5}".as_bytes());
    }

    #[test]
    fn bytes_that_are_no_text_stay_as_they_are() {
        let bytes = [0xff, 0x00, 0x65, 0xcc, 0x81];
        assert_eq!(Secret::new(bytes).normalised().as_slice(), bytes);
        assert!(Secret::new("").is_empty());
    }
}
