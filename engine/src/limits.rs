//! Every size and count the engine relies on, with the relations between them checked at compile time.

/// One kibibyte, in bytes.
pub const KIB: usize = 1024;
/// One mebibyte, in bytes.
pub const MIB: usize = 1024 * KIB;

/// Smallest chunk the default chunker cuts (the end of an entry may be smaller).
pub const CHUNK_BYTES_MIN: usize = 256 * KIB;
/// Least smallest chunk that a repository may ask for: with less the chunker has no mask, and every chunk costs more
/// than it holds.
pub const CHUNK_BYTES_LEAST: usize = 64;
/// Nominal chunk size of the default chunker.
pub const CHUNK_BYTES_NOMINAL: usize = 512 * KIB;
/// Largest chunk of any chunker; readers refuse larger ones.
pub const CHUNK_BYTES_MAX: usize = 2 * MIB;

/// Least page by which a file can be cut: the least that any database writes.
pub const PAGE_OF_FILE_BYTES_MIN: usize = 512;

/// Plaintext at which an open segment is closed.
pub const SEGMENT_BYTES_GOAL: usize = 3 * MIB;
/// Largest plaintext of a segment; readers refuse larger ones.
pub const SEGMENT_BYTES_MAX: usize = 8 * MIB;
/// Largest number of chunks in one segment.
pub const SEGMENT_CHUNKS_MAX: usize = 16 * 1024;

/// Plaintext at which an open segment of catalog pages is closed: a single look-up opens one.
pub const METADATA_SEGMENT_BYTES_GOAL: usize = 512 * KIB;

/// Plaintext at which an open segment is closed where packs are closed at `pack_bytes`: `most`, or so little that a
/// small pack holds several segments too.
pub const fn segment_goal(most: usize, pack_bytes: usize) -> usize {
    let quarter = pack_bytes / 4;
    if quarter < most { quarter } else { most }
}

/// Stored bytes at which an open data pack is closed.
pub const PACK_BYTES_GOAL: usize = 16 * MIB;
/// Stored bytes at which an open metadata pack is closed.
pub const METADATA_PACK_BYTES_GOAL: usize = 8 * MIB;
/// Most stored bytes a repository may ask for as the goal of its packs: a segment that goes past it, and the table of
/// all of them, must still find room.
pub const PACK_BYTES_GOAL_MAX: usize = 80 * MIB;
/// Largest pack; readers refuse larger ones.
pub const PACK_BYTES_MAX: usize = 128 * MIB;
/// Largest number of segments in one pack.
pub const PACK_SEGMENTS_MAX: usize = 65_535;
/// Chunks at which an open pack is closed, however small they squeeze: its table must stay within its limit.
pub const PACK_CHUNKS_GOAL: usize = 512 * 1024;
/// Largest encoded table of a pack before squeezing; readers refuse larger ones.
pub const PACK_TABLE_BYTES_MAX: usize = 64 * MIB;
/// Largest wrapped data key in the table of a pack; readers refuse larger ones.
pub const WRAPPED_KEY_BYTES_MAX: usize = KIB;
/// Packs are padded to a multiple of this.
pub const PACK_PADDING_BYTES: usize = 64 * KIB;
/// Packs being filled at the same time, so that neighbours in a source do not stand together.
pub const PACKS_OPEN: usize = 2;

/// Bytes of consecutive input handed to a worker at once.
pub const BATCH_BYTES: usize = 3 * MIB;
/// Items (entries and chunks) in one batch at most.
pub const BATCH_ITEMS_MAX: usize = 2048;

/// Plaintext of one sealed part of an index object.
pub const INDEX_PART_BYTES: usize = MIB;
/// Largest index object; readers refuse larger ones.
pub const INDEX_BYTES_MAX: usize = 256 * MIB;
/// Chunks at which merging makes an index object no larger: readers and prunes hold that many at a time, 6 MiB.
pub const INDEX_MERGED_CHUNKS: usize = 128 * 1024;

