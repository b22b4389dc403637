//! The snapshot record: who, when, what, and the root of its catalog.

use crate::format::FormatError;
use crate::format::config::CHUNKER_FASTCDC;
use crate::format::page::PageRef;
use crate::format::statement;
use crate::format::wire::Fields;
use crate::format::wire::Reader;
use crate::format::wire::Writer;
use crate::format::wire::required;
use crate::format::wire::unknown_field;
use crate::id::ChunkId;
use crate::id::SnapshotId;
use crate::statement::Statement;
use crate::time::Timestamp;
use crate::verdict::Verdict;
use std::collections::BTreeMap;
use std::collections::HashSet;

/// One backup. Everything in it was said by the host that made it; times are its clock's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Its name.
    pub id: SnapshotId,
    /// The session that made it; differs from `id` in records that were written anew (changed tags).
    pub session: SnapshotId,
    /// Host name.
    pub host: String,
    /// User name.
    pub user: String,
    /// What kind of source was backed up, for example `folder`.
    pub source_kind: String,
    /// What was backed up: raw paths for folders, names for other sources.
    pub paths: Vec<Vec<u8>>,
    /// Tags, in the order given.
    pub tags: Vec<String>,
    /// A free text.
    pub label: Option<String>,
    /// When reading began.
    pub started: Timestamp,
    /// When the last pack was stored.
    pub finished: Timestamp,
    /// The snapshot it was compared with.
    pub parent: Option<SnapshotId>,
    /// Root page of the catalog; `None` when there are no entries.
    pub root: Option<PageRef>,
    /// How entries were cut (1: FastCDC with a keyed gear table).
    pub chunker: u8,
    /// The program that made it, with its version.
    pub program: String,
    /// What was counted on the way.
    pub counts: Counts,
    /// Whether everything that should be in it is.
    pub verdict: Verdict,
    /// Exclude rules that were in force.
    pub excludes: Vec<String>,
    /// Nothing removes it before somebody takes this mark away.
    pub is_protected: bool,
    /// What the source said of the state that it read (server version, position, rows per stream).
    pub statement: Option<Statement>,
    /// Key-values of whoever asked for it; their meaning is theirs.
    pub metadata: BTreeMap<String, String>,
}

/// Each of these tags once, where it stands first.
pub(crate) fn each_once(tags: &[String]) -> Vec<String> {
    let mut seen = HashSet::new();
    tags.iter().filter(|tag| seen.insert(tag.as_str())).cloned().collect()
}

/// What a backup counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Entries of all kinds.
    pub entries: u64,
    /// Entries with content: files and streams.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Content bytes of all entries.
    pub bytes: u64,
    /// Plaintext bytes of chunks that were not in the repository.
    pub bytes_new: u64,
    /// Bytes they take in packs.
    pub bytes_stored: u64,
    /// Entries the parent does not have.
    pub entries_new: u64,
    /// Entries that differ from the parent's.
    pub entries_changed: u64,
    /// Entries that do not.
    pub entries_unchanged: u64,
}

impl Snapshot {
    /// A record of `session` with nothing in it yet; its id is the session's.
    pub(crate) fn new(session: SnapshotId, started: Timestamp) -> Self {
        Self {
            id: session,
            session,
            host: String::new(),
            user: String::new(),
            source_kind: String::new(),
            paths: Vec::new(),
            tags: Vec::new(),
            label: None,
            started,
            finished: started,
            parent: None,
            root: None,
            chunker: CHUNKER_FASTCDC,
            program: String::new(),
            counts: Counts::default(),
            verdict: Verdict::Whole,
            excludes: Vec::new(),
            is_protected: false,
            statement: None,
            metadata: BTreeMap::new(),
        }
    }

