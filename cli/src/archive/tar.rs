//! Tar archives in the POSIX form (pax), with the records of other programs for what that form lacks.

use super::Pack;
use super::acl;
use crate::show::Failure;
use std::collections::HashMap;
use std::io::Write;
use strongroom::Entry;
use strongroom::Extent;
use strongroom::FileKind;
use strongroom::Metadata;
use strongroom::Timestamp;
use tar::EntryType;
use tar::Header;

/// Blocks of a tar archive.
const BLOCK: u64 = 512;

/// A tar archive with POSIX extended headers, for long names, raw bytes, nanoseconds and attributes; holes as GNU tar
/// writes them (1.0).
pub struct TarPack<W: Write> {
    out: W,
    /// Bytes of the entry's content that came, and that must come.
    came: u64,
    promised: u64,
    /// What of them is written, where the rest is holes.
    stretches: Option<Vec<Extent>>,
    /// Bytes of this entry in the archive.
    written: u64,
    /// First names of inodes with several.
    linked: HashMap<(u64, u64), First>,
}

/// The first name of an inode with several.
struct First {
    path: Vec<u8>,
    size: u64,
    modified: Timestamp,
    /// Names still to come.
    more: u64,
}

impl<W: Write> TarPack<W> {
    pub fn new(out: W) -> Self {
        Self { out, came: 0, promised: 0, stretches: None, written: 0, linked: HashMap::new() }
    }

    /// The name already in the archive that this entry is another one of.
    fn original(&mut self, entry: &Entry) -> Option<Vec<u8>> {
        let metadata = &entry.metadata;
        if metadata.links < 2 || metadata.inode == 0 || metadata.kind == FileKind::Directory {
            return None;
        }
        let key = (metadata.device, metadata.inode);
        if let Some(first) = self.linked.get_mut(&key) {
            // One that changed while it was backed up has other bytes under each name.
            if (first.size, first.modified) != (metadata.size, metadata.modified) {
                return None;
            }
            first.more -= 1;
            return if first.more > 0 { Some(first.path.clone()) } else { self.linked.remove(&key).map(|it| it.path) };
        }
        let (path, more) = (entry.path.as_bytes().to_vec(), metadata.links - 1);
        self.linked.insert(key, First { path, size: metadata.size, modified: metadata.modified, more });
        None
    }

    /// The head of an entry, with all records that it needs before it.
    fn head(&mut self, header: &mut Header, records: &[u8]) -> Result<(), Failure> {
        if !records.is_empty() {
            let mut extended = Header::new_ustar();
            extended.set_entry_type(EntryType::XHeader);
            extended.set_size(u64::try_from(records.len()).unwrap_or(0));
            extended.set_mode(0o644);
            extended.set_mtime(0);
            let _ = extended.set_path("PaxHeaders/entry");
            self.put(&mut extended, records)?;
        }
        self.put(header, &[])
    }

    /// A header and what it announces.
    fn put(&mut self, header: &mut Header, body: &[u8]) -> Result<(), Failure> {
        header.set_cksum();
        self.out.write_all(header.as_bytes())?;
        self.out.write_all(body)?;
        self.pad(u64::try_from(body.len()).unwrap_or(0))
    }

    /// Fills up to a whole block.
    fn pad(&mut self, length: u64) -> Result<(), Failure> {
        let missing = usize::try_from(length.next_multiple_of(BLOCK) - length).unwrap_or(0);
        self.out.write_all([0u8; 512].get(..missing).unwrap_or_default())?;
        Ok(())
    }
}

impl<W: Write> Pack for TarPack<W> {
    fn holds(&self, kind: &FileKind) -> bool {
        tar_type(kind).is_some()
    }

    fn is_faithful(&self) -> bool {
        true
    }

