//! One entry as bytes: its path against the one before it, a bit for every field it has, then those fields.
//!
//! A field equal to its default is left out, and one that is there must differ from it: one encoding per value. Bits
//! that this program does not know are refused, so they need no lengths.

use crate::entry::BY_SIZE;
use crate::entry::ChunkRef;
use crate::entry::Chunking;
use crate::entry::Content;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::entry::Extent;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::entry::Xattr;
use crate::format::FormatError;
use crate::format::pack::check_chunk_length;
use crate::format::segment::column;
use crate::format::segment::count_u16;
use crate::format::segment::too_large;
use crate::format::wire::BAD_TIME;
use crate::format::wire::Reader;
use crate::format::wire::Writer;
use crate::format::wire::size;
use crate::id::ChunkId;
use crate::limits::CHANGE_TOKEN_BYTES_MAX;
use crate::limits::CHUNKS_INLINE_MAX;
use crate::limits::PAGE_BYTES_MAX;
use crate::limits::PATH_BYTES_MAX;
use crate::limits::XATTR_BYTES_MAX;
use crate::limits::XATTRS_BYTES_MAX;
use crate::time::Timestamp;
use std::cmp::Ordering;

const MODE: u32 = 1;
const UID: u32 = 1 << 1;
const GID: u32 = 1 << 2;
const USER: u32 = 1 << 3;
const GROUP: u32 = 1 << 4;
const MODIFIED: u32 = 1 << 5;
const CHANGED: u32 = 1 << 6;
const BORN: u32 = 1 << 7;
const SIZE: u32 = 1 << 8;
const LINKS: u32 = 1 << 9;
const DEVICE: u32 = 1 << 10;
const INODE: u32 = 1 << 11;
const FLAGS: u32 = 1 << 12;
const RDEV: u32 = 1 << 13;
const TARGET: u32 = 1 << 14;
const XATTRS: u32 = 1 << 15;
const EXTENTS: u32 = 1 << 16;
const INLINE: u32 = 1 << 17;
const TREE: u32 = 1 << 18;
const WARNINGS: u32 = 1 << 19;
const HASH: u32 = 1 << 20;
const CHUNKING: u32 = 1 << 21;
const TOKEN: u32 = 1 << 22;
const KNOWN: u32 = (1 << 23) - 1;

const MODE_MAX: u32 = 0o7777;
const NOT_DEFAULT: FormatError = FormatError::Invalid("a field of an entry is spelled out though it has its default");

/// Least bytes of an entry: shared, length, one byte of path, kind, bits.
pub(crate) const ENTRY_BYTES_MIN: usize = 2 + 2 + 1 + 1 + 4;

/// Appends `path` as the number of leading bytes it shares with `previous`, and the rest.
pub(crate) fn path_encode(writer: &mut Writer, previous: &[u8], path: &[u8]) {
    let shared = shared_bytes(previous, path);
    let suffix = path.get(shared..).unwrap_or_default();
    let short = |length: usize| u16::try_from(length).expect("a path is at most PATH_BYTES_MAX, which fits two bytes");
    writer.u16(short(shared)).u16(short(suffix.len())).bytes(suffix);
}

/// How many leading bytes two paths share.
pub(crate) fn shared_bytes(previous: &[u8], path: &[u8]) -> usize {
    previous.iter().zip(path).take_while(|(a, b)| a == b).count()
}

/// Reads a path against the one before it (`None` at the start of a page) and refuses it unless it comes later.
pub(crate) fn path_decode(reader: &mut Reader<'_>, previous: Option<&EntryPath>) -> Result<EntryPath, FormatError> {
    let shared = usize::from(reader.u16()?);
    let suffix_length = usize::from(reader.u16()?);
    let suffix = reader.bytes(suffix_length)?;
    let before = previous.map(EntryPath::as_bytes).unwrap_or_default();
    let (kept, rest) = before
        .split_at_checked(shared)
        .ok_or(FormatError::Invalid("a path shares more bytes with the one before it than that one has"))?;
    // The order of paths, seen at the first byte that differs: `/` comes before every other byte.
    let rank = |byte: &u8| if *byte == b'/' { 0u16 } else { u16::from(*byte) + 1 };
    match rest.first().map(rank).cmp(&suffix.first().map(rank)) {
        Ordering::Less => {}
        Ordering::Equal if previous.is_none() => return Err(FormatError::Invalid("a path is empty")),
        Ordering::Equal => return Err(FormatError::Invalid("a path shares more with the one before it than stated")),
        Ordering::Greater => return Err(FormatError::Invalid("the paths of a page are out of order")),
    }
    if kept.len() + suffix.len() > PATH_BYTES_MAX {
        return Err(too_large("the length of a path", kept.len() + suffix.len(), PATH_BYTES_MAX));
    }
    let parsed = if kept.is_empty() { EntryPath::parse(suffix) } else { EntryPath::parse(&[kept, suffix].concat()) };
    parsed.map_err(|_| FormatError::Invalid("a path is empty, or has a NUL, or a component that is empty, '.' or '..'"))
}

