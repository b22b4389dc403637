//! Entries of every kind to fill archives with, for tests.

use super::Pack;
use strongroom::Content;
use strongroom::Entry;
use strongroom::EntryPath;
use strongroom::FileKind;
use strongroom::Metadata;
use strongroom::Timestamp;
use strongroom::Xattr;

pub fn entry(path: &[u8], kind: FileKind, size: u64) -> Entry {
    let mut metadata = Metadata::new(kind);
    metadata.size = size;
    metadata.mode = 0o640;
    metadata.uid = 3_000_000;
    metadata.modified = Timestamp { seconds: 1_700_000_000, nanoseconds: 7 };
    metadata.xattrs = vec![Xattr { name: b"user.a".to_vec(), value: b"b=c".to_vec() }];
    let path = EntryPath::parse(path).expect("a path");
    Entry::new(path, metadata, Content::Empty)
}

pub fn entries() -> Vec<(Entry, Vec<u8>)> {
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

pub fn fill(pack: impl Pack) -> Vec<String> {
    fill_with(pack, entries())
}

/// The same with these entries; what the archive lacks.
pub fn fill_with(mut pack: impl Pack, entries: Vec<(Entry, Vec<u8>)>) -> Vec<String> {
    let mut lacks = Vec::new();
    for (entry, bytes) in entries {
        if pack.begin(&entry, &mut lacks).expect("begun") {
            bytes.chunks(100).for_each(|part| pack.data(part).expect("written"));
            pack.end().expect("ended");
        }
    }
    pack.finish().expect("finished");
    lacks
}