/// Chunks that index objects name, and chunks that a backup takes on, which are kept in memory before they go to a
/// local file: smaller repositories need none.
pub const SHARD_CHUNKS: usize = 256 * 1024;
/// Chunks of an index object from which on its shard covers no other: no merge touches it for its size. Look-ups ask
/// every shard, so none has less.
pub const SHARD_ALONE_CHUNKS: usize = INDEX_MERGED_CHUNKS / 2;
/// Shards that are left as they are: a look-up asks each in a tenth of a microsecond, and each keeps a file open.
pub const SHARDS_FEW: usize = 8;
/// Stored bytes of index objects, or of marks, fetched at once, unless one alone has more.
pub const INDEX_FETCH_BYTES: u64 = 8 * MIB as u64;

/// Goal of one encoded catalog page.
pub const PAGE_BYTES_GOAL: usize = 48 * KIB;
/// An item that would push a page past this closes the page first.
pub const PAGE_BYTES_HARD: usize = 256 * KIB;
/// Largest encoded page (one huge entry alone); readers refuse larger ones.
pub const PAGE_BYTES_MAX: usize = 2 * MIB;
/// Deepest page tree.
pub const PAGE_LEVELS_MAX: u8 = 16;
/// Chunk references kept inside an entry before they move to a page tree of their own.
pub const CHUNKS_INLINE_MAX: usize = 32;

/// Largest small object (config, slot, data key, snapshot), in bytes behind the head of its envelope.
pub const SMALL_OBJECT_BYTES_MAX: usize = 16 * MIB;
/// What a snapshot record may take of that for paths, tags, rules and names, which are known before a backup begins.
pub const SNAPSHOT_GIVEN_BYTES_MAX: usize = 15 * MIB;
/// The same for the reasons of a partial snapshot.
pub const SNAPSHOT_REASONS_BYTES_MAX: usize = 256 * KIB;
/// The same for the statement of a source.
pub const SNAPSHOT_STATEMENT_BYTES_MAX: usize = 512 * KIB;
/// Longest key of the key-values that a snapshot carries, in bytes.
pub const SNAPSHOT_KEY_BYTES_MAX: usize = 256;
/// Bytes of all key-values of a snapshot.
pub const SNAPSHOT_METADATA_BYTES_MAX: usize = MIB;
/// Bytes of what one fact of a statement is about: a path.
pub const FACT_SUBJECT_BYTES_MAX: usize = 65_535;
/// Bytes of a signature behind a snapshot record.
pub const SIGNATURE_BYTES_MAX: usize = 16 * KIB;
/// Longest change token of an entry in bytes.
pub const CHANGE_TOKEN_BYTES_MAX: usize = KIB;
/// Longest path of an entry in bytes: its length fits two.
pub const PATH_BYTES_MAX: usize = 64 * KIB - 1;
/// Longest single extended attribute value in bytes.
pub const XATTR_BYTES_MAX: usize = 64 * KIB;
/// Extended attributes of one entry together, in bytes.
pub const XATTRS_BYTES_MAX: usize = MIB;

/// Most memory a key slot may ask of Argon2id, in KiB.
pub const KDF_MEMORY_KIB_MAX: u32 = 4 * 1024 * 1024;
/// Most passes a key slot may ask of Argon2id.
pub const KDF_PASSES_MAX: u32 = 64;
/// Most lanes a key slot may ask of Argon2id.
pub const KDF_LANES_MAX: u32 = 64;
/// Most key slots of one kind: all are read before the newest is tried.
pub const KEY_SLOTS_MAX: usize = 4096;
/// Largest key slot; readers refuse larger ones.
pub const SLOT_BYTES_MAX: usize = 8 * KIB;
/// Memory that a key slot may ask for, unless whoever opens the repository allows more: four times what any way of making
/// one asks for.
pub const KDF_LIMIT_BYTES: u64 = 1024 * MIB as u64;
/// Passes over that much memory which all slots that are tried may take together: a few seconds.
pub const KDF_LIMIT_PASSES: u64 = 8;

/// New chunks after which a checkpoint index object is written.
pub const CHECKPOINT_CHUNKS: u64 = 50_000;
/// Stored bytes after which the first checkpoint index object is written; every later one waits twice as long.
pub const CHECKPOINT_BYTES_FIRST: u64 = 128 * MIB as u64;
/// Most stored bytes between two checkpoint index objects.
pub const CHECKPOINT_BYTES: u64 = 2 * 1024 * MIB as u64;
/// Seconds after which a checkpoint index object is written.
pub const CHECKPOINT_SECONDS: u64 = 300;