/// The bits of the fields that `entry` has.
fn fields(entry: &Entry) -> u32 {
    let Metadata { kind, mode, uid, gid, user, group, modified, changed, born, .. } = &entry.metadata;
    let Metadata { size, links, device, inode, xattrs, flags, extents, .. } = &entry.metadata;
    let none = Timestamp::default();
    let bit = |there: bool, bit: u32| if there { bit } else { 0 };
    bit(*mode != 0, MODE)
        | bit(*uid != 0, UID)
        | bit(*gid != 0, GID)
        | bit(!user.is_empty(), USER)
        | bit(!group.is_empty(), GROUP)
        | bit(*modified != none, MODIFIED)
        | bit(*changed != none, CHANGED)
        | bit(born.is_some(), BORN)
        | bit(*size != entry.content.bytes(), SIZE)
        | bit(*links != 1, LINKS)
        | bit(*device != 0, DEVICE)
        | bit(*inode != 0, INODE)
        | bit(*flags != 0, FLAGS)
        | bit(rdev(kind) != 0, RDEV)
        | bit(!target(kind).is_empty(), TARGET)
        | bit(!xattrs.is_empty(), XATTRS)
        | bit(extents.is_some(), EXTENTS)
        | bit(matches!(entry.content, Content::Inline(_)), INLINE)
        | bit(matches!(entry.content, Content::Tree { .. }), TREE)
        | bit(!entry.warnings.is_empty(), WARNINGS)
        | bit(entry.hash.is_some(), HASH)
        | bit(entry.chunking.is_some(), CHUNKING)
        | bit(entry.change_token.is_some(), TOKEN)
}

/// Exactly how many bytes [`body_encode`] appends for `entry`, without encoding it.
pub(crate) fn body_length(entry: &Entry) -> usize {
    const WIDTHS: [(u32, usize); 13] = [
        (MODE, 2),
        (UID | GID, 4),
        (MODIFIED | CHANGED | BORN, 12),
        (SIZE | LINKS | DEVICE, 8),
        (INODE | RDEV, 8),
        (FLAGS, 4),
        (USER | GROUP, 2),
        (TARGET | XATTRS | WARNINGS | TOKEN, 2),
        (EXTENTS, 4),
        (INLINE, 1),
        (TREE, ChunkId::BYTES + 20),
        (HASH, 32),
        (CHUNKING, 13),
    ];
    let bits = fields(entry);
    let fixed: usize = WIDTHS.iter().map(|(mask, width)| size((bits & mask).count_ones()) * width).sum();
    let Metadata { kind, user, group, xattrs, extents, .. } = &entry.metadata;
    let names = user.len() + group.len() + target(kind).len();
    let xattrs: usize = xattrs.iter().map(|xattr| 6 + xattr.name.len() + xattr.value.len()).sum();
    let extents = extents.as_ref().map_or(0, |extents| extents.len() * 16);
    let warnings: usize = entry.warnings.iter().map(|warning| 2 + warning.len()).sum();
    let chunks = match &entry.content {
        Content::Inline(chunks) => chunks.len() * (ChunkId::BYTES + 4),
        _ => 0,
    };
    let token = entry.change_token.as_ref().map_or(0, Vec::len);
    5 + fixed + names + xattrs + extents + warnings + chunks + token
}

