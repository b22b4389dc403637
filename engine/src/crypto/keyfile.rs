//! The text form of a key file: one line that says what it is, so that no other file is taken for one.

use crate::crypto::secret::Secret;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::random::Rng;
use zeroize::Zeroizing;

const PREFIX: &[u8] = b"strongroom-key-1 ";
/// Bytes of the secret.
const BYTES: usize = 32;

/// A fresh key file's content (one line with its newline) and the secret in it.
pub(crate) fn generate(rng: &dyn Rng) -> Result<(String, Secret)> {
    let mut secret = Zeroizing::new([0u8; BYTES]);
    rng.fill(secret.as_mut())?;
    let mut text = String::with_capacity(PREFIX.len() + 2 * BYTES + 1);
    text.extend(PREFIX.iter().copied().map(char::from));
    for byte in secret.iter() {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    text.push('\n');
    Ok((text, Secret::new(secret.as_slice())))
}

/// The secret in a key file's content. White space around the line does not matter; anything else is `WrongKey`.
pub(crate) fn parse(content: &[u8]) -> Result<Secret> {
    let refused = |why: &'static str| Error::new(Kind::WrongKey, "cannot read the key file").because(why);
    let digits = content.trim_ascii().strip_prefix(PREFIX).ok_or_else(|| {
        refused("it does not begin with `strongroom-key-1`, so it is no key file or one of a newer program")
    })?;
    if digits.len() != 2 * BYTES {
        return Err(refused("it does not have 64 hexadecimal digits"));
    }
    let mut secret = Zeroizing::new([0u8; BYTES]);
    for (byte, pair) in secret.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
            let value = value.ok_or_else(|| refused("it has something else than hexadecimal digits"))?;
            *byte = *byte << 4 | value;
        }
    }
    Ok(Secret::new(secret.as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRng;

    #[test]
    fn the_key_file_of_a_seed_is_frozen() {
        let (text, _) = generate(&SeededRng::new(1)).expect("seeded");
        assert_eq!(text, "strongroom-key-1 4ebe4ed46fdc86789ce48560135d80b77d1f527cf98cd98b420e67db478416a6\n");
    }

    #[test]
    fn a_key_file_reads_back_with_any_line_ending() {
        let (text, secret) = generate(&SeededRng::new(3)).expect("seeded");
        let line = text.trim_end();
        for content in
            [text.clone(), line.to_owned(), format!("{line}\r\n"), line[..17].to_owned() + &line[17..].to_uppercase()]
        {
            assert_eq!(parse(content.as_bytes()).expect("a key file").expose(), secret.expose());
        }
    }

    #[test]
    fn other_files_are_no_key_files() {
        let (text, _) = generate(&SeededRng::new(3)).expect("seeded");
        for length in 0..text.len() - 1 {
            assert_eq!(parse(&text.as_bytes()[..length]).expect_err("cut").kind(), Kind::WrongKey);
        }
        for content in [text.replace("key-1", "key-2"), text.replacen(' ', "  ", 1), format!("{text}x"), "g".repeat(81)]
        {
            assert_eq!(parse(content.as_bytes()).expect_err("another file").kind(), Kind::WrongKey);
        }
    }
}
