//! Tests of sealing: frozen ciphertexts, and proof that every altered byte is noticed.

use super::*;
use crate::random::SeededRng;

/// Lower-case hexadecimal, for frozen vectors.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const REPOSITORY: RepositoryId = RepositoryId::from_bytes([0x11; 16]);
const HEAD: SegmentHead = SegmentHead { class: Class::Data, compression: 1, plain_length: 99 };
const PLAIN: &[u8] = b"what stands in a segment";

fn data_key(suite: Suite) -> Arc<DataKey> {
    let key = DataKey::random(DataKeyId::from_bytes([0x22; 16]), suite, &SeededRng::new(7)).expect("seeded");
    Arc::new(key)
}

fn sealed(suite: Suite) -> SealedSegment {
    let rng = SeededRng::new(8);
    let mut sealer = Sealer::new(data_key(suite), REPOSITORY, &rng).expect("seeded");
    sealer.seal(Vec::new(), &rng, HEAD, PLAIN).expect("seeded")
}

fn open(suite: Suite, head: SegmentHead, place: &Place, stored: &[u8]) -> Result<Vec<u8>, Unopened> {
    let mut into = b"left from before".to_vec();
    let outcome = Opener::new(REPOSITORY).open(&data_key(suite), head, place, stored, &mut into);
    if outcome.is_err() {
        assert!(into.is_empty(), "unauthenticated bytes were left behind");
    }
    outcome.map(|()| into)
}

#[test]
fn a_segment_of_suite_1_is_frozen() {
    let segment = sealed(Suite::XChaCha20Poly1305);
    assert_eq!(
        hex(segment.bytes()),
        "3e9a4fbd52e9dd0dc46ec058ae12c00f12bdee6fa8e7977076a977fdaf3a35599a1b13b31c90f1c5dba9b0c71f0a4be198273a95782d63e9ab9d79fec34c14a3"
    );
    assert_eq!(segment.place(), Place::Nonce);
}

#[test]
fn a_segment_of_suite_2_is_frozen() {
    let segment = sealed(Suite::Aes256Gcm);
    assert_eq!(
        hex(segment.bytes()),
        "3da64906794bc8721315ccfd6df9be05cf67866b0757d0f94ba225d6293d20a05445de04004024ee"
    );
    let Place::Counter { salt, number } = segment.place() else { panic!("suite 2 counts") };
    assert_eq!(hex(&salt), "3e9a4fbd52e9dd0dc46ec058ae12c00f12bdee6fa8e797706e2181dca97b6b38");
    assert_eq!(number, 0);
}

#[test]
fn the_aad_of_a_segment_and_a_wrapped_key_are_frozen() {
    let key = data_key(Suite::Aes256Gcm);
    assert_eq!(
        hex(&HEAD.aad(key.id, &REPOSITORY)),
        "7365676d656e740101630000002222222222222222222222222222222211111111111111111111111111111111"
    );
    assert_eq!(hex(&key.wrapped_body()), "02ef015fccad44dcda0efe60351a22b0d66b12c2b7f9322ac536de41b759afbf2b");
    assert_eq!(
        hex(&data_key(Suite::XChaCha20Poly1305).wrapped_body()),
        "01ef015fccad44dcda0efe60351a22b0d66b12c2b7f9322ac536de41b759afbf2b"
    );
}

#[test]
fn a_small_object_is_frozen() {
    let key = ObjectKey::from_bytes([3; 32]);
    assert_eq!(hex(&seal_object(&key, b"aad", [4; 24], b"")), "4739759565a41af3ae4c1e06ad1a9a44");
    assert_eq!(hex(&seal_object(&key, b"aad", [4; 24], b"body")), "0b8c9b6d36b4d5ad51801e873eedf64cdce8f1d8");
}