/// Appends everything of `entry` but its path. Refuses what [`body_decode`] would refuse; `writer` is then to be dropped.
pub(crate) fn body_encode(writer: &mut Writer, entry: &Entry) -> Result<(), FormatError> {
    check(entry)?;
    let bits = fields(entry);
    let Metadata { kind, user, group, modified, changed, born, xattrs, extents, .. } = &entry.metadata;
    let metadata = &entry.metadata;
    writer.u8(kind_byte(kind)).u32(bits);
    if bits & MODE != 0 {
        writer.u16(u16::try_from(metadata.mode).expect("checked to be at most 0o7777"));
    }
    for (bit, number) in [(UID, metadata.uid), (GID, metadata.gid)] {
        if bits & bit != 0 {
            writer.u32(number);
        }
    }
    for name in [user, group].into_iter().filter(|name| !name.is_empty()) {
        writer.u16(count_u16("the length of a user or group name", name.len(), usize::from(u16::MAX))?).bytes(name);
    }
    for (bit, time) in [(MODIFIED, *modified), (CHANGED, *changed), (BORN, born.unwrap_or_default())] {
        if bits & bit != 0 {
            writer.timestamp(time);
        }
    }
    let numbers = [(SIZE, metadata.size), (LINKS, metadata.links), (DEVICE, metadata.device), (INODE, metadata.inode)];
    for (bit, number) in numbers {
        if bits & bit != 0 {
            writer.u64(number);
        }
    }
    if bits & FLAGS != 0 {
        writer.u32(metadata.flags);
    }
    if bits & RDEV != 0 {
        writer.u64(rdev(kind));
    }
    if bits & TARGET != 0 {
        let target = target(kind);
        writer.u16(count_u16("the length of a link target", target.len(), PATH_BYTES_MAX)?).bytes(target);
    }
    if bits & XATTRS != 0 {
        encode_xattrs(writer, xattrs)?;
    }
    if let Some(extents) = extents {
        writer.list(extents, |writer, extent| {
            writer.u64(extent.offset).u64(extent.length);
        });
    }
    encode_content(writer, &entry.content);
    if bits & WARNINGS != 0 {
        writer.u16(count_u16("the warnings of an entry", entry.warnings.len(), usize::from(u16::MAX))?);
        for warning in &entry.warnings {
            let length = count_u16("the length of a warning", warning.len(), usize::from(u16::MAX))?;
            writer.u16(length).bytes(warning.as_bytes());
        }
    }
    if let Some(hash) = &entry.hash {
        writer.bytes(hash);
    }
    if let Some(Chunking { chunker, sizes }) = &entry.chunking {
        writer.u8(*chunker);
        sizes.iter().for_each(|bytes| _ = writer.u32(*bytes));
    }
    if let Some(token) = &entry.change_token {
        writer.u16(count_u16("the length of a change token", token.len(), CHANGE_TOKEN_BYTES_MAX)?).bytes(token);
    }
    Ok(())
}

fn encode_xattrs(writer: &mut Writer, xattrs: &[Xattr]) -> Result<(), FormatError> {
    writer.u16(count_u16("the number of extended attributes", xattrs.len(), usize::from(u16::MAX))?);
    for Xattr { name, value } in xattrs {
        let length = count_u16("the length of an attribute's name", name.len(), usize::from(u16::MAX))?;
        writer.u16(length).bytes(name).block(value);
    }
    Ok(())
}

fn encode_content(writer: &mut Writer, content: &Content) {
    match content {
        Content::Empty => {}
        Content::Inline(chunks) => {
            writer.u8(u8::try_from(chunks.len()).expect("checked to be at most CHUNKS_INLINE_MAX"));
            for chunk in chunks {
                writer.bytes(chunk.id.as_bytes()).u32(chunk.length);
            }
        }
        Content::Tree { root, length, chunks, bytes } => {
            writer.bytes(root.as_bytes()).u32(*length).u64(*chunks).u64(*bytes);
        }
    }
}

/// Reads everything of an entry but its path.
pub(crate) fn body_decode(reader: &mut Reader<'_>, path: EntryPath) -> Result<Entry, FormatError> {
    let kind = reader.u8()?;
    let bits = reader.u32()?;
    if bits & !KNOWN != 0 {
        return Err(FormatError::Unsupported(format!("fields {:#x} of an entry", bits & !KNOWN)));
    }
    let there = |bit: u32| bits & bit != 0;
    let mut metadata = Metadata::new(FileKind::File);
    if there(MODE) {
        metadata.mode = u32::from(reader.u16()?);
    }
    if there(UID) {
        metadata.uid = reader.u32()?;
    }
    if there(GID) {
        metadata.gid = reader.u32()?;
    }
    if there(USER) {
        metadata.user = short_bytes(reader)?.to_vec();
    }
    if there(GROUP) {
        metadata.group = short_bytes(reader)?.to_vec();
    }
    if there(MODIFIED) {
        metadata.modified = reader.timestamp()?;
    }
    if there(CHANGED) {
        metadata.changed = reader.timestamp()?;
    }
    if there(BORN) {
        metadata.born = Some(reader.timestamp()?);
    }
    let stated_size = if there(SIZE) { Some(reader.u64()?) } else { None };
    if there(LINKS) {
        metadata.links = reader.u64()?;
    }
    if there(DEVICE) {
        metadata.device = reader.u64()?;
    }
    if there(INODE) {
        metadata.inode = reader.u64()?;
    }
    if there(FLAGS) {
        metadata.flags = reader.u32()?;
    }
    let rdev = if there(RDEV) { reader.u64()? } else { 0 };
    let target = if there(TARGET) { short_bytes(reader)? } else { &[] };
    metadata.kind = decode_kind(kind, rdev, target)?;
    if there(XATTRS) {
        metadata.xattrs = decode_xattrs(reader)?;
    }
    if there(EXTENTS) {
        metadata.extents = Some(decode_extents(reader)?);
    }
    let content = decode_content(reader, there(INLINE), there(TREE))?;
    metadata.size = stated_size.unwrap_or(content.bytes());
    let warnings = if there(WARNINGS) { decode_warnings(reader)? } else { Vec::new() };
    let hash = if there(HASH) { Some(reader.array()?) } else { None };
    let chunking = if there(CHUNKING) { Some(decode_chunking(reader)?) } else { None };
    let change_token = if there(TOKEN) { Some(short_bytes(reader)?.to_vec()) } else { None };
    let entry = Entry { path, metadata, content, warnings, hash, chunking, change_token };
    check(&entry)?;
    // What was spelled out and equals its default (also: a device number or a target that the kind has no use for).
    if fields(&entry) == bits { Ok(entry) } else { Err(NOT_DEFAULT) }
}

