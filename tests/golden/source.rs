//! What the golden repository backs up: entries of every kind, made up, the same on every machine.

use strongroom::ChunkProfile;
use strongroom::EntryPath;
use strongroom::EntryStart;
use strongroom::Extent;
use strongroom::FileKind;
use strongroom::Metadata;
use strongroom::Rng;
use strongroom::SeededRng;
use strongroom::Sink;
use strongroom::Source;
use strongroom::SourceError;
use strongroom::Statement;
use strongroom::Timestamp;
use strongroom::Verdict;
use strongroom::Want;
use strongroom::Xattr;

/// Bytes of the file whose chunks are too many to stand in its entry: of zeros nearly all, they are cut at 2 MiB.
const BIG_BYTES: usize = 70 << 20;

/// Content that costs no memory until it is asked for.
#[derive(Clone)]
pub enum Bytes {
    None,
    Text(&'static str),
    /// So many bytes that no compressor shortens.
    Noise(u64, usize),
    /// Zeros, with the number of the mebibyte at the start of each.
    Counted(usize),
}

impl Bytes {
    pub fn make(&self) -> Vec<u8> {
        match self {
            Self::None => Vec::new(),
            Self::Text(text) => text.as_bytes().to_vec(),
            Self::Noise(seed, length) => {
                let mut bytes = vec![0; *length];
                SeededRng::new(*seed).fill(&mut bytes).expect("seeded");
                bytes
            }
            Self::Counted(length) => {
                let mut bytes = vec![0; *length];
                for (number, part) in (1u64..).zip(bytes.chunks_mut(1 << 20)) {
                    part.iter_mut().zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
                }
                bytes
            }
        }
    }
}

/// One entry and what it holds.
#[derive(Clone)]
pub struct Item {
    pub path: &'static [u8],
    pub metadata: Metadata,
    pub bytes: Bytes,
    pub warnings: Vec<String>,
    pub chunking: ChunkProfile,
    pub change_token: Option<&'static [u8]>,
}

/// The source.
pub struct Golden {
    pub kind: &'static str,
    pub items: Vec<Item>,
    pub verdict: Verdict,
    pub statement: Option<Statement>,
}

impl Source for Golden {
    fn kind(&self) -> &str {
        self.kind
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        vec![b"/golden".to_vec(), b"/raw \xff".to_vec()]
    }

    fn excludes(&self) -> Vec<String> {
        vec!["*.tmp".to_owned(), "caches/".to_owned()]
    }