/// Seconds from reading marks to storing the snapshot at most; what was read is then too old to rely on.
pub const VALIDATION_SECONDS_MAX: u64 = 600;
/// Seconds between them, by the store's time, after which a stored snapshot is validated again.
pub const LATE_COMMIT_SECONDS: u64 = 3600;
/// Seconds after which a snapshot is declared anew: long before anybody takes it for left over.
pub const PENDING_SECONDS_MAX: u64 = 24 * 3600;
/// Times that a backup validates its snapshot before it gives up.
pub const VALIDATIONS_MAX: usize = 6;

/// Times that a backup is begun when data that it relied on has gone or is damaged, and its source can be read again.
pub const BACKUP_ATTEMPTS_MAX: usize = 4;

/// Worker threads of a backup at most: the one thread that reads and cuts feeds no more, and every worker holds
/// about 20 MiB of segments and two batch buffers.
pub const BACKUP_THREADS_MAX: usize = 6;

/// Worker threads of a restore at most; every one holds a decoded segment and its sealed form.
pub const RESTORE_THREADS_MAX: usize = 8;
/// Directories within one another that a restore removes because the snapshot does not have them: each level takes stack,
/// of which a thread has 2 MiB, and an open file.
pub const STRANGER_LEVELS_MAX: usize = 200;
/// Plaintext of opened segments that a reader keeps at hand. Neighbours of a source stand in the open segments of as many
/// workers as a backup has, so that few are opened twice.
pub const DATA_SEGMENTS_KEPT_BYTES: usize = 48 * MIB;
/// The same for segments of catalog pages.
pub const METADATA_SEGMENTS_KEPT_BYTES: usize = 8 * MIB;
/// Sibling pages that are fetched ahead of the one that is read: in a catalog of many sessions each may stand in a segment
/// of its own.
pub const PAGES_AHEAD: usize = 8;
/// Segments of one class that are on their way before anybody waits for them, at most.
pub const READS_AHEAD_MAX: usize = 16;
/// Plaintext that a reader opens ahead of the bytes that it gives.
pub const READ_AHEAD_BYTES: u64 = 12 * MIB as u64;
/// Entries whose content is looked for ahead of the one that is read, at most.
pub const READ_AHEAD_ENTRIES: usize = 4096;
/// Decoded catalog pages that a reader keeps at hand, in bytes.
pub const PAGES_KEPT_BYTES: usize = 16 * MIB;
/// What a search remembers of the pages it has looked at, in bytes.
pub const SEARCH_KEPT_BYTES: usize = 32 * MIB;

/// Packs verified at once by a check at most; every one is whole in memory.
pub const CHECK_THREADS_MAX: usize = 4;

/// Packs of the catalog in memory besides the open one: none. Its stage may wait for its pack to leave, the others are far enough ahead.
pub const METADATA_PACKS_WAITING_MAX: usize = 0;
/// Batch buffers besides the one each worker has: one being filled, and one on its way.
pub const BATCH_BUFFERS_AHEAD: usize = 2;
/// Entries that a source may have open at once: each has a buffer of its own.
pub const STREAMS_OPEN_MAX: usize = 16;
/// Bytes that an entry open beside others hands to a worker at once; its buffer has room for one chunk more.
pub const STREAM_BATCH_BYTES: usize = MIB;
/// Memory that finished entries may take while they wait for one that is open before them; more goes to the cache folder.
pub const WAITING_ENTRIES_BYTES: usize = 8 * MIB;
/// Packs on their way at once to a store of this machine; so many of data are in memory besides the open ones.
pub const UPLOADS_NEAR: usize = 2;
/// The same to a store behind a network, where each costs a round trip.
pub const UPLOADS_FAR: usize = 6;
/// Bytes of packs on their way at once, as far as more than two are.
pub const UPLOADS_BYTES_MAX: usize = 96 * MIB;
/// Packs named by one mark or tomb at most: it is a small object.
pub const MARK_PACKS_MAX: usize = 100_000;
/// A pending record that nobody has touched for so long belongs to a writer that is dead or must store it again.
pub const ABANDONED_SECONDS: u64 = 14 * 24 * 3600;
/// So long after a prune has announced that it goes a later one removes it.
pub const ABANDONED_NOTE_SECONDS: u64 = 24 * 3600;
/// Spare bytes kept in a local repository so that a full disk can still be pruned: so many at most.
pub const RESERVE_BYTES_MAX: u64 = 128 * MIB as u64;
/// The same where little is stored: marks, tombs and a merged index of it need less.
pub const RESERVE_BYTES_MIN: u64 = MIB as u64;
/// Stored bytes for one that is spare.
pub const RESERVE_STORED_SHARE: u64 = 16;
/// Bytes of the file system for one that is spare.
pub const RESERVE_DISK_SHARE: u64 = 50;
/// Free bytes for one of them that are set aside: on a disk that is nearly full less is better than nothing.
pub const RESERVE_FREE_SHARE: u64 = 4;
/// Less than this is no reserve.
pub const RESERVE_BYTES_LEAST: u64 = 64 * KIB as u64;