fn short_bytes<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], FormatError> {
    let length = usize::from(reader.u16()?);
    reader.bytes(length)
}

fn decode_xattrs(reader: &mut Reader<'_>) -> Result<Vec<Xattr>, FormatError> {
    let count = usize::from(reader.u16()?);
    let mut xattrs = Vec::with_capacity(count.min(reader.remaining() / 6));
    for _ in 0..count {
        xattrs.push(Xattr { name: short_bytes(reader)?.to_vec(), value: reader.block()?.to_vec() });
    }
    Ok(xattrs)
}

fn decode_extents(reader: &mut Reader<'_>) -> Result<Vec<Extent>, FormatError> {
    reader.list(16, |reader| Ok(Extent { offset: reader.u64()?, length: reader.u64()? }))
}

fn decode_content(reader: &mut Reader<'_>, inline: bool, tree: bool) -> Result<Content, FormatError> {
    match (inline, tree) {
        (false, false) => Ok(Content::Empty),
        (true, false) => {
            let count = usize::from(reader.u8()?);
            let rows = column::<{ ChunkId::BYTES + 4 }>(reader, count)?;
            rows.iter().map(chunk_decode).collect::<Result<_, _>>().map(Content::Inline)
        }
        (false, true) => {
            let root = ChunkId::from_bytes(reader.array()?);
            Ok(Content::Tree { root, length: reader.u32()?, chunks: reader.u64()?, bytes: reader.u64()? })
        }
        (true, true) => Err(FormatError::Invalid("an entry has two contents")),
    }
}

/// Reads a chunk reference: id 32, length 4.
pub(crate) fn chunk_decode(row: &[u8; ChunkId::BYTES + 4]) -> Result<ChunkRef, FormatError> {
    let mut reader = Reader::new(row);
    let chunk = ChunkRef { id: ChunkId::from_bytes(reader.array()?), length: reader.u32()? };
    check_chunk_length(chunk.length)?;
    Ok(chunk)
}

fn decode_warnings(reader: &mut Reader<'_>) -> Result<Vec<String>, FormatError> {
    let count = usize::from(reader.u16()?);
    let mut warnings = Vec::with_capacity(count.min(reader.remaining() / 2));
    for _ in 0..count {
        let text = std::str::from_utf8(short_bytes(reader)?);
        warnings.push(text.map_err(|_| FormatError::Invalid("a warning is not UTF-8"))?.to_owned());
    }
    Ok(warnings)
}

fn decode_chunking(reader: &mut Reader<'_>) -> Result<Chunking, FormatError> {
    Ok(Chunking { chunker: reader.u8()?, sizes: [reader.u32()?, reader.u32()?, reader.u32()?] })
}

