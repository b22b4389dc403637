//! Zip archives, for those who have nothing that unpacks tar: files, folders and links, and little about them.

use super::Pack;
use crate::show::Failure;
use std::io::Write;
use strongroom::Entry;
use strongroom::FileKind;
use strongroom::Metadata;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;
use zip::write::StreamWriter;

/// Longest name that the format has room for.
const NAME_BYTES_MAX: usize = 65_535;

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

    fn is_faithful(&self) -> bool {
        false
    }

    fn begin(&mut self, entry: &Entry, lacks: &mut Vec<String>) -> Result<bool, Failure> {
        let metadata = &entry.metadata;
        let (name, is_escaped) = text(entry.path.as_bytes());
        // A folder's name gets a slash.
        if name.len() >= NAME_BYTES_MAX {
            lacks.push("left out, its name is longer than a zip archive takes".to_owned());
            return Ok(false);
        }
        if is_escaped {
            lacks.push(format!("is in the archive as '{name}', zip archives have names in UTF-8 only"));
        }
        let options = SimpleFileOptions::default()
            .unix_permissions(metadata.mode)
            .large_file(metadata.size >= u64::from(u32::MAX))
            .last_modified_time(zip_time(metadata).unwrap_or_default());
        match &metadata.kind {
            FileKind::File | FileKind::Stream => self.0.start_file(name, options).map_err(zip_failed)?,
            FileKind::Directory => self.0.add_directory(name, options).map_err(zip_failed)?,
            FileKind::Symlink { target } => {
                let (target, is_escaped) = text(target);
                if is_escaped {
                    lacks.push(format!("points to '{target}' in the archive, zip archives have links in UTF-8 only"));
                }
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

/// What stands for a byte that is not part of UTF-8, before its two hexadecimal digits; and for itself, as three bytes.
/// So no two names become one, and names without it stay as they are.
const ESCAPE: char = char::REPLACEMENT_CHARACTER;

/// Raw bytes as text, and whether anything had to be escaped.
fn text(bytes: &[u8]) -> (String, bool) {
    let mut text = String::with_capacity(bytes.len());
    let mut is_escaped = false;
    for part in bytes.utf8_chunks() {
        for letter in part.valid().chars() {
            if letter == ESCAPE {
                escape(&mut text, ESCAPE.to_string().as_bytes());
                is_escaped = true;
            } else {
                text.push(letter);
            }
        }
        escape(&mut text, part.invalid());
        is_escaped |= !part.invalid().is_empty();
    }
    (text, is_escaped)
}

fn escape(text: &mut String, bytes: &[u8]) {
    bytes.iter().for_each(|byte| text.push_str(&format!("{ESCAPE}{byte:02x}")));
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
    use crate::archive::samples::entries;
    use crate::archive::samples::entry;
    use crate::archive::samples::fill;
    use crate::archive::samples::fill_with;
    use std::io::Read;

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
    fn names_that_are_no_text_neither_collide_nor_end_the_archive() {
        let names: [&[u8]; 5] = [b"a\xff", b"a\xfe", "a\u{fffd}".as_bytes(), "a\u{fffd}ff".as_bytes(), b"a%ff"];
        let mut files: Vec<_> = names.iter().map(|name| (entry(name, FileKind::File, 1), vec![b'x'])).collect();
        let target = b"a\xff".to_vec();
        files.push((entry(b"link", FileKind::Symlink { target }, 2), Vec::new()));
        files.push((entry(&vec![b'n'; 65_535], FileKind::File, 0), Vec::new()));
        let mut out = Vec::new();
        let lacks = fill_with(ZipPack::new(&mut out), files);
        assert_eq!(lacks.len(), 6, "{lacks:?}");
        let archive = zip::ZipArchive::new(std::io::Cursor::new(out)).expect("an archive");
        let names: Vec<&str> = archive.file_names().collect();
        let escaped = "a\u{fffd}ef\u{fffd}bf\u{fffd}bd";
        let more = format!("{escaped}ff");
        assert_eq!(names, ["a\u{fffd}ff", "a\u{fffd}fe", escaped, &more, "a%ff", "link"]);
    }
}