    /// The body that is sealed.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(1024);
        self.encode_origin(&mut writer);
        self.encode_result(&mut writer);
        writer.finish()
    }

    /// Fields 1 to 9: what was asked for, by whom.
    fn encode_origin(&self, writer: &mut Writer) {
        writer.field(1, |value| {
            value.bytes(self.id.as_bytes());
        });
        writer.field(2, |value| {
            value.bytes(self.session.as_bytes());
        });
        writer.field(3, |value| {
            value.bytes(self.host.as_bytes());
        });
        writer.field(4, |value| {
            value.bytes(self.user.as_bytes());
        });
        writer.field(5, |value| {
            value.bytes(self.source_kind.as_bytes());
        });
        writer.field(6, |value| write_blocks(value, &self.paths));
        writer.field(7, |value| write_blocks(value, &self.tags));
        if let Some(label) = &self.label {
            writer.field(8, |value| {
                value.bytes(label.as_bytes());
            });
        }
        writer.field(9, |value| {
            value.timestamp(self.started);
        });
    }

    /// Fields 10 to 21: what came of it, and what was decided about it.
    fn encode_result(&self, writer: &mut Writer) {
        writer.field(10, |value| {
            value.timestamp(self.finished);
        });
        if let Some(parent) = &self.parent {
            writer.field(11, |value| {
                value.bytes(parent.as_bytes());
            });
        }
        if let Some(root) = &self.root {
            writer.field(12, |value| {
                value.bytes(root.id.as_bytes()).u32(root.length);
            });
        }
        writer.field(13, |value| {
            value.u8(self.chunker);
        });
        writer.field(14, |value| {
            value.bytes(self.program.as_bytes());
        });
        writer.field(15, |value| self.counts.encode(value));
        writer.field(16, |value| match &self.verdict {
            Verdict::Whole => {
                value.u8(0);
            }
            Verdict::Partial(reasons) => write_blocks(value.u8(1), reasons),
        });
        writer.field(18, |value| write_blocks(value, &self.excludes));
        writer.field(19, |value| {
            value.u8(u8::from(self.is_protected));
        });
        if let Some(stated) = &self.statement {
            writer.field(20, |value| statement::encode(value, stated));
        }
        writer.field(21, |value| statement::encode_pairs(value, &self.metadata));
    }

    /// Reads the opened body.
    pub(crate) fn decode(body: &[u8]) -> Result<Self, FormatError> {
        let mut draft = Draft::default();
        let mut fields = Fields::new(body);
        while let Some((tag, value)) = fields.next_field()? {
            draft.take(tag, value)?;
        }
        draft.finish()
    }
}

impl Counts {
    fn encode(&self, value: &mut Writer) {
        value.u64(self.entries).u64(self.files).u64(self.directories);
        value.u64(self.bytes).u64(self.bytes_new).u64(self.bytes_stored);
        value.u64(self.entries_new).u64(self.entries_changed).u64(self.entries_unchanged);
    }

    fn decode(value: &mut Reader<'_>) -> Result<Self, FormatError> {
        Ok(Self {
            entries: value.u64()?,
            files: value.u64()?,
            directories: value.u64()?,
            bytes: value.u64()?,
            bytes_new: value.u64()?,
            bytes_stored: value.u64()?,
            entries_new: value.u64()?,
            entries_changed: value.u64()?,
            entries_unchanged: value.u64()?,
        })
    }
}

/// A record whose fields are still coming in.
#[derive(Default)]
struct Draft {
    id: Option<SnapshotId>,
    session: Option<SnapshotId>,
    host: Option<String>,
    user: Option<String>,
    source_kind: Option<String>,
    paths: Option<Vec<Vec<u8>>>,
    tags: Option<Vec<String>>,
    label: Option<String>,
    started: Option<Timestamp>,
    finished: Option<Timestamp>,
    parent: Option<SnapshotId>,
    root: Option<PageRef>,
    chunker: Option<u8>,
    program: Option<String>,
    counts: Option<Counts>,
    verdict: Option<Verdict>,
    excludes: Option<Vec<String>>,
    is_protected: Option<bool>,
    statement: Option<Statement>,
    metadata: Option<BTreeMap<String, String>>,
}