    fn begin(&mut self, entry: &Entry, lacks: &mut Vec<String>) -> Result<bool, Failure> {
        let metadata = &entry.metadata;
        let Some(kind) = tar_type(&metadata.kind) else { return Ok(false) };
        let mut records = Vec::new();
        let mut header = Header::new_ustar();
        header.set_mode(metadata.mode);
        fill_owner(&mut header, metadata, &mut records);
        fill_time(&mut header, metadata, &mut records);
        if let Some(original) = self.original(entry) {
            header.set_entry_type(EntryType::Link);
            header.set_size(0);
            put_name(&mut header, entry.path.as_bytes(), &mut records);
            put_target(&mut header, &original, &mut records);
            self.head(&mut header, &records)?;
            return Ok(false);
        }
        header.set_entry_type(kind);
        if let FileKind::Symlink { target } = &metadata.kind {
            put_target(&mut header, target, &mut records);
        }
        if let FileKind::CharDevice { rdev } | FileKind::BlockDevice { rdev } = metadata.kind {
            let (major, minor) = device_numbers(rdev);
            let set = header.set_device_major(major).and_then(|()| header.set_device_minor(minor));
            set.map_err(|why| Failure::failed("cannot write a device into the archive").because(why))?;
        }
        fill_attributes(metadata, &mut records, lacks);
        let size = if metadata.has_content() { metadata.size } else { 0 };
        (self.came, self.promised, self.written) = (0, size, 0);
        self.stretches = stretches(metadata);
        let map = self.stretches.as_ref().map(|stretches| map_of(stretches, size));
        let mut stored = size;
        if let (Some(stretches), Some(map)) = (&self.stretches, &map) {
            stored = map.len() as u64 + stretches.iter().map(|stretch| stretch.length).sum::<u64>();
            record(&mut records, b"GNU.sparse.major", b"1");
            record(&mut records, b"GNU.sparse.minor", b"0");
            record(&mut records, b"GNU.sparse.name", entry.path.as_bytes());
            record(&mut records, b"GNU.sparse.realsize", size.to_string().as_bytes());
            put_name(&mut header, &name_of_sparse(entry), &mut records);
        } else {
            let mut name = entry.path.as_bytes().to_vec();
            if kind == EntryType::Directory {
                name.push(b'/');
            }
            put_name(&mut header, &name, &mut records);
        }
        if stored >= 1 << 33 {
            record(&mut records, b"size", stored.to_string().as_bytes());
        }
        header.set_size(if stored >= 1 << 33 { 0 } else { stored });
        self.head(&mut header, &records)?;
        if let Some(map) = map {
            self.out.write_all(&map)?;
            self.written = map.len() as u64;
        }
        Ok(metadata.has_content())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let from = self.came;
        self.came += bytes.len() as u64;
        let Some(stretches) = &self.stretches else {
            self.out.write_all(bytes)?;
            self.written = self.came;
            return Ok(());
        };
        let next = stretches.partition_point(|stretch| stretch.offset + stretch.length <= from);
        for stretch in stretches.iter().skip(next).take_while(|stretch| stretch.offset < self.came) {
            let (begin, end) = (stretch.offset.max(from), (stretch.offset + stretch.length).min(self.came));
            let inside = |at: u64| usize::try_from(at - from).unwrap_or(usize::MAX);
            let part = bytes.get(inside(begin)..inside(end)).unwrap_or_default();
            self.out.write_all(part)?;
            self.written += part.len() as u64;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Failure> {
        if self.came != self.promised {
            return Err(Failure::failed(format!(
                "an entry has {} bytes of content and a size of {}",
                self.came, self.promised
            )));
        }
        self.pad(self.written)
    }

    fn finish(mut self) -> Result<(), Failure> {
        self.out.write_all(&[0u8; 1024])?;
        self.out.flush()?;
        Ok(())
    }
}

/// What holds data of a file with holes.
fn stretches(metadata: &Metadata) -> Option<Vec<Extent>> {
    let extents = metadata.extents.as_ref().filter(|_| metadata.has_content())?;
    // Stretches that are not inside the file would make an archive that nobody can read.
    let are_inside = extents.iter().all(|it| it.offset.checked_add(it.length).is_some_and(|end| end <= metadata.size));
    (are_inside && extents.iter().map(|it| it.length).sum::<u64>() < metadata.size).then(|| extents.clone())
}

/// The map that stands before the data of a file with holes: a count, then offset and length of each stretch.
fn map_of(stretches: &[Extent], size: u64) -> Vec<u8> {
    let is_open = stretches.last().is_none_or(|last| last.offset + last.length < size);
    let mut map = format!("{}\n", stretches.len() + usize::from(is_open));
    for stretch in stretches {
        map.push_str(&format!("{}\n{}\n", stretch.offset, stretch.length));
    }
    if is_open {
        // A hole at the end.
        map.push_str(&format!("{size}\n0\n"));
    }
    let mut map = map.into_bytes();
    map.resize(map.len().next_multiple_of(512), 0);
    map
}

/// Where a program that knows no holes puts such a file: not in the place of the real one, which it is not.
fn name_of_sparse(entry: &Entry) -> Vec<u8> {
    let path = entry.path.as_bytes();
    let (above, name) = path.split_at(path.len() - entry.path.name().len());
    [above, b"GNUSparseFile.0/", name].concat()
}

/// What tar calls it; sockets have no name there.
fn tar_type(kind: &FileKind) -> Option<EntryType> {
    Some(match kind {
        FileKind::File | FileKind::Stream => EntryType::Regular,
        FileKind::Directory => EntryType::Directory,
        FileKind::Symlink { .. } => EntryType::Symlink,
        FileKind::Fifo => EntryType::Fifo,
        FileKind::CharDevice { .. } => EntryType::Char,
        FileKind::BlockDevice { .. } => EntryType::Block,
        _ => return None,
    })
}

/// Bytes of a name that the header has room for; not all of its field, for readers that expect a NUL behind it.
const NAME_BYTES_MAX: usize = 99;

/// The name in the header where it fits; else the end of it there and all of it in a record.
fn put_name(header: &mut Header, name: &[u8], records: &mut Vec<u8>) {
    let rest = name.get(name.len().saturating_sub(NAME_BYTES_MAX)..).unwrap_or(name);
    copy(&mut header.as_old_mut().name, rest);
    if rest.len() < name.len() || !name.is_ascii() {
        record(records, b"path", name);
    }
}

/// Where a link points, likewise. The field is never empty: a link without a target is a file to some.
fn put_target(header: &mut Header, target: &[u8], records: &mut Vec<u8>) {
    let rest = target.get(..target.len().min(NAME_BYTES_MAX)).unwrap_or(target);
    copy(&mut header.as_old_mut().linkname, rest);
    if rest.len() < target.len() || !target.is_ascii() {
        record(records, b"linkpath", target);
    }
}

fn copy(field: &mut [u8], bytes: &[u8]) {
    for (place, byte) in field.iter_mut().zip(bytes) {
        *place = *byte;
    }
}

/// Extended attributes, and access lists once more as text: few programs take them as attributes.
fn fill_attributes(metadata: &Metadata, records: &mut Vec<u8>, lacks: &mut Vec<String>) {
    for xattr in &metadata.xattrs {
        if let Some((key, text)) = acl::record(&xattr.name, &xattr.value) {
            record(records, key.as_bytes(), text.as_bytes());
        }
        if xattr.name.contains(&b'=') {
            // A record's name ends at the first '='.
            let name = String::from_utf8_lossy(&xattr.name);
            lacks.push(format!("attribute {name} left out, tar archives have no names with '='"));
        } else {
            record(records, &[b"SCHILY.xattr.", xattr.name.as_slice()].concat(), &xattr.value);
        }
    }
}

fn fill_owner(header: &mut Header, metadata: &Metadata, records: &mut Vec<u8>) {
    // Seven octal digits fit; larger numbers go into records.
    for (key, number) in [("uid", metadata.uid), ("gid", metadata.gid)] {
        if number >= 1 << 21 {
            record(records, key.as_bytes(), number.to_string().as_bytes());
        }
    }
    let small = |number: u32| u64::from(if number >= 1 << 21 { 0 } else { number });
    header.set_uid(small(metadata.uid));
    header.set_gid(small(metadata.gid));
    let (user, group) = (String::from_utf8_lossy(&metadata.user), String::from_utf8_lossy(&metadata.group));
    if header.set_username(&user).is_err() {
        record(records, b"uname", user.as_bytes());
    }
    if header.set_groupname(&group).is_err() {
        record(records, b"gname", group.as_bytes());
    }
}

fn fill_time(header: &mut Header, metadata: &Metadata, records: &mut Vec<u8>) {
    let time = metadata.modified;
    let seconds = u64::try_from(time.seconds).ok().filter(|seconds| *seconds < 1 << 33);
    header.set_mtime(seconds.unwrap_or(0));
    if seconds.is_none() || time.nanoseconds != 0 {
        // A record counts decimally from zero, also below it.
        let total = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanoseconds);
        let sign = if total < 0 { "-" } else { "" };
        let (whole, part) = (total.unsigned_abs() / 1_000_000_000, total.unsigned_abs() % 1_000_000_000);
        record(records, b"mtime", format!("{sign}{whole}.{part:09}").as_bytes());
    }
}

/// One extended record: its own length, a key, a value.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    // The length counts its own digits.
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} ").as_bytes());
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// Linux' packing of device numbers.
fn device_numbers(rdev: u64) -> (u32, u32) {
    let major = ((rdev >> 8) & 0xfff) | ((rdev >> 32) & 0xffff_f000);
    let minor = (rdev & 0xff) | ((rdev >> 12) & 0xffff_ff00);
    (u32::try_from(major).unwrap_or(u32::MAX), u32::try_from(minor).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::samples::entries;
    use crate::archive::samples::entry;
    use crate::archive::samples::fill;
    use crate::archive::samples::fill_with;
    use std::io::Read;

    #[test]
    fn a_tar_archive_reads_back_as_it_was() {
        let mut out = Vec::new();
        fill(TarPack::new(&mut out));
        assert_eq!(out.len() % 512, 0);
        let mut archive = tar::Archive::new(out.as_slice());
        let expected: Vec<_> =
            entries().into_iter().filter(|(entry, _)| entry.metadata.kind != FileKind::Socket).collect();
        let mut count = 0;
        for (read, (entry, bytes)) in archive.entries().expect("an archive").zip(&expected) {
            let mut read = read.expect("an entry");
            let name = read.path_bytes().trim_ascii_end().strip_suffix(b"/").map(<[u8]>::to_vec);
            assert_eq!(name.unwrap_or_else(|| read.path_bytes().to_vec()), entry.path.as_bytes());
            assert_eq!(read.header().mode().expect("a mode"), 0o640);
            if let FileKind::Symlink { target } = &entry.metadata.kind {
                assert_eq!(read.link_name_bytes().expect("a target").as_ref(), target.as_slice());
            }
            let records = read.pax_extensions().expect("readable").expect("records");
            let records: Vec<(String, Vec<u8>)> = records
                .map(|record| record.expect("a record"))
                .map(|record| (record.key().expect("text").to_owned(), record.value_bytes().to_vec()))
                .collect();
            assert!(records.contains(&("uid".into(), b"3000000".to_vec())), "{records:?}");
            assert!(records.contains(&("mtime".into(), b"1700000000.000000007".to_vec())));
            let mut content = Vec::new();
            read.read_to_end(&mut content).expect("content");
            assert_eq!(&content, bytes);
            count += 1;
        }
        assert_eq!(count, expected.len());
    }

    #[test]
    fn further_names_of_a_file_are_links_to_its_first() {
        let named = |path: &[u8], inode: u64| {
            let mut entry = entry(path, FileKind::File, 5);
            (entry.metadata.links, entry.metadata.inode) = (3, inode);
            (entry, b"hello".to_vec())
        };
        let first = format!("d/{}", "n".repeat(120));
        let mut other = named(b"e", 7);
        other.0.metadata.modified.seconds += 1;
        let entries = vec![named(first.as_bytes(), 7), named(b"b", 7), named(b"c", 8), other, named(b"f", 7)];
        let mut out = Vec::new();
        assert_eq!(fill_with(TarPack::new(&mut out), entries), Vec::<String>::new());
        let mut archive = tar::Archive::new(out.as_slice());
        let read = archive.entries().expect("an archive").map(|read| {
            let read = read.expect("an entry");
            (read.header().entry_type(), read.link_name_bytes().map(|name| name.to_vec()))
        });
        let (file, link) = ((EntryType::Regular, None), (EntryType::Link, Some(first.into_bytes())));
        assert_eq!(read.collect::<Vec<_>>(), [file.clone(), link.clone(), file.clone(), file, link]);
    }

    #[test]
    fn holes_are_left_out_as_gnu_tar_does() {
        let mut hollow = entry(b"d/hollow", FileKind::File, 2000);
        hollow.metadata.extents = Some(vec![Extent { offset: 100, length: 300 }, Extent { offset: 1000, length: 50 }]);
        let mut bytes = vec![0; 2000];
        bytes[100..400].fill(1);
        bytes[1000..1050].fill(2);
        let mut out = Vec::new();
        fill_with(TarPack::new(&mut out), vec![(hollow, bytes)]);
        let mut archive = tar::Archive::new(out.as_slice());
        let mut read = archive.entries().expect("an archive").next().expect("one").expect("an entry");
        assert_eq!(read.path_bytes().as_ref(), b"d/GNUSparseFile.0/hollow");
        let mut stored = Vec::new();
        std::io::Read::read_to_end(&mut read, &mut stored).expect("content");
        assert!(stored.starts_with(b"3\n100\n300\n1000\n50\n2000\n0\n\0"));
        assert_eq!(stored[512..], [vec![1; 300], vec![2; 50]].concat());
    }

    #[test]
    fn an_attribute_that_a_record_cannot_name_is_told_and_access_lists_are_text_too() {
        let mut named = entry(b"a", FileKind::File, 0);
        let xattr = |name: &[u8], value: &[u8]| strongroom::Xattr { name: name.to_vec(), value: value.to_vec() };
        let list = [&2u32.to_le_bytes()[..], &[1, 0, 6, 0, 0xff, 0xff, 0xff, 0xff]].concat();
        let raw = b"system.posix_acl_access";
        named.metadata.xattrs = vec![xattr(raw, &list), xattr(b"user.a=b", b"lost"), xattr(b"user.\xff", b"kept")];
        let mut out = Vec::new();
        let lacks = fill_with(TarPack::new(&mut out), vec![(named, Vec::new())]);
        assert_eq!(lacks, ["attribute user.a=b left out, tar archives have no names with '='"]);
        let holds = |text: &[u8]| out.windows(text.len()).any(|part| part == text);
        assert!(holds(b" SCHILY.acl.access=user::rw-\n"));
        assert!(holds(&[&b" SCHILY.xattr.system.posix_acl_access="[..], &list, b"\n"].concat()));
        assert!(holds(b" SCHILY.xattr.user.\xff=kept\n") && !holds(b"lost"));
    }

    #[test]
    fn content_of_another_length_than_promised_is_an_error() {
        let mut pack = TarPack::new(Vec::new());
        assert!(pack.begin(&entry(b"a", FileKind::File, 5), &mut Vec::new()).expect("begun"));
        pack.data(b"four").expect("written");
        assert!(pack.end().is_err());
    }

    #[test]
    fn records_count_their_own_length() {
        for size in [1, 88, 89, 90, 91, 985, 990, 995] {
            let mut records = Vec::new();
            record(&mut records, b"k", &vec![b'v'; size]);
            let length: usize =
                String::from_utf8_lossy(&records).split(' ').next().expect("a length").parse().expect("a number");
            assert_eq!(length, records.len());
        }
    }
}