    fn run(self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
        for item in self.items {
            let path = EntryPath::parse(item.path).expect("a path");
            let mut start = EntryStart::new(&path, &item.metadata).chunking(item.chunking);
            start.change_token = item.change_token;
            if sink.begin(start)? == Want::Bytes {
                let bytes = item.bytes.make();
                let mut left = bytes.as_slice();
                while !left.is_empty() {
                    let room = sink.buffer()?;
                    let (now, later) = left.split_at(left.len().min(room.len()));
                    room[..now.len()].copy_from_slice(now);
                    left = later;
                    sink.filled(now.len())?;
                }
            }
            sink.end(item.metadata, item.warnings)?;
        }
        if let Some(statement) = self.statement {
            sink.statement(statement);
        }
        Ok(self.verdict)
    }
}

fn item(path: &'static [u8], kind: FileKind, bytes: Bytes) -> Item {
    let modified = Timestamp { seconds: 1_600_000_000, nanoseconds: 7 };
    let size = u64::try_from(bytes.make().len()).expect("a length");
    let metadata = Metadata { mode: 0o644, uid: 1000, gid: 100, modified, size, inode: 9, ..Metadata::new(kind) };
    Item { path, metadata, bytes, warnings: Vec::new(), chunking: ChunkProfile::Default, change_token: None }
}

/// A file with everything an entry can say about one.
fn full() -> Item {
    let mut full = item(b"dir/full", FileKind::File, Bytes::Text("a file with everything\n"));
    full.metadata.mode = 0o4755;
    full.metadata.user = b"ann".to_vec();
    full.metadata.group = b"us\xffers".to_vec();
    full.metadata.changed = Timestamp { seconds: 1_600_000_001, nanoseconds: 999_999_999 };
    full.metadata.born = Some(Timestamp { seconds: -1, nanoseconds: 1 });
    full.metadata.links = 2;
    full.metadata.device = 0xfd01;
    full.metadata.flags = 0x40;
    let xattr = |name: &[u8], value: &[u8]| Xattr { name: name.to_vec(), value: value.to_vec() };
    full.metadata.xattrs = vec![xattr(b"user.a", b""), xattr(b"user.\xff", &[0, 1, 255])];
    full.warnings = vec!["its access control list could not be read".to_owned()];
    full
}

/// Three stretches of data in a mebibyte of holes.
fn sparse() -> Item {
    let mut sparse = item(b"dir/sparse", FileKind::File, Bytes::Noise(3, 5000));
    sparse.metadata.size = 1 << 20;
    let extent = |offset: u64, length: u64| Extent { offset, length };
    sparse.metadata.extents = Some(vec![extent(0, 1000), extent(4096, 3000), extent((1 << 20) - 1000, 1000)]);
    sparse
}

/// Entries of every kind.
pub fn everything() -> Vec<Item> {
    vec![
        item(b"big", FileKind::File, Bytes::Counted(BIG_BYTES)),
        item(b"device-block", FileKind::BlockDevice { rdev: 0x0801 }, Bytes::None),
        item(b"device-character", FileKind::CharDevice { rdev: 0x0103 }, Bytes::None),
        item(b"dir", FileKind::Directory, Bytes::None),
        item(b"dir/empty", FileKind::File, Bytes::None),
        full(),
        item(b"dir/link", FileKind::Symlink { target: b"../\xfe/where".to_vec() }, Bytes::None),
        item(b"dir/noise", FileKind::File, Bytes::Noise(1, 20_000)),
        sparse(),
        item(b"dir-after", FileKind::File, Bytes::Text("sorted after what is in dir\n")),
        item(b"fifo", FileKind::Fifo, Bytes::None),
        item(b"same", FileKind::File, Bytes::Text("a file with everything\n")),
        item(b"socket", FileKind::Socket, Bytes::None),
        item(b"stream", FileKind::Stream, Bytes::Text("-- a dump\n")),
        item(b"\xff\x01 \n", FileKind::File, Bytes::Text("a name that is no text\n")),
    ]
}

/// The same with one file changed.
pub fn changed() -> Vec<Item> {
    let mut items = everything();
    for one in &mut items {
        if one.path == b"dir-after" {
            *one = item(b"dir-after", FileKind::File, Bytes::Text("changed since\n"));
            one.metadata.modified.seconds += 1;
        }
    }
    items
}

/// A few other entries, to be sealed with the other cipher.
pub fn others() -> Vec<Item> {
    vec![
        Item { change_token: Some(b"\"etag\""), ..item(b"bucket/key", FileKind::File, Bytes::Text("an object\n")) },
        item(b"noise", FileKind::File, Bytes::Noise(2, 30_000)),
        Item { chunking: ChunkProfile::Pages(4096), ..item(b"pages", FileKind::File, Bytes::Noise(4, 10_000)) },
        Item { chunking: ChunkProfile::Rows, ..item(b"rows", FileKind::Stream, Bytes::Counted(300_000)) },
        item(b"text", FileKind::Stream, Bytes::Text("line after line\nline after line\nline after line\n")),
    ]
}

/// What `path` holds in any of the backups, holes filled.
pub fn content(items: &[Item], path: &[u8]) -> Vec<u8> {
    let one = items.iter().find(|item| item.path == path).expect("a path of the source");
    let bytes = one.bytes.make();
    let Some(extents) = &one.metadata.extents else { return bytes };
    let mut whole = vec![0; usize::try_from(one.metadata.size).expect("a length")];
    let mut left = bytes.as_slice();
    for extent in extents {
        let start = usize::try_from(extent.offset).expect("an offset");
        let (now, later) = left.split_at(usize::try_from(extent.length).expect("a length"));
        whole[start..start + now.len()].copy_from_slice(now);
        left = later;
    }
    whole
}
