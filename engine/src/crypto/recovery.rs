//! The recovery code: a full-entropy secret that a person can write on paper and type back.

use crate::crypto::secret::Secret;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::random::Rng;
use zeroize::Zeroizing;

/// Crockford's base 32: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Symbols that are the secret: 140 bits.
const SECRET_SYMBOLS: usize = 28;
/// Symbols that catch typing mistakes: 20 bits.
const CHECK_SYMBOLS: usize = 4;
/// Symbols between two dashes.
const GROUP: usize = 4;
const CHECK: &str = "strongroom format 1: check symbols of a recovery code";

/// A fresh code (`XXXX-XXXX-...`, eight groups of four) and the secret in it, from 28 random bytes.
pub(crate) fn generate(rng: &dyn Rng) -> Result<(String, Secret)> {
    let mut random = Zeroizing::new([0u8; SECRET_SYMBOLS]);
    rng.fill(random.as_mut())?;
    let symbols: Zeroizing<Vec<u8>> = Zeroizing::new(random.iter().map(|byte| symbol(*byte)).collect());
    let check = check_symbols(&symbols);
    let mut code = String::with_capacity(SECRET_SYMBOLS + CHECK_SYMBOLS + 7);
    for (at, each) in symbols.iter().chain(&check).enumerate() {
        if at > 0 && at % GROUP == 0 {
            code.push('-');
        }
        code.push(char::from(*each));
    }
    Ok((code, Secret::new(symbols.to_vec())))
}

/// The secret in a code as typed: lower case, spaces and dashes anywhere, O for 0, I or L for 1 are all fine.
/// `WrongKey` when it is no code or has a typing mistake.
pub(crate) fn parse(code: &str) -> Result<Secret> {
    let mut symbols = Zeroizing::new(Vec::with_capacity(code.len()));
    for character in code.chars().filter(|character| !character.is_whitespace() && *character != '-') {
        match canonical(character) {
            Some(symbol) => symbols.push(symbol),
            None => return Err(mistake("it has a character that no recovery code has")),
        }
    }
    let Some((secret, check)) = symbols.split_at_checked(SECRET_SYMBOLS) else {
        return Err(mistake("it is too short"));
    };
    if check.len() != CHECK_SYMBOLS {
        return Err(mistake("a recovery code has 32 letters and digits"));
    }
    if check != check_symbols(secret) {
        return Err(mistake("its check symbols do not fit: a letter or digit is mistyped"));
    }
    Ok(Secret::new(secret))
}

fn mistake(why: &'static str) -> Error {
    Error::new(Kind::WrongKey, "cannot read the recovery code").because(why)
}

/// The symbol of the low five bits.
fn symbol(bits: u8) -> u8 {
    ALPHABET[usize::from(bits & 31)]
}

fn canonical(character: char) -> Option<u8> {
    let upper = match character.to_ascii_uppercase() {
        'O' => b'0',
        'I' | 'L' => b'1',
        other => u8::try_from(other).ok()?,
    };
    ALPHABET.contains(&upper).then_some(upper)
}

/// The first 20 bits, most significant first, of a hash of the 28 symbols.
fn check_symbols(secret: &[u8]) -> [u8; CHECK_SYMBOLS] {
    let hash = blake3::derive_key(CHECK, secret);
    let [a, b, c, ..] = hash;
    [a >> 3, a << 2 | b >> 6, b >> 1, b << 4 | c >> 4].map(symbol)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRng;

    #[test]
    fn the_code_of_a_seed_is_frozen() {
        let (code, secret) = generate(&SeededRng::new(1)).expect("seeded");
        assert_eq!(code, "EYEM-FW6R-W450-KX0Q-XZJW-SCSB-2E7V-7F34");
        assert_eq!(String::from_utf8_lossy(secret.expose()), "EYEMFW6RW450KX0QXZJWSCSB2E7V");
    }

    #[test]
    fn a_code_reads_back_however_it_is_typed() {
        for seed in 0..200 {
            let (code, secret) = generate(&SeededRng::new(seed)).expect("seeded");
            assert_eq!(code.len(), 39);
            let sloppy = code.to_lowercase().replace('0', "o").replace('1', "l").replace('-', " ");
            for typed in [code.clone(), sloppy, code.replace('-', ""), code.replace('1', "I"), format!(" {code}\n")] {
                assert_eq!(parse(&typed).expect("a good code").expose(), secret.expose(), "{typed}");
            }
        }
    }

    #[test]
    fn a_mistyped_code_is_found_out() {
        let (code, _) = generate(&SeededRng::new(2)).expect("seeded");
        for at in (0..code.len()).filter(|at| code.as_bytes()[*at] != b'-') {
            for wrong in ALPHABET.iter().filter(|wrong| **wrong != code.as_bytes()[at]) {
                let mut typed = code.clone().into_bytes();
                typed[at] = *wrong;
                let typed = String::from_utf8(typed).expect("ASCII");
                assert_eq!(parse(&typed).expect_err("mistyped").kind(), Kind::WrongKey, "{typed}");
            }
        }
        for typed in ["", "U", &code[..38], &format!("{code}0"), &code.replace('-', "*"), "\u{e9}"] {
            assert_eq!(parse(typed).expect_err("no code").kind(), Kind::WrongKey, "{typed}");
        }
    }
}
