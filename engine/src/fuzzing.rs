//! The parsers, opened to the fuzz targets: each must take any bytes, and give back the ones it understood.
//!
//! Not part of the public API. Every function panics exactly when a promise is broken: a decoder panics by itself, or
//! a decoded value does not encode to the bytes it came from (two encodings of one value).

use crate::backend::Location;
use crate::backend::Name;
use crate::entry::EntryPath;
use crate::format::FormatError;
use crate::format::config::PrivateConfig;
use crate::format::config::PublicConfig;
use crate::format::gc::Mark;
use crate::format::gc::Tomb;
use crate::format::index;
use crate::format::index_parts;
use crate::format::index_reader;
use crate::format::keylist::KeyList;
use crate::format::keyslot;
use crate::format::keyslot::SlotHead;
use crate::format::pack;
use crate::format::page::Page;
use crate::format::snapshot::Snapshot;
use crate::format::wire::Fields;
use crate::squeeze::Squeezer;
use crate::squeeze::Unsqueezer;

/// Where the first segment stands in the packs that the targets make up.
const START: u32 = 56;
/// How long those packs are.
const PACK_LENGTH: u32 = 16 << 20;
/// Longest plaintext the target of the decompressor asks for.
const PLAIN_BYTES_MAX: usize = 1 << 20;

/// What was understood must encode to the bytes that were read.
fn same(again: Result<Vec<u8>, FormatError>, bytes: &[u8]) {
    assert_eq!(again.as_deref(), Ok(bytes), "a decoded value does not encode to the bytes it came from");
}

/// TLV fields of any object.
pub fn wire(bytes: &[u8]) {
    let mut fields = Fields::new(bytes);
    while let Ok(Some((_, mut value))) = fields.next_field() {
        let _ = value.list(4, |item| item.text());
        let _ = value.timestamp();
    }
}

/// The path of an entry.
pub fn entry_path(bytes: &[u8]) {
    if let Ok(path) = EntryPath::parse(bytes) {
        assert_eq!(path.as_bytes(), bytes);
        assert!(!path.name().is_empty());
        assert!(path.parent().is_none_or(|parent| parent < path && path.is_within(&parent)));
    }
}

/// The clear head of a pack, and its trailer.
pub fn pack_head(bytes: &[u8]) {
    if let (Ok(head), Some(first)) = (pack::head_decode(bytes), bytes.get(..pack::HEAD_BYTES)) {
        same(Ok(pack::head_encode(&head)), first);
    }
    let _ = pack::trailer_check(bytes);
}

/// The table of a pack, unsealed and unsqueezed, and the frame around it.
pub fn pack_table(bytes: &[u8]) {
    if let Ok(own) = pack::table_decode(bytes, START, PACK_LENGTH) {
        same(pack::table_encode(&own), bytes);
    }
    if let Ok(frame) = pack::table_frame_decode(bytes) {
        same(Ok(pack::table_frame_encode(&frame)), bytes);
    }
}

/// An index object: head and parts.
pub fn index_parts(bytes: &[u8]) {
    let Ok(head) = index_parts::head_decode(bytes) else { return };
    let Ok(parts) = index_parts::parts_decode(bytes, &head) else { return };
    let mut again = index_parts::head_encode(&head);
    for part in &parts {
        let length = u32::try_from(part.sealed.len()).expect("a part is at most a mebibyte");
        again.extend(index_parts::part_head_encode(length, part.squeezed, part.last));
        again.extend(part.sealed);
    }
    same(Ok(again), bytes);
}

/// The body of an index object, unsealed and unsqueezed.
pub fn index_body(bytes: &[u8]) {
    if let Ok(records) = index_reader::records_decode(bytes) {
        let mut table = crate::index::table::Index::empty();
        let none = std::collections::HashSet::new();
        table.add_records(records.clone(), &none).expect("one object has fewer chunks than can be counted");
        assert!(records.chunks.iter().all(|chunk| matches!(table.find(&chunk.id), Ok(Some(_)))));
    }
    if let Ok(body) = index::body_decode(bytes) {
        same(index::body_encode(&body), bytes);
    }
}

/// A catalog page of any kind.
pub fn page(bytes: &[u8]) {
    if let Ok((level, page)) = Page::decode_with_level(bytes) {
        same(page.encode(level), bytes);
    }
}

/// One entry: the input is a page of entries without its head.
pub fn entry(bytes: &[u8]) {
    page(&[&[1, 0, 1, 0, 0, 0], bytes].concat());
}

