//! What every decoder must survive, written once for the tests of all objects.

use crate::format::FormatError;

/// Lower-case hexadecimal, for frozen vectors.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// For bytes that are sealed as a whole. `again` decodes and encodes once more. Every cut and every longer form is an
/// error; every altered byte is an error or another value: whatever decodes has exactly one encoding.
pub(crate) fn survives(bytes: &[u8], again: impl Fn(&[u8]) -> Result<Vec<u8>, FormatError>) {
    assert_eq!(again(bytes).expect("the good object"), bytes);
    for length in 0..bytes.len() {
        again(&bytes[..length]).expect_err("cut short");
    }
    again(&[bytes, &[0]].concat()).expect_err("one byte too long");
    altered(bytes, |altered, at| {
        if let Ok(encoded) = again(altered) {
            assert_eq!(encoded, altered, "byte {at}");
        }
    });
}

/// For objects with clear fields in front of a ciphertext. `parts` gives what the cipher is asked to open: nonce,
/// associated data, ciphertext. Every altered byte must be an error or change one of the three, so that opening fails.
pub(crate) fn is_bound<T: PartialEq + std::fmt::Debug>(bytes: &[u8], parts: impl Fn(&[u8]) -> Result<T, FormatError>) {
    let good = parts(bytes).expect("the good object");
    for length in 0..bytes.len() {
        parts(&bytes[..length]).expect_err("cut short");
    }
    parts(&[bytes, &[0]].concat()).expect_err("one byte too long");
    altered(bytes, |altered, at| {
        if let Ok(parts) = parts(altered) {
            assert_ne!(parts, good, "byte {at} is bound by nothing");
        }
    });
}

fn altered(bytes: &[u8], check: impl Fn(&[u8], usize)) {
    for at in 0..bytes.len() {
        for change in [0x01, 0x02, 0x10, 0x80, 0xff] {
            let mut altered = bytes.to_vec();
            altered[at] ^= change;
            check(&altered, at);
        }
    }
}