#[test]
fn what_was_sealed_opens_again_and_a_reused_buffer_holds_nothing_else() {
    for suite in [Suite::XChaCha20Poly1305, Suite::Aes256Gcm] {
        let rng = SeededRng::new(1);
        let key = data_key(suite);
        let mut sealer = Sealer::new(Arc::clone(&key), REPOSITORY, &rng).expect("seeded");
        let mut opener = Opener::new(REPOSITORY);
        let mut into = Vec::new();
        for length in [0usize, 1, 5000, 3, 100_000, 0, 17] {
            let plain: Vec<u8> = (0..length).map(|at| at.to_le_bytes()[0]).collect();
            let segment = sealer.seal(Vec::new(), &rng, HEAD, &plain).expect("seeded");
            opener.open(&key, segment.head(), &segment.place(), segment.bytes(), &mut into).expect("authentic");
            assert_eq!(into, plain);
            assert_eq!(segment.data_key(), key.id);
            let overhead = if suite == Suite::Aes256Gcm { TAG_BYTES } else { TAG_BYTES + NONCE_BYTES };
            assert_eq!(segment.into_bytes().len(), length + overhead);
        }
    }
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_segment_is_noticed() {
    for suite in [Suite::XChaCha20Poly1305, Suite::Aes256Gcm] {
        let segment = sealed(suite);
        assert_eq!(open(suite, HEAD, &segment.place(), segment.bytes()), Ok(PLAIN.to_vec()));
        for bit in 0..segment.bytes().len() * 8 {
            let mut bytes = segment.bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(suite, HEAD, &segment.place(), &bytes), Err(Unopened), "bit {bit}");
        }
        for length in 0..segment.bytes().len() {
            assert_eq!(open(suite, HEAD, &segment.place(), &segment.bytes()[..length]), Err(Unopened));
        }
        let longer = [segment.bytes(), &[0]].concat();
        assert_eq!(open(suite, HEAD, &segment.place(), &longer), Err(Unopened));
    }
}

#[test]
fn a_segment_opens_only_as_what_it_is_and_where_it_belongs() {
    for suite in [Suite::XChaCha20Poly1305, Suite::Aes256Gcm] {
        let segment = sealed(suite);
        for head in [
            SegmentHead { class: Class::Metadata, ..HEAD },
            SegmentHead { compression: 0, ..HEAD },
            SegmentHead { plain_length: 100, ..HEAD },
        ] {
            assert_eq!(open(suite, head, &segment.place(), segment.bytes()), Err(Unopened), "{head:?}");
        }
        let mut into = Vec::new();
        let mut elsewhere = Opener::new(RepositoryId::from_bytes([0x12; 16]));
        assert!(elsewhere.open(&data_key(suite), HEAD, &segment.place(), segment.bytes(), &mut into).is_err());
        let body = data_key(suite).wrapped_body();
        let renamed = DataKey::from_wrapped_body(DataKeyId::from_bytes([0x23; 16]), &body).expect("a good body");
        let mut opener = Opener::new(REPOSITORY);
        assert!(opener.open(&renamed, HEAD, &segment.place(), segment.bytes(), &mut into).is_err());
    }
    let segment = sealed(Suite::Aes256Gcm);
    let Place::Counter { salt, number } = segment.place() else { panic!("suite 2 counts") };
    let mut other_salt = salt;
    other_salt[31] ^= 1;
    for place in
        [Place::Nonce, Place::Counter { salt, number: number + 1 }, Place::Counter { salt: other_salt, number }]
    {
        assert_eq!(open(Suite::Aes256Gcm, HEAD, &place, segment.bytes()), Err(Unopened), "{place:?}");
    }
    let segment = sealed(Suite::XChaCha20Poly1305);
    let place = Place::Counter { salt, number };
    assert_eq!(open(Suite::XChaCha20Poly1305, HEAD, &place, segment.bytes()), Err(Unopened));
}