/// A recovery code as typed.
pub fn recovery_code(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let parsed = crate::crypto::recovery::parse(text).is_ok();
        assert_eq!(parsed, crate::crypto::recovery::parse(&text.to_ascii_lowercase()).is_ok(), "case does not matter");
    }
}

/// The content of a key file.
pub fn key_file(bytes: &[u8]) {
    let _ = crate::crypto::keyfile::parse(bytes);
}

/// The envelope of a small object.
pub fn envelope(bytes: &[u8]) {
    if let Ok((head, sealed)) = crate::format::envelope::Head::decode(bytes) {
        let plain_length = sealed.len().saturating_sub(16);
        let again = [head.encode(plain_length).as_slice(), sealed].concat();
        // A signature is passed over: it stands behind what is sealed, and nothing else does.
        let whole = if head.flags == 0 { bytes } else { bytes.get(..again.len()).unwrap_or_default() };
        same(Ok(again), whole);
    }
}

/// The public part of the config.
pub fn config_public(bytes: &[u8]) {
    if let Ok(parts) = PublicConfig::decode(bytes) {
        same(Ok(parts.public.encode()), parts.public_bytes);
        let _ = parts.public.missing_to_prune();
    }
}

/// The private part of the config, unsealed.
pub fn config_private(bytes: &[u8]) {
    if let Ok(config) = PrivateConfig::decode(bytes) {
        same(Ok(config.encode()), bytes);
    }
}

/// A key slot, the bundle it seals, and the body of a list of slots.
pub fn keyslot(bytes: &[u8]) {
    if let Ok((head, clear, sealed)) = SlotHead::decode(bytes) {
        same(head.encode(sealed.len()), clear);
    }
    // Few bytes that are made up have the right checksum.
    let summed = [bytes, &keyslot::sum(bytes)].concat();
    if let Ok((head, clear, sealed)) = SlotHead::decode(&summed) {
        same(head.encode(sealed.len()), clear);
    }
    let _ = keyslot::bundle_decode(bytes);
    if let Ok(list) = KeyList::decode(bytes) {
        same(Ok(list.encode()), bytes);
    }
}

/// The body of a snapshot record.
pub fn snapshot(bytes: &[u8]) {
    if let Ok(snapshot) = Snapshot::decode(bytes) {
        same(Ok(snapshot.encode()), bytes);
    }
}

/// The body of a mark or a tomb.
pub fn gc(bytes: &[u8]) {
    if let Ok(mark) = Mark::decode(bytes) {
        same(Ok(mark.encode()), bytes);
    }
    if let Ok(tomb) = Tomb::decode(bytes) {
        same(Ok(tomb.encode()), bytes);
    }
}

/// A location as typed.
pub fn location(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let parsed = Location::parse(text);
    if let Ok(Location::Local(path)) = &parsed {
        let path = path.to_string_lossy();
        assert!(!path.is_empty() && !path.contains('\0') && text.ends_with(path.as_ref()));
    }
    if text.starts_with('/') && !text.contains('\0') {
        assert!(parsed.is_ok_and(|location| location.to_string() == text), "an absolute path is taken as it is");
    }
}

/// The name of an object as a backend lists it.
pub fn object_name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(name) = Name::parse(text) {
        assert_eq!(name.to_string(), text, "a name has one spelling");
        assert!(name.area().is_none_or(|area| text.starts_with(area.prefix())));
    }
}

/// A stored length (four bytes, cut to a mebibyte) and a frame that claims to be so long unsqueezed.
pub fn unsqueeze(bytes: &[u8]) {
    let Some((length, frame)) = bytes.split_first_chunk::<4>() else { return };
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX).min(PLAIN_BYTES_MAX);
    let mut plain = Vec::new();
    let outcome = Unsqueezer::new().unsqueeze(frame, length, &mut plain);
    assert!(plain.capacity() <= length, "room for {} bytes was made for {length}", plain.capacity());
    assert_eq!(plain.len(), if outcome.is_ok() { length } else { 0 });
    let mut again = Vec::new();
    if outcome.is_ok()
        && Squeezer::new(1).is_ok_and(|mut squeezer| squeezer.squeeze(&plain, &mut again).is_ok_and(|helped| helped))
    {
        let mut back = Vec::new();
        assert_eq!(Unsqueezer::new().unsqueeze(&again, length, &mut back), Ok(()));
        assert!(back == plain, "what was squeezed comes back");
    }
}
