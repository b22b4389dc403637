//! A window: as much of a snapshot as is restored at a time, so that memory stays bounded whatever the snapshot.

use crate::catalog::Gap;
use crate::entry::ChunkRef;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::entry::Metadata;
use crate::id::ChunkId;
use crate::job::open_files;
use crate::restore::file::FileJob;
use crate::restore::judge::Standing;
use crate::restore::names::Original;
use crate::restore::owner::Owner;
use crate::restore::target::Dir;
use std::ops::Range;
use std::sync::Arc;

/// Where a window ends; the first limit reached counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Entries.
    pub(crate) entries: usize,
    /// Chunks of content.
    pub(crate) pieces: usize,
    /// Files of several chunks: they are open at the same time.
    pub(crate) open_files: usize,
    /// Bytes that paths and attributes take.
    pub(crate) entry_bytes: usize,
    /// Stored bytes fetched at once.
    pub(crate) range_bytes: u64,
}

/// Files of several chunks that are open in one window.
const OPEN_FILES_MAX: usize = 448;

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 16_384,
            pieces: 65_536,
            open_files: open_files(OPEN_FILES_MAX),
            entry_bytes: 32 << 20,
            range_bytes: 8 << 20,
        }
    }
}

/// What stands next in a snapshot.
pub(crate) enum Step {
    /// An entry or a part of one.
    Item(Box<Item>),
    /// The folder asked for, which the target becomes, and whether the patterns want it.
    Target(Box<Entry>, bool),
    /// Entries that cannot be read, and why.
    Lost(Gap, String),
}

/// An entry, or the next part of the content of the one before.
pub(crate) struct Item {
    /// The entry; `None` when the item before had its beginning.
    pub(crate) entry: Option<Entry>,
    /// Where it goes below the target.
    pub(crate) place: EntryPath,
    /// Whether the patterns want it.
    pub(crate) selected: bool,
    /// The next chunks of its content.
    pub(crate) chunks: Vec<ChunkRef>,
    /// True when no more of its content follows.
    pub(crate) last: bool,
    /// Why the rest of its chunks is not known, when it is not.
    pub(crate) lost: Option<String>,
}

/// One chunk's place in one file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) id: ChunkId,
    pub(crate) length: u32,
    /// The file's share in the window.
    pub(crate) share: u32,
    /// Where in the file's content.
    pub(crate) at: u64,
    /// False when the target has these bytes already.
    pub(crate) wanted: bool,
}

/// The part of one file that is in a window.
pub(crate) struct Share {
    pub(crate) file: Arc<FileJob>,
    pub(crate) pieces: Range<usize>,
    pub(crate) first: bool,
    pub(crate) last: bool,
}

/// A further name of a file that was restored before.
pub(crate) struct Link {
    pub(crate) path: EntryPath,
    pub(crate) dir: Arc<Dir>,
    pub(crate) name: Box<[u8]>,
    pub(crate) standing: Option<Standing>,
    pub(crate) original: Arc<Original>,
    pub(crate) bytes: u64,
}

/// A directory that the walk has left.
pub(crate) struct LeftDir {
    pub(crate) dir: Arc<Dir>,
    /// Where it is below the target; `None` is the target itself.
    pub(crate) place: Option<EntryPath>,
    /// What to set on it; `None` leaves it as it is.
    pub(crate) metadata: Option<(Metadata, Owner)>,
    /// True when it was there before.
    pub(crate) existed: bool,
    /// Whether it counts as an entry of the report.
    pub(crate) selected: bool,
    /// What the snapshot has in it, sorted; `None` when nothing is to be removed from it.
    pub(crate) names: Option<Vec<Box<[u8]>>>,
}

/// As much of a snapshot as is restored at a time.
#[derive(Default)]
pub(crate) struct Window {
    pub(crate) shares: Vec<Share>,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) links: Vec<Link>,
    pub(crate) left: Vec<LeftDir>,
    /// Entries selected so far, earlier windows included.
    pub(crate) selected: u64,
}

impl Window {
    /// The pieces of one share.
    pub(crate) fn pieces_of(&self, share: &Share) -> &[Piece] {
        self.pieces.get(share.pieces.clone()).unwrap_or_default()
    }

    /// The file a piece belongs to.
    pub(crate) fn file_of(&self, piece: &Piece) -> Option<&Arc<FileJob>> {
        self.shares.get(piece.share as usize).map(|share| &share.file)
    }
}