/// What holds for every entry that is stored; the same on both ways.
fn check(entry: &Entry) -> Result<(), FormatError> {
    let metadata = &entry.metadata;
    if metadata.mode > MODE_MAX {
        return Err(FormatError::Invalid("the mode of an entry has bits beyond the permissions"));
    }
    let times = [metadata.modified, metadata.changed, metadata.born.unwrap_or_default()];
    if !times.into_iter().all(Timestamp::is_valid) {
        return Err(BAD_TIME);
    }
    if !metadata.xattrs.is_empty() {
        check_xattrs(&metadata.xattrs)?;
    }
    let mut end = Some(0u64);
    for extent in metadata.extents.iter().flatten() {
        end = match end {
            Some(end) if extent.offset >= end && extent.length > 0 => extent.offset.checked_add(extent.length),
            _ => return Err(FormatError::Invalid("the extents of an entry are empty or out of order")),
        };
    }
    if end.is_none() {
        return Err(FormatError::Invalid("an extent of an entry ends beyond any file"));
    }
    let has_content = entry.content != Content::Empty || entry.hash.is_some() || entry.chunking.is_some();
    if (has_content || entry.change_token.is_some()) && !metadata.has_content() {
        return Err(FormatError::Invalid("an entry that is no file has content"));
    }
    let token = entry.change_token.as_ref().map_or(1, Vec::len);
    if !(1..=CHANGE_TOKEN_BYTES_MAX).contains(&token) {
        return Err(FormatError::Invalid("the change token of an entry is empty or too long"));
    }
    if let Some(Chunking { chunker, sizes }) = entry.chunking {
        sizes.into_iter().try_for_each(check_chunk_length)?;
        if chunker == 0 || !sizes.is_sorted() || (chunker == BY_SIZE && sizes[0] != sizes[2]) {
            return Err(FormatError::Invalid("an entry has impossible chunk sizes"));
        }
    }
    match &entry.content {
        Content::Empty => Ok(()),
        Content::Inline(chunks) if chunks.is_empty() || chunks.len() > CHUNKS_INLINE_MAX => {
            Err(FormatError::Invalid("an entry lists no chunks or too many"))
        }
        Content::Inline(chunks) => chunks.iter().try_for_each(|chunk| check_chunk_length(chunk.length)),
        Content::Tree { length, chunks, bytes, .. } => {
            check_page_length(*length)?;
            if *chunks == 0 || bytes < chunks {
                return Err(FormatError::Invalid("the chunk list of an entry has fewer bytes than chunks, or none"));
            }
            Ok(())
        }
    }
}

/// Refuses lengths that no page has.
pub(crate) fn check_page_length(length: u32) -> Result<(), FormatError> {
    match size(length) {
        0 => Err(FormatError::Invalid("a page is empty")),
        length if length > PAGE_BYTES_MAX => Err(too_large("the length of a page", length, PAGE_BYTES_MAX)),
        _ => Ok(()),
    }
}

fn check_xattrs(xattrs: &[Xattr]) -> Result<(), FormatError> {
    if !xattrs.is_sorted_by(|a, b| a.name < b.name) {
        return Err(FormatError::Invalid("the extended attributes of an entry are out of order or doubled"));
    }
    let mut total = 0usize;
    for xattr in xattrs {
        if xattr.value.len() > XATTR_BYTES_MAX {
            return Err(too_large("the length of an extended attribute", xattr.value.len(), XATTR_BYTES_MAX));
        }
        total = total.saturating_add(xattr.name.len()).saturating_add(xattr.value.len());
    }
    match total {
        total if total > XATTRS_BYTES_MAX => Err(too_large("extended attributes of an entry", total, XATTRS_BYTES_MAX)),
        _ => Ok(()),
    }
}

fn kind_byte(kind: &FileKind) -> u8 {
    match kind {
        FileKind::File => 1,
        FileKind::Directory => 2,
        FileKind::Symlink { .. } => 3,
        FileKind::Fifo => 4,
        FileKind::Socket => 5,
        FileKind::CharDevice { .. } => 6,
        FileKind::BlockDevice { .. } => 7,
        FileKind::Stream => 8,
    }
}

fn decode_kind(byte: u8, rdev: u64, target: &[u8]) -> Result<FileKind, FormatError> {
    Ok(match byte {
        1 => FileKind::File,
        2 => FileKind::Directory,
        3 => FileKind::Symlink { target: target.to_vec() },
        4 => FileKind::Fifo,
        5 => FileKind::Socket,
        6 => FileKind::CharDevice { rdev },
        7 => FileKind::BlockDevice { rdev },
        8 => FileKind::Stream,
        other => return Err(FormatError::Unsupported(format!("entry kind {other}"))),
    })
}

fn rdev(kind: &FileKind) -> u64 {
    match kind {
        FileKind::CharDevice { rdev } | FileKind::BlockDevice { rdev } => *rdev,
        _ => 0,
    }
}

fn target(kind: &FileKind) -> &[u8] {
    match kind {
        FileKind::Symlink { target } => target,
        _ => &[],
    }
}
