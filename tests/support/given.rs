//! A source that gives a list of entries from memory, and can be told to fail or to be partial.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
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
use strongroom::Timestamp;
use strongroom::Verdict;
use strongroom::Want;

/// One entry: where it is, what it is, and its bytes (holes left out).
#[derive(Clone, Debug)]
pub struct Item {
    pub path: EntryPath,
    pub metadata: Metadata,
    pub bytes: Vec<u8>,
}

impl Item {
    /// What reading the entry gives: its bytes with the holes filled.
    pub fn filled(&self) -> Vec<u8> {
        let Some(extents) = &self.metadata.extents else { return self.bytes.clone() };
        let mut all = vec![0; self.metadata.size as usize];
        let mut from = self.bytes.as_slice();
        for extent in extents {
            let (now, rest) = from.split_at(extent.length as usize);
            all[extent.offset as usize..][..now.len()].copy_from_slice(now);
            from = rest;
        }
        all
    }
}

/// A tree in memory; the same name and seed give the same tree for ever.
#[derive(Clone, Debug)]
pub struct Tree {
    pub name: &'static str,
    pub items: Arc<Vec<Item>>,
}

/// Bytes that do not squeeze.
fn random(rng: &SeededRng, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    rng.fill(&mut bytes).expect("a seeded generator has no end");
    bytes
}

fn item(path: &str, kind: FileKind, bytes: Vec<u8>, number: u64) -> Item {
    let mut metadata = Metadata::new(kind);
    metadata.mode = if metadata.kind == FileKind::Directory { 0o755 } else { 0o644 };
    metadata.size = bytes.len() as u64;
    metadata.inode = 1000 + number;
    metadata.modified = Timestamp { seconds: 1_700_000_000 + number as i64, nanoseconds: 7 };
    metadata.changed = metadata.modified;
    Item { path: EntryPath::parse(path.as_bytes()).expect("a valid path"), metadata, bytes }
}

impl Tree {
    /// `large` bytes that do not squeeze (several chunks from 600 KiB on), small files, and one of each other sort.
    pub fn new(name: &'static str, seed: u64, large: usize) -> Self {
        let dice = SeededRng::new(seed);
        let mut items = vec![
            item("dir", FileKind::Directory, vec![], 1),
            item("dir/empty", FileKind::File, vec![], 2),
            item("dir/large", FileKind::File, random(&dice, large), 3),
            item("dir/link", FileKind::Symlink { target: b"large".to_vec() }, vec![], 4),
            item("dir/text", FileKind::File, b"squeezes well. ".repeat(700), 5),
            item("holes", FileKind::File, random(&dice, 5000), 6),
            item("none", FileKind::Directory, vec![], 7),
            item("small", FileKind::File, random(&dice, 300), 8),
            item("twin", FileKind::File, b"squeezes well. ".repeat(700), 9),
        ];
        items[5].metadata.size = 40_000;
        items[5].metadata.extents =
            Some(vec![Extent { offset: 4096, length: 4096 }, Extent { offset: 20_480, length: 904 }]);
        Self { name, items: Arc::new(items) }
    }

    /// The same tree with one file changed and one more.
    pub fn changed(&self, name: &'static str, seed: u64, more: usize) -> Self {
        let dice = SeededRng::new(seed);
        let mut items = self.items.to_vec();
        items.retain(|item| !matches!(item.path.as_bytes(), b"small" | b"dir/more"));
        items.push(item("small", FileKind::File, random(&dice, 400), 20 + 2 * seed));
        items.push(item("dir/more", FileKind::File, random(&dice, more), 21 + 2 * seed));
        items.sort_by(|one, other| one.path.cmp(&other.path));
        Self { name, items: Arc::new(items) }
    }

    /// Files of `sizes` bytes that do not squeeze, each with a seed of its own: trees share the files they share.
    pub fn of_files(name: &'static str, files: &[(u64, usize)]) -> Self {
        let file = |(seed, size): &(u64, usize)| {
            let bytes = random(&SeededRng::new(*seed), *size);
            item(&format!("file {seed:06}"), FileKind::File, bytes, *seed)
        };
        Self { name, items: Arc::new(files.iter().map(file).collect()) }
    }

    /// `count` little files.
    pub fn of_many(name: &'static str, seed: u64, count: u64) -> Self {
        let dice = SeededRng::new(seed);
        let files = (0..count).map(|n| item(&format!("file {n:06}"), FileKind::File, random(&dice, 64), n));
        Self { name, items: Arc::new(files.collect()) }
    }
}

/// How the source ends.
#[derive(Clone, Debug, Default)]
pub enum End {
    /// With everything given.
    #[default]
    Whole,
    /// With everything given, and the word that something is missing.
    Partial,
    /// Failing in the middle of the content of the item of this number.
    FailAt(usize),
    /// The same, once this holds: what was given before has come far enough.
    FailWhen(usize, Ready),
}

/// A condition to wait for.
#[derive(Clone)]
pub struct Ready(pub Arc<dyn Fn() -> bool + Send + Sync>);

impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ready")
    }
}

/// The source.
#[derive(Clone, Debug)]
pub struct Given {
    pub tree: Tree,
    pub end: End,
    /// Entries whose bytes were asked for.
    pub wanted: Arc<AtomicU64>,
}

impl Given {
    pub fn new(tree: &Tree) -> Self {
        Self { tree: tree.clone(), end: End::Whole, wanted: Arc::default() }
    }

    pub fn ending(tree: &Tree, end: End) -> Self {
        Self { end, ..Self::new(tree) }
    }

    fn give(&self, number: usize, item: &Item, sink: &mut dyn Sink) -> Result<(), SourceError> {
        let want = sink.begin(EntryStart::new(&item.path, &item.metadata))?;
        let failing = matches!(self.end, End::FailAt(at) | End::FailWhen(at, _) if at == number);
        if want == Want::Bytes {
            self.wanted.fetch_add(1, Ordering::SeqCst);
            let give = if failing { item.bytes.len() / 2 } else { item.bytes.len() };
            let mut left = &item.bytes[..give];
            while !left.is_empty() {
                let room = sink.buffer()?;
                let count = left.len().min(room.len());
                room[..count].copy_from_slice(&left[..count]);
                left = &left[count..];
                sink.filled(count)?;
            }
        }
        if failing {
            if let End::FailWhen(_, ready) = &self.end {
                while !ready.0() {
                    sink.buffer()?;
                    std::thread::yield_now();
                }
            }
            return Err(SourceError::Failed { message: "the dump died".into(), cause: None });
        }
        sink.end(item.metadata.clone(), vec![])?;
        Ok(())
    }
}

impl Source for Given {
    fn kind(&self) -> &str {
        "given"
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        vec![b"/given".to_vec()]
    }

    fn run(self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
        for (number, item) in self.tree.items.iter().enumerate() {
            self.give(number, item, sink)?;
        }
        Ok(match self.end {
            End::Partial => Verdict::Partial(vec!["one file could not be read".into()]),
            _ => Verdict::Whole,
        })
    }
}