const _: () = assert!(CHUNK_BYTES_MIN < CHUNK_BYTES_NOMINAL && CHUNK_BYTES_NOMINAL < CHUNK_BYTES_MAX);
const _: () = assert!(SEGMENT_BYTES_GOAL + CHUNK_BYTES_MAX <= SEGMENT_BYTES_MAX);
const _: () = assert!(PAGE_BYTES_MAX <= CHUNK_BYTES_MAX);
const _: () = assert!(segment_goal(SEGMENT_BYTES_GOAL, PACK_BYTES_GOAL) == SEGMENT_BYTES_GOAL);
const _: () =
    assert!(segment_goal(METADATA_SEGMENT_BYTES_GOAL, METADATA_PACK_BYTES_GOAL) == METADATA_SEGMENT_BYTES_GOAL);
const _: () = assert!(PACK_BYTES_GOAL <= PACK_BYTES_GOAL_MAX && METADATA_PACK_BYTES_GOAL <= PACK_BYTES_GOAL_MAX);
// A table at its longest: for every chunk at most 40 bytes, for every segment 32, and a salt and a key of its own.
const _: () = assert!(
    PACK_BYTES_GOAL_MAX
        + SEGMENT_BYTES_MAX
        + (PACK_CHUNKS_GOAL + SEGMENT_CHUNKS_MAX) * 40
        + PACK_SEGMENTS_MAX * (32 + 32 + 16)
        + PACK_PADDING_BYTES
        + KIB
        <= PACK_BYTES_MAX
);
const _: () = assert!((PACK_CHUNKS_GOAL + SEGMENT_CHUNKS_MAX) * 40 + PACK_SEGMENTS_MAX * 32 < PACK_TABLE_BYTES_MAX);
const _: () = assert!(MARK_PACKS_MAX * 32 + KIB <= SMALL_OBJECT_BYTES_MAX);
const _: () = assert!(INDEX_MERGED_CHUNKS * 48 * 4 <= INDEX_BYTES_MAX);
const _: () = assert!(SHARD_ALONE_CHUNKS <= SHARD_CHUNKS);
const _: () = assert!(RESERVE_BYTES_LEAST <= RESERVE_BYTES_MIN && RESERVE_BYTES_MIN <= RESERVE_BYTES_MAX);
const _: () = assert!(
    SNAPSHOT_GIVEN_BYTES_MAX + SNAPSHOT_REASONS_BYTES_MAX + SNAPSHOT_STATEMENT_BYTES_MAX + 64 * KIB
        < SMALL_OBJECT_BYTES_MAX
);
const _: () = assert!(READ_AHEAD_BYTES as usize + 2 * SEGMENT_BYTES_MAX < DATA_SEGMENTS_KEPT_BYTES);
const _: () = assert!(SEGMENT_BYTES_MAX <= DATA_SEGMENTS_KEPT_BYTES);
// The pages ahead, and those on the way to them from the root.
const _: () = assert!((PAGES_AHEAD + 6) * METADATA_SEGMENT_BYTES_GOAL <= METADATA_SEGMENTS_KEPT_BYTES);
const _: () = assert!(PAGE_BYTES_GOAL < PAGE_BYTES_HARD && PAGE_BYTES_HARD < PAGE_BYTES_MAX);
