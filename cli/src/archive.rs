//! Folders as archives, written entry by entry to anything that takes bytes.

use crate::show::Failure;
use std::io::Write;
use strongroom::Entry;
use strongroom::FileKind;
use strongroom::Metadata;
use tar::EntryType;
use tar::Header;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;
use zip::write::StreamWriter;

/// An archive being written.
pub trait Pack {
    /// Whether such archives have entries of this kind; others are left out.
    fn holds(&self, kind: &FileKind) -> bool;
    /// Writes an entry's head. True when its bytes must follow, and then `end`.
    fn begin(&mut self, entry: &Entry) -> Result<bool, Failure>;
    /// The next bytes of the entry.
    fn data(&mut self, bytes: &[u8]) -> Result<(), Failure>;
    /// Ends the entry.
    fn end(&mut self) -> Result<(), Failure>;
    /// Ends the archive.
    fn finish(self) -> Result<(), Failure>;
}

/// Blocks of a tar archive.
const BLOCK: u64 = 512;

/// A tar archive with POSIX extended headers, for long names, raw bytes, nanoseconds and attributes.
pub struct TarPack<W: Write> {
    out: W,
    written: u64,
    promised: u64,
}

impl<W: Write> TarPack<W> {
    pub fn new(out: W) -> Self {
        Self { out, written: 0, promised: 0 }
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

    fn begin(&mut self, entry: &Entry) -> Result<bool, Failure> {
        let metadata = &entry.metadata;
        let Some(kind) = tar_type(&metadata.kind) else { return Ok(false) };
        let mut name = entry.path.as_bytes().to_vec();
        if kind == EntryType::Directory {
            name.push(b'/');
        }
        let mut records = Vec::new();
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        put_name(&mut header, &name, "path", &mut records);
        if let FileKind::Symlink { target } = &metadata.kind
            && (target.len() > 100 || target.contains(&0) || header.set_link_name_literal(target).is_err())
        {
            record(&mut records, "linkpath", target);
        }
        let size = if metadata.has_content() { metadata.size } else { 0 };
        if size >= 1 << 33 {
            record(&mut records, "size", size.to_string().as_bytes());
        }
        header.set_size(if size >= 1 << 33 { 0 } else { size });
        header.set_mode(metadata.mode);
        fill_owner(&mut header, metadata, &mut records);
        fill_time(&mut header, metadata, &mut records);
        if let FileKind::CharDevice { rdev } | FileKind::BlockDevice { rdev } = metadata.kind {
            let (major, minor) = device_numbers(rdev);
            let set = header.set_device_major(major).and_then(|()| header.set_device_minor(minor));
            set.map_err(|why| Failure::failed("cannot write a device into the archive").because(why))?;
        }
        for xattr in &metadata.xattrs {
            // A record's name ends at the first '='; such attributes cannot be told in this format.
            if let Some(name) = std::str::from_utf8(&xattr.name).ok().filter(|name| !name.contains('=')) {
                record(&mut records, &format!("SCHILY.xattr.{name}"), &xattr.value);
            }
        }
        if !records.is_empty() {
            let mut extended = Header::new_ustar();
            extended.set_entry_type(EntryType::XHeader);
            extended.set_size(u64::try_from(records.len()).unwrap_or(0));
            extended.set_mode(0o644);
            extended.set_mtime(0);
            let _ = extended.set_path("PaxHeaders/entry");
            self.put(&mut extended, &records)?;
        }
        self.put(&mut header, &[])?;
        (self.written, self.promised) = (0, size);
        Ok(metadata.has_content())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.written += u64::try_from(bytes.len()).unwrap_or(0);
        self.out.write_all(bytes)?;
        Ok(())
    }

    fn end(&mut self) -> Result<(), Failure> {
        if self.written != self.promised {
            return Err(Failure::failed(format!(
                "an entry has {} bytes of content and a size of {}",
                self.written, self.promised
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

/// The name in the header where it fits; else the end of it there and all of it in a record.
fn put_name(header: &mut Header, name: &[u8], key: &str, records: &mut Vec<u8>) {
    let field = &mut header.as_old_mut().name;
    let rest = name.get(name.len().saturating_sub(field.len())..).unwrap_or(name);
    for (place, byte) in field.iter_mut().zip(rest) {
        *place = *byte;
    }
    if rest.len() < name.len() || !name.is_ascii() {
        record(records, key, name);
    }
}

fn fill_owner(header: &mut Header, metadata: &Metadata, records: &mut Vec<u8>) {
    // Seven octal digits fit; larger numbers go into records.
    for (key, number) in [("uid", metadata.uid), ("gid", metadata.gid)] {
        if number >= 1 << 21 {
            record(records, key, number.to_string().as_bytes());
        }
    }
    let small = |number: u32| u64::from(if number >= 1 << 21 { 0 } else { number });
    header.set_uid(small(metadata.uid));
    header.set_gid(small(metadata.gid));
    let (user, group) = (String::from_utf8_lossy(&metadata.user), String::from_utf8_lossy(&metadata.group));
    if header.set_username(&user).is_err() {
        record(records, "uname", user.as_bytes());
    }
    if header.set_groupname(&group).is_err() {
        record(records, "gname", group.as_bytes());
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
        record(records, "mtime", format!("{sign}{whole}.{part:09}").as_bytes());
    }
}

/// One extended record: its own length, a key, a value.
fn record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    // The length counts its own digits.
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// Linux' packing of device numbers.
fn device_numbers(rdev: u64) -> (u32, u32) {
    let major = ((rdev >> 8) & 0xfff) | ((rdev >> 32) & 0xffff_f000);
    let minor = (rdev & 0xff) | ((rdev >> 12) & 0xffff_ff00);
    (u32::try_from(major).unwrap_or(u32::MAX), u32::try_from(minor).unwrap_or(u32::MAX))
}

/// A zip archive, written without going back.
pub struct ZipPack<W: Write>(ZipWriter<StreamWriter<W>>);

impl<W: Write> ZipPack<W> {
    pub fn new(out: W) -> Self {
        Self(ZipWriter::new_stream(out))
    }
}

impl<W: Write> Pack for ZipPack<W> {
    fn holds(&self, kind: &FileKind) -> bool {
        matches!(kind, FileKind::File | FileKind::Stream | FileKind::Directory | FileKind::Symlink { .. })
    }

    fn begin(&mut self, entry: &Entry) -> Result<bool, Failure> {
        let metadata = &entry.metadata;
        let options = SimpleFileOptions::default()
            .unix_permissions(metadata.mode)
            .large_file(metadata.size >= u64::from(u32::MAX))
            .last_modified_time(zip_time(metadata).unwrap_or_default());
        let name = entry.path.to_string();
        match &metadata.kind {
            FileKind::File | FileKind::Stream => self.0.start_file(name, options).map_err(zip_failed)?,
            FileKind::Directory => self.0.add_directory(name, options).map_err(zip_failed)?,
            FileKind::Symlink { target } => {
                let target = String::from_utf8_lossy(target).into_owned();
                self.0.add_symlink(name, target, options).map_err(zip_failed)?;
            }
            // Zip knows no devices, pipes and sockets.
            _ => {}
        }
        Ok(metadata.has_content())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.0.write_all(bytes)?;
        Ok(())
    }

    fn end(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn finish(self) -> Result<(), Failure> {
        self.0.finish().map_err(zip_failed)?.into_inner().flush()?;
        Ok(())
    }
}

fn zip_failed(why: zip::result::ZipError) -> Failure {
    match why {
        zip::result::ZipError::Io(why) => why.into(),
        why => Failure::failed("cannot write the archive").because(why),
    }
}

/// Zip has local time from 1980 on, to two seconds.
fn zip_time(metadata: &Metadata) -> Option<zip::DateTime> {
    let instant = jiff::Timestamp::new(metadata.modified.seconds, 0).ok()?;
    let local = instant.to_zoned(jiff::tz::TimeZone::system());
    let small = |number: i8| u8::try_from(number).ok();
    zip::DateTime::from_date_and_time(
        u16::try_from(local.year()).ok()?,
        small(local.month())?,
        small(local.day())?,
        small(local.hour())?,
        small(local.minute())?,
        small(local.second())?,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use strongroom::Content;
    use strongroom::EntryPath;
    use strongroom::Timestamp;
    use strongroom::Xattr;

    fn entry(path: &[u8], kind: FileKind, size: u64) -> Entry {
        let mut metadata = Metadata::new(kind);
        metadata.size = size;
        metadata.mode = 0o640;
        metadata.uid = 3_000_000;
        metadata.modified = Timestamp { seconds: 1_700_000_000, nanoseconds: 7 };
        metadata.xattrs = vec![Xattr { name: b"user.a".to_vec(), value: b"b=c".to_vec() }];
        let path = EntryPath::parse(path).expect("a path");
        Entry::new(path, metadata, Content::Empty)
    }

    fn entries() -> Vec<(Entry, Vec<u8>)> {
        let long = format!("d/{}", "x".repeat(250));
        let file = |path: &[u8], bytes: &[u8]| (entry(path, FileKind::File, bytes.len() as u64), bytes.to_vec());
        let target = vec![b't'; 150];
        vec![
            (entry(b"d", FileKind::Directory, 4096), Vec::new()),
            file(b"d/a", b"hello"),
            file(b"d/b", &[1; 512]),
            file(b"d/empty", b""),
            (entry(b"d/link", FileKind::Symlink { target }, 150), Vec::new()),
            (entry(b"d/socket", FileKind::Socket, 0), Vec::new()),
            file(long.as_bytes(), &[2; 700]),
            file(b"d/\xff", b"raw"),
        ]
    }

    fn fill(mut pack: impl Pack) {
        for (entry, bytes) in entries() {
            if pack.begin(&entry).expect("begun") {
                bytes.chunks(100).for_each(|part| pack.data(part).expect("written"));
                pack.end().expect("ended");
            }
        }
        pack.finish().expect("finished");
    }

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
    fn a_zip_archive_reads_back_as_it_was() {
        let mut out = Vec::new();
        fill(ZipPack::new(&mut out));
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(out)).expect("an archive");
        assert_eq!(archive.len(), entries().len() - 1);
        let mut content = Vec::new();
        archive.by_name("d/b").expect("the file").read_to_end(&mut content).expect("content");
        assert_eq!(content, [1; 512]);
    }

    #[test]
    fn content_of_another_length_than_promised_is_an_error() {
        let mut pack = TarPack::new(Vec::new());
        assert!(pack.begin(&entry(b"a", FileKind::File, 5)).expect("begun"));
        pack.data(b"four").expect("written");
        assert!(pack.end().is_err());
    }

    #[test]
    fn records_count_their_own_length() {
        for size in [1, 88, 89, 90, 91, 985, 990, 995] {
            let mut records = Vec::new();
            record(&mut records, "k", &vec![b'v'; size]);
            let length: usize =
                String::from_utf8_lossy(&records).split(' ').next().expect("a length").parse().expect("a number");
            assert_eq!(length, records.len());
        }
    }
}