impl Draft {
    fn take(&mut self, tag: u16, value: Reader<'_>) -> Result<(), FormatError> {
        match tag {
            1 => self.id = Some(value.whole(snapshot_id)?),
            2 => self.session = Some(value.whole(snapshot_id)?),
            3 => self.host = Some(value.whole(Reader::text_to_end)?),
            4 => self.user = Some(value.whole(Reader::text_to_end)?),
            5 => self.source_kind = Some(value.whole(Reader::text_to_end)?),
            6 => self.paths = Some(value.whole(|value| value.list(4, |path| path.block().map(<[u8]>::to_vec)))?),
            7 => self.tags = Some(value.whole(texts)?),
            8 => self.label = Some(value.whole(Reader::text_to_end)?),
            9 => self.started = Some(value.whole(Reader::timestamp)?),
            10 => self.finished = Some(value.whole(Reader::timestamp)?),
            11 => self.parent = Some(value.whole(snapshot_id)?),
            12 => self.root = Some(value.whole(page_ref)?),
            13 => self.chunker = Some(value.whole(Reader::u8)?),
            14 => self.program = Some(value.whole(Reader::text_to_end)?),
            15 => self.counts = Some(value.whole(Counts::decode)?),
            16 => self.verdict = Some(value.whole(verdict)?),
            18 => self.excludes = Some(value.whole(texts)?),
            19 => self.is_protected = Some(value.whole(protection)?),
            20 => self.statement = Some(value.whole(statement::decode)?),
            21 => self.metadata = Some(value.whole(statement::decode_pairs)?),
            other => return Err(unknown_field("a snapshot", other)),
        }
        Ok(())
    }

    fn finish(self) -> Result<Snapshot, FormatError> {
        Ok(Snapshot {
            id: required(self.id)?,
            session: required(self.session)?,
            host: required(self.host)?,
            user: required(self.user)?,
            source_kind: required(self.source_kind)?,
            paths: required(self.paths)?,
            tags: required(self.tags)?,
            label: self.label,
            started: required(self.started)?,
            finished: required(self.finished)?,
            parent: self.parent,
            root: self.root,
            chunker: required(self.chunker)?,
            program: required(self.program)?,
            counts: required(self.counts)?,
            verdict: required(self.verdict)?,
            excludes: required(self.excludes)?,
            is_protected: required(self.is_protected)?,
            statement: self.statement,
            metadata: required(self.metadata)?,
        })
    }
}

fn write_blocks<T: AsRef<[u8]>>(writer: &mut Writer, blocks: &[T]) {
    writer.list(blocks, |writer, block| {
        writer.block(block);
    });
}

fn snapshot_id(value: &mut Reader<'_>) -> Result<SnapshotId, FormatError> {
    value.array().map(SnapshotId::from_bytes)
}

fn page_ref(value: &mut Reader<'_>) -> Result<PageRef, FormatError> {
    Ok(PageRef { id: ChunkId::from_bytes(value.array()?), length: value.u32()? })
}

fn texts(value: &mut Reader<'_>) -> Result<Vec<String>, FormatError> {
    value.list(4, Reader::text)
}

fn protection(value: &mut Reader<'_>) -> Result<bool, FormatError> {
    match value.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(FormatError::Unsupported(format!("protection {other} of a snapshot"))),
    }
}