#[test]
fn every_flipped_byte_and_every_cut_of_a_small_object_is_noticed() {
    let key = ObjectKey::from_bytes([3; 32]);
    let sealed = seal_object(&key, b"aad", [4; 24], PLAIN);
    assert_eq!(open_object(&key, b"aad", &[4; 24], &sealed).expect("authentic").as_slice(), PLAIN);
    for at in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[at] ^= 0x40;
        assert_eq!(open_object(&key, b"aad", &[4; 24], &altered), Err(Unopened));
        assert_eq!(open_object(&key, b"aad", &[4; 24], &sealed[..at]), Err(Unopened));
    }
    assert_eq!(open_object(&key, b"add", &[4; 24], &sealed), Err(Unopened));
    assert_eq!(open_object(&key, b"aad", &[5; 24], &sealed), Err(Unopened));
    assert_eq!(open_object(&ObjectKey::from_bytes([2; 32]), b"aad", &[4; 24], &sealed), Err(Unopened));
}

#[test]
fn no_salt_and_number_is_used_twice_and_a_full_salt_is_left() {
    let rng = SeededRng::new(1);
    let mut sealer = Sealer::new(data_key(Suite::Aes256Gcm), REPOSITORY, &rng).expect("seeded");
    let mut seen = std::collections::HashSet::new();
    for _ in 0..SEGMENTS_PER_SALT + 3 {
        let Place::Counter { salt, number } = sealer.seal(Vec::new(), &rng, HEAD, b"").expect("seeded").place() else {
            panic!("suite 2 counts")
        };
        assert!(number < SEGMENTS_PER_SALT);
        assert!(seen.insert((salt, number)));
    }
    let salts: std::collections::HashSet<_> = seen.iter().map(|(salt, _)| *salt).collect();
    assert_eq!(salts.len(), 2);
}

#[test]
fn an_opener_keeps_a_bounded_number_of_keys() {
    let rng = SeededRng::new(1);
    let key = data_key(Suite::Aes256Gcm);
    let mut opener = Opener::new(REPOSITORY);
    let segments: Vec<SealedSegment> = (0..CACHED_KEYS_MAX + 10)
        .map(|_| {
            Sealer::new(Arc::clone(&key), REPOSITORY, &rng)
                .and_then(|mut sealer| sealer.seal(Vec::new(), &rng, HEAD, PLAIN))
        })
        .collect::<Result<_>>()
        .expect("seeded");
    let mut into = Vec::new();
    for segment in segments.iter().chain(&segments) {
        opener.open(&key, HEAD, &segment.place(), segment.bytes(), &mut into).expect("authentic");
        assert_eq!(into, PLAIN);
        assert!(opener.keys.len() <= CACHED_KEYS_MAX);
    }
}

#[test]
fn a_data_key_body_of_another_length_or_suite_is_refused() {
    let id = DataKeyId::from_bytes([1; 16]);
    let body = data_key(Suite::Aes256Gcm).wrapped_body();
    assert_eq!(DataKey::from_wrapped_body(id, &body).expect("a good body").suite, Suite::Aes256Gcm);
    for length in 0..body.len() {
        assert_eq!(DataKey::from_wrapped_body(id, &body[..length]).expect_err("cut"), BadDataKey::Length);
    }
    for suite in [0u8, 3, 255] {
        let mut body = body.to_vec();
        body[0] = suite;
        let error = DataKey::from_wrapped_body(id, &body).expect_err("unknown");
        assert_eq!(error, BadDataKey::Suite(UnknownSuite(suite.into())));
    }
    assert_eq!(Suite::try_from(Suite::fastest().byte()), Ok(Suite::fastest()));
    assert!(!format!("{:?}", data_key(Suite::Aes256Gcm)).contains(&hex(&body[1..5])));
}

#[test]
fn what_a_small_object_held_is_wiped_and_never_moves() {
    let key = ObjectKey::from_bytes([1; 32]);
    let sealed = seal_object(&key, b"aad", [4; 24], &[7; 33]);
    // The type wipes when dropped; a buffer that never grew left no copy behind.
    let opened: zeroize::Zeroizing<Vec<u8>> = open_object(&key, b"aad", &[4; 24], &sealed).expect("authentic");
    assert_eq!(opened.capacity(), sealed.len());
}