fn verdict(value: &mut Reader<'_>) -> Result<Verdict, FormatError> {
    match value.u8()? {
        0 => Ok(Verdict::Whole),
        1 => texts(value).map(Verdict::Partial),
        other => Err(FormatError::Unsupported(format!("verdict {other} of a snapshot"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::damage;
    use crate::statement::KnownFact;

    fn bare() -> Snapshot {
        Snapshot {
            session: SnapshotId::from_bytes([2; 16]),
            host: "h".into(),
            user: "u".into(),
            source_kind: "folder".into(),
            finished: Timestamp { seconds: 1_700_000_000, nanoseconds: 0 },
            program: "strongroom 0.1.0".into(),
            ..Snapshot::new(SnapshotId::from_bytes([1; 16]), Timestamp { seconds: -1, nanoseconds: 999_999_999 })
        }
    }

    fn full() -> Snapshot {
        Snapshot {
            paths: vec![b"/home".to_vec(), b"/\xff".to_vec()],
            tags: vec!["nightly".into(), "a".into()],
            label: Some("before the move".into()),
            parent: Some(SnapshotId::from_bytes([3; 16])),
            root: Some(PageRef { id: ChunkId::from_bytes([4; 32]), length: 5000 }),
            counts: Counts {
                entries: 1,
                files: 2,
                directories: 3,
                bytes: 4,
                bytes_new: 5,
                bytes_stored: 6,
                entries_new: 7,
                entries_changed: 8,
                entries_unchanged: 9,
            },
            verdict: Verdict::Partial(vec!["1 file could not be read".into()]),
            excludes: vec!["*.tmp".into()],
            is_protected: true,
            statement: Some(Statement::new().with(KnownFact::Position, "0/1A").with_of(KnownFact::Rows, b"t", 5)),
            metadata: BTreeMap::from([("job".into(), "nightly".into())]),
            ..bare()
        }
    }

    #[test]
    fn the_snapshot_record_is_frozen() {
        assert_eq!(
            damage::hex(&bare().encode()),
            "01001000000001010101010101010101010101010101020010000000020202020202020202020202020202020300010000006804000100000075050006000000666f6c646572060004000000000000000700040000000000000009000c000000ffffffffffffffffffc99a3b0a000c00000000f1536500000000000000000d0001000000010e00100000007374726f6e67726f6f6d20302e312e300f004800000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000010000100000000120004000000000000001300010000000015000400000000000000"
        );
        assert_eq!(
            damage::hex(&full().encode()),
            "01001000000001010101010101010101010101010101020010000000020202020202020202020202020202020300010000006804000100000075050006000000666f6c64657206001300000002000000050000002f686f6d65020000002fff07001400000002000000070000006e696768746c79010000006108000f0000006265666f726520746865206d6f766509000c000000ffffffffffffffffffc99a3b0a000c00000000f1536500000000000000000b0010000000030303030303030303030303030303030c00240000000404040404040404040404040404040404040404040404040404040404040404881300000d0001000000010e00100000007374726f6e67726f6f6d20302e312e300f0048000000010000000000000002000000000000000300000000000000040000000000000005000000000000000600000000000000070000000000000008000000000000000900000000000000100021000000010100000018000000312066696c6520636f756c64206e6f74206265207265616412000d00000001000000050000002a2e746d70130001000000011400370000000200000008000000706f736974696f6e000000000104000000302f314104000000726f777301000000740208000000050000000000000015001600000001000000030000006a6f62070000006e696768746c79"
        );
    }

    #[test]
    fn a_snapshot_record_decodes_totally() {
        for snapshot in [bare(), full()] {
            assert_eq!(Snapshot::decode(&snapshot.encode()), Ok(snapshot.clone()));
            damage::survives(&snapshot.encode(), |body| Snapshot::decode(body).map(|snapshot| snapshot.encode()));
        }
    }

    #[test]
    fn absent_and_empty_are_not_the_same() {
        let empty = Snapshot { label: Some(String::new()), statement: Some(Statement::new()), ..bare() };
        assert_eq!(Snapshot::decode(&empty.encode()), Ok(empty));
    }

    #[test]
    fn the_tag_that_an_opaque_seal_had_is_not_used_again() {
        let mut writer = Writer::new();
        writer.field(17, |_| ());
        assert!(Snapshot::decode(&writer.finish()).is_err_and(|error| error.is_unsupported()));
    }

    #[test]
    fn a_field_of_a_newer_program_is_named_not_ignored() {
        let mut writer = Writer::after(bare().encode());
        writer.field(22, |_| ());
        let error = Snapshot::decode(&writer.finish()).expect_err("newer");
        assert!(error.is_unsupported() && error.to_string().contains("field 22 of a snapshot"));
    }
}
